//! Brings what is in the spool to the collector, and returns only receipts that were verified.
//!
//! A visit is: connect, say where the stream stands, hear where the collector stands, submit, and
//! close. It guards what was seen of the ledger: a ledger that shrank or forked is kept as proof,
//! and gets no record until it shows again, at the beginning of a visit, that it grew from what
//! was seen.

use std::collections::BTreeSet;

use shared::id::Digest;
use shared::leaf::{LeafKind, LeafOrigin};
use shared::receipt::{Own, Receipt, ReceiptError};
use shared::wire::{self, Code, Hello, HelloAnswer, Problem, StreamHead, SubmitAnswer};

use crate::connection::{Connection, ConnectionError, hinted, said};
use crate::identity::Identity;
use crate::spool::{Batch, Spool, SpoolError};

pub use compare::compare_clocks;

mod compare;

/// Shortest and longest time between two visits when the collector does not take what is sent.
const RETRY_MS_MIN: i64 = 5_000;
const RETRY_MS_MAX: i64 = 15 * 60 * 1000;

/// A visit to the collector did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The collector was not reached, or refused the request. Tried again later.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The collector refused a record. Tried again later, with the same record.
    #[error("the collector refused record {seq}: {}", said(.problem))]
    Refused {
        /// Number of the record.
        seq: u64,
        /// Why.
        problem: Box<Problem>,
    },
    /// The ledger is not the one that was seen: it shrank or forked. No record is sent to it; it is
    /// asked again later.
    #[error("the ledger contradicts what this host has seen of it")]
    Contradiction {
        /// The checkpoint that was seen.
        seen: String,
        /// The one that was shown now.
        shown: String,
        /// How they contradict each other.
        source: Box<ReceiptError>,
    },
    /// A receipt proves nothing. Tried again later.
    #[error("the collector's receipt proves nothing")]
    Receipt(#[source] Box<ReceiptError>),
    /// The collector has records of this stream that this host does not know: its disk was set
    /// back. This generation ends.
    #[error("the collector has record {theirs} of this stream, but here the last one is {ours}")]
    RolledBack {
        /// Last record here, in words.
        ours: String,
        /// Last record there.
        theirs: u64,
    },
    /// Two records have one number: two machines use one identity. This generation ends.
    #[error("the collector has another record {seq} of this stream: {theirs}, here it is {ours}")]
    Forked {
        /// Number of both.
        seq: u64,
        /// Id of the record here.
        ours: Digest,
        /// Id of the record there.
        theirs: Digest,
    },
    /// The answer speaks of other records than were sent.
    #[error("the collector's answer is about other records than were sent")]
    Answer,
    /// The spool cannot be read or written.
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

impl ShipError {
    /// What the operator can do, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Connection(error) => error.hint(),
            Self::Refused { problem, .. } => hinted(problem),
            Self::Contradiction { .. } => Some(
                "tell whoever audits the collector: both checkpoints are kept beside the keys, \
                 evidence is still gathered, and sent when the ledger is repaired"
                    .to_owned(),
            ),
            Self::RolledBack { .. } | Self::Forked { .. } => Some(
                "after a restored snapshot or a cloned disk a new generation is needed: \
                 evident-agent enrol --again"
                    .to_owned(),
            ),
            Self::Spool(error) => Some(error.hint().to_owned()),
            Self::Receipt(_) | Self::Answer => None,
        }
    }

    /// The soonest time for another visit that the collector named, in milliseconds from now.
    #[must_use]
    pub const fn retry_after_ms(&self) -> Option<i64> {
        if let Self::Connection(error) = self {
            error.retry_after_ms()
        } else {
            None
        }
    }
}

/// Visits the collector until all records have receipts; how many got one. `boot` is the id of this
/// boot.
///
/// # Errors
///
/// [`ShipError`]; what has a receipt by then is forgotten, the rest stays.
pub async fn ship(
    connection: &Connection,
    identity: &Identity,
    spool: &mut Spool,
    boot: &str,
) -> Result<usize, ShipError> {
    let hello = Hello {
        generation: identity.generation(),
        head: spool.head(),
        boot: boot.to_owned(),
        seen: spool.tree(),
    };
    let answer: HelloAnswer = connection.ask(wire::HELLO, &hello).await?;
    proven(identity, spool, &answer.receipt, &[])?;
    compare(spool, answer.head)?;
    let (mut shipped, mut missing) = (0, BTreeSet::new());
    while let Some(batch) = spool.batch(&missing)? {
        let path = format!("{}?seen={}", wire::SUBMIT, spool.tree().size);
        let answer: SubmitAnswer = connection
            .send(&path, wire::FRAMES_TYPE, batch.body.clone())
            .await?;
        let entered = take(identity, spool, &batch, &answer)?;
        shipped += entered;
        match answer.refused {
            None if entered < batch.records.len() => return Err(ShipError::Answer),
            None => missing.clear(),
            Some(refused) => {
                let head = batch.records.iter().find(|head| head.id == refused.id);
                let seq = head.ok_or(ShipError::Answer)?.seq;
                let again = asked_again(&missing, spool.named(seq), &refused.problem);
                missing = again.ok_or_else(|| ShipError::Refused {
                    seq,
                    problem: Box::new(refused.problem),
                })?;
            }
        }
    }
    Ok(shipped)
}

