//! Database clusters of PostgreSQL, and whether their write-ahead log leaves the host: by the files
//! of settings and by the marks that the archiver keeps.
//!
//! ```text
//! pg_wal/archive_status/<segment>.ready    waits to be archived
//! pg_wal/archive_status/<segment>.done     was archived, as the command said
//! ```
//!
//! The files of settings say what a start or a reload takes over, not what the server that runs
//! has. A command may hold a secret, so only whether it does anything is shown.
//!
//! Source: PostgreSQL 15, "Continuous Archiving", "Setting Parameters"; `pg_lsclusters(1)`.

use std::collections::BTreeMap;

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::shown::written;
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Folder of versions with clusters in Debian, and where their settings are.
const DEBIAN: &str = "/var/lib/postgresql";
const DEBIAN_SETTINGS: &str = "/etc/postgresql";
/// The same in RHEL and SUSE; settings are beside the data.
const RHEL: &str = "/var/lib/pgsql";
const SETTINGS_BYTES_MAX: u64 = 256 * 1024;
/// Most clusters, and most marks whose times are looked at.
const CLUSTERS_MAX: usize = 64;
const MARKS_MAX: usize = 4096;
/// Commands that throw a segment away and say that it was archived.
const DISCARDS: [&str; 7] = [
    "",
    ":",
    "true",
    "/bin/true",
    "/usr/bin/true",
    "exit 0",
    "cd .",
];

/// A cluster and where its settings are.
struct Cluster {
    data: String,
    settings: String,
}

/// States the clusters that packages make, and those that the settings of the agent name. What may
/// be one and cannot be seen is stated too: then nothing is known but its path.
pub(super) fn state(host: &dyn Host, seen: &mut Seen, declared: &[String]) {
    let mut clusters = Vec::new();
    let found = debian(host, &mut clusters).and_then(|()| rhel(host, &mut clusters));
    let mut whole = found.is_ok();
    if let Err(unseen) = found {
        seen.unseen(Means::File, unseen);
    }
    clusters.extend(declared.iter().map(|data| Cluster {
        data: data.clone(),
        settings: data.clone(),
    }));
    if CLUSTERS_MAX < clusters.len() {
        let why = format!("{} clusters", clusters.len());
        seen.unseen(Means::File, Unseen::new(DEBIAN, Status::Limit, Some(&why)));
        whole = false;
    }
    let clusters = clusters.iter().take(CLUSTERS_MAX);
    let records = clusters
        .map(|cluster| record(host, seen, cluster))
        .collect();
    if whole {
        seen.state_list("postgres", records);
    }
}

/// The names in a folder; none when it is not there.
fn names(host: &dyn Host, folder: &str) -> Result<Vec<String>, Unseen> {
    match host.list(folder) {
        Err(unseen) if unseen.is_absent() => Ok(Vec::new()),
        names => names,
    }
}

