//! All controls in one table, and those without checks in groups below it.

use std::collections::BTreeMap;

use super::super::{Screen, THEMES, cut};
use super::state_colour;
use crate::assess::{Assessment, ControlAssessment};

/// Columns of an id.
const ID: usize = 8;
/// Columns between two others.
const GAP: usize = 2;
/// Fewest columns of a title.
const TITLE_MIN: usize = 12;
/// Where the ids of a group begin.
const IDS: usize = 6;

/// Controls with checks, one row each; then those without, one group for all that are in the same
/// state.
pub(super) fn table(screen: &mut Screen, found: &Assessment) {
    let (checked, unchecked): (Vec<_>, Vec<_>) = found
        .controls
        .iter()
        .partition(|control| !control.checks.is_empty());
    if !checked.is_empty() {
        rows(screen, &checked);
    }
    if !unchecked.is_empty() {
        groups(screen, &unchecked);
    }
}

fn rows(screen: &mut Screen, controls: &[&ControlAssessment]) {
    let cells = controls
        .iter()
        .map(|one| [collected(one), finding(one), concluded(one)]);
    let cells: Vec<_> = cells.collect();
    let heads = ["collected", "finding", "conclusion"];
    let mut widths = heads.map(str::len);
    for row in &cells {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let [fresh, said, last] = widths;
    let others = ID + fresh + said + last + 3 * GAP;
    let longest = controls.iter().map(|one| one.title.chars().count()).max();
    let title = screen.width.saturating_sub(others);
    let title = title.min(longest.unwrap_or_default()).max(TITLE_MIN);
    screen.line("");
    let [first, second, third] = heads;
    screen.line(&format!(
        "{:<ID$}{:<title$}  {first:<fresh$}  {second:<said$}  {third}",
        "control", "title"
    ));
    for (control, [collected, finding, concluded]) in controls.iter().zip(&cells) {
        let finding = screen.painted(finding, state_colour(control.finding.state), said);
        screen.line(&format!(
            "{:<ID$}{:<title$}  {collected:<fresh$}  {finding}  {concluded}",
            control.control,
            cut(&control.title, title)
        ));
        if let Some(row) = control.applicability.as_ref().filter(|row| !row.applicable) {
            screen.hanging(ID, "excluded: ", &row.justification);
        }
        for wrong in &control.inconsistencies {
            screen.hanging(ID, "! ", wrong);
        }
        if !control.documents.is_empty() {
            let names = control.documents.iter().map(|one| one.id.as_str());
            let names = names.collect::<Vec<_>>().join(", ");
            screen.hanging(ID, "brought by people: ", &names);
        }
    }
}

/// Of how many hosts there is fresh evidence, and for every check of how many.
fn collected(control: &ControlAssessment) -> String {
    let of = &control.collected;
    if of.covered == of.partly {
        return format!("{} of {}", of.partly, of.expected);
    }
    format!("{} of {}, {} full", of.partly, of.expected, of.covered)
}

/// A finding in a few words.
fn finding(control: &ControlAssessment) -> String {
    let finding = &control.finding;
    let state = finding.state.as_str();
    match (finding.failing.count, finding.unknown.count) {
        (0, 0) => state.to_owned(),
        (0, unknown) => format!("{state} {unknown}"),
        (failing, _) if finding.excepted.count == 0 => format!("{state} {failing}"),
        (failing, _) => format!("{state} {failing} ({} excepted)", finding.excepted.count),
    }
}

fn concluded(control: &ControlAssessment) -> String {
    let concluded = control.conclusion.as_ref();
    concluded.map_or_else(|| "none".to_owned(), |one| one.conclusion.clone())
}

/// Controls without checks by theme, and in it by what there is to say of them.
fn groups(screen: &mut Screen, controls: &[&ControlAssessment]) {
    screen.line("");
    let said = format!(
        "{} controls without a check: what is known of them is what people brought and decided.",
        controls.len()
    );
    screen.wrapped(0, &said);
    for theme in THEMES {
        let of_theme = controls.iter().filter(|one| one.theme == theme);
        let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for control in of_theme.clone() {
            groups
                .entry(state(control))
                .or_default()
                .push(named(control));
        }
        if groups.is_empty() {
            continue;
        }
        screen.line(&format!("  {theme} ({})", of_theme.count()));
        for (state, names) in groups {
            screen.hanging(4, "", &format!("{state} ({}):", names.len()));
            screen.wrapped(IDS, &names.join(", "));
        }
    }
}

/// What the statement says of a control without a check, and what is missing.
fn state(control: &ControlAssessment) -> String {
    let documents = !control.documents.is_empty();
    let mut parts = Vec::new();
    match &control.applicability {
        None => parts.push("in no statement of applicability".to_owned()),
        Some(row) if !row.applicable => parts.push("excluded".to_owned()),
        Some(row) => parts.push(row.state.as_deref().unwrap_or("applicable").to_owned()),
    }
    if documents {
        parts.push("documents brought by people".to_owned());
    }
    let mut wrong = false;
    for one in &control.inconsistencies {
        wrong = true;
        // The state in it stands before it already.
        if one.starts_with("applicable without evidence") {
            parts.push("applicable without evidence".to_owned());
        } else {
            parts.push(one.clone());
        }
    }
    let mark = if wrong { "! " } else { "" };
    format!("{mark}{}", parts.join(", "))
}

/// A control with its documents and what was concluded of it.
fn named(control: &ControlAssessment) -> String {
    let documents = control.documents.iter().map(|one| one.id.clone());
    let concluded = control.conclusion.iter();
    let concluded = concluded.map(|one| format!("{} by {}", one.conclusion, one.id));
    let parts: Vec<_> = documents.chain(concluded).collect();
    if parts.is_empty() {
        return control.control.clone();
    }
    format!("{} ({})", control.control, parts.join("; "))
}
