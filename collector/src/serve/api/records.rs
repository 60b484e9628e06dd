//! What people decided, to be read: who may decide, the registers and their records.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::id::Digest;
use shared::key::PublicKey;
use shared::time::Timestamp;

use super::problem::{Kind as Wrong, Problem};
use super::{Answer, json};
use crate::fault::nearest;
use crate::register::{
    self, Changed, FieldKind, Ids, KINDS, Kind, Record, Register, StepKind, Who,
};
use crate::serve::Intake;

/// As of when.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AsOf {
    at: Option<String>,
}

/// A person who may decide, or could.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonShown {
    /// The short name.
    pub id: String,
    /// The whole name.
    pub name: String,
    /// The address for mail; may be empty.
    pub email: String,
    /// The key in PEM.
    pub key: String,
    /// The id of the key; `None` when it is none.
    pub key_id: Option<Digest>,
    /// May decide.
    pub active: bool,
    /// What was said of the person, by whom and when; the first makes the person known.
    pub history: Vec<Changed>,
}

/// A register with its records.
#[derive(Clone, Debug, Serialize)]
pub struct RegisterShown<'a> {
    /// Its name.
    pub register: &'a str,
    /// The id that the next record gets; absent where people name records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_id: Option<String>,
    /// The records in the order in which they were made.
    pub records: Vec<RecordShown<'a>>,
}

/// A record, and how it stands as of the instant that is asked for.
#[derive(Clone, Debug, Serialize)]
pub struct RecordShown<'a> {
    /// The record.
    #[serde(flatten)]
    pub record: &'a Record,
    /// Its state, and what time or other records made of it: `approved, ended 2026-12-31`.
    pub standing: String,
}

type At = Result<Query<AsOf>, QueryRejection>;

/// The registers as of the instant that is asked for.
fn as_of<'a>(register: &'a Register, at: Option<&str>) -> Result<Cow<'a, Register>, Problem> {
    let Some(at) = at else {
        return Ok(Cow::Borrowed(register));
    };
    let instant: Timestamp = at.parse().map_err(|_form| {
        Problem::new(
            Wrong::Malformed,
            format!("`{at}` is no instant with a zone"),
        )
        .of("at")
        .hint("write it as RFC 3339 says: 2026-12-31T18:00:00Z")
    })?;
    Ok(Cow::Owned(register.at(instant)))
}

fn instant(at: At) -> Result<Option<String>, Problem> {
    let Query(AsOf { at }) =
        at.map_err(|error| Problem::new(Wrong::Malformed, error).of("query"))?;
    Ok(at)
}

fn value(shown: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(shown).map_err(|error| Problem::new(Wrong::Unavailable, error))
}

/// A register with its records as of an instant; without one now.
///
/// # Errors
///
/// [`Problem`]: the instant is none.
pub fn listed(
    register: &Register,
    kind: &Kind,
    at: Option<&str>,
    now: Timestamp,
) -> Result<Value, Problem> {
    let register = as_of(register, at)?;
    let records = register.records(kind.name).into_iter();
    value(&RegisterShown {
        register: kind.name,
        next_id: register.next_id(kind),
        records: records
            .map(|record| shown(&register, kind, record, at, now))
            .collect(),
    })
}

fn shown<'a>(
    register: &Register,
    kind: &Kind,
    record: &'a Record,
    at: Option<&str>,
    now: Timestamp,
) -> RecordShown<'a> {
    let instant = at.and_then(|at| at.parse().ok()).unwrap_or(now);
    let standing = register.standing(kind.name, record, instant);
    RecordShown { record, standing }
}

/// A record with its history as of an instant; without one now.
///
/// # Errors
///
/// [`Problem`]: the instant is none, or there was no such record.
pub fn whole(
    register: &Register,
    (kind, id): (&Kind, &str),
    at: Option<&str>,
    now: Timestamp,
) -> Result<Value, Problem> {
    let register = as_of(register, at)?;
    let record = one(&register, kind, id)?;
    value(&shown(&register, kind, record, at, now))
}

fn one<'a>(register: &'a Register, kind: &Kind, id: &str) -> Result<&'a Record, Problem> {
    register.record(kind.name, id).ok_or_else(|| {
        let records = register.records(kind.name);
        let ids = records.iter().map(|record| record.id.as_str());
        let hint = if records.is_empty() {
            "the register was empty then".to_owned()
        } else {
            nearest(id, ids)
        };
        Problem::new(Wrong::NotFound, format!("there is no {} `{id}`", kind.name))
            .of("id")
            .hint(hint)
    })
}

/// Who may decide, and who could.
pub(super) async fn people(State(intake): State<Arc<Intake>>, at: At) -> Answer {
    let at = instant(at)?;
    let register = intake.register();
    let register = as_of(&register, at.as_deref())?;
    let people = register.people().map(|person| PersonShown {
        id: person.id.to_string(),
        name: person.name.clone(),
        email: person.email.clone(),
        key: person.key.clone(),
        key_id: PublicKey::from_pem(&person.key).ok().map(|key| key.id()),
        active: person.active,
        history: register.said_of(&person.id),
    });
    json(&people.collect::<Vec<_>>())
}

/// A register by its name.
fn known(name: &str) -> Result<&'static Kind, Problem> {
    register::kind(name).ok_or_else(|| {
        let names = KINDS.iter().map(|kind| kind.name);
        Problem::new(Wrong::NotFound, format!("there is no register `{name}`"))
            .of("register")
            .hint(nearest(name, names))
    })
}

