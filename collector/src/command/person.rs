//! Commands about the people who decide, and the pen with which a person signs.

use std::fmt::Write as _;
use std::fs::{DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use collector::register::Changed;
use collector::serve::Clock;
use collector::serve::api::Brought;
use collector::serve::api::records::PersonShown;
use serde::Deserialize;
use shared::attestation::{Statement, Subject};
use shared::decision::{Decided, Person, SAID_TYPE, Said};
use shared::durable;
use shared::id::{Digest, PersonId};
use shared::key::{PublicKey, SigningKey};
use shared::limits;

use super::client::Client;
use super::{Around, Folder, Format, Shown};

/// Longest file of a key.
const KEY_BYTES_MAX: u64 = 4096;

/// Who decides.
#[derive(Debug, clap::Args)]
pub(crate) struct Signer {
    /// Decide as the person of this key file; without it as the owner of
    /// .config/evident/person.key at home, and where that is nobody known as the account
    #[arg(id = "person-key", long = "as", value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Signer {
    /// The pen, if a person signs: the one that is named, or the one at its place at home when its
    /// owner may decide here.
    pub(crate) fn pen_at_hand(
        &self,
        around: &Around,
        client: &Client,
    ) -> anyhow::Result<Option<Pen>> {
        if let Some(file) = &self.key {
            return Pen::take(file, around, client).map(Some);
        }
        let Some(file) = around.person_key().ok().filter(|file| file.exists()) else {
            return Ok(None);
        };
        let key = private(&file)?;
        let owner = owner(&key, client)?;
        if owner.is_none_or(|owner| !owner.active) {
            return Ok(None);
        }
        Pen::take(&file, around, client).map(Some)
    }
}

/// Who changes what is known of a person.
#[derive(Debug, clap::Args)]
struct Own {
    /// Sign it with this key, which is that of the person; without it the account orders it
    #[arg(id = "person-key", long = "as", value_name = "FILE")]
    key: Option<PathBuf>,
}

impl Own {
    fn pen(&self, around: &Around, client: &Client) -> anyhow::Result<Option<Pen>> {
        let key = self.key.as_deref();
        key.map(|file| Pen::take(file, around, client)).transpose()
    }
}

/// Whose key it is here.
fn owner(key: &SigningKey, client: &Client) -> anyhow::Result<Option<PersonShown>> {
    let people: Vec<PersonShown> = client.get("/v1/people")?;
    let pem = key.public().to_pem();
    Ok(people.into_iter().find(|person| person.key == pem))
}

/// The key of a person, and who that is here.
pub(crate) struct Pen {
    key: SigningKey,
    by: PersonId,
    origin: String,
    clock: Clock,
}

#[derive(Deserialize)]
struct LedgerAnswer {
    origin: String,
}

impl Pen {
    /// Takes the pen in this file, for the collector that runs.
    pub(crate) fn take(file: &Path, around: &Around, client: &Client) -> anyhow::Result<Self> {
        let key = private(file)?;
        let ledger: LedgerAnswer = client.get("/v1/ledger")?;
        let person = owner(&key, client)?.with_context(|| {
            let id = key.public().id().short();
            format!(
                "nobody here has the key {id}.. of `{}`: whoever may open the collector's folder \
                 makes its owner known with `evident-collector person add`",
                file.display()
            )
        })?;
        Ok(Self {
            by: person.id.parse()?,
            key,
            origin: ledger.origin,
            clock: Clock::clone(&around.clock),
        })
    }

    /// The person.
    pub(crate) const fn by(&self) -> &PersonId {
        &self.by
    }

    /// Signs a decision; the files come with it.
    pub(crate) fn sign(
        &self,
        decides: Decided,
        documents: &[(String, Vec<u8>)],
    ) -> anyhow::Result<Brought> {
        let said = Said {
            by: self.by.clone(),
            at: (self.clock)(),
            ledger: self.origin.clone(),
            decides,
        };
        let subjects = documents
            .iter()
            .map(|(name, bytes)| Subject::new(name, Digest::of(bytes)));
        let file = Statement::new(SAID_TYPE, subjects.collect(), said).seal(&self.key)?;
        Ok(Brought {
            statement: String::from_utf8(file)?,
            documents: documents
                .iter()
                .map(|(_name, bytes)| STANDARD.encode(bytes))
                .collect(),
        })
    }
}

/// Reads a file that is brought with a decision.
pub(crate) fn document(file: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let most = u64::try_from(limits::DOCUMENT_BYTES_MAX).unwrap_or(u64::MAX);
    let bytes = durable::read(file, most).with_context(|| {
        let mebibytes = most >> 20;
        format!(
            "`{}` cannot be brought; {mebibytes} MiB are taken at most",
            file.display()
        )
    })?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    Ok((format!("document/{name}"), bytes))
}

/// Reads a private key that nobody else may read.
fn private(file: &Path) -> anyhow::Result<SigningKey> {
    let hint = "`evident-collector person key` makes one";
    let read = || format!("the key `{}` cannot be read: {hint}", file.display());
    let mode = std::fs::metadata(file).with_context(read)?.mode() & 0o777;
    ensure!(
        mode.trailing_zeros() >= 6,
        "`{0}` has mode {mode:o}, so others may sign with it: chmod 0600 {0}",
        file.display()
    );
    let text = durable::read_text(file, KEY_BYTES_MAX).with_context(read)?;
    SigningKey::from_pem(&text).with_context(read)
}

/// Reads a public key. A private one that came this far is nobody's own any more.
fn public(file: &Path) -> anyhow::Result<PublicKey> {
    let name = file.display();
    let text = durable::read_text(file, KEY_BYTES_MAX)
        .with_context(|| format!("the key `{name}` cannot be read"))?;
    if text.contains("PRIVATE KEY") {
        bail!(
            "`{name}` holds a private key, with which whoever has it decides in the name of its \
             owner: its owner keeps it, and gives the public half that `person key` printed. If \
             it was sent around, a new one is due"
        );
    }
    PublicKey::from_pem(&text).with_context(|| {
        let hint = "`evident-collector person key` prints one";
        format!("`{name}` holds no public key: {hint}")
    })
}

/// The people who decide.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct People {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make the key with which you sign your decisions, and print its public half
    ///
    /// The file stays with you. Nobody else needs it, the administrator of the collector neither:
    /// give them the public half, which this prints.
    Key(Key),
    /// Make a person known, who may decide from now on
    ///
    /// Whoever may open the collector's folder may do this, and stands in the ledger with the
    /// account of the machine.
    Add(Add),
    /// Show who may decide, and who could
    List(List),
    /// A person may decide no more; what was decided before stays
    Leave(Leave),
    /// Put another key in the place of the one that a person has
    KeyChange(KeyChange),
}

