//! Tests of the assessment.

use std::collections::BTreeMap;
use std::path::Path;

use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use super::*;
use crate::catalog::soa::Soa;
use crate::catalog::{Catalog, Severity, Verdict};
use crate::config::Config;
use crate::register::Pattern;
use crate::register::views::Reach;
use crate::status::{Cell, ControlState, Span};

mod brought;
mod laid;
mod model;
mod period;

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

fn span(from: i64, to: Option<i64>, verdict: Verdict, stale: bool) -> Span {
    Span {
        from: at(from),
        to: to.map(at),
        verdict,
        stale,
        reason: format!("since {from}"),
        deciding: BTreeMap::new(),
        record: (!stale).then(|| record(from)),
    }
}

fn record(from: i64) -> Digest {
    Digest::of(from.to_string().as_bytes())
}

fn exception(control: &str, check: &str, name: &str, when: (i64, i64)) -> Exception {
    let list = |text: &str| -> Vec<String> {
        let texts = [text.to_owned()].into_iter();
        texts.filter(|text| !text.is_empty()).collect()
    };
    Exception {
        id: format!("EX-{}", when.0),
        reach: Reach {
            controls: list(control),
            checks: list(check),
            hosts: list(name)
                .iter()
                .filter_map(|one| Pattern::new(one))
                .collect(),
            groups: Vec::new(),
        },
        window: window(when.0, when.1),
        owner: "ada".to_owned(),
        approver: "bo".to_owned(),
        reason: "the supplier mends it".to_owned(),
    }
}

/// A cell for each check of the catalogue: `about` says what of which, the others pass.
fn cells(catalog: &Catalog, about: &[(&str, Verdict, bool)]) -> Vec<Cell> {
    let cell = |id: &str| {
        let said = about.iter().find(|(check, ..)| *check == id);
        let (verdict, stale) = said.map_or((Verdict::Pass, false), |(_, v, s)| (*v, *s));
        let missing = verdict == Verdict::Unknown && !stale;
        Cell {
            verdict,
            stale,
            covered: !stale && !missing,
            collected: (!missing).then(|| at(5)),
            since: (!missing).then(|| at(1)),
        }
    };
    catalog.checks().map(|check| cell(&check.id)).collect()
}

type Said<'a> = (&'a str, &'a [(&'a str, Verdict, bool)]);

fn assessed(given: &Given, asked: &Asked, now: i64, hosts: &[Said<'_>]) -> Assessment {
    let catalog = catalog();
    let mut tally = Tally::new(&catalog, given, asked, at(now));
    for (name, about) in hosts {
        let name = host(name);
        if tally.takes(&name) {
            tally.host(&name, &cells(&catalog, about));
        }
    }
    tally.finish()
}

fn control<'a>(assessment: &'a Assessment, id: &str) -> &'a ControlAssessment {
    let mut controls = assessment.controls.iter();
    controls.find(|control| control.control == id).unwrap()
}

const FAIL: Verdict = Verdict::Fail;
const UNKNOWN: Verdict = Verdict::Unknown;
const SYNCHRONISED: &str = "clock.synchronised";
const ERROR: &str = "clock.error";

#[test]
fn a_host_counts_once_by_its_worst_check() {
    let hosts: [Said<'_>; 5] = [
        ("a", &[]),
        ("b", &[(SYNCHRONISED, FAIL, false), (ERROR, UNKNOWN, true)]),
        ("c", &[(SYNCHRONISED, UNKNOWN, true)]),
        ("d", &[(SYNCHRONISED, UNKNOWN, false)]),
        ("e", &[(SYNCHRONISED, FAIL, false)]),
    ];
    let all = assessed(&Given::default(), &Asked::default(), 9, &hosts);
    assert_eq!((all.hosts, all.controls.len()), (5, 93));
    let clock = control(&all, "A.8.17");
    let finding = &clock.finding;
    assert_eq!(finding.state, ControlState::Failing);
    assert_eq!(finding.passing, 1);
    assert_eq!(finding.failing.names, [host("b"), host("e")]);
    assert_eq!(finding.unknown.names, [host("c"), host("d")]);
    assert_eq!((finding.stale, finding.excepted.count), (1, 0));
    let collected = &clock.collected;
    assert_eq!((collected.expected, collected.covered), (5, 2));
    assert_eq!(collected.stale.names, [host("b"), host("c")]);
    assert_eq!(collected.missing.names, [host("d")]);
    assert_eq!(clock.conclusion, None);
    let check = clock.checks.iter().find(|one| one.check == SYNCHRONISED);
    let check = check.unwrap();
    let counts = (check.passing, check.failing, check.unknown, check.stale);
    assert_eq!(counts, (1, 2, 2, 1));
    let named: Vec<_> = check.named.iter().map(|one| one.host.as_str()).collect();
    assert_eq!(named, ["b", "e", "c", "d", "a"]);
    // No check of the catalogue bears on it, so nothing is said.
    assert_eq!(control(&all, "A.5.1").finding.state, ControlState::NoCheck);
}

