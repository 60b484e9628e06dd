//! The lines of other hosts in watched files, each told once.
//!
//! A file is known by its inode and read on from where it was read to. One that was rotated is read
//! to its end under its new name; one that was cut begins anew. A line without its end is read
//! again when it has one.
//!
//! Anybody who may log to this host can write lines that look like canaries. They are told as they
//! stand, within the bounds of [`Found`].

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::observation::{Means, Status};

use super::found::{Found, Received};
use super::local::is_rotated;
use super::pieces;
use crate::host::{Host, Unseen};
use crate::probe::{Seen, settings};

/// Most files that the patterns may mean.
const FILES_MAX: usize = 4096;
/// Most folders that are listed for one pattern.
const FOLDERS_MAX: usize = 1024;
/// Most bytes that are read of one file at one look; the rest is read at the next one.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Most bytes that are read at one look.
const BYTES_MAX: u64 = 128 * 1024 * 1024;
/// How much of a file is read that was there before anything was watched.
const FIRST_BYTES_MAX: u64 = 1024 * 1024;
/// Longest line that is understood.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// How far a file was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    path: String,
    inode: (u64, u64),
    at: u64,
}

/// What stood in the watched files.
#[derive(Default)]
pub(super) struct Watched {
    /// Lines that are told.
    pub(super) lines: Vec<Received>,
    /// Lines that are not told, since there are too many.
    pub(super) dropped: usize,
    /// Lines that begin like a canary and are none.
    pub(super) malformed: usize,
    /// Files that were looked at.
    pub(super) files: usize,
}

/// Reads the files that `patterns` mean on from their cursors, and moves these.
pub(super) fn look(
    host: &dyn Host,
    seen: &mut Seen,
    patterns: &[String],
    cursors: &mut Vec<Cursor>,
    found: Found,
) -> Watched {
    let first = cursors.is_empty();
    let mut paths = BTreeSet::new();
    for pattern in patterns {
        let found = expand(host, pattern);
        paths.extend(seen.note(Means::File, pattern, found).unwrap_or_default());
    }
    let mut watcher = Watcher {
        host,
        seen,
        left: BYTES_MAX,
        found,
    };
    let old: BTreeMap<String, Cursor> = cursors
        .drain(..)
        .map(|cursor| (cursor.path.clone(), cursor))
        .collect();
    let mut told = Watched {
        files: paths.len().min(FILES_MAX),
        ..Watched::default()
    };
    for path in paths.into_iter().take(FILES_MAX) {
        let before = old.get(&path);
        let result = watcher.file(&path, before, first);
        match result {
            Ok(cursor) => cursors.push(cursor),
            Err(unseen) => {
                watcher.seen.unseen(Means::File, unseen);
                cursors.extend(before.cloned());
            }
        }
    }
    let found = watcher.found;
    told.dropped = found.dropped();
    told.malformed = found.malformed();
    let (lines, over) = found.into_lines();
    told.lines = lines;
    told.dropped = told.dropped.saturating_add(over);
    told
}

struct Watcher<'a> {
    host: &'a dyn Host,
    seen: &'a mut Seen,
    left: u64,
    found: Found,
}

