//! Enrolment and renewal: a token and two keys in, a certificate and a place in the ledger out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use shared::cause::chain;
use shared::decision::{self, Decided, Enrolled as Enrolling, Enrolment};
use shared::id::Digest;
use shared::key::{self, KeyError};
use shared::time::Timestamp;
use shared::wire::{Code, EnrolAnswer, EnrolRequest, NonceAnswer, RenewAnswer, RenewRequest};

use super::answer::{Answer, Enrolled, Wrong, json};
use super::decide::{self, Author, DecideError, Entered};
use super::{Intake, submit};
use crate::fleet::token::{self, TokenError};

/// How long a number for an enrolment can be used.
const NONCE_MS: i64 = 5 * 60 * 1000;
/// Numbers that new agents must sign. A number proves itself, so asking for many costs nothing:
/// 8 bytes of time, 8 random ones, and 16 that only this process can compute from them.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    secret: OnceLock<[u8; 32]>,
    /// Numbers that enrolled a host and have not ended.
    spent: Mutex<BTreeMap<Digest, Timestamp>>,
}

impl Numbers {
    fn give(&self, now: Timestamp) -> Result<Digest, KeyError> {
        let random: [u8; 8] = key::random()?;
        self.number(now.plus_ms(NONCE_MS).unix_ms(), random)
    }

    fn number(&self, until_ms: i64, random: [u8; 8]) -> Result<Digest, KeyError> {
        let made: [u8; 32] = key::random()?;
        let secret = self.secret.get_or_init(|| made);
        let open = [until_ms.to_be_bytes(), random].concat();
        // All parts have a fixed length and half of the hash is shown, so it cannot be extended.
        let closed = Digest::of(&[&secret[..], &open].concat());
        let mut number = [0; 32];
        for (to, from) in number.iter_mut().zip(open.iter().chain(closed.as_bytes())) {
            *to = *from;
        }
        Ok(Digest(number))
    }

    /// Whether the number was given here, has not ended and has not been spent.
    fn good(&self, number: &Digest, now: Timestamp) -> bool {
        let ([until, random, ..], _rest) = number.as_bytes().as_chunks::<8>() else {
            return false;
        };
        let until_ms = i64::from_be_bytes(*until);
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        now.unix_ms() < until_ms
            && !spent.contains_key(number)
            && self
                .number(until_ms, *random)
                .is_ok_and(|made| made == *number)
    }

    fn spend(&self, number: Digest, now: Timestamp) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        spent.retain(|_number, until| now < *until);
        let _new = spent.insert(number, now.plus_ms(NONCE_MS));
    }
}

/// Gives a number that the new agent must sign.
pub(super) async fn nonce(State(intake): State<Arc<Intake>>) -> Answer<NonceAnswer> {
    let nonce = intake
        .numbers
        .give(intake.now())
        .map_err(|_unspecified| Wrong::new(Code::Unavailable, "no random bytes", "try again"))?;
    Ok(Json(NonceAnswer { nonce }))
}

/// Enrols a host.
pub(super) async fn enrol(State(intake): State<Arc<Intake>>, body: Body) -> Answer<EnrolAnswer> {
    let request: EnrolRequest = json(body).await?;
    // One at a time, and to the end even when the caller hangs up: the ledger and the fleet must
    // agree on the generation.
    let done = tokio::spawn(async move {
        let _one_at_a_time = intake.deciding.lock().await;
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

/// Opens the statement of the new agent.
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
    if !intake.numbers.good(&claim.nonce, intake.now()) {
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
        .as_ref()
        .map_or(0, |stream| stream.generation)
        .saturating_add(1);
    // A token for any host makes a new one; only the operator lets a known one begin again.
    let bound = newest.is_some();
    token::check(&intake.dir, &request.token, &claim.agent, bound, now).map_err(refused_token)?;
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
    intake.numbers.spend(claim.nonce, now);
    let statement = request.statement.into_bytes();
    let enrolled = Enrolling {
        agent: claim.agent.clone(),
        generation,
        evidence_key: claim.evidence_key,
        statement: Digest::of(&statement),
        token: token.sha256(),
        heartbeat_s: intake.config.fleet.heartbeat_seconds,
    };
    let decided = Decided::Enrol(enrolled);
    let by = token.by().map(str::to_owned);
    let by = by.unwrap_or_else(|| format!("collector {}", intake.config.name));
    let author = Author::unsigned(by);
    let made = decide::enter(intake, author, decided, vec![("enrolment", statement)]).await;
    let Entered { record, index, .. } = match made.map_err(Wrong::from) {
        Ok(made) => made,
        Err(wrong) => {
            // Nothing was entered when the ledger is only busy or full: the token is good again.
            if wrong.0.code == Code::Busy
                && let Err(error) = token::give_back(&intake.dir, token, now)
            {
                tracing::error!(error = %chain(&error), "a token is lost");
            }
            return Err(wrong);
        }
    };
    tracing::info!(agent = %claim.agent, generation, index, "host enrolled");
    Ok(Json(EnrolAnswer {
        agent: claim.agent,
        generation,
        certificate_pem,
        authority_pem: intake.authority.certificate_pem().to_owned(),
        record: String::from_utf8_lossy(&record).into_owned(),
        ledger_key: intake.ledger_key.to_string(),
        receipt: submit::receipt(intake, 0, vec![(index, None)])?,
        heartbeat_s: intake.config.fleet.heartbeat_seconds,
    }))
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
    if matches!(
        error,
        TokenError::Unknown | TokenError::OtherHost { .. } | TokenError::Unbound(_)
    ) {
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

impl From<DecideError> for Wrong {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Ledger(error) => error.into(),
            error @ (DecideError::Statement(_)
            | DecideError::Unreadable(_)
            | DecideError::Other
            | DecideError::Fleet(_)) => {
                Self::new(Code::Malformed, "the enrolment cannot be entered", "")
                    .with(chain(&error))
            }
        }
    }
}
