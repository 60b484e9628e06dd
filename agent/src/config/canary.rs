//! The settings of the canary probe: whether it sends lines, and where lines of others arrive.

use serde::{Deserialize, Deserializer};

use super::refused;

/// Settings of the canary probe.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CanarySettings {
    /// A signed line is sent at each look. Only an enrolled agent does, on the host that it runs
    /// on.
    pub send: bool,
    /// Files in which a syslog daemon of this host writes lines of facility user, besides the
    /// journal.
    #[serde(deserialize_with = "paths")]
    pub logs: Vec<String>,
    /// Files in which a log host writes the lines of others: patterns with `*` and `?`.
    #[serde(rename = "watch", deserialize_with = "watches")]
    pub watches: Vec<String>,
}

impl Default for CanarySettings {
    fn default() -> Self {
        let logs = ["/var/log/syslog", "/var/log/messages", "/var/log/user.log"];
        Self {
            send: true,
            logs: logs.map(str::to_owned).to_vec(),
            watches: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watch {
    path: String,
}

fn watches<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let watches = Vec::<Watch>::deserialize(from)?;
    let paths = watches.into_iter().map(|watch| watch.path).collect();
    all_absolute(paths)
}

fn paths<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    all_absolute(Vec::deserialize(from)?)
}

fn all_absolute<E: serde::de::Error>(paths: Vec<String>) -> Result<Vec<String>, E> {
    match paths.iter().find(|path| !path.starts_with('/')) {
        None => Ok(paths),
        Some(path) => {
            let hint = "write the whole path, beginning with `/`";
            Err(refused(&format!("`{path}` is no absolute path"), hint))
        }
    }
}
