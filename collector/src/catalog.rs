//! The audit criteria: the controls of Annex A, the checks, and how a check bears on a control.
//!
//! A catalogue is a folder: `controls.tsv` (id, short title and attributes of the 93 controls) and
//! `checks/<name>.toml`. The default one is part of the binary. A [`Catalog`] that exists is right:
//! every expression was typed against the schema of its probe, every control is known, and what is
//! wrong was refused with file, line, column and a hint.
//!
//! # The language of a check
//!
//! `expect` and `when` are CEL expressions that give a flag. They see
//!
//! - `fact.NAME`: a fact of the observation, typed by the schema of the probe;
//! - `param.NAME`: a parameter of the check: `true` is a flag, `3` a number, `"26h"` a duration;
//! - `now`: the instant of collection, never the clock of the reader;
//! - `age(INSTANT)`: the duration from the instant to `now`; up to five minutes ahead of `now`
//!   counts as 0, and more is an error, so that a date in the future is never fresh;
//! - `duration("26h")`: a duration; units are `ms`, `s`, `m`, `h` and `d`;
//! - `unknown("why")`: gives up with this reason: the verdict is unknown;
//! - of CEL: `&& || ! ?: == != < <= > >= + - * / % in`, `has`, `size`, `all`, `exists`,
//!   `exists_one`, `filter`, `map`, `contains`, `startsWith`, `endsWith`, and lists of constants.
//!
//! Instants and durations are whole milliseconds inside, but types of their own: a number is
//! neither.
//!
//! # What is missing
//!
//! A fact that the expression reads and that was not seen makes the verdict unknown, also where
//! CEL's `||` or `&&` could do without it. Only `has` guards a place: a read after
//! `has(fact.x) &&`, after `!has(fact.x) ||` or in a branch of `has(fact.x) ? .. : ..` counts only
//! where that `has` leads there. Each field that is read of the records of a list must be there in
//! each record, unless `has(record.field)` guards it. So an oversight in an expression costs a
//! pass; it never makes one.
//!
//! A list of which a bound let only a part be seen counts as missing wherever it is named, also
//! in `has`: what was cut off may be what fails.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound::{Included, Unbounded};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::fact::{self, Facts, Kind};
use shared::id::Digest;
use shared::time::Timestamp;

mod checks;
mod controls;
pub mod edition;
mod expression;
mod files;
mod guard;
mod operand;
pub mod reference;
pub mod soa;
mod table;
mod program;
mod compile;
mod typing;
pub mod diff;

pub use crate::fault::Fault;
pub use expression::{Expression, Need, Reading, SOURCE_BYTES_MAX, Undecided};
pub use files::Files;
use files::{EMBEDDED_CONTROLS, FILE_BYTES_MAX};

/// What a check says about a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Verdict {
    /// The facts are as expected.
    #[serde(rename = "pass")]
    Pass,
    /// The facts are not as expected.
    #[serde(rename = "fail")]
    Fail,
    /// It could not be told; never counts as a pass.
    #[serde(rename = "unknown")]
    Unknown,
    /// The check does not concern this host, for a stated reason.
    #[serde(rename = "not applicable")]
    NotApplicable,
}

impl Verdict {
    /// The word that people and documents see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Unknown => "unknown",
            Self::NotApplicable => "not applicable",
        }
    }

    /// The order in which people want to see verdicts: the worst is 0.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Fail => 0,
            Self::Unknown => 1,
            Self::Pass => 2,
            Self::NotApplicable => 3,
        }
    }
}

/// How much a failure matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// To be repaired in the normal course of work.
    Medium,
    /// To be repaired soon.
    High,
    /// To be repaired now.
    Critical,
}

impl Severity {
    /// The word that people and documents see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// How far a pass carries towards a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strength {
    /// A sign that the control operates; other causes are possible.
    Indicates,
    /// A necessary part of the control is in place.
    Supports,
    /// The operation itself was seen.
    Proves,
}

impl Strength {
    /// The word that people and documents see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Indicates => "indicates",
            Self::Supports => "supports",
            Self::Proves => "proves",
        }
    }
}

/// What it means when the subject of the probe is certainly not on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenAbsent {
    /// What is expected is not there.
    Fail,
    /// The check does not concern the host.
    NotApplicable,
}

