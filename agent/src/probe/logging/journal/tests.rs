//! Journal files that systemd has written, and damaged copies of them: see the README beside them.

use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::host::machine::Machine;
use crate::probe::golden;

/// The machine that wrote the files.
const MACHINE: &str = "8ad66e864c4b4f4bbfe00a014392cf6a";
/// Names of its files, in the order in which they were written.
const FIRST: &str = "system@f496ae968fb04241bde22e86d39f67c8-0000000000000001-000660da243e3fc2";
const SECOND: &str = "system@f496ae968fb04241bde22e86d39f67c8-000000000000007f-000660da249ce47b";
const THIRD: &str = "system";

/// A header with these numbers at these places.
pub(super) fn made(fields: &[(usize, u64)]) -> Vec<u8> {
    let mut bytes = vec![0; 272];
    bytes[..8].copy_from_slice(b"LPKSHHRH");
    bytes[88..90].copy_from_slice(&[8, 1]);
    for (at, value) in fields {
        let mut value = value.to_be_bytes();
        value.reverse();
        bytes[*at..*at + 8].copy_from_slice(&value);
    }
    bytes
}

/// A root folder with these files in the journal of the machine.
struct Tree(tempfile::TempDir);

impl Tree {
    fn new(names: &[&str]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        let folder = tree.path("");
        std::fs::create_dir_all(&folder).unwrap();
        let etc = tree.0.path().join("etc");
        std::fs::create_dir_all(&etc).unwrap();
        shared::durable::write(&etc.join("machine-id"), MACHINE.as_bytes(), 0o644).unwrap();
        for name in names {
            let packed = golden::folder("journal").join(format!("{name}.journal.gz"));
            let mut bytes = Vec::new();
            flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap())
                .read_to_end(&mut bytes)
                .unwrap();
            let name = format!("{name}.journal");
            shared::durable::write(&tree.path(&name), &bytes, 0o640).unwrap();
        }
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0
            .path()
            .join("var/log/journal")
            .join(MACHINE)
            .join(name)
    }

    fn look(&self) -> (Machine, Journal) {
        let host = Machine::open(self.0.path()).unwrap();
        let journal = look(&host, &mut Seen::default()).unwrap();
        (host, journal)
    }

    /// What was found since 1970, in short, and whether every file was searched to its end.
    fn events(&self) -> (Vec<String>, bool) {
        let (host, journal) = self.look();
        let events = journal.events(&host, &mut Seen::default(), Timestamp::default());
        let drops = events.drops.iter().map(|drop| {
            let unit = drop.unit.as_deref().unwrap_or_default();
            format!("{} {} {} {unit}", drop.at, drop.kind, drop.count)
        });
        let changes = &events.clock_changes;
        let changes = changes
            .iter()
            .map(|set| format!("{} {}: {}", set.at, set.by, set.text));
        let whole = events.drops_whole && events.clock_whole;
        (drops.chain(changes).collect(), whole)
    }

    fn damaged(&self) -> Vec<String> {
        let (_host, journal) = self.look();
        let damaged = journal.persistent.damaged.iter();
        let name = |path: &str| Path::new(path).file_name().unwrap().to_owned();
        damaged
            .map(|(path, why)| format!("{}: {why}", name(path).display()))
            .collect()
    }
}

/// What `journalctl` shows of these files.
const EVENTS: [&str; 3] = [
    "2026-11-22T09:31:30.640Z suppressed 125 loud.service",
    "2026-11-22T09:31:33.652Z chronyd: System clock was stepped by -3.141593 seconds",
    "2026-11-22T09:31:33.712Z systemd: Time has been changed",
];

