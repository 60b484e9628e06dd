//! Segment files that are cut, flipped, torn and filled.

use std::collections::BTreeSet;

use super::*;
use crate::durable::read;

const SIZE: u64 = 4096;
const READ_MAX: u64 = 1 << 20;

/// What a folder holds, in order.
fn contents(folder: &Path) -> Result<Vec<Vec<u8>>, SegmentError> {
    let records = Reader::open(folder).records()?;
    records
        .map(|record| record.map(|(_, payload)| payload))
        .collect()
}

/// Replaces the bytes of a file, without waiting for the disk.
fn put(path: &Path, bytes: &[u8]) {
    File::create(path).unwrap().write_all(bytes).unwrap();
}

fn append(segments: &mut Segments, records: &[&[u8]]) -> Vec<Position> {
    let positions = segments.append(records).unwrap();
    segments.sync().unwrap();
    positions
}

fn payload(number: usize) -> Vec<u8> {
    let mut payload = number.to_string().into_bytes();
    payload.resize(20 + number * 7 % 90, b'.');
    payload.push(0);
    payload
}

fn file(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:010}.seg"))
}

#[test]
fn what_is_appended_is_read_back_across_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut segments = Segments::open(folder.path(), SIZE).unwrap();
    let mut wanted = Vec::new();
    for number in 0..300 {
        let (one, two) = (payload(number), payload(number + 1));
        let positions = append(&mut segments, &[&one, &two]);
        assert_eq!(segments.reader().read(positions[0]).unwrap(), one);
        assert_eq!(segments.reader().read(positions[1]).unwrap(), two);
        assert!(positions.is_sorted());
        assert_eq!(Position::from_u64(positions[1].to_u64()), positions[1]);
        wanted.extend([one, two]);
        if number % 50 == 0 {
            drop(segments);
            segments = Segments::open(folder.path(), SIZE).unwrap();
        }
    }
    assert_eq!(contents(folder.path()).unwrap(), wanted);
    assert!(segments.end().segment() > 5);
    let places: BTreeSet<_> = segments
        .reader()
        .records()
        .unwrap()
        .map(|r| r.unwrap().0)
        .collect();
    assert_eq!(places.len(), wanted.len());
}

#[test]
fn a_reader_goes_on_when_more_was_appended() {
    let folder = tempfile::tempdir().unwrap();
    let mut segments = Segments::open(folder.path(), SIZE).unwrap();
    let mut records = segments.reader().records().unwrap();
    assert!(records.next().is_none());
    for number in 0..200 {
        let payload = payload(number);
        append(&mut segments, &[&payload]);
        assert_eq!(records.next().unwrap().unwrap().1, payload);
        assert!(records.next().is_none());
        assert_eq!(records.at(), segments.end());
    }
}

#[test]
fn a_group_larger_than_a_file_gets_a_larger_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut segments = Segments::open(folder.path(), SIZE).unwrap();
    let large = vec![7; 3 * 4096];
    append(&mut segments, &[b"small"]);
    append(&mut segments, &[&large, &large]);
    append(&mut segments, &[b"small"]);
    drop(segments);
    let wanted = [b"small".to_vec(), large.clone(), large, b"small".to_vec()];
    assert_eq!(contents(folder.path()).unwrap(), wanted);
    assert!(Segments::open(folder.path(), SIZE).is_ok());
}

#[test]
fn lengths_that_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut segments = Segments::open(folder.path(), SIZE).unwrap();
    let long = vec![1; limits::RECORD_BYTES_MAX + 1];
    for bad in [&b""[..], &long] {
        let refused = segments.append(&[b"good", bad]);
        assert!(matches!(refused, Err(SegmentError::Length(length)) if length == bad.len()));
    }
    let most = vec![1; limits::RECORD_BYTES_MAX];
    let many = vec![most.as_slice(); 128];
    assert!(matches!(
        segments.append(&many),
        Err(SegmentError::Length(_))
    ));
    append(&mut segments, &[b"good"]);
    assert_eq!(contents(folder.path()).unwrap(), [b"good"]);
}

#[test]
fn only_one_may_write() {
    let folder = tempfile::tempdir().unwrap();
    let first = Segments::open(folder.path(), SIZE).unwrap();
    let second = Segments::open(folder.path(), SIZE);
    assert!(matches!(second, Err(SegmentError::Locked(path)) if path == folder.path()));
    assert!(contents(folder.path()).unwrap().is_empty());
    drop(first);
    assert!(Segments::open(folder.path(), SIZE).is_ok());
}

