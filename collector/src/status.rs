//! Derived state: the latest finding of each check on each host, and the state of each control.
//!
//! Everything here follows from the ledger and the catalogue, and can be dropped and made again by
//! applying the same changes in the same order: the [`Status::export`] is then byte for byte the
//! same. So it is never trusted more than that: after an unclean stop, after any damage and after
//! a change of catalogue or program it starts empty at position 0, and the caller applies all
//! changes again.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use shared::id::{AgentId, Digest};
use shared::observation::{Observation, Outcome};
use shared::time::Timestamp;

use crate::catalog::Catalog;
use crate::evaluate::{self, Finding};

mod change;
mod controls;
mod history;
mod query;
mod store;

pub use change::{Change, Place, ProbeOutcome, Sight};
pub use controls::{CheckStatus, ControlState, ControlStatus, HostFinding, controls};
pub use history::{At, Cell, Changed, Changes, Cursor, Event, Evidence, Happened, Silence, Span};
pub use store::{Rebuild, StatusError};

use store::{Store, Writes};

/// The derived state on disk. One owner, one writer.
#[derive(Debug)]
pub struct Status {
    store: Store,
    catalog: Arc<Catalog>,
}

/// A finding and the evidence it stands on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// What the check says.
    pub finding: Finding,
    /// The host's time of the run.
    pub collected: Timestamp,
    /// The collector's time of receipt.
    pub received: Timestamp,
    /// When this verdict was first collected in a row.
    pub since: Timestamp,
    /// The attestation; `None` when no collector received it.
    pub attestation: Option<Digest>,
    /// The observation, when there is one.
    pub observation: Option<Digest>,
}

/// An enrolled host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Generation in force.
    pub generation: u64,
    /// When it was enrolled under this generation.
    pub enrolled: Timestamp,
    /// When it was revoked, if it was.
    pub revoked: Option<Timestamp>,
    /// The longest time between two records, in seconds; after it the host is silent.
    pub heartbeat_s: u64,
    /// When the last record came, of whatever kind; before the first, when it was enrolled.
    pub heard: Timestamp,
    /// Number of the next record of this generation.
    pub next_seq: u64,
    /// Number of the record that came where another one stands or was due. The key or the state of
    /// the host has a copy somewhere, so nothing more of this generation counts.
    pub forked: Option<u64>,
    /// The last run that counts.
    pub last: Option<LastRun>,
}

/// The last run of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The host's time of it.
    pub collected: Timestamp,
    /// The collector's time of receipt.
    pub received: Timestamp,
    /// The attestation.
    pub attestation: Digest,
    /// What came of each probe that was due.
    pub probes: BTreeMap<String, Outcome>,
}

/// A host and the number of its checks by verdict, as of a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostStatus {
    /// The host.
    pub host: AgentId,
    /// Its enrolment and its last run.
    #[serde(flatten)]
    pub enrolment: Host,
    /// What happened that a person must see to, and how; `None` for most.
    pub warning: Option<String>,
    /// Checks that pass.
    pub passing: usize,
    /// Checks that fail.
    pub failing: usize,
    /// Checks of which nothing can be told; stale and missing ones are among them.
    pub unknown: usize,
    /// Checks that do not concern the host.
    pub not_applicable: usize,
    /// Checks whose evidence is too old.
    pub stale: usize,
}

/// What is known of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Number of the record at which its stream forked: then every finding counts as unknown.
    pub forked: Option<u64>,
    /// The latest finding of each check.
    pub latest: BTreeMap<String, Latest>,
}

impl Status {
    /// Opens the state in `folder`, or makes it.
    ///
    /// When what is there cannot be trusted, it is moved aside, the state begins empty, and the
    /// [`Rebuild`] says why, to be logged; the caller then applies all changes from position 0.
    ///
    /// # Errors
    ///
    /// [`StatusError`] when no fresh state can be made either: the operator must act.
    pub fn open(
        folder: &Path,
        catalog: Arc<Catalog>,
    ) -> Result<(Self, Option<Rebuild>), StatusError> {
        let (store, rebuild) = Store::open(folder, catalog.digest())?;
        Ok((Self { store, catalog }, rebuild))
    }

    /// Makes the next [`Status::open`] of `folder` begin empty, as a replay wants it.
    ///
    /// # Errors
    ///
    /// [`StatusError::InUse`] while a collector has it open: the operator must stop it.
    pub fn forget(folder: &Path) -> Result<(), StatusError> {
        Store::forget(folder)
    }

