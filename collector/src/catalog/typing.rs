//! Types of expressions: CEL has none before it runs, so this walks the tree against the facts.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use shared::fact::{Field, Kind, Subject};

use super::expression::Need;
use super::fault::{Complaint, nearest};
use super::{Parameter, Reading, duration_ms};

/// Deepest nesting of `all`, `exists`, `filter` and `map`.
const NESTING_MAX: usize = 2;
/// Every function that an expression may call.
const FUNCTIONS: [&str; 13] = [
    "age",
    "all",
    "contains",
    "duration",
    "endsWith",
    "exists",
    "exists_one",
    "filter",
    "has",
    "map",
    "size",
    "startsWith",
    "unknown",
];

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
    fn of(kind: Kind, fact: &'static str) -> Self {
        match kind {
            Kind::Flag => Self::Flag,
            Kind::Number(_) => Self::Number,
            Kind::Text => Self::Text,
            Kind::Instant => Self::Instant,
            Kind::List(fields) => Self::List(Box::new(Self::Record(fact, fields))),
        }
    }

    const fn is_scalar(&self) -> bool {
        !matches!(self, Self::Record(..) | Self::List(_) | Self::Empty)
    }

    fn joined(self, other: Self) -> Option<Self> {
        match (self, other) {
            (a, b) if a == b => Some(a),
            (Self::Empty, list @ Self::List(_)) | (list @ Self::List(_), Self::Empty) => Some(list),
            _ => None,
        }
    }
}

/// What a `has` decided on the way to a place: `fact` or a variable, the member, and whether it
/// was seen.
type Known = BTreeMap<(String, String), bool>;

/// The type of the whole expression, and what it reads.
pub(super) fn infer(
    tree: &IdedExpr,
    source: &str,
    places: &SourceInfo,
    subject: &'static Subject,
    parameters: &BTreeMap<String, Parameter>,
) -> Result<(Type, Reading), Complaint> {
    let mut typing = Typing {
        source,
        places,
        subject,
        parameters,
        scope: Vec::new(),
        nesting: 0,
        reading: Reading::default(),
    };
    let found = typing.infer(tree, &Known::new())?;
    Ok((found, typing.reading))
}

struct Typing<'a> {
    source: &'a str,
    places: &'a SourceInfo,
    subject: &'static Subject,
    parameters: &'a BTreeMap<String, Parameter>,
    /// Variables of comprehensions, innermost last.
    scope: Vec<(String, Type)>,
    nesting: usize,
    reading: Reading,
}