/// One register with its records.
pub(super) async fn register(
    State(intake): State<Arc<Intake>>,
    Path(name): Path<String>,
    at: At,
) -> Answer {
    let kind = known(&name)?;
    let (at, now) = (instant(at)?, intake.now());
    json(&listed(&intake.register(), kind, at.as_deref(), now)?)
}

/// One record with its history.
pub(super) async fn record(
    State(intake): State<Arc<Intake>>,
    Path((name, id)): Path<(String, String)>,
    at: At,
) -> Answer {
    let kind = known(&name)?;
    let (at, now) = (instant(at)?, intake.now());
    let register = intake.register();
    json(&whole(&register, (kind, &id), at.as_deref(), now)?)
}

/// The file that a record names, as it was brought.
pub(super) async fn document(
    State(intake): State<Arc<Intake>>,
    Path((name, id)): Path<(String, String)>,
    at: At,
) -> Answer {
    let (kind, at) = (known(&name)?, instant(at)?);
    let digest = {
        let register = intake.register();
        let register = as_of(&register, at.as_deref())?;
        let named = kind.document().map(|field| field.name);
        let text = one(&register, kind, &id)?.text(named.unwrap_or_default());
        let digest = text.and_then(|text| text.parse::<Digest>().ok());
        digest.ok_or_else(|| {
            Problem::new(Wrong::NotFound, format!("`{id}` names no file")).of("document")
        })?
    };
    let bytes = intake.ledger.blob(&digest).ok().flatten();
    let missing = || {
        let what = format!("the file {digest} is not in the ledger");
        Problem::new(Wrong::NotFound, what).of("document")
    };
    let kind = [(CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, bytes.ok_or_else(missing)?).into_response())
}

/// Every register: its fields, its steps, what it is for.
pub(super) async fn registers() -> Answer {
    let kinds: Vec<KindShown> = KINDS.iter().map(|kind| KindShown::of(kind)).collect();
    json(&kinds)
}

/// A register as programs read it.
#[derive(Serialize)]
struct KindShown {
    register: &'static str,
    title: &'static str,
    about: &'static str,
    source: &'static str,
    /// What comes before the number of a record; absent where people name records.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<&'static str>,
    fields: Vec<FieldShown>,
    steps: Vec<StepShown>,
    example: &'static str,
}

#[derive(Serialize)]
struct FieldShown {
    name: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    many: bool,
    about: &'static str,
    /// What may stand in it, where that is a list.
    #[serde(skip_serializing_if = "<[&str]>::is_empty")]
    words: &'static [&'static str],
    /// The register that its records are in.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    least: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    most: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
}

#[derive(Serialize)]
struct StepShown {
    name: &'static str,
    about: &'static str,
    makes: bool,
    from: Vec<&'static str>,
    to: &'static str,
    must: &'static [&'static str],
    may: &'static [&'static str],
    who: Vec<String>,
}

impl KindShown {
    fn of(kind: &'static Kind) -> Self {
        Self {
            register: kind.name,
            title: kind.title,
            about: kind.about,
            source: kind.source,
            prefix: match kind.ids {
                Ids::Numbered(prefix) => Some(prefix),
                Ids::Named => None,
            },
            fields: kind.fields.iter().map(FieldShown::of).collect(),
            steps: kind.steps.iter().map(StepShown::of).collect(),
            example: kind.example,
        }
    }
}

impl FieldShown {
    fn of(field: &'static register::Field) -> Self {
        let mut shown = Self {
            name: field.name,
            kind: word(field.kind),
            many: field.many,
            about: field.about,
            words: &[],
            of: None,
            least: None,
            most: None,
            unit: None,
        };
        if let FieldKind::Choice(words) = field.kind {
            shown.words = words;
        }
        if let FieldKind::Record(of) = field.kind {
            shown.of = Some(of);
        }
        if let FieldKind::Number { least, most, unit } = field.kind {
            (shown.least, shown.most, shown.unit) = (Some(least), Some(most), Some(unit));
        }
        shown
    }
}

impl StepShown {
    fn of(step: &'static StepKind) -> Self {
        Self {
            name: step.name,
            about: step.about,
            makes: step.makes(),
            from: step
                .from
                .iter()
                .copied()
                .filter(|state| *state != register::NEW)
                .collect(),
            to: step.to,
            must: step.must,
            may: step.may,
            who: step.who.iter().map(who).collect(),
        }
    }
}

/// Who may take a step, in words.
#[must_use]
pub fn who(who: &Who) -> String {
    match who {
        Who::Is(field) => format!("the {field}"),
        Who::IsNot(field) => format!("not the {field}"),
        Who::DidNot(step) => format!("not who took the step `{step}`"),
        Who::NeverWas(field) => format!("nobody who ever was the {field}"),
        Who::Never(step) => format!("nobody who ever took the step `{step}`"),
    }
}

/// The word for the type of a field.
const fn word(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "text",
        FieldKind::Number { .. } => "number",
        FieldKind::Instant => "instant",
        FieldKind::Day => "day",
        FieldKind::Days => "days",
        FieldKind::Choice(_) => "choice",
        FieldKind::Person => "person",
        FieldKind::Control => "control",
        FieldKind::Requirement => "requirement",
        FieldKind::Check => "check",
        FieldKind::Host => "host",
        FieldKind::Machine => "machine",
        FieldKind::Group => "group",
        FieldKind::Record(_) => "record",
        FieldKind::Evidence => "evidence",
        FieldKind::Document => "document",
    }
}
