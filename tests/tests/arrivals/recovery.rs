//! A canary file on its way through a real restic repository.

use std::path::{Path, PathBuf};
use std::process::Command;

use evident_tests::{Host, bytes, ends, files, soon};

use super::site::Site;

/// A host with a folder that restic backs up.
struct Backup {
    host: Host,
    data: PathBuf,
    repository: PathBuf,
    password: PathBuf,
}

impl Backup {
    fn new(site: &Site) -> Self {
        let host = site.enrol("web-1");
        // A restore counts only after the placing, by a clock that was measured.
        site.compare_clocks(&host);
        let place = |name: &str| site.deployment.scratch().join(name);
        let (data, repository, password) = (place("data"), place("vault"), place("password"));
        std::fs::create_dir(&data).unwrap();
        std::fs::write(&password, "correct horse\n").unwrap();
        let settings = format!(
            "\n[[probe.backup.set]]\nname = \"data\"\ntool = \"restic\"\npath = \"{}\"\n\
             password_file = \"{}\"\n\
             [[probe.restore.set]]\nname = \"data\"\ncanary = \"{}/.evident-canary\"\n",
            repository.display(),
            password.display(),
            data.display(),
        );
        let mut text = String::from_utf8(bytes(&host.settings)).unwrap();
        text.push_str(&settings);
        std::fs::write(&host.settings, text).unwrap();
        let backup = Self {
            host,
            data,
            repository,
            password,
        };
        backup.restic(&["init"]);
        backup
    }

    fn restic(&self, arguments: &[&str]) {
        let output = Command::new("restic")
            .args(["--quiet", "--no-cache", "--repo"])
            .arg(&self.repository)
            .arg("--password-file")
            .arg(&self.password)
            .args(arguments)
            .output()
            .unwrap();
        drop(ends(&output, 0));
    }

    fn back_up(&self) {
        self.restic(&["backup", self.data.to_str().unwrap()]);
    }

    /// One look of the restore probe; the test before it is due again, as on the next day.
    fn look(&self) {
        let mut kept = files(&self.host.state).into_iter();
        if let Some(notes) = kept.find(|name| name.ends_with("restore.json")) {
            let notes = self.host.state.join(notes);
            let mut told: serde_json::Value = serde_json::from_slice(&bytes(&notes)).unwrap();
            told["data"]["last"] = serde_json::Value::Null;
            std::fs::write(&notes, told.to_string()).unwrap();
        }
        let mut once = self.host.agent("once");
        drop(ends(
            &once.args(["--probe", "restore"]).output().unwrap(),
            0,
        ));
    }
}

/// Changes a byte in the middle of each pack of a repository.
fn corrupt(repository: &Path) {
    let packs = repository.join("data");
    for name in files(&packs) {
        let file = packs.join(name);
        let mut content = bytes(&file);
        let middle = content.len() / 2;
        content[middle] ^= 1;
        let mut rights = std::fs::metadata(&file).unwrap().permissions();
        #[expect(
            clippy::permissions_set_readonly_false,
            reason = "restic takes the right to write from its packs"
        )]
        rights.set_readonly(false);
        std::fs::set_permissions(&file, rights).unwrap();
        std::fs::write(&file, content).unwrap();
    }
}

#[test]
fn what_comes_back_from_restic_matches_until_the_repository_is_damaged() {
    let site = Site::start(300);
    let backup = Backup::new(&site);
    // The file is placed; there is no backup of it yet.
    backup.look();
    let _none = site.becomes("recovery.matches", "web-1", "fail");
    backup.back_up();
    backup.look();
    let _found = site.becomes("recovery.matches", "web-1", "pass");
    let _found = site.becomes("recovery.recent", "web-1", "pass");
    let _found = site.becomes("recovery.data-age", "web-1", "pass");
    let _found = site.becomes("recovery.duration", "web-1", "pass");
    let (statement, observation) = site.of_kind("recovery").pop().unwrap();
    assert_eq!(statement["predicate"]["agent"], "web-1");
    let set = &observation["facts"]["sets"][0];
    assert_eq!(set["matched"], true, "{set}");
    assert_eq!(set["before_snapshot"], true, "{set}");
    assert_eq!(set["tool"], "restic", "{set}");
    assert!(set["entry"].as_u64() < Some(16), "{set}");

    corrupt(&backup.repository);
    backup.look();
    let finding = site.becomes("recovery.matches", "web-1", "fail");
    assert_eq!(site.control("A.8.13"), "failing", "{finding}");
    let (_statement, observation) = site.of_kind("recovery").pop().unwrap();
    assert_eq!(observation["facts"]["failed_count"], 1, "{observation}");

    // A new repository, and all is well again.
    std::fs::remove_dir_all(&backup.repository).unwrap();
    backup.restic(&["init"]);
    backup.back_up();
    backup.look();
    let _found = site.becomes("recovery.matches", "web-1", "pass");
    site.holds();
}

#[test]
fn what_was_never_placed_does_not_match() {
    let site = Site::start(300);
    let backup = Backup::new(&site);
    backup.look();
    // Somebody else's file is in the backup, under the name of the canary.
    std::fs::write(backup.data.join(".evident-canary"), "x".repeat(64)).unwrap();
    backup.back_up();
    backup.look();
    let last = || site.of_kind("recovery").pop().unwrap().1["facts"].clone();
    soon(|| last()["mismatched_count"] == 1);
    assert_eq!(last()["sets"][0]["matched"], false);
    let _found = site.becomes("recovery.matches", "web-1", "fail");
    site.holds();
}
