//! The statement of applicability: for each of the 93 controls whether it applies, and why.
//!
//! It is a file, `soa.toml`, that people write and keep under version control. A version is named
//! by the SHA-256 of its bytes. A [`Soa`] that exists has every control once; what only people can
//! say and have not said, above all a justification, is a [`Finding`] and never filled in.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::id::{Digest, PersonId};

use super::{Control, EMBEDDED_CONTROLS, controls};

mod difference;
mod print;
mod read;

pub use difference::{Change, Difference};

/// Longest statement in bytes.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// One version of the statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Soa {
    /// SHA-256 of the file.
    pub digest: Digest,
    /// The 93 rows in the order of Annex A.
    pub rows: Vec<Row>,
}

/// What is said of one control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Id of the control.
    pub id: String,
    /// Its short title, from the catalogue.
    pub title: String,
    /// It applies.
    pub applicable: bool,
    /// Why it applies or not; empty when nobody has said it.
    pub justification: String,
    /// How far it is; of a control that does not apply it may be left out.
    pub state: Option<State>,
    /// Who answers for it.
    pub owner: Option<PersonId>,
    /// Ids of records in the register of risks.
    pub risks: Vec<String>,
    /// Ids of records in the register of documents.
    pub documents: Vec<String>,
    /// Ids of checks that are to bear on it.
    pub checks: Vec<String>,
    /// More about it; may be empty.
    pub note: String,
}

/// How far a control is implemented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum State {
    /// Nothing was done.
    #[serde(rename = "not implemented")]
    NotImplemented,
    /// It was decided what will be done.
    #[serde(rename = "planned")]
    Planned,
    /// Some of it operates.
    #[serde(rename = "partly")]
    Partly,
    /// All of it operates.
    #[serde(rename = "implemented")]
    Implemented,
}

impl State {
    /// The words that people and documents see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotImplemented => "not implemented",
            Self::Planned => "planned",
            Self::Partly => "partly",
            Self::Implemented => "implemented",
        }
    }
}

/// What is wrong with what is said of a control.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Id of the control.
    pub control: String,
    /// What is wrong.
    pub what: Wrong,
}

/// What can be wrong with what is said of a control.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// It applies, and nobody has said why.
    NoJustification,
    /// It does not apply, and nobody has said why not.
    ExcludedWithoutReason,
    /// It applies, and nobody answers for it.
    NoOwner,
    /// The person who answers for it is not known, or has left.
    UnknownOwner(PersonId),
    /// It applies, and no evidence counts for it now.
    NoEvidence(State),
    /// It does not apply, and so many pieces of evidence count for it now.
    EvidenceForExcluded(u64),
    /// It does not apply, and stands there as planned or implemented.
    ExcludedButDone(State),
}

impl Wrong {
    /// The statement cannot be put in force until it is mended.
    #[must_use]
    pub const fn blocks(&self) -> bool {
        matches!(self, Self::NoJustification | Self::ExcludedWithoutReason)
    }
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoJustification => f.write_str("applicable, and nobody has said why"),
            Self::ExcludedWithoutReason => f.write_str("excluded without a reason"),
            Self::NoOwner => f.write_str("applicable, and nobody answers for it"),
            Self::UnknownOwner(owner) => write!(f, "its owner `{owner}` is no person who is known"),
            Self::NoEvidence(state) => {
                write!(f, "applicable without evidence ({})", state.as_str())
            }
            Self::EvidenceForExcluded(1) => {
                f.write_str("excluded, and 1 piece of evidence counts for it")
            }
            Self::EvidenceForExcluded(count) => {
                write!(f, "excluded, and {count} pieces of evidence count for it")
            }
            Self::ExcludedButDone(state) => {
                write!(f, "excluded, and its state is `{}`", state.as_str())
            }
        }
    }
}

impl Soa {
    /// What keeps the statement from being put in force: justifications that nobody has given.
    #[must_use]
    pub fn gaps(&self) -> Vec<Finding> {
        let rows = self.rows.iter();
        let silent = rows.filter(|row| row.justification.is_empty());
        let gap = |row: &Row| {
            row.finding(if row.applicable {
                Wrong::NoJustification
            } else {
                Wrong::ExcludedWithoutReason
            })
        };
        silent.map(gap).collect()
    }

    /// What does not hang together inside the statement, the gaps included.
    #[must_use]
    pub fn inconsistencies(&self) -> Vec<Finding> {
        let mut found = self.gaps();
        for row in &self.rows {
            match (row.applicable, row.state) {
                (true, _) if row.owner.is_none() => found.push(row.finding(Wrong::NoOwner)),
                (false, Some(state)) if state != State::NotImplemented => {
                    found.push(row.finding(Wrong::ExcludedButDone(state)));
                }
                _ => {}
            }
        }
        self.sorted(found)
    }

    /// The same, held against what is known: the people who may answer for a control, and how many
    /// pieces of evidence count for each control now, by its id. A control that is not in `live`
    /// has none.
    #[must_use]
    pub fn held_against(
        &self,
        people: &BTreeSet<PersonId>,
        live: &BTreeMap<String, u64>,
    ) -> Vec<Finding> {
        let mut found = self.inconsistencies();
        for row in &self.rows {
            if let Some(owner) = row.owner.as_ref().filter(|owner| !people.contains(owner)) {
                found.push(row.finding(Wrong::UnknownOwner(owner.clone())));
            }
            let evidence = live.get(&row.id).copied().unwrap_or_default();
            match (row.applicable, evidence) {
                (true, 0) => {
                    let state = row.state.unwrap_or(State::NotImplemented);
                    found.push(row.finding(Wrong::NoEvidence(state)));
                }
                (false, count) if 0 < count => {
                    found.push(row.finding(Wrong::EvidenceForExcluded(count)));
                }
                _ => {}
            }
        }
        self.sorted(found)
    }

    /// In the order of Annex A.
    fn sorted(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        let place = |id: &str| self.rows.iter().position(|row| row.id == id);
        findings.sort_by_cached_key(|finding| (place(&finding.control), finding.what.clone()));
        findings
    }
}

impl Row {
    fn finding(&self, what: Wrong) -> Finding {
        let control = self.id.clone();
        Finding { control, what }
    }
}

/// The controls that a statement must have.
fn standard() -> Vec<Control> {
    let mut none = Vec::new();
    controls::read(
        "controls.tsv",
        EMBEDDED_CONTROLS,
        EMBEDDED_CONTROLS,
        &mut none,
    )
}

#[cfg(test)]
mod tests;
