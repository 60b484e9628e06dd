//! The backup probe on a recorded host with real repositories of restic 0.14 and borg 1.2.
//!
//! The repositories are whole but for borg's `index.<n>`, which the probe does not look at, and
//! for the later segments of those that only show a mode of encryption.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared::durable;
use shared::observation::{Observation, Outcome};

use super::set::redacted;
use super::*;
use crate::config::{BackupData, BackupSettings, BackupTool, ProbeSettings};
use crate::host::machine::Machine;
use crate::host::recorded::Recorded;

mod hostile;
mod jobs;
mod memory;

/// When the recorded host is looked at.
const NOW: &str = "2026-11-22T09:00:00Z";
const REMOTE: &str = "ssh://host1:secret@vault.example.org/./host1";

fn vault() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/hosts/backup/vault")
}

fn scene(sets: &[(&str, BackupTool, &str)]) -> Scene {
    let sets = sets.iter().map(|(name, tool, path)| set(name, *tool, path));
    scene_of(BackupSettings {
        sets: sets.collect(),
        ..BackupSettings::default()
    })
}

fn set(name: &str, tool: BackupTool, path: &str) -> BackupSet {
    BackupSet {
        name: name.to_owned(),
        tool,
        path: path.to_owned(),
        home: None,
        stanza: None,
        unit: None,
        copy_of: None,
        check: None,
        password_file: None,
    }
}

fn scene_of(backup: BackupSettings) -> Scene {
    let settings = ProbeSettings {
        backup,
        ..ProbeSettings::default()
    };
    Scene {
        settings: Arc::new(settings),
        now: NOW.parse().unwrap(),
        ..Scene::default()
    }
}

fn observed(host: &dyn Host, sets: &[(&str, BackupTool, &str)]) -> Observation {
    observed_in(host, &scene(sets))
}

fn observed_in(host: &dyn Host, scene: &Scene) -> Observation {
    let seen = Backup.observe(host, scene);
    let observation = seen.observation(Backup.subject()).0;
    assert_eq!(observation.outcome, Outcome::Facts, "{observation:?}");
    observation
}

fn look(folder: &Path, sets: &[(&str, BackupTool, &str)]) -> Observation {
    observed(&Recorded::open(folder).unwrap(), sets)
}

const NUMBERS: [&str; 6] = [
    "declared_count",
    "found_count",
    "never_count",
    "unencrypted_count",
    "fewest_snapshots",
    "oldest_success",
];

/// The numbers about sets, `-` where one is left out.
fn numbers(observation: &Observation) -> String {
    let json = |name: &&str| match observation.facts.get(*name) {
        Some(value) => serde_json::to_string(value).unwrap(),
        None => "-".to_owned(),
    };
    let numbers: Vec<_> = NUMBERS.iter().map(json).collect();
    numbers.join(" ")
}

/// One field of the only set.
fn field(observation: &Observation, name: &str) -> Option<String> {
    let Some(Value::List(sets)) = observation.facts.get("sets") else {
        panic!("{observation:?}")
    };
    let [set] = &sets[..] else { panic!("{sets:?}") };
    set.get(name)
        .map(|value| serde_json::to_string(value).unwrap())
}

/// Compares with `tests/hosts/backup/HOST/observation.json`.
#[track_caller]
fn same_as_recorded(host: &str, observation: &Observation) {
    let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/hosts/backup");
    let expected = durable::read_text(&hosts.join(host).join("observation.json"), 1 << 20);
    let found = serde_json::to_string_pretty(observation).unwrap() + "\n";
    if expected.as_ref().ok() != Some(&found) {
        // Kept where it can be compared with, and taken over when it is right.
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/golden");
        std::fs::create_dir_all(&target).unwrap();
        let kept = target.join(format!("backup.{host}.json"));
        durable::write(&kept, found.as_bytes(), 0o644).unwrap();
    }
    assert_eq!(
        found,
        expected.unwrap_or_default(),
        "{host}: see target/golden"
    );
}

/// A copy of the recorded host that a test may change.
fn copied() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&vault(), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            let _bytes = std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn write(folder: &tempfile::TempDir, path: &str, bytes: &[u8]) {
    let path = folder.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    if path.exists() {
        std::fs::remove_file(&path).unwrap();
    }
    durable::write(&path, bytes, 0o644).unwrap();
}

