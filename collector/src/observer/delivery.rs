//! Log lines on their way: what hosts say they sent, against what arrived away from them.
//!
//! # When a line has arrived, and when it is lost
//!
//! A host tells in its record which lines it sent. A line has *arrived* when somebody else showed
//! it: the collector's own log listener, or a log host whose agent reads the files in which logs of
//! other hosts arrive. No host is its own receiver. Nobody can show a line that was not made, so a
//! log host can hide a line, or tell another time, but not invent an arrival. That a line came by
//! way of the log daemons is not shown: it is a bearer token, so whoever controls the host, or
//! reads its logs anywhere, can carry its lines to a receiver by hand.
//!
//! A line is *due* some minutes after it was sent. The receivers of a host are those that showed a
//! line of it in the last two days, else the collector's own listener and the log hosts that its
//! settings name: that an agent says that it watches makes it a receiver of nobody, as it could
//! make the lines of all others count as lost. A line that none has shown is *lost* when it is due
//! and each of them must have it by then: the listener was open all the time since it was sent,
//! without a refused connection or bytes that it passed over, and each log host has since looked,
//! later than the line was due, and could read everything. Until then the line waits, for two hours
//! at most. After that nothing is *told* of it: neither the host nor its log daemon is to blame
//! when the collector was restarted or a log host is silent.
//!
//! All times are brought to the clock of the collector by the offset that it has measured. A host
//! whose clock was never measured has no latency, and its lines count only if they came soon after
//! they were sent by its own clock, so that a spool that is emptied is not taken for now.

use std::collections::{BTreeMap, BTreeSet};

use shared::canary::Canary;
use shared::id::{AgentId, Digest};
use shared::key::PublicKey;
use shared::observation::{Means, Observation, Outcome, Status};
use shared::observed;
use shared::time::Timestamp;

use super::offset::Offsets;
use super::{Run, Sight, field};

use lines::Lines;
use told::Receivers;

mod told;
mod lines;

/// How long after it is due a line waits for receivers to report.
const WAIT_MS: i64 = 2 * 3600 * 1000;
/// How long somebody who showed a line is expected to show the next ones, and a log host that
/// reported is expected to report.
const ROUTE_MS: i64 = 2 * 24 * 3600 * 1000;
/// Two looks at the clock that lie further apart: the collector did not run in between, or its
/// clock was set.
const AWAKE_MS: i64 = 60_000;
/// A clock that was never measured is believed when a record came this soon after it was made.
const SOON_MS: i64 = 5 * 60 * 1000;
/// A host tells only of lines that it sent so long before its record.
const TOLD_MS: i64 = 3600 * 1000;
/// That nothing can be told is said again after this time, or when the reason changes.
const AGAIN_MS: i64 = 3600 * 1000;
/// What the settings of the host forbid.
const SILENT: &str = "the settings of the host say that no line is sent";

/// What the settings say of lines.
#[derive(Clone, Debug)]
pub struct Terms {
    /// How long a line may be on its way, in milliseconds.
    pub due_ms: i64,
    /// Whether the collector listens for logs itself.
    pub listener: bool,
    /// Log hosts that must have the lines of every host whose lines nobody has shown yet.
    pub watchers: BTreeSet<AgentId>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            due_ms: 5 * 60 * 1000,
            listener: false,
            watchers: BTreeSet::new(),
        }
    }
}

/// Who shows lines of others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Receiver {
    /// The collector's own listener.
    Listener,
    /// The agent of a log host.
    Host(AgentId),
}

/// One line that somebody has shown.
#[derive(Clone, Debug)]
struct Arrival {
    receiver: Receiver,
    /// It was there at this time, by the clock of the collector.
    at: Timestamp,
    /// It was not there at this time, where that is known.
    not_before: Option<Timestamp>,
    /// How far these times may be wrong; `None` when the clock of the receiver was not measured.
    doubt_ms: Option<i64>,
    /// Whether it came over TLS, where that is known.
    encrypted: Option<bool>,
    /// The record that shows it.
    record: Option<Digest>,
}

