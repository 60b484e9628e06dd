//! What another catalogue would have said of the same evidence, beside what was said.
//!
//! The original verdicts stay as they are: both are worked out from the ledger, in two states of
//! their own that nobody else sees. No clock is read, so the same ledger and the same catalogue
//! give the same answer on any machine.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;
use shared::id::{AgentId, Digest};
use shared::key::PublicKey;
use shared::time::Timestamp;

use crate::catalog::{Catalog, Verdict};
use crate::criteria::{self, CriteriaError};
use crate::follow::{self, FollowError};
use crate::ledger::{Ledger, LedgerError};
use crate::status::{Span, Status, StatusError};

/// It cannot be worked out.
#[derive(Debug, thiserror::Error)]
pub enum ReevaluateError {
    /// The ledger cannot be read.
    #[error("the ledger cannot be read")]
    Ledger(#[from] LedgerError),
    /// A catalogue of the ledger cannot be used.
    #[error("a catalogue of the ledger cannot be used")]
    Criteria(#[from] CriteriaError),
    /// An entry cannot be followed.
    #[error("the ledger cannot be followed")]
    Follow(#[from] FollowError),
    /// The period that was asked for has no part of the ledger. Whoever asks must correct it.
    #[error("from {from} to {to} is no time: the ledger has entries from {first} to {last}")]
    Period {
        /// Its beginning.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
        /// When the first entry was received.
        first: Timestamp,
        /// When the last one was.
        last: Timestamp,
    },
    /// The states cannot be kept in the folder for them.
    #[error("the states cannot be kept")]
    Status(#[from] StatusError),
}

/// What both catalogues say over a period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reevaluation {
    /// Begin of the period.
    pub from: Timestamp,
    /// Its end, which is not part of it.
    pub to: Timestamp,
    /// Entries of the ledger that were read.
    pub entries: u64,
    /// The root over them.
    pub root: Digest,
    /// The catalogue in force at the end of the ledger.
    pub in_force: Digest,
    /// The other catalogue.
    pub catalogue: Digest,
    /// Each host and check of which either says something in the period.
    pub compared: Vec<Compared>,
}

/// What both say of one host by one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Compared {
    /// The host.
    pub host: AgentId,
    /// The check.
    pub check: String,
    /// For how long each verdict stood in the period.
    pub before: Share,
    /// For how long each would have stood.
    pub after: Share,
    /// The stretches in which the two differ, in the order of time.
    pub differs: Vec<Stretch>,
}

/// Milliseconds of a period by verdict; what is left had none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Passing.
    pub pass_ms: i64,
    /// Failing.
    pub fail_ms: i64,
    /// Unknown, also where evidence was too old.
    pub unknown_ms: i64,
    /// Not applicable.
    pub not_applicable_ms: i64,
    /// No verdict: no evidence yet, or no such check in force.
    pub none_ms: i64,
}

impl Share {
    fn add(&mut self, verdict: Option<Verdict>, ms: i64) {
        let part = match verdict {
            Some(Verdict::Pass) => &mut self.pass_ms,
            Some(Verdict::Fail) => &mut self.fail_ms,
            Some(Verdict::Unknown) => &mut self.unknown_ms,
            Some(Verdict::NotApplicable) => &mut self.not_applicable_ms,
            None => &mut self.none_ms,
        };
        *part = part.saturating_add(ms);
    }
}

/// A stretch of time in which the two differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// Its begin.
    pub from: Timestamp,
    /// Its end, which is not part of it.
    pub to: Timestamp,
    /// The verdict that stands; `None` for none.
    pub before: Option<Verdict>,
    /// Why, when the stretch began.
    pub reason_before: String,
    /// The verdict of the other catalogue.
    pub after: Option<Verdict>,
    /// Why, when the stretch began.
    pub reason_after: String,
}

