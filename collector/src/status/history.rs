//! What a check said of a host over time.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::id::Digest;
use shared::time::Timestamp;

use crate::catalog::Verdict;

/// A stretch of time in which one check says the same of one host.
///
/// The spans of a host and a check follow each other without gap and without overlap. Where
/// evidence was due and did not come in time, a span says unknown from the moment at which the
/// last evidence was too old.
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