/// Verifies the receipt for the first records of a batch, and forgets them. How many they are.
fn take(
    identity: &Identity,
    spool: &mut Spool,
    batch: &Batch,
    answer: &SubmitAnswer,
) -> Result<usize, ShipError> {
    let entered = answer.receipt.entries.len();
    let records = batch.records.get(..entered).ok_or(ShipError::Answer)?;
    proven(identity, spool, &answer.receipt, records)?;
    Ok(entered)
}

/// Verifies a receipt for these records and lets the spool forget them.
fn proven(
    identity: &Identity,
    spool: &mut Spool,
    receipt: &Receipt,
    records: &[StreamHead],
) -> Result<(), ShipError> {
    let own: Vec<Own> = records
        .iter()
        .map(|head| Own {
            kind: LeafKind::Evidence,
            origin: Some(LeafOrigin::Agent {
                agent: identity.agent().clone(),
                generation: identity.generation(),
                seq: head.seq,
            }),
            id: head.id,
        })
        .collect();
    let seen = receipt
        .open(identity.ledger_key(), &spool.tree(), &own)
        .map_err(|source| {
            let source = Box::new(source);
            if source.contradicts() {
                ShipError::Contradiction {
                    seen: spool.checkpoint().to_owned(),
                    shown: receipt.checkpoint.clone(),
                    source,
                }
            } else {
                ShipError::Receipt(source)
            }
        })?;
    let acked = records.last().map(|head| head.seq);
    if acked.is_some() || seen != spool.tree() {
        spool.acknowledge(seen, &receipt.checkpoint, acked)?;
    }
    Ok(())
}

/// Compares the ends of the stream here and at the collector.
fn compare(spool: &Spool, theirs: Option<StreamHead>) -> Result<(), ShipError> {
    let Some(theirs) = theirs else {
        return Ok(());
    };
    let ours = match spool.head() {
        Some(head) if head.seq == theirs.seq => Some(head.id),
        Some(head) if theirs.seq < head.seq => spool.unsent(theirs.seq),
        Some(_) | None => {
            let last = |head: StreamHead| head.seq.to_string();
            return Err(ShipError::RolledBack {
                ours: spool.head().map_or_else(|| "none".to_owned(), last),
                theirs: theirs.seq,
            });
        }
    };
    match ours {
        Some(ours) if ours != theirs.id => Err(ShipError::Forked {
            seq: theirs.seq,
            ours,
            theirs: theirs.id,
        }),
        // A record that is forgotten here had a receipt, which named its id.
        Some(_) | None => Ok(()),
    }
}

/// The blobs to send once more, or to name as dropped, unless all that the collector misses was
/// tried already. Only what the refused record names counts: so this ends, whatever is missed.
fn asked_again(
    tried: &BTreeSet<Digest>,
    named: &[Digest],
    problem: &Problem,
) -> Option<BTreeSet<Digest>> {
    if problem.code != Code::MissingBlobs {
        return None;
    }
    let missed = |blob: &&Digest| problem.missing.contains(blob) && !tried.contains(*blob);
    let new: BTreeSet<Digest> = named.iter().filter(missed).copied().collect();
    (!new.is_empty()).then(|| tried | &new)
}

/// When something that failed is tried again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// Failures in a row.
    failures: u32,
    /// Not before so many milliseconds since boot.
    from_ms: u64,
}

impl Retry {
    /// Whether it may be tried at `now_ms` since boot.
    pub const fn may(&self, now_ms: u64) -> bool {
        self.from_ms <= now_ms
    }

    /// How long to wait from `now_ms` since boot, in milliseconds.
    pub fn wait_ms(&self, now_ms: u64) -> i64 {
        i64::try_from(self.from_ms.saturating_sub(now_ms)).unwrap_or(i64::MAX)
    }

    /// Notes that it failed at `now_ms` since boot, and returns for how many milliseconds it is
    /// left: longer after each failure, and never shorter than was asked for. `salt` is the name of
    /// the host.
    pub fn failed(&mut self, now_ms: u64, retry_after_ms: Option<i64>, salt: &str) -> i64 {
        self.failures = self.failures.saturating_add(1);
        let wait_ms = retry_ms(self.failures, retry_after_ms, salt);
        self.from_ms = now_ms.saturating_add_signed(wait_ms);
        wait_ms
    }

    /// Notes that it went well.
    pub fn went_well(&mut self) {
        *self = Self::default();
    }
}

/// How long to wait after `failures` in a row, in milliseconds.
///
/// Twice as long after each, up to a quarter of an hour; between half and all of it, by a hash of
/// `salt`, so that hosts that failed together do not come back together. Never sooner than the
/// collector asked for.
fn retry_ms(failures: u32, retry_after_ms: Option<i64>, salt: &str) -> i64 {
    let doubled = 1_i64.checked_shl(failures.saturating_sub(1).min(20));
    let window = RETRY_MS_MIN
        .saturating_mul(doubled.unwrap_or(1))
        .min(RETRY_MS_MAX);
    let digest = Digest::of(format!("{salt}\n{failures}").as_bytes());
    let number = digest.as_bytes().first_chunk().copied();
    let number = i64::from(number.map_or(0, u32::from_be_bytes));
    let half = window / 2;
    let spread = number.checked_rem(half.max(1)).unwrap_or(0);
    match retry_after_ms {
        Some(after) => after.saturating_add(spread),
        None => half.saturating_add(spread),
    }
}

#[cfg(test)]
mod tests;
