//! Facts of updates: what is installed, what is pending, since when we know.

use super::{Fact, Field, Kind, Observer, Subject, Unit};

/// Which updates are pending, how fresh that knowledge is, and which kernel runs.
pub static SUBJECT: Subject = Subject {
    probe: "updates",
    observer: Observer::Host,
    schema: 1,
    title: "Which updates are pending, how fresh that knowledge is, and which kernel runs.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "applied",
        kind: Kind::List(APPLIED),
        meaning: "Packages that were upgraded in the last 90 days, for security first, then the newest; at most 512",
        source: "/var/log/dpkg.log and older ones, /usr/share/doc/*/changelog.Debian.gz, the agent's own memory of lists, /var/lib/dnf/history.sqlite and updateinfo",
        right: "",
    },
    Fact {
        name: "applied_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many packages were upgraded in the last 90 days; new packages, also of kernels, and downgrades are none",
        source: "/var/log/dpkg.log and older ones, /usr/share/doc/*/changelog.Debian.gz, the agent's own memory of lists, /var/lib/dnf/history.sqlite",
        right: "",
    },
    Fact {
        name: "applied_security_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many of these upgrades were for security, by their changelog or by the list that offered them",
        source: "/var/log/dpkg.log and older ones, /usr/share/doc/*/changelog.Debian.gz, the agent's own memory of lists, /var/lib/dnf/history.sqlite and updateinfo",
        right: "",
    },
    Fact {
        name: "applied_undated_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Upgrades of which nothing tells when they were offered",
        source: "/var/log/dpkg.log and older ones, /usr/share/doc/*/changelog.Debian.gz, the agent's own memory of lists, /var/lib/dnf/history.sqlite and updateinfo",
        right: "",
    },
    Fact {
        name: "automatic_enabled",
        kind: Kind::Flag,
        meaning: "Automatic updates are switched on: package lists and upgrades, both with a period, and the tool that makes them is installed",
        source: "/etc/apt/apt.conf, /etc/apt/apt.conf.d, /var/lib/dpkg/status; /etc/dnf/automatic.conf, /etc/systemd/system/timers.target.wants",
        right: "",
    },
    Fact {
        name: "automatic_excluded",
        kind: Kind::List(EXCLUDED),
        meaning: "Packages that automatic updates leave alone",
        source: "/etc/apt/apt.conf, /etc/apt/apt.conf.d",
        right: "",
    },
    Fact {
        name: "automatic_last_error",
        kind: Kind::Instant,
        meaning: "When the tool last wrote of an error, or ended with one",
        source: "/var/log/unattended-upgrades/unattended-upgrades.log; D-Bus org.freedesktop.systemd1 for dnf-automatic",
        right: "group adm",
    },
    Fact {
        name: "automatic_last_run",
        kind: Kind::Instant,
        meaning: "When the tool last began",
        source: "/var/log/unattended-upgrades/unattended-upgrades.log; D-Bus org.freedesktop.systemd1 for dnf-automatic",
        right: "group adm",
    },
    Fact {
        name: "automatic_last_success",
        kind: Kind::Instant,
        meaning: "When the tool last ended without an error",
        source: "modification time of /var/lib/apt/periodic/upgrade-stamp; D-Bus org.freedesktop.systemd1 for dnf-automatic",
        right: "",
    },
    Fact {
        name: "automatic_security",
        kind: Kind::Flag,
        meaning: "Automatic updates may install what comes from every source of security updates",
        source: "/etc/apt/apt.conf, /etc/apt/apt.conf.d, /var/lib/apt/lists/*_InRelease; /etc/dnf/automatic.conf",
        right: "",
    },
    Fact {
        name: "automatic_timers",
        kind: Kind::List(TIMERS),
        meaning: "Timers of systemd that fetch lists and install updates, as far as systemd knows them",
        source: "D-Bus org.freedesktop.systemd1",
        right: "",
    },
    Fact {
        name: "automatic_tool",
        kind: Kind::Text,
        meaning: "unattended-upgrades, dnf-automatic, dnf5-plugin-automatic, or none",
        source: "/var/lib/dpkg/status, rpmdb.sqlite",
        right: "",
    },
    Fact {
        name: "container",
        kind: Kind::Flag,
        meaning: "The host is a container: its kernel is that of another host",
        source: "/run/systemd/container, /.dockerenv, /run/.containerenv, /proc/2/comm",
        right: "",
    },
    Fact {
        name: "held_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Packages that are held back from updates",
        source: "/var/lib/dpkg/status; excludepkgs and versionlock of dnf; /etc/apk/world",
        right: "",
    },
    Fact {
        name: "insecure_settings",
        kind: Kind::List(SETTINGS),
        meaning: "Settings that let the package manager do without signatures, or with lists that are vouched for no longer",
        source: "/etc/apt/apt.conf, /etc/apt/apt.conf.d; /etc/dnf/dnf.conf",
        right: "",
    },
    Fact {
        name: "installed_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Packages that are installed, half-installed ones included",
        source: "/var/lib/dpkg/status, rpmdb.sqlite, /lib/apk/db/installed",
        right: "",
    },
    Fact {
        name: "kernel_current",
        kind: Kind::Flag,
        meaning: "The newest installed kernel is the one that runs",
        source: "uname(2), /boot/vmlinuz-*",
        right: "",
    },
    Fact {
        name: "kernel_newest",
        kind: Kind::Text,
        meaning: "Newest kernel release that is installed, of the flavour that runs",
        source: "/boot/vmlinuz-*, /usr/lib/modules",
        right: "",
    },
    Fact {
        name: "kernel_running",
        kind: Kind::Text,
        meaning: "Release of the kernel that runs",
        source: "uname(2)",
        right: "",
    },
    Fact {
        name: "last_change",
        kind: Kind::Instant,
        meaning: "Last time that a package was installed, upgraded or removed",
        source: "/var/log/dpkg.log, /var/log/dpkg.log.1; /var/lib/dnf/history.sqlite, rpmdb.sqlite; /lib/apk/db/installed",
        right: "",
    },
    Fact {
        name: "live_patches",
        kind: Kind::List(LIVE_PATCHES),
        meaning: "Patches in the memory of the running kernel",
        source: "/sys/kernel/livepatch",
        right: "",
    },
    Fact {
        name: "metadata",
        kind: Kind::List(METADATA),
        meaning: "Package lists on this host, one record a release file; the signature is not verified by the agent",
        source: "/var/lib/apt/lists/*_InRelease; repomd.xml below /var/cache/dnf and /var/cache/libdnf5; /var/cache/apk/APKINDEX.*",
        right: "",
    },
    Fact {
        name: "metadata_fetched",
        kind: Kind::Instant,
        meaning: "When the package list of security updates was fetched; of several, the oldest. A package manager that ran without network does not move it",
        source: "/var/lib/apt/lists/*_InRelease (change time); repomd.xml (change time); APKINDEX.* (change time)",
        right: "",
    },
    Fact {
        name: "metadata_released",
        kind: Kind::Instant,
        meaning: "When the archive made the package list of security updates; of several, the oldest",
        source: "/var/lib/apt/lists/*_InRelease (Date); repomd.xml (revision and timestamps); APKINDEX.* (time in the archive)",
        right: "",
    },
    Fact {
        name: "os_extended_ends",
        kind: Kind::Instant,
        meaning: "End of the first extended support of this release: LTS of Debian, ESM of Ubuntu",
        source: "lifetime.tsv of the agent",
        right: "",
    },
    Fact {
        name: "os_further_extended_ends",
        kind: Kind::Instant,
        meaning: "End of the longest extended support of this release: ELTS of Debian, Legacy of Ubuntu",
        source: "lifetime.tsv of the agent",
        right: "",
    },
    Fact {
        name: "os_id",
        kind: Kind::Text,
        meaning: "Identifier of the distribution, as in os-release(5)",
        source: "/etc/os-release",
        right: "",
    },
    Fact {
        name: "os_lifetime_data",
        kind: Kind::Text,
        meaning: "Where these dates are from",
        source: "lifetime.tsv of the agent, /etc/os-release",
        right: "",
    },
    Fact {
        name: "os_support_ends",
        kind: Kind::Instant,
        meaning: "End of the ordinary support of this release",
        source: "lifetime.tsv of the agent, SUPPORT_END of /etc/os-release",
        right: "",
    },
    Fact {
        name: "os_version",
        kind: Kind::Text,
        meaning: "Version of the distribution, as in os-release(5)",
        source: "/etc/os-release",
        right: "",
    },
    Fact {
        name: "pending",
        kind: Kind::List(PENDING),
        meaning: "Installed packages with a newer version in the package lists, security updates first",
        source: "/var/lib/dpkg/status, /var/lib/apt/lists/*_Packages; rpmdb.sqlite, primary, updateinfo and modules of dnf; /lib/apk/db/installed, APKINDEX.*",
        right: "",
    },
    Fact {
        name: "pending_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many packages have a newer version that the package manager would choose, those that are held back and security updates that the preferences keep out included; dependencies are not resolved",
        source: "/var/lib/dpkg/status, /var/lib/apt/lists/*_Packages, /etc/apt/preferences; the same of dnf and apk",
        right: "",
    },
    Fact {
        name: "pending_origins",
        kind: Kind::List(ORIGINS),
        meaning: "How many of these each archive has",
        source: "/var/lib/dpkg/status, /var/lib/apt/lists/*_Packages, /etc/apt/preferences; the same of dnf and apk",
        right: "",
    },
    Fact {
        name: "pending_security_after",
        kind: Kind::Instant,
        meaning: "At this date of the archive none of the pending security updates was offered yet; left out when that is not known of one of them",
        source: "/var/lib/apt/lists/*_InRelease (Date), the agent's own memory of lists; updateinfo of dnf (issued)",
        right: "",
    },
    Fact {
        name: "pending_security_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many of these have a newer version in a source of security updates",
        source: "/var/lib/dpkg/status, /var/lib/apt/lists/*_Packages, /etc/apt/preferences; updateinfo of dnf",
        right: "",
    },
    Fact {
        name: "pending_security_held_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many of these are held back, by a hold or by the preferences of apt",
        source: "/var/lib/dpkg/status, /var/lib/apt/lists/*_Packages, /etc/apt/preferences; excludepkgs and versionlock of dnf",
        right: "",
    },
    Fact {
        name: "pending_security_since",
        kind: Kind::Instant,
        meaning: "At this date of the archive one of the pending security updates was offered, perhaps earlier",
        source: "/var/lib/apt/lists/*_InRelease (Date), the agent's own memory of lists; updateinfo of dnf (issued)",
        right: "",
    },
    Fact {
        name: "pinned_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Packages with a newer version that the preferences of apt keep out; they are pending only when it is a security update",
        source: "/var/lib/dpkg/status, /var/lib/apt/lists/*_Packages, /etc/apt/preferences; excludepkgs and versionlock of dnf; /etc/apk/world",
        right: "",
    },
    Fact {
        name: "reboot_required",
        kind: Kind::Flag,
        meaning: "A package asked for a restart that has not been made",
        source: "/run/reboot-required",
        right: "",
    },
    Fact {
        name: "repositories",
        kind: Kind::List(REPOSITORIES),
        meaning: "Repositories of packages that are configured, one record a suite",
        source: "/etc/apt/sources.list, /etc/apt/sources.list.d; /etc/dnf/dnf.conf, /etc/yum.repos.d; /etc/apk/repositories",
        right: "",
    },
    Fact {
        name: "repositories_unverified_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many of these need no valid signature",
        source: "/etc/apt/sources.list, /etc/apt/sources.list.d; /etc/dnf/dnf.conf, /etc/yum.repos.d; /etc/apk/config",
        right: "",
    },
    Fact {
        name: "security_source",
        kind: Kind::Flag,
        meaning: "A source of security updates is among the package lists",
        source: "/var/lib/apt/lists/*_InRelease; updateinfo of dnf",
        right: "",
    },
    Fact {
        name: "security_wait_p50_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "Of the security updates that were applied in the last 90 days, half waited no longer than this; each measured from the latest date at which it was certainly not offered yet",
        source: "/var/log/dpkg.log and older ones, /usr/share/doc/*/changelog.Debian.gz, the agent's own memory of lists",
        right: "",
    },
    Fact {
        name: "security_wait_p95_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "The same for 95 of 100",
        source: "/var/log/dpkg.log and older ones, /usr/share/doc/*/changelog.Debian.gz, the agent's own memory of lists",
        right: "",
    },
    Fact {
        name: "stale_processes_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Processes of this host that run code which was replaced or removed",
        source: "/proc/[pid]/maps",
        right: "CAP_SYS_PTRACE",
    },
    Fact {
        name: "stale_services",
        kind: Kind::List(STALE),
        meaning: "Services with such processes",
        source: "/proc/[pid]/maps, /proc/[pid]/cgroup",
        right: "CAP_SYS_PTRACE",
    },
    Fact {
        name: "stale_unseen_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Processes of which this could not be seen",
        source: "/proc/[pid]/maps",
        right: "",
    },
];

