//! Kernel auditing: whether it is on, loses nothing, and has the rules that are written.
//!
//! Sources: kernel auditing over netlink, which is asked for its state and its rules; the rule
//! files and the settings of auditd in `/etc/audit`; its log file; `/proc`. Rights:
//! `CAP_AUDIT_CONTROL` in the first namespaces for the kernel, root for the files. `Absent` is
//! never said: what the kernel does not answer is unknown. Limits: 512 rules are stated, all are
//! compared; 256 rule files of 256 KiB.

use std::collections::BTreeSet;

use shared::fact::{Record, Subject, Value};
use shared::id::Digest;
use shared::observation::{Means, Status};

use super::processes::Processes;
use super::{Before, Probe, Scene, Seen, container, settings};
use crate::host::{Host, Unseen};

mod rule;
mod written;
mod kernel;
mod daemon;

use rule::{Machine, Rule};
use written::Written;

/// Daemons that take audit records, by the names of their programs.
const DAEMONS: [&str; 4] = ["auditbeat", "auditd", "go-audit", "osqueryd"];

/// What is loaded when auditd starts.
const RULES: &str = "/etc/audit/audit.rules";
/// What augenrules(8) makes it of.
const PARTS: &str = "/etc/audit/rules.d/*.rules";

/// Looks at kernel auditing.
#[derive(Debug)]
pub struct Audit;

impl Probe for Audit {
    fn subject(&self) -> &'static Subject {
        &shared::fact::audit::SUBJECT
    }

    fn observe(&self, host: &dyn Host, scene: &Scene) -> Seen {
        let mut seen = Seen::default();
        let processes = Processes::look(host, &mut seen);
        let container = container::look(host, &mut seen, processes.as_ref());
        if let Some(processes) = &processes {
            container::state_daemons(&mut seen, processes.records(&DAEMONS), container);
        }
        let state = kernel::status(host);
        if let Some(state) = seen.note(Means::Netlink, "netlink audit", state) {
            state_kernel(&mut seen, &state, scene.before.as_ref());
        }
        let loaded = kernel::rules(host);
        let loaded = seen.note(Means::Netlink, "netlink audit rules", loaded);
        let (machine, loaded) = match loaded {
            Some((machine, rules)) => (machine, Some(rules)),
            None => (Machine::here(), None),
        };
        if let Some(loaded) = &loaded {
            state_loaded(&mut seen, loaded);
        }
        if let Some(written) = look_written(host, &mut seen, machine) {
            state_written(&mut seen, &written, loaded.as_deref());
        }
        daemon::look(host, &mut seen);
        if seen.is_empty() {
            seen.unknown("nothing could be learned about kernel auditing")
        } else {
            seen.facts()
        }
    }
}

fn state_kernel(seen: &mut Seen, state: &kernel::Audit, before: Option<&Before>) {
    seen.state("registered", Value::Flag(state.daemon != 0));
    seen.state("rules_locked", Value::Flag(state.enabled == 2));
    for (name, value) in [
        ("backlog_count", state.backlog),
        ("backlog_limit_count", state.backlog_limit),
        ("enabled", state.enabled),
        ("failure_mode", state.failure),
        ("lost_count", state.lost),
        ("rate_limit_count", state.rate_limit),
    ] {
        seen.state(name, Value::Number(value.into()));
    }
    // The counter begins anew with each boot, and both looks belong to one boot. It may be set back
    // by hand (`auditctl --reset-lost`): then what was lost since is what it says.
    if let Some(before) = before
        && let Some(Value::Number(earlier)) = before.facts.get("lost_count")
    {
        let lost = i64::from(state.lost);
        let new = if *earlier <= lost {
            lost - earlier
        } else {
            lost
        };
        seen.state("lost_new_count", Value::Number(new));
        let span = i64::try_from(before.ago_ms / 1000).unwrap_or(i64::MAX);
        seen.state("lost_new_span_s", Value::Number(span));
    }
}

