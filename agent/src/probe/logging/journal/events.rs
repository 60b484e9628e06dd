//! What the journal says of itself and of the clock: entries that were dropped, time that was set.
//!
//! systemd marks such messages with ids of its own (`journalctl --list-catalog`), so they are found
//! whatever else the journal holds. chronyd has no such ids and is found by its name.

use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::File;
use super::entries::{Entry, Search, Wanted};
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Most entries of one kind in one file that are read: of journald, which says so once in each
/// interval, and of chronyd, which also says other things.
const DROPS_MAX: usize = 256;
const CHANGES_MAX: usize = 1024;
/// Most entries of one kind in one file that are looked at: anybody may write the ids of journald.
const LOOKED_MAX: usize = 16_384;
/// How often all files together may be read, for either kind: what fills one hides not the other.
const READS_MAX: usize = 40_000;

/// Ids of messages: sd-messages.h of systemd.
const DROPS: [(&str, &str); 3] = [
    ("MESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e", "suppressed"),
    ("MESSAGE_ID=e9bf28e6e834481bb6f48f548ad13606", "kernel"),
    ("MESSAGE_ID=0027229ca0644181a76c4e92458afa2e", "syslog"),
];
/// What journald says itself: no writer can set it, systemd.journal-fields(7).
const JOURNALD: &str = "_TRANSPORT=driver";
/// systemd says that the time was set.
const SET: &str = "MESSAGE_ID=c7a787079b354eaaa9e77b371893cd27";
/// The time daemon that says in words when it sets the clock.
const CHRONYD: &str = "SYSLOG_IDENTIFIER=chronyd";
/// The words: sources.c and reference.c of chrony.
const CHRONYD_SET: &str = "System clock was stepped by ";

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
    /// Every file was searched to its end for drops; else there may be more.
    pub(in super::super) drops_whole: bool,
    /// The same of the changes of the clock.
    pub(in super::super) clock_whole: bool,
}

/// Searches the files for entries since then. What could not be searched is noted.
pub(super) fn look(host: &dyn Host, seen: &mut Seen, files: &[File], since: Timestamp) -> Events {
    let mut events = Events {
        drops_whole: true,
        clock_whole: true,
        ..Events::default()
    };
    let mut reads = (READS_MAX, READS_MAX);
    let mut newest: Vec<&File> = files.iter().filter(|file| meant(file, since)).collect();
    newest.sort_by_key(|file| std::cmp::Reverse(file.header.tail));
    for file in newest {
        let drops = open(host, file, &mut reads.0)
            .and_then(|mut search| look_for_drops(&mut search, &mut events, since));
        events.drops_whole &= done(seen, drops);
        let changes = open(host, file, &mut reads.1)
            .and_then(|mut search| look_for_changes(&mut search, &mut events, since));
        events.clock_whole &= done(seen, changes);
    }
    events.drops.sort();
    events.clock_changes.sort();
    events
}

/// Whether a search saw everything. A file that was removed to make room since its header was read
/// holds nothing.
fn done(seen: &mut Seen, searched: Result<bool, Unseen>) -> bool {
    match searched {
        Ok(whole) => whole,
        Err(unseen) => {
            let gone = unseen.is_absent();
            seen.unseen(Means::File, unseen);
            gone
        }
    }
}

/// Whether such entries may stand in the file: those of users hold none.
fn meant(file: &File, since: Timestamp) -> bool {
    let name = file.path.rsplit('/').next().unwrap_or_default();
    !name.starts_with("user-") && file.header.tail.is_some_and(|tail| since <= tail)
}

fn open<'a>(host: &dyn Host, file: &'a File, reads: &'a mut usize) -> Result<Search<'a>, Unseen> {
    if !file.header.known {
        let why = "a form of journal files that is not known";
        return Err(Unseen::new(&file.path, Status::Unsupported, Some(why)));
    }
    let parts = host.open_parts(&file.path)?;
    Ok(Search::new(&file.path, parts, file.header, reads))
}

/// Adds what journald says that it dropped; whether that is all.
fn look_for_drops(
    search: &mut Search<'_>,
    events: &mut Events,
    since: Timestamp,
) -> Result<bool, Unseen> {
    let Some(journald) = search.value(JOURNALD)? else {
        return Ok(true);
    };
    let wanted = Wanted {
        since,
        looked_max: LOOKED_MAX,
        read_max: DROPS_MAX,
    };
    let mut whole = true;
    for (id, kind) in DROPS {
        let Some(found) = search.value(id)? else {
            continue;
        };
        let (entries, all) = search.entries(&found, Some(&journald), wanted)?;
        events
            .drops
            .extend(entries.iter().map(|entry| dropped(entry, kind)));
        whole &= all;
    }
    Ok(whole)
}

/// Adds when the clock was set; whether that is all.
fn look_for_changes(
    search: &mut Search<'_>,
    events: &mut Events,
    since: Timestamp,
) -> Result<bool, Unseen> {
    let wanted = Wanted {
        since,
        looked_max: CHANGES_MAX,
        read_max: CHANGES_MAX,
    };
    let mut whole = true;
    for by in [SET, CHRONYD] {
        let Some(found) = search.value(by)? else {
            continue;
        };
        let (entries, all) = search.entries(&found, None, wanted)?;
        let said = |entry: &&Entry| by == SET || message(entry).starts_with(CHRONYD_SET);
        events
            .clock_changes
            .extend(entries.iter().filter(said).map(clock_change));
        whole &= all;
    }
    Ok(whole)
}

fn message(entry: &Entry) -> &str {
    entry.value("MESSAGE").unwrap_or_default()
}

fn dropped(entry: &Entry, kind: &'static str) -> Drop {
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
        kind,
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
