//! The readiness checklist: 27 questions that a person answers, and the bands of their score.
//!
//! The bands were published for 28 questions, and only 27 are known. Bands and questions stand as
//! they are: nothing was invented, so the highest score is 27.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::read::Known;
use crate::catalog::CatalogError;
use crate::catalog::table::Table;
use crate::fault::{Complaint, nearest};

/// The checklist.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// The questions in their order.
    pub items: Vec<Item>,
    /// The bands of the score, the lowest first.
    pub bands: Vec<Band>,
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Id: `Q` and a number.
    pub id: String,
    /// Its group.
    pub group: String,
    /// What is in place when the answer is yes.
    pub item: String,
    /// Controls that it touches; our own judgement.
    pub controls: Vec<String>,
    /// Clauses that it touches; our own judgement.
    pub clauses: Vec<String>,
}

/// What a score means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Band {
    /// The lowest score in it.
    pub from: u32,
    /// The highest score in it, as it was published.
    pub to: u32,
    /// Its name.
    pub rating: String,
    /// What it means.
    pub meaning: String,
}

/// What the answers come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Score {
    /// Questions answered with yes.
    pub yes: usize,
    /// All questions.
    pub of: usize,
    /// Ids of the questions without an answer; they count as no.
    pub unanswered: Vec<String>,
    /// Ids of the questions answered with no.
    pub no: Vec<String>,
    /// The band that the score is in.
    pub band: Option<Band>,
}

/// A file of answers: an id and yes or no on each line.
#[derive(Deserialize)]
struct Answers(BTreeMap<Spanned<String>, Spanned<toml::Value>>);

impl Readiness {
    /// Reads answers from the text of a file of TOML such as `Q01 = true`, and counts them.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Faults`]: a question that is not known, or an answer that is neither `true`
    /// nor `false`; all of them at once.
    pub fn score(&self, file: &str, text: &str) -> Result<Score, CatalogError> {
        let Answers(answers) = toml::from_str(text).map_err(|error| {
            let fault = Complaint::of_toml(&error, text).in_file(file, text);
            CatalogError::Faults(vec![fault])
        })?;
        let mut faults = Vec::new();
        let (mut yes, mut no) = (BTreeSet::new(), BTreeSet::new());
        for (id, answer) in &answers {
            let name = id.as_ref().as_str();
            if !self.items.iter().any(|item| item.id == name) {
                let known = self.items.iter().map(|item| item.id.as_str());
                let complaint = Complaint::new(id.span(), format!("there is no question `{name}`"));
                faults.push(complaint.hint(nearest(name, known)).in_file(file, text));
                continue;
            }
            match answer.as_ref().as_bool() {
                Some(true) => yes.insert(name),
                Some(false) => no.insert(name),
                None => {
                    let complaint = Complaint::new(answer.span(), "this is no answer");
                    let complaint = complaint.hint("write `true` for yes and `false` for no");
                    faults.push(complaint.in_file(file, text));
                    false
                }
            };
        }
        if !faults.is_empty() {
            return Err(CatalogError::Faults(faults));
        }
        let ids = self.items.iter().map(|item| item.id.as_str());
        let unanswered = ids.filter(|id| !yes.contains(id) && !no.contains(id));
        let count = u32::try_from(yes.len()).unwrap_or(u32::MAX);
        let mut bands = self.bands.iter();
        Ok(Score {
            yes: yes.len(),
            of: self.items.len(),
            unanswered: unanswered.map(str::to_owned).collect(),
            no: no.into_iter().map(str::to_owned).collect(),
            band: bands
                .find(|band| (band.from..=band.to).contains(&count))
                .cloned(),
        })
    }
}

/// Reads the questions.
pub(super) fn items(table: &mut Table<'_>, known: &Known) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for [id, group, item, controls, clauses] in
        table.rows(0, ["id", "group", "item", "controls", "clauses"])
    {
        if items.iter().any(|other| other.id == id.text) {
            table.refuse(id.wrong(format!("`{}` stands here twice", id.text)));
        }
        items.push(Item {
            id: id.text.to_owned(),
            group: table.take(group.some()).unwrap_or_default(),
            item: table.take(item.some()).unwrap_or_default(),
            controls: known.controls_in(table, controls),
            clauses: known.related(table, clauses),
        });
    }
    items
}

/// Reads the bands, which leave out no score of so many questions.
pub(super) fn bands(table: &mut Table<'_>, questions: usize) -> Vec<Band> {
    let mut bands = Vec::new();
    let mut due = 0;
    for [from, to, rating, meaning] in table.rows(0, ["from", "to", "rating", "meaning"]) {
        let (first, last) = (table.take(from.number()), table.take(to.number()));
        let (Some(first), Some(last)) = (first, last) else {
            continue;
        };
        if first != due || last < first {
            table.refuse(from.wrong(format!("the band from {due} on is due here")));
        }
        due = last.saturating_add(1);
        bands.push(Band {
            from: first,
            to: last,
            rating: table.take(rating.some()).unwrap_or_default(),
            meaning: table.take(meaning.some()).unwrap_or_default(),
        });
    }
    if usize::try_from(due).unwrap_or(usize::MAX) <= questions {
        let message = format!("a score of {due} of {questions} is in no band");
        table.refuse(Complaint::new(0..0, message));
    }
    bands
}
