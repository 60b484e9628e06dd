//! What the agent shows people and programs: observations, probes, errors.

use serde::Serialize;
use serde_json::value::RawValue;
use shared::fact::{Kind, Subject, Value};
use shared::observation::Status;
use shared::time::Timestamp;

use crate::attest::Observed;
use crate::probe::Probe;

/// Longest text of a fact in a table.
const TEXT_CHARS_MAX: usize = 72;

/// Observations as a program reads them.
#[derive(Debug, Serialize)]
struct Observations<'a> {
    host: &'a str,
    observations: Vec<One>,
}

#[derive(Debug, Serialize)]
struct One {
    collected: Timestamp,
    observation: Box<RawValue>,
    took_ms: u64,
}

/// Observations in JSON, each byte by byte as it would be signed:
/// `{"host":"..","observations":[{"collected":"..","observation":{..},"took_ms":3}]}`.
///
/// # Errors
///
/// The error of the writer.
pub fn observations_json(
    host: &str,
    at: Timestamp,
    observed: &[Observed],
) -> Result<String, serde_json::Error> {
    let collected = observed.iter().map(|one| {
        let bytes = one.observation.to_bytes();
        Ok(One {
            collected: at,
            observation: serde_json::from_slice(&bytes)?,
            took_ms: one.took_ms,
        })
    });
    let observations = collected.collect::<Result<_, serde_json::Error>>()?;
    serde_json::to_string(&Observations { host, observations })
}

/// Observations for people: each probe with its outcome, its facts, and what it could not see.
#[must_use]
pub fn observations_table(observed: &[Observed]) -> String {
    let mut text = String::new();
    for one in observed {
        let seen = &one.observation;
        let (probe, outcome) = (&seen.probe, seen.outcome.as_str());
        line(
            &mut text,
            &format!("{probe:<14} {outcome:<8} {} ms", one.took_ms),
        );
        if !seen.reason.is_empty() {
            line(
                &mut text,
                &format!("  {:<34} {}", "reason", short(&seen.reason)),
            );
        }
        for (name, value) in &seen.facts {
            line(&mut text, &format!("  {name:<34} {}", fact(value)));
        }
        let unseen = seen.source.iter();
        for source in unseen.filter(|source| source.status != Status::Ok) {
            let status = source.status.as_str();
            line(
                &mut text,
                &format!("  not seen: {} ({status})", source.name),
            );
        }
    }
    text
}

fn fact(value: &Value) -> String {
    match value {
        Value::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => short(text),
        Value::Instant(at) => at.to_string(),
        Value::List(records) => format!("{} records", records.len()),
    }
}

/// The beginning of a text in one line, without what could steer a terminal.
fn short(text: &str) -> String {
    let plain = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    let mut short: String = text.chars().take(TEXT_CHARS_MAX).map(plain).collect();
    if TEXT_CHARS_MAX < text.chars().count() {
        short.push_str("..");
    }
    short
}

/// The schema of all facts of these probes in JSON.
///
/// # Errors
///
/// The error of the writer.
pub fn probes_json(probes: &[&dyn Probe]) -> Result<String, serde_json::Error> {
    let subjects: Vec<&Subject> = probes.iter().map(|probe| probe.subject()).collect();
    serde_json::to_string(&subjects)
}

/// What each probe reads, which rights it needs, and what it can state.
#[must_use]
pub fn probes_table(probes: &[&dyn Probe]) -> String {
    let mut text = String::new();
    for probe in probes {
        let subject = probe.subject();
        line(
            &mut text,
            &format!(
                "{} (schema {}): {}",
                subject.probe, subject.schema, subject.title
            ),
        );
        for fact in subject.facts {
            let kind = match fact.kind {
                Kind::Flag => "flag",
                Kind::Number(_) => "number",
                Kind::Text => "text",
                Kind::Instant => "instant",
                Kind::List(_) => "list",
            };
            line(
                &mut text,
                &format!("  {:<34} {kind:<8} {}", fact.name, fact.meaning),
            );
            let right = match fact.right {
                "" => String::new(),
                right => format!("; needs {right}"),
            };
            line(
                &mut text,
                &format!("  {:<34} {:<8} from {}{right}", "", "", fact.source),
            );
        }
    }
    text
}

/// Appends a line.
pub(super) fn line(text: &mut String, line: &str) {
    text.push_str(line.trim_end());
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::tests::observed;

    #[test]
    fn observations_keep_every_byte() {
        let one = observed("clock", "timed out", &[]);
        let at = Timestamp::default();
        let json = observations_json("web-1", at, std::slice::from_ref(&one)).unwrap();
        let exact = String::from_utf8(one.observation.to_bytes()).unwrap();
        let expected = format!(
            "{{\"host\":\"web-1\",\"observations\":[{{\"collected\":\"1970-01-01T00:00:00.000Z\",\
             \"observation\":{exact},\"took_ms\":3}}]}}"
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn tables_hold_no_control_characters() {
        let one = observed("clock", "a\u{1b}[31m\nb", &[]);
        let table = observations_table(&[one]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "clock          unknown  3 ms");
        assert!(lines[1].ends_with("a [31m b"), "{table}");
        assert_eq!(short(&"x".repeat(80)).len(), TEXT_CHARS_MAX + 2);
    }
}
