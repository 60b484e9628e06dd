//! What changed, and what is wrong now: conditions that people are told of.
//!
//! Drift is a change that no decision explains. A change that one does explain is shown apart, with
//! the decision. Silence of a host, of a probe, of the fleet and of the collector is drift too, and
//! so are hosts that come and go.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use crate::catalog::Severity;

mod entry;
mod silence;
mod change;
mod ended;
mod now;
mod desk;
mod population;

pub use change::{Came, Damping, Input, drift};
pub use desk::{conditions, over};
pub use ended::ended;
pub use entry::{Counts, Direction, Drift, Entry, Explained, FactChange, Side, What, Why};
pub use now::{Detail, Details, Silences, Watch};
pub use population::of_population;
pub use silence::{Quiet, fleet_silences, gaps};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConditionKind {
    /// A check fails on a host.
    Failing,
    /// Of a check on a host nothing can be told any more, and it could before.
    Unknown,
    /// A host sends nothing.
    SilentHost,
    /// A probe of a host brings nothing that it brought before.
    SilentProbe,
    /// No host sends anything.
    SilentFleet,
    /// The stream of a host has a record twice.
    ForkedHost,
    /// A host is expected and not enrolled, or seen and not enrolled.
    Population,
    /// A decision ended, or is about to: an exception, a document, a due date.
    Due,
    /// A channel does not take what people are to be told.
    Undelivered,
}

/// Something that is wrong as of a moment, and that somebody is to be told of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Names it for as long as it lasts, e.g. `failing/web-1/clock.synchronised`: kind, host and
    /// check, or what else tells it from all others.
    pub key: String,
    /// What is wrong.
    pub kind: ConditionKind,
    /// How much it matters.
    pub severity: Severity,
    /// The host, if it is one.
    pub host: Option<AgentId>,
    /// The groups that the host is in.
    pub groups: Vec<String>,
    /// The check, if it is one.
    pub check: Option<String>,
    /// The controls that it bears on.
    pub controls: Vec<String>,
    /// Who owns these controls by the statement of applicability.
    pub owners: Vec<String>,
    /// Since when.
    pub since: Timestamp,
    /// What is wrong and what to do, in a few words on one line.
    pub text: String,
    /// The facts that decided it.
    pub facts: BTreeMap<String, String>,
    /// The records it stands on.
    pub evidence: Vec<Digest>,
}

#[cfg(test)]
mod tests;