fn is_version(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// Whether a cluster is there, or may be: it cannot be seen that there is none.
fn may_be(host: &dyn Host, data: &str) -> bool {
    let stat = host.stat(&format!("{data}/PG_VERSION"));
    !stat.is_err_and(|unseen| unseen.is_absent())
}

fn debian(host: &dyn Host, clusters: &mut Vec<Cluster>) -> Result<(), Unseen> {
    for version in names(host, DEBIAN)?.iter().filter(|name| is_version(name)) {
        for name in names(host, &format!("{DEBIAN}/{version}"))? {
            let data = format!("{DEBIAN}/{version}/{name}");
            if may_be(host, &data) {
                let settings = format!("{DEBIAN_SETTINGS}/{version}/{name}");
                clusters.push(Cluster { data, settings });
            }
        }
    }
    Ok(())
}

fn rhel(host: &dyn Host, clusters: &mut Vec<Cluster>) -> Result<(), Unseen> {
    let versions = names(host, RHEL)?;
    let versions = versions.iter().filter(|name| is_version(name));
    let folders = versions.map(|version| format!("{RHEL}/{version}/data"));
    for data in std::iter::once(format!("{RHEL}/data")).chain(folders) {
        if may_be(host, &data) {
            let settings = data.clone();
            clusters.push(Cluster { data, settings });
        }
    }
    Ok(())
}

fn record(host: &dyn Host, seen: &mut Seen, cluster: &Cluster) -> Record {
    let data = &cluster.data;
    let version = host.read(&format!("{data}/PG_VERSION"), 64);
    let version = seen.note(Means::File, data, version);
    let version = version.map(|text| String::from_utf8_lossy(&text).trim().to_owned());
    let mut fields = vec![
        ("path", Some(Value::Text(data.clone()))),
        ("version", version.map(Value::Text)),
    ];
    if let Some(settings) = seen.note(Means::File, &cluster.settings, settings(host, cluster)) {
        let get = |name: &str| settings.get(name).map_or("", String::as_str);
        let mode = match get("archive_mode").to_ascii_lowercase().as_str() {
            "always" => "always",
            "on" | "true" | "yes" | "1" | "t" | "y" => "on",
            _ => "off",
        };
        let command = get("archive_command").trim();
        let kept = !DISCARDS.contains(&command) || !get("archive_library").is_empty();
        fields.push(("archive_mode", Some(Value::Text(mode.to_owned()))));
        fields.push(("archives", Some(Value::Flag(mode != "off" && kept))));
    }
    let folder = format!("{data}/pg_wal/archive_status");
    if let Some(marks) = seen.note(Means::File, &folder, marks(host, &folder)) {
        let ready = i64::try_from(marks.ready).unwrap_or(i64::MAX);
        fields.push(("ready_count", Some(Value::Number(ready))));
        fields.push(("oldest_ready", marks.oldest.map(Value::Instant)));
        fields.push(("last_archived", marks.newest.map(Value::Instant)));
    }
    let fields = fields.into_iter();
    let fields = fields.filter_map(|(name, value)| Some((name.to_owned(), value?)));
    fields.collect()
}

#[derive(Default)]
struct Marks {
    ready: usize,
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
}

fn marks(host: &dyn Host, folder: &str) -> Result<Marks, Unseen> {
    let mut marks = Marks::default();
    // In the order of the names: those that wait longest first, the newest archived last.
    let names = host.list(folder)?;
    let ready: Vec<_> = names
        .iter()
        .filter(|name| name.strip_suffix(".ready").is_some())
        .collect();
    marks.ready = ready.len();
    let done = names
        .iter()
        .rev()
        .filter(|name| name.strip_suffix(".done").is_some());
    let time = |name: &String| match written(host, &format!("{folder}/{name}")) {
        Err(unseen) if unseen.is_absent() => Ok(None),
        time => time.map(Some),
    };
    for name in ready.into_iter().take(MARKS_MAX) {
        let at = time(name)?;
        marks.oldest = [marks.oldest, at].into_iter().flatten().min();
    }
    for name in done.take(MARKS_MAX) {
        marks.newest = marks.newest.max(time(name)?);
    }
    Ok(marks)
}

/// The settings by their names: `postgresql.conf` with what it includes, then what `ALTER SYSTEM`
/// wrote beside the data.
fn settings(host: &dyn Host, cluster: &Cluster) -> Result<BTreeMap<String, String>, Unseen> {
    let mut settings = BTreeMap::new();
    let folder = &cluster.settings;
    let text = read(host, &format!("{folder}/postgresql.conf"))?;
    for line in text.lines() {
        let Some((name, value)) = assignment(line) else {
            continue;
        };
        let path = |value: &str| match value.strip_prefix('/') {
            Some(_) => value.to_owned(),
            None => format!("{folder}/{value}"),
        };
        match name.as_str() {
            "include_dir" => {
                let below = path(&value);
                for part in names(host, &below)? {
                    if part.strip_suffix(".conf").is_some() && !part.starts_with('.') {
                        take(&mut settings, &read(host, &format!("{below}/{part}"))?);
                    }
                }
            }
            "include" => take(&mut settings, &read(host, &path(&value))?),
            "include_if_exists" => match read(host, &path(&value)) {
                Err(unseen) if unseen.is_absent() => {}
                text => take(&mut settings, &text?),
            },
            _ => drop(settings.insert(name, value)),
        }
    }
    match read(host, &format!("{}/postgresql.auto.conf", cluster.data)) {
        Err(unseen) if unseen.is_absent() => {}
        text => take(&mut settings, &text?),
    }
    Ok(settings)
}

fn read(host: &dyn Host, path: &str) -> Result<String, Unseen> {
    let bytes = host.read(path, SETTINGS_BYTES_MAX)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn take(settings: &mut BTreeMap<String, String>, text: &str) {
    settings.extend(text.lines().filter_map(assignment));
}

/// `name = value`, the sign optional, the value in quotes where two of them are one.
fn assignment(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    let end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))?;
    let (name, rest) = line.split_at_checked(end)?;
    if name.is_empty() {
        return None;
    }
    let rest = rest.trim_start();
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
    let value = match rest.strip_prefix('\'') {
        None => rest
            .split([' ', '\t', '#'])
            .next()
            .unwrap_or_default()
            .to_owned(),
        Some(quoted) => {
            let mut value = String::new();
            let mut letters = quoted.chars().peekable();
            while let Some(letter) = letters.next() {
                if letter == '\'' && letters.next_if_eq(&'\'').is_none() {
                    break;
                }
                value.push(letter);
            }
            value
        }
    };
    Some((name.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments() {
        for (line, expected) in [
            ("archive_mode = on # yes", Some(("archive_mode", "on"))),
            ("Archive_Mode on", Some(("archive_mode", "on"))),
            (
                "archive_command='cp %p ''/x y'' # z' # no",
                Some(("archive_command", "cp %p '/x y' # z")),
            ),
            ("archive_command = ''", Some(("archive_command", ""))),
            ("#archive_mode = on", None),
            ("", None),
        ] {
            let found = assignment(line);
            let found = found
                .as_ref()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            assert_eq!(found, expected, "{line}");
        }
    }
}
