//! Changes of verdict in a period, with what changed in the facts and the decision that explains it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use crate::assess::{Asked, Given as LaidDown, Reach, Window};
use crate::catalog::{Catalog, Severity, Verdict};
use crate::status::{Changed, Event, Happened, Silence, Span};

use super::silence::Quiet;

/// What a period's drift is computed from.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The catalogue in force at the end of the period.
    pub catalog: &'a Catalog,
    /// What people laid down.
    pub laid_down: &'a LaidDown,
    /// The period.
    pub window: Window,
    /// Which part is wanted.
    pub asked: &'a Asked,
    /// When several changes count as flapping.
    pub damping: Damping,
    /// The changes of verdict in the period, in the order of time.
    pub changes: &'a [Changed],
    /// What happened to each host, from the beginning.
    pub lives: &'a BTreeMap<AgentId, Vec<Event>>,
    /// The times in which each host or a probe of it was silent, as far as they touch the period.
    pub silences: &'a BTreeMap<AgentId, Vec<Silence>>,
    /// Silences of the fleet and of the collector.
    pub quiet: &'a [Quiet],
    /// The catalogues that came into force until the end of the period, in the order of time.
    pub catalogues: &'a [Came],
    /// When the last evidence before a change was collected.
    pub last_evidence: &'a dyn Fn(&Changed) -> Option<Timestamp>,
    /// There are more changes than were read.
    pub cut: bool,
}

impl std::fmt::Debug for Given<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Given")
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}

/// A decision that came into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Came {
    /// When.
    pub at: Timestamp,
    /// What names it: the digest of a catalogue, the id of a record.
    pub id: String,
    /// What was decided, in a few words.
    pub text: String,
    /// The checks that it changed, added or dropped; `None` when that is not known.
    pub checks: Option<BTreeSet<String>>,
}

/// When several changes of the same check on the same host count as flapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    /// So many changes, at least 2 ..
    pub changes: usize,
    /// .. within this time.
    pub within_ms: i64,
}

/// Four changes within a day.
impl Default for Damping {
    fn default() -> Self {
        Self {
            changes: 4,
            within_ms: 86_400_000,
        }
    }
}

/// What changed in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The period.
    #[serde(flatten)]
    pub window: Window,
    /// How many of each.
    pub counts: Counts,
    /// There are more changes than are read at once: ask for a shorter period.
    pub cut: bool,
    /// What happened, in the order of time.
    pub entries: Vec<Entry>,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Changes of verdict, also those inside flapping.
    pub changes: usize,
    /// Of them: for the worse.
    pub worse: usize,
    /// Of them: for the better.
    pub better: usize,
    /// Entries of flapping.
    pub flapping: usize,
    /// Silences of hosts and probes.
    pub silences: usize,
    /// Entries that no decision explains.
    pub unexplained: usize,
    /// Entries that a decision explains.
    pub explained: usize,
    /// Changes on hosts that are out of scope; they are not among the entries.
    pub out_of_scope: usize,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When it began.
    pub at: Timestamp,
    /// The host; `None` when it is about the fleet or the collector.
    pub host: Option<AgentId>,
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// The decision that explains it; without one it is drift.
    pub explained: Option<Explained>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// A check says something else.
    Changed {
        /// The check.
        check: String,
        /// The controls that it bears on.
        controls: Vec<String>,
        /// How much a failure matters; `None` when the check is no more.
        severity: Option<Severity>,
        /// For the better or for the worse.
        direction: Direction,
        /// What it said before; `None` when it had never judged the host.
        before: Option<Side>,
        /// What it says now; `None` when it left the catalogue.
        after: Option<Side>,
        /// The deciding facts that are not what they were.
        facts: Vec<FactChange>,
    },
    /// A check changed its word many times.
    Flapping {
        /// The check.
        check: String,
        /// The controls that it bears on.
        controls: Vec<String>,
        /// How much a failure matters; `None` when the check is no more.
        severity: Option<Severity>,
        /// How many times.
        count: usize,
        /// When it changed last.
        until: Timestamp,
        /// What it said before.
        before: Option<Side>,
        /// What it said at last.
        after: Option<Side>,
    },
    /// A host, or one probe of it, was not heard in time.
    Silent {
        /// The probe; `None` for the whole host.
        probe: Option<String>,
        /// When it had been heard last.
        heard: Timestamp,
        /// When it was heard again; `None` while it is silent.
        to: Option<Timestamp>,
    },
    /// Every host that was expected was silent at the same time.
    FleetSilent {
        /// When the first was heard again; `None` while all are silent.
        to: Option<Timestamp>,
    },
    /// The collector entered nothing at all.
    CollectorSilent {
        /// When it entered something again; `None` while it does not.
        to: Option<Timestamp>,
    },
    /// A host is new.
    Enrolled {
        /// Its generation.
        generation: u64,
    },
    /// A host left.
    Revoked {
        /// Its generation.
        generation: u64,
    },
    /// A record of a host came twice.
    Forked {
        /// The number of the record.
        seq: u64,
    },
}

