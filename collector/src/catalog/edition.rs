//! Editions of Annex A: where each of the 114 controls of 2013 is since 2022.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Control;
use super::table::Table;
use crate::fault::nearest;

/// Name of the file.
pub(super) const FILE: &str = "controls_2013.tsv";
/// The 114 controls of 2013, each with those of 2022 that carry its subject.
pub(super) const EMBEDDED: &str = include_str!("../../../config/catalog/controls_2013.tsv");

/// A control of ISO/IEC 27001:2013 Annex A.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Old {
    /// Id, e.g. `A.12.3.1`: one number more than those of 2022 have.
    pub id: String,
    /// Short title.
    pub title: String,
    /// The controls of 2022 that carry its subject; never empty, for none was removed.
    pub now: Vec<String>,
}

/// Reads the controls of 2013.
pub(super) fn read(table: &mut Table<'_>, controls: &[Control]) -> Vec<Old> {
    let mut old = Vec::new();
    let mut seen = BTreeSet::new();
    for [id, title, now] in table.rows(0, ["id", "title", "ids_2022"]) {
        if !seen.insert(id.text) {
            table.refuse(id.wrong(format!("`{}` stands here twice", id.text)));
        }
        let title = table.take(title.some());
        if now.is_none() {
            table.refuse(now.wrong("no control of 2013 was removed: say where it is"));
        }
        for item in now.items() {
            if let Some((message, hint)) = unknown(item.text, controls) {
                table.refuse(item.wrong(message).hint(hint));
            }
        }
        old.push(Old {
            id: id.text.to_owned(),
            title: title.unwrap_or_default(),
            now: now.items().map(|item| item.text.to_owned()).collect(),
        });
    }
    old
}

/// What is wrong with the id of a control of 2022, and a hint; nothing when it is one.
///
/// An id of 2013 is told apart: its controls have one number more, and where its subject went is
/// the hint.
#[must_use]
pub fn unknown(id: &str, controls: &[Control]) -> Option<(String, String)> {
    if controls.iter().any(|control| control.id == id) {
        return None;
    }
    let mut rows = EMBEDDED.lines().skip(1).map(|line| line.split('\t'));
    let moved = rows.find_map(|mut cells| {
        let found = cells.next() == Some(id);
        found.then(|| cells.nth(1)).flatten()
    });
    Some(if let Some(now) = moved {
        let now = now.replace(';', "` and `");
        (
            format!("`{id}` is a control of the 2013 edition"),
            format!("since 2022 its subject is in `{now}`"),
        )
    } else {
        let known = controls.iter().map(|control| control.id.as_str());
        (
            format!("there is no control `{id}` in Annex A"),
            nearest(id, known),
        )
    })
}
