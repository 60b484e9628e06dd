//! The state of a spool: everything that cannot be told from the records that are still in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::attestation::{Gap, Seen, TreeHead};
use shared::id::Digest;
use shared::wire::StreamHead;

use crate::attest::Moment;

/// State of a spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    /// Id of the enrolment record, which the first record follows.
    record: Digest,
    /// The last record.
    pub(super) head: Option<StreamHead>,
    /// When the last record was made.
    pub(super) last: Option<Moment>,
    /// The newest head of the ledger that was proven to grow from all before.
    pub(super) seen: TreeHead,
    /// The signed checkpoint of that head.
    pub(super) checkpoint: String,
    /// The highest number of an own record that was proven to be in the ledger.
    pub(super) acked: Option<u64>,
    /// By probe, the blobs of the last record with an observation of it.
    pub(super) latest: BTreeMap<String, Vec<Digest>>,
    /// Blobs that are here and that the collector has, too.
    pub(super) sent: BTreeSet<Digest>,
    /// What was dropped and stands in no record yet.
    pub(super) lost: Option<Gap>,
}

impl State {
    pub(super) fn new(record: Digest, seen: TreeHead, checkpoint: &str) -> Self {
        Self {
            record,
            head: None,
            last: None,
            seen,
            checkpoint: checkpoint.to_owned(),
            acked: None,
            latest: BTreeMap::new(),
            sent: BTreeSet::new(),
            lost: None,
        }
    }

    pub(super) fn next_seq(&self) -> u64 {
        self.head.map_or(0, |head| head.seq.saturating_add(1))
    }

    pub(super) const fn link(&self) -> Digest {
        match self.head {
            Some(head) => head.id,
            None => self.record,
        }
    }

    pub(super) const fn seen(&self) -> Seen {
        Seen {
            size: self.seen.size,
            root: self.seen.root,
            acked: self.acked,
        }
    }

    /// Notes that of each of these records one blob was dropped.
    pub(super) fn note_loss(&mut self, records: &[u64]) {
        let (Some(first), Some(last)) = (records.iter().min(), records.iter().max()) else {
            return;
        };
        let blobs = u64::try_from(records.len()).unwrap_or(u64::MAX);
        let before = self.lost.take();
        self.lost = Some(Gap {
            first: before.as_ref().map_or(*first, |gap| gap.first.min(*first)),
            last: before.as_ref().map_or(*last, |gap| gap.last.max(*last)),
            blobs: before.map_or(blobs, |gap| gap.blobs.saturating_add(blobs)),
            reason: "the spool was full".to_owned(),
        });
    }

    /// Notes that a record states this loss; what was dropped beyond it stays to be stated.
    pub(super) fn note_stated(&mut self, gap: &Gap) {
        let lost = self.lost.take().map(|lost| Gap {
            blobs: lost.blobs.saturating_sub(gap.blobs),
            ..lost
        });
        self.lost = lost.filter(|lost| 0 < lost.blobs);
    }

    /// The payload of a record of this kind.
    pub(super) fn payload(&self, kind: u8) -> Vec<u8> {
        let mut payload = vec![kind];
        // Maps with texts as keys and no floats: it always has a JSON form.
        payload.extend(serde_json::to_vec(self).unwrap_or_default());
        payload
    }
}
