//! Tests of the report.

use std::sync::Arc;

use shared::fact;
use shared::observation::{Means, Outcome, Source, Status as Answer};

use super::*;
use crate::assess::{Exception, Window};
use crate::register::views::Reach;
use crate::status::{Change, Place, ProbeOutcome};

/// A catalogue that does not change with the one of the product.
fn catalog() -> Catalog {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/catalog");
    Catalog::load(std::path::Path::new(folder)).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn host(name: &str) -> AgentId {
    name.parse().unwrap()
}

fn observation(probe: &str, outcome: Outcome, facts: &str, source: &[Source]) -> Observation {
    let subject = fact::subject(probe).unwrap();
    Observation {
        artifacts: Vec::new(),
        facts: subject.read(facts).unwrap(),
        outcome,
        probe: probe.to_owned(),
        reason: String::new(),
        schema: subject.schema,
        source: source.to_vec(),
    }
}

/// A host whose clock is right, whose updates wait, whose audit state may not be read, and which
/// has no backup.
fn observations() -> Vec<(Digest, Observation)> {
    let hour = |hours: i64| at("2026-01-02T12:00:00Z").unix_ms() - hours * 3_600_000;
    let clock = format!(
        r#"{{"clocksource":"tsc","configured_source_count":4,"configured_sources":[],
            "container":false,"daemons":[{{"name":"chronyd","user":"_chrony"}}],
            "daemon_units":[{{"active":true,"daemon":"chronyd","enabled":true,
                "unit":"chrony.service"}}],
            "kernel_max_error_us":9000,"kernel_synchronised":true,"rtc_in_local_time":false,
            "steps_watched_s":0,"tracking_leap":"normal","tracking_root_distance_us":12000,
            "time_zone_is_utc":true,"tracking_updated":{},"usable_source_count":4}}"#,
        hour(0) - 240_000
    );
    let updates = format!(
        r#"{{"automatic_enabled":false,"container":true,"metadata_fetched":{},
            "pending_security_count":3,"security_source":true}}"#,
        hour(5)
    );
    let logging = format!(
        r#"{{"container":false,"forwarding_count":0,"forwarding_encrypted_count":0,
            "journal_oldest":{},"journald_storage":"persistent","newest_entry":{}}}"#,
        hour(24 * 120),
        hour(0)
    );
    let refused = Source {
        kind: Means::Netlink,
        name: "NETLINK_AUDIT".to_owned(),
        status: Answer::NotPermitted,
    };
    [
        observation("clock", Outcome::Facts, &clock, &[]),
        observation("updates", Outcome::Facts, &updates, &[]),
        observation("logging", Outcome::Facts, &logging, &[]),
        observation(
            "audit",
            Outcome::Facts,
            r#"{"container":false}"#,
            &[refused],
        ),
        observation("backup", Outcome::Facts, r#"{"declared_count":0}"#, &[]),
    ]
    .map(|seen| (Digest::of(&seen.to_bytes()), seen))
    .to_vec()
}

fn judged() -> Report {
    let catalog = catalog();
    Report::judged(
        &catalog,
        host("web-1"),
        &observations(),
        at("2026-01-02T12:00:00Z"),
    )
}

#[test]
fn screen_of_unsigned_observations() {
    let screen = judged().screen(90, false);
    assert!(
        screen == include_str!("judged.txt"),
        "judged.txt should be:\n{screen}"
    );
}

fn fleet(folder: &std::path::Path) -> Status {
    let catalog = Arc::new(catalog());
    let (status, _) = Status::open(folder, catalog).unwrap();
    let mut changes = Vec::new();
    for name in ["web-1", "web-2", "web-3"] {
        changes.push(Change::Enrolled {
            host: host(name),
            generation: 1,
            at: at("2026-01-01T12:00:00Z"),
            heartbeat_s: 48 * 3600,
        });
    }
    for (name, taken) in [
        ("web-1", "2026-01-02T12:00:00Z"),
        ("web-2", "2026-01-01T12:00:00Z"),
    ] {
        let outcomes = observations().into_iter().map(|(id, seen)| ProbeOutcome {
            probe: seen.probe.clone(),
            outcome: seen.outcome,
            observation_id: Some(id),
            observation: Some(seen),
        });
        changes.push(Change::Run {
            place: Place {
                host: host(name),
                generation: 1,
                seq: 0,
                received: at(taken),
            },
            attestation: Digest::of(name.as_bytes()),
            collected: at(taken),
            outcomes: outcomes.collect(),
        });
    }
    for (position, change) in (0..).zip(&changes) {
        status.apply(position, change).unwrap();
    }
    status
}

