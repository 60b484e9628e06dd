//! What people laid down that an assessment reads: exceptions, scope, applicability, conclusions.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::id::{AgentId, Digest, PersonId};
use shared::time::Timestamp;

use crate::catalog::Severity;
use crate::catalog::soa::Soa;
use crate::config::SlaDays;
use crate::register::views::{Conclusion, Reach};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A stretch of time: `from` belongs to it, `to` does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Window {
    /// When it begins.
    pub from: Timestamp,
    /// When it is over.
    pub to: Timestamp,
}

impl Window {
    /// How long it is in milliseconds; 0 when it ends before it begins.
    #[must_use]
    pub const fn ms(self) -> i64 {
        let ms = self.to.ms_since(self.from);
        if ms < 0 { 0 } else { ms }
    }

    /// The part that both have; `None` when there is none.
    #[must_use]
    pub fn cut(self, other: Self) -> Option<Self> {
        let (from, to) = (self.from.max(other.from), self.to.min(other.to));
        (from < to).then_some(Self { from, to })
    }

    /// Whether an instant lies in it.
    #[must_use]
    pub fn holds(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }
}

/// A finding is accepted by a person for a time. It stays a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Id of the record.
    pub id: String,
    /// What it is about.
    pub reach: Reach,
    /// From the approval until the end that was set, or until somebody ended it before.
    pub window: Window,
    /// Who answers for it.
    pub owner: String,
    /// Who approved it.
    pub approver: String,
    /// Why.
    pub reason: String,
}

/// A person knows of a finding and works on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Id of the record.
    pub id: String,
    /// What it is about.
    pub reach: Reach,
    /// From when until when it counts.
    pub window: Window,
    /// Who.
    pub by: String,
    /// What was said.
    pub text: String,
}

/// A document that a person brought as evidence, and that somebody else approved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brought {
    /// Id of the record.
    pub id: String,
    /// What it is.
    pub title: String,
    /// Which revision was approved.
    pub revision: String,
    /// Who answers for it.
    pub owner: String,
    /// Who brought this revision.
    pub brought_by: String,
    /// Who approved it.
    pub approver: String,
    /// When.
    pub approved: Timestamp,
    /// From when it speaks.
    pub covers_from: Timestamp,
    /// When it ceases to count: it speaks no longer, or it expires.
    pub until: Option<Timestamp>,
    /// The file, a blob of the ledger, if it was given.
    pub document: Option<Digest>,
}

/// A nonconformity or a risk that is not closed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Its register.
    pub register: String,
    /// Id of the record.
    pub id: String,
    /// Its state.
    pub state: String,
    /// Who answers for it; may be empty.
    pub owner: String,
    /// What it says.
    pub text: String,
}

/// The row of a control in the statement of applicability in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applicability {
    /// The control applies.
    pub applicable: bool,
    /// Why, or why not; empty is a gap that a person must fill.
    pub justification: String,
    /// How far it is implemented, as the statement says.
    pub state: Option<String>,
    /// Who owns it.
    pub owner: Option<PersonId>,
}

/// Where a host stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The groups that it is in.
    pub groups: Vec<String>,
    /// Why it is out of scope; `None` when it is in.
    pub out: Option<String>,
}

/// How long a deviation may last, by severity, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sla {
    /// Of severity critical.
    pub critical_ms: i64,
    /// Of severity high.
    pub high_ms: i64,
    /// Of severity medium.
    pub medium_ms: i64,
    /// Of severity low.
    pub low_ms: i64,
}

/// As the settings are where nobody sets them.
impl Default for Sla {
    fn default() -> Self {
        Self::from(SlaDays::default())
    }
}

impl From<SlaDays> for Sla {
    fn from(days: SlaDays) -> Self {
        Self {
            critical_ms: i64::from(days.critical) * DAY_MS,
            high_ms: i64::from(days.high) * DAY_MS,
            medium_ms: i64::from(days.medium) * DAY_MS,
            low_ms: i64::from(days.low) * DAY_MS,
        }
    }
}

impl Sla {
    /// The limit of one severity in milliseconds.
    #[must_use]
    pub const fn of(&self, severity: Severity) -> i64 {
        match severity {
            Severity::Critical => self.critical_ms,
            Severity::High => self.high_ms,
            Severity::Medium => self.medium_ms,
            Severity::Low => self.low_ms,
        }
    }
}

