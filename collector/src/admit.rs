//! From bytes of a known peer to [`Admitted`], or to a reason to refuse. Nothing else can.
//!
//! Admission looks at form, signature, place in the stream and completeness. It does not look at
//! the clock of the host: a wrong clock is evidence, not a reason to refuse evidence, so it gives
//! a [`Notice`] instead.

use std::collections::{BTreeMap, BTreeSet};

use shared::attestation::{Attestation, AttestationError, Verified};
use shared::cause::chain;
use shared::fact;
use shared::id::{AgentId, Digest};
use shared::limits;
use shared::observation::{Observation, ObservationError, Outcome};
use shared::time::Timestamp;
use shared::wire::{Code, Problem};

use crate::fleet::{Standing, Stream};

/// An attestation that may be entered, with the blobs that came with it.
#[derive(Debug)]
pub struct Admitted {
    verified: Verified,
    blobs: Vec<(Digest, Vec<u8>)>,
    received: Timestamp,
}

/// Where an admitted attestation belongs.
#[derive(Debug)]
pub enum Admission {
    /// It is the next record of its stream.
    Next(Admitted),
    /// It is in the ledger already, at this index: the answer was lost.
    Again(u64),
    /// The stream has another record with this number. Both are kept, and the stream stops.
    Fork(Admitted),
}

/// What came in a submission besides attestations.
#[derive(Debug, Default)]
pub struct Offered<'a> {
    /// Blobs by their names.
    pub blobs: BTreeMap<Digest, &'a [u8]>,
    /// Names of blobs that the agent says it has dropped: records that name them are taken
    /// without. The signed `gap` record that must follow is for the verifier to miss.
    pub dropped: BTreeSet<Digest>,
}

/// What the ledger knows, for as long as one attestation is looked at.
pub trait Known {
    /// Whether the blob is in the ledger.
    fn has_blob(&self, digest: &Digest) -> bool;
    /// Where the record is in the ledger.
    fn index_of(&self, id: &Digest) -> Option<u64>;
    /// The root over the first `size` entries; `None` when there are fewer.
    fn root(&self, size: u64) -> Option<Digest>;
    /// What a blob is: one that came with the submission, or one of the ledger.
    fn shape(&self, digest: &Digest, came: Option<&[u8]>) -> Shape;
    /// Number of entries.
    fn size(&self) -> u64;
}

/// What a blob is, as far as admission looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An observation of this probe, with this outcome.
    Observation(&'static str, Outcome),
    /// An observation of a probe or a schema that is not known here.
    Newer,
    /// No observation.
    Other,
}

impl Shape {
    /// Looks at the bytes of a blob.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match Observation::from_bytes(bytes) {
            Ok(observation) => fact::subject(&observation.probe).map_or(Self::Newer, |subject| {
                Self::Observation(subject.probe, observation.outcome)
            }),
            Err(ObservationError::Schema { .. }) => Self::Newer,
            Err(_) => Self::Other,
        }
    }
}

/// Why an attestation is refused.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not in the one written form, or it contradicts itself. The agent is wrong.
    #[error("attestation is malformed")]
    Encoding(#[from] AttestationError),
    /// It belongs to another stream than the certificate of the connection.
    #[error("record of {agent} generation {generation} came over the certificate of {peer}")]
    ForeignStream {
        /// Agent that the record names.
        agent: AgentId,
        /// Generation that the record names.
        generation: u64,
        /// Agent and generation of the certificate.
        peer: String,
    },
    /// This generation was revoked, or a newer one began.
    #[error("{agent} generation {generation} was ended")]
    Ended {
        /// The agent.
        agent: AgentId,
        /// Its generation.
        generation: u64,
    },
    /// The signature does not hold under the enrolled key.
    #[error("record {seq} of {agent} is not signed with the enrolled key")]
    Signature {
        /// The agent.
        agent: AgentId,
        /// Number of the record.
        seq: u64,
    },
    /// The stream has a record twice; nothing more is taken.
    #[error("stream of {agent} is stopped: it has two records with number {seq}")]
    Quarantined {
        /// The agent.
        agent: AgentId,
        /// The number.
        seq: u64,
    },
    /// Records between are missing.
    #[error("record {came} came, but {due} is due")]
    Early {
        /// Number of the record.
        came: u64,
        /// Number that is due.
        due: u64,
    },
    /// The record does not link to the one before.
    #[error("record {seq} links to {came}, but the record before it is {due}")]
    Link {
        /// Number of the record.
        seq: u64,
        /// Id that it names.
        came: Digest,
        /// Id that it must name.
        due: Digest,
    },
    /// The record has seen more of the ledger than there is: an old copy of it was restored.
    #[error("record {seq} has seen {seen} entries, but the ledger has {size}")]
    Shrunk {
        /// Number of the record.
        seq: u64,
        /// Entries that were seen.
        seen: u64,
        /// Entries that there are.
        size: u64,
    },
    /// The record has seen less of the ledger than the one before.
    #[error("record {seq} has seen {seen} entries, and the record before it {before}")]
    SeenLess {
        /// Number of the record.
        seq: u64,
        /// Entries that were seen.
        seen: u64,
        /// Entries that the record before had seen.
        before: u64,
    },
    /// The record has seen another ledger of the same length.
    #[error("record {seq} has seen another root over {size} entries than this ledger has")]
    OtherLedger {
        /// Number of the record.
        seq: u64,
        /// Entries that were seen.
        size: u64,
    },
    /// A blob that the record calls the observation of a probe is not that.
    #[error("record {seq} names a blob that is not the observation of `{probe}` that it says")]
    Content {
        /// Number of the record.
        seq: u64,
        /// The probe.
        probe: String,
    },
    /// Blobs that it names are not here.
    #[error("record {seq} names {} blobs that are not here", .missing.len())]
    MissingBlobs {
        /// Number of the record.
        seq: u64,
        /// The blobs.
        missing: Vec<Digest>,
    },
}

