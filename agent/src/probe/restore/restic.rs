//! A canary file out of a restic repository: `restic snapshots`, then `restic dump`.
//!
//! The newest snapshot counts whose paths hold the file: of the host in the settings, or of the
//! host with this name where there are such, or of any. `--no-lock` and `--no-cache`, so that
//! nothing is written to the repository or to the disk.

use serde::Deserialize;
use shared::time::Timestamp;

use super::attempt::{Attempt, Back, Bench};
use super::{BackupSet, Broken, Ending, RestoreSet};
use crate::host::program::Program;

/// Programs that an attempt starts.
pub(super) const PROGRAMS: usize = 2;

/// The fields of a snapshot that are read.
#[derive(Deserialize)]
struct Snapshot {
    id: String,
    time: String,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    paths: Vec<String>,
}

/// Restores the file.
///
/// # Errors
///
/// [`Broken`].
pub(super) fn restore(
    bench: &mut Bench<'_>,
    (backup, set): (&BackupSet, &RestoreSet),
    attempt: &mut Attempt,
) -> Result<Back, Broken> {
    let Some(file) = backup.password_file.as_deref() else {
        let why = "a restic repository is always encrypted, and no password_file is declared";
        return Err(Broken::new(Ending::NoSecret, why));
    };
    bench.check_secret(Some(file))?;
    let repository = backup.path.trim_end_matches('/');
    let result = dump(bench, (repository, file), set, attempt);
    result.map_err(|broken| {
        let locks = bench.host.list(&format!("{repository}/locks"));
        Bench::or_locked(broken, locks.is_ok_and(|locks| !locks.is_empty()))
    })
}

fn dump(
    bench: &mut Bench<'_>,
    (repository, file): (&str, &str),
    set: &RestoreSet,
    attempt: &mut Attempt,
) -> Result<Back, Broken> {
    let (repo, password) = (
        format!("--repo={repository}"),
        format!("--password-file={file}"),
    );
    let options = ["--no-lock", "--no-cache", &repo, &password];
    let mut list = vec!["snapshots", "--json", "--latest=1"];
    list.extend(options);
    let host = set.host.as_deref().map(|host| format!("--host={host}"));
    list.extend(host.as_deref());
    let text = bench.list((Program::Restic, None), &list, &[], attempt)?;
    let snapshots: Option<Vec<Snapshot>> = serde_json::from_slice(&text)
        .map_err(|_other| Broken::new(Ending::Unsupported, "a list that cannot be understood"))?;
    let member = set.member.as_deref().unwrap_or(&set.canary);
    let own = bench.host.read("/proc/sys/kernel/hostname", 256);
    let own = String::from_utf8_lossy(&own.unwrap_or_default())
        .trim()
        .to_owned();
    let chosen = choose(snapshots.unwrap_or_default(), (member, set), &own)?;
    attempt.snapshot = Some(chosen.id.clone());
    attempt.snapshot_at = chosen.time.parse::<Timestamp>().ok();
    let mut dump = vec!["dump"];
    dump.extend(options);
    bench.hash(
        (Program::Restic, None),
        &dump,
        &[&chosen.id, member],
        attempt,
    )
}

/// The newest snapshot that holds the file.
fn choose(
    snapshots: Vec<Snapshot>,
    (member, set): (&str, &RestoreSet),
    own: &str,
) -> Result<Snapshot, Broken> {
    if snapshots.is_empty() {
        let why = "the repository holds no snapshot";
        return Err(Broken::new(Ending::NoSnapshot, why));
    }
    let of_own = set.host.is_none() && snapshots.iter().any(|one| one.hostname == own);
    // With a path of its own in the backup, the paths of the snapshot say nothing about it.
    let holds = |path: &String| {
        let path = path.trim_end_matches('/');
        set.member.is_some()
            || member
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let chosen = snapshots
        .into_iter()
        .filter(|one| !of_own || one.hostname == own)
        .filter(|one| one.paths.iter().any(holds))
        // A time with an offset sorts by what it means.
        .max_by_key(|one| one.time.parse::<Timestamp>().ok());
    chosen.ok_or_else(|| {
        let why = "no newest snapshot holds the folder of the canary file";
        Broken::new(Ending::Missing, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(id: &str, time: &str, hostname: &str, paths: &[&str]) -> Snapshot {
        Snapshot {
            id: id.to_owned(),
            time: time.to_owned(),
            hostname: hostname.to_owned(),
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        }
    }

    #[test]
    fn the_newest_snapshot_that_holds_the_file_is_chosen() {
        let mut set = RestoreSet {
            name: "a".to_owned(),
            canary: "/etc/.evident-canary".to_owned(),
            member: None,
            host: None,
            archive: None,
        };
        let chosen = |set: &RestoreSet, own: &str| {
            let snapshots = vec![
                snapshot("old", "2026-01-01T09:00:00Z", "web", &["/etc"]),
                snapshot("new", "2026-01-01T10:30:00+01:00", "web", &["/etc/"]),
                snapshot("near", "2026-01-03T00:00:00Z", "web", &["/etc2", "/home"]),
                snapshot("other", "2026-01-02T00:00:00Z", "db", &["/"]),
            ];
            let member = set.member.clone().unwrap_or_else(|| set.canary.clone());
            choose(snapshots, (&member, set), own).map_or_else(|e| e.reason, |one| one.id)
        };
        assert_eq!(chosen(&set, "web"), "new");
        assert_eq!(chosen(&set, "mail"), "other");
        set.member = Some("/data/.evident-canary".to_owned());
        assert_eq!(chosen(&set, "web"), "near");
        set.canary = "/srv/.evident-canary".to_owned();
        set.member = None;
        assert!(chosen(&set, "web").contains("holds the folder"));
        assert!(choose(Vec::new(), ("/x", &set), "").is_err());
    }
}
