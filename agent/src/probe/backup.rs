//! The backup probe: whether the declared backup sets exist, when each last succeeded, what they
//! left.
//!
//! A set is declared in the agent's settings (`[[probe.backup.set]]`): a repository of restic, borg
//! or `pgBackRest` on this host or mounted on it, a borg repository elsewhere that this host writes
//! to, base backups of PostgreSQL, a folder of snapshots, or the manifest of any other job. No
//! password is needed. What is seen has one of three grades: `job`, somebody says so; `metadata`,
//! the repository shows it; `proof`, contents were compared with their hashes. None of them shows
//! that a copy can be restored. The right to read the repository is needed; most belong to root.
//!
//! The outcome is never `absent`: a backup that nobody declared cannot be excluded. Numbers about
//! sets are over those that were found, and are left out when one of these does not show it: borg
//! hides how many archives there are. The oldest success needs all declared sets. A set that is not
//! found may well have backups: its disk may not be mounted.

mod shown;
mod contents;
mod kept;
pub(super) mod stamp;
mod place;
mod segment;
mod borg;
mod manifest;
mod restic;
mod pgbackrest;
mod basebackup;
mod snapshots;
mod set;
mod coverage;
mod words;
mod unitfiles;
mod cron;
mod jobs;
mod credentials;
mod postgres;

use shared::fact::{Record, Subject, Value};
use shared::limits::LIST_RECORDS_MAX;
use shared::observation::{Means, Status};

use super::{Probe, Scene, Seen};
use crate::config::BackupSet;
use crate::host::{Host, Unseen};

use place::Mounts;
use set::Set;
use shown::{Shown, View};

/// Where programs are looked for.
const PROGRAM_FOLDERS: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/usr/sbin", "/usr/local/sbin"];
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
        let settings = &scene.settings.backup;
        let declared = &settings.sets;
        seen.state_count("declared_count", declared.len());
        let sets = look(host, &mut seen, scene);
        let records = sets.iter().map(Set::record).collect();
        seen.state("sets", Value::List(records));
        if sets.len() < declared.len() {
            let why = format!("the first {LIST_RECORDS_MAX} of {} sets", declared.len());
            seen.unseen(Means::File, Unseen::new("sets", Status::Limit, Some(&why)));
        } else {
            state_numbers(&mut seen, &sets);
        }
        coverage::state(host, &mut seen, settings, &sets);
        let jobs = jobs::look(host, &mut seen, declared);
        credentials::state(host, &mut seen, declared, &jobs);
        postgres::state(host, &mut seen, &settings.postgres);
        state_pools(host, &mut seen);
        seen.facts()
    }
}

/// A list of paths or names.
fn paths(paths: impl Iterator<Item = String>) -> Vec<Record> {
    let record = |path| Record::from([("path".to_owned(), Value::Text(path))]);
    paths.map(record).collect()
}

/// Looks at the declared sets.
fn look(host: &dyn Host, seen: &mut Seen, scene: &Scene) -> Vec<Set> {
    let settings = &scene.settings.backup;
    let mounts = (!settings.sets.is_empty()).then(|| Mounts::look(host, seen));
    let before = scene.before.as_ref().map(|before| &before.facts);
    let before = match before.and_then(|facts| facts.get("sets")) {
        Some(Value::List(records)) => records.as_slice(),
        _ => &[],
    };
    let one = |set: &BackupSet| {
        let name = Value::Text(set.name.clone());
        let view = View {
            host,
            now: scene.now,
            before: before
                .iter()
                .find(|record| record.get("name") == Some(&name)),
        };
        let data = settings.data.iter().map(|data| data.path.as_str());
        let place = mounts.as_ref().and_then(Option::as_ref);
        let place = place.and_then(|mounts| mounts.place(&set.path, data));
        Set::look(view, seen, set, place)
    };
    settings
        .sets
        .iter()
        .take(LIST_RECORDS_MAX)
        .map(one)
        .collect()
}

/// States the pools of ZFS: none, where the kernel that runs does not know ZFS.
fn state_pools(host: &dyn Host, seen: &mut Seen) {
    const POOLS: &str = "/proc/spl/kstat/zfs";
    let names = match host.list(POOLS) {
        // Without /proc nothing is known of a kernel.
        Err(unseen) if unseen.is_absent() => host.stat("/proc/self").ok().map(|_| Vec::new()),
        names => seen.note(Means::File, POOLS, names),
    };
    let Some(names) = names else {
        return;
    };
    let mut records = Vec::new();
    for name in names {
        match host.read(&format!("{POOLS}/{name}/state"), 64) {
            // Most names there are counters and no pools.
            Err(unseen) if unseen.is_absent() => {}
            state => {
                let path = format!("{POOLS}/{name}/state");
                let state = seen.note(Means::File, &path, state);
                let state = state.map(|s| String::from_utf8_lossy(&s).trim().to_owned());
                let mut record = Record::from([("name".to_owned(), Value::Text(name))]);
                if let Some(state) = state {
                    let _none: Option<Value> =
                        record.insert("state".to_owned(), Value::Text(state));
                }
                records.push(record);
            }
        }
    }
    seen.state_list("pools", records);
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
    let hashed: Vec<_> = found.iter().filter_map(|s| s.hashed.as_ref()).collect();
    if !hashed.is_empty() {
        let damaged = hashed
            .iter()
            .filter_map(|hashed| hashed.damaged_file.clone());
        seen.state_list("damaged", paths(damaged));
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
                let found = names.iter().filter(|name| words::is_program(name));
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
