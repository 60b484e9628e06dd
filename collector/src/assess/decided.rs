//! What people laid down, as the registers say.

use std::collections::{BTreeMap, BTreeSet};

use shared::decision::Decided;
use shared::id::{AgentId, PersonId};
use shared::time::Timestamp;

use super::given::{
    Acknowledgement, Applicability, Brought, Exception, Given, Open, Place, Sla, Window,
};
use crate::catalog::soa::Soa;
use crate::register::views::{Groups, Reach, ScopeRule, groups_of};
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
        let laid = laid(register);
        let place = |host: AgentId| {
            let place = place(&groups, &scope, &host);
            (host, place)
        };
        let exceptions = register.records("exception").into_iter();
        let known = register.records("acknowledgement").into_iter();
        Self {
            exceptions: exceptions.filter_map(|one| exception(one, &laid)).collect(),
            acknowledgements: known
                .filter_map(|one| acknowledgement(one, &laid))
                .collect(),
            places: hosts.into_iter().map(place).collect(),
            moves: BTreeMap::new(),
            applicability: soa.as_ref().map(applicability).unwrap_or_default(),
            soa,
            people: people(register),
            documents: documents(register, at),
            open: open(register),
            conclusions: register.conclusions(),
            sla: Sla::default(),
        }
    }

    /// The same with where each host stood over a period that ends at the instant: a group or a
    /// scope that was laid down later says nothing of the time before.
    #[must_use]
    pub fn over(mut self, register: &Register, window: Window) -> Self {
        let laid = laid(register);
        let first = laid.partition_point(|one| one.from <= window.from);
        let laid = laid.get(first.saturating_sub(1)..).unwrap_or_default();
        for host in self.places.keys() {
            let mut moves: Vec<(Timestamp, Place)> = Vec::new();
            for one in laid {
                let place = place(&one.groups, &one.scope, host);
                if moves.last().is_none_or(|(_from, last)| *last != place) {
                    moves.push((one.from, place));
                }
            }
            if 1 < moves.len() {
                drop(self.moves.insert(host.clone(), moves));
            }
        }
        self
    }
}

/// Groups and scope from a decision until the next one about either.
struct Laid {
    from: Timestamp,
    groups: Groups,
    scope: Vec<ScopeRule>,
}

/// All of them, in the order of time; before the first decision nothing is laid down.
fn laid(register: &Register) -> Vec<Laid> {
    let mut then = Register::default();
    let mut all = vec![Laid {
        from: Timestamp::default(),
        groups: Groups::new(),
        scope: Vec::new(),
    }];
    for (entry, record, decision) in register.decisions() {
        let Decided::Record(step) = &decision.decides else {
            continue;
        };
        if !["group", "scope"].contains(&step.register.as_str()) {
            continue;
        }
        then.take(entry, record, decision.clone());
        let one = Laid {
            from: decision.at,
            groups: then.groups(),
            scope: then.scope(),
        };
        match all.last_mut().filter(|last| one.from <= last.from) {
            Some(last) => (last.groups, last.scope) = (one.groups, one.scope),
            None => all.push(one),
        }
    }
    all
}

/// Where a host stands by groups and scope.
fn place(groups: &Groups, scope: &[ScopeRule], host: &AgentId) -> Place {
    let groups = groups_of(groups, host);
    let out = out_of_scope(scope, host, &groups);
    let groups = groups.into_iter().map(str::to_owned).collect();
    Place { groups, out }
}

/// What a decision is about, with the members that its groups had when it was taken: who widens a
/// group later widens no decision about it. `None` when nobody was in them.
fn frozen(mut reach: Reach, laid: &[Laid], at: Timestamp) -> Option<Reach> {
    if reach.groups.is_empty() {
        return Some(reach);
    }
    let then = laid.iter().rev().find(|one| one.from <= at)?;
    for name in std::mem::take(&mut reach.groups) {
        let members = then.groups.get(&name).cloned();
        reach.hosts.extend(members.unwrap_or_default());
    }
    (!reach.hosts.is_empty()).then_some(reach)
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

fn exception(record: &Record, laid: &[Laid]) -> Option<Exception> {
    let text = |field| record.text(field).unwrap_or_default().to_owned();
    let approval = record.last("approve")?;
    Some(Exception {
        id: record.id.clone(),
        reach: frozen(Reach::of(record), laid, approval.at)?,
        window: window(record, "approve")?,
        owner: text("owner"),
        approver: approval.by.clone(),
        reason: text("reason"),
    })
}

fn acknowledgement(record: &Record, laid: &[Laid]) -> Option<Acknowledgement> {
    let given = record.last("give")?;
    Some(Acknowledgement {
        id: record.id.clone(),
        reach: frozen(Reach::of(record), laid, given.at)?,
        window: window(record, "give")?,
        by: given.by.clone(),
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

/// The nonconformities and risks that are not closed, by control.
fn open(register: &Register) -> BTreeMap<String, Vec<Open>> {
    let mut open: BTreeMap<String, Vec<Open>> = BTreeMap::new();
    let about = [
        ("nonconformity", "requirement", "statement"),
        ("risk", "control", "title"),
    ];
    for (name, names, says) in about {
        let records = register.records(name).into_iter();
        for record in records.filter(|record| record.state != "closed") {
            let text = |field| record.text(field).unwrap_or_default().to_owned();
            for control in record.list(names) {
                open.entry(control.to_owned()).or_default().push(Open {
                    register: name.to_owned(),
                    id: record.id.clone(),
                    state: record.state.clone(),
                    owner: text("owner"),
                    text: text(says),
                });
            }
        }
    }
    open
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
    let submitted = until.iter().rev().find(|one| one.step == "submit");
    let ends = [said.instant("covers_to"), said.instant("expires")];
    let text = |field| said.text(field).unwrap_or_default().to_owned();
    let one = Brought {
        id: record.id.clone(),
        title: text("title"),
        revision: text("revision"),
        owner: text("owner"),
        brought_by: submitted.map(|one| one.by.clone()).unwrap_or_default(),
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
