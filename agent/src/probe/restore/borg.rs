//! A canary file out of a borg repository: `borg list`, then `borg extract --stdout`.
//!
//! The newest archive counts, of those that match a pattern where the settings give one. The
//! passphrase comes as the standard input. `--bypass-lock`, so that nothing is written to the
//! repository; a repository elsewhere needs the keys of root for ssh(1).

use serde::Deserialize;
use shared::time::Timestamp;

use super::attempt::{Attempt, Back, Bench};
use super::{BackupSet, Broken, Ending, RestoreSet};
use crate::host::program::Program;

/// Programs that an attempt starts.
pub(super) const PROGRAMS: usize = 2;

#[derive(Deserialize)]
struct List {
    archives: Vec<Archive>,
}

/// The fields of an archive that are read.
#[derive(Deserialize)]
struct Archive {
    name: String,
    #[serde(default)]
    id: String,
    #[serde(default)]
    start: String,
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
    let secret = backup.password_file.as_deref();
    bench.check_secret(secret)?;
    let repository = backup.path.trim_end_matches('/');
    extract(bench, (repository, secret), set, attempt).map_err(|broken| {
        let lock = bench.host.stat(&format!("{repository}/lock.exclusive"));
        let broken = Bench::or_locked(broken, lock.is_ok());
        if broken.ending != Ending::WrongSecret || secret.is_some() {
            return broken;
        }
        Broken {
            ending: Ending::NoSecret,
            reason: "the repository is encrypted, and no password_file is declared".to_owned(),
            ..broken
        }
    })
}

fn extract(
    bench: &mut Bench<'_>,
    (repository, secret): (&str, Option<&str>),
    set: &RestoreSet,
    attempt: &mut Attempt,
) -> Result<Back, Broken> {
    let mut options = vec!["list", "--json", "--last=1", "--bypass-lock"];
    let pattern = set
        .archive
        .as_deref()
        .map(|glob| format!("--glob-archives={glob}"));
    options.extend(pattern.as_deref());
    let text = bench.list((Program::Borg, secret), &options, &[repository], attempt)?;
    let list: List = serde_json::from_slice(&text)
        .map_err(|_other| Broken::new(Ending::Unsupported, "a list that cannot be understood"))?;
    let Some(newest) = list.archives.into_iter().next_back() else {
        let why = "the repository holds no archive, or none of this pattern";
        return Err(Broken::new(Ending::NoSnapshot, why));
    };
    attempt.snapshot_at = time(&newest.start);
    let place = format!("{repository}::{}", newest.name);
    // borg keeps paths without the first `/`.
    let member = set.member.as_deref().unwrap_or(&set.canary);
    let member = member.trim_start_matches('/');
    attempt.snapshot = Some(if newest.id.is_empty() {
        newest.name
    } else {
        newest.id
    });
    let options = ["extract", "--stdout", "--bypass-lock"];
    bench.hash(
        (Program::Borg, secret),
        &options,
        &[&place, member],
        attempt,
    )
}

/// A time of borg: in the zone of its process, which is UTC, and without saying so.
fn time(text: &str) -> Option<Timestamp> {
    text.parse()
        .ok()
        .or_else(|| format!("{text}Z").parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_borg() {
        let expected = "2026-11-22T09:24:11.000Z";
        for text in [
            "2026-11-22T09:24:11.000000",
            "2026-11-22T09:24:11Z",
            "2026-11-22T10:24:11.000000+01:00",
        ] {
            assert_eq!(time(text).unwrap().to_string(), expected);
        }
        assert_eq!(time("yesterday"), None);
    }
}
