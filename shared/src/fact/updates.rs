//! Facts of updates: what is installed, what is pending, since when we know.

use super::{Fact, Field, Kind, Subject, Unit};

/// Which updates are pending, how fresh that knowledge is, and which kernel runs.
pub static SUBJECT: Subject = Subject {
    probe: "updates",
    schema: 1,
    title: "Which updates are pending, how fresh that knowledge is, and which kernel runs.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "automatic_enabled",
        kind: Kind::Flag,
        meaning: "Automatic updates are switched on: package lists and upgrades, both with a period, and the tool that makes them is installed",
        source: "/etc/apt/apt.conf, /etc/apt/apt.conf.d, /var/lib/dpkg/status",
        right: "",
    },
    Fact {
        name: "automatic_last_success",
        kind: Kind::Instant,
        meaning: "When unattended-upgrades last ended without an error",
        source: "modification time of /var/lib/apt/periodic/upgrade-stamp",
        right: "",
    },
    Fact {
        name: "automatic_tool",
        kind: Kind::Text,
        meaning: "unattended-upgrades, or none",
        source: "/var/lib/dpkg/status",
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
        source: "/var/lib/dpkg/status",
        right: "",
    },
    Fact {
        name: "installed_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Packages that are installed, half-installed ones included",
        source: "/var/lib/dpkg/status",
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
        source: "/var/log/dpkg.log, /var/log/dpkg.log.1",
        right: "",
    },
    Fact {
        name: "metadata",
        kind: Kind::List(METADATA),
        meaning: "Package lists on this host, one record a release file; the signature is not verified by the agent",
        source: "/var/lib/apt/lists/*_InRelease",
        right: "",
    },
    Fact {
        name: "metadata_fetched",
        kind: Kind::Instant,
        meaning: "When the package list of security updates was fetched; of several, the oldest. A package manager that ran without network does not move it",
        source: "/var/lib/apt/lists/*_InRelease (change time)",
        right: "",
    },
    Fact {
        name: "metadata_released",
        kind: Kind::Instant,
        meaning: "When the archive made the package list of security updates; of several, the oldest",
        source: "/var/lib/apt/lists/*_InRelease (Date)",
        right: "",
    },
    Fact {
        name: "oldest_security_pending",
        kind: Kind::Instant,
        meaning: "The earliest date since which a pending security update was offered; left out when that of one of them is not known",
        source: "/var/lib/apt/lists/*_InRelease (Date)",
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
        source: "/var/lib/dpkg/status, /var/lib/apt/lists/*_Packages",
        right: "",
    },
    Fact {
        name: "pending_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many packages have a newer version that apt would choose, those that are held back and security updates that the preferences keep out included; dependencies are not resolved",
        source: "/var/lib/dpkg/status, /var/lib/apt/lists/*_Packages, /etc/apt/preferences",
        right: "",
    },
    Fact {
        name: "pending_security_count",
        kind: Kind::Number(Unit::Count),
        meaning: "How many of these have a newer version in a source of security updates",
        source: "/var/lib/dpkg/status, /var/lib/apt/lists/*_Packages, /etc/apt/preferences",
        right: "",
    },
    Fact {
        name: "pinned_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Packages with a newer version that the preferences of apt keep out; they are pending only when it is a security update",
        source: "/var/lib/dpkg/status, /var/lib/apt/lists/*_Packages, /etc/apt/preferences",
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
        name: "security_source",
        kind: Kind::Flag,
        meaning: "A source of security updates is among the package lists",
        source: "/var/lib/apt/lists/*_InRelease",
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
        meaning: "Version that apt would choose",
    },
    Field {
        name: "origin",
        kind: Kind::Text,
        meaning: "Label and suite of the list that has it",
    },
    Field {
        name: "security",
        kind: Kind::Flag,
        meaning: "A source of security updates has a version that is newer than the installed one",
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
        name: "urgency",
        kind: Kind::Text,
        meaning: "How urgent the archive calls the candidate, where it says so",
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
        meaning: "Earliest evidence that the candidate was offered, by a date of the archive",
    },
];
