//! What the collector itself sees of hosts, entered beside what they say of themselves.
//!
//! The observer reads the ledger behind admission, is told of what only the collector can see (how
//! its clock and that of a host differ, which log lines arrived), and enters what follows as
//! observations of its own. It holds nothing that the ledger does not hold, so it can be killed
//! anywhere; what it was told and did not enter yet is seen again in time.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use shared::attestation::{Attestation, Kind};
use shared::canary::Canary;
use shared::cause::chain;
use shared::decision::{self, Decided};
use shared::exchange::Exchange;
use shared::fact::Facts;
use shared::id::{AgentId, Digest};
use shared::key::{PublicKey, SigningKey};
use shared::leaf::LeafKind;
use shared::observation::{Means, Observation, Outcome, Source, Status};
use shared::observed;
use shared::time::Timestamp;

use crate::fleet::Fleet;
use crate::ledger::{Entry, Ledger, LedgerError, NewEntry, Submission};

mod field;
mod offset;
mod delivery;
mod recovery;
mod vulnerabilities;

pub use delivery::Terms;

/// Most events that wait; further ones are dropped and counted by whoever tells them.
const EVENTS_MAX: usize = 4096;
/// How often the ledger is looked at when nobody tells anything.
const PAUSE: Duration = Duration::from_secs(1);
/// How far back the ledger is read at the start: what was promised longer ago is promised again.
const HISTORY_MS: i64 = 100 * 24 * 3600 * 1000;
/// How far back log lines are looked at: all of them are settled within hours.
const LINES_MS: i64 = 2 * 24 * 3600 * 1000;
/// Most events that are taken in one turn.
const TURN_EVENTS_MAX: usize = 256;
/// Most sights that wait while the ledger cannot take them; beyond them the oldest are lost.
const UNSENT_MAX: usize = 4096;
/// Most sights that are entered together, which is one sync.
const SUBMISSION_SIGHTS_MAX: usize = 64;
/// Most bytes that are entered together, if it is more than one sight.
const SUBMISSION_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What only the collector can see.
#[derive(Clone, Debug)]
pub enum Event {
    /// A host has signed the times of an exchange that it really had with this collector.
    Compared {
        /// The host.
        agent: AgentId,
        /// The generation of its key.
        generation: u64,
        /// The times.
        exchange: Exchange,
        /// The record that says so, which is in the ledger.
        record: Digest,
    },
    /// The log listener was shown a line that an enrolled host has made.
    Arrived {
        /// The line, verified.
        canary: Canary,
        /// When, by the clock of the collector.
        at: Timestamp,
    },
    /// The log listener may have missed a line.
    Missed,
}

/// Where events are told. Without an observer they are dropped.
#[derive(Clone, Debug, Default)]
pub struct Door {
    events: Option<SyncSender<Event>>,
    dropped: Arc<AtomicU64>,
}

impl Door {
    /// Tells an event, and never waits: whether somebody will hear it.
    pub fn tell(&self, event: Event) -> bool {
        let told = self.events.as_ref().map(|door| door.try_send(event));
        let told = told.is_some_and(|told| told.is_ok());
        if !told {
            let _before = self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        told
    }
}

/// What the collector observed of a host, to be entered.
#[derive(Clone, Debug)]
struct Sight {
    agent: AgentId,
    generation: u64,
    observation: Observation,
    basis: Vec<Digest>,
}

/// One run of a host, as the ledger holds it.
struct Run<'a> {
    /// The ledger, for the observations.
    ledger: &'a Ledger,
    /// Number of the entry.
    index: u64,
    /// When the collector received it.
    received: Timestamp,
    attestation: &'a Attestation,
}

impl Run<'_> {
    /// What a probe saw in this run, when it was due and what it saw is here.
    fn observation(&self, probe: &str) -> Result<Option<Observation>, LedgerError> {
        let Some(digest) = self.attestation.observation(probe) else {
            return Ok(None);
        };
        let bytes = self.ledger.blob(&digest)?;
        Ok(bytes.and_then(|bytes| Observation::from_bytes(&bytes).ok()))
    }
}

