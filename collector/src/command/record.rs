//! Commands of the registers: made from the declaration of each, so that what can be said is what
//! the collector understands; and `register`, which teaches them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args as _, FromArgMatches as _, value_parser};
use collector::fault::nearest;
use collector::register::{self, Event, Field, FieldKind, Ids, KINDS, Kind, Record, StepKind};
use collector::serve::api::records::{self, who};
use serde::Deserialize;
use shared::decision::{Decided, Step, Value};
use shared::durable;
use shared::id::Digest;
use shared::time::Timestamp;

use super::client::Client;
use super::person::{Pen, document};
use super::{Around, Folder, Format, Shown, encoded};

/// Where the id of a record stands among the arguments.
const ID: &str = "record-id";
/// Where the file to be written stands.
const OUT: &str = "file-out";
/// Where the key of the person stands.
const KEY: &str = "person-key";
/// Most columns of a line of text in a list.
const LINE: usize = 60;

/// The registers taught.
#[derive(Debug, clap::Args)]
pub(crate) struct Registers {
    /// One of them; without it all are named
    register: Option<String>,
}

impl Registers {
    /// Says what registers there are, or all of one.
    pub(crate) fn run(self) -> anyhow::Result<Shown> {
        if let Some(name) = self.register {
            let names = KINDS.iter().map(|kind| kind.name);
            let kind = register::kind(&name).with_context(|| {
                let hint = nearest(&name, names);
                format!("there is no register `{name}`\nhint: {hint}")
            })?;
            return Ok(command(kind).render_long_help().to_string().into());
        }
        let width = KINDS.iter().map(|kind| kind.name.len()).max().unwrap_or(0);
        let mut text =
            "The records of the management system. Each is a command of its own:\n\n".to_owned();
        for kind in KINDS {
            let steps: Vec<&str> = kind.steps.iter().map(|step| step.name).collect();
            let (name, title, steps) = (kind.name, kind.title, steps.join(", "));
            writeln!(text, "  {name:width$}  {title} ({})", kind.source)?;
            writeln!(text, "  {:width$}  steps: {steps}", "")?;
        }
        text.push_str(
            "\n`evident-collector register NAME` says what it is for and when auditors ask for it.\n\
             Each step is signed with the key of a person (`evident-collector person --help`) and\n\
             stands in the ledger for ever.",
        );
        Ok(text.into())
    }
}

/// The commands of all registers.
pub(crate) fn commands() -> impl Iterator<Item = clap::Command> {
    KINDS.iter().map(|kind| command(kind))
}

/// The command of one register: its steps, `list` and `show`.
fn command(kind: &'static Kind) -> clap::Command {
    let source = kind.source;
    let example = kind.example;
    let command = clap::Command::new(kind.name)
        .about(kind.title)
        .long_about(format!("{}: {}", kind.title, kind.about))
        .after_long_help(format!(
            "Duty: {source}\n\nExample:\n  evident-collector {example}"
        ))
        .arg_required_else_help(true)
        .subcommand_required(true)
        .subcommands(kind.steps.iter().map(|step| step_command(kind, step)));
    let looking = |name, about: &'static str| {
        let command = Looking::augment_args(clap::Command::new(name));
        command.about(about).long_about(None)
    };
    let id = Arg::new(ID).value_name("ID").required(true);
    let mut show = looking("show", "Show one of them with its history");
    if kind.document().is_some() {
        let out = Arg::new(OUT).long("out").value_name("FILE");
        show = show.arg(
            out.value_parser(value_parser!(PathBuf))
                .help("Write the file that it names to this new file, as it was brought"),
        );
    }
    command
        .subcommand(looking("list", "Show all of them, the newest last"))
        .subcommand(show.arg(id.help("Which one")))
}