#[derive(Debug, clap::Args)]
struct Key {
    /// New file for the key; without it .config/evident/person.key in your home folder
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Add {
    #[command(flatten)]
    folder: Folder,
    /// Short name, for ever of this person: 1 to 63 of a-z, 0-9, `.` and `-`
    id: PersonId,
    /// The whole name, as an auditor asks for it
    #[arg(long)]
    name: String,
    /// Address for mail
    #[arg(long, default_value = "")]
    email: String,
    /// File with the public half of the key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    folder: Folder,
    /// As of when, in RFC 3339; without it now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct Leave {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    own: Own,
    /// Short name of the person
    id: PersonId,
}

#[derive(Debug, clap::Args)]
struct KeyChange {
    #[command(flatten)]
    folder: Folder,
    #[command(flatten)]
    own: Own,
    /// Short name of the person
    id: PersonId,
    /// File with the public half of the new key
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

impl People {
    /// Does what the command says.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        match self.command {
            Command::Key(key) => key.run(around),
            Command::Add(add) => add.run(),
            Command::List(list) => list.run(),
            Command::Leave(leave) => leave.run(around),
            Command::KeyChange(change) => change.run(around),
        }
    }
}

impl Key {
    fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let out = match self.out {
            Some(out) => out,
            None => around.person_key()?,
        };
        if let Some(folder) = out.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
        }
        let key = SigningKey::generate()?;
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&out)
            .and_then(|mut file| {
                file.write_all(key.to_pem().as_bytes())?;
                file.sync_all()
            });
        written.with_context(|| {
            let hint = "a key that is there is never overwritten";
            format!("cannot make `{}`; {hint}", out.display())
        })?;
        Ok(Shown {
            text: key.public().to_pem(),
            advice: Some(format!(
                "key {} is in `{}`: keep it to yourself, and a copy where only you can find it.\n\
                 Give the public half below to whoever runs the collector, for\n  \
                 evident-collector person add YOU --name \"Your Name\" --key PUBLIC-HALF.pem",
                key.public().id().short(),
                out.display(),
            )),
            held: true,
        })
    }
}

