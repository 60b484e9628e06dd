//! Questions about the past and about the whole fleet.

use std::sync::Arc;

use shared::id::AgentId;
use shared::time::Timestamp;

use super::history::{At, Cell, Changes, Cursor, Event, Evidence, Happened, Silence, Span};
use super::{Findings, Host, Latest, Status, StatusError, controls, finding_key};
use crate::catalog::Catalog;

impl Status {
    /// The catalogue in force.
    pub fn catalog(&self) -> Arc<Catalog> {
        Arc::clone(&self.catalog)
    }

    /// The newest finding of a check on a host, as it was judged; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn latest(&self, host: &AgentId, check: &str) -> Result<Option<Latest>, StatusError> {
        self.store.get(&finding_key(host, check))
    }

    /// What a check said of a host between two instants, in the order of time; spans that only
    /// begin or end inside are given whole. Evidence that is too old at `to` counts so.
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
        let Some(latest) = self.latest(host, check)? else {
            return Ok(Vec::new());
        };
        let span = Span {
            from: latest.since,
            to: None,
            verdict: latest.finding.verdict,
            stale: false,
            reason: latest.finding.reason,
            deciding: latest.finding.deciding,
            record: latest.attestation,
        };
        Ok(if span.from < to && span.to.is_none_or(|end| from < end) {
            vec![span]
        } else {
            Vec::new()
        })
    }

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
        let span = self.spans(host, check, instant, instant.plus_ms(1))?.pop();
        let latest = self.latest(host, check)?;
        let evidence = latest.and_then(|latest| {
            Some(Evidence {
                collected: latest.collected,
                index: 0,
                record: latest.attestation?,
                observation: latest.observation,
            })
        });
        Ok(span.map(|span| At { span, evidence }))
    }

    /// All changes from `from` until before `to` over the fleet in the order of time, at most
    /// `most`, those behind `after` only. Evidence that is too old at `to` counts so.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn changes(
        &self,
        _from: Timestamp,
        _to: Timestamp,
        _after: Option<&Cursor>,
        _most: usize,
    ) -> Result<Changes, StatusError> {
        Ok(Changes::default())
    }

    /// The times between two instants in which a host or one of its probes was silent.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn silences(
        &self,
        host: &AgentId,
        _from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Silence>, StatusError> {
        let Some(host) = self.host(host)? else {
            return Ok(Vec::new());
        };
        let allowed_ms = i64::try_from(host.heartbeat_s).unwrap_or(i64::MAX);
        let from = host.heard.plus_ms(allowed_ms.saturating_mul(1000));
        Ok(if host.revoked.is_none() && from < to {
            vec![Silence {
                from,
                to: None,
                probe: None,
                heard: host.heard,
            }]
        } else {
            Vec::new()
        })
    }

    /// What happened to a host as such, in the order in which it was entered.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn life(&self, host: &AgentId) -> Result<Vec<Event>, StatusError> {
        let Some(host) = self.host(host)? else {
            return Ok(Vec::new());
        };
        let event = |at, what| Event {
            at,
            generation: host.generation,
            what,
        };
        let revoked = host.revoked.map(|at| event(at, Happened::Revoked));
        let enrolled = event(host.enrolled, Happened::Enrolled);
        Ok([Some(enrolled), revoked].into_iter().flatten().collect())
    }

    /// The hosts that were expected at an instant: enrolled, and not revoked.
    ///
    /// # Errors
    ///
    /// [`StatusError`]: close and open again.
    pub fn hosts_at(&self, instant: Timestamp) -> Result<Vec<AgentId>, StatusError> {
        let known = self.known_hosts()?.into_iter();
        let expected = known.filter(|(_name, host)| {
            host.enrolled <= instant && host.revoked.is_none_or(|at| instant < at)
        });
        Ok(expected.map(|(name, _host)| name).collect())
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
        let findings = self.findings()?;
        let none = Findings::default();
        for (name, host) in self.known_hosts()? {
            let own = findings.get(&name).unwrap_or(&none);
            let checks = self.catalog.checks();
            let cells: Vec<_> = checks
                .map(|check| {
                    let one = controls::host_finding(check, &name, own, now);
                    Cell {
                        verdict: one.verdict,
                        stale: one.stale,
                        covered: !one.stale && one.collected.is_some() && own.forked.is_none(),
                        collected: one.collected,
                        since: one.since,
                    }
                })
                .collect();
            look(&name, &host, &cells);
        }
        Ok(())
    }
}
