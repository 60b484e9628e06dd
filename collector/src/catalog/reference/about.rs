//! All that is known about one control, for people and for programs.

use serde::Serialize;

use super::{Clause, Control, Document, Grade, Planned, Reference, Request};
use crate::catalog::edition::Old;
use crate::catalog::{Catalog, Severity, Strength};
use crate::fault::nearest;

/// All about a control of 2022.
#[derive(Debug, Serialize)]
pub struct About<'a> {
    /// The edition of its id.
    pub edition: u16,
    /// The control.
    pub control: &'a Control,
    /// Where its subject was in 2013.
    pub before: Vec<&'a Old>,
    /// The checks that bear on it.
    pub checks: Vec<Bearing<'a>>,
    /// What it is related to in other frameworks; no mapping says that one fulfils the other.
    pub related_to: Vec<Related<'a>>,
    /// Documents and records that an audit asks for.
    pub documents: Vec<&'a Document>,
    /// What auditors ask for.
    pub asked: Option<&'a Request>,
    /// When it is looked at in an example of a surveillance plan.
    pub example: Option<&'a Planned>,
}

/// All about a clause.
#[derive(Debug, Serialize)]
pub struct AboutClause<'a> {
    /// The clause.
    pub clause: &'a Clause,
    /// What it is related to in other frameworks.
    pub related_to: Vec<Related<'a>>,
}

/// A check that bears on a control.
#[derive(Debug, Serialize)]
pub struct Bearing<'a> {
    /// Id of the check.
    pub check: &'a str,
    /// What it expects.
    pub title: &'a str,
    /// How much a failure matters.
    pub severity: Severity,
    /// How far a pass carries.
    pub strength: Strength,
    /// Why, and what it does not show.
    pub rationale: &'a str,
}

/// What a control or clause is related to in one framework.
#[derive(Debug, Serialize)]
pub struct Related<'a> {
    /// Name of the crosswalk.
    pub crosswalk: &'a str,
    /// The framework, with its edition.
    pub framework: &'a str,
    /// How far the crosswalk can be relied on.
    pub grade: Grade,
    /// Where it comes from, as its author says.
    pub source: &'a str,
    /// A user brought it.
    pub supplied: bool,
    /// Ids of the framework.
    pub ids: &'a [String],
}

/// Where a control of 2013 went.
#[derive(Debug, Serialize)]
pub struct Moved<'a> {
    /// The edition of its id.
    pub edition: u16,
    /// The control of 2013.
    pub control: &'a Old,
    /// The controls of 2022 that carry its subject.
    pub now: Vec<&'a Control>,
}

/// There is no such control or clause in this edition: what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {hint}")]
pub struct NotThere {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub hint: String,
}

impl Reference {
    /// All about a control of 2022, with the checks of this catalogue.
    ///
    /// # Errors
    ///
    /// [`NotThere`]; an id of 2013 is told apart.
    pub fn about<'a>(&'a self, catalog: &'a Catalog, id: &str) -> Result<About<'a>, NotThere> {
        let Some(control) = self.controls.iter().find(|control| control.id == id) else {
            let wrong = crate::catalog::edition::unknown(id, &self.controls);
            let (what, mut hint) = wrong.unwrap_or_default();
            if self.old.iter().any(|old| old.id == id) {
                hint.push_str("; ask for it with `--edition 2013`");
            }
            return Err(NotThere { what, hint });
        };
        let mut checks: Vec<_> = catalog
            .bearing_on(id)
            .map(|(check, mapping)| Bearing {
                check: &check.id,
                title: &check.title,
                severity: check.severity,
                strength: mapping.strength,
                rationale: &mapping.rationale,
            })
            .collect();
        checks.sort_by_key(|bearing| std::cmp::Reverse(bearing.strength));
        let documents = self.documents.iter();
        Ok(About {
            edition: 2022,
            control,
            before: self.before(id).collect(),
            checks,
            related_to: self.related_to(id).collect(),
            documents: documents
                .filter(|document| document.related.iter().any(|related| related == id))
                .collect(),
            asked: self.requests.iter().find(|request| request.id == id),
            example: self.surveillance.iter().find(|planned| planned.id == id),
        })
    }

    /// All about a clause.
    ///
    /// # Errors
    ///
    /// [`NotThere`]: there is no such clause.
    pub fn about_clause(&self, id: &str) -> Result<AboutClause<'_>, NotThere> {
        let clause = self.clauses.iter().find(|clause| clause.id == id);
        let known = || self.clauses.iter().map(|clause| clause.id.as_str());
        let clause = clause.ok_or_else(|| NotThere {
            what: format!("there is no clause `{id}` from 4 to 10.2"),
            hint: nearest(id, known()),
        })?;
        Ok(AboutClause {
            clause,
            related_to: self.related_to(id).collect(),
        })
    }

    /// Where a control of 2013 went.
    ///
    /// # Errors
    ///
    /// [`NotThere`]; an id of 2022 is told apart.
    pub fn moved(&self, id: &str) -> Result<Moved<'_>, NotThere> {
        if let Some(old) = self.old.iter().find(|old| old.id == id) {
            let now = self.controls.iter();
            return Ok(Moved {
                edition: 2013,
                control: old,
                now: now
                    .filter(|control| old.now.contains(&control.id))
                    .collect(),
            });
        }
        let is_new = self.controls.iter().any(|control| control.id == id);
        Err(if is_new {
            NotThere {
                what: format!("`{id}` is a control of the 2022 edition"),
                hint: "ask for it without `--edition 2013`".to_owned(),
            }
        } else {
            NotThere {
                what: format!("there is no control `{id}` in Annex A of 2013"),
                hint: nearest(id, self.old.iter().map(|old| old.id.as_str())),
            }
        })
    }

    /// What a control or clause is related to in each framework.
    pub fn related_to(&self, id: &str) -> impl Iterator<Item = Related<'_>> {
        self.crosswalks.iter().filter_map(move |crosswalk| {
            let ids = crosswalk.related.get(id)?;
            Some(Related {
                crosswalk: &crosswalk.name,
                framework: &crosswalk.framework,
                grade: crosswalk.grade,
                source: &crosswalk.source,
                supplied: crosswalk.supplied,
                ids,
            })
        })
    }
}
