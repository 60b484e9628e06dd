//! Which part of an assessment is wanted.

use serde::{Deserialize, Serialize};
use shared::id::AgentId;
use shared::time::Timestamp;

use super::given::Given;
use crate::catalog::Catalog;
use crate::register::Pattern;

/// Hosts that are named where nobody says how many.
const NAMES: usize = 20;

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
#[error("`{0}` is no control of Annex A:2022: give an id as `A.8.13`, or several as `A.8.*`")]
pub struct AskedError(pub String);

impl Asked {
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
            Some(unknown) => Err(AskedError(unknown.chars().take(80).collect())),
            None => Ok(()),
        }
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
