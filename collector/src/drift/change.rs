//! Changes of verdict in a period, with the facts that changed and the decision that explains it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use shared::id::AgentId;
use shared::time::Timestamp;

use crate::assess::{Asked, Edition, Given, Window};
use crate::catalog::{Catalog, Check, Verdict};
use crate::register::views::Reach;
use crate::status::{Changed, Event, Happened, Silence, Span};

use super::entry::{Counts, Direction, Drift, Entry, Explained, FactChange, Side, What, Why};
use super::silence::Quiet;

/// What a period's drift is computed from.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// The catalogue in force at the end of the period.
    pub catalog: &'a Catalog,
    /// All that came into force until then, in the order of time; may be empty.
    pub editions: &'a [Edition],
    /// What people laid down.
    pub given: &'a Given,
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
    /// Exceptions that ended while what they covered still fails.
    pub ended: &'a [Entry],
    /// The catalogues that came into force until the end of the period, in the order of time.
    pub catalogues: &'a [Came],
    /// When the last evidence before a change was collected.
    pub last_evidence: &'a dyn Fn(&Changed) -> Option<Timestamp>,
    /// There are more changes than were read.
    pub cut: bool,
}

impl std::fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
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

/// Everything that changed in a period.
#[must_use]
pub fn drift(input: &Input<'_>) -> Drift {
    let mut counts = Counts::default();
    let mut entries = changed(input, &mut counts);
    // Silences and hosts as such bear on no single control.
    if input.asked.controls.is_empty() {
        silent(input, &mut counts, &mut entries);
        came_and_went(input, &mut entries);
    }
    counts.exceptions_ended = input.ended.len();
    entries.extend_from_slice(input.ended);
    entries.sort_by(|one, other| (one.at, &one.host).cmp(&(other.at, &other.host)));
    counts.explained = entries.iter().filter(|one| one.explained.is_some()).count();
    counts.unexplained = entries.len() - counts.explained;
    Drift {
        window: input.window,
        counts,
        cut: input.cut,
        entries,
    }
}

