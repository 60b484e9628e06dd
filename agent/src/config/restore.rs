//! The settings of the restore probe: which backup sets are tested, and with which canary file.

use serde::{Deserialize, Deserializer};

use super::{BackupSettings, BackupTool, refused, seconds};

/// How the name of each canary file begins.
pub const CANARY_FILE: &str = ".evident-canary";

/// Settings of the restore probe.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestoreSettings {
    /// How many seconds after a restore a set is tested again, and its canary file renewed.
    #[serde(rename = "test_every", deserialize_with = "seconds")]
    pub every_s: i64,
    /// Backup sets whose restore is tested.
    #[serde(rename = "set", deserialize_with = "sets")]
    pub sets: Vec<RestoreSet>,
}

impl Default for RestoreSettings {
    fn default() -> Self {
        Self {
            // Less than a day, so that looks that are late do not make it two.
            every_s: 20 * 60 * 60,
            sets: Vec::new(),
        }
    }
}

/// One backup set whose restore is tested.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreSet {
    /// Name of the backup set.
    pub name: String,
    /// The canary file: the agent writes it, and its folder is in the backup.
    pub canary: String,
    /// Its path in the backup, where that is another one.
    #[serde(default)]
    pub member: Option<String>,
    /// The host whose snapshots count, where a restic repository holds those of several.
    #[serde(default)]
    pub host: Option<String>,
    /// Pattern of the names of borg archives or of snapshots that count, or of the paths of tar
    /// archives.
    #[serde(default)]
    pub archive: Option<String>,
}

impl RestoreSettings {
    /// Checks that each set is a declared backup set out of which one file can be restored.
    ///
    /// # Errors
    ///
    /// An error that names the first one that is not.
    pub(super) fn check<E: serde::de::Error>(&self, backup: &BackupSettings) -> Result<(), E> {
        for test in &self.sets {
            let name = &test.name;
            let Some(set) = backup.sets.iter().find(|set| set.name == *name) else {
                let what = format!("the restore of `{name}` is wanted, which is no backup");
                return Err(refused(&what, "add a [[probe.backup.set]] of this name"));
            };
            let hint = match (set.tool, &test.archive) {
                (BackupTool::Basebackup | BackupTool::Pgbackrest, _) => {
                    "a backup of PostgreSQL comes back whole or not at all; the backup probe \
                     compares its hashes"
                }
                (BackupTool::Manifest, None) => "say with `archive` where its tar archives are",
                (_, Some(pattern)) if set.tool == BackupTool::Manifest && !is_path(pattern) => {
                    "write the whole path of the archives, beginning with `/`"
                }
                (_, _) => continue,
            };
            let what = format!("the restore of `{name}` cannot be tested");
            return Err(refused(&what, hint));
        }
        Ok(())
    }
}

fn is_path(pattern: &str) -> bool {
    pattern.starts_with('/')
}

fn sets<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<RestoreSet>, D::Error> {
    let sets = Vec::<RestoreSet>::deserialize(from)?;
    for (at, set) in sets.iter().enumerate() {
        let name = &set.name;
        if sets.iter().take(at).any(|earlier| earlier.name == set.name) {
            let what = format!("two restore tests are called `{name}`");
            return Err(refused(&what, "test each backup set once"));
        }
        if sets
            .iter()
            .take(at)
            .any(|earlier| earlier.canary == set.canary)
        {
            let what = format!("the canary file of `{name}` is that of another set");
            return Err(refused(&what, "give each set a file of its own"));
        }
        let file = set.canary.rsplit('/').next().unwrap_or_default();
        if !file.starts_with(CANARY_FILE) {
            let what = format!("`{}` is no canary file", set.canary);
            let hint = "end the path with `.evident-canary`, so that no other file is replaced";
            return Err(refused(&what, hint));
        }
        if !is_path(&set.canary) {
            let hint = "write the whole path, beginning with `/`";
            let what = format!("`{}` is no absolute path", set.canary);
            return Err(refused(&what, hint));
        }
    }
    Ok(sets)
}
