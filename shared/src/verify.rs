//! The verifier: one pack and two trusted values in, one verdict for each claim out.
//!
//! What is trusted comes from outside the pack: the key of the ledger and the digest of the key of
//! decisions. Keys in the pack are compared with these, or with enrolments that they signed. All
//! other files are read as if an enemy had written them: with limits, without following links, and
//! against what was proven before.
//!
//! ```text
//! manifest     signed by the exporter                            files, folder
//! files        every file is as listed, and none beside it
//! keys         the keys in trust/ are the trusted and the enrolled ones
//! checkpoints  signed by the ledger                              tree
//! tree         leaves and tiles give both roots; the first is the beginning of the second
//! records      every entry of the period has its record          records
//! proofs       records are proven to be in the ledger, also those from before the period
//! signatures   every record holds under the key that was enrolled or decides
//! decisions    what people decided holds under the keys that they had then
//! blobs        what records name is here, and well-formed
//! streams      no gap, no second record, every link holds        streams
//! seen         what hosts saw of the ledger is what is shown here
//! silence      who was silent or had a clock step: noted
//! ```

mod trust;
mod files;
mod tree;
mod records;
mod streams;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use trust::{Trust, TrustError};

/// Most problems that one claim keeps; the rest is counted.
const KEPT_MAX: usize = 10_000;
/// Most problems of one claim in the text for people.
const SHOWN_MAX: usize = 20;

/// A pack cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The folder cannot be read. The reader must get another copy, or the right to read it.
    #[error("`{path}` cannot be read")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What was found about one claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is shown.
    Ok,
    /// It is shown, and there is something that a reader must know.
    Note,
    /// It could not be checked.
    CannotCheck,
    /// It does not hold.
    Fail,
}

impl Verdict {
    /// The word that stands before the claim.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::CannotCheck => "cannot check",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that is wrong, or that a reader must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// File, stream or entry.
    pub place: String,
    /// What is the matter with it.
    pub what: String,
}

/// One claim with its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claim {
    /// The verdict.
    pub verdict: Verdict,
    /// Short name of the claim.
    pub claim: &'static str,
    /// The claim in plain words, with its counts.
    pub text: String,
    /// What was found, at most 10,000.
    pub problems: Vec<Problem>,
    /// How many were found.
    pub problem_count: usize,
}

impl Claim {
    const fn new(claim: &'static str) -> Self {
        Self {
            verdict: Verdict::Ok,
            claim,
            text: String::new(),
            problems: Vec::new(),
            problem_count: 0,
        }
    }

    fn add(&mut self, verdict: Verdict, place: impl fmt::Display, what: impl fmt::Display) {
        self.verdict = self.verdict.max(verdict);
        self.problem_count += 1;
        if self.problems.len() < KEPT_MAX {
            self.problems.push(Problem {
                place: place.to_string(),
                what: what.to_string(),
            });
        }
    }

    fn fail(&mut self, place: impl fmt::Display, what: impl fmt::Display) {
        self.add(Verdict::Fail, place, what);
    }

    /// Adds a file that is missing or has another form, which is wrong, or that the machine does
    /// not let us read, which is not known to be wrong.
    fn unread(&mut self, name: &str, error: &io::Error) {
        let wrong = [
            (io::ErrorKind::NotFound, "is missing"),
            (io::ErrorKind::FileTooLarge, "is longer than it may be"),
            (io::ErrorKind::InvalidData, "is not text"),
            (io::ErrorKind::InvalidInput, "is no plain file"),
        ];
        match wrong.iter().find(|(kind, _)| *kind == error.kind()) {
            Some((_, what)) => self.fail(name, what),
            None => self.add(Verdict::CannotCheck, name, error),
        }
    }

    /// Says that what this claim rests on is not there.
    fn blocked(claim: &'static str, text: &str) -> Self {
        let mut blocked = Self::new(claim);
        blocked.verdict = Verdict::CannotCheck;
        text.clone_into(&mut blocked.text);
        blocked
    }

    fn says(mut self, text: String) -> Self {
        self.text = text;
        self
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = self.verdict.as_str();
        write!(f, "{verdict:<12}  {:<11}  {}", self.claim, self.text)?;
        for Problem { place, what } in self.problems.iter().take(SHOWN_MAX) {
            write!(
                f,
                "\n{:<12}  {:<11}  - {}: {}",
                "",
                "",
                plain(place),
                plain(what)
            )?;
        }
        let more = self.problem_count.saturating_sub(SHOWN_MAX);
        if 0 < more {
            write!(
                f,
                "\n{:<12}  {:<11}  - and {more} more; --format json names them",
                "", ""
            )?;
        }
        Ok(())
    }
}

/// A text from a pack, without anything that a terminal could obey.
fn plain(text: &str) -> String {
    let shown = |c: char| if c.is_control() { '?' } else { c };
    text.chars().map(shown).collect()
}

/// What was found about a pack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The worst verdict.
    pub verdict: Verdict,
    /// Every claim.
    pub claims: Vec<Claim>,
}

impl Report {
    /// 0 when all is shown, 1 when something is wrong, 2 when something could not be checked.
    #[must_use]
    pub const fn exit_status(&self) -> u8 {
        match self.verdict {
            Verdict::Ok | Verdict::Note => 0,
            Verdict::Fail => 1,
            Verdict::CannotCheck => 2,
        }
    }
}

const SHOWN: &str = "\
Shown: who signed each record, that nothing was changed, left out or moved in the period, and the
order of the records. Not shown: that a host told the truth (whoever controls a host can make it
report something false), hosts that were never enrolled, what came after the last entry, and where
a note says so, that no enrolment or revocation from before the period was left out.";

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for claim in &self.claims {
            writeln!(f, "{claim}")?;
        }
        match self.verdict {
            Verdict::Ok | Verdict::Note => writeln!(f, "\nEvery claim is shown.\n{SHOWN}"),
            Verdict::Fail => writeln!(f, "\nThis pack is found wanting: do not rely on it."),
            Verdict::CannotCheck => writeln!(f, "\nNot every claim could be checked."),
        }
    }
}

/// Verifies the pack in `dir`.
///
/// # Errors
///
/// [`VerifyError`] when there is no folder to look at; all else is in the report.
pub fn verify(dir: &Path, trust: &Trust) -> Result<Report, VerifyError> {
    let pack = files::Pack::open(dir).map_err(|source| VerifyError::Folder {
        path: dir.to_owned(),
        source,
    })?;
    let mut claims = Vec::new();
    let manifest = files::check(&pack, trust, &mut claims);
    match manifest {
        Some(manifest) => contents(&pack, trust, &manifest, &mut claims),
        None => claims.push(Claim::blocked(
            "contents",
            "nothing else can be looked at without a manifest and the key of decisions",
        )),
    }
    let verdict = claims.iter().map(|claim| claim.verdict).max();
    let verdict = verdict.unwrap_or(Verdict::CannotCheck);
    Ok(Report { verdict, claims })
}

fn contents(pack: &files::Pack, trust: &Trust, manifest: &files::Checked, claims: &mut Vec<Claim>) {
    let Some(tree) = tree::check(pack, trust, &manifest.predicate, claims) else {
        claims.push(Claim::blocked(
            "records",
            "records cannot be looked at without a ledger that holds",
        ));
        return;
    };
    let mut found = records::Records::new(pack, manifest, &tree);
    found.check();
    let streams = found.close(claims);
    streams::check(&streams, &manifest.predicate, claims);
}

#[cfg(test)]
mod tests;