#[test]
fn as_found() {
    let observation = look(
        &vault(),
        &[
            ("files", BackupTool::Restic, "/srv/restic/"),
            ("mail", BackupTool::Borg, "/srv/borg"),
            ("off-site", BackupTool::Borg, REMOTE),
            ("etc", BackupTool::Manifest, "/srv/etc.json"),
        ],
    );
    let written = String::from_utf8(observation.to_bytes()).unwrap();
    same_as_recorded("vault", &observation);
    assert!(
        !written.contains("secret") && !written.contains("hqlhbGdv"),
        "a secret"
    );
    Observation::from_bytes(written.as_bytes()).unwrap();
}

#[test]
fn nothing_declared_is_not_absent() {
    let observation = look(&vault(), &[]);
    assert_eq!(numbers(&observation), "0 0 - - - -");
    let tools = serde_json::to_string(&observation.facts["tools"]).unwrap();
    assert_eq!(
        tools,
        r#"[{"name":"borg","path":"/usr/bin/borg"},{"name":"restic","path":"/usr/bin/restic"}]"#
    );
    let folder = copied();
    write(&folder, "live/refused.txt", b"/usr/bin\n");
    assert_eq!(look(folder.path(), &[]).facts.get("tools"), None);
}

#[test]
fn modes_of_borg() {
    for (path, encrypted, never) in [
        ("/srv/borg", "true", "0"),
        // This one has a key in its configuration, and plain contents.
        ("/srv/borg-authenticated", "false", "0"),
        ("/srv/borg-none", "false", "0"),
        ("/srv/borg-init", "true", "1"),
    ] {
        let seen = look(&vault(), &[("a", BackupTool::Borg, path)]);
        assert_eq!(field(&seen, "encrypted").unwrap(), encrypted, "{path}");
        assert!(
            numbers(&seen).starts_with(&format!("1 1 {never} ")),
            "{path}"
        );
        assert_eq!(
            field(&seen, "snapshots"),
            None,
            "the archives cannot be counted"
        );
    }
}

