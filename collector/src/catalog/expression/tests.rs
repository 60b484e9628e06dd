//! Tests of expressions: code that runs and the interpreter say the same.

use proptest::prelude::*;
use shared::fact::{self, Record};

use super::*;
use crate::catalog::{Case, Catalog};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Runs both ways; they must agree wherever the code gives something. Says whether it did.
#[track_caller]
fn agree(
    expression: &Expression,
    facts: &Facts,
    parameters: &BTreeMap<String, Parameter>,
    now: Timestamp,
) -> bool {
    let code = expression
        .code
        .as_ref()
        .unwrap_or_else(|| panic!("no code of {expression:?}"));
    let looked = Looked {
        facts,
        parameters,
        now,
    };
    let ran = match code.run(&looked) {
        Ok(flag) => Ok(flag),
        Err(Stop::GaveUp(why)) => Err(Undecided::GaveUp(why.to_owned())),
        Err(Stop::Ask) => return false,
    };
    let said = expression.interpret(facts, parameters, now);
    assert_eq!(ran, said, "{expression:?} of {facts:?}");
    true
}

/// The facts, and the facts with each one changed or taken away.
fn nearly(facts: &Facts) -> Vec<Facts> {
    let mut all = vec![facts.clone()];
    for (name, value) in facts {
        let mut without = facts.clone();
        without.remove(name);
        all.push(without);
        for value in changed(value) {
            let mut other = facts.clone();
            other.insert(name.clone(), value);
            all.push(other);
        }
    }
    all
}

fn changed(value: &Value) -> Vec<Value> {
    match value {
        Value::Flag(flag) => vec![Value::Flag(!flag)],
        Value::Number(number) => [0, 1, -1, i64::MAX, i64::MIN, number.wrapping_add(1)]
            .map(Value::Number)
            .to_vec(),
        Value::Text(text) => vec![
            Value::Text(String::new()),
            Value::Text(format!("{text}x")),
            Value::Text("\u{e4}\u{20ac}".to_owned()),
        ],
        Value::Instant(instant) => [-86_400_000_i64 * 400, 60_000, 86_400_000]
            .map(|ms| Value::Instant(instant.plus_ms(ms)))
            .to_vec(),
        Value::List(records) => {
            let mut lists = vec![Vec::new(), [records.clone(), records.clone()].concat()];
            for (index, record) in records.iter().enumerate() {
                for other in nearly_record(record) {
                    let mut list = records.clone();
                    list[index] = other;
                    lists.push(list);
                }
            }
            lists.into_iter().map(Value::List).collect()
        }
    }
}

fn nearly_record(record: &Record) -> Vec<Record> {
    let mut all = Vec::new();
    for (name, value) in record {
        let mut without = record.clone();
        without.remove(name);
        all.push(without);
        for value in changed(value) {
            let mut other = record.clone();
            other.insert(name.clone(), value);
            all.push(other);
        }
    }
    all
}

#[test]
fn every_expression_of_the_catalogue_runs_as_the_interpreter_says() {
    let catalog = Catalog::embedded().unwrap();
    let (mut ran, mut asked) = (0, 0);
    for check in catalog.checks() {
        let when = check.when.iter().map(|when| &when.condition);
        let expressions: Vec<_> = std::iter::once(&check.expect).chain(when).collect();
        let agreed = |case: &Case, facts: &Facts| {
            let one = |one: &&&Expression| agree(one, facts, &case.parameters, case.now);
            expressions.iter().filter(one).count()
        };
        for (case, facts) in check.cases.iter().flat_map(|case| {
            let all = nearly(&case.facts).into_iter();
            all.map(move |facts| (case, facts))
        }) {
            let done = agreed(case, &facts);
            ran += done;
            asked += expressions.len() - done;
        }
    }
    assert!(1000 < ran && asked < ran, "{ran} ran, {asked} were asked");
}

/// An expression on the probe `clock`; `None` when it is refused.
fn compiled(source: &str) -> Option<Expression> {
    let parameters = BTreeMap::from([
        ("flag".to_owned(), Parameter::Flag(true)),
        ("count".to_owned(), Parameter::Number(3)),
        ("span".to_owned(), Parameter::Duration(5_000)),
    ]);
    Expression::compile(source, fact::subject("clock")?, &parameters).ok()
}

