//! What a change does to a host: evidence is judged, and what is new of it is written down.
//!
//! Hosts know nothing of each other, so many can take their changes at once; the outcome is the
//! same.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use shared::time::Timestamp;

use super::LastRun;
use super::change::{Change, ProbeOutcome};
use super::history::Happened;
use super::plan::{Bench, Plan};
use super::record::{self, Day, Ended, Judged, Past, Sighting, Words};
use super::row::{Row, written};
use super::store::{StatusError, Store, Writes};
use crate::evaluate::Finding;

/// What came of a probe, and the record that says so.
struct Sight<'a> {
    outcome: &'a ProbeOutcome,
    index: u64,
    record: [u8; 32],
    collected: Timestamp,
    received: Timestamp,
    /// When the host was heard before this record.
    heard: Timestamp,
}

impl Row {
    /// Takes change number `index`, which concerns this host.
    pub(super) fn take<E: From<StatusError>>(
        &mut self,
        index: u64,
        change: &Change,
        (bench, store, writes): (&Bench<'_, E>, &Store, &mut Writes),
    ) -> Result<(), E> {
        match change {
            Change::Enrolled {
                generation,
                at,
                heartbeat_s,
                ..
            } => self.enrolled((*generation, *at, *heartbeat_s), writes),
            Change::Revoked { generation, at, .. } if self.host.generation <= *generation => {
                self.ends_silence(*at, writes);
                self.host.revoked = Some(*at);
                self.happened(*at, Happened::Revoked);
            }
            Change::Record(place) => {
                let _counts = self.step(index, place, bench.plan, writes);
            }
            Change::Run {
                place,
                attestation,
                collected,
                outcomes,
            } => {
                let heard = self.host.heard;
                if !self.step(index, place, bench.plan, writes) {
                    return Ok(());
                }
                for outcome in outcomes {
                    let sight = Sight {
                        outcome,
                        index,
                        record: attestation.0,
                        collected: *collected,
                        received: place.received,
                        heard,
                    };
                    self.see(&sight, bench, store, writes)?;
                }
                self.host.last = Some(LastRun {
                    collected: *collected,
                    received: place.received,
                    attestation: *attestation,
                    probes: outcomes
                        .iter()
                        .map(|one| (one.probe.clone(), one.outcome))
                        .collect(),
                });
            }
            // Unless the host has another generation by now.
            Change::Observed(sight)
                if self.host.generation == sight.generation && self.host.forked.is_none() =>
            {
                let sight = Sight {
                    outcome: &sight.outcome,
                    index,
                    record: sight.record.0,
                    collected: sight.collected,
                    received: sight.received,
                    heard: self.host.heard,
                };
                self.see(&sight, bench, store, writes)?;
            }
            Change::Revoked { .. }
            | Change::Observed(_)
            | Change::Catalogue { .. }
            | Change::Nothing => {}
        }
        Ok(())
    }

    /// Judges what one probe saw, by all checks on it.
    fn see<E: From<StatusError>>(
        &mut self,
        sight: &Sight<'_>,
        bench: &Bench<'_, E>,
        store: &Store,
        writes: &mut Writes,
    ) -> Result<(), E> {
        let probe = &sight.outcome.probe;
        let before = self.probes.get(probe);
        let mut now = Sighting {
            at: sight.collected.min(sight.received),
            collected: sight.collected,
            received: sight.received,
            index: sight.index,
            record: sight.record,
            observation: sight.outcome.observation_id.map(|id| id.0),
            outcome: sight.outcome.outcome,
            judged: false,
            words: None,
        };
        let mut known = false;
        if let Some(before) = before {
            now.at = now.at.max(before.at);
            now.words = before.words;
            known = before.judged
                && now.observation.is_some()
                && (before.observation, before.outcome) == (now.observation, now.outcome)
                && self.holds(probe, now.at, bench.plan);
            let silent = Self::probe_silent_from(bench.plan, probe, before);
            // Only of a host that was heard meanwhile: else it is the host that was silent.
            if let Some(from) = silent.filter(|from| *from < now.at && *from < sight.heard) {
                let (to, heard) = (now.at, before.at);
                writes.put(
                    record::silent(&self.name, from, probe),
                    &Ended { to, heard },
                );
            }
        }
        let (findings, judged) = bench.judged(sight.outcome, sight.collected, known)?;
        now.judged = judged;
        let words = self.keep_words(
            (probe, &findings, known && judged),
            now.words,
            bench.plan,
            writes,
        );
        now.words = words;
        for (number, finding) in findings {
            self.judge(number, finding, &now, (bench.plan, writes));
        }
        self.seen_on(now.at, store, writes)?.add(probe, &now);
        let _before = self.probes.insert(probe.clone(), now);
        Ok(())
    }

    /// Whether every check on a probe has an open span of evidence that is still fresh at `at`:
    /// then the same observation changes nothing but what reads the time.
    fn holds(&self, probe: &str, at: Timestamp, plan: &Plan) -> bool {
        plan.on(probe).iter().all(|number| {
            let fresh = self.stale_from(*number, plan);
            fresh.is_some_and(|from| at <= from)
        })
    }

    /// The evidence of the day of an instant, to be added to.
    fn seen_on(
        &mut self,
        at: Timestamp,
        store: &Store,
        writes: &mut Writes,
    ) -> Result<&mut Day, StatusError> {
        let (day, _ms) = record::day_of(at);
        if self.day.as_ref().is_none_or(|(open, _)| *open != day) {
            if let Some((open, seen)) = self.day.take() {
                writes.put(record::seen(&self.name, open), &seen);
            }
            let key = record::seen(&self.name, day);
            let kept = writes.get(&key, store)?;
            self.day = Some((day, kept.unwrap_or_default()));
        }
        Ok(&mut self.day.get_or_insert_with(|| (day, Day::default())).1)
    }

    /// Writes the words of the findings, unless they are those that stand there.
    fn keep_words(
        &self,
        (probe, findings, known): (&str, &[(usize, Finding)], bool),
        stored: Option<u64>,
        plan: &Plan,
        writes: &mut Writes,
    ) -> Option<u64> {
        if findings.is_empty() {
            return stored;
        }
        let mut hasher = DefaultHasher::new();
        for (number, finding) in findings {
            (number, &finding.reason, &finding.deciding).hash(&mut hasher);
        }
        let name = hasher.finish();
        if stored == Some(name) {
            return stored;
        }
        for timed in [false, true] {
            if known && !timed {
                continue;
            }
            let mine = findings
                .iter()
                .filter(|(number, _)| plan.is_timed(*number) == timed);
            // Written as `Words` are, without a copy of each.
            let words: BTreeMap<&str, (&String, &BTreeMap<String, String>)> = mine
                .map(|(_, finding)| {
                    let words = (&finding.reason, &finding.deciding);
                    (finding.check.as_str(), words)
                })
                .collect();
            let key = record::found(&self.name, probe, timed);
            if words.is_empty() {
                writes.remove(key);
            } else {
                writes.put(key, &words);
            }
        }
        Some(name)
    }

    /// Takes what a check says of newer evidence.
    fn judge(
        &mut self,
        number: usize,
        finding: Finding,
        now: &Sighting,
        (plan, writes): (&Plan, &mut Writes),
    ) {
        self.close_stale((now.index, number), now.at, plan, writes);
        let verdict = finding.verdict;
        let Some(cell) = self.cells.get_mut(number) else {
            return;
        };
        let from = match cell {
            Some(judged) if (judged.verdict, judged.stale) == (verdict, false) => {
                judged.said = verdict;
                judged.counts = true;
                return;
            }
            Some(judged) => now.at.max(judged.from),
            None => now.at,
        };
        *cell = Some(Judged {
            said: verdict,
            verdict,
            stale: false,
            counts: true,
            from,
        });
        let past = Past {
            verdict: Some(verdict),
            stale: false,
            words: Words {
                reason: finding.reason,
                deciding: finding.deciding,
            },
            record: Some(now.record),
        };
        written(&self.name, &finding.check, (from, now.index), &past, writes);
    }
}
