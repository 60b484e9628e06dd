//! The records of the lists among the facts of backups.

use crate::fact::{Field, Kind, Unit};

pub(super) const CREDENTIALS: &[Field] = &[
    Field {
        name: "path",
        kind: Kind::Text,
        meaning: "Path of the file",
    },
    Field {
        name: "named_by",
        kind: Kind::Text,
        meaning: "The set, the unit or the settings that name it",
    },
    Field {
        name: "found",
        kind: Kind::Flag,
        meaning: "It is there",
    },
    Field {
        name: "mode",
        kind: Kind::Number(Unit::Code),
        meaning: "Permission bits",
    },
    Field {
        name: "user",
        kind: Kind::Number(Unit::Code),
        meaning: "Numeric owner",
    },
    Field {
        name: "private",
        kind: Kind::Flag,
        meaning: "Others may not read or write it, and its group may not write it",
    },
];

pub(super) const DATA: &[Field] = &[
    Field {
        name: "path",
        kind: Kind::Text,
        meaning: "Path",
    },
    Field {
        name: "exists",
        kind: Kind::Flag,
        meaning: "It is on this host",
    },
    Field {
        name: "sets",
        kind: Kind::Text,
        meaning: "Names of the sets that hold it, joined by commas",
    },
    Field {
        name: "covered",
        kind: Kind::Flag,
        meaning: "At least one of these sets was found and has a success; left out when one that has none so far was not seen",
    },
    Field {
        name: "last_success",
        kind: Kind::Instant,
        meaning: "The newest success of these sets",
    },
];

pub(super) const JOBS: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "Name of the unit, or file and line of the crontab",
    },
    Field {
        name: "kind",
        kind: Kind::Text,
        meaning: "timer: a service that a timer starts; service: one that no timer starts; cron",
    },
    Field {
        name: "file",
        kind: Kind::Text,
        meaning: "The file that says so",
    },
    Field {
        name: "tool",
        kind: Kind::Text,
        meaning: "The program that it runs, as far as it is known",
    },
    Field {
        name: "set",
        kind: Kind::Text,
        meaning: "The declared set that names it",
    },
    Field {
        name: "schedule",
        kind: Kind::Text,
        meaning: "When it runs, as the timer or the crontab says",
    },
    Field {
        name: "enabled",
        kind: Kind::Flag,
        meaning: "Something starts it: its timer is enabled, or it stands in a crontab",
    },
    Field {
        name: "secret_inside",
        kind: Kind::Flag,
        meaning: "A secret stands in the unit, the crontab or the script, where more people read it than a file with mode 0600",
    },
    Field {
        name: "last_start",
        kind: Kind::Instant,
        meaning: "When it was started last",
    },
    Field {
        name: "last_end",
        kind: Kind::Instant,
        meaning: "When it ended last",
    },
    Field {
        name: "result",
        kind: Kind::Text,
        meaning: "Result of the last run, as systemd says it: success, exit-code, timeout ..",
    },
    Field {
        name: "exit",
        kind: Kind::Number(Unit::Code),
        meaning: "Exit status of the last run",
    },
    Field {
        name: "next",
        kind: Kind::Instant,
        meaning: "When it runs next",
    },
];

pub(super) const PATHS: &[Field] = &[Field {
    name: "path",
    kind: Kind::Text,
    meaning: "Path, or the name of a unit",
}];

pub(super) const POOLS: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "Name of the pool",
    },
    Field {
        name: "state",
        kind: Kind::Text,
        meaning: "ONLINE, DEGRADED, SUSPENDED ..",
    },
];

pub(super) const POSTGRES: &[Field] = &[
    Field {
        name: "path",
        kind: Kind::Text,
        meaning: "Data directory",
    },
    Field {
        name: "version",
        kind: Kind::Text,
        meaning: "Major version",
    },
    Field {
        name: "archive_mode",
        kind: Kind::Text,
        meaning: "off, on or always, as the files of settings say",
    },
    Field {
        name: "archives",
        kind: Kind::Flag,
        meaning: "Archiving is on, and a command or a library is set that does not throw the segments away",
    },
    Field {
        name: "ready_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Segments that wait to be archived",
    },
    Field {
        name: "oldest_ready",
        kind: Kind::Instant,
        meaning: "Since when the oldest of them waits",
    },
    Field {
        name: "last_archived",
        kind: Kind::Instant,
        meaning: "When the last segment was archived",
    },
];

