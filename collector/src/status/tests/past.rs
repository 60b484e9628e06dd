//! Tests of what is told of the past, by examples.

use super::model::apply;
use super::*;
use crate::catalog::Verdict::{Fail, Pass, Unknown};

const CHECK: &str = "clock.synchronised";

/// A run that saw a clock that was set just then.
fn fresh(name: &str, seq: u64, hour: i64) -> Change {
    let mut change = run(name, seq, hour, true);
    if let Change::Run { outcomes, .. } = &mut change {
        let seen = clock_at(true, hour);
        outcomes[0].observation_id = Some(Digest::of(&seen.to_bytes()));
        outcomes[0].observation = Some(seen);
    }
    change
}

fn verdicts(status: &Status, name: &str, to: i64) -> Vec<(Timestamp, Verdict, bool)> {
    let spans = status.spans(&host(name), CHECK, at(-1), at(to)).unwrap();
    spans
        .iter()
        .map(|span| (span.from, span.verdict, span.stale))
        .collect()
}

#[test]
fn a_gap_is_unknown_from_the_moment_at_which_the_evidence_was_too_old() {
    let folder = tempfile::tempdir().unwrap();
    let changes = [
        enrolled("a", 1),
        fresh("a", 0, 1),
        fresh("a", 1, 5),
        fresh("a", 2, 50),
    ];
    let status = filled(folder.path(), &changes);
    // Evidence of the hour 5 counts for 26 hours.
    let stale = at(31).plus_ms(1);
    let past = [
        (at(1), Pass, false),
        (stale, Unknown, true),
        (at(50), Pass, false),
    ];
    assert_eq!(verdicts(&status, "a", 60), past);
    let open = at(76).plus_ms(1);
    assert_eq!(verdicts(&status, "a", 100)[3], (open, Unknown, true));
    let told = status.at(&host("a"), CHECK, at(7)).unwrap().unwrap();
    let evidence = told.evidence.unwrap();
    assert_eq!((told.span.from, told.span.to), (at(1), Some(stale)));
    assert_eq!((evidence.collected, evidence.index), (at(5), 2));
    assert_eq!(evidence.record, Digest::of(b"a 5"));
    let bytes = clock_at(true, 5).to_bytes();
    assert_eq!(evidence.observation, Some(Digest::of(&bytes)));
    assert_eq!(status.at(&host("a"), CHECK, at(0)).unwrap(), None);
    assert_eq!(status.at(&host("b"), CHECK, at(7)).unwrap(), None);
}

/// It counts as collected when the evidence before it was, and not before.
#[test]
fn evidence_of_a_clock_that_was_set_back_is_old_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut back = fresh("a", 1, 10);
    if let Change::Run {
        collected, place, ..
    } = &mut back
    {
        (*collected, place.received) = (at(-100), at(60));
    }
    let status = filled(folder.path(), &[enrolled("a", 1), fresh("a", 0, 50), back]);
    let past = status.spans(&host("a"), CHECK, at(0), at(70)).unwrap();
    let told: Vec<_> = past.iter().map(|span| (span.from, span.stale)).collect();
    assert_eq!(told, [(at(50), true)]);
    assert_eq!(one(&status, CHECK, at(60)).stale, 1);
    let later = [fresh("a", 2, 80)];
    status.apply(3, &later[0]).unwrap();
    let past = status.at(&host("a"), CHECK, at(79)).unwrap().unwrap();
    assert_eq!((past.span.from, past.span.stale), (at(50), true));
}

#[test]
fn silences_of_a_host_and_of_a_probe() {
    let folder = tempfile::tempdir().unwrap();
    let mut changes = vec![enrolled("a", 1), run("a", 0, 1, true)];
    if let Change::Enrolled { heartbeat_s, .. } = &mut changes[0] {
        *heartbeat_s = 2 * 3600;
    }
    let heard = |seq, hour| {
        let received = at(hour);
        Change::Record(Place {
            received,
            ..place("a", 1, seq)
        })
    };
    // It is not heard from 2 to 20, and then lives without its probe until 60.
    let hours = (20..60).zip(1..).map(|(hour, seq)| heard(seq, hour));
    changes.extend(hours);
    changes.push(run("a", 41, 60, true));
    let status = filled(folder.path(), &changes);
    let silences = status.silences(&host("a"), at(0), at(100)).unwrap();
    let longest = catalog()
        .checks_of("clock")
        .map(|check| check.freshness_ms)
        .max()
        .unwrap();
    let told: Vec<_> = silences
        .iter()
        .map(|one| (one.from, one.to, one.probe.as_deref(), one.heard))
        .collect();
    let probe = at(1).plus_ms(longest + 1);
    let want = [
        (at(3), Some(at(20)), None, at(1)),
        (probe, Some(at(60)), Some("clock"), at(1)),
        (at(62), None, None, at(60)),
    ];
    assert_eq!(told, want);
    assert_eq!(status.silences(&host("a"), at(61), at(62)).unwrap(), []);
}

