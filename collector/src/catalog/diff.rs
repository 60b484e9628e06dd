//! What one catalogue changes against another: checks that come and go, and each part that differs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{Catalog, Check, Files, Parameter, WhenAbsent};

/// What differs between two catalogues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Checks that only the new one has.
    pub added: Vec<String>,
    /// Checks that only the old one has.
    pub dropped: Vec<String>,
    /// Checks of both that differ, and in what.
    pub changed: BTreeMap<String, Vec<Part>>,
    /// Files whose text differs, also where only a comment does.
    pub files: Vec<String>,
}

/// A part of a check that differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// Its name, e.g. `severity`, `parameter max_age`, `control A.8.17`.
    pub part: String,
    /// What it was; `None` when it was not there.
    pub before: Option<String>,
    /// What it is; `None` when it is not there any more.
    pub after: Option<String>,
}

/// Compares the catalogue before with the one after.
#[must_use]
pub fn difference(before: (&Catalog, &Files), after: (&Catalog, &Files)) -> Difference {
    let parts = |catalog: &Catalog| -> BTreeMap<String, BTreeMap<String, String>> {
        let checks = catalog.checks();
        checks
            .map(|check| (check.id.clone(), parts(check)))
            .collect()
    };
    let (old, new) = (parts(before.0), parts(after.0));
    let mut found = Difference::default();
    for id in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        match (old.get(id), new.get(id)) {
            (Some(old), Some(new)) if old != new => {
                let _none_before = found.changed.insert(id.clone(), differing(old, new));
            }
            (Some(_), None) => found.dropped.push(id.clone()),
            (None, Some(_)) => found.added.push(id.clone()),
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
    let (old, new) = (before.1.digests(), after.1.digests());
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let differing = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name));
    found.files = differing.cloned().collect();
    found
}

fn differing(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<Part> {
    let names: BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let differing = names
        .into_iter()
        .filter(|name| old.get(*name) != new.get(*name));
    differing
        .map(|name| Part {
            part: name.clone(),
            before: old.get(name).cloned(),
            after: new.get(name).cloned(),
        })
        .collect()
}

/// Every part of a check by its name, as people write it.
fn parts(check: &Check) -> BTreeMap<String, String> {
    let absent = match check.absent {
        WhenAbsent::Fail => "fail",
        WhenAbsent::NotApplicable => "not-applicable",
    };
    let mut parts = BTreeMap::from([
        ("title", check.title.clone()),
        ("severity", check.severity.as_str().to_owned()),
        (
            "freshness",
            Parameter::Duration(check.freshness_ms).to_string(),
        ),
        ("absent", absent.to_owned()),
        ("expect", check.expect.source().trim().to_owned()),
        ("fail", check.fail.clone()),
        ("remediation", check.remediation.clone()),
        ("criterion", check.criterion.clone()),
    ])
    .into_iter()
    .map(|(name, text)| (name.to_owned(), text))
    .collect::<BTreeMap<String, String>>();
    if let Some(when) = &check.when {
        parts.insert("when".to_owned(), when.condition.source().trim().to_owned());
        parts.insert("when_reason".to_owned(), when.reason.clone());
    }
    for (name, value) in &check.parameters {
        parts.insert(format!("parameter {name}"), value.to_string());
    }
    for mapping in &check.mappings {
        let text = format!("{}: {}", mapping.strength.as_str(), mapping.rationale);
        parts.insert(format!("control {}", mapping.control), text);
    }
    parts
}
