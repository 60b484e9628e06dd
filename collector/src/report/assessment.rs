//! Controls as of an instant, for people and as CSV.
//!
//! Collected, finding and conclusion stand apart: each has a column or a line of its own.

use super::{Screen, state_colour, verdict_colour};
use crate::assess::{
    Assessment, Brought, CheckAssessment, Collected, ControlAssessment, Hosts, Named, Open,
};
use crate::evaluate::ago;

mod table;
#[cfg(test)]
mod tests;

/// Up to so many controls are shown with their checks and hosts; more as a table.
const WHOLE_MAX: usize = 3;
/// Where the words of a line begin.
const INDENT: usize = 14;

/// An assessment as a screen of `width` columns.
#[must_use]
pub fn screen(found: &Assessment, width: usize, colour: bool) -> String {
    let mut screen = Screen::new(width, colour, found.as_of);
    let checked = |one: &&ControlAssessment| !one.checks.is_empty();
    let judged = found.controls.iter().filter(checked).count();
    screen.line(&format!("Controls as of {}", found.as_of));
    let more = match &found.not_enrolled {
        missing if missing.count == 0 => String::new(),
        missing => {
            let names = missing.names.join(", ");
            let rest = missing.count.saturating_sub(missing.names.len());
            let rest = if rest == 0 {
                String::new()
            } else {
                format!(" and {rest} others")
            };
            format!(
                "; {} more expected, not enrolled: {names}{rest}",
                missing.count
            )
        }
    };
    let out = &found.out_of_scope;
    let out = match out.count {
        0 => String::new(),
        count => format!("; {count} out of scope: {}", listed(out)),
    };
    screen.wrapped(
        0,
        &format!(
            "{} hosts are expected and in scope{more}{out}. {judged} of {} controls have \
             checks here.",
            found.hosts,
            found.controls.len()
        ),
    );
    if found.controls.len() <= WHOLE_MAX {
        for control in &found.controls {
            whole(&mut screen, control);
        }
    } else {
        table::table(&mut screen, found);
    }
    screen.line("");
    screen.wrapped(
        0,
        "Collected says of how many hosts there is fresh evidence of at least one check, and of \
         how many it is full: of every check. The finding is what checks say of it, the conclusion \
         what a named person decided (`evident-collector review`). `assess --control ID` shows a \
         control with its hosts and evidence.",
    );
    screen.text
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
    if control.checks.is_empty() && control.documents.is_empty() {
        line(screen, "evidence", "neither a check nor a document");
    }
    for one in &control.documents {
        line(screen, "document", &brought(one));
    }
    let of = &control.collected;
    if !control.checks.is_empty() {
        line(screen, "collected", &fresh(of));
        found(screen, control);
    }
    for one in &control.exceptions {
        let said = format!(
            "{} until {}, owned by {}, approved by {}: covers {} failing findings",
            one.id, one.until, one.owner, one.approver, one.findings
        );
        line(screen, "exception", &said);
    }
    for one in &control.open {
        let Open {
            register,
            id,
            state,
            owner,
            text,
        } = one;
        line(
            screen,
            "open",
            &format!("{register} {id}, {state}, owned by {owner}: {text}"),
        );
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

/// A document in words: it is what a person says, and no check looked at it.
fn brought(one: &Brought) -> String {
    let until = one.until.map(|until| format!(" until {until}"));
    let file = match one.document {
        Some(id) => format!("file {}", id.short()),
        None => "no file was given".to_owned(),
    };
    format!(
        "{} \"{}\" revision {}, brought by a person ({}): owned by {}, approved by {} on \
         {}; speaks from {}{}; {file}",
        one.id,
        one.title,
        one.revision,
        one.brought_by,
        one.owner,
        one.approver,
        one.approved,
        one.covers_from,
        until.unwrap_or_default()
    )
}

/// Of how many hosts there is evidence, and what is missing.
fn fresh(of: &Collected) -> String {
    let mut text = format!(
        "{} of {} hosts have fresh evidence, {} of them for every check",
        of.partly, of.expected, of.covered
    );
    let missing = [
        ("too old for a check", &of.stale),
        ("none for a check", &of.missing),
    ];
    for (word, hosts) in missing {
        if 0 < hosts.count {
            text = format!("{text}; {word} on {}: {}", hosts.count, listed(hosts));
        }
    }
    text
}

/// What the checks on a control say together.
fn found(screen: &mut Screen, control: &ControlAssessment) {
    let finding = &control.finding;
    let said = format!(
        "{}: {} of {} hosts pass, {} fail ({} excepted), {} unknown ({} stale), {} not applicable",
        screen.painted(finding.state.as_str(), state_colour(finding.state), 0),
        finding.passing,
        control.collected.expected,
        finding.failing.count,
        finding.excepted.count,
        finding.unknown.count,
        finding.stale,
        finding.not_applicable,
    );
    line(screen, "finding", &said);
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
            check.severity.as_str(),
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

/// Names of hosts, and how many are not named.
fn listed(hosts: &Hosts) -> String {
    let names: Vec<_> = hosts.names.iter().map(ToString::to_string).collect();
    let names = names.join(", ");
    match hosts.count.saturating_sub(hosts.names.len()) {
        0 => names,
        more => format!("{names} and {more} more"),
    }
}

/// One row for each control.
#[must_use]
pub fn csv(found: &Assessment) -> String {
    let mut text = "as_of,control,title,applicable,state,owner,inconsistencies,expected,covered,\
                    partly,documents,finding,passing,failing,excepted,unknown,stale,not_applicable,conclusion,\
                    concluded_by,concluded_at\n"
        .to_owned();
    for control in &found.controls {
        let row = control.applicability.as_ref();
        let finding = &control.finding;
        let concluded = control.conclusion.as_ref();
        let documents = control.documents.iter().map(|one| one.id.as_str());
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
            control.collected.partly.to_string(),
            documents.collect::<Vec<_>>().join(" "),
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
