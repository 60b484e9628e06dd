//! Tests of the evaluation.

use shared::observation::Means;

use crate::catalog::CatalogError;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-01-02T12:00:00Z")
}

fn observation(probe: &str, outcome: Outcome, facts: &str) -> Observation {
    let subject = fact::subject(probe).unwrap();
    Observation {
        artifacts: Vec::new(),
        facts: subject.read(facts).unwrap(),
        outcome,
        probe: probe.to_owned(),
        reason: String::new(),
        schema: subject.schema,
        source: Vec::new(),
    }
}

#[test]
fn every_example_gives_its_verdict() {
    let catalog = Catalog::embedded().unwrap_or_else(|error| panic!("{error}"));
    let surprises: Vec<_> = try_cases(&catalog)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
}

#[test]
fn every_check_has_examples_of_every_kind() {
    let catalog = Catalog::embedded().unwrap();
    for check in catalog.checks() {
        let mut wanted = vec![Verdict::Pass, Verdict::Fail, Verdict::Unknown];
        if check.when.is_some() {
            wanted.push(Verdict::NotApplicable);
        }
        for verdict in wanted {
            let there = check.cases.iter().any(|case| case.verdict == verdict);
            assert!(there, "{} has no example of {}", check.id, verdict.as_str());
        }
    }
}

/// A check that does not read time gives the same finding of the same facts at any time.
#[test]
fn what_does_not_read_time_is_the_same_for_ever() {
    let catalog = Catalog::embedded().unwrap();
    let mut checks = catalog
        .checks()
        .filter(|check| !check.reads_time())
        .peekable();
    assert!(checks.peek().is_some(), "every check reads time");
    for check in checks {
        for case in &check.cases {
            let mut seen = observation(&check.probe, Outcome::Facts, "{}");
            seen.facts = case.facts.clone();
            let then = one(check, &seen, &case.parameters, case.now);
            let later = one(
                check,
                &seen,
                &case.parameters,
                case.now.plus_ms(86_400_000 * 365),
            );
            assert_eq!(then, later);
        }
    }
}

/// Whatever needed fact is taken away from an example, it does not pass then.
#[test]
fn a_missing_fact_never_makes_a_pass() {
    let catalog = Catalog::embedded().unwrap();
    for check in catalog.checks() {
        for case in &check.cases {
            for need in &check.expect.reading().required {
                let mut less = observation(&check.probe, Outcome::Facts, "{}");
                less.facts.clone_from(&case.facts);
                let taken = less.facts.remove(need.name);
                let always = need.under.is_empty();
                let found = one(check, &less, &case.parameters, case.now);
                let passed = found.verdict == Verdict::Pass && always && taken.is_some();
                assert!(!passed, "{} without {}", check.id, need.name);
            }
        }
        let nothing = observation(&check.probe, Outcome::Facts, "{}");
        let found = one(check, &nothing, &check.parameters, noon());
        assert_eq!(found.verdict, Verdict::Unknown, "{}", check.id);
    }
}

const CONTROLS: &str = include_str!("../../../config/catalog/controls.tsv");

/// A catalogue of one check with this expectation on the probe `clock`.
fn only(expect: &str) -> Result<Catalog, CatalogError> {
    let text = format!(
        r#"
[[check]]
id = "clock.one"
probe = "clock"
title = "One"
severity = "low"
freshness = "1h"
absent = "fail"
expect = '''{expect}'''
fail = "Not so"
remediation = "None"
criterion = "None"
[[check.control]]
control = "A.8.17"
strength = "indicates"
rationale = "Test"
"#
    );
    Catalog::from_texts(CONTROLS, &[("checks/clock.toml", &text)])
}

#[track_caller]
fn gives(expect: &str, facts: &str, verdict: Verdict, reason: &str) {
    let catalog = only(expect).unwrap_or_else(|error| panic!("{error}"));
    let mut observation = observation("clock", Outcome::Facts, facts);
    observation.source = vec![
        Source {
            kind: Means::Socket,
            name: "/run/chrony/chronyd.sock".to_owned(),
            status: Status::NotPermitted,
        },
        Source {
            kind: Means::Syscall,
            name: "adjtimex".to_owned(),
            status: Status::Ok,
        },
    ];
    let findings = evaluate(&catalog, &observation, noon());
    let [finding] = findings.as_slice() else {
        panic!("{findings:?}");
    };
    assert_eq!(
        (finding.verdict, finding.reason.as_str()),
        (verdict, reason),
        "{expect}"
    );
}