fn state_loaded(seen: &mut Seen, loaded: &[Rule]) {
    let set: BTreeSet<&Rule> = loaded.iter().collect();
    let text = set.iter().fold(String::new(), |text, rule| {
        format!("{text}{} key={}\n", rule.text, rule.key)
    });
    seen.state_count("rules_loaded_count", set.len());
    let digest = Digest::of(text.as_bytes()).to_string();
    seen.state("rules_digest", Value::Text(digest));
    seen.state_list("rules", set.into_iter().map(record).collect());
}

/// The rules in force at the next start, and those that they were made of.
struct OnDisk {
    rules: Written,
    parts: Option<Written>,
}

/// `None` when there are none, or when one file could not be read.
fn look_written(host: &dyn Host, seen: &mut Seen, machine: Machine) -> Option<OnDisk> {
    let text = settings::text(host, RULES);
    let rules = seen.note(Means::File, RULES, text)?;
    let rules = written::read(&rules, machine);
    for line in &rules.unknown {
        let why = format!("rule `{line}`");
        let unseen = Unseen::new(RULES, Status::Unsupported, Some(&why));
        seen.unseen(Means::File, unseen);
    }
    Some(OnDisk {
        rules,
        parts: look_parts(host, seen, machine),
    })
}

/// The rules in the folder; `None` when it has none, or when one file could not be read.
fn look_parts(host: &dyn Host, seen: &mut Seen, machine: Machine) -> Option<Written> {
    let paths = match settings::expand(host, PARTS) {
        Ok(paths) if paths.len() <= settings::FILES_MAX => paths,
        Ok(_too_many) => {
            seen.unseen(Means::File, Unseen::new(PARTS, Status::Limit, None));
            return None;
        }
        Err(unseen) => {
            seen.unseen(Means::File, unseen);
            return None;
        }
    };
    let mut texts = Vec::new();
    for path in &paths {
        let text = settings::text(host, path);
        texts.push(seen.note(Means::File, path, text)?);
    }
    (!texts.is_empty()).then(|| written::merged(&texts, machine))
}

fn state_written(seen: &mut Seen, disk: &OnDisk, loaded: Option<&[Rule]>) {
    let rules = &disk.rules;
    let written: BTreeSet<&Rule> = rules.rules.iter().collect();
    seen.state_count("rules_written_count", written.len() + rules.unknown.len());
    let locked = rules.enabled == Some(2);
    seen.state("rules_locked_written", Value::Flag(locked));
    if let Some(parts) = &disk.parts {
        let set: BTreeSet<&Rule> = parts.rules.iter().collect();
        let lines: BTreeSet<_> = parts.unknown.iter().collect();
        let merged = set == written && lines == rules.unknown.iter().collect();
        seen.state("rules_merged", Value::Flag(merged));
    }
    let Some(loaded) = loaded else { return };
    let loaded: BTreeSet<&Rule> = loaded.iter().collect();
    let missing: Vec<_> = written
        .difference(&loaded)
        .map(|rule| record(rule))
        .collect();
    // A line that is not understood may be any of the rules that seem to be too many.
    if rules.unknown.is_empty() {
        let more: Vec<_> = loaded
            .difference(&written)
            .map(|rule| record(rule))
            .collect();
        let equal = missing.is_empty() && more.is_empty();
        seen.state("rules_as_written", Value::Flag(equal));
        seen.state_list("rules_not_written", more);
    } else if !missing.is_empty() {
        seen.state("rules_as_written", Value::Flag(false));
    }
    seen.state_list("rules_not_loaded", missing);
}

fn record(rule: &Rule) -> Record {
    let mut record = Record::from([("text".to_owned(), Value::Text(rule.text.clone()))]);
    if !rule.key.is_empty() {
        let _new = record.insert("key".to_owned(), Value::Text(rule.key.clone()));
    }
    record
}

#[cfg(test)]
mod tests;
