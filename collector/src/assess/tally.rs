//! Counts hosts into controls, one host after the other.

use shared::id::AgentId;
use shared::time::Timestamp;

use super::asked::Asked;
use super::given::{Exception, Given};
use super::instant::{
    Assessment, CheckAssessment, Collected, ControlAssessment, Excused, Found, Hosts, Machines,
    Named,
};
use crate::catalog::{Catalog, Check, Strength, Verdict};
use crate::status::{Cell, ControlState};

/// Counts hosts, one after the other.
#[derive(Debug)]
pub struct Tally<'a> {
    given: &'a Given,
    asked: &'a Asked,
    at: Timestamp,
    found: Assessment,
    /// For each control, the checks on it: their place among all checks, in order of ids.
    rows: Vec<Vec<(usize, &'a Check)>>,
}

impl<'a> Tally<'a> {
    /// Begins without hosts.
    #[must_use]
    pub fn new(catalog: &'a Catalog, given: &'a Given, asked: &'a Asked, at: Timestamp) -> Self {
        let place = |id: &str| catalog.checks().position(|check| check.id == id);
        let wanted = catalog.controls().iter();
        let wanted = wanted.filter(|control| asked.wants(&control.id));
        let (mut controls, mut rows) = (Vec::new(), Vec::new());
        for control in wanted {
            let bearing = || catalog.bearing_on(&control.id);
            let placed = bearing().filter_map(|(check, _)| Some((place(&check.id)?, check)));
            rows.push(placed.collect());
            controls.push(ControlAssessment {
                control: control.id.clone(),
                title: control.title.clone(),
                theme: control.theme.clone(),
                applicability: given.applicability.get(&control.id).cloned(),
                inconsistencies: Vec::new(),
                documents: given.documents(&control.id),
                open: given.open(&control.id),
                collected: Collected::default(),
                finding: Found::new(),
                conclusion: given.conclusion(&control.id, &asked.groups).cloned(),
                exceptions: Vec::new(),
                checks: bearing()
                    .map(|(check, mapping)| CheckAssessment::new(check, mapping.strength))
                    .collect(),
            });
        }
        let found = Assessment {
            as_of: at,
            catalogue: catalog.digest(),
            hosts: 0,
            not_enrolled: Machines::default(),
            out_of_scope: Hosts::default(),
            controls,
        };
        Self {
            given,
            asked,
            at,
            found,
            rows,
        }
    }

    /// Whether a host is asked for and in scope; one out of scope is counted as that.
    pub fn takes(&mut self, host: &AgentId) -> bool {
        let asked = self.asked.wants_host(host, self.given);
        let out = asked && self.given.out(host).is_some();
        if out {
            self.found.out_of_scope.add(host, self.asked.names);
        }
        asked && !out
    }

    /// Counts a host that [`Tally::takes`] takes: a cell for each check of the catalogue, in the
    /// order of their ids.
    pub fn host(&mut self, host: &AgentId, cells: &[Cell]) {
        self.found.hosts += 1;
        for (control, row) in self.found.controls.iter_mut().zip(&self.rows) {
            let mut worst = Worst::default();
            for (check, (place, _)) in control.checks.iter_mut().zip(row) {
                let cell = cells.get(*place).copied().unwrap_or(Cell {
                    verdict: Verdict::Unknown,
                    stale: false,
                    covered: false,
                    collected: None,
                    since: None,
                });
                let failing = cell.verdict == Verdict::Fail;
                let about = (control.control.as_str(), check.check.as_str(), host);
                let exception = failing
                    .then(|| self.given.excepted(about, self.at))
                    .flatten();
                if let Some(exception) = exception {
                    excuse(&mut control.exceptions, exception);
                }
                worst.add(&cell, exception.is_some());
                check.add(host, &cell, exception, self.asked.names);
            }
            if !row.is_empty() {
                control.count(host, &worst, self.asked.names);
            }
        }
    }

    /// The assessment; why a host is named is filled in by [`Assessment::detail`].
    #[must_use]
    pub fn finish(mut self) -> Assessment {
        for control in &mut self.found.controls {
            for check in &mut control.checks {
                check.named.sort_by_key(|one| one.verdict.rank());
                check.named.truncate(self.asked.names);
            }
            control.conclude();
        }
        self.compare();
        self.found
    }

    /// Says where the statement of applicability does not hang together, or not with the evidence.
    /// Of some hosts alone nothing is said: the evidence may be with the others.
    fn compare(&mut self) {
        let all = self.asked.hosts.is_empty() && self.asked.groups.is_empty();
        let Some(soa) = self.given.soa.as_ref().filter(|_| all) else {
            return;
        };
        let live = |control: &ControlAssessment| {
            let checks = control.checks.iter().map(|check| check.covered);
            let live = checks.sum::<usize>() + control.documents.len();
            let live = u64::try_from(live).unwrap_or(u64::MAX);
            (control.control.clone(), live)
        };
        let live = self.found.controls.iter().map(live).collect();
        let wrong = soa.held_against(&self.given.people, &live);
        for control in &mut self.found.controls {
            let own = wrong.iter().filter(|one| one.control == control.control);
            control.inconsistencies = own.map(|one| one.what.to_string()).collect();
        }
    }
}

