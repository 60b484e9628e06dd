//! Controls as of an instant: of how many hosts there is evidence, what it says, what was concluded.

use serde::{Deserialize, Serialize};
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use super::given::{Applicability, Conclusion, Exception, Given, is_like};
use crate::catalog::{Catalog, Check, Severity, Strength, Verdict};
use crate::status::Cell;

/// Hosts that are named where nobody says how many.
const NAMES: usize = 20;

/// Which part of an assessment is wanted. An empty list stands for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asked {
    /// Ids of controls; `*` at the end stands for any rest, as in `A.8.*`.
    pub controls: Vec<String>,
    /// Names of hosts; `*` at the end stands for any rest.
    pub hosts: Vec<String>,
    /// Groups of hosts.
    pub groups: Vec<String>,
    /// Most hosts that are named in one place; all are counted.
    pub names: usize,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            controls: Vec::new(),
            hosts: Vec::new(),
            groups: Vec::new(),
            names: NAMES,
        }
    }
}

/// A question names what is not there. Whoever asks must correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no control of Annex A:2022: give an id as `A.8.13`, or several as `A.8.*`")]
pub struct AskedError(pub String);

impl Asked {
    /// Refuses controls that the catalogue does not have.
    ///
    /// # Errors
    ///
    /// [`AskedError`] names the first one.
    pub fn check(&self, catalog: &Catalog) -> Result<(), AskedError> {
        let known = |asked: &&String| {
            let mut controls = catalog.controls().iter();
            controls.any(|control| is_like(asked, &control.id))
        };
        match self.controls.iter().find(|asked| !known(asked)) {
            Some(unknown) => Err(AskedError(unknown.chars().take(80).collect())),
            None => Ok(()),
        }
    }

    /// Whether a control is wanted.
    #[must_use]
    pub fn wants(&self, control: &str) -> bool {
        self.controls.is_empty() || self.controls.iter().any(|asked| is_like(asked, control))
    }

    /// Whether a host is wanted.
    #[must_use]
    pub fn wants_host(&self, host: &AgentId, given: &Given) -> bool {
        let named = || self.hosts.iter().any(|asked| is_like(asked, host.as_str()));
        let groups = given.groups(host);
        let grouped = || self.groups.iter().any(|group| groups.contains(group));
        (self.hosts.is_empty() || named()) && (self.groups.is_empty() || grouped())
    }
}

/// All controls that were asked for, as of an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// The instant.
    pub as_of: Timestamp,
    /// Digest of the catalogue that judged.
    pub catalogue: Digest,
    /// Hosts that were expected then and are in scope, as far as they were asked for.
    pub hosts: usize,
    /// Hosts that were left out because they are out of scope.
    pub out_of_scope: Hosts,
    /// The controls, in the order of Annex A.
    pub controls: Vec<ControlAssessment>,
}

/// A number of hosts and the names of some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hosts {
    /// How many.
    pub count: usize,
    /// The first of them, at most as many as were asked for.
    pub names: Vec<AgentId>,
}

impl Hosts {
    fn add(&mut self, host: &AgentId, most: usize) {
        self.count += 1;
        if self.names.len() < most {
            self.names.push(host.clone());
        }
    }
}

/// One control as of an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ControlAssessment {
    /// Id.
    pub control: String,
    /// Short title.
    pub title: String,
    /// Organizational, People, Physical or Technological.
    pub theme: String,
    /// Its row in the statement of applicability in force; `None` without a statement.
    pub applicability: Option<Applicability>,
    /// Where the statement and the evidence do not fit together.
    pub inconsistencies: Vec<String>,
    /// Is there evidence that counts?
    pub collected: Collected,
    /// What do the checks say?
    pub finding: Found,
    /// What did a named person conclude? Nothing is filled in.
    pub conclusion: Option<Conclusion>,
    /// The exceptions in force that cover findings of it.
    pub exceptions: Vec<Excused>,
    /// The checks that bear on it.
    pub checks: Vec<CheckAssessment>,
}

/// Whether there is evidence, whatever it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Hosts that are expected.
    pub expected: usize,
    /// Hosts with fresh evidence for every check on the control.
    pub covered: usize,
    /// Hosts with evidence that is too old, for one check at least.
    pub stale: Hosts,
    /// Hosts without any evidence, for one check at least.
    pub missing: Hosts,
}

/// What the findings say, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum FoundState {
    /// At least one check fails on at least one host, excepted or not.
    #[serde(rename = "failing")]
    Failing,
    /// Nothing fails, and of at least one check on one host nothing can be told.
    #[serde(rename = "unknown")]
    Unknown,
    /// Every check that concerns a host passes, and there is at least one.
    #[serde(rename = "passing")]
    Passing,
    /// No check concerns any host.
    #[serde(rename = "not applicable")]
    NotApplicable,
    /// There are checks, and no host in scope.
    #[serde(rename = "no host")]
    NoHost,
    /// No check bears on the control: nothing is known of it here.
    #[serde(rename = "no check")]
    NoCheck,
}

impl FoundState {
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

/// What the checks on a control say. A host counts once, by the worst of them: failing, unknown,
/// passing, not applicable; the four add up to the hosts expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Taken together.
    pub state: FoundState,
    /// How far the passing checks carry at most; `None` unless all pass.
    pub strength: Option<Strength>,
    /// Hosts where all checks that concern them pass.
    pub passing: usize,
    /// Hosts where a check fails, excepted or not.
    pub failing: Hosts,
    /// Of the failing: an exception covers every failure.
    pub excepted: Hosts,
    /// Hosts where nothing fails and something cannot be told.
    pub unknown: Hosts,
    /// Of the unknown: for one check at least the evidence is too old.
    pub stale: usize,
    /// Hosts that no check concerns.
    pub not_applicable: usize,
}