const METADATA: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "File name of the list",
    },
    Field {
        name: "origin",
        kind: Kind::Text,
        meaning: "Origin of the release file",
    },
    Field {
        name: "label",
        kind: Kind::Text,
        meaning: "Label of the release file",
    },
    Field {
        name: "suite",
        kind: Kind::Text,
        meaning: "Suite of the release file",
    },
    Field {
        name: "security",
        kind: Kind::Flag,
        meaning: "It is a source of security updates",
    },
    Field {
        name: "released",
        kind: Kind::Instant,
        meaning: "When the archive made it",
    },
    Field {
        name: "valid_until",
        kind: Kind::Instant,
        meaning: "Until when the archive vouches for it",
    },
    Field {
        name: "fetched",
        kind: Kind::Instant,
        meaning: "When this host fetched it",
    },
];

const PENDING: &[Field] = &[
    Field {
        name: "package",
        kind: Kind::Text,
        meaning: "Name of the package",
    },
    Field {
        name: "architecture",
        kind: Kind::Text,
        meaning: "Architecture of the package",
    },
    Field {
        name: "installed",
        kind: Kind::Text,
        meaning: "Installed version",
    },
    Field {
        name: "candidate",
        kind: Kind::Text,
        meaning: "Version that the package manager would choose",
    },
    Field {
        name: "origin",
        kind: Kind::Text,
        meaning: "Label and suite of the list that has it",
    },
    Field {
        name: "security",
        kind: Kind::Flag,
        meaning: "A source of security updates has a version that is newer than the installed one, or an advisory about security names one; left out where nothing tells",
    },
    Field {
        name: "held",
        kind: Kind::Flag,
        meaning: "The package is held back, by a hold or by the preferences of apt",
    },
    Field {
        name: "source",
        kind: Kind::Text,
        meaning: "Package that the candidate is built from",
    },
    Field {
        name: "source_version",
        kind: Kind::Text,
        meaning: "Version of that package",
    },
    Field {
        name: "severity",
        kind: Kind::Text,
        meaning: "How severe the archive calls it: the word of the most severe advisory",
    },
    Field {
        name: "advisory",
        kind: Kind::Text,
        meaning: "That advisory",
    },
    Field {
        name: "cves",
        kind: Kind::Text,
        meaning: "CVE ids that its advisories name, with spaces between them",
    },
    Field {
        name: "available_since",
        kind: Kind::Instant,
        meaning: "A newer version was offered at this date of the archive, for a security update one for security; perhaps earlier",
    },
    Field {
        name: "available_after",
        kind: Kind::Instant,
        meaning: "None was offered yet at this date of the archive, as the look before has seen",
    },
];

