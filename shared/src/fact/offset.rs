//! Facts of the clock of a host, as the collector measured it.

use super::{Fact, Kind, Observer, Subject, Unit};

/// The clock of a host against that of the collector, from the times of one exchange.
pub static SUBJECT: Subject = Subject {
    probe: "offset",
    observer: Observer::Collector,
    schema: 1,
    title: "The clock of a host against that of the collector, from the times of one exchange.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "delay_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Time on the way, both ways; the offset is at most half of it wrong",
        source: "four times of an exchange, RFC 5905 section 8",
        right: "",
    },
    Fact {
        name: "error_max_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Upper bound of the distance of both clocks: offset, half the delay, one millisecond of rounding",
        source: "four times of an exchange, RFC 5905 section 8",
        right: "",
    },
    Fact {
        name: "error_min_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Lower bound of that distance; 0 when the clocks may agree",
        source: "four times of an exchange, RFC 5905 section 8",
        right: "",
    },
    Fact {
        name: "measured",
        kind: Kind::Instant,
        meaning: "When the request was received, by the clock of the collector",
        source: "four times of an exchange, RFC 5905 section 8",
        right: "",
    },
    Fact {
        name: "offset_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Clock of the host minus clock of the collector: positive when the host is ahead",
        source: "four times of an exchange, RFC 5905 section 8",
        right: "",
    },
];
