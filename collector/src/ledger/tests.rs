//! The ledger on real files: proofs at every border, crashes at every place, damage of every kind.

use std::fs;
use std::os::unix::fs::FileExt as _;

use shared::checkpoint::Verified;
use shared::durable;
use shared::leaf::LeafOrigin;
use shared::merkle::{self, EMPTY_ROOT, leaf_hash};
use shared::tile::{self, Content};

use super::fsck::{Flaw, check};
use super::*;

mod damage;

const ORIGIN: &str = "ledger.example/evident/1";
const SEGMENT: u64 = 1 << 20;

fn signer() -> Signer {
    Signer::new(ORIGIN, &[7; 32]).unwrap()
}

fn open(dir: &Path) -> Result<Ledger, LedgerError> {
    Ledger::open_sized(dir, signer(), SEGMENT)
}

fn evidence(seq: u64) -> NewEntry {
    NewEntry {
        kind: LeafKind::Evidence,
        stream: Some(Stream {
            agent: "web-1".parse().unwrap(),
            generation: 1,
            seq,
        }),
        envelope: format!("envelope {seq}").into_bytes(),
        received: Timestamp::from_unix_ms(1_767_323_046_000)
            .unwrap()
            .plus_ms(1),
    }
}

fn many(range: std::ops::Range<u64>) -> Submission {
    let entries = range.map(evidence).collect();
    Submission {
        entries,
        blobs: Vec::new(),
    }
}

fn fill(ledger: &Ledger, size: u64) {
    let mut from = ledger.published().size;
    while from < size {
        let end = size.min(from + 256);
        let appended = ledger.append_blocking(many(from..end)).unwrap();
        assert_eq!(appended.last().unwrap().index, end - 1);
        from = end;
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            let _bytes = fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn newest_segment(dir: &Path) -> PathBuf {
    let files = fs::read_dir(dir.join("segments")).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .max()
        .unwrap()
}

fn flip(path: &Path, offset: u64) {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], offset).unwrap();
}

fn flaws(dir: &Path) -> Vec<Flaw> {
    let report = check(dir, signer().verifier_key()).unwrap();
    report.findings.iter().map(|finding| finding.flaw).collect()
}

#[test]
fn a_new_ledger_is_empty_and_signed() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    let published = ledger.published();
    assert_eq!((published.size, published.root), (0, EMPTY_ROOT));
    assert!(Verified::open(&published.note, signer().verifier_key()).is_ok());
    assert!(matches!(
        ledger.entry(0),
        Err(LedgerError::OutOfTree { index: 0, size: 0 })
    ));
    assert_eq!(ledger.entries_from(0).count(), 0);
    assert_eq!(ledger.index_of(&EMPTY_ROOT), None);
    assert_eq!(ledger.blob(&EMPTY_ROOT).unwrap(), None);
    assert_eq!(ledger.consistency(0, 0).unwrap(), []);
    drop(ledger);
    assert_eq!(flaws(dir.path()), []);
}