fn excuse(all: &mut Vec<Excused>, exception: &Exception) {
    if let Some(known) = all.iter_mut().find(|known| known.id == exception.id) {
        known.findings += 1;
        return;
    }
    all.push(Excused {
        id: exception.id.clone(),
        until: exception.window.to,
        owner: exception.owner.clone(),
        approver: exception.approver.clone(),
        findings: 1,
    });
}

/// One host over the checks on a control.
#[derive(Default)]
struct Worst {
    /// How many checks pass, fail, fail under an exception, cannot be told.
    passing: usize,
    failing: usize,
    excepted: usize,
    unknown: usize,
    /// How many have fresh evidence, and how many lack it: it is too old, or there is none.
    covered: usize,
    uncovered: usize,
    stale: usize,
    missing: usize,
}

impl Worst {
    fn add(&mut self, cell: &Cell, excepted: bool) {
        self.passing += usize::from(cell.verdict == Verdict::Pass);
        self.failing += usize::from(cell.verdict == Verdict::Fail);
        self.excepted += usize::from(excepted);
        self.unknown += usize::from(cell.verdict == Verdict::Unknown);
        self.covered += usize::from(cell.covered);
        self.uncovered += usize::from(!cell.covered);
        self.stale += usize::from(cell.stale);
        self.missing += usize::from(cell.collected.is_none());
    }
}

impl Found {
    fn new() -> Self {
        Self {
            state: ControlState::NoCheck,
            strength: None,
            passing: 0,
            failing: Hosts::default(),
            excepted: Hosts::default(),
            unknown: Hosts::default(),
            stale: 0,
            not_applicable: 0,
        }
    }
}

impl ControlAssessment {
    fn count(&mut self, host: &AgentId, worst: &Worst, names: usize) {
        let collected = &mut self.collected;
        collected.expected += 1;
        collected.covered += usize::from(worst.uncovered == 0);
        collected.partly += usize::from(0 < worst.covered);
        if 0 < worst.stale {
            collected.stale.add(host, names);
        }
        if 0 < worst.missing {
            collected.missing.add(host, names);
        }
        let finding = &mut self.finding;
        if 0 < worst.failing {
            finding.failing.add(host, names);
            if worst.failing == worst.excepted {
                finding.excepted.add(host, names);
            }
        } else if 0 < worst.unknown {
            finding.unknown.add(host, names);
            finding.stale += usize::from(0 < worst.stale);
        } else if 0 < worst.passing {
            finding.passing += 1;
        } else {
            finding.not_applicable += 1;
        }
    }

    fn conclude(&mut self) {
        let finding = &self.finding;
        let state = if self.checks.is_empty() {
            ControlState::NoCheck
        } else if self.collected.expected == 0 {
            ControlState::NoHost
        } else if 0 < finding.failing.count {
            ControlState::Failing
        } else if 0 < finding.unknown.count {
            ControlState::Unknown
        } else if 0 < finding.passing {
            ControlState::Passing
        } else {
            ControlState::NotApplicable
        };
        let passing = self.checks.iter().filter(|check| 0 < check.passing);
        let strongest = passing.map(|check| check.strength).max();
        self.finding.strength = strongest.filter(|_| state == ControlState::Passing);
        self.finding.state = state;
    }
}

impl CheckAssessment {
    fn new(check: &Check, strength: Strength) -> Self {
        Self {
            check: check.id.clone(),
            title: check.title.clone(),
            severity: check.severity,
            strength,
            expected: 0,
            covered: 0,
            passing: 0,
            failing: 0,
            excepted: 0,
            unknown: 0,
            stale: 0,
            not_applicable: 0,
            named: Vec::new(),
        }
    }

    fn add(&mut self, host: &AgentId, cell: &Cell, exception: Option<&Exception>, names: usize) {
        self.expected += 1;
        self.covered += usize::from(cell.covered);
        self.excepted += usize::from(exception.is_some());
        self.stale += usize::from(cell.stale);
        let same = match cell.verdict {
            Verdict::Pass => &mut self.passing,
            Verdict::Fail => &mut self.failing,
            Verdict::Unknown => &mut self.unknown,
            Verdict::NotApplicable => &mut self.not_applicable,
        };
        *same += 1;
        // The first of each verdict are enough to have the worst ones in the end.
        if *same <= names {
            self.named.push(Named {
                host: host.clone(),
                verdict: cell.verdict,
                stale: cell.stale,
                collected: cell.collected,
                since: cell.since,
                exception: exception.map(|one| one.id.clone()),
                until: exception.map(|one| one.window.to),
                detail: None,
            });
        }
    }
}