    /// The number of changes that were applied, which is the number of the next one.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn position(&self) -> Result<u64, StatusError> {
        self.store.position()
    }

    /// Applies change number `position`, whole or not at all.
    ///
    /// # Errors
    ///
    /// [`StatusError::Position`] when it is not the next one: the caller skipped or repeated.
    pub fn apply(&self, position: u64, change: &Change) -> Result<(), StatusError> {
        let due = self.position()?;
        if position != due {
            let came = position;
            return Err(StatusError::Position { due, came });
        }
        let mut writes = Writes::default();
        match change {
            Change::Enrolled {
                host,
                generation,
                at,
                heartbeat_s,
            } => {
                let begun = (*generation, *at, *heartbeat_s);
                let enrolled = self.enrolled(host, begun, &mut writes)?;
                writes.put(host_key(host), &enrolled);
            }
            Change::Revoked {
                host,
                generation,
                at,
            } => {
                if let Some(mut known) = self.host(host)?
                    && known.generation <= *generation
                {
                    known.revoked = Some(*at);
                    writes.put(host_key(host), &known);
                }
            }
            Change::Record(place) => {
                if let Some((known, _counts)) = self.stepped(place)? {
                    writes.put(host_key(&place.host), &known);
                }
            }
            Change::Run {
                place,
                attestation,
                collected,
                outcomes,
            } => {
                let run = LastRun {
                    collected: *collected,
                    received: place.received,
                    attestation: *attestation,
                    probes: outcomes
                        .iter()
                        .map(|o| (o.probe.clone(), o.outcome))
                        .collect(),
                };
                if let Some((mut known, counts)) = self.stepped(place)? {
                    if counts {
                        self.run(&place.host, &run, outcomes, &mut writes)?;
                        known.last = Some(run);
                    }
                    writes.put(host_key(&place.host), &known);
                }
            }
            Change::Observed(sight) => self.observed(sight, &mut writes)?,
            Change::Catalogue { .. } | Change::Nothing => {}
        }
        self.store.apply(due.saturating_add(1), writes)
    }

    /// Judges what the collector observed, unless the host has another generation by now.
    fn observed(&self, sight: &Sight, writes: &mut Writes) -> Result<(), StatusError> {
        let host = self.host(&sight.host)?;
        let counts = host
            .is_some_and(|known| known.generation == sight.generation && known.forked.is_none());
        if counts {
            let times = (sight.collected, sight.received);
            let about = (&sight.host, sight.record, times);
            self.judge_one(about, &sight.outcome, writes)?;
        }
        Ok(())
    }

    /// The host under a new generation. After a fork it begins empty: whose findings they were is
    /// not known.
    fn enrolled(
        &self,
        host: &AgentId,
        (generation, enrolled, heartbeat_s): (u64, Timestamp, u64),
        writes: &mut Writes,
    ) -> Result<Host, StatusError> {
        let mut known = self.host(host)?;
        if known.as_ref().is_some_and(|known| known.forked.is_some()) {
            known = None;
            for (check, _finding) in self.store.scan::<IgnoredAny>(&finding_key(host, ""))? {
                writes.remove(finding_key(host, &check));
            }
        }
        Ok(Host {
            generation,
            enrolled,
            revoked: None,
            heartbeat_s,
            heard: enrolled,
            next_seq: 0,
            forked: None,
            last: known.and_then(|known| known.last),
        })
    }

    /// The host after a record of its stream, and whether the record counts; `None` when it
    /// changes nothing, because the generation was ended or has forked already.
    fn stepped(&self, place: &Place) -> Result<Option<(Host, bool)>, StatusError> {
        let Some(mut host) = self.host(&place.host)? else {
            return Ok(None);
        };
        if host.generation != place.generation || host.forked.is_some() {
            return Ok(None);
        }
        host.heard = place.received;
        let due = place.seq == host.next_seq;
        if due {
            host.next_seq = host.next_seq.saturating_add(1);
        } else {
            host.forked = Some(place.seq);
        }
        Ok(Some((host, due)))
    }

    fn run(
        &self,
        host: &AgentId,
        run: &LastRun,
        outcomes: &[ProbeOutcome],
        writes: &mut Writes,
    ) -> Result<(), StatusError> {
        let times = (run.collected, run.received);
        let about = (host, run.attestation, times);
        outcomes
            .iter()
            .try_for_each(|outcome| self.judge_one(about, outcome, writes))
    }

    /// Judges what one probe saw of a host, by all checks on it: the record that says so, and when
    /// it was collected and received.
    fn judge_one(
        &self,
        (host, record, (collected, received)): (&AgentId, Digest, (Timestamp, Timestamp)),
        outcome: &ProbeOutcome,
        writes: &mut Writes,
    ) -> Result<(), StatusError> {
        for finding in judged(&self.catalog, outcome, collected) {
            let key = finding_key(host, &finding.check);
            let before: Option<Latest> = self.store.get(&key)?;
            let since = before.filter(|latest| latest.finding.verdict == finding.verdict);
            let latest = Latest {
                finding,
                collected,
                received,
                since: since.map_or(collected, |latest| latest.since),
                attestation: Some(record),
                observation: outcome.observation_id,
            };
            writes.put(key, &latest);
        }
        Ok(())
    }

    fn host(&self, host: &AgentId) -> Result<Option<Host>, StatusError> {
        self.store.get(&host_key(host))
    }

    /// The state of all controls of Annex A, in their order. A control without a check says so.
    ///
    /// Evidence older than the freshness of its check counts as unknown at `now`.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn controls(&self, now: Timestamp) -> Result<Vec<ControlStatus>, StatusError> {
        let mut expected = self.findings()?;
        let known = self.known_hosts()?;
        expected.retain(|host, _| known.get(host).is_some_and(|host| host.revoked.is_none()));
        Ok(controls(&self.catalog, &expected, now))
    }

    /// All hosts that were ever enrolled, in the order of their names.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn hosts(&self, now: Timestamp) -> Result<Vec<HostStatus>, StatusError> {
        let findings = self.findings()?;
        let hosts = self.known_hosts()?.into_iter().map(|(host, enrolment)| {
            let none = Findings::default();
            let own = findings.get(&host).unwrap_or(&none);
            controls::host_status(&self.catalog, host, enrolment, own, now)
        });
        Ok(hosts.collect())
    }

    fn known_hosts(&self) -> Result<BTreeMap<AgentId, Host>, StatusError> {
        let hosts = self.store.scan("host/")?.into_iter();
        hosts
            .map(|(name, host)| Ok((agent(&name)?, host)))
            .collect()
    }

    /// The latest findings of every known host, also of one that never sent any.
    fn findings(&self) -> Result<BTreeMap<AgentId, Findings>, StatusError> {
        let known = self.known_hosts()?.into_iter();
        let none = |(host, known): (AgentId, Host)| {
            let forked = known.forked;
            let latest = BTreeMap::new();
            (host, Findings { forked, latest })
        };
        let mut all: BTreeMap<_, _> = known.map(none).collect();
        for (name, latest) in self.store.scan::<Latest>("finding/")? {
            let (host, check) = name.split_once('/').unwrap_or((&name, ""));
            let own = all.entry(agent(host)?).or_default();
            own.latest.insert(check.to_owned(), latest);
        }
        Ok(all)
    }

    /// The whole derived state as canonical bytes: equal changes give equal bytes.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn export(&self) -> Result<Vec<u8>, StatusError> {
        self.store.export()
    }

    /// Closes cleanly: only a state that was closed by this is taken up again at the next open.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: then the next open rebuilds.
    pub fn close(self) -> Result<(), StatusError> {
        self.store.close(self.catalog.digest())
    }
}

