//! What stands in the fields of a step, held to the declaration of the register.

use std::collections::BTreeMap;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use shared::decision::{Step, Value};
use shared::id::{AgentId, Digest, PersonId};
use shared::limits;
use shared::time::Timestamp;
use shared::words::{self, WordsError};

use super::kind::{Field, FieldKind, Kind, Refusal, StepKind};
use super::{Pattern, Register, Terms};
use crate::catalog::edition;
use crate::catalog::reference::Reference;
use crate::fault::nearest;

/// The clauses of ISO/IEC 27001:2022. A step may name hundreds of requirements, and nobody else
/// decides meanwhile, so the tables are not read for each of them.
static CLAUSES: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let known = Reference::embedded().map(|known| known.clauses);
    let clauses = known.unwrap_or_default().into_iter();
    clauses.map(|clause| clause.id).collect()
});
/// Most values in a list.
const VALUES_MAX: usize = 512;

/// Holds the fields of a step to their declaration.
pub(super) fn check(
    kind: &Kind,
    known: &StepKind,
    step: &Step,
    register: &Register,
    terms: &Terms<'_>,
) -> Result<(), Refusal> {
    let allowed = || known.must.iter().chain(known.may).copied();
    for (name, value) in &step.fields {
        let field = allowed().find(|allowed| allowed == name);
        let Some(field) = field.and_then(|name| kind.field(name)) else {
            let problem = format!("`{}` of `{}` takes no such field", step.step, kind.name);
            return Err(Refusal::new(name, problem).hint(nearest(name, allowed())));
        };
        shape(field, value)?;
        for text in texts(value) {
            one(field, text, register, terms)?;
        }
    }
    let missing = known
        .must
        .iter()
        .find(|name| !step.fields.contains_key(**name));
    match missing {
        Some(name) => {
            let about = kind.field(name).map_or("", |field| field.about);
            Err(Refusal::new(name, "it must be given").hint(about))
        }
        None => Ok(()),
    }
}

/// Looks once more at what an approval lets in: the owner may have left since it was proposed, or
/// the group have ended.
pub(super) fn check_again(
    kind: &Kind,
    step: &StepKind,
    fields: &BTreeMap<String, Value>,
    register: &Register,
    terms: &Terms<'_>,
) -> Result<(), Refusal> {
    if step.name != "approve" {
        return Ok(());
    }
    let again = |field: &&Field| field.name == "owner" || field.kind == FieldKind::Group;
    for field in kind.fields.iter().filter(again) {
        for text in fields.get(field.name).map_or(&[][..], texts) {
            one(field, text, register, terms)?;
        }
    }
    Ok(())
}

/// Whether the value is of the type that the field has.
fn shape(field: &Field, value: &Value) -> Result<(), Refusal> {
    let wrong = |what: &str| Err(Refusal::new(field.name, format!("{what} is wanted")));
    match (field.kind, value) {
        (FieldKind::Number { least, most, unit }, Value::Number(number)) => {
            if (least..=most).contains(number) {
                return Ok(());
            }
            wrong(&format!("a number of {unit} from {least} to {most}"))
        }
        (FieldKind::Number { .. }, _) => wrong("a whole number"),
        (_, Value::List(values)) if field.many => {
            if values.is_empty() || VALUES_MAX < values.len() {
                return wrong(&format!("a list of 1 to {VALUES_MAX} values"));
            }
            Ok(())
        }
        (_, Value::Text(_)) if !field.many => Ok(()),
        (_, Value::List(_) | Value::Text(_) | Value::Flag(_) | Value::Number(_)) if field.many => {
            wrong("a list of texts")
        }
        (_, Value::List(_) | Value::Flag(_) | Value::Number(_) | Value::Text(_)) => {
            wrong("one text")
        }
    }
}

fn texts(value: &Value) -> &[String] {
    match value {
        Value::Text(text) => std::slice::from_ref(text),
        Value::List(texts) => texts,
        Value::Flag(_) | Value::Number(_) => &[],
    }
}

/// Holds one text to the kind of its field.
fn one(field: &Field, text: &str, register: &Register, terms: &Terms<'_>) -> Result<(), Refusal> {
    let refused = |problem: String| Refusal::new(field.name, problem);
    let held = words::lines(text, limits::TEXT_BYTES_MAX);
    // `*` says something where machines are named.
    let nothing = held == Err(WordsError::Nothing) && field.kind != FieldKind::Text;
    if let Err(error) = held
        && !nothing
    {
        return Err(refused(error.to_string()).hint(match error {
            WordsError::Nothing => "say it in words that an auditor can check",
            WordsError::Long { .. } => "put more into a document",
            WordsError::Hidden(_) => "leave that sign out",
        }));
    }
    let wrong = written(field.kind, text);
    if let Some((problem, hint)) = wrong {
        return Err(refused(problem).hint(hint));
    }
    match field.kind {
        FieldKind::Text
        | FieldKind::Number { .. }
        | FieldKind::Instant
        | FieldKind::Day
        | FieldKind::Days
        | FieldKind::Machine
        | FieldKind::Choice(_) => Ok(()),
        FieldKind::Person => person(field, text, register),
        FieldKind::Requirement if is_clause(text) => Ok(()),
        FieldKind::Control | FieldKind::Requirement => control(field, text, terms),
        FieldKind::Check => check_id(field, text, terms),
        FieldKind::Host => host(field, text, terms),
        FieldKind::Group => group(field, text, register),
        FieldKind::Record(of) => record(field, of, text, register),
        FieldKind::Evidence => match text.parse::<Digest>() {
            Ok(id) if (terms.has_record)(&id) => Ok(()),
            Ok(_id) => Err(refused(format!("the ledger has no record `{text}`"))
                .hint("take the ids from `assess`, `drift` or `status --format json`")),
            Err(error) => Err(refused(error.to_string())),
        },
        FieldKind::Document => match text.parse::<Digest>() {
            Ok(id) if (terms.document)(&id).is_some() => Ok(()),
            Ok(_id) => Err(refused("the file was not given with it".to_owned())),
            Err(error) => Err(refused(error.to_string())),
        },
    }
}

