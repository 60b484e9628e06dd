//! Questions: about the fleet now, and about every instant before.

use std::collections::BTreeMap;
use std::sync::Arc;

use shared::id::AgentId;
use shared::time::Timestamp;

use super::controls::{self, ControlStatus, HostFinding, Tally};
use super::history::{Cell, Event, Happened, Silence, Span};
use super::plan::Plan;
use super::record::{self, Ended, Judged, Past, Sighting, Words};
use super::row::{Row, stale};
use super::table::Table;
use super::{Finding, Findings, Host, HostStatus, Latest, Status, StatusError};
use crate::catalog::{Catalog, Check, Verdict};

impl Row {
    /// A cell for each check, in their order, in place of what `cells` holds.
    pub(super) fn cells_at(&self, plan: &Plan, now: Timestamp, cells: &mut Vec<Cell>) {
        let nothing = Cell {
            verdict: Verdict::Unknown,
            stale: false,
            covered: false,
            collected: None,
            since: None,
        };
        let forked = self.host.forked.is_some();
        let mut last: Option<(&str, Option<&Sighting>)> = None;
        cells.clear();
        cells.extend(plan.checks.iter().zip(&self.cells).map(|(check, judged)| {
            // Checks on one probe mostly stand side by side.
            let seen = match last {
                Some((probe, seen)) if probe == check.probe => seen,
                _ => self.probes.get(&check.probe),
            };
            last = Some((&check.probe, seen));
            let (Some(judged), Some(seen)) = (judged, seen) else {
                return nothing;
            };
            if !judged.counts {
                return nothing;
            }
            let old = check.freshness_ms < now.ms_since(seen.seen());
            let stale = judged.stale || old;
            let ended = old && !judged.stale && !forked;
            let since = if ended {
                let from = seen.seen().plus_ms(check.freshness_ms.saturating_add(1));
                from.max(seen.at).max(judged.from).max(plan.since)
            } else {
                judged.from
            };
            Cell {
                verdict: if forked || stale {
                    Verdict::Unknown
                } else {
                    judged.verdict
                },
                stale,
                covered: !stale && !forked,
                collected: Some(seen.collected),
                since: Some(since),
            }
        }));
    }

    /// The newest finding of a check, with its words.
    fn latest(&self, number: usize, check: &Check, words: Words) -> Option<Latest> {
        let judged = self.cells.get(number).copied().flatten()?;
        let seen = self.probes.get(&check.probe)?;
        judged.counts.then(|| Latest {
            finding: Finding {
                check: check.id.clone(),
                verdict: judged.said,
                reason: words.reason,
                deciding: words.deciding,
                severity: check.severity,
            },
            collected: seen.collected,
            received: seen.received,
            since: judged.from,
            attestation: Some(record::digest(seen.record)),
            observation: seen.observation.map(record::digest),
            stale: judged.stale,
        })
    }

    /// Whether the host was expected at an instant.
    fn expected_at(&self, instant: Timestamp) -> bool {
        let until = self.events.iter().filter(|event| event.at <= instant);
        let mut changes = until.filter_map(|event| match event.what {
            Happened::Enrolled => Some(true),
            Happened::Revoked => Some(false),
            Happened::Forked(_) => None,
        });
        changes.next_back().unwrap_or(false)
    }
}

