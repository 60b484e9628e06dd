//! Ledgers that were changed, copied over or damaged are refused, and `check` names the place.

use super::*;
use crate::ledger::fsck::repair;
use crate::ledger::leaf::{Numbers, leaf_of};
use crate::ledger::record::Record;

#[test]
fn only_one_process_and_one_key() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    fill(&ledger, 3);
    let second = open(dir.path()).unwrap_err();
    let LedgerError::Segments(cause) = second else {
        panic!("{second}")
    };
    assert!(matches!(*cause, SegmentError::Locked(_)));
    drop(ledger);
    for other in [
        Signer::new(ORIGIN, &[8; 32]),
        Signer::new("other.example/1", &[7; 32]),
    ] {
        let refused = Ledger::open_sized(dir.path(), other.unwrap(), SEGMENT);
        assert!(matches!(refused, Err(LedgerError::OtherKey { .. })));
    }
    assert_eq!(open(dir.path()).unwrap().published().size, 3);
}

#[test]
fn a_ledger_older_than_its_checkpoint_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    fill(&ledger, 10);
    drop(ledger);
    let backup = tempfile::tempdir().unwrap();
    copy(&dir.path().join("segments"), backup.path());
    fill(&open(dir.path()).unwrap(), 20);
    copy(backup.path(), &dir.path().join("segments"));
    let refused = open(dir.path());
    assert!(matches!(
        refused,
        Err(LedgerError::Behind {
            stored: 10,
            signed: 20
        })
    ));
    assert_eq!(flaws(dir.path()), [Flaw::Contradiction]);
    // The same number of other entries.
    let other = signer().sign(10, Digest::of(b"other")).to_string();
    durable::write(&dir.path().join("checkpoint"), other.as_bytes(), 0o600).unwrap();
    assert!(matches!(
        open(dir.path()),
        Err(LedgerError::Contradiction(10))
    ));
    assert_eq!(flaws(dir.path()), [Flaw::Contradiction]);
    durable::write(&dir.path().join("checkpoint"), b"x", 0o600).unwrap();
    assert!(matches!(
        open(dir.path()),
        Err(LedgerError::OtherKey { .. })
    ));
    assert_eq!(flaws(dir.path()), [Flaw::Checkpoint]);
}

#[test]
fn flipped_bytes_are_found_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    fill(&ledger, 300);
    fill(&ledger, 310);
    drop(ledger);
    let segment = newest_segment(dir.path());
    let length = durable::read(&segment, SEGMENT).unwrap();
    let end = u64::try_from(length.iter().rposition(|byte| *byte != 0).unwrap()).unwrap();
    for offset in (0..end - 4000).step_by(997) {
        flip(&segment, offset);
        let report = check(dir.path(), signer().verifier_key()).unwrap();
        let finding = &report.findings[0];
        assert_eq!(
            (finding.flaw, &finding.file),
            (Flaw::Segment, &segment),
            "at {offset}"
        );
        assert!(finding.offset <= offset && offset < finding.offset + 300);
        assert!(open(dir.path()).is_err());
        flip(&segment, offset);
    }
    assert_eq!(flaws(dir.path()), []);
}

#[test]
fn damaged_tiles_become_no_proof_and_are_repaired() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    fill(&ledger, 600);
    drop(ledger);
    let tile = dir.path().join("tile/0/001");
    flip(&tile, 77);
    let ledger = open(dir.path()).unwrap();
    let leaf = ledger.entry(300).unwrap().leaf.hash();
    let proof = ledger.inclusion(300, 600).unwrap();
    let root = ledger.published().root;
    let shown = merkle::verify_inclusion(300, 600, &leaf, &proof, &root);
    assert_eq!(shown, Ok(()));
    drop(ledger);
    flip(&dir.path().join("tile/entries/000"), 5);
    fs::remove_file(dir.path().join("tile/0/000")).unwrap();
    let found = flaws(dir.path());
    assert_eq!(
        found,
        [Flaw::TileContent, Flaw::TileMissing, Flaw::TileContent]
    );
    let report = repair(dir.path(), signer().verifier_key()).unwrap();
    assert_eq!(
        (report.tiles, report.repaired, report.findings_count),
        (4, 3, 3)
    );
    assert_eq!(flaws(dir.path()), []);
    // What is missing or too short is written again when the ledger is opened.
    fs::remove_dir_all(dir.path().join("tile")).unwrap();
    let ledger = open(dir.path()).unwrap();
    assert!(ledger.inclusion(300, 600).is_ok());
    drop(ledger);
    assert_eq!(flaws(dir.path()), []);
}

