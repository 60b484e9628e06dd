//! Tests of drift.

use std::path::Path;

use super::*;
use crate::assess::{Acknowledgement, Asked, Exception, Place, Window};
use crate::catalog::{Catalog, Verdict};
use crate::register::Pattern;
use crate::register::views::Reach;
use crate::status::{Cell, Changed, Event, Happened, Host, Silence, Span};

mod desk;
mod ended;
mod now;

const FAIL: Verdict = Verdict::Fail;
const PASS: Verdict = Verdict::Pass;
const UNKNOWN: Verdict = Verdict::Unknown;
const SYNCHRONISED: &str = "clock.synchronised";

/// A catalogue that does not change with the one of the product.
fn catalog() -> Catalog {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/catalog");
    Catalog::load(Path::new(folder)).unwrap()
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_ms(ms).unwrap()
}

fn window(from: i64, to: i64) -> Window {
    Window {
        from: at(from),
        to: at(to),
    }
}

fn host(name: &str) -> AgentId {
    name.parse().unwrap()
}

fn span(from: i64, to: Option<i64>, verdict: Verdict, facts: &[(&str, &str)]) -> Span {
    let facts = facts.iter();
    Span {
        from: at(from),
        to: to.map(at),
        verdict,
        stale: facts.len() == 0 && verdict == UNKNOWN,
        reason: format!("since {from}"),
        deciding: facts
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        record: Some(Digest::of(from.to_string().as_bytes())),
    }
}

fn changed(ms: i64, name: &str, from: Verdict, to: Verdict) -> Changed {
    Changed {
        at: at(ms),
        host: host(name),
        check: SYNCHRONISED.to_owned(),
        before: Some(span(
            1,
            Some(ms),
            from,
            &[("leap", "normal"), ("sources", "4")],
        )),
        after: Some(span(ms, None, to, &[("leap", "none"), ("sources", "4")])),
    }
}

fn reach(check: &str, name: &str) -> Reach {
    Reach {
        checks: vec![check.to_owned()],
        hosts: Pattern::new(name).into_iter().collect(),
        ..Reach::default()
    }
}

#[derive(Default)]
struct Told {
    given: crate::assess::Given,
    asked: Asked,
    changes: Vec<Changed>,
    lives: BTreeMap<AgentId, Vec<Event>>,
    silences: BTreeMap<AgentId, Vec<Silence>>,
    quiet: Vec<Quiet>,
    ended: Vec<Entry>,
    catalogues: Vec<Came>,
}

impl Told {
    fn of(changes: &[Changed]) -> Self {
        Self {
            changes: changes.to_vec(),
            ..Self::default()
        }
    }

    fn drift(&self, from: i64, to: i64) -> Drift {
        drift(&Input {
            catalog: &catalog(),
            editions: &[],
            given: &self.given,
            window: window(from, to),
            asked: &self.asked,
            damping: Damping {
                changes: 3,
                within_ms: 20,
            },
            changes: &self.changes,
            lives: &self.lives,
            silences: &self.silences,
            quiet: &self.quiet,
            ended: &self.ended,
            catalogues: &self.catalogues,
            // Evidence comes each 10.
            last_evidence: &|change| Some(change.at.plus_ms(-10)),
            cut: false,
        })
    }
}

fn event(ms: i64, what: Happened) -> Event {
    Event {
        at: at(ms),
        generation: 1,
        what,
    }
}

fn why(entry: &Entry) -> Option<Why> {
    entry.explained.as_ref().map(|one| one.by)
}

#[test]
fn a_change_shows_both_sides_and_the_facts_that_differ() {
    let told = Told::of(&[changed(100, "a", PASS, FAIL), changed(200, "a", FAIL, PASS)]);
    let drift = told.drift(100, 200);
    assert_eq!(
        drift.entries.len(),
        1,
        "the end does not belong to the period"
    );
    let What::Changed {
        controls,
        direction,
        before,
        after,
        facts,
        ..
    } = &drift.entries[0].what
    else {
        panic!("{drift:?}");
    };
    assert_eq!(
        (*direction, controls.as_slice()),
        (Direction::Worse, &["A.8.17".to_owned()][..])
    );
    let verdicts = [before, after].map(|side| side.as_ref().unwrap().verdict);
    assert_eq!(verdicts, [PASS, FAIL]);
    assert!(after.as_ref().unwrap().record.is_some());
    let leap = FactChange {
        name: "leap".to_owned(),
        before: Some("normal".to_owned()),
        after: Some("none".to_owned()),
    };
    assert_eq!(facts, &[leap]);
    let Counts {
        worse,
        better,
        unexplained,
        ..
    } = told.drift(0, 300).counts;
    assert_eq!((worse, better, unexplained), (1, 1, 2));
}