#[test]
fn what_was_appended_is_read_back_also_after_opening_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut ledger = open(dir.path()).unwrap();
    let blob = b"an observation".to_vec();
    let name = Digest::of(&blob);
    let own = NewEntry {
        kind: LeafKind::Roster,
        stream: None,
        ..evidence(99)
    };
    let submission = Submission {
        entries: vec![evidence(0), own.clone()],
        blobs: vec![(name, blob.clone()), (name, blob.clone())],
    };
    let appended = ledger.append_blocking(submission.clone()).unwrap();
    for _ in 0..2 {
        assert_eq!(
            appended
                .iter()
                .map(|a| (a.index, a.leaf.is_some()))
                .collect::<Vec<_>>(),
            [(0, true), (1, true)]
        );
        let entry = ledger.entry(1).unwrap();
        assert_eq!(entry.envelope, own.envelope);
        assert_eq!(entry.leaf.id, Digest::of(&own.envelope));
        assert_eq!(entry.leaf.origin, LeafOrigin::Collector { number: 0 });
        assert_eq!(ledger.index_of(&entry.leaf.id), Some(1));
        assert_eq!(ledger.blob(&name).unwrap(), Some(blob.clone()));
        assert!(ledger.has_blob(&name));
        assert_eq!(ledger.published(), appended[1].checkpoint);
        let envelopes = ledger.entries_from(0).map(|entry| entry.unwrap().envelope);
        assert_eq!(
            envelopes.collect::<Vec<_>>(),
            [evidence(0).envelope, own.envelope.clone()]
        );
        drop(ledger);
        ledger = open(dir.path()).unwrap();
    }
    // What is there already keeps its place, and nothing is written for it.
    let again = ledger.append_blocking(submission).unwrap();
    assert_eq!(
        again
            .iter()
            .map(|a| (a.index, a.leaf.is_some()))
            .collect::<Vec<_>>(),
        [(0, false), (1, false)]
    );
    assert_eq!(ledger.published().size, 2);
    let twice = Submission {
        entries: vec![evidence(5), evidence(5)],
        blobs: vec![],
    };
    let twice = ledger.append_blocking(twice).unwrap();
    assert_eq!(
        twice
            .iter()
            .map(|a| (a.index, a.leaf.is_some()))
            .collect::<Vec<_>>(),
        [(2, true), (2, false)]
    );
    drop(ledger);
    let report = check(dir.path(), signer().verifier_key()).unwrap();
    assert_eq!((report.entries, report.blobs, report.commits), (3, 1, 2));
    assert_eq!(report.findings, []);
}

#[test]
fn what_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    let with = |envelope| NewEntry {
        envelope,
        ..evidence(0)
    };
    let entries = |entries| Submission {
        entries,
        blobs: Vec::new(),
    };
    let blob = |name, bytes| Submission {
        entries: vec![evidence(0)],
        blobs: vec![(name, bytes)],
    };
    let long = vec![0; limits::DOCUMENT_BYTES_MAX + 1];
    for bad in [
        entries(vec![with(vec![])]),
        entries(vec![
            evidence(0),
            with(vec![0; limits::ENVELOPE_BYTES_MAX + 1]),
        ]),
        entries(vec![evidence(0); 257]),
        blob(Digest::of(&long), long),
        blob(Digest::of(b"a"), b"b".to_vec()),
    ] {
        let refused = ledger.append_blocking(bad);
        assert!(matches!(
            refused,
            Err(LedgerError::Length { .. } | LedgerError::BlobName { .. })
        ));
    }
    assert_eq!(ledger.published().size, 0);
    assert_eq!(ledger.append_blocking(Submission::default()).unwrap(), []);
    let reading = Ledger::read_only(dir.path(), &signer()).unwrap();
    assert!(matches!(
        reading.append_blocking(many(0..1)),
        Err(LedgerError::ReadOnly)
    ));
}

#[test]
fn proofs_hold_at_every_border() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    let mut heads = vec![(0, EMPTY_ROOT)];
    for size in [
        1, 2, 3, 255, 256, 257, 511, 512, 513, 1000, 4096, 65_535, 65_536, 65_537, 66_000,
    ] {
        fill(&ledger, size);
        let published = ledger.published();
        assert_eq!(published.size, size);
        heads.push((size, published.root));
        for index in [0, 1, 255, 256, 511, size / 2, size - 1] {
            if index < size {
                let leaf = ledger.entry(index).unwrap().leaf.hash();
                let proof = ledger.inclusion(index, size).unwrap();
                let shown = merkle::verify_inclusion(index, size, &leaf, &proof, &published.root);
                assert_eq!(shown, Ok(()), "{index} of {size}");
            }
        }
        for (old, root) in &heads {
            let proof = ledger.consistency(*old, size).unwrap();
            let shown = merkle::verify_consistency(*old, size, root, &published.root, &proof);
            assert_eq!(shown, Ok(()), "{old} to {size}");
        }
    }
    assert!(ledger.inclusion(3, 3).is_err());
    assert!(ledger.inclusion(0, 66_001).is_err());
    assert!(ledger.consistency(3, 2).is_err());
    assert!(ledger.consistency(3, 66_001).is_err());
    drop(ledger);
    assert_eq!(flaws(dir.path()), []);
    let ledger = open(dir.path()).unwrap();
    for (size, root) in heads {
        assert_eq!(ledger.root(size).unwrap(), root);
    }
    every_tile_is_that_of_the_entries(&ledger);
}