/// A line that a host has sent.
#[derive(Clone, Debug)]
struct Sent {
    canary: Canary,
    way: String,
    /// When, by the clock of the collector.
    at: Timestamp,
    /// How far that may be wrong; `None` when the clock of the host was not measured.
    doubt_ms: Option<i64>,
    /// When it must have arrived.
    due: Timestamp,
}

/// A run of the host, with the lines that it told of.
#[derive(Clone, Debug)]
struct Open {
    index: u64,
    record: Digest,
    generation: u64,
    lines: Vec<Sent>,
}

/// A log host.
#[derive(Clone, Copy, Debug)]
struct Watcher {
    /// When its last record came.
    reported: Timestamp,
    /// When it last looked at everything, by the clock of the collector.
    looked: Option<Timestamp>,
}

/// All lines on their way.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    terms: Terms,
    hosts: BTreeMap<AgentId, Lines>,
    watchers: BTreeMap<AgentId, Watcher>,
    /// Since when the listener has missed nothing.
    awake: Option<Timestamp>,
    /// When the clock was looked at last.
    looked: Option<Timestamp>,
}

/// What is known of hosts besides their lines.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) clocks: &'a Offsets,
    pub(super) keys: &'a BTreeMap<(AgentId, u64), PublicKey>,
}

impl Known<'_> {
    /// Whether a line was made with the key that its host has now.
    fn believes(&self, canary: &Canary) -> bool {
        let key = self.keys.get(&(canary.agent.clone(), canary.generation));
        key.is_some_and(|key| canary.verify(key).is_ok())
    }

    /// When it was by the clock of the collector, and how far that may be wrong. A clock that was
    /// not measured is believed as long as the record came soon, without saying how far.
    fn place(&self, run: &Run<'_>, at: Timestamp) -> Option<(Timestamp, Option<i64>)> {
        let evidence = run.attestation.evidence();
        if let Some((offset, doubt)) = self.clocks.of(&evidence.stream.agent, run.received) {
            let place = at.plus_ms(offset.saturating_neg()).min(run.received);
            return Some((place, Some(doubt)));
        }
        let apart = run.received.ms_since(evidence.time.wall).saturating_abs();
        (apart <= SOON_MS).then(|| (at.min(run.received), None))
    }
}

