//! Who should be there, as of an instant.

use std::sync::{Arc, PoisonError};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use shared::cause::chain;
use shared::time::Timestamp;

use super::Answer;
use super::look::HOLDS;
use super::problem::{Kind, Problem};
use crate::population::{self, Memory};
use crate::serve::{Intake, said};

/// As of when, and in which form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    at: Option<String>,
    #[serde(default)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Csv,
    Text,
}

/// Who should be there.
pub(super) async fn population(
    State(intake): State<Arc<Intake>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Answer {
    let Query(asked) = asked.map_err(|error| Problem::new(Kind::Malformed, error).of("query"))?;
    let now = intake.now();
    let at = match &asked.at {
        None => now,
        Some(text) => instant(text, now)?,
    };
    // It reads from disk, and others must not wait for it.
    let made = tokio::task::spawn_blocking(move || {
        let register = intake.register().at(at);
        let status = intake.status.read().unwrap_or_else(PoisonError::into_inner);
        let status = status.as_ref().ok_or_else(said::unavailable)?;
        let known = (&intake.ledger, status, &register);
        population::look(&mut Memory::default(), known, at)
            .map_err(|error| Problem::new(Kind::Unavailable, chain(&error)))
    });
    let population = made
        .await
        .map_err(|_panicked| Problem::new(Kind::Unavailable, "the collector failed"))??;
    let (text, kind) = match asked.format {
        Format::Json => (population.json(), "application/json"),
        Format::Csv => (population::csv(&population), "text/csv; charset=utf-8"),
        Format::Text => (population.text(), "text/plain; charset=utf-8"),
    };
    let holds = if population.holds() { "true" } else { "false" };
    let head = [(header::CONTENT_TYPE.as_str(), kind), (HOLDS, holds)];
    Ok((head, text).into_response())
}

/// Reads an instant that is not to come.
fn instant(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let wrong = |what: String, hint| Problem::new(Kind::Malformed, what).of("at").hint(hint);
    let at: Timestamp = text.parse().map_err(|_form| {
        let hint = "write it as RFC 3339 says: 2026-12-31T18:00:00Z";
        wrong(format!("`{text}` is no instant with a zone"), hint)
    })?;
    if now < at {
        return Err(wrong(
            format!("`{text}` is to come"),
            "ask about now or before",
        ));
    }
    Ok(at)
}
