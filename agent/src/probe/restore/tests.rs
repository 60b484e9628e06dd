//! Tests of the restore probe with real repositories of restic and borg and real archives of tar.

use std::path::Path;

use shared::durable;
use shared::observation::{Observation, Outcome};

use super::*;
use crate::host::machine::Machine;
use crate::host::recorded::Recorded;
use crate::probe::golden::{list, number};

use site::{HOUR_MS, PASSWORD, Site};

mod site;

/// One field of the only restore.
fn field(observation: &Observation, name: &str) -> String {
    let records = list(observation, "restored");
    let [record] = &records[..] else {
        panic!("{records:?}")
    };
    match record.get(name) {
        Some(Value::Text(text)) => text.clone(),
        Some(other) => serde_json::to_string(other).unwrap(),
        None => "-".to_owned(),
    }
}

/// Restored, failed, untried, unknown.
fn numbers(observation: &Observation) -> [i64; 4] {
    let names = [
        "tested_count",
        "failed_count",
        "untried_count",
        "unknown_count",
    ];
    names.map(|name| number(observation, name).unwrap())
}

/// Damages a file in its middle.
fn damage(path: &Path) {
    let mut bytes = durable::read(path, 1 << 24).unwrap();
    let middle = bytes.len() / 2;
    for byte in &mut bytes[middle..] {
        *byte ^= 0x55;
    }
    drop(std::fs::remove_file(path));
    durable::write(path, &bytes, 0o600).unwrap();
}

#[test]
fn a_canary_comes_back_from_restic_and_a_damaged_repository_gives_none() {
    let mut site = Site::new("restic");
    // Nothing to restore yet, and the file is placed.
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "unreachable");
    assert_eq!(numbers(&observation), [0, 0, 1, 0]);
    let placed = list(&observation, "placed");
    assert_eq!(placed.len(), 1);
    let sha256 = site.canary().to_string();
    assert_eq!(placed[0]["sha256"], Value::Text(sha256.clone()));
    site.restic(&["init"]);
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "no-snapshot");
    assert_eq!(numbers(&observation), [0, 1, 0, 0]);
    site.restic(&["backup", &site.data()]);
    let began = site.now;
    let observation = site.look();
    assert_eq!(
        field(&observation, "outcome"),
        "restored",
        "{observation:?}"
    );
    assert_eq!(field(&observation, "sha256"), sha256);
    assert_eq!(field(&observation, "placed_at"), "1800000000000");
    assert_eq!(field(&observation, "snapshot").len(), 64);
    assert_eq!(numbers(&observation), [1, 0, 0, 0]);
    assert_eq!(observation.facts["oldest_success"], Value::Instant(began));
    assert!(0 < number(&observation, "slowest_ms").unwrap());
    // Not again before a day is over: the same is told.
    let again = site.look();
    assert_eq!(again.facts, observation.facts);
    // Unless the settings want it.
    site.settings.restore.every_s = 3600;
    let sooner = site.look();
    assert_ne!(field(&sooner, "at"), field(&observation, "at"));
    assert_eq!(list(&sooner, "placed").len(), 2);
    site.settings.restore.every_s = 20 * 3600;
    // A day later it is tested again, and renewed.
    site.now = site.now.plus_ms(24 * HOUR_MS);
    for pack in site.files("repository/data") {
        damage(&pack);
    }
    let observation = site.look();
    assert_eq!(numbers(&observation), [0, 1, 0, 0], "{observation:?}");
    assert_eq!(field(&observation, "sha256"), "-");
    assert_ne!(field(&observation, "reason"), "");
    assert_ne!(field(&observation, "last_success"), "-");
    assert_eq!(list(&observation, "placed").len(), 3);
    assert_ne!(site.canary().to_string(), sha256);
}