#[test]
fn screen_of_several_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let status = fleet(folder.path());
    let report = Report::of(&status, &Asked::default(), at("2026-01-02T16:00:00Z")).unwrap();
    let screen = report.screen(100, false);
    assert!(
        screen == include_str!("fleet.txt"),
        "fleet.txt should be:\n{screen}"
    );
}

#[test]
fn colours_only_on_request_and_lines_only_as_wide() {
    let report = judged();
    for width in [0, 60, 80, 200] {
        let plain = report.screen(width, false);
        assert!(!plain.contains('\x1b'));
        let widest = plain.lines().map(str::len).max().unwrap();
        assert!(widest <= width.max(80), "{widest} at {width}");
        let coloured = report.screen(width, true);
        let mut bare = coloured;
        for code in ["0", "2", "31", "32", "33", "1;31", "1;32", "1;33"] {
            bare = bare.replace(&format!("\x1b[{code}m"), "");
        }
        let trimmed: Vec<_> = bare.lines().map(str::trim_end).collect();
        assert_eq!(trimmed, plain.lines().collect::<Vec<_>>());
    }
}

#[test]
fn a_fork_is_shown_before_all_else() {
    let folder = tempfile::tempdir().unwrap();
    let status = fleet(folder.path());
    let place = Place {
        host: host("web-1"),
        generation: 1,
        seq: 0,
        received: at("2026-01-02T13:00:00Z"),
    };
    let position = status.position().unwrap();
    status.apply(position, &Change::Record(place)).unwrap();
    let report = Report::of(&status, &Asked::default(), at("2026-01-02T16:00:00Z")).unwrap();
    let screen = report.screen(100, false);
    let wanted = "\nWhat needs a person:\n  ! web-1: its stream forked: a second record 0 came, so";
    let place = screen.find(wanted).expect("the fork");
    assert!(place < screen.find("A.8.8").unwrap(), "{screen}");
    assert!(!screen.contains("failing"), "{screen}");
    let json: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(json["hosts"][0]["forked"], 0);
    let warning = json["hosts"][0]["warning"].as_str().unwrap();
    assert!(warning.ends_with("enrol the host again with a new token."));
    assert_eq!(json["hosts"][1]["forked"], serde_json::Value::Null);
    assert_eq!(json["hosts"][1]["warning"], serde_json::Value::Null);
}

#[test]
fn what_was_refused_is_counted_in_one_line() {
    let plain = judged();
    let none = plain.clone().with_counters([("chain", 0)]);
    assert_eq!(none.screen(90, false), plain.screen(90, false));
    let counted = plain.with_counters([("chain", 1), ("clock-ahead", 0), ("signature", 2)]);
    let screen = counted.screen(90, false);
    let last = screen.lines().last().unwrap();
    assert_eq!(last, "Counted since the start: signature 2, chain 1.");
    let json: serde_json::Value = serde_json::from_str(&counted.json()).unwrap();
    let wanted = serde_json::json!({"chain": 1, "clock-ahead": 0, "signature": 2});
    assert_eq!(json["counters"], wanted);
}

