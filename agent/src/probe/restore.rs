//! The restore probe: places a canary file in data that is backed up, and restores it from the
//! newest backup.
//!
//! The file holds 32 random bytes, so nobody can make its SHA-256 without having it. The agent
//! states that hash when it places the file; when the same hash comes back from a backup later,
//! that backup could be restored and was made after the file was placed. Only the collector can
//! say so: its ledger held the hash before the backup was made. What this host alone shows is that
//! the tool gave a file back.
//!
//! Nothing is restored to a disk: the tool writes the file to a pipe and only its hash is kept. No
//! lock is taken in a repository, so a test never holds up a backup; one that meets a lock and
//! fails is called `locked`, and tried again at the next look. Without the secret of a repository
//! nothing can be restored from it: then only the backup probe shows something, of grade
//! `metadata`.
//!
//! Each set is tested as often as the settings say, those first that were tested longest ago,
//! within `CHILDREN_MAX` programs a look. Rights: to write the canary file, and to read the
//! repository and its secret; mostly root.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use shared::fact::{Record, Subject, Value};
use shared::id::Digest;
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::{Own, Probe, Scene, Seen, notes};
use crate::config::{BackupSet, BackupTool, RestoreSet};
use crate::host::{Host, Unseen, place};

use attempt::{Attempt, Bench, Broken, Ending};

mod attempt;
mod borg;
mod restic;
mod snapshots;
mod tar;

/// How long a look may take: the programs of two sets, each to its deadline.
const LOOK_TIME_MAX: Duration = Duration::from_mins(30);
/// Most programs that are started at one look.
const CHILDREN_MAX: usize = 5;
/// A set that did not come back is tested again after this time, or earlier when the settings want
/// every set tested earlier.
const RETRIED_AFTER_MS: i64 = 45 * 60_000;
/// Most placed files that are told of for one set.
const PLACED_MAX: usize = 8;

/// Places canary files and restores them.
#[derive(Debug)]
pub struct Restore;

/// What is kept between two looks, for each set by its name.
type Notes = BTreeMap<String, Kept>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
    /// The last files, newest last.
    placed: Vec<Placed>,
    /// The last test.
    last: Option<Attempt>,
    /// When a file last came back that this host had placed.
    last_success: Option<Timestamp>,
}

/// A file that was placed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Placed {
    path: String,
    sha256: Digest,
    at: Timestamp,
    /// What was found of it when it was last looked at.
    state: String,
}

impl Probe for Restore {
    fn subject(&self) -> &'static Subject {
        &shared::fact::restore::SUBJECT
    }

    fn time_max(&self) -> Duration {
        LOOK_TIME_MAX
    }

    fn observe(&self, host: &dyn Host, scene: &Scene) -> Seen {
        let mut seen = Seen::default();
        let (sets, backups) = (&scene.settings.restore.sets, &scene.settings.backup.sets);
        seen.state_count("declared_count", sets.len());
        let tested = |set: &&BackupSet| sets.iter().any(|test| test.name == set.name);
        let undeclared = backups.iter().filter(|set| !tested(set)).count();
        seen.state_count("undeclared_count", undeclared);
        if sets.is_empty() {
            return seen.facts();
        }
        let Some(own) = scene.own.as_deref() else {
            let why = Some("without an identity nothing is placed, and nothing restored");
            seen.unseen(Means::File, Unseen::new("identity", Status::Absent, why));
            return seen.unknown("this run is not signed, so no restore was tested");
        };
        let mut notes: Notes = notes::load(&mut seen, own, "restore");
        notes.retain(|name, _| sets.iter().any(|set| set.name == *name));
        test(host, &mut seen, scene, (own, &mut notes));
        notes::save(&mut seen, own, "restore", &notes);
        // After the tests: a backup that begins soon should hold a hash that was told of already.
        for set in sets {
            renew(host, &mut seen, scene, (set, own, &mut notes));
        }
        notes::save(&mut seen, own, "restore", &notes);
        state(&mut seen, sets, &notes);
        seen.facts()
    }
}

