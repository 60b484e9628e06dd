//! An attestation: what one run of an agent observed, as an in-toto statement that the host signed.
//!
//! Types carry the proof: bytes become an [`Attestation`] only when their form is exact, and an
//! [`Attestation`] becomes [`Verified`] only under a key that the caller trusts. No other
//! constructors exist.

use serde::{Deserialize, Serialize};

use crate::dsse::{self, Envelope, EnvelopeError};
use crate::exchange::Exchange;
use crate::fact::{self, Observer};
use crate::id::{AgentId, Digest};
use crate::key::{KeyError, PublicKey, SigningKey};
use crate::limits;
use crate::observation::Outcome;
use crate::time::Timestamp;

/// Type of every in-toto statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// Type of the predicate of host evidence.
pub const EVIDENCE_TYPE: &str = "urn:evident:host-evidence:v1";
/// Integers in a body stay below 2^53, so that every JSON reader sees the same number.
const INTEGER_END: u64 = 1 << 53;

/// An in-toto statement: which things (by digest) a predicate speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement<P> {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// The blobs or records that the predicate speaks of.
    pub subject: Vec<Subject>,
    /// Type of the predicate.
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What is said of them.
    pub predicate: P,
}

/// One thing that a statement speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Name: `observation/clock`, `artifact/etc/chrony/chrony.conf`, `attestation`.
    pub name: String,
    /// Its digest.
    pub digest: DigestSet,
}

/// The digests of a thing; only SHA-256 is used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DigestSet {
    /// SHA-256.
    pub sha256: Digest,
}

impl Subject {
    /// A subject of this name and digest.
    #[must_use]
    pub fn new(name: &str, sha256: Digest) -> Self {
        Self {
            name: name.to_owned(),
            digest: DigestSet { sha256 },
        }
    }
}

impl<P: Serialize> Statement<P> {
    /// A statement of this type over these subjects.
    #[must_use]
    pub fn new(predicate_type: &str, subject: Vec<Subject>, predicate: P) -> Self {
        Self {
            kind: STATEMENT_TYPE.to_owned(),
            subject,
            predicate_type: predicate_type.to_owned(),
            predicate,
        }
    }

    /// Writes and signs the statement.
    ///
    /// # Errors
    ///
    /// [`StatementError::Size`] when the body is larger than [`limits::STATEMENT_BYTES_MAX`],
    /// [`StatementError::Subjects`] when it has more than [`limits::SUBJECTS_MAX`] of them, and
    /// [`StatementError::Form`] when the predicate has no JSON form.
    pub fn seal(&self, key: &SigningKey) -> Result<Vec<u8>, StatementError> {
        if limits::SUBJECTS_MAX < self.subject.len() {
            return Err(StatementError::Subjects(self.subject.len()));
        }
        let body = serde_json::to_vec(self).map_err(StatementError::Form)?;
        if limits::STATEMENT_BYTES_MAX < body.len() {
            return Err(StatementError::Size(body.len()));
        }
        Ok(dsse::seal(key, &body))
    }
}

impl<P: for<'de> Deserialize<'de>> Statement<P> {
    /// Reads the body of an envelope as a statement whose predicate is of `predicate_type`.
    ///
    /// # Errors
    ///
    /// [`StatementError`]: unknown members, repeated members and other types are refused.
    pub fn from_body(body: &[u8], predicate_type: &'static str) -> Result<Self, StatementError> {
        if limits::STATEMENT_BYTES_MAX < body.len() {
            return Err(StatementError::Size(body.len()));
        }
        let statement: Self = serde_json::from_slice(body).map_err(StatementError::Form)?;
        if statement.kind != STATEMENT_TYPE || statement.predicate_type != predicate_type {
            return Err(StatementError::Type {
                wanted: predicate_type,
            });
        }
        if limits::SUBJECTS_MAX < statement.subject.len() {
            return Err(StatementError::Subjects(statement.subject.len()));
        }
        Ok(statement)
    }
}

