//! The observer at work on a real ledger.

use std::path::Path;
use std::thread;

use shared::checkpoint::Signer;

use super::*;

mod delivery;
mod lists;
mod recovery;
mod site;

fn open(dir: &Path) -> Ledger {
    let signer = Signer::new("ledger.example/evident/1", &[7; 32]).unwrap();
    Ledger::open_sized(dir, signer, 1 << 22).unwrap()
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_767_323_000_000 + ms).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_seed([2; 32]).unwrap()
}

/// An exchange with a host that is so far ahead, over a way of so long.
fn compared(offset_ms: i64, delay_ms: i64) -> Event {
    let exchange = Exchange {
        sent: at(offset_ms),
        received: at(delay_ms / 2),
        answered: at(delay_ms / 2),
        returned: at(offset_ms + delay_ms),
    };
    Event::Compared {
        agent: "web-1".parse().unwrap(),
        generation: 1,
        exchange,
        record: Digest::of(b"record"),
    }
}

/// What is in the ledger after these events, each told at its time.
fn told(events: Vec<(i64, Event)>) -> Vec<Observation> {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    for (ms, event) in events {
        let (mut observer, _door) = Observer::new(ledger.clone(), key(), Arc::new(move || at(ms)));
        observer.offset = offset::Offsets::default();
        observer.turn(vec![event]).unwrap();
    }
    entered(&ledger)
}

fn entered(ledger: &Ledger) -> Vec<Observation> {
    let entries = (0..ledger.published().size).map(|index| ledger.entry(index).unwrap());
    let observations = entries.map(|entry| {
        let sight = observed::open(&entry.envelope, &key().public()).unwrap();
        let bytes = ledger.blob(&sight.observation).unwrap().unwrap();
        Observation::from_bytes(&bytes).unwrap()
    });
    observations.collect()
}

#[test]
fn a_comparison_of_clocks_is_entered() {
    let observations = told(vec![(0, compared(5000, 20))]);
    let facts = serde_json::to_string(&observations[0].facts).unwrap();
    let wanted = r#"{"delay_ms":20,"error_max_ms":5011,"error_min_ms":4989,"#;
    assert!(facts.starts_with(wanted), "{facts}");
    assert!(facts.ends_with(r#""offset_ms":5000}"#), "{facts}");
}

#[test]
fn what_says_nothing_new_is_entered_once_an_hour() {
    let mut offsets = offset::Offsets::default();
    let mut entered = |ms: i64, offset_ms: i64, delay_ms: i64| {
        let Event::Compared {
            agent,
            generation,
            exchange,
            record,
        } = compared(offset_ms, delay_ms)
        else {
            panic!("it is a comparison");
        };
        let about = (agent, generation);
        offsets.compared(about, exchange, record, at(ms)).is_some()
    };
    assert!(entered(0, 3, 20));
    assert!(!entered(900_000, 40, 20));
    assert!(!entered(1_800_000, 400, 1000), "within its doubt");
    assert!(entered(1_900_000, 400, 20), "the clock has moved");
    assert!(!entered(1_900_000 + 3_599_999, 400, 20));
    assert!(entered(1_900_000 + 3_600_000, 400, 20), "an hour later");
}

#[test]
fn the_observer_ends_with_its_last_door() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let (observer, door) = Observer::new(ledger.clone(), key(), Arc::new(|| at(0)));
    let thread = thread::spawn(move || observer.run());
    assert!(door.tell(compared(0, 2)));
    drop(door);
    thread.join().unwrap();
    assert_eq!(entered(&ledger).len(), 1, "what was told before counts");
    assert!(!Door::default().tell(compared(0, 2)));
}

#[test]
fn what_cannot_be_entered_waits() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let signer = Signer::new("ledger.example/evident/1", &[7; 32]).unwrap();
    let closed = Ledger::read_only(dir.path(), &signer).unwrap();
    let (mut observer, _door) = Observer::new(closed, key(), Arc::new(|| at(0)));
    let refused = observer.turn(vec![compared(0, 20)]).unwrap_err();
    assert!(matches!(refused, LedgerError::ReadOnly), "{refused}");
    assert!(observer.turn(vec![compared(9000, 20)]).is_err());
    observer.ledger = ledger.clone();
    observer.turn(Vec::new()).unwrap();
    assert_eq!(entered(&ledger).len(), 2);
    observer.turn(Vec::new()).unwrap();
    assert_eq!(entered(&ledger).len(), 2, "once is enough");
}

#[test]
fn what_waits_is_bounded_and_the_oldest_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let (mut observer, _door) = Observer::new(ledger.clone(), key(), Arc::new(|| at(0)));
    let sight = |number: usize| Sight {
        agent: "web-1".parse().unwrap(),
        generation: 1,
        observation: facts(
            "offset",
            Facts::from([("offset_ms".to_owned(), field::count(number))]),
            &["POST /v1/time"],
        ),
        basis: vec![Digest::of(b"record")],
    };
    observer.keep((0..UNSENT_MAX + 3).map(sight).collect(), at(0));
    assert_eq!(observer.unsent.len(), UNSENT_MAX);
    assert_eq!(
        field::number(&observer.unsent[0].1.observation.facts, "offset_ms"),
        Some(3)
    );
    // More than one submission, in their order.
    drop(
        observer
            .unsent
            .drain(..UNSENT_MAX - 2 * SUBMISSION_SIGHTS_MAX - 1),
    );
    let (first, taken) = observer.group(at(0));
    assert_eq!((first.entries.len(), taken), (64, 64));
    observer.turn(Vec::new()).unwrap();
    let numbers: Vec<_> = entered(&ledger)
        .iter()
        .map(|seen| field::number(&seen.facts, "offset_ms").unwrap())
        .collect();
    assert_eq!(numbers, (3970..=4098).collect::<Vec<_>>());
}

#[test]
fn history_begins_where_it_is_young_enough() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    for ms in [10, 20, 20, 30] {
        let entry = NewEntry {
            kind: LeafKind::Decision,
            stream: None,
            envelope: format!("{ms} {}", ledger.published().size).into_bytes(),
            received: at(ms),
        };
        let submission = Submission {
            entries: vec![entry],
            blobs: Vec::new(),
        };
        drop(ledger.append_blocking(submission).unwrap());
    }
    for (begin, first) in [(0, 0), (10, 0), (11, 1), (20, 1), (21, 3), (31, 4)] {
        assert_eq!(since(&ledger, at(begin)), first, "{begin}");
    }
}
