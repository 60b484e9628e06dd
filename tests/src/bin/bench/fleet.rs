//! A simulated fleet: what its hosts show and sign, and a ledger that holds it.
//!
//! The facts are those of the examples inside the checks, moved to the time of the run. Probes look
//! when the default schedule says so: four of them every quarter of an hour, all every hour.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use agent::attest::{Circumstances, Matter, Moment, Observed, Program, attest};
use anyhow::Context as _;
use collector::catalog::{Catalog, Files, Verdict};
use collector::ledger::{Ledger, NewEntry, Stream, Submission};
use shared::attestation::{Boot, HostTime, Position, Seen, Statement};
use shared::checkpoint::Signer;
use shared::decision::{DECISION_TYPE, Decided, Decision, Enrolled};
use shared::fact::{self, Facts, Record, Value};
use shared::id::{AgentId, Digest};
use shared::key::SigningKey;
use shared::leaf::LeafKind;
use shared::limits;
use shared::observation::{Observation, Outcome};
use shared::time::Timestamp;

/// When the simulated time begins.
const START: &str = "2026-01-01T00:00:00Z";
/// A quarter of an hour.
pub(crate) const RUN_MS: i64 = 900_000;
/// What looks every quarter of an hour.
const OFTEN: [&str; 4] = ["audit", "canary", "clock", "logging"];
/// What shows other numbers each time that it looks; the others once a day.
const RESTLESS: [&str; 2] = ["clock", "logging"];
/// How many runs what is wrong, or right, stays so.
const STAYS: u64 = 50;
/// One in so many is wrong.
const WRONG: u64 = 8;

/// What a probe can show.
struct Shown {
    probe: &'static str,
    /// The first is as the checks expect it.
    states: Vec<Facts>,
}

/// The hosts and the checks on them.
pub(crate) struct Fleet {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) hosts: Vec<AgentId>,
    shown: Vec<Shown>,
    start: Timestamp,
    key: SigningKey,
    records: Vec<Digest>,
    sent: Vec<u64>,
}

impl Fleet {
    /// So many hosts, and exactly so many checks: those on what hosts show, and as many of them
    /// again under other ids as are wanted.
    pub(crate) fn new(hosts: usize, checks: usize) -> anyhow::Result<Self> {
        let catalog = Arc::new(catalog(checks)?);
        let start: Timestamp = START.parse()?;
        let shown = fact::of_hosts().map(|subject| Shown {
            probe: subject.probe,
            states: states(&catalog, subject.probe, start),
        });
        let mut shown: Vec<_> = shown.filter(|shown| !shown.states.is_empty()).collect();
        shown.sort_by_key(|shown| shown.probe);
        let names = (0..hosts).map(|number| Ok(format!("host-{number:05}").parse()?));
        Ok(Self {
            catalog,
            hosts: names.collect::<anyhow::Result<_>>()?,
            shown,
            start,
            key: SigningKey::from_seed([3; 32])?,
            records: vec![Digest::of(b"enrolment"); hosts],
            sent: vec![0; hosts],
        })
    }