/// Tests the sets that are due, as many as the bound of programs allows.
fn test(host: &dyn Host, seen: &mut Seen, scene: &Scene, (own, notes): (&Own, &mut Notes)) {
    let last = |set: &RestoreSet| notes.get(&set.name).and_then(|kept| kept.last.as_ref());
    let every_ms = scene.settings.restore.every_s.saturating_mul(1000);
    let mut due: Vec<&RestoreSet> = scene
        .settings
        .restore
        .sets
        .iter()
        .filter(|set| last(set).is_none_or(|last| last.is_due(scene.now, every_ms)))
        .collect();
    due.sort_by_key(|set| last(set).map(|last| last.at));
    let mut bench = Bench {
        host,
        scratch: own.folder.join("scratch"),
        children: CHILDREN_MAX,
    };
    for set in due {
        let Some(backup) = scene
            .settings
            .backup
            .sets
            .iter()
            .find(|backup| backup.name == set.name)
        else {
            continue;
        };
        let Some(attempt) = attempt(&mut bench, (backup, set), scene.now) else {
            continue;
        };
        let kept = notes.entry(set.name.clone()).or_default();
        let status = attempt.ending.status();
        let result = if status == Status::Ok {
            Ok(())
        } else {
            Err(Unseen::new(&set.name, status, Some(&attempt.reason)))
        };
        let _restored = seen.note(Means::Command, &set.name, result);
        kept.learn(attempt);
    }
}

/// Restores the canary file of one set; `None` when too few programs are left for it.
fn attempt(
    bench: &mut Bench<'_>,
    (backup, set): (&BackupSet, &RestoreSet),
    now: Timestamp,
) -> Option<Attempt> {
    let (tool, needs) = match backup.tool {
        BackupTool::Borg => ("borg", borg::PROGRAMS),
        BackupTool::Restic => ("restic", restic::PROGRAMS),
        BackupTool::Manifest => ("tar", tar::PROGRAMS),
        BackupTool::Snapshots => ("snapshots", 0),
        BackupTool::Basebackup | BackupTool::Pgbackrest => ("none", 0),
    };
    if bench.children < needs {
        return None;
    }
    let mut attempt = Attempt::begun(tool, now);
    let result = match backup.tool {
        BackupTool::Borg => borg::restore(bench, (backup, set), &mut attempt),
        BackupTool::Restic => restic::restore(bench, (backup, set), &mut attempt),
        BackupTool::Manifest => tar::restore(bench, set, &mut attempt),
        BackupTool::Snapshots => snapshots::restore(bench, (backup, set), &mut attempt),
        // The settings refuse these.
        BackupTool::Basebackup | BackupTool::Pgbackrest => {
            let why = "one file of a backup of PostgreSQL is not restored by itself";
            Err(Broken::new(Ending::NoTool, why))
        }
    };
    attempt.end(result);
    Some(attempt)
}

impl Kept {
    /// Keeps a test, and whether what came back was placed by this host.
    fn learn(&mut self, mut attempt: Attempt) {
        let placed = |sha256| self.placed.iter().find(|placed| placed.sha256 == sha256);
        attempt.placed = attempt.sha256.and_then(placed).map(|placed| placed.at);
        if attempt.placed.is_some() {
            self.last_success = Some(attempt.at);
        }
        self.last = Some(attempt);
    }
}