/// Works out what `catalog` would have said between two instants; `None` stands for the begin and
/// the end of the ledger. `scratch` is an empty folder for the time of the work.
///
/// # Errors
///
/// [`ReevaluateError`].
pub fn reevaluate(
    (ledger, decisions): (&Ledger, &PublicKey),
    catalog: &Arc<Catalog>,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    scratch: &Path,
) -> Result<Reevaluation, ReevaluateError> {
    let published = ledger.published();
    let (first, last) = match published.size.checked_sub(1) {
        Some(last) => (
            ledger.entry(0)?.leaf.received,
            ledger.entry(last)?.leaf.received,
        ),
        None => (Timestamp::default(), Timestamp::default()),
    };
    let (from, to) = bounds((from, to), (first, last))?;
    let (old, _fresh) = follow::open(&scratch.join("before"), ledger, decisions)?;
    let entries = follow::catch_up(ledger, &old, decisions)?;
    let (new, _fresh) = Status::open(&scratch.join("after"), Arc::clone(catalog))?;
    let _same = follow::catch_up_under_one(ledger, &new, decisions)?;
    let mut checks: BTreeSet<String> = catalog.checks().map(|check| check.id.clone()).collect();
    let adopted = criteria::entries(ledger, decisions)?.into_iter();
    let adopted = adopted.map(|index| Ok(criteria::adopted(ledger, index, decisions)?.catalog));
    for catalog in adopted.chain([Ok(old.catalog())]) {
        let catalog: Arc<Catalog> = catalog.map_err(|error: CriteriaError| error)?;
        checks.extend(catalog.checks().map(|check| check.id.clone()));
    }
    let mut compared = Vec::new();
    for host in old.hosts(to)? {
        for check in &checks {
            let spans = |status: &Status| status.spans(&host.host, check, from, to);
            let (before, after) = (spans(&old)?, spans(&new)?);
            if !before.is_empty() || !after.is_empty() {
                compared.push(compare((&host.host, check), (&before, &after), (from, to)));
            }
        }
    }
    Ok(Reevaluation {
        from,
        to,
        entries,
        root: published.root,
        in_force: old.catalog().digest(),
        catalogue: catalog.digest(),
        compared,
    })
}

/// The period that was asked for, with what is not said filled in; it must touch the ledger.
fn bounds(
    (from, to): (Option<Timestamp>, Option<Timestamp>),
    (first, last): (Timestamp, Timestamp),
) -> Result<(Timestamp, Timestamp), ReevaluateError> {
    let (from, to) = (from.unwrap_or(first), to.unwrap_or(last));
    if to < from || to < first {
        return Err(ReevaluateError::Period {
            from,
            to,
            first,
            last,
        });
    }
    Ok((from, to))
}

/// The span that holds an instant.
fn at(spans: &[Span], instant: Timestamp) -> Option<&Span> {
    let after = spans.partition_point(|span| span.from <= instant);
    let span = after.checked_sub(1).and_then(|index| spans.get(index))?;
    span.to.is_none_or(|end| instant < end).then_some(span)
}

fn compare(
    (host, check): (&AgentId, &str),
    (before, after): (&[Span], &[Span]),
    (from, to): (Timestamp, Timestamp),
) -> Compared {
    let mut edges = BTreeSet::from([from, to]);
    for span in before.iter().chain(after) {
        edges.extend([Some(span.from), span.to].into_iter().flatten());
    }
    let edges: Vec<_> = edges.range(from..=to).copied().collect();
    let mut found = Compared {
        host: host.clone(),
        check: check.to_owned(),
        before: Share::default(),
        after: Share::default(),
        differs: Vec::new(),
    };
    for (begin, end) in edges.iter().zip(edges.iter().skip(1)) {
        let (old, new) = (at(before, *begin), at(after, *begin));
        let ms = end.ms_since(*begin);
        let verdict = |span: Option<&Span>| span.map(|span| span.verdict);
        found.before.add(verdict(old), ms);
        found.after.add(verdict(new), ms);
        if verdict(old) == verdict(new) {
            continue;
        }
        let reason =
            |span: Option<&Span>| span.map_or_else(String::new, |span| span.reason.clone());
        let stretch = Stretch {
            from: *begin,
            to: *end,
            before: verdict(old),
            reason_before: reason(old),
            after: verdict(new),
            reason_after: reason(new),
        };
        match found.differs.last_mut() {
            Some(last)
                if last.to == stretch.from
                    && (last.before, last.after) == (stretch.before, stretch.after) =>
            {
                last.to = stretch.to;
            }
            _ => found.differs.push(stretch),
        }
    }
    found
}

