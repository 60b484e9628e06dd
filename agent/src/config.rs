//! The agent's settings: read once, checked whole, then only borrowed.
//!
//! One TOML file; every setting has a default, and `config/agent.toml` shows them all. A file with
//! an unknown or a wrong setting is refused whole, and the error points at the place.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use shared::durable;
use shared::fact;
use shared::id::Digest;

use crate::schedule::{Cron, HEARTBEAT};

pub use backup::{BackupData, BackupSet, BackupSettings, BackupTool};
pub use canary::CanarySettings;
pub use complaint::Complaint;
pub use restore::{CANARY_FILE, RestoreSet, RestoreSettings};

mod backup;
mod canary;
mod complaint;
mod restore;

/// Where the settings are when the command line names no other place.
pub const DEFAULT_PATH: &str = "/etc/evident/agent.toml";
/// Longest file of settings.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Least bytes that the spool may be held to.
const SPOOL_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// The settings, and the digest of the file that they were read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// What the file says, with defaults for what it does not say.
    pub settings: Settings,
    /// SHA-256 of the file; of no bytes when there is none.
    pub digest: Digest,
}

/// Every setting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where evidence goes.
    pub collector: CollectorSettings,
    /// Where the agent keeps keys and spool.
    pub state: StateSettings,
    /// Which host is looked at.
    pub host: HostSettings,
    /// Bounds of the spool.
    pub spool: SpoolSettings,
    /// What is logged.
    pub log: LogSettings,
    /// When each probe looks.
    pub schedule: Schedules,
    /// Settings of the probes.
    pub probe: ProbeSettings,
}

/// Where evidence goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CollectorSettings {
    /// Address of the collector's intake; without it, the address given at enrolment.
    #[serde(deserialize_with = "optional_url")]
    pub url: Option<String>,
}

/// Where the agent keeps keys and spool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateSettings {
    /// Folder of the agent alone.
    #[serde(deserialize_with = "absolute")]
    pub dir: PathBuf,
}

/// Which host is looked at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HostSettings {
    /// Root folder of the host; anything but `/` is a host that does not run.
    #[serde(deserialize_with = "absolute")]
    pub root: PathBuf,
}

/// Bounds of the spool.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolSettings {
    /// Most bytes on disk.
    #[serde(deserialize_with = "spool_bytes")]
    pub bytes_max: u64,
}

/// What is logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Least important level that is logged.
    pub level: LogLevel,
    /// Form of a line.
    pub format: LogFormat,
}

/// Level of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Loss, or a person is needed.
    Error,
    /// Unexpected, and recovered.
    Warn,
    /// What an operator asked for has happened.
    #[default]
    Info,
    /// For whoever looks for a fault.
    Debug,
}

/// Form of a line of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// When each probe looks: the name of every probe, and [`HEARTBEAT`], with its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedules(pub BTreeMap<String, Cron>);

impl Default for StateSettings {
    fn default() -> Self {
        let dir = PathBuf::from("/var/lib/evident-agent");
        Self { dir }
    }
}

impl Default for HostSettings {
    fn default() -> Self {
        let root = PathBuf::from("/");
        Self { root }
    }
}

impl Default for SpoolSettings {
    fn default() -> Self {
        let bytes_max = 256 * 1024 * 1024;
        Self { bytes_max }
    }
}

impl Default for Schedules {
    fn default() -> Self {
        let names = fact::of_hosts().map(|subject| subject.probe);
        let lines = names.chain([HEARTBEAT]).filter_map(|name| {
            let times = match name {
                "audit" | "canary" | "clock" | "logging" => "*/15 * * * *",
                HEARTBEAT => "*/30 * * * *",
                _ => "0 * * * *",
            };
            Some((name.to_owned(), times.parse().ok()?))
        });
        Self(lines.collect())
    }
}

impl<'de> Deserialize<'de> for Schedules {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let given = BTreeMap::<ScheduleName, Cron>::deserialize(from)?;
        let mut schedules = Self::default();
        let given = given.into_iter().map(|(name, cron)| (name.0, cron));
        schedules.0.extend(given);
        Ok(schedules)
    }
}

/// The name of a probe, or [`HEARTBEAT`].
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ScheduleName(String);

impl<'de> Deserialize<'de> for ScheduleName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        let names: Vec<&str> = fact::of_hosts()
            .map(|subject| subject.probe)
            .chain([HEARTBEAT])
            .collect();
        if names.contains(&name.as_str()) {
            return Ok(Self(name));
        }
        let names = names.join("`, `");
        let error = format!("unknown probe `{name}`, expected one of `{names}`");
        Err(serde::de::Error::custom(error))
    }
}

