//! Facts of logging: what is kept, how fresh it is, whether it leaves the host.

use super::{Fact, Field, Kind, Observer, Subject, Unit};

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
        name: "container",
        kind: Kind::Flag,
        meaning: "The host is a container: what its programs print is kept on the machine that it runs on",
        source: "/run/systemd/container, /.dockerenv, /run/.containerenv, /proc/2/comm",
        right: "",
    },
    Fact {
        name: "daemons",
        kind: Kind::List(DAEMONS),
        meaning: "Log daemons that run: systemd-journald, rsyslogd, syslog-ng, auditd, \
            systemd-journal-upload, fluent-bit, vector, otelcol and the like. Of a container \
            they are left out when none runs in it",
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
        meaning: "Hosts that the settings send log entries to",
        source: "rsyslog.conf(5), syslog-ng.conf(5), journal-upload.conf(5) with their folders",
        right: "",
    },
    Fact {
        name: "forwarding_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many other hosts log entries are sent to; the settings of a daemon that does \
            not run do not count, nor does this host itself",
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
        name: "journal_file_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Journal files",
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
        name: "newest_entry",
        kind: Kind::Instant,
        meaning: "Last sign of life of any log: newest journal entry or last write to a log file \
            that is not empty",
        source: "journal headers, /var/log",
        right: "group adm",
    },
];

const DAEMONS: &[Field] = &[Field {
    name: "name",
    kind: Kind::Text,
    meaning: "Name of the program",
}];

const FILES: &[Field] = &[
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
];

const FORWARDING: &[Field] = &[
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
];
