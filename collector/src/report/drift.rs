//! What changed in a period, for people and as CSV.

use std::collections::BTreeMap;

use shared::id::AgentId;
use shared::time::Timestamp;

use super::share::{length, row};
use super::{Screen, verdict_colour};
use crate::catalog::Verdict;
use crate::drift::{Drift, Entry, FactChange, Side, What, Why};

#[cfg(test)]
mod tests;

/// Where the words under an entry begin.
const INDENT: usize = 4;

/// What of drift is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Also what a decision explains.
    pub explained: bool,
    /// The first evidence of a new host check by check, and not in one line.
    pub first: bool,
}

/// Drift as a screen of `width` columns.
#[must_use]
pub fn screen(found: &Drift, shown: Shown, width: usize, colour: bool) -> String {
    let mut screen = Screen::new(width, colour, found.window.to);
    let counts = &found.counts;
    screen.line(&format!(
        "Drift from {} to {}",
        found.window.from, found.window.to
    ));
    screen.wrapped(
        0,
        &format!(
            "{} things happened: {} that no decision explains, {} that one does. Verdicts changed \
             {} times, {} for the worse and {} for the better; {} checks flapped; {} silences.",
            found.entries.len(),
            counts.unexplained,
            counts.explained,
            counts.changes,
            counts.worse,
            counts.better,
            counts.flapping,
            counts.silences
        ),
    );
    if 0 < counts.out_of_scope {
        let said = format!("{} changes are out of scope.", counts.out_of_scope);
        screen.wrapped(0, &said);
    }
    if found.cut {
        let said = "There are more changes than are shown at once: ask for a shorter period.";
        screen.hanging(0, "! ", said);
    }
    let (explained, drift): (Vec<_>, Vec<_>) = found
        .entries
        .iter()
        .partition(|one| one.explained.is_some());
    part(&mut screen, "Not explained by any decision", &drift);
    if shown.explained {
        let (first, others): (Vec<_>, Vec<_>) = explained
            .into_iter()
            .partition(|one| !shown.first && is_first(one));
        if !others.is_empty() || first.is_empty() {
            part(&mut screen, "Explained by a decision", &others);
        }
        first_evidence(&mut screen, &first);
    }
    screen.text
}

/// Whether it is the first evidence of a host since it was enrolled.
fn is_first(entry: &Entry) -> bool {
    let mut by = entry.explained.iter();
    matches!(entry.what, What::Changed { .. }) && by.any(|one| one.by == Why::Enrolment)
}

/// One line for each host and enrolment.
fn first_evidence(screen: &mut Screen, entries: &[&Entry]) {
    let mut hosts: BTreeMap<_, Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        let enrolled = entry.explained.as_ref().map(|one| one.at);
        hosts
            .entry((enrolled, &entry.host))
            .or_default()
            .push(entry);
    }
    if hosts.is_empty() {
        return;
    }
    screen.line("");
    screen.line("First evidence of new hosts (--all shows each check):");
    for ((_enrolled, host), entries) in hosts {
        let says = |entry: &&&Entry, wanted: Verdict| {
            let What::Changed { after, .. } = &entry.what else {
                return false;
            };
            after.as_ref().is_some_and(|side| side.verdict == wanted)
        };
        let counted = [
            (Verdict::Fail, "fail"),
            (Verdict::Unknown, "unknown"),
            (Verdict::Pass, "pass"),
            (Verdict::NotApplicable, "not applicable"),
        ];
        let counted = counted.into_iter().filter_map(|(verdict, word)| {
            let count = entries.iter().filter(|one| says(one, verdict)).count();
            (0 < count).then(|| format!("{count} {word}"))
        });
        let counted = counted.collect::<Vec<_>>().join(", ");
        let at = entries.iter().map(|one| one.at).min();
        let at = at.map(|at| at.to_string()).unwrap_or_default();
        let host = host.as_ref().map(ToString::to_string).unwrap_or_default();
        let of = entries.len();
        let said = format!("{host}: {of} checks, {counted}");
        screen.hanging(0, &format!("{at}  "), &said);
    }
}

