//! Reads what observations of hosts say, field by field; what is missing is `None`.

use shared::fact::{Facts, Record, Value};
use shared::time::Timestamp;

/// The records of a list; `None` when the list was not seen.
pub(super) fn list<'a>(facts: &'a Facts, name: &str) -> Option<&'a [Record]> {
    if let Value::List(records) = facts.get(name)? {
        Some(records)
    } else {
        None
    }
}

pub(super) fn text<'a>(from: &'a Record, name: &str) -> Option<&'a str> {
    if let Value::Text(text) = from.get(name)? {
        Some(text)
    } else {
        None
    }
}

pub(super) fn instant(from: &Record, name: &str) -> Option<Timestamp> {
    if let Value::Instant(at) = from.get(name)? {
        Some(*at)
    } else {
        None
    }
}

pub(super) fn number(from: &Record, name: &str) -> Option<i64> {
    if let Value::Number(number) = from.get(name)? {
        Some(*number)
    } else {
        None
    }
}

pub(super) fn flag(from: &Record, name: &str) -> Option<bool> {
    if let Value::Flag(flag) = from.get(name)? {
        Some(*flag)
    } else {
        None
    }
}

/// How many there are of something.
pub(super) fn count(number: usize) -> Value {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

/// A record, or all facts, with the values that are known.
pub(super) fn known<const N: usize>(fields: [(&str, Option<Value>); N]) -> Record {
    let fields = fields.into_iter();
    fields
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}
