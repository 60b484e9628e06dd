//! Findings that are open again, as the exception that covered them has ended.

use shared::id::AgentId;
use shared::time::Timestamp;

use super::entry::{Entry, What, controls, side};
use crate::assess::{AnswerError, Asked, Desk, Exception, Given, Window};
use crate::catalog::{Catalog, Verdict};
use crate::status::Span;

/// A finding that an exception covered until its end, and that was there then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reopened {
    host: AgentId,
    check: String,
    /// Id of the exception.
    exception: String,
    /// When it ended.
    at: Timestamp,
    /// What the check said then.
    finding: Span,
}

impl Reopened {
    /// The entry of it; what is wrong is open, so no decision explains it.
    pub(super) fn entry(&self, catalog: &Catalog) -> Entry {
        let mut checks = catalog.checks();
        let check = checks.find(|one| one.id == self.check);
        Entry {
            at: self.at,
            host: Some(self.host.clone()),
            what: What::Reopened {
                check: self.check.clone(),
                controls: controls(catalog, &self.check),
                severity: check.map(|one| one.severity),
                exception: self.exception.clone(),
                after: side(&self.finding),
            },
            explained: None,
        }
    }
}

/// The findings that were open again in a period, as far as they are asked for; at most `most`.
///
/// # Errors
///
/// [`AnswerError`].
pub(super) fn reopened(
    desk: &Desk<'_>,
    (given, asked): (&Given, &Asked),
    (window, now): (Window, Timestamp),
    most: usize,
) -> Result<Vec<Reopened>, AnswerError> {
    let catalog = desk.status.catalog();
    let ended = given.exceptions.iter();
    let ended: Vec<_> = ended.filter(|one| window.holds(one.window.to)).collect();
    let mut candidates = Vec::new();
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    desk.status.cells(now, |name, host, cells| {
        let there = host.revoked.is_none() && given.out(name).is_none();
        if !there || !asked.wants_host(name, given) {
            return;
        }
        for (check, cell) in catalog.checks().zip(cells) {
            let controls = check.mappings.iter().map(|to| to.control.as_str());
            let controls: Vec<_> = controls.collect();
            if !asked.controls.is_empty() && !controls.iter().any(|one| asked.wants(one)) {
                continue;
            }
            for one in &ended {
                // What has been well since before the end need not be looked up.
                let at = one.window.to;
                let well = cell.verdict != Verdict::Fail && cell.since.is_some_and(|it| it <= at);
                if !well && opens(given, one, (&check.id, &controls), name) {
                    candidates.push((name.clone(), check.id.clone(), *one));
                }
            }
        }
    })?;
    let mut found = Vec::new();
    for (host, check, one) in candidates {
        let at = one.window.to;
        let then = desk.status.at(&host, &check, at)?;
        let then = then.filter(|then| then.span.verdict == Verdict::Fail);
        if let Some(then) = then.filter(|_| found.len() < most) {
            found.push(Reopened {
                host,
                check,
                exception: one.id.clone(),
                at,
                finding: then.span,
            });
        }
    }
    Ok(found)
}

/// Whether a finding is no longer covered on some control when an exception ends.
pub(super) fn opens(
    given: &Given,
    one: &Exception,
    (check, controls): (&str, &[&str]),
    host: &AgentId,
) -> bool {
    controls.iter().any(|control| {
        let covered = given.covers(&one.reach, &[control], check, host);
        let still = || given.excepted((control, check, host), one.window.to);
        covered && still().is_none()
    })
}