/// Something odd about an attestation that is admitted all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The wall clock of the host runs ahead of the collector's by this many milliseconds.
    ClockAhead(i64),
}

/// How far a host's clock may be ahead before it is said: beyond what travel can explain.
const CLOCK_NOTICE_MS: i64 = 60_000;

/// Admits one attestation of the agent whose certificate the connection carries.
///
/// Of what came in the same submission, the blobs that it names and the ledger has not are taken.
///
/// # Errors
///
/// [`Refusal`]; nothing is entered.
pub fn admit(
    file: Vec<u8>,
    offered: &Offered<'_>,
    (stream, standing): (&Stream, &Standing),
    known: &impl Known,
    received: Timestamp,
) -> Result<Admission, Refusal> {
    let attestation = Attestation::from_file(file)?;
    let place = &attestation.evidence().stream;
    let (seq, agent) = (place.seq, &stream.agent);
    if place.agent != stream.agent || place.generation != stream.generation {
        return Err(Refusal::ForeignStream {
            agent: place.agent.clone(),
            generation: place.generation,
            peer: format!("{} generation {}", stream.agent, stream.generation),
        });
    }
    if stream.ended {
        return Err(Refusal::Ended {
            agent: agent.clone(),
            generation: stream.generation,
        });
    }
    let verified = attestation
        .verify(&stream.key)
        .map_err(|_refused| Refusal::Signature {
            agent: agent.clone(),
            seq,
        })?;
    if let Some(index) = known.index_of(&verified.attestation().id()) {
        return Ok(Admission::Again(index));
    }
    if let Some(seq) = standing.forked {
        return Err(Refusal::Quarantined {
            agent: agent.clone(),
            seq,
        });
    }
    let blobs = complete(&verified, offered, known)?;
    let due = standing.next_seq();
    if seq < due {
        return Ok(Admission::Fork(Admitted {
            verified,
            blobs,
            received,
        }));
    }
    if due < seq {
        return Err(Refusal::Early { came: seq, due });
    }
    let evidence = verified.attestation().evidence();
    let link = standing.head.map_or(stream.record, |head| head.id);
    if evidence.stream.prev != link {
        return Err(Refusal::Link {
            seq,
            came: evidence.stream.prev,
            due: link,
        });
    }
    let (seen, size) = (evidence.seen.size, known.size());
    if size < seen {
        return Err(Refusal::Shrunk { seq, seen, size });
    }
    if seen < standing.seen {
        let before = standing.seen;
        return Err(Refusal::SeenLess { seq, seen, before });
    }
    if known.root(seen) != Some(evidence.seen.root) {
        return Err(Refusal::OtherLedger { seq, size: seen });
    }
    Ok(Admission::Next(Admitted {
        verified,
        blobs,
        received,
    }))
}

