//! What people decided is shown to be what they said, and every swap is found.

use super::exporter::check;
use super::sample::{Cut, Ledger, ORIGIN, at};
use crate::attestation::{Statement, Subject};
use crate::decision::{Decided, Decision, InForce, Person, SAID_TYPE, Said, Step, Value};
use crate::id::Digest;
use crate::key::SigningKey;
use crate::leaf::LeafKind;
use crate::pack;
use crate::verify::Verdict;

const REPORT: &[u8] = b"restores were tested";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed([seed; 32]).unwrap()
}

fn person(id: &str, seed: u8, active: bool) -> Decided {
    Decided::Person(Person {
        id: id.parse().unwrap(),
        name: id.to_owned(),
        email: String::new(),
        key: key(seed).public().to_pem(),
        active,
    })
}

fn step(record: &str) -> Decided {
    Decided::Record(Step {
        register: "nonconformity".to_owned(),
        record: record.to_owned(),
        step: "raise".to_owned(),
        after: None,
        fields: [("owner".to_owned(), Value::Text("ada".to_owned()))].into(),
    })
}

/// What `by` says with the key of this seed, after `change`.
fn said(
    ledger: &Ledger,
    (by, seed): (&str, u8),
    decides: Decided,
    change: impl FnOnce(&mut Said),
) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut said = Said {
        by: by.parse().unwrap(),
        at: at(ledger.size()),
        ledger: ORIGIN.to_owned(),
        decides,
    };
    change(&mut said);
    let report = Subject::new("document/report.txt", Digest::of(REPORT));
    let statement = Statement::new(SAID_TYPE, vec![report], said);
    (statement.seal(&key(seed)).unwrap(), vec![REPORT.to_vec()])
}

/// Ada and Bob are known from before the period, and then `decide`.
fn with_people(decide: impl FnOnce(&mut Ledger)) -> Ledger {
    let mut ledger = Ledger::new();
    ledger.enrol(&super::sample::stream("web-1", 1), 3);
    ledger.decide(LeafKind::Decision, person("ada", 21, true));
    ledger.decide(LeafKind::Decision, person("bob", 22, true));
    while ledger.size() < 272 {
        ledger.evidence(&super::sample::stream("web-1", 1), |_| {});
    }
    decide(&mut ledger);
    ledger
}

#[track_caller]
fn shows(decide: impl FnOnce(&mut Ledger), verdict: Verdict, part: &str) {
    let ledger = with_people(decide);
    check(&ledger, |_, _| {}, ("decisions", verdict, part));
}

fn raise(ledger: &mut Ledger, who: (&str, u8), change: impl FnOnce(&mut Said)) {
    let said = said(ledger, who, step("NC-1"), change);
    ledger.decided(LeafKind::Decision, said, |_| {});
}

#[test]
fn what_known_people_signed_holds() {
    let decide = |ledger: &mut Ledger| {
        raise(ledger, ("ada", 21), |_| {});
        let bob = said(ledger, ("bob", 22), step("NC-2"), |_| {});
        ledger.decided(LeafKind::Decision, bob, |_| {});
    };
    let part = "2 decisions are what people signed; 2 others are orders";
    shows(decide, Verdict::Ok, part);
}

#[test]
fn a_change_of_a_key_is_noted_with_who_did_it() {
    let own = |ledger: &mut Ledger| {
        let change = said(ledger, ("ada", 21), person("ada", 23, true), |_| {});
        ledger.decided(LeafKind::Decision, change, |_| {});
        raise(ledger, ("ada", 23), |_| {});
    };
    shows(own, Verdict::Note, "by order of `ada`");
    let order = |ledger: &mut Ledger| {
        ledger.decide(LeafKind::Decision, person("ada", 23, true));
        raise(ledger, ("ada", 23), |_| {});
    };
    shows(order, Verdict::Note, "gives `ada` another key");
}

