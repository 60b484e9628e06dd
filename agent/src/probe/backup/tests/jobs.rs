//! Jobs, secrets, coverage, places and archiving on a host that was written by hand.

use super::*;

/// The settings of the host: two sets that are there, and a second copy that is not.
fn settings() -> BackupSettings {
    let etc = BackupSet {
        unit: Some("restic-etc.service".to_owned()),
        password_file: Some("/etc/restic/etc.password".to_owned()),
        ..set("etc", BackupTool::Restic, "/srv/restic")
    };
    let copy = BackupSet {
        unit: Some("/etc/cron.d/copy".to_owned()),
        copy_of: Some("etc".to_owned()),
        ..set("etc-copy", BackupTool::Restic, "/mnt/vault/etc")
    };
    let disk = set("disk", BackupTool::Manifest, "/mnt/usb/data.json");
    let data = |path: &str, sets: &[&str]| BackupData {
        path: path.to_owned(),
        sets: sets.iter().map(|set| (*set).to_owned()).collect(),
    };
    BackupSettings {
        sets: vec![etc, copy, disk],
        data: vec![data("/etc", &["etc"]), data("/srv/data", &["disk"])],
        postgres: Vec::new(),
    }
}

/// The hand-written host, with the repository of the other recorded host in it.
fn host() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&vault().join("../jobs"), folder.path());
    let restic = folder.path().join("root/srv/restic");
    copy(&vault().join("root/srv/restic"), &restic);
    let times = folder.path().join("live/times.txt");
    let own = durable::read_text(&times, 1 << 16).unwrap();
    let vault = durable::read_text(&vault().join("live/times.txt"), 1 << 16).unwrap();
    write(
        &folder,
        "live/times.txt",
        format!("{own}{vault}").as_bytes(),
    );
    // Whatever a checkout made of it.
    set_mode(&folder, 0o644);
    folder
}

fn set_mode(folder: &tempfile::TempDir, mode: u32) {
    let password = folder.path().join("root/etc/restic/etc.password");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(password, mode).unwrap();
}

fn seen(folder: &tempfile::TempDir) -> Observation {
    let host = Recorded::open(folder.path()).unwrap();
    observed_in(&host, &scene_of(settings()))
}

/// A field of the record of a list whose first field has a value.
fn of(observation: &Observation, list: &str, (key, value): (&str, &str), name: &str) -> String {
    let Some(Value::List(records)) = observation.facts.get(list) else {
        panic!("no {list}: {}", observation.reason)
    };
    let key_value = Some(&Value::Text(value.to_owned())).cloned();
    let mut found = records.iter().filter(|r| r.get(key).cloned() == key_value);
    let record = found
        .next()
        .unwrap_or_else(|| panic!("{value}: {records:?}"));
    match record.get(name) {
        Some(value) => serde_json::to_string(value).unwrap(),
        None => "-".to_owned(),
    }
}

#[test]
fn as_written() {
    let observation = seen(&host());
    same_as_recorded("jobs", &observation);
    let written = String::from_utf8(observation.to_bytes()).unwrap();
    assert!(!written.contains("hunter"), "a secret");
    Observation::from_bytes(written.as_bytes()).unwrap();
}

#[test]
fn a_job_that_is_turned_off_or_replaced() {
    let folder = host();
    let job = ("name", "restic-etc.service");
    let (units, wants) = (
        "root/etc/systemd/system",
        "timers.target.wants/restic-etc.timer",
    );
    assert_eq!(of(&seen(&folder), "jobs", job, "enabled"), "true");
    std::fs::remove_file(folder.path().join(units).join(wants)).unwrap();
    assert_eq!(of(&seen(&folder), "jobs", job, "enabled"), "false");
    // A part of the unit empties the command, so nothing that is known is run any more.
    let part = format!("{units}/restic-etc.service.d/off.conf");
    write(
        &folder,
        &part,
        b"[Service]\nExecStart=\nExecStart=/bin/true\n",
    );
    assert_eq!(of(&seen(&folder), "jobs", job, "tool"), "-");
    // Without systemd nothing is known of the last run, and the files still say the rest.
    write(&folder, "live/bus.status", b"absent");
    for unit in ["restic-etc", "nightly", "borgmatic"] {
        let answer = format!("live/bus-{unit}.service.json");
        std::fs::remove_file(folder.path().join(answer)).unwrap();
    }
    std::fs::remove_file(folder.path().join("live/bus-failed.json")).unwrap();
    let seen = seen(&folder);
    assert_eq!(
        of(&seen, "jobs", ("name", "nightly.service"), "result"),
        "-"
    );
    assert_eq!(
        of(&seen, "jobs", ("name", "nightly.service"), "tool"),
        "\"pg_dumpall\""
    );
}

