//! What can be asked: the ledger, the state of the controls, one host.

use std::sync::{Arc, PoisonError};

use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::IntoResponse as _;
use serde::{Deserialize, Serialize};
use shared::cause::chain;
use shared::id::AgentId;
use shared::time::Timestamp;

use super::problem::{Kind, Problem};
use super::{Answer, json};
use crate::alert::engine::Listing;
use crate::alert::outbox::Held;
use crate::assess::{Asked, Desk, Sla};
use crate::ledger::Ledger;
use crate::register::Register;
use crate::report::Report;
use crate::serve::{Intake, alerts, said};
use crate::status::Status;

/// Name of the header that says whether all that is shown holds: `true` or `false`.
pub const HOLDS: &str = "evident-holds";

#[derive(Serialize)]
struct LedgerAnswer<'a> {
    origin: &'a str,
    size: u64,
    now: Timestamp,
}

/// The ledger of this collector.
pub(super) async fn ledger(State(intake): State<Arc<Intake>>) -> Answer {
    json(&LedgerAnswer {
        origin: intake.ledger_key.name(),
        size: intake.ledger.published().size,
        now: intake.now(),
    })
}

/// Where a text will be shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Shape {
    #[serde(default)]
    format: Format,
    #[serde(default = "width")]
    width: usize,
    #[serde(default)]
    colour: bool,
    /// Controls, parted by commas; without any all.
    #[serde(default)]
    control: String,
    /// Hosts.
    #[serde(default)]
    host: String,
    /// Only what does not hold.
    #[serde(default)]
    failing: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Text,
}

const fn width() -> usize {
    100
}

/// Which controls hold.
pub(super) async fn status(
    State(intake): State<Arc<Intake>>,
    shape: Result<Query<Shape>, axum::extract::rejection::QueryRejection>,
) -> Answer {
    let Query(shape) = shape.map_err(|error| Problem::new(Kind::Malformed, error).of("query"))?;
    // It reads from disk, and others must not wait for it.
    let made = tokio::task::spawn_blocking(move || {
        // A copy, so that nobody who decides waits for it.
        let register = intake.register().clone();
        let status = intake.status.read().unwrap_or_else(PoisonError::into_inner);
        let status = status.as_ref().ok_or_else(said::unavailable)?;
        let wanted = (Asked::of(&shape.control, &shape.host, ""), shape.failing);
        let from = (status, &register, &intake.ledger, intake.dir.as_path());
        let report = report(from, &wanted, intake.now())?;
        Ok::<_, Problem>(report.with_counters(intake.counters.all()))
    });
    let report = made
        .await
        .map_err(|_panicked| Problem::new(Kind::Unavailable, "the collector failed"))??;
    let holds = if report.holds() { "true" } else { "false" };
    let (text, kind) = match shape.format {
        Format::Json => (report.json(), "application/json"),
        Format::Text => (
            report.screen(shape.width.clamp(40, 1000), shape.colour),
            "text/plain; charset=utf-8",
        ),
    };
    let head = [(header::CONTENT_TYPE.as_str(), kind), (HOLDS, holds)];
    Ok((head, text).into_response())
}

/// The report of what the derived state knows of the ledger, and of what waits in the outbox of
/// the collector's folder: of the controls and hosts that are asked for, and with `true` only of
/// what does not hold.
///
/// # Errors
///
/// [`Problem`] when the question names what is not there, or nothing can be read.
pub fn report(
    (status, register, ledger, dir): (&Status, &Register, &Ledger, &std::path::Path),
    (asked, failing): &(Asked, bool),
    now: Timestamp,
) -> Result<Report, Problem> {
    let broken = |said: String| Problem::new(Kind::Unavailable, said);
    asked
        .check(&status.catalog())
        .map_err(|error| Problem::new(Kind::Malformed, error).of("control"))?;
    let position = status.position().map_err(|error| broken(chain(&error)))?;
    let behind = ledger.published().size.saturating_sub(position);
    let desk = Desk {
        status,
        register,
        ledger,
        sla: Sla::default(),
    };
    let hosts = status
        .hosts_at(now)
        .map_err(|error| broken(chain(&error)))?;
    let given = desk
        .given(hosts, now)
        .map_err(|error| broken(chain(&error)))?;
    let report =
        Report::within(status, asked, &given, now).map_err(|error| broken(chain(&error)))?;
    let none = report.hosts.is_empty() && report.out_of_scope.is_empty();
    if none && !asked.hosts.is_empty() {
        let text = format!("no host is enrolled as {}", asked.hosts.join(", "));
        return Err(Problem::new(Kind::NotFound, text)
            .of("host")
            .hint("`evident-collector status` names the hosts"));
    }
    let held = Held::read(&dir.join(alerts::FOLDER)).map_err(|error| broken(chain(&error)))?;
    let report = report.behind(behind).with_alerts(Listing::of(&held));
    Ok(if *failing { report.failing() } else { report })
}

#[derive(Serialize)]
struct HostAnswer {
    host: AgentId,
    generation: u64,
    ended: bool,
}

/// The newest enrolment of a host.
pub(super) async fn host(State(intake): State<Arc<Intake>>, Path(host): Path<String>) -> Answer {
    let unknown = || {
        Problem::new(Kind::NotFound, format!("`{host}` is not enrolled"))
            .of("host")
            .hint("`evident-collector status --format json` names the hosts")
    };
    let name: AgentId = host.parse().map_err(|_form| unknown())?;
    let fleet = intake.fleet.read().unwrap_or_else(PoisonError::into_inner);
    let stream = fleet.newest(&name).ok_or_else(unknown)?;
    json(&HostAnswer {
        host: name,
        generation: stream.generation,
        ended: stream.ended,
    })
}
