//! Facts of backups: which sets are declared, and when each last succeeded.

use super::{Fact, Field, Kind, Observer, Subject, Unit};

/// Whether the declared backups ran, when, and what they left.
pub static SUBJECT: Subject = Subject {
    probe: "backup",
    observer: Observer::Host,
    schema: 1,
    title: "Whether the declared backups ran, when, and what they left.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "declared_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Backup sets that the settings of the agent declare",
        source: "agent.toml, [[probe.backup.set]]",
        right: "",
    },
    Fact {
        name: "fewest_snapshots",
        kind: Kind::Number(Unit::Count),
        meaning: "Of the sets that were found, the smallest number of backups kept; left out when one of them does not show it",
        source: "restic and borg repositories, manifests",
        right: "",
    },
    Fact {
        name: "found_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Declared sets that could be looked at",
        source: "restic and borg repositories, manifests",
        right: "",
    },
    Fact {
        name: "never_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets that were found and have no successful backup; left out when none was found",
        source: "restic and borg repositories, manifests",
        right: "",
    },
    Fact {
        name: "oldest_success",
        kind: Kind::Instant,
        meaning: "Of all declared sets, the last success that is longest ago; left out when a set has none or was not found",
        source: "restic and borg repositories, manifests",
        right: "",
    },
    Fact {
        name: "sets",
        kind: Kind::List(SETS),
        meaning: "Every declared backup set, as found",
        source: "restic and borg repositories, manifests",
        right: "right to read the repository",
    },
    Fact {
        name: "tools",
        kind: Kind::List(TOOLS),
        meaning: "Backup programs found on this host, declared or not",
        source: "/usr/bin, /usr/local/bin, /usr/sbin, /usr/local/sbin",
        right: "",
    },
    Fact {
        name: "unencrypted_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets that were found and are not encrypted; left out when one of them does not show whether it is",
        source: "restic and borg repositories, manifests",
        right: "",
    },
];

const SETS: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "Name of the set",
    },
    Field {
        name: "tool",
        kind: Kind::Text,
        meaning: "restic, borg or manifest",
    },
    Field {
        name: "location",
        kind: Kind::Text,
        meaning: "Where the copy is; no secret stands in it",
    },
    Field {
        name: "found",
        kind: Kind::Flag,
        meaning: "The repository or the manifest is there and readable",
    },
    Field {
        name: "reason",
        kind: Kind::Text,
        meaning: "Why it was not, or why it has no success",
    },
    Field {
        name: "last_success",
        kind: Kind::Instant,
        meaning: "When the last backup ended well, as a manifest says; of a restic repository, when the last snapshot was written: an incomplete one, one that tag, rewrite or copy wrote, and one of another host count too; of a borg repository, when it was last written to, by a prune too",
    },
    Field {
        name: "snapshots",
        kind: Kind::Number(Unit::Count),
        meaning: "Backups that are kept",
    },
    Field {
        name: "bytes",
        kind: Kind::Number(Unit::Bytes),
        meaning: "Size of the copy",
    },
    Field {
        name: "files",
        kind: Kind::Number(Unit::Count),
        meaning: "Files in the last backup, where the tool says so",
    },
    Field {
        name: "encrypted",
        kind: Kind::Flag,
        meaning: "The copy is encrypted",
    },
    Field {
        name: "append_only",
        kind: Kind::Flag,
        meaning: "The repository refuses deletion",
    },
    Field {
        name: "locked",
        kind: Kind::Flag,
        meaning: "A lock is held: a job runs, or one was cut off",
    },
    Field {
        name: "sha256",
        kind: Kind::Text,
        meaning: "SHA-256 of the copy or of its list of hashes, where a job says so",
    },
    Field {
        name: "grade",
        kind: Kind::Text,
        meaning: "job: a job says so; metadata: the repository shows it; proof: contents were checked",
    },
];

const TOOLS: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "Name of the program",
    },
    Field {
        name: "path",
        kind: Kind::Text,
        meaning: "Path",
    },
];
