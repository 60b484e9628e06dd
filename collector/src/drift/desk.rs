//! Drift of a period and what is wrong now, asked at a desk.

use std::collections::{BTreeMap, BTreeSet};

use shared::decision::Decided;
use shared::id::AgentId;
use shared::time::Timestamp;

use super::Condition;
use super::change::{Came, Damping, Input, drift};
use super::ended::ended;
use super::entry::Drift;
use super::now::{Detail, Watch};
use super::silence::{Quiet, fleet_silences, gaps};
use crate::assess::{AnswerError, Asked, Desk, Edition, Window, changed_checks, expected};
use crate::catalog::Verdict;
use crate::status::{Cell, Changed, Silence};

/// Most changes that are read for one answer.
const CHANGES_MAX: usize = 20_000;
/// Changes that are read at once.
const CHANGES_ONCE: usize = 2_000;
/// So many spans are gone back to find what a check said last.
const SPANS_BACK: usize = 16;
/// A collector that enters nothing for twice the shortest heartbeat was away, or all hosts were.
const HEARTBEATS_MISSED: i64 = 2;

/// Everything that changed in a period that ends not after `now`.
///
/// # Errors
///
/// [`AnswerError`].
pub fn over(
    desk: &Desk<'_>,
    asked: &Asked,
    window: Window,
    now: Timestamp,
) -> Result<Drift, AnswerError> {
    let catalog = desk.catalog_at(window.to)?;
    desk.check(asked, &catalog)?;
    let lives = desk.lives(now)?;
    let given = desk.given_over(lives.keys().cloned(), window)?;
    let editions = desk.editions(window.to)?;
    let (changes, cut) = changes(desk, window)?;
    let mut silences: BTreeMap<AgentId, Vec<Silence>> = BTreeMap::new();
    for host in lives.keys() {
        let own = desk.status.silences(host, window.from, window.to)?;
        if !own.is_empty() {
            let _new = silences.insert(host.clone(), own);
        }
    }
    let there: Vec<_> = lives
        .iter()
        .map(|(host, life)| (host.clone(), expected(life, window.to)))
        .collect();
    let mut quiet = fleet_silences(&there, &silences, window);
    quiet.extend(away(desk, window, now)?);
    let end = window.to.plus_ms(-1);
    let there = there.iter().filter(|(_host, windows)| {
        let mut windows = windows.iter();
        windows.any(|one| one.holds(end))
    });
    let mut fails = |host: &AgentId, check: &str| {
        let then = desk.status.at(host, check, end)?;
        Ok::<_, AnswerError>(then.is_some_and(|then| then.span.verdict == Verdict::Fail))
    };
    let ended = ended(
        (&catalog, &given, asked),
        window,
        &there.map(|(host, _windows)| host),
        &mut fails,
    )?;
    let last = |change: &Changed| {
        let before = change.before.as_ref()?;
        desk.last_collected(&change.host, &change.check, before)
    };
    Ok(drift(&Input {
        catalog: &catalog,
        editions: &editions,
        given: &given,
        window,
        asked,
        damping: Damping::default(),
        changes: &changes,
        lives: &lives,
        silences: &silences,
        quiet: &quiet,
        ended: &ended,
        catalogues: &catalogues(&editions),
        last_evidence: &last,
        cut,
    }))
}

fn changes(desk: &Desk<'_>, window: Window) -> Result<(Vec<Changed>, bool), AnswerError> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let found = desk
            .status
            .changes(window.from, window.to, after.as_ref(), CHANGES_ONCE)?;
        all.extend(found.changes);
        after = found.next;
        if after.is_none() || CHANGES_MAX <= all.len() {
            return Ok((all, after.is_some()));
        }
    }
}

/// When the collector entered nothing at all although hosts were due.
fn away(desk: &Desk<'_>, window: Window, now: Timestamp) -> Result<Vec<Quiet>, AnswerError> {
    let mut shortest: Option<u64> = None;
    desk.status.cells(now, |_name, host, _cells| {
        if host.revoked.is_none() {
            let heartbeat = shortest.map_or(host.heartbeat_s, |least| least.min(host.heartbeat_s));
            shortest = Some(heartbeat);
        }
    })?;
    let Some(shortest) = shortest else {
        return Ok(Vec::new());
    };
    let allowed_s = i64::try_from(shortest).unwrap_or(i64::MAX);
    let limit_ms = allowed_s.saturating_mul(1000 * HEARTBEATS_MISSED);
    let size = desk.ledger.published().size;
    Ok(gaps(size, window, limit_ms, |index| {
        desk.ledger.entry(index).map(|entry| entry.leaf.received)
    })?)
}

fn catalogues(editions: &[Edition]) -> Vec<Came> {
    let mut before = None;
    let mut all = Vec::new();
    for edition in editions {
        all.push(Came {
            at: edition.at,
            id: edition.decided.catalogue.to_string(),
            text: edition.decided.reason.clone(),
            checks: before.map(|before| changed_checks(before, edition)),
        });
        before = Some(edition);
    }
    all
}

/// Everything that findings and silences show to be wrong now, and the hosts that had no time yet
/// to be heard since the collector began. What is due and who is missing is not among it.
///
/// # Errors
///
/// [`AnswerError`].
pub fn conditions(
    desk: &Desk<'_>,
    begun: Timestamp,
    now: Timestamp,
) -> Result<(Vec<Condition>, BTreeSet<AgentId>), AnswerError> {
    let catalog = desk.status.catalog();
    let given = desk.given(desk.status.hosts_at(now)?, now)?;
    let decisions = desk.register.decisions();
    let adopted = decisions
        .filter(|(_entry, _record, decision)| matches!(decision.decides, Decided::Catalogue(_)))
        .map(|(_entry, _record, decision)| decision.at)
        .max();
    let mut watch = Watch::new(&catalog, &given, now).since(begun, adopted);
    desk.status
        .cells(now, |name, host, cells| watch.host(name, host, cells))?;
    let unheard = watch.unheard().clone();
    let found = watch.finish(
        &mut |host, check, cell| detail(desk, host, check, cell, now),
        &mut |host| Ok(desk.status.silences_open(host, now)?),
    )?;
    Ok((found, unheard))
}

fn detail(
    desk: &Desk<'_>,
    host: &AgentId,
    check: &str,
    cell: &Cell,
    now: Timestamp,
) -> Result<Detail, AnswerError> {
    let Some(then) = desk.status.at(host, check, now)? else {
        return Ok(Detail::default());
    };
    let before = match cell.since {
        Some(since) if cell.verdict == Verdict::Unknown => before(desk, host, check, since)?,
        _ => None,
    };
    let evidence = then.evidence.iter();
    let evidence = evidence.flat_map(|one| [Some(one.record), one.observation]);
    Ok(Detail {
        reason: then.span.reason,
        facts: then.span.deciding,
        evidence: evidence.flatten().collect(),
        before,
    })
}

/// What a check said last before an instant that was not unknown, and since when.
fn before(
    desk: &Desk<'_>,
    host: &AgentId,
    check: &str,
    mut at: Timestamp,
) -> Result<Option<(Verdict, Timestamp)>, AnswerError> {
    for _span in 0..SPANS_BACK {
        let spans = desk.status.spans(host, check, at.plus_ms(-1), at)?;
        let Some(span) = spans.iter().rev().find(|span| span.from < at) else {
            return Ok(None);
        };
        if span.verdict != Verdict::Unknown {
            return Ok(Some((span.verdict, span.from)));
        }
        at = span.from;
    }
    Ok(None)
}
