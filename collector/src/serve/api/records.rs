//! What people decided, to be read: who may decide, the registers and their records.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse as _;
use serde::{Deserialize, Serialize};
use shared::id::Digest;
use shared::key::PublicKey;
use shared::time::Timestamp;

use super::problem::{Kind as Wrong, Problem};
use super::{Answer, json};
use crate::fault::nearest;
use crate::register::{self, FieldKind, Ids, KINDS, Kind, Record, Register, StepKind, Who};
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

impl AsOf {
    /// The instant that is asked for, or now.
    fn instant(at: &At, now: Timestamp) -> Timestamp {
        let asked = at.as_ref().ok().and_then(|Query(asked)| asked.at.as_ref());
        asked.and_then(|at| at.parse().ok()).unwrap_or(now)
    }
}

type At = Result<Query<AsOf>, QueryRejection>;

/// Does something with the registers as of the instant that is asked for.
fn read<T>(intake: &Intake, at: At, take: impl FnOnce(&Register) -> T) -> Result<T, Problem> {
    let Query(AsOf { at }) =
        at.map_err(|error| Problem::new(Wrong::Malformed, error).of("query"))?;
    let register = intake.register();
    let Some(at) = at else {
        return Ok(take(&register));
    };
    let instant: Timestamp = at.parse().map_err(|_form| {
        Problem::new(
            Wrong::Malformed,
            format!("`{at}` is no instant with a zone"),
        )
        .of("at")
        .hint("write it as RFC 3339 says: 2026-12-31T18:00:00Z")
    })?;
    Ok(take(&register.at(instant)))
}

/// Who may decide, and who could.
pub(super) async fn people(State(intake): State<Arc<Intake>>, at: At) -> Answer {
    let people: Vec<PersonShown> = read(&intake, at, |register| {
        let people = register.people();
        people
            .map(|person| PersonShown {
                id: person.id.to_string(),
                name: person.name.clone(),
                email: person.email.clone(),
                key: person.key.clone(),
                key_id: PublicKey::from_pem(&person.key).ok().map(|key| key.id()),
                active: person.active,
            })
            .collect()
    })?;
    json(&people)
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
    let instant = AsOf::instant(&at, intake.now());
    read(&intake, at, |register| {
        let records = register.records(kind.name).into_iter();
        json(&RegisterShown {
            register: kind.name,
            next_id: register.next_id(kind),
            records: records
                .map(|record| RecordShown {
                    record,
                    standing: register.standing(kind.name, record, instant),
                })
                .collect(),
        })
    })?
}

/// One record with its history.
pub(super) async fn record(
    State(intake): State<Arc<Intake>>,
    Path((name, id)): Path<(String, String)>,
    at: At,
) -> Answer {
    let kind = known(&name)?;
    let instant = AsOf::instant(&at, intake.now());
    read(&intake, at, |register| {
        let record = one(kind, &id, register)?;
        let standing = register.standing(kind.name, record, instant);
        json(&RecordShown { record, standing })
    })?
}

/// The file that a record names, as it was brought.
pub(super) async fn document(
    State(intake): State<Arc<Intake>>,
    Path((name, id)): Path<(String, String)>,
    at: At,
) -> Answer {
    let kind = known(&name)?;
    let digest = read(&intake, at, |register| {
        let named = kind.document().map(|field| field.name);
        let text = one(kind, &id, register)?.text(named.unwrap_or_default());
        let digest = text.and_then(|text| text.parse::<Digest>().ok());
        digest.ok_or_else(|| {
            Problem::new(Wrong::NotFound, format!("`{id}` names no file")).of("document")
        })
    })??;
    let bytes = intake.ledger.blob(&digest).ok().flatten();
    let missing = || {
        let what = format!("the file {digest} is not in the ledger");
        Problem::new(Wrong::NotFound, what).of("document")
    };
    let kind = [(CONTENT_TYPE, "application/octet-stream")];
    Ok((kind, bytes.ok_or_else(missing)?).into_response())
}

/// The record of this id.
fn one<'a>(kind: &Kind, id: &str, register: &'a Register) -> Result<&'a Record, Problem> {
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