/// A body is no statement of the type that is asked for. The sender is wrong.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The body is too large.
    #[error("{0} bytes are more than a statement may have")]
    Size(usize),
    /// The body is no JSON of the right form.
    #[error("not a statement")]
    Form(#[source] serde_json::Error),
    /// Type of the statement or of the predicate differ.
    #[error("not an in-toto statement v1 with a predicate of type {wanted}")]
    Type {
        /// The type of predicate that was asked for.
        wanted: &'static str,
    },
    /// Too many subjects.
    #[error("{0} subjects are more than a statement may have")]
    Subjects(usize),
}

/// The predicate of host evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Place in the stream of the agent.
    pub stream: Position,
    /// What kind of record it is.
    pub kind: Kind,
    /// Which boot, and how long since.
    pub boot: Boot,
    /// What the clock of the host said.
    pub time: HostTime,
    /// What the agent had seen of the ledger.
    pub seen: Seen,
    /// The run: which program, which settings, which probes were due.
    pub run: Run,
    /// What was dropped; only with [`Kind::Gap`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gap: Option<Gap>,
}

/// Place of a record in the stream of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Name of the agent.
    pub agent: AgentId,
    /// How often the agent was enrolled, from 1.
    pub generation: u64,
    /// Number of the record in this generation, from 0, without gaps.
    pub seq: u64,
    /// Id of the record before; of record 0, id of the enrolment record.
    pub prev: Digest,
}

/// What kind of record an attestation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A run of probes.
    Evidence,
    /// The agent has started.
    Start,
    /// Nothing was due for a while, and the agent lives.
    Heartbeat,
    /// Something was dropped.
    Gap,
    /// The wall clock jumped.
    Clock,
    /// Keys are about to change.
    Rotate,
    /// The agent was told to stop.
    Stop,
}

/// The running time of the host, which no change of the wall clock moves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// Random id that the kernel made at boot.
    pub id: String,
    /// Milliseconds since boot, sleep included.
    pub mono_ms: u64,
}

/// The wall clock of the host: a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostTime {
    /// What the clock showed.
    pub wall: Timestamp,
    /// Whether the kernel calls it synchronised.
    pub synced: bool,
    /// The bound of its error that the kernel keeps, in milliseconds.
    pub max_error_ms: u64,
    /// The best of the last exchanges with the collector, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,
}

/// A head of the ledger's tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TreeHead {
    /// Number of entries.
    pub size: u64,
    /// Root hash, in base64 as in a checkpoint.
    #[serde(with = "root_base64")]
    pub root: Digest,
}

/// What the agent had seen of the ledger when it signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Size of the newest tree that was proven to grow from all that it had seen before.
    pub size: u64,
    /// Root of that tree, in base64.
    #[serde(with = "root_base64")]
    pub root: Digest,
    /// Highest number of an own record that was proven to be in it; `null` before the first.
    pub acked: Option<u64>,
}

/// One run of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Name and version of the program.
    pub agent: String,
    /// SHA-256 of the program file.
    pub binary: Digest,
    /// SHA-256 of the settings in force.
    pub config: Digest,
    /// When the run was due.
    pub due: Timestamp,
    /// Every probe that was due, also those that could not look.
    pub probes: Vec<ProbeRun>,
}

/// One probe in a run. Its observation is the subject `observation/<probe>`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProbeRun {
    /// Name of the probe.
    pub probe: String,
    /// Outcome of the observation.
    pub outcome: Outcome,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What was dropped from a full spool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// First record whose blobs were dropped.
    pub first: u64,
    /// Last record whose blobs were dropped.
    pub last: u64,
    /// How many blobs.
    pub blobs: u64,
    /// Why.
    pub reason: String,
}

mod root_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use crate::id::Digest;

    pub(super) fn serialize<S: Serializer>(root: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(root.as_bytes()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        bytes
            .try_into()
            .map(Digest)
            .map_err(|_length| serde::de::Error::custom("a root has 32 bytes"))
    }
}

