//! What people laid down, as the registers say.

use std::collections::{BTreeMap, BTreeSet};

use shared::id::{AgentId, PersonId};
use shared::time::Timestamp;

use super::given::{Acknowledgement, Applicability, Brought, Exception, Given, Place, Sla, Window};
use crate::catalog::soa::Soa;
use crate::register::views::{Reach, ScopeRule, groups_of};
use crate::register::{Record, Register};

impl Given {
    /// What the registers say as of an instant, for these hosts; `soa` is the statement of
    /// applicability in force then.
    #[must_use]
    pub fn of(
        register: &Register,
        soa: Option<Soa>,
        hosts: impl IntoIterator<Item = AgentId>,
        at: Timestamp,
    ) -> Self {
        let groups = register.groups();
        let scope = register.scope();
        let place = |host: AgentId| {
            let groups = groups_of(&groups, &host);
            let out = out_of_scope(&scope, &host, &groups);
            let groups = groups.into_iter().map(str::to_owned).collect();
            (host, Place { groups, out })
        };
        let exceptions = register.records("exception").into_iter();
        let known = register.records("acknowledgement").into_iter();
        Self {
            exceptions: exceptions.filter_map(exception).collect(),
            acknowledgements: known.filter_map(acknowledgement).collect(),
            places: hosts.into_iter().map(place).collect(),
            applicability: soa.as_ref().map(applicability).unwrap_or_default(),
            soa,
            people: people(register),
            documents: documents(register, at),
            conclusions: register.conclusions(),
            sla: Sla::default(),
        }
    }
}

/// Why a host is out of scope: the latest entry that names it decides.
fn out_of_scope(scope: &[ScopeRule], host: &AgentId, groups: &[&str]) -> Option<String> {
    let mut naming = scope.iter();
    let rule = naming.find(|rule| rule.reach.names(host.as_str(), groups))?;
    (!rule.included).then(|| format!("{}: {}", rule.id, rule.reason))
}

/// From a step until the end that was set, or until somebody ended it before.
fn window(record: &Record, begun: &str) -> Option<Window> {
    let from = record.last(begun)?.at;
    let set = record.instant("until");
    let ended = record.last("end").map(|event| event.at);
    let ends = [set, ended].into_iter().flatten().min();
    let to = ends.unwrap_or_else(|| from.plus_ms(i64::MAX));
    (from < to).then_some(Window { from, to })
}

fn exception(record: &Record) -> Option<Exception> {
    let text = |field| record.text(field).unwrap_or_default().to_owned();
    Some(Exception {
        id: record.id.clone(),
        reach: Reach::of(record),
        window: window(record, "approve")?,
        owner: text("owner"),
        approver: record.last("approve")?.by.clone(),
        reason: text("reason"),
    })
}

fn acknowledgement(record: &Record) -> Option<Acknowledgement> {
    Some(Acknowledgement {
        id: record.id.clone(),
        reach: Reach::of(record),
        window: window(record, "give")?,
        by: record.last("give")?.by.clone(),
        text: record.text("comment").unwrap_or_default().to_owned(),
    })
}

/// The rows of a statement by control.
pub(super) fn applicability(soa: &Soa) -> BTreeMap<String, Applicability> {
    let rows = soa.rows.iter().map(|row| {
        let of = Applicability {
            applicable: row.applicable,
            justification: row.justification.clone(),
            state: row.state.map(|state| state.as_str().to_owned()),
            owner: row.owner.clone(),
        };
        (row.id.clone(), of)
    });
    rows.collect()
}

fn people(register: &Register) -> BTreeSet<PersonId> {
    let active = register.people().filter(|person| person.active);
    active.map(|person| person.id.clone()).collect()
}

/// The documents that count for each control.
fn documents(register: &Register, at: Timestamp) -> BTreeMap<String, Vec<Brought>> {
    let mut counting: BTreeMap<String, Vec<Brought>> = BTreeMap::new();
    for record in register.records("document") {
        let Some((one, controls)) = brought(record, at) else {
            continue;
        };
        for control in controls {
            counting.entry(control).or_default().push(one.clone());
        }
    }
    counting
}

/// The revision of a document that was approved last, if it counts at an instant, and for what. It
/// counts on while a newer one waits for its approval, or was refused.
fn brought(record: &Record, at: Timestamp) -> Option<(Brought, Vec<String>)> {
    if record.state == "retired" {
        return None;
    }
    let place = record.history.iter().rposition(|one| one.step == "approve");
    let until = record.history.get(..=place?)?;
    let approval = until.last()?;
    let mut said = record.clone();
    said.fields.clear();
    for event in until {
        let fields = event.fields.iter();
        said.fields
            .extend(fields.map(|(name, value)| (name.clone(), value.clone())));
    }
    let ends = [said.instant("covers_to"), said.instant("expires")];
    let text = |field| said.text(field).unwrap_or_default().to_owned();
    let one = Brought {
        id: record.id.clone(),
        title: text("title"),
        revision: text("revision"),
        owner: text("owner"),
        approver: approval.by.clone(),
        approved: approval.at,
        covers_from: said.instant("covers_from")?,
        until: ends.into_iter().flatten().min(),
        document: said.text("document").and_then(|id| id.parse().ok()),
    };
    let counts = one.covers_from <= at && one.until.is_none_or(|end| at < end);
    let controls = said.list("requirement").into_iter().map(str::to_owned);
    counts.then(|| (one, controls.collect()))
}
