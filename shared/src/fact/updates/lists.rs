//! The fields of the records in the lists of the facts of updates.

use super::super::{Field, Kind, Unit};

pub(super) const METADATA: &[Field] = &[
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

pub(super) const PENDING: &[Field] = &[
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

pub(super) const ORIGINS: &[Field] = &[
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

pub(super) const APPLIED: &[Field] = &[
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

pub(super) const EXCLUDED: &[Field] = &[Field {
    name: "pattern",
    kind: Kind::Text,
    meaning: "Pattern of names of packages",
}];

pub(super) const SETTINGS: &[Field] = &[Field {
    name: "name",
    kind: Kind::Text,
    meaning: "Name of the setting, in lower case",
}];

pub(super) const LIVE_PATCHES: &[Field] = &[
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

pub(super) const REPOSITORIES: &[Field] = &[
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

pub(super) const STALE: &[Field] = &[
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

pub(super) const TIMERS: &[Field] = &[
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
