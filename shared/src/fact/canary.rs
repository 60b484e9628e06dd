//! Facts of the delivery canary: signed lines that this host sent, and those of others here.

use super::{Fact, Field, Kind, Observer, Subject, Unit};

/// Which signed lines were given to the log daemons, and which of other hosts arrived here.
pub static SUBJECT: Subject = Subject {
    probe: "canary",
    observer: Observer::Host,
    schema: 1,
    title: "Which signed lines were given to the log daemons, and which of other hosts arrived here.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "local_missing_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Of the lines of the look before, those that stand in no log of this host",
        source: "/var/log/journal, /run/log/journal, /var/log",
        right: "group systemd-journal, group adm",
    },
    Fact {
        name: "received",
        kind: Kind::List(RECEIVED),
        meaning: "Lines of hosts that stand in the watched files and were not told of before, at most 512",
        source: "files of [[probe.canary.watch]]",
        right: "right to read the watched files",
    },
    Fact {
        name: "received_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many these are",
        source: "files of [[probe.canary.watch]]",
        right: "right to read the watched files",
    },
    Fact {
        name: "sent",
        kind: Kind::List(SENT),
        meaning: "The last lines that were sent, at most 16, newest last",
        source: "/run/systemd/journal/socket, /dev/log",
        right: "",
    },
    Fact {
        name: "sent_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Ways by which a line was sent at this look",
        source: "/run/systemd/journal/socket, /dev/log",
        right: "",
    },
];

const SENT: &[Field] = &[
    Field {
        name: "line",
        kind: Kind::Text,
        meaning: "The line: evident-canary/v1, agent, generation, time, signature",
    },
    Field {
        name: "way",
        kind: Kind::Text,
        meaning: "journal or syslog",
    },
    Field {
        name: "at",
        kind: Kind::Instant,
        meaning: "When it was sent, by the clock of this host",
    },
    Field {
        name: "local",
        kind: Kind::Flag,
        meaning: "It stands in a log of this host; left out when that could not be seen",
    },
    Field {
        name: "local_latency_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "How long it took to stand there, where that is known",
    },
];

const RECEIVED: &[Field] = &[
    Field {
        name: "line",
        kind: Kind::Text,
        meaning: "The line as it stands, without what the daemon wrote around it",
    },
    Field {
        name: "file",
        kind: Kind::Text,
        meaning: "File in which it stands",
    },
    Field {
        name: "seen",
        kind: Kind::Instant,
        meaning: "When it was read here, by the clock of this host",
    },
    Field {
        name: "written",
        kind: Kind::Instant,
        meaning: "When it was written here, as the log daemon of this host says",
    },
];
