//! What differs between two versions of a statement.

use serde::Serialize;
use shared::id::Digest;

use super::{Row, Soa};

/// All that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The version before.
    pub before: Digest,
    /// The version after.
    pub after: Digest,
    /// What differs, in the order of Annex A.
    pub changes: Vec<Change>,
}

/// A member of a row that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Id of the control.
    pub control: String,
    /// Name of the member, as it stands in the file.
    pub member: &'static str,
    /// What stood there; empty for nothing.
    pub before: String,
    /// What stands there now.
    pub after: String,
}

impl Soa {
    /// What differs in `after` from this version. Comments and the form of the file do not count.
    #[must_use]
    pub fn difference(&self, after: &Self) -> Difference {
        let mut changes = Vec::new();
        for (old, new) in self.rows.iter().zip(&after.rows) {
            for ((member, before), (_, after)) in members(old).into_iter().zip(members(new)) {
                if before != after {
                    let control = old.id.clone();
                    changes.push(Change {
                        control,
                        member,
                        before,
                        after,
                    });
                }
            }
        }
        Difference {
            before: self.digest,
            after: after.digest,
            changes,
        }
    }
}

fn members(row: &Row) -> [(&'static str, String); 8] {
    let owner = row.owner.as_ref().map(ToString::to_string);
    [
        ("applicable", row.applicable.to_string()),
        ("justification", row.justification.clone()),
        (
            "state",
            row.state.map_or("", super::State::as_str).to_owned(),
        ),
        ("owner", owner.unwrap_or_default()),
        ("risks", row.risks.join(" ")),
        ("documents", row.documents.join(" ")),
        ("checks", row.checks.join(" ")),
        ("note", row.note.clone()),
    ]
}
