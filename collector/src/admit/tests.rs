//! Admission against records of a real key, good and wrong.

use std::sync::Arc;

use shared::attestation::{
    Boot, EVIDENCE_TYPE, Evidence, HostTime, Kind, Position, ProbeRun, Run, Seen, Statement,
    Subject,
};
use shared::key::SigningKey;
use shared::wire::StreamHead;

use super::*;

const OBSERVATION: &[u8] = br#"{"artifacts":[],"facts":{},"outcome":"facts","probe":"clock","reason":"","schema":1,"source":[]}"#;

#[derive(Default)]
struct Ledger {
    blobs: BTreeSet<Digest>,
    records: BTreeMap<Digest, u64>,
    size: u64,
}

impl Known for Ledger {
    fn has_blob(&self, digest: &Digest) -> bool {
        self.blobs.contains(digest)
    }

    fn index_of(&self, id: &Digest) -> Option<u64> {
        self.records.get(id).copied()
    }

    fn root(&self, size: u64) -> Option<Digest> {
        (size <= self.size).then(|| Digest::of(b"root"))
    }

    fn shape(&self, _digest: &Digest, came: Option<&[u8]>) -> Shape {
        came.map_or(Shape::Observation("clock", Outcome::Facts), Shape::of)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

struct Case {
    key: SigningKey,
    evidence: Evidence,
    stream: Stream,
    standing: Standing,
    ledger: Ledger,
    offered: Vec<&'static [u8]>,
    dropped: BTreeSet<Digest>,
    now: Timestamp,
}

/// Record 1 of a stream whose record 0 is in a ledger of ten entries.
fn case() -> Case {
    let key = SigningKey::from_seed([7; 32]).unwrap();
    let now = Timestamp::from_unix_ms(1_767_323_045_678).unwrap();
    let head = StreamHead {
        seq: 0,
        id: Digest::of(b"record 0"),
    };
    let agent: AgentId = "web-1".parse().unwrap();
    Case {
        stream: Stream {
            agent: agent.clone(),
            generation: 1,
            key: key.public(),
            record: Digest::of(b"enrolment"),
            ended: false,
            standing: Arc::default(),
            submitting: Arc::default(),
            given: Arc::default(),
        },
        standing: Standing {
            head: Some(head),
            forked: None,
            seen: 10,
        },
        evidence: Evidence {
            stream: Position {
                agent,
                generation: 1,
                seq: 1,
                prev: head.id,
            },
            kind: Kind::Evidence,
            boot: Boot {
                id: "boot".to_owned(),
                mono_ms: 1,
            },
            time: HostTime {
                wall: now,
                synced: true,
                max_error_ms: 1,
                exchange: None,
            },
            seen: Seen {
                size: 10,
                root: Digest::of(b"root"),
                acked: Some(0),
            },
            run: Run {
                agent: "evident-agent/0".to_owned(),
                binary: Digest::of(b"binary"),
                config: Digest::of(b"config"),
                due: now,
                probes: vec![ProbeRun {
                    probe: "clock".to_owned(),
                    outcome: Outcome::Facts,
                    took_ms: 1,
                }],
            },
            gap: None,
        },
        ledger: Ledger {
            size: 10,
            ..Ledger::default()
        },
        offered: vec![OBSERVATION],
        dropped: BTreeSet::new(),
        key,
        now,
    }
}

impl Case {
    fn file(&self) -> Vec<u8> {
        let subject = vec![Subject::new("observation/clock", Digest::of(OBSERVATION))];
        Statement::new(EVIDENCE_TYPE, subject, self.evidence.clone())
            .seal(&self.key)
            .unwrap()
    }

    fn admit(&self, file: Vec<u8>) -> Result<Admission, Refusal> {
        let blobs = self
            .offered
            .iter()
            .map(|blob| (Digest::of(blob), *blob))
            .collect();
        let offered = Offered {
            blobs,
            dropped: self.dropped.clone(),
        };
        admit(
            file,
            &offered,
            (&self.stream, &self.standing),
            &self.ledger,
            self.now,
        )
    }
}

#[track_caller]
fn refused(change: impl FnOnce(&mut Case), code: Code, part: &str) {
    let mut case = case();
    change(&mut case);
    let problem = case.admit(case.file()).unwrap_err().problem();
    assert_eq!(problem.code, code, "{problem:?}");
    assert!(problem.title.contains(part), "{problem:?}");
    assert!(problem.hint.is_some());
}

#[test]
fn the_next_record_is_admitted_with_its_blobs() {
    let case = case();
    let Ok(Admission::Next(admitted)) = case.admit(case.file()) else {
        panic!("not next")
    };
    assert_eq!(admitted.notice(), None);
    let (attestation, blobs) = admitted.into_parts();
    assert_eq!(attestation.id(), Digest::of(&case.file()));
    assert_eq!(blobs, [(Digest::of(OBSERVATION), OBSERVATION.to_vec())]);
}

#[test]
fn a_blob_that_the_ledger_has_need_not_come_again() {
    let mut case = case();
    case.offered.clear();
    case.ledger.blobs.insert(Digest::of(OBSERVATION));
    let Ok(Admission::Next(admitted)) = case.admit(case.file()) else {
        panic!("not next")
    };
    assert!(admitted.into_parts().1.is_empty());
}

#[test]
fn a_record_whose_blobs_were_dropped_is_admitted_without_them() {
    let mut case = case();
    case.offered.clear();
    case.dropped.insert(Digest::of(OBSERVATION));
    let Ok(Admission::Next(admitted)) = case.admit(case.file()) else {
        panic!("not next")
    };
    assert!(admitted.into_parts().1.is_empty());
}

#[test]
fn a_wrong_clock_is_noticed_and_not_refused() {
    let mut case = case();
    case.evidence.time.wall = case.now.plus_ms(3_600_000);
    let Ok(Admission::Next(admitted)) = case.admit(case.file()) else {
        panic!("not next")
    };
    assert_eq!(admitted.notice(), Some(Notice::ClockAhead(3_600_000)));
    case.evidence.time.wall = case.now.plus_ms(-30 * 24 * 3_600_000);
    let Ok(Admission::Next(admitted)) = case.admit(case.file()) else {
        panic!("not next")
    };
    assert_eq!(admitted.notice(), None);
}

#[test]
fn what_is_in_the_ledger_is_answered_again_even_when_the_stream_is_stopped() {
    let mut case = case();
    case.ledger.records.insert(Digest::of(&case.file()), 5);
    case.standing.forked = Some(1);
    assert!(matches!(case.admit(case.file()), Ok(Admission::Again(5))));
}

#[test]
fn a_second_record_with_a_number_is_a_fork() {
    let mut case = case();
    case.standing.head = Some(StreamHead {
        seq: 1,
        id: Digest::of(b"other record 1"),
    });
    assert!(matches!(case.admit(case.file()), Ok(Admission::Fork(_))));
}

#[test]
fn wrong_records_are_refused_each_with_its_code() {
    let other: AgentId = "web-2".parse().unwrap();
    refused(
        |case| case.evidence.stream.agent = other,
        Code::ForeignStream,
        "web-2 generation 1",
    );
    refused(
        |case| case.evidence.stream.generation = 2,
        Code::ForeignStream,
        "generation 2",
    );
    refused(
        |case| case.stream.ended = true,
        Code::Revoked,
        "web-1 generation 1 was ended",
    );
    refused(
        |case| case.key = SigningKey::from_seed([8; 32]).unwrap(),
        Code::Signature,
        "record 1 of web-1 is not signed",
    );
    refused(
        |case| case.standing.forked = Some(4),
        Code::Quarantined,
        "number 4",
    );
    refused(
        |case| case.evidence.stream.seq = 3,
        Code::Chain,
        "record 3 came, but 1 is due",
    );
    refused(
        |case| case.evidence.stream.prev = Digest::of(b"other"),
        Code::Chain,
        "record 1 links to",
    );
    refused(
        |case| case.ledger.size = 9,
        Code::Unavailable,
        "seen 10 entries, but the ledger has 9",
    );
    refused(
        |case| case.offered.clear(),
        Code::MissingBlobs,
        "names 1 blobs",
    );
    refused(
        |case| case.offered = vec![b"other"],
        Code::MissingBlobs,
        "names 1 blobs",
    );
    refused(
        |case| case.evidence.kind = Kind::Start,
        Code::Encoding,
        "malformed",
    );
}

#[test]
fn the_first_record_links_to_the_enrolment() {
    let mut case = case();
    case.standing.head = None;
    case.evidence.stream.seq = 0;
    case.evidence.seen.acked = None;
    let link = case.admit(case.file()).unwrap_err();
    assert!(matches!(link, Refusal::Link { seq: 0, .. }), "{link}");
    case.evidence.stream.prev = case.stream.record;
    assert!(matches!(case.admit(case.file()), Ok(Admission::Next(_))));
}

#[test]
fn a_changed_byte_is_never_admitted() {
    let case = case();
    let file = case.file();
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 1;
        assert!(case.admit(bad).is_err(), "byte {at}");
    }
}
