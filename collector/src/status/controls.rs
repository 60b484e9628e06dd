//! From findings to the state of each control: counts, the worst first, stale is unknown.

use std::collections::BTreeMap;
use std::convert::Infallible;

use serde::Serialize;
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use super::history::Cell;
use super::{Findings, Host, HostStatus};
use crate::catalog::{Catalog, Check, Mapping, Severity, Strength, Verdict};
use crate::evaluate::ago;

/// Most hosts that one check lists by name.
const DECIDING_MAX: usize = 20;

/// What the findings say of a control. It is no conclusion: that is a person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum ControlState {
    /// At least one check fails on at least one host.
    #[serde(rename = "failing")]
    Failing,
    /// Nothing fails, and at least one check on one host could not be told, or is stale.
    #[serde(rename = "unknown")]
    Unknown,
    /// Every check that concerns a host passes, and there is at least one.
    #[serde(rename = "passing")]
    Passing,
    /// No check concerns any host.
    #[serde(rename = "not applicable")]
    NotApplicable,
    /// There are checks, and no host to look at.
    #[serde(rename = "no host")]
    NoHost,
    /// No check bears on the control: nothing is known of it here.
    #[serde(rename = "no check")]
    NoCheck,
}

impl ControlState {
    /// The word that people see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Unknown => "unknown",
            Self::Passing => "passing",
            Self::NotApplicable => "not applicable",
            Self::NoHost => "no host",
            Self::NoCheck => "no check",
        }
    }
}

/// One control as of a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ControlStatus {
    /// Id, e.g. `A.8.17`.
    pub control: String,
    /// Short title.
    pub title: String,
    /// Organizational, People, Physical or Technological.
    pub theme: String,
    /// What the findings say.
    pub state: ControlState,
    /// How far the passing checks carry at most; `None` unless all pass.
    pub strength: Option<Strength>,
    /// The checks that bear on it.
    pub checks: Vec<CheckStatus>,
}

/// One check over all expected hosts. `expected` is the sum of the four verdicts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckStatus {
    /// Id of the check.
    pub check: String,
    /// What is expected.
    pub title: String,
    /// How far a pass carries towards the control.
    pub strength: Strength,
    /// Why, and what it does not show.
    pub rationale: String,
    /// How much a failure matters.
    pub severity: Severity,
    /// What to do when it fails.
    pub remediation: String,
    /// Where the criterion comes from.
    pub criterion: String,
    /// Hosts that are enrolled and not revoked.
    pub expected: usize,
    /// Hosts with fresh evidence that counts, whatever it says.
    pub covered: usize,
    /// Hosts where it passes.
    pub passing: usize,
    /// Hosts where it fails.
    pub failing: usize,
    /// Hosts where nothing can be told; stale and missing evidence is among it.
    pub unknown: usize,
    /// Hosts that it does not concern.
    pub not_applicable: usize,
    /// Hosts whose evidence is too old.
    pub stale: usize,
    /// The hosts that decide, worst first, at most 20.
    pub deciding: Vec<HostFinding>,
}

/// One check on one host as of a moment: what was collected, and what was found in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HostFinding {
    /// The host.
    pub host: AgentId,
    /// The verdict as of now.
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
    /// The evidence is older than the check allows.
    pub stale: bool,
    /// Time of collection on the host; `None` when nothing was collected.
    pub collected: Option<Timestamp>,
    /// When this verdict was first collected in a row.
    pub since: Option<Timestamp>,
    /// The attestation.
    pub attestation: Option<Digest>,
    /// The observation.
    pub observation: Option<Digest>,
}

/// A check over all expected hosts in numbers, and the hosts that decide.
#[derive(Debug, Default)]
pub(super) struct Tally<'a> {
    covered: usize,
    stale: usize,
    /// Hosts by the rank of their verdict.
    ranks: [usize; 4],
    /// The first of each rank.
    first: [Vec<&'a AgentId>; 4],
}