fn part(screen: &mut Screen, title: &str, entries: &[&Entry]) {
    screen.line("");
    if entries.is_empty() {
        return screen.line(&format!("{title}: nothing"));
    }
    screen.line(&format!("{title}:"));
    for entry in entries {
        one(screen, entry);
    }
}

fn one(screen: &mut Screen, entry: &Entry) {
    let host = entry.host.as_ref().map(|host| format!("{host}: "));
    let head = format!("{}{}", host.unwrap_or_default(), said(screen, &entry.what));
    screen.hanging(0, &format!("{}  ", entry.at), &head);
    match &entry.what {
        What::Changed { after, facts, .. } => {
            if let Some(after) = after {
                screen.wrapped(INDENT, &because(after));
            }
            for fact in facts {
                let seen =
                    |value: &Option<String>| value.clone().unwrap_or_else(|| "not seen".to_owned());
                let (before, after) = (seen(&fact.before), seen(&fact.after));
                screen.wrapped(INDENT, &format!("{}: {before} -> {after}", fact.name));
            }
        }
        What::Flapping {
            after: Some(after), ..
        } => screen.wrapped(INDENT, &because(after)),
        What::Flapping { .. }
        | What::Silent { .. }
        | What::FleetSilent { .. }
        | What::CollectorSilent { .. }
        | What::Enrolled { .. }
        | What::Revoked { .. }
        | What::ExceptionEnded { .. }
        | What::Forked { .. } => {}
    }
    if let Some(by) = &entry.explained {
        let said = format!("{} {} of {}: {}", by.by.as_str(), by.id, by.at, by.text);
        screen.hanging(INDENT, "explained by ", &said);
    }
}

fn because(after: &Side) -> String {
    let evidence = after.record.map(|id| format!(" (evidence {})", id.short()));
    format!("{}{}", after.reason, evidence.unwrap_or_default())
}

/// What happened, in one line.
fn said(screen: &Screen, what: &What) -> String {
    let word = |side: &Option<Side>, none: &str| {
        side.as_ref().map_or_else(
            || none.to_owned(),
            |side| {
                let stale = if side.stale { " (stale)" } else { "" };
                let colour = verdict_colour(side.verdict);
                format!(
                    "{}{stale}",
                    screen.painted(side.verdict.as_str(), colour, 0)
                )
            },
        )
    };
    match what {
        What::Changed {
            check,
            controls,
            before,
            after,
            ..
        } => format!(
            "{check} {} -> {} ({})",
            word(before, "never judged"),
            word(after, "no check any more"),
            controls.join(", ")
        ),
        What::Flapping {
            check,
            controls,
            count,
            until,
            before,
            after,
            ..
        } => format!(
            "{check} changed {count} times until {until}, {} at first and {} at last ({})",
            word(before, "never judged"),
            word(after, "no check any more"),
            controls.join(", ")
        ),
        What::Silent { probe, heard, to } => {
            let who = probe.as_ref().map_or_else(
                || "silent".to_owned(),
                |probe| format!("probe {probe} brings nothing"),
            );
            format!("{who}, heard last {heard}{}", until(*to, *heard))
        }
        What::FleetSilent { to } => format!("no host was heard{}", ended(*to)),
        What::CollectorSilent { to } => format!(
            "the collector entered nothing{}: it was away, or no host reached it",
            ended(*to)
        ),
        What::Enrolled { generation } => format!("enrolled, generation {generation}"),
        What::Revoked { generation } => format!("left, generation {generation} was ended"),
        What::ExceptionEnded {
            exception,
            owner,
            findings,
            checks,
            controls,
            hosts,
        } => format!(
            "exception {exception} of {owner} ended, and {findings} of its findings still fail: {} \
             on {} ({})",
            checks.join(", "),
            names(hosts),
            controls.join(", ")
        ),
        What::Forked { seq } => format!("a second record {seq} came: a copy of it is in use"),
    }
}

fn names(hosts: &[AgentId]) -> String {
    let names: Vec<_> = hosts.iter().map(AgentId::as_str).collect();
    names.join(", ")
}

