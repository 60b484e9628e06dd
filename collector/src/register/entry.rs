//! Entries of the ledger become decisions in the registers.

use shared::decision::{self, DecisionError};
use shared::key::PublicKey;
use shared::leaf::{Leaf, LeafKind};

use super::Register;

impl Register {
    /// Takes an entry of the ledger, in order; what is no decision changes nothing.
    ///
    /// # Errors
    ///
    /// [`DecisionError`]: the record is no decision under the decisions key.
    pub fn take_entry(
        &mut self,
        entry: u64,
        leaf: &Leaf,
        file: &[u8],
        decisions: &PublicKey,
    ) -> Result<(), DecisionError> {
        match leaf.kind {
            LeafKind::Enrol | LeafKind::Revoke | LeafKind::Decision | LeafKind::Catalogue => {
                self.take(entry, leaf.id, decision::open(file, decisions)?);
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
