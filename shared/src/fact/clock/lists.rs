//! The fields of the lists among the facts of the clock.

use super::super::{Field, Kind, Unit};

pub(super) const CONFIGURED_SOURCES: &[Field] = &[
    Field {
        name: "daemon",
        kind: Kind::Text,
        meaning: "Daemon whose settings name it",
    },
    Field {
        name: "address",
        kind: Kind::Text,
        meaning: "Host name or address, as written",
    },
    Field {
        name: "kind",
        kind: Kind::Text,
        meaning: "server, pool, peer or refclock",
    },
    Field {
        name: "nts",
        kind: Kind::Flag,
        meaning: "Network Time Security is asked for",
    },
];

pub(super) const DAEMONS: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "Name of the program",
    },
    Field {
        name: "user",
        kind: Kind::Text,
        meaning: "User that it runs as; a number for one without a name in /etc/passwd",
    },
];

pub(super) const DAEMON_UNITS: &[Field] = &[
    Field {
        name: "unit",
        kind: Kind::Text,
        meaning: "Name of the service",
    },
    Field {
        name: "daemon",
        kind: Kind::Text,
        meaning: "Daemon that it starts",
    },
    Field {
        name: "active",
        kind: Kind::Flag,
        meaning: "It runs",
    },
    Field {
        name: "enabled",
        kind: Kind::Flag,
        meaning: "It starts at boot",
    },
];

pub(super) const PTP_CLOCKS: &[Field] = &[
    Field {
        name: "device",
        kind: Kind::Text,
        meaning: "Name of the device, e.g. ptp0",
    },
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "What its driver calls it, e.g. KVM virtual PTP",
    },
];

pub(super) const STEPS: &[Field] = &[
    Field {
        name: "seen",
        kind: Kind::Instant,
        meaning: "When it was seen, by the clock after the step",
    },
    Field {
        name: "step_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "By how much the clock was set forward; negative when it was set back",
    },
];

pub(super) const SOURCES: &[Field] = &[
    Field {
        name: "address",
        kind: Kind::Text,
        meaning: "Address, or name of the reference clock",
    },
    Field {
        name: "mode",
        kind: Kind::Text,
        meaning: "client, peer or refclock",
    },
    Field {
        name: "state",
        kind: Kind::Text,
        meaning: "selected, candidate, outlier, falseticker, jittery, rejected or unreachable",
    },
    Field {
        name: "stratum",
        kind: Kind::Number(Unit::Count),
        meaning: "Distance from a reference clock",
    },
    Field {
        name: "reach",
        kind: Kind::Number(Unit::Code),
        meaning: "Register of the last eight polls, one bit each",
    },
    Field {
        name: "poll_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "Interval of polling; 0 when it is shorter than a second",
    },
    Field {
        name: "since_sample_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "Time since the last good sample",
    },
    Field {
        name: "offset_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Offset of the last sample",
    },
    Field {
        name: "error_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Error bound of the last sample",
    },
    Field {
        name: "authentication",
        kind: Kind::Text,
        meaning: "none, symmetric or nts; none too while keys of nts were not agreed on",
    },
    Field {
        name: "cookies",
        kind: Kind::Number(Unit::Count),
        meaning: "Cookies of Network Time Security that are left for requests",
    },
    Field {
        name: "key_age_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "Time since keys of Network Time Security were agreed on",
    },
    Field {
        name: "key_attempts",
        kind: Kind::Number(Unit::Count),
        meaning: "Attempts to agree on keys since that last went well",
    },
    Field {
        name: "key_refused",
        kind: Kind::Flag,
        meaning: "The server could not read the cookie of the last request",
    },
];