impl Watcher<'_> {
    /// Reads one file on, and under its new name what was left of the one before it.
    fn file(&mut self, path: &str, before: Option<&Cursor>, first: bool) -> Result<Cursor, Unseen> {
        let stat = self.host.stat(path)?;
        let inode = stat.device_inode;
        let begin = match before {
            Some(cursor) if cursor.inode == inode && cursor.at <= stat.bytes => cursor.at,
            Some(cursor) if cursor.inode == inode => 0,
            Some(cursor) => {
                self.rotated(path, cursor);
                0
            }
            None if first => stat.bytes.saturating_sub(FIRST_BYTES_MAX),
            None => 0,
        };
        let at = self.read(path, (begin, stat.bytes))?;
        Ok(Cursor {
            path: path.to_owned(),
            inode,
            at,
        })
    }

    /// Reads the end of a file that has another name now.
    fn rotated(&mut self, path: &str, cursor: &Cursor) {
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let names = self.host.list(folder).unwrap_or_default();
        let renamed = names.iter().filter(|other| is_rotated(other, name));
        let found = renamed
            .map(|name| format!("{folder}/{name}"))
            .find_map(|path| {
                let stat = self.host.stat(&path).ok()?;
                (stat.device_inode == cursor.inode).then_some((path, stat.bytes))
            });
        let result = if let Some((other, bytes)) = found {
            self.read(&other, (cursor.at, bytes)).map(drop)
        } else {
            let why = "rotated, and its end is nowhere to be found uncompressed";
            Err(Unseen::new(path, Status::Absent, Some(why)))
        };
        let _read = self.seen.note(Means::File, path, result);
    }

    /// Reads whole lines from `begin`, and returns where the first one begins that was not read.
    fn read(&mut self, path: &str, (begin, end): (u64, u64)) -> Result<u64, Unseen> {
        let last = end.min(begin.saturating_add(FILE_BYTES_MAX.min(self.left)));
        let mut lines = Lines {
            pending: Vec::new(),
            skipping: false,
        };
        let found = &mut self.found;
        let mut take = |piece: &[u8]| {
            lines.take(piece, &mut |line| found.line(line, path));
            true
        };
        pieces::each(self.host, path, (begin, last), 0, &mut take)?;
        self.left = self.left.saturating_sub(last.saturating_sub(begin));
        if last < end {
            let why = format!("{} bytes are read at the next look", end - last);
            let limit = Unseen::new(path, Status::Limit, Some(&why));
            self.seen.unseen(Means::File, limit);
        }
        Ok(last.saturating_sub(u64::try_from(lines.pending.len()).unwrap_or(0)))
    }
}

/// Puts lines together that lie in several pieces.
struct Lines {
    pending: Vec<u8>,
    /// The line is too long, and dropped to its end.
    skipping: bool,
}

impl Lines {
    fn take(&mut self, piece: &[u8], line: &mut dyn FnMut(&[u8])) {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let ends = part.ends_with(b"\n");
            if !self.skipping {
                self.pending.extend_from_slice(part);
            }
            if LINE_BYTES_MAX < self.pending.len() {
                self.skipping = true;
                self.pending.clear();
            }
            if ends {
                line(&self.pending);
                self.pending.clear();
                self.skipping = false;
            }
        }
    }
}

/// The files that a pattern means; `*` and `?` may stand in every part of it.
fn expand(host: &dyn Host, pattern: &str) -> Result<Vec<String>, Unseen> {
    let mut found = vec![String::new()];
    let mut folders = 0_usize;
    for part in pattern.trim_start_matches('/').split('/') {
        let mut next = Vec::new();
        for folder in &found {
            if !part.contains(['*', '?']) {
                next.push(format!("{folder}/{part}"));
                continue;
            }
            folders += 1;
            if FOLDERS_MAX < folders || FILES_MAX < next.len() {
                let why = "the pattern means too many files";
                return Err(Unseen::new(pattern, Status::Limit, Some(why)));
            }
            let here = if folder.is_empty() { "/" } else { folder };
            let names = match host.list(here) {
                Err(unseen) if unseen.is_absent() || unseen.status == Status::Malformed => {
                    continue;
                }
                names => names?,
            };
            // A shell pattern that begins with `*` does not mean hidden files: glob(7).
            let meant = names.iter().filter(|name| {
                name.starts_with('.') == part.starts_with('.') && settings::glob(part, name)
            });
            next.extend(meant.map(|name| format!("{folder}/{name}")));
        }
        found = next;
    }
    let file = |path: &String| match host.stat(path) {
        Ok(stat) => !stat.folder,
        // What cannot be looked at is said when it is read.
        Err(unseen) => !unseen.is_absent(),
    };
    found.retain(file);
    Ok(found)
}