#[test]
fn files_of_one_boot() {
    let tree = Tree::new(&[FIRST, SECOND, THIRD]);
    let (_host, journal) = tree.look();
    assert_eq!(journal.persistent.count, 3);
    let headers = journal.persistent.headers.unwrap();
    let oldest = headers.oldest.unwrap().to_string();
    assert_eq!(oldest, "2026-11-22T09:31:27.460Z");
    assert_eq!(headers.sealed, 0);
    assert_eq!(journal.gaps(), Some(Vec::new()));
    assert_eq!(tree.damaged(), [""; 0]);
    let (found, whole) = tree.events();
    assert_eq!(found, EVENTS);
    assert!(whole);
}

/// The same entries in the form that systemd wrote before 252: 64-bit offsets, other hashes.
#[test]
fn the_wide_form_says_the_same() {
    let (found, whole) = Tree::new(&["wide"]).events();
    assert_eq!(found, EVENTS);
    assert!(whole);
}

#[test]
fn only_what_is_asked_for_is_old() {
    let tree = Tree::new(&[FIRST, SECOND, THIRD]);
    let (host, journal) = tree.look();
    let since = "2026-11-22T09:31:33Z".parse().unwrap();
    let events = journal.events(&host, &mut Seen::default(), since);
    assert_eq!((events.drops.len(), events.clock_changes.len()), (0, 2));
}

#[test]
fn a_file_that_was_removed_leaves_a_gap_unless_it_was_the_oldest() {
    let (_host, journal) = Tree::new(&[FIRST, THIRD]).look();
    let gaps = journal.gaps().unwrap();
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0].missing, 3);
    assert!(gaps[0].after.ends_with(&format!("{FIRST}.journal")));
    let (_host, journal) = Tree::new(&[SECOND, THIRD]).look();
    assert_eq!(journal.gaps(), Some(Vec::new()));
}

/// The second file put aside as damaged still holds its entries.
#[test]
fn files_that_journald_has_put_aside() {
    let tree = Tree::new(&[FIRST, SECOND, THIRD]);
    let aside = tree.path("system@000660da249ce47b-8f2f7bbd24e8c5f1.journal~");
    std::fs::rename(tree.path(&format!("{SECOND}.journal")), aside).unwrap();
    let (_host, journal) = tree.look();
    assert_eq!(journal.gaps(), Some(Vec::new()));
    assert_eq!(journal.persistent.count, 2);
    let damaged = tree.damaged();
    assert_eq!(damaged.len(), 1);
    assert!(damaged[0].ends_with("journald found it damaged, and put it aside"));
}

#[test]
fn truncated_files_are_damaged() {
    let tree = Tree::new(&[FIRST, SECOND, THIRD]);
    let first = std::fs::File::options()
        .write(true)
        .open(tree.path(&format!("{FIRST}.journal")));
    first.unwrap().set_len(60_000).unwrap();
    assert_eq!(
        tree.damaged(),
        [format!("{FIRST}.journal: its end is missing")]
    );
    let (_found, whole) = tree.events();
    assert!(!whole, "what stood at the end was not searched");
    let third = std::fs::File::options()
        .write(true)
        .open(tree.path("system.journal"));
    third.unwrap().set_len(100).unwrap();
    let (_host, journal) = tree.look();
    assert_eq!(journal.persistent.headers, None);
    assert_eq!(journal.gaps(), None);
    assert!(
        tree.damaged()
            .contains(&"system.journal: the header is cut off".to_owned())
    );
}

/// journald was stopped while it made the file: the first 16 bytes are there, the rest is zero.
#[test]
fn a_header_that_is_half_written() {
    let tree = Tree::new(&[FIRST]);
    let mut bytes = vec![0; 524_288];
    bytes[..8].copy_from_slice(b"LPKSHHRH");
    shared::durable::write(&tree.path("system.journal"), &bytes, 0o640).unwrap();
    assert_eq!(tree.damaged(), ["system.journal: the header is too short"]);
    assert_eq!(tree.look().1.persistent.headers, None);
}

