//! Incidents: conditions that belong together, from the first sight until all of them are over.
//!
//! [`State::step`] is given all that is wrong at a moment, and says who is to be told what now. It
//! reads no clock and does no work outside, so the same steps give the same notices anywhere.
//!
//! - Time passes by the clock of the machine, but never backwards: while a clock that was set back
//!   catches up, no timer moves, and what was told is not told again.
//! - A condition is told when it is there and has lasted `for`. It is over when it was gone for
//!   `resolve_after`; if it comes back before, nothing is said. So what flaps is one incident.
//! - The first condition of an incident waits `group_wait` for others; so do those that join later.
//! - What a silence or a fork hides is not over: of such a host nobody knows more.
//! - What is there is not over because another route takes it now: the incident moves with it.
//! - Nothing counts as told while there is no channel.
//! - Whoever was told that something is wrong is told that it is over, also when it was silenced in
//!   between or its route is gone.
//! - What a step changes is small, and [`State::apply`] does the same again: the outbox writes it
//!   down together with the notices.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::id::AgentId;
use shared::time::Timestamp;

use super::Notice;
use super::quiet::{Hush, Quiet};
use super::route::Routes;
use crate::drift::{Condition, ConditionKind};

mod turn;
mod moves;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod truth;

use turn::Turn;

/// What is wrong at a moment.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    /// The moment.
    pub at: Timestamp,
    /// Name of the collector.
    pub collector: &'a str,
    /// All that is wrong.
    pub conditions: &'a [Condition],
    /// What is silenced and acknowledged.
    pub quiet: &'a Quiet,
}

/// A notice for a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Name of the channel.
    pub channel: String,
    /// What to tell.
    pub notice: Notice,
}

/// Time that never goes backwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clock {
    /// The clock of the machine when it was looked at last.
    at: Timestamp,
    /// How long it has run, in milliseconds.
    age_ms: i64,
    /// How many incidents were told.
    raised: u64,
}

/// What is known of an incident besides its conditions. Times are ages of the [`Clock`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Names it from the first notice on; empty before.
    pub id: String,
    /// The route that takes it.
    pub route: String,
    /// What its conditions have in common.
    pub group: Vec<String>,
    /// Notices so far.
    pub number: u64,
    /// Since when conditions wait to be told.
    ripe: Option<i64>,
    /// When it was told first.
    pub raised: Option<Timestamp>,
    /// When it was told last.
    told: i64,
    /// When it was told last to receivers that forget.
    refreshed: i64,
    /// How often it was escalated.
    pub rung: usize,
    /// When it was escalated last, or told first, or not acknowledged any more.
    rung_since: i64,
    /// All that is wrong is acknowledged or silenced.
    pub hushed: bool,
    /// Who was told.
    pub channels: BTreeSet<String>,
}

/// A condition of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// As it was seen last.
    pub condition: Condition,
    /// When it was seen first.
    first: i64,
    /// Since when it is gone.
    gone: Option<i64>,
    /// Somebody was told.
    pub told: bool,
    /// It got worse since.
    worse: bool,
    /// Why nobody is reminded.
    pub hush: Option<Hush>,
}

/// An incident.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// What is known of it as a whole.
    pub head: Head,
    /// Its conditions by their keys.
    pub members: BTreeMap<String, Member>,
}

/// All incidents, each by its route and what its conditions have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    clock: Clock,
    slots: BTreeMap<String, Incident>,
}

/// What a step has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changes {
    clock: Clock,
    /// Incidents that changed as a whole; `None`: it is over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    heads: BTreeMap<String, Option<Head>>,
    /// Conditions that changed; `None`: it is over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    members: BTreeMap<String, BTreeMap<String, Option<Member>>>,
}

/// What came of a step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What changed.
    pub changes: Changes,
    /// Whom to tell.
    pub orders: Vec<Order>,
}

impl Changes {
    /// Whether nothing changed but the time.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.members.is_empty()
    }
}

