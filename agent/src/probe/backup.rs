//! The backup probe: whether the declared backup sets exist, when each last succeeded, what they
//! left.
//!
//! A set is declared in the agent's settings (`[[probe.backup.set]]`): a restic or borg repository
//! on this host or mounted on it, a borg repository elsewhere that this host writes to, or the
//! manifest of any other job. No password is needed, so this is evidence of grade `metadata` or
//! `job`: it shows that something was written and when, not that it can be restored. The right to
//! read the repository is needed; most belong to root.
//!
//! The outcome is never `absent`: a backup that nobody declared cannot be excluded. Numbers about
//! sets are over those that were found, and are left out when one of these does not show it: borg
//! hides how many archives there are. The oldest success needs all declared sets. A set that is not
//! found may well have backups: its disk may not be mounted.

mod shown;
mod borg;
mod manifest;
mod restic;

use shared::fact::{Record, Subject, Value};
use shared::limits::LIST_RECORDS_MAX;
use shared::observation::{Means, Status};

use super::{Probe, Scene, Seen};
use crate::config::{BackupSet, BackupTool};
use crate::host::{Host, Unseen};

use shown::Shown;

/// Where programs are looked for.
const PROGRAM_FOLDERS: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin"];
/// Programs that make backups, sorted.
const PROGRAMS: [&str; 26] = [
    "amdump",
    "autorestic",
    "backupninja",
    "bacula-fd",
    "bareos-fd",
    "barman",
    "borg",
    "borgmatic",
    "btrbk",
    "burp",
    "duplicity",
    "duply",
    "kopia",
    "pgbackrest",
    "proxmox-backup-client",
    "rdiff-backup",
    "restic",
    "rsnapshot",
    "rustic",
    "sanoid",
    "snapper",
    "syncoid",
    "tarsnap",
    "timeshift",
    "wal-g",
    "zrepl",
];

/// Looks at backups.
#[derive(Debug)]
pub struct Backup;

impl Probe for Backup {
    fn subject(&self) -> &'static Subject {
        &shared::fact::backup::SUBJECT
    }

    fn observe(&self, host: &dyn Host, scene: &Scene) -> Seen {
        let mut seen = Seen::default();
        state_tools(host, &mut seen);
        let declared = &scene.settings.backup.sets;
        seen.state_count("declared_count", declared.len());
        let sets = declared.iter().take(LIST_RECORDS_MAX);
        let sets: Vec<Set> = sets.map(|set| Set::look(host, &mut seen, set)).collect();
        let records = sets.iter().map(Set::record).collect();
        seen.state("sets", Value::List(records));
        if sets.len() < declared.len() {
            let why = format!("the first {LIST_RECORDS_MAX} of {} sets", declared.len());
            seen.unseen(Means::File, Unseen::new("sets", Status::Limit, Some(&why)));
        } else {
            state_numbers(&mut seen, &sets);
        }
        seen.facts()
    }
}

/// A declared set, as found.
struct Set {
    name: String,
    tool: &'static str,
    location: String,
    found: Result<Shown, Unseen>,
}

impl Set {
    fn look(host: &dyn Host, seen: &mut Seen, set: &BackupSet) -> Self {
        let path = set.path.trim_end_matches('/');
        let location = redacted(path);
        let remote = !path.starts_with('/');
        let (tool, found) = match set.tool {
            BackupTool::Borg if remote => ("borg", borg::look_remote(host, path)),
            BackupTool::Borg => ("borg", borg::look(host, seen, path)),
            BackupTool::Restic => ("restic", restic::look(host, seen, path)),
            BackupTool::Manifest => ("manifest", manifest::look(host, &set.name, path)),
        };
        let result = found.as_ref().map(drop).map_err(Unseen::clone);
        let _seen: Option<()> = seen.note(Means::File, &location, result);
        Self {
            name: set.name.clone(),
            tool,
            location,
            found,
        }
    }

