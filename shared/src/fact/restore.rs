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
        source: "agent.toml, [[probe.backup.set]]",
        right: "",
    },
    Fact {
        name: "failed_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets whose last restore failed",
        source: "the backup tool",
        right: "",
    },
    Fact {
        name: "placed",
        kind: Kind::List(PLACED),
        meaning: "Canary files that were placed, at most 8 of each set, newest last",
        source: "folders of [[probe.backup.set]]",
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
        name: "tested_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets of which a canary file was restored",
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
        meaning: "What restored it: restic, borg, tar or pgbackrest",
    },
    Field {
        name: "at",
        kind: Kind::Instant,
        meaning: "When the restore began, by the clock of this host",
    },
    Field {
        name: "snapshot",
        kind: Kind::Text,
        meaning: "Id of the snapshot",
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
        meaning: "How long the restore took",
    },
    Field {
        name: "reason",
        kind: Kind::Text,
        meaning: "Why nothing came back; empty when it did",
    },
];