/// The observer, with what it knows of each host.
pub struct Observer {
    ledger: Ledger,
    key: SigningKey,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    events: Receiver<Event>,
    /// Events that nobody heard, as the doors count them, and as they were counted last.
    dropped: (Arc<AtomicU64>, u64),
    /// The next entry to be read.
    position: u64,
    /// Keys of the hosts that may submit.
    keys: BTreeMap<(AgentId, u64), PublicKey>,
    offset: offset::Offsets,
    deliveries: delivery::Deliveries,
    recoveries: recovery::Recoveries,
    vulnerabilities: vulnerabilities::Vulnerabilities,
    /// What was seen, with the time, and is not in the ledger yet.
    unsent: VecDeque<(Timestamp, Sight)>,
}

impl std::fmt::Debug for Observer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Observer(at {})", self.position)
    }
}

impl Observer {
    /// An observer of this ledger that signs with the key of decisions, and its door.
    #[must_use]
    pub fn new(
        ledger: Ledger,
        key: SigningKey,
        clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> (Self, Door) {
        let (door, events) = sync_channel(EVENTS_MAX);
        let dropped = Arc::new(AtomicU64::new(0));
        let observer = Self {
            position: since(&ledger, clock().plus_ms(-HISTORY_MS)),
            ledger,
            key,
            clock,
            events,
            dropped: (Arc::clone(&dropped), 0),
            keys: BTreeMap::new(),
            offset: offset::Offsets::default(),
            deliveries: delivery::Deliveries::default(),
            recoveries: recovery::Recoveries::default(),
            vulnerabilities: vulnerabilities::Vulnerabilities::default(),
            unsent: VecDeque::new(),
        };
        let events = Some(door);
        (observer, Door { events, dropped })
    }

    /// The same with these terms of log lines, and with the hosts that were enrolled longer ago
    /// than it reads.
    #[must_use]
    pub fn of(mut self, terms: Terms, fleet: &Fleet) -> Self {
        self.deliveries = delivery::Deliveries::new(terms);
        let streams = fleet.streams().filter(|stream| !stream.ended);
        let keys = streams.map(|stream| ((stream.agent.clone(), stream.generation), stream.key));
        self.keys = keys.collect();
        self
    }

    /// The same, with the imported lists of vulnerabilities in this folder.
    #[must_use]
    pub fn with_feeds(mut self, folder: PathBuf) -> Self {
        self.vulnerabilities = vulnerabilities::Vulnerabilities::with_folder(folder);
        self
    }

    /// Observes until the last door is gone.
    pub fn run(mut self) {
        let mut busy = false;
        loop {
            let pause = if busy { Duration::ZERO } else { PAUSE };
            let first = match self.events.recv_timeout(pause) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let more = self.events.try_iter().take(TURN_EVENTS_MAX);
            let told = first.into_iter().chain(more).collect();
            let turned = self.turn(told);
            // There is more to tell than one turn takes, and nothing is in its way.
            busy = turned.is_ok() && self.vulnerabilities.is_waiting();
            if let Err(error) = turned {
                tracing::error!(
                    error = chain(&error),
                    "the collector cannot enter what it saw"
                );
            }
        }
    }

    /// Takes events and what has grown, and enters what follows. What cannot be entered now waits
    /// for the next turn.
    fn turn(&mut self, told: Vec<Event>) -> Result<(), LedgerError> {
        let now = (self.clock)();
        self.hear(told, now);
        let followed = self.follow(now);
        let entered = self.enter(now);
        followed.and(entered)
    }

    /// Takes events.
    fn hear(&mut self, told: Vec<Event>, now: Timestamp) {
        let mut sights = Vec::new();
        for event in told {
            match event {
                Event::Compared {
                    agent,
                    generation,
                    exchange,
                    record,
                } => {
                    let about = (agent, generation);
                    sights.extend(self.offset.compared(about, exchange, record, now));
                }
                Event::Arrived { canary, at } => self.deliveries.arrived(canary, at),
                Event::Missed => self.deliveries.missed(now),
            }
        }
        let dropped = self.dropped.0.load(Ordering::Relaxed);
        if dropped != self.dropped.1 {
            self.dropped.1 = dropped;
            self.deliveries.missed(now);
        }
        self.keep(sights, now);
    }

    /// Takes what has grown.
    fn follow(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        self.catch_up(now)?;
        let mut sights = Vec::new();
        sights.extend(self.deliveries.settle(now));
        sights.extend(self.recoveries.settle());
        // These are large, and can be made again later.
        let due = if self.unsent.is_empty() {
            self.vulnerabilities.due(&self.ledger, now, &mut sights)
        } else {
            Ok(())
        };
        self.keep(sights, now);
        due
    }

    /// Keeps what was seen until it is entered.
    fn keep(&mut self, sights: Vec<Sight>, now: Timestamp) {
        self.unsent
            .extend(sights.into_iter().map(|sight| (now, sight)));
        let lost = self.unsent.len().saturating_sub(UNSENT_MAX);
        if 0 < lost {
            drop(self.unsent.drain(..lost));
            tracing::error!(lost, "what was seen is lost: the ledger takes nothing");
        }
    }

    /// Reads the entries that came since.
    fn catch_up(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        let size = self.ledger.published().size;
        while self.position < size {
            let entry = self.ledger.entry(self.position)?;
            self.read(entry, now)?;
            self.position = self.position.saturating_add(1);
        }
        Ok(())
    }

    /// Reads one entry. What is not understood is none of this collector's making: the follower
    /// stops at it and says so.
    fn read(&mut self, entry: Entry, now: Timestamp) -> Result<(), LedgerError> {
        let young = now.ms_since(entry.leaf.received) <= LINES_MS;
        match entry.leaf.kind {
            LeafKind::Evidence => {
                let Ok(attestation) = Attestation::from_file(entry.envelope) else {
                    return Ok(());
                };
                if attestation.evidence().kind != Kind::Evidence {
                    return Ok(());
                }
                let run = Run {
                    ledger: &self.ledger,
                    index: entry.index,
                    received: entry.leaf.received,
                    attestation: &attestation,
                };
                let canary = if young {
                    run.observation("canary")?
                } else {
                    None
                };
                if let Some(canary) = canary {
                    let known = delivery::Known {
                        clocks: &self.offset,
                        keys: &self.keys,
                    };
                    self.deliveries.run(&run, &canary, known);
                }
                if let Some(restore) = run.observation("restore")? {
                    self.recoveries.run(&run, &restore, &self.offset);
                }
                self.vulnerabilities.run(&run);
            }
            LeafKind::Observed => self.observed(&entry, young)?,
            LeafKind::Enrol | LeafKind::Revoke | LeafKind::Decision => {
                if let Ok(decision) = decision::open(&entry.envelope, &self.key.public()) {
                    self.decided(decision.decides);
                }
            }
            LeafKind::Catalogue | LeafKind::Roster | LeafKind::Redact | LeafKind::Pack => {}
        }
        Ok(())
    }

    /// Takes what was entered, by this process or by one before it: it is not entered again.
    fn observed(&mut self, entry: &Entry, young: bool) -> Result<(), LedgerError> {
        let Ok(sight) = observed::open(&entry.envelope, &self.key.public()) else {
            return Ok(());
        };
        let recovery = sight.observed.probe == "recovery";
        if !young && !recovery {
            return Ok(());
        }
        let bytes = self.ledger.blob(&sight.observation)?;
        let seen = bytes.and_then(|bytes| Observation::from_bytes(&bytes).ok());
        match (sight.observed.probe.as_str(), seen) {
            ("offset", Some(seen)) => self.offset.entered(&sight.observed.agent, &seen.facts),
            ("delivery", Some(seen)) => self.deliveries.entered(&sight, &seen),
            ("recovery", Some(seen)) => self.recoveries.entered(&sight, seen),
            ("vulnerabilities", Some(seen)) => self.vulnerabilities.entered(&sight, &seen),
            _ => {}
        }
        Ok(())
    }

    /// Takes a decision. A host has the key of its newest enrolment alone.
    fn decided(&mut self, decided: Decided) {
        match decided {
            Decided::Enrol(enrolled) => {
                self.keys.retain(|(agent, _), _| *agent != enrolled.agent);
                self.vulnerabilities
                    .ended(|(agent, of)| *agent == enrolled.agent && *of != enrolled.generation);
                if let Ok(key) = PublicKey::from_pem(&enrolled.evidence_key) {
                    let of = (enrolled.agent, enrolled.generation);
                    let _before = self.keys.insert(of, key);
                }
            }
            Decided::Revoke(revoked) => {
                let ended = (revoked.agent, revoked.generation);
                let _key = self.keys.remove(&ended);
                self.vulnerabilities.ended(|about| *about == ended);
            }
            Decided::Import(list) => self.vulnerabilities.import(list),
            Decided::Person(_) | Decided::Catalogue(_) | Decided::Record(_) => {}
        }
    }

    /// Enters what was seen, in groups.
    fn enter(&mut self, now: Timestamp) -> Result<(), LedgerError> {
        while !self.unsent.is_empty() {
            let (submission, taken) = self.group(now);
            if !submission.entries.is_empty() {
                match self.ledger.append_blocking(submission) {
                    Ok(_places) => {}
                    // It would be refused for ever.
                    Err(error @ (LedgerError::Length { .. } | LedgerError::BlobName { .. })) => {
                        tracing::error!(error = chain(&error), "what was seen cannot be kept");
                    }
                    Err(error) => return Err(error),
                }
            }
            drop(self.unsent.drain(..taken));
        }
        Ok(())
    }

    /// The first sights that are entered together, and how many of them.
    fn group(&self, now: Timestamp) -> (Submission, usize) {
        let mut submission = Submission {
            entries: Vec::new(),
            blobs: Vec::new(),
        };
        let (mut taken, mut total) = (0, 0_usize);
        for (at, sight) in self.unsent.iter().take(SUBMISSION_SIGHTS_MAX) {
            let about = (sight.agent.clone(), sight.generation, *at);
            match observed::seal(about, &sight.observation, &sight.basis, &self.key) {
                Ok((envelope, bytes)) => {
                    total = total.saturating_add(envelope.len() + bytes.len());
                    if SUBMISSION_BYTES_MAX < total && 0 < taken {
                        break;
                    }
                    let blob = Digest::of(&bytes);
                    if submission.blobs.iter().all(|(known, _)| *known != blob) {
                        submission.blobs.push((blob, bytes));
                    }
                    submission.entries.push(NewEntry {
                        kind: LeafKind::Observed,
                        stream: None,
                        envelope,
                        received: now,
                    });
                }
                // Observations made here are small and of known probes.
                Err(error) => {
                    tracing::error!(error = chain(&error), "an observation cannot be written");
                }
            }
            taken += 1;
        }
        (submission, taken)
    }
}

/// The first entry that was received at `begin` or later, as times of receipt only grow.
fn since(ledger: &Ledger, begin: Timestamp) -> u64 {
    let (mut from, mut to) = (0, ledger.published().size);
    while from < to {
        let middle = from.midpoint(to);
        let older = ledger
            .entry(middle)
            .is_ok_and(|entry| entry.leaf.received < begin);
        if older {
            from = middle.saturating_add(1);
        } else {
            to = middle;
        }
    }
    from
}

/// An observation of the collector with these facts.
fn facts(probe: &str, facts: Facts, sources: &[&str]) -> Observation {
    let source = sources.iter().map(|name| Source {
        kind: Means::Socket,
        name: (*name).to_owned(),
        status: Status::Ok,
    });
    Observation {
        artifacts: Vec::new(),
        facts,
        outcome: Outcome::Facts,
        probe: probe.to_owned(),
        reason: String::new(),
        schema: 1,
        source: source.collect(),
    }
}

#[cfg(test)]
mod tests;
