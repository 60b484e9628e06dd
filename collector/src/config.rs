//! The collector's settings: read once, checked whole, then only borrowed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use shared::durable;
use shared::id::AgentId;

use crate::fault::{Complaint, Fault};

mod value;
pub mod route;
mod alert;
pub(crate) use alert::reach;
pub use alert::{Alert, Channel, MailTls, Receiver, Server, Transport};
use value::{agents, decided_elsewhere, host_name, host_names, no_or_address, upto};
#[cfg(test)]
mod tests;

/// Name of the settings file in the collector's folder.
pub const FILE: &str = "collector.toml";
/// The settings with every default, as `init` writes them.
pub const DEFAULT: &str = include_str!("../../config/collector.toml");
/// Longest settings file.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The settings.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of the collector: part of the ledger's origin and of every agent's certificate.
    #[serde(deserialize_with = "host_name")]
    pub name: String,
    /// The listener for agents.
    pub intake: Intake,
    /// The listener for log daemons.
    pub logs: Logs,
    /// Who may submit, and for how long.
    pub fleet: Fleet,
    /// The checks.
    pub catalogue: Catalogue,
    /// How long what fails may last.
    pub assess: Assess,
    /// Who is told of what is wrong.
    pub alert: Alert,
    /// Diagnostics.
    pub log: Log,
}

/// What an assessment is held to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Assess {
    /// How long a deviation may last.
    pub sla_days: SlaDays,
}

/// How long a deviation may last by the severity of its check, in days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SlaDays {
    /// Of severity critical.
    #[serde(deserialize_with = "upto::<3_650, _, _>")]
    pub critical: u16,
    /// Of severity high.
    #[serde(deserialize_with = "upto::<3_650, _, _>")]
    pub high: u16,
    /// Of severity medium.
    #[serde(deserialize_with = "upto::<3_650, _, _>")]
    pub medium: u16,
    /// Of severity low.
    #[serde(deserialize_with = "upto::<3_650, _, _>")]
    pub low: u16,
}

/// The checks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Catalogue {
    /// No setting any more: which catalogue is in force is decided in the ledger. Empty as it was
    /// written once.
    #[serde(deserialize_with = "decided_elsewhere")]
    pub folder: (),
    /// Crosswalks of your own, a file or a folder, from the collector's folder; empty for none.
    pub crosswalks: PathBuf,
}

/// The listener for agents.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intake {
    /// Address and port.
    pub listen: SocketAddr,
    /// Host names and addresses in the server certificate.
    #[serde(deserialize_with = "host_names")]
    pub names: Vec<String>,
    /// Connections at once.
    #[serde(deserialize_with = "upto::<65_536, _, _>")]
    pub connections_max: usize,
    /// Submissions worked on at once.
    #[serde(deserialize_with = "upto::<65_536, _, _>")]
    pub submissions_max: usize,
    /// Life of a connection, in seconds.
    #[serde(deserialize_with = "upto::<86_400, _, _>")]
    pub connection_seconds: u64,
    /// Life of a request, in seconds.
    #[serde(deserialize_with = "upto::<3_600, _, _>")]
    pub request_seconds: u64,
}

/// The listener for log daemons, and when a log line counts as lost.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    /// Address and port; `None` for no listener.
    #[serde(deserialize_with = "no_or_address")]
    pub listen: Option<SocketAddr>,
    /// Connections at once.
    #[serde(deserialize_with = "upto::<65_536, _, _>")]
    pub connections_max: usize,
    /// Connections at once from one address.
    #[serde(deserialize_with = "upto::<65_536, _, _>")]
    pub connections_per_address_max: usize,
    /// How long a connection may be silent after its first line, in seconds.
    #[serde(deserialize_with = "upto::<604_800, _, _>")]
    pub idle_seconds: u64,
    /// How long the line of a host may be on its way, in seconds.
    #[serde(deserialize_with = "upto::<86_400, _, _>")]
    pub due_seconds: u32,
    /// Log hosts whose word counts also of hosts of which they never showed a line.
    #[serde(deserialize_with = "agents")]
    pub watchers: Vec<AgentId>,
}

/// Who may submit, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fleet {
    /// Life of an agent's certificate, in days.
    #[serde(deserialize_with = "upto::<90, _, _>")]
    pub certificate_days: u16,
    /// Life of an enrolment token, in hours.
    #[serde(deserialize_with = "upto::<720, _, _>")]
    pub token_hours: u16,
    /// The longest time between two records of an agent, in seconds.
    #[serde(deserialize_with = "upto::<86_400, _, _>")]
    pub heartbeat_seconds: u64,
}

/// Diagnostics.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// What is logged.
    pub level: Level,
    /// How it is written.
    pub format: Format,
}

/// What is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Loss, or a person is needed.
    Error,
    /// Unexpected, and recovered.
    Warn,
    /// What an operator asked for has happened.
    #[default]
    Info,
    /// For the search of faults.
    Debug,
    /// Everything.
    Trace,
}

/// How diagnostics are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "localhost".to_owned(),
            intake: Intake::default(),
            logs: Logs::default(),
            fleet: Fleet::default(),
            catalogue: Catalogue::default(),
            assess: Assess::default(),
            alert: Alert::default(),
            log: Log::default(),
        }
    }
}

/// No standard sets them; a policy does, and these are in common use.
impl Default for SlaDays {
    fn default() -> Self {
        Self {
            critical: 7,
            high: 14,
            medium: 30,
            low: 90,
        }
    }
}

impl Default for Intake {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
            names: vec!["localhost".to_owned(), "127.0.0.1".to_owned()],
            connections_max: 1024,
            submissions_max: 128,
            connection_seconds: 600,
            request_seconds: 60,
        }
    }
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            listen: None,
            connections_max: 256,
            connections_per_address_max: 64,
            idle_seconds: 86_400,
            due_seconds: 300,
            watchers: Vec::new(),
        }
    }
}

impl Default for Fleet {
    fn default() -> Self {
        Self {
            certificate_days: 7,
            token_hours: 24,
            heartbeat_seconds: 3600,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: Level::Info,
            format: Format::Text,
        }
    }
}

/// The settings cannot be used. The operator must correct them.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("settings `{path}` cannot be read")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML, or a setting is unknown, of another type or out of its range.
    #[error("the settings are wrong\n{}", .0.shown)]
    Setting(Box<Fault>),
}

impl Config {
    /// Reads `collector.toml` in the collector's folder.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the place in the file.
    pub fn load(dir: &Path) -> Result<Self, ConfigError> {
        let path = dir.join(FILE);
        match durable::read_text(&path, FILE_BYTES_MAX) {
            Ok(text) => Self::parse(&text, &path),
            Err(source) => Err(ConfigError::File { path, source }),
        }
    }

    /// Reads settings from the text of the file `path`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the place in the file.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let read = toml::from_str::<Self>(text).map_err(|error| Complaint::of_toml(&error, text));
        let checked = read.and_then(|mut config| config.alert.check().map(|()| config));
        checked.map_err(|complaint| {
            let fault = complaint.in_file(&path.display().to_string(), text);
            ConfigError::Setting(Box::new(fault))
        })
    }
}

impl Level {
    /// The word that the log filter takes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}
