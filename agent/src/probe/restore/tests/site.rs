//! The host of the tests of restores: data, a backup of it, and the agent.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use shared::durable;
use shared::key::SigningKey;
use shared::observation::Observation;

use super::super::*;
use crate::config::{Config, ProbeSettings};
use crate::host::machine::Machine;

pub(super) const PASSWORD: &str = "correct horse battery staple";
pub(super) const HOUR_MS: i64 = 3_600_000;

/// Data, a backup of it, and the agent on this host.
pub(super) struct Site {
    pub(super) folder: tempfile::TempDir,
    pub(super) settings: ProbeSettings,
    pub(super) now: Timestamp,
}

impl Site {
    pub(super) fn new(tool: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        durable::write(Path::new(&path("password")), PASSWORD.as_bytes(), 0o600).unwrap();
        let text = format!(
            "[[probe.backup.set]]\nname = \"files\"\ntool = \"{tool}\"\npath = \"{}\"\n\
             password_file = \"{}\"\n[[probe.restore.set]]\nname = \"files\"\n\
             canary = \"{}\"\narchive = \"/none/*\"\n",
            path("repository"),
            path("password"),
            path("data/.evident-canary"),
        );
        let mut settings = Config::from_text(&text).unwrap().settings.probe;
        if tool != "manifest" {
            settings.restore.sets[0].archive = None;
        }
        let now = Timestamp::from_unix_ms(1_800_000_000_000).unwrap();
        Self {
            folder,
            settings,
            now,
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn test(&mut self) -> &mut RestoreSet {
        &mut self.settings.restore.sets[0]
    }

    pub(super) fn backup(&mut self) -> &mut BackupSet {
        &mut self.settings.backup.sets[0]
    }

    pub(super) fn scene(&self) -> Scene {
        Scene {
            settings: Arc::new(self.settings.clone()),
            now: self.now,
            before: None,
            own: Some(Arc::new(Own {
                agent: "web-1".parse().unwrap(),
                generation: 1,
                key: SigningKey::from_seed([7; 32]).unwrap().into(),
                folder: self.path("notes"),
            })),
        }
    }

    /// Looks at a host, an hour after the look before.
    pub(super) fn look_at(&mut self, host: &dyn Host) -> Observation {
        let seen = Restore.observe(host, &self.scene());
        self.now = self.now.plus_ms(HOUR_MS);
        let observation = seen.observation(Restore.subject()).0;
        assert!(!observation.reason.contains("fault"), "{observation:?}");
        let text = String::from_utf8(observation.to_bytes()).unwrap();
        assert!(
            !text.contains(PASSWORD) && !text.contains("random"),
            "a secret"
        );
        Observation::from_bytes(text.as_bytes()).unwrap()
    }

    pub(super) fn look(&mut self) -> Observation {
        self.look_at(&Machine::open(Path::new("/")).unwrap())
    }

    pub(super) fn canary(&self) -> Digest {
        let path = self.path("data/.evident-canary");
        Digest::of(&durable::read(&path, 4096).unwrap())
    }

    pub(super) fn run(&self, program: &str, arguments: &[&str]) {
        #[expect(clippy::disallowed_methods, reason = "the backup job of the test")]
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("RESTIC_PASSWORD", PASSWORD)
            .env("BORG_PASSPHRASE", PASSWORD)
            .env("BORG_BASE_DIR", self.path("home"))
            .env("HOME", self.path("home"))
            .env("XDG_CACHE_HOME", self.path("home"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        let output = command.output().expect(program);
        assert!(
            output.status.success(),
            "{program} {arguments:?} {output:?}"
        );
    }

    pub(super) fn restic(&self, arguments: &[&str]) {
        let repository = self.path("repository");
        let mut all = vec!["--repo", repository.to_str().unwrap(), "--quiet"];
        all.extend(arguments);
        self.run("/usr/bin/restic", &all);
    }

    pub(super) fn data(&self) -> String {
        self.path("data").to_str().unwrap().to_owned()
    }

    /// Every file below a folder of the repository.
    pub(super) fn files(&self, name: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.path(name)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path);
                }
            }
        }
        found
    }
}