/// Bytes are no attestation.
#[derive(Debug, thiserror::Error)]
pub enum AttestationError {
    /// The envelope has another form.
    #[error("envelope is not exact")]
    Envelope(#[from] EnvelopeError),
    /// The body is no statement of host evidence.
    #[error("body is no host evidence")]
    Statement(#[from] StatementError),
    /// A number is 2^53 or more, or a member contradicts another.
    #[error("host evidence contradicts itself: {0}")]
    Content(&'static str),
}

/// A file in the exact form, with evidence that makes sense; nobody has verified it yet.
#[derive(Clone, Debug)]
pub struct Attestation {
    id: Digest,
    file: Vec<u8>,
    envelope: Envelope,
    statement: Statement<Evidence>,
}

impl Attestation {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// [`AttestationError`]; the sender is wrong.
    pub fn from_file(file: Vec<u8>) -> Result<Self, AttestationError> {
        let envelope = Envelope::from_file(&file)?;
        let statement = Statement::from_body(&envelope.body, EVIDENCE_TYPE)?;
        check(&statement).map_err(AttestationError::Content)?;
        Ok(Self {
            id: Digest::of(&file),
            file,
            envelope,
            statement,
        })
    }

    /// Verifies it with the evidence key of its agent and generation.
    ///
    /// # Errors
    ///
    /// [`KeyError::Signature`]; the sender is not who it says.
    pub fn verify(self, key: &PublicKey) -> Result<Verified, KeyError> {
        self.envelope.verify(key)?;
        Ok(Verified(self))
    }

    /// Its id: SHA-256 of the file.
    pub const fn id(&self) -> Digest {
        self.id
    }

    /// The file.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// The file, owned.
    #[must_use]
    pub fn into_file(self) -> Vec<u8> {
        self.file
    }

    /// What it says.
    pub const fn evidence(&self) -> &Evidence {
        &self.statement.predicate
    }

    /// What it speaks of.
    pub fn subjects(&self) -> &[Subject] {
        &self.statement.subject
    }

    /// The digest of the observation of `probe`.
    #[must_use]
    pub fn observation(&self, probe: &str) -> Option<Digest> {
        self.subjects()
            .iter()
            .find(|subject| subject.name.strip_prefix("observation/") == Some(probe))
            .map(|subject| subject.digest.sha256)
    }

    /// The blobs that it names: observations and artifacts.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> {
        self.subjects()
            .iter()
            .filter(|subject| subject.name != "attestation")
            .map(|subject| subject.digest.sha256)
    }
}

/// An attestation whose signature holds under the key that it was verified with.
#[derive(Clone, Debug)]
pub struct Verified(Attestation);

impl Verified {
    /// The attestation.
    pub const fn attestation(&self) -> &Attestation {
        &self.0
    }

    /// The attestation, owned.
    #[must_use]
    pub fn into_attestation(self) -> Attestation {
        self.0
    }
}

fn check(statement: &Statement<Evidence>) -> Result<(), &'static str> {
    let evidence = &statement.predicate;
    let numbers = [
        evidence.stream.generation,
        evidence.stream.seq,
        evidence.boot.mono_ms,
        evidence.time.max_error_ms,
        evidence.seen.size,
        evidence.seen.acked.unwrap_or(0),
    ];
    if numbers.iter().any(|number| INTEGER_END <= *number) {
        return Err("a number is 2^53 or more");
    }
    if evidence.stream.generation == 0 {
        return Err("generations begin with 1");
    }
    if evidence
        .seen
        .acked
        .is_some_and(|acked| evidence.stream.seq <= acked)
    {
        return Err("`seen.acked` names this record or a later one");
    }
    if (evidence.kind == Kind::Gap) != evidence.gap.is_some() {
        return Err("`gap` belongs to records of kind `gap`, and to no others");
    }
    let probes = &evidence.run.probes;
    if (evidence.kind == Kind::Evidence) == probes.is_empty() {
        return Err("`run.probes` is empty in all records but those of kind `evidence`");
    }
    let foreign = |run: &ProbeRun| {
        fact::subject(&run.probe).is_some_and(|subject| subject.observer != Observer::Host)
    };
    if probes.iter().any(foreign) {
        return Err("a probe of the collector stands in a record of a host");
    }
    let sorted = probes.is_sorted_by(|a, b| a.probe < b.probe);
    let mut observations = statement
        .subject
        .iter()
        .filter_map(|subject| subject.name.strip_prefix("observation/"));
    let named = probes
        .iter()
        .all(|probe| observations.next() == Some(&probe.probe));
    if !sorted || !named || observations.next().is_some() {
        return Err("`run.probes` and the observations among the subjects differ");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
