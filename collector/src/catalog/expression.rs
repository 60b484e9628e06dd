//! A CEL expression that was typed against the facts of a probe, and its evaluation.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock};

use cel::common::ast::IdedExpr;
use cel::{Context, Env, ExecutionError, Value as CelValue};
use shared::fact::{Facts, Subject, Value};
use shared::time::Timestamp;

use super::operand::Type;
use super::program::{AHEAD_MS_MAX, Code, Looked, Stop};
use super::{Parameter, compile, duration_ms, typing};
use crate::fault::Complaint;

/// Longest source of an expression in bytes.
pub const SOURCE_BYTES_MAX: usize = 2048;
/// Most opening brackets.
const BRACKETS_MAX: usize = 48;
/// Most operators: the parser and the evaluator recurse once for each of a chain.
const OPERATORS_MAX: usize = 96;
/// Deepest nesting of brackets.
const NESTING_MAX: u16 = 24;

/// A typed expression that gives a flag.
pub struct Expression {
    source: String,
    tree: IdedExpr,
    /// What runs; where it gives no flag, the interpreter has the word.
    code: Option<Code>,
    reading: Reading,
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.source)
    }
}

/// Which facts an expression reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Every fact that is named.
    pub facts: BTreeSet<&'static str>,
    /// Every fact whose value is read, guarded or not; a field of a record stands as `list.field`.
    pub values: BTreeSet<String>,
    /// Facts that are read where no `has` makes sure of them.
    pub required: BTreeSet<Need>,
    /// `now` or `age` is in it, so that the flag can change though no fact does.
    pub time: bool,
    /// Fields of records that are read where nothing guards them, by their list.
    pub fields: BTreeMap<&'static str, BTreeSet<&'static str>>,
}

/// A fact that must have been seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Need {
    /// The fact.
    pub name: &'static str,
    /// It is read only where each of these facts was seen (true) or was not (false).
    pub under: BTreeMap<String, bool>,
}

