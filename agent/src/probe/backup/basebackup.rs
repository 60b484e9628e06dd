//! Base backups of PostgreSQL: a folder that `pg_basebackup(1)` wrote, or a folder of such folders.
//!
//! Each has a `backup_manifest`: JSON with a line for every file and a SHA-256 of itself at its
//! end, so a manifest that was cut off or changed is seen. In the plain form the size of each of a
//! sample of files is compared, and its checksum when it is SHA-256 or CRC-32C, another sample each
//! hour. Of the tar form only the manifest is looked at.
//!
//! The time of a backup is when its manifest was written, which is the last thing.
//!
//! Source: PostgreSQL 15, "Backup Manifest Format"; `pg_basebackup(1)`.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use shared::id::Digest;
use shared::observation::{Means, Status};

use super::contents::{self, Contents};
use super::shown::{Shown, View, written};
use crate::host::{Stat, Unseen};
use crate::probe::Seen;

const NAME: &str = "backup_manifest";
/// Longest manifest: about 25,000 files.
const MANIFEST_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most backups in a folder.
const BACKUPS_MAX: usize = 1024;
/// Most files that are compared at one look.
const SAMPLE: usize = 512;
/// Longest file whose contents are compared: PostgreSQL makes files of up to 1 GiB.
const FILE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const LAST_LINE: &str = "\"Manifest-Checksum\": \"";
const NOT_SHOWN: &str = "whether it can be restored, and whether the archive has the write-ahead \
                         log after it";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct File {
    path: Option<String>,
    size: u64,
    #[serde(rename = "Checksum-Algorithm")]
    algorithm: Option<String>,
    checksum: Option<String>,
}

/// Looks at the base backups in the folder `path`.
///
/// # Errors
///
/// [`Unseen`]: there is none, or it cannot be read.
pub(super) fn look(view: View<'_>, seen: &mut Seen, path: &str) -> Result<Shown, Unseen> {
    let mut found = Vec::new();
    match written(view.host, &format!("{path}/{NAME}")) {
        Err(unseen) if unseen.is_absent() => {
            for name in view.host.list(path)?.iter().take(BACKUPS_MAX) {
                let folder = format!("{path}/{name}");
                match written(view.host, &format!("{folder}/{NAME}")) {
                    Err(unseen) if unseen.is_absent() => {}
                    at => found.push((at?, folder)),
                }
            }
        }
        at => found.push((at?, path.to_owned())),
    }
    found.sort();
    let Some((_, last)) = found.last() else {
        return Err(Unseen::new(
            path,
            Status::Absent,
            Some("no backup_manifest"),
        ));
    };
    let manifest = format!("{last}/{NAME}");
    let bytes = view.host.read(&manifest, MANIFEST_BYTES_MAX)?;
    let files = read(&bytes).map_err(|(status, why)| Unseen::new(&manifest, status, Some(why)))?;
    let times: Vec<_> = found.iter().map(|(at, _)| *at).collect();
    let mut shown = Shown {
        last_success: times.last().copied(),
        snapshots: Some(times.len()),
        times: Some(times),
        files: u64::try_from(files.len()).ok(),
        bytes: Some(
            files
                .iter()
                .fold(0, |sum, file| file.size.saturating_add(sum)),
        ),
        encrypted: Some(false),
        hidden: Some(NOT_SHOWN),
        ..Shown::default()
    };
    // Every cluster has this file; it is not there in the tar form.
    if view.host.stat(&format!("{last}/PG_VERSION")).is_ok() {
        let mut contents = Contents::new(view);
        let compared = compare(view, &mut contents, last, &files);
        if seen.note(Means::File, last, compared).is_some() {
            contents.tell(&mut shown);
        }
    }
    Ok(shown)
}

/// The files that a manifest names.
fn read(bytes: &[u8]) -> Result<Vec<File>, (Status, &'static str)> {
    let malformed = |why| (Status::Malformed, why);
    let text = std::str::from_utf8(bytes).map_err(|_not_text| malformed("no text"))?;
    let mut lines = text.lines();
    let head = lines.next().unwrap_or_default();
    let version = head.strip_prefix("{ \"PostgreSQL-Backup-Manifest-Version\": ");
    match version.map(|rest| rest.trim_end_matches(',')) {
        Some("1" | "2") => {}
        Some(_) => return Err((Status::Unsupported, "a version that is not known")),
        None => return Err(malformed("no manifest of a base backup")),
    }
    let (body, sum) = text
        .rfind(LAST_LINE)
        .and_then(|at| text.split_at_checked(at))
        .ok_or_else(|| malformed("the manifest was cut off"))?;
    let sum = sum.strip_prefix(LAST_LINE).and_then(|s| s.get(..64));
    let own = Digest(Sha256::digest(body.as_bytes()).into()).to_string();
    if sum != Some(own.as_str()) {
        return Err(malformed("the manifest is not the one that was written"));
    }
    let lines = body
        .lines()
        .filter(|line| line.starts_with("{ \"Path\"") || line.starts_with("{ \"Encoded-Path\""));
    lines
        .map(|line| serde_json::from_str(line.trim_end().trim_end_matches(',')))
        .collect::<Result<_, _>>()
        .map_err(|_form| malformed("a line of the manifest is no file"))
}

