//! What people laid down, as the registers say.

use std::collections::{BTreeMap, BTreeSet};

use shared::decision::Decided;
use shared::id::{AgentId, PersonId};
use shared::time::Timestamp;

use super::given::{
    Acknowledgement, Applicability, Brought, Exception, Given, Open, Place, Sla, Window,
};
use crate::catalog::soa::Soa;
use crate::register::views::{Groups, ScopeRule, groups_of};
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
            let place = place(&groups, &scope, &host);
            (host, place)
        };
        let exceptions = register.records("exception").into_iter();
        let known = register.records("acknowledgement").into_iter();
        Self {
            exceptions: exceptions
                .filter_map(|one| exception(one, register))
                .collect(),
            acknowledgements: known
                .filter_map(|one| acknowledgement(one, register))
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

fn exception(record: &Record, register: &Register) -> Option<Exception> {
    let text = |field| record.text(field).unwrap_or_default().to_owned();
    let approval = record.last("approve")?;
    Some(Exception {
        id: record.id.clone(),
        reach: register.reach(record, "approve")?,
        window: window(record, "approve")?,
        owner: text("owner"),
        approver: approval.by.clone(),
        reason: text("reason"),
    })
}

fn acknowledgement(record: &Record, register: &Register) -> Option<Acknowledgement> {
    let given = record.last("give")?;
    Some(Acknowledgement {
        id: record.id.clone(),
        reach: register.reach(record, "give")?,
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
    for document in register.documents(at) {
        let ends = [document.covers_to, document.expires];
        let one = Brought {
            id: document.id,
            title: document.title,
            revision: document.revision,
            owner: document.owner,
            brought_by: document.brought_by,
            approver: document.approved_by,
            approved: document.approved_at,
            covers_from: document.covers_from,
            until: ends.into_iter().flatten().min(),
            document: document.file,
        };
        for control in document.requirements {
            counting.entry(control).or_default().push(one.clone());
        }
    }
    counting
}
