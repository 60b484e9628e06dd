//! Tests of what is decided about the collector's answers; the network is tested as a whole.

use std::path::Path;

use shared::attestation::TreeHead;

use super::*;
use crate::attest::tests::{circumstances, key, observed, program};
use crate::attest::{Matter, attest};

fn spool(folder: &Path, records: u64) -> Spool {
    let root = Digest::of(b"");
    let seen = TreeHead { size: 0, root };
    Spool::create(folder, Digest::of(b"record"), seen, "note").unwrap();
    let mut spool = Spool::open(folder, 8 * 1024 * 1024).unwrap();
    for _ in 0..records {
        let at = circumstances(spool.next_seq(), spool.link());
        let run = [observed("clock", "same", &[])];
        let (record, blobs) = attest(&key(), &program(), at, Matter::Run(&run)).unwrap();
        spool.append(&record, &blobs).unwrap();
    }
    spool
}

#[test]
fn a_collector_that_is_behind_or_equal_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = spool(folder.path(), 3);
    let id = |seq| spool.unsent(seq).unwrap();
    for theirs in [None, Some((0, id(0))), Some((1, id(1))), Some((2, id(2)))] {
        let theirs = theirs.map(|(seq, id)| StreamHead { seq, id });
        assert!(compare(&spool, theirs).is_ok(), "{theirs:?}");
    }
    let (seq, id) = (0, id(0));
    spool.acknowledge(spool.tree(), "note", Some(1)).unwrap();
    assert!(compare(&spool, Some(StreamHead { seq, id })).is_ok());
}

#[test]
fn a_collector_that_is_ahead_shows_that_we_were_set_back() {
    for (records, seq) in [(0, 0), (3, 3), (3, 90)] {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path(), records);
        let id = Digest::of(b"x");
        let error = compare(&spool, Some(StreamHead { seq, id })).unwrap_err();
        assert!(matches!(error, ShipError::RolledBack { theirs, .. } if theirs == seq));
        assert!(error.hint().unwrap().contains("enrol --again"));
    }
}

#[test]
fn another_record_of_the_same_number_is_a_fork() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 3);
    for seq in [0, 2] {
        let id = Digest::of(b"x");
        let error = compare(&spool, Some(StreamHead { seq, id })).unwrap_err();
        assert!(matches!(error, ShipError::Forked { .. }), "{error:?}");
    }
}

#[test]
fn blobs_are_sent_again_once() {
    let (first, second) = (Digest::of(b"first"), Digest::of(b"second"));
    let problem = |code, missing: &[Digest]| Problem {
        code,
        status: 422,
        title: "missing".to_owned(),
        detail: None,
        hint: None,
        missing: missing.to_vec(),
    };
    let nothing = BTreeSet::new();
    let named = [first, second];
    let asked = |tried, problem| asked_again(tried, &named, &problem);
    let once = asked(&nothing, problem(Code::MissingBlobs, &[first])).unwrap();
    assert_eq!(once, BTreeSet::from([first]));
    assert_eq!(asked(&once, problem(Code::MissingBlobs, &[first])), None);
    let both = asked(&once, problem(Code::MissingBlobs, &[second])).unwrap();
    assert_eq!(both, BTreeSet::from([first, second]));
    // By turns the one and the other is not without end either.
    for missing in [first, second] {
        assert_eq!(asked(&both, problem(Code::MissingBlobs, &[missing])), None);
    }
    assert_eq!(asked(&nothing, problem(Code::MissingBlobs, &[])), None);
    assert_eq!(asked(&nothing, problem(Code::Chain, &[first])), None);
    // What the record does not name is not missed by it.
    let foreign: Vec<Digest> = (0..300_u32).map(|n| Digest::of(&n.to_be_bytes())).collect();
    let problem = problem(Code::MissingBlobs, &foreign);
    assert_eq!(asked(&nothing, problem), None);
}

#[test]
fn a_record_names_its_blobs_until_it_has_a_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = spool(folder.path(), 2);
    assert_eq!(spool.named(1).len(), 1);
    spool.acknowledge(spool.tree(), "note", Some(1)).unwrap();
    assert!(spool.named(1).is_empty() && spool.named(7).is_empty());
}

#[test]
fn waiting_grows_to_its_bound_and_differs_between_hosts() {
    for (failures, least, most) in [
        (0, 2_500, 5_000),
        (1, 2_500, 5_000),
        (2, 5_000, 10_000),
        (5, 40_000, 80_000),
        (8, 320_000, 640_000),
        (9, 450_000, 900_000),
        (40, 450_000, 900_000),
        (u32::MAX, 450_000, 900_000),
    ] {
        let wait = retry_ms(failures, None, "web-1");
        assert!((least..=most).contains(&wait), "{failures}: {wait}");
    }
    assert_ne!(retry_ms(3, None, "web-1"), retry_ms(3, None, "web-2"));
    assert!((60_000..62_500).contains(&retry_ms(1, Some(60_000), "web-1")));
}