    fn record(&self) -> Record {
        let number = |number: u64| Value::Number(i64::try_from(number).unwrap_or(i64::MAX));
        let text = |text: &str| Some(Value::Text(text.to_owned()));
        let shown = self.found.as_ref().ok();
        let reason = match &self.found {
            Ok(shown) => shown.reason.clone(),
            Err(unseen) => Some(match &unseen.detail {
                Some(detail) => format!("{}: {detail}", unseen.status.as_str()),
                None => unseen.status.as_str().to_owned(),
            }),
        };
        let snapshots = shown.and_then(|shown| shown.snapshots);
        let grade = shown.map(|shown| if shown.by_job { "job" } else { "metadata" });
        let fields = [
            ("name", text(&self.name)),
            ("tool", text(self.tool)),
            ("location", text(&self.location)),
            ("found", Some(Value::Flag(shown.is_some()))),
            ("reason", reason.as_deref().and_then(text)),
            (
                "last_success",
                shown.and_then(|s| s.last_success).map(Value::Instant),
            ),
            (
                "snapshots",
                snapshots.and_then(|n| u64::try_from(n).ok()).map(number),
            ),
            ("bytes", shown.and_then(|s| s.bytes).map(number)),
            ("files", shown.and_then(|s| s.files).map(number)),
            (
                "encrypted",
                shown.and_then(|s| s.encrypted).map(Value::Flag),
            ),
            (
                "append_only",
                shown.and_then(|s| s.append_only).map(Value::Flag),
            ),
            ("locked", shown.and_then(|s| s.locked).map(Value::Flag)),
            (
                "sha256",
                shown
                    .and_then(|s| s.sha256)
                    .map(|sha| Value::Text(sha.to_string())),
            ),
            ("grade", grade.and_then(text)),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

/// A location without its user: `ssh://me@host/x` becomes `ssh://host/x`. A path of this host is
/// no address and stays as it is.
fn redacted(location: &str) -> String {
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

/// States the numbers over the sets that were found. A number that one of them does not show is
/// left out; `found_count` tells how many they are.
fn state_numbers(seen: &mut Seen, sets: &[Set]) {
    let found: Vec<&Shown> = sets
        .iter()
        .filter_map(|set| set.found.as_ref().ok())
        .collect();
    seen.state_count("found_count", found.len());
    if found.is_empty() {
        return;
    }
    let never = found.iter().filter(|shown| shown.last_success.is_none());
    seen.state_count("never_count", never.count());
    let encrypted: Option<Vec<bool>> = found.iter().map(|shown| shown.encrypted).collect();
    if let Some(encrypted) = encrypted {
        let plain = encrypted.iter().filter(|encrypted| !**encrypted);
        seen.state_count("unencrypted_count", plain.count());
    }
    let snapshots: Option<Vec<usize>> = found.iter().map(|shown| shown.snapshots).collect();
    if let Some(fewest) = snapshots.and_then(|all| all.into_iter().min()) {
        seen.state_count("fewest_snapshots", fewest);
    }
    let last: Option<Vec<_>> = sets
        .iter()
        .map(|set| set.found.as_ref().ok().and_then(|shown| shown.last_success))
        .collect();
    if let Some(oldest) = last.and_then(|all| all.into_iter().min()) {
        seen.state("oldest_success", Value::Instant(oldest));
    }
}

fn state_tools(host: &dyn Host, seen: &mut Seen) {
    let mut records = Vec::new();
    let mut whole = true;
    for folder in PROGRAM_FOLDERS {
        let names = host.list(folder);
        let absent = names.as_ref().is_err_and(Unseen::is_absent);
        match seen.note(Means::File, folder, names) {
            Some(names) => {
                let found = names
                    .iter()
                    .filter(|name| PROGRAMS.contains(&name.as_str()));
                let record = |name: &String| {
                    let path = Value::Text(format!("{folder}/{name}"));
                    let name = Value::Text(name.clone());
                    Record::from([("name".to_owned(), name), ("path".to_owned(), path)])
                };
                records.extend(found.map(record));
            }
            None => whole &= absent,
        }
    }
    if whole {
        seen.state("tools", Value::List(records));
    }
}

#[cfg(test)]
mod tests;
