//! Commands about who should be there: `population`, and `population import`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Subcommand, ValueEnum};
use collector::follow;
use collector::inventory;
use collector::ledger::Ledger;
use collector::population::{self, Memory};
use collector::register::{Record, Register};
use shared::decision::{Decided, Step, Value};
use shared::id::Digest;
use shared::time::Timestamp;

use super::client::Client;
use super::person::{Pen, document};
use super::{Around, Folder, Shown, encoded};

const HELP: &str = "\
Auditors ask how you know that it is all of them. Bring what other systems list, at least two sources:
  evident-collector population import --name cmdb --origin \"CMDB, servers in operation\" cmdb.csv
  evident-collector population import --name cloud --origin \"all instances\" cloud.csv
  evident-collector population
  evident-collector scope exclude --host 'lab-*' --reason \"no data of customers, own network\"
What hosts know of other machines (networks, logs, backups, SSH) is a source as well.
A list is CSV with a heading: host, and perhaps address, group, owner, note.
Ends with 1 when somebody is missing, unknown or silent, or when there are too few sources.";

/// Who should be there.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, after_help = HELP)]
pub(crate) struct Population {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    look: Look,
}

/// What is shown.
#[derive(Debug, clap::Args)]
struct Look {
    #[command(flatten)]
    folder: Folder,
    /// As of when, in RFC 3339; without it now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Form,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring a list of hosts that another system keeps, in place of the one of this name
    ///
    /// The list is read whole before anything is decided, and goes into the ledger with the
    /// signature of the person who brings it.
    Import(Import),
}

/// A list of hosts that is brought.
#[derive(Debug, clap::Args)]
struct Import {
    #[command(flatten)]
    folder: Folder,
    /// How the list is called, e.g. cmdb
    #[arg(long)]
    name: String,
    /// Which system it is from, and which query
    #[arg(long, value_name = "TEXT")]
    origin: String,
    /// When the other system wrote it, in RFC 3339; without it when it is brought
    #[arg(long, value_name = "TIME")]
    dated: Option<String>,
    /// The person who answers for the list
    #[arg(long, value_name = "PERSON")]
    owner: Option<String>,
    /// Key of the person who decides; without it .config/evident/person.key at home
    #[arg(long = "as", value_name = "FILE")]
    key: Option<PathBuf>,
    /// The list: CSV with a heading
    file: PathBuf,
}

/// How the population is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
}

impl Form {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Csv => "csv",
        }
    }
}

impl Population {
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        match self.command {
            Some(Command::Import(import)) => import.run(around),
            None => self.look.run(around),
        }
    }
}

impl Look {
    /// Asks the collector that runs, or reads what it left.
    fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let dir = self.folder.dir.as_path();
        let (config, authority) = super::load(dir)?;
        let mut path = format!("/v1/population?format={}", self.format.as_str());
        if let Some(at) = &self.at {
            path = format!("{path}&at={}", encoded(at));
        }
        if let Some(answer) = Client::new(dir).ask(&path)? {
            let held = answer.holds;
            return Ok((answer.text(), held).into());
        }
        let at: Timestamp = match &self.at {
            None => around.now(),
            Some(at) => at
                .parse()
                .with_context(|| format!("`{at}` is no instant with a zone"))?,
        };
        let ledger = Ledger::open(&super::ledger_dir(dir), super::signer(&config, &authority)?)?;
        let decisions = authority.decisions.public();
        let status = super::serve::open_status(dir, &ledger, &decisions)?;
        let _position = follow::catch_up(&ledger, &status, &decisions)?;
        let mut register = Register::default();
        for entry in ledger.entries_from(0) {
            let entry = entry?;
            register.take_entry(entry.index, &entry.leaf, &entry.envelope, &decisions)?;
        }
        let known = (&ledger, &status, &register.at(at));
        let population = population::look(&mut Memory::default(), known, at)?;
        status.close()?;
        let text = match self.format {
            Form::Text => population.text(),
            Form::Json => population.json(),
            Form::Csv => population::csv(&population),
        };
        Ok((text, population.holds()).into())
    }
}

impl Import {
    fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let (name, bytes) = document(&self.file)?;
        let shown = self.file.display().to_string();
        let listed = match inventory::read(&shown, &bytes) {
            Ok(listed) => listed,
            Err(faults) => {
                let faults: Vec<_> = faults.into_iter().map(|fault| fault.shown).collect();
                bail!(
                    "`{shown}` is no list of hosts; nothing was changed\n{}",
                    faults.join("\n\n")
                );
            }
        };
        let client = Client::new(&self.folder.dir);
        let pen = match &self.key {
            Some(file) => Pen::take(file, around, &client)?,
            None => Pen::take(&around.person_key()?, around, &client)?,
        };
        let count = listed.len();
        let mut fields = BTreeMap::from([
            (
                "document".to_owned(),
                Value::Text(Digest::of(&bytes).to_string()),
            ),
            ("hosts".to_owned(), Value::Number(i64::try_from(count)?)),
            ("origin".to_owned(), Value::Text(self.origin)),
        ]);
        for (field, value) in [("dated", self.dated), ("owner", self.owner)] {
            if let Some(value) = value {
                drop(fields.insert(field.to_owned(), Value::Text(value)));
            }
        }
        let before = client.record("inventory", &self.name)?;
        let decides = Decided::Record(Step {
            register: "inventory".to_owned(),
            record: self.name.clone(),
            step: "bring".to_owned(),
            after: before.as_ref().and_then(Record::last_decision),
            fields,
        });
        let done = client.decide(Some(&pen), decides, &[(name, bytes)])?;
        let (list, by, entry) = (self.name, pen.by(), done.entry);
        Ok(format!("list `{list}`: {count} hosts, by {by}; entry {entry}").into())
    }
}