/// What is wrong in the way a text is written, and what to write; `None` when nothing is.
fn written(kind: FieldKind, text: &str) -> Option<(String, String)> {
    let (wrong, problem, hint) = match kind {
        FieldKind::Machine => (
            Pattern::new(text).is_none(),
            format!("`{text}` is no name of hosts"),
            "write a name, or several with `*`: web-*".to_owned(),
        ),
        FieldKind::Instant => (
            text.parse::<Timestamp>().is_err(),
            format!("`{text}` is no instant with a zone"),
            "write it as RFC 3339 says: 2026-12-31T18:00:00Z or 2026-12-31T18:00:00+01:00"
                .to_owned(),
        ),
        FieldKind::Day => (
            day(text).is_none(),
            format!("`{text}` is no day"),
            "write it as 2026-12-31".to_owned(),
        ),
        FieldKind::Days => (
            days_ms(text).is_none(),
            format!("`{text}` is no number of days"),
            "write it as 90d".to_owned(),
        ),
        FieldKind::Choice(words) => (
            !words.contains(&text),
            format!("`{text}` is none of its words"),
            format!("they are: {}", words.join(", ")),
        ),
        FieldKind::Text
        | FieldKind::Number { .. }
        | FieldKind::Person
        | FieldKind::Control
        | FieldKind::Requirement
        | FieldKind::Check
        | FieldKind::Host
        | FieldKind::Group
        | FieldKind::Record(_)
        | FieldKind::Evidence
        | FieldKind::Document => return None,
    };
    wrong.then_some((problem, hint))
}

fn check_id(field: &Field, text: &str, terms: &Terms<'_>) -> Result<(), Refusal> {
    let ids = || terms.catalog.checks().map(|check| check.id.as_str());
    if ids().any(|id| id == text) {
        return Ok(());
    }
    let problem = format!("no check `{text}` is in force");
    Err(Refusal::new(field.name, problem).hint(nearest(text, ids())))
}

fn person(field: &Field, text: &str, register: &Register) -> Result<(), Refusal> {
    let id = text.parse::<PersonId>();
    let person = id.as_ref().ok().and_then(|id| register.person(id));
    match person {
        Some(person) if person.active => Ok(()),
        Some(person) => Err(Refusal::new(
            field.name,
            format!("{} has left", person.name),
        )),
        None => {
            let known = register.people().map(|person| person.id.as_str());
            Err(
                Refusal::new(field.name, format!("nobody is known as `{text}`"))
                    .hint(nearest(text, known)),
            )
        }
    }
}

fn control(field: &Field, text: &str, terms: &Terms<'_>) -> Result<(), Refusal> {
    match edition::unknown(text, terms.catalog.controls()) {
        None => Ok(()),
        Some((problem, hint)) => Err(Refusal::new(field.name, problem).hint(hint)),
    }
}

fn host(field: &Field, text: &str, terms: &Terms<'_>) -> Result<(), Refusal> {
    let Some(pattern) = Pattern::new(text) else {
        return Err(
            Refusal::new(field.name, format!("`{text}` is no name of hosts"))
                .hint("write a name, or several with `*`: web-*"),
        );
    };
    let known = || terms.hosts.iter().map(AgentId::as_str);
    if pattern.is_name() && !known().any(|host| host == text) {
        return Err(
            Refusal::new(field.name, format!("no host was ever enrolled as `{text}`"))
                .hint(nearest(text, known())),
        );
    }
    Ok(())
}

fn group(field: &Field, text: &str, register: &Register) -> Result<(), Refusal> {
    record(field, "group", text, register)?;
    let ended = |group: &super::Record| group.state != "defined";
    if register.record("group", text).is_some_and(ended) {
        let problem = format!("the group `{text}` has ended");
        return Err(Refusal::new(field.name, problem).hint("`group define` makes it anew"));
    }
    Ok(())
}

fn record(field: &Field, of: &str, text: &str, register: &Register) -> Result<(), Refusal> {
    if register.record(of, text).is_some() {
        return Ok(());
    }
    Err(
        Refusal::new(field.name, format!("there is no {of} `{text}`"))
            .hint(format!("`evident-collector {of} list` shows all")),
    )
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_digit())
}

/// Whether it is a clause of ISO/IEC 27001:2022.
fn is_clause(text: &str) -> bool {
    CLAUSES.contains(text)
}

/// The first moment of a day in UTC.
pub(super) fn day(text: &str) -> Option<Timestamp> {
    let form = text.len() == 10
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-');
    form.then(|| format!("{text}T00:00:00Z").parse().ok())?
}

/// Days in milliseconds.
pub(super) fn days_ms(text: &str) -> Option<i64> {
    let days: i64 = text
        .strip_suffix('d')
        .filter(|days| is_number(days))?
        .parse()
        .ok()?;
    (0 < days).then(|| days.checked_mul(86_400_000))?
}
