//! The journal of systemd, as the headers of its files tell.
//!
//! One header a file says how old and how fresh it is and whether it is sealed; no entry is read.
//! Format: <https://systemd.io/JOURNAL_FILE_FORMAT>, little endian. Fields were added at the end
//! over the years, so the header is read as far as its own length says.

use std::io::Read as _;

use shared::observation::{Means, Status};
use shared::time::Timestamp;

use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// As much of a header as is known.
const HEADER_BYTES_MAX: u64 = 272;
/// The header of the first version, up to the last time.
const HEADER_BYTES_MIN: u64 = 208;
/// Longest `/etc/machine-id`.
const MACHINE_ID_BYTES_MAX: u64 = 256;
/// Most journal files that are looked at; journald keeps 100 a kind unless told otherwise.
const FILES_MAX: usize = 4096;
/// Bit of the compatible flags: entries are sealed.
const FLAG_SEALED: u32 = 1;

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

/// What one header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    sealed: bool,
    head: Option<Timestamp>,
    tail: Option<Timestamp>,
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

/// The name of the folder that this host writes to: journals of other hosts may lie beside it.
fn machine_id(host: &dyn Host) -> Option<String> {
    let bytes = host.read("/etc/machine-id", MACHINE_ID_BYTES_MAX).ok()?;
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
        match host.stat(&path) {
            Ok(stat) => files.bytes = files.bytes.saturating_add(stat.bytes),
            Err(unseen) if unseen.is_absent() => continue,
            Err(unseen) => seen.unseen(Means::File, unseen),
        }
        files.count += 1;
        // One that cannot be read is enough to say nothing of all of them.
        if let Some(all) = headers {
            let header = read(host, &path);
            headers = match header {
                Ok(header) => Some(all.and(&header)),
                Err(unseen) => {
                    seen.unseen(Means::File, unseen);
                    None
                }
            };
        }
    }
    Some(Files { headers, ..files })
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
        // A file that journald found damaged ends in `.journal~`, and is not written any more.
        let names = match host.list(&folder) {
            Err(unseen) if unseen.is_absent() => continue,
            names => names?,
        };
        let journals = names.iter().filter(|name| name.ends_with(".journal"));
        paths.extend(journals.map(|name| format!("{folder}/{name}")));
    }
    if FILES_MAX < paths.len() {
        let why = format!("more than {FILES_MAX} files");
        return Err(Unseen::new(place, Status::Limit, Some(&why)));
    }
    Ok(paths)
}

fn read(host: &dyn Host, path: &str) -> Result<Header, Unseen> {
    let mut bytes = Vec::new();
    let _length = host
        .open(path, HEADER_BYTES_MAX)?
        .read_to_end(&mut bytes)
        .map_err(|error| Unseen::from_io(path, &error))?;
    header(&bytes).map_err(|why| Unseen::new(path, Status::Malformed, Some(why)))
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

fn header(bytes: &[u8]) -> Result<Header, &'static str> {
    if !bytes.starts_with(b"LPKSHHRH") {
        return Err("no journal file");
    }
    let u64_at = |at| number(bytes, at).ok_or("the header is cut off");
    let header_bytes = u64_at(88)?;
    if header_bytes < HEADER_BYTES_MIN {
        return Err("the header is too short");
    }
    // 0 stands for no entry.
    let time = |us: u64| match i64::try_from(us / 1000) {
        Ok(0) => Ok(None),
        Ok(ms) => Timestamp::from_unix_ms(ms)
            .map(Some)
            .map_err(|_out| "impossible time"),
        Err(_too_large) => Err("impossible time"),
    };
    let flags = u64_at(8)? & u64::from(u32::MAX);
    let tags = if header_bytes < 232 { 0 } else { u64_at(224)? };
    Ok(Header {
        sealed: flags & u64::from(FLAG_SEALED) != 0 && tags != 0,
        head: time(u64_at(184)?)?,
        tail: time(u64_at(192)?)?,
    })
}

#[expect(clippy::little_endian_bytes, reason = "the format is little endian")]
fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(fields: &[(usize, u64)]) -> Vec<u8> {
        let mut bytes = vec![0; 272];
        bytes[..8].copy_from_slice(b"LPKSHHRH");
        bytes[88..90].copy_from_slice(&[8, 1]);
        for (at, value) in fields {
            let mut value = value.to_be_bytes();
            value.reverse();
            bytes[*at..*at + 8].copy_from_slice(&value);
        }
        bytes
    }

    #[test]
    fn sealed_by_flag_and_tags_together() {
        for (fields, sealed) in [
            (vec![], false),
            (vec![(8, 1)], false),
            (vec![(224, 7)], false),
            (vec![(8, 1), (224, 7)], true),
            (vec![(8, 1), (224, 7), (88, 224)], false),
            (vec![(8, 0x1c_0000_0000), (224, 7)], false),
        ] {
            assert_eq!(header(&made(&fields)).unwrap().sealed, sealed, "{fields:?}");
        }
    }

    #[test]
    fn times_and_no_times() {
        let empty = header(&made(&[])).unwrap();
        assert_eq!((empty.head, empty.tail), (None, None));
        let full = header(&made(&[
            (184, 1_767_323_045_678_999),
            (192, u64::MAX / 4096),
        ]));
        assert_eq!(
            full.unwrap().head.unwrap().to_string(),
            "2026-01-02T03:04:05.678Z"
        );
        assert!(header(&made(&[(192, u64::MAX)])).is_err());
    }

    #[test]
    fn a_link_that_leads_nowhere_hides_no_journal() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("var/log/journal");
        std::fs::create_dir_all(place.join("b")).unwrap();
        std::os::unix::fs::symlink("/nowhere", place.join("a")).unwrap();
        shared::durable::write(&place.join("b/system.journal"), &made(&[]), 0o640).unwrap();
        let host = crate::host::machine::Machine::open(root.path()).unwrap();
        let found = paths(&host, PERSISTENT, None).unwrap();
        assert_eq!(found, ["/var/log/journal/b/system.journal"]);
    }

    #[test]
    fn no_header_is_refused() {
        let good = made(&[]);
        for bad in [
            b"".to_vec(),
            b"LPKSHHRH".to_vec(),
            good[..199].to_vec(),
            good[1..].to_vec(),
            made(&[(88, 207)]),
        ] {
            assert!(header(&bad).is_err());
        }
        assert!(header(&good[..232]).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let mut signed = b"LPKSHHRH".to_vec();
            signed.extend(&bytes);
            let _headers = (header(&bytes).is_ok(), header(&signed).is_ok());
        }
    }
}
