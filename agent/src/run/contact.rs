//! How the last visit to the collector ended, kept beside the keys for `status` and the next start.

use std::path::Path;

use serde::{Deserialize, Serialize};
use shared::cause;
use shared::durable;
use shared::limits;
use shared::time::Timestamp;

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
    /// Why nothing is sent.
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

/// Why nothing is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The ledger shrank or forked; evidence is still gathered, and sent once it is repaired.
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
                // A visit goes well only when the ledger has shown that it grew from what was seen.
                self.end = self.end.filter(|end| *end != End::Contradiction);
            }
            Err(error) => {
                self.error = Some(Failure {
                    at: now,
                    what: plain(&cause::chain(error)),
                    hint: error.hint().as_deref().map(plain),
                });
                let before = self.end;
                self.end = end_of(error).or(before);
                if let ShipError::Contradiction { seen, shown, .. } = error
                    && before.is_none()
                {
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

/// Reads a file of the agent's own, none when it is not there.
pub(super) fn read_own(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    let bytes_max = u64::try_from(limits::NOTE_BYTES_MAX).unwrap_or(u64::MAX);
    match durable::read(path, bytes_max) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(IdentityError::Machine {
            operation: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

#[cfg(test)]
mod tests {
    use shared::receipt::ReceiptError;

    use super::*;

    #[test]
    fn the_end_of_a_generation_stays_and_a_contradiction_until_repair() {
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
        assert_eq!(Contact::load(dir).unwrap().end, Some(End::Contradiction));
        // The first proof stays.
        let error = ShipError::Contradiction {
            seen: "seen".to_owned(),
            shown: "another".to_owned(),
            source: Box::new(ReceiptError::Forked { size: 9 }),
        };
        contact
            .note(dir, Timestamp::default(), &Err(error))
            .unwrap();
        assert_eq!(durable::read_text(&dir.join(SHOWN), 99).unwrap(), "shown");
        // What proves nothing ends nothing; a good visit shows that the ledger is repaired.
        contact
            .note(dir, Timestamp::default(), &Err(ShipError::Answer))
            .unwrap();
        assert_eq!(contact.end, Some(End::Contradiction));
        contact.note(dir, Timestamp::default(), &Ok(1)).unwrap();
        assert_eq!((contact.end, &contact.error), (None, &None));
        let error = ShipError::RolledBack {
            ours: "none".to_owned(),
            theirs: 1,
        };
        contact
            .note(dir, Timestamp::default(), &Err(error))
            .unwrap();
        contact.note(dir, Timestamp::default(), &Ok(1)).unwrap();
        let contact = Contact::load(dir).unwrap();
        assert_eq!((contact.end, contact.error), (Some(End::RolledBack), None));
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
