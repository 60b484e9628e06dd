//! Decisions: what people and the collector on their behalf laid down, in the same ledger.
//!
//! A decision is a statement of the same family as an attestation, signed with the decisions key
//! of the collector. An enrolment is a decision that answers a statement of the new agent, and what
//! a person decides answers a statement that the person signed: [`Said`].

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::attestation::{Statement, StatementError};
use crate::dsse::{Envelope, EnvelopeError};
use crate::id::{AgentId, Digest, PersonId};
use crate::key::{KeyError, PublicKey};
use crate::time::Timestamp;

/// Type of the predicate of a decision.
pub const DECISION_TYPE: &str = "urn:evident:decision:v1";
/// Type of the predicate by which an agent asks to be enrolled.
pub const ENROLMENT_TYPE: &str = "urn:evident:enrolment:v1";

/// Type of the predicate by which a person says what is decided.
pub const SAID_TYPE: &str = "urn:evident:said:v1";

/// The predicate of a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// When it was made, by the clock of the collector.
    pub at: Timestamp,
    /// Who made it: the [`PersonId`] when there is a `statement`, else the collector by its name
    /// or the account of the machine that gave the order.
    pub by: String,
    /// SHA-256 of the statement of the person who decided, which is a blob of the ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<Digest>,
    /// What was decided.
    pub decides: Decided,
}

/// What was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Decided {
    /// A host may submit: this key signs for this agent and generation from now on.
    Enrol(Enrolled),
    /// A host may not submit any more.
    Revoke(Revoked),
    /// A list of vulnerabilities is in force from now on, in place of the one before.
    Import(Imported),
    /// A person may decide from now on, or may no more.
    Person(Person),
    /// A catalogue is in force from now on.
    Catalogue(InForce),
    /// A step in one of the records of the management system.
    Record(Step),
}

/// A person who may decide.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Short name, for ever of this person.
    pub id: PersonId,
    /// The whole name.
    pub name: String,
    /// Address for mail; may be empty.
    pub email: String,
    /// Verifies what the person says: SubjectPublicKeyInfo in PEM. A later decision about the same
    /// person puts another in its place.
    pub key: String,
    /// May decide. What was decided before the person left stays.
    pub active: bool,
}

/// A catalogue in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InForce {
    /// The digest of the catalogue.
    pub catalogue: Digest,
    /// Its files by their names inside its folder; each is a blob of the ledger.
    #[serde(deserialize_with = "named_once")]
    pub files: BTreeMap<String, Digest>,
    /// The checks of the catalogue before that are not in this one, and as `check:control` what
    /// the others bore on and bear on no more: it must name them.
    pub dropped: Vec<String>,
    /// Why.
    pub reason: String,
}

/// A step in a record of the management system: a nonconformity is raised, an exception approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The register that the record is in, e.g. `nonconformity`.
    pub register: String,
    /// Id of the record, e.g. `NC-3`.
    pub record: String,
    /// What is done, e.g. `close`.
    pub step: String,
    /// The last decision about the record, as the person saw it: the step is about that state and
    /// no other. `None` when there is no record yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Digest>,
    /// What is said of it, by the name of the field.
    #[serde(deserialize_with = "named_once")]
    pub fields: BTreeMap<String, Value>,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Flag(bool),
    /// A whole number.
    Number(i64),
    /// A text; also instants (RFC 3339), names and ids.
    Text(String),
    /// Several of them.
    List(Vec<String>),
}

/// What a person says, signed with the key of the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// The person.
    pub by: PersonId,
    /// When, by the clock of the person.
    pub at: Timestamp,
    /// Origin of the ledger that it is said to: it decides in no other.
    pub ledger: String,
    /// What is decided; the decision says the same.
    pub decides: Decided,
}

/// An enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// Name of the agent.
    pub agent: AgentId,
    /// Which enrolment of this agent it is, from 1.
    pub generation: u64,
    /// Evidence key: SubjectPublicKeyInfo in PEM.
    pub evidence_key: String,
    /// SHA-256 of the agent's statement, which is a blob of the ledger.
    pub statement: Digest,
    /// SHA-256 of the token that was spent.
    pub token: Digest,
    /// The longest time between two records, in seconds; after it the host is silent.
    pub heartbeat_s: u64,
}

/// A revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// Name of the agent.
    pub agent: AgentId,
    /// The generation that ends.
    pub generation: u64,
    /// Why.
    pub reason: String,
}

/// A list of vulnerabilities that an operator brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// Who published it: `kev`, `osv` or `debian-tracker`.
    pub publisher: String,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// How many vulnerabilities it lists.
    pub records: u64,
    /// When it was published, or when the file was written where it does not say; not after the
    /// import.
    pub dated: Timestamp,
    /// It lists every known vulnerability of each ecosystem that is in it: so is the tracker of
    /// Debian made, and so did the operator declare a list of `osv`. Of others what is not listed
    /// is not known.
    pub complete: bool,
}

/// What an agent says when it asks to be enrolled, signed with its new evidence key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolment {
    /// The name that the agent asks for.
    pub agent: AgentId,
    /// The number that the collector gave for this enrolment: 64 hex digits.
    pub nonce: Digest,
    /// SHA-256 of the one-time token.
    pub token: Digest,
    /// SHA-256 of the SubjectPublicKeyInfo of the TLS key.
    pub tls_key: Digest,
    /// Evidence key: SubjectPublicKeyInfo in PEM.
    pub evidence_key: String,
    /// What the host says of itself.
    pub host: HostClaims,
}

/// What a host says of itself at enrolment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostClaims {
    /// Name of the host.
    pub name: String,
    /// Operating system, as os-release(5) names it.
    pub system: String,
    /// Release of the kernel.
    pub kernel: String,
    /// Architecture.
    pub architecture: String,
}

