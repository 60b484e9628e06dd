//! Tests of the spool: what is on disk survives, what is not was never seen by anybody.

use shared::wire::frames;

use super::*;
use crate::attest::tests::{circumstances, key, observed, program};
use crate::attest::{Matter, attest};

const BYTES_MAX: u64 = 8 * 1024 * 1024;

fn record_id() -> Digest {
    Digest::of(b"enrolment record")
}

fn head(size: u64) -> TreeHead {
    let root = Digest::of(&size.to_be_bytes());
    TreeHead { size, root }
}

fn created(folder: &Path) -> Spool {
    Spool::create(folder, record_id(), head(3), "note 3").unwrap();
    Spool::open(folder, BYTES_MAX).unwrap()
}

/// Makes the next record about `matter` and keeps it.
fn add(spool: &mut Spool, matter: Matter<'_>) -> StreamHead {
    let (attestation, blobs) = next(spool, matter);
    spool.append(&attestation, &blobs).unwrap();
    spool.head().unwrap()
}

fn next(spool: &Spool, matter: Matter<'_>) -> (Attestation, Vec<Vec<u8>>) {
    let at = circumstances(spool.next_seq(), spool.link());
    attest(&key(), &program(), at, matter).unwrap()
}

fn counts(batch: &Batch) -> (usize, usize) {
    let frames = frames(&batch.body).unwrap();
    let blobs = frames
        .iter()
        .filter(|frame| matches!(frame, Frame::Blob(_)));
    let blobs = blobs.count();
    (blobs, frames.len() - blobs)
}

fn batch(spool: &Spool) -> Batch {
    spool.batch(&BTreeSet::new()).unwrap().unwrap()
}

/// The newest segment file of a folder.
fn newest(folder: &Path) -> PathBuf {
    let files = std::fs::read_dir(folder).unwrap();
    let files = files.map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "seg"))
        .max()
        .unwrap()
}

#[test]
fn the_stream_goes_on_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = created(folder.path());
    assert_eq!((spool.next_seq(), spool.link()), (0, record_id()));
    assert_eq!(spool.batch(&BTreeSet::new()).unwrap(), None);
    let first = add(&mut spool, Matter::Start);
    let run = [observed("clock", "x", &[b"copy"])];
    let second = add(&mut spool, Matter::Run(&run));
    let sent = batch(&spool);
    assert_eq!(sent.records, [first, second]);
    assert_eq!(counts(&sent), (2, 2));
    drop(spool);
    let spool = Spool::open(folder.path(), BYTES_MAX).unwrap();
    // What was signed before a kill is sent after it, byte by byte.
    assert_eq!(batch(&spool), sent);
    assert_eq!((spool.next_seq(), spool.link()), (2, second.id));
    assert_eq!((spool.checkpoint(), spool.tree()), ("note 3", head(3)));
    let glance = Spool::glance(folder.path()).unwrap();
    assert_eq!(
        (glance.head, glance.depth, glance.seen),
        (Some(second), 2, spool.seen())
    );
    assert_eq!(
        spool.seen(),
        Seen {
            size: 3,
            root: head(3).root,
            acked: None
        }
    );
}

#[test]
fn only_the_next_record_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = created(folder.path());
    let (start, _) = next(&spool, Matter::Start);
    spool.append(&start, &[]).unwrap();
    let again = spool.append(&start, &[]);
    assert!(matches!(again, Err(SpoolError::Order { came: 0, due: 1 })));
    for (seq, prev) in [(2, start.id()), (1, record_id())] {
        let at = circumstances(seq, prev);
        let (other, _) = attest(&key(), &program(), at, Matter::Start).unwrap();
        let refused = spool.append(&other, &[]);
        assert!(matches!(refused, Err(SpoolError::Order { .. })), "{seq}");
    }
    assert_eq!(spool.depth(), 1);
}

