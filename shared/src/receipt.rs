//! Receipts: the proof that a record is in the ledger, and that the ledger only grew.

use serde::{Deserialize, Serialize};

use crate::id::Digest;
use crate::time::Timestamp;

/// One checkpoint, the proof that it grew from what the agent had seen, and its entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The checkpoint: a C2SP signed note.
    pub checkpoint: String,
    /// Consistency proof from what the agent had seen.
    pub consistency: Vec<Digest>,
    /// Own records that are in the ledger.
    pub entries: Vec<Entered>,
}

/// A record that is in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entered {
    /// Id of the record.
    pub id: Digest,
    /// Place in the ledger, from 0.
    pub index: u64,
    /// When the collector received it; part of the leaf.
    pub received: Timestamp,
    /// Inclusion proof under the checkpoint.
    pub inclusion: Vec<Digest>,
}