const LEAVES: [&str; 5] = [
    "true",
    "fact.container",
    "has(fact.tracking_updated)",
    "param.flag",
    "unknown(\"why\")",
];
const NUMBERS: [&str; 6] = [
    "0",
    "-1",
    "9223372036854775807",
    "param.count",
    "fact.kernel_offset_ns",
    "fact.tai_offset_s",
];

fn number() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(NUMBERS.as_slice()).prop_map(str::to_owned);
    leaf.prop_recursive(3, 8, 2, |inner| {
        let sign = prop::sample::select(vec!["+", "-", "*", "/", "%"]);
        prop_oneof![
            (inner.clone(), sign, inner.clone())
                .prop_map(|(a, sign, b)| format!("({a} {sign} {b})")),
            inner.clone().prop_map(|number| format!("-({number})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("size([{a}, {b}] + [])")),
            Just("size(fact.daemon_units)".to_owned()),
            Just("size(fact.time_zone)".to_owned()),
            Just("size(fact.daemon_units.filter(s, s.active))".to_owned()),
        ]
    })
}

fn flag() -> impl Strategy<Value = String> {
    let orders = || prop::sample::select(vec!["<", "<=", ">", ">=", "==", "!="]);
    let searches = prop::sample::select(vec!["contains", "startsWith", "endsWith"]);
    let leaf = prop_oneof![
        prop::sample::select(LEAVES.as_slice()).prop_map(str::to_owned),
        (number(), orders(), number()).prop_map(|(a, order, b)| format!("{a} {order} {b}")),
        searches.prop_map(|search| format!("fact.time_zone.{search}(\"T\")")),
        number().prop_map(|number| format!("{number} in [1, 2, {number}]")),
        orders().prop_map(|order| format!("age(fact.tracking_updated) {order} param.span")),
        orders().prop_map(|order| format!("now - fact.tracking_updated {order} duration(\"1h\")")),
        Just("fact.time_zone in [\"UTC0\", \"CET-1\"]".to_owned()),
        Just("fact.time_zone != fact.clocksource".to_owned()),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let over = prop::sample::select(vec!["all", "exists", "exists_one"]);
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("(({a}) ? ({b}) : ({c}))")),
            // No two variables that are there at once have one name.
            (over, inner.clone()).prop_map(|(over, a)| {
                let s = format!("s{}", a.len());
                let own = format!("({s}.active || {s}.unit == \"x\")");
                format!("fact.daemon_units.{over}({s}, {own} && {a})")
            }),
            inner.prop_map(|a| {
                let s = format!("s{}", a.len());
                let names = format!("fact.daemon_units.map({s}, {a}, {s}.unit)");
                format!("{names}.exists(n{s}, n{s} == \"192.0.2.1\")")
            }),
        ]
    })
}

fn some_facts() -> Facts {
    let facts = r#"{
        "clocksource": "tsc", "container": false, "kernel_offset_ns": 12, "tai_offset_s": 0,
        "time_zone": "UTC0", "tracking_updated": 1767355140000,
        "daemon_units": [
            {"unit": "192.0.2.1", "active": true},
            {"unit": "x", "active": false},
            {"unit": "", "active": true}
        ]
    }"#;
    let subject = fact::subject("clock").unwrap();
    subject.read(facts).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 400,
        max_global_rejects: 4000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_expression_runs_as_the_interpreter_says(source in flag()) {
        // Too long or too deep, for one.
        let Some(expression) = compiled(&source) else {
            return Err(TestCaseError::reject("refused"));
        };
        let parameters = BTreeMap::from([
            ("flag".to_owned(), Parameter::Flag(false)),
            ("count".to_owned(), Parameter::Number(2)),
            ("span".to_owned(), Parameter::Duration(120_000)),
        ]);
        for facts in nearly(&some_facts()) {
            let _ran = agree(&expression, &facts, &parameters, at("2026-01-02T12:00:00Z"));
        }
    }
}

#[test]
fn what_reads_time_is_known() {
    for (source, time) in [
        ("fact.container", false),
        ("fact.nts_source_count > 2", false),
        ("age(fact.tracking_updated) < duration(\"1h\")", true),
        ("fact.container || fact.tracking_updated < now", true),
    ] {
        assert_eq!(compiled(source).unwrap().reading().time, time, "{source}");
    }
}
