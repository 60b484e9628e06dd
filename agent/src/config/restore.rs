//! The settings of the restore probe: which backup sets are tested, and with which canary file.

use serde::{Deserialize, Deserializer};

use super::{BackupSettings, refused};

/// How the name of each canary file begins.
pub const CANARY_FILE: &str = ".evident-canary";

/// Settings of the restore probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestoreSettings {
    /// Backup sets whose restore is tested.
    #[serde(rename = "set", deserialize_with = "sets")]
    pub sets: Vec<RestoreSet>,
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
    /// File with the password of the repository.
    #[serde(default)]
    pub password_file: Option<String>,
    /// The host whose snapshots count, where a restic repository holds those of several.
    #[serde(default)]
    pub host: Option<String>,
    /// Pattern of the names of borg archives that count, or of the paths of tar archives.
    #[serde(default)]
    pub archive: Option<String>,
}

impl RestoreSettings {
    /// Checks that each set is a declared backup set.
    ///
    /// # Errors
    ///
    /// An error that names the first one that is not.
    pub(super) fn check<E: serde::de::Error>(&self, backup: &BackupSettings) -> Result<(), E> {
        let declared = |name: &str| backup.sets.iter().any(|set| set.name == name);
        match self.sets.iter().find(|set| !declared(&set.name)) {
            None => Ok(()),
            Some(set) => {
                let what = format!(
                    "the restore of `{}` is wanted, which is no backup",
                    set.name
                );
                Err(refused(&what, "add a [[probe.backup.set]] of this name"))
            }
        }
    }
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
        let absolute = |path: &String| !path.starts_with('/');
        let paths = [Some(&set.canary), set.password_file.as_ref()];
        if let Some(path) = paths.into_iter().flatten().find(|path| absolute(path)) {
            let hint = "write the whole path, beginning with `/`";
            return Err(refused(&format!("`{path}` is no absolute path"), hint));
        }
    }
    Ok(sets)
}