/// What is common to `list` and `show`.
#[derive(Debug, clap::Args)]
struct Looking {
    #[command(flatten)]
    folder: Folder,
    /// As of when, in RFC 3339; without it now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

impl Looking {
    /// Writes the file of a record to a new file.
    fn write_out(&self, kind: &Kind, id: &str, out: &Path) -> anyhow::Result<Shown> {
        let at = self.at.as_ref().map(|at| format!("?at={}", encoded(at)));
        let (name, id, at) = (kind.name, encoded(id), at.unwrap_or_default());
        let path = format!("/v1/registers/{name}/{id}/document{at}");
        let dir = &self.folder.dir;
        let answer = Client::new(dir).ask(&path)?;
        let nobody = || format!("no collector runs in `{}`", dir.display());
        let bytes = answer.with_context(nobody)?.body;
        anyhow::ensure!(!out.exists(), "`{}` is there already", out.display());
        durable::write(out, &bytes, 0o644)
            .with_context(|| format!("cannot write `{}`", out.display()))?;
        let (count, digest, out) = (bytes.len(), Digest::of(&bytes), out.display());
        Ok(format!("{count} bytes in `{out}`, SHA-256 {digest}").into())
    }

    /// Asks the collector that runs, or reads its ledger when none does.
    fn answer(
        &self,
        kind: &Kind,
        id: Option<&String>,
        now: Timestamp,
    ) -> anyhow::Result<serde_json::Value> {
        let (dir, at) = (self.folder.dir.as_path(), self.at.as_deref());
        let id_path = id.map(|id| format!("/{}", encoded(id)));
        let at_query = at.map(|at| format!("?at={}", encoded(at)));
        let (id_path, at_query) = (id_path.unwrap_or_default(), at_query.unwrap_or_default());
        let client = Client::new(dir);
        if client.is_there() {
            let name = kind.name;
            return client.get(&format!("/v1/registers/{name}{id_path}{at_query}"));
        }
        let register = super::register(dir)?;
        Ok(match id {
            Some(id) => records::whole(&register, (kind, id), at, now)?,
            None => records::listed(&register, kind, at, now)?,
        })
    }
}

/// The command of one step.
fn step_command(kind: &'static Kind, step: &'static StepKind) -> clap::Command {
    // The arguments bring the words of their own type along, which are not those of the step.
    let command = Folder::augment_args(clap::Command::new(step.name));
    let mut command = command.about(capital(step.about)).long_about(None);
    let id = Arg::new(ID).value_name("ID").help("Which one");
    command = match (step.makes(), kind.ids) {
        (false, _) => command.arg(id.required(true)),
        (true, Ids::Named) => command.arg(id.required(true).help("Its name")),
        (true, Ids::Numbered(_)) if step.from.len() == 1 => command,
        (true, Ids::Numbered(_)) => command.arg(id.help("Which one; without it a new one")),
    };
    let fields = |names: &'static [&'static str]| names.iter().filter_map(|name| kind.field(name));
    for field in fields(step.must) {
        command = command.arg(argument(field).required(true));
    }
    for field in fields(step.may) {
        command = command.arg(argument(field));
    }
    let key = Arg::new(KEY)
        .long("as")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("Key of the person who decides; without it .config/evident/person.key at home");
    command.arg(key).after_help(lesson(step))
}

/// From where to where a step leads, and who may take it.
fn lesson(step: &StepKind) -> String {
    let from: Vec<&str> = step
        .from
        .iter()
        .map(|state| {
            if *state == register::NEW {
                "nothing"
            } else {
                state
            }
        })
        .collect();
    let mut text = format!("From: {}.", from.join(", "));
    if step.to.is_empty() {
        text.push_str(" The state stays as it is.");
    } else {
        write!(text, " Then it is: {}.", step.to).unwrap_or_default();
    }
    if !step.who.is_empty() {
        let who: Vec<String> = step.who.iter().map(who).collect();
        write!(text, " Who: {}.", who.join(", and ")).unwrap_or_default();
    }
    text
}

