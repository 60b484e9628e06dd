//! A typed expression made ready to run: names are resolved once, and values are borrowed.
//!
//! This is the part of CEL that the checks can be written in, and nothing else: whatever has no
//! form here, and every run that ends in an error, is left to the interpreter, whose word counts.
//! So this gives either the same flag as the interpreter or none, which tests hold it to.

use std::collections::BTreeMap;

use shared::fact::{Facts, Record, Value};
use shared::time::Timestamp;

use super::Parameter;

/// How far an instant may lie after the time of collection and still count as age 0: the time of
/// collection is taken before the probes look.
pub(super) const AHEAD_MS_MAX: i64 = 5 * 60 * 1000;

/// What an expression looks at.
pub(super) struct Looked<'a> {
    pub(super) facts: &'a Facts,
    pub(super) parameters: &'a BTreeMap<String, Parameter>,
    pub(super) now: Timestamp,
}

/// No flag came out.
#[derive(Clone, Copy)]
pub(super) enum Stop<'a> {
    /// The expression gave up with this reason.
    GaveUp(&'a str),
    /// Only the interpreter can say what came out.
    Ask,
}

type Ran<'a> = Result<Given<'a>, Stop<'a>>;

/// A value on the way. Instants and durations are numbers here.
#[derive(Clone)]
enum Given<'a> {
    Flag(bool),
    Number(i64),
    Text(&'a str),
    Record(&'a Record),
    Records(&'a [Record]),
    Made(Vec<Self>),
}

impl<'a> Given<'a> {
    fn of(value: &'a Value) -> Self {
        match value {
            Value::Flag(flag) => Self::Flag(*flag),
            Value::Number(number) => Self::Number(*number),
            Value::Text(text) => Self::Text(text),
            Value::Instant(at) => Self::Number(at.unix_ms()),
            Value::List(records) => Self::Records(records),
        }
    }

    const fn flag(&self) -> Result<bool, Stop<'a>> {
        if let Self::Flag(flag) = self {
            Ok(*flag)
        } else {
            Err(Stop::Ask)
        }
    }

    const fn number(&self) -> Result<i64, Stop<'a>> {
        if let Self::Number(number) = self {
            Ok(*number)
        } else {
            Err(Stop::Ask)
        }
    }

    const fn text(&self) -> Result<&'a str, Stop<'a>> {
        if let Self::Text(text) = self {
            Ok(text)
        } else {
            Err(Stop::Ask)
        }
    }

    fn elements(self) -> Result<Vec<Self>, Stop<'a>> {
        match self {
            Self::Records(records) => Ok(records.iter().map(Self::Record).collect()),
            Self::Made(made) => Ok(made),
            Self::Flag(_) | Self::Number(_) | Self::Text(_) | Self::Record(_) => Err(Stop::Ask),
        }
    }

    fn same(&self, other: &Self) -> Result<bool, Stop<'a>> {
        match (self, other) {
            (Self::Flag(one), Self::Flag(other)) => Ok(one == other),
            (Self::Number(one), Self::Number(other)) => Ok(one == other),
            (Self::Text(one), Self::Text(other)) => Ok(one == other),
            _ => Err(Stop::Ask),
        }
    }
}

/// What is made of two values.
#[derive(Clone, Copy)]
pub(super) enum Operator {
    /// Whether they are the same (true) or differ (false).
    Same(bool),
    Ordered(Order),
    In,
    Sum(Sum),
    Search(Search),
}

/// How two numbers are compared.
#[derive(Clone, Copy)]
pub(super) enum Order {
    Less,
    LessEquals,
    Greater,
    GreaterEquals,
}

