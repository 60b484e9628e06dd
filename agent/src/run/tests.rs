//! Tests of the agent at work, without a collector: what is recorded, and in which order.

use std::cell::Cell;

use shared::attestation::{Attestation, Kind, TreeHead};
use shared::id::Digest;
use shared::wire::{Frame, frames};

use super::standing::Standing;
use super::*;
use crate::attest::tests::{observed, program};
use crate::host::machine::Machine;
use crate::identity::enrol::tests::Table;

/// What is done without any other event than the passing of time.
pub(crate) fn done<T>(task: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(task)
}

/// Clocks that a test sets.
#[derive(Default)]
pub(crate) struct Hands {
    wall_ms: Cell<i64>,
    boot_ms: Cell<u64>,
}

impl Hands {
    pub(crate) fn run_on(&self, ms: u64) {
        self.boot_ms.set(self.boot_ms.get() + ms);
        self.wall_ms
            .set(self.wall_ms.get() + i64::try_from(ms).unwrap());
    }
}

impl Clock for Hands {
    fn wall(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.wall_ms.get()).unwrap()
    }

    fn since_boot_ms(&self) -> u64 {
        self.boot_ms.get()
    }
}

/// What an agent works with here: a host without a file, and clocks that a test sets.
struct Desk {
    settings: Settings,
    program: Program,
    host: Arc<dyn Host>,
    hands: Hands,
    _empty: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let empty = tempfile::tempdir().unwrap();
        Self {
            settings: Settings::default(),
            program: program(),
            host: Arc::new(Machine::open(empty.path()).unwrap()),
            hands: Hands::default(),
            _empty: empty,
        }
    }

    /// The same in the year 2027, five seconds after the boot.
    fn later() -> Self {
        let hands = Hands {
            wall_ms: Cell::new(1_800_000_000_000),
            boot_ms: Cell::new(5000),
        };
        Self {
            hands,
            ..Self::new()
        }
    }

    fn around(&self) -> Surroundings<'_> {
        Surroundings {
            settings: &self.settings,
            program: &self.program,
            host: &self.host,
            clock: &self.hands,
            boot: "boot",
        }
    }
}

fn enrolled() -> Table {
    let table = Table::new();
    table.keep(&table.good());
    let identity = Identity::load(&table.dir).unwrap().unwrap();
    let root = Digest::of(b"");
    let seen = TreeHead { size: 0, root };
    Spool::create(&identity.spool_folder(), identity.record(), seen, "note").unwrap();
    table
}

/// The kinds of all records that wait in the spool.
fn kinds(agent: &Agent<'_>) -> Vec<Kind> {
    let kind = |record: &Attestation| record.evidence().kind;
    records(agent).iter().map(kind).collect()
}

/// All records that wait in the spool.
fn records(agent: &Agent<'_>) -> Vec<Attestation> {
    let spool = agent.spool.as_ref().unwrap();
    let batch = spool
        .batch(&std::collections::BTreeSet::new())
        .unwrap()
        .unwrap();
    let record = |frame: Frame<'_>| match frame {
        Frame::Attestation(file) => Some(Attestation::from_file(file.to_vec()).unwrap()),
        Frame::Blob(_) | Frame::Dropped(_) => None,
    };
    let frames = frames(&batch.body).unwrap();
    frames.into_iter().filter_map(record).collect()
}

#[test]
fn a_life_is_one_chain_and_a_jump_of_the_clock_stands_in_it() {
    let table = enrolled();
    let desk = Desk::later();
    let (around, hands) = (desk.around(), &desk.hands);
    let open = || Agent::open(around, Identity::load(&table.dir).unwrap().unwrap());
    let mut agent = open().unwrap();
    agent.start().unwrap();
    hands.run_on(60_000);
    let run = [observed("clock", "x", &[])];
    agent.record(Matter::Run(&run), hands.wall()).unwrap();
    let second = open().unwrap_err();
    assert!(
        second.hint().unwrap().contains("another evident-agent"),
        "{second:?}"
    );
    drop(agent);
    let mut agent = open().unwrap();
    hands.run_on(60_000);
    hands.wall_ms.set(hands.wall_ms.get() - 3_600_000);
    done(agent.due(&[HEARTBEAT.to_owned()], hands.wall())).unwrap();
    agent.stop().unwrap();
    let expected = [
        Kind::Start,
        Kind::Evidence,
        Kind::Clock,
        Kind::Heartbeat,
        Kind::Stop,
    ];
    assert_eq!(kinds(&agent), expected);
}

#[test]
fn a_clock_that_was_set_back_is_recorded_and_stops_nothing() {
    let table = enrolled();
    let desk = Desk::later();
    let (around, hands) = (desk.around(), &desk.hands);
    let mut agent = Agent::open(around, Identity::load(&table.dir).unwrap().unwrap()).unwrap();
    done(agent.gather()).unwrap();
    assert_eq!(kinds(&agent), [Kind::Evidence]);
    hands.wall_ms.set(hands.wall_ms.get() - 11 * 3_600_000);
    for _turn in 0..360 {
        hands.run_on(10_000);
        done(agent.gather()).unwrap();
    }
    let kinds = kinds(&agent);
    assert_eq!(kinds[..2], [Kind::Evidence, Kind::Clock]);
    // Three probes every 15 minutes and three every hour, each with its own delay.
    assert!((9..20).contains(&kinds.len()), "{kinds:?}");
    assert!(kinds[2..].iter().all(|kind| *kind == Kind::Evidence));
}