#[test]
fn who_was_expected_when() {
    let folder = tempfile::tempdir().unwrap();
    let enrolled = |name, generation, hour| Change::Enrolled {
        host: host(name),
        generation,
        at: at(hour),
        heartbeat_s: 3600,
    };
    let revoked = Change::Revoked {
        host: host("a"),
        generation: 1,
        at: at(5),
    };
    let changes = [
        enrolled("a", 1, 1),
        enrolled("b", 1, 3),
        revoked,
        enrolled("a", 2, 9),
    ];
    let status = filled(folder.path(), &changes);
    let expected = |hour| {
        let hosts = status.hosts_at(at(hour)).unwrap();
        hosts
            .iter()
            .map(|host| host.as_str().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(expected(0), Vec::<String>::new());
    assert_eq!(expected(1), ["a"]);
    assert_eq!(expected(4), ["a", "b"]);
    assert_eq!(expected(5), ["b"]);
    assert_eq!(expected(9), ["a", "b"]);
    let life = status.life(&host("a")).unwrap();
    let life: Vec<_> = life
        .iter()
        .map(|event| (event.at, event.generation, event.what))
        .collect();
    let want = [
        (at(1), 1, Happened::Enrolled),
        (at(5), 1, Happened::Revoked),
        (at(9), 2, Happened::Enrolled),
    ];
    assert_eq!(life, want);
}

#[test]
fn a_fork_and_its_end_stand_in_the_past() {
    let folder = tempfile::tempdir().unwrap();
    let mut again = run("a", 0, 4, false);
    if let Change::Run { place, .. } = &mut again {
        place.generation = 2;
    }
    let mut twin = record("a", 1, 0);
    if let Change::Record(place) = &mut twin {
        place.received = at(2);
    }
    let changes = [
        enrolled("a", 1),
        run("a", 0, 1, true),
        twin,
        enrolled("a", 2),
        again,
    ];
    let status = filled(folder.path(), &changes);
    let past = [
        (at(1), Pass, false),
        (at(2), Unknown, false),
        (at(4), Fail, false),
    ];
    assert_eq!(verdicts(&status, "a", 5), past);
    let told = status.at(&host("a"), CHECK, at(3)).unwrap().unwrap();
    assert!(
        told.span.reason.contains("forked at record 0"),
        "{}",
        told.span.reason
    );
}

/// The checks on another probe, or those of the test catalogue under other terms.
fn other(drop: &str, freshness: &str) -> Arc<Catalog> {
    let controls = include_str!("../../../../config/catalog/controls.tsv");
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../tests/catalog/checks/clock.toml"
    );
    let text = String::from_utf8(durable_read(Path::new(folder))).unwrap();
    let text = text
        .replace(drop, "clock.another")
        .replace("\"26h\"", freshness);
    Arc::new(Catalog::from_texts(controls, &[("checks/clock.toml", &text)]).unwrap())
}

#[test]
fn a_catalogue_ends_the_checks_that_it_drops_and_judges_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let into = |catalog: &Arc<Catalog>, hour| Change::Catalogue {
        catalog: Arc::clone(catalog),
        at: at(hour),
    };
    let without = other(CHECK, "\"26h\"");
    let changes = [
        enrolled("a", 1),
        run("a", 0, 1, true),
        into(&without, 2),
        run("a", 1, 3, false),
        into(&catalog(), 4),
        run("a", 2, 5, false),
    ];
    let status = filled(folder.path(), &changes[..4]);
    assert_eq!(status.at(&host("a"), CHECK, at(3)).unwrap(), None);
    let past = status.spans(&host("a"), CHECK, at(0), at(9)).unwrap();
    assert_eq!((past.len(), past[0].to), (1, Some(at(2))));
    assert_eq!(status.catalog().digest(), without.digest());
    assert_eq!(status.latest(&host("a"), CHECK).unwrap(), None);
    let told = status
        .at(&host("a"), "clock.another", at(3))
        .unwrap()
        .unwrap();
    assert_eq!((told.span.from, told.span.verdict), (at(3), Fail));
    status.close().unwrap();

    // It is taken up again only with the catalogue in force.
    let found = |position| (position == 2).then(|| Arc::clone(&without));
    let (status, rebuild) = Status::open_with(folder.path(), catalog(), found).unwrap();
    assert_eq!((rebuild, status.position().unwrap()), (None, 4));
    for (position, change) in (0..).zip(&changes).skip(4) {
        status.apply(position, change).unwrap();
    }
    assert_eq!(
        verdicts(&status, "a", 6),
        [(at(1), Pass, false), (at(5), Fail, false)]
    );
    let ended = status.changes(at(2), at(3), None, 9).unwrap().changes;
    let mut ended = ended.iter().filter(|one| one.check == CHECK);
    assert!(
        ended
            .next()
            .is_some_and(|one| one.after.is_none() && one.before.is_some())
    );
    let whole = status.export().unwrap();
    status.close().unwrap();
    let (status, rebuild) = Status::open(folder.path(), catalog()).unwrap();
    assert!(
        rebuild
            .unwrap()
            .reason
            .contains("the catalogue in force is not at hand")
    );
    for (position, change) in (0..).zip(&changes) {
        status.apply(position, change).unwrap();
    }
    assert!(status.export().unwrap() == whole);
}