#[test]
fn what_is_proven_is_forgotten_and_what_did_not_change_is_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = created(folder.path());
    let run = [observed("clock", "same", &[b"copy"])];
    let first = add(&mut spool, Matter::Run(&run));
    spool.acknowledge(head(9), "note", Some(first.seq)).unwrap();
    assert_eq!((spool.depth(), spool.seen().acked), (0, Some(0)));
    let second = add(&mut spool, Matter::Run(&run));
    drop(spool);
    let mut spool = Spool::open(folder.path(), BYTES_MAX).unwrap();
    assert_eq!(
        spool.seen(),
        Seen {
            size: 9,
            root: head(9).root,
            acked: Some(0)
        }
    );
    assert_eq!(counts(&batch(&spool)), (0, 1));
    // A collector that lost them gets them once more.
    let copy = Digest::of(b"copy");
    assert!(spool.holds(&copy));
    let asked = spool.batch(&BTreeSet::from([copy])).unwrap().unwrap();
    assert_eq!(counts(&asked), (1, 1));
    // A changed observation replaces the old one, which goes with its receipt.
    let run = [observed("clock", "changed", &[])];
    let third = add(&mut spool, Matter::Run(&run));
    assert_eq!(counts(&batch(&spool)), (1, 2));
    spool
        .acknowledge(head(10), "note", Some(second.seq))
        .unwrap();
    assert!(!spool.holds(&copy));
    assert_eq!(batch(&spool).records, [third]);
    // A receipt that proves growth alone forgets nothing.
    spool.acknowledge(head(11), "note", None).unwrap();
    assert_eq!((spool.depth(), spool.seen().acked), (1, Some(1)));
}

#[test]
fn a_last_record_that_is_cut_anywhere_was_never_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = created(folder.path());
    let first = add(&mut spool, Matter::Start);
    let before = spool.segments.end().offset();
    let last = add(&mut spool, Matter::Heartbeat);
    let after = spool.segments.end().offset();
    drop(spool);
    let path = newest(folder.path());
    let whole = shared::durable::read(&path, 1 << 21).unwrap();
    // Every byte of the frame, of the end, and one in seven between.
    let near = |cut: u32| cut < before + 20 || after < cut + 20;
    for cut in (before..=after).filter(|cut| near(*cut) || cut.is_multiple_of(7)) {
        let mut bytes = whole.clone();
        bytes[usize::try_from(cut).unwrap()..].fill(0);
        shared::durable::write(&path, &bytes, 0o600).unwrap();
        let spool = Spool::open(folder.path(), BYTES_MAX).unwrap();
        // The last bytes of a record may be the zeros that a cut leaves.
        let kept = if spool.depth() == 2 { last } else { first };
        assert_eq!(spool.head(), Some(kept), "{cut}");
        assert!(kept == first || bytes == whole, "{cut}");
    }
}

#[test]
fn damage_is_named_with_its_place_and_nothing_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = created(folder.path());
    let begin = spool.segments.end().offset();
    add(&mut spool, Matter::Start);
    add(&mut spool, Matter::Heartbeat);
    drop(spool);
    let path = newest(folder.path());
    let mut bytes = shared::durable::read(&path, 1 << 21).unwrap();
    bytes[usize::try_from(begin).unwrap() + 40] ^= 1;
    shared::durable::write(&path, &bytes, 0o600).unwrap();
    let error = Spool::open(folder.path(), BYTES_MAX).unwrap_err();
    assert!(error.hint().contains("enrol --again"), "{error:?}");
    let SpoolError::Segments(SegmentError::Damaged {
        offset,
        path: named,
        ..
    }) = error
    else {
        panic!("{error:?}");
    };
    assert_eq!((offset, named), (begin.into(), path.clone()));
    assert_eq!(shared::durable::read(&path, 1 << 21).unwrap(), bytes);
}

#[test]
fn a_spool_that_is_gone_or_empty_does_not_begin_again_at_zero() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Spool::open(&folder.path().join("spool"), BYTES_MAX);
    assert!(matches!(missing, Err(SpoolError::Gone(_))));
    assert!(!folder.path().join("spool").exists());
    let empty = Spool::open(folder.path(), BYTES_MAX);
    assert!(matches!(empty, Err(SpoolError::Gone(_))));
}

#[test]
fn records_that_do_not_follow_each_other_are_damage() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = created(folder.path());
    add(&mut spool, Matter::Start);
    let at = circumstances(1, Digest::of(b"another"));
    let (foreign, _) = attest(&key(), &program(), at, Matter::Start).unwrap();
    let payload = record(ATTESTATION, foreign.file());
    spool.write(&[&payload]).unwrap();
    spool.segments.sync().unwrap();
    drop(spool);
    let error = Spool::open(folder.path(), BYTES_MAX).unwrap_err();
    assert!(
        matches!(error, SpoolError::Content { file: 0, .. }),
        "{error:?}"
    );
}

