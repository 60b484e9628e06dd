//! Logging: what is kept, how fresh it is, whether it leaves the host.
//!
//! Sources: headers of the journal files; journald.conf(5), rsyslog.conf(5), syslog-ng.conf(5) and
//! journal-upload.conf(5) with their folders; log files in `/var/log`; kernel auditing over
//! netlink; `/proc`. Rights: group `systemd-journal` for the headers, `CAP_AUDIT_CONTROL` for
//! auditing. `Absent` means: no journal file, no log file, no log daemon, all of that was looked
//! at, and the host is no container, whose output is kept elsewhere. Limits: 4096 journal files;
//! 256 settings files of 256 KiB.

use shared::fact::{Record, Subject, Value};
use shared::observation::Means;
use shared::time::Timestamp;

use super::processes::Processes;
use super::settings::{self, Assignment};
use super::{Probe, Scene, Seen, container};
use crate::host::Host;

mod forwarding;
mod journal;

use forwarding::Target;
use journal::Journal;

/// Log daemons that are known by name.
const DAEMONS: [&str; 13] = [
    "auditd",
    "filebeat",
    "fluent-bit",
    "fluentd",
    "nxlog",
    "otelcol",
    "otelcol-contrib",
    "promtail",
    "rsyslogd",
    "syslog-ng",
    "systemd-journal-upload",
    "systemd-journald",
    "vector",
];

/// Log files of syslog daemons on the distributions that are known. Everybody may see their folder.
const FILES: [&str; 11] = [
    "/var/log/auth.log",
    "/var/log/cron",
    "/var/log/cron.log",
    "/var/log/daemon.log",
    "/var/log/kern.log",
    "/var/log/mail.log",
    "/var/log/maillog",
    "/var/log/messages",
    "/var/log/secure",
    "/var/log/syslog",
    "/var/log/user.log",
];

/// Looks at logging.
#[derive(Debug)]
pub struct Logging;

/// What there is of logging; `None` where it could not be looked at.
struct Found {
    journal: Option<Journal>,
    daemons: Option<Vec<Record>>,
    files: Option<Vec<LogFile>>,
    container: Option<bool>,
}

struct LogFile {
    path: &'static str,
    bytes: u64,
    modified: Timestamp,
}

impl Probe for Logging {
    fn subject(&self) -> &'static Subject {
        &shared::fact::logging::SUBJECT
    }

    fn observe(&self, host: &dyn Host, _scene: &Scene) -> Seen {
        let mut seen = Seen::default();
        let processes = Processes::look(host, &mut seen);
        let found = Found {
            journal: journal::look(host, &mut seen),
            daemons: processes.as_ref().map(|all| all.records(&DAEMONS)),
            files: log_files(host, &mut seen),
            container: container::look(host, &mut seen, processes.as_ref()),
        };
        if found.nothing() {
            return seen.absent("no journal file, no log file and no log daemon");
        }
        let setting = settings::systemd(host, &mut seen, "journald.conf");
        let setting = setting.map(|all| written_storage(&all));
        if let Some(journal) = &found.journal {
            state_journal(&mut seen, journal, setting);
        }
        if let Some(setting) = setting {
            seen.state("journald_setting", Value::Text(setting.to_owned()));
        }
        if let Some(newest) = found.newest() {
            seen.state("newest_entry", Value::Instant(newest));
        }
        if let Some(files) = &found.files {
            state_files(&mut seen, files);
        }
        if let Some(daemons) = found.daemons {
            container::state_daemons(&mut seen, daemons, found.container);
        }
        if let Some(targets) = forwarding::look(host, &mut seen, processes.as_ref()) {
            state_forwarding(&mut seen, &targets, processes.as_ref());
        }
        if seen.is_empty() {
            seen.unknown("nothing could be learned about logging")
        } else {
            seen.facts()
        }
    }
}

impl Found {
    /// Everything was looked at, and there is nothing.
    fn nothing(&self) -> bool {
        let journal = self.journal.as_ref();
        self.container == Some(false)
            && journal.is_some_and(|all| all.persistent.count == 0 && all.volatile.count == 0)
            && self.daemons.as_ref().is_some_and(Vec::is_empty)
            && self.files.as_ref().is_some_and(Vec::is_empty)
    }

    /// The last sign of life of any log; `None` too when a newer one may not have been seen.
    fn newest(&self) -> Option<Timestamp> {
        let journal = self.journal.as_ref()?;
        let (persistent, volatile) = (journal.persistent.headers?, journal.volatile.headers?);
        let files = self.files.as_ref()?.iter();
        // An empty file is one that was made anew, and says nothing about entries.
        let written = files
            .filter(|file| file.bytes != 0)
            .map(|file| file.modified);
        let newest = persistent.newest.max(volatile.newest);
        newest.max(written.max())
    }
}

