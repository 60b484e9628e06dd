//! Reference data: clauses, the edition of 2013, crosswalks, documents, readiness, requests.
//!
//! None of it judges a host. It holds ids, short titles and words of our own, no text of a
//! standard; `config/catalog/README.md` says where each table comes from and how far it can be
//! relied on. A [`Reference`] that exists is right: every id that a table names is known, and what
//! is wrong was refused with file, line, column and a hint.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use shared::durable;

use super::edition::{self, Old};
use super::table::Table;
use super::{CatalogError, Control, EMBEDDED_CONTROLS, FILE_BYTES_MAX, controls};
use crate::fault::{Complaint, Fault};

mod about;
mod crosswalk;
mod read;
mod readiness;

pub use about::{About, AboutClause, Bearing, Moved, NotThere, Related};
pub use crosswalk::{Crosswalk, Grade};
use read::Known;
pub use readiness::{Band, Item, Readiness, Score};

/// Most crosswalks beside those inside.
const CROSSWALKS_MAX: usize = 64;

/// Names and texts of tables.
macro_rules! tables {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../../config/catalog/", $name)))),*]
    };
}

/// The tables inside: name of the file and its text.
const TABLES: &[(&str, &str)] = tables! {
    "clauses.tsv"
    "controls_2013.tsv"
    "documents.tsv"
    "readiness.tsv"
    "readiness_bands.tsv"
    "requests.tsv"
    "surveillance_example.tsv"
};
/// The crosswalks inside.
const CROSSWALKS: &[(&str, &str)] = tables! {
    "crosswalk/gdpr.tsv"
    "crosswalk/hipaa.tsv"
    "crosswalk/ma-201-cmr-17.tsv"
    "crosswalk/nist-800-53r5.tsv"
    "crosswalk/nist-csf-2.0.tsv"
    "crosswalk/pci-dss-4.0.tsv"
    "crosswalk/soc2.tsv"
};

/// Whether a clause names documented information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Duty {
    /// It must be kept.
    Yes,
    /// Some of it must be kept.
    Partly,
    /// None is named.
    No,
}

/// What a document is for the management system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It says what is to be done.
    Document,
    /// It shows what was done.
    Record,
}

/// Why a document is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Basis {
    /// A clause names it.
    Clause,
    /// A control names it, so it is due where the control is applicable.
    Control,
    /// Auditors commonly ask for it.
    Practice,
}

/// One clause of ISO/IEC 27001:2022, 4 to 10.2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clause {
    /// Number, e.g. `6.1.3`.
    pub id: String,
    /// Short title.
    pub title: String,
    /// It holds requirements of its own, and is not only a heading.
    pub auditable: bool,
    /// Whether it names documented information.
    pub documented: Duty,
    /// Document or record, where it names one.
    pub kind: Option<Kind>,
    /// What is to be documented, in words of our own; may be empty.
    pub what: String,
    /// Ids of [`Document`]s.
    pub documents: Vec<String>,
    /// What is new or commonly overlooked; may be empty.
    pub note: String,
}

/// A document or record that an audit asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Id: `D` and a number for documents, `R` and a number for records.
    pub id: String,
    /// What it is.
    pub title: String,
    /// Document or record.
    pub kind: Kind,
    /// Why it is wanted.
    pub basis: Basis,
    /// Ids of the clauses and controls that it belongs to.
    pub related: Vec<String>,
    /// How often it is commonly looked at again; practice and no requirement.
    pub interval: String,
    /// More about it; may be empty.
    pub note: String,
}

/// What auditors commonly ask for of a control; our own synthesis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Id of the control.
    pub id: String,
    /// Of its design, in stage 1.
    pub design: String,
    /// Of its operation, in stage 2.
    pub operation: String,
    /// In a surveillance audit.
    pub surveillance: String,
    /// Of what the samples are drawn.
    pub population: String,
    /// How it often fails.
    pub failure: String,
}

/// A line of an example of a surveillance plan; the certification body decides the real one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned {
    /// Id of the control.
    pub id: String,
    /// The surveillance audits, 1 and 2, in which it is looked at.
    pub years: Vec<u8>,
    /// Why.
    pub reason: String,
}

/// All tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reference {
    /// The controls of 2022.
    pub controls: Vec<Control>,
    /// Clauses in their order.
    pub clauses: Vec<Clause>,
    /// Controls of 2013 in their order.
    pub old: Vec<Old>,
    /// Crosswalks: those inside, then those of the user.
    pub crosswalks: Vec<Crosswalk>,
    /// Documents and records.
    pub documents: Vec<Document>,
    /// The readiness checklist.
    pub readiness: Readiness,
    /// Requests of auditors for the technological controls.
    pub requests: Vec<Request>,
    /// An example of a surveillance plan.
    pub surveillance: Vec<Planned>,
}

impl Reference {
    /// The tables that are part of the binary.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Faults`] when the binary was built from wrong files; a test forbids it.
    pub fn embedded() -> Result<Self, CatalogError> {
        Self::from_texts(TABLES, CROSSWALKS)
    }

