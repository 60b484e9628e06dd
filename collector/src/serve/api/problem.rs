//! What is wrong with a request to the API, as RFC 9457 has it.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use shared::cause::chain;

use crate::ledger::LedgerError;
use crate::serve::decide::DecideError;

/// Media type of a problem. Source: RFC 9457 section 3.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// What kind of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request is not what is wanted here.
    Malformed,
    /// Whoever asks may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// The path takes no such method.
    Method,
    /// Larger than a limit.
    TooLarge,
    /// It is understood, and a rule refuses it.
    Refused,
    /// A signature does not hold, or not here and now.
    Signature,
    /// It was decided already.
    Replayed,
    /// It takes too long, or too much waits.
    Busy,
    /// The collector cannot do it now.
    Unavailable,
}

impl Kind {
    /// The status, the last word of the type, and the title.
    const fn words(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed => (
                StatusCode::BAD_REQUEST,
                "malformed",
                "the request is not understood",
            ),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "this may not be asked"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not-found", "not found"),
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method",
                "the path takes no such method",
            ),
            Self::TooLarge => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                "the request is too large",
            ),
            Self::Refused => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "refused",
                "refused; nothing was changed",
            ),
            Self::Signature => (
                StatusCode::FORBIDDEN,
                "signature",
                "the statement does not hold here; nothing was changed",
            ),
            Self::Replayed => (
                StatusCode::CONFLICT,
                "replayed",
                "this was decided already; nothing was changed",
            ),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "the collector has too much to do",
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "the collector cannot do this now",
            ),
        }
    }
}

/// The problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}", .0.detail)]
#[serde(transparent)]
pub struct Problem(pub Box<Members>);

/// The members of a problem. Source: RFC 9457 section 3.1; `operand` and `hint` are our own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Members {
    /// `urn:evident:problem:` and the kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// What is wrong.
    pub detail: String,
    /// The field, option, id or part that is wrong; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub operand: String,
    /// What can be done; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hint: String,
}

impl Problem {
    /// A problem of this kind.
    pub fn new(kind: Kind, detail: impl std::fmt::Display) -> Self {
        let (status, word, title) = kind.words();
        Self(Box::new(Members {
            kind: format!("urn:evident:problem:{word}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.to_string(),
            operand: String::new(),
            hint: String::new(),
        }))
    }

    /// The same of this operand.
    #[must_use]
    pub fn of(mut self, operand: &str) -> Self {
        operand.clone_into(&mut self.0.operand);
        self
    }

    /// The same with what can be done.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = hint.into();
        self
    }

    /// It is understood, and a rule refuses it.
    pub fn refused(operand: &str, detail: impl std::fmt::Display) -> Self {
        Self::new(Kind::Refused, detail).of(operand)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::BAD_REQUEST);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, Body::from(body)).into_response();
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        drop(
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, media_type),
        );
        response
    }
}

impl From<LedgerError> for Problem {
    fn from(error: LedgerError) -> Self {
        if matches!(error, LedgerError::Busy) {
            return Self::new(Kind::Busy, error).hint("try again");
        }
        if matches!(error, LedgerError::Length { .. }) {
            return Self::new(Kind::TooLarge, error);
        }
        tracing::error!(error = %chain(&error), "the ledger takes or gives nothing");
        Self::new(Kind::Unavailable, chain(&error)).hint("the log of the collector says more")
    }
}

impl From<DecideError> for Problem {
    fn from(error: DecideError) -> Self {
        match error {
            DecideError::Ledger(error) => error.into(),
            error @ (DecideError::Statement(_)
            | DecideError::Unreadable(_)
            | DecideError::Other
            | DecideError::Fleet(_)) => Self::new(Kind::Refused, chain(&error)),
        }
    }
}