impl Reevaluation {
    /// Whether the two catalogues say the same throughout.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.compared.iter().all(|one| one.differs.is_empty())
    }

    /// One row for each pair of verdicts of a host and a check with their time, and one for each
    /// stretch that differs. RFC 4180.
    #[must_use]
    pub fn csv(&self) -> String {
        let mut text =
            "kind,host,check,from,to,before,after,ms,reason_before,reason_after\r\n".to_owned();
        for one in &self.compared {
            let (host, check) = (one.host.as_str(), one.check.as_str());
            for (word, before, after) in one.shares() {
                let (before, after) = (before.to_string(), after.to_string());
                let row = ["share", host, check, "", "", word, "", &before, "", ""];
                push_row(&mut text, &row);
                let row = ["share", host, check, "", "", "", word, &after, "", ""];
                push_row(&mut text, &row);
            }
            for stretch in &one.differs {
                let (from, to) = (stretch.from.to_string(), stretch.to.to_string());
                let ms = stretch.to.ms_since(stretch.from).to_string();
                let (before, after) = (word(stretch.before), word(stretch.after));
                let (why, other) = (&stretch.reason_before, &stretch.reason_after);
                let row = [
                    "differs", host, check, &from, &to, before, after, &ms, why, other,
                ];
                push_row(&mut text, &row);
            }
        }
        text
    }

    /// For each check that differs anywhere, its hosts and times; then each stretch.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![
            format!("period     {} to {}", self.from, self.to),
            format!("ledger     {} entries, root {}", self.entries, self.root),
            format!("in force   {}", self.in_force),
            format!("the other  {}", self.catalogue),
        ];
        let mut checks: BTreeMap<&str, (usize, usize, Share, Share)> = BTreeMap::new();
        for one in &self.compared {
            let (hosts, differ, before, after) = checks.entry(&one.check).or_default();
            *hosts = hosts.saturating_add(1);
            *differ = differ.saturating_add(usize::from(!one.differs.is_empty()));
            for (sum, share) in [(before, one.before), (after, one.after)] {
                for (verdict, ms) in share.parts() {
                    sum.add(verdict, ms);
                }
            }
        }
        checks.retain(|_check, (_hosts, differ, ..)| 0 < *differ);
        if checks.is_empty() {
            lines.push("the two say the same throughout".to_owned());
        }
        for (check, (hosts, differ, before, after)) in &checks {
            lines.push(String::new());
            lines.push(format!("{check}: {differ} of {hosts} hosts differ"));
            lines.push(format!("  was        {}", before.line()));
            lines.push(format!("  would be   {}", after.line()));
            for one in self.compared.iter().filter(|one| one.check == *check) {
                lines.extend(one.differs.iter().map(|stretch| {
                    let (before, after) = (word(stretch.before), word(stretch.after));
                    let (from, to, host) = (stretch.from, stretch.to, &one.host);
                    let why = &stretch.reason_after;
                    format!("  {from} to {to}  {host}  {before} -> {after}: {why}")
                }));
            }
        }
        lines.join("\n")
    }
}

impl Compared {
    fn shares(&self) -> [(&'static str, i64, i64); 5] {
        let (before, after) = (self.before.parts(), self.after.parts());
        let mut rows = [("", 0, 0); 5];
        for ((row, (verdict, before)), (_same, after)) in rows.iter_mut().zip(before).zip(after) {
            *row = (word(verdict), before, after);
        }
        rows
    }
}

impl Share {
    const fn parts(&self) -> [(Option<Verdict>, i64); 5] {
        [
            (Some(Verdict::Pass), self.pass_ms),
            (Some(Verdict::Fail), self.fail_ms),
            (Some(Verdict::Unknown), self.unknown_ms),
            (Some(Verdict::NotApplicable), self.not_applicable_ms),
            (None, self.none_ms),
        ]
    }

    /// The parts that are not nothing, in tenths of a percent.
    fn line(&self) -> String {
        let whole: i64 = self.parts().iter().map(|(_verdict, ms)| ms).sum();
        let parts = self.parts().into_iter().filter(|(_verdict, ms)| 0 < *ms);
        let parts = parts.map(|(verdict, ms)| {
            let tenths = i128::from(ms).saturating_mul(1000) / i128::from(whole.max(1));
            format!("{} {}.{} %", word(verdict), tenths / 10, tenths % 10)
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

fn word(verdict: Option<Verdict>) -> &'static str {
    verdict.map_or("none", Verdict::as_str)
}

/// Adds a row. What a spreadsheet would take for a formula is made a text: hosts say part of it.
fn push_row(text: &mut String, cells: &[&str]) {
    for (index, cell) in cells.iter().enumerate() {
        if 0 < index {
            text.push(',');
        }
        let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        if formula || cell.contains(['"', ',', '\n', '\r']) {
            text.push('"');
            text.push_str(if formula { "'" } else { "" });
            text.push_str(&cell.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(cell);
        }
    }
    text.push_str("\r\n");
}

#[cfg(test)]
mod tests;