#[test]
fn a_person_explains_a_failure_and_nothing_else() {
    let mut told = Told::of(&[changed(100, "a", PASS, FAIL), changed(150, "b", PASS, FAIL)]);
    told.changes[0].after.as_mut().unwrap().to = Some(at(140));
    told.given.exceptions = vec![Exception {
        id: "EX-1".to_owned(),
        reach: reach(SYNCHRONISED, "a"),
        window: window(120, 900),
        owner: "ada".to_owned(),
        approver: "bo".to_owned(),
        reason: "the supplier mends it".to_owned(),
    }];
    let entries = told.drift(0, 1000).entries;
    assert_eq!(
        why(&entries[0]),
        Some(Why::Exception),
        "given while it failed"
    );
    assert_eq!(why(&entries[1]), None);
    // It began when the failure was over.
    told.given.exceptions[0].window.from = at(140);
    assert_eq!(why(&told.drift(0, 1000).entries[0]), None);
    told.given.acknowledgements = vec![Acknowledgement {
        id: "AC-1".to_owned(),
        reach: reach(SYNCHRONISED, "b"),
        window: window(160, 200),
        by: "ada".to_owned(),
        text: "on it".to_owned(),
    }];
    assert_eq!(
        why(&told.drift(0, 1000).entries[1]),
        Some(Why::Acknowledgement)
    );
    // Nobody excuses not knowing.
    told.changes[1].after.as_mut().unwrap().verdict = UNKNOWN;
    assert_eq!(why(&told.drift(0, 1000).entries[1]), None);
}

#[test]
fn a_catalogue_explains_the_first_evidence_that_it_judged() {
    let came = |ms, id: &str, checks: Option<&str>| Came {
        at: at(ms),
        id: id.to_owned(),
        text: "shorter limits".to_owned(),
        checks: checks.map(|check| [check.to_owned()].into()),
    };
    let mut told = Told::of(&[changed(100, "a", PASS, FAIL)]);
    for (ms, checks, explains) in [
        (95, None, true),
        (100, Some(SYNCHRONISED), true),
        (95, Some("clock.error"), false),
        (90, None, false),
        (101, None, false),
    ] {
        told.catalogues = vec![came(0, "first", None), came(ms, "second", checks)];
        let found = why(&told.drift(0, 1000).entries[0]);
        assert_eq!(found == Some(Why::Catalogue), explains, "{ms} {checks:?}");
    }
    told.catalogues = vec![came(95, "first", None)];
    assert_eq!(
        why(&told.drift(0, 1000).entries[0]),
        None,
        "there was none before"
    );
    // A check that leaves, and one that comes.
    told.catalogues = vec![came(0, "first", None), came(100, "second", None)];
    told.changes[0].after = None;
    assert_eq!(why(&told.drift(0, 1000).entries[0]), Some(Why::Catalogue));
    told.changes = vec![changed(105, "a", PASS, FAIL)];
    told.changes[0].before = None;
    let _new = told
        .lives
        .insert(host("a"), vec![event(5, Happened::Enrolled)]);
    assert_eq!(why(&told.drift(50, 1000).entries[0]), Some(Why::Catalogue));
}

#[test]
fn hosts_come_go_and_fall_silent() {
    let mut told = Told::of(&[changed(20, "a", PASS, FAIL)]);
    told.changes[0].before = None;
    let events = [
        event(10, Happened::Enrolled),
        event(50, Happened::Forked(7)),
        event(80, Happened::Revoked),
    ];
    let _new = told.lives.insert(host("a"), events.to_vec());
    let silence = |from, to: Option<i64>, probe: Option<&str>| Silence {
        from: at(from),
        to: to.map(at),
        probe: probe.map(str::to_owned),
        heard: at(from - 5),
    };
    let silences = vec![
        silence(30, Some(40), None),
        silence(60, None, Some("clock")),
    ];
    let _new = told.silences.insert(host("a"), silences);
    told.quiet = vec![Quiet {
        from: at(70),
        to: None,
        collector: true,
    }];
    let drift = told.drift(0, 1000);
    let found: Vec<_> = drift
        .entries
        .iter()
        .map(|one| (one.at.unix_ms(), why(one)))
        .collect();
    let wanted = [
        (10, Some(Why::Enrolment)),
        (20, Some(Why::Enrolment)),
        (30, None),
        (50, None),
        (60, None),
        (70, None),
        (80, Some(Why::Revocation)),
    ];
    assert_eq!(found, wanted);
    assert_eq!((drift.counts.explained, drift.counts.unexplained), (3, 4));
    // Of one control only what checks say is asked.
    told.asked.controls = vec!["A.8.17".to_owned()];
    assert_eq!(told.drift(0, 1000).entries.len(), 1);
    told.asked.controls = vec!["A.8.13".to_owned()];
    assert_eq!(told.drift(0, 1000).entries.len(), 0);
}

