//! Controls over a period, for people and as CSV.

use super::Screen;
use super::share::{length, percent, row};
use crate::assess::{
    CheckPeriod, ControlPeriod, Deviation, Ending, Gap, Period, Shares, Sla, Spent,
};

/// Most deviations of one host that are shown; JSON holds all.
const DEVIATIONS_MAX: usize = 5;
/// Where the words of a line begin.
const INDENT: usize = 14;

/// A period as a screen of `width` columns.
#[must_use]
pub fn screen(found: &Period, width: usize, colour: bool) -> String {
    let mut screen = Screen::new(width, colour, found.window.to);
    screen.line(&format!(
        "Controls from {} to {}",
        found.window.from, found.window.to
    ));
    let out = match found.out_of_scope {
        0 => String::new(),
        count => format!("; {count} out of scope are left out"),
    };
    let out = match found.partly_out_of_scope {
        0 => out,
        count => format!("{out}; {count} were out of scope for a part, which does not count"),
    };
    let Sla {
        critical_ms,
        high_ms,
        medium_ms,
        low_ms,
    } = found.sla;
    screen.wrapped(
        0,
        &format!(
            "{} hosts were expected{out}. What fails is late after {} where it is critical, {} \
             where high, {} where medium, {} where low.",
            found.hosts,
            length(critical_ms),
            length(high_ms),
            length(medium_ms),
            length(low_ms)
        ),
    );
    for one in &found.left_out {
        let (from, to) = (one.window.from, one.window.to);
        let said = format!("{} from {from} to {to} by {}", one.host, one.why);
        screen.wrapped(2, &format!("out of scope: {said}"));
    }
    let checked = |one: &&ControlPeriod| !one.checks.is_empty();
    let whole = found.controls.len() == 1;
    for control in found.controls.iter().filter(checked) {
        one_control(&mut screen, control, whole);
    }
    let judged = found.controls.iter().filter(checked).count();
    screen.line("");
    screen.wrapped(
        0,
        &format!(
            "{} of {} controls have no check and no time. Shares are of the time in which hosts \
             were expected, computed from each change of verdict; what is good is rounded down, \
             what is bad up. Detection took at most what is shown: from the last pass that was \
             collected to the receipt of the first failure. Time under an exception does not \
             count against the time that a severity allows.",
            found.controls.len() - judged,
            found.controls.len()
        ),
    );
    screen.text
}

fn one_control(screen: &mut Screen, control: &ControlPeriod, whole: bool) {
    screen.line("");
    screen.line(&format!("{}  {}", control.control, control.title));
    line(screen, "time", &shares(&control.shares));
    if 0 < control.any_failing_ms {
        let said = format!(
            "{}: at least one host failed",
            length(control.any_failing_ms)
        );
        line(screen, "failing", &said);
    }
    line(screen, "deviations", &spent(&control.deviations));
    line(
        screen,
        "longest gap",
        &gap(control.longest_gap.as_ref(), &control.shares),
    );
    let concluded = control.conclusion.as_ref().map_or_else(
        || "none: nobody has reviewed the evidence".to_owned(),
        |one| {
            format!(
                "{}, by {} on {} ({})",
                one.conclusion, one.by, one.at, one.id
            )
        },
    );
    line(screen, "conclusion", &concluded);
    if whole {
        for check in &control.checks {
            one_check(screen, check);
        }
    }
}

fn line(screen: &mut Screen, word: &str, text: &str) {
    screen.hanging(2, &format!("{word:<width$}", width = INDENT - 2), text);
}

fn shares(of: &Shares) -> String {
    if of.expected_ms == 0 {
        return "no host was expected".to_owned();
    }
    let share = |part, good| percent(part, of.expected_ms, good);
    format!(
        "passing {} ({} of {} ms), failing {} (excepted {}), unknown {} (without evidence {}), not \
         applicable {}",
        share(of.passing_ms, true),
        of.passing_ms,
        of.expected_ms,
        share(of.failing_ms, false),
        share(of.excepted_ms, true),
        share(of.unknown_ms, false),
        share(of.gap_ms, false),
        share(of.not_applicable_ms, true),
    )
}

