//! The updates probe on recorded hosts: a Debian 12, and what may be wrong with it.
//!
//! The recorded lists, release files and packages are cuts of real ones; the expected updates are
//! those that `apt-get -s dist-upgrade` names for these packages.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use shared::durable;
use shared::observation::{Observation, Outcome, Status};

use super::*;
use crate::host::machine::Machine;
use crate::host::recorded::Recorded;
use crate::probe::golden;

const SECURITY: &str = "var/lib/apt/lists/deb.debian.org_debian-security_dists_bookworm-security";
const MAIN: &str = "var/lib/apt/lists/deb.debian.org_debian_dists_bookworm";
const PREFERENCES: &str = "etc/apt/preferences.d/own.pref";

fn debian() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/hosts/updates/debian-12")
}

/// A copy of the recorded host that a test may change.
pub(super) struct Copy(tempfile::TempDir);

impl Copy {
    fn new() -> Self {
        Self::of(&debian())
    }

    pub(super) fn of(host: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        copy(host, folder.path());
        Self(folder)
    }

    pub(super) fn write(&self, path: &str, bytes: &[u8]) -> &Self {
        let path = self.0.path().join("root").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        durable::write(&path, bytes, 0o644).unwrap();
        self
    }

    pub(super) fn read(&self, path: &str) -> Vec<u8> {
        durable::read(&self.0.path().join("root").join(path), 1 << 20).unwrap()
    }

    pub(super) fn edit(&self, path: &str, from: &str, to: &str) -> &Self {
        let text = String::from_utf8(self.read(path)).unwrap();
        assert!(text.contains(from), "{from}");
        self.write(path, text.replacen(from, to, 1).as_bytes())
    }

    pub(super) fn remove(&self, path: &str) -> &Self {
        std::fs::remove_file(self.0.path().join("root").join(path)).unwrap();
        self
    }

    pub(super) fn refuse(&self, path: &str) -> &Self {
        let file = self.0.path().join("live/refused.txt");
        durable::write(&file, path.as_bytes(), 0o644).unwrap();
        self
    }

