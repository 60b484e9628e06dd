//! What is said of the lines of one run, and who must know of a line.

use std::collections::{BTreeMap, BTreeSet};

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
/// Nobody whose word counts could show a line.
const UNNAMED: &str = "no receiver is known: the collector does not listen for logs, its settings \
    name no log host, and none has shown a line of this host";

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

/// Everybody who shows lines, as it is at one moment.
pub(super) struct Receivers<'a> {
    /// Since when the listener has missed nothing.
    listener: Option<Timestamp>,
    watchers: &'a BTreeMap<AgentId, Watcher>,
    /// Those whose word counts for every host; one that does not report has told nothing.
    named: Vec<(&'a AgentId, Option<&'a Watcher>)>,
    /// Two of those that reported lately: to know whether there is another than a host itself.
    some: Vec<&'a AgentId>,
    now: Timestamp,
}

/// Those who must have the lines of one host, and up to when they have told.
pub(super) struct Expected<'a> {
    listener: Option<Timestamp>,
    hosts: Vec<(&'a AgentId, Option<&'a Watcher>)>,
    /// There are log hosts, whose silence says nothing of this host.
    unnamed: bool,
}

impl<'a> Receivers<'a> {
    /// Those of this moment, with the log hosts that the settings name.
    pub(super) fn new(
        listener: Option<Timestamp>,
        watchers: &'a BTreeMap<AgentId, Watcher>,
        named: &'a BTreeSet<AgentId>,
        now: Timestamp,
    ) -> Self {
        let named = named.iter().map(|name| (name, watchers.get(name)));
        let young = watchers
            .iter()
            .filter(|(_name, watcher)| now.ms_since(watcher.reported) <= ROUTE_MS);
        Self {
            listener,
            watchers,
            named: named.collect(),
            some: young.map(|(name, _watcher)| name).take(2).collect(),
            now,
        }
    }

    /// Those who showed lines of this host lately; without any, those whose word counts for all.
    pub(super) fn of(
        &self,
        agent: &AgentId,
        routes: &BTreeMap<Receiver, Timestamp>,
    ) -> Expected<'a> {
        let young = |at: Timestamp| self.now.ms_since(at) <= ROUTE_MS;
        let used = routes.iter().filter(|(_receiver, at)| young(**at));
        let mut known = Expected {
            listener: None,
            hosts: Vec::new(),
            unnamed: false,
        };
        for (receiver, _at) in used {
            match receiver {
                Receiver::Listener => known.listener = self.listener,
                Receiver::Host(name) => {
                    let watcher = self.watchers.get_key_value(name);
                    let watcher = watcher.filter(|(_name, watcher)| young(watcher.reported));
                    let watcher = watcher.map(|(name, watcher)| (name, Some(watcher)));
                    known.hosts.extend(watcher);
                }
            }
        }
        if !known.nobody() {
            return known;
        }
        let named = self.named.iter().copied();
        Expected {
            listener: self.listener,
            hosts: named.filter(|(name, _)| *name != agent).collect(),
            unnamed: self.some.iter().any(|name| *name != agent),
        }
    }
}

impl Expected<'_> {
    /// Whether no one is there whose silence says something.
    pub(super) fn nobody(&self) -> bool {
        self.listener.is_none() && self.hosts.is_empty()
    }

    /// Whether somebody may still show a line.
    pub(super) fn somebody(&self) -> bool {
        !self.nobody() || self.unnamed
    }

    /// Whether each of them would have shown this line, had it come in time.
    pub(super) fn all_know(&self, line: &Sent) -> bool {
        let sent = line.at.plus_ms(line.doubt_ms.unwrap_or(0).saturating_neg());
        !self.nobody()
            && self.listener.is_none_or(|since| since <= sent)
            && self.hosts.iter().all(|(_name, host)| knows(*host, line))
    }

    /// Why nothing can be told of these lines; `None` when the collector itself is the reason.
    pub(super) fn why(&self, lines: &[Sent]) -> Option<String> {
        if self.nobody() {
            let why = if self.unnamed { UNNAMED } else { NOBODY };
            return Some(why.to_owned());
        }
        let silent = self
            .hosts
            .iter()
            .find(|(_name, host)| !lines.iter().all(|line| knows(*host, line)));
        silent.map(|(name, _host)| {
            format!("the log host `{name}` has not told in time what arrived there")
        })
    }
}

fn knows(host: Option<&Watcher>, line: &Sent) -> bool {
    let looked = host.and_then(|host| host.looked);
    looked.is_some_and(|looked| line.due < looked)
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
