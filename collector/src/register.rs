//! What people decided: the records of the management system, as the ledger says.
//!
//! Each register is declared as data ([`KINDS`]): its fields, the steps by which a record moves
//! from state to state, who may take them. [`Register::check`] holds a proposed step to that
//! declaration; [`Register::take`] applies a decision that stands in the ledger and never refuses,
//! so an old ledger can be read by a newer program.
//!
//! Decisions are few next to evidence, so all of them are in memory, and the register as of an
//! instant ([`Register::at`]) is made by taking those before it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::decision::{Decided, Decision, InForce, Person, Step, Value};
use shared::id::{AgentId, Digest, PersonId};
use shared::key::PublicKey;
use shared::time::Timestamp;

use crate::catalog::Catalog;

mod entry;
mod field;
mod kind;
mod kinds;
mod may;
mod pattern;
mod people;
mod revision;
pub mod views;

pub use kind::{Due, Field, FieldKind, Ids, Kind, NEW, Refusal, StepKind, Who};
pub use kinds::KINDS;
pub use pattern::Pattern;
pub use people::Changed;
pub use revision::Document;

/// Most records of one register.
const RECORDS_MAX: usize = 100_000;

/// All registers, and the people who may decide.
#[derive(Clone, Debug, Default)]
pub struct Register {
    people: BTreeMap<PersonId, Person>,
    /// Every key that was ever somebody's, and whose it was first.
    held: BTreeMap<PublicKey, PersonId>,
    records: BTreeMap<String, BTreeMap<String, Record>>,
    catalogue: Option<InForce>,
    said: BTreeSet<Digest>,
    log: Vec<Logged>,
    unreadable: Vec<u64>,
}

/// A decision and its place in the ledger.
#[derive(Clone, Debug)]
struct Logged {
    entry: u64,
    record: Digest,
    decision: Decision,
}

/// A record of a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Id, e.g. `NC-3`.
    pub id: String,
    /// State, as its register calls it.
    pub state: String,
    /// What was said last of each field.
    pub fields: BTreeMap<String, Value>,
    /// Every step, the first one first.
    pub history: Vec<Event>,
}

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Which step.
    pub step: String,
    /// What was said with it.
    pub fields: BTreeMap<String, Value>,
    /// Place of the decision in the ledger.
    pub entry: u64,
    /// Id of the decision.
    pub record: Digest,
    /// What the person signed.
    pub statement: Option<Digest>,
}

/// What a proposal is held to besides the registers.
pub struct Terms<'a> {
    /// The catalogue in force.
    pub catalog: &'a Catalog,
    /// All hosts that were ever enrolled.
    pub hosts: &'a BTreeSet<AgentId>,
    /// Whether the ledger has a record of this id.
    pub has_record: &'a dyn Fn(&Digest) -> bool,
    /// A file that comes with the proposal, or that an earlier one brought.
    pub document: &'a dyn Fn(&Digest) -> Option<Vec<u8>>,
    /// Now.
    pub now: Timestamp,
}

impl std::fmt::Debug for Terms<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Terms({})", self.now)
    }
}

/// A step that somebody wants to take, with the record as it would be.
#[derive(Debug)]
pub struct Proposal<'a> {
    /// The registers as they are.
    pub register: &'a Register,
    /// The surroundings.
    pub terms: &'a Terms<'a>,
    /// The step.
    pub step: &'static StepKind,
    /// Who wants to take it.
    pub by: &'a PersonId,
    /// The record before; `None` when it is made.
    pub before: Option<&'a Record>,
    /// All fields as they would be.
    pub fields: BTreeMap<String, Value>,
}

/// The declaration of a register.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|kind| kind.name == name)
}

impl Register {
    /// Takes a decision that stands at `entry` of the ledger under the id `record`.
    ///
    /// What this program does not know is kept, and changes nothing else.
    pub fn take(&mut self, entry: u64, record: Digest, decision: Decision) {
        if let Some(statement) = decision.statement {
            let _new = self.said.insert(statement);
        }
        match &decision.decides {
            Decided::Person(person) => self.person_is(person),
            Decided::Catalogue(catalogue) => self.catalogue = Some(catalogue.clone()),
            Decided::Record(step) => self.step(entry, record, &decision, step),
            Decided::Enrol(_) | Decided::Revoke(_) | Decided::Import(_) => return,
        }
        self.log.push(Logged {
            entry,
            record,
            decision,
        });
    }

    fn step(&mut self, entry: u64, id: Digest, decision: &Decision, step: &Step) {
        let known = kind(&step.register).and_then(|kind| kind.step(&step.step));
        let records = self.records.entry(step.register.clone()).or_default();
        let record = records.entry(step.record.clone());
        let record = record.or_insert_with(|| Record {
            id: step.record.clone(),
            state: NEW.to_owned(),
            fields: BTreeMap::new(),
            history: Vec::new(),
        });
        if let Some(known) = known
            && !known.to.is_empty()
        {
            known.to.clone_into(&mut record.state);
        }
        said(&mut record.fields, known, &step.fields);
        record.history.push(Event {
            at: decision.at,
            by: decision.by.clone(),
            step: step.step.clone(),
            fields: step.fields.clone(),
            entry,
            record: id,
            statement: decision.statement,
        });
    }

