//! A pgBackRest repository, looked at without its passphrase.
//!
//! ```text
//! backup/<stanza>/backup.info          INI whose values are JSON: every backup with its times
//! backup/<stanza>/backup.info.copy     the same, for when the other was cut off
//! backup/<stanza>/<label>/backup.manifest   every file of a backup with its size
//! archive/<stanza>/<version>-<id>/<first 16 digits>/<segment>-<sha1>.gz   write-ahead log
//! ```
//!
//! With a cipher each file begins with `Salted__`. Then the folders alone tell: a backup that
//! ended has a `backup.manifest`. Otherwise the sizes of a sample of files of the last backup are
//! compared with its manifest: a file that is cut off or gone is damaged. Contents are not
//! compared: their SHA-1 is of the plain form. `pgbackrest verify` does that.
//!
//! Source: pgBackRest 2.45, "User Guide", and the files themselves (form 5).

use std::collections::BTreeMap;

use serde::Deserialize;
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::shown::{Hashed, Shown, View, written};
use super::stamp;
use crate::config::BackupSet;
use crate::host::Unseen;
use crate::probe::Seen;

/// Longest `backup.info`; a backup takes about 800 bytes.
const INFO_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Longest `backup.manifest` of which a sample is compared: about 25,000 files.
const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// The form of the files that is known.
const FORMAT: &str = "5";
const SALTED: &[u8] = b"Salted__";
const CIPHER: &str = "AES-256-CBC";
/// Most files of which the size is compared at one look.
const SAMPLE: usize = 512;
/// Digits of the name of a segment of the write-ahead log, and of the folder that it is in.
const SEGMENT_DIGITS: usize = 24;
const FOLDER_DIGITS: usize = 16;
const NOT_SHOWN: &str = "whether the contents are whole (pgbackrest verify) and can be restored";
const NOT_SHOWN_SALTED: &str = "sizes, types and errors of the backups, which files they hold, \
                                whether they are whole and can be restored";

/// A backup, as `backup.info` has it.
#[derive(Deserialize)]
struct Backup {
    #[serde(rename = "backup-timestamp-stop")]
    stop_s: i64,
    #[serde(rename = "backup-error", default)]
    error: Option<bool>,
    #[serde(rename = "backup-info-size")]
    size: u64,
    #[serde(rename = "backup-info-repo-size-delta", default)]
    added: Option<u64>,
    #[serde(rename = "backup-archive-stop", default)]
    archive_stop: Option<String>,
}

/// A file, as `backup.manifest` has it.
#[derive(Deserialize)]
struct File {
    size: u64,
    #[serde(rename = "repo-size", default)]
    repo_size: Option<u64>,
    #[serde(default)]
    reference: Option<String>,
    /// It is in a bundle with others.
    #[serde(rename = "bni", default)]
    bundle: Option<u64>,
}

/// Looks at the stanza of a repository in the folder `path`.
///
/// # Errors
///
/// [`Unseen`]: there is no such stanza, or it cannot be read.
pub(super) fn look(
    view: View<'_>,
    seen: &mut Seen,
    path: &str,
    set: &BackupSet,
) -> Result<Shown, Unseen> {
    let stanza = stanza(view, path, set)?;
    let folder = format!("{path}/backup/{stanza}");
    let info = read_info(view, &folder, "backup.info");
    let (info, cut) = match info {
        Err(unseen) if matches!(unseen.status, Status::Malformed | Status::Absent) => {
            let copy = read_info(view, &folder, "backup.info.copy");
            (copy.map_err(|_copy| unseen.clone())?, Some(unseen.status))
        }
        info => (info?, None),
    };
    let Some(info) = info else {
        return salted(view, &folder);
    };
    let mut shown = Shown {
        encrypted: Some(false),
        version: Some(info.version),
        hidden: Some(NOT_SHOWN),
        reason: cut.map(|_| "backup.info is damaged; its copy was read".to_owned()),
        ..Shown::default()
    };
    let mut backups: Vec<(Timestamp, String, Backup)> = Vec::new();
    for (label, backup) in info.backups {
        let at = Timestamp::from_unix_ms(backup.stop_s.saturating_mul(1000));
        let at = at.map_err(|error| malformed(&folder, &error.to_string()))?;
        backups.push((at, label, backup));
    }
    backups.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let good = backups.iter().filter(|(_, _, b)| b.error != Some(true));
    shown.last_success = good.map(|(at, _, _)| *at).next_back();
    shown.snapshots = Some(backups.len());
    shown.times = Some(backups.iter().map(|(at, _, _)| *at).collect());
    shown.sizes = backups.iter().map(|(_, _, b)| b.size).collect();
    let added: Option<Vec<u64>> = backups.iter().map(|(_, _, b)| b.added).collect();
    shown.bytes = added.map(|added| added.into_iter().fold(0, u64::saturating_add));
    let Some((_, label, last)) = backups.last() else {
        shown.reason = Some("the stanza has no backup".to_owned());
        return Ok(shown);
    };
    if last.error == Some(true) {
        shown.reason = Some("the last backup found pages with wrong checksums".to_owned());
    }
    if let Some(stop) = &last.archive_stop {
        let archive = format!("{path}/archive/{stanza}");
        let complete = has_segment(view, &archive, stop);
        shown.wal_complete = seen.note(Means::File, &archive, complete);
    }
    let manifest = format!("{folder}/{label}/backup.manifest");
    let sizes = sizes(view, &folder, label);
    if let Some((files, sizes)) = seen.note(Means::File, &manifest, sizes) {
        shown.files = Some(files);
        shown.hashed = Some(sizes);
    }
    Ok(shown)
}

