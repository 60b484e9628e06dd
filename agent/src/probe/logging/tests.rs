//! The logging probe on recorded hosts and on this one.

use std::sync::Arc;

use super::journal::{Files, Headers, Journal};
use super::{Logging, journald, storage};
use crate::config::{LogSource, ProbeSettings};
use crate::host::machine::Machine;
use crate::probe::settings::Assignment;
use crate::probe::{Probe as _, Scene, golden};
use shared::observation::Outcome;

#[test]
fn as_found() {
    golden::check("debian12-good", &Logging);
}

/// The journal is volatile, entries leave in the clear, nothing audits, and a relay on the host
/// itself is no other host.
#[test]
fn deviating() {
    golden::check("debian12-deviating", &Logging);
}

#[test]
fn unreadable() {
    golden::check("unreadable", &Logging);
}

#[test]
fn malformed() {
    golden::check("malformed", &Logging);
}

/// What a container prints is kept elsewhere, so nothing in it is no absence.
#[test]
fn nothing_is_absent_only_when_all_was_seen() {
    golden::check("bare", &Logging);
    let root = tempfile::tempdir().unwrap();
    let observation = golden::observed(&Machine::open(root.path()).unwrap(), &Logging);
    assert_ne!(observation.outcome, Outcome::Absent, "no process was seen");
    for (pid, comm) in [("1", "init"), ("2", "kthreadd")] {
        let process = root.path().join("proc").join(pid);
        std::fs::create_dir_all(&process).unwrap();
        shared::durable::write(&process.join("comm"), comm.as_bytes(), 0o644).unwrap();
        shared::durable::write(&process.join("status"), b"Uid:\t0\n", 0o644).unwrap();
    }
    let observation = golden::observed(&Machine::open(root.path()).unwrap(), &Logging);
    assert_eq!(observation.outcome, Outcome::Absent);
    // A log that the settings name is a subject of its own, whatever else there is.
    let mut settings = ProbeSettings::default();
    settings.logging.sources.push(LogSource {
        name: "shop".to_owned(),
        path: "/srv/shop.log".to_owned(),
        max_silence_s: 60,
    });
    let scene = Scene {
        settings: Arc::new(settings),
        ..Scene::default()
    };
    let host = Machine::open(root.path()).unwrap();
    let (named, _copies) = Logging
        .observe(&host, &scene)
        .observation(Logging.subject());
    assert_eq!(named.outcome, Outcome::Facts, "{named:?}");
    shared::durable::write(&root.path().join(".dockerenv"), b"", 0o644).unwrap();
    let observation = golden::observed(&Machine::open(root.path()).unwrap(), &Logging);
    assert_eq!(observation.outcome, Outcome::Facts, "{observation:?}");
    assert!(!observation.facts.contains_key("daemons"));
}

#[test]
fn this_host() {
    golden::check_here(&Logging);
}

#[test]
fn storage_in_force_is_told_by_the_files() {
    let files = |count, newest_ms: i64| Files {
        count,
        bytes: 0,
        headers: Some(Headers {
            newest: shared::time::Timestamp::from_unix_ms(newest_ms).ok(),
            ..Headers::default()
        }),
        ..Files::default()
    };
    let unread = Files {
        count: 1,
        ..Files::default()
    };
    for (persistent, volatile, setting, expected) in [
        (files(0, 0), files(0, 0), None, Some("none")),
        (files(1, 1), files(0, 0), Some(""), Some("persistent")),
        (files(1, 1), files(0, 0), Some("none"), Some("none")),
        (files(1, 1), files(0, 0), None, None),
        (
            files(0, 0),
            files(1, 1),
            Some("persistent"),
            Some("volatile"),
        ),
        (files(1, 1), files(1, 2), Some("auto"), Some("volatile")),
        (files(1, 2), files(1, 1), Some("auto"), Some("persistent")),
        (unread.clone(), files(1, 1), Some("auto"), None),
        (unread, files(0, 0), Some("auto"), Some("persistent")),
    ] {
        let journal = Journal {
            persistent,
            volatile,
        };
        assert_eq!(
            storage(&journal, setting),
            expected,
            "{journal:?} {setting:?}"
        );
    }
}

#[test]
fn unknown_values_of_storage_are_passed_over() {
    for (values, expected) in [
        (&[][..], ""),
        (&["persistent"], "persistent"),
        (&["persistent", "Volatile"], "persistent"),
        (&["persistent", ""], ""),
        (&["auto", "none"], "none"),
    ] {
        let assignment = |value: &&str| Assignment {
            section: "Journal".to_owned(),
            key: "Storage".to_owned(),
            value: (*value).to_owned(),
            file: "/etc/systemd/journald.conf".to_owned(),
        };
        let assignments: Vec<_> = values.iter().map(assignment).collect();
        assert_eq!(journald::storage(&assignments), expected, "{values:?}");
    }
}
