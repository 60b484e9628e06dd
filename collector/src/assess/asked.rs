//! Which part of an assessment is wanted.

use serde::{Deserialize, Serialize};
use shared::id::AgentId;
use shared::time::Timestamp;

use super::given::Given;
use crate::catalog::Catalog;
use crate::fault::nearest;
use crate::register::Pattern;

/// Hosts that are named where nobody says how many.
const NAMES: usize = 20;

/// Most characters of a hint.
const HINT_MAX: usize = 200;

/// Which part of an assessment is wanted. An empty list stands for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    /// Ids of controls; `*` at the end stands for any rest, as in `A.8.*`.
    pub controls: Vec<String>,
    /// Names of hosts; a `*` stands for any characters.
    pub hosts: Vec<String>,
    /// Groups of hosts.
    pub groups: Vec<String>,
    /// Most hosts that are named in one place; all are counted.
    pub names: usize,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            controls: Vec::new(),
            hosts: Vec::new(),
            groups: Vec::new(),
            names: NAMES,
        }
    }
}

/// A question names what is not there. Whoever asks must correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskedError {
    /// No such control.
    #[error("`{0}` is no control of Annex A:2022: give an id as `A.8.13`, or several as `A.8.*`")]
    Control(String),
    /// No such host was ever enrolled.
    #[error("`{name}` is no host that was ever enrolled: {hint}")]
    Host {
        /// What was asked for.
        name: String,
        /// What could be meant.
        hint: String,
    },
    /// No such group was ever defined.
    #[error("`{name}` is no group that was ever defined: {hint}")]
    Group {
        /// What was asked for.
        name: String,
        /// What could be meant.
        hint: String,
    },
}

impl AskedError {
    /// The part of the question that names it.
    #[must_use]
    pub const fn part(&self) -> &'static str {
        match self {
            Self::Control(_) => "control",
            Self::Host { .. } => "host",
            Self::Group { .. } => "group",
        }
    }
}

impl Asked {
    /// Lists of controls, hosts and groups as they stand in a question, each parted by commas.
    #[must_use]
    pub fn of(controls: &str, hosts: &str, groups: &str) -> Self {
        let list = |text: &str| -> Vec<String> {
            let parts = text.split(',').map(str::trim);
            let parts = parts.filter(|part| !part.is_empty());
            parts.map(str::to_owned).collect()
        };
        Self {
            controls: list(controls),
            hosts: list(hosts),
            groups: list(groups),
            names: NAMES,
        }
    }

    /// Refuses controls that the catalogue does not have.
    ///
    /// # Errors
    ///
    /// [`AskedError`] names the first one.
    pub fn check(&self, catalog: &Catalog) -> Result<(), AskedError> {
        let known = |asked: &&String| {
            let mut controls = catalog.controls().iter();
            controls.any(|control| is_like(asked, &control.id))
        };
        match self.controls.iter().find(|asked| !known(asked)) {
            Some(unknown) => Err(AskedError::Control(shown(unknown))),
            None => Ok(()),
        }
    }

    /// Refuses hosts and groups that never were: an answer about none of them would look good.
    ///
    /// # Errors
    ///
    /// [`AskedError`] names the first one and what is near.
    pub fn check_names(&self, hosts: &[AgentId], groups: &[&str]) -> Result<(), AskedError> {
        let known = |asked: &&String| hosts.iter().any(|host| is_named(asked, host));
        if let Some(unknown) = self.hosts.iter().find(|asked| !known(asked)) {
            return Err(AskedError::Host {
                name: shown(unknown),
                hint: near(unknown, hosts.iter().map(AgentId::as_str)),
            });
        }
        let known = |asked: &&String| groups.contains(&asked.as_str());
        if let Some(unknown) = self.groups.iter().find(|asked| !known(asked)) {
            return Err(AskedError::Group {
                name: shown(unknown),
                hint: near(unknown, groups.iter().copied()),
            });
        }
        Ok(())
    }

    /// Whether a control is wanted.
    #[must_use]
    pub fn wants(&self, control: &str) -> bool {
        self.controls.is_empty() || self.controls.iter().any(|asked| is_like(asked, control))
    }

    /// Whether a host is wanted.
    #[must_use]
    pub fn wants_host(&self, host: &AgentId, given: &Given) -> bool {
        self.wants_in(host, given.groups(host))
    }

    /// Whether a host is wanted as it stood at an instant of the period.
    #[must_use]
    pub fn wants_host_at(&self, host: &AgentId, given: &Given, at: Timestamp) -> bool {
        let place = given.place_at(host, at);
        self.wants_in(host, place.map_or(&[], |place| place.groups.as_slice()))
    }

    /// Whether a host is wanted that is in these groups.
    #[must_use]
    pub fn wants_in(&self, host: &AgentId, groups: &[String]) -> bool {
        let named = || self.hosts.iter().any(|asked| is_named(asked, host));
        let grouped = || self.groups.iter().any(|group| groups.contains(group));
        (self.hosts.is_empty() || named()) && (self.groups.is_empty() || grouped())
    }
}

fn shown(unknown: &str) -> String {
    unknown.chars().take(80).collect()
}

/// What could be meant; of many names that are all far away only some are told.
fn near<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> String {
    let hint = nearest(unknown, known);
    match hint.char_indices().nth(HINT_MAX) {
        Some((end, _)) => format!("{} ..", hint.get(..end).unwrap_or_default()),
        None => hint,
    }
}

/// Whether a control is the one that is asked for; `*` at the end stands for any rest.
fn is_like(asked: &str, control: &str) -> bool {
    match asked.strip_suffix('*') {
        Some(begin) => control.starts_with(begin),
        None => asked == control,
    }
}

fn is_named(asked: &str, host: &AgentId) -> bool {
    Pattern::new(asked).is_some_and(|pattern| pattern.matches(host.as_str()))
}
