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
                register: (*name).to_owned(),
                record: (*id).to_owned(),
                step: (*step).to_owned(),
                after: None,
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

#[test]
fn what_is_open_stands_with_its_control() {
    let register = register(&[
        (
            10,
            "nonconformity",
            "NC-1",
            "raise",
            &[
                ("requirement", "A.8.17 A.8.15"),
                ("owner", "bo"),
                ("statement", "the clock was wrong"),
            ],
        ),
        (
            20,
            "risk",
            "R-1",
            "identify",
            &[("control", "A.8.17"), ("owner", "cy")],
        ),
        (
            30,
            "risk",
            "R-2",
            "identify",
            &[("control", "A.8.17"), ("owner", "cy")],
        ),
        (40, "risk", "R-2", "close", &[]),
    ]);
    let given = Given::of(&register, None, [], at(100));
    let all = assessed(&given, &Asked::default(), 100, &[("a", &[])]);
    let open = |id: &str| -> Vec<(String, String, String)> {
        let open = control(&all, id).open.iter().cloned();
        open.map(|one| (one.id, one.state, one.owner)).collect()
    };
    let text = |one: [&str; 3]| {
        let [id, state, owner] = one.map(str::to_owned);
        (id, state, owner)
    };
    let nonconformity = text(["NC-1", "open", "bo"]);
    assert_eq!(
        open("A.8.17"),
        [nonconformity.clone(), text(["R-1", "identified", "cy"])]
    );
    assert_eq!(open("A.8.15"), [nonconformity]);
    assert_eq!(open("A.8.13"), []);
}

#[test]
fn who_is_on_a_list_and_not_enrolled_is_expected() {
    let none = crate::register::views::Groups::new();
    let list = crate::population::List {
        name: "cmdb".to_owned(),
        document: record(1),
        dated: at(1),
        record: record(2),
        hosts: crate::inventory::read("cmdb", b"host\ndb-1\nghost-9\n").unwrap(),
    };
    let population = crate::population::reconcile(&crate::population::Given {
        at: at(3),
        enrolled: Vec::new(),
        lists: vec![list],
        told: Vec::new(),
        groups: &none,
        scope: &[],
    });
    let missing = |hosts: &[&str], names: usize| {
        let asked = Asked {
            hosts: hosts.iter().map(|one| (*one).to_owned()).collect(),
            names,
            ..Asked::default()
        };
        Machines::not_enrolled(&population, &asked)
    };
    let all = missing(&[], 20);
    assert_eq!(
        (all.count, all.names.join(" ")),
        (2, "db-1 ghost-9".to_owned())
    );
    assert_eq!(missing(&[], 1).count, 2);
    assert_eq!(missing(&["db-*"], 20).names, ["db-1"]);
    let hosts: [Said<'_>; 1] = [("a", &[])];
    let asked = Asked {
        controls: vec!["A.8.17".to_owned()],
        ..Asked::default()
    };
    let mut good = assessed(&Given::default(), &asked, 9, &hosts);
    assert!(good.holds());
    good.not_enrolled = all;
    assert!(!good.holds());
    let fails: [Said<'_>; 1] = [("a", &[(SYNCHRONISED, FAIL, false)])];
    assert!(!assessed(&Given::default(), &asked, 9, &fails).holds());
}
