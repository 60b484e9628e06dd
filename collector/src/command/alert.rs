//! Commands about alerts: `alert list`, `alert test`, `alert routes`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context as _;
use clap::ValueEnum;
use collector::alert::engine::{Listed, Listing};
use collector::alert::outbox::Held;
use collector::alert::route::{Route, Routes, word};
use collector::alert::{Channel, Notice, Occasion};
use collector::catalog::Severity;
use collector::config::Config;
use collector::drift::{Condition, ConditionKind};
use collector::serve::alerts::FOLDER;
use shared::id::AgentId;
use shared::time::Timestamp;

use super::{Around, Folder, Format, Shown};

/// Most conditions that are shown of one incident.
const SHOWN_MAX: usize = 10;

/// Who is told what is wrong, and whether it arrives.
#[derive(Debug, clap::Args)]
pub(crate) struct Alert {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Show open incidents, and what waits for each channel
    ///
    /// Ends with 1 when a channel does not take what it is to tell. It reads the outbox in the
    /// collector's folder, so it also works when no collector runs.
    List(List),
    /// Send a notice by a channel, and say what its receiver answered
    ///
    /// The receiver sees that it is a test. Ends with 1 when it was not delivered.
    Test(Test),
    /// Show which routes would take a condition, whom they tell and when
    ///
    /// Nobody is told. Example: a failing check on a host of a group:
    ///   evident-collector alert routes --check clock.synchronised --host web-1 --group web
    Routes(Dry),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    folder: Folder,
    /// How it is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, clap::Args)]
struct Test {
    #[command(flatten)]
    folder: Folder,
    /// Name of the channel in the settings
    channel: String,
}

/// How much a condition matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Level {
    /// Worth knowing
    Low,
    /// To be repaired in the normal course of work
    Medium,
    /// To be repaired soon
    High,
    /// To be repaired now
    Critical,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A check fails on a host
    Failing,
    /// Of a check nothing can be told any more
    Unknown,
    /// A host sends nothing
    SilentHost,
    /// A probe of a host brings nothing any more
    SilentProbe,
    /// No host sends anything
    SilentFleet,
    /// The stream of a host has a record twice
    ForkedHost,
    /// A host is expected and not enrolled, or the other way round
    Population,
    /// A decision ends, or a date is due
    Due,
    /// A channel does not take what people are to be told
    Undelivered,
}

/// A condition that is only imagined.
#[derive(Debug, clap::Args)]
struct Dry {
    #[command(flatten)]
    folder: Folder,
    /// What is wrong
    #[arg(long, value_enum, default_value = "failing")]
    kind: Kind,
    /// A check; its severity and controls are those of the catalogue unless they are given
    #[arg(long)]
    check: Option<String>,
    /// How much it matters
    #[arg(long, value_enum)]
    severity: Option<Level>,
    /// A host
    #[arg(long)]
    host: Option<AgentId>,
    /// A control, e.g. A.8.17
    #[arg(long)]
    control: Vec<String>,
    /// A group that the host is in
    #[arg(long)]
    group: Vec<String>,
    /// Somebody who owns the controls
    #[arg(long)]
    owner: Vec<String>,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Low => Self::Low,
            Level::Medium => Self::Medium,
            Level::High => Self::High,
            Level::Critical => Self::Critical,
        }
    }
}

impl From<Kind> for ConditionKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Failing => Self::Failing,
            Kind::Unknown => Self::Unknown,
            Kind::SilentHost => Self::SilentHost,
            Kind::SilentProbe => Self::SilentProbe,
            Kind::SilentFleet => Self::SilentFleet,
            Kind::ForkedHost => Self::ForkedHost,
            Kind::Population => Self::Population,
            Kind::Due => Self::Due,
            Kind::Undelivered => Self::Undelivered,
        }
    }
}

