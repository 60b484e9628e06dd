//! Commands that assess: `assess` and `drift`.

use collector::assess::Desk;
use collector::follow;
use collector::ledger::Ledger;
use collector::serve::api::problem::Problem;
use collector::serve::api::{Form, Question, assess, drifted};
use serde_json::Value as Json;
use shared::time::Timestamp;

use super::client::Client;
use super::{Around, Folder, Shown, encoded};

const ASSESS: &str = "\
Three things stand apart: what was collected (of how many hosts there is fresh evidence), the
finding (what checks say of it) and the conclusion (what a named person decided).
  evident-collector assess                                    all controls, now
  evident-collector assess --control A.8.13                   one, with its hosts and evidence
  evident-collector assess --control A.8.13 --host db-1 --at 2026-03-01T12:00:00Z
  evident-collector assess --group web --from 2026-01-01 --to 2026-03-31
Over a period: the share of time passing, failing, unknown and excepted, the longest time without
evidence, deviations, how fast they were seen, and how fast mended against what
`[assess.sla_days]` in the settings allows each severity.
Exit status 1 when something in scope fails, excepted or not, or cannot be told, or a machine on a
list is not enrolled.";

const DRIFT: &str = "\
Drift is a change that no decision explains: no exception, acknowledgement, catalogue or enrolment.
  evident-collector drift                                     the last 7 days
  evident-collector drift --from 2026-03-01 --to 2026-03-31 --unexplained
  evident-collector drift --control A.8.17 --format csv
Four changes of one check on one host within a day are one entry that says flapping.";

/// What both ask for.
#[derive(Debug, clap::Args)]
struct Which {
    #[command(flatten)]
    folder: Folder,
    /// Control of Annex A, or several: A.8.13, A.8.*; may be repeated
    #[arg(long, value_name = "ID")]
    control: Vec<String>,
    /// Host, or several: web-1, web-*; may be repeated
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// Group of hosts; may be repeated
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// From when: 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until when, a day included; without it until now
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Written,
}

/// How a result is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Written {
    /// For people
    Text,
    /// For programs
    Json,
    /// For spreadsheets
    Csv,
}

/// How controls stand, or stood.
#[derive(Debug, clap::Args)]
#[command(after_help = ASSESS)]
pub(crate) struct Assess {
    #[command(flatten)]
    which: Which,
    /// As of this instant, with its zone; without it now
    #[arg(long, value_name = "TIME", conflicts_with = "from")]
    at: Option<String>,
    /// Most hosts that are named in one place; all are counted
    #[arg(long, value_name = "N")]
    names: Option<usize>,
}

/// What changed.
#[derive(Debug, clap::Args)]
#[command(after_help = DRIFT)]
pub(crate) struct Drift {
    #[command(flatten)]
    which: Which,
    /// Leave out what a decision explains
    #[arg(long)]
    unexplained: bool,
    /// Show the first evidence of a new host check by check, and not in one line
    #[arg(long)]
    all: bool,
}

impl Which {
    fn question(self, around: &Around) -> (Folder, Question) {
        let question = Question {
            control: self.control.join(","),
            host: self.host.join(","),
            group: self.group.join(","),
            from: self.from,
            to: self.to,
            format: match self.format {
                Written::Text => Form::Text,
                Written::Json => Form::Json,
                Written::Csv => Form::Csv,
            },
            width: Some(around.width),
            colour: around.colour,
            ..Question::default()
        };
        (self.folder, question)
    }
}

impl Assess {
    /// Controls as they stand, stood at an instant, or stood over a period.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let (folder, mut question) = self.which.question(around);
        (question.at, question.names) = (self.at, self.names);
        answer(&folder, around, "/v1/assess", &question, assess)
    }
}

impl Drift {
    /// What changed in a period.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let (folder, mut question) = self.which.question(around);
        (question.unexplained, question.all) = (self.unexplained, self.all);
        answer(&folder, around, "/v1/drift", &question, drifted)
    }
}

type Answering = fn(&Desk<'_>, &Question, Timestamp) -> Result<(String, bool), Problem>;

/// Asks the collector that runs, or answers from its folder when none does.
fn answer(
    folder: &Folder,
    around: &Around,
    path: &str,
    question: &Question,
    answering: Answering,
) -> anyhow::Result<Shown> {
    let dir = folder.dir.as_path();
    let (config, authority) = super::load(dir)?;
    let path = format!("{path}?{}", query(question)?);
    if let Some(answer) = Client::new(dir).ask(&path)? {
        let holds = answer.holds;
        return Ok((answer.text(), holds).into());
    }
    let ledger = Ledger::open(&super::ledger_dir(dir), super::signer(&config, &authority)?)?;
    let (_fleet, register) = super::known(&ledger, &authority)?;
    let decisions = authority.decisions.public();
    let status = super::serve::open_status(dir, &ledger, &decisions)?;
    let _position = follow::catch_up(&ledger, &status, &decisions)?;
    let desk = Desk {
        status: &status,
        register: &register,
        ledger: &ledger,
        sla: config.assess.sla_days.into(),
    };
    let answered = answering(&desk, question, around.now());
    status.close()?;
    Ok(answered?.into())
}

/// A question as a query of a URL; what is not asked is left out.
fn query(question: &Question) -> anyhow::Result<String> {
    let Json::Object(fields) = serde_json::to_value(question)? else {
        anyhow::bail!("a question has fields");
    };
    let pairs = fields.into_iter().filter_map(|(name, value)| {
        let text = match value {
            Json::String(text) if !text.is_empty() => text,
            Json::Bool(flag) => flag.to_string(),
            Json::Number(number) => number.to_string(),
            Json::String(_) | Json::Null | Json::Array(_) | Json::Object(_) => return None,
        };
        Some(format!("{name}={}", encoded(&text)))
    });
    Ok(pairs.collect::<Vec<_>>().join("&"))
}