impl<'a> Tally<'a> {
    /// Counts a host. They come in the order of their names.
    pub(super) fn add(&mut self, host: &'a AgentId, cell: &Cell) {
        let rank = usize::from(cell.verdict.rank());
        self.covered += usize::from(cell.covered);
        self.stale += usize::from(cell.stale);
        if let (Some(count), Some(first)) = (self.ranks.get_mut(rank), self.first.get_mut(rank)) {
            *count += 1;
            if first.len() < DECIDING_MAX {
                first.push(host);
            }
        }
    }

    fn count(&self, verdict: Verdict) -> usize {
        let rank = usize::from(verdict.rank());
        self.ranks.get(rank).copied().unwrap_or_default()
    }

    /// The hosts that decide, worst first.
    fn deciding(&self) -> impl Iterator<Item = &'a AgentId> {
        self.first.iter().flatten().copied().take(DECIDING_MAX)
    }
}

/// The state of all controls, from the latest findings of the expected hosts.
#[must_use]
pub fn controls(
    catalog: &Catalog,
    expected: &BTreeMap<AgentId, Findings>,
    now: Timestamp,
) -> Vec<ControlStatus> {
    let none = Findings::default();
    let checks: Vec<_> = catalog.checks().collect();
    let tallies: Vec<_> = checks
        .iter()
        .map(|check| {
            let mut tally = Tally::default();
            for (host, findings) in expected {
                let one = host_finding(check, host, findings, now);
                tally.add(host, &one.cell(findings.forked.is_some()));
            }
            tally
        })
        .collect();
    let named = |check: &Check, host: &AgentId| {
        let findings = expected.get(host).unwrap_or(&none);
        Ok::<_, Infallible>(host_finding(check, host, findings, now))
    };
    match from_tallies(catalog, &tallies, named) {
        Ok(controls) => controls,
        Err(never) => match never {},
    }
}