/// A value that an expression reads as `param.NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// True or false.
    Flag(bool),
    /// An integer; its unit stands in the name.
    Number(i64),
    /// A duration in milliseconds.
    Duration(i64),
}

impl std::fmt::Display for Parameter {
    /// As it is written in a file of checks; a duration in the largest unit that leaves no rest.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ms = match *self {
            Self::Flag(flag) => return write!(f, "{flag}"),
            Self::Number(number) => return write!(f, "{number}"),
            Self::Duration(ms) => ms,
        };
        let units = [
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("m", 60_000),
            ("s", 1_000),
        ];
        let (unit, of) = units
            .into_iter()
            .find(|(_unit, of)| ms != 0 && ms % of == 0)
            .unwrap_or(("ms", 1));
        write!(f, "{}{unit}", ms / of)
    }
}

/// One control of ISO/IEC 27001:2022 Annex A: its id, a short title and its attributes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Control {
    /// Id, e.g. `A.8.17`.
    pub id: String,
    /// Short title.
    pub title: String,
    /// Organizational, People, Physical or Technological.
    pub theme: String,
    /// The control was added in the edition of 2022.
    pub is_new_2022: bool,
    /// Preventive, Detective, Corrective.
    pub control_type: Vec<String>,
    /// Confidentiality, Integrity, Availability.
    pub properties: Vec<String>,
    /// Identify, Protect, Detect, Respond, Recover.
    pub concepts: Vec<String>,
    /// Operational capabilities.
    pub capabilities: Vec<String>,
    /// Security domains.
    pub domains: Vec<String>,
}

/// How a check bears on a control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Id of the control.
    pub control: String,
    /// How far a pass carries.
    pub strength: Strength,
    /// Why, and what the check does not show.
    pub rationale: String,
}

/// The condition under which a check concerns a host.
#[derive(Debug)]
pub struct When {
    /// False means not applicable.
    pub condition: Expression,
    /// Why the check does not concern the host then.
    pub reason: String,
}

/// One testable expectation on the facts of one probe.
#[derive(Debug)]
pub struct Check {
    /// Id, e.g. `clock.synchronised`.
    pub id: String,
    /// Name of the probe whose facts are read.
    pub probe: String,
    /// What is expected, as a sentence.
    pub title: String,
    /// How much a failure matters.
    pub severity: Severity,
    /// Age in milliseconds after which evidence no longer counts.
    pub freshness_ms: i64,
    /// Values that the expressions read.
    pub parameters: BTreeMap<String, Parameter>,
    /// The verdict when the subject is not on the host.
    pub absent: WhenAbsent,
    /// What must hold.
    pub expect: Expression,
    /// When the check concerns a host at all.
    pub when: Option<When>,
    /// What is wrong when it does not hold, as a sentence.
    pub fail: String,
    /// What to do then: commands and settings.
    pub remediation: String,
    /// Where the criterion comes from, with the edition.
    pub criterion: String,
    /// The controls it bears on; at least one.
    pub mappings: Vec<Mapping>,
    /// Examples that must give their verdict.
    pub cases: Vec<Case>,
}

impl Check {
    /// Whether a later look at the very same facts can give another finding: an expression reads
    /// `now` or `age`, or a fact that is shown with its age.
    #[must_use]
    pub fn reads_time(&self) -> bool {
        let subject = fact::subject(&self.probe);
        let aged = |name: &&'static str| {
            let fact = subject.and_then(|subject| subject.fact(name));
            fact.is_none_or(|fact| match fact.kind {
                Kind::Instant => true,
                Kind::List(fields) => fields.iter().any(|field| field.kind == Kind::Instant),
                Kind::Flag | Kind::Number(_) | Kind::Text => false,
            })
        };
        let when = self.when.iter().map(|when| &when.condition);
        std::iter::once(&self.expect).chain(when).any(|expression| {
            let reading = expression.reading();
            reading.time || reading.facts.iter().any(aged)
        })
    }
}

/// An example inside a check.
#[derive(Debug)]
pub struct Case {
    /// The facts that were seen.
    pub facts: Facts,
    /// Time of collection.
    pub now: Timestamp,
    /// Parameters in the place of the default ones.
    pub parameters: BTreeMap<String, Parameter>,
    /// What must come out.
    pub verdict: Verdict,
}

/// The criteria in force.
#[derive(Debug)]
pub struct Catalog {
    controls: Vec<Control>,
    checks: BTreeMap<String, Check>,
    digest: Digest,
}

