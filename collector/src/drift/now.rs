//! What is wrong now, as people are told of it.
//!
//! One cause is one condition: of a host that is silent its checks are not told one by one, of a
//! fleet that is silent not its hosts. What an exception covers on every control is left out, and
//! comes back when the exception ends. What is acknowledged is there: whoever tells people decides
//! what that means.

use std::collections::{BTreeMap, BTreeSet};

use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use super::{Condition, ConditionKind};
use crate::assess::Given;
use crate::catalog::{Catalog, Check, Severity, Verdict};
use crate::evaluate::ago;
use crate::status::{Cell, Host, Silence};

/// Why a check says what it says, for a condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Why, in one line.
    pub reason: String,
    /// The facts that decided it.
    pub facts: BTreeMap<String, String>,
    /// The record and the observation.
    pub evidence: Vec<Digest>,
    /// Before it said unknown, it had said something else.
    pub told_before: bool,
}

/// Looks at hosts one after the other, and gathers what is wrong.
#[derive(Debug)]
pub struct Watch<'a> {
    given: &'a Given,
    now: Timestamp,
    checks: Vec<&'a Check>,
    found: Vec<Condition>,
    /// Hosts that are expected, and those of them that are silent.
    expected: usize,
    silent: Vec<Condition>,
}

impl<'a> Watch<'a> {
    /// Begins without hosts.
    #[must_use]
    pub fn new(catalog: &'a Catalog, given: &'a Given, now: Timestamp) -> Self {
        Self {
            given,
            now,
            checks: catalog.checks().collect(),
            found: Vec::new(),
            expected: 0,
            silent: Vec::new(),
        }
    }

    /// Looks at a host: a cell for each check in the order of their ids, the silences that last,
    /// and for a finding why it is so.
    ///
    /// # Errors
    ///
    /// That of `detail`, when the derived state cannot be read.
    pub fn host<E>(
        &mut self,
        (name, host): (&AgentId, &Host),
        cells: &[Cell],
        silences: &[Silence],
        detail: &mut dyn FnMut(&AgentId, &str) -> Result<Detail, E>,
    ) -> Result<(), E> {
        if host.revoked.is_some() || self.given.out(name).is_some() {
            return Ok(());
        }
        self.expected += 1;
        if let Some(seq) = host.forked {
            let text = format!(
                "a second record {seq} came: a snapshot was restored, or its key is in use \
                 elsewhere. Find out which, then enrol it again with a new token."
            );
            let severity = Severity::Critical;
            let about = (ConditionKind::ForkedHost, severity, "forked", host.heard);
            self.found.push(self.of_host(name, about, text));
            return Ok(());
        }
        let silent = self.silent_since(host);
        if let Some(since) = silent {
            let text = format!(
                "its last record came {}, and one is due every {} s. Look at `evident-agent \
                 status` there.",
                ago(self.now.ms_since(host.heard)),
                host.heartbeat_s
            );
            let about = (
                ConditionKind::SilentHost,
                Severity::High,
                "silent-host",
                since,
            );
            let condition = self.of_host(name, about, text);
            self.silent.push(condition);
        }
        let mut mute = BTreeSet::new();
        let lasting = silences.iter().filter(|one| one.to.is_none());
        for (silence, probe) in lasting.filter_map(|one| Some((one, one.probe.as_ref()?))) {
            let _new = mute.insert(probe.as_str());
            if silent.is_none() {
                let condition = self.silent_probe(name, silence, probe);
                self.found.push(condition);
            }
        }
        for (check, cell) in self.checks.clone().into_iter().zip(cells) {
            let covered = silent.is_some() || mute.contains(check.probe.as_str());
            if cell.verdict == Verdict::Fail || cell.verdict == Verdict::Unknown && !covered {
                self.finding(name, check, cell, detail)?;
            }
        }
        Ok(())
    }

    /// Everything that is wrong, the worst first, then in the order of the keys.
    #[must_use]
    pub fn finish(mut self) -> Vec<Condition> {
        if 1 < self.expected && self.silent.len() == self.expected {
            let since = self.silent.iter().map(|one| one.since).max();
            self.found.push(Condition {
                key: "silent-fleet".to_owned(),
                kind: ConditionKind::SilentFleet,
                severity: Severity::Critical,
                host: None,
                groups: Vec::new(),
                check: None,
                controls: Vec::new(),
                owners: Vec::new(),
                since: since.unwrap_or(self.now),
                text: format!(
                    "none of {} hosts sends anything. Look at the network and at the log of the \
                     collector.",
                    self.expected
                ),
                facts: BTreeMap::new(),
                evidence: Vec::new(),
            });
        } else {
            self.found.append(&mut self.silent);
        }
        let order = |one: &Condition| (std::cmp::Reverse(one.severity), one.key.clone());
        self.found.sort_by_cached_key(order);
        self.found
    }