/// Compares a sample of the files with the manifest.
fn compare(
    view: View<'_>,
    contents: &mut Contents<'_>,
    folder: &str,
    files: &[File],
) -> Result<(), Unseen> {
    let before = contents.damaged_before(folder);
    let path = |file: &File| match &file.path {
        Some(path) if !path.starts_with('/') && !path.contains("..") => format!("{folder}/{path}"),
        // A name that is no text is not looked at.
        Some(_) | None => String::new(),
    };
    let turn = view.turn().saturating_mul(SAMPLE);
    let turn = turn.checked_rem(files.len()).unwrap_or_default();
    let first = files
        .iter()
        .filter(|file| before.as_ref() == Some(&path(file)));
    let sample = files
        .iter()
        .cycle()
        .skip(turn)
        .take(files.len().min(SAMPLE));
    let others = sample.filter(|file| before.as_ref() != Some(&path(file)));
    for file in first.chain(others) {
        let path = path(file);
        if path.is_empty() || contents.spent() {
            continue;
        }
        match view.host.stat(&path) {
            Err(unseen) if unseen.is_absent() => contents.count(&path, 0, false),
            stat if stat.as_ref().is_ok_and(|stat| stat.bytes != file.size) => {
                contents.count(&path, 0, false);
            }
            // The size alone was compared.
            Ok(stat) if FILE_BYTES_MAX < stat.bytes => {}
            stat => {
                let _size: Stat = stat?;
                let hash = file.checksum.as_deref().unwrap_or_default();
                match file.algorithm.as_deref() {
                    Some("SHA256") => {
                        let _whole: Option<bool> = contents.sha256(&path, hash, FILE_BYTES_MAX)?;
                    }
                    Some("CRC32C") => {
                        let (sum, bytes) = crc32c(view, &path)?;
                        contents.count(&path, bytes, sum == hash);
                    }
                    // The size alone was compared.
                    Some(_) | None => {}
                }
            }
        }
    }
    Ok(())
}

/// CRC-32C of a file, as PostgreSQL writes it: the bytes in the order of a little-endian machine.
fn crc32c(view: View<'_>, path: &str) -> Result<(String, u64), Unseen> {
    let mut crc = u32::MAX;
    let bytes = contents::stream(view, path, FILE_BYTES_MAX, |chunk| {
        crc = chunk.iter().fold(crc, |crc, byte| crc32c_step(crc, *byte));
    })?;
    let mut sum = (!crc).to_be_bytes();
    sum.reverse();
    let digits = sum.iter().map(|byte| format!("{byte:02x}"));
    Ok((digits.collect(), bytes))
}

fn crc32c_step(crc: u32, byte: u8) -> u32 {
    let [.., low] = crc.to_be_bytes();
    let at = usize::from(low ^ byte);
    (crc >> 8) ^ CRC32C.get(at).copied().unwrap_or_default()
}

/// The table of the Castagnoli polynomial, reflected (RFC 3720, appendix B.4).
#[expect(
    clippy::indexing_slicing,
    reason = "the loop ends at the length of the table"
)]
static CRC32C: [u32; 256] = {
    let mut table = [0; 256];
    let mut at = 0;
    let mut byte = 0_u32;
    while at < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[at] = crc;
        at += 1;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A manifest with its checksum.
    fn summed(body: &str) -> String {
        let sum = Digest(Sha256::digest(body.as_bytes()).into());
        format!("{body}{LAST_LINE}{sum}\"}}\n")
    }

    const BODY: &str = "{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n\
        { \"Path\": \"a\", \"Size\": 3, \"Last-Modified\": \"2026-01-02 03:00:00 GMT\" },\n\
        { \"Encoded-Path\": \"ff\", \"Size\": 4 }\n],\n\"WAL-Ranges\": [\n],\n";

    #[test]
    fn manifests() {
        let files = read(summed(BODY).as_bytes()).unwrap();
        let files: Vec<_> = files.iter().map(|f| (f.path.as_deref(), f.size)).collect();
        assert_eq!(files, [(Some("a"), 3), (None, 4)]);
        let newer = summed(&BODY.replace("Version\": 1", "Version\": 3"));
        assert_eq!(read(newer.as_bytes()).unwrap_err().0, Status::Unsupported);
        for bad in [
            summed(&BODY.replace("Version", "Vers")),
            summed(&BODY.replace("\"Size\": 3", "\"Size\": -3")),
            summed(BODY).replace("\"Size\": 3", "\"Size\": 2"),
            BODY.to_owned(),
            String::new(),
        ] {
            assert_eq!(
                read(bad.as_bytes()).unwrap_err().0,
                Status::Malformed,
                "{bad}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_change(at in 0..BODY.len(), byte: u8) {
            let mut changed = summed(BODY).into_bytes();
            let same = changed[at] == byte;
            changed[at] = byte;
            assert_eq!(read(&changed).is_ok(), same);
            drop(read(summed(&String::from_utf8_lossy(&changed)).as_bytes()));
        }
    }

    #[test]
    fn castagnoli() {
        // RFC 3720, appendix B.4: 32 bytes of zeros, and of ones; "123456789" is the usual check.
        for (bytes, expected) in [
            (&[0; 32][..], 0x8a91_36aa_u32),
            (&[0xff; 32], 0x62a8_ab43),
            (b"123456789", 0xe306_9283),
        ] {
            let crc = bytes
                .iter()
                .fold(u32::MAX, |crc, byte| crc32c_step(crc, *byte));
            assert_eq!(!crc, expected, "{bytes:?}");
        }
    }
}
