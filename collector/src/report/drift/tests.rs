//! Tests of drift as a screen.

use super::*;
use crate::assess::Window;
use crate::drift::{Counts, Direction, Explained};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn first(check: &str, verdict: Verdict) -> Entry {
    let now = at("2026-01-02T12:00:05Z");
    let side = Side {
        verdict,
        stale: false,
        since: now,
        reason: "so".to_owned(),
        facts: BTreeMap::new(),
        record: None,
    };
    Entry {
        at: now,
        host: "web-1".parse().ok(),
        what: What::Changed {
            check: check.to_owned(),
            controls: vec!["A.8.17".to_owned()],
            severity: None,
            direction: Direction::Level,
            before: None,
            after: Some(side),
            facts: Vec::new(),
        },
        explained: Some(Explained {
            by: Why::Enrolment,
            id: "web-1".to_owned(),
            at: at("2026-01-02T12:00:00Z"),
            text: "the host was enrolled".to_owned(),
        }),
    }
}

fn found() -> Drift {
    let ended = Entry {
        at: at("2026-01-02T11:00:00Z"),
        host: None,
        what: What::ExceptionEnded {
            exception: "EX-1".to_owned(),
            owner: "ada".to_owned(),
            findings: 2,
            checks: vec!["clock.error".to_owned()],
            controls: vec!["A.8.17".to_owned()],
            hosts: ["db-1", "db-2"].map(|host| host.parse().unwrap()).into(),
        },
        explained: None,
    };
    Drift {
        window: Window {
            from: at("2026-01-01T00:00:00Z"),
            to: at("2026-01-03T00:00:00Z"),
        },
        counts: Counts::default(),
        cut: false,
        entries: vec![
            ended,
            first("clock.error", Verdict::Fail),
            first("clock.sources", Verdict::Pass),
            first("clock.steps", Verdict::Pass),
        ],
    }
}

#[test]
fn the_first_evidence_of_a_host_is_one_line() {
    let shown = |first| {
        let what = Shown {
            explained: true,
            first,
        };
        screen(&found(), what, 120, false)
    };
    let short = shown(false);
    let line = "2026-01-02T12:00:05.000Z  web-1: 3 checks, 1 fail, 2 pass";
    assert!(short.lines().any(|one| one == line), "{short}");
    assert!(!short.contains("clock.steps"), "{short}");
    let whole = shown(true);
    assert!(
        whole.contains("web-1: clock.steps never judged -> pass"),
        "{whole}"
    );
    assert!(!whole.contains("3 checks"), "{whole}");
}

#[test]
fn an_exception_that_ended_is_not_explained() {
    let what = Shown {
        explained: false,
        first: false,
    };
    let screen = screen(&found(), what, 200, false);
    let line = "exception EX-1 of ada ended, and 2 of its findings still fail: clock.error on \
                db-1, db-2 (A.8.17)";
    assert!(screen.contains(line), "{screen}");
    let rows = csv(&found());
    let row = "2026-01-02T11:00:00.000Z,exception-ended,,clock.error,A.8.17,,,,,2,,,EX-1";
    assert!(rows.lines().any(|one| one == row), "{rows}");
}
