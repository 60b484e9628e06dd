//! Facts of backups: which sets and data are declared, what the copies show, and who makes them.

use super::{Fact, Kind, Observer, Subject, Unit};

mod lists;

use lists::{CREDENTIALS, DATA, JOBS, PATHS, POOLS, POSTGRES, SETS, TOOLS};

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
        name: "credentials",
        kind: Kind::List(CREDENTIALS),
        meaning: "Files that hold secrets of backups, as the settings, the units and the tools' own settings name them; never what they hold",
        source: "agent.toml, [[probe.backup.set]] password_file; units; /etc/pgbackrest.conf, /etc/borgmatic",
        right: "right to read the units",
    },
    Fact {
        name: "damaged",
        kind: Kind::List(PATHS),
        meaning: "Of each set that was found and has a damaged file, one such file; left out when no set shows hashes, checksums or sizes to compare with",
        source: "repositories, manifests",
        right: "right to read the repository",
    },
    Fact {
        name: "data",
        kind: Kind::List(DATA),
        meaning: "Every path that the settings of the agent declare to be backed up",
        source: "agent.toml, [[probe.backup.data]]",
        right: "",
    },
    Fact {
        name: "data_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Paths that the settings of the agent declare to be backed up",
        source: "agent.toml, [[probe.backup.data]]",
        right: "",
    },
    Fact {
        name: "declared_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Backup sets that the settings of the agent declare",
        source: "agent.toml, [[probe.backup.set]]",
        right: "",
    },
    Fact {
        name: "exposed",
        kind: Kind::List(PATHS),
        meaning: "Files with secrets that others may read, and units, crontabs and their scripts in which a secret stands; when `credentials` or `jobs` is left out, those that are known, and left out when there are none",
        source: "agent.toml, [[probe.backup.set]] password_file; units; crontabs",
        right: "right to read the units",
    },
    Fact {
        name: "fewest_snapshots",
        kind: Kind::Number(Unit::Count),
        meaning: "Of the sets that were found, the smallest number of backups kept; left out when one of them does not show it",
        source: "repositories, manifests",
        right: "",
    },
    Fact {
        name: "found_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Declared sets that could be looked at",
        source: "repositories, manifests",
        right: "",
    },
    Fact {
        name: "jobs",
        kind: Kind::List(JOBS),
        meaning: "Units of systemd and lines of crontabs that run a program which makes backups, and units that a set names",
        source: "systemd.unit(5), systemd.timer(5), crontab(5); /etc/systemd/system, /usr/lib/systemd/system, /etc/crontab, /etc/cron.d, /var/spool/cron",
        right: "root for the crontabs of users",
    },
    Fact {
        name: "missing_units",
        kind: Kind::List(PATHS),
        meaning: "Services and crontabs that a set names and that are not on this host, or are masked; left out when one could not be looked for and none is known to be gone",
        source: "agent.toml, [[probe.backup.set]] unit; units; crontabs",
        right: "right to read the units",
    },
    Fact {
        name: "never_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets that were found and have no successful backup; left out when none was found",
        source: "repositories, manifests",
        right: "",
    },
    Fact {
        name: "oldest_success",
        kind: Kind::Instant,
        meaning: "Of all declared sets, the last success that is longest ago; left out when a set has none or was not found",
        source: "repositories, manifests",
        right: "",
    },
    Fact {
        name: "pools",
        kind: Kind::List(POOLS),
        meaning: "Pools of ZFS and what state the kernel says they are in",
        source: "/proc/spl/kstat/zfs/*/state",
        right: "",
    },
    Fact {
        name: "postgres",
        kind: Kind::List(POSTGRES),
        meaning: "Database clusters of PostgreSQL on this host, and how they archive their write-ahead log; where one may be that could not be seen, the path alone",
        source: "postgresql.conf, postgresql.auto.conf, pg_wal/archive_status",
        right: "root or postgres",
    },
    Fact {
        name: "sets",
        kind: Kind::List(SETS),
        meaning: "Every declared backup set, as found",
        source: "repositories, manifests",
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
        name: "uncovered",
        kind: Kind::List(PATHS),
        meaning: "Declared paths that no declared set with a success holds; left out when a set that could hold one was not seen",
        source: "agent.toml, repositories, manifests",
        right: "",
    },
    Fact {
        name: "undeclared",
        kind: Kind::List(PATHS),
        meaning: "Usual places of data that are on this host and in no declared path",
        source: "folders below /, /var and /var/lib",
        right: "",
    },
    Fact {
        name: "unencrypted_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Sets that were found and are not encrypted; left out when one of them does not show whether it is",
        source: "repositories, manifests",
        right: "",
    },
];
