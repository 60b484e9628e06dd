//! The observer at work on a real ledger.

use std::path::Path;
use std::thread;

use shared::checkpoint::Signer;

use super::*;

mod delivery;
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

/// A run of a host that names a bill of materials, made as an agent makes it.
fn run_with(bom: &[u8], seq: u64) -> (NewEntry, (Digest, Vec<u8>)) {
    use shared::attestation::{
        Boot, EVIDENCE_TYPE, Evidence, HostTime, Position, ProbeRun, Run, Seen, Statement, Subject,
    };

    let agent: AgentId = "web-1".parse().unwrap();
    let evidence = Evidence {
        stream: Position {
            agent: agent.clone(),
            generation: 1,
            seq,
            prev: Digest::of(b"enrolment"),
        },
        kind: Kind::Evidence,
        boot: Boot {
            id: "5f0c2b52".to_owned(),
            mono_ms: 1,
        },
        time: HostTime {
            wall: at(0),
            synced: true,
            max_error_ms: 1,
            exchange: None,
        },
        seen: Seen {
            size: 0,
            root: shared::merkle::EMPTY_ROOT,
            acked: None,
        },
        run: Run {
            agent: "evident-agent/0.1.0".to_owned(),
            binary: Digest::of(b"binary"),
            config: Digest::of(b"config"),
            due: at(0),
            probes: vec![ProbeRun {
                probe: "updates".to_owned(),
                outcome: Outcome::Facts,
                took_ms: 3,
            }],
        },
        gap: None,
    };
    let subjects = vec![
        Subject::new("artifact/sbom.cdx.json", Digest::of(bom)),
        Subject::new("observation/updates", Digest::of(b"observation")),
    ];
    let file = Statement::new(EVIDENCE_TYPE, subjects, evidence)
        .seal(&key())
        .unwrap();
    let entry = NewEntry {
        kind: LeafKind::Evidence,
        stream: Some(crate::ledger::Stream {
            agent,
            generation: 1,
            seq,
        }),
        envelope: file,
        received: at(0),
    };
    (entry, (Digest::of(bom), bom.to_vec()))
}

fn imported(name: &str, publisher: &str, feeds: &Path) -> NewEntry {
    use shared::decision::{DECISION_TYPE, Decision, Imported};

    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/feeds");
    let bytes = shared::durable::read(&Path::new(list).join(name), 1 << 20).unwrap();
    let sha256 = Digest::of(&bytes);
    shared::durable::write(&feeds.join(sha256.to_string()), &bytes, 0o600).unwrap();
    let decision = Decision {
        at: at(0),
        by: "collector c".to_owned(),
        decides: Decided::Import(Imported {
            publisher: publisher.to_owned(),
            sha256,
            records: 1,
            dated: at(0),
        }),
    };
    let statement = shared::attestation::Statement::new(DECISION_TYPE, Vec::new(), decision);
    NewEntry {
        kind: LeafKind::Decision,
        stream: None,
        envelope: statement.seal(&key()).unwrap(),
        received: at(0),
    }
}

#[test]
fn what_is_installed_is_joined_with_imported_lists() {
    let dir = tempfile::tempdir().unwrap();
    let feeds = tempfile::tempdir().unwrap();
    let ledger = open(dir.path());
    let enter = |entry: NewEntry, blobs: Vec<(Digest, Vec<u8>)>| {
        let entries = vec![entry];
        drop(
            ledger
                .append_blocking(Submission { entries, blobs })
                .unwrap(),
        );
    };
    let list = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/feeds/sbom.cdx.json");
    let bom = shared::durable::read(Path::new(list), 1 << 20).unwrap();
    let (mut observer, _door) = Observer::new(ledger.clone(), key(), Arc::new(|| at(0)));
    observer = observer.with_feeds(feeds.path().to_owned());
    let mut told = || {
        let before = ledger.published().size;
        observer.turn(Vec::new()).unwrap();
        let after = ledger.published().size;
        (before..after)
            .map(|index| {
                let entry = ledger.entry(index).unwrap();
                let sight = observed::open(&entry.envelope, &key().public()).unwrap();
                let bytes = ledger.blob(&sight.observation).unwrap().unwrap();
                let seen = Observation::from_bytes(&bytes).unwrap();
                serde_json::to_string(&seen.facts).unwrap()
            })
            .collect::<Vec<_>>()
    };
    let (entry, blob) = run_with(&bom, 0);
    enter(entry, vec![blob]);
    assert_eq!(told(), [""; 0], "no list is in force");
    enter(imported("kev.json", "kev", feeds.path()), Vec::new());
    let alone = told();
    assert!(alone[0].contains("\"matched_count\":0"), "{alone:?}");
    enter(
        imported("tracker.json", "debian-tracker", feeds.path()),
        Vec::new(),
    );
    let both = told();
    assert!(both[0].contains("\"exploited_count\":1"), "{both:?}");
    assert!(both[0].contains("CVE-2024-3094"), "{both:?}");
    let (entry, blob) = run_with(&bom, 1);
    enter(entry, vec![blob]);
    assert_eq!(told(), [""; 0], "nothing is new");
    // A list whose file was changed is not in force, and the one before is.
    let changed = imported("osv.json", "osv", feeds.path());
    let osv = Digest::of(
        &shared::durable::read(
            Path::new(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../tests/feeds/osv.json"
            )),
            1 << 20,
        )
        .unwrap(),
    );
    shared::durable::write(&feeds.path().join(osv.to_string()), b"[]", 0o600).unwrap();
    enter(changed, Vec::new());
    assert_eq!(told(), [""; 0]);
}
