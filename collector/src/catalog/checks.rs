//! Files with checks: TOML in, typed checks or faults with their places out.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use shared::fact::{self, Facts, Field, Kind, Record, Subject, Value, operation};
use shared::time::Timestamp;
use toml::Spanned;

use super::{
    Case, Check, Control, Expression, Mapping, Parameter, Severity, Strength, Verdict, When,
    WhenAbsent, duration_ms, edition,
};
use crate::fault::{Complaint, Fault, nearest};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    check: Vec<RawCheck>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCheck {
    id: Spanned<String>,
    probe: Spanned<String>,
    title: String,
    severity: Severity,
    freshness: Spanned<String>,
    absent: WhenAbsent,
    expect: Spanned<String>,
    when: Option<Spanned<String>>,
    when_reason: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Spanned<toml::Value>>,
    fail: String,
    remediation: String,
    criterion: String,
    #[serde(default)]
    control: Vec<RawMapping>,
    #[serde(default)]
    test: Vec<RawCase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMapping {
    control: Spanned<String>,
    strength: Spanned<Strength>,
    rationale: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    facts: Spanned<toml::Table>,
    now: Spanned<toml::value::Datetime>,
    #[serde(default)]
    parameters: BTreeMap<String, Spanned<toml::Value>>,
    verdict: Verdict,
}

/// Reads one file into `checks`. What is wrong is added to `faults`.
pub(super) fn read(
    file: &str,
    text: &str,
    controls: &[Control],
    checks: &mut BTreeMap<String, Check>,
    faults: &mut Vec<Fault>,
) {
    let raw: RawFile = match toml::from_str(text) {
        Ok(raw) => raw,
        Err(error) => {
            faults.push(Complaint::of_toml(&error, text).in_file(file, text));
            return;
        }
    };
    for raw in raw.check {
        let place = raw.id.span();
        match check(raw, text, controls) {
            Ok(check) if checks.contains_key(&check.id) => {
                let message = format!("there is another check `{}`", check.id);
                faults.push(Complaint::new(place, message).in_file(file, text));
            }
            Ok(check) => {
                checks.insert(check.id.clone(), check);
            }
            Err(complaint) => faults.push(complaint.in_file(file, text)),
        }
    }
}

fn check(raw: RawCheck, text: &str, controls: &[Control]) -> Result<Check, Complaint> {
    let place = raw.id.span();
    let id = raw.id.into_inner();
    let subject = subject_of(&raw.probe)?;
    if !is_id(&id, subject) {
        let message = format!(
            "`{id}` is no id of a check of the probe `{}`",
            subject.probe
        );
        return Err(Complaint::new(place, message).hint(format!(
            "write `{}.` and a word of a-z, 0-9 and `-`",
            subject.probe
        )));
    }
    let freshness = raw.freshness.as_ref();
    let Some(freshness_ms) = duration_ms(freshness) else {
        return Err(no_duration(freshness, raw.freshness.span()));
    };
    if freshness_ms == 0 {
        return Err(Complaint::new(
            raw.freshness.span(),
            "no evidence is that fresh",
        ));
    }
    let parameters = parameters(raw.parameters, None)?;
    let compile = |source: &Spanned<String>| {
        Expression::compile(source.as_ref(), subject, &parameters)
            .map_err(|complaint| inside(complaint, source, text))
    };
    let expect = compile(&raw.expect)?;
    let when = match (&raw.when, raw.when_reason) {
        (Some(source), Some(reason)) => {
            let condition = compile(source)?;
            Some(When { condition, reason })
        }
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => {
            let message = "`when` and `when_reason` go together";
            return Err(Complaint::new(place, message));
        }
    };
    if raw.control.is_empty() {
        return Err(Complaint::new(place, format!("`{id}` bears on no control"))
            .hint("add [[check.control]] with control, strength and rationale"));
    }
    let mappings = raw.control.into_iter();
    let mappings = mappings
        .map(|raw| mapping(raw, controls, &expect, subject))
        .collect::<Result<_, _>>()?;
    let cases = raw
        .test
        .into_iter()
        .map(|raw| case(raw, subject, &parameters));
    let cases = cases.collect::<Result<_, _>>()?;
    Ok(Check {
        id,
        probe: subject.probe.to_owned(),
        title: raw.title,
        severity: raw.severity,
        freshness_ms,
        absent: raw.absent,
        expect,
        when,
        fail: raw.fail,
        remediation: raw.remediation.trim().to_owned(),
        criterion: raw.criterion,
        mappings,
        cases,
        parameters,
    })
}

fn subject_of(probe: &Spanned<String>) -> Result<&'static Subject, Complaint> {
    fact::subject(probe.as_ref()).ok_or_else(|| {
        let known = fact::SUBJECTS.iter().map(|subject| subject.probe);
        let message = format!("there is no probe `{}`", probe.as_ref());
        Complaint::new(probe.span(), message).hint(nearest(probe.as_ref(), known))
    })
}

/// Whether this is the probe, a dot and a word.
fn is_id(id: &str, subject: &Subject) -> bool {
    let own = id
        .strip_prefix(subject.probe)
        .and_then(|rest| rest.strip_prefix('.'));
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    own.is_some_and(|own| !own.is_empty() && own.chars().all(word))
}

