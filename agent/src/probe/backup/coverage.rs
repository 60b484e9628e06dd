//! Which data are in a backup: what the settings declare, against the sets as found, and the usual
//! places of data that nobody declared.

use shared::fact::{Record, Value};
use shared::observation::Means;

use super::paths;
use super::place::is_below;
use super::set::Set;
use crate::config::{BackupData, BackupSettings};
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Where hosts commonly keep data, sorted (hier(7), and the packages of Debian and Fedora).
const USUAL: [&str; 18] = [
    "/etc",
    "/home",
    "/root",
    "/srv",
    "/var/lib/docker/volumes",
    "/var/lib/gitea",
    "/var/lib/ldap",
    "/var/lib/libvirt/images",
    "/var/lib/mongodb",
    "/var/lib/mysql",
    "/var/lib/nextcloud",
    "/var/lib/pgsql",
    "/var/lib/postgresql",
    "/var/lib/prometheus",
    "/var/lib/redis",
    "/var/mail",
    "/var/vmail",
    "/var/www",
];

/// States what of the declared data is covered, and what is not declared.
pub(super) fn state(host: &dyn Host, seen: &mut Seen, settings: &BackupSettings, sets: &[Set]) {
    let data = &settings.data;
    seen.state_count("data_count", data.len());
    let mut records = Vec::new();
    let mut uncovered = Some(Vec::new());
    for data in data {
        let covered = covered(data, sets);
        match covered {
            Some(true) => {}
            Some(false) => {
                if let Some(paths) = &mut uncovered {
                    paths.push(data.path.clone());
                }
            }
            None => uncovered = None,
        }
        let exists = match host.stat(&data.path) {
            Err(unseen) if unseen.is_absent() => Some(false),
            stat => seen.note(Means::File, &data.path, stat.map(|_| true)),
        };
        let last = of(data, sets).filter_map(Set::last_success).max();
        let fields = [
            ("path", Some(Value::Text(data.path.clone()))),
            ("sets", Some(Value::Text(data.sets.join(",")))),
            ("exists", exists.map(Value::Flag)),
            ("covered", covered.map(Value::Flag)),
            ("last_success", last.map(Value::Instant)),
        ];
        let fields = fields.into_iter();
        let record: Record = fields
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect();
        records.push(record);
    }
    seen.state_list("data", records);
    if let (false, Some(uncovered)) = (data.is_empty(), uncovered) {
        seen.state_list("uncovered", paths(uncovered.into_iter()));
    }
    undeclared(host, seen, data);
}

/// The sets that hold the data.
fn of<'a>(data: &'a BackupData, sets: &'a [Set]) -> impl Iterator<Item = &'a Set> {
    sets.iter().filter(|set| data.sets.contains(&set.name))
}

/// Whether a set that was found and has a success holds the data; `None` when one that was not seen
/// could.
fn covered(data: &BackupData, sets: &[Set]) -> Option<bool> {
    if of(data, sets).any(|set| set.last_success().is_some()) {
        return Some(true);
    }
    let unseen = |set: &Set| set.found.as_ref().is_err_and(|unseen| !unseen.is_absent());
    let cut = of(data, sets).count() < data.sets.len();
    (!cut && !of(data, sets).any(unseen)).then_some(false)
}

fn undeclared(host: &dyn Host, seen: &mut Seen, data: &[BackupData]) {
    let mut found = Vec::new();
    let mut whole = true;
    for path in USUAL {
        // A folder is declared when it lies in a declared one; a part of it is not the whole.
        if data.iter().any(|data| is_below(path, &data.path)) {
            continue;
        }
        let names = host.list(path);
        // Most of them are on no host: only what is there, or may be, is a source.
        if names.as_ref().is_err_and(Unseen::is_absent) {
            continue;
        }
        match seen.note(Means::File, path, names) {
            Some(names) if !names.is_empty() => found.push(path.to_owned()),
            Some(_empty) => {}
            None => whole = false,
        }
    }
    if whole {
        seen.state_list("undeclared", paths(found.into_iter()));
    }
}