#[test]
fn secrets_locks_and_versions_of_restic() {
    let mut site = Site::new("restic");
    let _placed = site.look();
    site.restic(&["init"]);
    site.restic(&["backup", &site.data()]);
    let password = site.path("password");
    durable::write(&password, b"wrong", 0o600).unwrap();
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "wrong-secret");
    assert_eq!(field(&observation, "status"), "1");
    std::fs::remove_file(&password).unwrap();
    assert_eq!(field(&site.look(), "outcome"), "no-secret");
    let file = site.backup().password_file.take();
    assert_eq!(field(&site.look(), "outcome"), "no-secret");
    site.backup().password_file = file;
    durable::write(&password, PASSWORD.as_bytes(), 0o600).unwrap();
    // A job that was cut off left its lock. It holds up no test.
    let lock = site.path(&format!("repository/locks/{}", "a".repeat(64)));
    durable::write(&lock, b"x", 0o600).unwrap();
    assert_eq!(field(&site.look(), "outcome"), "restored");
    site.now = site.now.plus_ms(24 * HOUR_MS);
    let index = site.files("repository/index");
    damage(&index[0]);
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "locked", "{observation:?}");
    assert_eq!(numbers(&observation), [0, 0, 1, 0]);
    std::fs::remove_file(&lock).unwrap();
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "damaged", "{observation:?}");
}

#[test]
fn a_list_of_snapshots_that_is_too_long_is_not_read() {
    let mut site = Site::new("restic");
    let _placed = site.look();
    site.restic(&["init"]);
    site.restic(&["backup", &site.data()]);
    // A snapshot of 4500 paths: its list has more than 256 KiB, and far less than 4 MiB.
    let mut paths = String::new();
    for at in 0..4500 {
        let path = site.path(&format!("data/{}{at}", "x".repeat(60)));
        drop(std::fs::File::create(&path).unwrap());
        paths += path.to_str().unwrap();
        paths.push('\n');
    }
    durable::write(&site.path("paths"), paths.as_bytes(), 0o600).unwrap();
    assert_eq!(field(&site.look(), "outcome"), "restored");
    site.restic(&["backup", "--files-from-verbatim", "paths"]);
    site.now = site.now.plus_ms(24 * HOUR_MS);
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "limit", "{observation:?}");
}

#[test]
fn what_the_backup_does_not_hold_or_holds_changed() {
    let mut site = Site::new("restic");
    site.restic(&["init"]);
    durable::write(&site.path("other"), b"x", 0o600).unwrap();
    site.restic(&["backup", site.path("other").to_str().unwrap()]);
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "missing");
    // Somebody has changed the file: another one comes back, and the host says that it is not his.
    durable::write(&site.path("data/.evident-canary"), b"mine", 0o644).unwrap();
    site.restic(&["backup", &site.data()]);
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "restored");
    assert_eq!(field(&observation, "placed_at"), "-");
    assert_eq!(numbers(&observation), [1, 0, 0, 1]);
    assert!(!observation.facts.contains_key("oldest_success"));
    let placed = list(&observation, "placed");
    let states: Vec<_> = placed
        .iter()
        .map(|record| record["state"].clone())
        .collect();
    let state = |state: &str| Value::Text(state.to_owned());
    assert_eq!(states, [state("changed"), state("intact")]);
    // Somebody has deleted it: a new one is placed.
    std::fs::remove_file(site.path("data/.evident-canary")).unwrap();
    let placed = list(&site.look(), "placed");
    assert_eq!(placed[1]["state"], state("absent"));
    assert_eq!(placed[2]["sha256"], state(&site.canary().to_string()));
    // Somebody has put something large in its place.
    durable::write(&site.path("data/.evident-canary"), &[0; 9000], 0o644).unwrap();
    site.restic(&["backup", &site.data()]);
    site.now = site.now.plus_ms(24 * HOUR_MS);
    assert_eq!(field(&site.look(), "outcome"), "limit");
}

