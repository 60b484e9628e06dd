//! The lines of one host: sent, on their way, arrived, lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use shared::canary::Canary;
use shared::fact::Value;
use shared::id::{AgentId, Digest};
use shared::observation::{Observation, Outcome};
use shared::observed;
use shared::time::Timestamp;

use super::told::{Answer, Expected, Fate, Receivers, facts, nothing};
use super::{AGAIN_MS, Arrival, Open, ROUTE_MS, Receiver, Sent, WAIT_MS};
use crate::observer::{Run, field};

/// Most lines of one host that are known again, and that wait for the host to tell of them.
const LINES_MAX: usize = 512;
/// Most runs of one host whose lines are on their way.
const OPEN_MAX: usize = 64;
/// Most receivers of one line.
const RECEIVERS_MAX: usize = 16;
/// Most lost lines of one host that are known when they arrive after all.
const LOST_MAX: usize = 64;

/// The lines of one host.
#[derive(Debug, Default)]
pub(super) struct Lines {
    generation: u64,
    /// Lines that the host has told of.
    known: BTreeSet<Canary>,
    /// Lines that were shown and are not settled; the host may not have told of them yet.
    arrivals: BTreeMap<Canary, Vec<Arrival>>,
    open: VecDeque<Open>,
    lost: BTreeSet<Canary>,
    late: usize,
    last_arrived: Option<Timestamp>,
    /// The newest run that was told of with its lines.
    told: Option<u64>,
    /// When and why it was last said that there are no facts.
    said: Option<(Timestamp, Outcome, String)>,
    /// What is to be said without facts.
    saying: Option<Answer>,
    /// Who showed lines of this host, and when last.
    pub(super) routes: BTreeMap<Receiver, Timestamp>,
}

impl Lines {
    /// A new generation has new keys: its lines have nothing to do with those before.
    pub(super) fn begin(&mut self, generation: u64) {
        if self.generation != generation {
            self.generation = generation;
            self.open.clear();
            self.known.retain(|canary| canary.generation == generation);
            self.arrivals
                .retain(|canary, _| canary.generation == generation);
        }
    }

    /// Somebody shows a line, which is genuine.
    pub(super) fn arrived(&mut self, canary: Canary, arrival: Arrival) {
        if self.lost.remove(&canary) {
            self.late = self.late.saturating_add(1);
            let _before = self.routes.insert(arrival.receiver, arrival.at);
            return;
        }
        let open = self.open.iter().flat_map(|open| &open.lines);
        let settled =
            self.known.contains(&canary) && !open.into_iter().any(|line| line.canary == canary);
        if settled {
            // A further receiver of it, or the same one again.
            let _before = self.routes.insert(arrival.receiver, arrival.at);
            return;
        }
        let shown = self.arrivals.entry(canary).or_default();
        let again = shown.iter().any(|other| other.receiver == arrival.receiver);
        if !again && shown.len() < RECEIVERS_MAX {
            shown.push(arrival);
        }
        if LINES_MAX < self.arrivals.len() {
            let _oldest = self.arrivals.pop_first();
        }
    }

    /// The host tells of lines; of those that it told of before nothing follows.
    pub(super) fn sent(&mut self, run: &Run<'_>, mut lines: Vec<Sent>) {
        lines.retain(|line| self.known.insert(line.canary.clone()));
        while LINES_MAX < self.known.len() {
            let _oldest = self.known.pop_first();
        }
        if lines.is_empty() {
            return;
        }
        self.open.push_back(Open {
            index: run.index,
            record: run.attestation.id(),
            generation: run.attestation.evidence().stream.generation,
            lines,
        });
        if OPEN_MAX < self.open.len() {
            let _oldest = self.open.pop_front();
        }
    }

    /// Says that there are no facts, unless that was said shortly before.
    pub(super) fn say(&mut self, run: &Run<'_>, outcome: Outcome, reason: &str) {
        let open = Open {
            index: run.index,
            record: run.attestation.id(),
            generation: run.attestation.evidence().stream.generation,
            lines: Vec::new(),
        };
        self.say_of(&open, (outcome, reason), run.received);
    }

    fn say_of(&mut self, open: &Open, (outcome, reason): (Outcome, &str), now: Timestamp) {
        let again = self.said.as_ref().is_some_and(|(at, said, why)| {
            *said == outcome && why == reason && now.ms_since(*at) < AGAIN_MS
        });
        if !again {
            self.said = Some((now, outcome, reason.to_owned()));
            self.saying = Some(nothing(open, outcome, reason));
        }
    }