fn ended(to: Option<Timestamp>) -> String {
    to.map_or_else(|| " until now".to_owned(), |to| format!(" until {to}"))
}

fn until(to: Option<Timestamp>, heard: Timestamp) -> String {
    to.map_or_else(
        || ", and not since".to_owned(),
        |to| format!(", again {to}, after {}", length(to.ms_since(heard))),
    )
}

/// One row for each entry.
#[must_use]
pub fn csv(found: &Drift) -> String {
    let mut text = "at,kind,host,check,controls,before,after,facts,evidence,count,to,\
                    explained_by,decision\n"
        .to_owned();
    for entry in &found.entries {
        row(&mut text, &fields(entry));
    }
    text
}

/// What happened, in the columns of a row.
#[derive(Default)]
struct Told<'a> {
    kind: &'static str,
    check: String,
    controls: String,
    before: Option<&'a Side>,
    after: Option<&'a Side>,
    facts: String,
    count: String,
    to: Option<Timestamp>,
    /// The decision that is over.
    over: Option<String>,
}

fn fields(entry: &Entry) -> [String; 13] {
    let told = told(&entry.what);
    let (by, id) = by(entry);
    let text = |one: Option<String>| one.unwrap_or_default();
    [
        entry.at.to_string(),
        told.kind.to_owned(),
        text(entry.host.as_ref().map(ToString::to_string)),
        told.check,
        told.controls,
        verdict(told.before).to_owned(),
        verdict(told.after).to_owned(),
        told.facts,
        text(
            told.after
                .and_then(|side| side.record)
                .map(|id| id.to_string()),
        ),
        told.count,
        text(told.to.map(|to| to.to_string())),
        by,
        told.over.unwrap_or(id),
    ]
}

fn told(what: &What) -> Told<'_> {
    let plain = |kind| Told {
        kind,
        ..Told::default()
    };
    let silent = |kind, to| Told { to, ..plain(kind) };
    match what {
        What::Changed {
            check,
            controls,
            before,
            after,
            facts,
            ..
        } => Told {
            check: check.clone(),
            controls: controls.join(" "),
            before: before.as_ref(),
            after: after.as_ref(),
            facts: differing(facts),
            count: "1".to_owned(),
            ..plain("changed")
        },
        What::Flapping {
            check,
            controls,
            count,
            until,
            before,
            after,
            ..
        } => Told {
            check: check.clone(),
            controls: controls.join(" "),
            before: before.as_ref(),
            after: after.as_ref(),
            count: count.to_string(),
            to: Some(*until),
            ..plain("flapping")
        },
        What::ExceptionEnded {
            exception,
            checks,
            controls,
            findings,
            ..
        } => Told {
            check: checks.join(" "),
            controls: controls.join(" "),
            count: findings.to_string(),
            over: Some(exception.clone()),
            ..plain("exception-ended")
        },
        What::Silent { probe, to, .. } => Told {
            check: probe.clone().unwrap_or_default(),
            to: *to,
            ..plain(
                probe
                    .as_ref()
                    .map_or("silent-host", |_probe| "silent-probe"),
            )
        },
        What::FleetSilent { to } => silent("silent-fleet", *to),
        What::CollectorSilent { to } => silent("silent-collector", *to),
        What::Enrolled { .. } => plain("enrolled"),
        What::Revoked { .. } => plain("revoked"),
        What::Forked { .. } => plain("forked"),
    }
}

/// The decision that explains an entry: its kind and its id.
fn by(entry: &Entry) -> (String, String) {
    let by = entry.explained.as_ref();
    by.map_or_else(Default::default, |by| {
        (by.by.as_str().to_owned(), by.id.clone())
    })
}

fn verdict(side: Option<&Side>) -> &'static str {
    side.map_or("", |side| side.verdict.as_str())
}

fn differing(facts: &[FactChange]) -> String {
    let seen = |value: &Option<String>| value.clone().unwrap_or_default();
    let names = facts.iter().map(|fact| {
        let (before, after) = (seen(&fact.before), seen(&fact.after));
        format!("{}: {before} -> {after}", fact.name)
    });
    names.collect::<Vec<_>>().join("; ")
}
