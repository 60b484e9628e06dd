//! Tests of the table of controls.

use std::collections::BTreeMap;

use std::path::Path;

use shared::time::Timestamp;

use super::*;
use crate::assess::{Applicability, Asked, Given, Tally};
use crate::catalog::{Catalog, Verdict};
use crate::status::Cell;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn applicability(applicable: bool, state: &str) -> Applicability {
    Applicability {
        applicable,
        justification: if applicable {
            ""
        } else {
            "nothing is made here"
        }
        .to_owned(),
        state: Some(state.to_owned()).filter(|state| !state.is_empty()),
        owner: None,
    }
}

fn policy() -> Brought {
    Brought {
        id: "DOC-1".to_owned(),
        title: "Information security policy".to_owned(),
        revision: "3".to_owned(),
        owner: "ada".to_owned(),
        brought_by: "ada".to_owned(),
        approver: "bo".to_owned(),
        approved: at("2026-01-01T00:00:00Z"),
        covers_from: at("2026-01-01T00:00:00Z"),
        until: None,
        document: None,
    }
}

/// Two hosts: one of which all is known and a check fails, one of which a check is too old.
fn assessed(asked: &Asked) -> Assessment {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/catalog");
    let catalog = Catalog::load(Path::new(folder)).unwrap();
    let now = at("2026-01-02T12:00:00Z");
    let mut applicable = BTreeMap::new();
    for control in catalog.controls() {
        let row = match control.id.as_str() {
            "A.7.7" | "A.8.24" => applicability(false, ""),
            "A.5.1" => applicability(true, "implemented"),
            _ => applicability(true, "planned"),
        };
        let _new = applicable.insert(control.id.clone(), row);
    }
    let given = Given {
        applicability: applicable,
        documents: [("A.5.1".to_owned(), vec![policy()])].into(),
        ..Given::default()
    };
    let mut tally = Tally::new(&catalog, &given, asked, now);
    for name in ["web-1", "web-2"] {
        let cell = |id: &str| {
            let stale = name == "web-2" && id == "clock.error";
            let verdict = match (stale, id) {
                (true, _) => Verdict::Unknown,
                (false, "backup.declared") => Verdict::Fail,
                _ => Verdict::Pass,
            };
            Cell {
                verdict,
                stale,
                covered: !stale,
                collected: Some(now),
                since: Some(now),
            }
        };
        let cells: Vec<_> = catalog.checks().map(|check| cell(&check.id)).collect();
        tally.host(&name.parse().unwrap(), &cells);
    }
    let mut found = tally.finish();
    for control in &mut found.controls {
        let wrong = match control.control.as_str() {
            "A.5.2" => "applicable without evidence (planned)",
            "A.8.17" => "applicable, and nobody answers for it",
            _ => continue,
        };
        control.inconsistencies.push(wrong.to_owned());
    }
    found
}

#[test]
fn controls_in_a_table_and_those_without_checks_in_groups() {
    let screen = screen(&assessed(&Asked::default()), 80, false);
    assert!(
        screen == include_str!("table.txt"),
        "table.txt should be:\n{screen}"
    );
    let wide = screen.lines().find(|line| 80 < line.chars().count());
    assert_eq!(wide, None);
}

#[test]
fn a_document_is_shown_as_brought_by_a_person() {
    let asked = Asked {
        controls: vec!["A.5.1".to_owned(), "A.5.2".to_owned()],
        ..Asked::default()
    };
    let screen = screen(&assessed(&asked), 100, false);
    let words: Vec<_> = screen.split_whitespace().collect();
    let words = words.join(" ");
    let document = "document DOC-1 \"Information security policy\" revision 3, brought by a person";
    assert!(words.contains(document), "{screen}");
    assert!(
        words.contains("evidence neither a check nor a document"),
        "{screen}"
    );
    assert!(!words.contains("0 of 0 hosts"), "{screen}");
}