impl Status {
    /// The state of all controls of Annex A, in their order, on the hosts that are wanted.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn controls(
        &self,
        now: Timestamp,
        wanted: impl Fn(&AgentId) -> bool,
    ) -> Result<Vec<ControlStatus>, StatusError> {
        let table = self.table();
        table.whole()?;
        let mut tallies: Vec<_> = table.plan.checks.iter().map(|_| Tally::default()).collect();
        let mut cells = Vec::new();
        for (host, row) in &table.rows {
            if row.host.revoked.is_none() && wanted(host) {
                row.cells_at(&table.plan, now, &mut cells);
                for (tally, cell) in tallies.iter_mut().zip(&cells) {
                    tally.add(host, cell);
                }
            }
        }
        let named = |check: &Check, host: &AgentId| self.named(&table, check, host, now);
        controls::from_tallies(&table.plan.catalog, &tallies, named)
    }

    /// One check on one host in words.
    fn named(
        &self,
        table: &Table,
        check: &Check,
        host: &AgentId,
        now: Timestamp,
    ) -> Result<HostFinding, StatusError> {
        let latest = self.latest_in(table, host, check)?;
        let findings = Findings {
            forked: table.rows.get(host).and_then(|row| row.host.forked),
            latest: latest
                .map(|latest| (check.id.clone(), latest))
                .into_iter()
                .collect(),
        };
        Ok(controls::host_finding(check, host, &findings, now))
    }

    fn latest_in(
        &self,
        table: &Table,
        host: &AgentId,
        check: &Check,
    ) -> Result<Option<Latest>, StatusError> {
        let number = table.plan.number(&check.id);
        let (Some(row), Some(number)) = (table.rows.get(host), number) else {
            return Ok(None);
        };
        let mut words = None;
        for timed in [false, true] {
            let key = record::found(host, &check.probe, timed);
            let stored: Option<BTreeMap<String, Words>> = self.store.get(&key)?;
            words = words.or(stored.and_then(|mut stored| stored.remove(&check.id)));
        }
        Ok(row.latest(number, check, words.unwrap_or_default()))
    }

    /// All hosts that were ever enrolled, in the order of their names.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn hosts(&self, now: Timestamp) -> Result<Vec<HostStatus>, StatusError> {
        let mut hosts = Vec::new();
        self.cells(now, |name, host, cells| {
            let (name, host) = (name.clone(), host.clone());
            hosts.push(controls::host_status(name, host, cells, now));
        })?;
        Ok(hosts)
    }

    /// The catalogue in force.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.table().plan.catalog)
    }

    /// A host as it is known now; `None` when it was never enrolled.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn host(&self, host: &AgentId) -> Result<Option<Host>, StatusError> {
        let table = self.table();
        table.whole()?;
        Ok(table.rows.get(host).map(|row| row.host.clone()))
    }

    /// The newest finding of a check of the catalogue in force on a host, as it was judged; `None`
    /// when there is none that counts.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn latest(&self, host: &AgentId, check: &str) -> Result<Option<Latest>, StatusError> {
        let table = self.table();
        table.whole()?;
        let mut checks = table.plan.catalog.checks();
        match checks.find(|one| one.id == check) {
            Some(check) => self.latest_in(&table, host, check),
            None => Ok(None),
        }
    }

    /// Shows every host that was ever enrolled, in the order of the names, with a cell for each
    /// check of the catalogue in force in the order of their ids, as of `now`.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn cells(
        &self,
        now: Timestamp,
        mut look: impl FnMut(&AgentId, &Host, &[Cell]),
    ) -> Result<(), StatusError> {
        let table = self.table();
        table.whole()?;
        let mut cells = Vec::new();
        for (name, row) in &table.rows {
            row.cells_at(&table.plan, now, &mut cells);
            look(name, &row.host, &cells);
        }
        Ok(())
    }

    /// What a check said of a host between two instants, in the order of time; spans that reach
    /// beyond are given whole. Evidence that is too old at `to` counts so; a span that no evidence
    /// has ended yet has no end.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn spans(
        &self,
        host: &AgentId,
        check: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Span>, StatusError> {
        let table = self.table();
        table.whole()?;
        let mut begun: Vec<(Timestamp, Past)> = Vec::new();
        let (start, last) = (Timestamp::default().plus_ms(i64::MIN), to);
        let first = self.past_before(host, check, start, from.plus_ms(1))?;
        let first = first.map_or(from, |(at, _past)| at);
        let range = (
            record::past_from(host, check, first),
            record::past_from(host, check, last),
        );
        for pair in self.store.range(&range.0, &range.1) {
            let (key, past) = pair?;
            let at = record::past_at(&key).ok_or_else(|| super::store::damaged(&key))?;
            begun.push((at, past));
        }
        let follows = self.past_after(host, check, last)?.map(|(at, _past)| at);
        let open = follows
            .is_none()
            .then(|| Self::open_stale(&table, host, check));
        begun.extend(open.flatten().filter(|(at, _past)| *at < to));
        let ends: Vec<_> = begun.iter().skip(1).map(|(at, _past)| Some(*at)).collect();
        let ends = ends.into_iter().chain([follows]);
        let spans = begun.into_iter().zip(ends);
        let spans = spans.filter_map(|((at, past), end)| span_of(at, past, end));
        // What lasted no time is a change, and no span.
        let spans = spans.filter(|span| span.to.is_none_or(|end| span.from < end && from < end));
        Ok(spans.collect())
    }

    /// The open span of evidence that is too old at some time; its change is not stored yet.
    pub(super) fn open_stale(
        table: &Table,
        host: &AgentId,
        check: &str,
    ) -> Option<(Timestamp, Past)> {
        let number = table.plan.number(check)?;
        let row = table.rows.get(host)?;
        let from = row.stale_from(number, &table.plan)?;
        let judged: Judged = row.cells.get(number).copied().flatten()?;
        let check = table.plan.checks.get(number)?;
        Some((from, stale(judged.verdict, check.freshness_ms)))
    }

    /// The last change of a check on a host from `from` until before `to`.
    pub(super) fn past_before(
        &self,
        host: &AgentId,
        check: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Option<(Timestamp, Past)>, StatusError> {
        let from = record::past_from(host, check, from);
        let to = record::past_from(host, check, to);
        read_past(self.store.range(&from, &to).next_back())
    }

    /// The first change of a check on a host from `from` on.
    pub(super) fn past_after(
        &self,
        host: &AgentId,
        check: &str,
        from: Timestamp,
    ) -> Result<Option<(Timestamp, Past)>, StatusError> {
        let to = record::past_from(host, check, Timestamp::default().plus_ms(i64::MAX));
        let from = record::past_from(host, check, from);
        read_past(self.store.range(&from, &to).next())
    }

    /// The times between two instants in which a host or one of its probes was silent, in the
    /// order in which they began.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn silences(
        &self,
        host: &AgentId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Silence>, StatusError> {
        let table = self.table();
        table.whole()?;
        let Some(row) = table.rows.get(host) else {
            return Ok(Vec::new());
        };
        let mut silences = Vec::new();
        let start = record::silent_from(host, Timestamp::default().plus_ms(i64::MIN));
        let end = record::silent_from(host, to);
        for pair in self.store.range::<Ended>(&start, &end) {
            let (key, Ended { to, heard }) = pair?;
            let (from, probe) =
                record::silent_parts(host, &key).ok_or_else(|| super::store::damaged(&key))?;
            silences.push(Silence {
                from,
                to: Some(to),
                probe: Some(probe).filter(|probe| !probe.is_empty()),
                heard,
            });
        }
        if row.host.revoked.is_none() {
            silences.extend(row.open_silences(&table.plan));
        }
        silences.retain(|one| one.from < to && one.to.is_none_or(|end| from < end));
        silences.sort();
        Ok(silences)
    }

    /// The silences of a host that last at an instant which is not before its last record.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn silences_open(
        &self,
        host: &AgentId,
        at: Timestamp,
    ) -> Result<Vec<Silence>, StatusError> {
        let table = self.table();
        table.whole()?;
        let row = table.rows.get(host);
        let expected = row.filter(|row| row.host.revoked.is_none());
        let mut open = expected.map_or_else(Vec::new, |row| row.open_silences(&table.plan));
        open.retain(|one| one.from <= at);
        open.sort();
        Ok(open)
    }

    /// What happened to a host as such, in the order in which it was entered.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn life(&self, host: &AgentId) -> Result<Vec<Event>, StatusError> {
        let table = self.table();
        table.whole()?;
        Ok(table
            .rows
            .get(host)
            .map_or_else(Vec::new, |row| row.events.clone()))
    }

    /// The hosts that were expected at an instant: enrolled, and not revoked.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn hosts_at(&self, instant: Timestamp) -> Result<Vec<AgentId>, StatusError> {
        let table = self.table();
        table.whole()?;
        let expected = table.rows.values().filter(|row| row.expected_at(instant));
        Ok(expected.map(|row| row.name.clone()).collect())
    }
}

