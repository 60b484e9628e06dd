//! The journal of systemd: its files, as their headers and a few of their entries tell.
//!
//! One header a file says how old and how fresh it is, whether it is sealed, and which entries it
//! numbers; so the gaps between files are seen. Of the entries only those are read in which
//! journald tells what it dropped, and others that the time was set.

use shared::observation::{Means, Status};
use shared::time::Timestamp;

use crate::host::{Host, Unseen};
use crate::probe::Seen;

mod header;
mod hash;
mod gaps;
mod entries;
mod events;

use events::Events;
use gaps::Gap;
use header::Header;

/// Longest `/etc/machine-id`, and number of a boot.
const ID_BYTES_MAX: u64 = 256;
/// Most journal files that are looked at; journald keeps 100 a kind unless told otherwise.
const FILES_MAX: usize = 4096;

/// Where the journal is kept, and whether it survives a restart.
const PERSISTENT: &str = "/var/log/journal";
const VOLATILE: &str = "/run/log/journal";

/// What all journal files of this host say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Journal {
    /// The files that survive a restart.
    pub(super) persistent: Files,
    /// The files that do not.
    pub(super) volatile: Files,
}

/// What the journal files of one place say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Files {
    /// How many there are.
    pub(super) count: usize,
    /// Their size.
    pub(super) bytes: u64,
    /// What their headers say together; `None` when one of them could not be read.
    pub(super) headers: Option<Headers>,
    /// Those that are damaged, and why; also those that journald has put aside.
    pub(super) damaged: Vec<(String, String)>,
    /// Those whose headers could be read, also those that journald has put aside.
    pub(super) read: Vec<File>,
}

/// A file whose header could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    path: String,
    header: Header,
}

/// What headers say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers {
    /// Oldest entry.
    pub(super) oldest: Option<Timestamp>,
    /// Newest entry.
    pub(super) newest: Option<Timestamp>,
    /// How many of the files are sealed.
    pub(super) sealed: usize,
}

/// Looks at the journal files; `None`, and a source that says why, when a folder could not be read.
pub(super) fn look(host: &dyn Host, seen: &mut Seen) -> Option<Journal> {
    let machine = machine_id(host);
    let persistent = place(host, seen, PERSISTENT, machine.as_deref());
    let volatile = place(host, seen, VOLATILE, machine.as_deref());
    Some(Journal {
        persistent: persistent?,
        volatile: volatile?,
    })
}

impl Journal {
    /// The header of every file could be read.
    pub(super) fn all_read(&self) -> bool {
        self.persistent.headers.is_some() && self.volatile.headers.is_some()
    }

    /// Numbers that are missing between the files that survive a restart; `None` when a header
    /// could not be read.
    pub(super) fn gaps(&self) -> Option<Vec<Gap>> {
        let files = &self.persistent;
        files.headers.map(|_all_read| gaps::gaps(&files.read))
    }

    /// The highest number of an entry in this numbering, which is written in base 16.
    pub(super) fn tail_number(&self, numbering: &str) -> Option<u64> {
        let files = [&self.persistent.read, &self.volatile.read];
        let of_it = files
            .into_iter()
            .flatten()
            .filter(|file| hex(&file.header.numbering) == numbering);
        of_it.map(|file| file.header.numbers.1).max()
    }

    /// What journald dropped, and when the time was set, since then.
    pub(super) fn events(&self, host: &dyn Host, seen: &mut Seen, since: Timestamp) -> Events {
        let files: Vec<File> = [&self.persistent.read, &self.volatile.read]
            .into_iter()
            .flatten()
            .cloned()
            .collect();
        let mut events = events::look(host, seen, &files, since);
        let read = self.all_read();
        events.drops_whole &= read;
        events.clock_whole &= read;
        events
    }

    /// Whether the newest entry belongs to the boot that runs; `None` when that is not known.
    pub(super) fn of_this_boot(&self, host: &dyn Host) -> Option<bool> {
        let path = "/proc/sys/kernel/random/boot_id";
        let text = String::from_utf8(host.read(path, ID_BYTES_MAX).ok()?).ok()?;
        let boot = text.trim().replace('-', "");
        if !self.all_read() {
            return None;
        }
        let files = [&self.persistent.read, &self.volatile.read];
        let newest = files
            .into_iter()
            .flatten()
            .max_by_key(|file| file.header.tail)?;
        Some(hex(&newest.header.tail_boot) == boot)
    }
}

