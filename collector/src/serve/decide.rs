//! Decisions on their way into the ledger: signed, entered, and in effect at once.
//!
//! Whoever decides holds `Intake::deciding` from the first look at what is known to the end, so
//! that what was checked still holds when it is entered.

use std::sync::PoisonError;

use shared::attestation::{Statement, StatementError, Subject};
use shared::decision::{self, DECISION_TYPE, Decided, Decision, DecisionError};
use shared::id::Digest;
use shared::leaf::LeafKind;

use super::Intake;
use crate::fleet::FleetError;
use crate::ledger::{LedgerError, NewEntry, Submission};

/// A decision cannot be entered, or has no effect.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecideError {
    /// The decision is too large to be signed. Whoever decides must say less.
    #[error("the decision is too large")]
    Statement(#[from] StatementError),
    /// The decision cannot be read again. Whoever decides must say something else.
    #[error("the decision cannot be read again")]
    Unreadable(#[from] DecisionError),
    /// The decision reads as another one. Whoever decides must say something else.
    #[error("the decision reads as another one")]
    Other,
    /// The ledger takes nothing.
    #[error("the ledger does not take the decision")]
    Ledger(#[from] LedgerError),
    /// It stands in the ledger and names what is not there.
    #[error("the decision has no effect")]
    Fleet(#[from] FleetError),
}

/// Who decided.
#[derive(Clone, Debug)]
pub(super) struct Author {
    /// The person when there is a statement, else the collector or an account of the machine.
    pub(super) by: String,
    /// SHA-256 of what the person signed.
    pub(super) statement: Option<Digest>,
}

impl Author {
    /// Nobody signed it: the collector by its name, or an account of the machine.
    pub(super) const fn unsigned(by: String) -> Self {
        Self {
            by,
            statement: None,
        }
    }
}

/// A file that goes into the ledger with a decision, and what it is.
pub(super) type Brought = (&'static str, Vec<u8>);

/// A decision that stands in the ledger.
#[derive(Clone, Debug)]
pub(super) struct Entered {
    /// The record: a DSSE file signed with the decisions key.
    pub(super) record: Vec<u8>,
    /// Its id.
    pub(super) id: Digest,
    /// Its place.
    pub(super) index: u64,
}

/// The kind of entry that a decision is.
const fn leaf_kind(decided: &Decided) -> LeafKind {
    match decided {
        Decided::Enrol(_) => LeafKind::Enrol,
        Decided::Revoke(_) => LeafKind::Revoke,
        Decided::Catalogue(_) => LeafKind::Catalogue,
        Decided::Import(_) | Decided::Person(_) | Decided::Record(_) => LeafKind::Decision,
    }
}

/// Signs a decision, enters it and lets it take effect.
///
/// Nothing of the stream that it ends is entered meanwhile. Whoever calls this must not stop half
/// way: what the ledger says must take effect.
pub(super) async fn enter(
    intake: &Intake,
    author: Author,
    decided: Decided,
    brought: Vec<Brought>,
) -> Result<Entered, DecideError> {
    let now = intake.now();
    let kind = leaf_kind(&decided);
    let decision = Decision {
        at: now,
        by: author.by,
        statement: author.statement,
        decides: decided.clone(),
    };
    let subject = brought
        .iter()
        .map(|(what, bytes)| Subject::new(what, Digest::of(bytes)))
        .collect();
    let file = Statement::new(DECISION_TYPE, subject, decision.clone())
        .seal(&intake.authority.decisions)?;
    // What cannot be read again must not stand in the ledger.
    let again = decision::open(&file, &intake.authority.decisions.public())?;
    if again != decision {
        return Err(DecideError::Other);
    }
    let id = Digest::of(&file);
    let ends = {
        let fleet = intake.fleet.read().unwrap_or_else(PoisonError::into_inner);
        match &decided {
            Decided::Enrol(enrolled) => fleet.newest(&enrolled.agent),
            Decided::Revoke(revoked) => fleet.stream(&revoked.agent, revoked.generation),
            Decided::Import(_)
            | Decided::Person(_)
            | Decided::Catalogue(_)
            | Decided::Record(_) => None,
        }
    };
    let _nothing_meanwhile = match &ends {
        Some(stream) => Some(stream.standing.lock().await),
        None => None,
    };
    let submission = Submission {
        entries: vec![NewEntry {
            kind,
            stream: None,
            envelope: file.clone(),
            received: now,
        }],
        blobs: brought
            .into_iter()
            .map(|(_what, bytes)| (Digest::of(&bytes), bytes))
            .collect(),
    };
    let appended = intake.ledger.append(submission).await?;
    let index = appended
        .first()
        .map(|entry| entry.index)
        .ok_or(LedgerError::ReadOnly)?;
    intake
        .register
        .write()
        .unwrap_or_else(PoisonError::into_inner)
        .take(index, id, decision);
    let mut fleet = intake.fleet.write().unwrap_or_else(PoisonError::into_inner);
    fleet.decide(index, id, decided)?;
    Ok(Entered {
        record: file,
        id,
        index,
    })
}
