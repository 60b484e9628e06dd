//! Check against observation: the finding, with the facts that decided it.
//!
//! Everything here is a pure function of the catalogue, the observation and the time of
//! collection, so anyone who has the three can compute every verdict again.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::fact::{self, Facts, Kind, Record, Value};
use shared::observation::{Observation, Outcome, Source, Status};
use shared::time::Timestamp;

use crate::catalog::{Catalog, Check, Expression, Parameter, Severity, Undecided, WhenAbsent};

pub use crate::catalog::Verdict;

/// Longest shown value of a fact, in characters.
const SHOWN_CHARS_MAX: usize = 160;
/// Longest value that the reason of a pass shows, in characters.
const WORDS_CHARS_MAX: usize = 40;
/// Most records of a list, and most fields of each, that a reason shows.
const RECORDS_MAX: usize = 3;
/// The fields by which a record is called, and those that say what came of it.
const CALLED_BY: [&str; 14] = [
    "id",
    "name",
    "set",
    "package",
    "unit",
    "path",
    "file",
    "target",
    "uri",
    "key",
    "candidate",
    "outcome",
    "state",
    "reason",
];
/// Most places that a reason names.
const PLACES_MAX: usize = 3;

/// What a check says about one observation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Id of the check.
    pub check: String,
    /// What it says.
    pub verdict: Verdict,
    /// Why, in one line.
    pub reason: String,
    /// The facts that the expressions read, as shown values of bounded length.
    pub deciding: BTreeMap<String, String>,
    /// How much a failure matters.
    pub severity: Severity,
}

/// Evaluates every check that reads the probe of this observation, in the order of their ids.
#[must_use]
pub fn evaluate(
    catalog: &Catalog,
    observation: &Observation,
    collected: Timestamp,
) -> Vec<Finding> {
    catalog
        .checks_of(&observation.probe)
        .map(|check| one(check, observation, &check.parameters, collected))
        .collect()
}

/// Evaluates one check on an observation of its probe.
#[must_use]
pub fn finding_of(check: &Check, observation: &Observation, collected: Timestamp) -> Finding {
    one(check, observation, &check.parameters, collected)
}

/// Whether the finding of a check on one observation can differ with the time of collection: it
/// reads the clock, or an instant whose age is shown.
#[must_use]
pub fn reads_time(check: &Check) -> bool {
    let when = check.when.as_ref().map(|when| &when.condition);
    let mut expressions = when.into_iter().chain([&check.expect]);
    let subject = fact::subject(&check.probe);
    let is_instant = |kind: &Kind| match kind {
        Kind::Instant => true,
        Kind::List(fields) => fields
            .iter()
            .any(|field| matches!(field.kind, Kind::Instant)),
        Kind::Flag | Kind::Number(_) | Kind::Text => false,
    };
    expressions.any(|expression| {
        let source = format!("{expression:?}");
        let clock = source.contains("now") || source.contains("age(");
        let shown = expression.reading().facts.iter().any(|name| {
            let declared = subject.and_then(|subject| subject.fact(name));
            declared.is_none_or(|fact| is_instant(&fact.kind))
        });
        clock || shown
    })
}

/// The findings of a probe that was due and of which no observation came: all are unknown.
#[must_use]
pub fn unobserved(catalog: &Catalog, probe: &str, why: &str) -> Vec<Finding> {
    let unknown = |check| finding(check, Verdict::Unknown, why.to_owned(), BTreeMap::new());
    catalog.checks_of(probe).map(unknown).collect()
}

/// An example inside a check that does not give its verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "example {case} of `{check}` gives `{}` and not `{}`: {reason}",
    .found.as_str(), .wanted.as_str()
)]
pub struct Surprise {
    /// Id of the check.
    pub check: String,
    /// Number of the example in the check, from 1.
    pub case: usize,
    /// What the example says.
    pub wanted: Verdict,
    /// What came out.
    pub found: Verdict,
    /// Why.
    pub reason: String,
}

/// What came of an example inside a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// Number of the example in the check, from 1.
    pub case: usize,
    /// What the example says.
    pub wanted: Verdict,
    /// What came out.
    pub found: Verdict,
    /// Why.
    pub reason: String,
}

/// Runs the examples that a check carries.
#[must_use]
pub fn try_check(check: &Check) -> Vec<Tried> {
    let cases = check.cases.iter().enumerate();
    let tried = cases.map(|(index, case)| {
        let observation = Observation {
            artifacts: Vec::new(),
            facts: case.facts.clone(),
            outcome: Outcome::Facts,
            probe: check.probe.clone(),
            reason: String::new(),
            schema: fact::subject(&check.probe).map_or(0, |subject| subject.schema),
            source: Vec::new(),
        };
        let found = one(check, &observation, &case.parameters, case.now);
        Tried {
            case: index + 1,
            wanted: case.verdict,
            found: found.verdict,
            reason: found.reason,
        }
    });
    tried.collect()
}

