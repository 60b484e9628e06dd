//! Tests of the catalogue.

use shared::durable;

use super::*;

#[test]
fn durations() {
    for (text, ms) in [
        ("26h", Some(93_600_000)),
        ("0s", Some(0)),
        ("500ms", Some(500)),
        ("2d", Some(172_800_000)),
        ("3m", Some(180_000)),
    ] {
        assert_eq!(duration_ms(text), ms, "{text}");
    }
    for text in [
        "",
        "h",
        "26",
        "-1h",
        "1.5h",
        "1h30m",
        "1 h",
        "1w",
        "9223372036854775807d",
        "\u{e4}",
    ] {
        assert_eq!(duration_ms(text), None, "{text}");
    }
}

/// A right check, from which each wrong one differs in one place.
const RIGHT: &str = r#"[[check]]
id = "clock.one"
probe = "clock"
title = "One"
severity = "low"
freshness = "1h"
absent = "fail"
parameters = { max_age = "26h", max = 3 }
expect = '''
fact.kernel_synchronised
  && age(fact.tracking_updated) < param.max_age
'''
fail = "Not so"
remediation = "None"
criterion = "None"

[[check.control]]
control = "A.8.17"
strength = "indicates"
rationale = "Because"

[[check.test]]
now = 2026-01-02T12:00:00Z
facts = { kernel_synchronised = false }
verdict = "unknown"
"#;

const MAPPING: &str = r#"[[check.control]]
control = "A.8.17"
strength = "indicates"
rationale = "Because"
"#;

const EXPECT: &str = "fact.kernel_synchronised\n  && age(fact.tracking_updated) < param.max_age\n";

/// What is wrong, and the expression in the place of the right one.
const EXPRESSIONS: &[(&str, &str)] = &[
    ("an unknown fact", "fact.kernel_synchronized"),
    ("a fact without its root", "kernel_synchronised"),
    ("an unknown field", "fact.sources.all(s, s.stratus < 3)"),
    ("a field of a number", "fact.kernel_state.stratum == 1"),
    ("an unknown variable", "nov > fact.tracking_updated"),
    (
        "an unknown parameter",
        "age(fact.tracking_updated) < param.max_aeg",
    ),
    (
        "an unknown function",
        "agee(fact.tracking_updated) < param.max_age",
    ),
    ("an unknown method", "fact.tracking_leap.matches(\"n.*\")"),
    (
        "a text where a number is wanted",
        "fact.kernel_state == \"ok\"",
    ),
    (
        "an instant for a duration",
        "fact.tracking_updated < param.max_age",
    ),
    (
        "a number for a duration",
        "age(fact.tracking_updated) < 3600",
    ),
    (
        "a number for an instant",
        "age(fact.kernel_state) < param.max_age",
    ),
    (
        "the sum of two instants",
        "now + fact.tracking_updated > now",
    ),
    ("a fraction", "fact.kernel_state > 0.5"),
    ("a record by its number", "fact.sources[0].stratum == 1"),
    ("a map", "{\"a\": 1} == {\"a\": 1}"),
    ("no flag", "fact.kernel_state + 1"),
    (
        "a list as a flag",
        "fact.kernel_synchronised && fact.sources",
    ),
    (
        "branches of two types",
        "(fact.kernel_synchronised ? 1 : \"a\") == 1",
    ),
    ("elements of two types", "fact.kernel_state in [1, \"a\"]"),
    ("elements of a number", "fact.kernel_state.all(s, s > 1)"),
    ("a bad duration", "age(now) < duration(\"26 hours\")"),
    (
        "a computed duration",
        "age(now) < duration(fact.tracking_leap)",
    ),
    (
        "a wrong number of arguments",
        "age(now, now) < param.max_age",
    ),
    ("all facts as a value", "size(fact) > 1"),
    ("has of a parameter", "has(param.max)"),
    ("has of a variable", "has(now)"),
    ("a second meaning", "fact.sources.all(now, now.stratum < 3)"),
    (
        "too deep comprehensions",
        "fact.sources.all(a, fact.sources.all(b, fact.sources.all(c, a.reach > c.reach)))",
    ),
    ("no end of a bracket", "(fact.kernel_synchronised"),
    ("nothing", ""),
];

