//! Logging: what is kept, how fresh it is, whether it leaves the host.
//!
//! Sources: headers of the journal files, and of their entries those in which journald tells what
//! it dropped and others that the time was set; journald.conf(5), rsyslog.conf(5),
//! syslog-ng.conf(5), journal-upload.conf(5), the settings of Fluent Bit, Vector and the
//! OpenTelemetry Collector, with their folders; log files, their modes and their last lines; queues
//! on disk; the state of logrotate; the lists of sockets in `/proc/net`. Rights: group
//! `systemd-journal` for the journal, `adm` for log files, `CAP_SYS_PTRACE` for the sockets of
//! daemons. `Absent` means: no journal file, no log file, no log daemon, all of that was looked at,
//! and the host is no container, whose output is kept elsewhere. Limits: 4096 journal files, of
//! which 40 000 pieces are read; 256 settings files of 256 KiB; 8192 files below `/var/log`.

use shared::fact::{Record, Subject, Value};
use shared::time::Timestamp;

use super::processes::Processes;
use super::{Probe, Scene, Seen, container, settings};
use crate::host::Host;

mod journal;
mod journald;
mod sources;
mod permissions;
mod sockets;
mod forwarding;
mod delivery;
mod backlog;

use journal::Journal;
use sources::LogFile;

/// Log daemons that are known by name.
const DAEMONS: [&str; 14] = [
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
    "systemd-journal-remote",
    "systemd-journal-upload",
    "systemd-journald",
    "vector",
];

/// How far back the journal is searched for what was dropped and for changes of the clock.
const SEARCHED_MS: i64 = 7 * 24 * 60 * 60 * 1000;

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

