//! Tells people what is wrong: routed, grouped, without repetition, until it is delivered.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

use crate::catalog::Severity;
use crate::drift::Condition;

pub mod route;
pub mod quiet;
pub mod due;
pub mod incident;
pub mod outbox;
pub mod engine;
mod channel;

pub use channel::{Channel, ChannelError, Ping};

/// Most conditions that a notice shows.
pub const CONDITIONS_MAX: usize = 50;

/// The key of the condition that a channel does not take what it is told.
#[must_use]
pub fn undelivered_key(channel: &str) -> String {
    format!("undelivered/{channel}")
}

/// Why a notice is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// Something is wrong, or more is.
    Raised,
    /// It still is.
    Reminder,
    /// It still is, and nobody has acknowledged it in time.
    Escalated,
    /// Somebody has said that it is known: nobody else need be called.
    Acknowledged,
    /// It is over.
    Resolved,
    /// Somebody tries the channel.
    Test,
}

/// A message for people about conditions that belong together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Names the incident for as long as it lasts, also after a restart: receivers that know an
    /// incident by a key get this one.
    pub incident: String,
    /// Counts the notices of the incident, from 1: the same number is the same message.
    pub number: u64,
    /// Why it is sent.
    pub occasion: Occasion,
    /// When it was made.
    pub at: Timestamp,
    /// Since when the oldest of the conditions lasts.
    pub since: Timestamp,
    /// The highest severity among the conditions.
    pub severity: Severity,
    /// What it is about, in one line.
    pub title: String,
    /// The name of the collector.
    pub collector: String,
    /// The conditions, the worst first, at most 50.
    pub conditions: Vec<Condition>,
    /// How many there are in all.
    pub count: u64,
}

/// A notice was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The receiver could not be reached, or is busy; it is tried again.
    #[error("not delivered: {why}")]
    Again {
        /// What happened.
        why: String,
        /// How long the receiver asks to wait, an hour at most, if it said so.
        after: Option<Duration>,
    },
    /// The receiver refuses it; trying again cannot help. The operator must correct the channel.
    #[error("refused: {0}")]
    Refused(String),
}

/// A condition for tests: `HOST CHECK` names it.
#[cfg(test)]
fn condition(key: &str, since: Timestamp) -> Condition {
    let (host, check) = key.split_once(' ').unwrap_or((key, ""));
    Condition {
        key: format!("failing/{host}/{check}"),
        kind: crate::drift::ConditionKind::Failing,
        severity: Severity::Medium,
        host: host.parse().ok(),
        groups: Vec::new(),
        check: Some(check.to_owned()),
        controls: vec!["A.8.17".to_owned()],
        owners: Vec::new(),
        since,
        text: format!("{check} fails on {host}"),
        facts: std::collections::BTreeMap::new(),
        evidence: Vec::new(),
    }
}

/// Routes for tests.
#[cfg(test)]
fn settings(text: &str, channels: &[&str]) -> route::Routes {
    #[derive(Deserialize)]
    struct File {
        route: Vec<crate::config::route::Route>,
    }
    let file: File = toml::from_str(text).unwrap();
    // Who listens at `memory` forgets in a day.
    let forgets = |name: &str| (name == "memory").then_some(Duration::from_hours(24));
    let channels: Vec<_> = channels.iter().map(|name| (*name, forgets(name))).collect();
    route::Routes::of(&file.route, &channels)
}
