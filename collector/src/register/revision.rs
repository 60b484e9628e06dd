//! Documents that count: the last revision that was approved, until the next one is.

use std::collections::BTreeMap;

use serde::Serialize;
use shared::decision::Value;
use shared::id::Digest;
use shared::time::Timestamp;

use super::{Event, Record, Register, instant, kind, list, said, text};

/// A document that was approved, and has not been retired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Document {
    /// Id, e.g. `DOC-4`.
    pub id: String,
    /// What it is.
    pub title: String,
    /// Controls and clauses that it bears on.
    pub requirements: Vec<String>,
    /// From when it speaks.
    pub covers_from: Timestamp,
    /// Until when it speaks; `None` when no end was said.
    pub covers_to: Option<Timestamp>,
    /// From when on it counts no more; `None` when that was not said.
    pub expires: Option<Timestamp>,
    /// When it is to be looked at next.
    pub review_by: Option<Timestamp>,
    /// Which revision it is.
    pub revision: String,
    /// Who answers for it.
    pub owner: String,
    /// Who brought this revision.
    pub brought_by: String,
    /// When.
    pub brought_at: Timestamp,
    /// Who approved this revision.
    pub approved_by: String,
    /// When.
    pub approved_at: Timestamp,
    /// The file, a blob of the ledger; `None` when only its place was said.
    pub file: Option<Digest>,
    /// Where the file is, when it was not given.
    pub location: Option<String>,
    /// The decision that approved it.
    pub record: Digest,
}

impl Document {
    /// Whether it speaks of a part of this period, and had not expired before; for an instant both
    /// ends are the same.
    #[must_use]
    pub fn speaks(&self, from: Timestamp, to: Timestamp) -> bool {
        let after = |end: Option<Timestamp>| end.is_none_or(|end| from < end);
        self.covers_from <= to && after(self.covers_to) && after(self.expires)
    }
}

/// What a record said as of the revision that counts, and the steps that made it so.
pub(super) struct Revision<'a> {
    pub(super) fields: BTreeMap<String, Value>,
    brought: &'a Event,
    pub(super) approved: &'a Event,
}

/// The revision of a document that counts; `None` before the first approval and after the end.
pub(super) fn counting(record: &Record) -> Option<Revision<'_>> {
    let document = kind("document")?;
    let (mut fields, mut brought, mut counting) = (BTreeMap::new(), None, None::<Revision<'_>>);
    for event in &record.history {
        said(&mut fields, document.step(&event.step), &event.fields);
        match (event.step.as_str(), counting.as_mut(), brought) {
            ("submit", _, _) => brought = Some(event),
            ("approve", _, Some(brought)) => {
                counting = Some(Revision {
                    fields: fields.clone(),
                    brought,
                    approved: event,
                });
            }
            ("review", Some(counting), _) => said(&mut counting.fields, None, &event.fields),
            ("retire", _, _) => counting = None,
            _ => {}
        }
    }
    counting
}

impl Register {
    /// The documents that speak of an instant: approved, neither retired nor expired, and
    /// `covers_from` <= instant < `covers_to`. What was approved after it speaks too.
    #[must_use]
    pub fn documents(&self, at: Timestamp) -> Vec<Document> {
        let all = self.all_documents().into_iter();
        all.filter(|document| document.speaks(at, at)).collect()
    }

    /// Every document of which a revision counts, whatever time it speaks of: for a period see
    /// [`Document::speaks`].
    #[must_use]
    pub fn all_documents(&self) -> Vec<Document> {
        let all = self.records("document").into_iter();
        all.filter_map(document).collect()
    }

    /// How a record stands at an instant: its state, and what time or other records made of it
    /// without any step.
    #[must_use]
    pub fn standing(&self, register: &str, record: &Record, at: Timestamp) -> String {
        let state = &record.state;
        let lasting = ["approved", "given", "begun"].contains(&state.as_str());
        let over = |field| record.instant(field).filter(|end| *end <= at);
        let day = |end: Timestamp| end.to_string().chars().take(10).collect::<String>();
        let more = match register {
            "exception" | "acknowledgement" | "silence" if lasting => {
                over("until").map(|end| format!("ended {}", day(end)))
            }
            "applicability" if lasting => self
                .soa()
                .filter(|soa| soa.id != record.id)
                .map(|soa| format!("superseded by {}", soa.id)),
            "document" if lasting => over("expires").map(|end| format!("expired {}", day(end))),
            "document" => counting(record).map(|counting| {
                let revision = text(&counting.fields, "revision").unwrap_or_default();
                format!("revision {revision} counts")
            }),
            "objective" => {
                let reaches = super::kinds::reaches(&record.fields);
                let word = |reached| if reached { "reached" } else { "not reached" };
                reaches.map(|reached| format!("target {}", word(reached)))
            }
            _ => None,
        };
        more.map_or_else(|| state.clone(), |more| format!("{state}, {more}"))
    }
}

fn document(record: &Record) -> Option<Document> {
    let counting = counting(record)?;
    let fields = &counting.fields;
    let said = |field: &str| text(fields, field).unwrap_or_default().to_owned();
    let requirements = list(fields, "requirement").into_iter();
    Some(Document {
        id: record.id.clone(),
        title: said("title"),
        requirements: requirements.map(str::to_owned).collect(),
        covers_from: instant(fields, "covers_from")?,
        covers_to: instant(fields, "covers_to"),
        expires: instant(fields, "expires"),
        review_by: instant(fields, "review_by"),
        revision: said("revision"),
        owner: said("owner"),
        brought_by: counting.brought.by.clone(),
        brought_at: counting.brought.at,
        approved_by: counting.approved.by.clone(),
        approved_at: counting.approved.at,
        file: text(fields, "document").and_then(|id| id.parse().ok()),
        location: text(fields, "location").map(str::to_owned),
        record: counting.approved.record,
    })
}
