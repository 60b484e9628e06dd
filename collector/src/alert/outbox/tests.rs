//! The outbox when the process is killed, the disk keeps less than it said, and too much waits.

use std::os::unix::fs::FileExt as _;

use proptest::prelude::*;

use super::super::quiet::Quiet;
use super::super::{condition, settings};
use super::*;
use crate::drift::Condition;

/// Told at once, over at once, once a minute.
const ROUTES: &str = r#"
    [[route]]
    name = "all"
    match = {}
    channels = ["mail", "chat"]
    group_by = ["host"]
    group_wait_seconds = 0
    resolve_after_seconds = 0
    repeat_seconds = 60
"#;
const CHANNELS: [&str; 2] = ["mail", "chat"];

/// What a receiver was told: channel, incident, number.
type Word = (String, String, u64);

/// A collector whose process and disk can fail.
struct Machine {
    _dir: tempfile::TempDir,
    folder: PathBuf,
    outbox: Option<Outbox>,
    routes: Routes,
    now: Timestamp,
    told: Vec<(Word, Occasion)>,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = Self {
            folder: dir.path().join("alerts"),
            _dir: dir,
            outbox: None,
            routes: settings(ROUTES, &CHANNELS),
            now: "2026-03-01T00:00:00Z".parse().unwrap(),
            told: Vec::new(),
        };
        machine.started();
        machine
    }

    fn started(&mut self) {
        self.outbox = None;
        let (outbox, damage) = Outbox::open(&self.folder, self.now).unwrap();
        assert_eq!(damage, None);
        self.outbox = Some(outbox);
    }

    fn outbox(&mut self) -> &mut Outbox {
        self.outbox.as_mut().unwrap()
    }

    fn look(&mut self, conditions: &[Condition]) {
        let now = Now {
            at: self.now,
            collector: "here",
            conditions,
            quiet: &Quiet::default(),
        };
        let _made = self
            .outbox
            .as_mut()
            .unwrap()
            .step(&self.routes, &now)
            .unwrap();
    }

    /// The receiver of a channel takes the next notice; whether there was one.
    fn deliver(&mut self, channel: &str) -> Option<u64> {
        let (order, notice) = self.outbox().held().next(channel, &BTreeSet::new())?;
        let word = (channel.to_owned(), notice.incident.clone(), notice.number);
        let occasion = notice.occasion;
        self.told.push((word, occasion));
        Some(order)
    }

    fn settle(&mut self, channel: &str, order: u64, settled: Settled) {
        let now = self.now;
        self.outbox().settle(now, channel, order, settled).unwrap();
    }

    /// Where the next record goes.
    fn end(&mut self) -> (PathBuf, u64) {
        let segments = &self.outbox().segments;
        let end = segments.end();
        (segments.reader().path(end.segment()), end.offset().into())
    }

    /// The process is killed; of what was written since `from` the disk keeps this share.
    fn torn(&mut self, from: &(PathBuf, u64), share: u8) {
        let (path, end) = self.end();
        let from = if path == from.0 { from.1 } else { 20 };
        let cut = from + (end - from) * u64::from(share) / 256;
        self.outbox = None;
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        let zeros = vec![0; usize::try_from(end - cut).unwrap()];
        file.write_all_at(&zeros, cut).unwrap();
        self.started();
    }
}

const HOSTS: [&str; 3] = [
    "web-1 clock.one-daemon",
    "web-2 clock.one-daemon",
    "db-1 a.b",
];

/// What happens at one moment.
#[derive(Clone, Debug)]
enum Act {
    /// So much time passes, and these are wrong.
    Look(u8, [bool; 3]),
    /// A channel takes its next notice.
    Deliver(usize),
    /// The process is killed when the receiver has the notice, before anything is written.
    KilledInFlight(usize),
    /// The process is killed between two writes.
    Killed,
    /// The process is killed in the write of a look; this share of it is on disk.
    KilledInLook(u8, [bool; 3], u8),
    /// The process is killed in the write that settles a notice.
    KilledInSettle(usize, u8),
}

fn act() -> impl Strategy<Value = Act> {
    let there = || any::<[bool; 3]>();
    prop_oneof![
        4 => (0..90u8, there()).prop_map(|(seconds, there)| Act::Look(seconds, there)),
        6 => (0..2usize).prop_map(Act::Deliver),
        1 => (0..2usize).prop_map(Act::KilledInFlight),
        1 => Just(Act::Killed),
        1 => (0..90u8, there(), any::<u8>()).prop_map(|(s, t, cut)| Act::KilledInLook(s, t, cut)),
        1 => (0..2usize, any::<u8>()).prop_map(|(channel, cut)| Act::KilledInSettle(channel, cut)),
    ]
}

