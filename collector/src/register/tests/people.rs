//! Tests of who may say what: of people, of a record as it was seen, and what cannot be read.

use shared::attestation::{Statement, Subject};
use shared::decision::{DECISION_TYPE, DecisionError};
use shared::leaf::{Leaf, LeafKind, LeafOrigin};

use super::*;

#[test]
fn a_key_is_for_ever_of_one_person_and_a_short_name_too() {
    let mut desk = Desk::new();
    let pem = |seed: u8| SigningKey::from_seed([seed; 32]).unwrap().public().to_pem();
    let ada = desk.register.person(&person("ada")).unwrap().clone();
    let joe = |key: String| Person {
        id: person("joe"),
        name: "Joe Example".to_owned(),
        key,
        ..ada.clone()
    };
    let refused = |desk: &Desk, said: Person, by: Option<&str>, operand: &str| {
        let by = by.map(person);
        let refusal = desk.register.check_person(&said, by.as_ref()).unwrap_err();
        assert_eq!(refusal.operand, operand, "{refusal:?}");
    };
    let changed = Person {
        key: pem(9),
        ..ada.clone()
    };
    let by_ada = person("ada");
    assert_eq!(desk.register.check_person(&changed, Some(&by_ada)), Ok(()));
    desk.enter("ada", Decided::Person(changed.clone()));
    // The key that Ada had is still hers, and another form of a text makes no other key.
    refused(&desk, joe(pem(1)), None, "key");
    refused(&desk, joe(pem(9)), None, "key");
    refused(&desk, joe(pem(10).replace('\n', "\r\n")), None, "key");
    refused(&desk, joe(pem(9).trim_end().to_owned()), None, "key");
    // Nobody signs for somebody else, and nobody takes the place of another.
    refused(&desk, joe(pem(10)), Some("ada"), "by");
    refused(&desk, changed.clone(), Some("bob"), "by");
    let other = Person {
        name: "Bob Example".to_owned(),
        ..changed.clone()
    };
    refused(&desk, other.clone(), None, "name");
    refused(&desk, other, Some("ada"), "name");
    let hidden = Person {
        name: "Joe\u{202e} Example".to_owned(),
        ..joe(pem(10))
    };
    refused(&desk, hidden, None, "name");
    assert_eq!(desk.register.check_person(&joe(pem(10)), None), Ok(()));
    let left = Person {
        active: false,
        ..changed
    };
    desk.enter("uid 0", Decided::Person(left));
    let said = desk.register.said_of(&by_ada);
    let said: Vec<_> = said
        .iter()
        .map(|said| (said.by.as_str(), said.what.join(" ")))
        .collect();
    let wanted = [("uid 0", "known"), ("ada", "key"), ("uid 0", "left")];
    assert_eq!(said, wanted.map(|(by, what)| (by, what.to_owned())));
}

#[test]
fn who_approves_approves_what_they_saw() {
    let mut desk = Desk::new();
    desk.does("ada", "exception propose", EXCEPTION).unwrap();
    let seen = desk.register.record("exception", "EX-1").unwrap();
    let seen = seen.last_decision();
    let mut approve = Step {
        register: "exception".to_owned(),
        record: "EX-1".to_owned(),
        step: "approve".to_owned(),
        after: seen,
        fields: BTreeMap::new(),
    };
    let check = |desk: &Desk, step: &Step| {
        let terms = Terms {
            catalog: &desk.catalog,
            hosts: &desk.hosts,
            has_record: &|_id| false,
            document: &|_id| None,
            now: desk.now,
        };
        desk.register.check(step, &person("bob"), &terms)
    };
    assert_eq!(check(&desk, &approve), Ok(()));
    for other in [None, Some(Digest::of(b"other"))] {
        approve.after = other;
        let refusal = check(&desk, &approve).unwrap_err();
        assert_eq!(refusal.operand, "after");
        assert!(refusal.hint.contains("look again"), "{refusal:?}");
    }
    approve.after = seen;
    approve.record = "EX-2".to_owned();
    assert_eq!(check(&desk, &approve).unwrap_err().operand, "id");
}

#[test]
fn a_decision_that_cannot_be_read_counts_for_nothing_and_is_counted() {
    let key = SigningKey::from_seed([2; 32]).unwrap();
    let ada = Desk::new().register.person(&person("ada")).unwrap().clone();
    let decision = Decision {
        at: at("2026-06-01T00:00:00Z"),
        by: "uid 0".to_owned(),
        statement: None,
        decides: Decided::Person(ada),
    };
    let received = at("2026-06-02T00:00:00Z");
    let mut register = Register::default();
    let mut enter = |entry, subjects| {
        let subject = vec![Subject::new("document", Digest::of(b"a")); subjects];
        let statement = Statement::new(DECISION_TYPE, subject, decision.clone());
        let file = shared::dsse::seal(&key, &serde_json::to_vec(&statement).unwrap());
        let leaf = Leaf {
            kind: LeafKind::Decision,
            origin: LeafOrigin::Collector { number: entry },
            id: Digest::of(&file),
            received,
        };
        register
            .take_entry(entry, &leaf, &file, &key.public())
            .unwrap();
        let other = SigningKey::from_seed([3; 32]).unwrap().public();
        let refused = register.take_entry(entry, &leaf, &file, &other);
        assert!(matches!(refused, Err(DecisionError::Key(_))));
    };
    enter(0, 257);
    enter(1, 256);
    assert_eq!(register.unreadable(), [0]);
    let said = register.said_of(&person("ada"));
    assert_eq!(said.len(), 1);
    // It is in force from its receipt, whatever it says.
    assert_eq!(said[0].at, received);
}