#[test]
fn what_is_missing_is_unknown() {
    let away = "was not seen: socket /run/chrony/chronyd.sock: not-permitted";
    let stratum = format!("`tracking_stratum` {away}");
    // CEL alone would say true, false, true and false here.
    for expect in [
        "true || fact.tracking_stratum > 1",
        "false && fact.tracking_stratum > 1",
        "fact.tracking_stratum > 1 || true",
        "fact.tracking_stratum > 1 && false",
        "has(fact.tracking_stratum) || fact.tracking_stratum > 1 || true",
        "!has(fact.tracking_stratum) && fact.tracking_stratum > 1",
        "has(fact.kernel_state) ? fact.tracking_stratum > 1 : true",
    ] {
        gives(expect, r#"{"kernel_state":0}"#, Verdict::Unknown, &stratum);
    }
}

#[test]
fn a_guard_makes_room() {
    for (expect, verdict) in [
        (
            "has(fact.tracking_stratum) && fact.tracking_stratum > 1",
            Verdict::Fail,
        ),
        (
            "!has(fact.tracking_stratum) || fact.tracking_stratum > 1",
            Verdict::Pass,
        ),
        (
            "has(fact.tracking_stratum) ? fact.tracking_stratum > 1 : true",
            Verdict::Pass,
        ),
        (
            "!(!has(fact.tracking_stratum)) && fact.tracking_stratum > 1",
            Verdict::Fail,
        ),
        (
            "true && has(fact.tracking_stratum) && fact.tracking_stratum > 1 && true",
            Verdict::Fail,
        ),
    ] {
        let reason = if verdict == Verdict::Pass {
            ""
        } else {
            "Not so: "
        };
        gives(expect, "{}", verdict, reason);
    }
    let seen = r#"{"tracking_stratum":2}"#;
    let expect = "has(fact.tracking_stratum) ? fact.tracking_stratum > 1 : fact.kernel_state == 0";
    gives(expect, seen, Verdict::Pass, "tracking_stratum 2");
}

#[test]
fn every_record_must_have_the_fields_that_are_read() {
    let all = "fact.sources.all(s, s.stratum < 5)";
    let some = "fact.sources.exists(s, s.stratum < 5)";
    let guarded = "fact.sources.exists(s, has(s.stratum) && s.stratum < 5)";
    let facts = r#"{"sources":[{"stratum":1},{"reach":255}]}"#;
    let missing = "`stratum` of record 2 of `sources` was not seen: \
                   socket /run/chrony/chronyd.sock: not-permitted";
    gives(all, facts, Verdict::Unknown, missing);
    gives(some, facts, Verdict::Unknown, missing);
    gives(guarded, facts, Verdict::Pass, "sources 2 records");
    gives(all, r#"{"sources":[]}"#, Verdict::Pass, "sources none");
}

/// What a bound cut off may be what fails.
#[test]
fn a_list_that_was_cut_is_not_whole() {
    let facts = r#"{"daemons":[{"name":"chronyd"}],"kernel_state":0,"sources":[{"stratum":1}]}"#;
    let all = "fact.sources.all(s, s.stratum < 5)";
    let whole = (Verdict::Pass, "sources 1 record");
    let cut = (
        Verdict::Unknown,
        "`sources` was seen in part only: file sources: limit",
    );
    let socket = (
        Verdict::Unknown,
        "`sources` was seen in part only: file /run/chrony/chronyd.sock: limit",
    );
    for (expect, place, status, want) in [
        (all, "sources", Status::Ok, whole),
        (all, "sources", Status::Absent, whole),
        (all, "configured_sources", Status::Limit, whole),
        (all, "sources", Status::Limit, cut),
        (all, "/run/chrony/chronyd.sock", Status::Limit, socket),
        (
            "!has(fact.sources) || fact.kernel_state == 0",
            "sources",
            Status::Limit,
            cut,
        ),
        ("!has(fact.sources) || true", "sources", Status::Limit, cut),
        (
            "fact.sources.exists(s, s.stratum > 5) || true",
            "sources",
            Status::Limit,
            cut,
        ),
        ("size(fact.sources) > 5", "sources", Status::Limit, cut),
        (
            "size(fact.daemons) == 1",
            "sources",
            Status::Limit,
            (Verdict::Pass, "daemons 1 record"),
        ),
        (
            "fact.kernel_state == 0",
            "kernel_state",
            Status::Limit,
            (Verdict::Pass, "kernel_state 0"),
        ),
    ] {
        let catalog = only(expect).unwrap_or_else(|error| panic!("{error}"));
        let mut seen = observation("clock", Outcome::Facts, facts);
        seen.source = vec![Source {
            kind: Means::File,
            name: place.to_owned(),
            status,
        }];
        let findings = evaluate(&catalog, &seen, noon());
        let found = (findings[0].verdict, findings[0].reason.as_str());
        assert_eq!(found, want, "{expect}, {place} {status:?}");
    }
}

/// A pass is no place for lists and long texts; a failure shows which records it is about.
#[test]
fn a_pass_is_short() {
    let long = "x".repeat(41);
    let facts = format!(
        r#"{{"daemons":[{{"name":"chronyd"}},{{"name":"ntpd"}}],"kernel_state":0,
            "tracking_reference":"{long}","sources":[{{"address":"192.0.2.1","stratum":1}}]}}"#
    );
    let facts = facts.as_str();
    let reads = "size(fact.daemons) > 0 && size(fact.sources) == 1 && fact.kernel_state == 0 \
                 && has(fact.tracking_reference)";
    let short = "daemons 2 records, kernel_state 0, sources 1 record";
    gives(reads, facts, Verdict::Pass, short);
    gives(
        "size(fact.daemons) < 2",
        facts,
        Verdict::Fail,
        "Not so: daemons [chronyd; ntpd]",
    );
    gives(
        "size(fact.sources) > 1",
        facts,
        Verdict::Fail,
        "Not so: sources 1 record",
    );
}

