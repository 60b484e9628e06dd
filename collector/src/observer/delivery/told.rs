//! What is said of the lines of one run, and who must know of a line.

use std::collections::BTreeMap;

use shared::canary::Canary;
use shared::fact::{Facts, Record, Value};
use shared::id::{AgentId, Digest};
use shared::observation::{Means, Observation, Outcome, Source, Status};
use shared::time::Timestamp;

use super::{Arrival, Open, ROUTE_MS, Receiver, Sent, Watcher};
use crate::observer::{Sight, field};

/// Most lost lines that are listed.
const LOST_MAX: usize = 16;
/// Name of the collector's own listener, which is the name of no agent.
const LISTENER: &str = "(collector)";
/// Nobody could show a line.
const NOBODY: &str =
    "no receiver is known: the collector does not listen for logs, and no log host reports any";

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Arrived,
    /// It may still arrive, or somebody is still to report.
    Waiting,
    Lost,
    /// Somebody who may have it has not told.
    Untold,
}

/// An observation of a host, and the records that it rests on.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    generation: u64,
    pub(super) observation: Observation,
    pub(super) basis: Vec<Digest>,
}

impl Answer {
    pub(super) fn sight(self, agent: &AgentId) -> Sight {
        Sight {
            agent: agent.clone(),
            generation: self.generation,
            observation: self.observation,
            basis: self.basis,
        }
    }
}

/// Everybody who shows lines.
pub(super) struct Receivers<'a> {
    /// Since when the listener has missed nothing.
    pub(super) listener: Option<Timestamp>,
    pub(super) watchers: &'a BTreeMap<AgentId, Watcher>,
    pub(super) now: Timestamp,
}

/// Those who must have the lines of one host, and up to when they have told.
pub(super) struct Expected<'a> {
    listener: Option<Timestamp>,
    hosts: Vec<(&'a AgentId, &'a Watcher)>,
}

impl<'a> Receivers<'a> {
    /// Those who showed lines of this host lately; without any, all others.
    pub(super) fn of(
        &self,
        agent: &AgentId,
        routes: &BTreeMap<Receiver, Timestamp>,
    ) -> Expected<'a> {
        let young = |at: Timestamp| self.now.ms_since(at) <= ROUTE_MS;
        let used = |receiver: &Receiver| routes.get(receiver).is_some_and(|at| young(*at));
        let watchers = self.watchers.iter();
        let hosts: Vec<_> = watchers
            .filter(|(name, watcher)| *name != agent && young(watcher.reported))
            .collect();
        let own = self.listener.filter(|_since| used(&Receiver::Listener));
        let shown = |(name, _): &(&AgentId, &Watcher)| used(&Receiver::Host((*name).clone()));
        let known: Vec<_> = hosts.iter().copied().filter(shown).collect();
        if own.is_none() && known.is_empty() {
            let listener = self.listener;
            return Expected { listener, hosts };
        }
        Expected {
            listener: own,
            hosts: known,
        }
    }
}

impl Expected<'_> {
    /// Whether no one is there who could show a line.
    pub(super) fn nobody(&self) -> bool {
        self.listener.is_none() && self.hosts.is_empty()
    }

    /// Whether each of them would have shown this line, had it come in time.
    pub(super) fn all_know(&self, line: &Sent) -> bool {
        let sent = line.at.plus_ms(line.doubt_ms.unwrap_or(0).saturating_neg());
        self.listener.is_none_or(|since| since <= sent)
            && self.hosts.iter().all(|(_name, host)| knows(host, line))
    }

    /// Why nothing can be told of these lines; `None` when the collector itself is the reason.
    pub(super) fn why(&self, lines: &[Sent]) -> Option<String> {
        if self.nobody() {
            return Some(NOBODY.to_owned());
        }
        let silent = self
            .hosts
            .iter()
            .find(|(_name, host)| !lines.iter().all(|line| knows(host, line)));
        silent.map(|(name, _host)| {
            format!("the log host `{name}` has not told in time what arrived there")
        })
    }
}

fn knows(host: &Watcher, line: &Sent) -> bool {
    host.looked.is_some_and(|looked| line.due < looked)
}

/// Says that there are no facts.
pub(super) fn nothing(open: &Open, outcome: Outcome, reason: &str) -> Answer {
    Answer {
        generation: open.generation,
        observation: observation(outcome, reason, Facts::new(), Vec::new()),
        basis: vec![open.record],
    }
}

