//! A ledger with hosts whose records can say anything, and an observer that can be killed.

use std::sync::atomic::AtomicI64;

use shared::attestation::{
    Boot, EVIDENCE_TYPE, Evidence, HostTime, Position, ProbeRun, Run as Program, Seen, Statement,
    Subject,
};
use shared::decision::{DECISION_TYPE, Decision, Enrolled};
use shared::fact::{Record, Value};
use shared::merkle::EMPTY_ROOT;

use super::*;
use crate::ledger;

/// Times of these tests, in milliseconds.
pub(super) const SECOND: i64 = 1000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;

/// A collector without its listeners.
pub(super) struct Site {
    _dir: tempfile::TempDir,
    pub(super) ledger: Ledger,
    clock: Arc<AtomicI64>,
    terms: Terms,
    observer: Option<(Observer, Door)>,
    /// How many entries the tests have looked at.
    looked: u64,
}

/// A host: its key, its place, and how far its clock is ahead.
pub(super) struct Host {
    pub(super) agent: AgentId,
    pub(super) generation: u64,
    pub(super) key: SigningKey,
    pub(super) ahead_ms: i64,
    seq: u64,
}

impl Site {
    pub(super) fn new(listener: bool) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut site = Self {
            ledger: open(dir.path()),
            _dir: dir,
            clock: Arc::new(AtomicI64::new(0)),
            terms: Terms {
                listener,
                ..Terms::default()
            },
            observer: None,
            looked: 0,
        };
        site.start();
        site
    }

    /// A collector without a listener, whose settings name this log host.
    pub(super) fn trusting(log_host: &str) -> Self {
        let mut site = Self::new(false);
        let _new = site.terms.watchers.insert(log_host.parse().unwrap());
        site.start();
        site
    }

    /// Starts the observer anew, as after a restart of the collector.
    pub(super) fn start(&mut self) {
        let clock = Arc::clone(&self.clock);
        let clock = Arc::new(move || at(clock.load(Ordering::SeqCst)));
        let (observer, door) = Observer::new(self.ledger.clone(), key(), clock);
        self.observer = Some((observer.of(self.terms.clone(), &Fleet::default()), door));
    }

    pub(super) fn now(&self) -> Timestamp {
        at(self.clock.load(Ordering::SeqCst))
    }

    /// Sets the clock, and lets the observer do nothing meanwhile.
    pub(super) fn jump(&self, ms: i64) {
        let _before = self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    /// Lets time pass, with the observer at work.
    pub(super) fn pass(&mut self, ms: i64) {
        let end = self.clock.load(Ordering::SeqCst) + ms;
        while self.clock.load(Ordering::SeqCst) < end {
            let left = end - self.clock.load(Ordering::SeqCst);
            self.jump(left.min(30 * SECOND));
            self.turn(Vec::new());
        }
    }

    pub(super) fn turn(&mut self, events: Vec<Event>) {
        self.observer.as_mut().unwrap().0.turn(events).unwrap();
    }

    /// The listener is shown a line.
    pub(super) fn show(&mut self, line: &Canary) {
        let (canary, at) = (line.clone(), self.now());
        self.turn(vec![Event::Arrived { canary, at }]);
    }

    /// What was observed since the last question, as JSON of its facts.
    pub(super) fn observed(&mut self) -> Vec<Observation> {
        let mut found = Vec::new();
        for index in self.looked..self.ledger.published().size {
            let entry = self.ledger.entry(index).unwrap();
            if entry.leaf.kind != LeafKind::Observed {
                continue;
            }
            let sight = observed::open(&entry.envelope, &key().public()).unwrap();
            for record in &sight.basis {
                assert!(self.ledger.index_of(record).unwrap() < index);
            }
            let bytes = self.ledger.blob(&sight.observation).unwrap().unwrap();
            let observation = Observation::from_bytes(&bytes).unwrap();
            if observation.probe != "offset" {
                found.push(observation);
            }
        }
        self.looked = self.ledger.published().size;
        found
    }

    /// The one thing that was observed since the last question.
    #[track_caller]
    pub(super) fn one(&mut self) -> Observation {
        let mut found = self.observed();
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    #[track_caller]
    pub(super) fn nothing(&mut self) {
        assert_eq!(self.observed(), Vec::new());
    }

    fn append(&self, entry: NewEntry, blobs: Vec<(Digest, Vec<u8>)>) -> Digest {
        let entries = vec![entry];
        let appended = self
            .ledger
            .append_blocking(Submission { entries, blobs })
            .unwrap();
        appended[0].id
    }

    pub(super) fn enrol(&self, name: &str, generation: u64) -> Host {
        let host = Host {
            agent: name.parse().unwrap(),
            generation,
            key: SigningKey::generate().unwrap(),
            ahead_ms: 0,
            seq: 0,
        };
        let enrolled = Enrolled {
            agent: host.agent.clone(),
            generation,
            evidence_key: host.key.public().to_pem(),
            statement: EMPTY_ROOT,
            token: EMPTY_ROOT,
            heartbeat_s: 60,
        };
        let decision = Decision {
            at: self.now(),
            by: "operator".to_owned(),
            statement: None,
            decides: Decided::Enrol(enrolled),
        };
        let statement = Statement::new(DECISION_TYPE, Vec::new(), decision);
        let entry = NewEntry {
            kind: LeafKind::Enrol,
            stream: None,
            envelope: statement.seal(&key()).unwrap(),
            received: self.now(),
        };
        let _id = self.append(entry, Vec::new());
        host
    }

    /// Measures the clock of a host.
    pub(super) fn measure(&mut self, host: &Host, delay_ms: i64) {
        let (now, half) = (self.now(), delay_ms / 2);
        let exchange = Exchange {
            sent: now.plus_ms(host.ahead_ms - half),
            received: now,
            answered: now,
            returned: now.plus_ms(host.ahead_ms + delay_ms - half),
        };
        self.turn(vec![Event::Compared {
            agent: host.agent.clone(),
            generation: host.generation,
            exchange,
            record: self.ledger.entry(0).unwrap().leaf.id,
        }]);
    }

    /// A record of a host about one probe, made so long ago, and a turn of the observer.
    pub(super) fn report(&mut self, host: &mut Host, seen: &Observation, ago_ms: i64) -> Digest {
        let wall = self.now().plus_ms(host.ahead_ms - ago_ms);
        let bytes = seen.to_bytes();
        assert!(Observation::from_bytes(&bytes).is_ok(), "{seen:?}");
        let evidence = Evidence {
            stream: Position {
                agent: host.agent.clone(),
                generation: host.generation,
                seq: host.seq,
                prev: EMPTY_ROOT,
            },
            kind: Kind::Evidence,
            boot: Boot {
                id: "boot".to_owned(),
                mono_ms: 1,
            },
            time: HostTime {
                wall,
                synced: true,
                max_error_ms: 1,
                exchange: None,
            },
            seen: Seen {
                size: 0,
                root: EMPTY_ROOT,
                acked: None,
            },
            run: Program {
                agent: "evident-agent/0".to_owned(),
                binary: EMPTY_ROOT,
                config: EMPTY_ROOT,
                due: wall,
                probes: vec![ProbeRun {
                    probe: seen.probe.clone(),
                    outcome: seen.outcome,
                    took_ms: 1,
                }],
            },
            gap: None,
        };
        let name = format!("observation/{}", seen.probe);
        let subject = vec![Subject::new(&name, Digest::of(&bytes))];
        let envelope = Statement::new(EVIDENCE_TYPE, subject, evidence).seal(&host.key);
        let entry = NewEntry {
            kind: LeafKind::Evidence,
            stream: Some(ledger::Stream {
                agent: host.agent.clone(),
                generation: host.generation,
                seq: host.seq,
            }),
            envelope: envelope.unwrap(),
            received: self.now(),
        };
        host.seq += 1;
        let id = self.append(entry, vec![(Digest::of(&bytes), bytes)]);
        self.turn(Vec::new());
        id
    }
}

impl Host {
    /// A line that is sent at this moment by the clock of the collector.
    pub(super) fn line(&self, now: Timestamp) -> Canary {
        let sent = now.plus_ms(self.ahead_ms);
        Canary::new(self.agent.clone(), self.generation, sent, &self.key)
    }
}

/// Facts of a probe of a host.
pub(super) fn seen<const N: usize>(probe: &str, values: [(&str, Value); N]) -> Observation {
    let values = values.map(|(name, value)| (name, Some(value)));
    facts(probe, field::known(values), &[])
}

/// Records of a list, all of the same fields.
pub(super) fn list(records: Vec<Record>) -> Value {
    Value::List(records)
}

pub(super) fn number(observation: &Observation, name: &str) -> Option<i64> {
    field::number(&observation.facts, name)
}