/// What is computed from two values.
#[derive(Clone, Copy)]
pub(super) enum Sum {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// How a text is searched.
#[derive(Clone, Copy)]
pub(super) enum Search {
    Contains,
    StartsWith,
    EndsWith,
}

/// What is asked of the elements of a list.
pub(super) enum Fold {
    All(Code),
    Exists(Code),
    ExistsOne(Code),
    /// The elements for which the first holds, each as the second gives it.
    Map(Option<Code>, Code),
}

pub(super) type Pair = Box<(Code, Code)>;

/// An expression whose names are resolved.
pub(super) enum Code {
    Flag(bool),
    Number(i64),
    Text(String),
    List(Vec<Self>),
    Now,
    Fact(String),
    HasFact(String),
    Parameter(String),
    /// A variable, by the number of those around it.
    Variable(usize),
    Field(Box<Self>, String),
    HasField(Box<Self>, String),
    Not(Box<Self>),
    Negate(Box<Self>),
    And(Pair),
    Or(Pair),
    If(Box<(Self, Self, Self)>),
    Two(Operator, Pair),
    Size(Box<Self>),
    Age(Box<Self>),
    GiveUp(String),
    Fold(Box<(Self, Fold)>),
}

impl Code {
    /// The flag that comes out.
    pub(super) fn run<'a>(&'a self, looked: &Looked<'a>) -> Result<bool, Stop<'a>> {
        self.flag(looked, &mut Vec::new())
    }

    fn flag<'a>(
        &'a self,
        looked: &Looked<'a>,
        scope: &mut Vec<Given<'a>>,
    ) -> Result<bool, Stop<'a>> {
        self.give(looked, scope)?.flag()
    }

    fn give<'a>(&'a self, looked: &Looked<'a>, scope: &mut Vec<Given<'a>>) -> Ran<'a> {
        Ok(match self {
            Self::Flag(flag) => Given::Flag(*flag),
            Self::Number(number) => Given::Number(*number),
            Self::Text(text) => Given::Text(text),
            Self::List(elements) => {
                let elements = elements.iter().map(|element| element.give(looked, scope));
                Given::Made(elements.collect::<Result<_, _>>()?)
            }
            Self::Now => Given::Number(looked.now.unix_ms()),
            Self::Fact(name) => Given::of(looked.facts.get(name).ok_or(Stop::Ask)?),
            Self::HasFact(name) => Given::Flag(looked.facts.contains_key(name)),
            Self::Parameter(name) => match *looked.parameters.get(name).ok_or(Stop::Ask)? {
                Parameter::Flag(flag) => Given::Flag(flag),
                Parameter::Number(number) | Parameter::Duration(number) => Given::Number(number),
            },
            Self::Variable(depth) => scope.get(*depth).ok_or(Stop::Ask)?.clone(),
            Self::Field(of, name) => {
                Given::of(of.record(looked, scope)?.get(name).ok_or(Stop::Ask)?)
            }
            Self::HasField(of, name) => Given::Flag(of.record(looked, scope)?.contains_key(name)),
            Self::Not(flag) => Given::Flag(!flag.flag(looked, scope)?),
            Self::Negate(number) => {
                let negated = number.give(looked, scope)?.number()?.checked_neg();
                Given::Number(negated.ok_or(Stop::Ask)?)
            }
            Self::And(sides) => Given::Flag(joined(sides, false, looked, scope)?),
            Self::Or(sides) => Given::Flag(joined(sides, true, looked, scope)?),
            Self::If(branches) => {
                let (condition, yes, no) = branches.as_ref();
                let branch = if condition.flag(looked, scope)? {
                    yes
                } else {
                    no
                };
                branch.give(looked, scope)?
            }
            Self::Two(operator, sides) => {
                let left = sides.0.give(looked, scope)?;
                operator.of(left, sides.1.give(looked, scope)?)?
            }
            Self::Size(of) => Given::Number(size(&of.give(looked, scope)?)?),
            Self::Age(instant) => {
                let instant = instant.give(looked, scope)?.number()?;
                let age = looked.now.unix_ms().checked_sub(instant);
                let age = age.filter(|age| -AHEAD_MS_MAX <= *age).ok_or(Stop::Ask)?;
                Given::Number(age.max(0))
            }
            Self::GiveUp(why) => return Err(Stop::GaveUp(why)),
            Self::Fold(fold) => {
                let (range, fold) = fold.as_ref();
                let range = range.give(looked, scope)?.elements()?;
                let depth = scope.len();
                let folded = fold.over(&range, looked, scope);
                scope.truncate(depth);
                folded?
            }
        })
    }

    fn record<'a>(
        &'a self,
        looked: &Looked<'a>,
        scope: &mut Vec<Given<'a>>,
    ) -> Result<&'a Record, Stop<'a>> {
        if let Given::Record(record) = self.give(looked, scope)? {
            Ok(record)
        } else {
            Err(Stop::Ask)
        }
    }
}