#[test]
fn a_generation_that_ended_records_nothing() {
    let table = enrolled();
    let identity = Identity::load(&table.dir).unwrap().unwrap();
    let error = ShipError::RolledBack {
        ours: "none".to_owned(),
        theirs: 4,
    };
    let mut contact = Contact::default();
    contact
        .note(identity.folder(), Timestamp::default(), &Err(error))
        .unwrap();
    let desk = Desk::new();
    let around = desk.around();
    let refused = Agent::open(around, identity);
    assert!(matches!(refused, Err(RunError::Ended(_))));
    let standing = Standing::read(&table.dir, Timestamp::default());
    let wrong = standing.unwrap().unwrap().wrong;
    assert!(
        wrong.iter().any(|line| line.contains("set back")),
        "{wrong:?}"
    );
}

#[test]
fn a_note_of_visits_that_cannot_be_read_stops_nothing() {
    let table = enrolled();
    let identity = Identity::load(&table.dir).unwrap().unwrap();
    let path = identity.folder().join("contact.json");
    let desk = Desk::new();
    let around = desk.around();
    for bytes in [&b"{"[..], &vec![b' '; 70_000]] {
        shared::durable::write(&path, bytes, 0o600).unwrap();
        let identity = Identity::load(&table.dir).unwrap().unwrap();
        assert!(Agent::open(around, identity).is_ok());
        let standing = Standing::read(&table.dir, Timestamp::default());
        let wrong = standing.unwrap().unwrap().wrong;
        assert!(
            wrong.iter().any(|line| line.contains("is not known")),
            "{wrong:?}"
        );
    }
}

#[test]
fn a_ledger_that_is_repaired_begins_a_new_start() {
    let table = enrolled();
    let desk = Desk::new();
    let around = desk.around();
    let identity = Identity::load(&table.dir).unwrap().unwrap();
    let mut agent = Agent::open(around, identity).unwrap();
    agent.note(&Err(ShipError::Contradiction {
        seen: "seen".to_owned(),
        shown: "shown".to_owned(),
        source: Box::new(shared::receipt::ReceiptError::Shrunk { seen: 9, size: 3 }),
    }));
    agent.note(&Err(ShipError::Answer));
    assert_eq!(agent.spool.as_ref().unwrap().depth(), 0);
    agent.note(&Ok(0));
    assert_eq!(kinds(&agent), [Kind::Start]);
    agent.note(&Ok(1));
    assert_eq!(agent.spool.as_ref().unwrap().depth(), 1);
}

#[test]
fn a_renewal_that_fails_is_left_for_a_while_and_is_seen() {
    let table = enrolled();
    let identity = Identity::load(&table.dir).unwrap().unwrap();
    let late = identity.certificate_end().plus_ms(-60_000);
    let mut desk = Desk::new();
    desk.settings.collector.url = Some("https://127.0.0.1:1".to_owned());
    desk.hands.wall_ms.set(late.unix_ms());
    let (around, hands) = (desk.around(), &desk.hands);
    let mut agent = Agent::open(around, identity).unwrap();
    assert!(agent.renewal_due());
    assert!(done(agent.ship()).is_err());
    assert!(!agent.renewal_due());
    hands.run_on(5000);
    assert!(agent.renewal_due());
    drop(agent);
    let wrong = |now| Standing::read(&table.dir, now).unwrap().unwrap().wrong;
    let renewal = |wrong: &[String]| wrong.iter().any(|line| line.contains("not renewed"));
    assert!(renewal(&wrong(late)));
    assert!(!renewal(&wrong(Timestamp::default())));
}

#[test]
fn what_a_disk_does_not_take_is_recorded_when_it_does() {
    let table = enrolled();
    let identity = Identity::load(&table.dir).unwrap().unwrap();
    // A segment file that cannot be written, as on a disk that is full or broken.
    let broken = identity.spool_folder().join("0000000001.seg");
    let mut desk = Desk::new();
    desk.hands.wall_ms.set(1_800_000_000_000);
    desk.settings.collector.url = Some("https://127.0.0.1:1".to_owned());
    let (around, hands) = (desk.around(), &desk.hands);
    std::fs::create_dir(&broken).unwrap();
    let mut agent = Agent::open(around, identity).unwrap();
    agent.start().unwrap();
    for _again in 0..3 {
        // Not in a hurry, and nothing is taken for done.
        assert!(2000 <= done(agent.turn()).unwrap());
        assert!(agent.last.is_empty());
    }
    assert!(agent.spool.is_none());
    std::fs::remove_dir(&broken).unwrap();
    // The spool is opened for a visit also before anything is recorded again.
    done(agent.visit());
    assert!(agent.spool.is_some());
    hands.run_on(900_000);
    let _sleep_ms = done(agent.turn()).unwrap();
    assert_eq!(kinds(&agent), [Kind::Start, Kind::Evidence]);
    // The next one is not kept, and the one after it says since when it was due.
    std::fs::create_dir(&broken).unwrap();
    agent.spool = None;
    let first = agent.plan.next(hands.wall(), &agent.last).unwrap();
    hands.run_on(1_200_000);
    let _sleep_ms = done(agent.turn()).unwrap();
    std::fs::remove_dir(&broken).unwrap();
    hands.run_on(1_200_000);
    let _sleep_ms = done(agent.turn()).unwrap();
    let records = records(&agent);
    assert_eq!(records.len(), 3);
    assert_eq!(records[2].evidence().run.due, first);
}