/// What was too old under the terms of its time stays so; what was fresh goes by the new ones.
#[test]
fn another_freshness_counts_from_the_catalogue_on() {
    let folder = tempfile::tempdir().unwrap();
    let shorter = Change::Catalogue {
        catalog: other("no such check", "\"3h\""),
        at: at(30),
    };
    let changes = [
        enrolled("a", 1),
        enrolled("b", 1),
        run("a", 0, 1, true),
        fresh("b", 0, 20),
        shorter,
    ];
    let status = filled(folder.path(), &changes);
    let stale = at(27).plus_ms(1);
    assert_eq!(
        verdicts(&status, "a", 40),
        [(at(1), Pass, false), (stale, Unknown, true)]
    );
    assert_eq!(
        verdicts(&status, "b", 40),
        [(at(20), Pass, false), (at(30), Unknown, true)]
    );
    assert_eq!(one(&status, CHECK, at(31)).stale, 2);
}

#[test]
fn a_change_that_stopped_in_the_middle_is_never_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let all = changes();
    let want = filled(&folder.path().join("good"), &all).export().unwrap();
    let place = folder.path().join("broken");
    let (status, _new) = Status::open(&place, catalog()).unwrap();
    let mut failing = all.clone();
    for change in &mut failing {
        if let Change::Run { outcomes, .. } = change {
            outcomes[0].observation = None;
        }
    }
    let broken = |_id: &Digest| Err(StatusError::Damaged("it".to_owned()));
    let failed = status.apply_all(0, &failing, broken).unwrap_err();
    assert!(matches!(failed, StatusError::Damaged(_)), "{failed}");
    assert!(matches!(status.position(), Err(StatusError::Broken)));
    assert!(matches!(status.hosts(at(0)), Err(StatusError::Broken)));
    assert!(matches!(status.apply(0, &all[0]), Err(StatusError::Broken)));
    assert!(matches!(status.close(), Err(StatusError::Broken)));
    let (status, rebuild) = Status::open(&place, catalog()).unwrap();
    assert!(rebuild.is_some());
    apply(&status, 0, &all, &BTreeMap::new());
    assert!(status.export().unwrap() == want);
}

/// A cell says of a host what its finding says in words.
#[test]
fn cells_and_words_agree() {
    let folder = tempfile::tempdir().unwrap();
    let status = filled(folder.path(), &changes());
    for now in [at(0), at(26), at(27), at(1000)] {
        let mut cells = Vec::new();
        status
            .cells(now, |host, _row, own| {
                cells.push((host.clone(), own.to_vec()));
            })
            .unwrap();
        let ids: Vec<_> = catalog().checks().map(|check| check.id.clone()).collect();
        for (host, own) in &cells {
            for (id, cell) in ids.iter().zip(own) {
                let deciding = one(&status, id, now).deciding;
                let words = deciding.iter().find(|one| one.host == *host).unwrap();
                assert_eq!((words.verdict, words.stale), (cell.verdict, cell.stale));
                assert_eq!(words.collected, cell.collected);
            }
        }
    }
}