/// Runs the examples that the checks carry, and gives those that surprise.
#[must_use]
pub fn try_cases(catalog: &Catalog) -> Vec<Surprise> {
    let all = catalog.checks().flat_map(|check| {
        try_check(check)
            .into_iter()
            .map(move |tried| (check, tried))
    });
    all.filter(|(_check, tried)| tried.found != tried.wanted)
        .map(|(check, tried)| Surprise {
            check: check.id.clone(),
            case: tried.case,
            wanted: tried.wanted,
            found: tried.found,
            reason: tried.reason,
        })
        .collect()
}

fn finding(
    check: &Check,
    verdict: Verdict,
    reason: String,
    deciding: BTreeMap<String, String>,
) -> Finding {
    Finding {
        check: check.id.clone(),
        verdict,
        reason,
        deciding,
        severity: check.severity,
    }
}

fn one(
    check: &Check,
    observation: &Observation,
    parameters: &BTreeMap<String, Parameter>,
    collected: Timestamp,
) -> Finding {
    let nothing = |verdict, text: &str| {
        let because = after_colon(&observation.reason);
        let reason = format!("probe `{}` {text}{because}", check.probe);
        finding(check, verdict, reason, BTreeMap::new())
    };
    match (observation.outcome, check.absent) {
        (Outcome::Unknown, _) => return nothing(Verdict::Unknown, "could not tell"),
        (Outcome::Absent, WhenAbsent::Fail) => {
            let mut wanting = nothing(Verdict::Fail, "found nothing to look at");
            wanting.reason = format!("{}: {}", check.fail, wanting.reason);
            return wanting;
        }
        (Outcome::Absent, WhenAbsent::NotApplicable) => {
            return nothing(Verdict::NotApplicable, "found nothing to look at");
        }
        (Outcome::Facts, _) => {}
    }
    judged(check, observation, parameters, collected)
}

/// What comes of facts.
fn judged(
    check: &Check,
    observation: &Observation,
    parameters: &BTreeMap<String, Parameter>,
    collected: Timestamp,
) -> Finding {
    let facts = &observation.facts;
    let run = |expression: &Expression| match cut_list(expression, observation) {
        Some(name) => Err(Undecided::Cut(name)),
        None => expression.evaluate(facts, parameters, collected),
    };
    let read = |expression: &Expression| deciding(expression, facts, collected);
    if let Some(when) = &check.when {
        match run(&when.condition) {
            Ok(true) => {}
            Ok(false) => {
                let (reason, shown) = (when.reason.clone(), read(&when.condition));
                return finding(check, Verdict::NotApplicable, reason, shown);
            }
            Err(undecided) => {
                let reason = why(&undecided, observation);
                return finding(check, Verdict::Unknown, reason, read(&when.condition));
            }
        }
    }
    let mut shown = read(&check.expect);
    let (verdict, reason) = match run(&check.expect) {
        Ok(true) => (Verdict::Pass, short(&shown, facts)),
        Ok(false) => (
            Verdict::Fail,
            format!("{}: {}", check.fail, listed(shown.iter())),
        ),
        Err(undecided) => (Verdict::Unknown, why(&undecided, observation)),
    };
    if let Some(when) = &check.when {
        shown.extend(read(&when.condition));
    }
    finding(check, verdict, reason, shown)
}

/// The first list that the expression reads and of which only a part was seen: a bound cut the
/// list itself, which is then noted under the name of its fact, or one of its sources.
///
/// Also `has` of such a list counts: what is not known whole must not open a way to a pass.
fn cut_list(expression: &Expression, observation: &Observation) -> Option<&'static str> {
    let mut cut = observation.source.iter();
    if !cut.any(|source| source.status == Status::Limit) {
        return None;
    }
    let subject = fact::subject(&observation.probe)?;
    let read = expression.reading().facts.iter().copied();
    let mut lists = read.filter(|name| {
        let declared = subject.fact(name);
        declared.is_some_and(|fact| matches!(fact.kind, Kind::List(_)))
    });
    lists.find(|name| {
        observation.source.iter().any(|source| {
            let declared = subject.fact(name);
            let named = declared.is_some_and(|fact| fact.source.contains(source.name.as_str()));
            source.status == Status::Limit && (source.name == *name || named)
        })
    })
}

fn after_colon(reason: &str) -> String {
    if reason.is_empty() {
        String::new()
    } else {
        format!(": {}", cut(reason))
    }
}

/// The reason of an unknown: what is missing, and which places did not answer.
fn why(undecided: &Undecided, observation: &Observation) -> String {
    let name = match undecided {
        Undecided::Missing(name)
        | Undecided::Cut(name)
        | Undecided::MissingField { list: name, .. } => name,
        Undecided::GaveUp(_) => "",
        Undecided::Failed(_) => return cut(&undecided.to_string()),
    };
    let declared = fact::subject(&observation.probe).and_then(|subject| subject.fact(name));
    let mute = |source: &&Source| source.status != Status::Ok;
    let named = |source: &&Source| {
        let own = source.name == *name;
        own || declared.is_some_and(|fact| is_of(fact.source, &source.name))
    };
    let mut places: Vec<_> = observation
        .source
        .iter()
        .filter(mute)
        .filter(named)
        .collect();
    // What is certainly not there was looked at, and explains nothing where a place refused.
    let refused = |source: &&Source| source.status != Status::Absent;
    if places.iter().any(refused) {
        places.retain(refused);
    } else if places.is_empty() {
        let all = observation.source.iter().filter(mute);
        places = all.filter(refused).collect();
    }
    let shown = places.iter().take(PLACES_MAX).map(|source| {
        let kind = serde_json::to_string(&source.kind).unwrap_or_default();
        let kind = kind.trim_matches('"');
        format!("{kind} {}: {}", cut(&source.name), source.status.as_str())
    });
    let shown = shown.collect::<Vec<_>>().join(", ");
    match (shown.is_empty(), observation.reason.is_empty()) {
        (false, _) => format!("{undecided}: {shown}"),
        (true, false) => format!("{undecided}{}", after_colon(&observation.reason)),
        (true, true) => match declared {
            Some(fact) => format!("{undecided}; it is read from {}", cut(fact.source)),
            None => undecided.to_string(),
        },
    }
}