/// Says something of a person.
fn tell(client: &Client, pen: Option<&Pen>, person: Person, what: &str) -> anyhow::Result<Shown> {
    let id = person.id.clone();
    let done = client.decide(pen, Decided::Person(person), &[])?;
    Ok(format!("`{id}` {what}; entry {}", done.entry).into())
}

/// The person as known now.
fn known(client: &Client, id: &PersonId) -> anyhow::Result<Person> {
    let people: Vec<PersonShown> = client.get("/v1/people")?;
    let person = people.into_iter().find(|person| person.id == id.as_str());
    let hint = "`evident-collector person list` shows all";
    let person = person.with_context(|| format!("nobody is known as `{id}`: {hint}"))?;
    Ok(Person {
        id: id.clone(),
        name: person.name,
        email: person.email,
        key: person.key,
        active: person.active,
    })
}

impl Add {
    fn run(self) -> anyhow::Result<Shown> {
        let client = Client::new(&self.folder.dir);
        let people: Vec<PersonShown> = client.get("/v1/people")?;
        if people.iter().any(|person| person.id == self.id.as_str()) {
            bail!(
                "`{}` is known already, and a short name is for ever of one person: take another, \
                 or `person key-change`",
                self.id
            );
        }
        let person = Person {
            id: self.id,
            name: self.name,
            email: self.email,
            key: public(&self.key)?.to_pem(),
            active: true,
        };
        tell(&client, None, person, "may decide from now on")
    }
}

impl Leave {
    fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let client = Client::new(&self.folder.dir);
        let person = known(&client, &self.id)?;
        if !person.active {
            bail!("`{}` has left already", self.id);
        }
        let pen = self.own.pen(around, &client)?;
        let person = Person {
            active: false,
            ..person
        };
        tell(&client, pen.as_ref(), person, "may decide no more")
    }
}

impl KeyChange {
    fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let client = Client::new(&self.folder.dir);
        let person = known(&client, &self.id)?;
        let pen = self.own.pen(around, &client)?;
        let person = Person {
            key: public(&self.key)?.to_pem(),
            ..person
        };
        tell(
            &client,
            pen.as_ref(),
            person,
            "signs with the new key from now on",
        )
    }
}

impl List {
    fn run(self) -> anyhow::Result<Shown> {
        let client = Client::new(&self.folder.dir);
        let at = self.at.map(|at| format!("?at={}", super::encoded(&at)));
        let people: Vec<PersonShown> =
            client.get(&format!("/v1/people{}", at.unwrap_or_default()))?;
        if self.format == Format::Json {
            return Ok(serde_json::to_string_pretty(&people)?.into());
        }
        if people.is_empty() {
            let advice = "nobody may decide yet: each person makes a key with `evident-collector \
                          person key`,\nand `evident-collector person add` makes its owner known";
            return Ok(advice.to_owned().into());
        }
        let width = people
            .iter()
            .map(|person| person.id.len())
            .max()
            .unwrap_or(0);
        let mut text = String::new();
        for person in &people {
            let state = if person.active { "" } else { "  (has left)" };
            let key = person.key_id.map(|id| id.short()).unwrap_or_default();
            let PersonShown {
                id, name, email, ..
            } = person;
            writeln!(text, "{id:width$}  {key}  {name} <{email}>{state}")?;
            for Changed {
                at,
                by,
                entry,
                what,
            } in &person.history
            {
                let what = what.join(", ");
                writeln!(text, "{:width$}  {at}  {what} by {by}; entry {entry}", "")?;
            }
        }
        Ok(text.into())
    }
}