impl Alert {
    /// Carries it out.
    pub(crate) fn run(self, around: &Around) -> anyhow::Result<Shown> {
        match self.what {
            What::List(list) => list.run(),
            What::Test(test) => test.run(around),
            What::Routes(dry) => dry.run(around),
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<Shown> {
        let dir = self.folder.dir.as_path();
        let config = Config::load(dir)?;
        let listing = Listing::of(&Held::read(&dir.join(FOLDER))?);
        let held = listing
            .channels
            .values()
            .all(|channel| channel.tally.failing.is_none());
        if self.format == Format::Json {
            return Ok((serde_json::to_string_pretty(&listing)?, held).into());
        }
        let mut text = String::new();
        let told = listing.incidents.iter().filter(|one| one.raised.is_some());
        let told: Vec<&Listed> = told.collect();
        let waiting = listing.incidents.len().saturating_sub(told.len());
        writeln!(
            text,
            "{} incidents are open; {waiting} more wait or are silenced.",
            told.len()
        )?;
        for incident in &listing.incidents {
            show_incident(&mut text, incident)?;
        }
        writeln!(text, "\nChannels:")?;
        if config.alert.channel.is_empty() {
            writeln!(
                text,
                "  none: nobody is told; see `[[alert.channel]]` in the settings"
            )?;
        }
        let mut channels = listing.channels;
        for channel in config.alert.channels() {
            let _known = channels.entry(channel.to_owned()).or_default();
        }
        for (name, pace) in &channels {
            let tally = &pace.tally;
            let (delivered, waiting) = (tally.delivered, pace.waiting);
            write!(text, "  {name}: {delivered} delivered, {waiting} waiting")?;
            if 0 < tally.refused || 0 < tally.lost {
                write!(text, ", {} refused, {} given up", tally.refused, tally.lost)?;
            }
            match &tally.failing {
                Some((since, said)) => writeln!(text, "\n    nothing since {since}: {said}")?,
                None => writeln!(text)?,
            }
        }
        Ok((text, held).into())
    }
}

fn show_incident(text: &mut String, incident: &Listed) -> std::fmt::Result {
    let severity = incident.severity.map_or("over soon", grade);
    let state = match incident.raised {
        None if incident.conditions.iter().any(|one| one.hush.is_some()) => "hushed".to_owned(),
        None => "waits to be told".to_owned(),
        Some(at) if incident.hushed => format!("told {at}, hushed"),
        Some(at) => format!("told {at}"),
    };
    let group = incident.group.join(" ");
    let (route, id) = (&incident.route, &incident.incident);
    writeln!(
        text,
        "\n{severity}  {group}  ({state}; route `{route}`) {id}"
    )?;
    for one in incident.conditions.iter().take(SHOWN_MAX) {
        let hush = one
            .hush
            .as_ref()
            .map_or_else(String::new, |hush| format!(" [{hush}]"));
        let condition = &one.condition;
        let (since, key) = (condition.since, &condition.key);
        writeln!(text, "  {key} since {since}{hush}: {}", condition.text)?;
    }
    let more = incident.conditions.len().saturating_sub(SHOWN_MAX);
    if 0 < more {
        writeln!(text, "  and {more} more")?;
    }
    Ok(())
}

impl Test {
    fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let dir = self.folder.dir.as_path();
        let config = Config::load(dir)?;
        let mut channels = config.alert.channel.iter();
        let settings = channels.find(|channel| channel.name == self.channel);
        let settings = settings.with_context(|| {
            let known = config.alert.channels().join(", ");
            format!("there is no channel `{}`; known are: {known}", self.channel)
        })?;
        let channel = Channel::open(settings, dir)?;
        let now = around.now();
        let notice = notice(&config.name, now);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let whom = channel.describe();
        let name = &self.channel;
        Ok(match runtime.block_on(channel.deliver(&notice, now)) {
            Ok(()) => format!("`{name}` took the test: {whom}").into(),
            Err(error) => (
                format!("`{name}` did not take the test: {whom}\n{error}"),
                false,
            )
                .into(),
        })
    }
}

/// A notice that says that it is none.
fn notice(collector: &str, now: Timestamp) -> Notice {
    let text = "this is a test of the channel; nothing is wrong";
    let condition = Condition {
        text: text.to_owned(),
        ..imagined("test", (ConditionKind::Undelivered, Severity::Low), now)
    };
    Notice {
        incident: format!("test-{}", now.unix_ms()),
        number: 1,
        occasion: Occasion::Test,
        at: now,
        since: now,
        severity: Severity::Low,
        title: text.to_owned(),
        collector: collector.to_owned(),
        conditions: vec![condition],
        count: 1,
    }
}

/// A condition about nothing yet.
fn imagined(key: &str, (kind, severity): (ConditionKind, Severity), now: Timestamp) -> Condition {
    Condition {
        key: key.to_owned(),
        kind,
        severity,
        host: None,
        groups: Vec::new(),
        check: None,
        controls: Vec::new(),
        owners: Vec::new(),
        since: now,
        text: String::new(),
        facts: BTreeMap::new(),
        evidence: Vec::new(),
    }
}

impl Dry {
    fn run(self, around: &Around) -> anyhow::Result<Shown> {
        let config = Config::load(&self.folder.dir)?;
        let (catalog, _which) = super::adopt::catalog(&self.folder.dir, None)?;
        let check = match &self.check {
            None => None,
            Some(id) => {
                let known = catalog.checks().find(|check| check.id == *id);
                Some(known.with_context(|| format!("there is no check `{id}`"))?)
            }
        };
        let severity = self.severity.map(Severity::from);
        let severity = severity.or(check.map(|check| check.severity));
        let mut controls = self.control;
        if controls.is_empty() {
            let mappings = check.iter().flat_map(|check| &check.mappings);
            controls.extend(mappings.map(|mapping| mapping.control.clone()));
        }
        let what = (self.kind.into(), severity.unwrap_or(Severity::Medium));
        let condition = Condition {
            host: self.host,
            groups: self.group,
            check: self.check,
            controls,
            owners: self.owner,
            ..imagined("dry", what, around.now())
        };
        let channels: Vec<_> = config.alert.channels();
        let channels: Vec<_> = channels.into_iter().map(|name| (name, None)).collect();
        let routes = Routes::of(&config.alert.route, &channels);
        let mut text = format!(
            "A condition of kind {}, severity {}, on the controls [{}]:\n",
            word(condition.kind),
            grade(condition.severity),
            condition.controls.join(", ")
        );
        for route in routes.take(&condition) {
            show_route(&mut text, &routes, route, &condition)?;
        }
        Ok(text.into())
    }
}

fn show_route(
    text: &mut String,
    routes: &Routes,
    route: &Route,
    condition: &Condition,
) -> std::fmt::Result {
    let told = |route: &Route| match route.channels.join(", ").as_str() {
        "" => "nobody".to_owned(),
        channels => channels.to_owned(),
    };
    let group = route.group(condition).join(" ");
    writeln!(
        text,
        "\nroute `{}` takes it and tells: {}",
        route.name,
        told(route)
    )?;
    writeln!(text, "  one incident with all of: {group}")?;
    writeln!(
        text,
        "  told when it has lasted {} and waited {} for others; over when it is gone for {}",
        span(route.hold_ms),
        span(route.wait_ms),
        span(route.resolve_ms)
    )?;
    match route.repeat_ms {
        Some(repeat) => writeln!(text, "  reminded every {}", span(repeat))?,
        None => writeln!(text, "  nobody is reminded")?,
    }
    let ladder = routes.ladder(route);
    for (here, next) in ladder.iter().zip(ladder.iter().skip(1)) {
        if let Some((after, _to)) = &here.escalate {
            let (name, channels) = (&next.name, told(next));
            writeln!(
                text,
                "  not acknowledged for {}: route `{name}` tells: {channels}",
                span(*after)
            )?;
        }
    }
    Ok(())
}

/// The word of a severity.
const fn grade(severity: Severity) -> &'static str {
    match severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
        Severity::Critical => "critical",
    }
}

/// A time as people say it.
fn span(ms: i64) -> String {
    let seconds = ms / 1000;
    match seconds {
        0 => "no time".to_owned(),
        _ if seconds % 86_400 == 0 => format!("{} d", seconds / 86_400),
        _ if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        _ if seconds % 60 == 0 => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}
