//! `reevaluate`: what another catalogue would have said of the same evidence.

use std::path::PathBuf;
use std::sync::Arc;

use clap::ValueEnum;
use collector::catalog::Catalog;
use collector::ledger::Ledger;
use collector::pack;
use collector::reevaluate::reevaluate;
use shared::time::Timestamp;

use super::{Folder, Shown, adopt};

/// The end of a period of which the begin alone is given: RFC 3339 has no later year.
const LAST: &str = "9999-12-31T00:00:00Z";

/// How the comparison is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people: what differs
    Text,
    /// For programs: everything
    Json,
    /// For spreadsheets: everything
    Csv,
}

/// Another catalogue on the same evidence.
#[derive(Debug, clap::Args)]
pub(crate) struct Reevaluate {
    #[command(flatten)]
    folder: Folder,
    /// Folder of the other catalogue; without it the one inside this program
    #[arg(long, value_name = "DIR")]
    catalog: Option<PathBuf>,
    /// From when: 2026-01-31 or 2026-01-31T12:00:00Z; without it from the first entry
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when, a day included; without it until the last entry
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

impl Reevaluate {
    /// Compares, and changes nothing; whether both say the same.
    pub(crate) fn run(self) -> anyhow::Result<Shown> {
        let Self {
            folder,
            catalog,
            from,
            to,
            format,
        } = self;
        let (config, authority) = super::load(&folder.dir)?;
        let catalog = Arc::new(Catalog::of(&adopt::files(catalog.as_deref())?)?);
        let begin = Timestamp::default().to_string();
        let bounds = (from.as_deref().unwrap_or(&begin), to.as_deref());
        let read = pack::period(bounds.0, bounds.1.unwrap_or(LAST))?;
        let signer = super::signer(&config, &authority)?;
        let ledger = Ledger::read_only(&super::ledger_dir(&folder.dir), &signer)?;
        let period = (from.map(|_given| read.from), to.map(|_given| read.to));
        // Beside the collector, where there is room for a state: /tmp may be memory.
        let scratch = tempfile::tempdir_in(&folder.dir)?;
        let decisions = authority.decisions.public();
        let made = reevaluate((&ledger, &decisions), &catalog, period, scratch.path())?;
        let text = match format {
            Form::Text => made.text(),
            Form::Json => serde_json::to_string_pretty(&made)?,
            Form::Csv => made.csv(),
        };
        Ok((text, made.is_same()).into())
    }
}
