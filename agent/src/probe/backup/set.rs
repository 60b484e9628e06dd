//! One declared set: looked at with the reader of its tool, and stated as a record.

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::kept::{buckets, percent};
use super::manifest::Checked;
use super::place::Place;
use super::shown::{Shown, View};
use super::{basebackup, borg, manifest, pgbackrest, restic, snapshots};
use crate::config::{BackupSet, BackupTool};
use crate::host::Unseen;
use crate::probe::Seen;

/// How far the clock of whoever wrote a copy may be ahead of this host's.
const AHEAD_MS_MAX: i64 = 10 * 60 * 1000;

/// A declared set, as found.
pub(super) struct Set {
    pub(super) name: String,
    pub(super) found: Result<Shown, Unseen>,
    tool: &'static str,
    location: String,
    place: Option<Place>,
    copy_of: Option<String>,
    checked: Option<Checked>,
    size_percent: Option<i64>,
}

impl Set {
    pub(super) fn look(
        view: View<'_>,
        seen: &mut Seen,
        set: &BackupSet,
        place: Option<Place>,
    ) -> Self {
        let path = set.path.trim_end_matches('/');
        let location = redacted(path);
        let remote = !path.starts_with('/');
        let (tool, found) = match set.tool {
            BackupTool::Basebackup => ("basebackup", basebackup::look(view, seen, path)),
            BackupTool::Borg if remote => {
                let home = set.home.as_deref();
                ("borg", borg::look_remote(view.host, path, home))
            }
            BackupTool::Borg => ("borg", borg::look(view, seen, path)),
            BackupTool::Manifest => ("manifest", manifest::look(view, &set.name, path)),
            BackupTool::Pgbackrest => ("pgbackrest", pgbackrest::look(view, seen, path, set)),
            BackupTool::Restic => ("restic", restic::look(view, seen, path)),
            BackupTool::Snapshots => ("snapshots", snapshots::look(view, seen, path)),
        };
        let found = found.and_then(|shown| not_ahead(shown, &location, view.now));
        let result = found.as_ref().map(drop).map_err(Unseen::clone);
        let _seen: Option<()> = seen.note(Means::File, &location, result);
        let checked = set.check.as_ref().and_then(|check| {
            let record = manifest::look_check(view, &set.name, check);
            seen.note(Means::File, check, record)
        });
        let size_percent = found.as_ref().ok().and_then(|s| size_percent(view, s));
        Self {
            name: set.name.clone(),
            found,
            tool,
            location,
            place: if remote { Some(Place::Network) } else { place },
            copy_of: set.copy_of.clone(),
            checked,
            size_percent,
        }
    }

    /// When the last backup ended well.
    pub(super) fn last_success(&self) -> Option<Timestamp> {
        self.found.as_ref().ok()?.last_success
    }

