//! Facts of restore tests: canary files that were placed, and what came back from a backup.

use super::{Fact, Field, Kind, Observer, Subject, Unit};

/// Which canary files were placed in backed-up data, and what was restored of them.
pub static SUBJECT: Subject = Subject {
    probe: "restore",
    observer: Observer::Host,
    schema: 1,
    title: "Which canary files were placed in backed-up data, and what was restored of them.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "declared_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Backup sets that the settings want tested",
        source: "agent.toml, [[probe.restore.set]]",
        right: "",
    },
    Fact {
        name: "failed_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets whose newest backup was looked at and did not give the file back",
        source: "the backup tool",
        right: "",
    },
    Fact {
        name: "oldest_success",
        kind: Kind::Instant,
        meaning: "Of all declared sets, the last time that a file came back which this host had \
            placed, and that is longest ago; left out when a set has none",
        source: "the backup tool",
        right: "",
    },
    Fact {
        name: "placed",
        kind: Kind::List(PLACED),
        meaning: "Canary files that were placed, at most 8 of each set, newest last",
        source: "files of [[probe.restore.set]] canary",
        right: "right to write the file",
    },
    Fact {
        name: "restored",
        kind: Kind::List(RESTORED),
        meaning: "The last restore of each set",
        source: "the backup tool",
        right: "right to read the repository and its password file",
    },
    Fact {
        name: "slowest_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Longest time that one of these restores took; left out when nothing came back",
        source: "the backup tool",
        right: "",
    },
    Fact {
        name: "tested_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets whose last restore gave a file back",
        source: "the backup tool",
        right: "",
    },
    Fact {
        name: "undeclared_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Declared backup sets whose restore the settings do not want tested",
        source: "agent.toml, [[probe.backup.set]], [[probe.restore.set]]",
        right: "",
    },
    Fact {
        name: "unknown_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets whose last restore gave back what this host does not remember to have placed",
        source: "the backup tool",
        right: "",
    },
    Fact {
        name: "untried_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets that were never tested, or whose newest backup could not be looked at: no \
            program, no secret, locked, unreachable, killed at the deadline",
        source: "the backup tool",
        right: "",
    },
];

const PLACED: &[Field] = &[
    Field {
        name: "set",
        kind: Kind::Text,
        meaning: "Name of the set",
    },
    Field {
        name: "path",
        kind: Kind::Text,
        meaning: "The file",
    },
    Field {
        name: "sha256",
        kind: Kind::Text,
        meaning: "SHA-256 of its content, in lower-case hex",
    },
    Field {
        name: "at",
        kind: Kind::Instant,
        meaning: "When it was placed, by the clock of this host",
    },
    Field {
        name: "state",
        kind: Kind::Text,
        meaning: "intact, or why it was not found as it was placed when it was last looked at: \
            changed, absent, not-permitted ..; an older one was intact when it was replaced",
    },
];

const RESTORED: &[Field] = &[
    Field {
        name: "set",
        kind: Kind::Text,
        meaning: "Name of the set",
    },
    Field {
        name: "tool",
        kind: Kind::Text,
        meaning: "What restored it: restic, borg, tar, or snapshots: read where it stands",
    },
    Field {
        name: "at",
        kind: Kind::Instant,
        meaning: "When the restore began, by the clock of this host",
    },
    Field {
        name: "outcome",
        kind: Kind::Text,
        meaning: "restored, or why nothing came back: missing, no-snapshot, no-tool, no-secret, \
            wrong-secret, locked, unsupported, damaged, unreachable, timed-out, limit, failed",
    },
    Field {
        name: "snapshot",
        kind: Kind::Text,
        meaning: "Id of the snapshot or archive",
    },
    Field {
        name: "snapshot_at",
        kind: Kind::Instant,
        meaning: "When the snapshot was made, as the tool says",
    },
    Field {
        name: "sha256",
        kind: Kind::Text,
        meaning: "SHA-256 of what came back; left out when nothing did",
    },
    Field {
        name: "bytes",
        kind: Kind::Number(Unit::Bytes),
        meaning: "Size of what came back",
    },
    Field {
        name: "duration_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "How long the restore took, with the look for the newest snapshot",
    },
    Field {
        name: "placed_at",
        kind: Kind::Instant,
        meaning: "When the file that came back was placed, if this host remembers that it was",
    },
    Field {
        name: "last_success",
        kind: Kind::Instant,
        meaning: "When such a file last came back",
    },
    Field {
        name: "status",
        kind: Kind::Number(Unit::Code),
        meaning: "Exit status of the program that failed",
    },
    Field {
        name: "reason",
        kind: Kind::Text,
        meaning: "Why nothing came back; empty when it did",
    },
];