    /// Reads tables and crosswalks from the texts of their files.
    fn from_texts(
        tables: &[(&str, &str)],
        crosswalks: &[(&str, &str)],
    ) -> Result<Self, CatalogError> {
        let mut faults = Vec::new();
        let standard = EMBEDDED_CONTROLS;
        let mut known = Known {
            controls: controls::read("controls.tsv", standard, standard, &mut faults),
            ..Known::default()
        };
        let mut from = Tables { tables, faults };
        // Documents and clauses name each other: the ids of the documents are known first.
        let ids = from.text("documents.tsv").lines().skip(1);
        let ids = ids.map(|line| line.split('\t').next().unwrap_or_default().to_owned());
        known.documents = ids.collect();
        let clauses = from.read("clauses.tsv", |table| known.clauses(table));
        known.clauses = clauses.iter().map(|clause| clause.id.clone()).collect();
        let old = from.read(edition::FILE, |table| edition::read(table, &known.controls));
        let documents = from.read("documents.tsv", |table| known.documents(table));
        let items = from.read("readiness.tsv", |table| readiness::items(table, &known));
        let count = items.len();
        let bands = from.read("readiness_bands.tsv", |table| {
            readiness::bands(table, count)
        });
        let readiness = Readiness { items, bands };
        let requests = from.read("requests.tsv", |table| known.requests(table));
        let example = "surveillance_example.tsv";
        let surveillance = from.read(example, |table| known.surveillance(table));
        let mut faults = from.faults;
        let mut reference = Self {
            controls: known.controls,
            clauses,
            old,
            crosswalks: Vec::new(),
            documents,
            readiness,
            requests,
            surveillance,
        };
        for (name, text) in crosswalks {
            faults.extend(reference.crosswalk(name, text, false));
        }
        if faults.is_empty() {
            Ok(reference)
        } else {
            Err(CatalogError::Faults(faults))
        }
    }

    /// Adds crosswalks of the user: one file, or all `*.tsv` of a folder.
    ///
    /// # Errors
    ///
    /// [`CatalogError`]: all faults of all files at once; nothing is added then.
    pub fn add_crosswalks(&mut self, path: &Path) -> Result<(), CatalogError> {
        let unread = |path: &Path| {
            let path = path.to_owned();
            move |source| CatalogError::Read { path, source }
        };
        let mut paths = vec![path.to_owned()];
        if path.is_dir() {
            paths.clear();
            for entry in std::fs::read_dir(path).map_err(unread(path))? {
                let found = entry.map_err(unread(path))?.path();
                if found.extension().is_some_and(|ending| ending == "tsv") {
                    paths.push(found);
                }
            }
            paths.sort();
        }
        if CROSSWALKS_MAX < paths.len() {
            let path = path.to_owned();
            return Err(CatalogError::Files { path });
        }
        let mut more = self.clone();
        let mut faults = Vec::new();
        for path in &paths {
            let text = durable::read_text(path, FILE_BYTES_MAX).map_err(unread(path))?;
            faults.extend(more.crosswalk(&path.display().to_string(), &text, true));
        }
        if !faults.is_empty() {
            return Err(CatalogError::Faults(faults));
        }
        *self = more;
        Ok(())
    }

    /// Adds one crosswalk and returns what is wrong with it.
    fn crosswalk(&mut self, file: &str, text: &str, supplied: bool) -> Vec<Fault> {
        let known = Known {
            controls: self.controls.clone(),
            clauses: self
                .clauses
                .iter()
                .map(|clause| clause.id.clone())
                .collect(),
            documents: BTreeSet::new(),
        };
        let mut table = Table::new(file, text);
        let stem = Path::new(file).file_stem().unwrap_or_default();
        let name = stem.to_string_lossy().into_owned();
        if let Some(read) = crosswalk::read(&mut table, &name, supplied, &known) {
            if self.crosswalks.iter().any(|other| other.name == read.name) {
                let message = format!("there is another crosswalk `{name}`");
                let complaint = Complaint::new(0..0, message).hint("give the file another name");
                table.refuse(complaint);
            }
            self.crosswalks.push(read);
        }
        table.faults()
    }

    /// The controls of 2013 whose subject this control of 2022 carries: none when it is new.
    pub fn before(&self, id: &str) -> impl Iterator<Item = &Old> {
        let old = self.old.iter();
        old.filter(move |old| old.now.iter().any(|now| now == id))
    }
}

/// Files, and what is wrong in those that were read.
struct Tables<'a> {
    tables: &'a [(&'a str, &'a str)],
    faults: Vec<Fault>,
}

impl<'a> Tables<'a> {
    fn text(&self, name: &str) -> &'a str {
        let found = self.tables.iter().find(|(file, _)| *file == name);
        found.map_or("", |(_, text)| *text)
    }

    fn read<T>(&mut self, name: &str, reader: impl FnOnce(&mut Table<'_>) -> T) -> T {
        let mut table = Table::new(name, self.text(name));
        let read = reader(&mut table);
        self.faults.extend(table.faults());
        read
    }
}

#[cfg(test)]
mod tests;
