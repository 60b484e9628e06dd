//! Tests of the derived state.

use shared::fact;

use super::*;
use crate::catalog::Verdict;

mod model;
mod past;

fn at(hour: i64) -> Timestamp {
    let start: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    start.plus_ms(hour * 3_600_000)
}

fn host(name: &str) -> AgentId {
    name.parse().unwrap()
}

fn catalog() -> Arc<Catalog> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/catalog");
    Arc::new(Catalog::load(Path::new(folder)).unwrap())
}

fn clock(synchronised: bool) -> Observation {
    clock_at(synchronised, 0)
}

fn clock_at(synchronised: bool, hour: i64) -> Observation {
    let json = format!(
        r#"{{"container":false,"kernel_synchronised":{synchronised},
            "timesyncd_synchronised_at":{}}}"#,
        at(hour).unix_ms()
    );
    let subject = fact::subject("clock").unwrap();
    Observation {
        artifacts: Vec::new(),
        facts: subject.read(&json).unwrap(),
        outcome: Outcome::Facts,
        probe: "clock".to_owned(),
        reason: String::new(),
        schema: subject.schema,
        source: Vec::new(),
    }
}

fn enrolled(name: &str, generation: u64) -> Change {
    Change::Enrolled {
        host: host(name),
        generation,
        at: at(0),
        heartbeat_s: 1000 * 3600,
    }
}

fn place(name: &str, generation: u64, seq: u64) -> Place {
    let host = host(name);
    Place {
        host,
        generation,
        seq,
        received: at(0),
    }
}

fn run(name: &str, seq: u64, hour: i64, synchronised: bool) -> Change {
    let seen = clock(synchronised);
    let outcome = ProbeOutcome {
        probe: "clock".to_owned(),
        outcome: Outcome::Facts,
        observation_id: Some(Digest::of(&seen.to_bytes())),
        observation: Some(seen),
    };
    Change::Run {
        place: Place {
            received: at(hour),
            ..place(name, 1, seq)
        },
        attestation: Digest::of(format!("{name} {hour}").as_bytes()),
        collected: at(hour),
        outcomes: vec![outcome],
    }
}

fn changes() -> Vec<Change> {
    let mut changes = vec![enrolled("a", 1), enrolled("b", 1), Change::Nothing];
    for round in 0..40 {
        changes.push(run("a", round, 0, round % 3 == 0));
        // The stream of `b` forks on the way, and it is enrolled again later.
        changes.push(run("b", round.min(20), 0, true));
    }
    changes.push(enrolled("b", 2));
    changes
}

#[track_caller]
fn filled(folder: &Path, changes: &[Change]) -> Status {
    let (status, rebuild) = Status::open(folder, catalog()).unwrap();
    assert_eq!(rebuild, None);
    for (position, change) in (0..).zip(changes) {
        status.apply(position, change).unwrap();
    }
    status
}

fn one(status: &Status, check: &str, now: Timestamp) -> CheckStatus {
    let controls = status.controls(now, |_host| true).unwrap();
    let mut checks = controls.into_iter().flat_map(|control| control.checks);
    checks.find(|status| status.check == check).unwrap()
}

#[test]
fn the_same_changes_give_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let all = changes();
    let export = |name: &str| {
        let status = filled(&folder.path().join(name), &all);
        let export = status.export().unwrap();
        status.close().unwrap();
        export
    };
    let once = export("one");
    assert_eq!(once, export("two"));
    // Stopped in the middle, cleanly, and gone on.
    let three = folder.path().join("three");
    filled(&three, &all[..41]).close().unwrap();
    let (status, rebuild) = Status::open(&three, catalog()).unwrap();
    assert_eq!((rebuild, status.position().unwrap()), (None, 41));
    for (position, change) in (0..).zip(&all).skip(41) {
        status.apply(position, change).unwrap();
    }
    assert_eq!(once, status.export().unwrap());
}

#[test]
fn a_forgotten_state_comes_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let all = changes();
    let status = filled(folder.path(), &all);
    let want = status.export().unwrap();
    let refused = Status::forget(folder.path()).unwrap_err();
    assert!(matches!(refused, StatusError::InUse(_)), "{refused}");
    status.close().unwrap();
    Status::forget(folder.path()).unwrap();
    let (status, rebuild) = Status::open(folder.path(), catalog()).unwrap();
    assert!(rebuild.is_some());
    for (position, change) in (0..).zip(&all) {
        status.apply(position, change).unwrap();
    }
    assert_eq!(status.export().unwrap(), want);
}