fn every_tile_is_that_of_the_entries(ledger: &Ledger) {
    let size = ledger.published().size;
    let data = |index: u64| ledger.entry(index).unwrap().leaf.to_string().into_bytes();
    for path in tile::paths(size).filter(|path| path.number % 50 < 2 || path.width < 256) {
        let bytes = ledger.tile(path).unwrap().unwrap();
        let range = path.number * 256..path.number * 256 + u64::from(path.width);
        match path.content {
            Content::Entries => {
                let leaves: Vec<_> = range.map(data).collect();
                assert_eq!(tile::decode_bundle(&bytes).unwrap(), leaves, "{path}");
            }
            Content::Hashes(0) => {
                let hashes: Vec<_> = range.map(|index| leaf_hash(&data(index))).collect();
                assert_eq!(tile::decode_hashes(&bytes).unwrap(), hashes, "{path}");
            }
            Content::Hashes(_) => {
                assert_eq!(
                    tile::decode_hashes(&bytes).unwrap().len(),
                    usize::from(path.width)
                );
            }
        }
        if path.width < 256 {
            let wider = tile::TilePath {
                width: path.width + 1,
                ..path
            };
            assert_eq!(ledger.tile(wider).unwrap(), None);
        }
    }
    let far = tile::TilePath {
        content: Content::Entries,
        number: u64::MAX,
        width: 256,
    };
    assert_eq!(ledger.tile(far).unwrap(), None);
}

#[test]
fn a_crash_at_any_place_keeps_what_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    let file = newest_segment(dir.path());
    let mut stages = Vec::new();
    for step in 0..6 {
        let published = ledger.published();
        stages.push((published, durable::read(&file, SEGMENT).unwrap()));
        fill(&ledger, (step + 1) * 3);
    }
    drop(ledger);
    let checkpoint = dir.path().join("checkpoint");
    for pair in stages.windows(2) {
        let [(old, before), (new, after)] = pair else {
            panic!("two stages")
        };
        let first = before.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        let last = after.iter().rposition(|byte| *byte != 0).unwrap() + 1;
        for cut in (first..=last).step_by(41).chain([last - 1, last]) {
            let mut bytes = after[..cut].to_vec();
            bytes.resize(after.len(), 0);
            durable::write(&file, &bytes, 0o600).unwrap();
            durable::write(&checkpoint, old.note.as_bytes(), 0o600).unwrap();
            let ledger = open(dir.path()).unwrap();
            let wanted = if cut == last { new } else { old };
            assert_eq!(
                ledger.published(),
                *wanted,
                "cut at {cut} of {first} to {last}"
            );
            // The same entries come again, as their senders got no answer.
            fill(&ledger, new.size);
            assert_eq!(ledger.published(), *new);
            drop(ledger);
            assert_eq!(open(dir.path()).unwrap().published(), *new);
            assert_eq!(flaws(dir.path()), []);
        }
    }
}

#[test]
fn a_copy_made_while_it_runs_is_a_ledger() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    for size in [1, 255, 256, 257, 600] {
        fill(&ledger, size);
        let copied = tempfile::tempdir().unwrap();
        copy(dir.path(), copied.path());
        let other = open(copied.path()).unwrap();
        assert_eq!(other.published(), ledger.published());
        let reading = Ledger::read_only(dir.path(), &signer()).unwrap();
        assert_eq!(reading.published(), ledger.published());
        fill(&other, size + 300);
        drop(other);
        assert_eq!(flaws(copied.path()), []);
        fill(&ledger, size + 1);
        assert_eq!(reading.published().size, size);
        assert_eq!(reading.root(size).unwrap(), reading.published().root);
    }
}

