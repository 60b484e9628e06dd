//! A borg repository of version 1, looked at without its passphrase.
//!
//! ```text
//! config            INI: version, id, append_only; `key` in repokey and authenticated modes
//! hints.<n>         written with each commit; n is the number of the transaction
//! data/<m>/<n>      segments of objects, whose first byte tells how they are encrypted
//! lock.exclusive    there while a command writes, or when one was cut off
//! ```
//!
//! Each entry of a segment has a CRC-32, so damage shows without the passphrase, as far as a look
//! reads: not a change by somebody who means it. What a day added is the size of the segments that
//! were last written on it; compacting writes anew what is kept.
//!
//! The names and the number of archives are encrypted. **Any** commit moves the last success: that
//! of a backup, of a checkpoint in the middle of one, and of a prune. Transaction 1 is made by
//! `borg init`, so up to it there is no backup. A manifest of the job tells more.
//!
//! A repository on another machine shows what borg noted on this host at its last use, in
//! `.config/borg/security/<id>` of root, or of the one home that the set names: the declared path
//! is then written as in the file `location` there. The key in `config` is never copied.
//!
//! Source: borg 1.2, "Internals", "Data structures and file formats".

use std::collections::BTreeMap;

use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::contents::Contents;
use super::kept::day;
use super::segment::{self, encrypts};
use super::shown::{Shown, View, each_below, is_digest, written, written_at};
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Longest `config`, and longest note of the client.
const CONFIG_BYTES_MAX: u64 = 64 * 1024;
const KDF: &str = "PBKDF2-HMAC-SHA256";
const NOT_SHOWN: &str = "names, number, times, hosts and files of the archives, whether every \
                         object that they need is there, whether they can be restored";
const NOT_SHOWN_REMOTE: &str = "the repository itself: what is kept, its size, its locks, whether \
                                it is whole";
/// The number of the transaction that `borg init` makes.
const INIT_TRANSACTION: u64 = 1;
/// Whose notes count when the settings name no other home.
const ROOT_HOME: &str = "/root";