pub(super) const SETS: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "Name of the set",
    },
    Field {
        name: "tool",
        kind: Kind::Text,
        meaning: "basebackup, borg, manifest, pgbackrest, restic or snapshots",
    },
    Field {
        name: "location",
        kind: Kind::Text,
        meaning: "Where the copy is; no secret stands in it",
    },
    Field {
        name: "place",
        kind: Kind::Text,
        meaning: "local: on the file system of `/` or of declared data; mounted: on another one of this host; network: on a network file system or another machine",
    },
    Field {
        name: "copy_of",
        kind: Kind::Text,
        meaning: "The set of which it is declared to be a second copy",
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
        name: "not_shown",
        kind: Kind::Text,
        meaning: "What cannot be shown without the secret of the repository",
    },
    Field {
        name: "last_success",
        kind: Kind::Instant,
        meaning: "When the last backup ended well, as a manifest or the notes of the tool say; of a restic repository, when the last snapshot was written: an incomplete one, one that tag, rewrite or copy wrote, and one of another host count too; of a borg repository, when it was last written to, by a prune too; of a snapshot, the time in its name",
    },
    Field {
        name: "oldest",
        kind: Kind::Instant,
        meaning: "When the oldest backup that is kept was made",
    },
    Field {
        name: "snapshots",
        kind: Kind::Number(Unit::Count),
        meaning: "Backups that are kept",
    },
    Field {
        name: "days",
        kind: Kind::Number(Unit::Count),
        meaning: "Days in UTC with at least one backup that is kept",
    },
    Field {
        name: "weeks",
        kind: Kind::Number(Unit::Count),
        meaning: "Weeks from Monday with at least one",
    },
    Field {
        name: "months",
        kind: Kind::Number(Unit::Count),
        meaning: "Months with at least one",
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
        name: "added_bytes",
        kind: Kind::Number(Unit::Bytes),
        meaning: "What the last backup added to the repository; of a borg repository, what the last day did",
    },
    Field {
        name: "added_percent",
        kind: Kind::Number(Unit::Count),
        meaning: "`added_bytes` in percent of the median of up to seven backups, or days, before",
    },
    Field {
        name: "size_percent",
        kind: Kind::Number(Unit::Count),
        meaning: "Size of what the last backup holds in percent of the median of up to seven backups before",
    },
    Field {
        name: "encrypted",
        kind: Kind::Flag,
        meaning: "The copy is encrypted",
    },
    Field {
        name: "cipher",
        kind: Kind::Text,
        meaning: "How",
    },
    Field {
        name: "kdf",
        kind: Kind::Text,
        meaning: "How the key is derived from the password",
    },
    Field {
        name: "append_only",
        kind: Kind::Flag,
        meaning: "The repository refuses deletion, or its snapshots are read-only",
    },
    Field {
        name: "locked",
        kind: Kind::Flag,
        meaning: "A lock is held: a job runs, or one was cut off",
    },
    Field {
        name: "locked_since",
        kind: Kind::Instant,
        meaning: "When the oldest lock was taken",
    },
    Field {
        name: "version",
        kind: Kind::Text,
        meaning: "Version of the form of the repository, or of the tool that wrote it",
    },
    Field {
        name: "hashed_at",
        kind: Kind::Instant,
        meaning: "When an archive that a manifest names was compared, where it is not compared at each look",
    },
    Field {
        name: "hashed_files",
        kind: Kind::Number(Unit::Count),
        meaning: "Files of the copy whose contents were compared with their hash or checksum at this look",
    },
    Field {
        name: "damaged_files",
        kind: Kind::Number(Unit::Count),
        meaning: "Of them, those that differ, and files that are missing or too short",
    },
    Field {
        name: "damaged_file",
        kind: Kind::Text,
        meaning: "One of those",
    },
    Field {
        name: "wal_complete",
        kind: Kind::Flag,
        meaning: "The archive has the write-ahead log that the last backup needs",
    },
    Field {
        name: "last_check",
        kind: Kind::Instant,
        meaning: "When the last check of the whole repository ended, as the record of a job says",
    },
    Field {
        name: "check_ok",
        kind: Kind::Flag,
        meaning: "That check found nothing wrong",
    },
    Field {
        name: "sha256",
        kind: Kind::Text,
        meaning: "SHA-256 of the copy or of its list of hashes, where a job says so",
    },
    Field {
        name: "grade",
        kind: Kind::Text,
        meaning: "job: a job says so; metadata: the repository shows it; proof: contents were compared with their hashes",
    },
];

pub(super) const TOOLS: &[Field] = &[
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
