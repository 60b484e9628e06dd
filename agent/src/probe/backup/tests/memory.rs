//! What a look takes over from the look before, and folders of snapshots.

use super::*;
use crate::probe::Before;

/// The facts of a second look at the same sets, `hours` after the first.
fn again(folder: &tempfile::TempDir, scene: &Scene, first: Observation, hours: i64) -> Observation {
    let ago_ms = hours * 3_600_000;
    let before = Before {
        at: scene.now,
        ago_ms: ago_ms.unsigned_abs(),
        facts: first.facts,
    };
    let later = Scene {
        now: scene.now.plus_ms(ago_ms),
        before: Some(before),
        ..scene.clone()
    };
    observed_in(&Recorded::open(folder.path()).unwrap(), &later)
}

fn first(folder: &tempfile::TempDir, scene: &Scene) -> Observation {
    observed_in(&Recorded::open(folder.path()).unwrap(), scene)
}

const MANIFEST: &str = r#"{"name":"etc","tool":"tar","started":"2026-11-22T02:00:00Z",
    "finished":"2026-11-22T02:01:00Z","files":1,"bytes":1000,"encrypted":true}"#;

#[test]
fn a_backup_is_compared_with_the_one_that_was_seen_before() {
    let folder = copied();
    let scene = scene(&[("etc", BackupTool::Manifest, "/srv/etc.json")]);
    write(&folder, "root/srv/etc.json", MANIFEST.as_bytes());
    let seen = first(&folder, &scene);
    assert_eq!(field(&seen, "size_percent"), None);
    let second = MANIFEST
        .replace("02:01:00Z", "03:01:00Z")
        .replace("1000", "40");
    write(&folder, "root/srv/etc.json", second.as_bytes());
    let seen = again(&folder, &scene, seen, 1);
    assert_eq!(field(&seen, "size_percent").unwrap(), "4");
    // It stays so until there is another backup.
    let seen = again(&folder, &scene, seen, 1);
    assert_eq!(field(&seen, "size_percent").unwrap(), "4");
    let third = second.replace("03:01:00Z", "03:02:00Z").replace("40", "0");
    write(&folder, "root/srv/etc.json", third.as_bytes());
    let seen = again(&folder, &scene, seen, 1);
    assert_eq!(field(&seen, "size_percent").unwrap(), "0");
    let seen = again(&folder, &scene, seen, 1);
    write(
        &folder,
        "root/srv/etc.json",
        second.replace("03:01", "03:03").as_bytes(),
    );
    // Nothing is a percentage of 0.
    assert_eq!(
        field(&again(&folder, &scene, seen, 1), "size_percent"),
        None
    );
}

#[test]
fn what_was_damaged_is_compared_first_and_counted_once() {
    let folder = copied();
    let scene = scene(&[("a", BackupTool::Restic, "/srv/restic")]);
    let data = folder.path().join("root/srv/restic/data");
    let mut packs: Vec<PathBuf> = Vec::new();
    for below in std::fs::read_dir(&data).unwrap() {
        for pack in std::fs::read_dir(below.unwrap().path()).unwrap() {
            packs.push(pack.unwrap().path());
        }
    }
    packs.sort();
    let pack = packs.pop().unwrap();
    let inside = pack
        .strip_prefix(folder.path())
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let good = durable::read(&pack, 1 << 20).unwrap();
    write(&folder, &inside, b"bad");
    let seen = first(&folder, &scene);
    assert_eq!(field(&seen, "damaged_files").unwrap(), "1");
    assert_eq!(field(&seen, "grade").unwrap(), "\"metadata\"");
    let seen = again(&folder, &scene, seen, 5);
    assert_eq!(field(&seen, "damaged_files").unwrap(), "1");
    let damaged = serde_json::to_string(&seen.facts["damaged"]).unwrap();
    assert_eq!(
        damaged,
        format!(
            "[{{\"path\":\"{}\"}}]",
            inside.strip_prefix("root").unwrap()
        )
    );
    write(&folder, &inside, &good);
    let seen = again(&folder, &scene, seen, 5);
    assert_eq!(field(&seen, "damaged_files").unwrap(), "0");
    assert_eq!(field(&seen, "grade").unwrap(), "\"proof\"");
}

#[test]
fn a_copy_from_the_future_is_malformed() {
    let folder = copied();
    let scene = Scene {
        now: "2026-11-20T12:00:00Z".parse().unwrap(),
        ..scene(&[("a", BackupTool::Restic, "/srv/restic")])
    };
    let seen = first(&folder, &scene);
    assert_eq!(numbers(&seen), "1 0 - - - -");
    let reason = field(&seen, "reason").unwrap();
    assert!(
        reason.contains("malformed: the last success is later"),
        "{reason}"
    );
}

#[test]
fn folders_of_snapshots() {
    let folder = copied();
    let path = "/tank/home/.zfs/snapshot";
    let names = [
        "autosnap_2026-11-20_00:00:01_daily",
        "autosnap_2026-11-21_00:00:02_daily",
    ];
    for name in names {
        write(&folder, &format!("root{path}/{name}/file"), b"x");
    }
    let sets = [("home", BackupTool::Snapshots, path)];
    let seen = look(folder.path(), &sets);
    assert_eq!(field(&seen, "snapshots").unwrap(), "2");
    assert_eq!(field(&seen, "days").unwrap(), "2");
    let last: shared::time::Timestamp = "2026-11-21T00:00:02Z".parse().unwrap();
    assert_eq!(
        field(&seen, "last_success").unwrap(),
        last.unix_ms().to_string()
    );
    // One without a date leaves open how far they reach back.
    write(&folder, &format!("root{path}/before-upgrade/file"), b"x");
    let seen = look(folder.path(), &sets);
    assert_eq!(
        (
            field(&seen, "snapshots").unwrap().as_str(),
            field(&seen, "days")
        ),
        ("3", None)
    );
    // A plain folder holds no snapshots of btrfs, whatever the names are.
    write(&folder, "root/snapshots/home.20261121T0000/file", b"x");
    let seen = look(
        folder.path(),
        &[("home", BackupTool::Snapshots, "/snapshots")],
    );
    assert_eq!(numbers(&seen), "1 1 1 - 0 -");
    assert!(
        field(&seen, "reason")
            .unwrap()
            .contains("no snapshot in this folder")
    );
    let seen = look(
        folder.path(),
        &[("home", BackupTool::Snapshots, "/nowhere")],
    );
    assert_eq!(field(&seen, "reason").unwrap(), "\"absent\"");
}
