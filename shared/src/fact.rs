//! Facts: named, typed values with a unit, declared once in [`SUBJECTS`].
//!
//! A probe writes facts, a check reads them, and both are held to the same schema: a fact that is
//! not declared, or has another type, does not leave the host and does not enter an evaluation.
//! A fact that could not be seen is left out; it never has a default.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::limits;
use crate::time::Timestamp;

pub mod audit;
pub mod backup;
pub mod canary;
pub mod clock;
pub mod delivery;
pub mod logging;
pub mod neighbours;
pub mod offset;
pub mod operation;
pub mod recovery;
pub mod restore;
pub mod updates;
pub mod vulnerabilities;
mod read;

/// Every subject that can be looked at, in the order of their names.
pub static SUBJECTS: &[&Subject] = &[
    &audit::SUBJECT,
    &backup::SUBJECT,
    &canary::SUBJECT,
    &clock::SUBJECT,
    &delivery::SUBJECT,
    &logging::SUBJECT,
    &neighbours::SUBJECT,
    &offset::SUBJECT,
    &recovery::SUBJECT,
    &restore::SUBJECT,
    &updates::SUBJECT,
    &vulnerabilities::SUBJECT,
];

/// What one probe looks at, and the facts it may state.
#[derive(Debug, Serialize)]
pub struct Subject {
    /// Name of the probe and of the subject, e.g. `clock`.
    pub probe: &'static str,
    /// Who looks at it.
    pub observer: Observer,
    /// Version of this schema; it rises when a fact changes its type, its unit or its meaning.
    pub schema: u32,
    /// One sentence: what is looked at.
    pub title: &'static str,
    /// The facts in the order of their names.
    pub facts: &'static [Fact],
}

/// Who looks at a subject, and signs what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Observer {
    /// A probe of the agent, on the host itself.
    Host,
    /// The collector, from outside, about the host.
    Collector,
}

/// The declaration of one fact.
#[derive(Debug, Serialize)]
pub struct Fact {
    /// Name, unique in its subject: lower case with `_`, the unit last.
    pub name: &'static str,
    /// Type of the value.
    pub kind: Kind,
    /// What the value means, in one sentence.
    pub meaning: &'static str,
    /// Where it is read: a path, a socket, a system call, with the manual page where there is one.
    pub source: &'static str,
    /// The right that is needed to read it; empty when none is.
    pub right: &'static str,
}

/// The type of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// True or false.
    Flag,
    /// A 64-bit integer with a fixed unit.
    Number(Unit),
    /// UTF-8 text of at most [`limits::TEXT_BYTES_MAX`] bytes.
    Text,
    /// A point in time.
    Instant,
    /// Records whose fields have types of their own, never lists.
    List(&'static [Field]),
}

/// One field of the records of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Name, unique in its list.
    pub name: &'static str,
    /// Type; never [`Kind::List`].
    pub kind: Kind,
    /// What the value means.
    pub meaning: &'static str,
}

/// The unit of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A count of things.
    Count,
    /// Bytes.
    Bytes,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
    /// Parts in 10^9.
    PartsPerBillion,
    /// A code or a set of bits that the kernel or a protocol defines.
    Code,
}

/// The value of a fact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Flag(bool),
    /// An integer in the unit of its fact.
    Number(i64),
    /// Text.
    Text(String),
    /// A point in time, written as milliseconds since 1970.
    #[serde(serialize_with = "as_unix_ms")]
    Instant(Timestamp),
    /// Records.
    List(Vec<Record>),
}

/// One record of a list fact. A field that could not be seen is left out.
pub type Record = BTreeMap<String, Value>;

/// Facts by name. A fact that could not be seen is left out.
pub type Facts = BTreeMap<String, Value>;

/// A value does not fit the schema. The writer of the probe or the sender of the observation is
/// wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactError {
    /// The subject declares no such fact or field.
    #[error("`{place}` is no declared fact")]
    Unknown {
        /// Probe, fact and field, joined by dots.
        place: String,
    },
    /// The value has another type than declared, or is too large.
    #[error("`{place}` is not {wanted}")]
    Type {
        /// Probe, fact and field, joined by dots.
        place: String,
        /// The declared type, in words.
        wanted: &'static str,
    },
}

/// A text holds no facts of a subject. The writer of the probe or the sender is wrong.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// No JSON object, or a record of a list is none.
    #[error("not an object of facts")]
    Form(#[source] serde_json::Error),
    /// A fact does not fit the schema.
    #[error("a fact does not fit its schema")]
    Fact(#[source] FactError),
}

/// The subject of this name.
#[must_use]
pub fn subject(probe: &str) -> Option<&'static Subject> {
    SUBJECTS
        .iter()
        .copied()
        .find(|subject| subject.probe == probe)
}

/// The subjects that hosts look at themselves: each has a probe of this name.
pub fn of_hosts() -> impl Iterator<Item = &'static Subject> {
    let own = |subject: &&Subject| subject.observer == Observer::Host;
    SUBJECTS.iter().copied().filter(own)
}