    /// The key that decisions are signed with.
    pub(crate) const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The probes, in their order.
    pub(crate) fn probes(&self) -> impl Iterator<Item = &'static str> {
        self.shown.iter().map(|shown| shown.probe)
    }

    /// When a host makes its run of this number; they are spread over the quarter of an hour.
    pub(crate) fn time(&self, host: usize, run: u64) -> Timestamp {
        let own = i64::try_from(host).unwrap_or_default() * 7919 % RUN_MS;
        let run = i64::try_from(run).unwrap_or_default();
        self.start.plus_ms(own + run * RUN_MS)
    }

    /// What a probe shows of a host at its run of this number.
    pub(crate) fn observation(&self, probe: usize, host: usize, run: u64) -> Option<Observation> {
        let shown = self.shown.get(probe)?;
        let restless = RESTLESS.contains(&shown.probe);
        let moved = if restless { run } else { run - run % 96 };
        let at = self.time(if restless { host } else { 0 }, moved);
        let state = self.state(probe, host, run);
        let facts = shown.states.get(state)?;
        Some(seen(shown.probe, moved_by(facts, at.ms_since(self.start))))
    }

    /// Which of the things that a probe can show it shows then: 0 is good.
    pub(crate) fn state(&self, probe: usize, host: usize, run: u64) -> usize {
        let states = self.shown.get(probe).map_or(1, |shown| shown.states.len());
        let text = format!("{probe} {host} {}", run / STAYS);
        let random = Digest::of(text.as_bytes()).0;
        let random = random
            .iter()
            .fold(0_u64, |sum, byte| sum * 31 % 65_521 + u64::from(*byte));
        if states < 2 || random % WRONG != 0 {
            return 0;
        }
        let bad = usize::try_from(random / WRONG).unwrap_or_default() % (states - 1);
        bad + 1
    }

    /// Opens the ledger of a fleet: its name and its key are the same for all.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Ledger> {
        let signer = Signer::new("localhost/bench/1", &[5; 32])?;
        Ok(Ledger::open(folder, signer)?)
    }

    /// A ledger in which every host is enrolled.
    pub(crate) fn ledger(&self, folder: &Path) -> anyhow::Result<Ledger> {
        let ledger = Self::open(folder)?;
        for hosts in self.hosts.chunks(limits::BATCH_ATTESTATIONS_MAX) {
            let entries = hosts.iter().map(|host| self.enrolment(host));
            let entries = entries.collect::<anyhow::Result<Vec<_>>>()?;
            let blobs = Vec::new();
            let _places = ledger.append_blocking(Submission { entries, blobs })?;
        }
        Ok(ledger)
    }

    fn enrolment(&self, host: &AgentId) -> anyhow::Result<NewEntry> {
        let decision = Decision {
            at: self.start,
            by: "bench".to_owned(),
            statement: None,
            decides: Decided::Enrol(Enrolled {
                agent: host.clone(),
                generation: 1,
                evidence_key: self.key.public().to_pem(),
                statement: Digest::of(b"statement"),
                token: Digest::of(b"token"),
                heartbeat_s: 3600,
            }),
        };
        let statement = Statement::new(DECISION_TYPE, Vec::new(), decision);
        Ok(NewEntry {
            kind: LeafKind::Enrol,
            stream: None,
            envelope: statement.seal(&self.key)?,
            received: self.start,
        })
    }

    /// Enters the run of this number of some hosts. With `all` every probe looks.
    pub(crate) fn enter(
        &mut self,
        ledger: &Ledger,
        hosts: std::ops::Range<usize>,
        run: u64,
        all: bool,
    ) -> anyhow::Result<()> {
        let mut group = Submission::default();
        for host in hosts {
            let (entry, blobs) = self.record(host, run, all)?;
            group.entries.push(entry);
            for blob in blobs {
                group.blobs.push((Digest::of(&blob), blob));
            }
            if limits::BATCH_ATTESTATIONS_MAX <= group.entries.len() {
                let _places = ledger.append_blocking(std::mem::take(&mut group))?;
            }
        }
        if !group.entries.is_empty() {
            let _places = ledger.append_blocking(group)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        host: usize,
        run: u64,
        all: bool,
    ) -> anyhow::Result<(NewEntry, Vec<Vec<u8>>)> {
        let mut seen = Vec::new();
        for (number, shown) in self.shown.iter().enumerate() {
            if all || run.is_multiple_of(4) || OFTEN.contains(&shown.probe) {
                let observation = self.observation(number, host, run).context("no state")?;
                seen.push(Observed {
                    observation,
                    copies: Vec::new(),
                    took_ms: 3,
                });
            }
        }
        let (agent, at) = (
            self.hosts.get(host).context("no host")?,
            self.time(host, run),
        );
        let prev = self.records.get_mut(host).context("no host")?;
        let seq = self.sent.get_mut(host).context("no host")?;
        let program = Program {
            name: "evident-agent/0.1.0".to_owned(),
            binary: Digest::of(b"program"),
            config: Digest::of(b"settings"),
        };
        let circumstances = circumstances((agent, *seq, *prev), at)?;
        let matter = Matter::Run(&seen);
        let (record, blobs) = attest(&self.key, &program, circumstances, matter)?;
        let stream = Stream {
            agent: agent.clone(),
            generation: 1,
            seq: *seq,
        };
        (*prev, *seq) = (record.id(), *seq + 1);
        let entry = NewEntry {
            kind: LeafKind::Evidence,
            stream: Some(stream),
            envelope: record.into_file(),
            received: at.plus_ms(2000),
        };
        Ok((entry, blobs))
    }
}