    pub(super) fn look(&self) -> Observation {
        look(self.0.path())
    }
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

fn look(folder: &Path) -> Observation {
    observed(&Recorded::open(folder).unwrap())
}

fn observed(host: &dyn Host) -> Observation {
    let seen = Updates.observe(host, &Scene::default());
    seen.observation(Updates.subject()).0
}

/// Facts of interest as JSON, `-` where one is left out.
pub(super) fn facts(observation: &Observation, names: &[&str]) -> Vec<String> {
    let json = |name: &&str| match observation.facts.get(*name) {
        Some(value) => serde_json::to_string(value).unwrap(),
        None => "-".to_owned(),
    };
    names.iter().map(json).collect()
}

const PENDING: [&str; 3] = ["pending_count", "pending_security_count", "pinned_count"];

/// Nothing is said about pending updates, and a source tells why.
#[track_caller]
fn not_told(observation: &Observation, status: Status, reason: &str) {
    assert_eq!(observation.outcome, Outcome::Facts);
    assert_eq!(facts(observation, &PENDING), ["-", "-", "-"]);
    assert_eq!(facts(observation, &["pending"]), ["-"]);
    let mut sources = observation.source.iter();
    assert!(
        sources.any(|source| source.status == status),
        "{observation:?}"
    );
    assert!(
        observation.reason.contains(reason),
        "{}",
        observation.reason
    );
}

#[test]
fn as_found() {
    golden::check("updates/debian-12", &Updates);
}

#[test]
fn a_host_that_deviates() {
    let host = Copy::new();
    host.edit(
        "var/lib/dpkg/status",
        "Package: unzip\nStatus: install",
        "Package: unzip\nStatus: hold",
    )
    .edit(
        "etc/apt/apt.conf.d/20auto-upgrades",
        "Unattended-Upgrade \"1\"",
        "Unattended-Upgrade \"0\"",
    )
    .write("run/reboot-required", b"")
    .write(
        "etc/apt/apt.conf",
        b"APT::Default-Release \"oldstable-security\";",
    );
    let seen = host.look();
    let names = [
        "held_count",
        "automatic_enabled",
        "reboot_required",
        "pending_count",
    ];
    assert_eq!(facts(&seen, &names), ["1", "false", "true", "8"]);
    let pending = facts(&seen, &["pending"]).concat();
    let held = concat!(
        r#""held":true,"installed":"6.0-28","#,
        r#""origin":"Debian-Security oldstable-security","package":"unzip""#
    );
    assert!(pending.contains(held), "{pending}");
    host.write("run/systemd/container", b"docker\n");
    let names = [
        "container",
        "kernel_running",
        "kernel_newest",
        "kernel_current",
    ];
    assert_eq!(facts(&host.look(), &names), ["true", "-", "-", "-"]);
}

#[test]
fn every_change_of_a_list_is_seen() {
    let host = Copy::new();
    let before = host.look();
    let list = format!("{MAIN}-updates_main_binary-amd64_Packages");
    let tzdata = "Package: adduser\nArchitecture: amd64\nVersion: 99\n\n";
    host.write(&list, tzdata.as_bytes());
    let after = host.look();
    let count = |seen: &Observation| facts(seen, &PENDING[..1]).concat().parse::<i64>().unwrap();
    assert_eq!(count(&after), count(&before) + 1, "{after:?}");
    // The same list packed says the same.
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(tzdata.as_bytes()).unwrap();
    host.remove(&list)
        .write(&format!("{list}.gz"), &gz.finish().unwrap());
    assert_eq!(
        facts(&host.look(), &["pending"]),
        facts(&after, &["pending"])
    );
    // A packed list that ends early is not taken for a whole one.
    let packed = host.read(&format!("{list}.gz"));
    host.write(
        &format!("{list}.gz"),
        packed.split_last_chunk::<9>().unwrap().0,
    );
    not_told(&host.look(), Status::Malformed, "Packages.gz: malformed");
    host.write(&format!("{list}.gz"), &packed);
    // An update of the status alone is seen with the lists that are remembered.
    host.edit("var/lib/dpkg/status", "Version: 3.134\n", "Version: 99\n");
    assert_eq!(count(&host.look()), count(&before));
}

#[test]
fn what_is_remembered_is_still_true() {
    let host = Copy::new();
    let look = || observed(&Machine::open(&host.0.path().join("root")).unwrap());
    let list = format!("{MAIN}-updates_main_binary-amd64_Packages");
    let stanza =
        |version: &str| format!("Package: adduser\nArchitecture: all\nVersion: {version}\n");
    let candidate = |seen: &Observation, version: &str| {
        facts(seen, &["pending"])
            .concat()
            .contains(&format!("\"candidate\":\"{version}\""))
    };
    host.write(&list, stanza("91").as_bytes());
    let first = look();
    assert!(candidate(&first, "91"));
    assert_eq!(look(), first);
    // Another version in as many bytes.
    host.write(&list, stanza("92").as_bytes());
    assert!(candidate(&look(), "92"));
    // A package that was not installed before is looked for in the same lists.
    let status = host.read("var/lib/dpkg/status");
    let sudo = b"Package: sudo\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n";
    host.write("var/lib/dpkg/status", &[&status[..], sudo].concat());
    assert!(
        facts(&look(), &["pending"])
            .concat()
            .contains("\"package\":\"sudo\"")
    );
}

#[test]
fn more_than_is_read() {
    let host = Copy::new();
    for number in 0..=256 {
        host.write(&format!("etc/apt/preferences.d/{number}"), b"");
    }
    not_told(&host.look(), Status::Limit, "more than 256 parts");
    let host = Copy::new();
    for number in 0..=512 {
        host.write(&format!("var/lib/apt/lists/{number}_Packages"), b"");
    }
    not_told(&host.look(), Status::Limit, "more than 512 lists");
}

#[test]
fn a_date_of_another_form_costs_only_itself() {
    let host = Copy::new();
    host.edit(
        &format!("{SECURITY}_InRelease"),
        "Date: Fri, 20 Nov 2026",
        "Date: today",
    );
    let seen = host.look();
    assert_eq!(facts(&seen, &PENDING), ["8", "6", "0"]);
    assert_eq!(facts(&seen, &["metadata_released"]), ["-"]);
    assert_ne!(facts(&seen, &["metadata_fetched"]), ["-"]);
    assert!(seen.reason.contains("is no date"), "{}", seen.reason);
    let host = Copy::new();
    host.edit(
        &format!("{SECURITY}_InRelease"),
        "Valid-Until: Fri, 27",
        "Valid-Until: 27th",
    );
    assert_eq!(facts(&host.look(), &["metadata_released"]), ["-"]);
}

#[test]
fn pins_are_evaluated_or_nothing_is_told() {
    let host = Copy::new();
    let pin = |package: &str, to: &str, priority: &str| {
        format!("Package: {package}\nPin: {to}\nPin-Priority: {priority}\n")
    };
    host.write(
        PREFERENCES,
        pin("unzip", "release l=Debian-Security", "-1").as_bytes(),
    );
    let kept_out = host.look();
    assert_eq!(facts(&kept_out, &PENDING), ["8", "6", "1"]);
    let held = r#""candidate":"6.0-28+deb12u1","held":true"#;
    assert!(facts(&kept_out, &["pending"]).concat().contains(held));
    host.write(
        PREFERENCES,
        pin("dpkg", "release l=Debian", "-1").as_bytes(),
    );
    assert_eq!(facts(&host.look(), &PENDING), ["7", "6", "1"]);
    host.write(
        PREFERENCES,
        pin("/^un/", "release l=Debian", "-1").as_bytes(),
    );
    not_told(
        &host.look(),
        Status::Unsupported,
        "`/^un/` in the preferences",
    );
    // apt does not read a file of this name.
    host.remove(PREFERENCES)
        .write("etc/apt/preferences.d/own.bak", b"x");
    assert_eq!(facts(&host.look(), &PENDING), ["8", "6", "0"]);
    host.write("etc/apt/apt.conf", b"APT::Default-Release \"/^old/\";");
    not_told(&host.look(), Status::Unsupported, "APT::Default-Release");
    host.write("etc/apt/apt.conf", b"APT {");
    let broken = host.look();
    not_told(&broken, Status::Unsupported, "apt.conf(5)");
    assert_eq!(facts(&broken, &["automatic_enabled"]), ["-"]);
}

#[test]
fn backports_are_no_updates() {
    let host = Copy::new();
    let release = String::from_utf8(host.read(&format!("{MAIN}_InRelease"))).unwrap();
    let release = release.replacen(
        "Codename",
        "NotAutomatic: yes\nButAutomaticUpgrades: yes\nCodename",
        1,
    );
    let stanza = "Package: zip\nArchitecture: amd64\nVersion: 99~bpo12+1\n\n";
    host.write(&format!("{MAIN}-backports_InRelease"), release.as_bytes())
        .write(
            &format!("{MAIN}-backports_main_binary-amd64_Packages"),
            stanza.as_bytes(),
        );
    assert_eq!(facts(&host.look(), &PENDING), ["8", "6", "0"]);
}

#[test]
fn lists_that_are_not_read() {
    let list = format!("{SECURITY}_main_binary-amd64_Packages.lz4");
    let whole = Copy::new().read(&list);
    let host = Copy::new();
    host.write(&list, &whole[..whole.len() / 2]);
    not_told(&host.look(), Status::Malformed, "Packages.lz4: malformed");
    host.write(&list, b"<html>log in first</html>");
    not_told(&host.look(), Status::Malformed, "Packages.lz4: malformed");
    host.refuse(&format!("/{list}"));
    not_told(
        &host.look(),
        Status::NotPermitted,
        "Packages.lz4: not-permitted",
    );

    for (ending, status) in [
        ("xz", Status::Malformed),
        ("zst", Status::Malformed),
        ("bz2", Status::Unsupported),
        ("lzma", Status::Unsupported),
    ] {
        let host = Copy::new();
        host.remove(&list)
            .write(&list.replace("lz4", ending), b"any");
        not_told(&host.look(), status, "_Packages.");
    }
    let host = Copy::new();
    host.remove(&list);
    not_told(
        &host.look(),
        Status::Unsupported,
        "no package list beside it",
    );
    host.write(&format!("{SECURITY}_main_source_Sources"), b"");
    assert_eq!(facts(&host.look(), &PENDING), ["5", "0", "0"]);
}

#[test]
fn a_default_release_does_not_hide_security_updates() {
    let host = Copy::new();
    host.write("etc/apt/apt.conf", b"APT::Default-Release \"oldstable\";");
    let seen = host.look();
    assert_eq!(facts(&seen, &PENDING[..2]), ["8", "6"]);
    assert_ne!(facts(&seen, &["pinned_count"]), ["0"]);
}

#[test]
fn release_files_that_are_not_read() {
    let names = ["security_source", "metadata_fetched", "metadata_released"];
    let release = format!("{SECURITY}_InRelease");
    let host = Copy::new();
    host.write(&release, b"<html>log in first</html>");
    let seen = host.look();
    not_told(&seen, Status::Malformed, "no complete release file");
    assert_eq!(facts(&seen, &names), ["-", "-", "-"]);

    let host = Copy::new();
    host.remove(&release)
        .remove(&format!("{SECURITY}_main_binary-amd64_Packages.lz4"));
    assert_eq!(facts(&host.look(), &names), ["false", "-", "-"]);

    let host = Copy::new();
    std::fs::remove_dir_all(host.0.path().join("root/var/lib/apt/lists")).unwrap();
    assert_eq!(facts(&host.look(), &names), ["-", "-", "-"]);
    not_told(&host.look(), Status::Absent, "");
    host.write("var/lib/apt/lists/lock", b"");
    not_told(&host.look(), Status::Absent, "");
    assert_eq!(facts(&host.look(), &names), ["-", "-", "-"]);
}

#[test]
fn hosts_without_a_database_of_packages() {
    let status = "var/lib/dpkg/status";
    let unknown = |host: &Copy, reason: &str| {
        let seen = host.look();
        assert_eq!(seen.outcome, Outcome::Unknown);
        assert!(seen.reason.contains(reason), "{}", seen.reason);
    };
    let host = Copy::new();
    host.remove(status);
    unknown(&host, "no package database");
    host.write("var/lib/rpm/rpmdb.sqlite", b"");
    unknown(&host, "it is shorter than a page");
    host.remove("var/lib/rpm/rpmdb.sqlite");
    host.write("var/lib/pacman/local/ALPM_DB_VERSION", b"9\n");
    unknown(&host, "package manager not known to this agent: pacman");
    host.write(status, b"Package: x\nVersion: 1\n");
    unknown(&host, "malformed (package `x`)");
    host.write(status, b"");
    unknown(&host, "it is empty");
    host.refuse("/var/lib/dpkg/status");
    unknown(&host, "not-permitted");
}

#[test]
fn local_time_of_the_log() {
    let host = Copy::new();
    host.write("etc/localtime", b"TZif");
    assert_eq!(facts(&host.look(), &["last_change"]), ["-"]);
    host.remove("etc/localtime");
    let utc = facts(&host.look(), &["last_change"]).concat();
    let berlin = facts(&look(&debian()), &["last_change"]).concat();
    let ms = |text: &str| text.parse::<i64>().unwrap();
    assert_eq!(ms(&utc) - ms(&berlin), 3_600_000);
    // When the last rotation took all changes along, they stand in the log before.
    let log = host.read("var/log/dpkg.log");
    host.write("var/log/dpkg.log", b"")
        .write("var/log/dpkg.log.1", &log);
    assert_eq!(facts(&host.look(), &["last_change"]).concat(), utc);
    host.refuse("/var/log/dpkg.log");
    assert_eq!(facts(&host.look(), &["last_change"]), ["-"]);
}

#[test]
fn this_host() {
    let seen = observed(&Machine::open(Path::new("/")).unwrap());
    let bytes = seen.to_bytes();
    assert_eq!(Observation::from_bytes(&bytes).unwrap(), seen);
    if seen.outcome == Outcome::Facts {
        assert_ne!(facts(&seen, &["installed_count"]), ["0"]);
        let pending = seen.facts.contains_key("pending");
        assert_eq!(seen.facts.contains_key("pending_count"), pending);
    } else {
        assert!(!seen.reason.is_empty());
    }
}

mod waits;