/// The option of a field.
fn argument(field: &'static Field) -> Arg {
    let about = capital(field.about);
    let argument = Arg::new(format!("field.{}", field.name))
        .long(field.name.replace('_', "-"))
        .help(about);
    let argument = match field.kind {
        FieldKind::Number { least, most, .. } => {
            let within = value_parser!(i64).range(least..=most);
            argument.value_name("NUMBER").value_parser(within)
        }
        FieldKind::Choice(words) => argument
            .value_name("WORD")
            .value_parser(PossibleValuesParser::new(words)),
        FieldKind::Document => argument
            .value_name("FILE")
            .visible_alias("file")
            .value_parser(value_parser!(PathBuf)),
        FieldKind::Text => argument.value_name("TEXT"),
        FieldKind::Instant => argument.value_name("TIME"),
        FieldKind::Day => argument.value_name("DAY"),
        FieldKind::Days => argument.value_name("DAYS"),
        FieldKind::Person => argument.value_name("PERSON"),
        FieldKind::Control => argument.value_name("CONTROL"),
        FieldKind::Requirement => argument.value_name("CONTROL|CLAUSE"),
        FieldKind::Check => argument.value_name("CHECK"),
        FieldKind::Host | FieldKind::Machine => argument.value_name("HOST"),
        FieldKind::Group => argument.value_name("GROUP"),
        FieldKind::Record(_) => argument.value_name("ID"),
        FieldKind::Evidence => argument.value_name("SHA256"),
    };
    if field.many {
        argument.action(ArgAction::Append)
    } else {
        argument
    }
}

/// Help begins with a capital letter.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

/// Does what the command of a register says.
pub(crate) fn run(
    kind: &'static Kind,
    given: &ArgMatches,
    around: &Around,
) -> anyhow::Result<Shown> {
    let (name, given) = given.subcommand().context("no step was named")?;
    if let Some(step) = kind.step(name) {
        return take(kind, step, given, around);
    }
    let looking = Looking::from_arg_matches(given)?;
    let id = given.try_get_one::<String>(ID).ok().flatten();
    if let (Some(id), Ok(Some(out))) = (id, given.try_get_one::<PathBuf>(OUT)) {
        return looking.write_out(kind, id, out);
    }
    let answer = looking.answer(kind, id, around.now())?;
    if looking.format == Format::Json {
        return Ok(serde_json::to_string_pretty(&answer)?.into());
    }
    if id.is_some() {
        return Ok(whole(&serde_json::from_value(answer)?)?.into());
    }
    let shown: RegisterAnswer = serde_json::from_value(answer)?;
    Ok(listed(kind, &shown.records, around.width)?.into())
}

#[derive(Deserialize)]
struct RegisterAnswer {
    #[serde(default)]
    next_id: Option<String>,
    records: Vec<Standing>,
}

/// A record, and how it stands.
#[derive(Deserialize)]
struct Standing {
    #[serde(flatten)]
    record: Record,
    standing: String,
}

/// Takes a step.
fn take(
    kind: &'static Kind,
    step: &'static StepKind,
    given: &ArgMatches,
    around: &Around,
) -> anyhow::Result<Shown> {
    let (fields, documents) = said(kind, step, given)?;
    let client = Client::new(&Folder::from_arg_matches(given)?.dir);
    let pen = match given.get_one::<PathBuf>(KEY) {
        Some(file) => Pen::take(file, around, &client)?,
        None => Pen::take(&around.person_key()?, around, &client)?,
    };
    let id = given.try_get_one::<String>(ID).ok().flatten().cloned();
    let (record, before) = if let Some(id) = id {
        let before = client.record(kind.name, &id)?;
        (id, before)
    } else {
        let answer: RegisterAnswer = client.get(&format!("/v1/registers/{}", kind.name))?;
        let hint = "the collector is of another version: start it anew";
        (answer.next_id.context(hint)?, None)
    };
    let (name, by) = (record.clone(), pen.by().clone());
    let decides = Decided::Record(Step {
        register: kind.name.to_owned(),
        record,
        step: step.name.to_owned(),
        after: before.as_ref().and_then(Record::last_decision),
        fields,
    });
    let done = client.decide(Some(&pen), decides, &documents)?;
    let state = if step.to.is_empty() {
        step.name
    } else {
        step.to
    };
    let entry = done.entry;
    let mut shown = Shown::from(format!(
        "{} `{name}`: {state}, by {by}; entry {entry}",
        kind.name
    ));
    if let Some(before) = before {
        let mut advice = format!("It was decided about `{name}` as it stood:\n");
        fields_of(&mut advice, "  ", &before.fields)?;
        shown.advice = Some(advice.trim_end().to_owned());
    }
    Ok(shown)
}

