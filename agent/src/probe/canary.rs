//! The canary probe: sends a signed log line by each way, looks whether it stands in a log of this
//! host, and on a log host tells which lines of other hosts arrived.
//!
//! A line is made anew at each look and nobody can guess it, so whoever shows it has received it.
//! That it stands in a log of this host shows that the log daemons take lines; that it arrived at
//! another host only that host, or the collector's own listener, can tell, and only the collector
//! joins both.
//!
//! A line that is not there within two seconds is looked for again at the next look, from the place
//! where each log ended before it was sent. Only then it is missing, and only when every log could
//! be read from there on. A line stands in the log as text: a journal that compresses such short
//! fields (`Compress=` below 250 bytes) hides it.
//!
//! Lines in watched files are told as they stand. Whether a signature holds is not checked here:
//! this host does not know the keys of others.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::canary::Canary;
use shared::fact::{Record, Subject, Value};
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::{Own, Probe, Scene, Seen, notes};
use crate::host::log::Way;
use crate::host::{Host, Unseen};

use found::{Found, Received};
use local::Mark;
use watch::Cursor;

mod pieces;
mod local;
mod found;
mod watch;

/// Most lines that are told of as sent.
const SENT_MAX: usize = 16;
/// How long to wait between looks for the lines that were just sent; 2 s together.
const WAITS_MS: [u64; 7] = [20, 40, 80, 160, 300, 600, 800];

/// Sends lines, and looks where they arrive.
#[derive(Debug)]
pub struct Delivery;

/// What is kept between two looks.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Notes {
    /// The last lines, newest last.
    sent: Vec<Sent>,
    /// How many of them are of the look before.
    newest: usize,
    /// Where each log ended before they were sent.
    marks: Vec<Mark>,
    /// How far each watched file was read.
    cursors: Vec<Cursor>,
    /// What was received at the look before.
    received: Vec<Received>,
}

/// A line that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sent {
    line: String,
    way: String,
    at: Timestamp,
    /// Whether it stands in a log of this host.
    local: Option<bool>,
    latency_ms: Option<u64>,
}

impl Probe for Delivery {
    fn subject(&self) -> &'static Subject {
        &shared::fact::canary::SUBJECT
    }

    fn observe(&self, host: &dyn Host, scene: &Scene) -> Seen {
        let settings = &scene.settings.canary;
        let mut seen = Seen::default();
        seen.state("sends", Value::Flag(settings.send));
        seen.state_count("watch_count", settings.watches.len());
        let Some(own) = scene.own.as_deref() else {
            let why = Some("without an identity no line is signed and nothing is noted");
            seen.unseen(Means::File, Unseen::new("identity", Status::Absent, why));
            return seen.unknown("this run is not signed, so no line was sent");
        };
        let mut notes: Notes = notes::load(&mut seen, own, "canary");
        let mut ways = 0;
        if settings.send {
            settle(host, &mut seen, &settings.logs, &mut notes);
            ways = send(host, &mut seen, scene, (own, &mut notes));
        }
        state_sent(&mut seen, &notes);
        if !settings.watches.is_empty() {
            watch(host, &mut seen, scene, (own, &mut notes));
        }
        notes::save(&mut seen, own, "canary", &notes);
        let nothing = notes.sent.is_empty() && settings.watches.is_empty();
        if settings.send && ways == 0 && nothing && seen.reasons.is_empty() {
            return seen.absent("no log daemon listens on this host, and no file is watched");
        }
        seen.facts()
    }
}

/// Decides about the lines of the look before, which had their time.
fn settle(host: &dyn Host, seen: &mut Seen, logs: &[String], notes: &mut Notes) {
    let begin = notes.sent.len().saturating_sub(notes.newest);
    let open: Vec<&mut Sent> = notes.sent.iter_mut().skip(begin).collect();
    let mut open: Vec<&mut Sent> = open.into_iter().filter(|one| one.local.is_none()).collect();
    if open.is_empty() {
        return;
    }
    let lines: Vec<&str> = open.iter().map(|sent| sent.line.as_str()).collect();
    let (found, complete) = local::find(host, Some(&mut *seen), logs, &notes.marks, &lines);
    for (sent, found) in open.iter_mut().zip(found) {
        sent.local = if found {
            Some(true)
        } else {
            complete.then_some(false)
        };
    }
}