#[test]
fn only_what_is_known_to_be_good_holds() {
    let clock_alone = |seen: &[(Digest, Observation)]| {
        let catalog = catalog();
        let now = at("2026-01-02T12:00:00Z");
        let mut report = Report::judged(&catalog, host("web-1"), seen, now);
        for control in &mut report.controls {
            if control.control != "A.8.17" {
                control.state = ControlState::NoCheck;
                control.checks.clear();
            }
        }
        report
    };
    let good = clock_alone(&observations());
    assert!(good.holds());
    assert!(!clock_alone(&[]).holds(), "nothing was looked at");
    assert!(!judged().holds(), "a control fails");
    for (state, holds) in [
        (ControlState::NotApplicable, true),
        (ControlState::Failing, false),
        (ControlState::Unknown, false),
        (ControlState::NoHost, false),
        (ControlState::NoCheck, true),
    ] {
        let mut other = good.clone();
        let extra = &mut other.controls[0];
        extra.state = state;
        assert_eq!(other.holds(), holds, "{state:?}");
    }
    let mut uncovered = good;
    for control in &mut uncovered.controls {
        control.checks.clear();
    }
    assert!(!uncovered.holds(), "no host sent anything");
}

#[test]
fn only_what_is_asked_for_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let status = fleet(folder.path());
    let now = at("2026-01-02T16:00:00Z");
    let asked = Asked::of("A.8.17, A.8.24,A.5.1", "web-1,db-*", "");
    let report = Report::of(&status, &asked, now).unwrap();
    let hosts: Vec<_> = report.hosts.iter().map(|one| one.host.as_str()).collect();
    assert_eq!(hosts, ["web-1"]);
    let found: Vec<_> = report.controls.iter().map(|one| one.state).collect();
    let wanted = [
        ControlState::NoCheck,
        ControlState::Passing,
        ControlState::NotApplicable,
    ];
    assert_eq!(found, wanted);
    assert!(report.holds());
    let failing = report.failing();
    assert!(failing.holds(), "what is not listed counts all the same");
    let screen = failing.screen(80, false);
    let counted = "2 of 3 have checks here: 1 passing, 1 not applicable.";
    assert!(screen.contains(counted), "{screen}");
    assert!(!screen.contains("A.8.17"), "{screen}");
    let json: serde_json::Value = serde_json::from_str(&failing.json()).unwrap();
    assert_eq!(json["controls"].as_array().unwrap().len(), 0);
    let every = Report::of(&status, &Asked::default(), now).unwrap();
    let screen = every.failing().screen(80, false);
    assert!(screen.contains("A.8.17"), "{screen}");
    assert!(!screen.contains("No check bears on"), "{screen}");
}

#[test]
fn a_channel_that_fails_needs_a_person_and_does_not_hold() {
    let asked = Asked::of("A.8.17", "", "");
    let folder = tempfile::tempdir().unwrap();
    let status = fleet(folder.path());
    let good = || {
        let now = at("2026-01-02T12:00:00Z");
        let mut report = Report::of(&status, &asked, now).unwrap();
        report.hosts.clear();
        for control in &mut report.controls {
            control.state = ControlState::Passing;
        }
        report
    };
    assert!(good().holds());
    let listing = |waiting, failing: Option<&str>| {
        let since = at("2026-01-02T11:00:00Z");
        let mut pace = Pace {
            waiting,
            ..Pace::default()
        };
        pace.tally.failing = failing.map(|said| (since, said.to_owned()));
        let channels = [
            ("mail".to_owned(), pace),
            ("chat".to_owned(), Pace::default()),
        ];
        Listing {
            incidents: Vec::new(),
            channels: channels.into(),
        }
    };
    let late = good().with_alerts(listing(2, None));
    assert!(late.holds());
    let screen = late.screen(100, false);
    let said = "! alert channel `mail`: 2 notices wait to be delivered.";
    assert!(screen.contains(said), "{screen}");
    let broken = good().with_alerts(listing(1, Some("no route to host")));
    assert!(!broken.holds());
    let screen = broken.screen(200, false);
    let said = "! alert channel `mail` delivers nothing since 2026-01-02T11:00:00.000Z, 1 notice \
                waits: no route to host. Try `evident-collector alert test mail`.";
    assert!(screen.contains(said), "{screen}");
    assert!(!screen.contains("chat"), "{screen}");
}

