//! Restores, on a real ledger.

use shared::fact::{Record, Value};

use super::site::{HOUR, Host, MINUTE, SECOND, Site, list, number, seen};
use super::*;

/// A file that was placed: set, what it holds, when.
fn placed(set: &str, what: &str, at: Timestamp) -> Record {
    field::known([
        ("set", Some(Value::Text(set.to_owned()))),
        (
            "sha256",
            Some(Value::Text(Digest::of(what.as_bytes()).to_string())),
        ),
        ("at", Some(Value::Instant(at))),
    ])
}

/// A restore: set, what came back, when.
fn restored(set: &str, what: Option<&str>, at: Timestamp) -> Record {
    let sha256 = what.map(|what| Value::Text(Digest::of(what.as_bytes()).to_string()));
    let reason = what.is_none().then(|| "repository is damaged".to_owned());
    field::known([
        ("set", Some(Value::Text(set.to_owned()))),
        ("tool", Some(Value::Text("restic".to_owned()))),
        ("at", Some(Value::Instant(at))),
        (
            "snapshot_at",
            Some(Value::Instant(at.plus_ms(-10 * SECOND))),
        ),
        ("snapshot", Some(Value::Text("4f1c".to_owned()))),
        ("sha256", sha256),
        ("duration_ms", Some(Value::Number(700))),
        ("reason", reason.map(Value::Text)),
    ])
}

fn restore(sets: i64, placed: Vec<Record>, restored: Vec<Record>) -> Observation {
    let values = [
        ("declared_count", Value::Number(sets)),
        ("placed", list(placed)),
        ("restored", list(restored)),
    ];
    seen("restore", values)
}

fn counts(observation: &Observation) -> [i64; 5] {
    let names = ["matched", "mismatched", "failed", "untested", "unproven"];
    names.map(|name| number(observation, &format!("{name}_count")).unwrap())
}

/// The one set of an observation.
fn set(observation: &Observation) -> &Record {
    let sets = field::list(&observation.facts, "sets").unwrap();
    assert_eq!(sets.len(), 1);
    &sets[0]
}

/// A host that has placed `one` in the set `etc`, an hour ago.
fn begun() -> (Site, Host, Record) {
    let mut site = Site::new(false);
    let mut host = site.enrol("web-1", 1);
    site.measure(&host, 2);
    let file = placed("etc", "one", site.now());
    let _id = site.report(&mut host, &restore(1, vec![file.clone()], Vec::new()), 0);
    assert_eq!(counts(&site.one()), [0, 0, 0, 1, 0]);
    site.pass(HOUR);
    (site, host, file)
}

#[test]
fn what_was_placed_before_matches() {
    let (mut site, mut host, file) = begun();
    let back = restored("etc", Some("one"), site.now().plus_ms(-SECOND));
    let newer = placed("etc", "two", site.now());
    let told = restore(1, vec![file, newer], vec![back]);
    let _id = site.report(&mut host, &told, 0);
    let found = site.one();
    assert_eq!(counts(&found), [1, 0, 0, 0, 0]);
    assert_eq!(number(&found, "oldest_data_ms"), Some(HOUR - SECOND));
    assert_eq!(number(&found, "slowest_ms"), Some(700));
    let when = field::instant(&found.facts, "oldest_restore");
    assert_eq!(when, Some(site.now().plus_ms(-SECOND)));
    let set = set(&found);
    assert_eq!(field::flag(set, "matched"), Some(true));
    assert_eq!(field::flag(set, "before_snapshot"), Some(true));
    // Entry 0 is the enrolment, 1 the measured clock, 2 the placing.
    assert_eq!(field::number(set, "entry"), Some(2));
    // Told again, it is said again after hours only, also by another process.
    site.pass(HOUR);
    let _id = site.report(&mut host, &told, 0);
    site.start();
    site.pass(HOUR);
    let _id = site.report(&mut host, &told, 0);
    site.nothing();
    site.pass(5 * HOUR);
    let _id = site.report(&mut host, &told, 0);
    assert_eq!(counts(&site.one()), [1, 0, 0, 0, 0]);
}