/// Writes records of which the checksums are right and the contents are wrong.
fn forge(records: &[Record<'_>]) -> (tempfile::TempDir, Vec<Flaw>) {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let mut segments = Segments::open(&dir.path().join("segments"), SEGMENT).unwrap();
    let records: Vec<_> = records.iter().map(Record::encode).collect();
    let records: Vec<_> = records.iter().map(Vec::as_slice).collect();
    let _places = segments.append(&records).unwrap();
    segments.sync().unwrap();
    let flaws = flaws(dir.path());
    (dir, flaws)
}

fn entry<'a>(index: u64, leaf: &'a [u8], envelope: &'a [u8]) -> Record<'a> {
    Record::Entry {
        index,
        leaf,
        envelope,
    }
}

const fn commit<'a>(size: u64, root: Digest) -> Record<'a> {
    Record::Commit { size, root }
}

#[test]
fn wrong_records_with_right_checksums_are_found_and_named() {
    let leaf = leaf_of(&evidence(0), Digest::of(b"envelope 0"), Numbers::default()).to_string();
    let leaf = leaf.as_bytes();
    let good = entry(0, leaf, b"envelope 0");
    let root = leaf_hash(leaf);
    let other = Digest::of(b"other");
    let no_leaf = [entry(0, b"no leaf", b"e"), commit(1, leaf_hash(b"no leaf"))];
    for (records, wanted) in [
        (&[good, commit(1, root)][..], &[][..]),
        (&[good, Record::Void, good, commit(1, root)], &[]),
        (&[good], &[]),
        (&[commit(0, EMPTY_ROOT)], &[]),
        (&[good, commit(2, root)], &[Flaw::Commit]),
        (&[good, commit(1, other)], &[Flaw::Commit]),
        (&[good, good, commit(1, root)], &[Flaw::Index, Flaw::Commit]),
        (
            &[entry(1, leaf, b"envelope 0"), commit(1, root)],
            &[Flaw::Index],
        ),
        (&no_leaf, &[Flaw::Leaf]),
    ] {
        let (dir, found) = forge(records);
        assert_eq!(found, wanted, "{records:?}");
        assert_eq!(open(dir.path()).is_ok(), wanted.is_empty(), "{records:?}");
    }
}

#[test]
fn changed_envelopes_and_blobs_are_refused_when_they_are_read() {
    let leaf = leaf_of(&evidence(0), Digest::of(b"envelope 0"), Numbers::default()).to_string();
    let leaf = leaf.as_bytes();
    let (name, bytes) = (Digest::of(b"other"), b"blob".as_slice());
    let blob = Record::Blob {
        digest: name,
        bytes,
    };
    let changed = [blob, entry(0, leaf, b"changed"), commit(1, leaf_hash(leaf))];
    let (dir, found) = forge(&changed);
    assert_eq!(found, [Flaw::BlobName, Flaw::Id]);
    let ledger = open(dir.path()).unwrap();
    assert!(matches!(
        ledger.blob(&name),
        Err(LedgerError::Record { .. })
    ));
    assert!(matches!(ledger.entry(0), Err(LedgerError::Record { .. })));
}

/// A flip in the very last group looks like a torn write to the segments; the checkpoint that was
/// written down at the stop tells the difference.
#[test]
fn a_flip_in_the_last_group_is_not_taken_for_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    fill(&ledger, 3);
    fill(&ledger, 5);
    drop(ledger);
    let segment = newest_segment(dir.path());
    let bytes = durable::read(&segment, SEGMENT).unwrap();
    let last = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    flip(&segment, u64::try_from(last).unwrap() - 10);
    assert_eq!(flaws(dir.path()), [Flaw::Contradiction]);
    for _ in 0..2 {
        let refused = open(dir.path());
        let (stored, signed) = match refused {
            Err(LedgerError::Behind { stored, signed }) => (stored, signed),
            other => panic!("{other:?}"),
        };
        assert_eq!((stored, signed), (3, 5));
    }
    // The refusal changed nothing: with the right byte back, everything is there.
    flip(&segment, u64::try_from(last).unwrap() - 10);
    assert_eq!(open(dir.path()).unwrap().published().size, 5);
}
