//! What was true over time: spans of verdicts, changes, silences, and the life of each host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use crate::catalog::Verdict;

/// A stretch of time in which one check says the same of one host.
///
/// The spans of a host and a check follow each other without gap and without overlap, from the
/// first evidence until the check leaves the catalogue. Where evidence was due and did not come in
/// time, a span says unknown from the moment at which the last evidence was too old.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// When it began.
    pub from: Timestamp,
    /// When it ended; `None` while it lasts.
    pub to: Option<Timestamp>,
    /// What the check says.
    pub verdict: Verdict,
    /// Evidence was too old, or there was none.
    pub stale: bool,
    /// Why, in one line.
    pub reason: String,
    /// The facts that decided it when it began.
    pub deciding: BTreeMap<String, String>,
    /// The record with which it began; `None` for a span that no evidence began.
    pub record: Option<Digest>,
}

/// What was in force at an instant, and the evidence that it stood on then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct At {
    /// The span that holds the instant.
    pub span: Span,
    /// The newest evidence that was collected until then; `None` where none counted.
    pub evidence: Option<Evidence>,
}

/// One observation that was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Evidence {
    /// When it was collected: never before the evidence that came before it.
    pub collected: Timestamp,
    /// Index of the record in the ledger.
    pub index: u64,
    /// The record: an attestation, or what the collector observed itself.
    pub record: Digest,
    /// The observation, when the record names one.
    pub observation: Option<Digest>,
}

/// One change of what a check says of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Changed {
    /// When.
    pub at: Timestamp,
    /// The host.
    pub host: AgentId,
    /// The check.
    pub check: String,
    /// What it said before; `None` when the host had never been judged by it.
    pub before: Option<Span>,
    /// What it says from then on; `None` when the check left the catalogue.
    pub after: Option<Span>,
}

/// Changes over all hosts in the order of time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// As many as were asked for at most.
    pub changes: Vec<Changed>,
    /// Give it to the next question; `None` when there are no more.
    pub next: Option<Cursor>,
}

/// The place of a change in the order of all: those behind it are still to come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor(pub String);

/// A time in which a host, or a probe of a host that lives, was to be heard and was not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Silence {
    /// From when on it was overdue.
    pub from: Timestamp,
    /// When it was heard again or revoked; `None` while it is silent.
    pub to: Option<Timestamp>,
    /// The probe; `None` when nothing came from the host at all.
    pub probe: Option<String>,
    /// When it had been heard last.
    pub heard: Timestamp,
}

/// Something that happened to a host as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When, by the clock of the collector.
    pub at: Timestamp,
    /// The generation that it concerns.
    pub generation: u64,
    /// What.
    pub what: Happened,
}

/// What happened to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Happened {
    /// It may submit from then on, and is expected to.
    Enrolled,
    /// It may submit no more, and is no longer expected.
    Revoked,
    /// A record came twice, with this number: nothing of this generation counts from then on.
    Forked(u64),
}

/// What one check says of one host as of a moment, without the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The verdict; unknown when the evidence is too old, or none counts.
    pub verdict: Verdict,
    /// The evidence is older than the check allows.
    pub stale: bool,
    /// There is evidence that counts and is fresh, whatever it says.
    pub covered: bool,
    /// When the newest evidence was collected; `None` when there is none.
    pub collected: Option<Timestamp>,
    /// Since when the check says this; `None` when it was never evaluated here.
    pub since: Option<Timestamp>,
}
