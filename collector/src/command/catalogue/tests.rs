//! Tests of what the commands about reference data and statements print.

use std::path::Path;

use collector::catalog::Files;
use shared::time::Timestamp;

use super::*;

/// Two checks on one control, so that the catalogue may grow without another text here.
const CHECKS: &str = r#"[[check]]
id = "clock.one"
probe = "clock"
title = "The clock follows a source"
severity = "low"
freshness = "1h"
absent = "fail"
expect = "fact.kernel_synchronised"
fail = "Not so"
remediation = "None"
criterion = "None"

[[check.control]]
control = "A.8.17"
strength = "indicates"
rationale = "The kernel says so; which source it is, is not shown."

[[check]]
id = "clock.two"
probe = "clock"
title = "A source was heard lately"
severity = "low"
freshness = "1h"
absent = "fail"
expect = "age(fact.tracking_updated) < duration(\"1h\")"
fail = "Not so"
remediation = "None"
criterion = "None"

[[check.control]]
control = "A.8.17"
strength = "proves"
rationale = "An example."
"#;

fn catalog() -> Catalog {
    let files = Files::embedded();
    let controls = files.iter().find(|(name, _)| *name == "controls.tsv");
    Catalog::from_texts(controls.unwrap().1, &[("checks/clock.toml", CHECKS)]).unwrap()
}

#[track_caller]
fn printed(name: &str, text: &str, wanted: &str) {
    assert!(text == wanted, "{name} should be:\n{text}<<<");
    let wide = text.lines().find(|line| 100 < line.chars().count());
    assert_eq!(wide, None);
}

#[test]
fn a_control_is_shown_with_all_that_is_known() {
    let mut reference = Reference::embedded().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let own = "framework\tCIS Controls v8\ngrade\tC\nsource\tour own table\nid\trelated\n\
               A.8.17\t8.4\n";
    write(&folder.path().join("cis.tsv"), own);
    reference.add_crosswalks(folder.path()).unwrap();
    let catalog = catalog();
    let about = reference.about(&catalog, "A.8.17").unwrap();
    let text = one(Page::new(100), &about);
    printed("control.txt", &text, include_str!("control.txt"));
    // Nothing here says that one framework fulfils the other.
    assert!(
        !text.contains("fulfil") && !text.contains("complian"),
        "{text}"
    );
}

#[test]
fn clauses_are_shown_with_what_is_to_be_documented() {
    let reference = Reference::embedded().unwrap();
    let mut page = Page::new(100);
    for clause in reference.clauses.iter().filter(|c| c.id.starts_with('6')) {
        one_clause(&mut page, clause);
    }
    printed("clauses.txt", &page.text(), include_str!("clauses.txt"));
}

#[test]
fn a_clause_without_a_duty_says_so_once() {
    let around = Around {
        clock: std::sync::Arc::new(Timestamp::default),
        colour: false,
        width: 80,
        home: None,
    };
    for (id, said) in [("9.2.1", 1), ("9.2.2", 0)] {
        let clauses = Clauses {
            id: Some(id.to_owned()),
            documented: false,
            format: Format::Text,
        };
        let text = clauses.run(&around).unwrap().text;
        assert_eq!(
            text.matches("No document is named.").count(),
            said,
            "{text}"
        );
    }
}

#[test]
fn a_score_names_what_is_not_answered() {
    let readiness = Reference::embedded().unwrap().readiness;
    let answers = (1..=25).map(|n| format!("Q{n:02} = {}", n != 3));
    let answers = answers.collect::<Vec<_>>().join("\n");
    let score = readiness.score("readiness.toml", &answers).unwrap();
    let text = scored(Page::new(100), &readiness, &score);
    printed("score.txt", &text, include_str!("score.txt"));
}

fn write(path: &Path, text: &str) {
    durable::write(path, text.as_bytes(), 0o600).unwrap();
}
