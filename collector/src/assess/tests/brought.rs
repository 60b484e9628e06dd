//! Documents that people brought.

use shared::decision::{Decided, Decision, Step, Value};

use super::*;
use crate::register::Register;

pub(super) fn policy() -> Brought {
    Brought {
        id: "DOC-1".to_owned(),
        title: "Backup policy".to_owned(),
        revision: "3".to_owned(),
        owner: "ada".to_owned(),
        brought_by: "ada".to_owned(),
        approver: "bo".to_owned(),
        approved: at(20),
        covers_from: at(0),
        until: Some(at(100)),
        document: None,
    }
}

/// Who takes a step and when, and what is said with it.
type Taken<'a> = (i64, &'a str, &'a str, &'a [(&'a str, String)]);

fn register(steps: &[Taken<'_>]) -> Register {
    let mut register = Register::default();
    for (entry, (ms, by, step, fields)) in (0..).zip(steps) {
        let value = |name: &str, text: &String| match name {
            "requirement" => Value::List(vec![text.clone()]),
            _ => Value::Text(text.clone()),
        };
        let fields = fields.iter();
        let fields = fields.map(|(name, text)| ((*name).to_owned(), value(name, text)));
        let decision = Decision {
            at: at(*ms),
            by: (*by).to_owned(),
            statement: None,
            decides: Decided::Record(Step {
                register: "document".to_owned(),
                record: "DOC-1".to_owned(),
                step: (*step).to_owned(),
                after: None,
                fields: fields.collect(),
            }),
        };
        register.take(entry, record(*ms), decision);
    }
    register
}

#[test]
fn a_document_counts_from_its_approval_for_as_long_as_it_speaks() {
    let said = |revision: &str, from: i64, to: i64| {
        [
            ("title", "Backup policy".to_owned()),
            ("requirement", "A.5.2".to_owned()),
            ("owner", "ada".to_owned()),
            ("revision", revision.to_owned()),
            ("covers_from", at(from).to_string()),
            ("covers_to", at(to).to_string()),
            ("expires", at(1000).to_string()),
        ]
    };
    let (third, fourth) = (said("3", 0, 100), said("4", 90, 200));
    let steps: [Taken<'_>; 6] = [
        (10, "ada", "submit", &third),
        (20, "bo", "approve", &[]),
        (30, "ada", "submit", &fourth),
        (40, "bo", "refuse", &[]),
        (50, "ada", "submit", &fourth),
        (60, "bo", "approve", &[]),
    ];
    let counts = |taken: usize, now: i64| {
        let register = register(&steps[..taken]);
        let given = Given::of(&register, None, [], at(now));
        let all = given.documents.get("A.5.2").cloned().unwrap_or_default();
        let revisions: Vec<_> = all.iter().map(|one| one.revision.clone()).collect();
        revisions.join(" ")
    };
    assert_eq!(counts(1, 15), "", "nobody approved it");
    assert_eq!(counts(2, 25), "3");
    assert_eq!(counts(2, 100), "", "it speaks no more");
    assert_eq!(counts(3, 35), "3", "the newer one is not approved");
    assert_eq!(counts(4, 45), "3", "the newer one was refused");
    assert_eq!(counts(6, 70), "", "the newer one speaks later");
    assert_eq!(counts(6, 150), "4");
    let given = Given::of(&register(&steps[..2]), None, [], at(25));
    assert_eq!(given.documents["A.5.2"], [policy()]);
    let mut retired = steps.to_vec();
    retired.push((70, "bo", "retire", &[]));
    let given = Given::of(&register(&retired), None, [], at(150));
    assert!(given.documents.is_empty());
}

/// An older reading of the steps kept the end of revision 3 where revision 4 has none.
#[test]
fn a_revision_says_its_own_end_and_not_the_one_before() {
    let said = |revision: &str| {
        vec![
            ("title", "Backup policy".to_owned()),
            ("requirement", "A.5.2".to_owned()),
            ("owner", "ada".to_owned()),
            ("revision", revision.to_owned()),
            ("covers_from", at(0).to_string()),
        ]
    };
    let (mut third, fourth) = (said("3"), said("4"));
    third.push(("expires", at(1000).to_string()));
    let steps: [Taken<'_>; 4] = [
        (10, "ada", "submit", &third),
        (20, "bo", "approve", &[]),
        (30, "ada", "submit", &fourth),
        (40, "bo", "approve", &[]),
    ];
    let given = Given::of(&register(&steps), None, [], at(5000));
    let [one] = given.documents["A.5.2"].as_slice() else {
        panic!("one revision counts: {:?}", given.documents);
    };
    assert_eq!((one.revision.as_str(), one.until), ("4", None));
}

#[test]
fn hosts_with_some_evidence_are_counted_beside_those_with_all() {
    let hosts: [Said<'_>; 3] = [
        ("a", &[]),
        ("b", &[(SYNCHRONISED, UNKNOWN, true)]),
        ("c", &[(SYNCHRONISED, UNKNOWN, false), (ERROR, FAIL, false)]),
    ];
    let all = assessed(&Given::default(), &Asked::default(), 9, &hosts);
    let collected = &control(&all, "A.8.17").collected;
    let counts = (collected.expected, collected.covered, collected.partly);
    assert_eq!(counts, (3, 1, 3));
}