/// Why an expression gave no flag. The verdict is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// A fact that is read was not seen.
    #[error("`{0}` was not seen")]
    Missing(&'static str),
    /// A list that is read is not whole: it or one of its sources was longer than is looked at.
    #[error("`{0}` was seen in part only")]
    Cut(&'static str),
    /// A field of a record of a list that is read was not seen.
    #[error("`{field}` of record {record} of `{list}` was not seen")]
    MissingField {
        /// The list.
        list: &'static str,
        /// The field.
        field: &'static str,
        /// The record, from 1.
        record: usize,
    },
    /// The expression itself gave up with this reason.
    #[error("{0}")]
    GaveUp(String),
    /// The evaluation ended in an error: overflow, division by zero, a date in the future.
    #[error("the expression could not be evaluated: {0}")]
    Failed(String),
}

impl Expression {
    /// Parses and types an expression.
    pub(super) fn compile(
        source: &str,
        subject: &'static Subject,
        parameters: &BTreeMap<String, Parameter>,
    ) -> Result<Self, Complaint> {
        bounded(source)?;
        // The grammar is a third party's: a panic in it must not end the collector.
        let parsed = catch_unwind(|| {
            let parser = cel::parser::Parser::new().max_recursion_depth(NESTING_MAX);
            parser.parse_with_source_info(source)
        });
        let parsed = parsed
            .map_err(|_panic| Complaint::new(0..source.len(), "this is no CEL expression"))?;
        let (tree, places) = parsed.map_err(|errors| syntax(source, &errors))?;
        let (found, reading) = typing::infer(&tree, source, &places, subject, parameters)?;
        if found != Type::Flag {
            let message = format!("the expression gives {found}, and a flag is wanted");
            return Err(Complaint::new(0..source.len(), message)
                .hint("compare it with something, so that it is true or false"));
        }
        Ok(Self {
            source: source.to_owned(),
            code: compile::compile(&tree),
            tree,
            reading,
        })
    }

    /// The text that was typed.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Which facts it reads.
    pub const fn reading(&self) -> &Reading {
        &self.reading
    }

    /// Evaluates the expression on the facts of an observation made at `now`.
    ///
    /// # Errors
    ///
    /// [`Undecided`]: the verdict is unknown.
    pub fn evaluate(
        &self,
        facts: &Facts,
        parameters: &BTreeMap<String, Parameter>,
        now: Timestamp,
    ) -> Result<bool, Undecided> {
        self.all_seen(facts)?;
        let looked = Looked {
            facts,
            parameters,
            now,
        };
        match self.code.as_ref().map(|code| code.run(&looked)) {
            Some(Ok(flag)) => Ok(flag),
            Some(Err(Stop::GaveUp(why))) => Err(Undecided::GaveUp(why.to_owned())),
            Some(Err(Stop::Ask)) | None => self.interpret(facts, parameters, now),
        }
    }

    /// What the interpreter says, whose word counts.
    fn interpret(
        &self,
        facts: &Facts,
        parameters: &BTreeMap<String, Parameter>,
        now: Timestamp,
    ) -> Result<bool, Undecided> {
        let run = || {
            let read = |(name, _): &(&String, &Value)| self.reading.facts.contains(name.as_str());
            let context = context(facts.iter().filter(read), parameters, now)?;
            CelValue::resolve(&self.tree, &context)
        };
        // The interpreter is a third party's, and the facts come from a host: a panic is unknown.
        let result = catch_unwind(AssertUnwindSafe(run))
            .map_err(|_panic| Undecided::Failed("the interpreter stopped".to_owned()))?;
        match result {
            Ok(CelValue::Bool(flag)) => Ok(flag),
            Ok(other) => Err(Undecided::Failed(format!(
                "{:?} is no flag",
                other.type_of()
            ))),
            Err(ExecutionError::FunctionError { function, message }) if function == "unknown" => {
                Err(Undecided::GaveUp(message))
            }
            Err(error) => Err(Undecided::Failed(error.to_string())),
        }
    }

    fn all_seen(&self, facts: &Facts) -> Result<(), Undecided> {
        let missing = |need: &&Need| {
            let mut under = need.under.iter();
            let reached = under.all(|(name, seen)| facts.contains_key(name) == *seen);
            reached && !facts.contains_key(need.name)
        };
        if let Some(need) = self.reading.required.iter().find(missing) {
            return Err(Undecided::Missing(need.name));
        }
        for (list, fields) in &self.reading.fields {
            let Some(Value::List(records)) = facts.get(*list) else {
                continue;
            };
            let first = records.iter().enumerate().find_map(|(index, record)| {
                let missing = |field: &&&str| !record.contains_key(**field);
                Some((fields.iter().find(missing)?, index + 1))
            });
            if let Some((field, record)) = first {
                return Err(Undecided::MissingField {
                    list,
                    field,
                    record,
                });
            }
        }
        Ok(())
    }
}

/// Refuses what could exhaust the stack of the parser, before it is parsed.
fn bounded(source: &str) -> Result<(), Complaint> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!(
            "the expression has {} bytes, and {SOURCE_BYTES_MAX} are the most",
            source.len()
        );
        return Err(Complaint::new(0..source.len(), message).hint("make two checks of it"));
    }
    if source.trim().is_empty() {
        return Err(Complaint::new(0..source.len(), "the expression is empty"));
    }
    if let Some(at) = source.find(|c: char| !c.is_ascii()) {
        return Err(Complaint::new(
            at..at + 1,
            "only ASCII may stand in an expression",
        ));
    }
    // Texts and comments are counted as well: then nothing can hide from the count.
    let (mut brackets, mut operators) = (0, 0);
    for (at, byte) in source.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => brackets += 1,
            b'+' | b'-' | b'*' | b'/' | b'%' | b'!' | b'?' | b'.' | b'<' | b'>' | b'=' => {
                operators += 1;
            }
            _ => {}
        }
        for (count, most, name) in [
            (brackets, BRACKETS_MAX, "opening brackets"),
            (operators, OPERATORS_MAX, "operators"),
        ] {
            if most < count {
                let message = format!("the expression has more than {most} {name}");
                return Err(Complaint::new(at..at + 1, message).hint("make two checks of it"));
            }
        }
    }
    Ok(())
}

