//! What the collector itself sees of hosts, entered beside what they say of themselves.
//!
//! The observer reads the ledger behind admission, is told of what only the collector can see (how
//! its clock and that of a host differ, which log lines arrived), and enters what follows as
//! observations of its own. It holds nothing that the ledger does not hold, so it can be killed
//! anywhere; what it was told and did not enter yet is seen again in time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use shared::attestation::{Attestation, Kind};
use shared::cause::chain;
use shared::decision::{self, Decided};
use shared::exchange::Exchange;
use shared::fact::Facts;
use shared::id::{AgentId, Digest};
use shared::key::SigningKey;
use shared::leaf::LeafKind;
use shared::observation::{Means, Observation, Outcome, Source, Status};
use shared::observed;
use shared::time::Timestamp;

use crate::ledger::{Ledger, LedgerError, NewEntry, Submission};

mod offset;
mod vulnerabilities;

/// Most events that wait; further ones are dropped and counted by whoever tells them.
const EVENTS_MAX: usize = 4096;
/// How often the ledger is looked at when nobody tells anything.
const PAUSE: Duration = Duration::from_secs(1);
/// How far back the ledger is read at the start: what was promised longer ago is promised again.
const HISTORY_MS: i64 = 100 * 24 * 3600 * 1000;

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
}

/// Where events are told. Without an observer they are dropped.
#[derive(Clone, Debug, Default)]
pub struct Door(Option<SyncSender<Event>>);

impl Door {
    /// Tells an event, and never waits: whether somebody will hear it.
    pub fn tell(&self, event: Event) -> bool {
        let told = self.0.as_ref().map(|door| door.try_send(event));
        told.is_some_and(|told| told.is_ok())
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
    /// The next entry to be read.
    position: u64,
    offset: offset::Offsets,
    vulnerabilities: vulnerabilities::Vulnerabilities,
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
        let observer = Self {
            position: since(&ledger, clock().plus_ms(-HISTORY_MS)),
            ledger,
            key,
            clock,
            events,
            offset: offset::Offsets::default(),
            vulnerabilities: vulnerabilities::Vulnerabilities::default(),
        };
        (observer, Door(Some(door)))
    }

    /// The same, with the imported lists of vulnerabilities in this folder.
    #[must_use]
    pub fn with_feeds(mut self, folder: PathBuf) -> Self {
        self.vulnerabilities = vulnerabilities::Vulnerabilities::with_folder(folder);
        self
    }

    /// Observes until the last door is gone.
    pub fn run(mut self) {
        loop {
            let told = match self.events.recv_timeout(PAUSE) {
                Ok(event) => Some(event),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Err(error) = self.turn(told) {
                tracing::error!(
                    error = chain(&error),
                    "the collector cannot enter what it saw"
                );
            }
        }
    }

    /// Takes one event and what has grown, and enters what follows.
    fn turn(&mut self, told: Option<Event>) -> Result<(), LedgerError> {
        let now = (self.clock)();
        let mut sights = Vec::new();
        match told {
            Some(Event::Compared {
                agent,
                generation,
                exchange,
                record,
            }) => {
                let about = (agent, generation);
                sights.extend(self.offset.compared(about, exchange, record, now));
            }
            None => {}
        }
        self.catch_up()?;
        sights.extend(self.vulnerabilities.due(&self.ledger, now)?);
        for sight in sights {
            self.enter(&sight, now)?;
        }
        Ok(())
    }

    /// Reads the entries that came since.
    fn catch_up(&mut self) -> Result<(), LedgerError> {
        let size = self.ledger.published().size;
        while self.position < size {
            let index = self.position;
            let entry = self.ledger.entry(index)?;
            if entry.leaf.kind == LeafKind::Decision
                && let Ok(decision) = decision::open(&entry.envelope, &self.key.public())
                && let Decided::Import(list) = decision.decides
            {
                self.vulnerabilities.import(list);
            } else if entry.leaf.kind == LeafKind::Evidence
                && let Ok(attestation) = Attestation::from_file(entry.envelope)
                && attestation.evidence().kind == Kind::Evidence
            {
                let run = Run {
                    ledger: &self.ledger,
                    index,
                    received: entry.leaf.received,
                    attestation: &attestation,
                };
                self.vulnerabilities.run(&run);
            }
            self.position = index.saturating_add(1);
        }
        Ok(())
    }

    fn enter(&self, sight: &Sight, now: Timestamp) -> Result<(), LedgerError> {
        let about = (sight.agent.clone(), sight.generation, now);
        let sealed = observed::seal(about, &sight.observation, &sight.basis, &self.key);
        let (envelope, bytes) = match sealed {
            Ok(sealed) => sealed,
            // Observations made here are small and of known probes.
            Err(error) => {
                tracing::error!(error = chain(&error), "an observation cannot be written");
                return Ok(());
            }
        };
        let entry = NewEntry {
            kind: LeafKind::Observed,
            stream: None,
            envelope,
            received: now,
        };
        let submission = Submission {
            entries: vec![entry],
            blobs: vec![(Digest::of(&bytes), bytes)],
        };
        self.ledger.append_blocking(submission).map(drop)
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
