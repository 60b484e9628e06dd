//! The settings of the backup probe: which sets must exist, and which data they must hold.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer};

use super::refused;

/// Settings of the backup probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Raw")]
pub struct BackupSettings {
    /// Backup sets that must exist.
    pub sets: Vec<BackupSet>,
    /// Data that must be in a backup.
    pub data: Vec<BackupData>,
    /// Data directories of PostgreSQL that no package made.
    pub postgres: Vec<String>,
}

/// One backup set that must exist.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupSet {
    /// Name, unique on this host.
    pub name: String,
    /// What makes it.
    pub tool: BackupTool,
    /// Path of the repository, of the folder, or of the manifest; of a borg repository elsewhere
    /// its address, as borg was given it: `ssh://..` or `host:path`.
    pub path: String,
    /// Home folder of the user whose borg writes to a repository elsewhere; without it `/root`.
    /// Whoever owns it can make up what is seen of the set.
    #[serde(default)]
    pub home: Option<String>,
    /// The stanza of a `pgBackRest` repository; without it, the only one that is there.
    #[serde(default)]
    pub stanza: Option<String>,
    /// What makes it: a service of systemd, e.g. `restic.service`, or a crontab by its path.
    #[serde(default)]
    pub unit: Option<String>,
    /// The set of which this is a second copy.
    #[serde(default)]
    pub copy_of: Option<String>,
    /// Path of the record that a job writes when it has checked the repository.
    #[serde(default)]
    pub check: Option<String>,
    /// File with the secret of the repository: its mode and owner are looked at; only the tool
    /// that tests a restore gets its bytes.
    #[serde(default)]
    pub password_file: Option<String>,
}

/// Data that must be in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupData {
    /// Path of the file or folder.
    pub path: String,
    /// Names of the sets that hold it.
    pub sets: Vec<String>,
}

/// What makes a backup set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupTool {
    /// Base backups of PostgreSQL with a `backup_manifest`: one, or a folder of them.
    Basebackup,
    /// A borg repository on this host or mounted on it, or elsewhere.
    Borg,
    /// Anything else: a manifest file that the job writes when it has ended well.
    Manifest,
    /// A `pgBackRest` repository on this host or mounted on it.
    Pgbackrest,
    /// A restic repository on this host or mounted on it.
    Restic,
    /// A folder of snapshots of btrfs or ZFS (`/tank/.zfs/snapshot`).
    Snapshots,
}

/// As the file has it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    #[serde(deserialize_with = "sets")]
    set: Vec<BackupSet>,
    #[serde(deserialize_with = "data")]
    data: Vec<BackupData>,
    #[serde(deserialize_with = "absolute")]
    postgres: Vec<String>,
}

impl TryFrom<Raw> for BackupSettings {
    type Error = String;

    fn try_from(raw: Raw) -> Result<Self, String> {
        let names: BTreeSet<&str> = raw.set.iter().map(|set| set.name.as_str()).collect();
        for set in &raw.set {
            let Some(of) = set.copy_of.as_deref() else {
                continue;
            };
            if of == set.name || !names.contains(of) {
                let name = &set.name;
                return Err(format!(
                    "backup set `{name}` is a copy of `{of}`, which is no other set\nhint: name \
                     the set that holds the first copy"
                ));
            }
            let first = raw.set.iter().find(|set| set.name == of);
            if first.is_some_and(|first| first.copy_of.is_some()) {
                let name = &set.name;
                return Err(format!(
                    "backup set `{name}` is a copy of `{of}`, which is itself a copy\nhint: name \
                     the set that holds the first copy"
                ));
            }
        }
        for data in &raw.data {
            if let Some(set) = data.sets.iter().find(|set| !names.contains(set.as_str())) {
                let path = &data.path;
                return Err(format!(
                    "the data `{path}` name the backup set `{set}`, which is not declared\nhint: \
                     add a [[probe.backup.set]] of this name"
                ));
            }
        }
        Ok(Self {
            sets: raw.set,
            data: raw.data,
            postgres: raw.postgres,
        })
    }
}

/// Whether a text has one of the forms in which borg takes a repository on another machine.
fn is_elsewhere(text: &str) -> bool {
    if let Some(place) = text.strip_prefix("ssh://") {
        return place
            .split_once('/')
            .is_some_and(|(host, _)| !host.is_empty());
    }
    text.split_once(':').is_some_and(|(host, path)| {
        !host.is_empty() && !host.contains('/') && !path.is_empty() && !path.starts_with("//")
    })
}

fn sets<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<BackupSet>, D::Error> {
    let sets = Vec::<BackupSet>::deserialize(from)?;
    for (at, set) in sets.iter().enumerate() {
        if sets.iter().take(at).any(|earlier| earlier.name == set.name) {
            let what = format!("two backup sets are called `{}`", set.name);
            return Err(refused(&what, "give each set a name of its own"));
        }
        let elsewhere = set.tool == BackupTool::Borg && is_elsewhere(&set.path);
        if !set.path.starts_with('/') && !elsewhere {
            // The text may hold a password, so it is not repeated.
            let what = format!("the path of backup set `{}` is no absolute path", set.name);
            let hint = "begin it with `/`; only borg may name another machine (`ssh://host/path`, \
                        `host:path`), and another job writes a manifest on this host";
            return Err(refused(&what, hint));
        }
        if set.name.is_empty() {
            return Err(refused("a backup set without a name", "name it"));
        }
        let stanza = set.stanza.as_deref().unwrap_or("main");
        if stanza.is_empty() || stanza.contains('/') || stanza.starts_with('.') {
            let what = format!("the stanza of backup set `{}` is no name", set.name);
            return Err(refused(
                &what,
                "write it as in pgbackrest.conf, without `[` and `]`",
            ));
        }
        let files = [&set.check, &set.home, &set.password_file];
        if files
            .into_iter()
            .flatten()
            .any(|file| !file.starts_with('/'))
        {
            let what = format!("a file of backup set `{}` is no absolute path", set.name);
            let hint = "begin `check`, `home` and `password_file` with `/`";
            return Err(refused(&what, hint));
        }
        let is_job = |unit: &String| unit.ends_with(".service") || unit.starts_with('/');
        if !set.unit.as_ref().is_none_or(is_job) {
            let what = format!("the unit of backup set `{}` is no service", set.name);
            let hint = "name the service that makes the backup, not its timer; of cron the file";
            return Err(refused(&what, hint));
        }
    }
    Ok(sets)
}

fn data<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<BackupData>, D::Error> {
    let all = Vec::<BackupData>::deserialize(from)?;
    for (at, data) in all.iter().enumerate() {
        if !data.path.starts_with('/') {
            let what = format!("the data `{}` are no absolute path", data.path);
            return Err(refused(&what, "write the whole path, beginning with `/`"));
        }
        if all.iter().take(at).any(|earlier| earlier.path == data.path) {
            let what = format!("the data `{}` are declared twice", data.path);
            return Err(refused(&what, "name all their sets in one place"));
        }
    }
    Ok(all)
}

fn absolute<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let paths = Vec::<String>::deserialize(from)?;
    match paths.iter().find(|path| !path.starts_with('/')) {
        Some(path) => {
            let what = format!("`{path}` is no absolute path");
            Err(refused(&what, "write the whole path, beginning with `/`"))
        }
        None => Ok(paths),
    }
}