#[test]
fn what_was_never_placed_or_only_afterwards_does_not_match() {
    let (mut site, mut host, file) = begun();
    let never = restored("etc", Some("other"), site.now());
    let told = restore(1, vec![file], vec![never]);
    let _id = site.report(&mut host, &told, 0);
    let found = site.one();
    assert_eq!(counts(&found), [0, 1, 0, 0, 0]);
    assert_eq!(number(&found, "oldest_data_ms"), None);
    assert_eq!(field::instant(&found.facts, "oldest_restore"), None);
    assert_eq!(field::flag(set(&found), "matched"), Some(false));
    // Of another set.
    let back = restored("home", Some("one"), site.now());
    let told = restore(1, Vec::new(), vec![back]);
    let _id = site.report(&mut host, &told, 0);
    assert_eq!(counts(&site.one()), [0, 1, 0, 0, 0]);
    // Placed in the record that tells of the restore: told again later, that does not heal it.
    let same = placed("etc", "same", site.now().plus_ms(-HOUR));
    let back = restored("etc", Some("same"), site.now());
    let told = restore(1, vec![same], vec![back]);
    for _time in 0..3 {
        let _id = site.report(&mut host, &told, 0);
        site.pass(MINUTE);
    }
    assert_eq!(counts(&site.one()), [0, 1, 0, 0, 0]);
    site.start();
    site.pass(7 * HOUR);
    let _id = site.report(&mut host, &told, 0);
    assert_eq!(counts(&site.one()), [0, 1, 0, 0, 0]);
}

#[test]
fn what_the_collector_learnt_afterwards_is_unproven() {
    let (mut site, mut host, _file) = begun();
    // The host was away for a day: both records come together.
    let (placing, restoring) = (site.now(), site.now().plus_ms(HOUR));
    site.pass(24 * HOUR);
    site.measure(&host, 2);
    let file = placed("etc", "new", placing);
    let _id = site.report(
        &mut host,
        &restore(1, vec![file.clone()], Vec::new()),
        24 * HOUR,
    );
    let back = restored("etc", Some("new"), restoring);
    let _id = site.report(&mut host, &restore(1, vec![file], vec![back]), 23 * HOUR);
    let found = site.observed();
    let found = found.last().unwrap();
    assert_eq!(counts(found), [0, 0, 0, 0, 1]);
    assert_eq!(field::flag(set(found), "matched"), None);
    assert_eq!(field::flag(set(found), "before_snapshot"), Some(false));
}

#[test]
fn a_clock_that_is_too_uncertain_proves_nothing() {
    // How long after the placing the restore was, and what is found out: the clock is known to 5 s.
    for (after, wanted, before) in [
        (4 * SECOND, [0, 0, 0, 0, 1], None),
        (-4 * SECOND, [0, 0, 0, 0, 1], None),
        (-6 * SECOND, [0, 0, 0, 0, 1], Some(false)),
        (MINUTE, [1, 0, 0, 0, 0], Some(true)),
    ] {
        let (mut site, mut host, _file) = begun();
        site.measure(&host, 10 * SECOND - 4);
        let placing = site.now();
        let file = placed("etc", "new", placing);
        let _id = site.report(&mut host, &restore(1, vec![file], Vec::new()), 0);
        let _untested = site.observed();
        site.pass(2 * MINUTE);
        site.measure(&host, 10 * SECOND - 4);
        let mut back = restored("etc", Some("new"), placing.plus_ms(after));
        let snapshot = Value::Instant(placing.plus_ms(after));
        let _before = back.insert("snapshot_at".to_owned(), snapshot);
        let _id = site.report(&mut host, &restore(1, Vec::new(), vec![back]), 0);
        let found = site.one();
        assert_eq!(counts(&found), wanted, "{after}");
        assert_eq!(
            field::flag(set(&found), "before_snapshot"),
            before,
            "{after}"
        );
        let reason = field::text(set(&found), "reason").unwrap_or_default();
        let uncertain = reason.contains("too uncertain");
        assert_eq!(uncertain, before.is_none(), "{after} {reason}");
    }
}

