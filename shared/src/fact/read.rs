//! Facts out of JSON, held to their schema while they are read: nothing is built that is not kept.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{FactError, Facts, FactsError, Field, Kind, Record, Subject, Value};
use crate::limits;
use crate::time::Timestamp;

/// Reads the facts of a subject.
pub(super) fn facts(subject: &Subject, json: &str) -> Result<Facts, FactsError> {
    let refused = RefCell::new(None);
    let place = Place {
        parts: [subject.probe, "", ""],
        refused: &refused,
    };
    let mut reader = serde_json::Deserializer::from_str(json);
    let read = reader.deserialize_map(OfSubject(subject, place));
    if let Some(error) = refused.take() {
        return Err(FactsError::Fact(error));
    }
    let facts = read.map_err(FactsError::Form)?;
    reader.end().map_err(FactsError::Form)?;
    Ok(facts)
}

/// Where a value stands, and where it is kept that it does not fit: an error of serde is a text.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// Probe, fact and field, as far as there are.
    parts: [&'a str; 3],
    refused: &'a RefCell<Option<FactError>>,
}

impl<'a> Place<'a> {
    /// The place of a fact in its subject, or of a field in its fact.
    fn of(self, name: &'a str) -> Self {
        let parts = match self.parts {
            [probe, "", _] => [probe, name, ""],
            [probe, fact, _] => [probe, fact, name],
        };
        Self { parts, ..self }
    }

    fn text(self) -> String {
        let parts = self.parts.into_iter().filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join(".")
    }

    fn undeclared<E: Error>(self) -> E {
        let place = self.text();
        self.refuse(FactError::Unknown { place })
    }

    fn is_not<E: Error>(self, wanted: &'static str) -> E {
        let place = self.text();
        self.refuse(FactError::Type { place, wanted })
    }

    fn refuse<E: Error>(self, why: FactError) -> E {
        let error = E::custom(&why);
        let _before = self.refused.replace(Some(why));
        error
    }
}

/// A name, looked up without a copy of it.
struct Name<'a, F>(F, Place<'a>);

impl<'de, T, F: FnOnce(&str) -> Option<T>> DeserializeSeed<'de> for Name<'_, F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<T, D::Error> {
        from.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> Option<T>> Visitor<'_> for Name<'_, F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a declared name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        let Self(declared, place) = self;
        declared(name).ok_or_else(|| Place::of(place, name).undeclared())
    }
}

/// All facts.
struct OfSubject<'a>(&'a Subject, Place<'a>);

impl<'de> Visitor<'de> for OfSubject<'_> {
    type Value = Facts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of facts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Facts, A::Error> {
        let Self(subject, place) = self;
        let mut facts = Facts::new();
        while let Some(fact) = from.next_key_seed(Name(|name: &str| subject.fact(name), place))? {
            let value = from.next_value_seed(Typed(fact.kind, place.of(fact.name)))?;
            let _before = facts.insert(fact.name.to_owned(), value);
        }
        if limits::FACTS_MAX < facts.len() {
            return Err(place.is_not("a set of at most 256 facts"));
        }
        Ok(facts)
    }
}

/// One record of a list.
#[derive(Clone, Copy)]
struct OfList<'a>(&'static [Field], Place<'a>);

impl<'de> DeserializeSeed<'de> for OfList<'_> {
    type Value = Record;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Record, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OfList<'_> {
    type Value = Record;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of fields")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Record, A::Error> {
        let Self(fields, place) = self;
        let mut record = Record::new();
        let declared = |name: &str| fields.iter().find(|field| field.name == name);
        while let Some(field) = from.next_key_seed(Name(declared, place))? {
            let value = from.next_value_seed(Typed(field.kind, place.of(field.name)))?;
            let _before = record.insert(field.name.to_owned(), value);
        }
        Ok(record)
    }
}

/// A value of a declared type.
struct Typed<'a>(Kind, Place<'a>);

impl Typed<'_> {
    fn fits<E: Error>(self, value: Option<Value>) -> Result<Value, E> {
        let Self(kind, place) = self;
        value.ok_or_else(|| place.is_not(kind.name()))
    }
}

impl<'de> DeserializeSeed<'de> for Typed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Typed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<Value, E> {
        let value = matches!(self.0, Kind::Flag).then_some(Value::Flag(flag));
        self.fits(value)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        let value = match self.0 {
            Kind::Number(_) => Some(Value::Number(number)),
            Kind::Instant => Timestamp::from_unix_ms(number).ok().map(Value::Instant),
            Kind::Flag | Kind::Text | Kind::List(_) => None,
        };
        self.fits(value)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        match i64::try_from(number) {
            Ok(number) => self.visit_i64(number),
            Err(_large) => self.fits(None),
        }
    }

    fn visit_f64<E: Error>(self, _number: f64) -> Result<Value, E> {
        self.fits(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.fits(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        let is_text = matches!(self.0, Kind::Text) && text.len() <= limits::TEXT_BYTES_MAX;
        self.fits(is_text.then(|| Value::Text(text.to_owned())))
    }

    fn visit_map<A: MapAccess<'de>>(self, _from: A) -> Result<Value, A::Error> {
        self.fits(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let Self(kind, place) = self;
        let Kind::List(fields) = kind else {
            return self.fits(None);
        };
        let mut records = Vec::new();
        while let Some(record) = from.next_element_seed(OfList(fields, place))? {
            if records.len() == limits::LIST_RECORDS_MAX {
                return Err(place.is_not(kind.name()));
            }
            records.push(record);
        }
        Ok(Value::List(records))
    }
}