/// Whether the declaration of a fact names this place, or a folder that it lies in.
fn is_of(declared: &str, place: &str) -> bool {
    let mut folder = place;
    loop {
        if declared.contains(folder) {
            return true;
        }
        match folder.rsplit_once('/') {
            Some((above, _)) if 1 < above.matches('/').count() => folder = above,
            _ => return false,
        }
    }
}

/// The facts that the expression reads, as they are shown.
fn deciding(expression: &Expression, facts: &Facts, now: Timestamp) -> BTreeMap<String, String> {
    let names = expression.reading().facts.iter();
    let seen = names.filter_map(|name| Some((*name, facts.get(*name)?)));
    seen.map(|(name, value)| (name.to_owned(), shown(value, now)))
        .collect()
}

/// Of a pass only what is said in a word or two: its lists are counted, long texts left out.
fn short(deciding: &BTreeMap<String, String>, facts: &Facts) -> String {
    let words = deciding.iter().map(|(name, words)| match facts.get(name) {
        Some(Value::List(records)) => (name, Cow::Owned(counted(records.len()))),
        _ => (name, Cow::Borrowed(words.as_str())),
    });
    listed(words.filter(|(_name, words)| words.chars().count() <= WORDS_CHARS_MAX))
}

fn listed<'a>(deciding: impl Iterator<Item = (&'a String, impl AsRef<str>)>) -> String {
    let mut text = String::new();
    for (name, words) in deciding {
        let parts = [
            if text.is_empty() { "" } else { ", " },
            name,
            " ",
            words.as_ref(),
        ];
        text.extend(parts);
    }
    text
}

fn shown(value: &Value, now: Timestamp) -> String {
    match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) if text.is_empty() => "empty".to_owned(),
        Value::Text(text) => cut(text),
        Value::Instant(at) => ago(now.ms_since(*at)),
        Value::List(records) if records.is_empty() => counted(0),
        Value::List(records) if records.iter().any(|record| 1 < record.len()) => {
            let first = records.iter().take(RECORDS_MAX).map(called);
            let first = first.filter(|name| !name.is_empty()).collect::<Vec<_>>();
            let more = if RECORDS_MAX < records.len() {
                "; .."
            } else {
                ""
            };
            let count = counted(records.len());
            if first.is_empty() {
                count
            } else {
                cut(&format!("{count} ({}{more})", first.join("; ")))
            }
        }
        Value::List(records) => {
            let first = records.iter().map(|record| {
                let fields = record.values().map(|value| shown(value, now));
                fields.collect::<Vec<_>>().join(" ")
            });
            cut(&format!("[{}]", first.collect::<Vec<_>>().join("; ")))
        }
    }
}

/// What a record is about, and what came of it: the first three of its fields that say so.
fn called(record: &Record) -> String {
    let fields = CALLED_BY.iter().filter_map(|name| match record.get(*name) {
        Some(Value::Text(text)) if !text.is_empty() => Some(cut(text)),
        _ => None,
    });
    fields.take(RECORDS_MAX).collect::<Vec<_>>().join(" ")
}

fn counted(records: usize) -> String {
    match records {
        0 => "none".to_owned(),
        1 => "1 record".to_owned(),
        more => format!("{more} records"),
    }
}

/// A duration in the largest unit that leaves two digits or more, e.g. `31 h ago`.
#[must_use]
pub fn ago(ms: i64) -> String {
    let magnitude = ms.unsigned_abs();
    let (count, unit) = match magnitude {
        0..120_000 => (magnitude / 1_000, "s"),
        120_000..7_200_000 => (magnitude / 60_000, "min"),
        7_200_000..172_800_000 => (magnitude / 3_600_000, "h"),
        _ => (magnitude / 86_400_000, "d"),
    };
    let side = if ms < 0 { "ahead" } else { "ago" };
    format!("{count} {unit} {side}")
}

/// Text on one line and of bounded length: what hosts say is shown to people.
fn cut(text: &str) -> String {
    if text.len() <= SHOWN_CHARS_MAX && !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = plain.clone().take(SHOWN_CHARS_MAX).collect();
    if plain.count() > SHOWN_CHARS_MAX {
        short.push_str("..");
    }
    short
}

#[cfg(test)]
mod tests;