#[test]
fn many_changes_in_a_short_time_are_one_entry() {
    let flips = |times: &[i64]| -> Vec<Changed> {
        let all = times.iter().enumerate();
        all.map(|(n, ms)| match n % 2 {
            0 => changed(*ms, "a", PASS, FAIL),
            _ => changed(*ms, "a", FAIL, PASS),
        })
        .collect()
    };
    let counts = |times: &[i64]| -> Vec<usize> {
        let entries = Told::of(&flips(times)).drift(0, 1000).entries;
        let count = |one: &Entry| {
            if let What::Flapping { count, .. } = &one.what {
                *count
            } else {
                1
            }
        };
        entries.iter().map(count).collect()
    };
    assert_eq!(counts(&[10, 20, 30, 40, 50]), [5]);
    assert_eq!(counts(&[10, 20, 31, 45]), [1, 1, 1, 1]);
    assert_eq!(counts(&[10, 90, 100, 110, 200]), [1, 3, 1]);
    assert_eq!(counts(&[10, 20]), [1, 1]);
    let mut told = Told::of(&flips(&[10, 20, 30]));
    let drift = told.drift(0, 1000);
    assert_eq!((drift.counts.changes, drift.counts.flapping), (3, 1));
    // A decision about one of the changes does not explain them all.
    told.given.exceptions = vec![Exception {
        id: "EX-1".to_owned(),
        reach: reach(SYNCHRONISED, "a"),
        window: window(0, 900),
        owner: "ada".to_owned(),
        approver: "bo".to_owned(),
        reason: String::new(),
    }];
    assert_eq!(why(&told.drift(0, 1000).entries[0]), None);
}

#[test]
fn hosts_out_of_scope_are_counted_and_left_out() {
    let mut told = Told::of(&[changed(100, "a", PASS, FAIL)]);
    let out = Place {
        groups: Vec::new(),
        out: Some("a laboratory".to_owned()),
    };
    told.given.places = [(host("a"), out)].into();
    let drift = told.drift(0, 1000);
    assert_eq!((drift.entries.len(), drift.counts.out_of_scope), (0, 1));
}

#[test]
fn the_fleet_is_silent_when_all_its_hosts_are() {
    let silence = |from: i64, to: Option<i64>| Silence {
        from: at(from),
        to: to.map(at),
        probe: None,
        heard: at(from),
    };
    let mut probe = silence(0, None);
    probe.probe = Some("clock".to_owned());
    let silences: BTreeMap<_, _> = [
        (host("a"), vec![silence(10, Some(30)), silence(90, None)]),
        (
            host("b"),
            vec![silence(20, Some(50)), probe, silence(70, None)],
        ),
    ]
    .into();
    let expected = |end| {
        vec![
            (host("a"), vec![window(0, 1000)]),
            (host("b"), vec![window(0, end)]),
        ]
    };
    let times = |end, to| -> Vec<_> {
        let found = fleet_silences(&expected(end), &silences, window(0, to));
        found
            .iter()
            .map(|one| (one.from.unix_ms(), one.to.map(Timestamp::unix_ms)))
            .collect()
    };
    assert_eq!(times(1000, 100), [(20, Some(30)), (90, None)]);
    // One host alone is no fleet.
    assert_eq!(times(25, 100), [(20, Some(25))]);
    assert_eq!(fleet_silences(&[], &silences, window(0, 100)), []);
}

#[test]
fn gaps_in_the_ledger_are_found_without_reading_it_all() {
    // An entry each 10, but for two gaps.
    let times: Vec<i64> = (0..100_000)
        .map(|n| n * 10)
        .filter(|ms| !(300_000..305_000).contains(ms) && !(700_000..700_500).contains(ms))
        .collect();
    let size = u64::try_from(times.len()).unwrap();
    let read = |from, to, limit| {
        let mut reads = 0;
        let received = |index: u64| {
            reads += 1;
            Ok::<_, ()>(at(times[usize::try_from(index).unwrap()]))
        };
        let mut found = gaps(size, window(from, to), limit, received).unwrap();
        found.sort_by_key(|one| one.from);
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.from.unix_ms(), one.to.map(Timestamp::unix_ms)))
            .collect();
        (found, reads)
    };
    let (found, reads) = read(0, 1_000_000, 2000);
    assert_eq!(found, [(299_990, Some(305_000))]);
    assert!(reads < 5000, "{reads} of {size} were read");
    assert_eq!(read(0, 1_000_000, 400).0.len(), 2);
    assert_eq!(read(302_000, 303_000, 400).0, [(299_990, Some(305_000))]);
    assert_eq!(read(400_000, 600_000, 400).0, []);
    assert_eq!(read(0, 1_010_000, 2000).0[1], (999_990, None));
    assert_eq!(gaps(0, window(0, 9), 1, |_| Err(())), Ok(Vec::new()));
}

#[test]
fn a_change_counts_by_the_scope_of_its_time() {
    let mut told = Told::of(&[changed(10, "a", PASS, FAIL), changed(90, "a", FAIL, PASS)]);
    let out = Place {
        groups: Vec::new(),
        out: Some("SC-1: a laboratory".to_owned()),
    };
    let moves = vec![(at(0), Place::default()), (at(50), out.clone())];
    told.given.places = [(host("a"), out)].into();
    told.given.moves = [(host("a"), moves)].into();
    let drift = told.drift(0, 100);
    assert_eq!((drift.counts.changes, drift.counts.out_of_scope), (1, 1));
    assert_eq!(drift.entries[0].at, at(10));
}