/// An exception that covers findings now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Excused {
    /// Id of the record.
    pub id: String,
    /// When it ends; the findings count in full from then on.
    pub until: Timestamp,
    /// Who answers for it.
    pub owner: String,
    /// Who approved it.
    pub approver: String,
    /// How many failing findings it covers.
    pub findings: usize,
}

/// One check over the hosts in scope. The four verdicts add up to `expected`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckAssessment {
    /// Id.
    pub check: String,
    /// What is expected.
    pub title: String,
    /// How much a failure matters.
    pub severity: Severity,
    /// How far a pass carries towards the control.
    pub strength: Strength,
    /// Hosts that are expected.
    pub expected: usize,
    /// Hosts with fresh evidence that counts, whatever it says.
    pub covered: usize,
    /// Hosts where it passes.
    pub passing: usize,
    /// Hosts where it fails, excepted or not.
    pub failing: usize,
    /// Of the failing: an exception covers it.
    pub excepted: usize,
    /// Hosts where nothing can be told.
    pub unknown: usize,
    /// Of the unknown: the evidence is too old.
    pub stale: usize,
    /// Hosts that it does not concern.
    pub not_applicable: usize,
    /// The hosts, the worst first, at most as many as were asked for.
    pub named: Vec<Named>,
}

/// One check on one host as of an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// The host.
    pub host: AgentId,
    /// What the check says.
    pub verdict: Verdict,
    /// The evidence is too old.
    pub stale: bool,
    /// When the newest evidence was collected; `None` when there is none.
    pub collected: Option<Timestamp>,
    /// Since when the check says this.
    pub since: Option<Timestamp>,
    /// The exception that covers the failure.
    pub exception: Option<String>,
    /// When that exception ends.
    pub until: Option<Timestamp>,
    /// Why, and the evidence; filled in by [`Assessment::detail`].
    #[serde(flatten)]
    pub detail: Option<Detail>,
}

/// Why a check says what it says, and on which evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// Why, in one line.
    pub reason: String,
    /// The record.
    pub record: Option<Digest>,
    /// Index of the record in the ledger.
    pub entry: Option<u64>,
    /// The observation.
    pub observation: Option<Digest>,
}

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
                collected: Collected::default(),
                finding: Found::new(),
                conclusion: given.conclusions.get(&control.id).cloned(),
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
            control.compare();
        }
        self.found
    }
}

impl Assessment {
    /// Fills in why each named host is judged so, and on which evidence.
    ///
    /// # Errors
    ///
    /// That of the source, when it cannot be read.
    pub fn detail<E>(
        &mut self,
        mut of: impl FnMut(&AgentId, &str) -> Result<Option<Detail>, E>,
    ) -> Result<(), E> {
        for check in self.controls.iter_mut().flat_map(|one| &mut one.checks) {
            for named in &mut check.named {
                named.detail = of(&named.host, &check.check)?;
            }
        }
        Ok(())
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
    passes: bool,
    fails: bool,
    fails_unexcused: bool,
    unknown: bool,
    stale: bool,
    missing: bool,
    uncovered: bool,
}

impl Worst {
    fn add(&mut self, cell: &Cell, excepted: bool) {
        self.passes |= cell.verdict == Verdict::Pass;
        self.fails |= cell.verdict == Verdict::Fail;
        self.fails_unexcused |= cell.verdict == Verdict::Fail && !excepted;
        self.unknown |= cell.verdict == Verdict::Unknown;
        self.stale |= cell.stale;
        self.missing |= cell.collected.is_none();
        self.uncovered |= !cell.covered;
    }
}

impl Found {
    fn new() -> Self {
        Self {
            state: FoundState::NoCheck,
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
        collected.covered += usize::from(!worst.uncovered);
        if worst.stale {
            collected.stale.add(host, names);
        }
        if worst.missing {
            collected.missing.add(host, names);
        }
        let finding = &mut self.finding;
        if worst.fails {
            finding.failing.add(host, names);
            if !worst.fails_unexcused {
                finding.excepted.add(host, names);
            }
        } else if worst.unknown {
            finding.unknown.add(host, names);
            finding.stale += usize::from(worst.stale);
        } else if worst.passes {
            finding.passing += 1;
        } else {
            finding.not_applicable += 1;
        }
    }

    fn conclude(&mut self) {
        let finding = &self.finding;
        let state = if self.checks.is_empty() {
            FoundState::NoCheck
        } else if self.collected.expected == 0 {
            FoundState::NoHost
        } else if 0 < finding.failing.count {
            FoundState::Failing
        } else if 0 < finding.unknown.count {
            FoundState::Unknown
        } else if 0 < finding.passing {
            FoundState::Passing
        } else {
            FoundState::NotApplicable
        };
        let passing = self.checks.iter().filter(|check| 0 < check.passing);
        let strongest = passing.map(|check| check.strength).max();
        self.finding.strength = strongest.filter(|_| state == FoundState::Passing);
        self.finding.state = state;
    }

    /// Says where the statement of applicability and the evidence do not fit together.
    fn compare(&mut self) {
        let Some(row) = &self.applicability else {
            return;
        };
        let evidence = self.checks.iter().any(|check| 0 < check.covered);
        let mut say = |text: &str| self.inconsistencies.push(text.to_owned());
        if row.justification.trim().is_empty() {
            say(if row.applicable {
                "applicable without a justification"
            } else {
                "excluded without a reason"
            });
        }
        match (row.applicable, evidence) {
            (true, false) => say("applicable, and no evidence is collected here"),
            (false, true) => say("excluded, and evidence of it is collected"),
            _ => {}
        }
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
