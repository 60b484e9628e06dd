//! Types of expressions: CEL has none before it runs, so this walks the tree against the facts.

use std::collections::BTreeMap;
use std::ops::Range;

use cel::common::ast::{
    CallExpr, ComprehensionExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo, operators,
};
use shared::fact::Subject;

use super::expression::Need;
use super::guard::{Known, implied};
use super::operand::Type;
use super::{Parameter, Reading, duration_ms};
use crate::fault::{Complaint, nearest};

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
            Expr::List(list) => self.list(&list.elements, known),
            Expr::Comprehension(comprehension) => self.comprehension(expr, comprehension, known),
            Expr::Map(_) | Expr::Struct(_) | Expr::Unspecified => {
                Err(self.wrong(expr, "maps and structures cannot stand in a check"))
            }
        }
    }

    fn list(&mut self, elements: &[IdedExpr], known: &Known) -> Result<Type, Complaint> {
        let mut found = Type::Empty;
        for element in elements {
            let one = Type::List(Box::new(self.infer(element, known)?));
            let Some(both) = found.joined(one) else {
                return Err(self.wrong(element, "the elements of a list have different types"));
            };
            found = both;
        }
        Ok(found)
    }

    fn variable(&mut self, expr: &IdedExpr, name: &str) -> Result<Type, Complaint> {
        if let Some((_, found)) = self.scope.iter().rev().find(|(known, _)| known == name) {
            return Ok(found.clone());
        }
        if name == "now" {
            self.reading.time = true;
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
        let root = if let Expr::Ident(root) = &select.operand.expr {
            root.as_str()
        } else {
            ""
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
            self.reading.values.insert(fact.name.to_owned());
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
        let (list, fields) = match self.infer(&select.operand, known)? {
            Type::Record(list, fields) => (list, fields),
            other @ (Type::Flag
            | Type::Number
            | Type::Text
            | Type::Instant
            | Type::Duration
            | Type::List(_)
            | Type::Empty) => {
                let message = format!("{other} has no field `{name}`");
                return Err(self.member(expr, name, message));
            }
        };
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            let names = fields.iter().map(|field| field.name);
            let message = format!("the records of `{list}` have no field `{name}`");
            return Err(self.member(expr, name, message).hint(nearest(name, names)));
        };
        if select.test {
            return Ok(Type::Flag);
        }
        self.reading.values.insert(format!("{list}.{}", field.name));
        if !guarded() {
            let read = self.reading.fields.entry(list).or_default();
            read.insert(field.name);
        }
        Ok(Type::of(field.kind, list))
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
            (operators::NEGATE, [number]) => {
                let found = self.infer(number, known)?;
                if matches!(found, Type::Number | Type::Duration) {
                    return Ok(found);
                }
                Err(self.wrong(expr, format!("`-` does not go before {found}")))
            }
            (operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT, _) => Err(self
                .wrong(expr, "no record can be taken by its number")
                .hint("use `all`, `exists` or `filter`")),
            (_, [left, right]) if call.target.is_none() && is_operator(name) => {
                let left = self.infer(left, known)?;
                let right = self.infer(right, known)?;
                self.binary(expr, name, &left, &right)
            }
            _ => self.function(expr, call, known),
        }
    }

    fn binary(
        &self,
        expr: &IdedExpr,
        operator: &str,
        left: &Type,
        right: &Type,
    ) -> Result<Type, Complaint> {
        left.with(operator, right).ok_or_else(|| {
            let sign = operator.trim_matches(['_', '@']);
            let message = format!("`{sign}` does not go between {left} and {right}");
            self.wrong(expr, message).hint(left.advice(right))
        })
    }

    fn function(
        &mut self,
        expr: &IdedExpr,
        call: &CallExpr,
        known: &Known,
    ) -> Result<Type, Complaint> {
        let name = call.func_name.as_str();
        let target = call.target.as_deref();
        let arguments: Vec<_> = target.into_iter().chain(&call.args).collect();
        if !FUNCTIONS.contains(&name) {
            let message = format!("there is no function `{name}`");
            let hint = nearest(name, FUNCTIONS.into_iter());
            return Err(self.named(expr, name, message).hint(hint));
        }
        match (name, target.is_some(), arguments.as_slice()) {
            ("size", _, [of]) => {
                let found = self.infer(of, known)?;
                if matches!(found, Type::List(_) | Type::Empty | Type::Text) {
                    return Ok(Type::Number);
                }
                Err(self.wrong(of, format!("`size` does not take {found}")))
            }
            ("age", false, [instant]) => {
                self.wanted(instant, &Type::Instant, known)?;
                self.reading.time = true;
                Ok(Type::Duration)
            }
            ("duration" | "unknown", false, [text]) => {
                let Expr::Literal(LiteralValue::String(literal)) = &text.expr else {
                    return Err(self.wrong(text, format!("`{name}` takes a text in quotes")));
                };
                let literal = literal.inner();
                if name == "unknown" {
                    return Ok(Type::Flag);
                }
                let good = duration_ms(literal).map(|_ms| Type::Duration);
                good.ok_or_else(|| {
                    self.wrong(text, format!("`{literal}` is no duration"))
                        .hint("write a whole number and one of ms, s, m, h, d: `26h`")
                })
            }
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
        let range = self.infer(&comprehension.iter_range, known)?;
        let Type::List(element) = range else {
            let message = format!("only a list has elements, and this is {range}");
            return Err(self.wrong(&comprehension.iter_range, message));
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
        self.scope.push((variable.clone(), *element));
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
        if let Expr::Select(select) = &expr.expr {
            // The parser places a selection at its dot.
            return self.member(expr, &select.field, message);
        }
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