/// A folder with three synced groups and then one more; its bytes before and after the last.
fn before_and_after(folder: &Path) -> (Vec<u8>, Vec<u8>, u32) {
    let mut segments = Segments::open(folder, SIZE).unwrap();
    append(&mut segments, &[b"one"]);
    append(&mut segments, &[b"two", b"three"]);
    append(&mut segments, &[b"four"]);
    let path = file(folder, 0);
    let before = read(&path, READ_MAX).unwrap();
    let end = segments.end().offset();
    let last: Vec<_> = (5..13).map(payload).collect();
    let last: Vec<_> = last.iter().map(Vec::as_slice).collect();
    append(&mut segments, &last);
    (before, read(&path, READ_MAX).unwrap(), end)
}

/// Opens a folder as it is after a crash and demands what was synced, and perhaps a part of the
/// last group, in order.
#[track_caller]
fn recovers(folder: &Path, kept: &[&[u8]]) -> usize {
    let mut segments = Segments::open(folder, SIZE).unwrap();
    append(&mut segments, &[b"new"]);
    drop(segments);
    let mut found = contents(folder).unwrap();
    assert_eq!(found.pop().unwrap(), b"new");
    assert_eq!(found[..kept.len()], *kept);
    let wanted = (5..).map(payload).take(found.len() - kept.len());
    assert!(found[kept.len()..].iter().cloned().eq(wanted));
    found.len() - kept.len()
}

const SYNCED: [&[u8]; 4] = [b"one", b"two", b"three", b"four"];

#[test]
fn a_last_group_cut_at_every_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (_, after, end) = before_and_after(folder.path());
    let end = usize::try_from(end).unwrap();
    let last = after.iter().rposition(|byte| *byte != 0).unwrap() + 2;
    let mut most = 0;
    for cut in end..=last {
        let mut bytes = after.clone();
        bytes.truncate(cut);
        put(&file(folder.path(), 0), &bytes);
        most = recovers(folder.path(), &SYNCED).max(most);
    }
    assert_eq!(most, 8);
}

#[test]
fn a_last_group_of_which_any_pages_reached_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (before, after, _) = before_and_after(folder.path());
    let pages = after.len() / 64;
    for pattern in 0..1_u32 << pages.min(8) {
        let mut bytes = before.clone();
        for page in (0..pages).filter(|page| pattern >> (page % 8) & 1 == 1) {
            let range = page * 64..(page + 1) * 64;
            bytes[range.clone()].copy_from_slice(&after[range]);
        }
        put(&file(folder.path(), 0), &bytes);
        let _part = recovers(folder.path(), &SYNCED);
    }
}

#[test]
fn a_flipped_bit_in_what_was_synced_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (_, after, end) = before_and_after(folder.path());
    let path = file(folder.path(), 0);
    for place in 0..usize::try_from(end).unwrap() {
        let mut bytes = after.clone();
        bytes[place] ^= 1 << (place % 8);
        put(&path, &bytes);
        let refused = Segments::open(folder.path(), SIZE).unwrap_err();
        let SegmentError::Damaged {
            path: named,
            offset,
            ..
        } = refused
        else {
            panic!("flip at {place}: {refused}")
        };
        let place = u64::try_from(place).unwrap();
        assert!(
            named == path && offset <= place && place < offset + 64,
            "{place}: {offset}"
        );
        assert!(contents(folder.path()).is_err());
    }
}

#[test]
fn what_was_never_synced_is_written_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), 0);
    let mut segments = Segments::open(folder.path(), 1 << 20).unwrap();
    append(&mut segments, &[b"one"]);
    let synced = segments.end().offset();
    let large = vec![7; 200_000];
    let _unsynced = segments.append(&[b"two", &large]).unwrap();
    let _unsynced = segments.append(&[b"three"]).unwrap();
    let end = segments.end().offset();
    drop(segments);
    let before = read(&path, READ_MAX).unwrap();
    let old = std::time::SystemTime::UNIX_EPOCH;
    File::open(&path).unwrap().set_modified(old).unwrap();
    let segments = Segments::open(folder.path(), 1 << 20).unwrap();
    assert_eq!(segments.end().offset(), end);
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    assert_ne!(modified, old, "nothing was written");
    assert_eq!(read(&path, READ_MAX).unwrap(), before);
    // The last record tells from where: behind what was synced before it.
    let last = before[..usize::try_from(end).unwrap()].len() - 5 - 12;
    assert_eq!(before[last + 8..last + 12], synced.to_be_bytes());
}

#[test]
fn damage_in_an_older_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut segments = Segments::open(folder.path(), SIZE).unwrap();
    while segments.end().segment() < 3 {
        append(&mut segments, &[&payload(40)]);
    }
    let path = file(folder.path(), 1);
    let good = read(&path, READ_MAX).unwrap();
    let last = good.iter().rposition(|byte| *byte != 0).unwrap();
    for place in [
        0,
        8,
        12,
        16,
        20,
        24,
        28,
        40,
        last - 30,
        last,
        good.len() - 1,
    ] {
        let mut bytes = good.clone();
        bytes[place] ^= 0x10;
        put(&path, &bytes);
        let refused = contents(folder.path()).unwrap_err();
        assert!(matches!(refused, SegmentError::Damaged { path: named, .. } if named == path));
    }
    put(&path, &good[..last - 5]);
    assert!(contents(folder.path()).is_err(), "cut short");
    std::fs::remove_file(&path).unwrap();
    let missing = contents(folder.path()).unwrap_err();
    assert_eq!(
        missing.to_string(),
        format!(
            "{} is damaged at offset 0: the file is missing",
            path.display()
        )
    );
}