#[test]
fn an_error_is_unknown() {
    let facts = r#"{"kernel_max_error_us":9223372036854775807,
        "kernel_state":0,"tracking_updated":1767355501000}"#;
    let failed = "the expression could not be evaluated: ";
    for (expect, reason) in [
        ("10 / fact.kernel_state > 1", "Division by zero of Int(10)"),
        (
            "fact.kernel_max_error_us + 1 > 0",
            "Overflow from binary operator 'add': Int(9223372036854775807), Int(1)",
        ),
        (
            "age(fact.tracking_updated) < duration('1h')",
            "Error executing function 'age': the instant lies after the time of collection",
        ),
    ] {
        gives(
            expect,
            facts,
            Verdict::Unknown,
            &format!("{failed}{reason}"),
        );
    }
    let why = "because: socket /run/chrony/chronyd.sock: not-permitted";
    gives(
        "fact.kernel_state == 0 && unknown('because')",
        facts,
        Verdict::Unknown,
        why,
    );
}

#[test]
fn what_could_not_look_is_unknown_and_what_is_not_there_is_as_the_check_says() {
    let catalog = Catalog::embedded().unwrap();
    for (probe, outcome, verdict) in [
        ("audit", Outcome::Unknown, Verdict::Unknown),
        ("audit", Outcome::Absent, Verdict::Fail),
        ("updates", Outcome::Unknown, Verdict::Unknown),
        ("updates", Outcome::Absent, Verdict::NotApplicable),
    ] {
        let mut seen = observation(probe, outcome, "{}");
        seen.reason = "no\x1b[31m such thing".to_owned();
        let findings = evaluate(&catalog, &seen, noon());
        assert_eq!(findings.len(), catalog.checks_of(probe).count());
        let same = findings.iter().all(|finding| finding.verdict == verdict);
        assert!(same, "{probe} {outcome:?}: {findings:?}");
        assert!(
            findings
                .iter()
                .all(|f| f.reason.contains(": no [31m such thing"))
        );
    }
    let mut seen = observation("logging", Outcome::Absent, "{}");
    seen.reason = "no log daemon".to_owned();
    let findings = evaluate(&catalog, &seen, noon());
    let fresh = findings.iter().find(|one| one.check == "logging.fresh");
    let reason = "No log has grown for too long: probe `logging` found nothing to look at: \
                  no log daemon";
    assert_eq!(fresh.unwrap().reason, reason);
    let unseen = unobserved(&catalog, "backup", "the observation was not sent");
    assert_eq!(unseen.len(), 18);
    assert!(
        unseen
            .iter()
            .all(|finding| finding.verdict == Verdict::Unknown)
    );
}

#[test]
fn shown_values_are_bounded() {
    let many: Vec<_> = (0..512).map(|_| r#"{"address":"192.0.2.1"}"#).collect();
    let facts = format!(r#"{{"sources":[{}]}}"#, many.join(","));
    let catalog = only("size(fact.sources) > 512").unwrap();
    let findings = evaluate(
        &catalog,
        &observation("clock", Outcome::Facts, &facts),
        noon(),
    );
    let finding = findings.first().unwrap();
    assert_eq!(finding.verdict, Verdict::Fail);
    assert!(finding.reason.len() < 200, "{}", finding.reason);
}

#[test]
fn ages() {
    for (ms, text) in [
        (0, "0 s ago"),
        (119_999, "119 s ago"),
        (7_199_999, "119 min ago"),
        (93_600_000, "26 h ago"),
        (172_800_000, "2 d ago"),
        (-5_000, "5 s ahead"),
        (i64::MIN, "106751991167 d ahead"),
    ] {
        assert_eq!(ago(ms), text);
    }
}

/// The parser and the interpreter recurse: what passes the bounds must fit a thread's stack.
#[test]
fn the_longest_chains_fit_the_stack() {
    let chains = [
        format!("fact.kernel_state{} == 0", " + 1".repeat(93)),
        format!("{}true", "!".repeat(96)),
        format!("{}true{}", "(".repeat(24), ")".repeat(24)),
        format!("true{}", " || true".repeat(255)),
        format!("{}true", "true ? true : ".repeat(96)),
        format!("{}1 == 1", "-".repeat(94)),
        format!("{}1{} == 1", "-(".repeat(24), ")".repeat(24)),
    ];
    let run = move || {
        let seen = observation("clock", Outcome::Facts, r#"{"kernel_state":0}"#);
        let compiled = chains.iter().filter_map(|chain| only(chain).ok());
        compiled
            .map(|catalog| evaluate(&catalog, &seen, noon()).len())
            .sum::<usize>()
    };
    let thread = std::thread::Builder::new()
        .stack_size(1024 * 1024)
        .spawn(run);
    assert_eq!(thread.unwrap().join().unwrap(), 6);
}
