//! Controls as of an instant, for people and as CSV.
//!
//! Collected, finding and conclusion stand apart: each has a column or a line of its own.

use std::collections::BTreeMap;

use super::{Screen, WIDTH_MIN, verdict_colour};
use crate::assess::{Assessment, CheckAssessment, ControlAssessment, FoundState, Hosts, Named};
use crate::catalog::Severity;
use crate::evaluate::ago;

/// Up to so many controls are shown with their checks and hosts; more as a table.
const WHOLE_MAX: usize = 3;
/// Columns of an id, a title, what is collected.
const COLUMNS: (usize, usize, usize) = (8, 34, 14);
/// Where the words of a line begin.
const INDENT: usize = 14;

/// An assessment as a screen of `width` columns.
#[must_use]
pub fn screen(found: &Assessment, width: usize, colour: bool) -> String {
    let mut screen = Screen {
        text: String::new(),
        width: width.max(WIDTH_MIN),
        colour,
        now: found.as_of,
        shown: BTreeMap::new(),
    };
    let checked = |one: &&ControlAssessment| !one.checks.is_empty();
    let judged = found.controls.iter().filter(checked).count();
    screen.line(&format!("Controls as of {}", found.as_of));
    let out = &found.out_of_scope;
    let out = match out.count {
        0 => String::new(),
        count => format!("; {count} out of scope: {}", listed(out)),
    };
    screen.wrapped(
        0,
        &format!(
            "{} hosts are expected and in scope{out}. {judged} of {} controls have checks here.",
            found.hosts,
            found.controls.len()
        ),
    );
    if found.controls.len() <= WHOLE_MAX {
        for control in &found.controls {
            whole(&mut screen, control);
        }
    } else {
        table(&mut screen, found);
    }
    screen.line("");
    screen.wrapped(
        0,
        "Collected says of how many hosts there is fresh evidence, the finding what checks say of \
         it, and the conclusion what a named person decided (`evident-collector review`). \
         `assess --control ID` shows a control with its hosts and evidence.",
    );
    screen.text
}

fn table(screen: &mut Screen, found: &Assessment) {
    let (id, title, collected) = COLUMNS;
    screen.line("");
    screen.line(&format!(
        "{:<id$}{:<title$}{:<collected$}{:<34}conclusion",
        "control", "title", "collected", "finding"
    ));
    let shown = found.controls.iter().filter(|one| {
        let decided = one.conclusion.is_some() || !one.inconsistencies.is_empty();
        !one.checks.is_empty() || one.applicability.is_some() || decided
    });
    for control in shown {
        let name: String = control.title.chars().take(title - 2).collect();
        let of = &control.collected;
        let fresh = if control.checks.is_empty() {
            "no check".to_owned()
        } else {
            format!("{} of {}", of.covered, of.expected)
        };
        let said = short(control);
        let said = screen.painted(&said, colour(control.finding.state), 34);
        let concluded = control.conclusion.as_ref();
        let concluded = concluded.map_or("none", |one| one.conclusion.as_str());
        screen.line(&format!(
            "{:<id$}{name:<title$}{fresh:<collected$}{said}{concluded}",
            control.control
        ));
        for wrong in &control.inconsistencies {
            screen.hanging(id, "! ", wrong);
        }
    }
}

/// A finding in a few words.
fn short(control: &ControlAssessment) -> String {
    let finding = &control.finding;
    let excluded = control.applicability.as_ref();
    let excluded = excluded.is_some_and(|row| !row.applicable);
    let mut text = finding.state.as_str().to_owned();
    if 0 < finding.failing.count {
        text = format!("{text}: {} hosts", finding.failing.count);
        if 0 < finding.excepted.count {
            text = format!("{text}, {} excepted", finding.excepted.count);
        }
    } else if 0 < finding.unknown.count {
        text = format!("{text}: {} hosts", finding.unknown.count);
    }
    if excluded {
        text = format!("excluded; {text}");
    }
    text
}