/// Settings of the probes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProbeSettings {
    /// Settings of the backup probe.
    pub backup: BackupSettings,
    /// Settings of the canary probe.
    pub canary: CanarySettings,
    /// Settings of the logging probe.
    pub logging: LoggingSettings,
    /// Settings of the restore probe.
    pub restore: RestoreSettings,
}

/// Settings of the logging probe.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoggingSettings {
    /// Log files that must be written.
    #[serde(rename = "source")]
    pub sources: Vec<LogSource>,
}

/// A log file that must be written, also one of an application.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSource {
    /// What people call it.
    pub name: String,
    /// The file.
    #[serde(deserialize_with = "absolute_text")]
    pub path: String,
    /// How many seconds may pass without an entry.
    #[serde(
        rename = "max_silence",
        deserialize_with = "seconds",
        default = "a_day"
    )]
    pub max_silence_s: i64,
}

/// Two hours more than a day, for what is written once a day.
const fn a_day() -> i64 {
    26 * 60 * 60
}

/// The settings cannot be used. The operator must correct the file.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the machine said.
        source: io::Error,
    },
    /// A setting is unknown or wrong.
    #[error("{path}:{complaint}")]
    Setting {
        /// The file.
        path: PathBuf,
        /// Where, what, and what to do.
        complaint: Complaint,
    },
}

impl Config {
    /// Reads the settings from `path`, or from [`DEFAULT_PATH`] when none is given; only there,
    /// no file means all defaults.
    ///
    /// # Errors
    ///
    /// [`ConfigError`].
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let place = path.unwrap_or_else(|| Path::new(DEFAULT_PATH));
        let text = match durable::read_text(place, FILE_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
                String::new()
            }
            Err(source) => {
                let path = place.to_owned();
                return Err(ConfigError::Read { path, source });
            }
        };
        Self::from_text(&text).map_err(|complaint| ConfigError::Setting {
            path: place.to_owned(),
            complaint,
        })
    }

    /// Reads the settings from the text of a file.
    ///
    /// # Errors
    ///
    /// The [`Complaint`] about the first setting that is unknown or wrong.
    pub fn from_text(text: &str) -> Result<Self, Complaint> {
        let settings = toml::from_str(text).and_then(|settings: Settings| {
            settings.probe.restore.check(&settings.probe.backup)?;
            Ok(settings)
        });
        Ok(Self {
            settings: settings.map_err(|error| Complaint::new(text, &error))?,
            digest: Digest::of(text.as_bytes()),
        })
    }
}

/// Refuses a value with what is wrong and what to do about it.
fn refused<E: serde::de::Error>(what: &str, hint: &str) -> E {
    E::custom(format!("{what}\nhint: {hint}"))
}

/// Checks the address of a collector.
///
/// # Errors
///
/// What is wrong with it, in words.
pub fn check_url(text: &str) -> Result<(), &'static str> {
    let url = reqwest::Url::parse(text).map_err(|_error| "not an address")?;
    if url.scheme() != "https" {
        return Err("not an address of HTTPS");
    }
    let plain = url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty();
    match url.host_str() {
        Some(host) if plain && !host.is_empty() => Ok(()),
        Some(_) | None => Err("more or less than the name of a host and a port"),
    }
}

fn optional_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(from)?;
    match check_url(&text) {
        Ok(()) => Ok(Some(text)),
        Err(what) => {
            let hint = "write it as `https://collector.example.org:8443`";
            Err(refused(&format!("`{text}` is {what}"), hint))
        }
    }
}

fn absolute<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    let text = String::deserialize(from)?;
    if text.starts_with('/') {
        return Ok(PathBuf::from(text));
    }
    let hint = "write the whole path, beginning with `/`";
    Err(refused(&format!("`{text}` is no absolute path"), hint))
}

fn absolute_text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    if text.starts_with('/') {
        return Ok(text);
    }
    let hint = "write the whole path, beginning with `/`";
    Err(refused(&format!("`{text}` is no absolute path"), hint))
}

/// A time such as `90s`, `15m`, `2h` or `7d`.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    let text = String::deserialize(from)?;
    let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)];
    let found = units.iter().find_map(|(unit, seconds)| {
        let number: i64 = text.strip_suffix(*unit)?.parse().ok()?;
        number.checked_mul(*seconds).filter(|seconds| 0 < *seconds)
    });
    let hint = "write a whole number and one of s, m, h, d: `2h`";
    found.ok_or_else(|| refused(&format!("`{text}` is no time"), hint))
}

fn spool_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let bytes = u64::deserialize(from)?;
    if SPOOL_BYTES_MIN <= bytes {
        return Ok(bytes);
    }
    let hint = "give the spool at least 8388608 bytes (8 MiB)";
    Err(refused(&format!("{bytes} bytes are too few"), hint))
}

#[cfg(test)]
mod tests;