fn mapping(
    raw: RawMapping,
    controls: &[Control],
    expect: &Expression,
    subject: &Subject,
) -> Result<Mapping, Complaint> {
    let id = raw.control.as_ref();
    if let Some((message, hint)) = edition::unknown(id, controls) {
        return Err(Complaint::new(raw.control.span(), message).hint(hint));
    }
    if raw.rationale.trim().is_empty() {
        return Err(Complaint::new(raw.control.span(), "the rationale is empty")
            .hint("say why the check bears on the control, and what it does not show"));
    }
    let strength = *raw.strength.as_ref();
    let shown = operation::of(subject.probe);
    let read = &expect.reading().values;
    if strength == Strength::Proves && !shown.iter().any(|fact| read.contains(*fact)) {
        let message = "`proves` is too strong: no fact that is expected shows operation";
        let hint = if shown.is_empty() {
            format!("write `supports`: no fact of `{}` does", subject.probe)
        } else {
            let shown = shown.join(", ");
            format!("write `supports`, or expect something of one of: {shown}")
        };
        return Err(Complaint::new(raw.strength.span(), message).hint(hint));
    }
    Ok(Mapping {
        control: raw.control.into_inner(),
        strength,
        rationale: raw.rationale,
    })
}

/// Types parameters; those of a case must be among the `defaults` and have their type.
fn parameters(
    raw: BTreeMap<String, Spanned<toml::Value>>,
    defaults: Option<&BTreeMap<String, Parameter>>,
) -> Result<BTreeMap<String, Parameter>, Complaint> {
    let mut typed = defaults.cloned().unwrap_or_default();
    for (name, value) in raw {
        let place = value.span();
        let parameter = match value.as_ref() {
            toml::Value::Boolean(flag) => Parameter::Flag(*flag),
            toml::Value::Integer(number) => Parameter::Number(*number),
            toml::Value::String(text) => {
                let ms = duration_ms(text);
                Parameter::Duration(ms.ok_or_else(|| no_duration(text, place.clone()))?)
            }
            toml::Value::Float(_)
            | toml::Value::Datetime(_)
            | toml::Value::Array(_)
            | toml::Value::Table(_) => {
                let message = format!("parameter `{name}` is no flag, number or duration");
                return Err(Complaint::new(place, message));
            }
        };
        let same =
            |known: &Parameter| std::mem::discriminant(known) == std::mem::discriminant(&parameter);
        if let Some(defaults) = defaults
            && !defaults.get(&name).is_some_and(same)
        {
            let message = format!("the check has no parameter `{name}` of this type");
            return Err(Complaint::new(place, message));
        }
        typed.insert(name, parameter);
    }
    Ok(typed)
}

fn no_duration(text: &str, place: Range<usize>) -> Complaint {
    Complaint::new(place, format!("`{text}` is no duration"))
        .hint("write a whole number and one of ms, s, m, h, d: `26h`")
}

/// Moves a complaint about an expression to its place in the file.
fn inside(complaint: Complaint, source: &Spanned<String>, text: &str) -> Complaint {
    let span = source.span();
    let written = text.get(span.clone()).unwrap_or_default();
    // Where the text was written with escapes, no byte of it has a sure place: show all of it.
    let at = match written.find(source.as_ref()) {
        Some(found) => {
            let start = span.start + found;
            start + complaint.at.start..start + complaint.at.end
        }
        None => span,
    };
    Complaint { at, ..complaint }
}

fn case(
    raw: RawCase,
    subject: &Subject,
    defaults: &BTreeMap<String, Parameter>,
) -> Result<Case, Complaint> {
    let place = raw.facts.span();
    let refused = |message: String| Complaint::new(place.clone(), message);
    let mut facts = Facts::new();
    for (name, value) in raw.facts.as_ref() {
        let fact = subject.fact(name);
        let fact = fact.ok_or_else(|| refused(format!("there is no fact `{name}`")))?;
        let value = typed(fact.kind, value);
        let value =
            value.ok_or_else(|| refused(format!("`{name}` is not {}", fact.kind.name())))?;
        facts.insert(name.clone(), value);
    }
    let now = instant(raw.now.as_ref());
    let now = now.ok_or_else(|| Complaint::new(raw.now.span(), "this is no instant in UTC"))?;
    Ok(Case {
        facts,
        now,
        parameters: parameters(raw.parameters, Some(defaults))?,
        verdict: raw.verdict,
    })
}

fn instant(datetime: &toml::value::Datetime) -> Option<Timestamp> {
    datetime.to_string().parse().ok()
}

fn typed(kind: Kind, value: &toml::Value) -> Option<Value> {
    match kind {
        Kind::Flag => value.as_bool().map(Value::Flag),
        Kind::Number(_) => value.as_integer().map(Value::Number),
        Kind::Text => value.as_str().map(|text| Value::Text(text.to_owned())),
        Kind::Instant => value.as_datetime().and_then(instant).map(Value::Instant),
        Kind::List(fields) => {
            let records = value.as_array()?.iter();
            let records = records.map(|record| typed_record(fields, record.as_table()?));
            records.collect::<Option<_>>().map(Value::List)
        }
    }
}

fn typed_record(fields: &[Field], table: &toml::Table) -> Option<Record> {
    let typed = table.iter().map(|(name, value)| {
        let field = fields.iter().find(|field| field.name == name)?;
        Some((name.clone(), typed(field.kind, value)?))
    });
    typed.collect()
}