#[test]
fn a_canary_comes_back_from_borg_and_a_damaged_repository_gives_none() {
    let mut site = Site::new("borg");
    assert_eq!(field(&site.look(), "outcome"), "unreachable");
    let repository = site.path("repository").to_str().unwrap().to_owned();
    site.run("/usr/bin/borg", &["init", "-e", "repokey", &repository]);
    assert_eq!(field(&site.look(), "outcome"), "no-snapshot");
    let archive = format!("{repository}::one");
    site.run("/usr/bin/borg", &["create", &archive, &site.data()]);
    let before = site.files("repository").len();
    let observation = site.look();
    assert_eq!(
        field(&observation, "outcome"),
        "restored",
        "{observation:?}"
    );
    assert_eq!(field(&observation, "sha256"), site.canary().to_string());
    assert_eq!(
        site.files("repository").len(),
        before,
        "the repository was changed"
    );
    site.test().archive = Some("two*".to_owned());
    site.now = site.now.plus_ms(24 * HOUR_MS);
    assert_eq!(field(&site.look(), "outcome"), "no-snapshot");
    site.test().archive = Some("on*".to_owned());
    durable::write(&site.path("password"), b"wrong", 0o600).unwrap();
    assert_eq!(field(&site.look(), "outcome"), "wrong-secret");
    let file = site.backup().password_file.take();
    assert_eq!(field(&site.look(), "outcome"), "no-secret");
    site.backup().password_file = file;
    durable::write(&site.path("password"), PASSWORD.as_bytes(), 0o600).unwrap();
    site.test().member = Some("none".to_owned());
    assert_eq!(field(&site.look(), "outcome"), "missing");
    site.test().member = None;
    let config = site.path("repository/config");
    let text = durable::read_text(&config, 1 << 16).unwrap();
    let newer = text.replace("version = 1", "version = 9");
    durable::write(&config, newer.as_bytes(), 0o600).unwrap();
    assert_eq!(field(&site.look(), "outcome"), "unsupported");
    durable::write(&config, text.as_bytes(), 0o600).unwrap();
    let largest = site.files("repository/data");
    let largest = largest
        .iter()
        .max_by_key(|path| path.metadata().unwrap().len());
    damage(largest.unwrap());
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "damaged", "{observation:?}");
    durable::write(&site.path("repository/lock.exclusive"), b"", 0o600).unwrap();
    assert_eq!(field(&site.look(), "outcome"), "locked");
}

#[test]
fn a_canary_comes_back_from_the_newest_tar() {
    let mut site = Site::new("manifest");
    site.test().archive = Some(site.path("files-*.tar.gz").to_str().unwrap().to_owned());
    site.test().member = Some("data/.evident-canary".to_owned());
    assert_eq!(field(&site.look(), "outcome"), "no-snapshot");
    site.run("/usr/bin/tar", &["-czf", "files-1.tar.gz", "data"]);
    let observation = site.look();
    assert_eq!(
        field(&observation, "outcome"),
        "restored",
        "{observation:?}"
    );
    assert_eq!(field(&observation, "snapshot"), "files-1.tar.gz");
    assert_eq!(field(&observation, "sha256"), site.canary().to_string());
    site.now = site.now.plus_ms(24 * HOUR_MS);
    let archive = site.path("files-1.tar.gz");
    let whole = durable::read(&archive, 1 << 20).unwrap();
    durable::write(&archive, &whole[..whole.len() / 2], 0o600).unwrap();
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "damaged", "{observation:?}");
    std::fs::remove_file(site.path("files-1.tar.gz")).unwrap();
    site.run("/usr/bin/tar", &["-czf", "files-2.tar.gz", "password"]);
    assert_eq!(field(&site.look(), "outcome"), "missing");
}

#[test]
fn a_canary_comes_back_from_the_newest_snapshot() {
    let mut site = Site::new("snapshots");
    let _placed = site.look();
    for name in [
        "home.20260101T0300",
        "home.20260102T0300",
        "other.20260103T0300",
    ] {
        std::fs::create_dir_all(site.path(&format!("repository/{name}"))).unwrap();
    }
    site.test().archive = Some("home.*".to_owned());
    site.test().member = Some("/.evident-canary".to_owned());
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "missing");
    assert_eq!(field(&observation, "snapshot"), "home.20260102T0300");
    let to = site.path("repository/home.20260102T0300/.evident-canary");
    let _bytes = std::fs::copy(site.path("data/.evident-canary"), &to).unwrap();
    let observation = site.look();
    assert_eq!(field(&observation, "outcome"), "restored");
    assert_eq!(field(&observation, "sha256"), site.canary().to_string());
    assert_eq!(field(&observation, "duration_ms"), "-");
    std::fs::remove_dir_all(site.path("repository")).unwrap();
    site.now = site.now.plus_ms(24 * HOUR_MS);
    assert_eq!(field(&site.look(), "outcome"), "unreachable");
}