impl Subject {
    /// The declaration of the fact of this name.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&'static Fact> {
        self.facts.iter().find(|fact| fact.name == name)
    }

    /// Checks that every value is declared and has its declared type.
    ///
    /// # Errors
    ///
    /// [`FactError`] names the first fact that does not fit.
    pub fn check(&self, facts: &Facts) -> Result<(), FactError> {
        if facts.len() > limits::FACTS_MAX {
            let place = self.probe.to_owned();
            return Err(FactError::Type {
                place,
                wanted: "a set of at most 256 facts",
            });
        }
        for (name, value) in facts {
            let place = format!("{}.{name}", self.probe);
            let Some(fact) = self.fact(name) else {
                return Err(FactError::Unknown { place });
            };
            fact.kind.check(value, &place)?;
        }
        Ok(())
    }

    /// Reads facts from their JSON form, typed by this schema.
    ///
    /// # Errors
    ///
    /// [`FactsError::Fact`] names the first fact that does not fit.
    pub fn read(&self, json: &str) -> Result<Facts, FactsError> {
        read::facts(self, json)
    }
}

impl Kind {
    /// The type in words, as errors and documents say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flag => "a flag",
            Self::Number(_) => "a number",
            Self::Text => "a text of at most 4096 bytes",
            Self::Instant => "an instant",
            Self::List(_) => "a list of at most 512 records",
        }
    }

    fn check(self, value: &Value, place: &str) -> Result<(), FactError> {
        let fits = match (self, value) {
            (Self::Flag, Value::Flag(_))
            | (Self::Number(_), Value::Number(_))
            | (Self::Instant, Value::Instant(_)) => true,
            (Self::Text, Value::Text(text)) => text.len() <= limits::TEXT_BYTES_MAX,
            (Self::List(fields), Value::List(records)) => {
                records
                    .iter()
                    .try_for_each(|record| check_record(fields, record, place))?;
                records.len() <= limits::LIST_RECORDS_MAX
            }
            (
                _,
                Value::Flag(_)
                | Value::Number(_)
                | Value::Text(_)
                | Value::Instant(_)
                | Value::List(_),
            ) => false,
        };
        if fits {
            Ok(())
        } else {
            Err(FactError::Type {
                place: place.to_owned(),
                wanted: self.name(),
            })
        }
    }
}

fn check_record(fields: &[Field], record: &Record, place: &str) -> Result<(), FactError> {
    for (name, value) in record {
        let place = format!("{place}.{name}");
        match fields.iter().find(|field| field.name == name) {
            Some(field) => field.kind.check(value, &place)?,
            None => return Err(FactError::Unknown { place }),
        }
    }
    Ok(())
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out a reference"
)]
fn as_unix_ms<S: serde::Serializer>(at: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_i64(at.unix_ms())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_facts_are_sorted_and_flat() {
        assert!(SUBJECTS.iter().map(|subject| subject.probe).is_sorted());
        for subject in SUBJECTS {
            assert!(
                subject.facts.is_sorted_by_key(|fact| fact.name),
                "{}",
                subject.probe
            );
            for fact in subject.facts {
                if let Kind::List(fields) = fact.kind {
                    let nested = fields
                        .iter()
                        .any(|field| matches!(field.kind, Kind::List(_)));
                    assert!(!nested, "{}.{}", subject.probe, fact.name);
                }
            }
        }
    }

    #[track_caller]
    fn refused(json: &str, place: &str) {
        let refused = clock::SUBJECT.read(json).unwrap_err();
        let FactsError::Fact(FactError::Unknown { place: at } | FactError::Type { place: at, .. }) =
            refused
        else {
            panic!("{json}: {refused}");
        };
        assert_eq!(at, place);
    }

    #[test]
    fn what_is_not_declared_is_refused() {
        refused(r#"{"colour":1}"#, "clock.colour");
        refused(r#"{"kernel_synchronised":1}"#, "clock.kernel_synchronised");
        refused(
            r#"{"kernel_max_error_us":1.5}"#,
            "clock.kernel_max_error_us",
        );
        refused(
            r#"{"kernel_max_error_us":"1"}"#,
            "clock.kernel_max_error_us",
        );
        refused(r#"{"sources":[{"colour":1}]}"#, "clock.sources.colour");
        refused(r#"{"sources":{}}"#, "clock.sources");
        refused(r#"{"sources":[{"stratum":null}]}"#, "clock.sources.stratum");
        let long = "a".repeat(limits::TEXT_BYTES_MAX + 1);
        refused(
            &format!(r#"{{"tracking_leap":"{long}"}}"#),
            "clock.tracking_leap",
        );
        let many = "{},".repeat(limits::LIST_RECORDS_MAX);
        refused(&format!(r#"{{"sources":[{many}{{}}]}}"#), "clock.sources");
        refused(
            r#"{"tracking_updated":9223372036854775807}"#,
            "clock.tracking_updated",
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in [
            "",
            "[]",
            "1",
            "{",
            "{}1",
            r#"{"sources":[{}"#,
            r#"{"sources":[1]}"#,
        ] {
            let refused = clock::SUBJECT.read(json).unwrap_err();
            assert!(matches!(refused, FactsError::Form(_)), "{json}: {refused}");
        }
    }

    #[test]
    fn facts_read_back_as_written() {
        let text = r#"{"kernel_max_error_us":7,"kernel_synchronised":true,"sources":[{"address":"192.0.2.1","stratum":2}],"tracking_leap":"normal","tracking_updated":1767323045678}"#;
        let facts = clock::SUBJECT.read(text).unwrap();
        assert_eq!(serde_json::to_string(&facts).unwrap(), text);
    }
}
