//! Assessments and drift: of controls and hosts, as of an instant or over a period.

use std::sync::{Arc, PoisonError};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse as _;
use serde::{Deserialize, Serialize};
use shared::cause::chain;
use shared::time::Timestamp;

use super::Answer;
use super::look::HOLDS;
use super::problem::{Kind, Problem};
use crate::assess::{AnswerError, Asked, Desk, Window};
use crate::drift;
use crate::pack;
use crate::report;
use crate::serve::{Intake, said};

/// Where drift is asked for without a beginning, the last week is shown.
const WEEK_MS: i64 = 7 * 86_400_000;
/// Most hosts that are named in one place.
const NAMES_MAX: usize = 100_000;

/// What is asked. Lists are parted by commas.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Question {
    /// Controls: `A.8.13`, `A.8.*`.
    pub control: String,
    /// Hosts: `web-1`, `web-*`.
    pub host: String,
    /// Groups of hosts.
    pub group: String,
    /// As of this instant; without it now.
    pub at: Option<String>,
    /// From when: an instant or a day.
    pub from: Option<String>,
    /// Until when, a day included; without it now.
    pub to: Option<String>,
    /// Most hosts that are named in one place.
    pub names: Option<usize>,
    /// Of drift: leave out what a decision explains.
    pub unexplained: bool,
    /// Of drift as text: the first evidence of a new host check by check.
    pub all: bool,
    /// `json`, `text` or `csv`.
    pub format: Form,
    /// Columns of a text.
    pub width: Option<usize>,
    /// A text with colours.
    pub colour: bool,
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// For programs.
    #[default]
    Json,
    /// For people.
    Text,
    /// For spreadsheets.
    Csv,
}

impl Form {
    const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}

impl Question {
    fn asked(&self) -> Asked {
        let asked = Asked::of(&self.control, &self.host, &self.group);
        Asked {
            names: self.names.unwrap_or(asked.names).min(NAMES_MAX),
            ..asked
        }
    }

    /// The period that is asked for, which ends not after `now`.
    fn window(&self, from: &str, now: Timestamp) -> Result<Window, Problem> {
        let end = now.to_string();
        let to = self.to.as_deref().unwrap_or(&end);
        let period = pack::period(from, to)
            .map_err(|error| Problem::new(Kind::Malformed, chain(&error)).of("from"))?;
        let window = Window {
            from: period.from,
            to: period.to.min(now),
        };
        if window.ms() == 0 {
            let text = format!("from {} to {} is no time", window.from, window.to);
            return Err(Problem::new(Kind::Malformed, text)
                .of("from")
                .hint("a period ends now at the latest"));
        }
        Ok(window)
    }

    fn columns(&self) -> usize {
        self.width.unwrap_or(100).clamp(40, 1000)
    }
}

/// Controls as of an instant, or over a period, and whether nothing fails and nothing is unknown.
///
/// # Errors
///
/// [`Problem`]: the question is wrong, or cannot be answered now.
pub fn assess(
    desk: &Desk<'_>,
    question: &Question,
    now: Timestamp,
) -> Result<(String, bool), Problem> {
    let asked = question.asked();
    let (columns, colour) = (question.columns(), question.colour);
    if let Some(from) = &question.from {
        if question.at.is_some() {
            let text = "an instant and a period cannot be asked for at once";
            return Err(Problem::new(Kind::Malformed, text).of("at"));
        }
        let window = question.window(from, now)?;
        let found = desk.over(&asked, window, now).map_err(problem)?;
        let text = match question.format {
            Form::Json => written(&found)?,
            Form::Text => report::period::screen(&found, columns, colour),
            Form::Csv => report::period::csv(&found),
        };
        return Ok((text, found.holds()));
    }
    if question.to.is_some() {
        let text = "a period needs a beginning";
        return Err(Problem::new(Kind::Malformed, text).of("from"));
    }
    let found = match &question.at {
        None => desk.now(&asked, now),
        Some(at) => desk.at(&asked, instant(at, now)?),
    };
    let found = found.map_err(problem)?;
    let text = match question.format {
        Form::Json => written(&found)?,
        Form::Text => report::assessment::screen(&found, columns, colour),
        Form::Csv => report::assessment::csv(&found),
    };
    Ok((text, found.holds()))
}

