//! The catalogue in force: an entry of the ledger, so that it is known by what was judged when.
//!
//! Its files are blobs, and the entry names them. From that entry on the catalogue judges; what
//! stands before the first such entry is judged by it too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use shared::attestation::{Statement, StatementError, Subject};
use shared::decision::{self, DECISION_TYPE, Decided, Decision, DecisionError, InForce};
use shared::id::Digest;
use shared::key::{KeyError, PublicKey, SigningKey};
use shared::leaf::LeafKind;
use shared::limits;
use shared::time::Timestamp;
use shared::words::{self, WordsError};

use crate::catalog::{Catalog, CatalogError, Files};
use crate::ledger::{Ledger, LedgerError, NewEntry, Submission};

/// The catalogue of the ledger cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum CriteriaError {
    /// The ledger cannot be read or written. `fsck` names what is damaged.
    #[error("the ledger cannot be used")]
    Ledger(#[from] LedgerError),
    /// An entry puts no catalogue in force, or this collector did not sign it.
    #[error("entry {index} is no decision of this collector")]
    Decision {
        /// Place in the ledger.
        index: u64,
        /// Why.
        #[source]
        source: DecisionError,
    },
    /// The entry is of the kind of a catalogue and decides something else, or a file of it is not
    /// in the ledger.
    #[error("entry {index} puts no catalogue in force: {what}")]
    Wanting {
        /// Place in the ledger.
        index: u64,
        /// What is wrong.
        what: String,
    },
    /// This program cannot judge by the catalogue: it is newer, or facts are gone. The operator
    /// takes the program that entered it, or a newer one.
    #[error("the catalogue of entry {index} cannot be used by this program")]
    Catalog {
        /// Place in the ledger.
        index: u64,
        /// Why.
        #[source]
        source: CatalogError,
    },
    /// The catalogue inside this program is wrong; a test forbids it.
    #[error("the catalogue inside this program cannot be used")]
    Inside(#[from] CatalogError),
    /// The first catalogue cannot be signed.
    #[error("the catalogue cannot be signed")]
    Statement(#[from] StatementError),
    /// The key for decisions is none.
    #[error("the key for decisions cannot be used")]
    Key(#[from] KeyError),
}

/// A catalogue that came into force.
#[derive(Clone, Debug)]
pub struct Adopted {
    /// Its entry in the ledger.
    pub index: u64,
    /// Since when.
    pub since: Timestamp,
    /// Who decided.
    pub by: String,
    /// What was decided.
    pub decided: InForce,
    /// Its files.
    pub files: Files,
    /// The catalogue.
    pub catalog: Arc<Catalog>,
}

/// What an entry decides of the catalogue: since when, who, what.
fn decided(
    ledger: &Ledger,
    index: u64,
    decisions: &PublicKey,
) -> Result<(Timestamp, String, InForce), CriteriaError> {
    let entry = ledger.entry(index)?;
    let decision = decision::open(&entry.envelope, decisions)
        .map_err(|source| CriteriaError::Decision { index, source })?;
    let Decided::Catalogue(decided) = decision.decides else {
        let what = "it decides something else".to_owned();
        return Err(CriteriaError::Wanting { index, what });
    };
    Ok((entry.leaf.received, decision.by, decided))
}

/// Whether the decision of this entry can be read; one that is signed here and cannot is counted
/// by the register, and puts nothing in force.
///
/// # Errors
///
/// [`CriteriaError`].
pub fn readable(ledger: &Ledger, index: u64, decisions: &PublicKey) -> Result<bool, CriteriaError> {
    match decision::open(&ledger.entry(index)?.envelope, decisions) {
        Ok(_decision) => Ok(true),
        Err(DecisionError::Statement(_)) => Ok(false),
        Err(source) => Err(CriteriaError::Decision { index, source }),
    }
}

/// The entries that put catalogues in force, and that can be read.
///
/// # Errors
///
/// [`CriteriaError`].
pub fn entries(ledger: &Ledger, decisions: &PublicKey) -> Result<Vec<u64>, CriteriaError> {
    let mut entries = Vec::new();
    for index in ledger.catalogues() {
        if readable(ledger, index, decisions)? {
            entries.push(index);
        }
    }
    Ok(entries)
}

/// Reads the catalogue that an entry puts in force.
///
/// # Errors
///
/// [`CriteriaError`].
pub fn adopted(
    ledger: &Ledger,
    index: u64,
    decisions: &PublicKey,
) -> Result<Adopted, CriteriaError> {
    let (since, by, decided) = decided(ledger, index, decisions)?;
    let wanting = |what: String| CriteriaError::Wanting { index, what };
    let mut bytes = BTreeMap::new();
    for (name, digest) in &decided.files {
        let blob = ledger.blob(digest)?;
        let blob = blob.ok_or_else(|| wanting(format!("its file `{name}` is not there")))?;
        bytes.insert(name.clone(), blob);
    }
    let read = Files::named(bytes).and_then(|files| Ok((Catalog::of(&files)?, files)));
    let (catalog, files) = read.map_err(|source| CriteriaError::Catalog { index, source })?;
    Ok(Adopted {
        index,
        since,
        by,
        decided,
        files,
        catalog: Arc::new(catalog),
    })
}

/// The catalogue in force; `None` in a ledger without any.
///
/// # Errors
///
/// [`CriteriaError`].
pub fn in_force(ledger: &Ledger, decisions: &PublicKey) -> Result<Option<Adopted>, CriteriaError> {
    let last = entries(ledger, decisions)?.last().copied();
    last.map(|index| adopted(ledger, index, decisions))
        .transpose()
}

/// The catalogue that judges now: the one in force, and the one inside this program when there is
/// none.
///
/// # Errors
///
/// [`CriteriaError`].
pub fn at_last(ledger: &Ledger, decisions: &PublicKey) -> Result<Arc<Catalog>, CriteriaError> {
    match in_force(ledger, decisions)? {
        Some(adopted) => Ok(adopted.catalog),
        None => Ok(Arc::new(Catalog::embedded()?)),
    }
}

/// The catalogue that judges before any entry puts one in force: the first of the ledger, and the
/// one inside this program when there is none.
///
/// # Errors
///
/// [`CriteriaError`].
pub fn at_first(ledger: &Ledger, decisions: &PublicKey) -> Result<Arc<Catalog>, CriteriaError> {
    match entries(ledger, decisions)?.first() {
        Some(index) => Ok(adopted(ledger, *index, decisions)?.catalog),
        None => Ok(Arc::new(Catalog::embedded()?)),
    }
}

/// Enters the catalogue inside this program in a ledger that has none yet; whether it did.
///
/// Not to be called inside a runtime.
///
/// # Errors
///
/// [`CriteriaError`].
pub fn begin(
    ledger: &Ledger,
    key: &SigningKey,
    by: String,
    now: Timestamp,
) -> Result<bool, CriteriaError> {
    if !entries(ledger, &key.public())?.is_empty() {
        return Ok(false);
    }
    let files = Files::embedded();
    let catalogue = Catalog::of(&files)?.digest();
    let decided = InForce {
        catalogue,
        files: files.digests(),
        dropped: Vec::new(),
        reason: "the first catalogue of this ledger: the one inside the program".to_owned(),
    };
    let decision = Decision {
        at: now,
        by,
        statement: None,
        decides: Decided::Catalogue(decided),
    };
    let blobs: BTreeMap<Digest, Vec<u8>> = files
        .iter()
        .map(|(_name, text)| (Digest::of(text.as_bytes()), text.as_bytes().to_vec()))
        .collect();
    let subject = blobs.keys().map(|digest| Subject::new("document", *digest));
    let envelope = Statement::new(DECISION_TYPE, subject.collect(), decision).seal(key)?;
    let entry = NewEntry {
        kind: LeafKind::Catalogue,
        stream: None,
        envelope,
        received: now,
    };
    let _appended = ledger.append_blocking(Submission {
        entries: vec![entry],
        blobs: blobs.into_iter().collect(),
    })?;
    Ok(true)
}

/// What to say when [`is_inside_new`].
pub const INSIDE_IS_NEW: &str = "this program brings a catalogue that was never in force here: \
    `evident-collector catalogue diff` shows what it changes, `catalogue adopt` puts it in force";

/// Whether the catalogue inside this program was never in force in this ledger.
///
/// # Errors
///
/// [`CriteriaError`].
pub fn is_inside_new(ledger: &Ledger, decisions: &PublicKey) -> Result<bool, CriteriaError> {
    let inside = Catalog::embedded()?.digest();
    let entries = entries(ledger, decisions)?;
    for index in &entries {
        if decided(ledger, *index, decisions)?.2.catalogue == inside {
            return Ok(false);
        }
    }
    Ok(!entries.is_empty())
}

/// Why a catalogue is not put in force; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// At least one file is wrong.
    #[error("{}", shared::cause::chain(.0))]
    Wrong(CatalogError),
    /// The files do not make the catalogue that was decided on.
    #[error("its files make the catalogue {made}, and {said} was decided on")]
    Other {
        /// The digest that was said.
        said: Digest,
        /// The digest of the files.
        made: Digest,
    },
    /// It is in force already.
    #[error("this catalogue is in force already")]
    Same,
    /// Checks that are in force are not in it, or bear on less, and nobody said so.
    #[error(
        "it drops {} that {} in force and must be named: {}",
        match .0.as_slice() {
            [one] if one.contains(':') => "a mapping",
            [_one] => "a check",
            _ => "checks or mappings",
        },
        if .0.len() == 1 { "is" } else { "are" },
        .0.join(", ")
    )]
    Silent(Vec<String>),
    /// A check is said to be dropped that is still there, or was not in force.
    #[error("`{0}` is said to be dropped, and it is not")]
    NotDropped(String),
    /// Nobody says why, in words that print.
    #[error("the reason is none: {0}")]
    NoReason(#[from] WordsError),
}

impl Refusal {
    /// The part of the decision that is wrong.
    #[must_use]
    pub const fn operand(&self) -> &'static str {
        match self {
            Self::Wrong(_) => "files",
            Self::Other { .. } | Self::Same => "catalogue",
            Self::Silent(_) | Self::NotDropped(_) => "dropped",
            Self::NoReason(_) => "reason",
        }
    }

    /// What to do; may be empty.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Wrong(_) => "`evident-collector check test --catalog DIR` tries it".to_owned(),
            Self::Silent(checks) => {
                let named: Vec<_> = checks.iter().map(|id| format!("--drop {id}")).collect();
                format!("if that is wanted: {}", named.join(" "))
            }
            Self::NoReason(_) => "say in a few words why; it stands in the ledger".to_owned(),
            Self::Other { .. } | Self::Same | Self::NotDropped(_) => String::new(),
        }
    }
}