#[test]
fn nothing_is_not_everything() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Arc::new(catalog());
    let (status, _) = Status::open(folder.path(), catalog).unwrap();
    let now = at("2026-01-02T12:00:00Z");
    let report = Report::of(&status, &Asked::default(), now).unwrap();
    assert!(!report.holds());
    let screen = report.screen(80, false);
    assert!(screen.contains("0 of 0 findings pass"), "{screen}");
    assert!(
        screen.contains("Controls  5 of 93 have checks here: 5 no host."),
        "{screen}"
    );
    assert!(
        screen.contains("Hosts     0 of 0 enrolled have sent evidence."),
        "{screen}"
    );
    assert!(!screen.contains("passing"), "{screen}");
}

#[test]
fn json_holds_all_controls_and_reads_back() {
    let json: serde_json::Value = serde_json::from_str(&judged().json()).unwrap();
    assert_eq!(json["as_of"], "2026-01-02T12:00:00.000Z");
    assert_eq!(json["origin"], "unsigned");
    let controls = json["controls"].as_array().unwrap();
    assert_eq!(controls.len(), 93);
    let clock = controls
        .iter()
        .find(|one| one["control"] == "A.8.17")
        .unwrap();
    assert_eq!(clock["state"], "passing");
    assert_eq!(clock["strength"], "supports");
    assert_eq!(clock["checks"][0]["deciding"][0]["verdict"], "pass");
}

#[test]
fn a_silent_host_and_a_late_state_are_shown_and_do_not_hold() {
    let folder = tempfile::tempdir().unwrap();
    let status = fleet(folder.path());
    let late = Report::of(&status, &Asked::default(), at("2026-01-04T11:00:00Z")).unwrap();
    let warned: Vec<_> = late
        .hosts
        .iter()
        .map(|host| host.warning.is_some())
        .collect();
    assert_eq!(warned, [false, true, true]);
    let screen = late.screen(100, false);
    assert!(
        screen.contains("! web-2: silent: its last record came 2 d ago"),
        "{screen}"
    );
    assert!(!late.holds());
    let behind = Report::of(&status, &Asked::default(), at("2026-01-02T16:00:00Z"))
        .unwrap()
        .behind(3);
    let screen = behind.screen(100, false);
    assert!(
        screen.contains("! 3 newer entries of the ledger are not here yet."),
        "{screen}"
    );
    assert!(!behind.holds());
}

#[test]
fn scope_and_exceptions_count_as_in_an_assessment() {
    let folder = tempfile::tempdir().unwrap();
    let status = fleet(folder.path());
    let now = at("2026-01-02T16:00:00Z");
    let asked = Asked::of("A.8.8", "", "");
    let plain = Report::of(&status, &asked, now).unwrap();
    let failing = [host("web-1")];
    assert_eq!(plain.controls[0].state, ControlState::Failing);
    let exception = Exception {
        id: "EX-1".to_owned(),
        reach: Reach::default(),
        window: Window {
            from: at("2026-01-01T00:00:00Z"),
            to: at("2026-02-01T00:00:00Z"),
        },
        owner: "ada".to_owned(),
        approver: "bo".to_owned(),
        reason: String::new(),
    };
    let given = Given {
        exceptions: vec![exception],
        ..Given::default()
    };
    let excepted = Report::within(&status, &asked, &given, now).unwrap();
    assert_eq!(excepted.controls, plain.controls);
    assert_eq!(excepted.excepted["A.8.8"][0].id, "EX-1");
    assert!(!excepted.holds());
    let screen = excepted.screen(100, false);
    assert!(screen.contains("by EX-1, approved by bo"), "{screen}");
    let out = crate::assess::Place {
        groups: Vec::new(),
        out: Some("SC-1: a laboratory".to_owned()),
    };
    let given = Given {
        places: failing
            .iter()
            .map(|host| (host.clone(), out.clone()))
            .collect(),
        ..Given::default()
    };
    let scoped = Report::within(&status, &asked, &given, now).unwrap();
    assert_ne!(scoped.controls[0].state, ControlState::Failing);
    assert_eq!(scoped.out_of_scope, failing);
    assert!(scoped.hosts.iter().all(|one| !failing.contains(&one.host)));
    assert!(
        scoped
            .screen(100, false)
            .contains("out of scope, not counted")
    );
}