impl Typing<'_> {
    fn infer(&mut self, expr: &IdedExpr, known: &Known) -> Result<Type, Complaint> {
        match &expr.expr {
            Expr::Literal(LiteralValue::Boolean(_)) => Ok(Type::Flag),
            Expr::Literal(LiteralValue::Int(_)) => Ok(Type::Number),
            Expr::Literal(LiteralValue::String(_)) => Ok(Type::Text),
            Expr::Literal(_) => Err(self
                .wrong(expr, "no value of this kind can stand here")
                .hint("use a flag, a whole number or a text")),
            Expr::Ident(name) => self.variable(expr, name),
            Expr::Select(select) => self.select(expr, select, known),
            Expr::Call(call) => self.call(expr, call, known),
            Expr::List(list) => {
                let mut found = Type::Empty;
                for element in &list.elements {
                    let one = Type::List(Box::new(self.infer(element, known)?));
                    found = found.joined(one).ok_or_else(|| {
                        self.wrong(element, "the elements of a list have different types")
                    })?;
                }
                Ok(found)
            }
            Expr::Comprehension(comprehension) => self.comprehension(expr, comprehension, known),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err(self.wrong(expr, "maps and structures cannot stand in a check"))
            }
        }
    }

    fn variable(&self, expr: &IdedExpr, name: &str) -> Result<Type, Complaint> {
        if let Some((_, found)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return Ok(found.clone());
        }
        if name == "now" {
            return Ok(Type::Instant);
        }
        if matches!(name, "fact" | "param") {
            let message = format!("`{name}` alone is no value");
            return Err(self
                .wrong(expr, message)
                .hint(format!("write `{name}.NAME`")));
        }
        let hint = if self.subject.fact(name).is_some() {
            format!("did you mean `fact.{name}`?")
        } else {
            let scope = self.scope.iter().map(|(name, _)| name.as_str());
            let visible = scope.filter(|name| !name.starts_with('@'));
            nearest(name, ["fact", "now", "param"].into_iter().chain(visible))
        };
        Err(self
            .wrong(expr, format!("there is no variable `{name}`"))
            .hint(hint))
    }

    fn select(
        &mut self,
        expr: &IdedExpr,
        select: &SelectExpr,
        known: &Known,
    ) -> Result<Type, Complaint> {
        let name = select.field.as_str();
        let root = match &select.operand.expr {
            Expr::Ident(root) => root.as_str(),
            _ => "",
        };
        let guarded = || known.get(&(root.to_owned(), name.to_owned())) == Some(&true);
        if root == "param" {
            return self.parameter(expr, select);
        }
        if root == "fact" {
            let Some(fact) = self.subject.fact(name) else {
                let facts = self.subject.facts.iter().map(|fact| fact.name);
                let message = format!("probe `{}` has no fact `{name}`", self.subject.probe);
                return Err(self.member(expr, name, message).hint(nearest(name, facts)));
            };
            self.reading.facts.insert(fact.name);
            if select.test {
                return Ok(Type::Flag);
            }
            if !guarded() {
                let facts = known.iter().filter(|((root, _), _)| root == "fact");
                let under = facts
                    .map(|((_, name), seen)| (name.clone(), *seen))
                    .collect();
                let name = fact.name;
                self.reading.required.insert(Need { name, under });
            }
            return Ok(Type::of(fact.kind, fact.name));
        }
        match self.infer(&select.operand, known)? {
            Type::Record(list, fields) => {
                let Some(field) = fields.iter().find(|field| field.name == name) else {
                    let names = fields.iter().map(|field| field.name);
                    let message = format!("the records of `{list}` have no field `{name}`");
                    return Err(self.member(expr, name, message).hint(nearest(name, names)));
                };
                if select.test {
                    return Ok(Type::Flag);
                }
                if !guarded() {
                    self.reading
                        .fields
                        .entry(list)
                        .or_default()
                        .insert(field.name);
                }
                Ok(Type::of(field.kind, list))
            }
            other => {
                let message = format!("{other} has no field `{name}`");
                Err(self.member(expr, name, message))
            }
        }
    }

    fn parameter(&self, expr: &IdedExpr, select: &SelectExpr) -> Result<Type, Complaint> {
        let name = select.field.as_str();
        if select.test {
            return Err(self
                .member(expr, name, "a parameter is always there")
                .hint("`has` asks for facts and for fields of records"));
        }
        match self.parameters.get(name) {
            Some(Parameter::Flag(_)) => Ok(Type::Flag),
            Some(Parameter::Number(_)) => Ok(Type::Number),
            Some(Parameter::Duration(_)) => Ok(Type::Duration),
            None => {
                let names = self.parameters.keys().map(String::as_str);
                let message = format!("the check has no parameter `{name}`");
                Err(self.member(expr, name, message).hint(nearest(name, names)))
            }
        }
    }

    fn call(&mut self, expr: &IdedExpr, call: &CallExpr, known: &Known) -> Result<Type, Complaint> {
        let name = call.func_name.as_str();
        match (name, call.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, [left, right]) => {
                self.wanted(left, &Type::Flag, known)?;
                let mut after = known.clone();
                implied(left, name == operators::LOGICAL_AND, &mut after);
                self.wanted(right, &Type::Flag, &after)
            }
            (operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE, [flag]) => {
                self.wanted(flag, &Type::Flag, known)
            }
            (operators::CONDITIONAL, [condition, yes, no]) => {
                self.wanted(condition, &Type::Flag, known)?;
                let (mut if_true, mut if_false) = (known.clone(), known.clone());
                implied(condition, true, &mut if_true);
                implied(condition, false, &mut if_false);
                let yes = self.infer(yes, &if_true)?;
                let no = self.infer(no, &if_false)?;
                let message = format!("one branch gives {yes} and the other {no}");
                yes.joined(no).ok_or_else(|| self.wrong(expr, message))
            }
            (operators::NEGATE, [number]) => match self.infer(number, known)? {
                found @ (Type::Number | Type::Duration) => Ok(found),
                other => Err(self.wrong(expr, format!("`-` does not go before {other}"))),
            },
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, _) => Err(self
                .wrong(expr, "no record can be taken by its number")
                .hint("use `all`, `exists` or `filter`")),
            (_, [left, right]) if call.target.is_none() && is_operator(name) => {
                let left = self.infer(left, known)?;
                let right = self.infer(right, known)?;
                self.binary(expr, name, left, right)
            }
            (_, arguments) => {
                let target = call.target.as_deref();
                let arguments: Vec<_> = target.into_iter().chain(arguments).collect();
                self.function(expr, name, target.is_some(), &arguments, known)
            }
        }
    }

    fn binary(
        &self,
        expr: &IdedExpr,
        operator: &str,
        left: Type,
        right: Type,
    ) -> Result<Type, Complaint> {
        use Type::{Duration, Empty, Flag, Instant, List, Number};
        let found = match (operator, &left, &right) {
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
            ) if left == *b => Some(Flag),
            (operators::IN, one, List(of)) if *one == **of && one.is_scalar() => Some(Flag),
            (operators::ADD, List(_) | Empty, List(_) | Empty) => {
                left.clone().joined(right.clone())
            }
            (operators::ADD, Instant, Duration) => Some(Instant),
            (operators::ADD | operators::SUBSTRACT, Duration, Duration)
            | (operators::MULTIPLY, Number, Duration)
            | (operators::MULTIPLY | operators::DIVIDE, Duration, Number)
            | (operators::SUBSTRACT, Instant, Instant) => Some(Duration),
            (operators::SUBSTRACT, Instant, Duration) => Some(Instant),
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
        };
        found.ok_or_else(|| {
            let sign = operator.trim_matches(['_', '@']);
            let message = format!("`{sign}` does not go between {left} and {right}");
            let hint = match (&left, &right) {
                (Instant, Duration) | (Duration, Instant) => "`age(INSTANT)` gives a duration",
                (Duration, Number) | (Number, Duration) | (Instant, Number) | (Number, Instant) => {
                    "write a duration as `duration(\"26h\")`"
                }
                (List(_), _) | (_, List(_)) => "`size(LIST)` gives a number",
                _ => "",
            };
            self.wrong(expr, message).hint(hint)
        })
    }

    fn function(
        &mut self,
        expr: &IdedExpr,
        name: &str,
        method: bool,
        arguments: &[&IdedExpr],
        known: &Known,
    ) -> Result<Type, Complaint> {
        if !FUNCTIONS.contains(&name) {
            let message = format!("there is no function `{name}`");
            let hint = nearest(name, FUNCTIONS.into_iter());
            return Err(self.named(expr, name, message).hint(hint));
        }
        match (name, method, arguments) {
            ("size", _, [of]) => match self.infer(of, known)? {
                Type::List(_) | Type::Empty | Type::Text => Ok(Type::Number),
                other => Err(self.wrong(of, format!("`size` does not take {other}"))),
            },
            ("age", false, [instant]) => {
                self.wanted(instant, &Type::Instant, known)?;
                Ok(Type::Duration)
            }
            ("duration" | "unknown", false, [text]) => match &text.expr {
                Expr::Literal(LiteralValue::String(_)) if name == "unknown" => Ok(Type::Flag),
                Expr::Literal(LiteralValue::String(literal)) => {
                    let literal = literal.inner();
                    let good = duration_ms(literal).map(|_ms| Type::Duration);
                    good.ok_or_else(|| {
                        self.wrong(text, format!("`{literal}` is no duration"))
                            .hint("write a whole number and one of ms, s, m, h, d: `26h`")
                    })
                }
                _ => Err(self.wrong(text, format!("`{name}` takes a text in quotes"))),
            },
            ("contains" | "startsWith" | "endsWith", true, [text, part]) => {
                self.wanted(text, &Type::Text, known)?;
                self.wanted(part, &Type::Text, known)?;
                Ok(Type::Flag)
            }
            _ => Err(self.named(expr, name, format!("`{name}` is not called like this"))),
        }
    }

    fn comprehension(
        &mut self,
        expr: &IdedExpr,
        comprehension: &ComprehensionExpr,
        known: &Known,
    ) -> Result<Type, Complaint> {
        let variable = &comprehension.iter_var;
        let element = match self.infer(&comprehension.iter_range, known)? {
            Type::List(element) => *element,
            other => {
                let message = format!("only a list has elements, and this is {other}");
                return Err(self.wrong(&comprehension.iter_range, message));
            }
        };
        let taken = self.scope.iter().any(|(name, _)| name == variable);
        if taken || matches!(variable.as_str(), "fact" | "param" | "now") {
            let message = format!("the variable `{variable}` has a meaning already");
            return Err(self.wrong(expr, message).hint("choose another name"));
        }
        if self.nesting >= NESTING_MAX {
            let message = format!("comprehensions are nested more than {NESTING_MAX} deep");
            return Err(self.wrong(expr, message));
        }
        let before = self.infer(&comprehension.accu_init, known)?;
        let depth = self.scope.len();
        self.nesting += 1;
        self.scope.push((variable.clone(), element));
        self.scope
            .push((comprehension.accu_var.clone(), before.clone()));
        self.wanted(&comprehension.loop_cond, &Type::Flag, known)?;
        let step = self.infer(&comprehension.loop_step, known)?;
        let message = format!("the steps give {step} and not {before}");
        let after = before
            .joined(step)
            .ok_or_else(|| self.wrong(&comprehension.loop_step, message))?;
        self.scope.truncate(depth);
        self.scope.push((comprehension.accu_var.clone(), after));
        let result = self.infer(&comprehension.result, known);
        self.scope.truncate(depth);
        self.nesting -= 1;
        result
    }

    fn wanted(&mut self, expr: &IdedExpr, want: &Type, known: &Known) -> Result<Type, Complaint> {
        let found = self.infer(expr, known)?;
        if found == *want {
            Ok(found)
        } else {
            let message = format!("this is {found}, and {want} is wanted");
            Err(self.wrong(expr, message))
        }
    }

    fn place(&self, expr: &IdedExpr) -> Range<usize> {
        let place = self.places.offset_for(expr.id).and_then(|(start, stop)| {
            let (start, stop) = (usize::try_from(start).ok()?, usize::try_from(stop).ok()?);
            Some(start..(stop + 1).max(start + 1))
        });
        place
            .filter(|place| place.end <= self.source.len())
            .unwrap_or(0..self.source.len())
    }

    fn wrong(&self, expr: &IdedExpr, message: impl Into<String>) -> Complaint {
        Complaint::new(self.place(expr), message)
    }

    /// A complaint about the member `name` that is selected at `expr`.
    fn member(&self, expr: &IdedExpr, name: &str, message: impl Into<String>) -> Complaint {
        let from = self.place(expr).start;
        let rest = self.source.get(from..).unwrap_or_default();
        let at = rest.find(name).map_or(from, |found| from + found);
        Complaint::new(at..at + name.len(), message)
    }

    /// A complaint about the function `name` that is called at `expr`: its place is the bracket.
    fn named(&self, expr: &IdedExpr, name: &str, message: impl Into<String>) -> Complaint {
        let end = self.place(expr).end;
        let before = self.source.get(..end).unwrap_or_default();
        let at = before.rfind(name).unwrap_or_else(|| self.place(expr).start);
        Complaint::new(at..at + name.len(), message)
    }
}

fn is_operator(name: &str) -> bool {
    name.starts_with('_') || name == operators::IN
}

/// Adds what certainly was or was not seen when `expr` gave `outcome`.
fn implied(expr: &IdedExpr, outcome: bool, known: &mut Known) {
    match &expr.expr {
        Expr::Select(select) if select.test => {
            if let Expr::Ident(root) = &select.operand.expr {
                known.insert((root.clone(), select.field.clone()), outcome);
            }
        }
        Expr::Call(call) => match (call.func_name.as_str(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, [flag]) => implied(flag, !outcome, known),
            (operators::LOGICAL_AND, [left, right]) if outcome => {
                implied(left, true, known);
                implied(right, true, known);
            }
            (operators::LOGICAL_OR, [left, right]) if !outcome => {
                implied(left, false, known);
                implied(right, false, known);
            }
            _ => {}
        },
        _ => {}
    }
}
