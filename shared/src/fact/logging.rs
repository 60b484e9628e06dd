//! Facts of logging: what is kept, how fresh it is, whether it leaves the host.

use super::{Fact, Kind, Observer, Subject, Unit};

mod records;

use records::{
    CHANGES, DAEMONS, DAMAGED, DROPS, FILES, FORWARDING, GAPS, LIMITS, PROBLEMS, RECEIVERS,
    ROTATIONS, SOURCES, SPOOLS,
};

/// Whether the host logs, keeps its logs, and sends them away.
pub static SUBJECT: Subject = Subject {
    probe: "logging",
    observer: Observer::Host,
    schema: 1,
    title: "Whether the host logs, keeps its logs, and sends them away.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "clock_changes",
        kind: Kind::List(CHANGES),
        meaning: "Messages in the journal that the time was set: of systemd and of chronyd",
        source: "/var/log/journal/<machine id>/*.journal (entries), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "container",
        kind: Kind::Flag,
        meaning: "The host is a container: what its programs print is kept on the machine that it \
            runs on",
        source: "/run/systemd/container, /.dockerenv, /run/.containerenv, /proc/2/comm",
        right: "",
    },
    Fact {
        name: "daemons",
        kind: Kind::List(DAEMONS),
        meaning: "Log daemons that run: systemd-journald, rsyslogd, syslog-ng, auditd, \
            systemd-journal-upload, fluent-bit, vector, otelcol and the like. Of a \
            container they are left out when none runs in it",
        source: "/proc/[pid]/comm, /proc/[pid]/status",
        right: "",
    },
    Fact {
        name: "files",
        kind: Kind::List(FILES),
        meaning: "Log files of a syslog daemon",
        source: "/var/log",
        right: "group adm",
    },
    Fact {
        name: "forwarding",
        kind: Kind::List(FORWARDING),
        meaning: "Other hosts that entries are sent to, as the settings say",
        source: "rsyslog.conf(5), syslog-ng.conf(5), journal-upload.conf(5), settings of \
            fluent-bit, vector, otelcol; /proc/net/{tcp,tcp6,udp,udp6}, /proc/[pid]/fd",
        right: "root for some; CAP_SYS_PTRACE",
    },
    Fact {
        name: "forwarding_authenticated_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Targets of daemons that run at which the other end proves who it is; left out \
            when a way that is encrypted does not say so in the settings",
        source: "rsyslog.conf(5), syslog-ng.conf(5), journal-upload.conf(5), settings of \
            fluent-bit, vector, otelcol",
        right: "root for some",
    },
    Fact {
        name: "forwarding_connectable_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Targets of daemons that run to which there can be a connection: all but those \
            over UDP, and over HTTP but for systemd-journal-upload",
        source: "rsyslog.conf(5), syslog-ng.conf(5), journal-upload.conf(5), settings of \
            fluent-bit, vector, otelcol",
        right: "root for some",
    },
    Fact {
        name: "forwarding_connected_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Those to whose port the daemon has a TCP connection at this moment; left out \
            when one of them could not be seen",
        source: "rsyslog.conf(5), syslog-ng.conf(5), journal-upload.conf(5), settings of \
            fluent-bit, vector, otelcol; /proc/net/{tcp,tcp6,udp,udp6}, /proc/[pid]/fd",
        right: "root for some; CAP_SYS_PTRACE",
    },
    Fact {
        name: "forwarding_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many other hosts log entries are sent to; the settings of a daemon that \
            does not run do not count, nor does this host itself",
        source: "rsyslog.conf(5), syslog-ng.conf(5), journal-upload.conf(5)",
        right: "",
    },
    Fact {
        name: "forwarding_encrypted_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many of them over an encrypted way",
        source: "rsyslog.conf(5), syslog-ng.conf(5), journal-upload.conf(5)",
        right: "",
    },
    Fact {
        name: "journal_bytes",
        kind: Kind::Number(Unit::Bytes),
        meaning: "Size of the journal files",
        source: "/var/log/journal/<machine id>/*.journal (header), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "journal_damaged",
        kind: Kind::List(DAMAGED),
        meaning: "Journal files that are cut off, have no whole header, were never closed, or \
            were put aside as damaged by journald",
        source: "/var/log/journal/<machine id>/*.journal (header), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "journal_dropped_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Entries that these messages count",
        source: "/var/log/journal/<machine id>/*.journal (entries), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "journal_drops",
        kind: Kind::List(DROPS),
        meaning: "Messages in which journald tells of entries that it did not take or hand on; \
            the list may lack some when a source says so",
        source: "/var/log/journal/<machine id>/*.journal (entries), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "journal_file_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Journal files",
        source: "/var/log/journal/<machine id>/*.journal (header), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "journal_gaps",
        kind: Kind::List(GAPS),
        meaning: "Numbers of entries that are missing between two journal files that are there; \
            what was removed at the old end is no gap",
        source: "/var/log/journal/<machine id>/*.journal (header), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "journal_newest",
        kind: Kind::Instant,
        meaning: "Newest entry of the journal",
        source: "/var/log/journal/<machine id>/*.journal (header), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "journal_of_this_boot",
        kind: Kind::Flag,
        meaning: "The newest entry of the journal belongs to the boot that runs",
        source: "/var/log/journal/<machine id>/*.journal (header), /run/log/journal; \
            /proc/sys/kernel/random/boot_id",
        right: "group systemd-journal",
    },
    Fact {
        name: "journal_oldest",
        kind: Kind::Instant,
        meaning: "Oldest entry of the journal",
        source: "/var/log/journal/<machine id>/*.journal (header), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "journal_sealed",
        kind: Kind::Flag,
        meaning: "Every journal file is sealed: the flag in the header is set and it holds tags; \
            the setting Seal= proves nothing",
        source: "/var/log/journal/<machine id>/*.journal (header), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "journal_searched_since",
        kind: Kind::Instant,
        meaning: "Since when the journal was searched for them and for changes of the clock: \
            seven days",
        source: "/var/log/journal/<machine id>/*.journal (entries), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "journald_limits",
        kind: Kind::List(LIMITS),
        meaning: "Limits that are in force and where each comes from; what depends on the size of \
            the file system is left out unless it is written",
        source: "journald.conf(5) with its folders",
        right: "",
    },
    Fact {
        name: "journald_setting",
        kind: Kind::Text,
        meaning: "Storage= as written: auto, persistent, volatile or none; empty when it is not \
            written",
        source: "journald.conf(5) with its folders",
        right: "",
    },
    Fact {
        name: "journald_storage",
        kind: Kind::Text,
        meaning: "What is in force: persistent, volatile or none",
        source: "/var/log/journal/<machine id>/*.journal (header), /run/log/journal",
        right: "group systemd-journal",
    },
    Fact {
        name: "max_retention_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "Age at which journal files are removed; 0 for any age",
        source: "journald.conf(5) with its folders",
        right: "",
    },
    Fact {
        name: "newest_entry",
        kind: Kind::Instant,
        meaning: "Last sign of life of any log: newest journal entry or last write to a log file \
            that is not empty",
        source: "journal headers, /var/log",
        right: "group adm",
    },
    Fact {
        name: "permission_checked_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Files and folders below /var/log whose modes were looked at",
        source: "/var/log",
        right: "",
    },
    Fact {
        name: "permission_problems",
        kind: Kind::List(PROBLEMS),
        meaning: "Those that everybody may write, and log files that everybody may read or that a \
            person owns; files of logins, of the package manager and of the installer may \
            be read",
        source: "/var/log",
        right: "root for some",
    },
    Fact {
        name: "rate_limit_burst_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many entries; journald multiplies it when much space is free; 0 for no limit",
        source: "journald.conf(5) with its folders",
        right: "",
    },
    Fact {
        name: "rate_limit_interval_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Time in which a unit may write so many entries; 0 for no limit",
        source: "journald.conf(5) with its folders",
        right: "",
    },
    Fact {
        name: "receivers",
        kind: Kind::List(RECEIVERS),
        meaning: "Open ports at which entries of other hosts may arrive: those of log daemons, \
            and ports that are known for it whoever has them; not those of the loopback \
            interface",
        source: "/proc/net/{tcp,tcp6,udp,udp6}, /proc/[pid]/fd",
        right: "CAP_SYS_PTRACE",
    },
    Fact {
        name: "rotation_configured",
        kind: Kind::Flag,
        meaning: "logrotate has settings",
        source: "/etc/logrotate.conf, logrotate(8)",
        right: "",
    },
    Fact {
        name: "rotation_ran",
        kind: Kind::Instant,
        meaning: "When logrotate ran last",
        source: "/var/lib/logrotate/status",
        right: "",
    },
    Fact {
        name: "rotations",
        kind: Kind::List(ROTATIONS),
        meaning: "When it rotated each file",
        source: "/var/lib/logrotate/status; /etc/localtime",
        right: "",
    },
    Fact {
        name: "sources",
        kind: Kind::List(SOURCES),
        meaning: "Log files that the operator has named: when each was written; empty when he \
            named none",
        source: "[[probe.logging.source]] in the settings of the agent; the files; /etc/localtime",
        right: "that of the file",
    },
    Fact {
        name: "spool_bytes",
        kind: Kind::Number(Unit::Bytes),
        meaning: "Size of all of them",
        source: "/var/spool/rsyslog or WorkDirectory, /var/lib/syslog-ng, \
            /var/lib/vector/buffer/v2",
        right: "root",
    },
    Fact {
        name: "spool_grown_bytes",
        kind: Kind::Number(Unit::Bytes),
        meaning: "How much more that is than at the look before; left out at the first look of \
            the agent",
        source: "/var/spool/rsyslog or WorkDirectory, /var/lib/syslog-ng, \
            /var/lib/vector/buffer/v2",
        right: "root",
    },
    Fact {
        name: "spools",
        kind: Kind::List(SPOOLS),
        meaning: "Queues on disk of rsyslog, syslog-ng and Vector",
        source: "/var/spool/rsyslog or WorkDirectory, /var/lib/syslog-ng, \
            /var/lib/vector/buffer/v2",
        right: "root",
    },
    Fact {
        name: "upload_lag_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Entries that systemd-journal-upload has not yet sent, by their numbers; left \
            out when the journal was begun anew since",
        source: "/var/lib/systemd/journal-upload/state; /var/log/journal/<machine id>/*.journal \
            (header), /run/log/journal",
        right: "root",
    },
    Fact {
        name: "upload_lag_grown_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many more that are than at the look before",
        source: "/var/lib/systemd/journal-upload/state; /var/log/journal/<machine id>/*.journal \
            (header), /run/log/journal",
        right: "root",
    },
    Fact {
        name: "upload_sent",
        kind: Kind::Instant,
        meaning: "Time of the last entry that the other end has taken",
        source: "/var/lib/systemd/journal-upload/state",
        right: "root",
    },
];
