//! Commands that show how controls stand: `status`, `judge`.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use collector::assess::Asked;
use collector::catalog::Catalog;
use collector::criteria;
use collector::follow;
use collector::ledger::Ledger;
use collector::report::Report;
use collector::serve::api::catalogue::Known;
use collector::serve::api::report;
use serde::Deserialize;
use serde_json::value::RawValue;
use shared::durable;
use shared::id::{AgentId, Digest};
use shared::observation::Observation;
use shared::time::Timestamp;

use super::client::Client;
use super::{Around, Folder, Format, Shown, encoded};

/// Longest list of observations.
const OBSERVATIONS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How the controls stand.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
First what needs a person, then the controls, then the hosts. Exit status 1 when not all holds.
  evident-collector status --failing             only what fails or cannot be told
  evident-collector status --host web-1 --control A.8.*
As of an earlier instant, and over a period: `evident-collector assess --help`.")]
pub(crate) struct Status {
    #[command(flatten)]
    folder: Folder,
    /// Control of Annex A, or several: A.8.13, A.8.*; may be repeated
    #[arg(long, value_name = "ID")]
    control: Vec<String>,
    /// Host, or several: web-1, web-*; may be repeated
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Only what fails or cannot be told; all is counted
    #[arg(long)]
    failing: bool,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Status {
    /// Which controls hold: asked of the collector that runs, or read when none does.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let dir = self.folder.dir.as_path();
        let (config, authority) = super::load(dir)?;
        let client = Client::new(dir);
        let (control, host) = (self.control.join(","), self.host.join(","));
        let failing = self.failing;
        let (asked_control, asked_host) = (encoded(&control), encoded(&host));
        let of = format!("control={asked_control}&host={asked_host}&failing={failing}");
        if self.format == Format::Json {
            if let Some(answer) = client.ask(&format!("/v1/status?{of}"))? {
                let holds = answer.holds;
                return Ok((answer.text(), holds).into());
            }
        } else {
            let (width, colour) = (around.width, around.colour);
            let path = format!("/v1/status?format=text&width={width}&colour={colour}&{of}");
            if let Some(answer) = client.ask(&path)? {
                let holds = answer.holds;
                let mut shown = Shown::from((answer.text(), holds));
                let known: Known = client.get("/v1/catalogue")?;
                shown.advice = new_inside(known.inside_is_new);
                return Ok(shown);
            }
        }
        let ledger = Ledger::open(&super::ledger_dir(dir), super::signer(&config, &authority)?)?;
        let decisions = authority.decisions.public();
        let status = super::serve::open_status(dir, &ledger, &decisions)?;
        let _position = follow::catch_up(&ledger, &status, &decisions)?;
        let wanted = (Asked::of(&control, &host, ""), failing);
        let (_fleet, register) = super::known(&ledger, &authority)?;
        let from = (&status, &register, &ledger, dir);
        let report = report(from, &wanted, around.now());
        status.close()?;
        let mut shown = around.render(&report?, self.format);
        shown.advice = new_inside(criteria::is_inside_new(&ledger, &decisions)?);
        Ok(shown)
    }
}

/// What to say of a program that brings another catalogue.
fn new_inside(new: bool) -> Option<String> {
    new.then(|| criteria::INSIDE_IS_NEW.to_owned())
}

/// What `evident-agent once --format json` prints.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Once {
    host: String,
    observations: Vec<Observed>,
}

/// One observation, in the bytes that the agent would sign.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Observed {
    collected: Timestamp,
    observation: Box<RawValue>,
    #[serde(rename = "took_ms")]
    _took_ms: u64,
}

/// Observations judged.
#[derive(Debug, clap::Args)]
pub(crate) struct Judge {
    /// File with the observations; `-` reads standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Folder with a catalogue of your own instead of the one inside
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Judge {
    /// Judges observations without a collector.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let file = self.file.as_path();
        let catalog = match &self.catalog {
            Some(folder) => Catalog::load(folder)?,
            None => Catalog::embedded()?,
        };
        let name = if file == Path::new("-") {
            Path::new("/dev/stdin")
        } else {
            file
        };
        let hint = "give it what `evident-agent once --format json` prints";
        let bytes = durable::read(name, OBSERVATIONS_BYTES_MAX)
            .with_context(|| format!("cannot read `{}`", file.display()))?;
        let once: Once = serde_json::from_slice(&bytes)
            .with_context(|| format!("`{}` holds no observations: {hint}", file.display()))?;
        let mut observations = Vec::new();
        for observed in &once.observations {
            let bytes = observed.observation.get().as_bytes();
            let observation = Observation::from_bytes(bytes)
                .with_context(|| format!("`{}` holds a wrong observation", file.display()))?;
            observations.push((Digest::of(bytes), observation));
        }
        let host: AgentId = once.host.parse()?;
        // The time of collection is an input: the same file gives the same verdicts for ever.
        let newest = once
            .observations
            .iter()
            .map(|observed| observed.collected)
            .max();
        let collected = newest.with_context(|| format!("`{}` is empty: {hint}", file.display()))?;
        // What only a collector can observe is in no file of a host.
        let catalog = catalog.of_hosts();
        let report = Report::judged(&catalog, host, &observations, collected);
        Ok(around.render(&report, self.format))
    }
}
