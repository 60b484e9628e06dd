//! Tests of the catalogue.

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

const EXPECT: &str = "fact.kernel_synchronised\n  && age(fact.tracking_updated) < param.max_age\n";

/// What is wrong, and the text that stands there instead of the right one.
fn wrong() -> Vec<(&'static str, String)> {
    let expect = |source: &str| RIGHT.replace(EXPECT, source);
    let also = |from: &str, to: &str| {
        let other = RIGHT.replacen(from, to, 1);
        assert_ne!(other, RIGHT, "{from}");
        other
    };
    let long = format!("true{}", " || true".repeat(300));
    let deep = format!("{}true{}", "(".repeat(17), ")".repeat(17));
    let chain = format!("1{} == 1", " + 1".repeat(96));
    let nested = "fact.sources.all(a, fact.sources.all(b, fact.sources.all(c, a.reach > c.reach)))";
    vec![
        (
            "an unknown fact",
            also("kernel_synchronised\n", "kernel_synchronized\n"),
        ),
        ("a fact without its root", expect("kernel_synchronised")),
        (
            "an unknown field",
            expect("fact.sources.all(s, s.stratus < 3)"),
        ),
        (
            "a field of a number",
            expect("fact.kernel_state.stratum == 1"),
        ),
        ("an unknown variable", expect("nov > fact.tracking_updated")),
        (
            "an unknown parameter",
            expect("age(fact.tracking_updated) < param.max_aeg"),
        ),
        (
            "an unknown function",
            expect("agee(fact.tracking_updated) < param.max_age"),
        ),
        (
            "an unknown method",
            expect("fact.tracking_leap.matches(\"n.*\")"),
        ),
        (
            "a text where a number is wanted",
            expect("fact.kernel_state == \"ok\""),
        ),
        (
            "an instant where a duration is wanted",
            expect("fact.tracking_updated < param.max_age"),
        ),
        (
            "a number where a duration is wanted",
            expect("age(fact.tracking_updated) < 3600"),
        ),
        (
            "the sum of two instants",
            expect("now + fact.tracking_updated > now"),
        ),
        ("a fraction", expect("fact.kernel_state > 0.5")),
        (
            "a record by its number",
            expect("fact.sources[0].stratum == 1"),
        ),
        ("no flag", expect("fact.kernel_state + 1")),
        (
            "a list as a flag",
            expect("fact.kernel_synchronised && fact.sources"),
        ),
        (
            "branches of two types",
            expect("(fact.kernel_synchronised ? 1 : \"a\") == 1"),
        ),
        (
            "a bad duration in the expression",
            expect("age(now) < duration(\"26 hours\")"),
        ),
        ("has of a parameter", expect("has(param.max)")),
        (
            "a variable with a second meaning",
            expect("fact.sources.all(now, now.stratum < 3)"),
        ),
        ("too deep comprehensions", expect(nested)),
        ("no end of a bracket", expect("(fact.kernel_synchronised")),
        ("too long", expect(&long)),
        ("too many brackets", expect(&deep)),
        ("too many operators", expect(&chain)),
        ("a bad duration", also("\"1h\"", "\"1 hour\"")),
        ("a bad parameter", also("max = 3", "max = 3.5")),
        (
            "an unknown probe",
            also("probe = \"clock\"", "probe = \"clocks\""),
        ),
        ("an id of another probe", also("clock.one", "backup.one")),
        ("an unknown control", also("A.8.17", "A.8.71")),
        (
            "no control",
            also(
                "[[check.control]]\ncontrol = \"A.8.17\"\nstrength = \"indicates\"\nrationale = \"Because\"\n",
                "",
            ),
        ),
        ("no rationale", also("\"Because\"", "\" \"")),
        ("an unknown strength", also("\"indicates\"", "\"shows\"")),
        ("an unknown member", also("criterion =", "criterium =")),
        ("a missing member", also("absent = \"fail\"\n", "")),
        (
            "a condition without a reason",
            also("fail = ", "when = \"true\"\nfail = "),
        ),
        ("the same id twice", format!("{RIGHT}{RIGHT}")),
        (
            "an example with an unknown fact",
            also("{ kernel_synchronised", "{ kernel_synced"),
        ),
        ("an example with a wrong type", also("= false }", "= 0 }")),
        ("no TOML", also("severity =", "severity")),
    ]
}

#[test]
fn the_right_check_is_right() {
    let right = Catalog::from_texts(EMBEDDED_CONTROLS, &[("checks/clock.toml", RIGHT)]);
    let catalog = right.unwrap_or_else(|error| panic!("{error}"));
    let check = catalog.check("clock.one").unwrap();
    assert_eq!(check.freshness_ms, 3_600_000);
    assert_eq!(check.expect.source(), EXPECT);
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
        shown += &format!("=== {title}\n{}\n\n", fault.shown);
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
    for (name, text) in [("controls.tsv", EMBEDDED_CONTROLS)]
        .into_iter()
        .chain(EMBEDDED)
    {
        durable::write(&folder.path().join(name), text.as_bytes(), 0o600).unwrap();
    }
    let loaded = Catalog::load(folder.path()).unwrap();
    assert_eq!(loaded.digest(), Catalog::embedded().unwrap().digest());
    durable::write(&checks.join("more.toml"), RIGHT.as_bytes(), 0o600).unwrap();
    let more = Catalog::load(folder.path()).unwrap();
    assert_ne!(more.digest(), loaded.digest());
    assert!(more.check("clock.one").is_some());
    let gone = Catalog::load(&checks).unwrap_err();
    assert!(matches!(gone, CatalogError::Read { .. }), "{gone}");
}

/// Small and few: a wrong mapping is worse than none.
#[test]
fn only_what_was_thought_about_is_mapped() {
    let catalog = Catalog::embedded().unwrap();
    let mapped = |id: &str| catalog.bearing_on(id).count();
    let controls = catalog.controls().iter();
    let found: Vec<_> = controls
        .map(|c| (c.id.as_str(), mapped(&c.id)))
        .filter(|m| m.1 > 0)
        .collect();
    assert_eq!(
        found,
        [
            ("A.8.8", 4),
            ("A.8.13", 4),
            ("A.8.15", 5),
            ("A.8.17", 4),
            ("A.8.24", 1)
        ]
    );
}
