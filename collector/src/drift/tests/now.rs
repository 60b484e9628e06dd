//! What is wrong now.

use super::*;
use crate::assess::{Applicability, Given};

fn enrolled(heard: i64) -> Host {
    Host {
        generation: 1,
        enrolled: at(0),
        revoked: None,
        heartbeat_s: 1,
        heard: at(heard),
        next_seq: 9,
        forked: None,
        last: None,
    }
}

fn cells(about: &[(&str, Verdict, bool)]) -> Vec<Cell> {
    let catalog = catalog();
    let cell = |id: &str| {
        let said = about.iter().find(|(check, ..)| *check == id);
        let (verdict, stale) = said.map_or((PASS, false), |(_, v, s)| (*v, *s));
        Cell {
            verdict,
            stale,
            covered: !stale,
            collected: Some(at(100)),
            since: Some(at(50)),
        }
    };
    catalog.checks().map(|check| cell(&check.id)).collect()
}

type Said<'a> = (&'a str, Host, &'a [(&'a str, Verdict, bool)], &'a [Silence]);

fn keys(given: &Given, now: i64, hosts: &[Said<'_>]) -> Vec<String> {
    let found = watched(given, now, true, hosts);
    found.into_iter().map(|one| one.key).collect()
}

fn watched(given: &Given, now: i64, before: bool, hosts: &[Said<'_>]) -> Vec<Condition> {
    let catalog = catalog();
    let mut watch = Watch::new(&catalog, given, at(now));
    for (name, host_state, about, _) in hosts {
        watch.host(&host(name), host_state, &cells(about));
    }
    let mut details = |_: &AgentId, check: &str, _: &Cell| {
        Ok::<_, ()>(Detail {
            reason: format!("reason of {check}"),
            facts: [("leap".to_owned(), "none".to_owned())].into(),
            evidence: vec![Digest::of(b"record")],
            before: before.then_some((PASS, at(40))),
        })
    };
    let mut silences = |name: &AgentId| {
        let of = hosts.iter().filter(|said| said.0 == name.as_str());
        Ok(of.flat_map(|said| said.3.iter().cloned()).collect())
    };
    watch.finish(&mut details, &mut silences).unwrap()
}

const FAILS: &[(&str, Verdict, bool)] = &[(SYNCHRONISED, FAIL, false)];

#[test]
fn a_failure_is_told_with_what_it_stands_on() {
    let row = Applicability {
        applicable: true,
        justification: "logs".to_owned(),
        state: None,
        owner: "ada".parse().ok(),
    };
    let given = Given {
        applicability: [("A.8.17".to_owned(), row)].into(),
        places: [(
            host("a"),
            Place {
                groups: vec!["web".to_owned()],
                out: None,
            },
        )]
        .into(),
        ..Given::default()
    };
    let found = watched(&given, 500, false, &[("a", enrolled(400), FAILS, &[])]);
    let [one] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(one.key, "failing/a/clock.synchronised");
    assert_eq!(
        (one.kind, one.severity),
        (ConditionKind::Failing, Severity::High)
    );
    assert_eq!(
        (one.groups.join(""), one.owners.join("")),
        ("web".into(), "ada".into())
    );
    assert_eq!(
        (one.controls.join(""), one.since),
        ("A.8.17".into(), at(50))
    );
    assert!(
        one.text
            .starts_with("reason of clock.synchronised. Do: Debian: apt-get")
    );
    assert_eq!((one.facts.len(), one.evidence.len()), (1, 1));
}

#[test]
fn an_exception_is_silent_until_it_ends_and_an_acknowledgement_is_not() {
    let mut given = Given {
        exceptions: vec![Exception {
            id: "EX-1".to_owned(),
            reach: reach(SYNCHRONISED, "a"),
            window: window(0, 600),
            owner: "ada".to_owned(),
            approver: "bo".to_owned(),
            reason: String::new(),
        }],
        ..Given::default()
    };
    let hosts: [Said<'_>; 1] = [("a", enrolled(500), FAILS, &[])];
    assert_eq!(keys(&given, 599, &hosts), Vec::<String>::new());
    assert_eq!(
        keys(&given, 600, &hosts).len(),
        1,
        "it comes back by itself"
    );
    given.exceptions[0].reach = Reach {
        controls: vec!["A.8.13".to_owned()],
        ..Reach::default()
    };
    assert_eq!(keys(&given, 599, &hosts).len(), 1, "of another control");
    given.exceptions.clear();
    given.acknowledgements = vec![Acknowledgement {
        id: "AC-1".to_owned(),
        reach: reach(SYNCHRONISED, "a"),
        window: window(0, 600),
        by: "ada".to_owned(),
        text: String::new(),
    }];
    assert_eq!(keys(&given, 599, &hosts).len(), 1);
}

#[test]
fn what_the_statement_excludes_is_not_told() {
    let row = Applicability {
        applicable: false,
        justification: "no clocks".to_owned(),
        state: None,
        owner: None,
    };
    let given = Given {
        applicability: [("A.8.17".to_owned(), row)].into(),
        ..Given::default()
    };
    assert!(keys(&given, 500, &[("a", enrolled(400), FAILS, &[])]).is_empty());
}

#[test]
fn one_cause_is_one_condition() {
    let given = Given::default();
    let stale: &[_] = &[
        (SYNCHRONISED, UNKNOWN, true),
        ("clock.error", UNKNOWN, true),
    ];
    let silent = Silence {
        from: at(450),
        to: None,
        probe: Some("clock".to_owned()),
        heard: at(100),
    };
    let over = Silence {
        to: Some(at(460)),
        ..silent.clone()
    };
    let (here, gone) = (enrolled(900), enrolled(100));
    let one = |host: &Host, silences: &[Silence]| {
        let quiet = ("b", enrolled(900), &[][..], &[][..]);
        keys(&given, 1500, &[("a", host.clone(), stale, silences), quiet])
    };
    assert_eq!(
        one(&here, std::slice::from_ref(&over)),
        ["unknown/a/clock.synchronised", "unknown/a/clock.error"]
    );
    assert_eq!(
        one(&here, std::slice::from_ref(&silent)),
        ["silent-probe/a/clock"]
    );
    assert_eq!(one(&gone, &[silent]), ["silent-host/a"]);
    let all = [
        ("a", gone.clone(), stale, &[][..]),
        ("b", gone.clone(), stale, &[][..]),
    ];
    assert_eq!(keys(&given, 1500, &all), ["silent-fleet"]);
    assert_eq!(keys(&given, 1500, &all[..1]), ["silent-host/a"]);
    let mut forked = gone;
    forked.forked = Some(3);
    assert_eq!(one(&forked, &[]), ["forked/a"]);
    forked.revoked = Some(at(1000));
    assert!(one(&forked, &[]).is_empty());
}

#[test]
fn what_never_could_be_told_is_told_when_it_had_its_time() {
    let unread: &[_] = &[(SYNCHRONISED, UNKNOWN, false)];
    let hosts: [Said<'_>; 1] = [("a", enrolled(400), unread, &[])];
    let given = Given::default();
    assert!(watched(&given, 500, false, &hosts).is_empty());
    assert_eq!(watched(&given, 500, true, &hosts).len(), 1);
    let late = 50
        + 2 * catalog()
            .checks()
            .map(|one| one.freshness_ms)
            .max()
            .unwrap();
    let hosts: [Said<'_>; 1] = [("a", enrolled(late), unread, &[])];
    assert_eq!(
        keys_of(&watched(&given, late, false, &hosts)),
        ["unknown/a/clock.synchronised"]
    );
    // Of a probe that says nothing at all there is one cause.
    let catalog = catalog();
    let all: Vec<_> = catalog
        .checks()
        .map(|check| (check.id.as_str(), UNKNOWN, false))
        .collect();
    let hosts: [Said<'_>; 1] = [("a", enrolled(late), &all, &[])];
    let mut probes: Vec<_> = catalog.checks().map(|check| check.probe.clone()).collect();
    probes.sort();
    probes.dedup();
    let found = watched(&given, late, false, &hosts);
    assert_eq!(found.len(), probes.len(), "{found:?}");
    assert!(found.iter().any(|one| one.key == "unknown-probe/a/clock"));
}

fn keys_of(found: &[Condition]) -> Vec<&str> {
    found.iter().map(|one| one.key.as_str()).collect()
}

#[test]
fn what_failed_and_cannot_be_told_still_fails() {
    let (given, catalog) = (Given::default(), catalog());
    for stale in [false, true] {
        let mut watch = Watch::new(&catalog, &given, at(500));
        let cells = cells(&[(SYNCHRONISED, UNKNOWN, stale)]);
        watch.host(&host("a"), &enrolled(400), &cells);
        let mut details = |_: &AgentId, _: &str, _: &Cell| {
            Ok::<_, ()>(Detail {
                reason: "nothing is seen".to_owned(),
                before: Some((FAIL, at(40))),
                ..Detail::default()
            })
        };
        let silence = Silence {
            from: at(450),
            to: None,
            probe: Some("clock".to_owned()),
            heard: at(100),
        };
        let found = watch.finish(&mut details, &mut |_| Ok(vec![silence.clone()]));
        let found = found.unwrap();
        let keys = keys_of(&found);
        assert!(keys.contains(&"failing/a/clock.synchronised"), "{keys:?}");
        assert_eq!(keys.len(), 2, "{keys:?}");
        let one = found.iter().find(|one| one.check.is_some()).unwrap();
        assert_eq!(one.since, at(40));
    }
}

#[test]
fn a_collector_that_was_away_does_not_blame_the_hosts() {
    let (given, catalog) = (Given::default(), catalog());
    let stale: &[_] = &[(SYNCHRONISED, UNKNOWN, true)];
    let found = |now: i64| {
        let begun = at(90_000);
        let mut watch = Watch::new(&catalog, &given, at(now)).since(begun, None);
        watch.host(&host("a"), &enrolled(400), &cells(stale));
        let unheard = watch.unheard().len();
        let mut details = |_: &AgentId, _: &str, _: &Cell| Ok::<_, ()>(Detail::default());
        let found = watch.finish(&mut details, &mut |_| Ok(Vec::new()));
        (found.unwrap().len(), unheard)
    };
    assert_eq!(found(91_000), (0, 1));
    assert_eq!(found(91_001), (1, 0));
}

#[test]
fn a_forked_host_does_not_hide_that_all_others_are_silent() {
    let mut forked = enrolled(100);
    forked.forked = Some(3);
    let all = [
        ("a", enrolled(100), &[][..], &[][..]),
        ("b", enrolled(100), &[][..], &[][..]),
        ("c", forked, &[][..], &[][..]),
    ];
    assert_eq!(
        keys(&Given::default(), 1500, &all),
        ["forked/c", "silent-fleet"]
    );
}