/// Reads an object whose names are not in the format: one that stands there twice is refused, as
/// with all others, so that every reader sees the same value.
fn named_once<'de, D, V>(from: D) -> Result<BTreeMap<String, V>, D::Error>
where
    D: Deserializer<'de>,
    V: Deserialize<'de>,
{
    struct Members<V>(PhantomData<V>);

    impl<'de, V: Deserialize<'de>> Visitor<'de> for Members<V> {
        type Value = BTreeMap<String, V>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object whose names differ")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
            let mut members = BTreeMap::new();
            while let Some((name, value)) = from.next_entry::<String, V>()? {
                if members.contains_key(&name) {
                    return Err(A::Error::custom(format!("`{name}` stands there twice")));
                }
                drop(members.insert(name, value));
            }
            Ok(members)
        }
    }

    from.deserialize_map(Members(PhantomData))
}

/// A file is no decision or enrolment under the key that must have signed it.
#[derive(Debug, thiserror::Error)]
pub enum DecisionError {
    /// The envelope has another form.
    #[error("envelope is not exact")]
    Envelope(#[from] EnvelopeError),
    /// The body is no statement of this type.
    #[error("body is no such statement")]
    Statement(#[from] StatementError),
    /// The signature does not hold under this key, or the key is weak.
    #[error("not signed with the key that must have signed it")]
    Key(#[from] KeyError),
}

/// Opens a decision that was signed with the decisions key.
///
/// # Errors
///
/// [`DecisionError`].
pub fn open(file: &[u8], key: &PublicKey) -> Result<Decision, DecisionError> {
    let envelope = Envelope::from_file(file)?;
    envelope.verify(key)?;
    Ok(Statement::from_body(&envelope.body, DECISION_TYPE)?.predicate)
}

/// Opens the statement of a new agent, which must be signed with the key that it names.
///
/// # Errors
///
/// [`DecisionError`]; a weak key is refused here.
pub fn open_enrolment(file: &[u8]) -> Result<(Enrolment, PublicKey), DecisionError> {
    let envelope = Envelope::from_file(file)?;
    let statement: Statement<Enrolment> = Statement::from_body(&envelope.body, ENROLMENT_TYPE)?;
    let key = PublicKey::from_pem(&statement.predicate.evidence_key)?;
    key.check_strength()?;
    // The text goes into the ledger and into packs as it is, so it has one form.
    if key.to_pem() != statement.predicate.evidence_key {
        return Err(KeyError::Form.into());
    }
    envelope.verify(&key)?;
    Ok((statement.predicate, key))
}

/// Opens what a person said, which must be signed with this key.
///
/// # Errors
///
/// [`DecisionError`].
pub fn open_said(file: &[u8], key: &PublicKey) -> Result<Statement<Said>, DecisionError> {
    let envelope = Envelope::from_file(file)?;
    envelope.verify(key)?;
    Ok(Statement::from_body(&envelope.body, SAID_TYPE)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attestation::Subject;
    use crate::key::SigningKey;

    #[test]
    fn a_decision_opens_under_its_key_alone() {
        let key = SigningKey::from_seed([7; 32]).unwrap();
        let revoked = Revoked {
            agent: "web-1".parse().unwrap(),
            generation: 1,
            reason: "lost".to_owned(),
        };
        let decision = Decision {
            at: Timestamp::default(),
            by: "operator".to_owned(),
            statement: None,
            decides: Decided::Revoke(revoked),
        };
        let file = Statement::new(DECISION_TYPE, Vec::new(), decision.clone())
            .seal(&key)
            .unwrap();
        assert_eq!(open(&file, &key.public()).unwrap(), decision);
        let other = SigningKey::from_seed([8; 32]).unwrap().public();
        assert!(matches!(open(&file, &other), Err(DecisionError::Key(_))));
        assert!(matches!(
            open_enrolment(&file),
            Err(DecisionError::Statement(_))
        ));
    }

    #[test]
    fn a_name_that_stands_twice_is_refused() {
        let step = |fields: &str| {
            let text = format!(
                r#"{{"kind":"record","register":"risk","record":"R-1","step":"raise","fields":{fields}}}"#
            );
            serde_json::from_str::<Decided>(&text)
        };
        assert!(step(r#"{"owner":"ada","other":"bob"}"#).is_ok());
        let error = step(r#"{"owner":"ada","owner":"bob"}"#).unwrap_err();
        assert!(error.to_string().contains("`owner` stands there twice"));
    }

    #[test]
    fn one_body_has_one_file_and_a_bound_of_subjects() {
        let key = SigningKey::from_seed([7; 32]).unwrap();
        let said = |subjects: usize| {
            let said = Said {
                by: "ada".parse().unwrap(),
                at: Timestamp::default(),
                ledger: "c.example/evident/1".to_owned(),
                decides: Decided::Revoke(Revoked {
                    agent: "web-1".parse().unwrap(),
                    generation: 1,
                    reason: "lost".to_owned(),
                }),
            };
            let subject = Subject::new("document/a", Digest::of(b"a"));
            Statement::new(SAID_TYPE, vec![subject; subjects], said).seal(&key)
        };
        let file = said(256).unwrap();
        assert!(open_said(&file, &key.public()).is_ok());
        let text = String::from_utf8(file).unwrap();
        let id = key.public().id().to_string();
        let other = text.replace(&id, &Digest::of(b"other").to_string());
        assert_ne!(other, text);
        let opened = open_said(other.as_bytes(), &key.public());
        assert!(matches!(opened, Err(DecisionError::Key(_))), "{opened:?}");
        assert!(matches!(said(257), Err(StatementError::Subjects(257))));
    }
}
