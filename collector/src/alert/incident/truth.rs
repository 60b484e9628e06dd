//! Nothing is told to be over while it is not, and nothing counts as told that nobody heard.

use super::super::{condition, settings};
use super::tests::{Bench, NOTHING, note};
use super::*;

fn of(key: &str, kind: ConditionKind, since: Timestamp) -> Condition {
    let one = condition(key, since);
    Condition {
        key: format!("{kind:?}/{key}"),
        kind,
        ..one
    }
}

/// A bench with one incident that was told at `mail`.
fn raised(one: &[Condition]) -> Bench {
    let mut bench = Bench::new();
    bench.routes = settings("route = []", &["mail"]);
    assert_eq!(bench.after(0, one), NOTHING);
    assert_eq!(bench.after(30, one), ["mail Raised 1 1"]);
    bench
}

#[test]
fn a_failure_is_not_over_when_its_host_falls_silent_or_is_forked() {
    let start = Bench::new().now;
    let fails = condition("web-1 clock.synchronised", start);
    for kind in [
        ConditionKind::SilentHost,
        ConditionKind::ForkedHost,
        ConditionKind::SilentFleet,
    ] {
        let mut bench = raised(std::slice::from_ref(&fails));
        let dark = of("web-1 ", kind, start);
        assert_eq!(bench.after(0, std::slice::from_ref(&dark)), NOTHING);
        let told = bench.after(30, std::slice::from_ref(&dark));
        assert_eq!(told, ["mail Raised 1 1"], "{kind:?}");
        assert_eq!(bench.after(3600, std::slice::from_ref(&dark)), NOTHING);
        assert_eq!(bench.after(3600, std::slice::from_ref(&fails)), NOTHING);
        let told = bench.after(300, std::slice::from_ref(&fails));
        assert_eq!(
            told,
            ["mail Resolved 2 1"],
            "only that it was dark: {kind:?}"
        );
        assert_eq!(bench.after(0, &[]), NOTHING);
        assert_eq!(bench.after(300, &[]), ["mail Resolved 2 1"]);
    }
}

#[test]
fn nothing_is_over_on_hosts_that_had_no_time_to_be_heard() {
    let start = Bench::new().now;
    let fails = condition("web-1 clock.synchronised", start);
    let mut bench = raised(std::slice::from_ref(&fails));
    bench.quiet.unheard = fails.host.into_iter().collect();
    assert_eq!(bench.after(3600, &[]), NOTHING);
    assert_eq!(bench.after(3600, &[]), NOTHING);
    bench.quiet.unheard.clear();
    assert_eq!(bench.after(1, &[]), NOTHING);
    assert_eq!(bench.after(300, &[]), ["mail Resolved 2 1"]);
}

#[test]
fn an_incident_moves_with_its_name_when_the_settings_change() {
    let channels = ["mail", "chat"];
    let start = Bench::new().now;
    let one = [condition("web-1 clock.synchronised", start)];
    let mut bench = raised(&one);
    let id = bench.state.incidents().next().unwrap().head.id.clone();
    let web = "[[route]]\nname = 'web'\nmatch = { host = ['web-*'] }\nchannels = ['chat']\n\
               [[route]]\nname = 'default'\nchannels = ['mail']";
    bench.routes = settings(web, &channels);
    assert_eq!(
        bench.after(1, &one),
        ["chat Raised 2 1"],
        "it was never told"
    );
    assert_eq!(bench.state.incidents().next().unwrap().head.id, id);
    bench.killed();
    assert_eq!(bench.after(60, &one), NOTHING);
    // What begins then on the route of before is another incident.
    let two = [one[0].clone(), condition("db-1 clock.synchronised", start)];
    assert_eq!(bench.after(0, &two), NOTHING);
    assert_eq!(bench.after(30, &two), ["mail Raised 1 1"]);
    // Back again: there is one already, so it stays apart.
    bench.routes = settings("route = []", &channels);
    let told = bench.after(1, &two);
    assert_eq!(told, ["chat Raised 2 1"], "of the other one");
    bench.killed();
    assert_eq!(bench.after(600, &two), NOTHING);
    assert_eq!(bench.state.incidents().count(), 2);
    assert_eq!(bench.after(0, &[]), NOTHING);
    let over = [
        "chat Resolved 3 1",
        "mail Resolved 3 1",
        "chat Resolved 3 1",
        "mail Resolved 3 1",
    ];
    assert_eq!(bench.after(300, &[]), over);
    assert_eq!(bench.state.slots.len(), 0);
}

#[test]
fn what_is_acknowledged_stays_so_when_the_settings_change() {
    let start = Bench::new().now;
    let one = [condition("web-1 clock.synchronised", start)];
    let mut bench = raised(&one);
    let known = note("ACK-1", ("web-1", None), bench.now);
    bench.quiet.acknowledgements.push(known);
    assert_eq!(bench.after(1, &one), ["mail Acknowledged 2 1"]);
    let by_host = "[[route]]\nname = 'default'\nchannels = ['mail']\ngroup_by = ['host']";
    bench.routes = settings(by_host, &["mail"]);
    assert_eq!(bench.after(60, &one), NOTHING);
    assert_eq!(bench.after(900, &one), NOTHING);
    bench.quiet.acknowledgements.clear();
    assert_eq!(bench.after(90_000, &one), ["mail Reminder 3 1"]);
}

#[test]
fn without_a_channel_nothing_is_told() {
    let mut bench = Bench::new();
    let one = [bench.at("web-1 clock.synchronised")];
    bench.routes = settings("route = []", &[]);
    assert_eq!(bench.after(0, &one), NOTHING);
    assert_eq!(bench.after(3600, &one), NOTHING);
    let told = |bench: &Bench| {
        let mut members = bench.state.incidents().flat_map(|one| one.members.values());
        members.any(|member| member.told)
    };
    assert!(!told(&bench));
    bench.routes = settings("route = []", &["mail"]);
    assert_eq!(bench.after(0, &one), NOTHING);
    assert_eq!(bench.after(30, &one), ["mail Raised 1 1"]);
    assert!(told(&bench));
}

#[test]
fn no_silence_hides_that_nothing_is_heard_or_nobody_told() {
    let start = Bench::new().now;
    let mut all = note("SIL-1", ("*", None), start);
    all.reach.hosts.clear();
    let quiet = Quiet {
        silences: vec![all],
        ..Quiet::default()
    };
    for (kind, hidden) in [
        (ConditionKind::SilentFleet, false),
        (ConditionKind::Undelivered, false),
        (ConditionKind::SilentHost, true),
    ] {
        let mut one = of("- ", kind, start);
        one.host = None;
        assert_eq!(quiet.of(&one, start).is_some(), hidden, "{kind:?}");
    }
}
