//! Open Source Vulnerabilities: records of the OSV schema, of package ecosystems of distributions.
//!
//! Source: OSV schema 1.7.

use std::io::Read as Source;

use serde::Deserialize;

use super::{Affected, Read, Severity, date};

/// One value of the file: a record, or many.
#[derive(Deserialize)]
#[serde(untagged)]
enum Records {
    Many(Vec<Record>),
    One(Box<Record>),
}

#[derive(Deserialize)]
struct Record {
    id: String,
    modified: String,
    withdrawn: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    upstream: Vec<String>,
    #[serde(default)]
    severity: Vec<Rating>,
    #[serde(default)]
    affected: Vec<Package>,
}

#[derive(Deserialize)]
struct Rating {
    score: String,
}

#[derive(Deserialize)]
struct Package {
    #[serde(rename = "package")]
    name: Option<Name>,
    #[serde(default)]
    ranges: Vec<Range>,
    #[serde(default)]
    severity: Vec<Rating>,
    #[serde(default)]
    ecosystem_specific: Specific,
}

#[derive(Deserialize)]
struct Name {
    ecosystem: String,
    name: String,
}

#[derive(Default, Deserialize)]
struct Specific {
    #[serde(alias = "severity")]
    urgency: Option<String>,
}

#[derive(Deserialize)]
struct Range {
    #[serde(rename = "type")]
    kind: String,
    events: Vec<Event>,
}

#[derive(Deserialize)]
struct Event {
    introduced: Option<String>,
    fixed: Option<String>,
}

pub(super) fn read(file: impl Source) -> serde_json::Result<Read> {
    let mut read = Read::default();
    for records in serde_json::Deserializer::from_reader(file).into_iter::<Records>() {
        let records = match records? {
            Records::Many(many) => many,
            Records::One(one) => vec![*one],
        };
        for record in records {
            read.records += 1;
            read.dated = read.dated.max(date(&record.modified));
            if record.withdrawn.is_none() {
                take(&record, &mut read);
            }
        }
    }
    Ok(read)
}

fn take(record: &Record, read: &mut Read) {
    let known = [&record.id].into_iter();
    let known = known.chain(&record.aliases).chain(&record.upstream);
    let mut ids: Vec<&String> = known.filter(|id| id.starts_with("CVE-")).collect();
    if ids.is_empty() {
        ids.push(&record.id);
    }
    let rated = |ratings: &[Rating]| {
        let all = ratings.iter();
        all.map(|one| Severity::from_vector(&one.score)).max()
    };
    for package in &record.affected {
        let Some(name) = &package.name else {
            continue;
        };
        let word = package.ecosystem_specific.urgency.as_deref();
        let severity = [
            rated(&package.severity),
            rated(&record.severity),
            word.map(Severity::from_word),
        ];
        let severity = severity.into_iter().flatten().max().unwrap_or_default();
        let ecosystem = name.ecosystem.to_lowercase();
        for range in package.ranges.iter().filter(|r| r.kind == "ECOSYSTEM") {
            for (introduced, fixed) in spans(&range.events) {
                for id in &ids {
                    let one = Affected {
                        id: (*id).clone(),
                        introduced: introduced.clone(),
                        fixed: fixed.clone(),
                        severity,
                    };
                    read.affects(&ecosystem, &name.name, one);
                }
            }
        }
    }
}

/// From where to where versions are affected. Events stand in the order of versions; version 0 is
/// the first of all.
fn spans(events: &[Event]) -> Vec<(Option<String>, Option<String>)> {
    let mut spans = Vec::new();
    let mut open: Option<Option<String>> = None;
    for event in events {
        if let Some(introduced) = &event.introduced {
            open = Some(Some(introduced.clone()).filter(|version| version != "0"));
        }
        if let Some(fixed) = &event.fixed
            && let Some(introduced) = open.take()
        {
            spans.push((introduced, Some(fixed.clone())));
        }
    }
    if let Some(introduced) = open {
        spans.push((introduced, None));
    }
    spans
}
