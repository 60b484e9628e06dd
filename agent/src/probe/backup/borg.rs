//! A borg repository of version 1, looked at without its passphrase.
//!
//! ```text
//! config            INI: version, id, append_only; `key` in repokey and authenticated modes
//! hints.<n>         written with each commit; n is the number of the transaction
//! data/<m>/<n>      segments of objects, whose first byte tells how they are encrypted
//! lock.exclusive    there while a command writes, or when one was cut off
//! ```
//!
//! The names and the number of archives are encrypted. **Any** commit moves the last success: that
//! of a backup, of a checkpoint in the middle of one, and of a prune. Transaction 1 is made by
//! `borg init`, so up to it there is no backup. A manifest of the job tells more.
//!
//! A repository on another machine shows what borg noted on this host at its last use, in
//! `.config/borg/security/<id>` of root and of the users: the declared path is then written as in
//! the file `location` there. The key in `config` is never copied.
//!
//! Source: borg 1.2, "Internals", "Data structures and file formats".

use std::collections::BTreeMap;

use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::shown::{Shown, bytes_below, is_digest, written};
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Longest `config`, and longest note of the client.
const CONFIG_BYTES_MAX: u64 = 64 * 1024;
/// How much of a segment is read to see its first object.
const SEGMENT_HEAD_BYTES: u64 = 64 * 1024;
/// The number of the transaction that `borg init` makes.
const INIT_TRANSACTION: u64 = 1;
/// Where the users' homes are.
const HOMES: &str = "/home";
/// Most home folders and most repositories of one client that are looked through.
const CLIENTS_MAX: usize = 256;

/// Looks at the repository in the folder `path`.
///
/// # Errors
///
/// [`Unseen`]: there is no repository of version 1, or it cannot be read.
pub(super) fn look(host: &dyn Host, seen: &mut Seen, path: &str) -> Result<Shown, Unseen> {
    let bytes = host.read(&format!("{path}/config"), CONFIG_BYTES_MAX)?;
    let malformed = |why| Unseen::new(path, Status::Malformed, Some(why));
    let config = String::from_utf8(bytes)
        .ok()
        .and_then(|text| section(&text))
        .ok_or_else(|| malformed("no configuration of borg"))?;
    match config.get("version").map(String::as_str) {
        Some("1") => {}
        Some(_) => return Err(Unseen::new(path, Status::Unsupported, Some("version"))),
        None => return Err(malformed("no version in the configuration of borg")),
    }
    if !config.get("id").is_some_and(|id| is_digest(id)) {
        return Err(malformed("no id in the configuration of borg"));
    }
    let append_only = match config.get("append_only").map(String::as_str) {
        Some("1") => Some(true),
        Some("0") | None => Some(false),
        Some(_) => None,
    };
    let names = host.list(path)?;
    let mut shown = Shown {
        append_only,
        locked: Some(names.iter().any(|name| name == "lock.exclusive")),
        ..Shown::default()
    };
    match names
        .iter()
        .filter_map(|name| numbered(name, "hints."))
        .max()
    {
        Some(last) if INIT_TRANSACTION < last => {
            shown.last_success = Some(written(host, &format!("{path}/hints.{last}"))?);
        }
        Some(_) | None => shown.reason = Some("nothing was written since borg init".to_owned()),
    }
    let data = format!("{path}/data");
    shown.bytes = seen.note(Means::File, &data, bytes_below(host, &data));
    shown.encrypted = seen
        .note(Means::File, &data, encrypted(host, &data))
        .flatten();
    Ok(shown)
}

/// What this host's clients noted of a repository on another machine.
///
/// # Errors
///
/// [`Status::Absent`] when none that may be read used it.
pub(super) fn look_remote(host: &dyn Host, location: &str) -> Result<Shown, Unseen> {
    let users = host.list(HOMES).unwrap_or_default();
    let homes = users.into_iter().take(CLIENTS_MAX);
    let homes = homes.map(|user| format!("{HOMES}/{user}"));
    let note = |path: &str| {
        let bytes = host.read(path, CONFIG_BYTES_MAX)?;
        let text = String::from_utf8(bytes);
        text.map_err(|_not_text| Unseen::new(path, Status::Malformed, None))
    };
    let mut best: Option<Shown> = None;
    for home in std::iter::once("/root".to_owned()).chain(homes) {
        let security = format!("{home}/.config/borg/security");
        for id in host
            .list(&security)
            .unwrap_or_default()
            .iter()
            .take(CLIENTS_MAX)
        {
            let folder = format!("{security}/{id}");
            if !is_digest(id)
                || note(&format!("{folder}/location")).ok().as_deref() != Some(location)
            {
                continue;
            }
            let path = format!("{folder}/manifest-timestamp");
            let time = note(&path)?;
            // It is UTC, written without a zone.
            let time: Timestamp = format!("{}Z", time.trim())
                .parse()
                .map_err(|_no_time| Unseen::new(&path, Status::Malformed, None))?;
            let kind = note(&format!("{folder}/key-type")).unwrap_or_default();
            let shown = Shown {
                last_success: Some(time),
                encrypted: kind.trim().parse().ok().and_then(encrypts),
                ..Shown::default()
            };
            let newer = best
                .as_ref()
                .is_none_or(|best| best.last_success < shown.last_success);
            best = if newer { Some(shown) } else { best };
        }
    }
    let why = Some("no client on this host that may be read has noted it");
    best.ok_or_else(|| Unseen::new("/root/.config/borg/security", Status::Absent, why))
}