/// Sends a line by each way and waits a moment for it. How many ways there are.
fn send(
    host: &dyn Host,
    seen: &mut Seen,
    scene: &Scene,
    (own, notes): (&Own, &mut Notes),
) -> usize {
    let logs = &scene.settings.canary.logs;
    notes.marks = local::marks(host, logs);
    let mut new = Vec::new();
    let mut known = true;
    for way in Way::ALL {
        // A line of its own for each way: the time in it differs by a millisecond.
        let later = i64::try_from(new.len()).unwrap_or(0);
        let at = scene.now.plus_ms(later);
        let canary = Canary::new(own.agent.clone(), own.generation, at, &own.key);
        let line = canary.to_string();
        let result = host.log(way, &line);
        known &= result
            .as_ref()
            .err()
            .is_none_or(|unseen| unseen.is_absent() || unseen.status == Status::Unreachable);
        if seen.note(Means::Socket, way.path(), result).is_some() {
            new.push(Sent {
                line,
                way: way.as_str().to_owned(),
                at,
                local: None,
                latency_ms: None,
            });
        }
    }
    if known || !new.is_empty() {
        seen.state_count("sent_count", new.len());
    }
    if !notes.marks.is_empty() {
        wait(host, logs, &notes.marks, &mut new);
    }
    notes.newest = new.len();
    notes.sent.append(&mut new);
    let old = notes.sent.len().saturating_sub(SENT_MAX);
    drop(notes.sent.drain(..old));
    notes.newest
}

/// Waits until all new lines stand in a log, for two seconds at most.
fn wait(host: &dyn Host, logs: &[String], marks: &[Mark], new: &mut [Sent]) {
    let mut waited_ms = 0;
    for wait_ms in WAITS_MS {
        std::thread::sleep(Duration::from_millis(wait_ms));
        waited_ms += wait_ms;
        let mut open: Vec<&mut Sent> = new.iter_mut().filter(|sent| sent.local.is_none()).collect();
        let lines: Vec<&str> = open.iter().map(|sent| sent.line.as_str()).collect();
        let (found, _complete) = local::find(host, None, logs, marks, &lines);
        for (sent, found) in open.iter_mut().zip(found) {
            if found {
                sent.local = Some(true);
                sent.latency_ms = Some(waited_ms);
            }
        }
        if new.iter().all(|sent| sent.local.is_some()) {
            break;
        }
    }
}

fn state_sent(seen: &mut Seen, notes: &Notes) {
    seen.state_list("sent", notes.sent.iter().map(Sent::record).collect());
    // Of each way the newest line that was decided about: a way that works again counts at once.
    let decided = |way: &Way| {
        let of_way = notes
            .sent
            .iter()
            .rev()
            .filter(|sent| sent.way == way.as_str());
        of_way.clone().find_map(|sent| sent.local).or_else(|| {
            // A way that is not there, or was never used, is no missing line.
            (of_way.count() == 0).then_some(true)
        })
    };
    let decided: Option<Vec<bool>> = Way::ALL.iter().map(decided).collect();
    if let Some(decided) = decided.filter(|_| !notes.sent.is_empty()) {
        let missing = decided.iter().filter(|local| !**local).count();
        seen.state_count("local_missing_count", missing);
    }
}

fn watch(host: &dyn Host, seen: &mut Seen, scene: &Scene, (own, notes): (&Own, &mut Notes)) {
    let patterns = &scene.settings.canary.watches;
    let found = Found::new(own.agent.as_str(), &notes.received);
    let watched = watch::look(host, seen, patterns, &mut notes.cursors, found);
    let mut told = Vec::new();
    if scene.before.is_none() {
        // The process that saw these may have ended before it recorded them.
        told.append(&mut notes.received);
    }
    let new = watched.lines.into_iter().map(|line| Received {
        seen: scene.now,
        ..line
    });
    told.extend(new);
    let old = told.len().saturating_sub(shared::limits::LIST_RECORDS_MAX);
    drop(told.drain(..old));
    seen.state_count("received_count", told.len());
    seen.state_count("received_dropped_count", watched.dropped);
    seen.state_count("received_malformed_count", watched.malformed);
    seen.state_count("watched_count", watched.files);
    seen.state_list("received", told.iter().map(Received::record).collect());
    notes.received = told;
}

impl Sent {
    fn record(&self) -> Record {
        let number = |number: u64| Value::Number(i64::try_from(number).unwrap_or(i64::MAX));
        let fields = [
            ("line", Some(Value::Text(self.line.clone()))),
            ("way", Some(Value::Text(self.way.clone()))),
            ("at", Some(Value::Instant(self.at))),
            ("local", self.local.map(Value::Flag)),
            ("local_latency_ms", self.latency_ms.map(number)),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
