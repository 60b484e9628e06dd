//! What a register is: its fields, its steps, and who may take them. All of it is data.

use super::Proposal;

/// A register of the management system, declared once: the command line, the API and the pages
/// are made from it.
#[derive(Debug)]
pub struct Kind {
    /// Its name, e.g. `nonconformity`; the command is called so.
    pub name: &'static str,
    /// What it is, as a title.
    pub title: &'static str,
    /// What it is for, and when an auditor asks for it.
    pub about: &'static str,
    /// Where the duty to keep it comes from: clauses and controls by their ids.
    pub source: &'static str,
    /// How its records are called.
    pub ids: Ids,
    /// All fields that a record can have.
    pub fields: &'static [Field],
    /// What can be done with a record.
    pub steps: &'static [StepKind],
    /// Dates at which somebody has to act.
    pub due: &'static [Due],
    /// A command that somebody would give, without the name of the program.
    pub example: &'static str,
    /// What fields and steps cannot say.
    pub rule: fn(&Proposal<'_>) -> Result<(), Refusal>,
}

/// How the records of a register are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ids {
    /// By this prefix and the next number: `NC-3`.
    Numbered(&'static str),
    /// By a name that the person gives: a-z, 0-9, `.` and `-`.
    Named,
}

/// A field of a record.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name; the option of the command is called so, with `-` for `_`.
    pub name: &'static str,
    /// What may stand in it.
    pub kind: FieldKind,
    /// It is a list.
    pub many: bool,
    /// What it means.
    pub about: &'static str,
}

/// What may stand in a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Words of a person, as [`shared::words::lines`] takes them.
    Text,
    /// A whole number from the first to the last, in a unit.
    Number {
        /// The smallest.
        least: i64,
        /// The largest.
        most: i64,
        /// What it counts.
        unit: &'static str,
    },
    /// An instant in RFC 3339 with its zone: `2026-12-31T00:00:00Z`.
    Instant,
    /// A day: `2026-12-31`.
    Day,
    /// A duration in days: `90d`.
    Days,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A person who is known.
    Person,
    /// A control of Annex A, edition 2022.
    Control,
    /// A control, or a clause of ISO/IEC 27001:2022.
    Requirement,
    /// A check of the catalogue in force.
    Check,
    /// A host, or several with `*`: `web-*`.
    Host,
    /// A machine, or several with `*`, enrolled or only expected.
    Machine,
    /// A group of hosts that is defined.
    Group,
    /// A record of this register.
    Record(&'static str),
    /// A record of the ledger, by its SHA-256.
    Evidence,
    /// A file that is given with the decision, by its SHA-256.
    Document,
}

/// What can be done with a record.
#[derive(Clone, Copy, Debug)]
pub struct StepKind {
    /// Its name, e.g. `approve`.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// The states from which it can be taken; [`NEW`] makes a record.
    pub from: &'static [&'static str],
    /// The state after it; the same as before when empty.
    pub to: &'static str,
    /// Fields that must be given.
    pub must: &'static [&'static str],
    /// Fields that may be given.
    pub may: &'static [&'static str],
    /// Who may take it.
    pub who: &'static [Who],
    /// Fields that end with this step where it does not give them anew: what was said of the
    /// revision before says nothing of this one.
    pub clears: &'static [&'static str],
}

/// The state of a record that does not exist yet.
pub const NEW: &str = "";

/// Who may take a step. All that is listed must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The person in this field.
    Is(&'static str),
    /// Anybody but the person in this field.
    IsNot(&'static str),
    /// Anybody who did not take this step since the step in question was last taken: who brought a
    /// part does not approve the whole.
    DidNot(&'static str),
    /// Anybody who never was the person in this field.
    NeverWas(&'static str),
    /// Anybody who never took this step.
    Never(&'static str),
}

/// A date in a field at which somebody has to act.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// The field: an instant or a day.
    pub field: &'static str,
    /// The states in which it counts.
    pub states: &'static [&'static str],
    /// What is due, after the id of the record: `ends`, `is to be checked`.
    pub what: &'static str,
    /// How many days ahead it is told.
    pub ahead_days: i64,
}

/// A proposal that is not accepted; nothing was changed. The person who made it must correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{operand}: {problem}")]
pub struct Refusal {
    /// The field, step or id that is wrong.
    pub operand: String,
    /// What is wrong.
    pub problem: String,
    /// What can be done; may be empty.
    pub hint: String,
}

impl Refusal {
    /// A refusal of this operand.
    pub fn new(operand: &str, problem: impl Into<String>) -> Self {
        Self {
            operand: operand.to_owned(),
            problem: problem.into(),
            hint: String::new(),
        }
    }

    /// The same with what can be done.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }
}

impl Kind {
    /// The field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }

    /// The field that names a file which comes with a step.
    #[must_use]
    pub fn document(&self) -> Option<&'static Field> {
        let mut fields = self.fields.iter();
        fields.find(|field| field.kind == FieldKind::Document)
    }

    /// The step of this name.
    #[must_use]
    pub fn step(&self, name: &str) -> Option<&'static StepKind> {
        self.steps.iter().find(|step| step.name == name)
    }
}

impl StepKind {
    /// Whether it makes a record.
    #[must_use]
    pub fn makes(&self) -> bool {
        self.from.contains(&NEW)
    }
}

/// A field with one value.
pub(super) const fn one(name: &'static str, kind: FieldKind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        many: false,
        about,
    }
}

/// A field with a list of values.
pub(super) const fn many(name: &'static str, kind: FieldKind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        many: true,
        about,
    }
}
