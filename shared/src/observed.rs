//! What the collector itself observed of a host, signed with its key of decisions.
//!
//! It is an observation like those of hosts, with a probe of its own, so that facts, checks and
//! findings are the same things on both sides. Only who signs is another: a host cannot say what
//! the collector measured, and the collector cannot say what a host saw.

use serde::{Deserialize, Serialize};

use crate::attestation::{Statement, StatementError, Subject};
use crate::dsse::{Envelope, EnvelopeError};
use crate::fact::{self, Observer};
use crate::id::{AgentId, Digest};
use crate::key::{KeyError, PublicKey, SigningKey};
use crate::observation::{Observation, Outcome};
use crate::time::Timestamp;

/// Type of the predicate of what a collector observed.
pub const OBSERVED_TYPE: &str = "urn:evident:observed:v1";
/// Name of the subjects that are records of hosts.
const ATTESTATION: &str = "attestation";
/// Most records that one observation may rest on.
pub const BASIS_MAX: usize = 64;

/// The predicate: of which host, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observed {
    /// The host.
    pub agent: AgentId,
    /// The generation under which it submitted what this rests on.
    pub generation: u64,
    /// When it was observed, by the clock of the collector.
    pub at: Timestamp,
    /// Name of the probe; its subject has the collector as observer.
    pub probe: String,
    /// Outcome of the observation.
    pub outcome: Outcome,
}

/// What a file of this kind says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// The predicate.
    pub observed: Observed,
    /// SHA-256 of the observation, which is a blob.
    pub observation: Digest,
    /// Ids of the records of hosts that it rests on, at most [`BASIS_MAX`].
    pub basis: Vec<Digest>,
}

/// A file is no such observation under the key that must have signed it.
#[derive(Debug, thiserror::Error)]
pub enum ObservedError {
    /// The envelope has another form.
    #[error("envelope is not exact")]
    Envelope(#[from] EnvelopeError),
    /// The body is no statement of this type, or too large to be one.
    #[error("body is no such statement")]
    Statement(#[from] StatementError),
    /// The signature does not hold under this key.
    #[error("not signed with the key that must have signed it")]
    Key(#[from] KeyError),
    /// Its members contradict each other.
    #[error("the observation of the collector contradicts itself: {0}")]
    Content(&'static str),
}

/// Writes and signs what the collector observed; of too many records in `basis` the first and the
/// newest count.
///
/// # Errors
///
/// [`ObservedError::Statement`], which no observation of a known probe gives.
pub fn seal(
    (agent, generation, at): (AgentId, u64, Timestamp),
    observation: &Observation,
    basis: &[Digest],
    key: &SigningKey,
) -> Result<(Vec<u8>, Vec<u8>), ObservedError> {
    let bytes = observation.to_bytes();
    let name = format!("observation/{}", observation.probe);
    let mut subjects = vec![Subject::new(&name, Digest::of(&bytes))];
    let middle = basis.len().saturating_sub(BASIS_MAX);
    let kept = basis.iter().take(1).chain(basis.iter().skip(1 + middle));
    subjects.extend(kept.map(|id| Subject::new(ATTESTATION, *id)));
    let observed = Observed {
        agent,
        generation,
        at,
        probe: observation.probe.clone(),
        outcome: observation.outcome,
    };
    let file = Statement::new(OBSERVED_TYPE, subjects, observed).seal(key)?;
    Ok((file, bytes))
}

/// Opens a file that was signed with the key of decisions.
///
/// # Errors
///
/// [`ObservedError`].
pub fn open(file: &[u8], key: &PublicKey) -> Result<Sight, ObservedError> {
    let envelope = Envelope::from_file(file)?;
    envelope.verify(key)?;
    let statement = Statement::<Observed>::from_body(&envelope.body, OBSERVED_TYPE)?;
    let observed = statement.predicate;
    let known = fact::subject(&observed.probe);
    if known.is_some_and(|subject| subject.observer != Observer::Collector) {
        return Err(ObservedError::Content("its probe is one of hosts"));
    }
    let mut subjects = statement.subject.into_iter();
    let named = subjects
        .next()
        .filter(|first| first.name.strip_prefix("observation/") == Some(observed.probe.as_str()));
    let first = named.ok_or(ObservedError::Content(
        "it names no observation of its probe",
    ))?;
    let basis: Vec<Subject> = subjects.collect();
    if BASIS_MAX < basis.len() || basis.iter().any(|subject| subject.name != ATTESTATION) {
        return Err(ObservedError::Content(
            "it rests on too much, or on no records",
        ));
    }
    Ok(Sight {
        observed,
        observation: first.digest.sha256,
        basis: basis.iter().map(|subject| subject.digest.sha256).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Facts;

    fn observation(probe: &str) -> Observation {
        Observation {
            artifacts: Vec::new(),
            facts: Facts::new(),
            outcome: Outcome::Unknown,
            probe: probe.to_owned(),
            reason: "no exchange yet".to_owned(),
            schema: 1,
            source: Vec::new(),
        }
    }

    #[test]
    fn it_opens_under_its_key_alone_and_speaks_of_no_probe_of_hosts() {
        let key = SigningKey::from_seed([7; 32]).unwrap();
        let about = || ("web-1".parse().unwrap(), 1, Timestamp::default());
        let record = |number: usize| Digest::of(number.to_string().as_bytes());
        let basis: Vec<Digest> = (0..=BASIS_MAX).map(record).collect();
        let (file, bytes) = seal(about(), &observation("offset"), &basis, &key).unwrap();
        let sight = open(&file, &key.public()).unwrap();
        assert_eq!(sight.observation, Digest::of(&bytes));
        assert_eq!(sight.basis.len(), BASIS_MAX);
        assert_eq!(sight.basis[..2], [record(0), record(2)]);
        let other = SigningKey::from_seed([8; 32]).unwrap().public();
        assert!(matches!(open(&file, &other), Err(ObservedError::Key(_))));
        let (file, _bytes) = seal(about(), &observation("clock"), &[], &key).unwrap();
        let refused = open(&file, &key.public());
        assert!(matches!(refused, Err(ObservedError::Content(_))));
    }
}