impl Row {
    /// Silences that begin unless something is heard before.
    fn open_silences(&self, plan: &Plan) -> Vec<Silence> {
        let own = Silence {
            from: self.silent_from(),
            to: None,
            probe: None,
            heard: self.host.heard,
        };
        let probes = self.probes.iter().filter_map(|(probe, last)| {
            let from = Self::probe_silent_from(plan, probe, last)?;
            // Of a host that lives: else it is the host that is silent.
            (from < self.host.heard).then(|| Silence {
                from,
                to: None,
                probe: Some(probe.clone()),
                heard: last.at,
            })
        });
        [own].into_iter().chain(probes).collect()
    }
}

type Stored = Result<(Vec<u8>, Past), StatusError>;

fn read_past(stored: Option<Stored>) -> Result<Option<(Timestamp, Past)>, StatusError> {
    let Some(stored) = stored else {
        return Ok(None);
    };
    let (key, past) = stored?;
    let at = record::past_at(&key).ok_or_else(|| super::store::damaged(&key))?;
    Ok(Some((at, past)))
}

/// The span that a change begins; `None` when the check was gone from then on.
pub(super) fn span_of(from: Timestamp, past: Past, to: Option<Timestamp>) -> Option<Span> {
    Some(Span {
        from,
        to,
        verdict: past.verdict?,
        stale: past.stale,
        reason: past.words.reason,
        deciding: past.words.deciding,
        record: past.record.map(record::digest),
    })
}