#[test]
fn a_full_spool_drops_the_oldest_blobs_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = created(folder.path());
    let mut heads = Vec::new();
    for run in 0..12_u8 {
        let copy = vec![run; 300_000];
        let run = [observed("clock", &run.to_string(), &[&copy])];
        heads.push(add(&mut spool, Matter::Run(&run)));
        assert!(spool.contents.live_bytes() <= BYTES_MAX / 3);
    }
    let lost = spool.lost().unwrap().clone();
    assert_eq!(
        (lost.first, lost.reason.as_str()),
        (0, "the spool was full")
    );
    assert!(lost.last < 11 && 0 < lost.blobs, "{lost:?}");
    drop(spool);
    let mut spool = Spool::open(folder.path(), BYTES_MAX).unwrap();
    assert_eq!(spool.lost(), Some(&lost));
    assert_eq!(spool.depth(), 12);
    assert!(!spool.holds(&Digest::of(&vec![0; 300_000])));
    assert!(spool.holds(&Digest::of(&vec![11; 300_000])));
    // The collector is told which blobs will never come.
    let batch = spool.batch(&BTreeSet::new()).unwrap().unwrap();
    let gone = Frame::Dropped(Digest::of(&vec![0; 300_000]));
    assert!(frames(&batch.body).unwrap().contains(&gone));
    add(&mut spool, Matter::Gap(lost));
    assert_eq!(spool.lost(), None);
    drop(spool);
    let spool = Spool::open(folder.path(), BYTES_MAX).unwrap();
    assert_eq!((spool.lost(), spool.depth()), (None, 13));
}

#[test]
fn a_gap_record_clears_only_the_loss_that_it_states() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = created(folder.path());
    for run in 0..12_u8 {
        let copy = vec![run; 300_000];
        let run = [observed("clock", &run.to_string(), &[&copy])];
        add(&mut spool, Matter::Run(&run));
    }
    let stated = spool.lost().unwrap().clone();
    // The record about the loss needs room itself, and more is dropped for it.
    let (gap, _) = next(&spool, Matter::Gap(stated.clone()));
    spool.live_max = spool.contents.live_bytes();
    spool.append(&gap, &[]).unwrap();
    let left = spool.lost().unwrap().clone();
    assert_eq!(left.reason, stated.reason);
    assert!(0 < left.blobs && stated.last < left.last, "{left:?}");
    drop(spool);
    let mut spool = Spool::open(folder.path(), BYTES_MAX).unwrap();
    assert_eq!(spool.lost(), Some(&left));
    add(&mut spool, Matter::Gap(left));
    assert_eq!(spool.lost(), None);
}

#[test]
fn a_spool_full_of_attestations_is_not_written_anew_for_each_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = created(folder.path());
    for _ in 0..60 {
        add(&mut spool, Matter::Heartbeat);
    }
    spool.live_max = spool.contents.live_bytes() / 2;
    let place = |spool: &Spool| {
        let end = spool.segments.end();
        u64::from(end.segment()) * SEGMENT_BYTES + u64::from(end.offset())
    };
    let begin = place(&spool);
    for run in 0..60_u8 {
        let run = [observed("clock", &run.to_string().repeat(100), &[])];
        add(&mut spool, Matter::Run(&run));
    }
    assert!(spool.lost().is_some());
    let anew = (place(&spool) - begin) / spool.contents.live_bytes();
    assert!(anew < 20, "{anew}");
}

#[test]
fn the_disk_holds_what_is_live_and_little_more() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = created(folder.path());
    for run in 0..40_u8 {
        let copy = vec![run; 200_000];
        let run = [observed("clock", &run.to_string(), &[&copy])];
        let head = add(&mut spool, Matter::Run(&run));
        if head.seq % 3 == 2 {
            spool
                .acknowledge(self::head(head.seq), "note", Some(head.seq))
                .unwrap();
        }
        if head.seq.is_multiple_of(7) {
            let (depth, link) = (spool.depth(), spool.link());
            drop(spool);
            spool = Spool::open(folder.path(), BYTES_MAX).unwrap();
            assert_eq!((spool.depth(), spool.link()), (depth, link));
        }
    }
    let files = std::fs::read_dir(folder.path()).unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= 5 * SEGMENT_BYTES, "{bytes}");
    assert_eq!(spool.lost(), None);
}

#[test]
fn submissions_stay_within_their_limits() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = created(folder.path());
    for run in 0..5_u8 {
        let copy = vec![run; 400_000];
        let run = [observed("clock", &run.to_string(), &[&copy])];
        add(&mut spool, Matter::Run(&run));
    }
    assert_eq!(batch(&spool).records.len(), 2);
    spool.acknowledge(head(9), "note", Some(4)).unwrap();
    for _ in 0..limits::BATCH_ATTESTATIONS_MAX + 5 {
        add(&mut spool, Matter::Heartbeat);
    }
    let sent = batch(&spool);
    assert!(sent.records.len() <= limits::BATCH_ATTESTATIONS_MAX);
    assert_eq!(sent.records[0].seq, 5);
    assert!(sent.body.len() <= BATCH_BYTES);
}