/// For the better or for the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards failing.
    Worse,
    /// Towards passing.
    Better,
    /// Neither: the check began or ceased to concern the host.
    Level,
}

/// What a check said from a moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// The verdict.
    pub verdict: Verdict,
    /// Evidence was too old, or there was none.
    pub stale: bool,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
    /// The facts that decided it when it began.
    pub facts: BTreeMap<String, String>,
    /// The record with which it began.
    pub record: Option<Digest>,
}

/// A deciding fact that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FactChange {
    /// The fact.
    pub name: String,
    /// What it was; `None` when it was not seen.
    pub before: Option<String>,
    /// What it is; `None` when it is not seen.
    pub after: Option<String>,
}

/// The decision that explains a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// What kind of decision.
    pub by: Why,
    /// What names it.
    pub id: String,
    /// When it came into force.
    pub at: Timestamp,
    /// What was decided, in a few words.
    pub text: String,
}

/// What kind of decision explains a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The finding is accepted for a time.
    Exception,
    /// Somebody knows of it and works on it.
    Acknowledgement,
    /// Other checks came into force.
    Catalogue,
    /// The host was enrolled, or anew.
    Enrolment,
    /// The host was taken out.
    Revocation,
}

impl Why {
    /// The word that people see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exception => "exception",
            Self::Acknowledgement => "acknowledgement",
            Self::Catalogue => "catalogue",
            Self::Enrolment => "enrolment",
            Self::Revocation => "revocation",
        }
    }
}

/// Everything that changed in a period.
#[must_use]
pub fn drift(given: &Given<'_>) -> Drift {
    let mut counts = Counts::default();
    let mut entries = changed(given, &mut counts);
    // Silences and hosts as such bear on no single control.
    if given.asked.controls.is_empty() {
        silent(given, &mut counts, &mut entries);
        came_and_went(given, &mut entries);
    }
    entries.sort_by(|one, other| (one.at, &one.host).cmp(&(other.at, &other.host)));
    counts.explained = entries.iter().filter(|one| one.explained.is_some()).count();
    counts.unexplained = entries.len() - counts.explained;
    Drift {
        window: given.window,
        counts,
        cut: given.cut,
        entries,
    }
}

fn changed(given: &Given<'_>, counts: &mut Counts) -> Vec<Entry> {
    let mut by_check: BTreeMap<(&AgentId, &str), Vec<&Changed>> = BTreeMap::new();
    for change in given.changes {
        let bears = given.asked.controls.is_empty()
            || controls(given.catalog, &change.check)
                .iter()
                .any(|control| given.asked.wants(control));
        let wanted = bears && given.asked.wants_host(&change.host, given.laid_down);
        if !wanted || !given.window.holds(change.at) {
            continue;
        }
        if given.laid_down.out(&change.host).is_some() {
            counts.out_of_scope += 1;
            continue;
        }
        counts.changes += 1;
        match direction(change) {
            Direction::Worse => counts.worse += 1,
            Direction::Better => counts.better += 1,
            Direction::Level => {}
        }
        let key = (&change.host, change.check.as_str());
        by_check.entry(key).or_default().push(change);
    }
    let mut entries = Vec::new();
    for changes in by_check.values() {
        for run in damped(changes, given.damping) {
            counts.flapping += usize::from(1 < run.len());
            entries.extend(entry(given, run));
        }
    }
    entries
}

