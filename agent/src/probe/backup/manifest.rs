//! The manifest: a small JSON file that a backup job writes when it has ended well.
//!
//! It is for every tool that this agent does not know. The job replaces the file as its last step:
//!
//! ```sh
//! started=$(date -u +%Y-%m-%dT%H:%M:%SZ)
//! tar -C / -czf /srv/backup/etc.tar.gz etc || exit 1
//! printf '{"name":"etc","tool":"tar","started":"%s","finished":"%s",' \
//!   "$started" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" > /srv/backup/etc.json.new
//! printf '"files":%s,"bytes":%s,"encrypted":false,"sha256":"%s"}\n' \
//!   "$(tar -tzf /srv/backup/etc.tar.gz | wc -l)" "$(stat -c %s /srv/backup/etc.tar.gz)" \
//!   "$(sha256sum /srv/backup/etc.tar.gz | cut -d ' ' -f 1)" >> /srv/backup/etc.json.new
//! mv /srv/backup/etc.json.new /srv/backup/etc.json
//! ```
//!
//! | member | value | |
//! | --- | --- | --- |
//! | `name` | name of the set, as in the agent's settings | required |
//! | `tool` | what made it, at most 256 bytes | required |
//! | `started`, `finished` | RFC 3339 with a zone; not in the future, in this order | required |
//! | `files`, `bytes` | files in this backup, and size of the copy | required |
//! | `encrypted` | whether the copy is encrypted | required |
//! | `sha256` | of the archive, or of the list of the files' hashes | optional |
//! | `exit` | exit status; other than 0 is no success | optional |
//! | `file` | name of the archive beside it; compared with `bytes` and `sha256` | optional |
//!
//! Members may stand in any order, each once, and no others. The file has at most 16 KiB. Without
//! `file` it is the job's own word (grade `job`): the copy itself is not looked at. With it, the
//! size of the archive is compared at each look (grade `metadata`), and its hash too when it has at
//! most 128 MiB and was not compared within a day (grade `proof`).
//!
//! `finished` may not be later than the last change of the file by more than ten minutes, which
//! leaves room for the clock of another machine that writes it.
//!
//! A **check record** has the same form as far as it goes: a job writes it when it has checked a
//! whole repository, e.g. after `restic check --read-data-subset=1/10` or `borg check`:
//!
//! ```json
//! {"name":"etc","tool":"restic check","finished":"2026-01-02T05:00:00Z","exit":0}
//! ```

use serde::Deserialize;
use shared::fact::Value;
use shared::id::Digest;
use shared::observation::Status;
use shared::time::Timestamp;

use super::contents::sha256;
use super::shown::{Grade, Hashed, Shown, View};
use crate::host::Unseen;

/// Longest manifest.
const MANIFEST_BYTES_MAX: u64 = 16 * 1024;
/// Longest text in it.
const TEXT_BYTES_MAX: usize = 256;
/// How far the clock of the writer may be ahead of this host's.
const AHEAD_MS_MAX: i64 = 10 * 60 * 1000;
/// Largest archive whose hash is compared.
const ARCHIVE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// After what time it is compared again though nothing wrote to it.
const AGAIN_MS: i64 = 24 * 60 * 60 * 1000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: String,
    tool: String,
    started: Timestamp,
    finished: Timestamp,
    files: u32,
    bytes: i64,
    encrypted: bool,
    sha256: Option<Digest>,
    exit: Option<i32>,
    file: Option<String>,
}

/// The record of a check of a whole repository.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    tool: String,
    finished: Timestamp,
    exit: i32,
}

/// What the record of a check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Checked {
    /// When it ended.
    pub(super) at: Timestamp,
    /// Whether it found nothing wrong.
    pub(super) ok: bool,
}

