//! What other users of a host, and the owners of the copies, can do to a look.

use super::*;

/// Where the users of a host live.
const HOME: &str = "/home";

const NOTES: &str = "root/.config/borg/security";
const ID: &str = "8808c8dabf1e33eec42132c4c45bd4a0d9f599289e9aaa692a31bfd4b4688d46";

fn off_site(home: Option<&str>) -> BackupSet {
    BackupSet {
        home: home.map(str::to_owned),
        ..set("off-site", BackupTool::Borg, REMOTE)
    }
}

fn one(folder: &tempfile::TempDir, set: BackupSet) -> Observation {
    let settings = BackupSettings {
        sets: vec![set],
        ..BackupSettings::default()
    };
    let host = Recorded::open(folder.path()).unwrap();
    observed_in(&host, &scene_of(settings))
}

#[test]
fn the_notes_of_other_users_do_not_count() {
    let folder = copied();
    let honest = field(&one(&folder, off_site(None)), "last_success");
    assert!(honest.is_some());
    let own = format!("root{HOME}/eve/.config/borg/security/{ID}");
    write(&folder, &format!("{own}/location"), REMOTE.as_bytes());
    let time = format!("{own}/manifest-timestamp");
    write(&folder, &time, b"2026-11-22T08:59:00.000000");
    assert_eq!(field(&one(&folder, off_site(None)), "last_success"), honest);
    // Named in the settings, they do.
    let named = one(&folder, off_site(Some(&format!("{HOME}/eve/"))));
    assert_ne!(field(&named, "last_success"), honest);
    write(&folder, &time, b"garbage");
    assert_eq!(field(&one(&folder, off_site(None)), "last_success"), honest);
    std::fs::remove_dir_all(folder.path().join("root").join(NOTES)).unwrap();
    let seen = one(&folder, off_site(None));
    assert!(field(&seen, "reason").unwrap().contains("absent"));
    assert!(
        field(
            &one(&folder, off_site(Some(&format!("{HOME}/no")))),
            "reason"
        )
        .unwrap()
        .contains("absent")
    );
}

#[test]
fn notes_that_may_not_be_read_are_not_absent() {
    for refused in [
        "/root/.config/borg/security".to_owned(),
        format!("/{NOTES}/{ID}/location"),
    ] {
        let folder = copied();
        write(
            &folder,
            "live/refused.txt",
            format!("{refused}\n").as_bytes(),
        );
        let seen = one(&folder, off_site(None));
        let reason = field(&seen, "reason").unwrap();
        assert!(reason.contains("not-permitted"), "{refused}: {reason}");
    }
}

/// The record of the cluster of the hand-written host.
fn cluster(folder: &tempfile::TempDir) -> Record {
    let seen = observed_in(&Recorded::open(folder.path()).unwrap(), &scene(&[]));
    let Some(Value::List(clusters)) = seen.facts.get("postgres") else {
        panic!("{seen:?}")
    };
    clusters[0].clone()
}

#[test]
fn a_cluster_that_cannot_be_seen_is_not_none() {
    let data = "/var/lib/postgresql/15/main";
    let folder = tempfile::tempdir().unwrap();
    copy(&vault().join("../jobs"), folder.path());
    assert!(cluster(&folder).contains_key("version"));
    // The account of the database may do this.
    let version = format!("root{data}/PG_VERSION");
    write(&folder, &version, &[b'1'; 70]);
    let record = cluster(&folder);
    assert_eq!(record["path"], Value::Text(data.to_owned()));
    assert!(!record.contains_key("version") && record.contains_key("archives"));
    // The agent does not run as root.
    write(&folder, "live/refused.txt", format!("{data}\n").as_bytes());
    let record = cluster(&folder);
    assert!(!record.contains_key("archives"), "{record:?}");
    // One that the settings name and that is not there.
    let folder = copied();
    let settings = BackupSettings {
        postgres: vec!["/data/postgres".to_owned()],
        ..BackupSettings::default()
    };
    let host = Recorded::open(folder.path()).unwrap();
    let seen = observed_in(&host, &scene_of(settings));
    let Value::List(clusters) = &seen.facts["postgres"] else {
        panic!("{seen:?}")
    };
    assert_eq!(clusters.len(), 1);
}

/// The hand-written host with one more crontab of a user.
fn with_crontab(text: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&vault().join("../jobs"), folder.path());
    let crontab = "root/var/spool/cron/crontabs/eve";
    write(&folder, crontab, text.as_bytes());
    folder
}

