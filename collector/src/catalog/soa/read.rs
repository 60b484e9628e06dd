//! `soa.toml` in, a statement or faults with their places out.

use std::collections::BTreeMap;

use serde::Deserialize;
use shared::id::Digest;
use shared::{limits, words};
use toml::Spanned;

use super::{Row, Soa, State, standard};
use crate::catalog::{Catalog, CatalogError, Control, edition};
use crate::fault::{Complaint, Fault, nearest};

/// The edition whose controls stand in a statement.
const EDITION: i64 = 2022;
/// Longest id of a record of a register in bytes.
const RECORD_BYTES_MAX: usize = 64;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSoa {
    edition: Spanned<i64>,
    #[serde(default)]
    control: Vec<RawRow>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRow {
    id: Spanned<String>,
    applicable: bool,
    justification: String,
    state: Option<State>,
    #[serde(default)]
    owner: Option<Spanned<String>>,
    #[serde(default)]
    risks: Vec<Spanned<String>>,
    #[serde(default)]
    documents: Vec<Spanned<String>>,
    #[serde(default)]
    checks: Vec<Spanned<String>>,
    #[serde(default)]
    note: String,
}

impl Soa {
    /// Reads a statement from the text of its file.
    ///
    /// With a catalogue the ids of checks must be in it, and bear on their control. A version of
    /// the past is read without: it may name a check of its own time.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Faults`]: all faults at once, each with its place; or the first alone where
    /// the file is no TOML, or a value has another type.
    pub fn read(file: &str, text: &str, catalog: Option<&Catalog>) -> Result<Self, CatalogError> {
        let raw: RawSoa = toml::from_str(text).map_err(|error| {
            let fault = Complaint::of_toml(&error, text).in_file(file, text);
            CatalogError::Faults(vec![fault])
        })?;
        let mut reader = Reader {
            file,
            text,
            controls: standard(),
            catalog,
            faults: Vec::new(),
        };
        if *raw.edition.as_ref() != EDITION {
            let message = format!("there is no statement of edition {}", raw.edition.as_ref());
            let complaint = Complaint::new(raw.edition.span(), message);
            reader.refuse(complaint.hint("the controls are those of 2022: write `2022`"));
        }
        let mut rows: BTreeMap<usize, Row> = BTreeMap::new();
        for raw in raw.control {
            let place = raw.id.span();
            let Some((at, row)) = reader.row(raw) else {
                continue;
            };
            let message = format!("`{}` stands here twice", row.id);
            if rows.insert(at, row).is_some() {
                reader.refuse(Complaint::new(place, message));
            }
        }
        reader.all(&rows);
        if reader.faults.is_empty() {
            Ok(Self {
                digest: Digest::of(text.as_bytes()),
                rows: rows.into_values().collect(),
            })
        } else {
            Err(CatalogError::Faults(reader.faults))
        }
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    controls: Vec<Control>,
    catalog: Option<&'a Catalog>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn refuse(&mut self, complaint: Complaint) {
        self.faults.push(complaint.in_file(self.file, self.text));
    }

    /// Refuses a statement that leaves out a control. Where an id is wrong that is said already.
    fn all(&mut self, rows: &BTreeMap<usize, Row>) {
        let missing = self.controls.iter().enumerate();
        let missing: Vec<_> = missing
            .filter(|(at, _)| !rows.contains_key(at))
            .map(|(_, control)| control.id.clone())
            .collect();
        if missing.is_empty() || !self.faults.is_empty() {
            return;
        }
        let end = self.text.trim_end().len();
        let message = match missing.as_slice() {
            [one] => format!("control `{one}` is missing"),
            many => format!("{} controls are missing: {}", many.len(), many.join(", ")),
        };
        let hint = "all 93 stand in a statement, also those that do not apply; `soa export` writes \
                    them all";
        self.refuse(Complaint::new(end..end, message).hint(hint));
    }

    /// The row, and its place in Annex A.
    fn row(&mut self, raw: RawRow) -> Option<(usize, Row)> {
        let id = raw.id.as_ref();
        let Some(at) = self.controls.iter().position(|control| control.id == *id) else {
            let (message, hint) = edition::unknown(id, &self.controls).unwrap_or_default();
            self.refuse(Complaint::new(raw.id.span(), message).hint(hint));
            return None;
        };
        let title = self.controls.get(at)?.title.clone();
        if raw.applicable && raw.state.is_none() {
            let message = format!("`{id}` applies, and its state is missing");
            let hint = "write `state = ` and \"not implemented\", \"planned\", \"partly\" or \
                        \"implemented\"";
            self.refuse(Complaint::new(raw.id.span(), message).hint(hint));
        }
        for (field, text) in [("justification", &raw.justification), ("note", &raw.note)] {
            let wrong = words::lines(text, limits::TEXT_BYTES_MAX);
            // What nobody has said yet may stay open until somebody approves it, and what was
            // approved stands.
            if let Err(error) = wrong
                && self.catalog.is_some()
                && !text.trim().is_empty()
            {
                let message = format!("the {field} of `{id}` is not readable: {error}");
                self.refuse(Complaint::new(raw.id.span(), message));
            }
        }
        let checks = self.checks(id, raw.checks);
        let owner = raw.owner.filter(|owner| !owner.as_ref().is_empty());
        let owner = owner.and_then(|owner| {
            let known = owner.as_ref().parse();
            known
                .map_err(|wrong: shared::id::IdError| {
                    let message = wrong.to_string();
                    let (what, hint) = message.split_once(": ").unwrap_or((&message, ""));
                    self.refuse(Complaint::new(owner.span(), what).hint(hint));
                })
                .ok()
        });
        let row = Row {
            id: raw.id.into_inner(),
            title,
            applicable: raw.applicable,
            justification: raw.justification.trim().to_owned(),
            state: raw.state,
            owner,
            risks: self.records(raw.risks),
            documents: self.records(raw.documents),
            checks,
            note: raw.note.trim().to_owned(),
        };
        Some((at, row))
    }

    /// Ids of records of a register: their form alone is looked at here.
    fn records(&mut self, ids: Vec<Spanned<String>>) -> Vec<String> {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        let mut found: Vec<String> = Vec::new();
        for id in ids {
            let text = id.as_ref();
            if text.is_empty() || RECORD_BYTES_MAX < text.len() || !text.chars().all(plain) {
                let complaint = Complaint::new(id.span(), format!("{text:?} is no id of a record"));
                let hint = "1 to 64 letters, digits, `-`, `.` and `_`, e.g. \"R-3\"";
                self.refuse(complaint.hint(hint));
            } else if found.contains(text) {
                self.refuse(Complaint::new(
                    id.span(),
                    format!("`{text}` stands here twice"),
                ));
            }
            found.push(id.into_inner());
        }
        found
    }

    fn checks(&mut self, control: &str, ids: Vec<Spanned<String>>) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for id in ids {
            let text = id.as_ref();
            if found.contains(text) {
                self.refuse(Complaint::new(
                    id.span(),
                    format!("`{text}` stands here twice"),
                ));
            }
            if let Some(catalog) = self.catalog
                && !catalog
                    .bearing_on(control)
                    .any(|(check, _)| check.id == *text)
            {
                let complaint = unfit(text, control, catalog);
                self.refuse(Complaint::new(id.span(), complaint.0).hint(complaint.1));
            }
            found.push(id.into_inner());
        }
        found
    }
}

/// Why a check does not stand for a control, and what to do.
fn unfit(id: &str, control: &str, catalog: &Catalog) -> (String, String) {
    let bearing: Vec<_> = catalog
        .bearing_on(control)
        .map(|(check, _)| check.id.as_str())
        .collect();
    let hint = if bearing.is_empty() {
        format!("no check bears on {control}: its evidence comes from people")
    } else {
        format!("checks that bear on it are: {}", bearing.join(", "))
    };
    if catalog.checks().any(|check| check.id == id) {
        (format!("check `{id}` does not bear on {control}"), hint)
    } else {
        let near = nearest(id, catalog.checks().map(|check| check.id.as_str()));
        let near = if near.starts_with("did") { near } else { hint };
        (format!("there is no check `{id}`"), near)
    }
}
