//! What the registers say is due, as conditions.

use std::collections::BTreeMap;

use shared::time::Timestamp;

use crate::catalog::Severity;
use crate::drift::{Condition, ConditionKind};
use crate::register::Register;
use crate::register::views::DueNow;

/// Everything that is due, or soon is. An exception that ended is not among it: what it covered is
/// wrong again, and that is told.
#[must_use]
pub fn due(register: &Register, now: Timestamp) -> Vec<Condition> {
    let due = register.due(now).into_iter();
    let ended = |one: &DueNow| one.register == "exception" && one.at <= now;
    due.filter(|one| !ended(one))
        .map(|one| condition(register, one, now))
        .collect()
}

fn condition(register: &Register, due: DueNow, now: Timestamp) -> Condition {
    let record = register.record(&due.register, &due.id);
    let controls = record.map_or_else(Vec::new, |record| {
        record
            .list("control")
            .into_iter()
            .map(str::to_owned)
            .collect()
    });
    let over = due.at <= now;
    let (severity, word) = if over {
        (Severity::High, "was due at")
    } else {
        (Severity::Medium, "is due at")
    };
    let id = due.id.as_str();
    Condition {
        key: format!("due/{}/{id}/{}", due.register, due.field),
        kind: ConditionKind::Due,
        severity,
        host: None,
        groups: Vec::new(),
        check: None,
        controls,
        owners: Some(due.owner)
            .filter(|owner| !owner.is_empty())
            .into_iter()
            .collect(),
        since: due.since.min(now),
        text: format!(
            "{id} {}: it {word} {}; see `evident-collector {} show {id}`",
            due.what, due.at, due.register
        ),
        facts: BTreeMap::new(),
        evidence: Vec::new(),
    }
}