/// Says what became of the lines of one run.
pub(super) fn facts(
    open: &Open,
    fates: &[Fate],
    arrivals: &BTreeMap<Canary, Vec<Arrival>>,
) -> Answer {
    let of = |wanted: Fate| {
        let lines = open.lines.iter().zip(fates);
        lines.filter_map(move |(line, fate)| (*fate == wanted).then_some(line))
    };
    let shown = |line: &Sent| arrivals.get(&line.canary).into_iter().flatten().cloned();
    let arrived: Vec<(&Sent, Vec<Arrival>)> = of(Fate::Arrived)
        .map(|line| (line, shown(line).collect()))
        .collect();
    let bounds: Option<Vec<(i64, i64)>> = arrived
        .iter()
        .map(|(line, shown)| {
            let bounds = shown.iter().filter_map(|arrival| way(line, arrival));
            bounds.min_by_key(|(_least, most)| *most)
        })
        .collect();
    // Unless all of them are known, it is not known which one was slowest.
    let bounds = bounds.unwrap_or_default();
    let least = bounds.iter().map(|(least, _most)| *least).max();
    let most = bounds.iter().map(|(_least, most)| *most).max();
    let lost = of(Fate::Lost).take(LOST_MAX).map(|line| {
        field::known([
            ("sent", Some(Value::Instant(line.canary.sent))),
            ("way", Some(Value::Text(line.way.clone()))),
        ])
    });
    let receivers = receivers(&arrived);
    let sent = open.lines.iter().map(|line| line.canary.sent).max();
    let values = field::known([
        ("arrived_count", Some(field::count(arrived.len()))),
        ("last_sent", sent.map(Value::Instant)),
        ("latency_max_ms", most.map(Value::Number)),
        ("latency_min_ms", least.map(Value::Number)),
        ("lost", Some(Value::List(lost.collect()))),
        ("lost_count", Some(field::count(of(Fate::Lost).count()))),
        ("receivers", Some(Value::List(receivers))),
        ("sent_count", Some(field::count(open.lines.len()))),
        ("untold_count", Some(field::count(of(Fate::Untold).count()))),
    ]);
    let mut basis = vec![open.record];
    let mut sources = Vec::new();
    for arrival in arrived.iter().flat_map(|(_line, shown)| shown) {
        if let Some(record) = arrival.record.filter(|record| !basis.contains(record)) {
            basis.push(record);
        }
        let source = Source {
            kind: Means::Socket,
            name: arrival.receiver.place(),
            status: Status::Ok,
        };
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    let reason = if least.is_none() && !arrived.is_empty() {
        "how long lines took is not known: a clock was not measured, or was set meanwhile"
    } else {
        ""
    };
    Answer {
        generation: open.generation,
        observation: observation(Outcome::Facts, reason, values, sources),
        basis,
    }
}

/// Who received lines of a run, with how many of them.
fn receivers(arrived: &[(&Sent, Vec<Arrival>)]) -> Vec<Record> {
    let mut by_name: BTreeMap<&Receiver, Vec<(&Sent, &Arrival)>> = BTreeMap::new();
    for (line, shown) in arrived {
        for arrival in shown {
            by_name
                .entry(&arrival.receiver)
                .or_default()
                .push((line, arrival));
        }
    }
    let records = by_name.into_iter().map(|(receiver, shown)| {
        let ways: Option<Vec<i64>> = shown
            .iter()
            .map(|(line, arrival)| way(line, arrival).map(|(_least, most)| most))
            .collect();
        let most = ways.and_then(|ways| ways.into_iter().max());
        let last = shown.iter().map(|(_line, arrival)| arrival.at).max();
        let encrypted = shown.first().and_then(|(_line, arrival)| arrival.encrypted);
        field::known([
            ("name", Some(Value::Text(receiver.name()))),
            ("arrived_count", Some(field::count(shown.len()))),
            ("last_arrived", last.map(Value::Instant)),
            ("latency_max_ms", most.map(Value::Number)),
            ("encrypted", encrypted.map(Value::Flag)),
        ])
    });
    records.collect()
}

/// Bounds of the time on the way; `None` when a clock was not measured, or when it would have
/// arrived before it was sent, which says that a clock was set meanwhile.
fn way(line: &Sent, arrival: &Arrival) -> Option<(i64, i64)> {
    let doubt = line.doubt_ms?.saturating_add(arrival.doubt_ms?);
    let most = arrival.at.ms_since(line.at).saturating_add(doubt);
    let least = arrival.not_before.map_or(0, |before| {
        before.ms_since(line.at).saturating_sub(doubt).max(0)
    });
    (0 <= most).then_some((least, most))
}

fn observation(outcome: Outcome, reason: &str, facts: Facts, source: Vec<Source>) -> Observation {
    Observation {
        artifacts: Vec::new(),
        facts,
        outcome,
        probe: "delivery".to_owned(),
        reason: reason.to_owned(),
        schema: 1,
        source,
    }
}

impl Receiver {
    fn name(&self) -> String {
        match self {
            Self::Listener => LISTENER.to_owned(),
            Self::Host(agent) => agent.to_string(),
        }
    }

    fn place(&self) -> String {
        match self {
            Self::Listener => "log listener of the collector".to_owned(),
            Self::Host(agent) => format!("canary of {agent}"),
        }
    }
}
