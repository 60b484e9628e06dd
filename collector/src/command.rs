//! The commands of `evident-collector`, in groups; each returns a text and never prints.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use collector::authority::Authority;
use collector::config::Config;
use collector::fleet::Fleet;
use collector::ledger::Ledger;
use collector::register::Register;
use collector::report::Report;
use collector::serve::Clock;
use shared::attestation::Attestation;
use shared::checkpoint::Signer;
use shared::time::Timestamp;

pub(crate) mod page;
pub(crate) mod catalogue;
pub(crate) mod soa;
pub(crate) mod init;
pub(crate) mod serve;
pub(crate) mod client;
pub(crate) mod person;
pub(crate) mod adopt;
pub(crate) mod check;
pub(crate) mod reevaluate;
pub(crate) mod record;
pub(crate) mod hosts;
pub(crate) mod lists;
pub(crate) mod population;
pub(crate) mod look;
pub(crate) mod assess;
pub(crate) mod alert;
pub(crate) mod ledger;

/// The folder of a collector where none is named.
pub(crate) const DEFAULT_DIR: &str = "/var/lib/evident-collector";

/// Where the collector keeps everything.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Folder {
    /// Folder of the collector: settings, keys, ledger, derived state
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
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

/// What only `main` looks at: the clock, the terminal, the home folder.
pub(crate) struct Around {
    /// The clock of the machine.
    pub(crate) clock: Clock,
    /// Colours are wanted.
    pub(crate) colour: bool,
    /// Columns of the terminal.
    pub(crate) width: usize,
    /// The home folder of the account, if it has one.
    pub(crate) home: Option<PathBuf>,
}

impl Around {
    /// The time at which the command runs.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// Where people keep the key with which they sign.
    pub(crate) fn person_key(&self) -> anyhow::Result<PathBuf> {
        let home = self
            .home
            .as_ref()
            .context("this account has no home folder: name the file")?;
        Ok(home.join(".config/evident/person.key"))
    }

    /// A report in the form that is asked for.
    pub(crate) fn render(&self, report: &Report, format: Format) -> Shown {
        let text = match format {
            Format::Json => report.json(),
            Format::Text => report.screen(self.width, self.colour),
        };
        (text, report.holds()).into()
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
        match dir.join(collector::config::FILE).try_exists() {
            Ok(true) => format!("`{}` cannot be used", dir.display()),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                let dir = dir.display();
                format!("`{dir}` may not be read by this account: use the one that owns it")
            }
            Ok(false) | Err(_) => format!("no collector in `{}`: {hint}", dir.display()),
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
    dir.join(collector::serve::FEEDS)
}

/// The key that signs the checkpoints of the ledger.
pub(crate) fn signer(config: &Config, authority: &Authority) -> anyhow::Result<Signer> {
    Ok(Signer::new(&origin(config), authority.ledger.seed())?)
}

/// The fleet and the decisions of people, as the ledger says.
pub(crate) fn known(ledger: &Ledger, authority: &Authority) -> anyhow::Result<(Fleet, Register)> {
    let (mut fleet, mut register) = (Fleet::default(), Register::default());
    let decisions = authority.decisions.public();
    for entry in ledger.entries_from(0) {
        let entry = entry?;
        fleet.take(entry.index, &entry.leaf, &entry.envelope, &decisions)?;
        register.take_entry(entry.index, &entry.leaf, &entry.envelope, &decisions)?;
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
    Ok((fleet, register))
}

/// The decisions of people, read from the ledger of a collector that does not run.
pub(crate) fn register(dir: &Path) -> anyhow::Result<Register> {
    let (config, authority) = load(dir)?;
    let ledger = Ledger::open(&ledger_dir(dir), signer(&config, &authority)?)?;
    Ok(known(&ledger, &authority)?.1)
}

/// A text as a part of a query: RFC 3986, section 2.3.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| match byte {
            byte if plain(byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