/// Changes in runs: a run of one is a change, a longer one is flapping. Every `changes` changes in
/// a row of such a run lie within the time.
fn damped<'a>(changes: &'a [&'a Changed], damping: Damping) -> Vec<&'a [&'a Changed]> {
    let least = damping.changes.max(2);
    let close = |window: &[&Changed]| match (window.first(), window.last()) {
        (Some(first), Some(last)) => last.at.ms_since(first.at) <= damping.within_ms,
        _ => false,
    };
    let mut runs = Vec::new();
    let mut rest = changes;
    while !rest.is_empty() {
        let following = rest
            .windows(least)
            .take_while(|window| close(window))
            .count();
        let length = if following == 0 {
            1
        } else {
            following + least - 1
        };
        let (run, others) = rest.split_at(length);
        runs.push(run);
        rest = others;
    }
    runs
}

/// The entry of a run of changes.
fn entry(given: &Given<'_>, run: &[&Changed]) -> Option<Entry> {
    let (first, last) = (run.first()?, run.last()?);
    let check = first.check.clone();
    let controls = controls(given.catalog, &check);
    let mut checks = given.catalog.checks();
    let severity = checks.find(|one| one.id == check).map(|one| one.severity);
    let (before, after) = (
        first.before.as_ref().map(side),
        last.after.as_ref().map(side),
    );
    let explained: Vec<_> = run.iter().map(|one| explained(given, one)).collect();
    let what = if run.len() == 1 {
        What::Changed {
            check,
            controls,
            severity,
            direction: direction(first),
            facts: facts(first),
            before,
            after,
        }
    } else {
        What::Flapping {
            check,
            controls,
            severity,
            count: run.len(),
            until: last.at,
            before,
            after,
        }
    };
    // What only some decisions explain is not explained.
    let all: Option<Vec<_>> = explained.into_iter().collect();
    Some(Entry {
        at: first.at,
        host: Some(first.host.clone()),
        what,
        explained: all.and_then(|all| all.into_iter().next()),
    })
}

fn controls(catalog: &Catalog, check: &str) -> Vec<String> {
    let mut checks = catalog.checks();
    let mappings = checks
        .find(|one| one.id == check)
        .map_or(&[][..], |check| check.mappings.as_slice());
    let controls = mappings.iter().map(|mapping| mapping.control.clone());
    controls.collect()
}

fn side(span: &Span) -> Side {
    Side {
        verdict: span.verdict,
        stale: span.stale,
        since: span.from,
        reason: span.reason.clone(),
        facts: span.deciding.clone(),
        record: span.record,
    }
}

fn direction(change: &Changed) -> Direction {
    // How bad: what does not concern a host is as good as a pass.
    let weight = |span: &Option<Span>| match span.as_ref().map(|span| span.verdict) {
        Some(Verdict::Fail) => 2,
        Some(Verdict::Unknown) => 1,
        Some(Verdict::Pass | Verdict::NotApplicable) | None => 0,
    };
    match weight(&change.after).cmp(&weight(&change.before)) {
        std::cmp::Ordering::Greater => Direction::Worse,
        std::cmp::Ordering::Less => Direction::Better,
        std::cmp::Ordering::Equal => Direction::Level,
    }
}

/// The deciding facts that differ. Where one side was decided by no facts, as a stale one is, there
/// is nothing to compare.
fn facts(change: &Changed) -> Vec<FactChange> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else {
        return Vec::new();
    };
    if before.deciding.is_empty() || after.deciding.is_empty() {
        return Vec::new();
    }
    let mut names: Vec<_> = before
        .deciding
        .keys()
        .chain(after.deciding.keys())
        .collect();
    names.sort();
    names.dedup();
    let both = names.into_iter().map(|name| FactChange {
        name: name.clone(),
        before: before.deciding.get(name).cloned(),
        after: after.deciding.get(name).cloned(),
    });
    both.filter(|one| one.before != one.after).collect()
}

/// The decision that explains a change.
fn explained(given: &Given<'_>, change: &Changed) -> Option<Explained> {
    by_edition(given, change)
        .or_else(|| by_enrolment(given, change))
        .or_else(|| by_person(given, change))
}

/// A catalogue that changed the check and came into force after the last evidence before the change:
/// then this evidence is the first that it judged. The first catalogue of a ledger changes nothing.
fn by_edition(given: &Given<'_>, change: &Changed) -> Option<Explained> {
    let last = match (&change.before, &change.after) {
        (Some(_), Some(_)) => (given.last_evidence)(change)?,
        // It came or left with the catalogue, unless the host is new.
        (None, Some(_)) => since_enrolled(given, change)?,
        (_, None) => change.at.plus_ms(-1),
    };
    let mut came = given.catalogues.iter().skip(1).rev();
    let came = came.find(|one| {
        let changes = |checks: &BTreeSet<String>| checks.contains(&change.check);
        last < one.at && one.at <= change.at && one.checks.as_ref().is_none_or(changes)
    })?;
    Some(Explained {
        by: Why::Catalogue,
        id: came.id.clone(),
        at: came.at,
        text: came.text.clone(),
    })
}

