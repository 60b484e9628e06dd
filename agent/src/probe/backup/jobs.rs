//! The jobs that make backups: services of systemd with their timers, and what cron runs.
//!
//! A job is known by the program that its command names. Where the command is a script of the
//! host's own (not of a package), the script is read for one, so a wrapper is found too. What it
//! says is grade `job`: that something was started and how it ended, not what came of it.
//!
//! Of services systemd is asked how the last run ended and when the next one is. It forgets the
//! runs before a boot; of what cron runs nothing is known but its line.

use std::rc::Rc;

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::cron::{self, Entry};
use super::paths;
use super::unitfiles::{Unit, Units};
use super::words::{self, Secrets};
use crate::config::BackupSet;
use crate::host::{Host, Unseen};
use crate::probe::Seen;
use crate::probe::units::{service_unit, timer_unit};

/// Folders of scripts that belong to no package.
const OWN: [&str; 6] = ["/etc/", "/home/", "/opt/", "/root/", "/srv/", "/usr/local/"];
/// Longest script that is read.
const SCRIPT_BYTES_MAX: u64 = 64 * 1024;
/// Most files of a command that are looked at for a script.
const SCRIPTS_MAX: usize = 8;
/// Most services of which systemd is asked.
const ASKED_MAX: usize = 64;
/// What a service runs.
const COMMANDS: [&str; 3] = ["ExecStart", "ExecStartPre", "ExecStartPost"];

/// A job that makes a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) name: String,
    /// What its commands, its own variables and its script tell of secrets.
    secrets: Secrets,
    /// The same of the variables that it shares with the other commands of a crontab.
    shared: Rc<Secrets>,
    /// Files that systemd or the unit itself names as holding variables or credentials.
    files: Vec<String>,
    kind: &'static str,
    file: String,
    tool: Option<&'static str>,
    set: Option<String>,
    schedule: String,
    enabled: bool,
    timer: Option<String>,
    last: Last,
}

/// The jobs of a host.
pub(super) struct Jobs {
    pub(super) found: Vec<Job>,
    /// Whether every place of jobs was seen.
    pub(super) whole: bool,
}

/// What systemd says of the last run, and of the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Last {
    start: Option<Timestamp>,
    end: Option<Timestamp>,
    result: Option<String>,
    exit: Option<i64>,
    next: Option<Timestamp>,
}

/// Finds the jobs; states them when every place of jobs was seen.
pub(super) fn look(host: &dyn Host, seen: &mut Seen, sets: &[BackupSet]) -> Jobs {
    let units = Units::look(host, seen);
    let (entries, cron_whole) = cron::look(host, seen);
    let whole = units.is_some() && cron_whole;
    let mut jobs = Vec::new();
    if let Some(units) = &units {
        let services = units.services();
        jobs.extend(
            services.filter_map(|(name, unit)| of_service(host, units, (name, unit), sets)),
        );
    }
    ask(host, seen, &mut jobs);
    jobs.extend(
        entries
            .into_iter()
            .filter_map(|entry| of_cron(host, entry, sets)),
    );
    let named = sets.iter().filter_map(|set| set.unit.as_deref());
    let missing: Vec<(&str, Option<bool>)> = named
        .map(|unit| (unit, is_missing(host, units.as_ref(), &jobs, unit)))
        .collect();
    let known = missing.iter().all(|(_, missing)| missing.is_some());
    let missing = missing.iter().filter(|(_, missing)| *missing == Some(true));
    let missing = paths(missing.map(|(unit, _)| (*unit).to_owned()));
    // What is known to be gone stays so whatever else could not be seen.
    if known || !missing.is_empty() {
        seen.state_list("missing_units", missing);
    }
    if whole {
        seen.state_list("jobs", jobs.iter().map(Job::record).collect());
    }
    Jobs { found: jobs, whole }
}

/// Whether nothing on this host is the unit that a set names; `None` when that cannot be seen.
fn is_missing(host: &dyn Host, units: Option<&Units>, jobs: &[Job], unit: &str) -> Option<bool> {
    if jobs.iter().any(|job| job.name == unit || job.file == unit) {
        return Some(false);
    }
    if unit.starts_with('/') {
        // A crontab that is there may have lines that are not known.
        return match host.stat(unit) {
            Err(unseen) if unseen.is_absent() => Some(true),
            Ok(_) | Err(_) => None,
        };
    }
    // Of a template only the instances that are enabled are known.
    (!units?.has_template(unit)).then_some(true)
}

/// Asks systemd about the services.
fn ask(host: &dyn Host, seen: &mut Seen, jobs: &mut [Job]) {
    for job in jobs.iter_mut().take(ASKED_MAX) {
        match last(host, job) {
            Ok(last) => job.last = last,
            // Where systemd is not asked, or is not there, it says nothing about the next job.
            Err(unseen) if matches!(unseen.status, Status::Absent | Status::Unsupported) => {
                let _none: Option<()> = seen.note(Means::Dbus, &job.name, Err(unseen));
                return;
            }
            Err(unseen) => {
                let _none: Option<()> = seen.note(Means::Dbus, &job.name, Err(unseen));
            }
        }
    }
}

