//! Receipts: the proof that a record is in the ledger, and that the ledger only grew.
//!
//! An agent forgets nothing before [`Receipt::open`] has proven that it is kept, and advances what
//! it has seen of the ledger only to the head that is returned there.

use serde::{Deserialize, Serialize};

use crate::attestation::TreeHead;
use crate::checkpoint::{self, NoteError, VerifierKey};
use crate::id::Digest;
use crate::leaf::{Leaf, LeafKind, LeafOrigin};
use crate::limits;
use crate::merkle::{self, ProofError};

/// One checkpoint, the proof that it grew from what the agent had seen, and its entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// The checkpoint: a C2SP signed note.
    pub checkpoint: String,
    /// Consistency proof from what the agent had seen.
    pub consistency: Vec<Digest>,
    /// Own records that are in the ledger, in the order of submission.
    pub entries: Vec<Entered>,
}

/// A record that is in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entered {
    /// Leaf data of the entry.
    pub leaf: String,
    /// Place in the ledger, from 0.
    pub index: u64,
    /// Inclusion proof under the checkpoint.
    pub inclusion: Vec<Digest>,
}

/// A record that must be among the entries of a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// What the entry must be.
    pub kind: LeafKind,
    /// Its place in the stream; `None` for a record that the collector numbered.
    pub origin: Option<LeafOrigin>,
    /// Id of the record.
    pub id: Digest,
}

/// A receipt proves nothing. The collector is wrong, or somebody between.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// The checkpoint is not signed with the key of the ledger.
    #[error("checkpoint is refused")]
    Checkpoint(#[from] NoteError),
    /// The ledger has fewer entries than it had: somebody cut it or restored an old copy.
    /// The checkpoint that was seen and this one together are the proof.
    #[error("the ledger shrank: {size} entries, but {seen} were seen")]
    Shrunk {
        /// Number of entries that were seen.
        seen: u64,
        /// Number of entries that are shown now.
        size: u64,
    },
    /// The ledger shows another history of the same length than the one that was seen.
    /// The checkpoint that was seen and this one together are the proof.
    #[error("the ledger forked: two different roots over {size} entries")]
    Forked {
        /// Number of entries under both roots.
        size: u64,
    },
    /// It is not proven that the ledger grew from what was seen.
    #[error("the ledger does not prove that it grew from the {seen} entries that were seen")]
    Unproven {
        /// Number of entries that were seen.
        seen: u64,
        /// What is wrong with the proof.
        #[source]
        source: ProofError,
    },
    /// It is not proven that an entry is in the ledger.
    #[error("entry {index} is not proven to be in the ledger")]
    Inclusion {
        /// The entry.
        index: u64,
        /// What is wrong with the proof.
        #[source]
        source: ProofError,
    },
    /// An entry is another one than was sent, or one is missing or too many.
    #[error("entry {position} of the receipt is not the record that was sent")]
    Other {
        /// Position in the receipt, from 0.
        position: usize,
    },
}

impl ReceiptError {
    /// Whether the ledger contradicts what it showed before: two signed checkpoints that cannot
    /// both be true. A larger one without a fitting proof shows nothing, not even that.
    #[must_use]
    pub const fn contradicts(&self) -> bool {
        matches!(self, Self::Shrunk { .. } | Self::Forked { .. })
    }
}

impl Receipt {
    /// Checks the checkpoint, its growth from `seen`, and that its entries are exactly `own`.
    ///
    /// Returns the head that has been seen now.
    ///
    /// # Errors
    ///
    /// [`ReceiptError`]; then nothing is proven.
    pub fn open(
        &self,
        key: &VerifierKey,
        seen: &TreeHead,
        own: &[Own],
    ) -> Result<TreeHead, ReceiptError> {
        let note = checkpoint::Verified::open(&self.checkpoint, key)?;
        let (size, root) = (note.checkpoint().size, note.checkpoint().root);
        if size < seen.size {
            return Err(ReceiptError::Shrunk {
                seen: seen.size,
                size,
            });
        }
        if size == seen.size && root != seen.root {
            return Err(ReceiptError::Forked { size });
        }
        merkle::verify_consistency(seen.size, size, &seen.root, &root, &self.consistency).map_err(
            |source| ReceiptError::Unproven {
                seen: seen.size,
                source,
            },
        )?;
        for position in 0..own.len().max(self.entries.len()) {
            let other = ReceiptError::Other { position };
            let (Some(wanted), Some(entry)) = (own.get(position), self.entries.get(position))
            else {
                return Err(other);
            };
            let Some(leaf) = entry.is(wanted) else {
                return Err(other);
            };
            merkle::verify_inclusion(entry.index, size, &leaf, &entry.inclusion, &root).map_err(
                |source| ReceiptError::Inclusion {
                    index: entry.index,
                    source,
                },
            )?;
        }
        Ok(TreeHead { size, root })
    }
}