impl Deliveries {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            ..Self::default()
        }
    }

    /// The listener was shown a line, and knows that it is genuine.
    pub(super) fn arrived(&mut self, canary: Canary, at: Timestamp) {
        let arrival = Arrival {
            receiver: Receiver::Listener,
            at,
            not_before: Some(at),
            doubt_ms: Some(0),
            encrypted: Some(true),
            record: None,
        };
        let lines = self.hosts.entry(canary.agent.clone()).or_default();
        lines.arrived(canary, arrival);
    }

    /// The listener may have missed a line.
    pub(super) fn missed(&mut self, now: Timestamp) {
        self.awake = self.awake.max(Some(now));
    }

    /// Takes a run of a host: the lines that it sent, and those of others that it shows.
    pub(super) fn run(&mut self, run: &Run<'_>, observation: &Observation, known: Known<'_>) {
        self.watched(run, observation, known);
        let evidence = run.attestation.evidence();
        let stream = &evidence.stream;
        let lines = self.hosts.entry(stream.agent.clone()).or_default();
        lines.begin(stream.generation);
        let facts = &observation.facts;
        if observation.outcome == Outcome::Absent {
            return lines.say(run, Outcome::Absent, &observation.reason);
        }
        if field::flag(facts, "sends") == Some(false) {
            return lines.say(run, Outcome::Unknown, SILENT);
        }
        let sent = field::list(facts, "sent").unwrap_or_default();
        let sent = sent.iter().filter_map(|record| {
            let canary: Canary = field::text(record, "line")?.parse().ok()?;
            let own = canary.agent == stream.agent && canary.generation == stream.generation;
            let age = evidence.time.wall.ms_since(canary.sent);
            if !own || !(-AWAKE_MS..=TOLD_MS).contains(&age) || !known.believes(&canary) {
                return None;
            }
            let (at, doubt_ms) = known.place(run, canary.sent)?;
            Some(Sent {
                way: field::text(record, "way").unwrap_or_default().to_owned(),
                due: at.plus_ms(self.terms.due_ms.saturating_add(doubt_ms.unwrap_or(0))),
                canary,
                at,
                doubt_ms,
            })
        });
        let sent = sent.collect();
        lines.sent(run, sent);
    }

    /// Takes the lines of others that a log host shows, and when it has looked.
    fn watched(&mut self, run: &Run<'_>, observation: &Observation, known: Known<'_>) {
        let (evidence, facts) = (run.attestation.evidence(), &observation.facts);
        let name = &evidence.stream.agent;
        let Some(received) = field::list(facts, "received") else {
            let watches = field::number(facts, "watch_count").is_some_and(|count| 0 < count);
            if observation.outcome != Outcome::Unknown && !watches {
                let _no_more = self.watchers.remove(name);
            }
            return;
        };
        let before = self.watchers.get(name).and_then(|before| before.looked);
        let looked = known.place(run, evidence.time.wall);
        let whole = whole(observation).then_some(looked).flatten();
        let watcher = Watcher {
            reported: run.received,
            looked: whole.map(|(at, doubt)| at.plus_ms(doubt.unwrap_or(0).saturating_neg())),
        };
        let looked = watcher.looked.or(before);
        let _older = self
            .watchers
            .insert(name.clone(), Watcher { looked, ..watcher });
        for record in received {
            let seen = field::instant(record, "seen").unwrap_or(evidence.time.wall);
            let (at, doubt_ms) = known.place(run, seen).unwrap_or((run.received, None));
            let line = field::text(record, "line").unwrap_or_default();
            for canary in Canary::all(line).filter(|canary| canary.agent != *name) {
                if !known.believes(&canary) {
                    tracing::debug!(log_host = %name, agent = %canary.agent, "no genuine line");
                    continue;
                }
                let arrival = Arrival {
                    receiver: Receiver::Host(name.clone()),
                    at,
                    not_before: before.filter(|before| *before <= at),
                    doubt_ms,
                    encrypted: None,
                    record: Some(run.attestation.id()),
                };
                let lines = self.hosts.entry(canary.agent.clone()).or_default();
                lines.arrived(canary, arrival);
            }
        }
    }

    /// Takes what was entered of a host: nothing of it is entered again.
    pub(super) fn entered(&mut self, sight: &observed::Sight, observation: &Observation) {
        let lines = self.hosts.entry(sight.observed.agent.clone()).or_default();
        lines.entered(sight, observation);
    }

    /// What follows by now, at most one observation for each run.
    pub(super) fn settle(&mut self, now: Timestamp) -> Vec<Sight> {
        let ran = |before: Timestamp| (0..=AWAKE_MS).contains(&now.ms_since(before));
        if !self.looked.is_some_and(ran) {
            // A clock that was set back: what was sent before that is sent later than now.
            self.awake = self.looked.max(Some(now));
        }
        self.looked = Some(now);
        let listener = self.terms.listener.then_some(self.awake).flatten();
        let receivers = Receivers::new(listener, &self.watchers, &self.terms.watchers, now);
        let mut sights = Vec::new();
        for (agent, lines) in &mut self.hosts {
            // Most hosts wait for nothing most of the time, and there may be many.
            if lines.settled_all() {
                continue;
            }
            lines.settle(&receivers, agent, now, |answer| {
                sights.push(answer.sight(agent));
            });
        }
        sights
    }
}

/// Whether a log host could read everything that it watches.
fn whole(observation: &Observation) -> bool {
    let dropped = field::number(&observation.facts, "received_dropped_count");
    // Its own journal is another matter.
    let own = |name: &str| name.starts_with("/var/log/journal") || name.starts_with("/run/");
    let unread = observation.source.iter().any(|source| {
        let read = matches!(source.status, Status::Ok | Status::Absent);
        source.kind == Means::File && !read && !own(&source.name)
    });
    dropped.is_none_or(|count| count == 0) && !unread
}
