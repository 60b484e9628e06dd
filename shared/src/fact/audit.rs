//! Facts of kernel auditing: whether it is on, loses nothing, and has the rules that are written.

use super::{Fact, Field, Kind, Observer, Subject, Unit};

/// Whether the kernel audits, loses nothing, and has the rules that are written.
pub static SUBJECT: Subject = Subject {
    probe: "audit",
    observer: Observer::Host,
    schema: 1,
    title: "Whether the kernel audits, loses nothing, and has the rules that are written.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "admin_space_left_action",
        kind: Kind::Text,
        meaning: "What auditd does when hardly any space is left, as written, in lower case",
        source: "/etc/audit/auditd.conf, auditd.conf(5)",
        right: "root",
    },
    Fact {
        name: "backlog_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Records that wait for the daemon",
        source: "netlink audit AUDIT_GET, audit_request_status(3)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "backlog_limit_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many may wait",
        source: "netlink audit AUDIT_GET, audit_request_status(3)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "container",
        kind: Kind::Flag,
        meaning: "The host is a container: its kernel, and so kernel auditing, is that of another \
            host",
        source: "/run/systemd/container, /.dockerenv, /run/.containerenv, /proc/2/comm",
        right: "",
    },
    Fact {
        name: "daemons",
        kind: Kind::List(DAEMONS),
        meaning: "Daemons that take audit records and run; of a container nothing is said when \
            none is seen",
        source: "/proc/[pid]/{comm,status}",
        right: "",
    },
    Fact {
        name: "disk_error_action",
        kind: Kind::Text,
        meaning: "What auditd does when it cannot write",
        source: "/etc/audit/auditd.conf, auditd.conf(5)",
        right: "root",
    },
    Fact {
        name: "disk_full_action",
        kind: Kind::Text,
        meaning: "What auditd does when no space is left",
        source: "/etc/audit/auditd.conf, auditd.conf(5)",
        right: "root",
    },
    Fact {
        name: "enabled",
        kind: Kind::Number(Unit::Code),
        meaning: "State of kernel auditing: 0 off, 1 on, 2 on and locked until restart",
        source: "netlink audit AUDIT_GET, audit_request_status(3)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "failure_mode",
        kind: Kind::Number(Unit::Code),
        meaning: "What the kernel does when it cannot record: 0 nothing, 1 print, 2 panic",
        source: "netlink audit AUDIT_GET, audit_request_status(3)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "log_bytes",
        kind: Kind::Number(Unit::Bytes),
        meaning: "Its size",
        source: "the file that auditd.conf(5) names",
        right: "root",
    },
    Fact {
        name: "log_file",
        kind: Kind::Text,
        meaning: "The file that auditd writes",
        source: "/etc/audit/auditd.conf, auditd.conf(5)",
        right: "root",
    },
    Fact {
        name: "log_full_action",
        kind: Kind::Text,
        meaning: "What auditd does with a file that has reached its size (max_log_file_action): \
            ignore, syslog, suspend, rotate or keep_logs",
        source: "/etc/audit/auditd.conf, auditd.conf(5)",
        right: "root",
    },
    Fact {
        name: "log_kept_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many files are kept when they are rotated (num_logs)",
        source: "/etc/audit/auditd.conf, auditd.conf(5)",
        right: "root",
    },
    Fact {
        name: "log_mode",
        kind: Kind::Number(Unit::Code),
        meaning: "Its permission bits",
        source: "the file that auditd.conf(5) names",
        right: "root",
    },
    Fact {
        name: "log_newest",
        kind: Kind::Instant,
        meaning: "Time of the last record, as it says itself",
        source: "the file that auditd.conf(5) names",
        right: "root",
    },
    Fact {
        name: "log_private",
        kind: Kind::Flag,
        meaning: "File and folder: only root writes, others than the group see nothing",
        source: "the file that auditd.conf(5) names",
        right: "root",
    },
    Fact {
        name: "log_size_limit_bytes",
        kind: Kind::Number(Unit::Bytes),
        meaning: "Size at which a file is full (max_log_file)",
        source: "/etc/audit/auditd.conf, auditd.conf(5)",
        right: "root",
    },
    Fact {
        name: "log_written",
        kind: Kind::Flag,
        meaning: "auditd takes the records of this host and writes them (local_events and \
            write_logs)",
        source: "/etc/audit/auditd.conf, auditd.conf(5)",
        right: "root",
    },
    Fact {
        name: "lost_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Records lost since the host started, or since the counter was set back",
        source: "netlink audit AUDIT_GET, audit_request_status(3)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "lost_new_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Records lost since the look before; left out at the first look of the agent",
        source: "netlink audit AUDIT_GET, audit_request_status(3)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "lost_new_span_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "Time since the look before",
        source: "netlink audit AUDIT_GET, audit_request_status(3)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "overflow_action",
        kind: Kind::Text,
        meaning: "What auditd does when its own queue is full",
        source: "/etc/audit/auditd.conf, auditd.conf(5)",
        right: "root",
    },
    Fact {
        name: "rate_limit_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Most records in a second; 0 for any number",
        source: "netlink audit AUDIT_GET, audit_request_status(3)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "registered",
        kind: Kind::Flag,
        meaning: "A daemon has registered with kernel auditing",
        source: "netlink audit AUDIT_GET, audit_request_status(3)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "rules",
        kind: Kind::List(RULES),
        meaning: "Rules that are loaded, in one form whatever way they were written; the first 512",
        source: "netlink audit AUDIT_LIST_RULES, auditctl(8)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "rules_as_written",
        kind: Kind::Flag,
        meaning: "The rules that are loaded are those of /etc/audit/audit.rules; left out when a \
            line of it is not understood and nothing else differs",
        source: "netlink audit AUDIT_LIST_RULES, auditctl(8); /etc/audit/audit.rules, \
            /etc/audit/rules.d/*.rules, augenrules(8)",
        right: "CAP_AUDIT_CONTROL in the first namespaces; root",
    },
    Fact {
        name: "rules_digest",
        kind: Kind::Text,
        meaning: "SHA-256 of all rules that are loaded, sorted, in that form",
        source: "netlink audit AUDIT_LIST_RULES, auditctl(8)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "rules_loaded_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Rules that are loaded",
        source: "netlink audit AUDIT_LIST_RULES, auditctl(8)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "rules_locked",
        kind: Kind::Flag,
        meaning: "The rules cannot be changed until restart",
        source: "netlink audit AUDIT_GET, audit_request_status(3)",
        right: "CAP_AUDIT_CONTROL in the first namespaces",
    },
    Fact {
        name: "rules_locked_written",
        kind: Kind::Flag,
        meaning: "The rule file locks the rules: its last -e is 2",
        source: "/etc/audit/audit.rules, /etc/audit/rules.d/*.rules, augenrules(8)",
        right: "root",
    },
    Fact {
        name: "rules_merged",
        kind: Kind::Flag,
        meaning: "/etc/audit/audit.rules has the rules of the files in rules.d; left out without \
            such files",
        source: "/etc/audit/audit.rules, /etc/audit/rules.d/*.rules, augenrules(8)",
        right: "root",
    },
    Fact {
        name: "rules_not_loaded",
        kind: Kind::List(RULES),
        meaning: "Rules that are written and not loaded",
        source: "netlink audit AUDIT_LIST_RULES, auditctl(8); /etc/audit/audit.rules, \
            /etc/audit/rules.d/*.rules, augenrules(8)",
        right: "CAP_AUDIT_CONTROL in the first namespaces; root",
    },
    Fact {
        name: "rules_not_written",
        kind: Kind::List(RULES),
        meaning: "Rules that are loaded and not written",
        source: "netlink audit AUDIT_LIST_RULES, auditctl(8); /etc/audit/audit.rules, \
            /etc/audit/rules.d/*.rules, augenrules(8)",
        right: "CAP_AUDIT_CONTROL in the first namespaces; root",
    },
    Fact {
        name: "rules_written_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Rules in /etc/audit/audit.rules",
        source: "/etc/audit/audit.rules, /etc/audit/rules.d/*.rules, augenrules(8)",
        right: "root",
    },
    Fact {
        name: "space_left_action",
        kind: Kind::Text,
        meaning: "What auditd does when little space is left",
        source: "/etc/audit/auditd.conf, auditd.conf(5)",
        right: "root",
    },
];

const DAEMONS: &[Field] = &[Field {
    name: "name",
    kind: Kind::Text,
    meaning: "Name of the program",
}];

const RULES: &[Field] = &[
    Field {
        name: "text",
        kind: Kind::Text,
        meaning: "Action, list, fields and system calls, sorted",
    },
    Field {
        name: "key",
        kind: Kind::Text,
        meaning: "Its keys, joined by commas; left out when it has none",
    },
];
