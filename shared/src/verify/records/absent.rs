//! Blobs that are not in a pack: what their hosts say of them.
//!
//! A host whose spool was full drops blobs, names them to the collector when it submits the records
//! that name them, and owes a record of kind `gap` that counts them. It writes that record before
//! it submits anything else, so a later record that has seen one of these proven in the ledger
//! shows that the debt was due.

use std::collections::BTreeMap;

use crate::attestation::Evidence;
use crate::id::Digest;

/// What the records of one stream say of blobs that are not here.
#[derive(Default)]
pub(super) struct Absent {
    /// Each such blob with the first and the last record that names it.
    named: BTreeMap<Digest, (u64, u64)>,
    gaps: Vec<Said>,
    /// The first record whose blobs were looked for.
    begin: Option<u64>,
    /// The highest record that another one, which is not the last, saw in the ledger.
    settled: Option<u64>,
    newest: Option<u64>,
}

/// What a record of kind `gap` says.
#[derive(Clone, Copy)]
struct Said {
    seq: u64,
    first: u64,
    last: u64,
    blobs: u64,
}

/// What is to be said of the blobs.
#[derive(Default)]
pub(super) struct Judged {
    /// So many were dropped, and the host said so.
    pub(super) dropped: usize,
    /// With the record that names it: nobody accounts for it.
    pub(super) missing: Vec<(Digest, u64)>,
    /// With the record that names it: the host may say later that it was dropped.
    pub(super) owed: Vec<(Digest, u64)>,
}

impl Absent {
    /// Notes what a record says, whose blobs are looked for if it is of the period.
    pub(super) fn record(&mut self, evidence: &Evidence, period: bool) {
        let seq = evidence.stream.seq;
        if period {
            self.begin = Some(self.begin.map_or(seq, |begin| begin.min(seq)));
        }
        // A host that was stopped before it wrote its gap writes it as its second record.
        self.settled = self.settled.max(self.newest);
        self.newest = evidence.seen.acked;
        if let Some(gap) = &evidence.gap {
            self.gaps.push(Said {
                seq,
                first: gap.first,
                last: gap.last.min(seq.saturating_sub(1)),
                blobs: gap.blobs,
            });
        }
    }

    /// Notes that record `seq` names a blob that is not here.
    pub(super) fn names(&mut self, digest: Digest, seq: u64) {
        let (first, last) = self.named.entry(digest).or_insert((seq, seq));
        (*first, *last) = ((*first).min(seq), (*last).max(seq));
    }

    /// Holds the blobs against the gaps: each gap accounts for as many blobs as it says, of those
    /// whose first record is in its range. Of a gap that begins before the first record that was
    /// looked at, the rest may be any blob, because older records may have named it first.
    pub(super) fn judge(self) -> Judged {
        let begin = self.begin.unwrap_or(0);
        let said = self.gaps.iter().map(|gap| gap.seq).max();
        let mut blobs: Vec<(u64, u64, Digest)> = self
            .named
            .iter()
            .map(|(digest, (first, last))| (*first, *last, *digest))
            .collect();
        blobs.sort_unstable();
        let mut gaps = self.gaps;
        gaps.sort_unstable_by_key(|gap| gap.first);
        let mut gaps = gaps.into_iter().peekable();
        // Those that hold the record in question, by where they end: the next to end is used first.
        let mut open: BTreeMap<(u64, u64), Said> = BTreeMap::new();
        let (mut held, mut rest, mut older) = (Vec::new(), Vec::new(), 0_u64);
        let mut close = |gap: Said| {
            if gap.first < begin {
                older = older.saturating_add(gap.blobs);
            }
        };
        for (first, last, digest) in blobs {
            while let Some(gap) = gaps.next_if(|gap| gap.first <= first) {
                if let Some(same) = open.insert((gap.last, gap.seq), gap) {
                    close(same);
                }
            }
            while let Some(entry) = open.first_entry()
                && (entry.get().last < first || entry.get().blobs == 0)
            {
                close(entry.remove());
            }
            match open.first_entry() {
                Some(mut gap) => {
                    gap.get_mut().blobs -= 1;
                    held.push((last, digest));
                }
                None => rest.push((first, last, digest)),
            }
        }
        open.into_values().chain(gaps).for_each(close);
        let mut judged = Judged::default();
        let owes = |seq: u64| self.settled.is_none_or(|settled| settled < seq);
        for (first, last, digest) in rest {
            if 0 < older {
                older -= 1;
                held.push((last, digest));
            } else if owes(first) {
                judged.owed.push((digest, first));
            } else {
                judged.missing.push((digest, first));
            }
        }
        // What a host names again behind its last gap, it had again.
        for (last, digest) in held {
            if said.is_some_and(|said| last < said) {
                judged.dropped += 1;
            } else if owes(last) {
                judged.owed.push((digest, last));
            } else {
                judged.missing.push((digest, last));
            }
        }
        judged
    }
}