    /// The registers as they were at an instant: decisions of that very instant count.
    #[must_use]
    pub fn at(&self, instant: Timestamp) -> Self {
        let mut then = Self::default();
        for logged in &self.log {
            if logged.decision.at <= instant {
                then.take(logged.entry, logged.record, logged.decision.clone());
            }
        }
        then
    }

    /// Every decision of a person or about a catalogue, in the order of the ledger: its entry, its
    /// id, and what was decided.
    pub fn decisions(&self) -> impl Iterator<Item = (u64, Digest, &Decision)> {
        let logged = self.log.iter();
        logged.map(|logged| (logged.entry, logged.record, &logged.decision))
    }

    /// Whether this statement of a person has decided something already.
    #[must_use]
    pub fn has_said(&self, statement: &Digest) -> bool {
        self.said.contains(statement)
    }

    /// Everybody who was ever made known, in the order of the ids.
    pub fn people(&self) -> impl Iterator<Item = &Person> {
        self.people.values()
    }

    /// The person of this id.
    #[must_use]
    pub fn person(&self, id: &PersonId) -> Option<&Person> {
        self.people.get(id)
    }

    /// The catalogue in force; `None` until the first was put in force.
    #[must_use]
    pub const fn catalogue(&self) -> Option<&InForce> {
        self.catalogue.as_ref()
    }

    /// The record of this id.
    #[must_use]
    pub fn record(&self, register: &str, id: &str) -> Option<&Record> {
        self.records.get(register)?.get(id)
    }

    /// All records of a register, in the order in which they were made.
    #[must_use]
    pub fn records(&self, register: &str) -> Vec<&Record> {
        let mut all: Vec<_> = self
            .records
            .get(register)
            .map_or_else(Vec::new, |records| records.values().collect());
        all.sort_by_key(|record| record.history.first().map(|event| event.entry));
        all
    }

    /// The id of the next record of a register; `None` when its records are named by people.
    #[must_use]
    pub fn next_id(&self, kind: &Kind) -> Option<String> {
        let Ids::Numbered(prefix) = kind.ids else {
            return None;
        };
        let number = |id: &String| -> Option<u64> {
            id.strip_prefix(prefix)?.strip_prefix('-')?.parse().ok()
        };
        let records = self.records.get(kind.name);
        let last = records.and_then(|records| records.keys().filter_map(number).max());
        Some(format!("{prefix}-{}", last.unwrap_or(0).saturating_add(1)))
    }

    /// Holds a proposed step to the declaration of its register.
    ///
    /// # Errors
    ///
    /// [`Refusal`] names what is wrong and what can be done; nothing was changed.
    pub fn check(&self, step: &Step, by: &PersonId, terms: &Terms<'_>) -> Result<(), Refusal> {
        let Some(kind) = kind(&step.register) else {
            let names = KINDS.iter().map(|kind| kind.name);
            return Err(
                Refusal::new("register", format!("there is no `{}`", step.register))
                    .hint(crate::fault::nearest(&step.register, names)),
            );
        };
        let Some(known) = kind.step(&step.step) else {
            let names = kind.steps.iter().map(|step| step.name);
            let problem = format!("`{}` is no step of `{}`", step.step, kind.name);
            return Err(
                Refusal::new("step", problem).hint(crate::fault::nearest(&step.step, names))
            );
        };
        if !self.people.get(by).is_some_and(|person| person.active) {
            return Err(Refusal::new("by", format!("`{by}` may not decide here"))
                .hint("`evident-collector person list` shows who may"));
        }
        let before = self.before(kind, known, &step.record)?;
        seen(before, step)?;
        field::check(kind, known, step, self, terms)?;
        let mut fields = before
            .map(|record| record.fields.clone())
            .unwrap_or_default();
        said(&mut fields, Some(known), &step.fields);
        field::check_again(kind, known, &fields, self, terms)?;
        let proposal = Proposal {
            register: self,
            terms,
            step: known,
            by,
            before,
            fields,
        };
        proposal.who_may()?;
        (kind.rule)(&proposal)
    }

    /// The record that a step would change, which must be in one of the states it starts from.
    fn before(&self, kind: &Kind, step: &StepKind, id: &str) -> Result<Option<&Record>, Refusal> {
        let record = self.record(kind.name, id);
        let state = record.map_or(NEW, |record| record.state.as_str());
        if step.from.contains(&state) {
            if record.is_none() {
                self.new_id(kind, id)?;
            }
            return Ok(record);
        }
        let (name, from) = (step.name, step.from.join(" or "));
        Err(match record {
            None => Refusal::new("id", format!("there is no {} `{id}`", kind.name))
                .hint(format!("`evident-collector {} list` shows all", kind.name)),
            Some(_) if step.from == [NEW] => {
                Refusal::new("id", format!("`{id}` exists already")).hint("take another id")
            }
            Some(_) => Refusal::new(
                "step",
                format!("`{id}` is {state}, and `{name}` is for one that is {from}"),
            ),
        })
    }