fn whole(screen: &mut Screen, control: &ControlAssessment) {
    screen.line("");
    screen.line(&format!("{}  {}", control.control, control.title));
    let statement = match &control.applicability {
        None => "no statement of applicability is in force".to_owned(),
        Some(row) => {
            let applies = if row.applicable {
                "applicable"
            } else {
                "excluded"
            };
            let state = row.state.as_deref().unwrap_or("no state given");
            let owner = row.owner.as_ref().map(ToString::to_string);
            let owner = owner.unwrap_or_else(|| "nobody".to_owned());
            let why = match row.justification.as_str() {
                "" => "no justification",
                why => why,
            };
            format!("{applies}, {state}, owned by {owner}: {why}")
        }
    };
    line(screen, "statement", &statement);
    for wrong in &control.inconsistencies {
        line(screen, "!", wrong);
    }
    let of = &control.collected;
    let mut fresh = format!(
        "{} of {} hosts have fresh evidence for every check",
        of.covered, of.expected
    );
    for (word, hosts) in [("too old", &of.stale), ("none yet", &of.missing)] {
        if 0 < hosts.count {
            fresh = format!("{fresh}; {word} of {}: {}", hosts.count, listed(hosts));
        }
    }
    line(screen, "collected", &fresh);
    let finding = &control.finding;
    let said = format!(
        "{}: {} of {} hosts pass, {} fail ({} excepted), {} unknown ({} stale), {} not applicable",
        screen.painted(finding.state.as_str(), colour(finding.state), 0),
        finding.passing,
        of.expected,
        finding.failing.count,
        finding.excepted.count,
        finding.unknown.count,
        finding.stale,
        finding.not_applicable,
    );
    line(screen, "finding", &said);
    for one in &control.exceptions {
        let said = format!(
            "{} until {}, owned by {}, approved by {}: covers {} failing findings",
            one.id, one.until, one.owner, one.approver, one.findings
        );
        line(screen, "exception", &said);
    }
    let said = control.conclusion.as_ref().map_or_else(
        || "none: nobody has reviewed the evidence".to_owned(),
        |one| {
            format!(
                "{}, by {} on {} for {} to {} ({}): {}",
                one.conclusion, one.by, one.at, one.from, one.to, one.id, one.comment
            )
        },
    );
    line(screen, "conclusion", &said);
    for check in &control.checks {
        one_check(screen, check);
    }
}

fn line(screen: &mut Screen, word: &str, text: &str) {
    screen.hanging(2, &format!("{word:<width$}", width = INDENT - 2), text);
}

fn one_check(screen: &mut Screen, check: &CheckAssessment) {
    screen.line("");
    screen.wrapped(
        2,
        &format!(
            "{} ({}, {}): {} of {} hosts pass, {} fail ({} excepted), {} unknown ({} stale), {} \
             not applicable",
            check.check,
            severity(check.severity),
            check.strength.as_str(),
            check.passing,
            check.expected,
            check.failing,
            check.excepted,
            check.unknown,
            check.stale,
            check.not_applicable
        ),
    );
    for named in &check.named {
        one_host(screen, named);
    }
    if check.named.len() < check.expected {
        let more = check.expected - check.named.len();
        screen.wrapped(4, &format!("and {more} more; --names N shows more"));
    }
}

fn one_host(screen: &mut Screen, named: &Named) {
    let verdict = screen.painted(named.verdict.as_str(), verdict_colour(named.verdict), 15);
    let collected = named.collected.map_or_else(
        || "never collected".to_owned(),
        |at| format!("collected {}", ago(screen.now.ms_since(at))),
    );
    let since = named.since.map(|at| format!(", so since {at}"));
    let evidence = named.detail.as_ref().and_then(|detail| detail.record);
    let evidence = evidence.map(|id| format!(", evidence {}", id.short()));
    screen.line(&format!(
        "    {verdict}{}  {collected}{}{}",
        named.host,
        since.unwrap_or_default(),
        evidence.unwrap_or_default()
    ));
    if let Some(detail) = &named.detail {
        screen.wrapped(19, &detail.reason);
    }
    if let (Some(id), Some(until)) = (&named.exception, named.until) {
        screen.wrapped(19, &format!("excepted by {id} until {until}"));
    }
}

/// The word for a severity.
pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// Names of hosts, and how many are not named.
fn listed(hosts: &Hosts) -> String {
    let names: Vec<_> = hosts.names.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    match hosts.count.saturating_sub(hosts.names.len()) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

const fn colour(state: FoundState) -> &'static str {
    match state {
        FoundState::Passing => "1;32",
        FoundState::Failing => "1;31",
        FoundState::Unknown => "1;33",
        FoundState::NotApplicable | FoundState::NoHost | FoundState::NoCheck => "2",
    }
}

/// One row for each control.
#[must_use]
pub fn csv(found: &Assessment) -> String {
    let mut text = "as_of,control,title,applicable,state,owner,inconsistencies,expected,covered,\
                    finding,passing,failing,excepted,unknown,stale,not_applicable,conclusion,\
                    concluded_by,concluded_at\n"
        .to_owned();
    for control in &found.controls {
        let row = control.applicability.as_ref();
        let finding = &control.finding;
        let concluded = control.conclusion.as_ref();
        let fields = [
            found.as_of.to_string(),
            control.control.clone(),
            control.title.clone(),
            row.map(|row| row.applicable.to_string())
                .unwrap_or_default(),
            row.and_then(|row| row.state.clone()).unwrap_or_default(),
            row.and_then(|row| row.owner.as_ref())
                .map(ToString::to_string)
                .unwrap_or_default(),
            control.inconsistencies.join("; "),
            control.collected.expected.to_string(),
            control.collected.covered.to_string(),
            finding.state.as_str().to_owned(),
            finding.passing.to_string(),
            finding.failing.count.to_string(),
            finding.excepted.count.to_string(),
            finding.unknown.count.to_string(),
            finding.stale.to_string(),
            finding.not_applicable.to_string(),
            concluded
                .map(|one| one.conclusion.clone())
                .unwrap_or_default(),
            concluded.map(|one| one.by.clone()).unwrap_or_default(),
            concluded.map(|one| one.at.to_string()).unwrap_or_default(),
        ];
        super::share::row(&mut text, &fields);
    }
    text
}
