//! The clocks of hosts, as the exchanges with them show.

use std::collections::BTreeMap;

use shared::exchange::Exchange;
use shared::fact::{Facts, Value};
use shared::id::{AgentId, Digest};
use shared::time::Timestamp;

use super::{Sight, facts};

/// A measurement that says nothing new is entered this often.
const ENTER_MS: i64 = 3600 * 1000;
/// Offsets that differ by more than this and by their errors are something new.
const NEW_MS: i64 = 100;

/// The last measurement of each host that was entered.
#[derive(Debug, Default)]
pub(super) struct Offsets(BTreeMap<(AgentId, u64), (Timestamp, Exchange)>);

impl Offsets {
    /// Takes a measurement; gives it back when it is to be entered.
    pub(super) fn compared(
        &mut self,
        about: (AgentId, u64),
        exchange: Exchange,
        record: Digest,
        now: Timestamp,
    ) -> Option<Sight> {
        let known = self.0.get(&about).is_some_and(|(entered, before)| {
            let (one, other) = (exchange.offset_ms(), before.offset_ms());
            let doubt = (exchange.delay_ms() + before.delay_ms()).max(0) / 2;
            now.ms_since(*entered) < ENTER_MS
                && one.saturating_sub(other).saturating_abs() <= doubt.saturating_add(NEW_MS)
        });
        if known {
            return None;
        }
        let (agent, generation) = about.clone();
        let _before = self.0.insert(about, (now, exchange));
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
}