const ORIGINS: &[Field] = &[
    Field {
        name: "origin",
        kind: Kind::Text,
        meaning: "Label and suite of the list that has the candidate",
    },
    Field {
        name: "count",
        kind: Kind::Number(Unit::Count),
        meaning: "Pending updates from there",
    },
];

const APPLIED: &[Field] = &[
    Field {
        name: "package",
        kind: Kind::Text,
        meaning: "Name of the package",
    },
    Field {
        name: "architecture",
        kind: Kind::Text,
        meaning: "Architecture of the package",
    },
    Field {
        name: "from",
        kind: Kind::Text,
        meaning: "Version before",
    },
    Field {
        name: "to",
        kind: Kind::Text,
        meaning: "Version since then",
    },
    Field {
        name: "applied",
        kind: Kind::Instant,
        meaning: "When it was upgraded",
    },
    Field {
        name: "security",
        kind: Kind::Flag,
        meaning: "It was for security",
    },
    Field {
        name: "available_since",
        kind: Kind::Instant,
        meaning: "The version was offered at this date of the archive, perhaps earlier",
    },
    Field {
        name: "available_after",
        kind: Kind::Instant,
        meaning: "It was not offered yet at this date, of the archive or of its changelog",
    },
    Field {
        name: "wait_s",
        kind: Kind::Number(Unit::Seconds),
        meaning: "Longest that it may have waited",
    },
];

