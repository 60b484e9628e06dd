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

/// Where all of this is known from: what the host says now, and what it said in older entries.
const RESTORE: &str = "evidence of the host, probe restore";

const FACTS: &[Fact] = &[
    Fact {
        name: "failed_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets whose newest backup was looked at and gave nothing",
        source: RESTORE,
        right: "",
    },
    Fact {
        name: "matched_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets whose last restore gave back what had been placed before",
        source: RESTORE,
        right: "",
    },
    Fact {
        name: "mismatched_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets whose last restore gave back something that had not been placed before",
        source: RESTORE,
        right: "",
    },
    Fact {
        name: "oldest_data_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "The largest age of data that came back, when it did; left out when one is not known",
        source: RESTORE,
        right: "",
    },
    Fact {
        name: "oldest_restore",
        kind: Kind::Instant,
        meaning: "Of the matching restores of all sets, the one that is longest ago; left out when a set has none",
        source: RESTORE,
        right: "",
    },
    Fact {
        name: "set_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Backup sets whose restore the host is to test",
        source: RESTORE,
        right: "",
    },
    Fact {
        name: "sets",
        kind: Kind::List(SETS),
        meaning: "Every set of which a file was placed or restored",
        source: RESTORE,
        right: "",
    },
    Fact {
        name: "slowest_ms",
        kind: Kind::Number(Unit::Milliseconds),
        meaning: "Longest time that a matching restore took; left out when one is not known",
        source: RESTORE,
        right: "",
    },
    Fact {
        name: "unproven_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets whose last restore gave back what the collector had perhaps not learnt of before, as the host was not connected or its clock is too uncertain",
        source: RESTORE,
        right: "",
    },
    Fact {
        name: "untested_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets of which nothing was restored yet, and whose backup could not be looked at",
        source: RESTORE,
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
        meaning: "What came back is what had been placed before; left out when nothing came back, or it is not proven",
    },
    Field {
        name: "entry",
        kind: Kind::Number(Unit::Count),
        meaning: "Number of the ledger entry that first held this SHA-256",
    },
    Field {
        name: "before_snapshot",
        kind: Kind::Flag,
        meaning: "The collector had it before the snapshot was made, as the tool dates it; left out when the clock is too uncertain to tell",
    },
    Field {
        name: "placed",
        kind: Kind::Instant,
        meaning: "When that file was placed, by the clock of the host",
    },
    Field {
        name: "restored",
        kind: Kind::Instant,
        meaning: "When it was restored, by the clock of the host, and not after the record came",
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
        meaning: "Why nothing came back, as the host says, or why it is not matched",
    },
];
