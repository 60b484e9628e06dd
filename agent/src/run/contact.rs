//! How the last visit to the collector ended, kept beside the keys for `status` and the next start.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shared::durable;
use shared::time::Timestamp;

use super::{read_own, show};
use crate::connection::plain;
use crate::identity::IdentityError;
use crate::ship::ShipError;

const CONTACT: &str = "contact.json";
const SEEN: &str = "contradiction-seen.txt";
const SHOWN: &str = "contradiction-shown.txt";

/// How visits ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contact {
    /// When the last one went well.
    pub last: Option<Timestamp>,
    /// What went wrong since then.
    pub error: Option<Failure>,
    /// Why nothing is sent any more in this generation.
    pub end: Option<End>,
}

/// A visit that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// When it last did.
    pub at: Timestamp,
    /// What happened.
    pub what: String,
    /// What can be done.
    pub hint: Option<String>,
}

/// Why nothing is sent any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The ledger shrank or forked; evidence is still gathered.
    Contradiction,
    /// This host was set back to an earlier state.
    RolledBack,
    /// Two machines use this identity.
    Forked,
}

impl End {
    /// Whether nothing is recorded any more either.
    #[must_use]
    pub const fn ends_generation(self) -> bool {
        matches!(self, Self::RolledBack | Self::Forked)
    }

    /// The reason in words.
    #[must_use]
    pub const fn what(self) -> &'static str {
        match self {
            Self::Contradiction => "the ledger contradicts what this host has seen of it",
            Self::RolledBack => "this host was set back to an earlier state",
            Self::Forked => "two machines use this identity",
        }
    }
}

impl Contact {
    /// Reads what is kept in the folder of a generation.
    ///
    /// # Errors
    ///
    /// [`IdentityError`].
    pub fn load(folder: &Path) -> Result<Self, IdentityError> {
        let path = folder.join(CONTACT);
        match read_own(&path)? {
            None => Ok(Self::default()),
            Some(json) => serde_json::from_slice(&json).map_err(|error| IdentityError::Content {
                path,
                what: error.to_string(),
            }),
        }
    }

    /// Keeps how a visit at `now` ended; of a contradiction, first the two checkpoints.
    pub(super) fn note(
        &mut self,
        folder: &Path,
        now: Timestamp,
        result: &Result<usize, ShipError>,
    ) -> Result<(), IdentityError> {
        let keep = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            durable::write(&path, bytes, 0o600).map_err(|source| IdentityError::Machine {
                operation: "write",
                path,
                source,
            })
        };
        match result {
            Ok(_records) => {
                self.last = Some(now);
                self.error = None;
            }
            Err(error) => {
                self.error = Some(Failure {
                    at: now,
                    what: plain(&show::chain(error)),
                    hint: error.hint().as_deref().map(plain),
                });
                self.end = self.end.or(end_of(error));
                if let ShipError::Contradiction { seen, shown, .. } = error {
                    keep(SEEN, seen.as_bytes())?;
                    keep(SHOWN, shown.as_bytes())?;
                }
            }
        }
        // A type without maps or floats always has a JSON form.
        keep(CONTACT, &serde_json::to_vec(self).unwrap_or_default())
    }
}

const fn end_of(error: &ShipError) -> Option<End> {
    match error {
        ShipError::Contradiction { .. } => Some(End::Contradiction),
        ShipError::RolledBack { .. } => Some(End::RolledBack),
        ShipError::Forked { .. } => Some(End::Forked),
        ShipError::Connection(_)
        | ShipError::Refused { .. }
        | ShipError::Receipt(_)
        | ShipError::Answer
        | ShipError::Spool(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use shared::receipt::ReceiptError;

    use super::*;

    #[test]
    fn an_end_stays_and_its_proof_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        let mut contact = Contact::load(dir).unwrap();
        assert_eq!(contact, Contact::default());
        contact.note(dir, Timestamp::default(), &Ok(3)).unwrap();
        let error = ShipError::Contradiction {
            seen: "seen".to_owned(),
            shown: "shown".to_owned(),
            source: Box::new(ReceiptError::Shrunk { seen: 9, size: 3 }),
        };
        contact
            .note(dir, Timestamp::default(), &Err(error))
            .unwrap();
        assert_eq!(durable::read_text(&dir.join(SEEN), 99).unwrap(), "seen");
        assert_eq!(durable::read_text(&dir.join(SHOWN), 99).unwrap(), "shown");
        let error = ShipError::RolledBack {
            ours: "none".to_owned(),
            theirs: 1,
        };
        contact
            .note(dir, Timestamp::default(), &Err(error))
            .unwrap();
        contact.note(dir, Timestamp::default(), &Ok(1)).unwrap();
        let contact = Contact::load(dir).unwrap();
        assert_eq!(
            (contact.end, contact.error),
            (Some(End::Contradiction), None)
        );
        durable::write(&dir.join(CONTACT), b"{\"more\":1}", 0o600).unwrap();
        assert!(Contact::load(dir).is_err());
    }

    #[test]
    fn what_a_collector_says_at_length_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut contact = Contact::default();
        let long = "\u{1b}x".repeat(1 << 20);
        let error = ShipError::Refused {
            seq: 3,
            problem: Box::new(shared::wire::Problem {
                code: shared::wire::Code::Chain,
                status: 422,
                title: long.clone(),
                detail: Some(long.clone()),
                hint: Some(long),
                missing: Vec::new(),
            }),
        };
        contact
            .note(folder.path(), Timestamp::default(), &Err(error))
            .unwrap();
        assert_eq!(Contact::load(folder.path()).unwrap(), contact);
        let failure = contact.error.unwrap();
        let said = failure.what + &failure.hint.unwrap();
        assert!(!said.contains('\u{1b}') && said.len() < 4096, "{said}");
    }
}