impl Head {
    /// An incident that nobody was told of.
    fn new(route: &str, group: Vec<String>) -> Self {
        Self {
            id: String::new(),
            route: route.to_owned(),
            group,
            number: 0,
            ripe: None,
            raised: None,
            told: 0,
            refreshed: 0,
            rung: 0,
            rung_since: 0,
            hushed: false,
            channels: BTreeSet::new(),
        }
    }
}

impl Clock {
    fn advance(&mut self, at: Timestamp) {
        let passed = if self.at == Timestamp::default() {
            0
        } else {
            at.ms_since(self.at).max(0)
        };
        self.age_ms = self.age_ms.saturating_add(passed);
        self.at = at;
    }
}

/// Whose silence or fork hides what else is wrong there.
#[derive(Debug, Default)]
struct Silent<'a> {
    fleet: bool,
    hosts: BTreeSet<&'a AgentId>,
    forked: BTreeSet<&'a AgentId>,
    /// Hosts that had no time yet to be heard since the collector began.
    unheard: BTreeSet<&'a AgentId>,
}

impl<'a> Silent<'a> {
    fn of(conditions: &'a [Condition], quiet: &'a Quiet) -> Self {
        let mut silent = Self {
            unheard: quiet.unheard.iter().collect(),
            ..Self::default()
        };
        for condition in conditions {
            match condition.kind {
                ConditionKind::SilentFleet => silent.fleet = true,
                ConditionKind::SilentHost => silent.hosts.extend(&condition.host),
                ConditionKind::ForkedHost => silent.forked.extend(&condition.host),
                ConditionKind::Failing
                | ConditionKind::Unknown
                | ConditionKind::SilentProbe
                | ConditionKind::Population
                | ConditionKind::Due
                | ConditionKind::Undelivered => {}
            }
        }
        silent
    }

    /// Whether nothing is said of a condition because of a silence, so that it is not over.
    fn hides(&self, condition: &Condition) -> bool {
        let among = |hosts: &BTreeSet<&AgentId>| {
            let host = condition.host.as_ref();
            host.is_some_and(|host| hosts.contains(host))
        };
        let dark = || self.fleet || among(&self.forked) || among(&self.unheard);
        match condition.kind {
            ConditionKind::SilentFleet => !self.unheard.is_empty(),
            ConditionKind::SilentHost => dark(),
            ConditionKind::Failing | ConditionKind::Unknown | ConditionKind::SilentProbe => {
                dark() || among(&self.hosts)
            }
            ConditionKind::ForkedHost
            | ConditionKind::Population
            | ConditionKind::Due
            | ConditionKind::Undelivered => false,
        }
    }
}

/// A condition with what keeps it from being told.
type Seen<'a> = BTreeMap<&'a str, (&'a Condition, Option<Hush>)>;
/// What is seen by the slot in which it belongs.
type Slots<'a> = BTreeMap<String, (Head, Seen<'a>)>;

/// What a step is taken by.
#[derive(Debug)]
struct Moment<'a> {
    routes: &'a Routes,
    now: &'a Now<'a>,
    silent: &'a Silent<'a>,
    /// The keys of all that is wrong.
    there: &'a BTreeSet<&'a str>,
}