/// The first error of the parser, at its place.
fn syntax(source: &str, errors: &cel::ParseErrors) -> Complaint {
    let Some(first) = errors.errors.first() else {
        return Complaint::new(0..source.len(), "this is no CEL expression");
    };
    let line = usize::try_from(first.pos.0).unwrap_or(0).saturating_sub(1);
    let column = usize::try_from(first.pos.1).unwrap_or(0);
    let before: usize = source.split_inclusive('\n').take(line).map(str::len).sum();
    let at = (before + column).min(source.len().saturating_sub(1));
    let why = first.msg.trim_start_matches("Syntax error: ");
    let message = if why.contains("Recursion limit") {
        format!("brackets are nested more than {NESTING_MAX} deep")
    } else {
        // The parser lists every token that it knows.
        let why = why.split(" expecting {").next().unwrap_or(why);
        format!("this is no CEL expression: {why}")
    };
    Complaint::new(at..at + 1, message)
}

static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// What the expression sees.
fn context<'a>(
    facts: impl Iterator<Item = (&'a String, &'a Value)>,
    parameters: &BTreeMap<String, Parameter>,
    now: Timestamp,
) -> Result<Context<'static, 'static>, ExecutionError> {
    let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
    let facts = facts.map(|(name, value)| (name.as_str(), shown(value)));
    context.add_variable_from_value("fact", map(facts));
    let parameters = parameters.iter().map(|(name, value)| {
        let value = match *value {
            Parameter::Flag(flag) => CelValue::Bool(flag),
            Parameter::Number(number) | Parameter::Duration(number) => CelValue::Int(number),
        };
        (name.as_str(), value)
    });
    context.add_variable_from_value("param", map(parameters));
    let now = now.unix_ms();
    context.add_variable_from_value("now", CelValue::Int(now));
    let age = move |instant: i64| match now.checked_sub(instant) {
        Some(age) if age < -AHEAD_MS_MAX => Err(ExecutionError::function_error(
            "age",
            "the instant lies after the time of collection",
        )),
        Some(age) => Ok(age.max(0)),
        None => Err(ExecutionError::function_error("age", "out of range")),
    };
    let duration = |text: Arc<String>| {
        duration_ms(&text).ok_or_else(|| ExecutionError::function_error("duration", text))
    };
    let unknown = |why: Arc<String>| -> Result<bool, ExecutionError> {
        Err(ExecutionError::function_error("unknown", why))
    };
    let declared = |error: cel::DeclarationError| ExecutionError::InternalError(error.to_string());
    context.add_function("age", age).map_err(declared)?;
    context
        .add_function("duration", duration)
        .map_err(declared)?;
    context.add_function("unknown", unknown).map_err(declared)?;
    Ok(context)
}

fn shown(value: &Value) -> CelValue {
    match value {
        Value::Flag(flag) => CelValue::Bool(*flag),
        Value::Number(number) => CelValue::Int(*number),
        Value::Text(text) => CelValue::String(Arc::new(text.clone())),
        Value::Instant(at) => CelValue::Int(at.unix_ms()),
        Value::List(records) => {
            let records = records.iter().map(|record| {
                map(record
                    .iter()
                    .map(|(name, value)| (name.as_str(), shown(value))))
            });
            CelValue::List(Arc::new(records.collect()))
        }
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "the interpreter takes no other map, and nothing iterates over it"
)]
fn map<'a>(members: impl Iterator<Item = (&'a str, CelValue)>) -> CelValue {
    let members: std::collections::HashMap<String, CelValue> = members
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    members.into()
}

#[cfg(test)]
mod tests;