fn changed(input: &Input<'_>, counts: &mut Counts) -> Vec<Entry> {
    let mut by_check: BTreeMap<(&AgentId, &str), Vec<&Changed>> = BTreeMap::new();
    for change in input.changes {
        let bears = input.asked.controls.is_empty()
            || controls(input, &change.check, change.at)
                .iter()
                .any(|control| input.asked.wants(control));
        let wanted = bears
            && input
                .asked
                .wants_host_at(&change.host, input.given, change.at);
        if !wanted || !input.window.holds(change.at) {
            continue;
        }
        if input.given.out_at(&change.host, change.at).is_some() {
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
        for run in damped(changes, input.damping) {
            counts.flapping += usize::from(1 < run.len());
            entries.extend(entry(input, run));
        }
    }
    entries
}

/// Changes in runs: a run of one is a change, a longer one is flapping. Every `changes` changes in
/// a row of such a run lie within the time.
fn damped<'a>(changes: &'a [&'a Changed], damping: Damping) -> Vec<&'a [&'a Changed]> {
    let needed = damping.changes.max(2);
    let within = |row: &[&Changed]| match (row.first(), row.last()) {
        (Some(first), Some(last)) => last.at.ms_since(first.at) <= damping.within_ms,
        _ => false,
    };
    let mut runs = Vec::new();
    let mut rest = changes;
    while !rest.is_empty() {
        let following = rest.windows(needed).take_while(|row| within(row)).count();
        let length = if following == 0 {
            1
        } else {
            following + needed - 1
        };
        let (run, others) = rest.split_at(length);
        runs.push(run);
        rest = others;
    }
    runs
}

/// The entry of a run of changes.
fn entry(input: &Input<'_>, run: &[&Changed]) -> Option<Entry> {
    let (first, last) = (run.first()?, run.last()?);
    let check = first.check.clone();
    let controls = controls(input, &check, first.at);
    let severity = check_at(input, &check, first.at).map(|one| one.severity);
    let (before, after) = (
        first.before.as_ref().map(side),
        last.after.as_ref().map(side),
    );
    let explained: Vec<_> = run.iter().map(|one| explained(input, one)).collect();
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

/// A check as it was at an instant; one that is dropped just then as it was before.
fn check_at<'a>(input: &Input<'a>, check: &str, at: Timestamp) -> Option<&'a Check> {
    let of = |catalog: &'a Catalog| catalog.checks().find(|one| one.id == check);
    let until = input.editions.iter().rev().skip_while(|one| at < one.at);
    // What was before the first edition was judged by it.
    let editions = until.chain(input.editions.first());
    let mut then = editions.filter_map(|one| of(&one.catalog));
    then.next().or_else(|| of(input.catalog))
}

/// The controls that a check bore on at an instant.
fn controls(input: &Input<'_>, check: &str, at: Timestamp) -> Vec<String> {
    let check = check_at(input, check, at);
    let mappings = check.map_or(&[][..], |check| check.mappings.as_slice());
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
fn explained(input: &Input<'_>, change: &Changed) -> Option<Explained> {
    by_edition(input, change)
        .or_else(|| by_enrolment(input, change))
        .or_else(|| by_person(input, change))
}

/// A catalogue that changed the check and came into force after the last evidence before the
/// change: then this evidence is the first that it judged. The first catalogue of a ledger changes
/// nothing.
fn by_edition(input: &Input<'_>, change: &Changed) -> Option<Explained> {
    let last = match (&change.before, &change.after) {
        (Some(_), Some(_)) => (input.last_evidence)(change)?,
        // It came or left with the catalogue, unless the host is new.
        (None, Some(_)) => since_enrolled(input, change)?,
        (_, None) => change.at.plus_ms(-1),
    };
    let mut came = input.catalogues.iter().skip(1).rev();
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
fn since_enrolled(input: &Input<'_>, change: &Changed) -> Option<Timestamp> {
    let events = input.lives.get(&change.host)?.iter();
    events
        .filter(|event| event.what == Happened::Enrolled && event.at <= change.at)
        .map(|event| event.at)
        .max()
}

/// The first word on a host since it was enrolled; also on one that was enrolled anew after nothing
/// could be told of it.
fn by_enrolment(input: &Input<'_>, change: &Changed) -> Option<Explained> {
    let at = since_enrolled(input, change)?;
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
fn by_person(input: &Input<'_>, change: &Changed) -> Option<Explained> {
    let after = change.after.as_ref()?;
    if after.verdict != Verdict::Fail {
        return None;
    }
    let lasts = Window {
        from: change.at,
        to: after
            .to
            .unwrap_or(input.window.to)
            .max(change.at.plus_ms(1)),
    };
    let controls = controls(input, &change.check, change.at);
    let controls: Vec<_> = controls.iter().map(String::as_str).collect();
    let given = input.given;
    let bears = |reach: &Reach| given.covers(reach, &controls, &change.check, &change.host);
    let mut exceptions = input.given.exceptions.iter();
    let exception = exceptions.find(|one| one.window.cut(lasts).is_some() && bears(&one.reach));
    if let Some(one) = exception {
        return Some(Explained {
            by: Why::Exception,
            id: one.id.clone(),
            at: one.window.from,
            text: format!("until {}: {}", one.window.to, one.reason),
        });
    }
    // It counts until the deviation is over, and for no other.
    let mut known = input.given.acknowledgements.iter();
    let one = known.find(|one| lasts.holds(one.window.from) && bears(&one.reach))?;
    Some(Explained {
        by: Why::Acknowledgement,
        id: one.id.clone(),
        at: one.window.from,
        text: format!("{}: {}", one.by, one.text),
    })
}

fn silent(input: &Input<'_>, counts: &mut Counts, entries: &mut Vec<Entry>) {
    for (host, silences) in input.silences {
        for one in silences.iter().filter(|one| input.window.holds(one.from)) {
            let wanted = input.asked.wants_host_at(host, input.given, one.from);
            if !wanted || input.given.out_at(host, one.from).is_some() {
                continue;
            }
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
    let all = input.asked.hosts.is_empty() && input.asked.groups.is_empty();
    for quiet in input.quiet.iter().filter(|_| all) {
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

fn came_and_went(input: &Input<'_>, entries: &mut Vec<Entry>) {
    for (host, events) in input.lives {
        for event in events.iter().filter(|event| input.window.holds(event.at)) {
            if !input.asked.wants_host_at(host, input.given, event.at) {
                continue;
            }
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