/// What is wrong, what is taken from the right check, and what stands there instead.
const REPLACED: &[(&str, &str, &str)] = &[
    (
        "a fact in a longer text",
        "kernel_synchronised\n",
        "kernel_synchronized\n",
    ),
    ("a bad freshness", "\"1h\"", "\"1 hour\""),
    ("no freshness", "\"1h\"", "\"0h\""),
    ("a bad parameter", "max = 3", "max = 3.5"),
    ("a parameter that is no duration", "\"26h\"", "\"a day\""),
    (
        "an unknown probe",
        "probe = \"clock\"",
        "probe = \"clocks\"",
    ),
    ("an id of another probe", "clock.one", "backup.one"),
    ("an unknown control", "A.8.17", "A.8.71"),
    ("a control of 2013", "A.8.17", "A.12.4.4"),
    ("no control", MAPPING, ""),
    ("no rationale", "\"Because\"", "\" \""),
    ("an unknown strength", "\"indicates\"", "\"shows\""),
    ("an unknown member", "criterion =", "criterium ="),
    ("a missing member", "absent = \"fail\"\n", ""),
    (
        "a condition without a reason",
        "fail = ",
        "when = \"true\"\nfail = ",
    ),
    (
        "an example with an unknown fact",
        "{ kernel_synchronised",
        "{ kernel_synced",
    ),
    ("an example with a wrong type", "= false }", "= 0 }"),
    ("no TOML", "severity =", "severity"),
];

/// What is wrong, and the whole file.
fn wrong() -> Vec<(&'static str, String)> {
    let expect = |source: &str| RIGHT.replace(EXPECT, source);
    let mut all: Vec<_> = EXPRESSIONS
        .iter()
        .map(|(title, e)| (*title, expect(e)))
        .collect();
    for (title, from, to) in REPLACED {
        let other = RIGHT.replacen(from, to, 1);
        assert_ne!(other, RIGHT, "{title}");
        all.push((title, other));
    }
    let long = format!("true{}", " || true".repeat(300));
    let many = format!("{}true{}", "(".repeat(49), ")".repeat(49));
    let deep = format!("{}true{}", "(".repeat(30), ")".repeat(30));
    let chain = format!("1{} == 1", " + 1".repeat(96));
    let hidden = format!("// '\n1{} == 1", " + 1".repeat(96));
    let proves = |source: &str| expect(source).replace("\"indicates\"", "\"proves\"");
    let elsewhere = proves("fact.feeds.exists(list, list.complete)");
    let elsewhere = elsewhere.replace("\"clock", "\"vulnerabilities");
    all.extend([
        ("a setting that proves", proves("fact.rtc_in_local_time")),
        (
            "a fact that was only seen",
            proves("has(fact.tracking_updated)"),
        ),
        ("a probe that sees no operation", elsewhere),
        ("too long", expect(&long)),
        ("too many brackets", expect(&many)),
        ("too deep brackets", expect(&deep)),
        ("too many operators", expect(&chain)),
        ("too many operators behind a comment", expect(&hidden)),
        ("the same id twice", format!("{RIGHT}{RIGHT}")),
    ]);
    all
}

#[test]
fn the_right_check_is_right() {
    let right = Catalog::from_texts(EMBEDDED_CONTROLS, &[("checks/clock.toml", RIGHT)]);
    let catalog = right.unwrap_or_else(|error| panic!("{error}"));
    let check = catalog.checks().next().unwrap();
    assert_eq!(check.id, "clock.one");
    assert_eq!(check.freshness_ms, 3_600_000);
    assert_eq!(format!("{:?}", check.expect), EXPECT);
}

