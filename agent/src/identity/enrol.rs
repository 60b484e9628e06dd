//! Enrolment: keys are made here, the collector vouches for them, and its ledger proves it.

use std::path::{Path, PathBuf};

use shared::attestation::{Statement, TreeHead};
use shared::checkpoint::VerifierKey;
use shared::decision::{DECISION_TYPE, Decided, Decision, ENROLMENT_TYPE, Enrolment, HostClaims};
use shared::dsse::Envelope;
use shared::durable;
use shared::id::{AgentId, Digest};
use shared::key::SigningKey;
use shared::leaf::LeafKind;
use shared::receipt::{Own, ReceiptError};
use shared::time::Timestamp;
use shared::wire::{self, EnrolAnswer, EnrolRequest, NonceAnswer};

use super::{
    AUTHORITY, CERTIFICATE, EVIDENCE_KEY, Enrolled, IDENTITY, Identity, IdentityError, RECORD,
    SPOOL, TLS_KEY, Token, certificate, create_closed, folder_name,
};
use crate::connection::{Connection, ConnectionError, plain};

/// Who enrols, where, and with what.
#[derive(Clone, Debug)]
pub struct Enrolling<'a> {
    /// Folder of the state.
    pub dir: &'a Path,
    /// Address of the collector.
    pub url: &'a str,
    /// The one-time token.
    pub token: &'a Token,
    /// The name to be enrolled under.
    pub agent: AgentId,
    /// What the host says of itself.
    pub host: HostClaims,
    /// Begins a new generation although there is one.
    pub again: bool,
    /// Now.
    pub now: Timestamp,
}

/// The host was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// There is an identity already. The operator must say that a new generation is wanted.
    #[error("this host is enrolled as {agent} generation {generation}")]
    Already {
        /// Its name.
        agent: AgentId,
        /// Its generation.
        generation: u64,
    },
    /// Keys or files cannot be made.
    #[error("identity cannot be kept")]
    Identity(#[from] IdentityError),
    /// A key or a statement cannot be made; the machine gave no random bytes.
    #[error("cannot make {0}")]
    Making(String),
    /// The collector could not be asked, or refused.
    #[error("enrolment did not come through")]
    Connection(#[from] ConnectionError),
    /// The collector answered something else than was asked for.
    #[error("the collector's answer is refused: {0}")]
    Answer(String),
    /// The ledger does not prove the enrolment.
    #[error("the enrolment is not proven to be in the ledger")]
    Receipt(#[from] ReceiptError),
}

impl EnrolError {
    /// What the operator can do, where there is something.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Already { .. } => Some(
                "`evident-agent enrol --again` begins a new generation; the old one ends and what \
                 it has not sent stays on this disk"
                    .to_owned(),
            ),
            Self::Identity(error) => error.hint(),
            Self::Connection(error) => error.hint(),
            Self::Making(_) | Self::Answer(_) | Self::Receipt(_) => None,
        }
    }
}

/// The keys of a new generation.
struct Keys {
    evidence: SigningKey,
    tls_pem: String,
}

/// Enrols this host: makes keys, asks the collector, verifies all that it answers, and keeps it.
///
/// `begin_spool` makes the spool of the new generation in the folder that it is given, which must
/// remember the enrolment record, the head of the ledger that was proven, and its checkpoint.
///
/// # Errors
///
/// [`EnrolError`]; then the identity in force, if any, has not changed.
pub async fn enrol<E>(
    enrolling: &Enrolling<'_>,
    begin_spool: impl FnOnce(&Path, Digest, TreeHead, &str) -> Result<(), E>,
) -> Result<Result<Identity, E>, EnrolError> {
    create_closed(enrolling.dir)?;
    // An identity that cannot be read is one: only the operator may say that it is given up.
    if !enrolling.again
        && let Some(identity) = Identity::load(enrolling.dir)?
    {
        let (agent, generation) = (identity.agent().clone(), identity.generation());
        return Err(EnrolError::Already { agent, generation });
    }
    let keys = Keys {
        evidence: SigningKey::generate().map_err(|error| EnrolError::Making(error.to_string()))?,
        tls_pem: certificate::make_key().map_err(EnrolError::Making)?,
    };
    let connection = Connection::pinned(enrolling.url, enrolling.token.authority())?;
    let nonce: NonceAnswer = connection
        .ask(wire::ENROL_NONCE, &serde_json::Map::new())
        .await?;
    let statement = statement(enrolling, &keys, nonce.nonce).map_err(EnrolError::Making)?;
    let request = EnrolRequest {
        token: enrolling.token.secret().to_owned(),
        request_pem: certificate::request(&keys.tls_pem, &enrolling.agent)
            .map_err(EnrolError::Making)?,
        statement: String::from_utf8_lossy(&statement).into_owned(),
    };
    let answer: EnrolAnswer = connection.ask(wire::ENROL, &request).await?;
    check(&answer, enrolling, &keys, &statement)
        .map_err(|what| EnrolError::Answer(plain(&what)))?;
    let (record, seen) = proven(&answer)?;
    let folder = keep(enrolling, &keys, &answer, record)?;
    if let Err(error) = begin_spool(
        &folder.join(SPOOL),
        record,
        seen,
        &answer.receipt.checkpoint,
    ) {
        return Ok(Err(error));
    }
    put_in_force(enrolling, &answer, record)?;
    let identity = Identity::load(enrolling.dir)?;
    identity
        .map(Ok)
        .ok_or_else(|| EnrolError::Answer("nothing was kept".to_owned()))
}