#[test]
fn a_restic_repository_that_deviates() {
    let sets = [("a", BackupTool::Restic, "/srv/restic")];
    let folder = copied();
    let root = folder.path().join("root/srv/restic");
    write(
        &folder,
        &format!("root/srv/restic/locks/{}", "a".repeat(64)),
        b"x",
    );
    let seen = look(folder.path(), &sets);
    assert_eq!(field(&seen, "locked").unwrap(), "true");
    assert_eq!(field(&seen, "snapshots").unwrap(), "2");
    for entry in std::fs::read_dir(root.join("snapshots")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    // A file that was not renamed to its hash is no backup.
    write(&folder, "root/srv/restic/snapshots/upload.tmp", b"x");
    assert_eq!(numbers(&look(folder.path(), &sets)), "1 1 1 0 0 -");
    std::fs::remove_dir_all(root.join("keys")).unwrap();
    write(&folder, "root/srv/restic/keys/none", b"x");
    let seen = look(folder.path(), &sets);
    assert_eq!(numbers(&seen), "1 0 - - - -");
    assert!(field(&seen, "reason").unwrap().contains("has no key"));
}

#[test]
fn sets_that_are_not_there_or_not_readable() {
    use BackupTool::{Borg, Manifest, Restic};
    for (tool, path) in [
        (Restic, "/srv/no"),
        (Borg, "/srv/no"),
        (Manifest, "/srv/no.json"),
    ] {
        let seen = look(&vault(), &[("a", tool, path)]);
        assert_eq!(numbers(&seen), "1 0 - - - -", "{path}");
        assert_eq!(field(&seen, "reason").unwrap(), "\"absent\"");
    }
    for (tool, path, reason) in [
        (Restic, "/srv/borg", "absent"),
        (Borg, "/srv/restic", "malformed"),
        (Manifest, "/srv/restic", "malformed"),
        (Manifest, "/srv/borg/config", "malformed: not a manifest"),
        (Borg, "ssh://other@vault/./x", "no client on this host"),
        (Borg, "relative", "no client on this host"),
    ] {
        let seen = look(&vault(), &[("a", tool, path)]);
        assert_eq!(field(&seen, "found").unwrap(), "false", "{path}");
        assert!(
            field(&seen, "reason").unwrap().contains(reason),
            "{path} {seen:?}"
        );
    }
    let folder = copied();
    write(
        &folder,
        "live/refused.txt",
        b"/srv/restic/snapshots\n/srv/borg/data\n",
    );
    let seen = look(folder.path(), &[("a", Restic, "/srv/restic")]);
    assert_eq!(numbers(&seen), "1 0 - - - -");
    assert_eq!(field(&seen, "reason").unwrap(), "\"not-permitted\"");
    // What can be seen of the rest is told; what cannot is not.
    let seen = look(folder.path(), &[("a", Borg, "/srv/borg")]);
    assert_eq!(numbers(&seen), "1 1 0 - - 1795230900000");
    assert_eq!(field(&seen, "bytes"), None);
    assert!(seen.reason.contains("/srv/borg/data: not-permitted"));
    // One set that cannot be looked at takes away what it could change, and no more.
    let both = [("a", Restic, "/srv/restic"), ("b", Borg, "/srv/borg-none")];
    assert_eq!(numbers(&look(folder.path(), &both)), "2 1 0 1 - -");
}

#[test]
fn damaged_borg_repositories() {
    let sets = [("a", BackupTool::Borg, "/srv/borg")];
    let folder = copied();
    let config = "root/srv/borg/config";
    let good = durable::read_text(&folder.path().join(config), 1 << 16).unwrap();
    for (from, to, reason) in [
        ("version = 1", "version = 2", "unsupported"),
        ("version = 1", "", "no version"),
        ("[repository]", "[cache]", "no configuration of borg"),
        ("id = ", "id = x", "no id"),
    ] {
        write(&folder, config, good.replacen(from, to, 1).as_bytes());
        let seen = look(folder.path(), &sets);
        assert_eq!(numbers(&seen), "1 0 - - - -", "{to}");
        assert!(
            field(&seen, "reason").unwrap().contains(reason),
            "{to} {seen:?}"
        );
    }
    write(&folder, config, good.as_bytes());
    write(&folder, "root/srv/borg/data/0/0", b"not a segment");
    let seen = look(folder.path(), &sets);
    assert_eq!(field(&seen, "encrypted"), None);
    assert!(
        seen.reason.contains("no segment of borg"),
        "{}",
        seen.reason
    );
    write(&folder, "root/srv/borg/lock.exclusive/host.1-0", b"");
    assert_eq!(
        field(&look(folder.path(), &sets), "locked").unwrap(),
        "true"
    );
}

#[test]
fn a_manifest_from_the_future_is_malformed() {
    let sets = [("etc", BackupTool::Manifest, "/srv/etc.json")];
    let folder = copied();
    write(
        &folder,
        "live/times.txt",
        b"2026-11-22T06:00:00Z /srv/etc.json\n",
    );
    let seen = look(folder.path(), &sets);
    assert_eq!(numbers(&seen), "1 0 - - - -");
    assert!(
        field(&seen, "reason")
            .unwrap()
            .contains("later than the last change")
    );
    let other = [("home", BackupTool::Manifest, "/srv/etc.json")];
    let seen = look(&vault(), &other);
    assert!(field(&seen, "reason").unwrap().contains("for another set"));
}

#[test]
fn times_that_were_set_do_not_look_newer() {
    let folder = copied();
    let sets = [("a", BackupTool::Restic, "/srv/restic")];
    let snapshots = folder.path().join("root/srv/restic/snapshots");
    let day = std::time::Duration::from_hours(24);
    let future = std::time::UNIX_EPOCH + day * 36_525;
    for entry in std::fs::read_dir(snapshots).unwrap() {
        let file = std::fs::File::options()
            .write(true)
            .open(entry.unwrap().path())
            .unwrap();
        file.set_times(std::fs::FileTimes::new().set_modified(future))
            .unwrap();
    }
    let machine = Machine::open(&folder.path().join("root")).unwrap();
    let later = Scene {
        now: "2100-01-01T00:00:00Z".parse().unwrap(),
        ..scene(&sets)
    };
    let last: i64 = field(&observed_in(&machine, &later), "last_success")
        .unwrap()
        .parse()
        .unwrap();
    assert!(u128::try_from(last).unwrap() < (day * 36_525).as_millis());
}

#[test]
fn locations_without_secrets() {
    for (location, expected) in [
        ("/srv/a@b?c", "/srv/a@b?c"),
        (REMOTE, "ssh://vault.example.org/./host1"),
        ("me@host:/srv", "host:/srv"),
        ("ssh://me:pa?ss@host/x", "ssh://host/x"),
        ("ssh://me:p@ss#@host:22/x", "ssh://host:22/x"),
        ("host:/srv", "host:/srv"),
        ("relative", "relative"),
    ] {
        assert_eq!(redacted(location), expected);
    }
}

#[test]
fn this_host() {
    let machine = Machine::open(Path::new("/")).unwrap();
    let seen = observed(&machine, &[("a", BackupTool::Restic, "/nowhere/at/all")]);
    assert_eq!(numbers(&seen), "1 0 - - - -");
    assert_eq!(Observation::from_bytes(&seen.to_bytes()).unwrap(), seen);
}
