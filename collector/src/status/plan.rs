//! A catalogue laid out for judging: checks by number, by probe, and whether they read the clock.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use shared::id::Digest;
use shared::observation::Observation;
use shared::time::Timestamp;

use super::change::ProbeOutcome;
use crate::catalog::{Catalog, Check};
use crate::evaluate::{self, Finding};

/// A catalogue and the numbers of its checks, which are their places in the order of their ids.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) catalog: Arc<Catalog>,
    /// When it was put in force; long ago for the one that the state began with.
    pub(super) since: Timestamp,
    pub(super) checks: Vec<Planned>,
    probes: BTreeMap<String, Probe>,
}

/// A check.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) id: String,
    pub(super) probe: String,
    pub(super) freshness_ms: i64,
    /// Its finding changes with the time of collection alone.
    timed: bool,
}

/// The checks that read a probe.
#[derive(Debug, Default)]
struct Probe {
    all: Vec<usize>,
    /// Those that read the time.
    timed: Vec<usize>,
    /// The longest time that evidence of the probe counts, by any of its checks.
    freshness_ms: i64,
}

impl Plan {
    pub(super) fn new(catalog: Arc<Catalog>, since: Timestamp) -> Self {
        let mut probes: BTreeMap<String, Probe> = BTreeMap::new();
        let mut checks = Vec::new();
        for check in catalog.checks() {
            let number = checks.len();
            let probe = probes.entry(check.probe.clone()).or_default();
            probe.all.push(number);
            let timed = evaluate::reads_time(check);
            if timed {
                probe.timed.push(number);
            }
            probe.freshness_ms = probe.freshness_ms.max(check.freshness_ms);
            checks.push(Planned {
                id: check.id.clone(),
                probe: check.probe.clone(),
                freshness_ms: check.freshness_ms,
                timed,
            });
        }
        Self {
            catalog,
            since,
            checks,
            probes,
        }
    }

    /// The number of a check.
    pub(super) fn number(&self, check: &str) -> Option<usize> {
        self.checks
            .binary_search_by(|planned| planned.id.as_str().cmp(check))
            .ok()
    }

    /// The numbers of the checks that read a probe.
    pub(super) fn on(&self, probe: &str) -> &[usize] {
        self.probes.get(probe).map_or(&[], |probe| &probe.all)
    }

    /// Whether the finding of a check changes with the time of collection alone.
    pub(super) fn is_timed(&self, number: usize) -> bool {
        self.checks.get(number).is_some_and(|check| check.timed)
    }

    /// How long evidence of a probe counts at most; `None` when no check reads it.
    pub(super) fn freshness_ms(&self, probe: &str) -> Option<i64> {
        self.probes.get(probe).map(|probe| probe.freshness_ms)
    }
}

/// Brings an observation by its digest; `None` when it is not there, or not readable here.
pub(super) type Load<'a, E> = &'a (dyn Fn(&Digest) -> Result<Option<Observation>, E> + Sync);

/// What judging of one host needs besides the host.
pub(super) struct Bench<'a, E> {
    pub(super) plan: &'a Plan,
    /// The checks by their numbers.
    pub(super) checks: Vec<&'a Check>,
    load: Load<'a, E>,
    /// What was loaded last of each probe: a host mostly shows the same again.
    loaded: RefCell<BTreeMap<String, (Digest, Option<Observation>)>>,
}

impl<'a, E> Bench<'a, E> {
    pub(super) fn new(plan: &'a Plan, load: Load<'a, E>) -> Self {
        Self {
            plan,
            checks: plan.catalog.checks().collect(),
            load,
            loaded: RefCell::default(),
        }
    }

    /// The findings of an outcome with the numbers of their checks, and whether they were
    /// evaluated on an observation. `known` says that all of them were, on the same observation:
    /// then only those are evaluated again that read the time.
    pub(super) fn judged(
        &self,
        outcome: &ProbeOutcome,
        collected: Timestamp,
        known: bool,
    ) -> Result<(Vec<(usize, Finding)>, bool), E> {
        let Some(probe) = self.plan.probes.get(&outcome.probe) else {
            return Ok((Vec::new(), false));
        };
        let due = if known { &probe.timed } else { &probe.all };
        if due.is_empty() {
            return Ok((Vec::new(), true));
        }
        let mut loaded = self.loaded.borrow_mut();
        let observation = match (&outcome.observation, &outcome.observation_id) {
            (Some(here), _) => Some(here),
            (None, Some(id)) => {
                let last = loaded.get(&outcome.probe);
                if last.is_none_or(|(last, _)| last != id) {
                    let brought = (*id, (self.load)(id)?);
                    let _last = loaded.insert(outcome.probe.clone(), brought);
                }
                loaded
                    .get(&outcome.probe)
                    .and_then(|(_, seen)| seen.as_ref())
            }
            (None, None) => None,
        };
        let why = match observation {
            Some(seen) if seen.probe == outcome.probe && seen.outcome == outcome.outcome => {
                let checks = due.iter().filter_map(|number| {
                    let check = self.checks.get(*number)?;
                    Some((*number, evaluate::finding_of(check, seen, collected)))
                });
                return Ok((checks.collect(), true));
            }
            Some(_) => "the observation is not the one that the attestation tells of",
            None => "the probe was due, and no observation of it is here",
        };
        let unknown = evaluate::unobserved(&self.plan.catalog, &outcome.probe, why);
        Ok((probe.all.iter().copied().zip(unknown).collect(), false))
    }
}
