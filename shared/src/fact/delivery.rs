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

/// Where arrivals are known from.
const ARRIVALS: &str = "the collector's log listener; evidence of log hosts, probe canary";
/// Where sent lines are known from.
const SENT: &str = "evidence of the host, probe canary";

const FACTS: &[Fact] = &[
    Fact {
        name: "arrived_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Lines of one run of the host that arrived away from it",
        source: ARRIVALS,
        right: "",
    },
    Fact {
        name: "last_arrived",
        kind: Kind::Instant,
        meaning: "When a line of the host last arrived, at the latest, by the clock of the collector",
        source: ARRIVALS,
        right: "",
    },
    Fact {
        name: "last_sent",
        kind: Kind::Instant,
        meaning: "When the last line of this run was sent, by the clock of the host",
        source: SENT,
        right: "",
    },
    Fact {
        name: "late_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Lines that were called lost before and have arrived since the last observation",
        source: ARRIVALS,
        right: "",
    },
    Fact {
        name: "latency_max_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Upper bound of the way of the slowest line that arrived; left out when a clock was not measured",
        source: ARRIVALS,
        right: "",
    },
    Fact {
        name: "latency_min_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Lower bound of it: a log host that looks at times knows no more",
        source: ARRIVALS,
        right: "",
    },
    Fact {
        name: "lost",
        kind: Kind::List(LOST),
        meaning: "Lines of this run that arrived nowhere in their time, at most 16",
        source: SENT,
        right: "",
    },
    Fact {
        name: "lost_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many these are; every receiver that showed lines of the host before, or that the collector is set to trust, had listened or looked since",
        source: ARRIVALS,
        right: "",
    },
    Fact {
        name: "receiver_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Who showed lines of the host in the last two days; whoever reads a line can bring it to a further receiver, so they are no proof of as many ways",
        source: ARRIVALS,
        right: "",
    },
    Fact {
        name: "receivers",
        kind: Kind::List(RECEIVERS),
        meaning: "Who had shown lines of this run when the last one was settled",
        source: ARRIVALS,
        right: "",
    },
    Fact {
        name: "sent_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Lines that the host said it sent in this run",
        source: SENT,
        right: "",
    },
    Fact {
        name: "untold_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Lines of this run that arrived nowhere while a receiver did not listen or report, so that nothing is told of them",
        source: ARRIVALS,
        right: "",
    },
];

const RECEIVERS: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "The log host, or `(collector)` for the collector's own listener",
    },
    Field {
        name: "arrived_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Lines that it received",
    },
    Field {
        name: "last_arrived",
        kind: Kind::Instant,
        meaning: "When the last one had arrived there, by the clock of the collector",
    },
    Field {
        name: "latency_max_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Upper bound of the way of the slowest; left out when a clock was not measured",
    },
    Field {
        name: "encrypted",
        kind: Kind::Flag,
        meaning: "The last hop to it was TLS; of hops before it nothing is known; left out when the receiver does not say",
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
        meaning: "By which way: journal or syslog",
    },
];