const EXCLUDED: &[Field] = &[Field {
    name: "pattern",
    kind: Kind::Text,
    meaning: "Pattern of names of packages",
}];

const SETTINGS: &[Field] = &[Field {
    name: "name",
    kind: Kind::Text,
    meaning: "Name of the setting, in lower case",
}];

const LIVE_PATCHES: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "Name of the patch",
    },
    Field {
        name: "enabled",
        kind: Kind::Flag,
        meaning: "It is in force",
    },
];

const REPOSITORIES: &[Field] = &[
    Field {
        name: "file",
        kind: Kind::Text,
        meaning: "File that names it",
    },
    Field {
        name: "uri",
        kind: Kind::Text,
        meaning: "Address, without a password",
    },
    Field {
        name: "suite",
        kind: Kind::Text,
        meaning: "Suite of it",
    },
    Field {
        name: "signed_by",
        kind: Kind::Text,
        meaning: "Key files or fingerprints that it is verified with; `embedded` for a key in the file itself",
    },
    Field {
        name: "keys_present",
        kind: Kind::Flag,
        meaning: "There is a key that it can be verified with",
    },
    Field {
        name: "verified",
        kind: Kind::Flag,
        meaning: "A valid signature is demanded, as far as its own options say",
    },
    Field {
        name: "encrypted",
        kind: Kind::Flag,
        meaning: "It is fetched over TLS",
    },
    Field {
        name: "local",
        kind: Kind::Flag,
        meaning: "It is a folder or a medium of this host",
    },
];

const STALE: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "Unit of systemd, or name of the program",
    },
    Field {
        name: "processes",
        kind: Kind::Number(Unit::Count),
        meaning: "Its processes that run old code",
    },
    Field {
        name: "files",
        kind: Kind::Number(Unit::Count),
        meaning: "Files that were replaced or removed",
    },
    Field {
        name: "example",
        kind: Kind::Text,
        meaning: "Up to three of these files",
    },
    Field {
        name: "since",
        kind: Kind::Instant,
        meaning: "When the first of these files was replaced; left out when one of them is gone",
    },
];

const TIMERS: &[Field] = &[
    Field {
        name: "name",
        kind: Kind::Text,
        meaning: "Name of the timer",
    },
    Field {
        name: "active",
        kind: Kind::Flag,
        meaning: "It waits or has just begun what it starts",
    },
    Field {
        name: "file",
        kind: Kind::Text,
        meaning: "State of its unit file: enabled, disabled, masked and others",
    },
    Field {
        name: "last",
        kind: Kind::Instant,
        meaning: "When it last began",
    },
    Field {
        name: "next",
        kind: Kind::Instant,
        meaning: "When it begins next",
    },
];