#[test]
fn only_the_next_change_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let status = filled(folder.path(), &changes()[..2]);
    for came in [0, 1, 3, u64::MAX] {
        let refused = status.apply(came, &Change::Nothing).unwrap_err();
        assert!(
            matches!(refused, StatusError::Position { due: 2, .. }),
            "{refused}"
        );
    }
    assert_eq!(status.position().unwrap(), 2);
}

#[test]
fn a_folder_has_one_owner() {
    let folder = tempfile::tempdir().unwrap();
    let status = filled(folder.path(), &changes());
    let refused = Status::open(folder.path(), catalog()).unwrap_err();
    assert!(matches!(refused, StatusError::InUse(_)), "{refused}");
    assert_eq!(status.position().unwrap(), 84);
}

#[test]
fn a_state_that_was_not_closed_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let status = filled(folder.path(), &changes());
    drop(status);
    let (status, rebuild) = Status::open(folder.path(), catalog()).unwrap();
    assert_eq!(rebuild.unwrap().reason, "it was not closed cleanly");
    assert_eq!(status.position().unwrap(), 0);
    assert!(status.hosts(at(0)).unwrap().is_empty());
    assert!(folder.path().join("aside").exists());
}

#[test]
fn another_catalogue_gives_another_state() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path(), &changes()).close().unwrap();
    let controls = include_str!("../../../config/catalog/controls.tsv");
    let other = Arc::new(Catalog::from_texts(controls, &[]).unwrap());
    let (status, rebuild) = Status::open(folder.path(), other).unwrap();
    let reason = "it was made with another catalogue or program";
    assert_eq!(rebuild.unwrap().reason, reason);
    assert_eq!(status.position().unwrap(), 0);
}

/// sled panics on some of these and opens others without a word, with records gone or back again.
#[test]
fn damage_is_never_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let all = changes();
    let want = filled(&folder.path().join("good"), &all).export().unwrap();
    let damages: [Damage; 11] = [
        ("db", "half", half),
        ("db", "tail", |bytes| bytes.truncate(bytes.len() - 1)),
        ("db", "page", |bytes| bytes.truncate(bytes.len() - 4096)),
        ("db", "empty", Vec::clear),
        ("db", "zeros", |bytes| bytes[512..].fill(0)),
        ("db", "flip", |bytes| {
            let middle = bytes.windows(5).position(|five| five == b"clock").unwrap();
            bytes[middle + 20] ^= 1;
        }),
        ("conf", "conf", half),
        ("../closed", "mark", half),
        ("../closed", "text", |bytes| bytes[3] = 0xff),
        ("../closed", "long", |bytes| bytes.resize(1000, b'x')),
        ("../closed", "digest", |bytes| {
            let last = bytes.len() - 2;
            bytes[last] ^= 1;
        }),
    ];
    let mut rebuilt = 0;
    for (file, name, damage) in damages {
        let place = folder.path().join(name);
        filled(&place, &all).close().unwrap();
        let path = place.join("sled").join(file);
        let mut bytes = durable_read(&path);
        let before = bytes.clone();
        damage(&mut bytes);
        assert_ne!(before, bytes, "{name}");
        shared::durable::write(&path, &bytes, 0o600).unwrap();

        let (status, made_anew) = Status::open(&place, catalog()).unwrap();
        // What is cut off can be what sled left free: then the records are those that were closed.
        if made_anew.is_some() {
            rebuilt += 1;
            assert_eq!(status.position().unwrap(), 0, "{name}");
            for (position, change) in (0..).zip(&all) {
                status.apply(position, change).unwrap();
            }
        } else {
            assert!(["tail", "page"].contains(&name), "{name}");
        }
        assert!(status.export().unwrap() == want, "{name}");
    }
    assert!(9 <= rebuilt, "{rebuilt}");
}

/// The file inside `sled`, a name, and what is done to its bytes.
type Damage = (&'static str, &'static str, fn(&mut Vec<u8>));

fn half(bytes: &mut Vec<u8>) {
    bytes.truncate(bytes.len() / 2);
}