    pub(super) fn record(&self) -> Record {
        let reason = match &self.found {
            Ok(shown) => shown.reason.clone(),
            Err(unseen) => Some(match &unseen.detail {
                Some(detail) => format!("{}: {detail}", unseen.status.as_str()),
                None => unseen.status.as_str().to_owned(),
            }),
        };
        let fields = [
            ("name", Some(text(&self.name))),
            ("tool", Some(text(self.tool))),
            ("location", Some(text(&self.location))),
            ("place", self.place.map(|place| text(place.as_str()))),
            ("copy_of", self.copy_of.as_deref().map(text)),
            ("found", Some(Value::Flag(self.found.is_ok()))),
            ("reason", reason.as_deref().map(text)),
            ("size_percent", self.size_percent.map(Value::Number)),
            (
                "last_check",
                self.checked.map(|check| Value::Instant(check.at)),
            ),
            ("check_ok", self.checked.map(|check| Value::Flag(check.ok))),
        ];
        let shown = self.found.as_ref().ok().map(shown_fields);
        fields
            .into_iter()
            .chain(shown.into_iter().flatten())
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// A copy from the future says nothing about when it was made.
fn not_ahead(shown: Shown, location: &str, now: Timestamp) -> Result<Shown, Unseen> {
    if shown
        .last_success
        .is_some_and(|at| now.plus_ms(AHEAD_MS_MAX) < at)
    {
        let why = "the last success is later than the clock of this host";
        return Err(Unseen::new(location, Status::Malformed, Some(why)));
    }
    Ok(shown)
}

/// How the size of the last backup compares with those before. A copy that shows one size alone is
/// compared with itself at earlier looks: with the backup before, until there is another.
fn size_percent(view: View<'_>, shown: &Shown) -> Option<i64> {
    if !shown.sizes.is_empty() {
        return percent(&shown.sizes);
    }
    // The whole of a repository is no size of a backup.
    shown.files?;
    let last = shown.last_success?;
    let Some(Value::Instant(earlier)) = view.before?.get("last_success") else {
        return None;
    };
    if *earlier == last {
        return view.earlier_number("size_percent");
    }
    let before = u64::try_from(view.earlier_number("bytes")?).ok()?;
    let percent = u128::from(shown.bytes?).checked_mul(100)?;
    i64::try_from(percent.checked_div(u128::from(before))?).ok()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn number(number: u64) -> Value {
    Value::Number(i64::try_from(number).unwrap_or(i64::MAX))
}

fn count(count: usize) -> Value {
    Value::Number(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What a set that was found shows.
fn shown_fields(shown: &Shown) -> Vec<(&'static str, Option<Value>)> {
    let buckets = shown.times.as_deref().map(buckets);
    let oldest = shown.times.as_ref().and_then(|times| times.iter().min());
    let hashed = shown.hashed.as_ref();
    vec![
        ("last_success", shown.last_success.map(Value::Instant)),
        ("oldest", oldest.copied().map(Value::Instant)),
        ("snapshots", shown.snapshots.map(count)),
        ("days", buckets.as_ref().map(|b| count(b.days))),
        ("weeks", buckets.as_ref().map(|b| count(b.weeks))),
        ("months", buckets.as_ref().map(|b| count(b.months))),
        ("bytes", shown.bytes.map(number)),
        ("files", shown.files.map(number)),
        ("added_bytes", shown.added.last().copied().map(number)),
        ("added_percent", percent(&shown.added).map(Value::Number)),
        ("encrypted", shown.encrypted.map(Value::Flag)),
        ("cipher", shown.cipher.map(text)),
        ("kdf", shown.kdf.as_deref().map(text)),
        ("append_only", shown.append_only.map(Value::Flag)),
        ("locked", shown.locked.map(Value::Flag)),
        ("locked_since", shown.locked_since.map(Value::Instant)),
        ("version", shown.version.as_deref().map(text)),
        ("hashed_files", hashed.map(|h| number(h.files))),
        ("hashed_at", shown.hashed_at.map(Value::Instant)),
        ("damaged_files", hashed.map(|h| number(h.damaged))),
        (
            "damaged_file",
            hashed.and_then(|h| h.damaged_file.as_deref()).map(text),
        ),
        ("wal_complete", shown.wal_complete.map(Value::Flag)),
        (
            "sha256",
            shown.sha256.map(|sha| Value::Text(sha.to_string())),
        ),
        ("not_shown", shown.hidden.map(text)),
        ("grade", Some(text(shown.grade.as_str()))),
    ]
}

/// A location without its user: `ssh://me@host/x` becomes `ssh://host/x`. A path of this host is
/// no address and stays as it is.
pub(super) fn redacted(location: &str) -> String {
    match location.rsplit_once('@') {
        Some((user, host)) if !location.starts_with('/') => {
            let scheme = if user.starts_with("ssh://") {
                "ssh://"
            } else {
                ""
            };
            format!("{scheme}{host}")
        }
        Some(_) | None => location.to_owned(),
    }
}
