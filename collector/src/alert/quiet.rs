//! What keeps a condition from being told: silences with an end, and acknowledgements.

use serde::{Deserialize, Serialize};
use shared::time::Timestamp;

use super::route::Matcher;
use crate::drift::Condition;

/// Nobody is told of these conditions until an instant; they are still recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Silence {
    /// The record that says so.
    pub id: String,
    /// Which conditions.
    pub matcher: Matcher,
    /// From when.
    pub from: Timestamp,
    /// Until when; this instant is outside.
    pub until: Timestamp,
}

/// A person knows of a condition and cares for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// The record that says so.
    pub id: String,
    /// Which conditions.
    pub matcher: Matcher,
    /// When; what began later is not acknowledged by it.
    pub at: Timestamp,
    /// Until when, if it ends; this instant is outside.
    pub until: Option<Timestamp>,
}

/// Why nobody is reminded of a condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hush {
    /// A person knows; the operand names the record.
    Acknowledged(String),
    /// It is silenced; the operand names the record.
    Silenced(String),
}

/// All silences and acknowledgements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quiet {
    /// Silences.
    pub silences: Vec<Silence>,
    /// Acknowledgements.
    pub acknowledgements: Vec<Acknowledgement>,
}

impl Quiet {
    /// What keeps this condition from being told at `now`; a silence before an acknowledgement.
    #[must_use]
    pub fn of(&self, condition: &Condition, now: Timestamp) -> Option<Hush> {
        let silenced = self.silences.iter().find(|silence| {
            silence.from <= now && now < silence.until && silence.matcher.takes(condition)
        });
        let known = self.acknowledgements.iter().find(|known| {
            condition.since <= known.at
                && known.until.is_none_or(|until| now < until)
                && known.matcher.takes(condition)
        });
        silenced
            .map(|silence| Hush::Silenced(silence.id.clone()))
            .or_else(|| known.map(|known| Hush::Acknowledged(known.id.clone())))
    }
}
