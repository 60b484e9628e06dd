//! Controls as of an instant: how many hosts have evidence, what it says, what was concluded.

use serde::Serialize;
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use super::asked::Asked;
use super::given::{Applicability, Brought, Open};
use crate::catalog::{Severity, Strength, Verdict};
use crate::population::{Population, State};
use crate::register::views::Conclusion;
use crate::status::ControlState;

/// All controls that were asked for, as of an instant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Assessment {
    /// The instant.
    pub as_of: Timestamp,
    /// Digest of the catalogue that judged.
    pub catalogue: Digest,
    /// Hosts that were expected then and are in scope, as far as they were asked for.
    pub hosts: usize,
    /// Machines that a list names, in scope and not enrolled: expected, and without any evidence.
    /// They are not among `hosts`.
    pub not_enrolled: Machines,
    /// Hosts that were left out because they are out of scope.
    pub out_of_scope: Hosts,
    /// The controls, in the order of Annex A.
    pub controls: Vec<ControlAssessment>,
}

/// A number of machines and the names of some.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Machines {
    /// How many.
    pub count: usize,
    /// The first of them, at most as many as were asked for.
    pub names: Vec<String>,
}

impl Machines {
    /// Those that a list names, in scope and not enrolled, as far as they are asked for.
    #[must_use]
    pub fn not_enrolled(population: &Population, asked: &Asked) -> Self {
        let mut found = Self::default();
        let rows = population.machines.iter();
        for row in rows.filter(|row| row.state == State::Expected) {
            let wanted = match row.name.parse::<AgentId>() {
                Ok(host) => asked.wants_in(&host, &row.groups),
                Err(_no_agent) => asked.hosts.is_empty() && asked.groups.is_empty(),
            };
            if wanted {
                found.count += 1;
                if found.names.len() < asked.names {
                    found.names.push(row.name.clone());
                }
            }
        }
        found
    }
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
    /// Counts one more, and names it when there is room.
    pub(super) fn add(&mut self, host: &AgentId, most: usize) {
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
    /// Documents that people brought and that count now; no check looks at them.
    pub documents: Vec<Brought>,
    /// Is there evidence that counts?
    pub collected: Collected,
    /// What do the checks say?
    pub finding: Found,
    /// What did a named person conclude? Nothing is filled in.
    pub conclusion: Option<Conclusion>,
    /// Nonconformities and risks that name it and are not closed.
    pub open: Vec<Open>,
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
    /// Hosts with fresh evidence for one check on the control at least.
    pub partly: usize,
    /// Hosts with evidence that is too old, for one check at least.
    pub stale: Hosts,
    /// Hosts without any evidence, for one check at least.
    pub missing: Hosts,
}

/// What the checks on a control say. A host counts once, by the worst of them: failing, unknown,
/// passing, not applicable; the four add up to the hosts expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Taken together.
    pub state: ControlState,
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

impl Assessment {
    /// Whether nothing in scope fails, excepted or not, nothing is unknown, and every machine that
    /// a list names is enrolled.
    #[must_use]
    pub fn holds(&self) -> bool {
        let bad = [
            ControlState::Failing,
            ControlState::Unknown,
            ControlState::NoHost,
        ];
        let mut states = self.controls.iter().map(|one| one.finding.state);
        self.not_enrolled.count == 0 && states.all(|state| !bad.contains(&state))
    }

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