fn malformed(path: &str, why: &str) -> Unseen {
    Unseen::new(path, Status::Malformed, Some(why))
}

/// The stanza that the settings name, or the only one.
fn stanza(view: View<'_>, path: &str, set: &BackupSet) -> Result<String, Unseen> {
    if let Some(stanza) = &set.stanza {
        return Ok(stanza.clone());
    }
    let mut stanzas = view.host.list(&format!("{path}/backup"))?;
    match (stanzas.pop(), stanzas.is_empty()) {
        (Some(stanza), true) => Ok(stanza),
        (None, _) => Err(Unseen::new(path, Status::Absent, Some("no stanza"))),
        (Some(_), false) => {
            let why = "several stanzas: the settings must name one";
            Err(Unseen::new(path, Status::Unsupported, Some(why)))
        }
    }
}

struct Info {
    version: String,
    backups: BTreeMap<String, Backup>,
}

/// What `backup.info` says; `None` when it is encrypted.
fn read_info(view: View<'_>, folder: &str, name: &str) -> Result<Option<Info>, Unseen> {
    let path = format!("{folder}/{name}");
    let bytes = view.host.read(&path, INFO_BYTES_MAX)?;
    if bytes.starts_with(SALTED) {
        return Ok(None);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_not_text| malformed(&path, "no text"))?;
    let mut backups = BTreeMap::new();
    let mut own: BTreeMap<&str, &str> = BTreeMap::new();
    for (section, key, value) in pairs(text) {
        match section {
            "backup:current" => {
                let backup: Backup = serde_json::from_str(value)
                    .map_err(|error| malformed(&path, &error.to_string()))?;
                drop(backups.insert(key.to_owned(), backup));
            }
            "backrest" => {
                let _other: Option<&str> = own.insert(key, value.trim_matches('"'));
            }
            _ => {}
        }
    }
    let format = own.get("backrest-format").copied();
    if let Some(format) = format.filter(|format| *format != FORMAT) {
        let format: String = format.chars().take(16).collect();
        let why = format!("form {format} of the repository; form {FORMAT} is known");
        return Err(Unseen::new(&path, Status::Unsupported, Some(&why)));
    }
    // It is written last: without it the file was cut off.
    if format.is_none() || !own.contains_key("backrest-checksum") {
        return Err(malformed(&path, "no whole information of pgBackRest"));
    }
    let version = own.get("backrest-version").copied().unwrap_or_default();
    Ok(Some(Info {
        version: version.to_owned(),
        backups,
    }))
}

/// Section, key and value of each line.
fn pairs(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut section = "";
    text.lines().filter_map(move |line| {
        if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            section = name;
            return None;
        }
        // A name of a file may hold `=`; a value begins with a brace there.
        let (key, value) = match line.find("={") {
            Some(at) => line.split_at_checked(at)?,
            None => line.split_at_checked(line.find('=')?)?,
        };
        Some((section, key, value.strip_prefix('=')?))
    })
}

