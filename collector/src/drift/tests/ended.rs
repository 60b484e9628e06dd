//! Exceptions that ended while what they covered still fails.

use super::*;
use crate::assess::Given;

fn exception(id: &str, name: &str, to: i64) -> Exception {
    Exception {
        id: id.to_owned(),
        reach: reach(SYNCHRONISED, name),
        window: window(0, to),
        owner: "ada".to_owned(),
        approver: "bo".to_owned(),
        reason: String::new(),
    }
}

fn found(exceptions: Vec<Exception>, failing: &[&str]) -> Vec<Entry> {
    let given = Given {
        exceptions,
        ..Given::default()
    };
    let hosts = ["a", "b", "c"].map(host);
    let (catalog, asked) = (catalog(), Asked::default());
    ended(
        (&catalog, &given, &asked),
        window(100, 200),
        &hosts.iter(),
        &mut |host, _check| Ok::<_, ()>(failing.contains(&host.as_str())),
    )
    .unwrap()
}

#[test]
fn what_an_exception_no_longer_covers_and_still_fails_is_drift() {
    let entries = found(vec![exception("EX-1", "*", 150)], &["a", "c"]);
    let [one] = entries.as_slice() else {
        panic!("{entries:?}");
    };
    let wanted = What::ExceptionEnded {
        exception: "EX-1".to_owned(),
        owner: "ada".to_owned(),
        findings: 2,
        checks: vec![SYNCHRONISED.to_owned()],
        controls: vec!["A.8.17".to_owned()],
        hosts: vec![host("a"), host("c")],
    };
    assert_eq!((one.at, &one.host, &one.explained), (at(150), &None, &None));
    assert_eq!(one.what, wanted);
    let told = Told {
        ended: entries,
        ..Told::default()
    };
    let drift = told.drift(100, 200);
    assert_eq!(
        (drift.counts.exceptions_ended, drift.counts.unexplained),
        (1, 1)
    );
}

#[test]
fn an_exception_that_lasts_or_was_renewed_or_is_not_needed_is_none() {
    assert_eq!(found(vec![exception("EX-1", "*", 201)], &["a"]), []);
    assert_eq!(found(vec![exception("EX-1", "*", 99)], &["a"]), []);
    assert_eq!(found(vec![exception("EX-1", "a", 150)], &["b"]), []);
    let renewed = vec![exception("EX-1", "*", 150), exception("EX-2", "a", 900)];
    assert_eq!(found(renewed.clone(), &["a"]), []);
    let left = found(renewed, &["a", "b"]);
    assert_eq!(left[0].host, Some(host("b")));
}