/// The state of all controls, from the numbers of each check in the order of their ids. `named`
/// brings the words for the hosts that decide.
pub(super) fn from_tallies<E>(
    catalog: &Catalog,
    tallies: &[Tally<'_>],
    named: impl Fn(&Check, &AgentId) -> Result<HostFinding, E>,
) -> Result<Vec<ControlStatus>, E> {
    let mut deciding = BTreeMap::new();
    for (check, tally) in catalog.checks().zip(tallies) {
        let hosts = tally.deciding().map(|host| named(check, host));
        let hosts = hosts.collect::<Result<Vec<_>, E>>()?;
        let _none = deciding.insert(check.id.as_str(), (tally, hosts));
    }
    let controls = catalog.controls().iter().map(|control| {
        let bearing = catalog.bearing_on(&control.id);
        let checks: Vec<_> = bearing
            .filter_map(|(check, mapping)| {
                let (tally, hosts) = deciding.get(check.id.as_str())?;
                Some(check_status(check, mapping, tally, hosts))
            })
            .collect();
        let state = state(&checks);
        let passing = checks.iter().filter(|check| 0 < check.passing);
        let strongest = passing.map(|check| check.strength).max();
        ControlStatus {
            control: control.id.clone(),
            title: control.title.clone(),
            theme: control.theme.clone(),
            strength: strongest.filter(|_| state == ControlState::Passing),
            state,
            checks,
        }
    });
    Ok(controls.collect())
}

fn state(checks: &[CheckStatus]) -> ControlState {
    let sum = |count: fn(&CheckStatus) -> usize| checks.iter().map(count).sum::<usize>();
    if checks.is_empty() {
        ControlState::NoCheck
    } else if sum(|check| check.expected) == 0 {
        ControlState::NoHost
    } else if 0 < sum(|check| check.failing) {
        ControlState::Failing
    } else if 0 < sum(|check| check.unknown) {
        ControlState::Unknown
    } else if 0 < sum(|check| check.passing) {
        ControlState::Passing
    } else {
        ControlState::NotApplicable
    }
}

fn check_status(
    check: &Check,
    mapping: &Mapping,
    tally: &Tally<'_>,
    deciding: &[HostFinding],
) -> CheckStatus {
    CheckStatus {
        check: check.id.clone(),
        title: check.title.clone(),
        strength: mapping.strength,
        rationale: mapping.rationale.clone(),
        severity: check.severity,
        remediation: check.remediation.clone(),
        criterion: check.criterion.clone(),
        expected: tally.ranks.iter().sum(),
        covered: tally.covered,
        passing: tally.count(Verdict::Pass),
        failing: tally.count(Verdict::Fail),
        unknown: tally.count(Verdict::Unknown),
        not_applicable: tally.count(Verdict::NotApplicable),
        stale: tally.stale,
        deciding: deciding.to_vec(),
    }
}

impl HostFinding {
    /// The same without the words.
    fn cell(&self, forked: bool) -> Cell {
        Cell {
            verdict: self.verdict,
            stale: self.stale,
            covered: !self.stale && self.collected.is_some() && !forked,
            collected: self.collected,
            since: self.since,
        }
    }
}

/// What one check says of one host as of a moment, in words.
pub(super) fn host_finding(
    check: &Check,
    host: &AgentId,
    findings: &Findings,
    now: Timestamp,
) -> HostFinding {
    let Some(latest) = findings.latest.get(&check.id) else {
        return HostFinding {
            host: host.clone(),
            verdict: Verdict::Unknown,
            reason: findings
                .forked
                .map_or_else(|| "nothing was collected yet".to_owned(), uncounted),
            stale: false,
            collected: None,
            since: None,
            attestation: None,
            observation: None,
        };
    };
    // A host whose clock runs ahead must not keep its evidence fresh for longer.
    let seen = latest.collected.min(latest.received);
    let age = now.ms_since(seen);
    let stale = latest.stale || check.freshness_ms < age;
    let finding = &latest.finding;
    let (verdict, reason) = if let Some(seq) = findings.forked {
        (Verdict::Unknown, uncounted(seq))
    } else if stale {
        let limit = ago(check.freshness_ms);
        let limit = limit.trim_end_matches(" ago");
        let was = finding.verdict.as_str();
        let reason = format!("stale: {was} {}, and evidence counts for {limit}", ago(age));
        (Verdict::Unknown, reason)
    } else {
        (finding.verdict, finding.reason.clone())
    };
    HostFinding {
        host: host.clone(),
        verdict,
        reason,
        stale,
        collected: Some(latest.collected),
        since: Some(latest.since),
        attestation: latest.attestation,
        observation: latest.observation,
    }
}

/// Why no finding of a host counts whose stream forked at record `seq`.
pub(super) fn uncounted(seq: u64) -> String {
    format!("its stream forked at record {seq}; it counts again when it is enrolled again")
}

/// What an operator must know and do about a host; `None` when nothing.
fn warning(enrolment: &Host, now: Timestamp) -> Option<String> {
    if enrolment.revoked.is_some() {
        return None;
    }
    if let Some(seq) = enrolment.forked {
        return Some(format!(
            "its stream forked: a second record {seq} came, so a snapshot was restored or its key \
             is in use elsewhere. All its findings count as unknown. Find out which; then enrol \
             the host again with a new token."
        ));
    }
    let silent_ms = now.ms_since(enrolment.heard);
    let allowed_ms = i64::try_from(enrolment.heartbeat_s)
        .unwrap_or(i64::MAX)
        .saturating_mul(1000);
    (allowed_ms < silent_ms).then(|| {
        format!(
            "silent: its last record came {}, and one is due every {} s. Look at `systemctl \
             status` of the agent there, or at `evident-agent status`.",
            ago(silent_ms),
            enrolment.heartbeat_s
        )
    })
}

/// One host and the number of its checks by verdict.
pub(super) fn host_status(
    host: AgentId,
    enrolment: Host,
    cells: &[Cell],
    now: Timestamp,
) -> HostStatus {
    let count = |verdict| cells.iter().filter(|one| one.verdict == verdict).count();
    HostStatus {
        warning: warning(&enrolment, now),
        enrolment,
        passing: count(Verdict::Pass),
        failing: count(Verdict::Fail),
        unknown: count(Verdict::Unknown),
        not_applicable: count(Verdict::NotApplicable),
        stale: cells.iter().filter(|one| one.stale).count(),
        host,
    }
}