/// Whatever is written over the objects, the search ends, and finds no more than there was.
#[test]
fn chains_that_were_overwritten() {
    for at in (5_000..130_000).step_by(4_999) {
        for bytes in [[0xff; 64], [0; 64]] {
            let tree = Tree::new(&[FIRST]);
            let file = std::fs::File::options()
                .write(true)
                .open(tree.path(&format!("{FIRST}.journal")))
                .unwrap();
            file.write_all_at(&bytes, at).unwrap();
            let (found, _whole) = tree.events();
            assert!(found.len() <= EVENTS.len(), "{at}: {found:?}");
        }
    }
    let tree = Tree::new(&[FIRST]);
    let file = std::fs::File::options()
        .write(true)
        .open(tree.path(&format!("{FIRST}.journal")))
        .unwrap();
    // The table of values leads out of the file.
    file.write_all_at(&[0xff; 16], 104).unwrap();
    assert!(!tree.events().1);
}

/// A writer has made so many ids of messages of its own that to walk them all takes too long.
#[test]
fn ids_that_others_chose_hide_nothing() {
    let tree = Tree::new(&["wide"]);
    let path = tree.path("wide.journal");
    let mut bytes = shared::durable::read(&path, 16 << 20).unwrap();
    let number = |value: usize| {
        let mut bytes = value.to_be_bytes();
        bytes.reverse();
        bytes
    };
    let size = number(40 + "MESSAGE_ID".len());
    let is_field = |object: &[u8]| {
        object[0] == 2 && object[8..16] == size && object[40..].starts_with(b"MESSAGE_ID")
    };
    let field = (272..bytes.len() - 64)
        .step_by(8)
        .find(|at| is_field(&bytes[*at..]))
        .unwrap();
    for chosen in 0..45_000 {
        let text = format!("MESSAGE_ID={chosen:032x}");
        let mut object = vec![0; 64];
        object[0] = 1;
        object[8..16].copy_from_slice(&number(64 + text.len()));
        object[32..40].copy_from_slice(&bytes[field + 32..field + 40]);
        object.extend(text.into_bytes());
        object.resize(object.len().next_multiple_of(8), 0);
        let at = number(bytes.len());
        bytes[field + 32..field + 40].copy_from_slice(&at);
        bytes.extend(object);
    }
    let arena = number(bytes.len() - 264);
    bytes[96..104].copy_from_slice(&arena);
    shared::durable::write(&path, &bytes, 0o640).unwrap();
    let (found, whole) = tree.events();
    assert_eq!(found, EVENTS);
    assert!(whole);
}

/// 300 messages with the id of journald, and 1100 with the name of chronyd, all of a user.
#[test]
fn messages_that_others_forged() {
    let tree = Tree::new(&["forged"]);
    let (host, journal) = tree.look();
    let events = journal.events(&host, &mut Seen::default(), Timestamp::default());
    let drops: Vec<_> = events.drops.iter().map(|drop| drop.count).collect();
    assert_eq!(drops, [125]);
    assert!(events.drops_whole);
    // The step that chronyd made lies behind them: that there is none must not be said.
    assert_eq!(events.clock_changes, []);
    assert!(!events.clock_whole);
}

#[test]
fn a_link_that_leads_nowhere_hides_no_journal() {
    let root = tempfile::tempdir().unwrap();
    let place = root.path().join("var/log/journal");
    std::fs::create_dir_all(place.join("b")).unwrap();
    std::os::unix::fs::symlink("/nowhere", place.join("a")).unwrap();
    shared::durable::write(&place.join("b/system.journal"), &made(&[]), 0o640).unwrap();
    let host = Machine::open(root.path()).unwrap();
    let found = paths(&host, PERSISTENT, None).unwrap();
    assert_eq!(found, ["/var/log/journal/b/system.journal"]);
}

/// After `journalctl --setup-keys`.
#[test]
fn a_journal_that_is_sealed() {
    let (_host, journal) = Tree::new(&["sealed"]).look();
    assert_eq!(journal.persistent.headers.unwrap().sealed, 1);
}
