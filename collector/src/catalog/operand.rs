//! Types of parts of expressions, and what the operators make of them.

use std::fmt;

use cel::common::ast::operators;
use shared::fact::{Field, Kind};

/// The type of a part of an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Flag,
    Number,
    Text,
    Instant,
    Duration,
    /// A record of the list fact of this name.
    Record(&'static str, &'static [Field]),
    List(Box<Self>),
    /// A list without elements, whose type is that of the list it is joined with.
    Empty,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flag => "a flag",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Instant => "an instant",
            Self::Duration => "a duration",
            Self::Record(..) => "a record",
            Self::List(_) | Self::Empty => "a list",
        })
    }
}

impl Type {
    pub(super) fn of(kind: Kind, fact: &'static str) -> Self {
        match kind {
            Kind::Flag => Self::Flag,
            Kind::Number(_) => Self::Number,
            Kind::Text => Self::Text,
            Kind::Instant => Self::Instant,
            Kind::List(fields) => Self::List(Box::new(Self::Record(fact, fields))),
        }
    }

    pub(super) const fn is_scalar(&self) -> bool {
        !matches!(self, Self::Record(..) | Self::List(_) | Self::Empty)
    }

    pub(super) fn joined(self, other: Self) -> Option<Self> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (Self::Empty, list @ Self::List(_)) | (list @ Self::List(_), Self::Empty) => Some(list),
            _ => None,
        }
    }

    /// The type of `self OPERATOR right`; `None` when the operator does not go between them.
    pub(super) fn with(&self, operator: &str, right: &Self) -> Option<Self> {
        use Type::{Duration, Empty, Flag, Instant, List, Number};
        match (operator, self, right) {
            (operators::EQUALS | operators::NOT_EQUALS, a, b) if a == b && a.is_scalar() => {
                Some(Flag)
            }
            (
                operators::LESS
                | operators::LESS_EQUALS
                | operators::GREATER
                | operators::GREATER_EQUALS,
                Number | Instant | Duration,
                b,
            ) if self == b => Some(Flag),
            (operators::IN, one, List(of)) if *one == **of && one.is_scalar() => Some(Flag),
            (operators::ADD, List(_) | Empty, List(_) | Empty) => {
                self.clone().joined(right.clone())
            }
            (operators::ADD | operators::SUBSTRACT, Instant, Duration) => Some(Instant),
            (operators::ADD | operators::SUBSTRACT, Duration, Duration)
            | (operators::MULTIPLY, Number, Duration)
            | (operators::MULTIPLY | operators::DIVIDE, Duration, Number)
            | (operators::SUBSTRACT, Instant, Instant) => Some(Duration),
            (
                operators::ADD
                | operators::SUBSTRACT
                | operators::MULTIPLY
                | operators::DIVIDE
                | operators::MODULO,
                Number,
                Number,
            ) => Some(Number),
            _ => None,
        }
    }

    /// What to write instead of an operator between these two; may be empty.
    pub(super) const fn advice(&self, right: &Self) -> &'static str {
        use Type::{Duration, Instant, List, Number};
        match (self, right) {
            (Instant, Duration) | (Duration, Instant) => "`age(INSTANT)` gives a duration",
            (Duration | Instant, Number) | (Number, Duration | Instant) => {
                "write a duration as `duration(\"26h\")`"
            }
            (List(_), _) | (_, List(_)) => "`size(LIST)` gives a number",
            _ => "",
        }
    }
}
