//! The API of the collector: what it knows and what people decide, as JSON over HTTP/1.1.
//!
//! ```text
//! GET  /v1/ledger                        its origin and how many entries it has
//! GET  /v1/status                        which controls hold; `format=text` for a terminal
//! GET  /v1/assess                        controls as of an instant or over a period
//! GET  /v1/drift                         what changed in a period, and what explains it
//! GET  /v1/population                    who should be there; `at`: an instant, `format`:
//!                                        json, csv or text
//! GET  /v1/hosts/{host}                  the newest enrolment of a host
//! GET  /v1/alerts                        open incidents, and how channels do
//! GET  /v1/people                        who may decide, and who could
//! GET  /v1/registers                     every register: its fields, its steps, what it is for
//! GET  /v1/registers/{register}          its records; `at` asks for an instant
//! GET  /v1/registers/{register}/{id}     one record with its history
//!   .. /document                         the file that it names, as it was brought
//! POST /v1/orders                        a decision that nobody signed; local callers alone
//! GET  /v1/catalogue                     which catalogue is in force, with its files
//! POST /v1/orders/catalogue              another one, with its files; local callers alone
//! POST /v1/decisions                     a decision that a person signed, with its files
//! ```
//!
//! A problem is answered as RFC 9457 has it. The router does not know who carries a request but by
//! the [`Caller`] that the listener adds to it, and a signed decision needs none.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::wire::Code;

use super::{Intake, answer};

mod assess;
mod alerts;
pub mod catalogue;
mod look;
mod order;
mod population;
pub mod problem;
pub mod records;

pub use assess::{Form, Question, assess, drifted};
pub use look::{HOLDS, report};
pub use order::{Brought, Done};
use problem::{Kind, Problem};

/// Longest body: documents in base64.
const BODY_BYTES_MAX: usize = 24 * 1024 * 1024;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// Who is at the other end of a connection to the operator's socket.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Its account, as the kernel says.
    pub uid: u32,
    /// The name of the account, if it has one.
    pub name: Option<String>,
}

impl std::fmt::Display for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(f, "uid {} ({name})", self.uid),
            None => write!(f, "uid {}", self.uid),
        }
    }
}

/// An answer, or what is wrong with the request.
type Answer = Result<Response, Problem>;

/// The router of everything that people ask and decide.
pub fn router(intake: &Arc<Intake>) -> Router {
    Router::new()
        .route("/v1/ledger", get(look::ledger))
        .route("/v1/status", get(look::status))
        .route("/v1/assess", get(assess::get_assess))
        .route("/v1/drift", get(assess::get_drift))
        .route("/v1/population", get(population::population))
        .route("/v1/hosts/{host}", get(look::host))
        .route("/v1/alerts", get(alerts::list))
        .route("/v1/people", get(records::people))
        .route("/v1/registers", get(records::registers))
        .route("/v1/registers/{register}", get(records::register))
        .route("/v1/registers/{register}/{id}", get(records::record))
        .route(
            "/v1/registers/{register}/{id}/document",
            get(records::document),
        )
        .route("/v1/catalogue", get(catalogue::known))
        .route("/v1/orders", post(order::order))
        .route("/v1/orders/catalogue", post(catalogue::order))
        .route("/v1/decisions", post(order::decide))
        .fallback(not_found)
        .method_not_allowed_fallback(no_such_method)
        .layer(axum::middleware::from_fn(in_time))
        .with_state(Arc::clone(intake))
}

async fn not_found(request: Request) -> Problem {
    let path = format!("there is no `{}`", request.uri().path());
    Problem::new(Kind::NotFound, path).of("path")
}

async fn no_such_method(request: Request) -> Problem {
    let (method, path) = (request.method(), request.uri().path());
    Problem::new(Kind::Method, format!("`{path}` takes no {method}")).of("method")
}

/// Ends a request that takes too long.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => Problem::new(Kind::Busy, "the request took more than a minute")
            .hint("a decision may still be entered: look before you try again")
            .into_response(),
    }
}

/// Reads a JSON body.
async fn body<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    let whole = answer::bytes(body, BODY_BYTES_MAX).await.map_err(|wrong| {
        let kind = if wrong.0.code == Code::TooLarge {
            Kind::TooLarge
        } else {
            Kind::Malformed
        };
        let detail = wrong.0.detail.unwrap_or(wrong.0.title);
        Problem::new(kind, detail).of("body")
    })?;
    serde_json::from_slice(&whole).map_err(|error| Problem::new(Kind::Malformed, error).of("body"))
}

/// An answer in JSON.
fn json(value: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(value).map_err(|error| Problem::new(Kind::Unavailable, error))?;
    let head = [(header::CONTENT_TYPE, "application/json")];
    Ok((StatusCode::OK, head, body).into_response())
}