/// All that people laid down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Exceptions, also those that ended.
    pub exceptions: Vec<Exception>,
    /// Acknowledgements, also those that ended.
    pub acknowledgements: Vec<Acknowledgement>,
    /// Where hosts stand as of the instant; one that is not here is in scope and in no group.
    pub places: BTreeMap<AgentId, Place>,
    /// Where hosts stood over a period, for those that moved in it: from when, in order. All
    /// others stood where they stand at its end.
    pub moves: BTreeMap<AgentId, Vec<(Timestamp, Place)>>,
    /// The statement of applicability in force.
    pub soa: Option<Soa>,
    /// Its rows by control; empty without one.
    pub applicability: BTreeMap<String, Applicability>,
    /// People who may decide.
    pub people: BTreeSet<PersonId>,
    /// The documents that count for each control as of the instant.
    pub documents: BTreeMap<String, Vec<Brought>>,
    /// The nonconformities and risks that name each control and are not closed.
    pub open: BTreeMap<String, Vec<Open>>,
    /// What people concluded, the latest first.
    pub conclusions: Vec<Conclusion>,
    /// How long deviations may last.
    pub sla: Sla,
}

impl Given {
    /// The documents that count for a control.
    #[must_use]
    pub fn documents(&self, control: &str) -> Vec<Brought> {
        self.documents.get(control).cloned().unwrap_or_default()
    }

    /// The nonconformities and risks that name a control and are not closed.
    #[must_use]
    pub fn open(&self, control: &str) -> Vec<Open> {
        self.open.get(control).cloned().unwrap_or_default()
    }

    /// The groups of a host.
    #[must_use]
    pub fn groups(&self, host: &AgentId) -> &[String] {
        self.places
            .get(host)
            .map_or(&[], |place| place.groups.as_slice())
    }

    /// Why a host is out of scope; `None` when it is in.
    #[must_use]
    pub fn out(&self, host: &AgentId) -> Option<&str> {
        self.places.get(host)?.out.as_deref()
    }

    /// Where a host stood at an instant of the period.
    #[must_use]
    pub fn place_at(&self, host: &AgentId, at: Timestamp) -> Option<&Place> {
        let Some(moves) = self.moves.get(host) else {
            return self.places.get(host);
        };
        let after = moves.partition_point(|(from, _place)| *from <= at);
        let then = moves.get(after.saturating_sub(1));
        then.map(|(_from, place)| place)
    }

    /// Where a host stood in a window of the period, cut where it moved.
    #[must_use]
    pub fn stretches(&self, host: &AgentId, window: Window) -> Vec<(Window, Option<&Place>)> {
        let moves = self.moves.get(host).map_or(&[][..], Vec::as_slice);
        let inside = moves.iter().map(|(from, _place)| *from);
        let inside = inside.filter(|from| window.from < *from && *from < window.to);
        let mut edges = vec![window.from];
        edges.extend(inside);
        edges.push(window.to);
        let cut = edges.iter().zip(edges.iter().skip(1));
        cut.map(|(from, to)| {
            let (from, to) = (*from, *to);
            (Window { from, to }, self.place_at(host, from))
        })
        .collect()
    }

    /// Why a host was out of scope at an instant of the period; `None` when it was in.
    #[must_use]
    pub fn out_at(&self, host: &AgentId, at: Timestamp) -> Option<&str> {
        self.place_at(host, at)?.out.as_deref()
    }

    /// Whether a decision is about a finding as far as it bears on these controls.
    #[must_use]
    pub fn covers(&self, reach: &Reach, controls: &[&str], check: &str, host: &AgentId) -> bool {
        let groups: Vec<_> = self.groups(host).iter().map(String::as_str).collect();
        reach.covers((check, controls), (host.as_str(), &groups))
    }

    /// The exception that covers a finding as far as it bears on a control at an instant: the one
    /// that ends last.
    #[must_use]
    pub fn excepted(
        &self,
        (control, check, host): (&str, &str, &AgentId),
        at: Timestamp,
    ) -> Option<&Exception> {
        let lasting = self.exceptions.iter().filter(|one| one.window.holds(at));
        lasting
            .filter(|one| self.covers(&one.reach, &[control], check, host))
            .max_by_key(|one| one.window.to)
    }

    /// When exceptions cover a finding as far as it bears on a control, in any order.
    #[must_use]
    pub fn excepted_windows(&self, control: &str, check: &str, host: &AgentId) -> Vec<Window> {
        let of = self.exceptions.iter();
        of.filter(|one| self.covers(&one.reach, &[control], check, host))
            .map(|one| one.window)
            .collect()
    }

    /// The owners of controls by the statement of applicability, each once.
    #[must_use]
    pub fn owners<'a>(&self, controls: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        let rows = controls
            .into_iter()
            .filter_map(|control| self.applicability.get(control));
        let owned = rows.filter_map(|row| row.owner.as_ref());
        let mut owners: Vec<_> = owned.map(PersonId::to_string).collect();
        owners.sort();
        owners.dedup();
        owners
    }

    /// What a person concluded last of a control: for all hosts, or for one of these groups.
    #[must_use]
    pub fn conclusion(&self, control: &str, groups: &[String]) -> Option<&Conclusion> {
        let mut all = self.conclusions.iter().filter(|one| one.control == control);
        all.find(|one| {
            one.group
                .as_ref()
                .is_none_or(|group| groups.contains(group))
        })
    }
}