/// The findings of observations that no collector received, as if one host had just sent them.
#[must_use]
pub fn judge(
    catalog: &Catalog,
    observations: &[(Digest, Observation)],
    collected: Timestamp,
) -> Findings {
    let findings = observations.iter().flat_map(|(id, observation)| {
        let found = evaluate::evaluate(catalog, observation, collected);
        found.into_iter().map(move |finding| (*id, finding))
    });
    let latest = findings.map(|(id, finding)| {
        let latest = Latest {
            collected,
            received: collected,
            since: collected,
            attestation: None,
            observation: Some(id),
            finding,
        };
        (latest.finding.check.clone(), latest)
    });
    Findings {
        forked: None,
        latest: latest.collect(),
    }
}

fn judged(catalog: &Catalog, outcome: &ProbeOutcome, collected: Timestamp) -> Vec<Finding> {
    let why = match &outcome.observation {
        Some(seen) if seen.probe == outcome.probe && seen.outcome == outcome.outcome => {
            return evaluate::evaluate(catalog, seen, collected);
        }
        Some(_) => "the observation is not the one that the attestation tells of",
        None => "the probe was due, and no observation of it is here",
    };
    evaluate::unobserved(catalog, &outcome.probe, why)
}

fn host_key(host: &AgentId) -> String {
    format!("host/{host}")
}

fn finding_key(host: &AgentId, check: &str) -> String {
    format!("finding/{host}/{check}")
}

fn agent(name: &str) -> Result<AgentId, StatusError> {
    let damaged = |_no_name| StatusError::Damaged(name.chars().take(80).collect());
    name.parse().map_err(damaged)
}

#[cfg(test)]
mod tests;