#[test]
fn nobody_signs_for_another_and_a_key_is_of_one_person() {
    let other = |ledger: &mut Ledger| {
        let change = said(ledger, ("bob", 22), person("ada", 23, true), |_| {});
        ledger.decided(LeafKind::Decision, change, |_| {});
    };
    shows(other, Verdict::Fail, "is about `ada`, and `bob` signed it");
    let same = |ledger: &mut Ledger| {
        ledger.decide(LeafKind::Decision, person("eve", 21, true));
    };
    shows(same, Verdict::Fail, "gives `eve` the key of `ada`");
    // Also one that its owner has no more, and one that is written in another way.
    let once = |ledger: &mut Ledger| {
        ledger.decide(LeafKind::Decision, person("ada", 23, true));
        ledger.decide(LeafKind::Decision, person("eve", 21, true));
    };
    shows(once, Verdict::Fail, "gives `eve` the key of `ada`");
    let written = |ledger: &mut Ledger| {
        let Decided::Person(mut eve) = person("eve", 24, true) else {
            unreachable!("it is one")
        };
        eve.key = eve.key.replace('\n', "\r\n");
        ledger.decide(LeafKind::Decision, Decided::Person(eve));
    };
    shows(written, Verdict::Fail, "makes a key known");
}

#[test]
fn a_step_on_another_state_of_the_record_is_found() {
    let approve = |after: fn(Digest) -> Option<Digest>| {
        move |ledger: &mut Ledger| {
            raise(ledger, ("ada", 21), |_| {});
            let last = ledger.leaves.last().unwrap().id;
            raise(ledger, ("bob", 22), |said| {
                if let Decided::Record(step) = &mut said.decides {
                    step.after = after(last);
                }
            });
        }
    };
    let part = "2 decisions are what people signed";
    shows(approve(Some), Verdict::Ok, part);
    let part = "is about another state of nonconformity `NC-1`";
    shows(approve(|_| None), Verdict::Fail, part);
    shows(approve(|_| Some(Digest::of(b"older"))), Verdict::Fail, part);
}

#[test]
fn one_statement_under_another_name_of_the_key_is_found() {
    let renamed = |ledger: &mut Ledger| {
        let (file, files) = said(ledger, ("ada", 21), step("NC-1"), |_| {});
        let text = String::from_utf8(file).unwrap();
        let other = Digest::of(b"other").to_string();
        let file = text.replace(&key(21).public().id().to_string(), &other);
        ledger.decided(LeafKind::Decision, (file.into_bytes(), files), |_| {});
    };
    shows(renamed, Verdict::Fail, "was not said by `ada`");
}

#[test]
fn a_decision_says_when_it_was_entered() {
    let dated = |ledger: &mut Ledger| {
        ledger.late_ms = -1;
        ledger.decide(LeafKind::Decision, person("eve", 24, true));
    };
    shows(dated, Verdict::Fail, "not when it was entered");
}

#[test]
fn the_files_of_a_catalogue_are_wanted_whoever_ordered_it() {
    let ledger = with_people(|ledger| {
        let digest = Digest::of(REPORT);
        drop(ledger.blobs.insert(digest, REPORT.to_vec()));
        let decided = InForce {
            catalogue: digest,
            files: [("criteria.toml".to_owned(), digest)].into(),
            dropped: Vec::new(),
            reason: "first".to_owned(),
        };
        ledger.decide(LeafKind::Catalogue, Decided::Catalogue(decided));
    });
    check(&ledger, |_, _| {}, ("decisions", Verdict::Ok, "3 others"));
    let gone = |_: &Ledger, cut: &mut Cut| {
        drop(cut.files.remove(&pack::blob_name(&Digest::of(REPORT))));
    };
    check(&ledger, gone, ("blobs", Verdict::Fail, "is missing"));
}