fn durable_read(path: &Path) -> Vec<u8> {
    shared::durable::read(path, 1 << 30).unwrap()
}

#[test]
fn stale_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let status = filled(folder.path(), &[enrolled("a", 1), run("a", 0, 1, true)]);
    let fresh = one(&status, "clock.synchronised", at(27));
    assert_eq!((fresh.passing, fresh.covered, fresh.stale), (1, 1, 0));
    let late = one(&status, "clock.synchronised", at(28));
    assert_eq!(
        (late.passing, late.unknown, late.covered, late.stale),
        (0, 1, 0, 1)
    );
    let reason = "stale: pass 27 h ago, and evidence counts for 26 h";
    assert_eq!(late.deciding[0].reason, reason);
}

/// A clock that runs ahead does not keep its evidence fresh for longer.
#[test]
fn the_earlier_of_both_times_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut ahead = run("a", 0, 20, false);
    if let Change::Run {
        place: Place { received, .. },
        ..
    } = &mut ahead
    {
        *received = at(1);
    }
    let status = filled(folder.path(), &[enrolled("a", 1), ahead]);
    assert_eq!(one(&status, "clock.synchronised", at(28)).stale, 1);
}

#[test]
fn every_host_is_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut changes = vec![
        enrolled("a", 1),
        enrolled("b", 1),
        enrolled("c", 1),
        enrolled("d", 1),
    ];
    changes.extend([
        run("a", 0, 1, true),
        run("b", 0, 1, false),
        run("stranger", 0, 1, false),
    ]);
    changes.push(Change::Revoked {
        host: host("d"),
        generation: 1,
        at: at(1),
    });
    let status = filled(folder.path(), &changes);
    let check = one(&status, "clock.synchronised", at(2));
    assert_eq!((check.expected, check.covered), (3, 2));
    assert_eq!((check.passing, check.failing, check.unknown), (1, 1, 1));
    let order: Vec<_> = check.deciding.iter().map(|one| one.host.as_str()).collect();
    assert_eq!(order, ["b", "c", "a"]);
    let hosts = status.hosts(at(2)).unwrap();
    let names: Vec<_> = hosts.iter().map(|status| status.host.as_str()).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    assert_eq!(hosts[2].unknown, catalog().checks().count());
}

#[test]
fn a_revoked_host_counts_again_under_a_new_generation() {
    let folder = tempfile::tempdir().unwrap();
    let revoked = |generation| Change::Revoked {
        host: host("a"),
        generation,
        at: at(1),
    };
    let changes = [enrolled("a", 1), revoked(1), enrolled("a", 2), revoked(1)];
    let status = filled(folder.path(), &changes);
    assert_eq!(one(&status, "clock.synchronised", at(2)).expected, 1);
}

#[test]
fn since_is_when_the_verdict_changed_last() {
    let steps = [(0, true), (1, false), (2, false), (1, true)];
    for (count, since) in [(1, 0), (2, 1), (3, 1), (4, 2)] {
        let folder = tempfile::tempdir().unwrap();
        let mut changes = vec![enrolled("a", 1)];
        for (seq, (hour, synchronised)) in (0..).zip(steps).take(count) {
            changes.push(run("a", seq, hour, synchronised));
        }
        let status = filled(folder.path(), &changes);
        let check = one(&status, "clock.synchronised", at(2));
        assert_eq!(check.deciding[0].since, Some(at(since)), "{count}");
    }
}

fn record(name: &str, generation: u64, seq: u64) -> Change {
    Change::Record(place(name, generation, seq))
}

/// Verdict, covered hosts and reason of one check, and the number of the fork.
#[track_caller]
fn after(changes: &[Change]) -> (Verdict, usize, String, Option<u64>) {
    let folder = tempfile::tempdir().unwrap();
    let status = filled(folder.path(), changes);
    let check = one(&status, "clock.synchronised", at(2));
    let hosts = status.hosts(at(2)).unwrap();
    let (host, finding) = (&hosts[0], &check.deciding[0]);
    assert_eq!(host.warning.is_some(), host.enrolment.forked.is_some());
    let reason = finding.reason.clone();
    (
        finding.verdict,
        check.covered,
        reason,
        host.enrolment.forked,
    )
}

