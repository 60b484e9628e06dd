//! Imported lists and what hosts have installed, over restarts of the observer.

use std::sync::atomic::AtomicI64;

use shared::attestation::{
    Boot, EVIDENCE_TYPE, Evidence, HostTime, Position, ProbeRun, Run as Program, Seen, Statement,
    Subject,
};
use shared::decision::{DECISION_TYPE, Decision, Imported, Revoked};

use super::*;

const HOUR: i64 = 3600 * 1000;

fn fixture(name: &str) -> Vec<u8> {
    let lists = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/feeds");
    shared::durable::read(&Path::new(lists).join(name), 1 << 20).unwrap()
}

/// A ledger, a folder of lists, and an observer that can be started anew.
struct Desk {
    ledger: Ledger,
    dir: tempfile::TempDir,
    clock: Arc<AtomicI64>,
    observer: Observer,
    door: Door,
    seq: u64,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("feeds")).unwrap();
        let ledger = open(&dir.path().join("ledger"));
        let clock = Arc::new(AtomicI64::new(0));
        let (observer, door) = start(&ledger, dir.path(), &clock);
        Self {
            ledger,
            dir,
            clock,
            observer,
            door,
            seq: 0,
        }
    }

    fn restart(&mut self) {
        (self.observer, self.door) = start(&self.ledger, self.dir.path(), &self.clock);
    }

    fn pass(&self, ms: i64) {
        let _before = self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    fn enter(&self, kind: LeafKind, envelope: Vec<u8>, blobs: Vec<Vec<u8>>) {
        let entry = NewEntry {
            kind,
            stream: None,
            envelope,
            received: at(self.clock.load(Ordering::SeqCst)),
        };
        self.enter_entry(entry, blobs);
    }

    fn enter_entry(&self, entry: NewEntry, blobs: Vec<Vec<u8>>) {
        let blobs = blobs.into_iter().map(|blob| (Digest::of(&blob), blob));
        let submission = Submission {
            entries: vec![entry],
            blobs: blobs.collect(),
        };
        drop(self.ledger.append_blocking(submission).unwrap());
    }

    /// A host submits that it has the packages of the fixture.
    fn run(&mut self, agent: &str) {
        let bom = fixture("sbom.cdx.json");
        self.seq += 1;
        let entry = NewEntry {
            kind: LeafKind::Evidence,
            stream: Some(crate::ledger::Stream {
                agent: agent.parse().unwrap(),
                generation: 1,
                seq: self.seq,
            }),
            envelope: record(agent, self.seq, &bom),
            received: at(self.clock.load(Ordering::SeqCst)),
        };
        self.enter_entry(entry, vec![bom]);
    }

    fn decide(&self, decides: Decided) {
        let decision = Decision {
            at: at(self.clock.load(Ordering::SeqCst)),
            by: "collector c".to_owned(),
            statement: None,
            decides,
        };
        let statement = Statement::new(DECISION_TYPE, Vec::new(), decision);
        self.enter(
            LeafKind::Decision,
            statement.seal(&key()).unwrap(),
            Vec::new(),
        );
    }

    /// Imports a list, and gives the path of its copy.
    fn import(&self, publisher: &str, bytes: &[u8]) -> PathBuf {
        let sha256 = Digest::of(bytes);
        let copy = self.dir.path().join("feeds").join(sha256.to_string());
        shared::durable::write(&copy, bytes, 0o600).unwrap();
        self.decide(Decided::Import(Imported {
            publisher: publisher.to_owned(),
            sha256,
            records: 1,
            dated: at(self.clock.load(Ordering::SeqCst)),
            complete: publisher == "debian-tracker",
        }));
        copy
    }

    /// What the observer enters in one turn.
    fn told(&mut self) -> Vec<String> {
        let before = self.ledger.published().size;
        self.observer.turn(Vec::new()).unwrap();
        let after = self.ledger.published().size;
        let entries = (before..after).map(|index| self.ledger.entry(index).unwrap());
        let seen = entries.map(|entry| {
            let sight = observed::open(&entry.envelope, &key().public()).unwrap();
            let bytes = self.ledger.blob(&sight.observation).unwrap().unwrap();
            let seen = Observation::from_bytes(&bytes).unwrap();
            serde_json::to_string(&seen.facts).unwrap()
        });
        seen.collect()
    }
}

fn start(ledger: &Ledger, dir: &Path, clock: &Arc<AtomicI64>) -> (Observer, Door) {
    let clock = Arc::clone(clock);
    let clock = Arc::new(move || at(clock.load(Ordering::SeqCst)));
    let (observer, door) = Observer::new(ledger.clone(), key(), clock);
    (observer.with_feeds(dir.join("feeds")), door)
}

