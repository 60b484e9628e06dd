//! Entries of the ledger become decisions in the registers.

use shared::cause::chain;
use shared::decision::{self, DecisionError};
use shared::key::PublicKey;
use shared::leaf::{Leaf, LeafKind};

use super::Register;

/// What the log says of a decision that cannot be read.
const UNREADABLE: &str = "a decision of this ledger cannot be read and counts for nothing";

impl Register {
    /// The entries of decisions that cannot be read.
    #[must_use]
    pub fn unreadable(&self) -> &[u64] {
        &self.unreadable
    }

    /// Takes an entry of the ledger, in order; what is no decision changes nothing. What was
    /// decided is in force from the receipt of its entry.
    ///
    /// A decision that is signed here and cannot be read counts for nothing, and is counted.
    ///
    /// # Errors
    ///
    /// [`DecisionError`]: the record is not signed with the decisions key.
    pub fn take_entry(
        &mut self,
        entry: u64,
        leaf: &Leaf,
        file: &[u8],
        decisions: &PublicKey,
    ) -> Result<(), DecisionError> {
        match leaf.kind {
            LeafKind::Enrol | LeafKind::Revoke | LeafKind::Decision | LeafKind::Catalogue => {
                match decision::open(file, decisions) {
                    Ok(mut decision) => {
                        decision.at = leaf.received;
                        self.take(entry, leaf.id, decision);
                    }
                    Err(error @ DecisionError::Statement(_)) => {
                        tracing::error!(entry, error = %chain(&error), "{UNREADABLE}");
                        self.unreadable.push(entry);
                    }
                    Err(error) => return Err(error),
                }
            }
            LeafKind::Evidence
            | LeafKind::Observed
            | LeafKind::Roster
            | LeafKind::Redact
            | LeafKind::Pack => {}
        }
        Ok(())
    }
}
