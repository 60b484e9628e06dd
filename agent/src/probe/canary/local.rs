//! Whether lines stand in a log of this host: in the journal, or in a file of a syslog daemon.
//!
//! Before lines are sent the end of each log is marked, by inode; afterwards each log is read from
//! there. A log that was rotated meanwhile is read under its new name, and its successor from the
//! beginning.
//!
//! The journal is searched for the field `MESSAGE=` as text, in the objects that were added since:
//! they stand behind the last object that there was, see "Data Objects" in
//! <https://systemd.io/JOURNAL_FILE_FORMAT>.

use serde::{Deserialize, Serialize};
use shared::observation::{Means, Status};

use super::pieces;
use crate::host::{Host, Stat, Unseen};
use crate::probe::Seen;

/// Folders with a folder of journals for each machine.
const JOURNALS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];
/// Most logs that are looked at.
const LOGS_MAX: usize = 64;
/// Most bytes that are read of one log.
const BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of a journal's header that are read: to the end of `tail_object_offset`.
const HEADER_BYTES: u64 = 144;
/// Longest line that is looked for, with its field name.
const OVERLAP: usize = 512;

/// Where a log ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    inode: (u64, u64),
    end: u64,
}

/// One log.
struct Log {
    path: String,
    journal: bool,
    stat: Stat,
}

/// Where each log ends now.
pub(super) fn marks(host: &dyn Host, logs: &[String]) -> Vec<Mark> {
    let (logs, _whole) = present(host, None, logs);
    let mark = |log: &Log| {
        Some(Mark {
            inode: log.stat.device_inode,
            end: end(host, log).ok()?,
        })
    };
    logs.iter().filter_map(mark).collect()
}

/// For each line whether it stands behind the marks, and whether everything behind them was read.
/// Without any log nothing is complete.
pub(super) fn find(
    host: &dyn Host,
    mut seen: Option<&mut Seen>,
    logs: &[String],
    marks: &[Mark],
    lines: &[&str],
) -> (Vec<bool>, bool) {
    let mut found = vec![false; lines.len()];
    let (logs, mut complete) = present(host, seen.as_deref_mut(), logs);
    complete &= !marks.is_empty();
    // A log that was there and is not found under any name may hold them.
    complete &= marks
        .iter()
        .all(|mark| logs.iter().any(|log| log.stat.device_inode == mark.inode));
    for log in &logs {
        let result = search(host, log, marks, lines, &mut found);
        complete &= result.as_ref().is_ok_and(|whole| *whole);
        if let Some(seen) = seen.as_deref_mut() {
            let _whole = seen.note(Means::File, &log.path, result);
        }
    }
    (found, complete)
}

/// Searches a log behind its mark. Whether it was read to its end.
fn search(
    host: &dyn Host,
    log: &Log,
    marks: &[Mark],
    lines: &[&str],
    found: &mut [bool],
) -> Result<bool, Unseen> {
    let mark = marks
        .iter()
        .find(|mark| mark.inode == log.stat.device_inode);
    let end = end(host, log)?;
    // A file that is shorter now was cut, and begins anew.
    let begin = mark.map_or(0, |mark| if mark.end <= end { mark.end } else { 0 });
    let last = end.min(begin.saturating_add(BYTES_MAX));
    let field = if log.journal { "MESSAGE=" } else { "" };
    let texts: Vec<String> = lines.iter().map(|line| format!("{field}{line}")).collect();
    let mut take = |piece: &[u8]| {
        for (text, found) in texts.iter().zip(found.iter_mut()) {
            *found |= pieces::contains(piece, text.as_bytes());
        }
        found.contains(&false)
    };
    pieces::each(host, &log.path, (begin, last), OVERLAP, &mut take)?;
    Ok(last == end)
}

/// Where a log ends: a journal behind its last object, any other file at its size.
fn end(host: &dyn Host, log: &Log) -> Result<u64, Unseen> {
    if !log.journal {
        return Ok(log.stat.bytes);
    }
    let malformed = || Unseen::new(&log.path, Status::Malformed, Some("no journal"));
    let file = host.open_parts(&log.path)?;
    let read = |at: u64, length: u64| {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let read = file.fill(&mut bytes, at);
        read.map(|()| bytes).map_err(|_short| malformed())
    };
    let header = read(0, HEADER_BYTES)?;
    if !header.starts_with(b"LPKSHHRH") {
        return Err(malformed());
    }
    let tail = number(&header, 136).ok_or_else(malformed)?;
    if tail == 0 {
        // Nothing was added yet: behind the header.
        return number(&header, 88).ok_or_else(malformed);
    }
    if log.stat.bytes <= tail {
        return Err(malformed());
    }
    let bytes = number(&read(tail, 16)?, 8).ok_or_else(malformed)?;
    Ok(tail.saturating_add(bytes).min(log.stat.bytes))
}

#[expect(clippy::little_endian_bytes, reason = "the format is little endian")]
fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*field))
}

/// The logs that are there, and whether all of them could be listed.
fn present(host: &dyn Host, mut seen: Option<&mut Seen>, files: &[String]) -> (Vec<Log>, bool) {
    let mut logs = Vec::new();
    let mut whole = true;
    let mut listed = |folder: &str| match host.list(folder) {
        Ok(names) => names,
        Err(unseen) => {
            whole &= unseen.is_absent();
            if let (Some(seen), false) = (seen.as_deref_mut(), unseen.is_absent()) {
                seen.unseen(Means::File, unseen);
            }
            Vec::new()
        }
    };
    let mut paths = Vec::new();
    for folder in JOURNALS {
        for machine in listed(folder) {
            let folder = format!("{folder}/{machine}");
            let names = match host.stat(&folder) {
                Ok(stat) if stat.folder => listed(&folder),
                Ok(_) | Err(_) => Vec::new(),
            };
            let journals = names.iter().filter(|name| name.ends_with(".journal"));
            paths.extend(journals.map(|name| (format!("{folder}/{name}"), true)));
        }
    }
    for file in files {
        let (folder, name) = file.rsplit_once('/').unwrap_or_default();
        let names = listed(folder);
        let rotated = |other: &&String| other.as_str() == name || is_rotated(other, name);
        let meant = names.iter().filter(rotated);
        paths.extend(meant.map(|name| (format!("{folder}/{name}"), false)));
    }
    for (path, journal) in paths {
        if let Ok(stat) = host.stat(&path)
            && !stat.folder
        {
            logs.push(Log {
                path,
                journal,
                stat,
            });
        }
    }
    // Old archives are not written to any more, and there may be hundreds.
    logs.sort_by_key(|log| std::cmp::Reverse(log.stat.changed));
    logs.truncate(LOGS_MAX);
    (logs, whole)
}

/// Whether logrotate(8) may have given a log this name: `syslog.1`, `syslog-20260102`. What is
/// compressed cannot be searched.
pub(super) fn is_rotated(other: &str, name: &str) -> bool {
    let Some(rest) = other.strip_prefix(name) else {
        return false;
    };
    let digits = rest.strip_prefix(['.', '-']).unwrap_or_default();
    !digits.is_empty()
        && digits
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'-')
}
