//! bench: figures of speed and memory, each beside a baseline measured in the same run.

mod process;
mod fleet;
mod agent;
mod assess;
mod evaluate;
mod intake;
mod query;
mod replay;

use std::io::Write as _;

use serde::Serialize;

/// One figure and what it stands beside.
#[derive(Serialize)]
struct Measured {
    bench: &'static str,
    figure: &'static str,
    value: f64,
    unit: &'static str,
    /// What the baseline is measured on.
    #[serde(skip)]
    against: &'static str,
    baseline: f64,
    ratio: f64,
}

impl Measured {
    fn new(
        bench: &'static str,
        (figure, unit): (&'static str, &'static str),
        value: f64,
        (against, baseline): (&'static str, f64),
    ) -> Self {
        let ratio = if baseline > 0.0 {
            value / baseline
        } else {
            0.0
        };
        Self {
            bench,
            figure,
            value,
            unit,
            against,
            baseline,
            ratio,
        }
    }
}

/// A benchmark and its name.
type Bench = (&'static str, fn() -> anyhow::Result<Vec<Measured>>);

const BENCHES: [Bench; 6] = [
    ("agent", agent::measure),
    ("assess", assess::measure),
    ("evaluate", evaluate::measure),
    ("intake", intake::measure),
    ("query", query::measure),
    ("replay", replay::measure),
];

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut name, mut json) = (None, false);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--format" => {
                let format = arguments.next();
                json = format.as_deref() == Some("json");
                let known = json || format.as_deref() == Some("table");
                anyhow::ensure!(known, "--format takes `json` or `table`");
            }
            known if BENCHES.iter().any(|(bench, _run)| *bench == known) => {
                name = Some(argument);
            }
            other => {
                let names: Vec<_> = BENCHES.iter().map(|(name, _run)| *name).collect();
                anyhow::bail!(
                    "no benchmark is named `{other}`; there are: {}",
                    names.join(", ")
                );
            }
        }
    }
    let mut figures = Vec::new();
    for (bench, run) in BENCHES {
        if name.as_deref().is_none_or(|name| name == bench) {
            figures.extend(run()?);
        }
    }
    show(&figures, json)
}

fn show(figures: &[Measured], json: bool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        serde_json::to_writer_pretty(&mut out, figures)?;
        return Ok(writeln!(out)?);
    }
    for figure in figures {
        let Measured {
            bench,
            figure,
            value,
            unit,
            against,
            baseline,
            ratio,
        } = figure;
        writeln!(
            out,
            "{bench:8} {figure:46} {value:10.3} {unit:10} {ratio:8.2} x {baseline:.3} ({against})"
        )?;
    }
    Ok(())
}