/// The values of the section `[repository]`; lines that begin with white space go on with a value.
fn section(text: &str) -> Option<BTreeMap<String, String>> {
    let mut lines = text.lines();
    if lines.next()?.trim() != "[repository]" {
        return None;
    }
    let lines = lines.take_while(|line| !line.starts_with('['));
    let pairs = lines.filter(|line| !line.starts_with(char::is_whitespace));
    let pairs = pairs.filter_map(|line| line.split_once('='));
    // The key is left out at once, so that it cannot reach anything.
    let pairs = pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()));
    Some(pairs.filter(|(name, _)| name != "key").collect())
}

fn numbered(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// Whether the first object of the oldest segment is encrypted. `config` cannot tell: it has a key
/// in the modes that only authenticate, too.
fn encrypted(host: &dyn Host, data: &str) -> Result<Option<bool>, Unseen> {
    let lowest = |names: Vec<String>| names.iter().filter_map(|name| numbered(name, "")).min();
    let Some(folder) = lowest(host.list(data)?) else {
        return Ok(None);
    };
    let folder = format!("{data}/{folder}");
    let Some(segment) = lowest(host.list(&folder)?) else {
        return Ok(None);
    };
    let mut head = Vec::new();
    let path = format!("{folder}/{segment}");
    let mut file = host.open(&path, SEGMENT_HEAD_BYTES)?;
    let _length = std::io::Read::read_to_end(&mut file, &mut head)
        .map_err(|error| Unseen::from_io(&path, &error))?;
    first_object(&head)
        .map(|kind| kind.and_then(encrypts))
        .map_err(|_damaged| Unseen::new(&path, Status::Malformed, Some("no segment of borg")))
}

/// Bytes are no segment of borg.
#[derive(Debug, PartialEq, Eq)]
struct Damaged;

/// The first byte of the first object in a segment; `None` when there is no object.
///
/// An entry is CRC (4 bytes), size of the whole entry (4 bytes, little-endian), tag (1 byte), then
/// for a put (0) the id (32 bytes) and the object, for a put of borg 1.4 (3) a hash (8 bytes)
/// before these.
fn first_object(segment: &[u8]) -> Result<Option<u8>, Damaged> {
    let mut rest = segment.strip_prefix(b"BORG_SEG").ok_or(Damaged)?;
    while let Some(entry) = rest.first_chunk::<9>() {
        let [_, _, _, _, a, b, c, d, tag] = *entry;
        let size = usize::try_from(u32::from_be_bytes([d, c, b, a])).unwrap_or(usize::MAX);
        if size < entry.len() {
            return Err(Damaged);
        }
        match tag {
            0 => return Ok(rest.get(9 + 32).copied().filter(|_| 9 + 32 < size)),
            3 => return Ok(rest.get(9 + 8 + 32).copied().filter(|_| 9 + 8 + 32 < size)),
            1 | 2 => rest = rest.get(size..).unwrap_or_default(),
            _ => return Err(Damaged),
        }
    }
    Ok(None)
}

/// Whether a type of key encrypts, or is for plain or authenticated text only.
fn encrypts(kind: u8) -> Option<bool> {
    match kind {
        0 | 1 | 3 | 4 | 5 => Some(true),
        2 | 6 | 7 => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(tag: u8, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 9).unwrap();
        let mut size = size.to_be_bytes();
        size.reverse();
        [&[0; 4][..], &size[..], &[tag], body].concat()
    }

    #[test]
    fn first_objects() {
        let put = entry(0, &[&[1; 32][..], &[7, 9]].concat());
        let put2 = entry(3, &[&[1; 40][..], &[3]].concat());
        let (delete, commit) = (entry(1, &[2; 32]), entry(2, &[]));
        let whole = |parts: &[&[u8]]| [&b"BORG_SEG"[..], &parts.concat()].concat();
        for (segment, expected) in [
            (whole(&[&put]), Ok(Some(7))),
            (whole(&[&delete, &commit, &put2]), Ok(Some(3))),
            (whole(&[&commit]), Ok(None)),
            (whole(&[&entry(0, &[1; 32])]), Ok(None)),
            (whole(&[]), Ok(None)),
            (whole(&[&entry(9, &[])]), Err(Damaged)),
            (whole(&[&[0; 9]]), Err(Damaged)),
            (put.clone(), Err(Damaged)),
            (Vec::new(), Err(Damaged)),
        ] {
            assert_eq!(first_object(&segment), expected, "{segment:?}");
        }
    }

    #[test]
    fn sections() {
        let read =
            section("[repository]\nversion = 1\nkey = a\n\tb = c\nid = x\n\n[other]\nid = y");
        let read: Vec<_> = read.unwrap().into_iter().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(read, [pair("id", "x"), pair("version", "1")]);
        assert_eq!(section("[cache]\nversion = 1"), None);
        assert_eq!(section(""), None);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(first_object(&bytes));
            drop(first_object(&[&b"BORG_SEG"[..], &bytes].concat()));
        }

        #[test]
        fn any_text(text in "\\PC*|\\[repository\\]\n[a-z=\n\t ]*") {
            drop(section(&text));
            let number = text.parse::<u64>().is_ok() && !text.starts_with('+');
            assert_eq!(numbered(&text, "").is_some(), number);
        }
    }
}
