//! Imported lists of vulnerabilities: what they say of packages, whoever published them.
//!
//! A list is a file that an operator brings; nothing is fetched. Its digest stands in the ledger as
//! a decision, so that whoever has the same file finds the same vulnerabilities again.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use shared::id::Digest;
use shared::time::Timestamp;

pub use join::{Component, Match, Seen, components, join};

mod join;
mod kev;
mod osv;
mod tracker;

/// Fewest packages of an ecosystem that a complete list has. Each release of Debian and Ubuntu has
/// several thousand packages with vulnerabilities; fewer are a part of a list, or a beginning.
const ECOSYSTEM_PACKAGES_MIN: usize = 1000;
/// Longest list.
const FEED_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Who publishes a list, which decides its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Publisher {
    /// Known exploited vulnerabilities: `known_exploited_vulnerabilities.json` of CISA.
    Kev,
    /// Open Source Vulnerabilities: one record, an array of them, or one a line.
    Osv,
    /// The security tracker of Debian: its `json` of all source packages.
    DebianTracker,
}

impl Publisher {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Kev, Self::Osv, Self::DebianTracker];

    /// The word on the command line and in the ledger.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kev => "kev",
            Self::Osv => "osv",
            Self::DebianTracker => "debian-tracker",
        }
    }
}

/// How bad a vulnerability is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nobody rated it.
    #[default]
    Unrated,
    /// Low, or without effect.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Severity {
    /// The word in facts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unrated => "unrated",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// What publishers write: words of several vocabularies.
    fn from_word(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "unimportant" | "negligible" | "low" | "none" => Self::Low,
            "medium" | "moderate" => Self::Medium,
            "high" | "important" => Self::High,
            "critical" => Self::Critical,
            _ => Self::Unrated,
        }
    }

    /// What a CVSS vector of version 3 or 4 gives.
    fn from_vector(vector: &str) -> Self {
        match vector.parse::<cvss::Cvss>().map(|cvss| cvss.severity()) {
            Ok(cvss::Severity::Critical) => Self::Critical,
            Ok(cvss::Severity::High) => Self::High,
            Ok(cvss::Severity::Medium) => Self::Medium,
            Ok(cvss::Severity::Low | cvss::Severity::None) => Self::Low,
            Err(_other_version) => Self::Unrated,
        }
    }
}

/// One list.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Who published it.
    pub publisher: Publisher,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// How many vulnerabilities it lists.
    pub records: u64,
    /// When it was published, where it says so.
    pub dated: Option<Timestamp>,
    /// It has all vulnerabilities of each ecosystem in it, so what it does not list is not there.
    /// The tracker of Debian is made so; of others only an operator can say so.
    pub complete: bool,
    affected: Packages,
    /// Vulnerabilities that are exploited, and until when they are to be mended.
    exploited: BTreeMap<String, Option<Timestamp>>,
}

/// What is affected: by ecosystem, e.g. `debian:12`, and by source package.
type Packages = BTreeMap<String, BTreeMap<String, Vec<Affected>>>;

/// That some versions of a package are vulnerable.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Affected {
    /// CVE id, or the publisher's own id when there is none.
    id: String,
    /// First version that is affected; all from the first on when it is `None`.
    introduced: Option<String>,
    /// First version that is not affected any more; `None` when there is none yet.
    fixed: Option<String>,
    severity: Severity,
}

/// A list cannot be used. The operator brings another file, or names another publisher.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The file cannot be read.
    #[error("cannot read the list")]
    Read(#[from] io::Error),
    /// It is longer than what is read.
    #[error("the list is longer than {FEED_BYTES_MAX} bytes")]
    Length,
    /// It has another form than this publisher's.
    #[error("not a list of {publisher}: {what}", publisher = .publisher.as_str())]
    Form {
        /// Who should have published it.
        publisher: Publisher,
        /// What is wrong, and where.
        what: String,
    },
}

/// What a reader makes of a list.
#[derive(Default)]
struct Read {
    records: u64,
    dated: Option<Timestamp>,
    affected: Packages,
    exploited: BTreeMap<String, Option<Timestamp>>,
}

impl Read {
    fn affects(&mut self, ecosystem: &str, package: &str, affected: Affected) {
        let packages = self.affected.entry(ecosystem.to_owned()).or_default();
        packages
            .entry(package.to_owned())
            .or_default()
            .push(affected);
    }
}

impl Feed {
    /// Reads a list of this publisher.
    ///
    /// # Errors
    ///
    /// [`FeedError`]; a list without any record is no list.
    pub fn read(path: &Path, publisher: Publisher) -> Result<Self, FeedError> {
        let length = std::fs::metadata(path)?.len();
        if FEED_BYTES_MAX < length {
            return Err(FeedError::Length);
        }
        let sha256 = digest(path)?;
        let file = BufReader::new(File::open(path)?.take(FEED_BYTES_MAX));
        let read = match publisher {
            Publisher::Kev => kev::read(file),
            Publisher::Osv => osv::read(file),
            Publisher::DebianTracker => tracker::read(file),
        };
        let form = |what: String| FeedError::Form { publisher, what };
        let read = read.map_err(|error| form(error.to_string()))?;
        if read.records == 0 {
            return Err(form("it lists nothing".to_owned()));
        }
        // A file that was changed while it was read is none that can be named.
        if digest(path)? != sha256 {
            return Err(form("it was changed while it was read".to_owned()));
        }
        Ok(Self {
            publisher,
            sha256,
            records: read.records,
            dated: read.dated,
            complete: publisher == Publisher::DebianTracker,
            affected: read.affected,
            exploited: read.exploited,
        })
    }
}

/// SHA-256 of a file of any length.
fn digest(path: &Path) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?.take(FEED_BYTES_MAX);
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut chunk)?;
        match chunk.get(..length) {
            Some(read) if 0 < length => hash.update(read),
            Some(_) | None => return Ok(Digest(hash.finalize().into())),
        }
    }
}

/// A date such as 2026-01-31, as the beginning of that day; a whole time as it is.
fn date(text: &str) -> Option<Timestamp> {
    if text.len() == "2026-01-31".len() {
        return format!("{text}T00:00:00Z").parse().ok();
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests;
