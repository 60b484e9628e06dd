//! What keeps a condition from being told: silences with an end, and acknowledgements.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use shared::id::AgentId;
use shared::time::Timestamp;

use super::route::severity;
use crate::drift::{Condition, ConditionKind};
use crate::register::Register;
use crate::register::views::Note;

/// Why nobody is reminded of a condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hush {
    /// A person knows; the operand names the record.
    Acknowledged(String),
    /// It is silenced; the operand names the record.
    Silenced(String),
}

impl std::fmt::Display for Hush {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Acknowledged(id) => write!(f, "acknowledged by {id}"),
            Self::Silenced(id) => write!(f, "silenced by {id}"),
        }
    }
}

/// All silences and acknowledgements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quiet {
    /// Silences.
    pub silences: Vec<Note>,
    /// Acknowledgements.
    pub acknowledgements: Vec<Note>,
    /// Hosts that had no time yet to be heard since the collector began: of these nothing is over.
    pub unheard: BTreeSet<AgentId>,
}

impl Quiet {
    /// What is in force at an instant.
    #[must_use]
    pub fn at(register: &Register, at: Timestamp) -> Self {
        Self {
            silences: register.silences(at),
            acknowledgements: register.acknowledgements(at),
            unheard: BTreeSet::new(),
        }
    }

    /// What keeps this condition from being told at `now`; a silence before an acknowledgement.
    /// No silence keeps it from being told that nothing is heard or nobody can be told.
    #[must_use]
    pub fn of(&self, condition: &Condition, now: Timestamp) -> Option<Hush> {
        // It is known until it is over: what begins later nobody has seen yet.
        let known = |note: &&Note| condition.since <= note.from && lasts(note, condition, now);
        let blind = [ConditionKind::SilentFleet, ConditionKind::Undelivered];
        let sees = !blind.contains(&condition.kind);
        let mut silences = self.silences.iter().filter(|_note| sees);
        let silence = silences.find(|note| note.from <= now && lasts(note, condition, now));
        let known = self.acknowledgements.iter().find(known);
        silence
            .map(|note| Hush::Silenced(note.id.clone()))
            .or_else(|| known.map(|note| Hush::Acknowledged(note.id.clone())))
    }
}

/// Whether a note is about this condition and has not ended.
fn lasts(note: &Note, condition: &Condition, now: Timestamp) -> bool {
    let bound = note.severity.as_deref().and_then(severity);
    let check = condition.check.as_deref().unwrap_or_default();
    let host = condition.host.as_ref().map_or("", |host| host.as_str());
    let controls: Vec<&str> = condition.controls.iter().map(String::as_str).collect();
    let groups: Vec<&str> = condition.groups.iter().map(String::as_str).collect();
    note.until.is_none_or(|until| now < until)
        && bound.is_none_or(|most| condition.severity <= most)
        && note.reach.covers((check, &controls), (host, &groups))
}