#[test]
fn what_was_seen_happening_may_prove() {
    for (source, probe) in [
        (EXPECT, "clock"),
        (
            "has(fact.tracking_updated) && age(fact.tracking_updated) < param.max_age",
            "clock",
        ),
        (
            "fact.sets.all(s, has(s.last_success) && s.last_success < now)",
            "backup",
        ),
    ] {
        let text = RIGHT.replace(EXPECT, source).replace("indicates", "proves");
        let (text, _example) = text.split_once("[[check.test]]").unwrap();
        let text = text.replace("\"clock", &format!("\"{probe}"));
        let read = Catalog::from_texts(EMBEDDED_CONTROLS, &[("checks/one.toml", &text)]);
        read.unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The errors are part of the product: each is kept word for word in `wrong.txt`.
#[test]
fn wrong_checks_are_refused_with_their_place() {
    let mut shown = String::new();
    for (title, text) in wrong() {
        let refused = Catalog::from_texts(EMBEDDED_CONTROLS, &[("checks/clock.toml", &text)]);
        let Err(CatalogError::Faults(faults)) = refused else {
            panic!("{title}: {refused:?}");
        };
        assert_eq!(faults.len(), 1, "{title}: {faults:?}");
        let fault = faults.first().unwrap();
        let place = format!("checks/clock.toml:{}:{}", fault.line, fault.column);
        assert!(
            fault.shown.contains(&place),
            "{title}: {place}\n{}",
            fault.shown
        );
        for part in ["=== ", title, "\n", &fault.shown, "\n\n"] {
            shown.push_str(part);
        }
    }
    assert!(
        shown == include_str!("wrong.txt"),
        "wrong.txt should be:\n{shown}"
    );
}

/// The renderer once stopped inside a character of two bytes.
#[test]
fn only_ascii_stands_in_an_expression() {
    let text = RIGHT.replace(EXPECT, "fact.tracking_leap == \"\u{e4}\"");
    let refused = Catalog::from_texts(EMBEDDED_CONTROLS, &[("checks/clock.toml", &text)]);
    let shown = refused.unwrap_err().to_string();
    assert!(
        shown.starts_with("error: only ASCII may stand in an expression"),
        "{shown}"
    );
}

#[test]
fn a_folder_is_read_like_the_default_one() {
    let folder = tempfile::tempdir().unwrap();
    let checks = folder.path().join("checks");
    std::fs::create_dir(&checks).unwrap();
    for (name, text) in Files::embedded().iter() {
        durable::write(&folder.path().join(name), text.as_bytes(), 0o600).unwrap();
    }
    let loaded = Catalog::load(folder.path()).unwrap();
    assert_eq!(loaded.digest(), Catalog::embedded().unwrap().digest());
    durable::write(&checks.join("more.toml"), RIGHT.as_bytes(), 0o600).unwrap();
    let more = Catalog::load(folder.path()).unwrap();
    assert_ne!(more.digest(), loaded.digest());
    assert!(more.checks().any(|check| check.id == "clock.one"));
    let gone = Catalog::load(&checks).unwrap_err();
    assert!(matches!(gone, CatalogError::Read { .. }), "{gone}");
}

/// The controls that some check bears on. A wrong mapping is worse than none, so each was thought
/// about.
const MAPPED: &str = "
A.5.7
A.5.9
A.5.17
A.5.28
A.5.29
A.5.30
A.5.33
A.5.36
A.5.37
A.8.2
A.8.6
A.8.8
A.8.9
A.8.13
A.8.14
A.8.15
A.8.16
A.8.17
A.8.19
A.8.20
A.8.24
";

#[test]
fn only_what_was_thought_about_is_mapped() {
    let catalog = Catalog::embedded().unwrap();
    let controls = catalog.controls().iter();
    let found: Vec<_> = controls
        .map(|control| control.id.as_str())
        .filter(|id| 0 < catalog.bearing_on(id).count())
        .collect();
    assert_eq!(found, MAPPED.split_whitespace().collect::<Vec<_>>());
}
