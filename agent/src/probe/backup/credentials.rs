//! Files that hold the secrets of backups: who may read them. What they hold is never shown.

use std::collections::BTreeMap;

use shared::fact::{Record, Value};
use shared::observation::Means;

use super::jobs::Job;
use super::paths;
use super::words;
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
/// Variables that name a file with a secret.
const VARIABLES: [&str; 4] = [
    "AWS_SHARED_CREDENTIALS_FILE",
    "BORG_KEY_FILE",
    "PGPASSFILE",
    "RESTIC_PASSWORD_FILE",
];
/// Variables with a command that shows a secret; `cat FILE` names the file.
const COMMANDS: [&str; 2] = ["BORG_PASSCOMMAND", "RESTIC_PASSWORD_COMMAND"];
/// Options that are followed by a file with a secret.
const OPTIONS: [&str; 2] = ["--password-file", "--encrypt-secret-keyring"];
/// Nobody else may do anything, and the group may not write.
const FORBIDDEN_BITS: u32 = 0o027;

/// States the files with secrets that the settings, the jobs and the tools name.
pub(super) fn state(host: &dyn Host, seen: &mut Seen, sets: &[BackupSet], jobs: Option<&[Job]>) {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    // Without the jobs, what they name is not known.
    let mut whole = jobs.is_some();
    let jobs = jobs.unwrap_or_default();
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
    for job in jobs {
        let inside = named(&job.text);
        for file in job.files.iter().cloned().chain(inside) {
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
    if whole {
        let open = records
            .iter()
            .filter(|file| file.get("private") == Some(&Value::Flag(false)));
        let open = open.filter_map(|file| match file.get("path") {
            Some(Value::Text(path)) => Some(path.clone()),
            Some(_) | None => None,
        });
        let inside = jobs.iter().filter(|job| job.has_secret());
        let exposed = open.chain(inside.map(|job| job.name.clone()));
        seen.state_list("exposed", paths(exposed));
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

/// The files that a text of commands and variables names as holding a secret.
fn named(text: &str) -> Vec<String> {
    let mut files = Vec::new();
    for line in text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
    {
        let mut words = words::words(line).peekable();
        while let Some(word) = words.next() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            if COMMANDS.contains(&name) {
                let _cat = words.next_if(|word| *word == "cat" || *word == "/bin/cat");
            }
            let wanted = VARIABLES.contains(&name) || COMMANDS.contains(&name);
            if wanted || OPTIONS.contains(&name) {
                let file = if value.starts_with('/') {
                    Some(value)
                } else {
                    words.peek().copied()
                };
                let path = file.filter(|file| file.starts_with('/'));
                files.extend(path.map(str::to_owned));
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_files() {
        for (text, expected) in [
            ("RESTIC_PASSWORD_FILE=/root/a", &["/root/a"][..]),
            ("export RESTIC_PASSWORD_FILE=\"/root/a\"", &["/root/a"]),
            ("restic --password-file /root/a backup /", &["/root/a"]),
            ("restic --password-file=/root/a backup /", &["/root/a"]),
            ("\"BORG_PASSCOMMAND=cat /root/b\"", &["/root/b"]),
            ("BORG_PASSCOMMAND=\"pass show x\"", &[]),
            ("# RESTIC_PASSWORD_FILE=/root/a", &[]),
            ("RESTIC_PASSWORD=secret /root/a", &[]),
        ] {
            assert_eq!(named(text), expected, "{text}");
        }
    }
}