#[test]
fn instances_of_a_template() {
    let folder = host();
    let units = "root/etc/systemd/system";
    let service = b"[Service]\nExecStart=/usr/bin/restic backup %I\n";
    write(&folder, &format!("{units}/restic@.service"), service);
    write(
        &folder,
        &format!("{units}/restic@.timer"),
        b"[Timer]\nOnCalendar=weekly\n",
    );
    write(
        &folder,
        &format!("{units}/timers.target.wants/restic@home.timer"),
        b"",
    );
    let seen = seen(&folder);
    let job = ("name", "restic@home.service");
    assert_eq!(of(&seen, "jobs", job, "enabled"), "true");
    assert_eq!(of(&seen, "jobs", job, "schedule"), "\"weekly\"");
    let Some(Value::List(jobs)) = seen.facts.get("jobs") else {
        panic!()
    };
    let template = Value::Text("restic@.service".to_owned());
    assert!(!jobs.iter().any(|job| job.get("name") == Some(&template)));
}

#[test]
fn what_may_not_be_read_is_left_out() {
    for (refused, fact) in [
        ("/etc/systemd/system", "jobs"),
        ("/usr/lib/systemd/system/borgmatic.service", "jobs"),
        ("/var/spool/cron/crontabs", "jobs"),
        ("/etc/cron.d/copy", "jobs"),
        ("/etc/restic", "credentials"),
        ("/var/lib/postgresql", "postgres"),
        ("/srv", "undeclared"),
    ] {
        let folder = host();
        write(
            &folder,
            "live/refused.txt",
            format!("{refused}\n").as_bytes(),
        );
        let seen = seen(&folder);
        assert!(!seen.facts.contains_key(fact), "{refused}");
        assert!(seen.reason.contains("not-permitted"), "{}", seen.reason);
    }
}

#[test]
fn coverage_follows_the_sets() {
    let folder = host();
    let data = ("path", "/srv/data");
    assert_eq!(of(&seen(&folder), "data", data, "covered"), "false");
    let manifest = br#"{"name":"disk","tool":"tar","started":"2026-11-22T02:00:00Z",
        "finished":"2026-11-22T02:01:00Z","files":1,"bytes":2,"encrypted":true}"#;
    write(&folder, "root/mnt/usb/data.json", manifest);
    let times = folder.path().join("live/times.txt");
    let times = durable::read_text(&times, 1 << 16).unwrap();
    let times = format!("{times}2026-11-22T02:01:00Z /mnt/usb/data.json\n");
    write(&folder, "live/times.txt", times.as_bytes());
    let covered = seen(&folder);
    assert_eq!(of(&covered, "data", data, "covered"), "true");
    assert_eq!(covered.facts["uncovered"], Value::List(Vec::new()));
    assert_eq!(
        of(&covered, "sets", ("name", "disk"), "place"),
        "\"mounted\""
    );
    // A disk that may not be looked at could well hold it.
    write(&folder, "live/refused.txt", b"/mnt/usb\n");
    let hidden = seen(&folder);
    assert_eq!(of(&hidden, "data", data, "covered"), "-");
    assert!(!hidden.facts.contains_key("uncovered"));
}

#[test]
fn archiving_that_throws_segments_away() {
    let folder = host();
    let cluster = ("path", "/var/lib/postgresql/15/main");
    let archives = |folder: &tempfile::TempDir| of(&seen(folder), "postgres", cluster, "archives");
    assert_eq!(archives(&folder), "true");
    let auto = "root/var/lib/postgresql/15/main/postgresql.auto.conf";
    write(&folder, auto, b"archive_command = '/bin/true'\n");
    assert_eq!(archives(&folder), "false");
    write(&folder, auto, b"archive_library = 'basic_archive'\n");
    assert_eq!(archives(&folder), "true");
    write(
        &folder,
        "root/etc/postgresql/15/main/conf.d/zz.conf",
        b"archive_mode off\n",
    );
    assert_eq!(archives(&folder), "false");
    std::fs::remove_file(
        folder
            .path()
            .join("root/etc/postgresql/15/main/postgresql.conf"),
    )
    .unwrap();
    assert_eq!(archives(&folder), "-");
}

#[test]
fn modes_of_files_with_secrets() {
    let folder = host();
    let root = folder.path().join("root");
    for (mode, private) in [
        (0o600, "true"),
        (0o640, "true"),
        (0o644, "false"),
        (0o660, "false"),
    ] {
        set_mode(&folder, mode);
        let machine = Machine::open(&root).unwrap();
        let seen = observed_in(&machine, &scene_of(settings()));
        let file = ("path", "/etc/restic/etc.password");
        assert_eq!(
            of(&seen, "credentials", file, "private"),
            private,
            "{mode:o}"
        );
    }
}