impl Entered {
    /// The hash of the leaf, when it is that of the wanted record.
    fn is(&self, wanted: &Own) -> Option<Digest> {
        if limits::LEAF_BYTES_MAX < self.leaf.len() {
            return None;
        }
        let leaf = Leaf::from_bytes(self.leaf.as_bytes()).ok()?;
        let placed = match (&wanted.origin, &leaf.origin) {
            (Some(wanted), origin) => wanted == origin,
            (None, LeafOrigin::Collector { .. }) => true,
            (None, LeafOrigin::Agent { .. } | LeafOrigin::Observer { .. }) => false,
        };
        (leaf.kind == wanted.kind && leaf.id == wanted.id && placed)
            .then(|| merkle::leaf_hash(self.leaf.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Signer;
    use crate::time::Timestamp;

    struct Sample {
        key: VerifierKey,
        seen: TreeHead,
        own: Vec<Own>,
        receipt: Receipt,
    }

    /// A ledger of three entries, of which one was seen and the last is the agent's.
    fn sample() -> Sample {
        let signer = Signer::new("c.example/evident/1", &[7; 32]).unwrap();
        let leaves: Vec<Leaf> = (0..3)
            .map(|seq| Leaf {
                kind: LeafKind::Evidence,
                origin: LeafOrigin::Agent {
                    agent: "web-1".parse().unwrap(),
                    generation: 1,
                    seq,
                },
                id: Digest::of(&seq.to_be_bytes()),
                received: Timestamp::default(),
            })
            .collect();
        let hashes: Vec<Digest> = leaves.iter().map(Leaf::hash).collect();
        let left = merkle::node_hash(&hashes[0], &hashes[1]);
        let root = merkle::node_hash(&left, &hashes[2]);
        let last = &leaves[2];
        Sample {
            key: signer.verifier_key().clone(),
            seen: TreeHead {
                size: 1,
                root: hashes[0],
            },
            own: vec![Own {
                kind: LeafKind::Evidence,
                origin: Some(last.origin.clone()),
                id: last.id,
            }],
            receipt: Receipt {
                checkpoint: signer.sign(3, root).to_string(),
                consistency: vec![hashes[1], hashes[2]],
                entries: vec![Entered {
                    leaf: last.to_string(),
                    index: 2,
                    inclusion: vec![left],
                }],
            },
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Sample), part: &str) -> ReceiptError {
        let mut sample = sample();
        change(&mut sample);
        let error = sample
            .receipt
            .open(&sample.key, &sample.seen, &sample.own)
            .unwrap_err();
        assert!(error.to_string().contains(part), "{error}");
        error
    }

    #[test]
    fn a_good_receipt_moves_what_was_seen() {
        let Sample {
            key,
            seen,
            own,
            receipt,
        } = sample();
        let head = receipt.open(&key, &seen, &own).unwrap();
        assert_eq!(head.size, 3);
        let json = serde_json::to_string(&receipt).unwrap();
        assert_eq!(serde_json::from_str::<Receipt>(&json).unwrap(), receipt);
    }

    #[test]
    fn a_ledger_that_contradicts_itself_is_told_apart() {
        let shrunk = refused(|sample| sample.seen.size = 4, "shrank: 3 entries, but 4");
        assert!(shrunk.contradicts());
        let forked = refused(
            |sample| {
                sample.seen = TreeHead {
                    size: 3,
                    root: Digest::of(b"other"),
                }
            },
            "two different roots over 3",
        );
        assert!(forked.contradicts());
        let unproven = refused(
            |sample| sample.seen.root = Digest::of(b"other"),
            "does not prove that it grew from the 1",
        );
        assert!(!unproven.contradicts());
        let other_key = Signer::new("c.example/evident/1", &[8; 32]).unwrap();
        let unsigned = refused(
            |sample| sample.key.clone_from(other_key.verifier_key()),
            "checkpoint is refused",
        );
        assert!(!unsigned.contradicts());
    }

    #[test]
    fn an_entry_that_is_not_the_own_record_proves_nothing() {
        let other = "entry 0 of the receipt is not";
        refused(|sample| sample.own[0].id = Digest::of(b"other"), other);
        refused(|sample| sample.own[0].kind = LeafKind::Enrol, other);
        refused(|sample| sample.own[0].origin = None, other);
        refused(|sample| sample.own.clear(), other);
        refused(|sample| sample.receipt.entries.clear(), other);
        refused(|sample| sample.receipt.entries[0].leaf.push('\n'), other);
        refused(
            |sample| sample.receipt.entries[0].index = 1,
            "entry 1 is not proven",
        );
        refused(
            |sample| sample.receipt.entries[0].inclusion.clear(),
            "entry 2 is not proven",
        );
    }
}
