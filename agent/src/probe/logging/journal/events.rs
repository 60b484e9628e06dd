//! What the journal says of itself and of the clock: entries that were dropped, time that was set.
//!
//! systemd marks such messages with ids of its own (`journalctl --list-catalog`), so they are found
//! whatever else the journal holds. chronyd has no such ids and is found by its name.

use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::File;
use super::entries::{Entry, Search};
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Most entries of one kind in one file that are read.
const ENTRIES_MAX: usize = 256;
/// How often all files together may be read.
const READS_MAX: usize = 40_000;

/// Ids of messages: sd-messages.h of systemd.
const IDS: [(&str, Kind); 4] = [
    (
        "MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e",
        Kind::Suppressed,
    ),
    ("MESSAGE_ID=e9bf28e6e834481bb6f48f548ad13606", Kind::Kernel),
    ("MESSAGE_ID=0027229ca0644181a76c4e92458afa2e", Kind::Syslog),
    ("MESSAGE_ID=c7a787079b354eaaa9e77b371893cd27", Kind::Clock),
];
/// The time daemon that says in words when it sets the clock.
const CHRONYD: &str = "SYSLOG_IDENTIFIER=chronyd";
/// The words: sources.c and reference.c of chrony.
const CHRONYD_SET: &str = "System clock was stepped by ";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Suppressed,
    Kernel,
    Syslog,
    Clock,
}

/// Entries that never reached the journal, or a syslog daemon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct Drop {
    /// When journald said so.
    pub(in super::super) at: Timestamp,
    /// `suppressed` by the rate limit, `kernel`, or on the way to `syslog`.
    pub(in super::super) kind: &'static str,
    /// How many.
    pub(in super::super) count: i64,
    /// Unit that wrote too much.
    pub(in super::super) unit: Option<String>,
}

/// The time was set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct ClockChange {
    /// When, by the clock as it was set.
    pub(in super::super) at: Timestamp,
    /// Program that said so.
    pub(in super::super) by: String,
    /// What it said.
    pub(in super::super) text: String,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Events {
    /// The oldest first.
    pub(in super::super) drops: Vec<Drop>,
    /// The oldest first.
    pub(in super::super) clock_changes: Vec<ClockChange>,
    /// Every file was searched to its end; else there may be more.
    pub(in super::super) whole: bool,
}

/// Searches the files for entries since then. What could not be searched is noted.
pub(super) fn look(host: &dyn Host, seen: &mut Seen, files: &[File], since: Timestamp) -> Events {
    let mut events = Events {
        whole: true,
        ..Events::default()
    };
    let mut budget = READS_MAX;
    let mut newest: Vec<&File> = files.iter().filter(|file| meant(file, since)).collect();
    newest.sort_by_key(|file| std::cmp::Reverse(file.header.tail));
    for file in newest {
        if let Err(unseen) = search(host, &mut events, file, since, &mut budget) {
            // It may have been removed to make room since its header was read.
            events.whole &= unseen.is_absent();
            seen.unseen(Means::File, unseen);
        }
    }
    events.drops.sort();
    events.clock_changes.sort();
    events
}

/// Whether such entries may stand in the file: those of users hold none.
fn meant(file: &File, since: Timestamp) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    !name.starts_with("user-") && file.header.tail.is_some_and(|tail| since <= tail)
}

fn search(
    host: &dyn Host,
    events: &mut Events,
    file: &File,
    since: Timestamp,
    budget: &mut usize,
) -> Result<(), Unseen> {
    if !file.header.known {
        let why = "a form of journal files that is not known";
        return Err(Unseen::new(&file.path, Status::Unsupported, Some(why)));
    }
    let parts = host.open_parts(&file.path)?;
    let mut search = Search::new(&file.path, parts, file.header, budget);
    for found in search.values("MESSAGE_ID")? {
        let Some((_, kind)) = IDS.iter().find(|(id, _)| *id == found.text) else {
            continue;
        };
        for entry in search.entries(&found, since, ENTRIES_MAX)? {
            match kind {
                Kind::Clock => events.clock_changes.push(clock_change(&entry)),
                Kind::Suppressed | Kind::Kernel | Kind::Syslog => {
                    events.drops.push(dropped(&entry, *kind));
                }
            }
        }
        events.whole &= found.count() <= ENTRIES_MAX;
    }
    for found in search.values("SYSLOG_IDENTIFIER")? {
        if found.text == CHRONYD {
            let entries = search.entries(&found, since, ENTRIES_MAX)?;
            let said = |entry: &&Entry| message(entry).starts_with(CHRONYD_SET);
            events
                .clock_changes
                .extend(entries.iter().filter(said).map(clock_change));
        }
    }
    Ok(())
}

fn message(entry: &Entry) -> &str {
    entry.value("MESSAGE").unwrap_or_default()
}

fn dropped(entry: &Entry, kind: Kind) -> Drop {
    // `N_DROPPED` since systemd 236; the first number of the message before.
    let mut words = message(entry)
        .split(' ')
        .filter_map(|word| word.parse().ok());
    let written = entry
        .value("N_DROPPED")
        .and_then(|count| count.parse().ok());
    let unit = message(entry).split_once(" messages from ");
    Drop {
        at: entry.at,
        kind: match kind {
            Kind::Suppressed => "suppressed",
            Kind::Kernel => "kernel",
            Kind::Syslog | Kind::Clock => "syslog",
        },
        count: written.or_else(|| words.next()).unwrap_or(1),
        unit: unit.map(|(_, unit)| unit.to_owned()),
    }
}

fn clock_change(entry: &Entry) -> ClockChange {
    let by = entry
        .value("SYSLOG_IDENTIFIER")
        .or_else(|| entry.value("_COMM"));
    ClockChange {
        at: entry.at,
        by: by.unwrap_or_default().to_owned(),
        text: message(entry).to_owned(),
    }
}
