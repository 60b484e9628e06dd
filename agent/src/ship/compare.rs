//! Compares the clock of the host with that of the collector: a few short questions in a visit.

use shared::exchange::Exchange;
use shared::wire::{self, TimeAnswer, TimeRequest};

use crate::connection::Connection;
use crate::schedule::Clock;

/// Questions of one visit. The first one also opens the connection, and takes longest.
const QUESTIONS: usize = 5;

/// The exchange that was shortest on its way, which errs least; `None` when the collector gives no
/// time, so that a visit never fails for it.
pub async fn compare_clocks(connection: &Connection, clock: &dyn Clock) -> Option<Exchange> {
    let mut best: Option<Exchange> = None;
    for _question in 0..QUESTIONS {
        let sent = clock.wall();
        let question = TimeRequest { sent };
        let answer: TimeAnswer = connection.ask(wire::TIME, &question).await.ok()?;
        let exchange = Exchange {
            sent,
            received: answer.received,
            answered: answer.answered,
            returned: clock.wall(),
        };
        // A negative time on the way: a clock was set meanwhile.
        let usable = 0 <= exchange.delay_ms();
        let better = best.is_none_or(|best| exchange.delay_ms() < best.delay_ms());
        if usable && better {
            best = Some(exchange);
        }
    }
    best
}