impl State {
    /// The incidents.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.slots.values()
    }

    /// Everything as one change of an empty state.
    #[must_use]
    pub fn whole(&self) -> Changes {
        let mut changes = Changes {
            clock: self.clock,
            ..Changes::default()
        };
        for (slot, incident) in &self.slots {
            let head = Some(incident.head.clone());
            let _new = changes.heads.insert(slot.clone(), head);
            let members = incident.members.iter();
            let members = members.map(|(key, member)| (key.clone(), Some(member.clone())));
            let _new = changes.members.insert(slot.clone(), members.collect());
        }
        changes
    }

    /// Takes what a step has changed.
    pub fn apply(&mut self, changes: Changes) {
        self.clock = changes.clock;
        for (slot, head) in changes.heads {
            match (head, self.slots.get_mut(&slot)) {
                (None, _) => drop(self.slots.remove(&slot)),
                (Some(head), Some(incident)) => incident.head = head,
                (Some(head), None) => {
                    let members = BTreeMap::new();
                    let _new = self.slots.insert(slot, Incident { head, members });
                }
            }
        }
        for (slot, members) in changes.members {
            let Some(incident) = self.slots.get_mut(&slot) else {
                continue;
            };
            for (key, member) in members {
                match member {
                    Some(member) => drop(incident.members.insert(key, member)),
                    None => drop(incident.members.remove(&key)),
                }
            }
        }
    }

    /// Goes on to a moment: who is to be told what.
    pub fn step(&mut self, routes: &Routes, now: &Now<'_>) -> Step {
        self.clock.advance(now.at);
        let mut seen: Slots<'_> = BTreeMap::new();
        for condition in now.conditions {
            let hush = now.quiet.of(condition, now.at);
            for route in routes.take(condition) {
                let group = route.group(condition);
                let slot = format!("{} {}", route.name, group.join(" "));
                let (_head, seen) = seen
                    .entry(slot)
                    .or_insert_with(|| (Head::new(&route.name, group), BTreeMap::new()));
                let _same = seen.insert(&condition.key, (condition, hush.clone()));
            }
        }
        let given = Moment {
            routes,
            now,
            silent: &Silent::of(now.conditions, now.quiet),
            there: &now.conditions.iter().map(|one| one.key.as_str()).collect(),
        };
        let mut step = Step::default();
        let moved = moves::moved(&mut self.slots, &mut seen, &mut step.changes);
        let gone = self.slots.keys().filter(|slot| !seen.contains_key(*slot));
        let gone: Vec<String> = gone.cloned().collect();
        for (slot, (head, seen)) in seen {
            let known = self.slots.remove(&slot).ok_or(head);
            let new = moved.contains(&slot);
            self.turn((slot, known, new), &seen, &given, &mut step);
        }
        for slot in gone {
            if let Some(incident) = self.slots.remove(&slot) {
                self.turn((slot, Ok(incident), false), &Seen::new(), &given, &mut step);
            }
        }
        step.changes.clock = self.clock;
        step
    }

    /// Goes on with one incident, known or new, and keeps it unless it is over.
    fn turn(
        &mut self,
        (slot, known, moved): (String, Result<Incident, Head>, bool),
        seen: &Seen<'_>,
        given: &Moment<'_>,
        step: &mut Step,
    ) {
        let before = known.as_ref().ok().map(|incident| incident.head.clone());
        let before = before.filter(|_head| !moved);
        let mut incident = known.unwrap_or_else(|head| Incident {
            head,
            members: BTreeMap::new(),
        });
        let known = incident.members.keys().filter(|_key| moved);
        let mut turn = Turn {
            given,
            route: given.routes.named(&incident.head.route),
            age: self.clock.age_ms,
            changed: known.cloned().collect(),
            orders: &mut step.orders,
        };
        let over = turn.see(&mut incident, seen);
        turn.tell(&mut self.clock, &mut incident, &over);
        let changed = turn.changed;
        if incident.members.is_empty() {
            if before.is_some() {
                let _over = step.changes.heads.insert(slot, None);
            }
            return;
        }
        if before.as_ref() != Some(&incident.head) {
            let head = Some(incident.head.clone());
            let _first = step.changes.heads.insert(slot.clone(), head);
        }
        if !changed.is_empty() {
            let member = |key: String| {
                let member = incident.members.get(&key).cloned();
                (key, member)
            };
            let members = step.changes.members.entry(slot.clone()).or_default();
            members.extend(changed.into_iter().map(member));
        }
        let _new = self.slots.insert(slot, incident);
    }
}
