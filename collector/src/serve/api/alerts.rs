//! What people are told of, and how channels do.

use std::sync::Arc;

use axum::extract::State;
use shared::cause::chain;

use super::problem::{Kind, Problem};
use super::{Answer, json};
use crate::alert::engine::Listing;
use crate::alert::outbox::Held;
use crate::serve::{Intake, alerts};

/// Open incidents and channels.
pub(super) async fn list(State(intake): State<Arc<Intake>>) -> Answer {
    let folder = intake.dir.join(alerts::FOLDER);
    let held = tokio::task::spawn_blocking(move || Held::read(&folder)).await;
    let held = held.map_err(|_panicked| Problem::new(Kind::Unavailable, "the collector failed"))?;
    let held = held.map_err(|error| Problem::new(Kind::Unavailable, chain(&error)))?;
    json(&Listing::of(&held))
}