/// Looks at the repository in the folder `path`.
///
/// # Errors
///
/// [`Unseen`]: there is no repository of version 1, or it cannot be read.
pub(super) fn look(view: View<'_>, seen: &mut Seen, path: &str) -> Result<Shown, Unseen> {
    let host = view.host;
    let bytes = host.read(&format!("{path}/config"), CONFIG_BYTES_MAX)?;
    let malformed = |why| Unseen::new(path, Status::Malformed, Some(why));
    let config = String::from_utf8(bytes)
        .ok()
        .and_then(|text| section(&text))
        .ok_or_else(|| malformed("no configuration of borg"))?;
    match config.get("version").map(String::as_str) {
        Some("1") => {}
        Some(version) => {
            let version: String = version.chars().take(16).collect();
            let why = format!("version {version} of the repository; version 1 is known");
            return Err(Unseen::new(path, Status::Unsupported, Some(&why)));
        }
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
    let locked = names.iter().any(|name| name == "lock.exclusive");
    let mut shown = Shown {
        append_only,
        locked: Some(locked),
        version: Some("1".to_owned()),
        hidden: Some(NOT_SHOWN),
        ..Shown::default()
    };
    if locked {
        let lock = format!("{path}/lock.exclusive");
        shown.locked_since = seen.note(Means::File, &lock, written(host, &lock));
    }
    let last = names
        .iter()
        .filter_map(|name| numbered(name, "hints."))
        .max();
    match last {
        Some(last) if INIT_TRANSACTION < last => {
            shown.last_success = Some(written(host, &format!("{path}/hints.{last}"))?);
        }
        Some(_) | None => shown.reason = Some("nothing was written since borg init".to_owned()),
    }
    let data = format!("{path}/data");
    if let Some(segments) = seen.note(Means::File, &data, segments(host, &data)) {
        shown.bytes = Some(segments.bytes);
        shown.added = segments.days.into_values().collect();
        let committed = |number: &u64| last.is_some_and(|last| *number <= last);
        let mut paths = segments.paths;
        paths.retain(|number, _| committed(number));
        let kind = seen.note(Means::File, &data, kind(view, &paths));
        if let Some(kind) = kind.flatten() {
            shown.encrypted = encrypts(kind);
            shown.cipher = segment::cipher(kind);
            let encrypted = shown.encrypted == Some(true);
            shown.kdf = encrypted.then(|| KDF.to_owned());
        }
        let mut contents = Contents::new(view);
        let sampled = sample(view, &mut contents, path, &paths);
        if seen.note(Means::File, &data, sampled).is_some() {
            contents.tell(&mut shown);
        }
    }
    Ok(shown)
}

/// The segments of a repository.
#[derive(Default)]
struct Segments {
    bytes: u64,
    /// Bytes by the day on which they were written.
    days: BTreeMap<i64, u64>,
    paths: BTreeMap<u64, String>,
}

fn segments(host: &dyn Host, data: &str) -> Result<Segments, Unseen> {
    let mut segments = Segments::default();
    each_below(host, data, |folder, name, stat| {
        segments.bytes = segments.bytes.saturating_add(stat.bytes);
        let sum = segments.days.entry(day(written_at(stat))).or_default();
        *sum = sum.saturating_add(stat.bytes);
        if let Some(number) = numbered(name, "") {
            let path = format!("{data}/{folder}/{name}");
            let _none: Option<String> = segments.paths.insert(number, path);
        }
    })?;
    Ok(segments)
}

/// How the first object of the oldest segment is encrypted. `config` cannot tell: it has a key in
/// the modes that only authenticate, too.
fn kind(view: View<'_>, paths: &BTreeMap<u64, String>) -> Result<Option<u8>, Unseen> {
    let Some(path) = paths.values().next() else {
        return Ok(None);
    };
    let mut head = Vec::new();
    let mut file = view.host.open(path, segment::HEAD_BYTES)?;
    let _length = std::io::Read::read_to_end(&mut file, &mut head)
        .map_err(|error| Unseen::from_io(path, &error))?;
    segment::first_object(&head)
        .map_err(|_damaged| Unseen::new(path, Status::Malformed, Some("no segment of borg")))
}

/// Compares segments with their checksums: what was damaged before, then from another place each
/// hour.
fn sample(
    view: View<'_>,
    contents: &mut Contents<'_>,
    path: &str,
    paths: &BTreeMap<u64, String>,
) -> Result<(), Unseen> {
    let before = contents.damaged_before(path);
    let turn = view.turn().checked_rem(paths.len()).unwrap_or_default();
    let later = paths.values().skip(turn);
    let all = before.iter().chain(later).chain(paths.values().take(turn));
    for (at, segment) in all.enumerate() {
        if contents.spent() {
            break;
        }
        if at != 0 && before.as_ref() == Some(segment) {
            continue;
        }
        match segment::check(view, segment) {
            Err(unseen) if unseen.is_absent() => {}
            checked => {
                let (bytes, whole) = checked?;
                contents.count(segment, bytes, whole);
            }
        }
    }
    Ok(())
}

/// What the client of one user noted of a repository on another machine; without a `home` that of
/// root. Other users could note whatever they like.
///
/// # Errors
///
/// [`Status::Absent`] when this client did not use it; else why a note cannot be read.
pub(super) fn look_remote(
    host: &dyn Host,
    location: &str,
    home: Option<&str>,
) -> Result<Shown, Unseen> {
    let home = home.unwrap_or(ROOT_HOME).trim_end_matches('/');
    let security = format!("{home}/.config/borg/security");
    let why = Some("no client on this host that may be read has noted it");
    let absent = || Unseen::new(&security, Status::Absent, why);
    let names = match host.list(&security) {
        Err(unseen) if unseen.is_absent() => return Err(absent()),
        names => names?,
    };
    let mut unread = None;
    let mut best: Option<Shown> = None;
    for id in names.iter().filter(|id| is_digest(id)) {
        let folder = format!("{security}/{id}");
        match note(host, &format!("{folder}/location")) {
            Ok(noted) if noted == location => {}
            Ok(_) => continue,
            Err(unseen) => {
                unread = unread.or_else(|| Some(unseen).filter(|unseen| !unseen.is_absent()));
                continue;
            }
        }
        let shown = noted(host, &folder)?;
        let newer = best
            .as_ref()
            .is_none_or(|best| best.last_success < shown.last_success);
        best = if newer { Some(shown) } else { best };
    }
    // A note that cannot be read may be that of this repository.
    best.ok_or_else(|| unread.unwrap_or_else(absent))
}

/// What the notes on one repository show.
fn noted(host: &dyn Host, folder: &str) -> Result<Shown, Unseen> {
    let path = format!("{folder}/manifest-timestamp");
    let time = note(host, &path)?;
    // It is UTC, written without a zone.
    let time: Timestamp = format!("{}Z", time.trim())
        .parse()
        .map_err(|_no_time| Unseen::new(&path, Status::Malformed, None))?;
    let kind = note(host, &format!("{folder}/key-type")).unwrap_or_default();
    let kind: Option<u8> = kind.trim().parse().ok();
    Ok(Shown {
        last_success: Some(time),
        encrypted: kind.and_then(encrypts),
        cipher: kind.and_then(segment::cipher),
        hidden: Some(NOT_SHOWN_REMOTE),
        ..Shown::default()
    })
}

fn note(host: &dyn Host, path: &str) -> Result<String, Unseen> {
    let bytes = host.read(path, CONFIG_BYTES_MAX)?;
    let text = String::from_utf8(bytes);
    text.map_err(|_not_text| Unseen::new(path, Status::Malformed, None))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
        fn any_text(text in "\\PC*|\\[repository\\]\n[a-z=\n\t ]*") {
            drop(section(&text));
            let number = text.parse::<u64>().is_ok() && !text.starts_with('+');
            assert_eq!(numbered(&text, "").is_some(), number);
        }
    }
}