/// A file is no manifest of the set.
#[derive(Debug, thiserror::Error)]
pub(super) enum ManifestError {
    /// Not the JSON that is wanted.
    #[error("not a manifest: {0}")]
    Form(#[source] serde_json::Error),
    /// It is the manifest of another set.
    #[error("the manifest is for another set")]
    Name,
    /// A number is negative or a text too long.
    #[error("`{0}` is out of its bounds")]
    Bounds(&'static str),
    /// The job ended before it began.
    #[error("`finished` is earlier than `started`")]
    Order,
    /// The job ends later than its manifest was written.
    #[error("`finished` is later than the last change of the file")]
    Future,
}

/// Reads the manifest of the set `name` at `path`, and looks at the archive that it names.
///
/// # Errors
///
/// [`Unseen`]; [`Status::Malformed`] with a [`ManifestError`], which the writer of the job mends.
pub(super) fn look(view: View<'_>, name: &str, path: &str) -> Result<Shown, Unseen> {
    let stat = view.host.stat(path)?;
    let bytes = view.host.read(path, MANIFEST_BYTES_MAX)?;
    let (mut shown, file) = read(&bytes, name, stat.changed)
        .map_err(|error| Unseen::new(path, Status::Malformed, Some(&error.to_string())))?;
    if let Some(file) = file {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        compare(view, &mut shown, &format!("{folder}/{file}"))?;
    }
    Ok(shown)
}

/// Reads the record of the last check of the set `name`.
///
/// # Errors
///
/// [`Unseen`]; [`Status::Malformed`] with a [`ManifestError`].
pub(super) fn look_check(view: View<'_>, name: &str, path: &str) -> Result<Checked, Unseen> {
    let stat = view.host.stat(path)?;
    let bytes = view.host.read(path, MANIFEST_BYTES_MAX)?;
    let latest = stat.changed.min(view.now).plus_ms(AHEAD_MS_MAX);
    read_check(&bytes, name, latest)
        .map_err(|error| Unseen::new(path, Status::Malformed, Some(&error.to_string())))
}

fn read_check(bytes: &[u8], name: &str, latest: Timestamp) -> Result<Checked, ManifestError> {
    let record: Record = serde_json::from_slice(bytes).map_err(ManifestError::Form)?;
    if record.name != name {
        return Err(ManifestError::Name);
    }
    if TEXT_BYTES_MAX < record.tool.len() || record.tool.is_empty() {
        return Err(ManifestError::Bounds("tool"));
    }
    if latest < record.finished {
        return Err(ManifestError::Future);
    }
    Ok(Checked {
        at: record.finished,
        ok: record.exit == 0,
    })
}

/// Compares the archive with what the manifest says of it.
fn compare(view: View<'_>, shown: &mut Shown, file: &str) -> Result<(), Unseen> {
    let mut hashed = Hashed::default();
    let stat = match view.host.stat(file) {
        Err(unseen) if unseen.is_absent() => {
            hashed.count(file, false);
            shown.reason = Some("the archive that the manifest names is gone".to_owned());
            shown.hashed = Some(hashed);
            shown.last_success = None;
            return Ok(());
        }
        stat => stat?,
    };
    shown.grade = Grade::Metadata;
    let earlier = (view.earlier_number("hashed_files") == Some(1))
        .then(|| view.before?.get("hashed_at").cloned())
        .flatten();
    let compared = match earlier {
        Some(Value::Instant(at))
            if stat.changed <= at && view.now.ms_since(at) < AGAIN_MS && at <= view.now =>
        {
            Some((true, at))
        }
        _ if shown.bytes != Some(stat.bytes) => Some((false, view.now)),
        _ if ARCHIVE_BYTES_MAX < stat.bytes => None,
        _ => match shown.sha256 {
            Some(expected) => Some((
                sha256(view, file, ARCHIVE_BYTES_MAX)?.0 == expected,
                view.now,
            )),
            None => None,
        },
    };
    if let Some((whole, at)) = compared {
        hashed.count(file, whole);
        shown.hashed_at = Some(at);
        if whole {
            shown.grade = Grade::Proof;
        } else {
            shown.reason =
                Some("the archive is not the one that the manifest describes".to_owned());
            shown.last_success = None;
        }
        shown.hashed = Some(hashed);
    }
    Ok(())
}

fn read(
    bytes: &[u8],
    name: &str,
    changed: Timestamp,
) -> Result<(Shown, Option<String>), ManifestError> {
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(ManifestError::Form)?;
    if manifest.name != name {
        return Err(ManifestError::Name);
    }
    if TEXT_BYTES_MAX < manifest.tool.len() || manifest.tool.is_empty() {
        return Err(ManifestError::Bounds("tool"));
    }
    let bytes = u64::try_from(manifest.bytes);
    let bytes = bytes.map_err(|_negative| ManifestError::Bounds("bytes"))?;
    if manifest.finished < manifest.started {
        return Err(ManifestError::Order);
    }
    if changed.plus_ms(AHEAD_MS_MAX) < manifest.finished {
        return Err(ManifestError::Future);
    }
    let plain = |file: &String| !file.is_empty() && !file.contains('/') && file != "..";
    if !manifest.file.as_ref().is_none_or(plain) {
        return Err(ManifestError::Bounds("file"));
    }
    let exit = manifest.exit.unwrap_or_default();
    let shown = Shown {
        last_success: (exit == 0).then_some(manifest.finished),
        bytes: Some(bytes),
        files: Some(u64::from(manifest.files)),
        encrypted: Some(manifest.encrypted),
        reason: (exit != 0).then(|| format!("the job ended with exit status {exit}")),
        sha256: manifest.sha256,
        grade: Grade::Job,
        ..Shown::default()
    };
    Ok((shown, manifest.file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = concat!(
        r#"{"name":"etc","tool":"tar","started":"2026-01-02T03:00:00Z","#,
        r#""finished":"2026-01-02T04:04:05+01:00","files":3,"bytes":10240,"encrypted":false,"#,
        r#""sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","exit":0}"#
    );

    fn shown(text: &str) -> Result<Shown, ManifestError> {
        let changed = Timestamp::from_unix_ms(1_767_323_100_000);
        read(text.as_bytes(), "etc", changed.unwrap_or_default()).map(|(shown, _)| shown)
    }

    #[test]
    fn a_good_manifest() {
        let good = shown(GOOD).unwrap();
        assert_eq!(
            good.last_success,
            Some("2026-01-02T03:04:05Z".parse().unwrap())
        );
        assert_eq!((good.bytes, good.files), (Some(10240), Some(3)));
        assert!(good.sha256.is_some());
        assert_eq!((good.encrypted, good.grade), (Some(false), Grade::Job));
        let failed = shown(&GOOD.replace("\"exit\":0", "\"exit\":2")).unwrap();
        assert_eq!(failed.last_success, None);
        assert_eq!(failed.reason.unwrap(), "the job ended with exit status 2");
        let short = GOOD.split(",\"sha256\"").next().unwrap();
        assert!(shown(&format!("{short}}}\n")).is_ok());
        let ahead = GOOD.replace("04:04:05+01:00", "03:14:59Z");
        assert!(shown(&ahead).is_ok(), "within ten minutes of the change");
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        let long = format!("\"{}\"", "x".repeat(257));
        for (from, to) in [
            ("\"etc\"", "\"home\""),
            ("\"name\":\"etc\",", ""),
            ("\"tar\"", "\"\""),
            ("\"tar\"", &long),
            ("\"tar\"", "null"),
            ("{", "{\"colour\":1,"),
            ("{", "{\"files\":3,"),
            ("2026-01-02T03:00:00Z", "2026-01-02 03:00:00"),
            ("2026-01-02T03:00:00Z", "2026-01-02T03:00:00"),
            ("03:00:00Z", "03:04:06Z"),
            ("04:04:05+01:00", "03:15:01Z"),
            ("2026-01-02T04", "2036-01-02T04"),
            (":3,", ":-3,"),
            (":3,", ":3.0,"),
            (":3,", ":\"3\","),
            ("10240", "-1"),
            ("10240", "9223372036854775808"),
            ("false", "0"),
            ("e3b0", "E3B0"),
            ("e3b0", ""),
            ("\"exit\":0}", "\"exit\":0,\"file\":\"../x\"}"),
            ("\"exit\":0}", "\"exit\":0,\"file\":\"..\"}"),
            ("\"exit\":0}", "\"exit\":0,\"file\":\"\"}"),
            ("\"exit\":0}", "\"exit\":0}x"),
            ("\"exit\":0}", "\"exit\":0"),
        ] {
            let bad = GOOD.replacen(from, to, 1);
            assert_ne!(bad, GOOD, "{from}");
            assert!(shown(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn records_of_checks() {
        let good =
            r#"{"name":"etc","tool":"borg check","finished":"2026-01-02T05:00:00Z","exit":0}"#;
        let latest: Timestamp = "2026-01-02T05:00:00Z".parse().unwrap();
        let read = |text: &str| read_check(text.as_bytes(), "etc", latest);
        assert_eq!(
            read(good).unwrap(),
            Checked {
                at: latest,
                ok: true
            }
        );
        assert!(!read(&good.replace(":0}", ":1}")).unwrap().ok);
        for (from, to) in [
            ("etc", "home"),
            ("borg check", ""),
            ("05:00:00Z", "05:00:01Z"),
            (",\"exit\":0", ""),
            ("{", "{\"colour\":1,"),
            ("}", ""),
        ] {
            assert!(read(&good.replacen(from, to, 1)).is_err(), "{from}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(read(&bytes, "etc", Timestamp::default()));
        }

        #[test]
        fn any_change(at in 0..GOOD.len(), byte: u8) {
            let mut changed = GOOD.as_bytes().to_vec();
            changed[at] = byte;
            drop(read(&changed, "etc", Timestamp::default()));
        }
    }
}