/// The log files that are there; `None` when it could not be told of one of them.
fn log_files(host: &dyn Host, seen: &mut Seen) -> Option<Vec<LogFile>> {
    let mut files = Vec::new();
    let mut whole = true;
    for path in FILES {
        match host.stat(path) {
            Ok(stat) if stat.folder => {}
            Ok(stat) => files.push(LogFile {
                path,
                bytes: stat.bytes,
                modified: stat.modified,
            }),
            Err(unseen) if unseen.is_absent() => {}
            Err(unseen) => {
                seen.unseen(Means::File, unseen);
                whole = false;
            }
        }
    }
    whole.then_some(files)
}

/// `Storage=` as written, or nothing. journald passes over a value that it does not know.
fn written_storage(assignments: &[Assignment]) -> &'static str {
    let known = |value: &str| {
        let mut words = ["", "auto", "none", "persistent", "volatile"].into_iter();
        words.find(|word| *word == value)
    };
    let written = |one: &&Assignment| one.section == "Journal" && one.key == "Storage";
    let mut values = assignments.iter().rev().filter(written);
    values.find_map(|one| known(&one.value)).unwrap_or_default()
}

/// What is in force is told by the files: a setting may not have been taken over yet.
fn storage(journal: &Journal, setting: Option<&str>) -> Option<&'static str> {
    match (journal.persistent.count, journal.volatile.count) {
        (0, 0) => Some("none"),
        // Files of earlier times may have stayed.
        _ if setting? == "none" => Some("none"),
        (_, 0) => Some("persistent"),
        (0, _) => Some("volatile"),
        (_, _) => {
            let (persistent, volatile) = (journal.persistent.headers?, journal.volatile.headers?);
            let newer = persistent.newest < volatile.newest;
            Some(if newer { "volatile" } else { "persistent" })
        }
    }
}

fn state_journal(seen: &mut Seen, journal: &Journal, setting: Option<&str>) {
    let (persistent, volatile) = (&journal.persistent, &journal.volatile);
    let count = persistent.count + volatile.count;
    let bytes = persistent.bytes.saturating_add(volatile.bytes);
    seen.state_count("journal_file_count", count);
    seen.state("journal_bytes", number(bytes));
    if let Some(storage) = storage(journal, setting) {
        seen.state("journald_storage", Value::Text(storage.to_owned()));
    }
    let (Some(one), Some(other)) = (persistent.headers, volatile.headers) else {
        return;
    };
    if 0 < count {
        let sealed = one.sealed + other.sealed == count;
        seen.state("journal_sealed", Value::Flag(sealed));
    }
    if let Some(oldest) = [one.oldest, other.oldest].into_iter().flatten().min() {
        seen.state("journal_oldest", Value::Instant(oldest));
    }
    if let Some(newest) = one.newest.max(other.newest) {
        seen.state("journal_newest", Value::Instant(newest));
    }
}

fn state_files(seen: &mut Seen, files: &[LogFile]) {
    let records = files.iter().map(|file| {
        let values = [
            ("bytes", number(file.bytes)),
            ("modified", Value::Instant(file.modified)),
            ("path", Value::Text(file.path.to_owned())),
        ];
        values.map(|(name, value)| (name.to_owned(), value)).into()
    });
    seen.state_list("files", records.collect());
}

fn state_forwarding(seen: &mut Seen, targets: &[Target], processes: Option<&Processes>) {
    // Settings of a daemon that does not run send nothing; whether it runs must have been seen.
    if let Some(processes) = processes {
        let sends = |target: &&Target| processes.has(target.daemon) && !target.here();
        let sending: Vec<_> = targets.iter().filter(sends).collect();
        let encrypted = sending.iter().filter(|target| target.encrypted()).count();
        seen.state_count("forwarding_count", sending.len());
        seen.state_count("forwarding_encrypted_count", encrypted);
    }
    let records = targets.iter().map(|target| {
        let values = [
            ("daemon", Value::Text(target.daemon.to_owned())),
            ("encrypted", Value::Flag(target.encrypted())),
            ("file", Value::Text(target.file.clone())),
            ("protocol", Value::Text(target.protocol.to_owned())),
            ("target", Value::Text(target.host.clone())),
        ];
        let mut record = Record::from(values.map(|(name, value)| (name.to_owned(), value)));
        if let Some(port) = target.port {
            let _new = record.insert("port".to_owned(), Value::Number(port));
        }
        if let Some(processes) = processes {
            let runs = Value::Flag(processes.has(target.daemon));
            let _new = record.insert("running".to_owned(), runs);
        }
        record
    });
    seen.state_list("forwarding", records.collect());
}

fn number(value: u64) -> Value {
    Value::Number(i64::try_from(value).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
