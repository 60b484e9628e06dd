//! Tests of the report.

use std::sync::Arc;

use shared::fact;
use shared::observation::{Means, Outcome, Source, Status as Answer};

use super::*;
use crate::status::{Change, ProbeOutcome};

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
        facts: subject.read(&serde_json::from_str(facts).unwrap()).unwrap(),
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
        r#"{{"configured_source_count":4,"container":false,"daemons":[{{"name":"chronyd"}}],
            "kernel_max_error_us":9000,"kernel_synchronised":true,"usable_source_count":4,
            "tracking_root_distance_us":12000,"tracking_updated":{}}}"#,
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
        observation("logging", Outcome::Facts, &logging, &[refused]),
        observation("backup", Outcome::Facts, r#"{"declared_count":0}"#, &[]),
    ]
    .map(|seen| (Digest::of(&seen.to_bytes()), seen))
    .to_vec()
}

fn judged() -> Report {
    let catalog = Catalog::embedded().unwrap();
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
    let catalog = Arc::new(Catalog::embedded().unwrap());
    let (status, _) = Status::open(folder, catalog).unwrap();
    let mut changes = Vec::new();
    for name in ["web-1", "web-2", "web-3"] {
        changes.push(Change::Enrolled {
            host: host(name),
            generation: 1,
            at: at("2026-01-01T12:00:00Z"),
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
            host: host(name),
            attestation: Digest::of(name.as_bytes()),
            collected: at(taken),
            received: at(taken),
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
    let report = Report::of(&status, at("2026-01-02T16:00:00Z")).unwrap();
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
fn nothing_is_not_everything() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = Arc::new(Catalog::embedded().unwrap());
    let (status, _) = Status::open(folder.path(), catalog).unwrap();
    let now = at("2026-01-02T12:00:00Z");
    let screen = Report::of(&status, now).unwrap().screen(80, false);
    assert!(screen.contains("0 of 0 findings pass"), "{screen}");
    assert!(
        screen.contains("5 of 93 controls have checks here: 5 no host."),
        "{screen}"
    );
    assert!(
        screen.contains("0 of 0 enrolled hosts have sent evidence."),
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
