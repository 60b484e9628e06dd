//! The leaf of a new entry, and the numbers of the collector's own records.

use shared::id::Digest;
use shared::leaf::{Leaf, LeafKind, LeafOrigin};

use super::{NewEntry, Stream};

/// The next numbers of the collector's own records, which it gives in two rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Numbers {
    decided: u64,
    observed: u64,
}

impl Numbers {
    /// Notes that an entry has this origin.
    pub(super) const fn taken(&mut self, origin: &LeafOrigin) {
        match *origin {
            LeafOrigin::Agent { .. } => {}
            LeafOrigin::Collector { number } => self.decided = number.saturating_add(1),
            LeafOrigin::Observer { number } => self.observed = number.saturating_add(1),
        }
    }
}

/// The leaf of a new entry; `own` are the next numbers of the collector's records.
pub(super) fn leaf_of(entry: &NewEntry, id: Digest, own: Numbers) -> Leaf {
    let origin = match &entry.stream {
        Some(Stream {
            agent,
            generation,
            seq,
        }) => LeafOrigin::Agent {
            agent: agent.clone(),
            generation: *generation,
            seq: *seq,
        },
        None if entry.kind == LeafKind::Observed => LeafOrigin::Observer {
            number: own.observed,
        },
        None => LeafOrigin::Collector {
            number: own.decided,
        },
    };
    Leaf {
        kind: entry.kind,
        origin,
        id,
        received: entry.received,
    }
}