    /// Since when a host is silent; `None` when it is not.
    fn silent_since(&self, host: &Host) -> Option<Timestamp> {
        let allowed_ms = i64::try_from(host.heartbeat_s).unwrap_or(i64::MAX);
        let allowed_ms = allowed_ms.saturating_mul(1000);
        let overdue = allowed_ms < self.now.ms_since(host.heard);
        overdue.then(|| host.heard.plus_ms(allowed_ms))
    }

    /// A condition of a host as such: it bears on every control that is judged by evidence of it,
    /// so none is named.
    fn of_host(
        &self,
        name: &AgentId,
        (kind, severity, word, since): (ConditionKind, Severity, &str, Timestamp),
        text: String,
    ) -> Condition {
        Condition {
            key: format!("{word}/{name}"),
            kind,
            severity,
            host: Some(name.clone()),
            groups: self.given.groups(name).to_vec(),
            check: None,
            controls: Vec::new(),
            owners: Vec::new(),
            since,
            text,
            facts: BTreeMap::new(),
            evidence: Vec::new(),
        }
    }

    fn silent_probe(&self, name: &AgentId, silence: &Silence, probe: &str) -> Condition {
        let checks = || self.checks.iter().filter(|check| check.probe == probe);
        let severity = checks().map(|check| check.severity).max();
        let mut controls: Vec<_> = checks()
            .flat_map(|check| check.mappings.iter().map(|to| to.control.clone()))
            .collect();
        controls.sort();
        controls.dedup();
        let text = format!(
            "probe `{probe}` brought something last {}, and no more since. See `evident-agent \
             probes` there.",
            ago(self.now.ms_since(silence.heard))
        );
        let severity = severity.unwrap_or(Severity::Low);
        let about = (
            ConditionKind::SilentProbe,
            severity,
            "silent-probe",
            silence.from,
        );
        let host = self.of_host(name, about, text);
        Condition {
            key: format!("{}/{probe}", host.key),
            owners: self.given.owners(controls.iter().map(String::as_str)),
            controls,
            ..host
        }
    }

    fn finding<E>(
        &mut self,
        name: &AgentId,
        check: &Check,
        cell: &Cell,
        detail: &mut dyn FnMut(&AgentId, &str) -> Result<Detail, E>,
    ) -> Result<(), E> {
        let fails = cell.verdict == Verdict::Fail;
        // Of what there never was evidence, nothing is lost.
        if !fails && cell.collected.is_none() {
            return Ok(());
        }
        let counts = |control: &str| {
            let row = self.given.applicability.get(control);
            let applies = row.is_none_or(|row| row.applicable);
            let excepted = || self.given.excepted((control, &check.id, name), self.now);
            applies && !(fails && excepted().is_some())
        };
        let controls = check.mappings.iter().map(|to| to.control.as_str());
        let mut controls: Vec<_> = controls.filter(|control| counts(control)).collect();
        controls.sort_unstable();
        controls.dedup();
        if controls.is_empty() {
            return Ok(());
        }
        let detail = detail(name, &check.id)?;
        if !fails && !cell.stale && !detail.told_before {
            return Ok(());
        }
        let since = cell.since.or(cell.collected).unwrap_or(self.now);
        let (word, kind, text) = if fails {
            let first = check.remediation.lines().next().unwrap_or_default();
            let text = format!("{}. Do: {}", detail.reason, first.trim());
            ("failing", ConditionKind::Failing, text)
        } else {
            let text = format!(
                "{} can not be told any more: {}",
                check.title, detail.reason
            );
            ("unknown", ConditionKind::Unknown, text)
        };
        let host = self.of_host(name, (kind, check.severity, word, since), text);
        self.found.push(Condition {
            key: format!("{}/{}", host.key, check.id),
            check: Some(check.id.clone()),
            owners: self.given.owners(controls.iter().copied()),
            controls: controls.into_iter().map(str::to_owned).collect(),
            facts: detail.facts,
            evidence: detail.evidence,
            ..host
        });
        Ok(())
    }
}
