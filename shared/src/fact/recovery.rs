//! Facts of recovery: what came back from a backup against what the collector knew before.

use super::{Fact, Field, Kind, Observer, Subject, Unit};

/// Whether restored content is what the host had placed before, as the collector knew it.
pub static SUBJECT: Subject = Subject {
    probe: "recovery",
    observer: Observer::Collector,
    schema: 1,
    title: "Whether restored content is what the host had placed before, as the collector knew it beforehand.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "matched_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets whose last restore gave back what had been placed before",
        source: "evidence of the host, probe restore",
        right: "",
    },
    Fact {
        name: "mismatched_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets whose last restore gave back something else",
        source: "evidence of the host, probe restore",
        right: "",
    },
    Fact {
        name: "oldest_data_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Of these restores, the largest age of the data that came back",
        source: "evidence of the host, probe restore",
        right: "",
    },
    Fact {
        name: "oldest_match",
        kind: Kind::Instant,
        meaning: "Of the last matching restores of all sets, the one that is longest ago; left out when a set has none",
        source: "evidence of the host, probe restore",
        right: "",
    },
    Fact {
        name: "set_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Backup sets for which the host placed a canary file",
        source: "evidence of the host, probe restore",
        right: "",
    },
    Fact {
        name: "sets",
        kind: Kind::List(SETS),
        meaning: "Every such set",
        source: "evidence of the host, probe restore",
        right: "",
    },
    Fact {
        name: "slowest_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Longest time that one of these restores took",
        source: "evidence of the host, probe restore",
        right: "",
    },
    Fact {
        name: "untested_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets of which nothing was restored yet, or whose last restore gave nothing",
        source: "evidence of the host, probe restore",
        right: "",
    },
];

const SETS: &[Field] = &[
    Field {
        name: "set",
        kind: Kind::Text,
        meaning: "Name of the set",
    },
    Field {
        name: "tool",
        kind: Kind::Text,
        meaning: "What restored it",
    },
    Field {
        name: "matched",
        kind: Kind::Flag,
        meaning: "What came back is what had been placed before; left out when nothing came back",
    },
    Field {
        name: "entry",
        kind: Kind::Number(Unit::Count),
        meaning: "Number of the ledger entry that held the SHA-256 before the backup was made",
    },
    Field {
        name: "placed",
        kind: Kind::Instant,
        meaning: "When that file was placed, by the clock of the host",
    },
    Field {
        name: "restored",
        kind: Kind::Instant,
        meaning: "When it was restored, by the clock of the host",
    },
    Field {
        name: "duration_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "How long the restore took",
    },
    Field {
        name: "data_age_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Age of the data that came back, when it did: from the placing to the restore",
    },
    Field {
        name: "snapshot",
        kind: Kind::Text,
        meaning: "Id of the snapshot",
    },
    Field {
        name: "reason",
        kind: Kind::Text,
        meaning: "Why nothing came back, as the host says",
    },
];