/// Looks at the canary file of a set, and writes a new one when it is old, changed or gone.
fn renew(
    host: &dyn Host,
    seen: &mut Seen,
    scene: &Scene,
    (set, own, notes): (&RestoreSet, &Own, &mut Notes),
) {
    let now = scene.now;
    let every_ms = scene.settings.restore.every_s.saturating_mul(1000);
    let kept = notes.entry(set.name.clone()).or_default();
    if let Some(last) = kept
        .placed
        .last_mut()
        .filter(|last| last.path == set.canary)
    {
        let found = host.read(&set.canary, place::FILE_BYTES_MAX.try_into().unwrap_or(0));
        last.state = match found {
            Ok(bytes) if Digest::of(&bytes) == last.sha256 => "intact".to_owned(),
            Ok(_other) => "changed".to_owned(),
            Err(unseen) => unseen.status.as_str().to_owned(),
        };
        let age_ms = now.ms_since(last.at);
        if last.state == "intact" && (0..every_ms).contains(&age_ms) {
            return;
        }
    }
    let Ok(random) = shared::key::random::<32>() else {
        let why = Some("no random bytes");
        seen.unseen(
            Means::Syscall,
            Unseen::new(&set.canary, Status::Failed, why),
        );
        return;
    };
    // Its hash would tell the bytes no better than the bytes themselves.
    let random = Digest(random);
    let (agent, name) = (own.agent.as_str(), &set.name);
    let text = format!(
        "evident-canary-file/v1\nagent {agent}\nset {name}\nplaced {now}\nrandom {random}\n\
         This file shows that a backup can be restored. evident-agent renews it every day.\n"
    );
    let result = host.place(&set.canary, text.as_bytes());
    if seen.note(Means::File, &set.canary, result).is_some() {
        kept.placed.push(Placed {
            path: set.canary.clone(),
            sha256: Digest::of(text.as_bytes()),
            at: now,
            state: "intact".to_owned(),
        });
        let old = kept.placed.len().saturating_sub(PLACED_MAX);
        drop(kept.placed.drain(..old));
    }
}

/// States what is known of all sets; what was not tested yet is in no list.
fn state(seen: &mut Seen, sets: &[RestoreSet], notes: &Notes) {
    let kept: Vec<(&str, &Kept)> = sets
        .iter()
        .filter_map(|set| Some((set.name.as_str(), notes.get(&set.name)?)))
        .collect();
    let placed = kept.iter().flat_map(|(set, kept)| {
        let record = |placed: &Placed| placed.record(set);
        kept.placed.iter().map(record).collect::<Vec<_>>()
    });
    seen.state_list("placed", placed.collect());
    let last: Vec<(&str, &Kept, &Attempt)> = kept
        .iter()
        .filter_map(|(set, kept)| Some((*set, *kept, kept.last.as_ref()?)))
        .collect();
    let restored = last
        .iter()
        .map(|(set, kept, last)| last.record(set, kept.last_success));
    seen.state_list("restored", restored.collect());
    let count = |of: &dyn Fn(&Attempt) -> bool| last.iter().filter(|(_, _, last)| of(last)).count();
    let came = |last: &Attempt| last.ending == Ending::Restored;
    seen.state_count("tested_count", count(&came));
    let strange = |last: &Attempt| came(last) && last.placed.is_none();
    seen.state_count("unknown_count", count(&strange));
    seen.state_count("failed_count", count(&|last| last.ending.is_failure()));
    let untried = |last: &Attempt| !came(last) && !last.ending.is_failure();
    let never = sets.len().saturating_sub(last.len());
    seen.state_count("untried_count", count(&untried).saturating_add(never));
    let successes: Option<Vec<Timestamp>> = sets
        .iter()
        .map(|set| notes.get(&set.name)?.last_success)
        .collect();
    if let Some(oldest) = successes.and_then(|all| all.into_iter().min()) {
        seen.state("oldest_success", Value::Instant(oldest));
    }
    let durations = last.iter().filter(|(_, _, last)| came(last));
    let slowest = durations.filter_map(|(_, _, last)| last.duration_ms).max();
    if let Some(slowest) = slowest.and_then(|ms| i64::try_from(ms).ok()) {
        seen.state("slowest_ms", Value::Number(slowest));
    }
}

impl Placed {
    fn record(&self, set: &str) -> Record {
        let text = |text: &str| Value::Text(text.to_owned());
        let fields = [
            ("set", text(set)),
            ("path", text(&self.path)),
            ("sha256", text(&self.sha256.to_string())),
            ("at", Value::Instant(self.at)),
            ("state", text(&self.state)),
        ];
        let fields = fields.into_iter();
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

#[cfg(test)]
mod tests;