fn spent(of: &Spent) -> String {
    if of.count == 0 {
        return "none".to_owned();
    }
    let mut text = format!(
        "{}: {} mended, {} open, {} late; the longest {}",
        of.count,
        of.fixed,
        of.open,
        of.late,
        length(of.longest_ms)
    );
    if let Some(ms) = of.longest_fix_ms {
        text = format!("{text}; longest repair {}", length(ms));
    }
    if let Some(ms) = of.longest_detection_ms {
        text = format!("{text}; detected within {}", length(ms));
    }
    text
}

fn gap(of: Option<&Gap>, shares: &Shares) -> String {
    // Of no time there is no evidence either.
    if shares.expected_ms == 0 {
        return "no host was expected".to_owned();
    }
    of.map_or_else(
        || "none: there was evidence at all times".to_owned(),
        |gap| {
            format!(
                "{} without evidence that counts: {} on {} from {}",
                length(gap.length_ms),
                gap.check,
                gap.host,
                gap.window.from
            )
        },
    )
}

fn one_check(screen: &mut Screen, check: &CheckPeriod) {
    screen.line("");
    screen.wrapped(
        2,
        &format!(
            "{} ({}: to be mended within {})",
            check.check,
            check.severity.as_str(),
            length(check.sla_ms)
        ),
    );
    line(screen, "time", &shares(&check.shares));
    line(screen, "deviations", &spent(&check.deviations));
    line(
        screen,
        "longest gap",
        &gap(check.longest_gap.as_ref(), &check.shares),
    );
    for host in check.hosts.iter().filter(|one| !one.deviations.is_empty()) {
        for one in host.deviations.iter().take(DEVIATIONS_MAX) {
            line(screen, host.host.as_str(), &deviation(one));
        }
        let more = host.deviations.len().saturating_sub(DEVIATIONS_MAX);
        if 0 < more {
            line(screen, "", &format!("and {more} more; JSON holds all"));
        }
    }
}

fn deviation(one: &Deviation) -> String {
    let ending = match one.ending {
        Ending::Open => "open",
        Ending::Fixed => "mended",
        Ending::Left => "not judged any more",
    };
    let late = if one.late { ", late" } else { "" };
    let evidence = one.record.map(|id| format!(" (evidence {})", id.short()));
    format!(
        "from {} for {}, {ending}{late}: {}{}",
        one.from,
        length(one.length_ms),
        one.reason,
        evidence.unwrap_or_default()
    )
}

/// One row for each check of each control.
#[must_use]
pub fn csv(found: &Period) -> String {
    let mut text = "from,to,control,check,severity,expected_ms,passing_ms,failing_ms,excepted_ms,\
                    unknown_ms,gap_ms,not_applicable_ms,longest_gap_ms,deviations,open,fixed,late,\
                    longest_ms,longest_fix_ms,longest_detection_ms,sla_ms\n"
        .to_owned();
    for control in &found.controls {
        for check in &control.checks {
            let (of, spent) = (&check.shares, &check.deviations);
            let some = |ms: Option<i64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
            let gap = check.longest_gap.as_ref().map(|gap| gap.length_ms);
            let fields = [
                found.window.from.to_string(),
                found.window.to.to_string(),
                control.control.clone(),
                check.check.clone(),
                check.severity.as_str().to_owned(),
                of.expected_ms.to_string(),
                of.passing_ms.to_string(),
                of.failing_ms.to_string(),
                of.excepted_ms.to_string(),
                of.unknown_ms.to_string(),
                of.gap_ms.to_string(),
                of.not_applicable_ms.to_string(),
                some(gap),
                spent.count.to_string(),
                spent.open.to_string(),
                spent.fixed.to_string(),
                spent.late.to_string(),
                spent.longest_ms.to_string(),
                some(spent.longest_fix_ms),
                some(spent.longest_detection_ms),
                check.sla_ms.to_string(),
            ];
            row(&mut text, &fields);
        }
    }
    text
}
