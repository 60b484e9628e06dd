//! Tests of the comparison.

use super::*;

fn instant(s: i64) -> Timestamp {
    Timestamp::from_unix_ms(1_767_355_200_000 + s * 1000).unwrap()
}

fn span(from: i64, to: Option<i64>, verdict: Verdict, reason: &str) -> Span {
    Span {
        from: instant(from),
        to: to.map(instant),
        verdict,
        stale: false,
        reason: reason.to_owned(),
        deciding: BTreeMap::new(),
        record: None,
    }
}

fn one(before: &[Span], after: &[Span]) -> Compared {
    let host: AgentId = "web-1".parse().unwrap();
    compare(
        (&host, "clock.one"),
        (before, after),
        (instant(0), instant(100)),
    )
}

#[test]
fn times_add_up_to_the_period_and_what_differs_is_joined() {
    let before = [
        span(-50, Some(40), Verdict::Pass, "a"),
        span(40, None, Verdict::Fail, "b"),
    ];
    let after = [
        span(10, Some(20), Verdict::Unknown, "c"),
        span(20, Some(30), Verdict::Unknown, "d"),
        span(30, None, Verdict::Fail, "=e,\"f\""),
    ];
    let found = one(&before, &after);
    let share = |share: Share| share.parts().map(|(_verdict, ms)| ms);
    assert_eq!(share(found.before), [40_000, 60_000, 0, 0, 0]);
    assert_eq!(share(found.after), [0, 70_000, 20_000, 0, 10_000]);
    let stretches: Vec<_> = found
        .differs
        .iter()
        .map(|one| (one.from, one.to, word(one.before), word(one.after)))
        .collect();
    assert_eq!(
        stretches,
        [
            (instant(0), instant(10), "pass", "none"),
            (instant(10), instant(30), "pass", "unknown"),
            (instant(30), instant(40), "pass", "fail"),
        ]
    );
    let whole = Reevaluation {
        from: instant(0),
        to: instant(100),
        entries: 3,
        root: Digest::of(b""),
        in_force: Digest::of(b"a"),
        catalogue: Digest::of(b"b"),
        compared: vec![found],
    };
    assert!(!whole.is_same());
    // What a host says is no formula of a spreadsheet.
    assert!(
        whole.csv().contains(",\"'=e,\"\"f\"\"\"\r\n"),
        "{}",
        whole.csv()
    );
    let text = whole.text();
    assert!(text.contains("clock.one: 1 of 1 hosts differ"), "{text}");
    assert!(
        text.contains("was        pass 40.0 %, fail 60.0 %"),
        "{text}"
    );
}

#[test]
fn the_same_twice_differs_nowhere() {
    let spans = [span(5, Some(40), Verdict::Pass, "a")];
    let found = one(&spans, &spans);
    assert_eq!(found.before, found.after);
    assert!(found.differs.is_empty());
    assert_eq!(found.before.none_ms, 65_000);
}

#[test]
fn a_period_that_ends_before_it_begins_is_refused() {
    let bounds = |from: Option<i64>, to: Option<i64>| {
        let asked = (from.map(instant), to.map(instant));
        bounds(asked, (instant(10), instant(20))).ok()
    };
    assert_eq!(bounds(None, None), Some((instant(10), instant(20))));
    assert_eq!(bounds(Some(5), Some(15)), Some((instant(5), instant(15))));
    assert_eq!(bounds(Some(21), None), None, "after the last entry");
    assert_eq!(bounds(None, Some(9)), None, "before the first entry");
    assert_eq!(bounds(Some(5), Some(9)), None, "before the first entry");
}