impl Operator {
    fn of<'a>(self, left: Given<'a>, right: Given<'a>) -> Ran<'a> {
        Ok(match self {
            Self::Same(equal) => Given::Flag(left.same(&right)? == equal),
            Self::Ordered(order) => {
                let (left, right) = (left.number()?, right.number()?);
                Given::Flag(match order {
                    Order::Less => left < right,
                    Order::LessEquals => left <= right,
                    Order::Greater => left > right,
                    Order::GreaterEquals => left >= right,
                })
            }
            Self::In => {
                let mut found = false;
                for element in right.elements()? {
                    found |= left.same(&element)?;
                }
                Given::Flag(found)
            }
            Self::Sum(sum) => summed(sum, left, right)?,
            Self::Search(search) => {
                let (text, part) = (left.text()?, right.text()?);
                Given::Flag(match search {
                    Search::Contains => text.contains(part),
                    Search::StartsWith => text.starts_with(part),
                    Search::EndsWith => text.ends_with(part),
                })
            }
        })
    }
}

impl Fold {
    fn over<'a>(
        &'a self,
        range: &[Given<'a>],
        looked: &Looked<'a>,
        scope: &mut Vec<Given<'a>>,
    ) -> Ran<'a> {
        let depth = scope.len();
        let mut with = |element: &Given<'a>, code: &'a Code| {
            scope.truncate(depth);
            scope.push(element.clone());
            code.give(looked, scope)
        };
        match self {
            Self::All(code) | Self::Exists(code) => {
                let decides = matches!(self, Self::Exists(_));
                for element in range {
                    // A later element may decide in spite of an error: not here.
                    let flag = with(element, code).map_err(|_stop| Stop::Ask)?.flag()?;
                    if flag == decides {
                        return Ok(Given::Flag(decides));
                    }
                }
                Ok(Given::Flag(!decides))
            }
            Self::ExistsOne(code) => {
                let mut count = 0_usize;
                for element in range {
                    let more = usize::from(with(element, code)?.flag()?);
                    count = count.saturating_add(more);
                }
                Ok(Given::Flag(count == 1))
            }
            Self::Map(keep, code) => {
                let mut made = Vec::new();
                for element in range {
                    if let Some(keep) = keep
                        && !with(element, keep)?.flag()?
                    {
                        continue;
                    }
                    made.push(with(element, code)?);
                }
                Ok(Given::Made(made))
            }
        }
    }
}

/// `&&` where `decides` is false, `||` where it is true: the side that decides does so in spite of
/// an error of the other.
fn joined<'a>(
    sides: &'a (Code, Code),
    decides: bool,
    looked: &Looked<'a>,
    scope: &mut Vec<Given<'a>>,
) -> Result<bool, Stop<'a>> {
    let left = match sides.0.flag(looked, scope) {
        Ok(flag) if flag == decides => return Ok(decides),
        // The interpreter may have seen a flag there.
        Err(Stop::Ask) => return Err(Stop::Ask),
        left => left,
    };
    let right = sides.1.flag(looked, scope)?;
    if right == decides { Ok(decides) } else { left }
}

fn summed<'a>(sum: Sum, left: Given<'a>, right: Given<'a>) -> Ran<'a> {
    if let (Sum::Add, Given::Records(_) | Given::Made(_)) = (sum, &left) {
        let mut elements = left.elements()?;
        elements.extend(right.elements()?);
        return Ok(Given::Made(elements));
    }
    let (left, right) = (left.number()?, right.number()?);
    let result = match sum {
        Sum::Add => left.checked_add(right),
        Sum::Subtract => left.checked_sub(right),
        Sum::Multiply => left.checked_mul(right),
        Sum::Divide => left.checked_div(right),
        Sum::Modulo => left.checked_rem(right),
    };
    result.map(Given::Number).ok_or(Stop::Ask)
}

fn size<'a>(of: &Given<'a>) -> Result<i64, Stop<'a>> {
    let size = match of {
        Given::Text(text) => text.chars().count(),
        Given::Records(records) => records.len(),
        Given::Made(made) => made.len(),
        Given::Flag(_) | Given::Number(_) | Given::Record(_) => return Err(Stop::Ask),
    };
    i64::try_from(size).map_err(|_too_long| Stop::Ask)
}