/// What the folders show of an encrypted repository.
fn salted(view: View<'_>, folder: &str) -> Result<Shown, Unseen> {
    let mut times = Vec::new();
    for label in view.host.list(folder)? {
        let begun = stamp::in_name(&label, &jiff::tz::TimeZone::UTC);
        if begun.is_none() {
            continue;
        }
        match written(view.host, &format!("{folder}/{label}/backup.manifest")) {
            Err(unseen) if unseen.is_absent() => {}
            at => times.push(at?),
        }
    }
    times.sort_unstable();
    Ok(Shown {
        last_success: times.last().copied(),
        snapshots: Some(times.len()),
        times: Some(times),
        encrypted: Some(true),
        cipher: Some(CIPHER),
        hidden: Some(NOT_SHOWN_SALTED),
        ..Shown::default()
    })
}

/// Whether the archive has the last segment that a backup needs, of whatever cluster.
fn has_segment(view: View<'_>, archive: &str, segment: &str) -> Result<bool, Unseen> {
    let hex = segment.len() == SEGMENT_DIGITS && segment.bytes().all(|b| b.is_ascii_hexdigit());
    let (true, Some(begin)) = (hex, segment.get(..FOLDER_DIGITS)) else {
        return Err(malformed(archive, "no name of a segment"));
    };
    for cluster in view.host.list(archive)? {
        if cluster.starts_with("archive.info") {
            continue;
        }
        match view.host.list(&format!("{archive}/{cluster}/{begin}")) {
            Err(unseen) if unseen.is_absent() => {}
            names => {
                let whole = |name: &String| {
                    name.strip_prefix(segment)
                        .is_some_and(|rest| rest.starts_with('-'))
                };
                if names?.iter().any(whole) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// How many files the last backup has, and how the sizes of a sample of them compare.
fn sizes(view: View<'_>, folder: &str, label: &str) -> Result<(u64, Hashed), Unseen> {
    let path = format!("{folder}/{label}/backup.manifest");
    let bytes = view.host.read(&path, MANIFEST_BYTES_MAX)?;
    let text = std::str::from_utf8(&bytes).map_err(|_not_text| malformed(&path, "no text"))?;
    if !text.contains("\nbackrest-checksum=") {
        return Err(malformed(&path, "no whole manifest of pgBackRest"));
    }
    let compress = pairs(text).find(|(_, key, _)| *key == "option-compress-type");
    let end = match compress.map(|(_, _, value)| value.trim_matches('"')) {
        None | Some("none") => String::new(),
        Some(kind) => format!(".{kind}"),
    };
    let files: Vec<(&str, &str)> = pairs(text)
        .filter(|(section, _, _)| *section == "target:file")
        .map(|(_, name, value)| (name, value))
        .collect();
    let turn = view.turn().saturating_mul(SAMPLE);
    let turn = turn.checked_rem(files.len()).unwrap_or_default();
    let mut sizes = Hashed::default();
    for (name, value) in files
        .iter()
        .cycle()
        .skip(turn)
        .take(files.len().min(SAMPLE))
    {
        let file: File =
            serde_json::from_str(value).map_err(|error| malformed(&path, &error.to_string()))?;
        // One of no bytes is not kept since 2.41, when others are bundled.
        if file.bundle.is_some() || file.size == 0 || name.contains("..") {
            continue;
        }
        let label = file.reference.as_deref().unwrap_or(label);
        let stored = format!("{folder}/{label}/{name}{end}");
        let expected = file.repo_size.unwrap_or(file.size);
        match view.host.stat(&stored) {
            Err(unseen) if unseen.is_absent() => sizes.count(&stored, false),
            stat => sizes.count(&stored, stat?.bytes == expected),
        }
    }
    // Sizes are no contents.
    sizes.files = 0;
    Ok((u64::try_from(files.len()).unwrap_or(u64::MAX), sizes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines() {
        let text = "[backrest]\nbackrest-format=5\n\n[target:file]\n\
                    pg_data/a=b={\"size\":1}\nbroken\n";
        let found: Vec<_> = pairs(text).collect();
        assert_eq!(
            found,
            [
                ("backrest", "backrest-format", "5"),
                ("target:file", "pg_data/a=b", "{\"size\":1}"),
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC*|(\\[[a-z:]{0,4}\\]\n|[a-z=\\{\\}]{0,9}\n)*") {
            for (section, key, value) in pairs(&text) {
                assert!(section.len() + key.len() + value.len() < text.len());
            }
        }
    }
}
