//! What can be decided: orders of whoever may open the folder, and what people signed.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use shared::decision::Decided;
use shared::id::Digest;

use super::problem::{Kind, Problem};
use super::{Answer, Caller, body, json};
use crate::serve::Intake;
use crate::serve::decide::Entered;
use crate::serve::said::{self, Brings};

/// What a person decides: body of `POST /v1/decisions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brought {
    /// The DSSE file of the statement.
    pub statement: String,
    /// The files that it names and that the ledger does not have, in base64.
    #[serde(default)]
    pub documents: Vec<String>,
}

/// A decision that is in force: the answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Done {
    /// Its place in the ledger.
    pub entry: u64,
    /// Its id.
    pub record: Digest,
}

/// Takes an order that nobody signed. It is written down for the account that gave it.
pub(super) async fn order(
    State(intake): State<Arc<Intake>>,
    caller: Option<Extension<Caller>>,
    content: Body,
) -> Answer {
    let by = account(caller)?;
    let decides: Decided = body(content).await?;
    to_the_end(async move { said::order(&intake, by, decides, BTreeMap::new()).await }).await
}

/// The account of this machine that gives an order.
pub(super) fn account(caller: Option<Extension<Caller>>) -> Result<String, Problem> {
    let Some(Extension(caller)) = caller else {
        let title = "orders without a signature are taken on the machine of the collector alone";
        return Err(Problem::new(Kind::Forbidden, title).hint("sign it: POST /v1/decisions"));
    };
    Ok(caller.to_string())
}

/// The files that came in base64 as this member, by their SHA-256.
pub(super) fn files(
    encoded: Vec<String>,
    member: &str,
) -> Result<BTreeMap<Digest, Vec<u8>>, Problem> {
    let mut files = BTreeMap::new();
    for file in encoded {
        let bytes = STANDARD
            .decode(file)
            .map_err(|error| Problem::new(Kind::Malformed, error).of(member))?;
        let _same = files.insert(Digest::of(&bytes), bytes);
    }
    Ok(files)
}

/// Takes what a person signed.
pub(super) async fn decide(State(intake): State<Arc<Intake>>, content: Body) -> Answer {
    let Brought {
        statement,
        documents,
    } = body(content).await?;
    let brings = Brings {
        statement: statement.into_bytes(),
        documents: files(documents, "documents")?,
    };
    to_the_end(async move { said::decide(&intake, brings).await }).await
}

/// Decides to the end even when the caller hangs up: what the ledger says takes effect.
pub(super) async fn to_the_end(
    deciding: impl Future<Output = Result<Entered, Problem>> + Send + 'static,
) -> Answer {
    let entered = tokio::spawn(deciding)
        .await
        .map_err(|_panicked| Problem::new(Kind::Unavailable, "the collector failed"))??;
    json(&Done {
        entry: entered.index,
        record: entered.id,
    })
}
