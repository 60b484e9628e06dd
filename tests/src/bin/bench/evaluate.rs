//! Evaluations of checks: all that are inside, on what recorded hosts showed, by one processor.
//!
//! One evaluation is one check on one observation, from the parsed observation to the finding with
//! its reason and its deciding facts. A probe of which no recorded host has an observation shows
//! the facts of the examples in its checks.
//!
//! The baseline is the interpreter alone: the same expressions on the same facts, parsed
//! before, the facts made ready once for all checks of the probe, and nothing done with the result.
//! Half of it is measured before and half after.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::DirEntry;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use cel::{Context, Program, Value as CelValue};
use collector::catalog::{Catalog, Check, Parameter, duration_ms};
use collector::evaluate;
use shared::durable;
use shared::fact::{self, Value};
use shared::observation::{Observation, Outcome};
use shared::time::Timestamp;

use crate::Measured;
use crate::process::own_cpu_seconds;

/// Longest recorded observation.
const BYTES_MAX: u64 = 1024 * 1024;
/// How long each part is measured, in seconds of processor time: its unit is a hundredth.
const SECONDS: f64 = 3.0;
/// The recorded hosts were seen about then.
const COLLECTED: &str = "2026-11-20T12:00:00Z";

pub(crate) fn measure() -> anyhow::Result<Vec<Measured>> {
    let catalog = Catalog::embedded()?;
    let collected: Timestamp = COLLECTED.parse()?;
    let observations = observations(&catalog)?;
    let before = interpreted(&catalog, &observations, collected)?;
    let rate = evaluated(&catalog, &observations, collected)?;
    let after = interpreted(&catalog, &observations, collected)?;
    let against = "runs of the `cel` interpreter alone on the same facts";
    let figure = ("evaluations_per_second", "1/s");
    let baseline = f64::midpoint(before, after);
    Ok(vec![Measured::new(
        "evaluate",
        figure,
        rate,
        (against, baseline),
    )])
}

/// What recorded hosts showed, and examples of the probes of which none is recorded.
fn observations(catalog: &Catalog) -> anyhow::Result<Vec<Observation>> {
    let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("hosts");
    let mut files = Vec::new();
    list(&hosts, &mut files)?;
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let text = durable::read_text(&file, BYTES_MAX)?;
        // Beside the observations lie recorded answers of the machine.
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else {
            continue;
        };
        if let Ok(observation) = Observation::from_bytes(&serde_json::to_vec(&value)?) {
            found.push(observation);
        }
    }
    let recorded: BTreeSet<String> = found.iter().map(|one| one.probe.clone()).collect();
    anyhow::ensure!(
        3 < recorded.len(),
        "{} has few observations",
        hosts.display()
    );
    for check in catalog
        .checks()
        .filter(|check| !recorded.contains(&check.probe))
    {
        found.extend(check.cases.iter().map(|case| Observation {
            artifacts: Vec::new(),
            facts: case.facts.clone(),
            outcome: Outcome::Facts,
            probe: check.probe.clone(),
            reason: String::new(),
            schema: fact::subject(&check.probe).map_or(0, |subject| subject.schema),
            source: Vec::new(),
        }));
    }
    Ok(found)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    for entry in entries {
        let path = entry.map(|entry: DirEntry| entry.path())?;
        if path.is_dir() {
            list(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    Ok(())
}

/// Findings a second.
fn evaluated(
    catalog: &Catalog,
    observations: &[Observation],
    collected: Timestamp,
) -> anyhow::Result<f64> {
    rate(|| {
        let count = |one| black_box(evaluate::evaluate(catalog, one, collected)).len();
        observations.iter().map(count).sum()
    })
}

/// An expression of a check, and what it reads beside facts.
struct Bare {
    program: Program,
    parameters: CelValue,
}

/// Runs of expressions a second, by the interpreter alone. Checks whose probe saw nothing have
/// nothing to run and are not counted.
fn interpreted(
    catalog: &Catalog,
    observations: &[Observation],
    collected: Timestamp,
) -> anyhow::Result<f64> {
    let mut programs: BTreeMap<&str, Vec<Bare>> = BTreeMap::new();
    for check in catalog.checks() {
        let program = Program::compile(check.expect.source())?;
        let parameters = parameters(check);
        let of_probe = programs.entry(&check.probe).or_default();
        of_probe.push(Bare {
            program,
            parameters,
        });
    }
    let seen = observations
        .iter()
        .filter(|one| one.outcome == Outcome::Facts);
    let mut contexts = seen
        .map(|one| Ok((one.probe.as_str(), context(one, collected)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    rate(|| {
        let mut count = 0;
        for (probe, context) in &mut contexts {
            for bare in programs.get(*probe).into_iter().flatten() {
                context.add_variable_from_value("param", bare.parameters.clone());
                drop(black_box(bare.program.execute(context)));
                count += 1;
            }
        }
        count
    })
}

fn context(
    observation: &Observation,
    collected: Timestamp,
) -> anyhow::Result<Context<'static, 'static>> {
    let mut context = Context::default();
    let facts = observation.facts.iter();
    let facts = facts.map(|(name, value)| (name.as_str(), shown(value)));
    context.add_variable_from_value("fact", map(facts));
    let now = collected.unix_ms();
    context.add_variable_from_value("now", CelValue::Int(now));
    let age = move |instant: i64| now.saturating_sub(instant).max(0);
    let duration = |text: Arc<String>| duration_ms(&text).unwrap_or_default();
    let unknown = |_why: Arc<String>| false;
    let wrong = |error: cel::DeclarationError| anyhow::anyhow!("{error}");
    context.add_function("age", age).map_err(wrong)?;
    context.add_function("duration", duration).map_err(wrong)?;
    context.add_function("unknown", unknown).map_err(wrong)?;
    Ok(context)
}

fn parameters(check: &Check) -> CelValue {
    map(check.parameters.iter().map(|(name, value)| {
        let value = match *value {
            Parameter::Flag(flag) => CelValue::Bool(flag),
            Parameter::Number(number) | Parameter::Duration(number) => CelValue::Int(number),
        };
        (name.as_str(), value)
    }))
}

fn shown(value: &Value) -> CelValue {
    match value {
        Value::Flag(flag) => CelValue::Bool(*flag),
        Value::Number(number) => CelValue::Int(*number),
        Value::Text(text) => CelValue::String(Arc::new(text.clone())),
        Value::Instant(at) => CelValue::Int(at.unix_ms()),
        Value::List(records) => {
            let record = |fields: &fact::Record| {
                map(fields
                    .iter()
                    .map(|(name, value)| (name.as_str(), shown(value))))
            };
            CelValue::List(Arc::new(records.iter().map(record).collect()))
        }
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "the interpreter takes no other map"
)]
fn map<'a>(members: impl Iterator<Item = (&'a str, CelValue)>) -> CelValue {
    let owned = members.map(|(name, value)| (name.to_owned(), value));
    let members: std::collections::HashMap<String, CelValue> = owned.collect();
    members.into()
}

/// How many a second of processor time `run` did, of which each call says how many it did.
fn rate(mut run: impl FnMut() -> usize) -> anyhow::Result<f64> {
    let (begun, mut done) = (own_cpu_seconds()?, 0_u32);
    loop {
        for _round in 0..20 {
            done = done.saturating_add(u32::try_from(run())?);
        }
        let took = own_cpu_seconds()? - begun;
        if SECONDS < took {
            return Ok(f64::from(done) / took);
        }
    }
}