/// The hand-written host as seen where one set names `unit`.
fn with_unit(folder: &tempfile::TempDir, unit: &str) -> Observation {
    let set = BackupSet {
        unit: Some(unit.to_owned()),
        ..set("etc", BackupTool::Restic, "/srv/restic")
    };
    one(folder, set)
}

fn exposed(seen: &Observation) -> usize {
    match seen.facts.get("exposed") {
        Some(Value::List(files)) => files.len(),
        _ => 0,
    }
}

#[test]
fn a_crontab_of_many_lines_hides_the_jobs_alone() {
    let variables = format!("A_PASSWORD={}\n", "x".repeat(1000)).repeat(240);
    let lines = "@daily borg a\n".repeat(750);
    let folder = with_crontab(&(variables + &lines));
    let seen = with_unit(&folder, "restic-etc.service");
    assert!(seen.reason.contains("750 commands"), "{}", seen.reason);
    // The jobs that are not looked at could be backups; all else is told.
    assert!(!seen.facts.contains_key("jobs"));
    assert!(seen.facts.contains_key("sets") && seen.facts.contains_key("postgres"));
}

#[test]
fn what_is_exposed_stays_so() {
    let text = format!("RESTIC_PASSWORD_FILE={HOME}/eve/loop\n@daily restic backup {HOME}/eve\n");
    let folder = with_crontab(&text);
    let home = folder.path().join(format!("root{HOME}/eve"));
    std::fs::create_dir_all(&home).unwrap();
    std::os::unix::fs::symlink("loop", home.join("loop")).unwrap();
    let seen = with_unit(&folder, "restic-etc.service");
    assert!(
        seen.reason.contains(&format!("{HOME}/eve/loop")),
        "{}",
        seen.reason
    );
    assert!(!seen.facts.contains_key("credentials"));
    assert!(1 <= exposed(&seen));
    // Where nothing bad is known, nothing is told.
    for bad in [
        "cron.d/copy",
        "systemd/system/nightly.service",
        "restic/etc.password",
    ] {
        std::fs::remove_file(folder.path().join("root/etc").join(bad)).unwrap();
    }
    let seen = with_unit(&folder, "restic-etc.service");
    assert!(!seen.facts.contains_key("exposed"), "{seen:?}");
}

#[test]
fn units_that_are_gone_are_told() {
    let folder = with_crontab("");
    let missing = |folder: &tempfile::TempDir, unit: &str| {
        let seen = with_unit(folder, unit);
        let missing = seen.facts.get("missing_units");
        missing.map(|units| serde_json::to_string(units).unwrap())
    };
    let none = Some("[]".to_owned());
    let gone = |unit: &str| Some(format!("[{{\"path\":\"{unit}\"}}]"));
    for there in ["restic-etc.service", "/etc/cron.d/copy"] {
        assert_eq!(missing(&folder, there), none, "{there}");
    }
    for unit in ["no.service", "restic@no.service", "/etc/cron.d/no"] {
        assert_eq!(missing(&folder, unit), gone(unit));
    }
    // An instance that no target wants may be started by something else.
    let template = "root/etc/systemd/system/restic@.service";
    write(&folder, template, b"[Service]\nExecStart=/bin/true\n");
    assert_eq!(missing(&folder, "restic@no.service"), None);
    // Where the units may not be seen, a crontab still can.
    write(&folder, "live/refused.txt", b"/etc/systemd/system\n");
    assert_eq!(missing(&folder, "no.service"), None);
    assert_eq!(missing(&folder, "/etc/cron.d/no"), gone("/etc/cron.d/no"));
}

#[test]
fn files_with_holes_are_not_read() {
    // Twice the longest that there may be, so that a look without a limit still ends.
    for (file, bytes, found) in [
        ("snapshots", 2_u64 << 20, "false"),
        ("keys", 32 << 10, "false"),
        ("data/ff", 512 << 20, "true"),
    ] {
        let folder = copied();
        let path = format!("root/srv/restic/{file}/{}", "f".repeat(64));
        write(&folder, &path, b"");
        let long = std::fs::File::options()
            .write(true)
            .open(folder.path().join(&path))
            .unwrap();
        long.set_len(bytes).unwrap();
        let seen = one(&folder, set("a", BackupTool::Restic, "/srv/restic"));
        assert!(
            seen.reason.contains("longer than"),
            "{file} {}",
            seen.reason
        );
        assert_eq!(field(&seen, "found").unwrap(), found, "{file}");
        assert_eq!(field(&seen, "damaged_files"), None, "{file}");
    }
}