#[test]
fn without_room_senders_are_told_and_everything_goes_on_later() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open_sized(dir.path(), signer(), 4096).unwrap();
    // What stands in the way of the next segment file, as a full disk would.
    let obstacle = dir.path().join("segments/0000000001.new");
    fs::create_dir(&obstacle).unwrap();
    let refused = ledger.append_blocking(many(0..100));
    assert!(matches!(refused, Err(LedgerError::NoRoom(_))));
    assert_eq!(ledger.published().size, 0);
    fill(&ledger, 3);
    fs::remove_dir(&obstacle).unwrap();
    fill(&ledger, 100);
    drop(ledger);
    assert_eq!(open(dir.path()).unwrap().published().size, 100);
    assert_eq!(flaws(dir.path()), []);
}

fn append_and_prove(ledger: &Ledger, seq: u64) {
    let appended = ledger.append_blocking(many(seq..seq + 1)).unwrap();
    let Appended {
        index, checkpoint, ..
    } = &appended[0];
    let head = Verified::open(&checkpoint.note, signer().verifier_key()).unwrap();
    let (size, root) = (head.checkpoint().size, head.checkpoint().root);
    let leaf = ledger.entry(*index).unwrap().leaf.hash();
    let proof = ledger.inclusion(*index, size).unwrap();
    let shown = merkle::verify_inclusion(*index, size, &leaf, &proof, &root);
    assert_eq!(shown, Ok(()));
}

#[test]
fn tasks_append_at_once_and_see_it_grow() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut grown = ledger.grown().unwrap();
        let tasks = (0..64).map(|seq| {
            let ledger = ledger.clone();
            tokio::spawn(async move { ledger.append(many(seq * 4..seq * 4 + 4)).await })
        });
        let tasks: Vec<_> = tasks.collect();
        let seen = *grown.wait_for(|size| *size == 256).await.unwrap();
        assert_eq!(seen, 256);
        for task in tasks {
            let appended = task.await.unwrap().unwrap();
            let first = appended[0].index;
            assert!(
                (first..)
                    .zip(&appended)
                    .all(|(index, one)| one.index == index)
            );
            assert!(first + 4 <= appended[3].checkpoint.size);
        }
    });
}

#[test]
fn many_senders_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    let mut grown = ledger.grown().unwrap();
    std::thread::scope(|scope| {
        for sender in 0..8_u64 {
            let ledger = ledger.clone();
            let _running = scope.spawn(move || {
                (0..40).for_each(|step| append_and_prove(&ledger, sender * 1000 + step));
            });
        }
    });
    assert_eq!(*grown.borrow_and_update(), 320);
    let published = ledger.published();
    drop(ledger);
    assert_eq!(open(dir.path()).unwrap().published(), published);
    let report = check(dir.path(), signer().verifier_key()).unwrap();
    assert_eq!((report.entries, report.findings_count), (320, 0));
}

#[test]
fn too_much_at_once_is_busy_and_what_was_taken_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let ledger = open(dir.path()).unwrap();
    // Held like this, the writer can take a group but not finish it.
    let held = ledger.shared.state();
    let mut answers = Vec::new();
    let mut seq = 0;
    let refused = loop {
        match ledger.submit(many(seq..seq + 1)) {
            Ok(answer) => answers.push(answer),
            Err(error) => break error,
        }
        seq += 1;
    };
    assert!(matches!(refused, LedgerError::Busy));
    assert!(answers.len() >= WAITING_MAX);
    drop(held);
    for answer in answers {
        assert!(answer.blocking_recv().unwrap().unwrap()[0].leaf.is_some());
    }
    assert_eq!(ledger.published().size, seq);
    fill(&ledger, seq + 1);
    // The same for bytes.
    let held = ledger.shared.state();
    let mut waiting = Vec::new();
    let refused = loop {
        let number = u8::try_from(waiting.len()).unwrap();
        let bytes = vec![number; limits::BLOB_BYTES_MAX];
        let blobs = vec![(Digest::of(&bytes), bytes)];
        match ledger.submit(Submission {
            entries: Vec::new(),
            blobs,
        }) {
            Ok(answer) => waiting.push(answer),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, LedgerError::Busy));
    drop(held);
    assert!(
        waiting
            .into_iter()
            .all(|answer| answer.blocking_recv().unwrap().is_ok())
    );
}
