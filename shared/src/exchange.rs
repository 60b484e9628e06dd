//! The four times of one exchange between two clocks, and what they say of the distance.
//!
//! Source: RFC 5905 section 8, the on-wire protocol; times here have milliseconds.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Rounding to milliseconds of four times adds at most this to each bound.
const ROUNDING_MS: i64 = 1;

/// One question and its answer, each with the time of sending and of receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// When the host sent the question, by its clock.
    pub sent: Timestamp,
    /// When the collector received it, by its clock.
    pub received: Timestamp,
    /// When the collector answered, by its clock.
    pub answered: Timestamp,
    /// When the host had the answer, by its clock.
    pub returned: Timestamp,
}

impl Exchange {
    /// Clock of the host minus clock of the collector, in milliseconds.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        let there = self.sent.ms_since(self.received);
        let back = self.returned.ms_since(self.answered);
        there.midpoint(back)
    }

    /// Time on the way, there and back, in milliseconds; negative when a clock was set meanwhile.
    #[must_use]
    pub fn delay_ms(&self) -> i64 {
        let away = self.returned.ms_since(self.sent);
        away.saturating_sub(self.answered.ms_since(self.received))
    }

    /// Least and greatest distance of the clocks that these times allow, in milliseconds.
    #[must_use]
    pub fn error_ms(&self) -> (i64, i64) {
        let distance = self.offset_ms().saturating_abs();
        let doubt = (self.delay_ms().max(0) / 2).saturating_add(ROUNDING_MS);
        let least = distance.saturating_sub(doubt).max(0);
        (least, distance.saturating_add(doubt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(times: [i64; 4]) -> Exchange {
        let [sent, received, answered, returned] =
            times.map(|ms| Timestamp::from_unix_ms(1_767_323_000_000 + ms).unwrap());
        Exchange {
            sent,
            received,
            answered,
            returned,
        }
    }

    #[test]
    fn what_four_times_say() {
        for (times, offset, delay, error) in [
            ([0, 10, 12, 22], 0, 20, (0, 11)),
            ([5000, 10, 12, 5022], 5000, 20, (4989, 5011)),
            ([0, 5010, 5012, 22], -5000, 20, (4989, 5011)),
            // All of the way was one way: the offset is wrong by half of it, and says so.
            ([0, 200, 200, 200], -100, 200, (0, 201)),
            // A clock was set between.
            ([0, 10, 12, -100], -61, -102, (60, 62)),
        ] {
            let exchange = exchange(times);
            let found = (
                exchange.offset_ms(),
                exchange.delay_ms(),
                exchange.error_ms(),
            );
            assert_eq!(found, (offset, delay, error), "{times:?}");
        }
    }
}
