//! What is wrong now, as people are told of it.
//!
//! One cause is one condition: of a host that is silent its checks are not told one by one, of a
//! fleet that is silent not its hosts. What an exception covers on every control is left out, and
//! comes back when the exception ends. What is acknowledged is there: whoever tells people decides
//! what that means. What failed and cannot be told any more is still failing: nothing shows that
//! it was mended.

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
    /// What it had said last before it said unknown, and since when.
    pub before: Option<(Verdict, Timestamp)>,
}

/// A finding of which more must be read before it is told.
#[derive(Debug)]
struct Pending<'a> {
    host: AgentId,
    check: &'a Check,
    cell: Cell,
    controls: Vec<String>,
    /// It had time enough to be told.
    long: bool,
    /// No check of its probe says anything there.
    whole: bool,
}

/// What is read of a host and a check.
pub type Details<'a, E> = dyn FnMut(&AgentId, &str, &Cell) -> Result<Detail, E> + 'a;
/// What is read of a host: its silences that last.
pub type Silences<'a, E> = dyn FnMut(&AgentId) -> Result<Vec<Silence>, E> + 'a;

/// Looks at hosts one after the other, and gathers what is wrong.
#[derive(Debug)]
pub struct Watch<'a> {
    given: &'a Given,
    now: Timestamp,
    checks: Vec<&'a Check>,
    found: Vec<Condition>,
    pending: Vec<Pending<'a>>,
    /// Hosts that are expected and in scope, and what is told of those that are silent.
    expected: usize,
    heard: Vec<AgentId>,
    silent: Vec<Condition>,
    /// Since when the collector runs, and when its catalogue came into force.
    begun: Option<Timestamp>,
    adopted: Option<Timestamp>,
    unheard: BTreeSet<AgentId>,
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
            pending: Vec::new(),
            expected: 0,
            heard: Vec::new(),
            silent: Vec::new(),
            begun: None,
            adopted: None,
            unheard: BTreeSet::new(),
        }
    }

    /// The collector runs since `begun`, by a catalogue that came into force at `adopted`.
    #[must_use]
    pub const fn since(mut self, begun: Timestamp, adopted: Option<Timestamp>) -> Self {
        (self.begun, self.adopted) = (Some(begun), adopted);
        self
    }

    /// Hosts that are overdue and had no time yet to be heard since the collector began.
    #[must_use]
    pub const fn unheard(&self) -> &BTreeSet<AgentId> {
        &self.unheard
    }

    /// Looks at a host: a cell for each check in the order of their ids.
    pub fn host(&mut self, name: &AgentId, host: &Host, cells: &[Cell]) {
        if host.revoked.is_some() || self.given.out(name).is_some() {
            return;
        }
        if let Some(seq) = host.forked {
            let text = format!(
                "a second record {seq} came: a snapshot was restored, or its key is in use \
                 elsewhere. Find out which, then enrol it again with a new token."
            );
            let severity = Severity::Critical;
            let about = (ConditionKind::ForkedHost, severity, "forked", host.heard);
            self.found.push(self.of_host(name, about, text));
            return;
        }
        self.expected += 1;
        let silent = self.silent_since(host);
        if silent.is_some() && self.early(host) {
            let _new = self.unheard.insert(name.clone());
        } else if let Some(since) = silent {
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
        } else {
            self.heard.push(name.clone());
        }
        let found = || self.checks.iter().zip(cells);
        let says = |cell: &Cell| matches!(cell.verdict, Verdict::Pass | Verdict::Fail);
        let speak = found().filter(|(_check, cell)| says(cell));
        let speak: BTreeSet<&str> = speak.map(|(check, _)| check.probe.as_str()).collect();
        let mut pending = Vec::new();
        for (check, cell) in found() {
            let lost = cell.verdict == Verdict::Unknown && silent.is_none();
            if cell.verdict == Verdict::Fail || lost {
                let since = [Some(host.enrolled), self.adopted, cell.since];
                let since = since.into_iter().flatten().max().unwrap_or(self.now);
                let long = check.freshness_ms.saturating_mul(2) <= self.now.ms_since(since);
                // Of what there never was evidence, nothing is lost yet.
                if cell.verdict == Verdict::Fail || cell.collected.is_some() || long {
                    let whole = !speak.contains(check.probe.as_str());
                    pending.extend(self.finding(name, (check, cell), (long, whole)));
                }
            }
        }
        self.pending.append(&mut pending);
    }

    /// Whether a host had no time yet to be heard since the collector began.
    fn early(&self, host: &Host) -> bool {
        let allowed_ms = i64::try_from(host.heartbeat_s).unwrap_or(i64::MAX);
        let allowed_ms = allowed_ms.saturating_mul(1000);
        self.begun
            .is_some_and(|begun| self.now.ms_since(begun) <= allowed_ms)
    }

    /// Everything that is wrong, the worst first, then in the order of the keys.
    ///
    /// # Errors
    ///
    /// Those of what is read, when the derived state cannot be read.
    pub fn finish<E>(
        mut self,
        details: &mut Details<'_, E>,
        silences: &mut Silences<'_, E>,
    ) -> Result<Vec<Condition>, E> {
        let mut mute = BTreeSet::new();
        for name in std::mem::take(&mut self.heard) {
            for silence in silences(&name)?.iter().filter(|one| one.to.is_none()) {
                if let Some(probe) = &silence.probe {
                    let condition = self.silent_probe(&name, silence, probe);
                    self.found.push(condition);
                    let _new = mute.insert((name.clone(), probe.clone()));
                }
            }
        }
        let mut never: BTreeMap<(AgentId, &str), Vec<Condition>> = BTreeMap::new();
        for pending in std::mem::take(&mut self.pending) {
            let probe = (pending.host.clone(), pending.check.probe.clone());
            let (cell, check) = (pending.cell, pending.check);
            let (whole, long) = (pending.whole, pending.long);
            let detail = details(&pending.host, &check.id, &cell)?;
            let before = detail.before.map(|(verdict, _since)| verdict);
            let fails = [Some(cell.verdict), before].contains(&Some(Verdict::Fail));
            if !fails && mute.contains(&probe) {
                continue;
            }
            let lost = cell.stale || before.is_some();
            if !fails && !lost && whole && long {
                let of = never.entry((probe.0, check.probe.as_str())).or_default();
                of.push(self.told(pending, detail));
            } else if fails || lost || long {
                let condition = self.told(pending, detail);
                self.found.push(condition);
            }
        }
        for ((_host, probe), conditions) in never {
            self.found.extend(of_probe(probe, conditions));
        }
        if 1 < self.expected && self.silent.len() == self.expected {
            let since = self.silent.iter().map(|one| one.since).max();
            self.found.push(self.silent_fleet(since));
        } else {
            self.found.append(&mut self.silent);
        }
        let order = |one: &Condition| (std::cmp::Reverse(one.severity), one.key.clone());
        self.found.sort_by_cached_key(order);
        Ok(self.found)
    }

    fn silent_fleet(&self, since: Option<Timestamp>) -> Condition {
        Condition {
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
        }
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

    fn finding(
        &self,
        name: &AgentId,
        (check, cell): (&'a Check, &Cell),
        (long, whole): (bool, bool),
    ) -> Option<Pending<'a>> {
        let fails = cell.verdict == Verdict::Fail;
        let counts = |control: &str| {
            let row = self.given.applicability.get(control);
            let applies = row.is_none_or(|row| row.applicable);
            let excepted = || self.given.excepted((control, &check.id, name), self.now);
            applies && !(fails && excepted().is_some())
        };
        let controls = check.mappings.iter().map(|to| to.control.as_str());
        let mut controls: Vec<_> = controls
            .filter(|control| counts(control))
            .map(str::to_owned)
            .collect();
        controls.sort_unstable();
        controls.dedup();
        (!controls.is_empty()).then(|| Pending {
            host: name.clone(),
            check,
            cell: *cell,
            controls,
            long,
            whole,
        })
    }

    fn told(&self, pending: Pending<'_>, detail: Detail) -> Condition {
        let Pending {
            host,
            check,
            cell,
            mut controls,
            long: _,
            whole: _,
        } = pending;
        let since = cell.since.or(cell.collected).unwrap_or(self.now);
        let first = check.remediation.lines().next().unwrap_or_default();
        let excepted = |control: &String| {
            let about = (control.as_str(), check.id.as_str(), &host);
            self.given.excepted(about, self.now).is_some()
        };
        let failed = detail.before.filter(|(verdict, _since)| {
            *verdict == Verdict::Fail && !controls.iter().all(excepted)
        });
        if failed.is_some() {
            controls.retain(|control| !excepted(control));
        }
        let (word, kind, since, text) = if cell.verdict == Verdict::Fail {
            let text = format!("{}. Do: {}", detail.reason, first.trim());
            ("failing", ConditionKind::Failing, since, text)
        } else if let Some((_verdict, since)) = failed {
            let text = format!(
                "`{}` failed when it could be told last, and now cannot: {}. Do: {}",
                check.id,
                detail.reason,
                first.trim()
            );
            ("failing", ConditionKind::Failing, since, text)
        } else {
            let text = format!("`{}` cannot be told any more: {}", check.id, detail.reason);
            let never = format!("`{}` was never told: {}", check.id, detail.reason);
            let lost = cell.stale || detail.before.is_some();
            let text = if lost { text } else { never };
            ("unknown", ConditionKind::Unknown, since, text)
        };
        let host = self.of_host(&host, (kind, check.severity, word, since), text);
        Condition {
            key: format!("{}/{}", host.key, check.id),
            check: Some(check.id.clone()),
            owners: self.given.owners(controls.iter().map(String::as_str)),
            controls,
            facts: detail.facts,
            evidence: detail.evidence,
            ..host
        }
    }
}

/// What is told of a probe of a host when none of its checks ever said anything: one cause.
fn of_probe(probe: &str, mut conditions: Vec<Condition>) -> Vec<Condition> {
    if conditions.len() < 2 {
        return conditions;
    }
    let count = conditions.len();
    let mut one: Option<Condition> = None;
    for condition in conditions.drain(..) {
        let Some(one) = &mut one else {
            one = Some(condition);
            continue;
        };
        one.severity = one.severity.max(condition.severity);
        one.since = one.since.min(condition.since);
        one.controls.extend(condition.controls);
        one.owners.extend(condition.owners);
    }
    one.into_iter()
        .map(|mut one| {
            for list in [&mut one.controls, &mut one.owners] {
                list.sort_unstable();
                list.dedup();
            }
            let host = one.host.as_ref().map_or("", |host| host.as_str());
            one.key = format!("unknown-probe/{host}/{probe}");
            one.text = format!(
                "none of {count} checks of probe `{probe}` was ever told; the first: {}",
                one.text
            );
            one.check = None;
            one
        })
        .collect()
}
