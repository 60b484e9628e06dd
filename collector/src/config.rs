//! The collector's settings: read once, checked whole, then only borrowed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use shared::durable;
use shared::id::AgentId;

use crate::fault::{Complaint, Fault};

/// Name of the settings file in the collector's folder.
pub const FILE: &str = "collector.toml";
/// The settings with every default, as `init` writes them.
pub const DEFAULT: &str = include_str!("../../config/collector.toml");
/// Longest settings file.
const FILE_BYTES_MAX: u64 = 256 * 1024;
/// Longest name of a host (RFC 1035, section 2.3.4, as text).
const HOST_NAME_BYTES_MAX: usize = 253;

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
    /// The checks that are in force.
    pub catalogue: Catalogue,
    /// Diagnostics.
    pub log: Log,
}

/// The checks that are in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Catalogue {
    /// Folder of the catalogue, from the collector's folder; empty for the one inside.
    pub folder: PathBuf,
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
        toml::from_str(text).map_err(|error| {
            let file = path.display().to_string();
            let fault = Complaint::of_toml(&error, text).in_file(&file, text);
            ConfigError::Setting(Box::new(fault))
        })
    }
}

/// A whole number from 1 to `MAX`.
fn upto<'de, const MAX: u64, T: TryFrom<u64>, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    let given = i64::deserialize(from)?;
    let number = u64::try_from(given).ok();
    let number = number.filter(|number| (1..=MAX).contains(number));
    let fits = number.and_then(|number| T::try_from(number).ok());
    fits.ok_or_else(|| {
        let what = format!("{given} is out of range");
        refused(&what, &format!("write a whole number from 1 to {MAX}"))
    })
}

/// An address with its port, or nothing in an empty text.
fn no_or_address<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SocketAddr>, D::Error> {
    let given = String::deserialize(from)?;
    if given.is_empty() {
        return Ok(None);
    }
    given.parse().map(Some).map_err(|_form| {
        let what = format!("{given:?} is no address with a port");
        refused(
            &what,
            "write e.g. \"0.0.0.0:6514\", or \"\" for no listener",
        )
    })
}

/// A name that can stand in a certificate.
fn host_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let name = String::deserialize(from)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
    if !name.is_empty() && name.len() <= HOST_NAME_BYTES_MAX && name.chars().all(plain) {
        return Ok(name);
    }
    let what = format!("{name:?} is no host name and no address");
    let hint = "write letters, digits, `.` and `-`, and `:` in addresses, 253 at most";
    Err(refused(&what, hint))
}

fn host_names<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    /// One name, so that what is wrong is marked alone.
    #[derive(Deserialize)]
    struct Name(#[serde(deserialize_with = "host_name")] String);

    let names = Vec::<Name>::deserialize(from)?;
    if names.is_empty() {
        let hint = "name at least one, as agents write it in their settings";
        return Err(refused("there is no name in the list", hint));
    }
    Ok(names.into_iter().map(|name| name.0).collect())
}