/// No catalogue. The author of the files must act.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file or the folder could not be read.
    #[error("could not read {path}")]
    Read {
        /// What was read.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The folder holds more files than are read.
    #[error("{path} holds more than {} files with checks", files::FILES_MAX)]
    Files {
        /// The folder.
        path: PathBuf,
    },
    /// No catalogue has a file of that name, or so many.
    #[error("`{0}` cannot be in a catalogue: it has `controls.tsv` and `checks/NAME.toml`")]
    Name(String),
    /// A file is no text.
    #[error("`{0}` is no text in UTF-8")]
    Text(String),
    /// At least one file is wrong; each fault names its place.
    #[error("{}", crate::fault::joined(.0))]
    Faults(Vec<Fault>),
}

impl Catalog {
    /// The catalogue that is part of the binary.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Faults`] when the binary was built from wrong files; a test forbids it.
    pub fn embedded() -> Result<Self, CatalogError> {
        Self::of(&Files::embedded())
    }

    /// Reads a folder laid out as the default one: `controls.tsv` and `checks/*.toml`.
    ///
    /// # Errors
    ///
    /// [`CatalogError`]: all faults of all files at once.
    pub fn load(folder: &Path) -> Result<Self, CatalogError> {
        Self::of(&Files::read(folder)?)
    }

    /// Reads a catalogue from the list of controls and the names and texts of files with checks.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Faults`]: all faults of all files at once.
    pub fn from_texts(controls: &str, files: &[(&str, &str)]) -> Result<Self, CatalogError> {
        Self::of(&Files::of_texts(controls, files))
    }

    /// Reads a catalogue from the texts of its files.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Faults`]: all faults of all files at once.
    pub fn of(files: &Files) -> Result<Self, CatalogError> {
        let mut faults = Vec::new();
        let controls = controls::read(
            files::CONTROLS,
            EMBEDDED_CONTROLS,
            files.controls(),
            &mut faults,
        );
        let mut checks = BTreeMap::new();
        for (name, text) in files.checks() {
            checks::read(name, text, &controls, &mut checks, &mut faults);
        }
        if !faults.is_empty() {
            return Err(CatalogError::Faults(faults));
        }
        let names = files.checks();
        let names: Vec<_> = names
            .map(|(name, text)| (name, Digest::of(text.as_bytes())))
            .collect();
        let listing = serde_json::to_vec(&(&controls, names)).unwrap_or_default();
        Ok(Self {
            controls,
            checks,
            digest: Digest::of(&listing),
        })
    }

    /// All controls, in the order of the file.
    pub fn controls(&self) -> &[Control] {
        &self.controls
    }

    /// All checks, in the order of their ids.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.checks.values()
    }

    /// The same without checks on what only a collector can observe.
    #[must_use]
    pub fn of_hosts(mut self) -> Self {
        let hosts: BTreeSet<&str> = fact::of_hosts().map(|subject| subject.probe).collect();
        self.checks
            .retain(|_id, check| hosts.contains(check.probe.as_str()));
        self
    }

    /// The check with this id.
    pub fn check(&self, id: &str) -> Option<&Check> {
        self.checks.get(id)
    }

    /// The checks that read this probe, in the order of their ids.
    pub fn checks_of(&self, probe: &str) -> impl Iterator<Item = &Check> {
        // The id of a check begins with the name of its probe.
        let from = self.checks.range::<str, _>((Included(probe), Unbounded));
        from.map(|(_id, check)| check)
            .take_while(move |check| check.id.starts_with(probe))
            .filter(move |check| check.probe == probe)
    }

    /// The checks that bear on this control, each with its mapping.
    pub fn bearing_on(&self, control: &str) -> impl Iterator<Item = (&Check, &Mapping)> {
        self.checks().flat_map(move |check| {
            let mappings = check.mappings.iter();
            mappings
                .filter(move |mapping| mapping.control == control)
                .map(move |mapping| (check, mapping))
        })
    }

    /// Names the catalogue: another text of any file gives another digest.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

/// Reads a duration such as `26h` and gives milliseconds; units are `ms`, `s`, `m`, `h`, `d`.
#[must_use]
pub fn duration_ms(text: &str) -> Option<i64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (count, unit) = text.split_at_checked(digits)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    count.parse::<i64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests;