type Fields = BTreeMap<String, Value>;
type Documents = Vec<(String, Vec<u8>)>;

/// What is said with the step, and the files that are brought.
fn said(kind: &Kind, step: &StepKind, given: &ArgMatches) -> anyhow::Result<(Fields, Documents)> {
    let (mut fields, mut documents) = (Fields::new(), Documents::new());
    let names = step.must.iter().chain(step.may);
    for field in names.filter_map(|name| kind.field(name)) {
        let argument = format!("field.{}", field.name);
        if let FieldKind::Number { .. } = field.kind {
            if let Some(number) = given.get_one::<i64>(&argument) {
                let _none = fields.insert(field.name.to_owned(), Value::Number(*number));
            }
            continue;
        }
        let mut texts: Vec<String> = Vec::new();
        if field.kind == FieldKind::Document {
            for file in given.get_many::<PathBuf>(&argument).unwrap_or_default() {
                let (name, bytes) = document(file)?;
                texts.push(Digest::of(&bytes).to_string());
                documents.push((name, bytes));
            }
        } else {
            let given = given.get_many::<String>(&argument).unwrap_or_default();
            texts.extend(given.cloned());
        }
        let value = match texts.first() {
            None => continue,
            Some(_) if field.many => Value::List(texts),
            // The command line takes it once.
            Some(text) => Value::Text(text.clone()),
        };
        let _none = fields.insert(field.name.to_owned(), value);
    }
    Ok((fields, documents))
}

/// The value of a field in one line.
fn plain(value: &Value) -> String {
    let text = match value {
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::List(texts) => texts.join(", "),
    };
    // What a person wrote must not move the cursor of another.
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// One line for each record.
fn listed(kind: &Kind, records: &[Standing], width: usize) -> anyhow::Result<String> {
    if records.is_empty() {
        let example = kind.example;
        return Ok(format!(
            "none yet; for example:\n  evident-collector {example}"
        ));
    }
    let longest = |of: fn(&Standing) -> usize| records.iter().map(of).max().unwrap_or(0);
    let (ids, states) = (
        longest(|one| one.record.id.chars().count()),
        longest(|one| one.standing.chars().count()),
    );
    let mut text = String::new();
    for Standing { record, standing } in records {
        let (id, state) = (&record.id, standing);
        let last = record.history.last();
        let when = last.map(|event| event.at.to_string().chars().take(10).collect::<String>());
        let by = last.map(|event| event.by.as_str()).unwrap_or_default();
        let said = kind.fields.iter().filter_map(|field| {
            let value = record.fields.get(field.name)?;
            (field.kind != FieldKind::Document)
                .then(|| format!("{}: {}", field.name.replace('_', " "), plain(value)))
        });
        let said = said.collect::<Vec<_>>().join("; ");
        let when = when.unwrap_or_default();
        let head = format!("{id:ids$}  {state:states$}  {when} {by}  ");
        let room = width.saturating_sub(head.chars().count()).max(LINE);
        writeln!(text, "{head}{}", short(&said, room))?;
    }
    Ok(text)
}

fn short(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room.saturating_sub(2)).collect();
    format!("{kept}..")
}

/// All of one record.
fn whole(Standing { record, standing }: &Standing) -> anyhow::Result<String> {
    let mut text = format!("{}  {standing}\n", record.id);
    fields_of(&mut text, "  ", &record.fields)?;
    for event in &record.history {
        let Event {
            at,
            by,
            step,
            entry,
            record,
            statement,
            ..
        } = event;
        writeln!(
            text,
            "\n{at}  {step} by {by}  (entry {entry}, record {})",
            record.short()
        )?;
        if let Some(statement) = statement {
            writeln!(text, "  signed statement {statement}")?;
        }
        fields_of(&mut text, "  ", &event.fields)?;
    }
    Ok(text)
}

fn fields_of(text: &mut String, indent: &str, fields: &Fields) -> std::fmt::Result {
    let width = fields.keys().map(String::len).max().unwrap_or(0);
    for (name, value) in fields {
        writeln!(
            text,
            "{indent}{:width$}  {}",
            name.replace('_', " "),
            plain(value)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
