//! The collector's settings: read once, checked whole, then only borrowed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use shared::durable;

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
    pub name: String,
    /// The listener for agents.
    pub intake: Intake,
    /// Who may submit, and for how long.
    pub fleet: Fleet,
    /// Diagnostics.
    pub log: Log,
}

/// The listener for agents.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Intake {
    /// Address and port.
    pub listen: SocketAddr,
    /// Host names and addresses in the server certificate.
    pub names: Vec<String>,
    /// Connections at once.
    pub connections_max: usize,
    /// Submissions worked on at once.
    pub submissions_max: usize,
    /// Life of a connection, in seconds.
    pub connection_seconds: u64,
    /// Life of a request, in seconds.
    pub request_seconds: u64,
}

/// Who may submit, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fleet {
    /// Life of an agent's certificate, in days.
    pub certificate_days: u16,
    /// Life of an enrolment token, in hours.
    pub token_hours: u16,
    /// The longest time between two records of an agent, in seconds.
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
            fleet: Fleet::default(),
            log: Log::default(),
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
    /// The file is no TOML, or a setting is unknown or of another type. The text has line,
    /// column and caret.
    #[error("settings `{path}` are wrong\n{source}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Why, with the place.
        source: Box<toml::de::Error>,
    },
    /// A value is outside its range.
    #[error("settings `{path}` are wrong: `{setting}` {wrong}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The setting.
        setting: &'static str,
        /// What is wrong, and what is wanted.
        wrong: &'static str,
    },
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
        let path = path.to_owned();
        let config: Self = match toml::from_str(text) {
            Ok(config) => config,
            Err(source) => {
                return Err(ConfigError::Toml {
                    path,
                    source: Box::new(source),
                });
            }
        };
        match config.wrong() {
            None => Ok(config),
            Some((setting, wrong)) => Err(ConfigError::Value {
                path,
                setting,
                wrong,
            }),
        }
    }

    fn wrong(&self) -> Option<(&'static str, &'static str)> {
        let host = |name: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
            !name.is_empty() && name.len() <= 253 && name.chars().all(plain)
        };
        let Intake {
            connections_max,
            submissions_max,
            connection_seconds,
            request_seconds,
            ..
        } = self.intake;
        let range = |value: u64, end: u64| (1..=end).contains(&value);
        let count = |value: usize| (1..=65_536).contains(&value);
        [
            (host(&self.name), "name", "is no host name"),
            (
                !self.intake.names.is_empty(),
                "intake.names",
                "is empty; agents need one name",
            ),
            (
                self.intake.names.iter().all(|name| host(name)),
                "intake.names",
                "has no host name",
            ),
            (
                count(connections_max),
                "intake.connections_max",
                "is not 1 to 65536",
            ),
            (
                count(submissions_max),
                "intake.submissions_max",
                "is not 1 to 65536",
            ),
            (
                range(connection_seconds, 86_400),
                "intake.connection_seconds",
                "is not 1 to 86400",
            ),
            (
                range(request_seconds, 3600),
                "intake.request_seconds",
                "is not 1 to 3600",
            ),
            (
                range(self.fleet.certificate_days.into(), 90),
                "fleet.certificate_days",
                "is not 1 to 90",
            ),
            (
                range(self.fleet.token_hours.into(), 720),
                "fleet.token_hours",
                "is not 1 to 720",
            ),
            (
                range(self.fleet.heartbeat_seconds, 86_400),
                "fleet.heartbeat_seconds",
                "is not 1 to 86400",
            ),
        ]
        .into_iter()
        .find_map(|(good, setting, wrong)| (!good).then_some((setting, wrong)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("collector.toml"))
    }

    #[test]
    fn the_file_that_init_writes_holds_the_defaults() {
        assert_eq!(parse(DEFAULT).unwrap(), Config::default());
        assert_eq!(parse("").unwrap(), Config::default());
    }

    #[test]
    fn wrong_settings_are_named_with_their_place() {
        for (text, part) in [
            ("[intake]\nlisten = 1", "line 2, column 10"),
            (
                "[intake]\nlisen = \"127.0.0.1:1\"",
                "unknown field `lisen`, expected one of",
            ),
            ("name = \"a b\"", "`name` is no host name"),
            ("[intake]\nnames = []", "`intake.names` is empty"),
            (
                "[intake]\nsubmissions_max = 0",
                "`intake.submissions_max` is not 1 to 65536",
            ),
            (
                "[fleet]\ncertificate_days = 0",
                "`fleet.certificate_days` is not 1 to 90",
            ),
            ("[log]\nlevel = \"loud\"", "unknown variant `loud`"),
            ("[intake", "line 1"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("collector.toml"),
                "{error}"
            );
        }
    }
}
