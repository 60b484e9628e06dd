//! The security tracker of Debian: all source packages with their vulnerabilities.

use std::collections::BTreeMap;
use std::io::Read as Source;

use serde::Deserialize;

use super::{Affected, Read, Severity};

/// The numbers of releases, which hosts say, by the names that the tracker says.
const RELEASES: [(&str, &str); 6] = [
    ("buster", "debian:10"),
    ("bullseye", "debian:11"),
    ("bookworm", "debian:12"),
    ("trixie", "debian:13"),
    ("forky", "debian:14"),
    ("sid", "debian:sid"),
];

#[derive(Deserialize)]
struct Vulnerability {
    releases: BTreeMap<String, Release>,
}

#[derive(Deserialize)]
struct Release {
    status: String,
    fixed_version: Option<String>,
    #[serde(default)]
    urgency: String,
}

pub(super) fn read(file: impl Source) -> serde_json::Result<Read> {
    let list: BTreeMap<String, BTreeMap<String, Vulnerability>> = serde_json::from_reader(file)?;
    let mut read = Read::default();
    for (package, vulnerabilities) in list {
        for (id, vulnerability) in vulnerabilities {
            read.records += 1;
            for (name, ecosystem) in RELEASES {
                let Some(release) = vulnerability.releases.get(name) else {
                    continue;
                };
                // Fixed in version 0: no version of this release was ever affected.
                let fixed = release.fixed_version.clone();
                let affected = match (release.status.as_str(), fixed.as_deref()) {
                    ("resolved", Some("0")) => false,
                    ("resolved", Some(_)) | ("open", _) => true,
                    _ => false,
                };
                if affected {
                    let one = Affected {
                        id: id.clone(),
                        introduced: None,
                        fixed: fixed.filter(|_| release.status == "resolved"),
                        severity: Severity::from_word(release.urgency.trim_end_matches('*')),
                    };
                    read.affects(ecosystem, &package, one);
                }
            }
        }
    }
    Ok(read)
}
