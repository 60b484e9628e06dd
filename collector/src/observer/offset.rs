//! The clocks of hosts, as the exchanges with them show.

use std::collections::BTreeMap;

use shared::exchange::Exchange;
use shared::fact::{Facts, Value};
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use super::{Sight, facts, field};

/// A measurement that says nothing new is entered this often.
const ENTER_MS: i64 = 3600 * 1000;
/// Offsets that differ by more than this and by their errors are something new.
const NEW_MS: i64 = 100;
/// How long a measurement tells what the clock shows.
const TOLD_MS: i64 = 2 * 3600 * 1000;
/// A clock moves by at most one part in so many while nobody sets it: 500 ppm, which is what the
/// kernel corrects at most (adjtimex(2)).
const DRIFT: i64 = 2000;

/// The last measurements of each host.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    /// The last one that was entered.
    entered: BTreeMap<(AgentId, u64), (Timestamp, Exchange)>,
    /// The last one of all.
    last: BTreeMap<AgentId, Measured>,
}

/// A clock, as it was measured.
#[derive(Clone, Copy, Debug)]
struct Measured {
    at: Timestamp,
    offset_ms: i64,
    doubt_ms: i64,
}

impl Offsets {
    /// Takes a measurement; gives it back when it is to be entered.
    pub(super) fn compared(
        &mut self,
        about: (AgentId, u64),
        exchange: Exchange,
        record: Digest,
        now: Timestamp,
    ) -> Option<Sight> {
        let measured = (exchange.received, exchange.offset_ms(), exchange.delay_ms());
        self.note(&about.0, measured);
        let known = self.entered.get(&about).is_some_and(|(entered, before)| {
            let (one, other) = (exchange.offset_ms(), before.offset_ms());
            let doubt = (exchange.delay_ms() + before.delay_ms()).max(0) / 2;
            now.ms_since(*entered) < ENTER_MS
                && one.saturating_sub(other).saturating_abs() <= doubt.saturating_add(NEW_MS)
        });
        if known {
            return None;
        }
        let (agent, generation) = about.clone();
        let _before = self.entered.insert(about, (now, exchange));
        let (least, greatest) = exchange.error_ms();
        let values = [
            ("delay_ms", Value::Number(exchange.delay_ms())),
            ("error_max_ms", Value::Number(greatest)),
            ("error_min_ms", Value::Number(least)),
            ("measured", Value::Instant(exchange.received)),
            ("offset_ms", Value::Number(exchange.offset_ms())),
        ];
        let values: Facts = values
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Some(Sight {
            agent,
            generation,
            observation: facts("offset", values, &["POST /v1/time"]),
            basis: vec![record],
        })
    }

    /// Takes a measurement that was entered before the collector was started.
    pub(super) fn entered(&mut self, agent: &AgentId, facts: &Facts) {
        let number = |name| field::number(facts, name);
        if let (Some(at), Some(offset_ms), Some(delay_ms)) = (
            field::instant(facts, "measured"),
            number("offset_ms"),
            number("delay_ms"),
        ) {
            self.note(agent, (at, offset_ms, delay_ms));
        }
    }

    fn note(&mut self, agent: &AgentId, (at, offset_ms, delay_ms): (Timestamp, i64, i64)) {
        let measured = Measured {
            at,
            offset_ms,
            doubt_ms: (delay_ms.max(0) / 2).saturating_add(1),
        };
        let newest = self.last.get(agent).is_none_or(|before| before.at <= at);
        if newest {
            let _before = self.last.insert(agent.clone(), measured);
        }
    }

    /// How far the clock of a host was ahead about this time, and how far that may be wrong.
    pub(super) fn of(&self, agent: &AgentId, about: Timestamp) -> Option<(i64, i64)> {
        let measured = self.last.get(agent)?;
        let apart = about.ms_since(measured.at).saturating_abs();
        let doubt_ms = measured.doubt_ms.saturating_add(apart / DRIFT);
        (apart <= TOLD_MS).then_some((measured.offset_ms, doubt_ms))
    }
}