#[test]
fn without_hosts_nothing_passes() {
    let all = assessed(&Given::default(), &Asked::default(), 9, &[]);
    let clock = control(&all, "A.8.17");
    assert_eq!(clock.finding.state, ControlState::NoHost);
    assert_eq!(clock.finding.strength, None);
}

#[test]
fn an_excepted_finding_still_fails_and_counts_again_when_the_exception_ends() {
    let given = Given {
        exceptions: vec![exception("A.8.17", SYNCHRONISED, "b*", (3, 10))],
        ..Given::default()
    };
    let hosts: [Said<'_>; 2] = [("a", &[]), ("b1", &[(SYNCHRONISED, FAIL, false)])];
    for (now, excepted) in [(2, 0), (3, 1), (9, 1), (10, 0)] {
        let all = assessed(&given, &Asked::default(), now, &hosts);
        let clock = control(&all, "A.8.17");
        assert_eq!(clock.finding.state, ControlState::Failing, "{now}");
        assert_eq!(clock.finding.failing.count, 1, "{now}");
        assert_eq!(clock.finding.excepted.count, excepted, "{now}");
        assert_eq!(clock.exceptions.len(), excepted, "{now}");
        let until = clock.exceptions.first().map(|one| one.until);
        assert_eq!(until.is_some_and(|until| until == at(10)), excepted == 1);
    }
}

#[test]
fn one_failure_without_exception_keeps_the_host_among_those_that_count() {
    let given = Given {
        exceptions: vec![exception("", SYNCHRONISED, "", (0, 10))],
        ..Given::default()
    };
    let hosts: [Said<'_>; 1] = [("a", &[(SYNCHRONISED, FAIL, false), (ERROR, FAIL, false)])];
    let all = assessed(&given, &Asked::default(), 5, &hosts);
    let finding = &control(&all, "A.8.17").finding;
    assert_eq!((finding.failing.count, finding.excepted.count), (1, 0));
}

#[test]
fn an_exception_reaches_as_far_as_it_says() {
    let reach = |controls: &str, checks: &str, hosts: &str| {
        exception(controls, checks, hosts, (0, 1)).reach
    };
    let web = host("web-1");
    let place = Place {
        groups: vec!["dmz".to_owned()],
        out: None,
    };
    let given = Given {
        places: [(web.clone(), place)].into(),
        ..Given::default()
    };
    let covers = |reach: &Reach| given.covers(reach, &["A.8.17"], ERROR, &web);
    assert!(covers(&reach("A.8.17", "", "")));
    assert!(covers(&reach("", ERROR, "web-1")));
    assert!(covers(&reach("", "", "web-*")));
    assert!(!covers(&reach("A.8.1", "", "")));
    assert!(!covers(&reach("A.8.17", SYNCHRONISED, "")));
    assert!(!covers(&reach("", "", "web")));
    let mut grouped = reach("A.8.17", "", "db-1");
    assert!(!covers(&grouped));
    grouped.groups.push("dmz".to_owned());
    assert!(covers(&grouped));
}

#[test]
fn scope_and_questions_leave_hosts_out_and_say_so() {
    let place = |group: &str, out: Option<&str>| Place {
        groups: vec![group.to_owned()],
        out: out.map(str::to_owned),
    };
    let places = [
        (host("a"), place("web", None)),
        (host("b"), place("web", Some("a laboratory"))),
        (host("c"), place("db", None)),
    ];
    let given = Given {
        places: places.into(),
        ..Given::default()
    };
    let hosts: [Said<'_>; 3] = [("a", &[]), ("b", &[]), ("c", &[])];
    let all = assessed(&given, &Asked::default(), 5, &hosts);
    assert_eq!(
        (all.hosts, all.out_of_scope.names.as_slice()),
        (2, &[host("b")][..])
    );
    let asked = Asked {
        controls: vec!["A.8.*".to_owned()],
        groups: vec!["web".to_owned()],
        ..Asked::default()
    };
    let some = assessed(&given, &asked, 5, &hosts);
    assert_eq!((some.hosts, some.controls.len()), (1, 34));
    assert_eq!(asked.check(&catalog()), Ok(()));
    let wrong = Asked {
        controls: vec!["A.12.4.4".to_owned()],
        ..Asked::default()
    };
    assert!(wrong.check(&catalog()).is_err());
    let names = |hosts: &[&str], groups: &[&str]| {
        let list = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        let asked = Asked {
            hosts: list(hosts),
            groups: list(groups),
            ..Asked::default()
        };
        asked.check_names(&[host("web-1"), host("db-1")], &["dmz"])
    };
    assert_eq!(names(&["web-*", "db-1"], &["dmz"]), Ok(()));
    for (hosts, groups, hint) in [
        (&["wep-1"][..], &[][..], "did you mean `web-1`?"),
        (&["nosuch*"], &[], "known are: web-1, db-1"),
        (&[], &["dmx"], "did you mean `dmz`?"),
    ] {
        let error = names(hosts, groups).unwrap_err().to_string();
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn the_statement_stands_beside_and_what_does_not_fit_is_said() {
    let mut text = Soa::template();
    let row = |text: &str, id: &str, says: &str| -> String {
        let begin = text.find(&format!("id = \"{id}\"")).unwrap();
        let (head, rest) = text.split_at(begin);
        let end = rest.find("\n\n").unwrap_or(rest.len());
        let (_old, behind) = rest.split_at(end);
        format!("{head}id = \"{id}\"\n{says}{behind}")
    };
    let none = "applicable = false\njustification = \"\"";
    text = row(&text, "A.8.17", none);
    let policy = "applicable = true\njustification = \"p\"\nowner = \"ada\"\nstate = \"planned\"";
    for id in ["A.5.1", "A.5.2", "A.8.15"] {
        text = row(&text, id, policy);
    }
    let soa = Soa::read("soa.toml", &text, None).unwrap();
    let given = Given {
        applicability: decided::applicability(&soa),
        soa: Some(soa),
        people: ["ada".parse().unwrap()].into(),
        documents: [("A.5.2".to_owned(), vec![brought::policy()])].into(),
        ..Given::default()
    };
    let all = assessed(&given, &Asked::default(), 9, &[("a", &[])]);
    let said = |id| control(&all, id).inconsistencies.join("; ");
    let clock = said("A.8.17");
    assert!(clock.contains("excluded without a reason"), "{clock}");
    assert!(clock.contains("pieces of evidence count for it"), "{clock}");
    assert_eq!(said("A.5.1"), "applicable without evidence (planned)");
    assert_eq!(
        (said("A.5.2"), said("A.8.15")),
        (String::new(), String::new())
    );
    let row = control(&all, "A.8.17").applicability.as_ref().unwrap();
    assert!(!row.applicable);
    assert_eq!(given.owners(["A.8.17", "A.5.1", "A.5.2"]), ["ada"]);
    // The evidence may be with the hosts that were not asked for.
    let asked = Asked {
        hosts: vec!["b".to_owned()],
        ..Asked::default()
    };
    let some = assessed(&given, &asked, 9, &[("a", &[])]);
    assert!(control(&some, "A.5.1").inconsistencies.is_empty());
}

#[test]
fn names_are_bounded_and_counts_are_not() {
    let about = [(SYNCHRONISED, FAIL, false)];
    let names: Vec<_> = (0..50).map(|number| format!("h{number:02}")).collect();
    let hosts: Vec<Said<'_>> = names
        .iter()
        .map(|name| (name.as_str(), &about[..]))
        .collect();
    let asked = Asked {
        names: 3,
        ..Asked::default()
    };
    let all = assessed(&Given::default(), &asked, 9, &hosts);
    let clock = control(&all, "A.8.17");
    assert_eq!(clock.finding.failing.count, 50);
    assert_eq!(clock.finding.failing.names.len(), 3);
    assert!(clock.checks.iter().all(|check| check.named.len() == 3));
    let mut whole = all;
    let because = |host: &AgentId, check: &str| {
        Ok::<_, ()>(Some(Detail {
            reason: format!("{check} on {host}"),
            record: None,
            entry: Some(7),
            observation: None,
        }))
    };
    whole.detail(because).unwrap();
    let clock = control(&whole, "A.8.17");
    let shown = clock.checks.iter().flat_map(|check| &check.named);
    assert!(shown.clone().count() > 3);
    assert!(shown.clone().all(|one| one.detail.is_some()));
}

#[test]
fn limits_of_severities() {
    let sla = Sla::default();
    let days = |severity| sla.of(severity) / 86_400_000;
    assert_eq!(days(Severity::Critical), 7);
    assert_eq!(days(Severity::High), 14);
    assert_eq!(days(Severity::Medium), 30);
    assert_eq!(days(Severity::Low), 90);
    let text = "[assess.sla_days]\ncritical = 2\n";
    let config = Config::parse(text, Path::new("collector.toml")).unwrap();
    let sla = Sla::from(config.assess.sla_days);
    let days = |severity| sla.of(severity) / 86_400_000;
    assert_eq!((days(Severity::Critical), days(Severity::High)), (2, 14));
    let never = "[assess.sla_days]\nlow = 0\n";
    assert!(Config::parse(never, Path::new("collector.toml")).is_err());
}
