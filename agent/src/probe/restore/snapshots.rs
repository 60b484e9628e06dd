//! A canary file out of the newest of some snapshots of btrfs or ZFS: it is read where it stands.
//!
//! No program is run, so no duration is told. A snapshot on the disk of its source is no copy
//! elsewhere: that the file comes back from it says nothing about the loss of the disk, and the
//! backup probe tells where the set is. When a snapshot was made is taken from its name; one
//! without a date in it does not count. A snapshot of ZFS is mounted by whoever enters it:
//! zfsprops(7), `snapdir`.

use std::collections::BTreeMap;

use shared::id::Digest;
use shared::time::Timestamp;

use super::attempt::{Attempt, Back, Bench};
use super::{BackupSet, Broken, Ending, RestoreSet};
use crate::host::{Unseen, place};
use crate::probe::backup::stamp;
use crate::probe::settings;

/// Restores the file.
///
/// # Errors
///
/// [`Broken`].
pub(super) fn restore(
    bench: &Bench<'_>,
    (backup, set): (&BackupSet, &RestoreSet),
    attempt: &mut Attempt,
) -> Result<Back, Broken> {
    let gone = |unseen: &Unseen| Broken::new(Ending::Unreachable, &unseen.to_string());
    let folder = backup.path.trim_end_matches('/');
    let names = bench.host.list(folder).map_err(|unseen| gone(&unseen))?;
    let zone = stamp::zone(bench.host).map_err(|unseen| gone(&unseen))?;
    let meant = |name: &String| {
        let pattern = set.archive.as_deref().unwrap_or("*");
        settings::glob(pattern, name)
    };
    let dated: BTreeMap<Timestamp, String> = names
        .into_iter()
        .filter(meant)
        .filter_map(|name| Some((stamp::in_name(&name, &zone)?, name)))
        .collect();
    let Some((at, name)) = dated.into_iter().next_back() else {
        let why = "there is no snapshot with a date in its name";
        return Err(Broken::new(Ending::NoSnapshot, why));
    };
    let member = set.member.as_deref().unwrap_or(&set.canary);
    let path = format!("{folder}/{name}/{}", member.trim_start_matches('/'));
    attempt.snapshot = Some(name);
    attempt.snapshot_at = Some(at);
    let most = u64::try_from(place::FILE_BYTES_MAX).unwrap_or(u64::MAX);
    let bytes = bench
        .host
        .read(&path, most)
        .map_err(|unseen| Broken::unseen(&unseen, Ending::Missing))?;
    Ok(Back {
        sha256: Digest::of(&bytes),
        bytes: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
    })
}
