//! A restore is proven by the ledger, a damaged repository is a finding, and its repair closes it.
#![expect(clippy::disallowed_methods, reason = "tests run the real programs")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::expect_used, reason = "a test says what it needs")]
#![expect(clippy::panic, reason = "a test ends where a verdict does not come")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use evident_tests::{Deployment, Host, ends, files};
use serde_json::Value;

/// How long the collector may take to judge what it was brought, and to join both sides.
const WAIT: Duration = Duration::from_secs(12);
const PASSWORD: &str = "correct horse battery staple";

/// A host whose data is backed up with restic.
struct Estate {
    deployment: Deployment,
    host: Host,
}

impl Estate {
    fn new() -> Self {
        let deployment = Deployment::start();
        let host = deployment.enrol("web-1");
        let estate = Self { deployment, host };
        // A restore counts only after the placing, by a clock that was measured. No line is sent
        // to the log daemon of this machine.
        let settings = std::fs::read_to_string(&estate.host.settings).unwrap();
        let silent = format!("{settings}\n[probe.canary]\nsend = false\n");
        std::fs::write(&estate.host.settings, silent).unwrap();
        estate.host.compare_clocks();
        let place = |name: &str| estate.path(name).display().to_string();
        std::fs::create_dir(place("data")).unwrap();
        std::fs::write(place("password"), PASSWORD).unwrap();
        let settings = format!(
            "{}\n[[probe.backup.set]]\nname = \"files\"\ntool = \"restic\"\npath = \"{}\"\n\
             password_file = \"{}\"\n\n[probe.restore]\ntest_every = \"1s\"\n\n\
             [[probe.restore.set]]\nname = \"files\"\ncanary = \"{}/.evident-canary\"\n",
            std::fs::read_to_string(&estate.host.settings).unwrap(),
            place("repository"),
            place("password"),
            place("data"),
        );
        std::fs::write(&estate.host.settings, settings).unwrap();
        estate.restic(&["init"]);
        estate
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.deployment.scratch().join(format!("estate-{name}"))
    }

    fn restic(&self, arguments: &[&str]) {
        let output = Command::new("restic")
            .arg("--quiet")
            .arg("--repo")
            .arg(self.path("repository"))
            .args(arguments)
            .env("RESTIC_PASSWORD", PASSWORD)
            .env("XDG_CACHE_HOME", self.path("cache"))
            .output()
            .expect("restic, which `tests/run tools` installs");
        assert!(output.status.success(), "{arguments:?} {output:?}");
    }

    fn back_up(&self) {
        self.restic(&["backup", self.path("data").to_str().unwrap()]);
    }

    /// Restores once, which is not before a second is over since the last time, and waits until
    /// both checks have these verdicts. Each look renews the canary file, and a host remembers the
    /// last eight.
    #[track_caller]
    fn gives(&self, works: &str, matches: &str) -> String {
        let mut found = Vec::new();
        for _look in 0..4 {
            let _said = self.look();
            let end = Instant::now() + WAIT;
            while Instant::now() < end {
                let said = self.deployment.collector(&["status", "--format", "json"]);
                let status: Value = serde_json::from_slice(&said.stdout).unwrap();
                let (work, reason) = verdict(&status, "restore.works");
                found = vec![work, verdict(&status, "recovery.matches").0];
                if found == [works, matches] {
                    return reason;
                }
            }
        }
        panic!("{found:?}, not {works} and {matches}");
    }

    fn look(&self) -> String {
        let mut once = self.host.agent("once");
        ends(&once.args(["--probe", "restore"]).output().unwrap(), 0)
    }
}

/// What a check gives on the host, and why.
fn verdict(status: &Value, id: &str) -> (String, String) {
    let controls = status["controls"].as_array().unwrap().iter();
    let mut checks = controls.flat_map(|control| control["checks"].as_array().unwrap());
    let check = checks.find(|check| check["check"] == id).unwrap();
    let deciding = check["deciding"].get(0).unwrap();
    let text = |name: &str| deciding[name].as_str().unwrap_or_default().to_owned();
    (text("verdict"), text("reason"))
}

/// The packs of a repository.
fn packs(repository: &Path) -> Vec<std::path::PathBuf> {
    let data = repository.join("data");
    files(&data)
        .into_iter()
        .map(|file| data.join(file))
        .collect()
}

#[test]
fn a_restore_is_proven_and_a_damaged_repository_is_found_and_repaired() {
    let estate = Estate::new();
    // The hash of the file is in the ledger before the file is in a backup.
    let _said = estate.look();
    estate.back_up();
    let _reason = estate.gives("pass", "pass");
    for pack in packs(&estate.path("repository")) {
        let whole = std::fs::read(&pack).unwrap();
        std::fs::remove_file(&pack).unwrap();
        std::fs::write(&pack, vec![0x55; whole.len()]).unwrap();
        std::fs::write(pack.with_extension("whole"), whole).unwrap();
    }
    let reason = estate.gives("fail", "fail");
    assert!(reason.contains("failed_count 1"), "{reason}");
    for pack in packs(&estate.path("repository")) {
        if pack.extension().is_some() {
            std::fs::rename(&pack, pack.with_extension("")).unwrap();
        }
    }
    let _reason = estate.gives("pass", "pass");
}
