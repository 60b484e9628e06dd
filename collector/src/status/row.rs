//! One host in memory: its enrolment and its silences, and when what is said of it ends.

use std::collections::BTreeMap;

use shared::id::AgentId;
use shared::time::Timestamp;

use super::Host;
use super::change::Place;
use super::controls::uncounted;
use super::history::{Event, Happened};
use super::plan::Plan;
use super::record::{self, Day, Ended, Judged, Past, RowRecord, Sighting, Words};
use super::store::Writes;
use crate::catalog::Verdict;
use crate::evaluate::ago;

/// A host in memory.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: AgentId,
    pub(super) host: Host,
    pub(super) events: Vec<Event>,
    pub(super) probes: BTreeMap<String, Sighting>,
    /// One for each check of the catalogue in force.
    pub(super) cells: Vec<Option<Judged>>,
    /// The evidence of the day that came last; it is written when another one comes.
    pub(super) day: Option<(i64, Day)>,
}

impl Row {
    pub(super) fn of(name: AgentId, record: RowRecord) -> Self {
        Self {
            name,
            host: record.host,
            events: record.events,
            probes: record.probes,
            cells: record.cells,
            day: None,
        }
    }

    /// A host that was just enrolled.
    pub(super) fn new(
        name: AgentId,
        (generation, at, heartbeat_s): (u64, Timestamp, u64),
        checks: usize,
    ) -> Self {
        let host = Host {
            generation,
            enrolled: at,
            revoked: None,
            heartbeat_s,
            heard: at,
            next_seq: 0,
            forked: None,
            last: None,
        };
        let events = vec![Event {
            at,
            generation,
            what: Happened::Enrolled,
        }];
        Self {
            name,
            host,
            events,
            probes: BTreeMap::new(),
            cells: vec![None; checks],
            day: None,
        }
    }

    /// Writes down all that is kept in memory.
    pub(super) fn write(&self, writes: &mut Writes) {
        let record = RowRecord {
            host: self.host.clone(),
            events: self.events.clone(),
            probes: self.probes.clone(),
            cells: self.cells.clone(),
        };
        writes.put(record::row(&self.name), &record);
        if let Some((day, seen)) = &self.day {
            writes.put(record::seen(&self.name, *day), seen);
        }
    }

    pub(super) fn happened(&mut self, at: Timestamp, what: Happened) {
        let generation = self.host.generation;
        self.events.push(Event {
            at,
            generation,
            what,
        });
    }

    /// The host under a new generation. After a fork it begins empty: whose findings they were is
    /// not known.
    pub(super) fn enrolled(
        &mut self,
        (generation, at, heartbeat_s): (u64, Timestamp, u64),
        writes: &mut Writes,
    ) {
        self.ends_silence(at, writes);
        if self.host.forked.is_some() {
            self.host.last = None;
            self.probes.clear();
            for judged in self.cells.iter_mut().flatten() {
                judged.counts = false;
            }
        }
        self.host = Host {
            generation,
            enrolled: at,
            revoked: None,
            heartbeat_s,
            heard: at,
            next_seq: 0,
            forked: None,
            last: self.host.last.take(),
        };
        self.happened(at, Happened::Enrolled);
    }

    /// Takes a record of the stream, and says whether it counts: not when the generation was ended
    /// or has forked already, nor when it forks here.
    pub(super) fn step(
        &mut self,
        index: u64,
        place: &Place,
        plan: &Plan,
        writes: &mut Writes,
    ) -> bool {
        if self.host.generation != place.generation || self.host.forked.is_some() {
            return false;
        }
        self.ends_silence(place.received, writes);
        self.host.heard = place.received;
        let due = place.seq == self.host.next_seq;
        if due {
            self.host.next_seq = self.host.next_seq.saturating_add(1);
        } else {
            self.forked(index, place, plan, writes);
        }
        due
    }

    /// From now on every finding counts as unknown.
    fn forked(&mut self, index: u64, place: &Place, plan: &Plan, writes: &mut Writes) {
        for number in 0..self.cells.len() {
            self.close_stale((index, number), place.received, plan, writes);
            let (Some(Some(judged)), Some(check)) =
                (self.cells.get_mut(number), plan.checks.get(number))
            else {
                continue;
            };
            if (judged.verdict, judged.stale) == (Verdict::Unknown, false) {
                continue;
            }
            judged.verdict = Verdict::Unknown;
            judged.stale = false;
            judged.from = judged.from.max(place.received);
            let past = Past {
                verdict: Some(Verdict::Unknown),
                stale: false,
                words: Words {
                    reason: uncounted(place.seq),
                    ..Words::default()
                },
                record: None,
            };
            written(&self.name, &check.id, (judged.from, index), &past, writes);
        }
        self.host.forked = Some(place.seq);
        self.happened(place.received, Happened::Forked(place.seq));
    }

