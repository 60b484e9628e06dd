//! Groups and scope over time, and decisions about groups.

use shared::decision::{Decided, Decision, Step, Value};

use super::*;
use crate::register::Register;

/// A step: when, register, record, step, its lists.
type Taken<'a> = (i64, &'a str, &'a str, &'a str, &'a [(&'a str, &'a str)]);

pub(super) fn register(steps: &[Taken<'_>]) -> Register {
    let mut register = Register::default();
    for (entry, (ms, name, id, step, fields)) in (0..).zip(steps) {
        let value = |name: &str, text: &str| match name {
            "host" | "group" | "member" | "control" | "requirement" | "check" => {
                Value::List(text.split(' ').map(str::to_owned).collect())
            }
            _ => Value::Text(text.to_owned()),
        };
        let fields = fields.iter();
        let fields = fields.map(|(name, text)| ((*name).to_owned(), value(name, text)));
        let decision = Decision {
            at: at(*ms),
            by: "ada".to_owned(),
            statement: None,
            decides: Decided::Record(Step {
                after: None,
                register: (*name).to_owned(),
                record: (*id).to_owned(),
                step: (*step).to_owned(),
                fields: fields.collect(),
            }),
        };
        register.take(entry, record(*ms), decision);
    }
    register
}

#[test]
fn a_group_that_is_widened_later_widens_no_exception() {
    let register = register(&[
        (10, "group", "web", "define", &[("member", "web-1")]),
        (
            20,
            "exception",
            "EX-1",
            "propose",
            &[("group", "web"), ("reason", "r")],
        ),
        (30, "exception", "EX-1", "approve", &[]),
        (40, "group", "web", "define", &[("member", "web-1 db-1")]),
        (50, "exception", "EX-2", "propose", &[("group", "none")]),
        (60, "exception", "EX-2", "approve", &[]),
    ]);
    let hosts = || ["web-1", "db-1"].map(host);
    let given = Given::of(&register.at(at(100)), None, hosts(), at(100));
    let excepted = |name: &str| {
        let about = ("A.8.17", ERROR, &host(name));
        given.excepted(about, at(70)).map(|one| one.id.clone())
    };
    assert_eq!(given.groups(&host("db-1")), ["web"]);
    assert_eq!(excepted("web-1").as_deref(), Some("EX-1"));
    assert_eq!(excepted("db-1"), None, "nobody accepted that");
    assert_eq!(
        given.exceptions.len(),
        1,
        "a group without members is not all hosts"
    );
}

#[test]
fn where_a_host_stands_is_told_for_each_time() {
    let register = register(&[
        (10, "group", "web", "define", &[("member", "web-*")]),
        (
            40,
            "scope",
            "SC-1",
            "exclude",
            &[("group", "web"), ("reason", "sold")],
        ),
        (60, "group", "web", "define", &[("member", "db-*")]),
    ]);
    let hosts = ["web-1", "db-1", "app-1"].map(host);
    let given = Given::of(&register.at(at(100)), None, hosts, at(100));
    let given = given.over(&register.at(at(100)), window(20, 100));
    let cut = |name: &str| -> Vec<(i64, i64, usize, bool)> {
        let all = given.stretches(&host(name), window(20, 100)).into_iter();
        all.map(|(window, place)| {
            let place = place.unwrap();
            let (from, to) = (window.from.unix_ms(), window.to.unix_ms());
            (from, to, place.groups.len(), place.out.is_some())
        })
        .collect()
    };
    assert_eq!(
        cut("web-1"),
        [(20, 40, 1, false), (40, 60, 1, true), (60, 100, 0, false)]
    );
    assert_eq!(cut("db-1"), [(20, 60, 0, false), (60, 100, 1, true)]);
    assert_eq!(cut("app-1"), [(20, 100, 0, false)]);
    assert_eq!(given.out_at(&host("web-1"), at(45)), Some("SC-1: sold"));
}