impl Machine {
    /// Goes on; returns how many notices may be told once more because of it.
    fn act(&mut self, act: &Act) -> usize {
        match act {
            Act::Look(seconds, there) => self.pass(*seconds, *there),
            Act::Deliver(channel) => {
                let channel = CHANNELS[*channel];
                if let Some(order) = self.deliver(channel) {
                    self.settle(channel, order, Settled::Delivered);
                }
            }
            Act::KilledInFlight(channel) => {
                let in_flight = self.deliver(CHANNELS[*channel]).is_some();
                self.started();
                return usize::from(in_flight);
            }
            Act::Killed => self.started(),
            Act::KilledInLook(seconds, there, share) => {
                let from = self.end();
                self.pass(*seconds, *there);
                self.torn(&from, *share);
            }
            Act::KilledInSettle(channel, share) => {
                let channel = CHANNELS[*channel];
                if let Some(order) = self.deliver(channel) {
                    let from = self.end();
                    self.settle(channel, order, Settled::Delivered);
                    self.torn(&from, *share);
                    return 1;
                }
            }
        }
        0
    }

    fn pass(&mut self, seconds: u8, there: [bool; 3]) {
        self.now = self.now.plus_ms(i64::from(seconds) * 1000);
        let there = HOSTS.iter().zip(there).filter(|(_host, there)| *there);
        let conditions: Vec<_> = there.map(|(host, _)| condition(host, self.now)).collect();
        self.look(&conditions);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn killed_anywhere_all_is_told_and_nothing_twice(
        acts in proptest::collection::vec(act(), 1..40)
    ) {
        let mut machine = Machine::new();
        let again: usize = acts.iter().map(|act| machine.act(act)).sum();
        // All is well, and the receivers take what waits.
        machine.look(&[]);
        for channel in CHANNELS {
            while let Some(order) = machine.deliver(channel) {
                machine.settle(channel, order, Settled::Delivered);
            }
        }
        let mut once: BTreeMap<Word, Occasion> = BTreeMap::new();
        let mut twice = 0;
        for (word, occasion) in &machine.told {
            twice += usize::from(once.insert(word.clone(), *occasion).is_some());
        }
        prop_assert!(twice <= again, "{twice} of {again}");
        // Every channel knows of every incident that it is over, and that after it began.
        let mut incidents: BTreeMap<(String, String), Vec<Occasion>> = BTreeMap::new();
        for ((channel, incident, _number), occasion) in once {
            incidents.entry((channel, incident)).or_default().push(occasion);
        }
        for (about, occasions) in incidents {
            prop_assert_eq!(occasions.first(), Some(&Occasion::Raised), "{:?}", about);
            prop_assert_eq!(occasions.last(), Some(&Occasion::Resolved), "{:?}", about);
        }
        // What another process reads is the same.
        let read = Held::read(&machine.folder).unwrap();
        prop_assert_eq!(read.state.incidents().count(), 0);
        prop_assert_eq!(read.queue.waiting, BTreeMap::new());
    }
}

#[test]
fn what_is_written_does_not_grow_for_ever() {
    let mut machine = Machine::new();
    let now = machine.now;
    let long = |round: i64| {
        let mut one = condition(HOSTS[0], now);
        one.text = format!("{round} {}", "x".repeat(100_000));
        one
    };
    for round in 0..200 {
        machine.now = machine.now.plus_ms(60_000);
        machine.look(&[long(round)]);
        let order = machine.deliver("mail").unwrap();
        machine.settle("mail", order, Settled::Delivered);
    }
    let files = std::fs::read_dir(&machine.folder).unwrap();
    let bytes: u64 = files
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes <= 16 * SEGMENT_BYTES, "{bytes}");
    let before = machine.outbox().held().clone();
    machine.started();
    assert_eq!(machine.outbox().held().queue, before.queue);
    assert_eq!(machine.told.len(), 200);
    // Reminders are overtaken, and what waits for the other channel is the raise and the last one.
    assert_eq!(before.waiting().collect::<Vec<_>>(), [("chat", 2)]);
}

#[test]
fn a_record_longer_than_a_piece_is_whole_or_not_there() {
    let mut machine = Machine::new();
    let mut many = Vec::new();
    for host in 0..100 {
        let mut one = condition(&format!("web-{host} clock.one-daemon"), machine.now);
        one.text = "x".repeat(90_000);
        many.push(one);
    }
    let from = machine.end();
    machine.look(&many);
    assert_eq!(machine.outbox().held().state.incidents().count(), 100);
    let held = machine.outbox().held().clone();
    machine.started();
    assert_eq!(machine.outbox().held().state, held.state);
    machine.torn(&from, 200);
    assert_eq!(*machine.outbox().held(), Held::default());
    machine.look(&many[..1]);
    machine.started();
    assert_eq!(machine.outbox().held().state.incidents().count(), 1);
}

