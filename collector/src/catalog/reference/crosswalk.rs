//! Crosswalks: which requirements of another framework are related to which control or clause.
//!
//! A file has three lines, `framework`, `grade` and `source`, each with a tab and its value; then
//! the columns `id` and `related`. A mapping of a publisher says that two texts speak of the same
//! subject, and publishers differ a lot: what stands here is *related to*, and nothing more.

use std::collections::BTreeMap;

use serde::Serialize;

use super::read::Known;
use crate::catalog::table::Table;

/// How far a crosswalk can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Grade {
    /// A direct table of the framework's publisher.
    #[serde(rename = "A")]
    A,
    /// Three independent routes agree.
    #[serde(rename = "B+")]
    BPlus,
    /// Three independent routes agree, or two: the table does not say which of them.
    #[serde(rename = "B+/B")]
    BPlusOrB,
    /// Two routes agree; of laws, the text names the subject and one route agrees.
    #[serde(rename = "B")]
    B,
    /// One route alone, or as somebody thought.
    #[serde(rename = "C")]
    C,
}

/// What is related to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Crosswalk {
    /// Name: that of its file, without the ending.
    pub name: String,
    /// The framework, with its edition.
    pub framework: String,
    /// How far it can be relied on.
    pub grade: Grade,
    /// Where it comes from, as its author says.
    pub source: String,
    /// A user brought it; it is not part of the product.
    pub supplied: bool,
    /// Ids of the framework, by control or clause.
    pub related: BTreeMap<String, Vec<String>>,
}

const GRADES: [(&str, Grade); 5] = [
    ("A", Grade::A),
    ("B+", Grade::BPlus),
    ("B+/B", Grade::BPlusOrB),
    ("B", Grade::B),
    ("C", Grade::C),
];

impl Grade {
    /// The letters that people and documents see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::BPlus => "B+",
            Self::BPlusOrB => "B+/B",
            Self::B => "B",
            Self::C => "C",
        }
    }

    /// What it means.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::A => "a direct table of the publisher",
            Self::BPlus => "three independent routes agree",
            Self::BPlusOrB => "three or two independent routes agree",
            Self::B => "two routes agree, or the text and one route",
            Self::C => "one route alone",
        }
    }
}

/// Reads a crosswalk. What is wrong is noted in the table.
pub(super) fn read(
    table: &mut Table<'_>,
    name: &str,
    supplied: bool,
    known: &Known,
) -> Option<Crosswalk> {
    let [framework, grade, source] = table.head(["framework", "grade", "source"])?;
    let grade = table.take(grade.one_of(&GRADES))?;
    let mut related: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for [id, list] in table.rows(3, ["id", "related"]) {
        let Some(ours) = known.related(table, id).into_iter().next() else {
            if id.is_none() {
                table.refuse(id.wrong("the id of a control or clause is due here"));
            }
            continue;
        };
        let mut theirs: Vec<String> = Vec::new();
        for item in list.items() {
            if item.text.trim() != item.text || item.text.is_empty() {
                let message = format!("`{}` has spaces around it, or is empty", item.text);
                table.refuse(item.wrong(message).hint("part ids by `;` alone"));
            } else if theirs.iter().any(|other| other == item.text) {
                table.refuse(item.wrong(format!("`{}` stands here twice", item.text)));
            }
            theirs.push(item.text.to_owned());
        }
        if related.insert(ours, theirs).is_some() {
            let message = format!("`{}` stands here twice", id.text);
            table.refuse(
                id.wrong(message)
                    .hint("put all that is related in one line"),
            );
        }
    }
    Some(Crosswalk {
        name: name.to_owned(),
        framework: framework.text.to_owned(),
        grade,
        source: source.text.to_owned(),
        supplied,
        related,
    })
}