impl Probe for Logging {
    fn subject(&self) -> &'static Subject {
        &shared::fact::logging::SUBJECT
    }

    fn observe(&self, host: &dyn Host, scene: &Scene) -> Seen {
        let mut seen = Seen::default();
        let processes = Processes::look(host, &mut seen);
        let found = Found {
            journal: journal::look(host, &mut seen),
            daemons: processes.as_ref().map(|all| all.records(&DAEMONS)),
            files: sources::look(host, &mut seen),
            container: container::look(host, &mut seen, processes.as_ref()),
        };
        // A log that the settings name is looked at, whatever else there is.
        if found.nothing() && scene.settings.logging.sources.is_empty() {
            return seen.absent("no journal file, no log file and no log daemon");
        }
        state_journal(host, &mut seen, found.journal.as_ref(), scene);
        if let Some(newest) = found.newest() {
            seen.state("newest_entry", Value::Instant(newest));
        }
        state_sources(host, &mut seen, found.files.as_deref(), scene);
        if let Some(daemons) = found.daemons {
            container::state_daemons(&mut seen, daemons, found.container);
        }
        let sent = forwarding::look(host, &mut seen, processes.as_ref());
        let targets = sent.as_ref().map(|sent| sent.targets.as_slice());
        delivery::state(host, &mut seen, targets, processes.as_ref(), &DAEMONS);
        if let Some(sent) = &sent {
            backlog::state(host, &mut seen, &sent.rsyslog, scene.before.as_ref());
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

/// States the log files, those that were named, their rotation and their modes.
fn state_sources(host: &dyn Host, seen: &mut Seen, files: Option<&[LogFile]>, scene: &Scene) {
    let zone = sources::zone(host, seen);
    if let Some(files) = files {
        sources::state(host, seen, files, zone.as_ref());
    }
    let declared = &scene.settings.logging.sources;
    sources::state_declared(host, seen, declared, zone.as_ref(), scene.now);
    sources::state_rotation(host, seen, zone.as_ref());
    permissions::state(host, seen);
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

fn state_journal(host: &dyn Host, seen: &mut Seen, journal: Option<&Journal>, scene: &Scene) {
    let settings = settings::systemd(host, seen, "journald.conf");
    if let Some(settings) = &settings {
        let setting = journald::storage(settings);
        seen.state("journald_setting", Value::Text(setting.to_owned()));
        journald::state(seen, settings);
    }
    let Some(journal) = journal else { return };
    let setting = settings.as_deref().map(journald::storage);
    if let Some(storage) = storage(journal, setting) {
        seen.state("journald_storage", Value::Text(storage.to_owned()));
    }
    state_headers(seen, journal);
    if journal.persistent.count + journal.volatile.count == 0 {
        return;
    }
    state_damage(host, seen, journal);
    state_events(host, seen, journal, scene.now);
    backlog::state_upload(host, seen, journal, scene.before.as_ref());
}

fn state_headers(seen: &mut Seen, journal: &Journal) {
    let (persistent, volatile) = (&journal.persistent, &journal.volatile);
    let count = persistent.count + volatile.count;
    let bytes = persistent.bytes.saturating_add(volatile.bytes);
    seen.state_count("journal_file_count", count);
    let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
    seen.state("journal_bytes", Value::Number(bytes));
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

/// States damaged files, gaps between files, and whether the boot that runs is in the journal.
fn state_damage(host: &dyn Host, seen: &mut Seen, journal: &Journal) {
    let text = |text: &str| Value::Text(text.to_owned());
    let damaged = [&journal.persistent.damaged, &journal.volatile.damaged];
    let damaged = damaged.into_iter().flatten().map(|(path, why)| {
        Record::from([
            ("path".to_owned(), text(path)),
            ("why".to_owned(), text(why)),
        ])
    });
    let damaged: Vec<_> = damaged.collect();
    // None is said only when every header was read.
    if journal.all_read() || !damaged.is_empty() {
        seen.state_list("journal_damaged", damaged);
    }
    if let Some(gaps) = journal.gaps() {
        let records = gaps.iter().map(|gap| {
            let missing = i64::try_from(gap.missing).unwrap_or(i64::MAX);
            Record::from([
                ("after".to_owned(), text(&gap.after)),
                ("before".to_owned(), text(&gap.before)),
                ("missing_count".to_owned(), Value::Number(missing)),
            ])
        });
        seen.state_list("journal_gaps", records.collect());
    }
    if let Some(current) = journal.of_this_boot(host) {
        seen.state("journal_of_this_boot", Value::Flag(current));
    }
}

/// States what journald dropped, and when the clock was set. A search that did not see everything
/// states what it found, and nothing when it found nothing.
fn state_events(host: &dyn Host, seen: &mut Seen, journal: &Journal, now: Timestamp) {
    let since = now.plus_ms(-SEARCHED_MS);
    let events = journal.events(host, seen, since);
    let text = |text: &str| Value::Text(text.to_owned());
    seen.state("journal_searched_since", Value::Instant(since));
    let drops = events.drops.iter().map(|drop| {
        let mut record = Record::from([
            ("at".to_owned(), Value::Instant(drop.at)),
            ("entry_count".to_owned(), Value::Number(drop.count)),
            ("kind".to_owned(), text(drop.kind)),
        ]);
        if let Some(unit) = &drop.unit {
            let _new = record.insert("unit".to_owned(), text(unit));
        }
        record
    });
    if events.drops_whole || !events.drops.is_empty() {
        let sum = events.drops.iter().map(|drop| drop.count);
        let sum = sum.fold(0, i64::saturating_add);
        seen.state("journal_dropped_count", Value::Number(sum));
        seen.state_list("journal_drops", drops.collect());
    }
    if events.clock_whole || !events.clock_changes.is_empty() {
        let changes = events.clock_changes.iter().map(|change| {
            Record::from([
                ("at".to_owned(), Value::Instant(change.at)),
                ("by".to_owned(), text(&change.by)),
                ("text".to_owned(), text(&change.text)),
            ])
        });
        seen.state_list("clock_changes", changes.collect());
    }
}

#[cfg(test)]
mod tests;