    /// When the host counts as silent, unless it is heard or revoked before.
    pub(super) fn silent_from(&self) -> Timestamp {
        let allowed_ms = i64::try_from(self.host.heartbeat_s).unwrap_or(i64::MAX);
        self.host.heard.plus_ms(allowed_ms.saturating_mul(1000))
    }

    pub(super) fn ends_silence(&self, at: Timestamp, writes: &mut Writes) {
        let from = self.silent_from();
        if self.host.revoked.is_none() && from < at {
            let heard = self.host.heard;
            writes.put(
                record::silent(&self.name, from, ""),
                &Ended { to: at, heard },
            );
        }
    }

    /// When evidence of a probe is too old for all checks that read it; `None` without such checks.
    pub(super) fn probe_silent_from(
        plan: &Plan,
        probe: &str,
        last: &Sighting,
    ) -> Option<Timestamp> {
        let freshness_ms = plan.freshness_ms(probe)?;
        let from = last.seen().plus_ms(freshness_ms.saturating_add(1));
        Some(from.max(last.at))
    }

    /// When the newest evidence of a check is too old; `None` when none counts, or the open span
    /// says so already.
    pub(super) fn stale_from(&self, number: usize, plan: &Plan) -> Option<Timestamp> {
        let judged = self.cells.get(number).copied().flatten()?;
        let check = plan.checks.get(number)?;
        let last = self.probes.get(&check.probe)?;
        if !judged.counts || judged.stale || self.host.forked.is_some() {
            return None;
        }
        let from = last.seen().plus_ms(check.freshness_ms.saturating_add(1));
        // A clock that was set back makes evidence old at once, and not before it came.
        Some(from.max(last.at).max(judged.from).max(plan.since))
    }

    /// Writes the span of evidence that was too old before `at`.
    pub(super) fn close_stale(
        &mut self,
        (index, number): (u64, usize),
        at: Timestamp,
        plan: &Plan,
        writes: &mut Writes,
    ) {
        let from = self.stale_from(number, plan).filter(|from| *from < at);
        let check = plan.checks.get(number);
        let (Some(from), Some(check)) = (from, check) else {
            return;
        };
        let Some(Some(judged)) = self.cells.get_mut(number) else {
            return;
        };
        let past = stale(judged.verdict, check.freshness_ms);
        judged.verdict = Verdict::Unknown;
        judged.stale = true;
        judged.from = from;
        written(&self.name, &check.id, (from, index), &past, writes);
    }

    /// Goes over to another catalogue: spans of checks that are gone end, and what was too old by
    /// the old one stays so until newer evidence comes.
    pub(super) fn change_catalogue(
        &mut self,
        (index, at): (u64, Timestamp),
        (old, new): (&Plan, &Plan),
        writes: &mut Writes,
    ) {
        let mut cells = vec![None; new.checks.len()];
        for (number, check) in old.checks.iter().enumerate() {
            self.close_stale((index, number), at, old, writes);
            let Some(judged) = self.cells.get(number).copied().flatten() else {
                continue;
            };
            let kept = new.number(&check.id).filter(|number| {
                let same = new.checks.get(*number);
                same.is_some_and(|same| same.probe == check.probe)
            });
            if let Some(cell) = kept.and_then(|number| cells.get_mut(number)) {
                *cell = Some(judged);
                continue;
            }
            let past = Past {
                verdict: None,
                stale: false,
                words: Words::default(),
                record: None,
            };
            let end = (at.max(judged.from), index);
            written(&self.name, &check.id, end, &past, writes);
        }
        self.cells = cells;
        for last in self.probes.values_mut() {
            last.judged = false;
            last.words = None;
        }
    }
}

/// Writes a change of verdict, by check and by time.
pub(super) fn written(
    host: &AgentId,
    check: &str,
    (at, index): (Timestamp, u64),
    past: &Past,
    writes: &mut Writes,
) {
    writes.put(record::past(host, check, at, index), past);
    writes.put(record::when(at, index, host, check), &());
}

/// The span that begins when evidence is too old.
pub(super) fn stale(was: Verdict, freshness_ms: i64) -> Past {
    let limit = ago(freshness_ms);
    let limit = limit.trim_end_matches(" ago");
    let was = was.as_str();
    let reason = format!("stale: {was} before, and evidence counts for {limit}");
    Past {
        verdict: Some(Verdict::Unknown),
        stale: true,
        words: Words {
            reason,
            ..Words::default()
        },
        record: None,
    }
}