fn hex(id: &[u8; 16]) -> String {
    id.iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The name of the folder that this host writes to: journals of other hosts may lie beside it.
fn machine_id(host: &dyn Host) -> Option<String> {
    let bytes = host.read("/etc/machine-id", ID_BYTES_MAX).ok()?;
    let text = String::from_utf8(bytes).ok()?.trim().to_owned();
    let good = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    good.then_some(text)
}

fn place(host: &dyn Host, seen: &mut Seen, place: &str, machine: Option<&str>) -> Option<Files> {
    let paths = match paths(host, place, machine) {
        Err(unseen) if unseen.is_absent() => {
            seen.unseen(Means::File, Unseen::new(place, Status::Absent, None));
            return Some(Files {
                headers: Some(Headers::default()),
                ..Files::default()
            });
        }
        paths => seen.note(Means::File, place, paths)?,
    };
    let mut files = Files::default();
    let mut headers = Some(Headers::default());
    for path in paths {
        // It may have been removed since the folder was read, to make room.
        let bytes = match host.stat(&path) {
            Ok(stat) => Some(stat.bytes),
            Err(unseen) if unseen.is_absent() => continue,
            Err(unseen) => {
                seen.unseen(Means::File, unseen);
                None
            }
        };
        let header = read(host, &path);
        if path.ends_with('~') {
            files.put_aside(path, bytes, header.ok());
            continue;
        }
        files.count += 1;
        files.bytes = files.bytes.saturating_add(bytes.unwrap_or(0));
        match header {
            Ok(header) => {
                headers = headers.map(|all| all.and(&header));
                files.check(&path, bytes, &header);
                files.read.push(File { path, header });
            }
            // One that cannot be read is enough to say nothing of all of them.
            Err(unseen) => {
                headers = None;
                if unseen.status == Status::Malformed {
                    let why = unseen.detail.clone().unwrap_or_default();
                    files.damaged.push((path, why));
                }
                seen.unseen(Means::File, unseen);
            }
        }
    }
    Some(Files { headers, ..files })
}

impl Files {
    /// A file that journald found damaged: it is not written any more, but its entries count when
    /// gaps are looked for.
    fn put_aside(&mut self, path: String, bytes: Option<u64>, header: Option<Header>) {
        let why = gaps::damage(&path, bytes.unwrap_or_default(), 0, 0).unwrap_or_default();
        self.damaged.push((path.clone(), why.to_owned()));
        self.read.extend(header.map(|header| File { path, header }));
    }

    fn check(&mut self, path: &str, bytes: Option<u64>, header: &Header) {
        let bytes = bytes.unwrap_or(u64::MAX);
        if let Some(why) = gaps::damage(path, bytes, header.state, header.end) {
            self.damaged.push((path.to_owned(), why.to_owned()));
        }
    }
}

fn paths(host: &dyn Host, place: &str, machine: Option<&str>) -> Result<Vec<String>, Unseen> {
    let mut paths = Vec::new();
    for name in host.list(place)? {
        // A namespace of journald has the machine and its own name: `ID.NAMESPACE`.
        let id = name.split('.').next().unwrap_or_default();
        let foreign = machine.is_some_and(|machine| machine != id);
        if foreign || name.starts_with('.') {
            continue;
        }
        let folder = format!("{place}/{name}");
        match host.stat(&folder) {
            Ok(stat) if stat.folder => {}
            Ok(_file) => continue,
            // A link that leads nowhere, or a folder that was removed meanwhile.
            Err(unseen) if unseen.is_absent() => continue,
            Err(unseen) => return Err(unseen),
        }
        let names = match host.list(&folder) {
            Err(unseen) if unseen.is_absent() => continue,
            names => names?,
        };
        let is_journal = |name: &&String| name.ends_with(".journal") || name.ends_with(".journal~");
        let journals = names.iter().filter(is_journal);
        paths.extend(journals.map(|name| format!("{folder}/{name}")));
    }
    if FILES_MAX < paths.len() {
        let why = format!("more than {FILES_MAX} files");
        return Err(Unseen::new(place, Status::Limit, Some(&why)));
    }
    Ok(paths)
}

fn read(host: &dyn Host, path: &str) -> Result<Header, Unseen> {
    let bytes = host
        .open_parts(path)?
        .part(0, header::BYTES_MAX)
        .map_err(|error| Unseen::from_io(path, &error))?;
    header::read(&bytes).map_err(|why| Unseen::new(path, Status::Malformed, Some(why)))
}

impl Headers {
    fn and(self, header: &Header) -> Self {
        Self {
            // `None` is less than any time, so it must not win as the oldest.
            oldest: [self.oldest, header.head].into_iter().flatten().min(),
            newest: self.newest.max(header.tail),
            sealed: self.sealed + usize::from(header.sealed),
        }
    }
}

#[cfg(test)]
mod tests;