#[test]
fn a_restore_that_gave_nothing_has_failed() {
    let (mut site, mut host, file) = begun();
    let back = restored("etc", None, site.now());
    let _id = site.report(&mut host, &restore(2, vec![file], vec![back]), 0);
    let found = site.one();
    assert_eq!(counts(&found), [0, 0, 1, 1, 0]);
    assert_eq!(
        field::text(set(&found), "reason"),
        Some("repository is damaged")
    );
}

#[test]
fn a_restore_that_could_not_begin_says_nothing_of_the_backup() {
    let (mut site, mut host, file) = begun();
    let mut locked = restored("etc", None, site.now());
    let outcome = Value::Text("locked".to_owned());
    let _new = locked.insert("outcome".to_owned(), outcome.clone());
    let told = restore(1, vec![file.clone()], vec![locked]);
    let _id = site.report(&mut host, &told, 0);
    let found = site.one();
    assert_eq!(counts(&found), [0, 0, 0, 1, 0]);
    assert_eq!(
        field::text(set(&found), "reason"),
        Some("repository is damaged")
    );
    // After one that succeeded, that one stands.
    let back = restored("etc", Some("one"), site.now());
    let told = restore(1, vec![file.clone()], vec![back]);
    let _id = site.report(&mut host, &told, 0);
    assert_eq!(counts(&site.one()), [1, 0, 0, 0, 0]);
    site.pass(HOUR);
    let mut locked = restored("etc", None, site.now());
    let _new = locked.insert("outcome".to_owned(), outcome);
    let _id = site.report(&mut host, &restore(1, vec![file], vec![locked]), 0);
    site.nothing();
}

#[test]
fn a_host_that_was_enrolled_again_has_the_same_backups() {
    let (mut site, _host, _file) = begun();
    let mut again = site.enrol("web-1", 2);
    let back = restored("etc", Some("one"), site.now());
    let _id = site.report(&mut again, &restore(1, Vec::new(), vec![back]), 0);
    assert_eq!(counts(&site.one()), [1, 0, 0, 0, 0]);
    // Not so another host.
    let mut other = site.enrol("web-2", 1);
    let back = restored("etc", Some("one"), site.now());
    let _id = site.report(&mut other, &restore(1, Vec::new(), vec![back]), 0);
    assert_eq!(counts(&site.one()), [0, 1, 0, 0, 0]);
}

#[test]
fn times_that_cannot_be_are_bounded_and_told() {
    let (mut site, mut host, _file) = begun();
    let future = restored("etc", Some("one"), site.now().plus_ms(48 * HOUR));
    let _id = site.report(&mut host, &restore(1, Vec::new(), vec![future]), 0);
    let found = site.one();
    assert_eq!(counts(&found), [1, 0, 0, 0, 0]);
    let when = field::instant(&found.facts, "oldest_restore");
    assert_eq!(when, Some(site.now()), "not later than its record");
    // Placed, by the clock of the host, after it came back.
    let later = placed("etc", "three", site.now().plus_ms(HOUR));
    let _id = site.report(&mut host, &restore(1, vec![later], Vec::new()), 0);
    site.pass(MINUTE);
    let back = restored("etc", Some("three"), site.now());
    let _id = site.report(&mut host, &restore(1, Vec::new(), vec![back]), 0);
    let found = site.observed();
    let found = found.last().unwrap();
    assert_eq!(number(found, "oldest_data_ms"), None);
    let reason = "the times of placing and restore contradict each other";
    assert_eq!(field::text(set(found), "reason"), Some(reason));
}

#[test]
fn without_a_declared_set_it_is_absent() {
    let mut site = Site::new(false);
    let mut host = site.enrol("web-1", 1);
    let _id = site.report(&mut host, &restore(0, Vec::new(), Vec::new()), 0);
    let found = site.one();
    assert_eq!(found.outcome, Outcome::Absent);
    let mut unknown = restore(0, Vec::new(), Vec::new());
    unknown.outcome = Outcome::Unknown;
    unknown.facts.clear();
    unknown.reason = "the settings cannot be read".to_owned();
    let _id = site.report(&mut host, &unknown, 0);
    let found = site.one();
    assert_eq!(found.outcome, Outcome::Unknown);
    assert_eq!(found.reason, "the settings cannot be read");
}