    fn new_id(&self, kind: &Kind, id: &str) -> Result<(), Refusal> {
        let known = self.records.get(kind.name).map_or(0, BTreeMap::len);
        if RECORDS_MAX <= known {
            return Err(Refusal::new("id", "the register is full"));
        }
        match self.next_id(kind) {
            Some(next) if next != id => Err(Refusal::new(
                "id",
                format!("the next one is `{next}`, and not `{id}`"),
            )
            .hint("somebody was quicker: try again")),
            // Named records have names as people have.
            None if id.parse::<PersonId>().is_err() => Err(Refusal::new(
                "id",
                format!("`{id}` is no name: 1 to 63 of a-z, 0-9, `.` and `-` are wanted"),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

/// Whether a step is about the record as it is: who approves something approves what they saw.
fn seen(before: Option<&Record>, step: &Step) -> Result<(), Refusal> {
    let last = before.and_then(Record::last_decision);
    if step.after == last {
        return Ok(());
    }
    let (register, id) = (&step.register, &step.record);
    let problem = match (step.after, last) {
        (Some(seen), Some(last)) => format!(
            "`{id}` was seen after the decision {}, and {} came meanwhile",
            seen.short(),
            last.short()
        ),
        (None, Some(_last)) => format!("it does not say which state of `{id}` was seen"),
        (Some(_) | None, None) => format!("`{id}` was seen, and there is none"),
    };
    let hint = format!("look again: `evident-collector {register} show {id}`, then decide anew");
    Err(Refusal::new("after", problem).hint(hint))
}

impl Record {
    /// Id of the last decision about it.
    #[must_use]
    pub fn last_decision(&self) -> Option<Digest> {
        self.history.last().map(|event| event.record)
    }

    /// The text of a field.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        text(&self.fields, field)
    }

    /// The values of a field, one or several.
    #[must_use]
    pub fn list(&self, field: &str) -> Vec<&str> {
        list(&self.fields, field)
    }

    /// The instant in a field; a day counts from its first moment in UTC.
    #[must_use]
    pub fn instant(&self, field: &str) -> Option<Timestamp> {
        instant(&self.fields, field)
    }

    /// The last time that this step was taken.
    #[must_use]
    pub fn last(&self, step: &str) -> Option<&Event> {
        self.history.iter().rev().find(|event| event.step == step)
    }

    /// When it came into the state in which it is.
    #[must_use]
    pub fn since(&self, register: &Kind) -> Option<Timestamp> {
        let moves = |event: &&Event| {
            let step = register.step(&event.step);
            step.is_some_and(|step| step.to == self.state)
        };
        let event = self.history.iter().rev().find(moves);
        event.map(|event| event.at)
    }
}

impl Proposal<'_> {
    /// The text of a field.
    #[must_use]
    pub fn text(&self, field: &str) -> Option<&str> {
        text(&self.fields, field)
    }

    /// The values of a field, one or several.
    #[must_use]
    pub fn list(&self, field: &str) -> Vec<&str> {
        list(&self.fields, field)
    }

    /// The instant in a field.
    #[must_use]
    pub fn instant(&self, field: &str) -> Option<Timestamp> {
        instant(&self.fields, field)
    }
}

/// Puts what a step says over what was said before it.
fn said(
    fields: &mut BTreeMap<String, Value>,
    step: Option<&StepKind>,
    new: &BTreeMap<String, Value>,
) {
    let clears = step.map_or(&[][..], |step| step.clears);
    fields.retain(|name, _value| !clears.contains(&name.as_str()));
    fields.extend(
        new.iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
}

fn text<'a>(fields: &'a BTreeMap<String, Value>, field: &str) -> Option<&'a str> {
    match fields.get(field)? {
        Value::Text(text) => Some(text),
        Value::Flag(_) | Value::Number(_) | Value::List(_) => None,
    }
}

fn list<'a>(fields: &'a BTreeMap<String, Value>, field: &str) -> Vec<&'a str> {
    match fields.get(field) {
        Some(Value::Text(text)) => vec![text],
        Some(Value::List(texts)) => texts.iter().map(String::as_str).collect(),
        Some(Value::Flag(_) | Value::Number(_)) | None => Vec::new(),
    }
}

fn instant(fields: &BTreeMap<String, Value>, field: &str) -> Option<Timestamp> {
    let text = text(fields, field)?;
    text.parse().ok().or_else(|| field::day(text))
}

#[cfg(test)]
mod tests;