#[test]
fn a_full_queue_gives_up_what_is_oldest_and_says_so() {
    let mut machine = Machine::new();
    let mut count = 0;
    let mut hosts = Vec::new();
    while count <= WAITING_MAX {
        hosts.push(condition(
            &format!("web-{count} clock.one-daemon"),
            machine.now,
        ));
        count += 1;
    }
    // One more incident than a queue holds.
    machine.look(&hosts);
    assert_eq!(
        machine.outbox().held().waiting().next(),
        Some(("chat", WAITING_MAX))
    );
    let tally = machine.outbox().held().tallies()["mail"].clone();
    assert_eq!((tally.lost, tally.delivered), (1, 0));
    assert_eq!(tally.failing.unwrap().1, "too many notices wait");
    // Every further reminder is given up for nothing, and nothing is lost for it.
    machine.now = machine.now.plus_ms(60_000);
    machine.look(&hosts);
    let held = machine.outbox().held();
    assert_eq!(held.tallies()["mail"].lost, 1);
    let (_order, first) = held.next("mail", &BTreeSet::new()).unwrap();
    assert_eq!((first.occasion, first.number), (Occasion::Raised, 1));
}

#[test]
fn what_is_damaged_is_moved_aside() {
    let mut machine = Machine::new();
    machine.pass(0, [true; 3]);
    let from = machine.end();
    machine.pass(60, [true; 3]);
    machine.pass(60, [true; 3]);
    machine.outbox = None;
    let file = std::fs::OpenOptions::new()
        .write(true)
        .open(&from.0)
        .unwrap();
    file.write_all_at(b"?", from.1 + 40).unwrap();
    let (outbox, damage) = Outbox::open(&machine.folder, machine.now).unwrap();
    let damage = damage.unwrap();
    assert!(damage.contains("damaged at offset"), "{damage}");
    assert_eq!(*outbox.held(), Held::default());
    let aside = machine
        .folder
        .with_extension(format!("damaged-{}", machine.now.unix_ms()));
    assert!(aside.join("0000000000.seg").exists());
}

#[test]
fn one_process_has_the_outbox_and_others_read_it() {
    let mut machine = Machine::new();
    machine.pass(0, [true; 3]);
    let error = Outbox::open(&machine.folder, machine.now).unwrap_err();
    assert!(matches!(error, OutboxError::Files(SegmentError::Locked(_))));
    let read = Held::read(&machine.folder).unwrap();
    assert_eq!(read, *machine.outbox().held());
    assert_eq!(
        read.waiting().collect::<Vec<_>>(),
        [("chat", 3), ("mail", 3)]
    );
    assert_eq!(
        Held::read(&machine.folder.join("none")).unwrap(),
        Held::default()
    );
}

#[test]
fn what_is_wrong_passes_what_is_over_and_what_cannot_be_delivered() {
    let mut machine = Machine::new();
    machine.pass(0, [true, false, false]);
    let order = machine.deliver("mail").unwrap();
    machine.settle("mail", order, Settled::Delivered);
    machine.pass(1, [false, true, false]);
    let none = BTreeSet::new();
    let held = machine.outbox().held();
    let (_order, first) = held.next("mail", &none).unwrap();
    assert_eq!((first.occasion, first.number), (Occasion::Raised, 1));
    let passed = BTreeSet::from([first.incident.clone()]);
    let (_order, next) = held.next("mail", &passed).unwrap();
    assert_eq!((next.occasion, next.number), (Occasion::Resolved, 2));
    // Of one incident one comes after the other.
    let (_order, first) = held.next("chat", &none).unwrap();
    assert_eq!((first.occasion, first.number), (Occasion::Raised, 1));
}

#[test]
fn a_start_does_not_end_what_was_told_of_a_channel() {
    let mut machine = Machine::new();
    machine.pass(0, [true, false, false]);
    let mut dead = condition("- -", machine.now);
    dead.key = undelivered_key("mail");
    dead.kind = crate::drift::ConditionKind::Undelivered;
    let there = [condition(HOSTS[0], machine.now), dead];
    machine.look(&there);
    machine.started();
    let failing = |machine: &mut Machine| {
        let tally = machine.outbox().held().tallies().get("mail").cloned();
        tally.and_then(|tally| tally.failing).is_some()
    };
    assert!(failing(&mut machine));
    let order = machine.deliver("mail").unwrap();
    machine.settle("mail", order, Settled::Delivered);
    assert!(!failing(&mut machine));
}
