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
        meaning: "Ways whose newest line that had its time stands in no log of this host; left out \
            when a way has no such line, or when a log could not be read",
        source: "/var/log/journal, /run/log/journal, files of [probe.canary] logs",
        right: "group systemd-journal, group adm",
    },
    Fact {
        name: "received",
        kind: Kind::List(RECEIVED),
        meaning: "Lines of other hosts that stand in the watched files and were not told of before, \
            at most 512, and 32 in the name of one agent; nobody has verified them",
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
        name: "received_dropped_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Lines beyond these bounds, which are not told",
        source: "files of [[probe.canary.watch]]",
        right: "right to read the watched files",
    },
    Fact {
        name: "received_malformed_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Lines that begin like a canary and are none; eight of them are told as they stand",
        source: "files of [[probe.canary.watch]]",
        right: "right to read the watched files",
    },
    Fact {
        name: "sends",
        kind: Kind::Flag,
        meaning: "The settings want a line sent at each look",
        source: "agent.toml, [probe.canary]",
        right: "",
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
        meaning: "Ways by which a line was sent at this look; left out when a daemon that is there \
            took none",
        source: "/run/systemd/journal/socket, /dev/log",
        right: "",
    },
    Fact {
        name: "watch_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Patterns of files in which the settings say that lines of other hosts arrive",
        source: "agent.toml, [[probe.canary.watch]]",
        right: "",
    },
    Fact {
        name: "watched_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Files that these patterns mean",
        source: "files of [[probe.canary.watch]]",
        right: "right to list their folders",
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
        meaning: "It stood there after at most so long; left out when it was found later than 2 s",
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
        meaning: "The time at the head of the log line, where it has one in RFC 3339: rsyslog puts \
            the sender's there unless its template says timegenerated",
    },
];