fn circumstances(
    (agent, seq, prev): (&AgentId, u64, Digest),
    wall: Timestamp,
) -> anyhow::Result<Circumstances> {
    Ok(Circumstances {
        stream: Position {
            agent: agent.clone(),
            generation: 1,
            seq,
            prev,
        },
        moment: Moment {
            boot: Boot {
                id: "1b4e28ba-2fa1-41d2-883f-0016d3cca427".to_owned(),
                mono_ms: u64::try_from(RUN_MS)? * seq,
            },
            wall,
        },
        time: HostTime {
            wall,
            synced: true,
            max_error_ms: 12,
            exchange: None,
        },
        seen: Seen {
            size: 1,
            root: Digest::of(b"root"),
            acked: None,
        },
        due: wall,
    })
}

/// The checks on what hosts show, and copies of them under other ids, so that there are so many.
fn catalog(checks: usize) -> anyhow::Result<Catalog> {
    let of_hosts: Vec<&str> = fact::of_hosts().map(|subject| subject.probe).collect();
    let (mut controls, mut blocks) = ("", Vec::new());
    let files = Files::embedded();
    for (name, text) in files.iter() {
        let probe = name
            .strip_prefix("checks/")
            .and_then(|name| name.strip_suffix(".toml"));
        match probe {
            None => controls = text,
            Some(probe) if of_hosts.contains(&probe) => {
                let parts = text.split("\n[[check]]\n").skip(1);
                blocks.extend(parts.map(|part| format!("\n[[check]]\n{part}")));
            }
            Some(_) => {}
        }
    }
    anyhow::ensure!(!blocks.is_empty(), "there are no checks");
    let mut text = String::new();
    for number in 0..checks {
        let block = blocks
            .get(number % blocks.len())
            .context("there are checks")?;
        let again = format!("-{}\"\nprobe", number / blocks.len() + 1);
        if number < blocks.len() {
            text.push_str(block);
        } else {
            text.push_str(&block.replacen("\"\nprobe", &again, 1));
        }
    }
    let catalog = Catalog::from_texts(controls, &[("checks/all.toml", &text)])?;
    anyhow::ensure!(
        catalog.checks().count() == checks,
        "another number of checks"
    );
    Ok(catalog)
}

/// What a probe can show: what passes, then the same with what fails a check.
fn states(catalog: &Catalog, probe: &str, start: Timestamp) -> Vec<Facts> {
    let cases = || {
        let checks = catalog.checks().filter(|check| check.probe == probe);
        checks.flat_map(|check| &check.cases)
    };
    let moved = |wanted: Verdict| {
        let cases = cases().filter(move |case| case.verdict == wanted);
        cases.map(|case| moved_by(&case.facts, start.ms_since(case.now)))
    };
    let mut good = Facts::new();
    for facts in moved(Verdict::Pass) {
        for (name, value) in facts {
            let _first = good.entry(name).or_insert(value);
        }
    }
    if good.is_empty() {
        return Vec::new();
    }
    let bad = moved(Verdict::Fail).map(|facts| {
        let mut all = good.clone();
        all.extend(facts);
        all
    });
    let bad: Vec<_> = bad.take(8).collect();
    [good].into_iter().chain(bad).collect()
}

/// The same facts so much later.
fn moved_by(facts: &Facts, ms: i64) -> Facts {
    let moved = |value: &Value| match value {
        Value::Instant(at) => Value::Instant(at.plus_ms(ms)),
        Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => value.clone(),
    };
    let all = facts.iter().map(|(name, value)| {
        let value = match value {
            Value::List(records) => {
                let records = records.iter().map(|record| {
                    let fields = record
                        .iter()
                        .map(|(name, value)| (name.clone(), moved(value)));
                    fields.collect::<Record>()
                });
                Value::List(records.collect())
            }
            Value::Flag(_) | Value::Number(_) | Value::Text(_) | Value::Instant(_) => moved(value),
        };
        (name.clone(), value)
    });
    all.collect::<BTreeMap<_, _>>()
}

fn seen(probe: &str, facts: Facts) -> Observation {
    Observation {
        artifacts: Vec::new(),
        facts,
        outcome: Outcome::Facts,
        probe: probe.to_owned(),
        reason: String::new(),
        schema: fact::subject(probe).map_or(1, |subject| subject.schema),
        source: Vec::new(),
    }
}
