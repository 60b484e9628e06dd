//! The times that were given to a host, to be known again when the host signs them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use shared::exchange::Exchange;
use shared::time::Timestamp;

/// Most answers of which one host may still sign the times.
const GIVEN_MAX: usize = 32;

/// The last times that one host was given. They are in memory alone: what was given before a
/// restart is not known again, and the next exchange is.
#[derive(Debug, Default)]
pub struct Given(Mutex<VecDeque<(Timestamp, Timestamp, Timestamp)>>);

impl Given {
    /// Notes the answer to a question: when it was sent, received and answered.
    pub fn note(&self, sent: Timestamp, received: Timestamp, answered: Timestamp) {
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if GIVEN_MAX <= given.len() {
            let _oldest = given.pop_front();
        }
        given.push_back((sent, received, answered));
    }

    /// Whether the host was given these times. It may sign them once; older ones are forgotten too.
    pub fn take(&self, exchange: &Exchange) -> bool {
        let wanted = (exchange.sent, exchange.received, exchange.answered);
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = given.iter().position(|one| *one == wanted);
        if let Some(place) = place {
            drop(given.drain(..=place));
        }
        place.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_signed_once_and_only_as_given() {
        let at = |ms| Timestamp::from_unix_ms(ms).unwrap();
        let exchange = |ms| Exchange {
            sent: at(ms),
            received: at(ms + 1),
            answered: at(ms + 2),
            returned: at(ms + 3),
        };
        let given = Given::default();
        for ms in 0..=100 {
            given.note(at(ms), at(ms + 1), at(ms + 2));
        }
        assert!(!given.take(&exchange(100 - 32)), "too old");
        let invented = Exchange {
            received: at(99),
            ..exchange(100)
        };
        assert!(!given.take(&invented));
        assert!(given.take(&exchange(90)));
        assert!(!given.take(&exchange(90)), "once");
        assert!(!given.take(&exchange(89)), "older than one that was signed");
        assert!(given.take(&exchange(100)));
    }
}
