//! The catalogue in force, and the order that puts another one in force.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::decision::{Decided, InForce};
use shared::id::Digest;
use shared::time::Timestamp;

use super::order::{self, account, to_the_end};
use super::problem::{Kind, Problem};
use super::{Answer, Caller, body, json};
use crate::criteria::{self, Adopted};
use crate::serve::{Intake, said};

/// The catalogue in force: the answer of `GET /v1/catalogue`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Its digest.
    pub catalogue: Digest,
    /// Its entry in the ledger.
    pub entry: u64,
    /// Since when.
    pub since: Timestamp,
    /// Who decided.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The checks that it dropped.
    pub dropped: Vec<String>,
    /// Its files.
    pub files: BTreeMap<String, String>,
    /// The catalogue inside the program of the collector was never in force here.
    pub inside_is_new: bool,
}

impl Known {
    /// What is known of a catalogue that came into force.
    #[must_use]
    pub fn of(adopted: Adopted, inside_is_new: bool) -> Self {
        let files = adopted.files.iter();
        Self {
            catalogue: adopted.decided.catalogue,
            entry: adopted.index,
            since: adopted.since,
            by: adopted.by,
            reason: adopted.decided.reason,
            dropped: adopted.decided.dropped,
            files: files
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .collect(),
            inside_is_new,
        }
    }
}

/// An order to put a catalogue in force: body of `POST /v1/orders/catalogue`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// What is decided.
    pub decides: InForce,
    /// The files, in base64.
    pub files: Vec<String>,
}

/// Which catalogue is in force.
pub(super) async fn known(State(intake): State<Arc<Intake>>) -> Answer {
    let decisions = intake.authority.decisions.public();
    let known = criteria::in_force(&intake.ledger, &decisions)?;
    let known = known.ok_or_else(|| {
        Problem::new(
            Kind::NotFound,
            "no catalogue was put in force in this ledger",
        )
    })?;
    let new = criteria::is_inside_new(&intake.ledger, &decisions)?;
    json(&Known::of(known, new))
}

/// Takes an order of the operator.
pub(super) async fn order(
    State(intake): State<Arc<Intake>>,
    caller: Option<Extension<Caller>>,
    content: Body,
) -> Answer {
    let by = account(caller)?;
    let Order { decides, files } = body(content).await?;
    let brought = order::files(files, "files")?;
    let decides = Decided::Catalogue(decides);
    to_the_end(async move { said::order(&intake, by, decides, brought).await }).await
}
