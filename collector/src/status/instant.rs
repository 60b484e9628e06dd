//! What was true of a host at one instant, from memory as far as memory reaches.

use std::collections::BTreeMap;

use shared::id::AgentId;
use shared::time::Timestamp;

use super::history::{At, Cell, Evidence, Span};
use super::query::span_of;
use super::record::{self, Day, Past};
use super::row::Row;
use super::table::Table;
use super::{Status, StatusError};
use crate::catalog::{Check, Verdict};

/// Most days that are looked through for the evidence that was in force at an instant: evidence
/// that is older counts for nothing.
const DAYS_MAX: usize = 4000;

/// What is known of a host and a check where nothing is.
const NOTHING: Cell = Cell {
    verdict: Verdict::Unknown,
    stale: false,
    covered: false,
    collected: None,
    since: None,
};

/// What a check said: the verdict, whether evidence was too old, and since when.
type Said = (Verdict, bool, Timestamp);

impl Status {
    /// What a check said of a host at an instant, and the evidence that it stood on; `None` when
    /// it had not been evaluated.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn at(
        &self,
        host: &AgentId,
        check: &str,
        instant: Timestamp,
    ) -> Result<Option<At>, StatusError> {
        let table = self.table();
        table.whole()?;
        let Some(span) = self.span_at(&table, (host, check), instant)? else {
            return Ok(None);
        };
        let number = table.plan.number(check);
        let planned = number.and_then(|number| table.plan.checks.get(number));
        // Ids of checks begin with the name of their probe.
        let named = check.split_once('.').map_or(check, |(probe, _)| probe);
        let probe = planned.map_or(named, |check| check.probe.as_str());
        let evidence = match table.rows.get(host) {
            Some(row) => self.evidence(row, [probe], instant)?.remove(probe),
            None => None,
        };
        Ok(Some(At { span, evidence }))
    }

    /// What checks said of a host at an instant, without the words: a cell for each of `checks`, in
    /// their order; where there is none, nothing is known.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn cells_at(
        &self,
        host: &AgentId,
        checks: &[Option<&Check>],
        instant: Timestamp,
    ) -> Result<Vec<Cell>, StatusError> {
        let table = self.table();
        table.whole()?;
        let Some(row) = table.rows.get(host) else {
            return Ok(vec![NOTHING; checks.len()]);
        };
        let mut all = Vec::with_capacity(checks.len());
        for check in checks {
            let said = match check {
                Some(check) => self.said(&table, (row, &check.id), instant)?,
                None => None,
            };
            all.push(said.zip(*check));
        }
        let mut probes: Vec<&str> = Vec::new();
        for (_said, check) in all.iter().flatten() {
            // Checks on one probe mostly stand side by side.
            if probes.last().is_none_or(|last| *last != check.probe) {
                probes.push(&check.probe);
            }
        }
        let evidence = self.evidence(row, probes, instant)?;
        let cells = all.into_iter().map(|one| {
            let Some(((verdict, stale, since), check)) = one else {
                return NOTHING;
            };
            let seen = evidence.get(check.probe.as_str());
            Cell {
                verdict,
                stale,
                covered: !stale && seen.is_some(),
                collected: seen.map(|seen| seen.collected),
                since: Some(since),
            }
        });
        Ok(cells.collect())
    }

    /// The verdict of a check at an instant. It is read from disk only when it changed since.
    fn said(
        &self,
        table: &Table,
        (row, check): (&Row, &str),
        instant: Timestamp,
    ) -> Result<Option<Said>, StatusError> {
        let number = table.plan.number(check);
        let judged = number.and_then(|number| row.cells.get(number).copied().flatten());
        if let (Some(number), Some(judged)) = (number, judged)
            && judged.from <= instant
        {
            let stale = row.stale_from(number, &table.plan);
            return Ok(Some(match stale.filter(|from| *from <= instant) {
                Some(from) => (Verdict::Unknown, true, from),
                None => (judged.verdict, judged.stale, judged.from),
            }));
        }
        let past = self.past_until(&row.name, check, instant)?;
        Ok(past.and_then(|(from, past)| Some((past.verdict?, past.stale, from))))
    }

    /// The span of a check on a host that holds an instant.
    fn span_at(
        &self,
        table: &Table,
        (host, check): (&AgentId, &str),
        instant: Timestamp,
    ) -> Result<Option<Span>, StatusError> {
        let Some((from, past)) = self.past_until(host, check, instant)? else {
            return Ok(None);
        };
        let follows = self.past_after(host, check, instant.plus_ms(1))?;
        let follows = follows.map(|(at, _past)| at);
        let open = match follows {
            None => Self::open_stale(table, host, check),
            Some(_) => None,
        };
        Ok(match open.filter(|(stale, _past)| *stale <= instant) {
            Some((stale, past)) => span_of(stale, past, None),
            None => span_of(from, past, follows),
        })
    }

    /// The last change of a check on a host until an instant.
    fn past_until(
        &self,
        host: &AgentId,
        check: &str,
        instant: Timestamp,
    ) -> Result<Option<(Timestamp, Past)>, StatusError> {
        let start = Timestamp::default().plus_ms(i64::MIN);
        self.past_before(host, check, start, instant.plus_ms(1))
    }

    /// The newest evidence of probes of a host that was collected until an instant.
    fn evidence<'a>(
        &self,
        row: &Row,
        probes: impl IntoIterator<Item = &'a str>,
        instant: Timestamp,
    ) -> Result<BTreeMap<&'a str, Evidence>, StatusError> {
        let mut known = BTreeMap::new();
        let mut sought = Vec::new();
        for probe in probes {
            let Some(last) = row.probes.get(probe).filter(|last| last.at <= instant) else {
                sought.push(probe);
                continue;
            };
            let evidence = Evidence {
                collected: last.at,
                index: last.index,
                record: record::digest(last.record),
                observation: last.observation.map(record::digest),
            };
            let _same = known.insert(probe, evidence);
        }
        if sought.is_empty() {
            return Ok(known);
        }
        let (today, _ms) = record::day_of(instant);
        // The open day is newer in memory than on disk, and other days can lie behind it.
        let mut open = row.day.as_ref().filter(|(day, _)| *day <= today);
        let from = record::seen(&row.name, i64::MIN);
        let to = record::seen(&row.name, today.saturating_add(1));
        for pair in self.store.range::<Day>(&from, &to).rev().take(DAYS_MAX) {
            let (key, seen) = pair?;
            let day = record::seen_day(&key).ok_or_else(|| super::store::damaged(&key))?;
            let mut replaced = false;
            if let Some((in_memory, newer)) = open.take_if(|(in_memory, _)| day <= *in_memory) {
                newest((*in_memory, newer), instant, &mut sought, &mut known);
                replaced = day == *in_memory;
            }
            if !replaced {
                newest((day, &seen), instant, &mut sought, &mut known);
            }
            if sought.is_empty() {
                return Ok(known);
            }
        }
        if let Some((day, seen)) = open {
            newest((*day, seen), instant, &mut sought, &mut known);
        }
        Ok(known)
    }
}

/// Moves the probes that have evidence on a day, collected until an instant, from `sought` to
/// `known`.
fn newest<'a>(
    (day, seen): (i64, &Day),
    instant: Timestamp,
    sought: &mut Vec<&'a str>,
    known: &mut BTreeMap<&'a str, Evidence>,
) {
    let (today, ms) = record::day_of(instant);
    let until = if day == today { ms } else { i64::MAX };
    sought.retain(|probe| {
        let Some(found) = seen.newest(probe, until) else {
            return true;
        };
        let evidence = Evidence {
            collected: record::in_day(day, found.ms),
            index: found.record.index,
            record: record::digest(found.record.record),
            observation: found.observation.copied().map(record::digest),
        };
        let _none = known.insert(*probe, evidence);
        false
    });
}
