//! Facts of log delivery, joined by the collector: lines that a host sent, and where they arrived.

use super::{Fact, Field, Kind, Observer, Subject, Unit};

/// Whether the log lines that a host sent arrived away from it, as the collector joins both sides.
pub static SUBJECT: Subject = Subject {
    probe: "delivery",
    observer: Observer::Collector,
    schema: 1,
    title: "Whether the log lines that a host sent arrived away from it, as the collector joins both sides.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "arrived_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Of these, those that arrived away from the host",
        source: "the collector's log listener; evidence of log hosts, probe canary",
        right: "",
    },
    Fact {
        name: "last_arrived",
        kind: Kind::Instant,
        meaning: "When a line last arrived, by the clock of who received it",
        source: "the collector's log listener; evidence of log hosts, probe canary",
        right: "",
    },
    Fact {
        name: "last_sent",
        kind: Kind::Instant,
        meaning: "When the last of these was sent, by the clock of the host",
        source: "evidence of the host, probe canary",
        right: "",
    },
    Fact {
        name: "latency_max_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Longest time on the way of these lines",
        source: "the collector's log listener; evidence of log hosts, probe canary",
        right: "",
    },
    Fact {
        name: "latency_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Time on the way of the line that arrived last, by both clocks",
        source: "the collector's log listener; evidence of log hosts, probe canary",
        right: "",
    },
    Fact {
        name: "lost",
        kind: Kind::List(LOST),
        meaning: "Lines that arrived nowhere, newest last, at most 16",
        source: "evidence of the host, probe canary",
        right: "",
    },
    Fact {
        name: "lost_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Of these, those that arrived nowhere",
        source: "the collector's log listener; evidence of log hosts, probe canary",
        right: "",
    },
    Fact {
        name: "receivers",
        kind: Kind::List(RECEIVERS),
        meaning: "Who received lines of the host",
        source: "the collector's log listener; evidence of log hosts, probe canary",
        right: "",
    },
    Fact {
        name: "sent_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Lines that the host said it sent and whose time to arrive is over",
        source: "evidence of the host, probe canary",
        right: "",
    },
];

const RECEIVERS: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "The log host, or collector for its own listener",
    },
    Field {
        name: "arrived_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Lines that it received",
    },
    Field {
        name: "last_arrived",
        kind: Kind::Instant,
        meaning: "When the last one arrived there",
    },
    Field {
        name: "latency_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "How long that one was on its way",
    },
    Field {
        name: "encrypted",
        kind: Kind::Flag,
        meaning: "It came over TLS; left out when the receiver does not say",
    },
];

const LOST: &[Field] = &[
    Field {
        name: "sent",
        kind: Kind::Instant,
        meaning: "When it was sent, by the clock of the host",
    },
    Field {
        name: "way",
        kind: Kind::Text,
        meaning: "By which way",
    },
];
