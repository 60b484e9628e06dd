//! Who should be there: enrolled hosts held against lists of other systems and against what the
//! evidence itself reveals, as of an instant.
//!
//! Nothing here is stored: it follows from the entries of the ledger. Names are matched exactly,
//! then short against whole where only one fits, then by address; where several fit nothing is
//! guessed, and the case is listed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use crate::inventory::{Listed, Machine};
use crate::register::views::{Groups, ScopeRule};

pub mod scope;
mod told;
mod identity;
mod reconcile;
mod look;
mod table;

pub use look::{Memory, PopulationError, look};
pub use reconcile::reconcile;
pub use table::csv;
pub use told::{Own, Way, own, told};

/// Most sightings of one machine that are shown; all are counted.
pub const SIGHTINGS_MAX: usize = 16;

/// All that is known as of an instant.
#[derive(Debug)]
pub struct Given<'a> {
    /// The instant.
    pub at: Timestamp,
    /// Every host that was ever enrolled until then.
    pub enrolled: Vec<Enrolled>,
    /// The lists in force, in the order of their names.
    pub lists: Vec<List>,
    /// What hosts tell of other machines.
    pub told: Vec<Told>,
    /// The groups with their members.
    pub groups: &'a Groups,
    /// The rules of the scope, the latest first.
    pub scope: &'a [ScopeRule],
}

/// A host that was enrolled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolled {
    /// Its name as an agent.
    pub host: AgentId,
    /// Since when.
    pub since: Timestamp,
    /// When it was revoked, if it was.
    pub retired: Option<Timestamp>,
    /// Since when it is silent, if it is.
    pub silent: Option<Timestamp>,
    /// What it says of itself; `None` when it told nothing of itself or of others.
    pub own: Option<Own>,
}

/// A list that another system keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Its name, e.g. `cmdb`.
    pub name: String,
    /// The file, a blob of the ledger.
    pub document: Digest,
    /// When the other system wrote it, or else when it was brought.
    pub dated: Timestamp,
    /// The decision that brought it.
    pub record: Digest,
    /// Its hosts.
    pub hosts: Vec<Listed>,
}

/// What one host tells of another machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// The machine.
    pub machine: Machine,
    /// An address that stands beside the name.
    pub address: Option<IpAddr>,
    /// Its address on the link; may be empty.
    pub mac: String,
    /// How it is known.
    pub way: Way,
    /// Who tells it.
    pub by: AgentId,
    /// When that was collected.
    pub at: Timestamp,
    /// The record of the ledger.
    pub record: Digest,
}

/// The population as of an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Population {
    /// The instant.
    pub at: Timestamp,
    /// It was held against at least two sources.
    pub reconciled: bool,
    /// Against what it was held, or what is missing for it, in words.
    pub sources: String,
    /// How many machines are in each state.
    pub counts: Counts,
    /// Each list, and how many of its hosts are enrolled.
    pub lists: Vec<ListShown>,
    /// Names and addresses that fit several machines.
    pub ambiguous: Vec<Ambiguous>,
    /// Every machine, in the order of the names.
    pub machines: Vec<Row>,
}

/// How many machines are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Machines in the scope that were not retired: the N of all others.
    pub in_scope: usize,
    /// Enrolled and heard.
    pub enrolled: usize,
    /// Enrolled and silent.
    pub silent: usize,
    /// On a list, and not enrolled.
    pub expected: usize,
    /// Seen, on no list and not enrolled.
    pub seen: usize,
    /// Not in the scope.
    pub out_of_scope: usize,
    /// Enrolled once, and revoked.
    pub retired: usize,
    /// Hosts that tell of other machines, of those that are enrolled.
    pub telling: usize,
}

/// A list as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListShown {
    /// Its name.
    pub name: String,
    /// The file, a blob of the ledger.
    pub document: Digest,
    /// The decision that brought it.
    pub record: Digest,
    /// When the other system wrote it, or else when it was brought.
    pub dated: Timestamp,
    /// How many hosts are on it.
    pub hosts: usize,
    /// How many of them are in the scope.
    pub in_scope: usize,
    /// How many of these are enrolled.
    pub enrolled: usize,
}

/// A name or an address that fits several machines, so that it is none of them for certain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Ambiguous {
    /// The name or the address.
    pub name: String,
    /// The machines that it could be.
    pub could_be: Vec<String>,
}

/// How a machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is enrolled and was heard in time.
    Enrolled,
    /// It is enrolled, and overdue.
    Silent,
    /// It is on a list, and not enrolled, or not any more.
    Expected,
    /// It was seen, is on no list and is not enrolled.
    Seen,
    /// A rule of the scope leaves it out.
    OutOfScope,
    /// It was enrolled, was revoked, and is on no list.
    Retired,
}

/// A machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name: as an agent, else as a list has it, else as it was seen.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// Its name as an agent, if it was ever enrolled.
    pub host: Option<AgentId>,
    /// Since when it is enrolled, or was.
    pub enrolled: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub retired: Option<Timestamp>,
    /// Since when it is silent, if it is.
    pub silent: Option<Timestamp>,
    /// All its names and addresses.
    pub called: Vec<String>,
    /// Where it is listed.
    pub listed: Vec<Place>,
    /// Who sees it: the first of all, in the order of way and host.
    pub seen: Vec<Sighting>,
    /// How many see it.
    pub seen_count: usize,
    /// The groups that it is in.
    pub groups: Vec<String>,
    /// The rule of the scope that decides about it; without one it is in.
    pub rule: Option<Rule>,
}

/// Where a machine is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The list.
    pub list: String,
    /// The line.
    pub line: usize,
    /// What it is called there.
    pub host: String,
    /// Who answers for it there; may be empty.
    pub owner: String,
    /// What the other system calls its group; may be empty.
    pub group: String,
}

/// Who sees a machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Sighting {
    /// How.
    pub way: Way,
    /// The host that tells it.
    pub by: AgentId,
    /// Under which name or address.
    pub called: String,
    /// When that was collected.
    pub at: Timestamp,
    /// The record of the ledger.
    pub record: Digest,
}

/// A rule of the scope that decides about a machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Id, e.g. `SC-1`.
    pub id: String,
    /// The machine is in.
    pub included: bool,
    /// Why.
    pub reason: String,
}

impl Counts {
    fn of(rows: &[Row]) -> Self {
        let mut states: BTreeMap<State, usize> = BTreeMap::new();
        for row in rows {
            *states.entry(row.state).or_default() += 1;
        }
        let count = |state| states.get(&state).copied().unwrap_or_default();
        let (out_of_scope, retired) = (count(State::OutOfScope), count(State::Retired));
        Self {
            in_scope: rows.len().saturating_sub(out_of_scope + retired),
            enrolled: count(State::Enrolled),
            silent: count(State::Silent),
            expected: count(State::Expected),
            seen: count(State::Seen),
            out_of_scope,
            retired,
            telling: 0,
        }
    }
}

#[cfg(test)]
mod tests;
