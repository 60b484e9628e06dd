//! Follows the ledger: entries become changes of the derived state, in order and once each.
//!
//! The follower reads what admission wrote and nothing else. It can be killed anywhere: the state
//! says which change is next.

use std::cmp::min;
use std::path::Path;

use shared::attestation::{Attestation, AttestationError, Kind};
use shared::decision::{self, Decided, DecisionError};
use shared::id::Digest;
use shared::key::PublicKey;
use shared::leaf::LeafKind;
use shared::observation::Observation;
use shared::observed::{self, ObservedError};

use crate::criteria::{self, CriteriaError};
use crate::ledger::{Entry, Ledger, LedgerError};
use crate::status::{Change, Place, ProbeOutcome, Rebuild, Sight, Status, StatusError, spread};

/// The ledger cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// An entry cannot be read. `fsck` names what is damaged.
    #[error("the ledger cannot be read")]
    Ledger(#[from] LedgerError),
    /// The derived state cannot be written. It can be made again by `replay`.
    #[error("the derived state cannot be kept")]
    Status(#[from] StatusError),
    /// The catalogue of an entry cannot be used.
    #[error("a catalogue that was put in force cannot be used")]
    Criteria(#[from] CriteriaError),
    /// An entry is no decision of this collector.
    #[error("entry {index} is no decision of this collector")]
    Decision {
        /// Place in the ledger.
        index: u64,
        /// Why.
        #[source]
        source: DecisionError,
    },
    /// An entry is nothing that this collector observed.
    #[error("entry {index} is nothing that this collector observed")]
    Observed {
        /// Place in the ledger.
        index: u64,
        /// Why.
        #[source]
        source: ObservedError,
    },
    /// An entry is no attestation.
    #[error("entry {index} is no attestation")]
    Attestation {
        /// Place in the ledger.
        index: u64,
        /// Why.
        #[source]
        source: AttestationError,
    },
}

/// Opens the derived state in `folder`, which judges by the catalogues of the ledger.
///
/// # Errors
///
/// [`FollowError::Criteria`] and [`FollowError::Status`].
pub fn open(
    folder: &Path,
    ledger: &Ledger,
    decisions: &PublicKey,
) -> Result<(Status, Option<Rebuild>), FollowError> {
    let first = criteria::at_first(ledger, decisions)?;
    let entered = |index| Some(criteria::adopted(ledger, index, decisions).ok()?.catalog);
    Ok(Status::open_with(folder, first, entered)?)
}

/// How many entries are taken together: so many are read at once, on all processors.
const TOGETHER: u64 = 8192;

/// Applies every entry that the state does not know yet, and returns how many there are now.
///
/// # Errors
///
/// [`FollowError`]; the state holds all entries before the one that cannot be read. After
/// [`FollowError::Status`] it must be opened again.
pub fn catch_up(
    ledger: &Ledger,
    status: &Status,
    decisions: &PublicKey,
) -> Result<u64, FollowError> {
    take_all(ledger, status, |entry| change(ledger, entry, decisions))
}

/// The same under the catalogue that the state began with, whatever the ledger put in force.
///
/// # Errors
///
/// As [`catch_up`].
pub fn catch_up_under_one(
    ledger: &Ledger,
    status: &Status,
    decisions: &PublicKey,
) -> Result<u64, FollowError> {
    take_all(ledger, status, |entry| match entry.leaf.kind {
        LeafKind::Catalogue => Ok(Change::Nothing),
        LeafKind::Evidence
        | LeafKind::Observed
        | LeafKind::Enrol
        | LeafKind::Revoke
        | LeafKind::Decision
        | LeafKind::Roster
        | LeafKind::Redact
        | LeafKind::Pack => change(ledger, entry, decisions),
    })
}

fn take_all(
    ledger: &Ledger,
    status: &Status,
    change: impl Fn(Entry) -> Result<Change, FollowError> + Sync,
) -> Result<u64, FollowError> {
    let size = ledger.published().size;
    let mut position = status.position()?;
    while position < size {
        let end = min(size, position.saturating_add(TOGETHER));
        let entries: Vec<u64> = (position..end).collect();
        let read = spread(entries, |index| change(ledger.entry(index)?));
        let mut failed = None;
        let readable = read.into_iter().map_while(|read| match read {
            Ok(change) => Some(change),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        let changes: Vec<Change> = readable.collect();
        status.apply_all(position, &changes, |id| observation(ledger, id))?;
        if let Some(error) = failed {
            return Err(error);
        }
        position = end;
    }
    Ok(position)
}

/// An observation of the ledger. Bytes that are no observation of a schema that is known here stay
/// evidence; nothing can be told from them.
fn observation(ledger: &Ledger, id: &Digest) -> Result<Option<Observation>, FollowError> {
    let bytes = ledger.blob(id)?;
    Ok(bytes.and_then(|bytes| Observation::from_bytes(&bytes).ok()))
}

/// What one entry changes.
fn change(ledger: &Ledger, entry: Entry, decisions: &PublicKey) -> Result<Change, FollowError> {
    let index = entry.index;
    match entry.leaf.kind {
        LeafKind::Enrol | LeafKind::Revoke => {
            let decision = match decision::open(&entry.envelope, decisions) {
                Ok(decision) => decision,
                // It is signed here; the register counts it, and it counts for nothing.
                Err(DecisionError::Statement(_)) => return Ok(Change::Nothing),
                Err(source) => return Err(FollowError::Decision { index, source }),
            };
            let at = entry.leaf.received;
            Ok(match decision.decides {
                Decided::Enrol(enrolled) => Change::Enrolled {
                    host: enrolled.agent,
                    generation: enrolled.generation,
                    at,
                    heartbeat_s: enrolled.heartbeat_s,
                },
                Decided::Revoke(revoked) => Change::Revoked {
                    host: revoked.agent,
                    generation: revoked.generation,
                    at,
                },
                Decided::Import(_)
                | Decided::Person(_)
                | Decided::Catalogue(_)
                | Decided::Record(_) => Change::Nothing,
            })
        }
        LeafKind::Observed => sight(&entry, decisions),
        LeafKind::Evidence => {
            let received = entry.leaf.received;
            let attestation = Attestation::from_file(entry.envelope)
                .map_err(|source| FollowError::Attestation { index, source })?;
            let evidence = attestation.evidence();
            let place = Place {
                host: evidence.stream.agent.clone(),
                generation: evidence.stream.generation,
                seq: evidence.stream.seq,
                received,
            };
            if evidence.kind != Kind::Evidence {
                return Ok(Change::Record(place));
            }
            let outcomes = evidence.run.probes.iter().map(|run| ProbeOutcome {
                probe: run.probe.clone(),
                outcome: run.outcome,
                observation_id: attestation.observation(&run.probe),
                observation: None,
            });
            let outcomes = outcomes.collect();
            Ok(Change::Run {
                place,
                attestation: attestation.id(),
                // The clock of a host is a claim; nothing is collected after it was received.
                collected: min(evidence.time.wall, received),
                outcomes,
            })
        }
        LeafKind::Catalogue => {
            if !criteria::readable(ledger, index, decisions)? {
                return Ok(Change::Nothing);
            }
            let adopted = criteria::adopted(ledger, index, decisions)?;
            Ok(Change::Catalogue {
                catalog: adopted.catalog,
                at: adopted.since,
            })
        }
        LeafKind::Decision | LeafKind::Roster | LeafKind::Redact | LeafKind::Pack => {
            Ok(Change::Nothing)
        }
    }
}

/// What the collector itself observed.
fn sight(entry: &Entry, decisions: &PublicKey) -> Result<Change, FollowError> {
    let (index, received) = (entry.index, entry.leaf.received);
    let sight = observed::open(&entry.envelope, decisions)
        .map_err(|source| FollowError::Observed { index, source })?;
    Ok(Change::Observed(Sight {
        host: sight.observed.agent,
        generation: sight.observed.generation,
        record: entry.leaf.id,
        collected: min(sight.observed.at, received),
        received,
        outcome: ProbeOutcome {
            probe: sight.observed.probe,
            outcome: sight.observed.outcome,
            observation_id: Some(sight.observation),
            observation: None,
        },
    }))
}
