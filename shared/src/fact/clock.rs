//! Facts of the clock: what the kernel and the time daemon say about its error.

use super::{Fact, Kind, Observer, Subject, Unit};

mod lists;

/// Where a daemon tells the state of its clock.
const TRACKING: &str = "chronyd: /run/chrony/chronyd.sock, or UDP 127.0.0.1:323; ntpd: UDP 127.0.0.1:123; \
    systemd-timesyncd: org.freedesktop.timesync1 over D-Bus";
/// The right that this takes.
const SOCKET: &str = "root or user _chrony for the socket of chronyd; none for the rest";

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
        name: "clocksource",
        kind: Kind::Text,
        meaning: "What the kernel counts time with, e.g. tsc, kvm-clock, hpet",
        source: "/sys/devices/system/clocksource/clocksource0/current_clocksource",
        right: "",
    },
    Fact {
        name: "configured_source_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many time sources the settings name; a pool counts as two; the settings \
            of a daemon that does not run do not count; left out when servers are used that are \
            built into systemd-timesyncd",
        source: "chrony.conf(5), timesyncd.conf(5), ntp.conf(5) with their folders",
        right: "",
    },
    Fact {
        name: "configured_sources",
        kind: Kind::List(lists::CONFIGURED_SOURCES),
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
        name: "daemon_units",
        kind: Kind::List(lists::DAEMON_UNITS),
        meaning: "Services of time daemons that systemd knows; instances of phc2sys@ and ptp4l@ \
            are not among them",
        source: "systemd over D-Bus, org.freedesktop.systemd1(5)",
        right: "",
    },
    Fact {
        name: "daemons",
        kind: Kind::List(lists::DAEMONS),
        meaning: "Time daemons that run: chronyd, systemd-timesyncd, ntpd (also that of NTPsec \
            and OpenNTPD), ptp4l, phc2sys. Of a container they are left out when none runs in \
            it",
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
        meaning: "Upper bound of the error of the clock, as the kernel keeps it: 500 us are \
            added each second",
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
        meaning: "Return value of adjtimex: 0 ok, 1 and 2 leap second ahead, 3 in progress, 4 \
            has been, 5 error",
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
        name: "kernel_undisciplined_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "For how long at least nobody has corrected the clock: over that time its \
            maximum error grew by just what the kernel adds. 0 when it was corrected since the \
            look before, and after a suspend; left out at the first look of an agent",
        source: "adjtimex(2), at this look and those before",
        right: "",
    },
    Fact {
        name: "nts_source_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sources that are authenticated by Network Time Security",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "ptp_clocks",
        kind: Kind::List(lists::PTP_CLOCKS),
        meaning: "Hardware clocks that could be a reference, also those that a hypervisor offers",
        source: "/sys/class/ptp/*/clock_name",
        right: "",
    },
    Fact {
        name: "rtc_in_local_time",
        kind: Kind::Flag,
        meaning: "The hardware clock keeps local time and not UTC",
        source: "/etc/adjtime, hwclock(8)",
        right: "",
    },
    Fact {
        name: "single_source",
        kind: Kind::Flag,
        meaning: "The daemon uses one source at a time by design, so it cannot compare two",
        source: "systemd-timesyncd answers over D-Bus",
        right: "",
    },
    Fact {
        name: "sources",
        kind: Kind::List(lists::SOURCES),
        meaning: "Time sources that the daemon polls, as it reports them",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "steps",
        kind: Kind::List(lists::STEPS),
        meaning: "Steps of the wall clock of half a second or more that this process saw, the \
            last 64; left out at the first look of an agent",
        source: "CLOCK_REALTIME against CLOCK_BOOTTIME, at this look and those before",
        right: "",
    },
    Fact {
        name: "steps_watched_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "For how long this process has watched for steps; 0 at the first look of an agent",
        source: "CLOCK_BOOTTIME",
        right: "",
    },
    Fact {
        name: "tai_offset_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "Difference of TAI and UTC that the kernel knows; 0 when nobody told it",
        source: "adjtimex(2)",
        right: "",
    },
    Fact {
        name: "time_zone",
        kind: Kind::Text,
        meaning: "Rule of the time zone of the host, e.g. UTC0 or CET-1CEST,M3.5.0,M10.5.0/3",
        source: "last line of /etc/localtime, RFC 9636; UTC0 when there is none",
        right: "",
    },
    Fact {
        name: "time_zone_is_utc",
        kind: Kind::Flag,
        meaning: "Local time is UTC all year",
        source: "/etc/localtime",
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
        name: "tracking_daemon",
        kind: Kind::Text,
        meaning: "Daemon that the facts tracking_*, sources and usable_source_count come from: \
            chronyd, ntpd or systemd-timesyncd",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_frequency_ppb",
        kind: Kind::Number(Unit::PartsPerBillion),
        meaning: "By how much the clock would go wrong if it were not corrected",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_interval_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "Time between the last two updates",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_last_offset_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Offset that was estimated at the last update",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_leap",
        kind: Kind::Text,
        meaning: "normal, insert, delete or unsynchronised",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_offset_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Correction that is still to be made",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_packet_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Packets that came from the server in use; systemd-timesyncd only",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_reference",
        kind: Kind::Text,
        meaning: "Address or identifier of the source in use; `local` when the daemon takes its \
            own clock for a reference",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_rms_offset_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Average of the offsets; the jitter of ntpd and systemd-timesyncd",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_root_delay_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Round trip to the reference clock",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_root_dispersion_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Error that was collected on the way from the reference clock",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_root_distance_max_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Root distance above which a server is not believed; systemd-timesyncd only",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_root_distance_us",
        kind: Kind::Number(Unit::Microseconds),
        meaning: "Bound of the error towards the reference clock: half the root delay and the \
            root dispersion",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_skew_ppb",
        kind: Kind::Number(Unit::PartsPerBillion),
        meaning: "Error bound of the frequency",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_stratum",
        kind: Kind::Number(Unit::Count),
        meaning: "Distance of this host from a reference clock",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "tracking_updated",
        kind: Kind::Instant,
        meaning: "Time of the last update from a source",
        source: TRACKING,
        right: SOCKET,
    },
    Fact {
        name: "usable_source_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sources that answered lately and were not rejected: selected or candidate, or \
            outlier while another is selected",
        source: TRACKING,
        right: SOCKET,
    },
];
