//! Facts of known vulnerabilities: what a host has installed, joined with imported lists.

use super::{Fact, Field, Kind, Observer, Subject, Unit};

/// Which known vulnerabilities the installed packages have, by the lists that were imported.
pub static SUBJECT: Subject = Subject {
    probe: "vulnerabilities",
    observer: Observer::Collector,
    schema: 1,
    title: "Which known vulnerabilities the installed packages have, by the lists that were imported.",
    facts: FACTS,
};

const FACTS: &[Fact] = &[
    Fact {
        name: "component_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Packages in the bill of materials of the host",
        source: "sbom.cdx.json of the host",
        right: "",
    },
    Fact {
        name: "covered_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Of these, packages of a distribution that a complete list covers",
        source: "sbom.cdx.json of the host; imported lists",
        right: "",
    },
    Fact {
        name: "critical_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Vulnerabilities that are called critical and have a fixed version",
        source: "sbom.cdx.json of the host; imported lists",
        right: "",
    },
    Fact {
        name: "exploited_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Of these, those that are known to be exploited",
        source: "sbom.cdx.json of the host; imported lists",
        right: "",
    },
    Fact {
        name: "feeds",
        kind: Kind::List(FEEDS),
        meaning: "The lists that are in force",
        source: "ledger entries of imports",
        right: "",
    },
    Fact {
        name: "fixable_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Of these, those with a fixed version",
        source: "sbom.cdx.json of the host; imported lists",
        right: "",
    },
    Fact {
        name: "high_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Vulnerabilities that are called high and have a fixed version",
        source: "sbom.cdx.json of the host; imported lists",
        right: "",
    },
    Fact {
        name: "matched_count",
        kind: Kind::Number(Unit::Count),
        meaning: "Vulnerabilities of installed source packages",
        source: "sbom.cdx.json of the host; imported lists",
        right: "",
    },
    Fact {
        name: "matches",
        kind: Kind::List(MATCHES),
        meaning: "The vulnerabilities: exploited ones first, then by severity",
        source: "sbom.cdx.json of the host; imported lists",
        right: "",
    },
];

const FEEDS: &[Field] = &[
    Field {
        name: "publisher",
        kind: Kind::Text,
        meaning: "kev, osv or debian-tracker",
    },
    Field {
        name: "sha256",
        kind: Kind::Text,
        meaning: "SHA-256 of the file",
    },
    Field {
        name: "dated",
        kind: Kind::Instant,
        meaning: "When it was published, or written where it does not say",
    },
    Field {
        name: "complete",
        kind: Kind::Flag,
        meaning: "It has all of each ecosystem in it: by its making, or as the operator declared",
    },
    Field {
        name: "records",
        kind: Kind::Number(Unit::Count),
        meaning: "How many vulnerabilities it lists",
    },
];

const MATCHES: &[Field] = &[
    Field {
        name: "id",
        kind: Kind::Text,
        meaning: "CVE id, or the publisher's own",
    },
    Field {
        name: "package",
        kind: Kind::Text,
        meaning: "Source package",
    },
    Field {
        name: "installed",
        kind: Kind::Text,
        meaning: "Its installed version",
    },
    Field {
        name: "fixed",
        kind: Kind::Text,
        meaning: "First version without it; left out when there is none",
    },
    Field {
        name: "severity",
        kind: Kind::Text,
        meaning: "unrated, low, medium, high or critical: the worst that a list says",
    },
    Field {
        name: "exploited",
        kind: Kind::Flag,
        meaning: "It is known to be exploited",
    },
    Field {
        name: "due",
        kind: Kind::Instant,
        meaning: "Until when the list of exploited ones wants it mended",
    },
];
