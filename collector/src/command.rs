//! The commands of `evident-collector`, in groups; each returns a text and never prints.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use collector::authority::Authority;
use collector::catalog::Catalog;
use collector::config::Config;
use collector::fleet::Fleet;
use collector::ledger::Ledger;
use collector::serve::Clock;
use collector::serve::operator::{self, Ask, Screen, Told};
use shared::attestation::Attestation;
use shared::checkpoint::Signer;
use shared::time::Timestamp;

pub(crate) mod init;
pub(crate) mod serve;
pub(crate) mod hosts;
pub(crate) mod lists;
pub(crate) mod look;
pub(crate) mod ledger;

/// Where the collector keeps everything.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Folder {
    /// Folder of the collector: settings, keys, ledger, derived state
    #[arg(long, value_name = "DIR", default_value = "/var/lib/evident-collector")]
    pub(crate) dir: PathBuf,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// What only `main` looks at: the clock and the terminal.
pub(crate) struct Around {
    /// The clock of the machine.
    pub(crate) clock: Clock,
    /// Colours are wanted.
    pub(crate) colour: bool,
    /// Columns of the terminal.
    pub(crate) width: usize,
}

impl Around {
    /// The time at which the command runs.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Where a text in this format will be shown.
    pub(crate) fn screen(&self, format: Format) -> Screen {
        Screen {
            json: format == Format::Json,
            colour: self.colour,
            width: self.width,
        }
    }
}

/// What a command has to say.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The result, for standard output.
    pub(crate) text: String,
    /// What to do with it, for standard error: so that a script can take the result alone.
    pub(crate) advice: Option<String>,
    /// Everything that was checked held.
    pub(crate) held: bool,
}

impl From<String> for Shown {
    /// Something that is done.
    fn from(text: String) -> Self {
        (text, true).into()
    }
}

impl From<(String, bool)> for Shown {
    fn from((text, held): (String, bool)) -> Self {
        Self {
            text,
            advice: None,
            held,
        }
    }
}

/// The settings and keys in a collector's folder.
pub(crate) fn load(dir: &Path) -> anyhow::Result<(Config, Authority)> {
    let hint = "make a collector with `evident-collector init`, or name its folder with --dir";
    let config = Config::load(dir).with_context(|| {
        if dir.join(collector::config::FILE).exists() {
            format!("`{}` cannot be used", dir.display())
        } else {
            format!("no collector in `{}`: {hint}", dir.display())
        }
    })?;
    only_owner(dir)?;
    let authority = Authority::load(dir, &config)?;
    Ok((config, authority))
}

/// Refuses a folder that others may enter: private keys lie in it.
pub(crate) fn only_owner(dir: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::MetadataExt as _;

    let mode = std::fs::metadata(dir)?.mode() & 0o777;
    anyhow::ensure!(
        mode.trailing_zeros() >= 6,
        "`{0}` has mode {mode:o}, so others may enter, and keys lie in it: chmod 0700 {0}",
        dir.display()
    );
    Ok(())
}

/// Name of the ledger: the first of this collector.
pub(crate) fn origin(config: &Config) -> String {
    format!("{}/evident/1", config.name)
}

/// Folder of the ledger.
pub(crate) fn ledger_dir(dir: &Path) -> PathBuf {
    dir.join("ledger")
}

/// Folder of the imported lists of vulnerabilities, each named by its digest.
pub(crate) fn feeds_dir(dir: &Path) -> PathBuf {
    dir.join("feeds")
}

/// The catalogue that the settings put in force.
pub(crate) fn catalog(dir: &Path) -> anyhow::Result<Catalog> {
    let folder = Config::load(dir)?.catalogue.folder;
    if folder.as_os_str().is_empty() {
        return Ok(Catalog::embedded()?);
    }
    let folder = dir.join(folder);
    let hint = "`evident-collector check-config` shows where it is wrong";
    Catalog::load(&folder).with_context(|| {
        format!(
            "the catalogue `{}` cannot be used; {hint}",
            folder.display()
        )
    })
}

/// The key that signs the checkpoints of the ledger.
pub(crate) fn signer(config: &Config, authority: &Authority) -> anyhow::Result<Signer> {
    Ok(Signer::new(&origin(config), authority.ledger.seed())?)
}

/// The fleet as the ledger says.
pub(crate) fn fleet(ledger: &Ledger, authority: &Authority) -> anyhow::Result<Fleet> {
    let mut fleet = Fleet::default();
    let decisions = authority.decisions.public();
    for entry in ledger.entries_from(0) {
        let entry = entry?;
        fleet.take(entry.index, &entry.leaf, &entry.envelope, &decisions)?;
    }
    // What a stream has seen stands in its last record alone.
    for stream in fleet.streams() {
        let Ok(mut standing) = stream.standing.try_lock() else {
            continue;
        };
        let Some(index) = standing.head.and_then(|head| ledger.index_of(&head.id)) else {
            continue;
        };
        let last = Attestation::from_file(ledger.entry(index)?.envelope)?;
        standing.seen = last.evidence().seen.size;
    }
    Ok(fleet)
}

/// Lets the collector that runs carry out an order, and says what came of it.
pub(crate) fn order(dir: &Path, order: &Ask) -> anyhow::Result<String> {
    match ask(dir, order)? {
        Some(Told {
            text,
            refused: false,
            ..
        }) => Ok(text),
        Some(told) => bail!("{}", told.text),
        None => bail!(
            "no collector runs in `{}`: start it with `serve`",
            dir.display()
        ),
    }
}

/// Asks the collector that runs; `None` when none does.
pub(crate) fn ask(dir: &Path, ask: &Ask) -> anyhow::Result<Option<Told>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime
        .block_on(operator::ask(dir, ask))
        .with_context(|| format!("the collector in `{}` does not answer", dir.display()))
}