/// When the host was enrolled last before a change.
fn since_enrolled(given: &Given<'_>, change: &Changed) -> Option<Timestamp> {
    let events = given.lives.get(&change.host)?.iter();
    events
        .filter(|event| event.what == Happened::Enrolled && event.at <= change.at)
        .map(|event| event.at)
        .max()
}

/// The first word on a host since it was enrolled; also on one that was enrolled anew after nothing
/// could be told of it.
fn by_enrolment(given: &Given<'_>, change: &Changed) -> Option<Explained> {
    let at = since_enrolled(given, change)?;
    let mut before = change.before.iter();
    before
        .all(|span| span.stale && span.from <= at)
        .then(|| Explained {
            by: Why::Enrolment,
            id: change.host.to_string(),
            at,
            text: "the host was enrolled, and this is the first evidence since".to_owned(),
        })
}

/// A person's word on the failure: given before it, or while it lasted.
fn by_person(given: &Given<'_>, change: &Changed) -> Option<Explained> {
    let after = change.after.as_ref()?;
    if after.verdict != Verdict::Fail {
        return None;
    }
    let lasts = Window {
        from: change.at,
        to: after
            .to
            .unwrap_or(given.window.to)
            .max(change.at.plus_ms(1)),
    };
    let groups = given.laid_down.groups(&change.host);
    let controls = controls(given.catalog, &change.check);
    let bears = |reach: &Reach| {
        let mut controls = controls.iter();
        controls.any(|control| reach.covers(control, &change.check, &change.host, groups))
    };
    let mut exceptions = given.laid_down.exceptions.iter();
    let exception = exceptions.find(|one| one.window.cut(lasts).is_some() && bears(&one.reach));
    if let Some(one) = exception {
        return Some(Explained {
            by: Why::Exception,
            id: one.id.clone(),
            at: one.window.from,
            text: format!("until {}: {}", one.window.to, one.reason),
        });
    }
    let mut known = given.laid_down.acknowledgements.iter();
    let one = known.find(|one| one.window.cut(lasts).is_some() && bears(&one.reach))?;
    Some(Explained {
        by: Why::Acknowledgement,
        id: one.id.clone(),
        at: one.window.from,
        text: format!("{}: {}", one.by, one.text),
    })
}

fn silent(given: &Given<'_>, counts: &mut Counts, entries: &mut Vec<Entry>) {
    for (host, silences) in given.silences {
        if !given.asked.wants_host(host, given.laid_down) || given.laid_down.out(host).is_some() {
            continue;
        }
        for one in silences.iter().filter(|one| given.window.holds(one.from)) {
            counts.silences += 1;
            entries.push(Entry {
                at: one.from,
                host: Some(host.clone()),
                what: What::Silent {
                    probe: one.probe.clone(),
                    heard: one.heard,
                    to: one.to,
                },
                explained: None,
            });
        }
    }
    let all = given.asked.hosts.is_empty() && given.asked.groups.is_empty();
    for quiet in given.quiet.iter().filter(|_| all) {
        entries.push(Entry {
            at: quiet.from,
            host: None,
            what: if quiet.collector {
                What::CollectorSilent { to: quiet.to }
            } else {
                What::FleetSilent { to: quiet.to }
            },
            explained: None,
        });
    }
}

fn came_and_went(given: &Given<'_>, entries: &mut Vec<Entry>) {
    for (host, events) in given.lives {
        if !given.asked.wants_host(host, given.laid_down) {
            continue;
        }
        for event in events.iter().filter(|event| given.window.holds(event.at)) {
            let generation = event.generation;
            let decided = |by, text: &str| {
                Some(Explained {
                    by,
                    id: format!("{host} {generation}"),
                    at: event.at,
                    text: text.to_owned(),
                })
            };
            let (what, explained) = match event.what {
                Happened::Enrolled => (
                    What::Enrolled { generation },
                    decided(Why::Enrolment, "a token was given for it"),
                ),
                Happened::Revoked => (
                    What::Revoked { generation },
                    decided(Why::Revocation, "its enrolment was ended"),
                ),
                Happened::Forked(seq) => (What::Forked { seq }, None),
            };
            entries.push(Entry {
                at: event.at,
                host: Some(host.clone()),
                what,
                explained,
            });
        }
    }
}
