//! What happened in a period: the form in which it is told.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use crate::assess::Window;
use crate::catalog::{Severity, Verdict};

/// What changed in a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The period.
    #[serde(flatten)]
    pub window: Window,
    /// How many of each.
    pub counts: Counts,
    /// There are more changes than are read at once: ask for a shorter period.
    pub cut: bool,
    /// What happened, in the order of time.
    pub entries: Vec<Entry>,
}

/// How many of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Changes of verdict, also those inside flapping.
    pub changes: usize,
    /// Of them: for the worse.
    pub worse: usize,
    /// Of them: for the better.
    pub better: usize,
    /// Entries of flapping.
    pub flapping: usize,
    /// Silences of hosts and probes.
    pub silences: usize,
    /// Exceptions that ended while what they covered still fails.
    pub exceptions_ended: usize,
    /// Entries that no decision explains.
    pub unexplained: usize,
    /// Entries that a decision explains.
    pub explained: usize,
    /// Changes on hosts that are out of scope; they are not among the entries.
    pub out_of_scope: usize,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When it began.
    pub at: Timestamp,
    /// The host; `None` when it is about the fleet or the collector.
    pub host: Option<AgentId>,
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// The decision that explains it; without one it is drift.
    pub explained: Option<Explained>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// A check says something else.
    Changed {
        /// The check.
        check: String,
        /// The controls that it bears on.
        controls: Vec<String>,
        /// How much a failure matters; `None` when the check is no more.
        severity: Option<Severity>,
        /// For the better or for the worse.
        direction: Direction,
        /// What it said before; `None` when it had never judged the host.
        before: Option<Side>,
        /// What it says now; `None` when it left the catalogue.
        after: Option<Side>,
        /// The deciding facts that are not what they were.
        facts: Vec<FactChange>,
    },
    /// A check changed its word many times.
    Flapping {
        /// The check.
        check: String,
        /// The controls that it bears on.
        controls: Vec<String>,
        /// How much a failure matters; `None` when the check is no more.
        severity: Option<Severity>,
        /// How many times.
        count: usize,
        /// When it changed last.
        until: Timestamp,
        /// What it said before.
        before: Option<Side>,
        /// What it said at last.
        after: Option<Side>,
    },
    /// A host, or one probe of it, was not heard in time.
    Silent {
        /// The probe; `None` for the whole host.
        probe: Option<String>,
        /// When it had been heard last.
        heard: Timestamp,
        /// When it was heard again; `None` while it is silent.
        to: Option<Timestamp>,
    },
    /// Every host that was expected was silent at the same time.
    FleetSilent {
        /// When the first was heard again; `None` while all are silent.
        to: Option<Timestamp>,
    },
    /// The collector entered nothing at all.
    CollectorSilent {
        /// When it entered something again; `None` while it does not.
        to: Option<Timestamp>,
    },
    /// A host is new.
    Enrolled {
        /// Its generation.
        generation: u64,
    },
    /// A host left.
    Revoked {
        /// Its generation.
        generation: u64,
    },
    /// An exception ended, and what it covered still fails at the end of the period.
    ExceptionEnded {
        /// Id of the record.
        exception: String,
        /// Who answered for it.
        owner: String,
        /// How many findings fail: a check on a host is one.
        findings: usize,
        /// Their checks.
        checks: Vec<String>,
        /// The controls that they bear on.
        controls: Vec<String>,
        /// Their hosts, the first 20.
        hosts: Vec<AgentId>,
    },
    /// A record of a host came twice.
    Forked {
        /// The number of the record.
        seq: u64,
    },
}

/// For the better or for the worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Towards failing.
    Worse,
    /// Towards passing.
    Better,
    /// Neither: the check began or ceased to concern the host.
    Level,
}

/// What a check said from a moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// The verdict.
    pub verdict: Verdict,
    /// Evidence was too old, or there was none.
    pub stale: bool,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
    /// The facts that decided it when it began.
    pub facts: BTreeMap<String, String>,
    /// The record with which it began.
    pub record: Option<Digest>,
}

/// A deciding fact that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FactChange {
    /// The fact.
    pub name: String,
    /// What it was; `None` when it was not seen.
    pub before: Option<String>,
    /// What it is; `None` when it is not seen.
    pub after: Option<String>,
}

/// The decision that explains a change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// What kind of decision.
    pub by: Why,
    /// What names it.
    pub id: String,
    /// When it came into force.
    pub at: Timestamp,
    /// What was decided, in a few words.
    pub text: String,
}

/// What kind of decision explains a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// The finding is accepted for a time.
    Exception,
    /// Somebody knows of it and works on it.
    Acknowledgement,
    /// Other checks came into force.
    Catalogue,
    /// The host was enrolled, or anew.
    Enrolment,
    /// The host was taken out.
    Revocation,
}

impl Why {
    /// The word that people see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exception => "exception",
            Self::Acknowledgement => "acknowledgement",
            Self::Catalogue => "catalogue",
            Self::Enrolment => "enrolment",
            Self::Revocation => "revocation",
        }
    }
}
