//! The fields of the records in the lists of logging.

use crate::fact::{Field, Kind, Unit};

pub(super) const CHANGES: &[Field] = &[
    Field {
        name: "at",
        kind: Kind::Instant,
        meaning: "When, by the clock as it was set",
    },
    Field {
        name: "by",
        kind: Kind::Text,
        meaning: "Program that says so",
    },
    Field {
        name: "text",
        kind: Kind::Text,
        meaning: "What it says",
    },
];

pub(super) const DAEMONS: &[Field] = &[Field {
    name: "name",
    kind: Kind::Text,
    meaning: "Name of the program",
}];

pub(super) const DAMAGED: &[Field] = &[
    Field {
        name: "path",
        kind: Kind::Text,
        meaning: "File",
    },
    Field {
        name: "why",
        kind: Kind::Text,
        meaning: "What is wrong",
    },
];

pub(super) const DROPS: &[Field] = &[
    Field {
        name: "at",
        kind: Kind::Instant,
        meaning: "When journald said so",
    },
    Field {
        name: "kind",
        kind: Kind::Text,
        meaning: "suppressed (by the rate limit), kernel (its buffer ran over) or syslog (on the \
            way to a syslog daemon)",
    },
    Field {
        name: "entry_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many",
    },
    Field {
        name: "unit",
        kind: Kind::Text,
        meaning: "Unit that wrote too much, or was cut",
    },
];

pub(super) const FILES: &[Field] = &[
    Field {
        name: "path",
        kind: Kind::Text,
        meaning: "Path",
    },
    Field {
        name: "bytes",
        kind: Kind::Number(Unit::Bytes),
        meaning: "Size",
    },
    Field {
        name: "modified",
        kind: Kind::Instant,
        meaning: "Last write",
    },
    Field {
        name: "newest",
        kind: Kind::Instant,
        meaning: "Time in its last line; left out when it says none",
    },
];

pub(super) const FORWARDING: &[Field] = &[
    Field {
        name: "daemon",
        kind: Kind::Text,
        meaning: "Daemon that sends",
    },
    Field {
        name: "target",
        kind: Kind::Text,
        meaning: "Host",
    },
    Field {
        name: "port",
        kind: Kind::Number(Unit::Code),
        meaning: "Port, when written",
    },
    Field {
        name: "protocol",
        kind: Kind::Text,
        meaning: "udp, tcp, tls, relp, relp-tls, http or https",
    },
    Field {
        name: "encrypted",
        kind: Kind::Flag,
        meaning: "The way is encrypted",
    },
    Field {
        name: "file",
        kind: Kind::Text,
        meaning: "File that says so",
    },
    Field {
        name: "running",
        kind: Kind::Flag,
        meaning: "The daemon runs; left out when that could not be seen",
    },
    Field {
        name: "authentication",
        kind: Kind::Text,
        meaning: "How the other end proves who it is: none, chain (certificate of a known \
            authority), fingerprint or name; left out when it is not written",
    },
    Field {
        name: "authority",
        kind: Kind::Text,
        meaning: "File or folder with the authorities that are trusted",
    },
    Field {
        name: "authority_present",
        kind: Kind::Flag,
        meaning: "It is there",
    },
    Field {
        name: "connected",
        kind: Kind::Flag,
        meaning: "The daemon has a TCP connection to the port of the target at this moment",
    },
    Field {
        name: "queue",
        kind: Kind::Text,
        meaning: "Where entries wait: direct (nowhere), memory or disk",
    },
    Field {
        name: "retry_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How often is tried again; -1 without end",
    },
];

pub(super) const GAPS: &[Field] = &[
    Field {
        name: "after",
        kind: Kind::Text,
        meaning: "File before the gap",
    },
    Field {
        name: "before",
        kind: Kind::Text,
        meaning: "File after it",
    },
    Field {
        name: "missing_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many numbers",
    },
];

pub(super) const LIMITS: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "Name in journald.conf(5)",
    },
    Field {
        name: "value",
        kind: Kind::Text,
        meaning: "Value as written",
    },
    Field {
        name: "from",
        kind: Kind::Text,
        meaning: "File that says so, or `built in`",
    },
];

pub(super) const PROBLEMS: &[Field] = &[
    Field {
        name: "path",
        kind: Kind::Text,
        meaning: "File or folder",
    },
    Field {
        name: "problem",
        kind: Kind::Text,
        meaning: "What is wrong",
    },
    Field {
        name: "mode",
        kind: Kind::Number(Unit::Code),
        meaning: "Permission bits",
    },
    Field {
        name: "user",
        kind: Kind::Number(Unit::Code),
        meaning: "Owner",
    },
    Field {
        name: "group",
        kind: Kind::Number(Unit::Code),
        meaning: "Group",
    },
];

pub(super) const RECEIVERS: &[Field] = &[
    Field {
        name: "daemon",
        kind: Kind::Text,
        meaning: "Log daemon that has the port; left out when another program has it",
    },
    Field {
        name: "address",
        kind: Kind::Text,
        meaning: "Own address",
    },
    Field {
        name: "port",
        kind: Kind::Number(Unit::Code),
        meaning: "Port",
    },
    Field {
        name: "protocol",
        kind: Kind::Text,
        meaning: "tcp or udp",
    },
];

pub(super) const ROTATIONS: &[Field] = &[
    Field {
        name: "path",
        kind: Kind::Text,
        meaning: "File",
    },
    Field {
        name: "at",
        kind: Kind::Instant,
        meaning: "When",
    },
];

pub(super) const SOURCES: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "Name",
    },
    Field {
        name: "path",
        kind: Kind::Text,
        meaning: "File",
    },
    Field {
        name: "present",
        kind: Kind::Flag,
        meaning: "False when there is no such file",
    },
    Field {
        name: "newest",
        kind: Kind::Instant,
        meaning: "Time in its last line, or its last write when that says none",
    },
    Field {
        name: "silence_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "How long that was ago",
    },
    Field {
        name: "max_silence_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "How long it may be",
    },
];

pub(super) const SPOOLS: &[Field] = &[
    Field {
        name: "daemon",
        kind: Kind::Text,
        meaning: "Daemon",
    },
    Field {
        name: "folder",
        kind: Kind::Text,
        meaning: "Folder",
    },
    Field {
        name: "file_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Files",
    },
    Field {
        name: "bytes",
        kind: Kind::Number(Unit::Bytes),
        meaning: "Their size",
    },
];