/// Holds a catalogue to the one in force.
///
/// # Errors
///
/// [`Refusal`]: then it must not come into force.
pub fn check(decided: &InForce, files: &Files, now: &Catalog) -> Result<Catalog, Refusal> {
    let new = Catalog::of(files).map_err(Refusal::Wrong)?;
    let (said, made) = (decided.catalogue, new.digest());
    if said != made {
        return Err(Refusal::Other { said, made });
    }
    if made == now.digest() {
        return Err(Refusal::Same);
    }
    let named: BTreeSet<&str> = decided.dropped.iter().map(String::as_str).collect();
    let gone = dropped(now, &new);
    let silent: Vec<_> = gone
        .iter()
        .filter(|id| !named.contains(id.as_str()))
        .cloned()
        .collect();
    if !silent.is_empty() {
        return Err(Refusal::Silent(silent));
    }
    if let Some(id) = named.iter().find(|id| !gone.iter().any(|gone| gone == *id)) {
        return Err(Refusal::NotDropped((*id).to_owned()));
    }
    words::line(&decided.reason, limits::TEXT_BYTES_MAX)?;
    Ok(new)
}

/// The checks of one catalogue that another has no more, and as `check:control` the controls that
/// a check bears on no more.
#[must_use]
pub fn dropped(before: &Catalog, after: &Catalog) -> Vec<String> {
    let mut gone = Vec::new();
    for check in before.checks() {
        let Some(kept) = after.check(&check.id) else {
            gone.push(check.id.clone());
            continue;
        };
        let controls: BTreeSet<_> = kept.mappings.iter().map(|one| &one.control).collect();
        let bore = check.mappings.iter().map(|one| &one.control);
        let lost = bore.filter(|control| !controls.contains(control));
        gone.extend(lost.map(|control| format!("{}:{control}", check.id)));
    }
    gone
}

#[cfg(test)]
mod tests;
