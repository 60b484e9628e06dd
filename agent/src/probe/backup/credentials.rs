//! Files that hold the secrets of backups: who may read them. What they hold is never shown.

use std::collections::BTreeMap;

use shared::fact::{Record, Value};
use shared::observation::Means;

use super::jobs::Jobs;
use super::paths;
use crate::config::BackupSet;
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Settings of tools, and what in them is a secret.
const SETTINGS: [(&str, &[&str]); 3] = [
    ("/etc/borgmatic/config.yaml", &["encryption_passphrase:"]),
    ("/etc/pgbackrest.conf", PGBACKREST),
    ("/etc/pgbackrest/pgbackrest.conf", PGBACKREST),
];
const PGBACKREST: &[&str] = &["-cipher-pass=", "-key-secret=", "-azure-key=", "-sas"];
const SETTINGS_BYTES_MAX: u64 = 256 * 1024;
/// Nobody else may do anything, and the group may not write.
const FORBIDDEN_BITS: u32 = 0o027;

/// States the files with secrets that the settings, the jobs and the tools name.
pub(super) fn state(host: &dyn Host, seen: &mut Seen, sets: &[BackupSet], jobs: &Jobs) {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    // Without the jobs, what they name is not known.
    let mut whole = jobs.whole;
    for (path, secrets) in SETTINGS {
        let bytes = host.read(path, SETTINGS_BYTES_MAX);
        let absent = bytes.as_ref().is_err_and(Unseen::is_absent);
        match seen.note(Means::File, path, bytes) {
            Some(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let mut lines = text
                    .lines()
                    .filter(|line| !line.trim_start().starts_with('#'));
                if lines.any(|line| secrets.iter().any(|secret| line.contains(secret))) {
                    let _none: Option<String> = files.insert(path.to_owned(), path.to_owned());
                }
            }
            None => whole &= absent,
        }
    }
    for job in &jobs.found {
        for file in job.named() {
            let _first: &mut String = files.entry(file).or_insert_with(|| job.name.clone());
        }
    }
    for set in sets {
        if let Some(file) = &set.password_file {
            let _other: Option<String> = files.insert(file.clone(), set.name.clone());
        }
    }
    let mut records = Vec::new();
    for (path, by) in files {
        match record(host, &path, &by) {
            Ok(record) => records.push(record),
            Err(unseen) => {
                seen.unseen(Means::File, unseen);
                whole = false;
            }
        }
    }
    let open = records
        .iter()
        .filter(|file| file.get("private") == Some(&Value::Flag(false)));
    let open = open.filter_map(|file| match file.get("path") {
        Some(Value::Text(path)) => Some(path.clone()),
        Some(_) | None => None,
    });
    let inside = jobs.found.iter().filter(|job| job.has_secret());
    let exposed = paths(open.chain(inside.map(|job| job.name.clone())));
    // What is known to be bad stays so whatever else could not be seen.
    if whole || !exposed.is_empty() {
        seen.state_list("exposed", exposed);
    }
    if whole {
        seen.state_list("credentials", records);
    }
}

fn record(host: &dyn Host, path: &str, by: &str) -> Result<Record, Unseen> {
    let stat = match host.stat(path) {
        Err(unseen) if unseen.is_absent() => None,
        stat => Some(stat?),
    };
    let fields = [
        ("path", Some(Value::Text(path.to_owned()))),
        ("named_by", Some(Value::Text(by.to_owned()))),
        ("found", Some(Value::Flag(stat.is_some()))),
        ("mode", stat.map(|stat| Value::Number(stat.mode.into()))),
        ("user", stat.map(|stat| Value::Number(stat.user.into()))),
        (
            "private",
            stat.map(|stat| Value::Flag(stat.mode & FORBIDDEN_BITS == 0)),
        ),
    ];
    let fields = fields.into_iter();
    Ok(fields
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect())
}