/// The statement of the new agent, signed with its new evidence key.
fn statement(enrolling: &Enrolling<'_>, keys: &Keys, nonce: Digest) -> Result<Vec<u8>, String> {
    let enrolment = Enrolment {
        agent: enrolling.agent.clone(),
        nonce,
        token: enrolling.token.hash(),
        tls_key: certificate::key_digest(&keys.tls_pem)?,
        evidence_key: keys.evidence.public().to_pem(),
        host: enrolling.host.clone(),
    };
    Statement::new(ENROLMENT_TYPE, Vec::new(), enrolment)
        .seal(&keys.evidence)
        .map_err(|error| error.to_string())
}

/// Checks that the answer is about us: name, authority, certificate and record.
///
/// The key of the record's signature is not known here; that the record is in the ledger, whose
/// key is, says who stands by it.
fn check(
    answer: &EnrolAnswer,
    enrolling: &Enrolling<'_>,
    keys: &Keys,
    statement: &[u8],
) -> Result<(), String> {
    if answer.agent != enrolling.agent {
        return Err(format!("it enrolled `{}`, not us", answer.agent));
    }
    if certificate::digest(&answer.authority_pem)? != enrolling.token.authority() {
        return Err("its authority is not the one in the token".to_owned());
    }
    certificate::check(
        &answer.certificate_pem,
        &keys.tls_pem,
        &answer.agent,
        answer.generation,
    )
    .map_err(|what| format!("the certificate is {what}"))?;
    let envelope = Envelope::from_file(answer.record.as_bytes());
    let envelope = envelope.map_err(|error| format!("the record: {error}"))?;
    let decision: Statement<Decision> =
        Statement::from_body(&envelope.body, DECISION_TYPE).map_err(|error| error.to_string())?;
    let Decided::Enrol(enrolled) = decision.predicate.decides else {
        return Err("the record is no enrolment".to_owned());
    };
    let ours = enrolled.agent == answer.agent
        && enrolled.generation == answer.generation
        && enrolled.evidence_key == keys.evidence.public().to_pem()
        && enrolled.statement == Digest::of(statement)
        && enrolled.token == enrolling.token.hash();
    if ours {
        Ok(())
    } else {
        Err("the record enrols somebody else".to_owned())
    }
}

/// The id of the enrolment record, and the head of the ledger that is proven to hold it.
fn proven(answer: &EnrolAnswer) -> Result<(Digest, TreeHead), EnrolError> {
    let key: VerifierKey = answer
        .ledger_key
        .parse()
        .map_err(|error| EnrolError::Answer(format!("key of the ledger: {error}")))?;
    let record = Digest::of(answer.record.as_bytes());
    let nothing = TreeHead {
        size: 0,
        root: Digest::of(b""),
    };
    let own = Own {
        kind: LeafKind::Enrol,
        origin: None,
        id: record,
    };
    Ok((record, answer.receipt.open(&key, &nothing, &[own])?))
}

/// Writes the folder of the new generation.
fn keep(
    enrolling: &Enrolling<'_>,
    keys: &Keys,
    answer: &EnrolAnswer,
    record: Digest,
) -> Result<PathBuf, IdentityError> {
    let folder = enrolling.dir.join(folder_name(answer.generation, &record));
    create_closed(&folder)?;
    let evidence_pem = keys.evidence.to_pem();
    for (name, text) in [
        (EVIDENCE_KEY, evidence_pem.as_str()),
        (TLS_KEY, &keys.tls_pem),
        (CERTIFICATE, &answer.certificate_pem),
        (AUTHORITY, &answer.authority_pem),
        (RECORD, &answer.record),
    ] {
        let path = folder.join(name);
        durable::write(&path, text.as_bytes(), 0o600)
            .map_err(IdentityError::machine("write", &path))?;
    }
    durable::sync_folder(&folder).map_err(IdentityError::machine("sync", &folder))?;
    Ok(folder)
}

/// Makes the new generation the one in force.
fn put_in_force(
    enrolling: &Enrolling<'_>,
    answer: &EnrolAnswer,
    record: Digest,
) -> Result<(), IdentityError> {
    let enrolled = Enrolled {
        agent: answer.agent.clone(),
        generation: answer.generation,
        url: enrolling.url.to_owned(),
        ledger_key: answer.ledger_key.clone(),
        record,
        heartbeat_s: answer.heartbeat_s,
        since: enrolling.now,
    };
    let path = enrolling.dir.join(IDENTITY);
    let json = serde_json::to_vec(&enrolled).map_err(|error| IdentityError::Content {
        path: path.clone(),
        what: error.to_string(),
    })?;
    durable::write(&path, &json, 0o600).map_err(IdentityError::machine("write", &path))
}

#[cfg(test)]
pub(crate) mod tests;
