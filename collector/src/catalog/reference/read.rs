//! Tables of clauses, documents, requests and the example of a plan, held to what is known.

use std::collections::BTreeSet;

use super::{Basis, Clause, Document, Duty, Kind, Planned, Request};
use crate::catalog::table::{Cell, Table};
use crate::catalog::{Control, edition};
use crate::fault::nearest;

/// The ids that tables may name.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) controls: Vec<Control>,
    pub(super) clauses: BTreeSet<String>,
    pub(super) documents: BTreeSet<String>,
}

impl Known {
    /// The ids in a list of controls.
    pub(super) fn controls_in(&self, table: &mut Table<'_>, list: Cell<'_>) -> Vec<String> {
        let mut found = Vec::new();
        for item in list.items() {
            match edition::unknown(item.text, &self.controls) {
                None => found.push(item.text.to_owned()),
                Some((message, hint)) => table.refuse(item.wrong(message).hint(hint)),
            }
        }
        found
    }

    /// The ids in a list of clauses and controls.
    pub(super) fn related(&self, table: &mut Table<'_>, list: Cell<'_>) -> Vec<String> {
        let mut found = Vec::new();
        for item in list.items() {
            if item.text.starts_with("A.") {
                found.extend(self.controls_in(table, item));
            } else {
                found.extend(known_in(table, item, &self.clauses, "clause"));
            }
        }
        found
    }

    pub(super) fn clauses(&self, table: &mut Table<'_>) -> Vec<Clause> {
        let duties = [
            ("yes", Duty::Yes),
            ("partly", Duty::Partly),
            ("no", Duty::No),
        ];
        let mut clauses: Vec<Clause> = Vec::new();
        let columns = [
            "id",
            "title",
            "auditable",
            "documented",
            "kind",
            "what",
            "documents",
            "note",
        ];
        for [
            id,
            title,
            auditable,
            documented,
            kind,
            what,
            documents,
            note,
        ] in table.rows(0, columns)
        {
            let above = id.text.rsplit_once('.').map(|(above, _)| above);
            let known = |wanted: &str| clauses.iter().any(|clause| clause.id == wanted);
            if known(id.text) {
                table.refuse(id.wrong(format!("`{}` stands here twice", id.text)));
            } else if let Some(above) = above.filter(|above| !known(above)) {
                table.refuse(id.wrong(format!("clause `{above}` is due before `{}`", id.text)));
            }
            let duty = table.take(documented.one_of(&duties)).unwrap_or(Duty::No);
            if (duty == Duty::No) == documents.items().next().is_some() {
                let message = "a clause that names documented information has its ids, others none";
                table.refuse(documents.wrong(message));
            }
            let listed = documents.items();
            clauses.push(Clause {
                id: id.text.to_owned(),
                title: table.take(title.some()).unwrap_or_default(),
                auditable: table.take(auditable.one_of(&YES_NO)).unwrap_or_default(),
                documented: duty,
                kind: (!kind.is_none())
                    .then(|| table.take(kind.one_of(&KINDS)))
                    .flatten(),
                what: what.words(),
                documents: listed
                    .filter_map(|item| known_in(table, item, &self.documents, "document"))
                    .collect(),
                note: note.words(),
            });
        }
        clauses
    }

    pub(super) fn documents(&self, table: &mut Table<'_>) -> Vec<Document> {
        let bases = [
            ("clause", Basis::Clause),
            ("control", Basis::Control),
            ("practice", Basis::Practice),
        ];
        let columns = [
            "id", "title", "kind", "basis", "related", "interval", "note",
        ];
        let mut documents: Vec<Document> = Vec::new();
        for [id, title, kind, basis, related, interval, note] in table.rows(0, columns) {
            if documents.iter().any(|other| other.id == id.text) {
                table.refuse(id.wrong(format!("`{}` stands here twice", id.text)));
            }
            documents.push(Document {
                id: id.text.to_owned(),
                title: table.take(title.some()).unwrap_or_default(),
                kind: table.take(kind.one_of(&KINDS)).unwrap_or(Kind::Document),
                basis: table.take(basis.one_of(&bases)).unwrap_or(Basis::Practice),
                related: self.related(table, related),
                interval: table.take(interval.some()).unwrap_or_default(),
                note: note.words(),
            });
        }
        documents
    }

    pub(super) fn requests(&self, table: &mut Table<'_>) -> Vec<Request> {
        let columns = [
            "id",
            "design",
            "operation",
            "surveillance",
            "population",
            "failure",
        ];
        let mut requests = Vec::new();
        for [id, design, operation, surveillance, population, failure] in table.rows(0, columns) {
            let mut text = |cell: Cell<'_>| table.take(cell.some()).unwrap_or_default();
            let (design, operation) = (text(design), text(operation));
            let (surveillance, population) = (text(surveillance), text(population));
            requests.push(Request {
                failure: text(failure),
                id: self
                    .controls_in(table, id)
                    .into_iter()
                    .next()
                    .unwrap_or_default(),
                design,
                operation,
                surveillance,
                population,
            });
        }
        requests
    }

    pub(super) fn surveillance(&self, table: &mut Table<'_>) -> Vec<Planned> {
        let mut planned: Vec<Planned> = Vec::new();
        for [id, years, reason] in table.rows(0, ["id", "year", "reason"]) {
            let audits = years.items().map(|year| year.one_of(&[("1", 1), ("2", 2)]));
            let audits: Vec<_> = audits.collect();
            let years = audits
                .into_iter()
                .filter_map(|year| table.take(year))
                .collect();
            planned.push(Planned {
                id: self
                    .controls_in(table, id)
                    .into_iter()
                    .next()
                    .unwrap_or_default(),
                years,
                reason: table.take(reason.some()).unwrap_or_default(),
            });
        }
        planned
    }
}

const YES_NO: [(&str, bool); 2] = [("yes", true), ("no", false)];
const KINDS: [(&str, Kind); 2] = [("document", Kind::Document), ("record", Kind::Record)];

/// The id, where it is known.
fn known_in(
    table: &mut Table<'_>,
    item: Cell<'_>,
    known: &BTreeSet<String>,
    what: &str,
) -> Option<String> {
    if known.contains(item.text) {
        return Some(item.text.to_owned());
    }
    let hint = nearest(item.text, known.iter().map(String::as_str));
    table.refuse(
        item.wrong(format!("there is no {what} `{}`", item.text))
            .hint(hint),
    );
    None
}