#[test]
fn a_program_that_hangs_or_is_not_there_is_untried() {
    for (status, outcome) in [("timed-out", "timed-out"), ("absent", "no-tool")] {
        let mut site = Site::new("restic");
        for name in ["host/root/data", "host/live"] {
            std::fs::create_dir_all(site.path(name)).unwrap();
        }
        durable::write(&site.path("host/root/password"), b"x", 0o600).unwrap();
        site.backup().password_file = Some("/password".to_owned());
        let path = site.path("host/live/restic.status");
        durable::write(&path, status.as_bytes(), 0o600).unwrap();
        let host = Recorded::open(&site.path("host")).unwrap();
        let observation = site.look_at(&host);
        assert_eq!(field(&observation, "outcome"), outcome);
        assert_eq!(numbers(&observation), [0, 0, 1, 0]);
        // A recorded host is not changed.
        assert!(list(&observation, "placed").is_empty());
        assert!(
            observation.reason.contains("not changed"),
            "{observation:?}"
        );
    }
}

#[test]
fn programs_are_bounded_and_the_longest_untested_come_first() {
    let mut site = Site::new("restic");
    site.restic(&["init"]);
    let (set, test) = (
        site.settings.backup.sets[0].clone(),
        site.settings.restore.sets[0].clone(),
    );
    site.settings.backup.sets.clear();
    site.settings.restore.sets.clear();
    for at in 0..5 {
        let name = format!("set-{at}");
        let canary = format!("{}-{at}", test.canary);
        site.settings.backup.sets.push(BackupSet {
            name: name.clone(),
            ..set.clone()
        });
        site.settings.restore.sets.push(RestoreSet {
            name,
            canary,
            ..test.clone()
        });
    }
    site.settings.backup.sets.push(set);
    let observation = site.look();
    assert_eq!(number(&observation, "declared_count"), Some(5));
    assert_eq!(number(&observation, "undeclared_count"), Some(1));
    assert_eq!(list(&observation, "placed").len(), 5);
    // An empty list of snapshots needs one program of the two that were kept for it.
    let tested = |observation: &Observation| list(observation, "restored").len();
    assert_eq!(tested(&observation), 4);
    assert_eq!(numbers(&observation), [0, 4, 1, 0]);
    assert_eq!(tested(&site.look()), 5);
}

#[test]
fn nothing_declared_and_nobody_to_sign() {
    let mut site = Site::new("restic");
    let host = Machine::open(Path::new("/")).unwrap();
    let scene = Scene {
        own: None,
        ..site.scene()
    };
    let observation = Restore
        .observe(&host, &scene)
        .observation(Restore.subject())
        .0;
    assert_eq!(observation.outcome, Outcome::Unknown);
    assert!(!site.path("data/.evident-canary").exists());
    site.settings.restore.sets.clear();
    let observation = site.look();
    assert_eq!(observation.outcome, Outcome::Facts);
    assert_eq!(number(&observation, "declared_count"), Some(0));
    assert_eq!(number(&observation, "undeclared_count"), Some(1));
}

#[test]
fn words_of_tools() {
    for (errors, ending, reason) in [
        ("", Ending::Failed, "it failed and said nothing"),
        ("a\nsomething else\n\n", Ending::Failed, "something else"),
        (
            "retrying\nFatal: wrong password or no key found\nx",
            Ending::WrongSecret,
            "Fatal: wrong password or no key found",
        ),
        (
            "Repository ssh://me:word@vault/./b does not exist.",
            Ending::Unreachable,
            "Repository ssh://vault/./b does not exist.",
        ),
        (
            "tar: This does not look like a tar archive",
            Ending::Damaged,
            "tar: This does not look like a tar archive",
        ),
    ] {
        assert_eq!(attempt::judged(errors), (ending, reason.to_owned()));
    }
    assert!(attempt::judged(&"\u{e4}".repeat(1000)).1.len() <= 240);
}