#[test]
fn a_false_position_gives_an_error_and_no_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut segments = Segments::open(folder.path(), SIZE).unwrap();
    let good = append(&mut segments, &[&payload(9)])[0];
    for bad in [
        0,
        15,
        17,
        4090,
        5000,
        u64::from(u32::MAX),
        1 << 32,
        u64::MAX,
    ] {
        let read = segments.reader().read(Position::from_u64(bad));
        assert!(read.is_err(), "{bad}");
    }
    assert!(segments.reader().read(good).is_ok());
}

#[test]
fn the_oldest_files_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut segments = Segments::open(folder.path(), SIZE).unwrap();
    let mut positions = Vec::new();
    while segments.end().segment() < 5 {
        positions.extend(append(&mut segments, &[&payload(positions.len())]));
    }
    let middle = positions[positions.len() / 2];
    segments.forget_before(middle).unwrap();
    assert_eq!(
        segments.reader().read(middle).unwrap(),
        payload(positions.len() / 2)
    );
    assert!(segments.reader().read(positions[0]).is_err());
    let kept = contents(folder.path()).unwrap();
    assert_eq!(kept.last().unwrap(), &payload(positions.len() - 1));
    assert!(kept.len() < positions.len());
    segments
        .forget_before(Position::from_u64(u64::MAX))
        .unwrap();
    append(&mut segments, &[b"after"]);
    drop(segments);
    let mut segments = Segments::open(folder.path(), SIZE).unwrap();
    assert_eq!(contents(folder.path()).unwrap().last().unwrap(), b"after");
    append(&mut segments, &[b"more"]);
}

#[test]
fn without_room_for_a_new_file_nothing_is_lost_and_everything_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let mut segments = Segments::open(folder.path(), SIZE).unwrap();
    append(&mut segments, &[&payload(1)]);
    // What stands in the way of the new file, as a full disk would.
    let obstacle = folder.path().join("0000000001.new");
    std::fs::create_dir(&obstacle).unwrap();
    let large = vec![1; 4050];
    for _ in 0..3 {
        let refused = segments.append(&[&large]).unwrap_err();
        assert!(matches!(
            refused,
            SegmentError::Machine {
                operation: "begin",
                ..
            }
        ));
    }
    assert!(!segments.is_stopped());
    append(&mut segments, &[&payload(2)]);
    std::fs::remove_dir(&obstacle).unwrap();
    append(&mut segments, &[&large]);
    drop(segments);
    let wanted = [payload(1), payload(2), large];
    assert_eq!(contents(folder.path()).unwrap(), wanted);
}

#[test]
fn after_a_failed_write_everything_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut segments = Segments::open(folder.path(), SIZE).unwrap();
    append(&mut segments, &[b"kept"]);
    // A file that was opened for reading only refuses the write, as a broken disk would.
    segments.file = File::open(file(folder.path(), 0)).unwrap();
    let refused = segments.append(&[b"lost"]).unwrap_err();
    assert!(matches!(
        refused,
        SegmentError::Machine {
            operation: "write",
            ..
        }
    ));
    assert!(matches!(
        segments.append(&[b"lost"]),
        Err(SegmentError::Stopped(_))
    ));
    assert!(matches!(segments.sync(), Err(SegmentError::Stopped(_))));
    assert!(segments.is_stopped());
    assert!(matches!(
        segments.forget_before(segments.end()),
        Err(SegmentError::Stopped(_))
    ));
    drop(segments);
    assert_eq!(contents(folder.path()).unwrap(), [b"kept"]);
}

#[test]
fn a_reader_beside_a_writer_finds_no_damage() {
    const GROUPS: usize = 4000;
    let folder = tempfile::tempdir().unwrap();
    let mut segments = Segments::open(folder.path(), 8 << 20).unwrap();
    let reader = segments.reader().clone();
    let writer = std::thread::spawn(move || {
        for _ in 0..GROUPS {
            append(&mut segments, &[&[7; 900], &[8; 100]]);
        }
    });
    let mut before = 0;
    while before < 2 * GROUPS {
        let ended = writer.is_finished();
        let records = reader.records().unwrap();
        let now = records.map(Result::unwrap).count();
        assert!(before <= now, "{before} records became {now}");
        assert!(!ended || now == 2 * GROUPS, "{now}");
        before = now;
    }
    writer.join().unwrap();
}