/// What changed in a period, the last week where none is given.
///
/// # Errors
///
/// [`Problem`]: the question is wrong, or cannot be answered now.
pub fn drifted(
    desk: &Desk<'_>,
    question: &Question,
    now: Timestamp,
) -> Result<(String, bool), Problem> {
    let week = now.plus_ms(-WEEK_MS).to_string();
    let from = question.from.as_deref().unwrap_or(&week);
    let window = question.window(from, now)?;
    let mut found = drift::over(desk, &question.asked(), window, now).map_err(problem)?;
    if question.unexplained {
        found.entries.retain(|one| one.explained.is_none());
    }
    let text = match question.format {
        Form::Json => written(&found)?,
        Form::Text => {
            let (columns, colour) = (question.columns(), question.colour);
            let shown = report::drift::Shown {
                explained: !question.unexplained,
                first: question.all,
            };
            report::drift::screen(&found, shown, columns, colour)
        }
        Form::Csv => report::drift::csv(&found),
    };
    Ok((text, true))
}

fn instant(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let at: Timestamp = text.parse().map_err(|_form| {
        Problem::new(
            Kind::Malformed,
            format!("`{text}` is no instant with a zone"),
        )
        .of("at")
        .hint("write it as RFC 3339 says: 2026-12-31T18:00:00Z")
    })?;
    if now < at {
        let text = format!("{at} is to come");
        return Err(Problem::new(Kind::Malformed, text)
            .of("at")
            .hint(format!("now is {now}")));
    }
    Ok(at)
}

fn problem(error: AnswerError) -> Problem {
    match error {
        AnswerError::Asked(error) => {
            let part = error.part();
            Problem::new(Kind::Malformed, error).of(part)
        }
        error @ (AnswerError::Status(_)
        | AnswerError::Ledger(_)
        | AnswerError::Population(_)
        | AnswerError::File { .. }) => Problem::new(Kind::Unavailable, chain(&error)),
    }
}

fn written(value: &impl Serialize) -> Result<String, Problem> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| Problem::new(Kind::Unavailable, error))?;
    text.push('\n');
    Ok(text)
}

type Asking = Result<Query<Question>, QueryRejection>;
type Answering = fn(&Desk<'_>, &Question, Timestamp) -> Result<(String, bool), Problem>;

/// `GET /v1/assess`.
pub(super) async fn get_assess(State(intake): State<Arc<Intake>>, asking: Asking) -> Answer {
    answer(intake, asking, assess).await
}

/// `GET /v1/drift`.
pub(super) async fn get_drift(State(intake): State<Arc<Intake>>, asking: Asking) -> Answer {
    answer(intake, asking, drifted).await
}

async fn answer(intake: Arc<Intake>, asking: Asking, answering: Answering) -> Answer {
    let Query(question) =
        asking.map_err(|error| Problem::new(Kind::Malformed, error).of("query"))?;
    let form = question.format;
    // It reads from disk, and others must not wait for it.
    let made = tokio::task::spawn_blocking(move || {
        // A copy, so that nobody who decides waits for it.
        let register = intake.register().clone();
        let status = intake.status.read().unwrap_or_else(PoisonError::into_inner);
        let desk = Desk {
            status: status.as_ref().ok_or_else(said::unavailable)?,
            register: &register,
            ledger: &intake.ledger,
            sla: intake.config.assess.sla_days.into(),
        };
        answering(&desk, &question, intake.now())
    });
    let (text, holds) = made
        .await
        .map_err(|_panicked| Problem::new(Kind::Unavailable, "the collector failed"))??;
    let holds = if holds { "true" } else { "false" };
    let head = [
        (header::CONTENT_TYPE.as_str(), form.media_type()),
        (HOLDS, holds),
    ];
    Ok((head, text).into_response())
}