/// A second record of one number is a copy of the host, or somebody with its key: from then on
/// nothing of the stream decides.
#[test]
fn a_forked_stream_decides_nothing() {
    let start = [enrolled("a", 1), record("a", 1, 0)];
    let good = [run("a", 1, 1, true), record("a", 1, 2)];
    let fork = "its stream forked at record 1; it counts again when it is enrolled again";
    for (more, want) in [
        (vec![run("a", 1, 2, false)], Some(1)),
        (vec![record("a", 1, 1)], Some(1)),
        (vec![record("a", 1, 1), run("a", 3, 2, false)], Some(1)),
        (vec![record("a", 1, 3)], None),
        (vec![run("a", 3, 1, true)], None),
        // Of a generation that is not in force nothing counts, nor does it fork anything.
        (vec![enrolled("a", 1), record("a", 2, 1)], None),
    ] {
        let changes = [&start[..], &good[..], &more[..]].concat();
        let (verdict, covered, reason, forked) = after(&changes);
        assert_eq!(forked, want, "{more:?}");
        if want.is_some() {
            assert_eq!(
                (verdict, covered, reason.as_str()),
                (Verdict::Unknown, 0, fork)
            );
        } else {
            assert_eq!((verdict, covered), (Verdict::Pass, 1), "{more:?}");
        }
    }
}

#[test]
fn a_new_generation_ends_the_fork_and_the_old_one_changes_nothing() {
    let forked = [
        enrolled("a", 1),
        run("a", 0, 1, true),
        run("a", 0, 1, false),
    ];
    let again = [&forked[..], &[enrolled("a", 2)]].concat();
    let nothing = (
        Verdict::Unknown,
        0,
        "nothing was collected yet".to_owned(),
        None,
    );
    assert_eq!(after(&again), nothing);
    for old in [run("a", 1, 1, true), record("a", 1, 0), record("a", 1, 9)] {
        assert_eq!(after(&[&again[..], &[old]].concat()), nothing);
    }
    let mut good = run("a", 0, 1, true);
    if let Change::Run { place, .. } = &mut good {
        place.generation = 2;
    }
    let (verdict, covered, _, forked) = after(&[&again[..], &[good]].concat());
    assert_eq!((verdict, covered, forked), (Verdict::Pass, 1, None));
}

#[test]
fn a_fork_before_any_finding_is_said_too() {
    let changes = [enrolled("a", 1), record("a", 1, 0), record("a", 1, 0)];
    let reason = "its stream forked at record 0; it counts again when it is enrolled again";
    assert_eq!(
        after(&changes),
        (Verdict::Unknown, 0, reason.to_owned(), Some(0))
    );
}

#[test]
fn a_host_that_was_revoked_gives_no_warning() {
    let folder = tempfile::tempdir().unwrap();
    let revoked = Change::Revoked {
        host: host("a"),
        generation: 1,
        at: at(1),
    };
    let changes = [enrolled("a", 1), record("a", 1, 1), revoked];
    let status = filled(folder.path(), &changes);
    let hosts = status.hosts(at(2)).unwrap();
    assert_eq!(hosts[0].enrolment.forked, Some(1));
    assert_eq!(hosts[0].warning, None);
}

#[test]
fn a_probe_without_its_observation_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = run("a", 1, 1, true);
    let mut gone = run("a", 1, 1, true);
    if let (Change::Run { outcomes, .. }, Change::Run { outcomes: none, .. }) =
        (&mut other, &mut gone)
    {
        outcomes[0].outcome = Outcome::Absent;
        none[0].observation = None;
    }
    for (name, change) in [("other", other), ("gone", gone)] {
        let changes = [enrolled("a", 1), run("a", 0, 1, true), change];
        let status = filled(&folder.path().join(name), &changes);
        let check = one(&status, "clock.synchronised", at(1));
        assert_eq!((check.unknown, check.covered), (1, 1), "{name}");
    }
}

#[test]
fn all_93_controls_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let status = filled(folder.path(), &[]);
    let controls = status.controls(at(0), |_host| true).unwrap();
    let count = |state| {
        controls
            .iter()
            .filter(|control| control.state == state)
            .count()
    };
    assert_eq!(controls.len(), 93);
    assert_eq!(
        count(ControlState::NoHost) + count(ControlState::NoCheck),
        93
    );
}