    /// Takes what was entered of this host, by this process or one before it.
    pub(super) fn entered(&mut self, sight: &observed::Sight, observation: &Observation) {
        let at = sight.observed.at;
        let of = |record: &Digest| sight.basis.contains(record);
        if self
            .saying
            .as_ref()
            .is_some_and(|answer| answer.basis.iter().any(of))
        {
            self.saying = None;
        }
        if observation.outcome == Outcome::Facts {
            self.said = None;
            let last = field::instant(&observation.facts, "last_arrived");
            self.last_arrived = last.max(self.last_arrived);
            let receivers = field::list(&observation.facts, "receivers").unwrap_or_default();
            for receiver in receivers {
                let name = field::text(receiver, "name").unwrap_or_default();
                // Its name is that of no agent.
                let receiver = name.parse().map_or(Receiver::Listener, Receiver::Host);
                let _before = self.routes.insert(receiver, at);
            }
        } else {
            self.said = Some((at, observation.outcome, observation.reason.clone()));
        }
        let (gone, open): (Vec<Open>, _) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|open| of(&open.record));
        self.open = open.into();
        self.forget(&gone);
    }

    /// Whether there is nothing to decide and nothing to say.
    pub(super) fn settled_all(&self) -> bool {
        self.open.is_empty() && self.saying.is_none()
    }

    /// Decides about each run whose lines are all settled.
    pub(super) fn settle(
        &mut self,
        receivers: &Receivers<'_>,
        agent: &AgentId,
        now: Timestamp,
        mut tell: impl FnMut(Answer),
    ) {
        let young = |at: &Timestamp| now.ms_since(*at) <= ROUTE_MS;
        self.routes.retain(|_receiver, at| young(at));
        self.arrivals
            .retain(|_canary, shown| shown.iter().any(|arrival| young(&arrival.at)));
        let expected = &receivers.of(agent, &self.routes);
        for _run in 0..self.open.len() {
            let Some(open) = self.open.pop_front() else {
                break;
            };
            let fates: Vec<Fate> = open
                .lines
                .iter()
                .map(|line| self.fate(line, expected, now))
                .collect();
            if fates.contains(&Fate::Waiting) {
                self.open.push_back(open);
                continue;
            }
            if fates.iter().all(|fate| *fate == Fate::Untold) {
                // A younger run says more; and of a restart of the collector nothing follows.
                let older = self.told.is_some_and(|told| open.index < told);
                if let Some(why) = expected.why(&open.lines).filter(|_why| !older) {
                    self.say_of(&open, (Outcome::Unknown, &why), now);
                }
            } else {
                tell(self.settled(&open, &fates));
            }
            self.forget(&[open]);
        }
        if let Some(answer) = self.saying.take() {
            tell(answer);
        }
    }

    fn fate(&self, line: &Sent, expected: &Expected<'_>, now: Timestamp) -> Fate {
        if self.arrivals.contains_key(&line.canary) {
            return Fate::Arrived;
        }
        if now <= line.due {
            return Fate::Waiting;
        }
        if !expected.somebody() {
            return Fate::Untold;
        }
        if expected.all_know(line) {
            return Fate::Lost;
        }
        if now.ms_since(line.due) < WAIT_MS {
            return Fate::Waiting;
        }
        Fate::Untold
    }

    /// What follows from a run, and what is to be remembered of it.
    fn settled(&mut self, open: &Open, fates: &[Fate]) -> Answer {
        for (line, fate) in open.lines.iter().zip(fates) {
            if *fate == Fate::Lost {
                let _new = self.lost.insert(line.canary.clone());
            }
            for arrival in self.arrivals.get(&line.canary).into_iter().flatten() {
                let _before = self.routes.insert(arrival.receiver.clone(), arrival.at);
                self.last_arrived = self.last_arrived.max(Some(arrival.at));
            }
        }
        while LOST_MAX < self.lost.len() {
            let _oldest = self.lost.pop_first();
        }
        self.told = self.told.max(Some(open.index));
        self.said = None;
        let mut answer = facts(open, fates, &self.arrivals);
        let late = std::mem::take(&mut self.late);
        let _before = answer
            .observation
            .facts
            .insert("late_count".to_owned(), field::count(late));
        let name = "receiver_count".to_owned();
        let count = field::count(self.routes.len());
        let _before = answer.observation.facts.insert(name, count);
        if let Some(at) = self.last_arrived {
            let name = "last_arrived".to_owned();
            let _before = answer.observation.facts.insert(name, Value::Instant(at));
        }
        answer
    }

    fn forget(&mut self, settled: &[Open]) {
        for line in settled.iter().flat_map(|open| &open.lines) {
            let _shown = self.arrivals.remove(&line.canary);
        }
    }
}
