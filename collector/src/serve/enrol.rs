//! Enrolment and renewal: a token and two keys in, a certificate and a place in the ledger out.

use std::sync::{Arc, PoisonError};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use shared::attestation::Statement;
use shared::decision::{self, DECISION_TYPE, Decided, Decision, Enrolled as Enrolling, Enrolment};
use shared::id::Digest;
use shared::key;
use shared::leaf::LeafKind;
use shared::wire::{Code, EnrolAnswer, EnrolRequest, NonceAnswer, RenewAnswer, RenewRequest};

use super::answer::{Answer, Enrolled, Wrong, json};
use super::{Intake, submit};
use crate::admit::chain;
use crate::fleet::token::{self, TokenError};
use crate::ledger::{LedgerError, NewEntry, Submission};

/// How long a number for an enrolment can be used.
const NONCE_MS: i64 = 5 * 60 * 1000;
/// Most enrolments under way at once.
const NONCES_MAX: usize = 4096;

/// Gives a number that the new agent must sign.
pub(super) async fn nonce(State(intake): State<Arc<Intake>>) -> Answer<NonceAnswer> {
    let nonce = key::random()
        .map(Digest)
        .map_err(|_unspecified| Wrong::new(Code::Unavailable, "no random bytes", "try again"))?;
    let now = intake.now();
    let mut nonces = intake.nonces.lock().unwrap_or_else(PoisonError::into_inner);
    nonces.retain(|_nonce, until| now < *until);
    if NONCES_MAX <= nonces.len() {
        return Err(Wrong::new(
            Code::Busy,
            "too many enrolments under way",
            "try again",
        ));
    }
    let _new = nonces.insert(nonce, now.plus_ms(NONCE_MS));
    Ok(Json(NonceAnswer { nonce }))
}

/// Enrols a host.
pub(super) async fn enrol(State(intake): State<Arc<Intake>>, body: Body) -> Answer<EnrolAnswer> {
    let request: EnrolRequest = json(body).await?;
    // One at a time, and to the end even when the caller hangs up: the ledger and the fleet must
    // agree on the generation.
    let done = tokio::spawn(async move {
        let _one_at_a_time = intake.enrolling.lock().await;
        enrol_one(&intake, request).await
    });
    done.await.unwrap_or_else(|_panicked| {
        Err(Wrong::new(
            Code::Unavailable,
            "enrolment failed in the collector",
            "try again",
        ))
    })
}

/// Opens the statement of the new agent, and takes its number out of use.
fn claim(intake: &Intake, request: &EnrolRequest) -> Result<Enrolment, Wrong> {
    let (claim, _key) =
        decision::open_enrolment(request.statement.as_bytes()).map_err(|error| {
            Wrong::new(
                Code::Signature,
                "the enrolment statement is refused",
                "update the agent",
            )
            .with(chain(&error))
        })?;
    let known = intake
        .nonces
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .remove(&claim.nonce);
    if known.is_none_or(|until| until <= intake.now()) {
        let title = "the enrolment took too long, or its number is not from this collector";
        return Err(Wrong::new(Code::Token, title, "run the enrolment again"));
    }
    if claim.token != token::hash(&request.token) {
        let title = "the enrolment statement was signed for another token";
        return Err(Wrong::new(Code::Token, title, "run the enrolment again"));
    }
    Ok(claim)
}