/// The blobs that the attestation names and the ledger has not.
fn complete(
    verified: &Verified,
    offered: &Offered<'_>,
    known: &impl Known,
) -> Result<Vec<(Digest, Vec<u8>)>, Refusal> {
    let mut blobs = BTreeMap::new();
    let mut missing = Vec::new();
    let attestation = verified.attestation();
    let evidence = attestation.evidence();
    let seq = evidence.stream.seq;
    for subject in attestation.subjects() {
        let digest = subject.digest.sha256;
        let came = offered.blobs.get(&digest).copied();
        if subject.name == "attestation" {
            continue;
        }
        if !known.has_blob(&digest) {
            match came {
                Some(bytes) => drop(blobs.insert(digest, bytes.to_vec())),
                None if offered.dropped.contains(&digest) => continue,
                None => {
                    missing.push(digest);
                    continue;
                }
            }
        }
        let Some(probe) = subject.name.strip_prefix("observation/") else {
            continue;
        };
        let run = evidence.run.probes.iter().find(|run| run.probe == probe);
        let said = match known.shape(&digest, came) {
            Shape::Observation(of, outcome) => {
                of == probe && run.is_some_and(|run| run.outcome == outcome)
            }
            Shape::Newer => true,
            Shape::Other => false,
        };
        if !said {
            return Err(Refusal::Content {
                seq,
                probe: probe.to_owned(),
            });
        }
    }
    if missing.is_empty() {
        Ok(blobs.into_iter().collect())
    } else {
        Err(Refusal::MissingBlobs { seq, missing })
    }
}

impl Admitted {
    /// The attestation.
    pub const fn attestation(&self) -> &Attestation {
        self.verified.attestation()
    }

    /// When it was received.
    pub const fn received(&self) -> Timestamp {
        self.received
    }

    /// The attestation and the new blobs.
    #[must_use]
    pub fn into_parts(self) -> (Attestation, Vec<(Digest, Vec<u8>)>) {
        (self.verified.into_attestation(), self.blobs)
    }

    /// What is odd about it.
    #[must_use]
    pub fn notice(&self) -> Option<Notice> {
        let ahead = self
            .attestation()
            .evidence()
            .time
            .wall
            .ms_since(self.received);
        (CLOCK_NOTICE_MS < ahead).then_some(Notice::ClockAhead(ahead))
    }
}

impl Refusal {
    /// The refusal as the agent sees it.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let (code, hint) = match self {
            Self::Encoding(_) => (
                Code::Encoding,
                "update the agent; this record was not made by it",
            ),
            Self::ForeignStream { .. } => (
                Code::ForeignStream,
                "an agent submits its own records only; enrol this host",
            ),
            Self::Ended { .. } => (Code::Revoked, "ask for a new enrolment token"),
            Self::Signature { .. } => (
                Code::Signature,
                "the evidence key is not the enrolled one; enrol again",
            ),
            Self::Quarantined { .. } => (
                Code::Quarantined,
                "two machines share one key, or a snapshot was restored; enrol again",
            ),
            Self::Early { .. } => (Code::Chain, "send the records before it first"),
            Self::Link { .. } => (
                Code::Chain,
                "the spool is not the one that made the record before; enrol again",
            ),
            Self::Shrunk { .. } => (
                Code::Unavailable,
                "the collector must be restored to the newest copy of its ledger",
            ),
            Self::SeenLess { .. } => (
                Code::Chain,
                "the state of the agent was restored from an older copy; enrol again",
            ),
            Self::OtherLedger { .. } => (
                Code::Chain,
                "the agent knows another history of this ledger; tell whoever audits the collector",
            ),
            Self::Content { .. } => (
                Code::Content,
                "update the agent; this record was not made by it",
            ),
            Self::MissingBlobs { .. } => (Code::MissingBlobs, "send the blobs before the record"),
        };
        let missing = match self {
            Self::MissingBlobs { missing, .. } => {
                missing.iter().copied().take(limits::SUBJECTS_MAX).collect()
            }
            Self::Encoding(_)
            | Self::ForeignStream { .. }
            | Self::Ended { .. }
            | Self::Signature { .. }
            | Self::Quarantined { .. }
            | Self::Early { .. }
            | Self::Link { .. }
            | Self::Shrunk { .. }
            | Self::SeenLess { .. }
            | Self::OtherLedger { .. }
            | Self::Content { .. } => Vec::new(),
        };
        let detail = std::error::Error::source(self).map(chain);
        Problem {
            code,
            status: if code == Code::Unavailable { 503 } else { 422 },
            title: self.to_string(),
            detail,
            hint: Some(hint.to_owned()),
            missing,
        }
    }
}

#[cfg(test)]
mod tests;
