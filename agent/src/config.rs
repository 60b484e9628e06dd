//! The agent's settings: read once, checked whole, then only borrowed.

use serde::Deserialize;

/// Settings of the probes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeSettings {
    /// Settings of the backup probe.
    pub backup: BackupSettings,
}

/// Settings of the backup probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackupSettings {
    /// Backup sets that must exist.
    #[serde(rename = "set")]
    pub sets: Vec<BackupSet>,
}

/// One backup set that must exist.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupSet {
    /// Name, unique on this host.
    pub name: String,
    /// What makes it.
    pub tool: BackupTool,
    /// Path of the repository, or of the manifest.
    pub path: String,
}

/// What makes a backup set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackupTool {
    /// A restic repository on this host or mounted on it.
    Restic,
    /// A borg repository on this host or mounted on it.
    Borg,
    /// Anything else: a manifest file that the job writes when it has ended well.
    Manifest,
}
