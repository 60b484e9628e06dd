//! Ledgers that were changed, copied over or damaged are refused, and `check` names the place.

use shared::merkle::{EMPTY_ROOT, leaf_hash};

use super::*;

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
    let refused = ledger.inclusion(300, 600);
    assert!(matches!(refused, Err(LedgerError::Tile(file)) if file == tile));
    assert!(ledger.inclusion(3, 600).is_ok());
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
fn forge(records: &[record::Record<'_>]) -> (tempfile::TempDir, Vec<Flaw>) {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    let mut segments = Segments::open(&dir.path().join("segments"), SEGMENT).unwrap();
    let records: Vec<_> = records.iter().map(record::Record::encode).collect();
    let records: Vec<_> = records.iter().map(Vec::as_slice).collect();
    let _places = segments.append(&records).unwrap();
    segments.sync().unwrap();
    let flaws = flaws(dir.path());
    (dir, flaws)
}

#[test]
fn wrong_records_with_right_checksums_are_found_and_named() {
    use record::Record;

    let leaf = leaf_of(&evidence(0), Digest::of(b"envelope 0"), 0).to_string();
    let (leaf, envelope) = (leaf.as_bytes(), b"envelope 0".as_slice());
    let root = leaf_hash(leaf);
    let entry = Record::Entry {
        index: 0,
        leaf,
        envelope,
    };
    let commit = Record::Commit { size: 1, root };
    let (other, blob) = (Digest::of(b"other"), b"blob".as_slice());
    let bad_root = leaf_hash(b"no leaf");
    for (records, wanted, opens) in [
        (vec![entry, commit], vec![], true),
        (vec![entry, Record::Void, entry, commit], vec![], true),
        (vec![entry], vec![], true),
        (
            vec![Record::Commit {
                size: 0,
                root: EMPTY_ROOT,
            }],
            vec![],
            true,
        ),
        (
            vec![entry, Record::Commit { size: 2, root }],
            vec![Flaw::Commit],
            false,
        ),
        (
            vec![
                entry,
                Record::Commit {
                    size: 1,
                    root: other,
                },
            ],
            vec![Flaw::Commit],
            false,
        ),
        (
            vec![entry, entry, commit],
            vec![Flaw::Index, Flaw::Commit],
            false,
        ),
        (
            vec![
                Record::Entry {
                    index: 1,
                    leaf,
                    envelope,
                },
                commit,
            ],
            vec![Flaw::Index],
            false,
        ),
        (
            vec![
                Record::Entry {
                    index: 0,
                    leaf: b"no leaf",
                    envelope,
                },
                Record::Commit {
                    size: 1,
                    root: bad_root,
                },
            ],
            vec![Flaw::Leaf],
            false,
        ),
        // A changed envelope or blob opens, and is refused when it is read.
        (
            vec![
                Record::Entry {
                    index: 0,
                    leaf,
                    envelope: b"e",
                },
                commit,
            ],
            vec![Flaw::Id],
            true,
        ),
        (
            vec![
                Record::Blob {
                    digest: other,
                    bytes: blob,
                },
                entry,
                commit,
            ],
            vec![Flaw::BlobName],
            true,
        ),
    ] {
        let (dir, found) = forge(&records);
        assert_eq!(found, wanted, "{records:?}");
        let opened = open(dir.path());
        assert_eq!(opened.is_ok(), opens, "{records:?}");
        if wanted.contains(&Flaw::BlobName) {
            assert!(opened.unwrap().blob(&other).is_err());
        } else if wanted.contains(&Flaw::Id) {
            assert!(opened.unwrap().entry(0).is_err());
        }
    }
}
