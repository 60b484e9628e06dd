//! How the intake answers: JSON, or a problem as RFC 9457 has it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use shared::limits;
use shared::wire::{Code, Problem};

use super::{Intake, Peer};
use crate::fleet::Stream;
use crate::ledger::LedgerError;

/// Longest body that is read to be thrown away.
const DISCARDED_BYTES_MAX: usize = 4 * limits::REQUEST_BYTES_MAX;

/// An answer, or what is wrong with the request.
pub(super) type Answer<T> = Result<axum::Json<T>, Wrong>;

/// What is wrong with a request.
#[derive(Debug)]
pub(super) struct Wrong(pub(super) Box<Problem>);

impl Wrong {
    /// A problem of this kind, said in one line, with what the reader can do.
    pub(super) fn new(code: Code, title: &str, hint: &str) -> Self {
        Self(Box::new(Problem {
            code,
            status: status(code).as_u16(),
            title: title.to_owned(),
            detail: None,
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
            missing: Vec::new(),
        }))
    }

    /// The same with the operands.
    pub(super) fn with(mut self, detail: impl std::fmt::Display) -> Self {
        self.0.detail = Some(detail.to_string());
        self
    }
}

/// The HTTP status of a kind of problem.
const fn status(code: Code) -> StatusCode {
    match code {
        Code::Certificate | Code::UnknownHost | Code::Revoked | Code::Token => {
            StatusCode::FORBIDDEN
        }
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Malformed | Code::Encoding => StatusCode::BAD_REQUEST,
        Code::Busy | Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::ForeignStream
        | Code::Signature
        | Code::Chain
        | Code::Fork
        | Code::Quarantined
        | Code::MissingBlobs
        | Code::Content
        | Code::Clock => StatusCode::UNPROCESSABLE_ENTITY,
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::BAD_REQUEST);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, Body::from(body)).into_response();
        let headers = response.headers_mut();
        let problem = HeaderValue::from_static("application/problem+json");
        drop(headers.insert(header::CONTENT_TYPE, problem));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            drop(headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5")));
        }
        let _none_before = response.extensions_mut().insert(self.0.code);
        response
    }
}

impl From<LedgerError> for Wrong {
    fn from(error: LedgerError) -> Self {
        if matches!(error, LedgerError::Busy) {
            return Self::new(Code::Busy, "the collector has too much to do", "try again");
        }
        // What is wrong with the disk is for the log; the agent keeps everything and comes back.
        tracing::error!(error = %error, "the ledger takes nothing");
        Self::new(
            Code::Unavailable,
            "the collector cannot store anything now",
            "try again later",
        )
    }
}

/// Ends a request that takes too long, and counts every problem.
pub(super) async fn in_time(
    State(intake): State<Arc<Intake>>,
    request: Request,
    next: Next,
) -> Response {
    let limit = Duration::from_secs(intake.config.intake.request_seconds);
    let response = match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => {
            Wrong::new(Code::Busy, "the request took too long", "try again").into_response()
        }
    };
    if let Some(code) = response.extensions().get::<Code>() {
        intake.counters.count(code.as_str());
    }
    response
}

/// Answers paths and methods that do not exist.
pub(super) async fn not_found() -> Wrong {
    Wrong::new(
        Code::NotFound,
        "there is no such path or method",
        "update the agent",
    )
}

/// The stream of the agent at the other end, which is enrolled and not ended.
#[derive(Debug)]
pub(super) struct Enrolled(pub(super) Arc<Stream>);

impl FromRequestParts<Arc<Intake>> for Enrolled {
    type Rejection = Wrong;

    async fn from_request_parts(
        parts: &mut Parts,
        intake: &Arc<Intake>,
    ) -> Result<Self, Self::Rejection> {
        let Some(Peer(Some((agent, generation)))) = parts.extensions.get::<Peer>() else {
            let title = "the connection carries no certificate of an agent";
            return Err(Wrong::new(Code::Certificate, title, "enrol this host"));
        };
        intake.enrolled(agent, *generation).map(Self)
    }
}

/// Reads a body of at most `bytes_max` bytes.
///
/// A longer one is read to its end and thrown away, within [`DISCARDED_BYTES_MAX`]: who still sends
/// does not see an answer.
pub(super) async fn bytes(mut body: Body, bytes_max: usize) -> Result<Vec<u8>, Wrong> {
    let (mut whole, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Wrong::new(Code::Malformed, "the request was cut", "try again").with(error)
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        length = length.saturating_add(data.len());
        if length <= bytes_max {
            whole.extend_from_slice(&data);
        } else if length <= DISCARDED_BYTES_MAX {
            whole = Vec::new();
        } else {
            break;
        }
    }
    if length <= bytes_max {
        return Ok(whole);
    }
    Err(Wrong::new(
        Code::TooLarge,
        "the request is too large",
        "send less at once",
    )
    .with(format_args!("at most {bytes_max} bytes")))
}

/// Reads a JSON body of at most one blob's size.
pub(super) async fn json<T: DeserializeOwned>(body: Body) -> Result<T, Wrong> {
    let bytes = bytes(body, limits::BLOB_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Wrong::new(
            Code::Malformed,
            "the request is not the JSON that is wanted",
            "update the agent",
        )
        .with(error)
    })
}
