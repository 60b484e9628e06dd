//! A folder with real repositories, an agent that looks at them, and the verdicts on what it saw.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use evident_tests::{Deployment, Host, ends, program};
use serde_json::Value;

/// A folder for repositories, whose settings change from look to look.
pub(crate) struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        // PostgreSQL runs as a user of its own.
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// What the agent says of these settings: the report of `once`.
    fn once(&self, settings: &str) -> String {
        let file = self.path("agent.toml");
        std::fs::write(&file, settings).unwrap();
        let looked = program("evident-agent")
            .args(["once", "--probe", "backup", "--format", "json", "--config"])
            .arg(&file)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        ends(&looked, 0)
    }

    /// The facts that the agent sees with these settings.
    pub(crate) fn facts(&self, settings: &str) -> Value {
        let report: Value = serde_json::from_str(&self.once(settings)).unwrap();
        let observation = &report["observations"][0]["observation"];
        assert_eq!(observation["outcome"], "facts", "{observation}");
        observation["facts"].clone()
    }

    /// The only set that the agent sees.
    pub(crate) fn set(&self, settings: &str) -> Value {
        let facts = self.facts(settings);
        assert_eq!(facts["declared_count"], 1, "{facts}");
        facts["sets"][0].clone()
    }
}

/// The settings of a set.
pub(crate) fn set(name: &str, tool: &str, path: &str) -> String {
    format!("[[probe.backup.set]]\nname = \"{name}\"\ntool = \"{tool}\"\npath = \"{path}\"\n")
}

/// Runs a program that must succeed, and returns what it said.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    ends(&command.stdin(Stdio::null()).output().unwrap(), 0)
}

/// Every file below a folder whose path holds a text, sorted.
pub(crate) fn files_with(folder: &Path, text: &str) -> Vec<PathBuf> {
    let files = evident_tests::files(folder).into_iter();
    let files = files.filter(|file| file.to_str().is_some_and(|path| path.contains(text)));
    files.map(|file| folder.join(file)).collect()
}

/// Changes the byte in the middle of a file, and returns what it held.
pub(crate) fn damage(path: &Path) -> Vec<u8> {
    let good = evident_tests::bytes(path);
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(path, bad).unwrap();
    good
}

/// A collector with one agent.
pub(crate) struct Site {
    deployment: Deployment,
    host: Host,
}

impl Site {
    pub(crate) fn new() -> Self {
        let deployment = Deployment::start();
        let host = deployment.enrol("db-1");
        Self { deployment, host }
    }

    /// Adds to the settings of the agent.
    pub(crate) fn declare(&self, settings: &str) {
        let text = std::fs::read_to_string(&self.host.settings).unwrap();
        std::fs::write(&self.host.settings, format!("{text}\n{settings}")).unwrap();
    }

    /// Lets the agent look and ship, and returns how the collector judges each check of A.8.13 now:
    /// verdict and reason.
    pub(crate) fn judged(&mut self) -> BTreeMap<String, (String, String)> {
        let mut once = self.host.agent("once");
        drop(ends(&once.args(["--probe", "backup"]).output().unwrap(), 0));
        // Stopped, so that everything has been followed.
        self.deployment.stop();
        let status = self.deployment.collector(&["status", "--format", "json"]);
        self.deployment.serve();
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        let controls = status["controls"].as_array().unwrap();
        let control = controls.iter().find(|c| c["control"] == "A.8.13").unwrap();
        let checks = control["checks"].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        checks
            .map(|check| {
                let deciding = &check["deciding"][0];
                let judged = (text(&deciding["verdict"]), text(&deciding["reason"]));
                (text(&check["check"]), judged)
            })
            .collect()
    }

    /// The same of one check.
    pub(crate) fn verdict(&mut self, check: &str) -> (String, String) {
        let mut judged = self.judged();
        judged.remove(check).unwrap()
    }
}
