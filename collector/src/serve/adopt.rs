//! A catalogue on its way into force: held to the one before.

use std::collections::BTreeMap;

use shared::cause::chain;
use shared::decision::InForce;
use shared::id::Digest;

use super::Intake;
use super::api::problem::{Kind, Problem};
use crate::catalog::Files;
use crate::criteria::{self, CriteriaError};
use crate::evaluate;

/// Whether this catalogue may come into force now. Its files were brought, or stand in the ledger.
pub(super) fn held(
    intake: &Intake,
    decided: &InForce,
    brought: &BTreeMap<Digest, Vec<u8>>,
) -> Result<(), Problem> {
    let mut files = BTreeMap::new();
    for (name, digest) in &decided.files {
        let bytes = match brought.get(digest) {
            Some(bytes) => Some(bytes.clone()),
            None => intake.ledger.blob(digest).map_err(CriteriaError::Ledger)?,
        };
        let missing = || Problem::refused("files", format!("`{name}` ({digest}) was not brought"));
        let _none_before = files.insert(name.clone(), bytes.ok_or_else(missing)?);
    }
    let files = Files::named(files).map_err(|error| Problem::refused("files", chain(&error)))?;
    let decisions = intake.authority.decisions.public();
    let now = criteria::at_last(&intake.ledger, &decisions)?;
    let new = criteria::check(decided, &files, &now)
        .map_err(|refusal| Problem::refused(refusal.operand(), &refusal).hint(refusal.hint()))?;
    match evaluate::try_cases(&new).first() {
        None => Ok(()),
        Some(surprise) => Err(Problem::refused("files", surprise)
            .hint("`evident-collector check test --catalog DIR` shows all such examples")),
    }
}

impl From<CriteriaError> for Problem {
    fn from(error: CriteriaError) -> Self {
        Self::new(Kind::Unavailable, chain(&error))
    }
}