async fn enrol_one(intake: &Intake, request: EnrolRequest) -> Answer<EnrolAnswer> {
    let now = intake.now();
    let claim = claim(intake, &request)?;
    let newest = {
        let fleet = intake.fleet.read().unwrap_or_else(PoisonError::into_inner);
        fleet.newest(&claim.agent)
    };
    let generation = newest
        .map_or(0, |stream| stream.generation)
        .saturating_add(1);
    let days = i64::from(intake.config.fleet.certificate_days);
    let (tls_key, certificate_pem) = intake
        .authority
        .issue_agent(&request.request_pem, &claim.agent, generation, (now, days))
        .map_err(refused_request)?;
    if tls_key != claim.tls_key {
        let title = "the signing request is for another key than the enrolment statement names";
        return Err(Wrong::new(
            Code::Signature,
            title,
            "run the enrolment again",
        ));
    }
    let token =
        token::spend(&intake.dir, &request.token, &claim.agent, now).map_err(refused_token)?;
    let statement = request.statement.into_bytes();
    let enrolled = Enrolling {
        agent: claim.agent.clone(),
        generation,
        evidence_key: claim.evidence_key,
        statement: Digest::of(&statement),
        token,
        heartbeat_s: intake.config.fleet.heartbeat_seconds,
    };
    let (record, entered) = decide(
        intake,
        LeafKind::Enrol,
        Decided::Enrol(enrolled),
        vec![statement],
    )
    .await?;
    tracing::info!(agent = %claim.agent, generation, index = entered, "host enrolled");
    Ok(Json(EnrolAnswer {
        agent: claim.agent,
        generation,
        certificate_pem,
        authority_pem: intake.authority.certificate_pem().to_owned(),
        record,
        ledger_key: intake.ledger_key.to_string(),
        receipt: submit::receipt(intake, 0, vec![(entered, None)])?,
        heartbeat_s: intake.config.fleet.heartbeat_seconds,
    }))
}

/// Signs a decision, enters it and lets it take effect. Returns the record and its index.
pub(super) async fn decide(
    intake: &Intake,
    kind: LeafKind,
    decided: Decided,
    blobs: Vec<Vec<u8>>,
) -> Result<(String, u64), Wrong> {
    let now = intake.now();
    let decision = Decision {
        at: now,
        by: format!("collector {}", intake.config.name),
        decides: decided.clone(),
    };
    let subject = blobs
        .iter()
        .map(|blob| shared::attestation::Subject::new("enrolment", Digest::of(blob)))
        .collect();
    let file = Statement::new(DECISION_TYPE, subject, decision)
        .seal(&intake.authority.decisions)
        .map_err(|error| {
            Wrong::new(Code::Malformed, "the decision is too large", "").with(error)
        })?;
    let record = String::from_utf8_lossy(&file).into_owned();
    let id = Digest::of(&file);
    let submission = Submission {
        entries: vec![NewEntry {
            kind,
            stream: None,
            envelope: file,
            received: now,
        }],
        blobs: blobs
            .into_iter()
            .map(|blob| (Digest::of(&blob), blob))
            .collect(),
    };
    let appended = intake.ledger.append(submission).await?;
    let index = appended
        .first()
        .map(|entry| entry.index)
        .ok_or(LedgerError::ReadOnly)?;
    let mut fleet = intake.fleet.write().unwrap_or_else(PoisonError::into_inner);
    fleet.decide(index, id, decided).map_err(|error| {
        Wrong::new(Code::Malformed, "the decision has no effect", "").with(error)
    })?;
    Ok((record, index))
}

/// Renews the certificate of the connection.
pub(super) async fn renew(
    State(intake): State<Arc<Intake>>,
    Enrolled(stream): Enrolled,
    body: Body,
) -> Answer<RenewAnswer> {
    let request: RenewRequest = json(body).await?;
    let valid = (
        intake.now(),
        i64::from(intake.config.fleet.certificate_days),
    );
    let (_tls_key, certificate_pem) = intake
        .authority
        .issue_agent(
            &request.request_pem,
            &stream.agent,
            stream.generation,
            valid,
        )
        .map_err(refused_request)?;
    tracing::info!(agent = %stream.agent, "certificate renewed");
    Ok(Json(RenewAnswer { certificate_pem }))
}

#[expect(clippy::needless_pass_by_value, reason = "the form that map_err wants")]
fn refused_request(error: crate::authority::AuthorityError) -> Wrong {
    Wrong::new(
        Code::Malformed,
        "the signing request is refused",
        "update the agent",
    )
    .with(chain(&error))
}

fn refused_token(error: TokenError) -> Wrong {
    if matches!(error, TokenError::Unknown | TokenError::OtherHost { .. }) {
        let hint = "make a new one with `evident-collector enrol-token`";
        return Wrong::new(Code::Token, "the token is refused", hint).with(error);
    }
    tracing::error!(error = %chain(&error), "tokens cannot be used");
    Wrong::new(
        Code::Unavailable,
        "the collector cannot use its tokens",
        "tell the operator",
    )
}