fn last(host: &dyn Host, job: &Job) -> Result<Last, Unseen> {
    let mut last = Last::default();
    let Some(service) = service_unit(host, &job.name)? else {
        return Ok(last);
    };
    last.start = service.started;
    last.end = service.ended;
    // `success` is also what a service has that never ran.
    if service.started.is_some() || service.result.as_deref() != Some("success") {
        last.result = service.result;
        last.exit = service.status.filter(|_| service.ended.is_some());
    }
    if let Some(timer) = &job.timer
        && let Some(timer) = timer_unit(host, timer)?
    {
        last.next = timer.next;
    }
    Ok(last)
}

impl Job {
    /// Whether a secret stands in it.
    pub(super) fn has_secret(&self) -> bool {
        self.secrets.inside || self.shared.inside
    }

    /// The files that it names as holding a secret.
    pub(super) fn named(&self) -> impl Iterator<Item = String> {
        let named = self.secrets.named.iter().chain(&self.shared.named);
        self.files.iter().chain(named).cloned()
    }

    fn record(&self) -> Record {
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let fields = [
            ("name", text(&self.name)),
            ("kind", text(self.kind)),
            ("file", text(&self.file)),
            ("tool", self.tool.and_then(text)),
            ("set", self.set.as_deref().and_then(text)),
            (
                "schedule",
                text(&self.schedule).filter(|_| !self.schedule.is_empty()),
            ),
            ("enabled", Some(Value::Flag(self.enabled))),
            ("secret_inside", Some(Value::Flag(self.has_secret()))),
            ("last_start", self.last.start.map(Value::Instant)),
            ("last_end", self.last.end.map(Value::Instant)),
            ("result", self.last.result.as_deref().and_then(text)),
            ("exit", self.last.exit.map(Value::Number)),
            ("next", self.last.next.map(Value::Instant)),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// A service, when it makes a backup or a set names it.
fn of_service(
    host: &dyn Host,
    units: &Units,
    (name, unit): (&str, &Unit),
    sets: &[BackupSet],
) -> Option<Job> {
    let commands: Vec<&str> = COMMANDS
        .iter()
        .flat_map(|command| unit.all(command))
        .map(|command| command.trim_start_matches(['-', '@', ':', '+', '!', '|']))
        .collect();
    let set = declared(sets, name);
    let mut text = commands.join("\n");
    for command in &commands {
        text.push('\n');
        text.push_str(&script(host, command));
    }
    let tool = words::program(&text);
    if tool.is_none() && set.is_none() {
        return None;
    }
    for variables in unit.all("Environment") {
        text.push('\n');
        text.push_str(variables);
    }
    let plain = |file: &String| file.trim_start_matches('-').to_owned();
    let named = |credential: &String| {
        let (_id, file) = credential.split_once(':')?;
        file.starts_with('/').then(|| file.to_owned())
    };
    let environment = unit.all("EnvironmentFile").iter().map(plain);
    let credentials = unit.all("LoadCredential").iter().filter_map(named);
    let timer = units.timer(name);
    let wanted = timer.map_or(name, |(timer, _)| timer);
    Some(Job {
        name: name.to_owned(),
        files: environment.chain(credentials).collect(),
        kind: if timer.is_some() { "timer" } else { "service" },
        file: unit.file.clone(),
        tool,
        set,
        schedule: timer.map(|(_, timer)| timer.times()).unwrap_or_default(),
        enabled: units.is_enabled(wanted),
        timer: timer.map(|(timer, _)| timer.to_owned()),
        last: Last::default(),
        secrets: Secrets::of(&text),
        shared: Rc::default(),
    })
}

/// What cron runs, when it makes a backup or a set names its file.
fn of_cron(host: &dyn Host, entry: Entry, sets: &[BackupSet]) -> Option<Job> {
    let text = format!("{}\n{}", entry.command, script(host, &entry.command));
    let tool = words::program(&text);
    let set = declared(sets, &entry.file);
    if tool.is_none() && set.is_none() {
        return None;
    }
    Some(Job {
        name: entry.name,
        secrets: Secrets::of(&text),
        shared: entry.variables,
        files: Vec::new(),
        kind: "cron",
        file: entry.file,
        tool,
        set,
        schedule: entry.schedule,
        enabled: true,
        timer: None,
        last: Last::default(),
    })
}

/// The set that names this unit or crontab.
fn declared(sets: &[BackupSet], unit: &str) -> Option<String> {
    let set = sets.iter().find(|set| set.unit.as_deref() == Some(unit));
    set.map(|set| set.name.clone())
}

/// The text of the first script of the host's own in a command; nothing when there is none, or it
/// cannot be read.
fn script(host: &dyn Host, command: &str) -> String {
    let own = |word: &&str| OWN.iter().any(|folder| word.starts_with(folder));
    let read = |path: &str| host.read(path, SCRIPT_BYTES_MAX).ok();
    words::words(command)
        .filter(own)
        .take(SCRIPTS_MAX)
        .filter_map(read)
        .find(|bytes| bytes.starts_with(b"#!"))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
