//! Who may submit: enrolled hosts, their keys and where their streams stand, as the ledger says.
//!
//! The fleet is derived: [`Fleet::take`] reads the entries of the ledger in order, at start and
//! after every enrolment and revocation. Only the tokens that have not been spent lie beside it.

use std::collections::BTreeMap;
use std::sync::Arc;

use shared::decision::{self, Decided, DecisionError, Enrolled};
use shared::id::{AgentId, Digest};
use shared::key::PublicKey;
use shared::leaf::{Leaf, LeafKind, LeafOrigin};
use shared::wire::StreamHead;
use tokio::sync::Mutex;

pub mod given;
pub mod token;

use given::Given;

/// Every agent that was ever enrolled.
#[derive(Debug, Default)]
pub struct Fleet {
    agents: BTreeMap<AgentId, BTreeMap<u64, Arc<Stream>>>,
}

/// One generation of an agent: one key, one chain.
#[derive(Debug)]
pub struct Stream {
    /// Name of the agent.
    pub agent: AgentId,
    /// Which enrolment it is.
    pub generation: u64,
    /// Verifies the attestations of this generation.
    pub key: PublicKey,
    /// Id of the enrolment record, which record 0 links to.
    pub record: Digest,
    /// Whether this generation was revoked or a newer one began.
    pub ended: bool,
    /// Where the stream stands. Whoever admits, or ends the stream, holds this lock until the
    /// ledger has answered.
    pub standing: Arc<Mutex<Standing>>,
    /// Held while a submission is read and worked on: a host has one at a time.
    pub submitting: Arc<Mutex<()>>,
    /// The times that this host was given.
    pub given: Arc<Given>,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its last record in the ledger.
    pub head: Option<StreamHead>,
    /// How many entries of the ledger that record had seen.
    pub seen: u64,
    /// The number of a record that the stream has twice: nothing more is taken until the agent
    /// is enrolled again.
    pub forked: Option<u64>,
}

/// An entry of the ledger cannot be understood: it was not written by this collector.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The record is no decision under the decisions key.
    #[error("entry {index} is no decision of this collector")]
    Decision {
        /// Place in the ledger.
        index: u64,
        /// Why.
        #[source]
        source: DecisionError,
    },
    /// The record speaks of an agent or generation that was never enrolled.
    #[error("entry {index} speaks of {agent} generation {generation}, which was never enrolled")]
    Unknown {
        /// Place in the ledger.
        index: u64,
        /// Name of the agent.
        agent: AgentId,
        /// Its generation.
        generation: u64,
    },
}

impl Fleet {
    /// Takes one entry of the ledger, in order.
    ///
    /// `file` is read for enrolments and revocations only.
    ///
    /// # Errors
    ///
    /// [`FleetError`]: the ledger is not one of this collector's.
    pub fn take(
        &mut self,
        index: u64,
        leaf: &Leaf,
        file: &[u8],
        decisions: &PublicKey,
    ) -> Result<(), FleetError> {
        match (&leaf.kind, &leaf.origin) {
            (LeafKind::Enrol | LeafKind::Revoke, _) => {
                match decision::open(file, decisions) {
                    Ok(decision) => self.decide(index, leaf.id, decision.decides),
                    // It is signed here; the register counts it, and it counts for nothing.
                    Err(DecisionError::Statement(_)) => Ok(()),
                    Err(source) => Err(FleetError::Decision { index, source }),
                }
            }
            (
                LeafKind::Evidence,
                LeafOrigin::Agent {
                    agent,
                    generation,
                    seq,
                },
            ) => {
                let stream = self.stream(agent, *generation).ok_or_else(|| {
                    let (agent, generation) = (agent.clone(), *generation);
                    FleetError::Unknown {
                        index,
                        agent,
                        generation,
                    }
                })?;
                // Nobody else holds the lock: entries are taken before the intake opens.
                if let Ok(mut standing) = stream.standing.try_lock() {
                    standing.take(*seq, leaf.id, 0);
                }
                Ok(())
            }
            (
                LeafKind::Evidence
                | LeafKind::Observed
                | LeafKind::Decision
                | LeafKind::Catalogue
                | LeafKind::Roster
                | LeafKind::Redact
                | LeafKind::Pack,
                _,
            ) => Ok(()),
        }
    }

    /// Applies a decision that has the id `record` and stands at `index` in the ledger.
    ///
    /// # Errors
    ///
    /// [`FleetError::Decision`] when it names no usable key.
    pub fn decide(
        &mut self,
        index: u64,
        record: Digest,
        decided: Decided,
    ) -> Result<(), FleetError> {
        match decided {
            Decided::Enrol(Enrolled {
                agent,
                generation,
                evidence_key,
                ..
            }) => {
                let key =
                    PublicKey::from_pem(&evidence_key).map_err(|source| FleetError::Decision {
                        index,
                        source: DecisionError::Key(source),
                    })?;
                let generations = self.agents.entry(agent.clone()).or_default();
                for older in generations.values_mut() {
                    end(older);
                }
                let (standing, submitting) = (Arc::default(), Arc::default());
                let stream = Stream {
                    agent,
                    generation,
                    key,
                    record,
                    ended: false,
                    standing,
                    submitting,
                    given: Arc::default(),
                };
                drop(generations.insert(generation, Arc::new(stream)));
            }
            Decided::Revoke(revoked) => {
                let generations = self.agents.get_mut(&revoked.agent);
                let stream = generations.and_then(|streams| streams.get_mut(&revoked.generation));
                let Some(stream) = stream else {
                    let (agent, generation) = (revoked.agent, revoked.generation);
                    return Err(FleetError::Unknown {
                        index,
                        agent,
                        generation,
                    });
                };
                end(stream);
            }
            Decided::Import(_)
            | Decided::Person(_)
            | Decided::Catalogue(_)
            | Decided::Record(_) => {}
        }
        Ok(())
    }

    /// The stream of this agent and generation, also when it has ended.
    #[must_use]
    pub fn stream(&self, agent: &AgentId, generation: u64) -> Option<Arc<Stream>> {
        self.agents.get(agent)?.get(&generation).map(Arc::clone)
    }

    /// Every stream, also those that have ended.
    pub fn streams(&self) -> impl Iterator<Item = &Arc<Stream>> {
        self.agents.values().flat_map(BTreeMap::values)
    }

    /// The newest generation of an agent.
    #[must_use]
    pub fn newest(&self, agent: &AgentId) -> Option<Arc<Stream>> {
        self.agents.get(agent)?.values().next_back().map(Arc::clone)
    }
}

/// Marks a stream as ended; those who look it up from now on see it so.
fn end(stream: &mut Arc<Stream>) {
    let Stream {
        agent,
        generation,
        key,
        record,
        standing,
        submitting,
        given,
        ..
    } = stream.as_ref();
    *stream = Arc::new(Stream {
        agent: agent.clone(),
        generation: *generation,
        key: *key,
        record: *record,
        ended: true,
        standing: Arc::clone(standing),
        submitting: Arc::clone(submitting),
        given: Arc::clone(given),
    });
}

impl Standing {
    /// Takes a record that is in the ledger, and that had seen so many entries.
    pub fn take(&mut self, seq: u64, id: Digest, seen: u64) {
        if seq == self.next_seq() {
            self.head = Some(StreamHead { seq, id });
            self.seen = seen;
        } else {
            // Admission lets only the next record in, or the proof of a fork.
            self.forked = Some(seq);
        }
    }

    /// The number that the next record must have.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.head.map_or(0, |head| head.seq.saturating_add(1))
    }
}
