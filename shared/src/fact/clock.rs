//! Facts of the clock: what the kernel and the time daemon say about its error.

use super::{Fact, Field, Kind, Observer, Subject, Unit};

/// How well the clock is synchronised, and with what.
pub static SUBJECT: Subject = Subject {
    probe: "clock",
    observer: Observer::Host,
    schema: 1,
    title: "How well the clock is synchronised, and with what.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "configured_source_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many time sources the settings name; a pool counts as two; the settings of a \
            daemon that does not run do not count; left out when servers are used that are built \
            into systemd-timesyncd",
        source: "chrony.conf(5), timesyncd.conf(5), ntp.conf(5) with their folders",
        right: "",
    },
    Fact {
        name: "configured_sources",
        kind: Kind::List(CONFIGURED_SOURCES),
        meaning: "Time sources that the settings of the daemons name",
        source: "chrony.conf(5), timesyncd.conf(5), ntp.conf(5) with their folders",
        right: "",
    },
    Fact {
        name: "container",
        kind: Kind::Flag,
        meaning: "The host is a container: its clock is set on the machine that it runs on",
        source: "/run/systemd/container, /.dockerenv, /run/.containerenv, /proc/2/comm",
        right: "",
    },
    Fact {
        name: "daemons",
        kind: Kind::List(DAEMONS),
        meaning: "Time daemons that run: chronyd, systemd-timesyncd, ntpd (also that of NTPsec and \
            OpenNTPD), ptp4l, phc2sys. Of a container they are left out when none runs in it",
        source: "/proc/[pid]/comm, /proc/[pid]/status",
        right: "",
    },
    Fact {
        name: "kernel_estimated_error_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Error of the clock as the daemon estimated it",
        source: "adjtimex(2)",
        right: "",
    },
    Fact {
        name: "kernel_frequency_ppb",
        kind: Kind::Number(Unit::PartsPerBillion),
        meaning: "Frequency correction in force",
        source: "adjtimex(2)",
        right: "",
    },
    Fact {
        name: "kernel_max_error_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Upper bound of the error of the clock, as the kernel keeps it: 500 us are added \
            each second",
        source: "adjtimex(2)",
        right: "",
    },
    Fact {
        name: "kernel_offset_ns",
        kind: Kind::Number(Unit::Nanoseconds),
        meaning: "What is left of the last phase adjustment",
        source: "adjtimex(2)",
        right: "",
    },
    Fact {
        name: "kernel_state",
        kind: Kind::Number(Unit::Code),
        meaning: "Return value of adjtimex: 0 ok, 1 and 2 leap second ahead, 3 in progress, 4 has \
            been, 5 error",
        source: "adjtimex(2)",
        right: "",
    },
    Fact {
        name: "kernel_status",
        kind: Kind::Number(Unit::Code),
        meaning: "Status bits STA_*, of which 0x40 is unsynchronised",
        source: "adjtimex(2)",
        right: "",
    },
    Fact {
        name: "kernel_synchronised",
        kind: Kind::Flag,
        meaning: "The kernel clock is disciplined: the state is not TIME_ERROR, or the maximum \
            error is below 16 s",
        source: "adjtimex(2)",
        right: "",
    },
    Fact {
        name: "nts_source_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sources that are authenticated by Network Time Security",
        source: "chronyd command socket /run/chrony/chronyd.sock, or UDP 127.0.0.1:323",
        right: "root or user _chrony for the socket; none for the monitoring subset over UDP",
    },
    Fact {
        name: "sources",
        kind: Kind::List(SOURCES),
        meaning: "Time sources that the daemon polls, as it reports them",
        source: "chronyd command socket /run/chrony/chronyd.sock, or UDP 127.0.0.1:323",
        right: "root or user _chrony for the socket; none for the monitoring subset over UDP",
    },
    Fact {
        name: "tai_offset_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "Difference of TAI and UTC that the kernel knows; 0 when nobody told it",
        source: "adjtimex(2)",
        right: "",
    },
    Fact {
        name: "timesyncd_synchronised_at",
        kind: Kind::Instant,
        meaning: "Last time that systemd-timesyncd set the clock",
        source: "modification time of /run/systemd/timesync/synchronized",
        right: "",
    },
    Fact {
        name: "tracking_interval_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "Time between the last two updates",
        source: "chronyd command socket /run/chrony/chronyd.sock, or UDP 127.0.0.1:323",
        right: "root or user _chrony for the socket; none for the monitoring subset over UDP",
    },
    Fact {
        name: "tracking_leap",
        kind: Kind::Text,
        meaning: "normal, insert, delete or unsynchronised",
        source: "chronyd command socket /run/chrony/chronyd.sock, or UDP 127.0.0.1:323",
        right: "root or user _chrony for the socket; none for the monitoring subset over UDP",
    },
    Fact {
        name: "tracking_offset_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Correction that is still to be made",
        source: "chronyd command socket /run/chrony/chronyd.sock, or UDP 127.0.0.1:323",
        right: "root or user _chrony for the socket; none for the monitoring subset over UDP",
    },
    Fact {
        name: "tracking_reference",
        kind: Kind::Text,
        meaning: "Address or identifier of the source in use; `local` when the daemon takes its \
            own clock for a reference",
        source: "chronyd command socket /run/chrony/chronyd.sock, or UDP 127.0.0.1:323",
        right: "root or user _chrony for the socket; none for the monitoring subset over UDP",
    },
    Fact {
        name: "tracking_root_distance_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Bound of the error towards the reference clock: half the root delay and the root \
            dispersion",
        source: "chronyd command socket /run/chrony/chronyd.sock, or UDP 127.0.0.1:323",
        right: "root or user _chrony for the socket; none for the monitoring subset over UDP",
    },
    Fact {
        name: "tracking_stratum",
        kind: Kind::Number(Unit::Count),
        meaning: "Distance of this host from a reference clock",
        source: "chronyd command socket /run/chrony/chronyd.sock, or UDP 127.0.0.1:323",
        right: "root or user _chrony for the socket; none for the monitoring subset over UDP",
    },
    Fact {
        name: "tracking_updated",
        kind: Kind::Instant,
        meaning: "Time of the last update from a source",
        source: "chronyd command socket /run/chrony/chronyd.sock, or UDP 127.0.0.1:323",
        right: "root or user _chrony for the socket; none for the monitoring subset over UDP",
    },
    Fact {
        name: "usable_source_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sources that answered lately and were not rejected: selected or candidate, or \
            outlier while another is selected",
        source: "chronyd command socket /run/chrony/chronyd.sock, or UDP 127.0.0.1:323",
        right: "root or user _chrony for the socket; none for the monitoring subset over UDP",
    },
];

const CONFIGURED_SOURCES: &[Field] = &[
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

const DAEMONS: &[Field] = &[Field {
    name: "name",
    kind: Kind::Text,
    meaning: "Name of the program",
}];

const SOURCES: &[Field] = &[
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
        meaning: "selected, unreachable, falseticker, jittery, candidate or outlier",
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
];