/// A record that names a bill of materials, made as an agent makes it.
fn record(agent: &str, seq: u64, bom: &[u8]) -> Vec<u8> {
    let evidence = Evidence {
        stream: Position {
            agent: agent.parse().unwrap(),
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
        run: Program {
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
    let statement = Statement::new(EVIDENCE_TYPE, subjects, evidence);
    statement.seal(&key()).unwrap()
}

#[test]
fn what_is_installed_is_joined_with_imported_lists() {
    let mut desk = Desk::new();
    desk.run("web-1");
    assert_eq!(desk.told(), [""; 0], "no list is in force");
    drop(desk.import("kev", &fixture("kev.json")));
    let alone = desk.told();
    assert!(alone[0].contains("\"matched_count\":0"), "{alone:?}");
    drop(desk.import("debian-tracker", &fixture("tracker.json")));
    let both = desk.told();
    assert!(both[0].contains("\"exploited_count\":1"), "{both:?}");
    assert!(both[0].contains("CVE-2024-3094"), "{both:?}");
    assert!(both[0].contains("\"covered_count\":0"), "{both:?}");
    desk.run("web-1");
    assert_eq!(desk.told(), [""; 0], "nothing is new");
    desk.pass(13 * HOUR);
    desk.run("web-1");
    assert_eq!(desk.told().len(), 1, "it must not grow stale");
    // A list whose file was changed is not in force, and the one before is.
    let copy = desk.import("osv", &fixture("osv.json"));
    shared::durable::write(&copy, b"[]", 0o600).unwrap();
    assert_eq!(desk.told(), [""; 0]);
}

#[test]
fn a_restart_enters_nothing_again() {
    let mut desk = Desk::new();
    drop(desk.import("debian-tracker", &fixture("tracker.json")));
    desk.run("web-1");
    desk.run("web-2");
    assert_eq!(desk.told().len(), 2);
    // The same at the same time would be the same entry.
    desk.pass(HOUR);
    desk.restart();
    assert_eq!(desk.told(), [""; 0]);
    // What was not told before the end is told after it.
    desk.run("web-3");
    drop(desk.import("kev", &fixture("kev.json")));
    desk.restart();
    assert_eq!(desk.told().len(), 3);
    desk.pass(HOUR);
    assert_eq!(desk.told(), [""; 0]);
}

#[test]
fn what_a_silent_host_had_is_not_told_as_new() {
    let mut desk = Desk::new();
    drop(desk.import("kev", &fixture("kev.json")));
    desk.run("web-1");
    assert_eq!(desk.told().len(), 1);
    desk.pass(25 * HOUR);
    drop(desk.import("debian-tracker", &fixture("tracker.json")));
    assert_eq!(desk.told().len(), 1, "its record is still young");
    desk.pass(2 * HOUR);
    drop(desk.import("osv", &fixture("osv.json")));
    assert_eq!(desk.told(), [""; 0], "its record is older than 26 hours");
    desk.restart();
    assert_eq!(desk.told(), [""; 0]);
    desk.run("web-1");
    assert_eq!(desk.told().len(), 1, "it speaks again");
}

#[test]
fn a_revoked_host_is_not_joined_any_more() {
    let mut desk = Desk::new();
    desk.run("web-1");
    desk.run("web-2");
    assert_eq!(desk.told(), [""; 0]);
    desk.decide(Decided::Revoke(Revoked {
        agent: "web-1".parse().unwrap(),
        generation: 1,
        reason: "lost".to_owned(),
    }));
    drop(desk.import("kev", &fixture("kev.json")));
    assert_eq!(desk.told().len(), 1);
}

#[test]
fn many_hosts_are_joined_over_many_turns() {
    let mut desk = Desk::new();
    drop(desk.import("kev", &fixture("kev.json")));
    for number in 0..19 {
        desk.run(&format!("web-{number}"));
    }
    let turns = [desk.told().len(), desk.told().len(), desk.told().len()];
    assert_eq!(turns, [8, 8, 3]);
    assert!(!desk.observer.vulnerabilities.is_waiting());
    assert_eq!(desk.told(), [""; 0]);
}

#[test]
fn only_the_newest_list_is_kept_and_read() {
    let mut desk = Desk::new();
    desk.run("web-1");
    let first = desk.import("osv", &fixture("osv.json"));
    assert_eq!(desk.told().len(), 1);
    let second = desk.import("osv", &fixture("osv.ndjson"));
    assert!(first.exists(), "the newer one is not in force yet");
    assert_eq!(desk.told().len(), 1);
    assert!(!first.exists() && second.exists());
    // After a restart nobody asks for the older one.
    desk.pass(HOUR);
    desk.restart();
    assert_eq!(desk.told(), [""; 0]);
    // A list that cannot be read takes the place of none, and nothing is removed for it.
    let broken = desk.import("osv", b"[]");
    assert_eq!(desk.told(), [""; 0]);
    assert!(second.exists() && broken.exists());
    // The same file again does not grow younger.
    desk.pass(HOUR);
    drop(desk.import("osv", &fixture("osv.ndjson")));
    assert_eq!(desk.told(), [""; 0]);
    assert!(second.exists());
    desk.restart();
    assert_eq!(desk.told(), [""; 0]);
}
