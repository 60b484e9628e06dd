//! What other users of a host, and the owners of the copies, can do to a look.

use super::*;

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
    let own = format!("root/home/eve/.config/borg/security/{ID}");
    write(&folder, &format!("{own}/location"), REMOTE.as_bytes());
    let time = format!("{own}/manifest-timestamp");
    write(&folder, &time, b"2026-11-22T08:59:00.000000");
    assert_eq!(field(&one(&folder, off_site(None)), "last_success"), honest);
    // Named in the settings, they do.
    let named = one(&folder, off_site(Some("/home/eve/")));
    assert_ne!(field(&named, "last_success"), honest);
    write(&folder, &time, b"garbage");
    assert_eq!(field(&one(&folder, off_site(None)), "last_success"), honest);
    std::fs::remove_dir_all(folder.path().join("root").join(NOTES)).unwrap();
    let seen = one(&folder, off_site(None));
    assert!(field(&seen, "reason").unwrap().contains("absent"));
    assert!(
        field(&one(&folder, off_site(Some("/home/no"))), "reason")
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