/// Names of agents.
fn agents<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<AgentId>, D::Error> {
    /// One name, so that what is wrong is marked alone.
    #[derive(Deserialize)]
    struct Name(#[serde(deserialize_with = "agent")] AgentId);

    let names = Vec::<Name>::deserialize(from)?;
    Ok(names.into_iter().map(|name| name.0).collect())
}

fn agent<'de, D: Deserializer<'de>>(from: D) -> Result<AgentId, D::Error> {
    let name = String::deserialize(from)?;
    name.parse().map_err(|_form| {
        let what = format!("{name:?} is no name of an agent");
        refused(
            &what,
            "write it as the log host was enrolled, e.g. \"log-1\"",
        )
    })
}

/// Refuses a value with what is wrong and what to do about it.
fn refused<E: serde::de::Error>(what: &str, hint: &str) -> E {
    E::custom(format!("{what}\nhint: {hint}"))
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

    /// The errors are part of the product: place, message and hint of each.
    #[track_caller]
    fn wrong(text: &str, (line, column): (usize, usize), message: &str, hint: &str) {
        let error = parse(text).unwrap_err();
        let ConfigError::Setting(fault) = &error else {
            panic!("{error}");
        };
        let found = (fault.line, fault.column, &*fault.message, &*fault.hint);
        assert_eq!(found, (line, column, message, hint), "{text}");
        let shown = error.to_string();
        let arrow = format!("--> collector.toml:{line}:{column}");
        assert!(shown.contains(&arrow) && shown.contains('^'), "{shown}");
    }

    #[test]
    fn unknown_settings_are_named_with_their_place() {
        let unknown = "unknown field `lisen`";
        wrong(
            "[intake]\nlisen = 1",
            (2, 1),
            unknown,
            "did you mean `listen`?",
        );
        let known = "known are: name, intake, logs, fleet, catalogue, log";
        wrong("title = 1", (1, 1), "unknown field `title`", known);
        let hint = "did you mean `debug`?";
        wrong(
            "[log]\nlevel = \"debg\"",
            (2, 9),
            "unknown variant `debg`",
            hint,
        );
    }

    #[test]
    fn wrong_names_are_shown_with_their_place() {
        let hint = "write letters, digits, `.` and `-`, and `:` in addresses, 253 at most";
        let long = "a".repeat(254);
        for name in ["a b", "", "a/b", "\u{e4}", &long] {
            let message = format!("{name:?} is no host name and no address");
            wrong(&format!("name = \"{name}\""), (1, 8), &message, hint);
            let text = format!("[intake]\nnames = [\n  \"a\",\n  \"{name}\",\n]");
            wrong(&text, (4, 3), &message, hint);
        }
        let hint = "name at least one, as agents write it in their settings";
        wrong(
            "[intake]\nnames = []",
            (2, 9),
            "there is no name in the list",
            hint,
        );
    }

    #[test]
    fn the_log_listener_is_off_until_it_has_an_address() {
        let address = parse("[logs]\nlisten = \"[::1]:6514\"")
            .unwrap()
            .logs
            .listen;
        assert_eq!(address, Some("[::1]:6514".parse().unwrap()));
        assert_eq!(parse("[logs]\nlisten = \"\"").unwrap().logs.listen, None);
        let hint = "write e.g. \"0.0.0.0:6514\", or \"\" for no listener";
        for listen in ["localhost:6514", "6514", "0.0.0.0", " "] {
            let message = format!("{listen:?} is no address with a port");
            let text = format!("[logs]\nlisten = {listen:?}");
            wrong(&text, (2, 10), &message, hint);
        }
    }

    #[test]
    fn log_hosts_are_named_as_they_were_enrolled() {
        let logs = parse("[logs]\nwatchers = [\"log-1\", \"log-2\"]")
            .unwrap()
            .logs;
        let names: Vec<&str> = logs.watchers.iter().map(AgentId::as_str).collect();
        assert_eq!(names, ["log-1", "log-2"]);
        let hint = "write it as the log host was enrolled, e.g. \"log-1\"";
        let message = "\"Log 1\" is no name of an agent";
        wrong(
            "[logs]\nwatchers = [\n  \"Log 1\",\n]",
            (3, 3),
            message,
            hint,
        );
    }

    #[test]
    fn wrong_numbers_are_shown_with_their_place() {
        for (table, name, most) in [
            ("intake", "connections_max", 65_536),
            ("intake", "submissions_max", 65_536),
            ("intake", "connection_seconds", 86_400),
            ("intake", "request_seconds", 3_600),
            ("logs", "connections_max", 65_536),
            ("logs", "connections_per_address_max", 65_536),
            ("logs", "idle_seconds", 604_800),
            ("logs", "due_seconds", 86_400),
            ("fleet", "certificate_days", 90),
            ("fleet", "token_hours", 720),
            ("fleet", "heartbeat_seconds", 86_400),
        ] {
            let hint = format!("write a whole number from 1 to {most}");
            for number in [0, -1, most + 1, i64::MAX, i64::MIN] {
                let text = format!("[{table}]\n{name} = {number} # too much");
                let message = format!("{number} is out of range");
                wrong(&text, (2, name.len() + 4), &message, &hint);
            }
            for number in [1, most] {
                let text = format!("[{table}]\n{name} = {number}");
                assert!(parse(&text).is_ok(), "{text}");
            }
            let text = format!("[{table}]\n{name} = \"1h\"");
            let message = "invalid type: string \"1h\"";
            wrong(
                &text,
                (2, name.len() + 4),
                message,
                "expected a whole number",
            );
        }
    }

    #[test]
    fn what_is_no_toml_is_shown_too() {
        for text in [
            "[intake",
            "name = ",
            "name == \"a\"",
            "[log]\nlevel = \"\u{e4}",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("--> collector.toml:"), "{error}");
        }
    }
}