#[test]
fn what_a_person_did_not_sign_is_found() {
    let fails = |who: (&'static str, u8), change: fn(&mut Said), part| {
        shows(|ledger| raise(ledger, who, change), Verdict::Fail, part);
    };
    fails(("ada", 22), |_| {}, "was not said by `ada`");
    fails(("eve", 22), |_| {}, "`eve`, who was not known then");
    let other = |said: &mut Said| said.ledger = "other.example/evident/1".to_owned();
    fails(("ada", 21), other, "was said to the ledger `other.example");
    let late = |said: &mut Said| said.at = said.at.plus_ms(601_000);
    fails(("ada", 21), late, "was said at another time");
}

#[test]
fn an_old_key_and_a_person_who_left_decide_nothing() {
    let changed = |ledger: &mut Ledger| {
        ledger.decide(LeafKind::Decision, person("ada", 23, true));
        raise(ledger, ("ada", 21), |_| {});
    };
    shows(changed, Verdict::Fail, "was not said by `ada`");
    let left = |ledger: &mut Ledger| {
        ledger.decide(LeafKind::Decision, person("ada", 21, false));
        raise(ledger, ("ada", 21), |_| {});
    };
    shows(left, Verdict::Fail, "`ada`, who had left");
}

#[test]
fn a_decision_that_says_something_else_is_found() {
    let swapped = |change: fn(&mut Decision), part: &str| {
        let decide = |ledger: &mut Ledger| {
            let said = said(ledger, ("ada", 21), step("NC-1"), |_| {});
            ledger.decided(LeafKind::Decision, said, change);
        };
        shows(decide, Verdict::Fail, part);
    };
    swapped(
        |decision| decision.decides = step("NC-2"),
        "is not what `ada` said",
    );
    swapped(
        |decision| decision.by = "bob".to_owned(),
        "was not said by `bob`",
    );
    swapped(
        |decision| decision.by = "uid 0".to_owned(),
        "has a statement and names no person",
    );
    swapped(
        |decision| decision.statement = None,
        "is a record that nobody signed",
    );
    swapped(
        |decision| decision.at = decision.at.plus_ms(-700_000),
        "was said at another time",
    );
}

#[test]
fn a_statement_decides_once() {
    let twice = |ledger: &mut Ledger| {
        let said = said(ledger, ("ada", 21), step("NC-1"), |_| {});
        for moment in 0..2 {
            ledger.decided(LeafKind::Decision, said.clone(), |decision| {
                decision.at = decision.at.plus_ms(moment);
            });
        }
    };
    shows(
        twice,
        Verdict::Fail,
        "a statement that decided something before",
    );
}

#[test]
fn a_statement_or_a_file_that_is_not_there_is_missed() {
    let ledger = with_people(|ledger| raise(ledger, ("ada", 21), |_| {}));
    let report = pack::blob_name(&Digest::of(REPORT));
    let gone = |_: &Ledger, cut: &mut Cut| drop(cut.files.remove(&report).unwrap());
    check(&ledger, gone, ("blobs", Verdict::Fail, "is missing"));
    let changed = |_: &Ledger, cut: &mut Cut| {
        drop(
            cut.files
                .insert(report.clone(), b"none was".to_vec())
                .unwrap(),
        );
    };
    let what = "is not the blob of its name";
    check(&ledger, changed, ("blobs", Verdict::Fail, what));
    let last = ledger.blobs.iter().find(|(_, bytes)| {
        let text = String::from_utf8_lossy(bytes);
        text.contains("payloadType") && bytes.len() < 1500 && {
            let envelope = crate::dsse::Envelope::from_file(bytes).unwrap();
            Statement::<Said>::from_body(&envelope.body, SAID_TYPE).is_ok()
        }
    });
    let statement = pack::blob_name(last.unwrap().0);
    let gone = |_: &Ledger, cut: &mut Cut| drop(cut.files.remove(&statement).unwrap());
    check(&ledger, gone, ("blobs", Verdict::Fail, "is missing"));
}
