//! A folder of snapshots: of btrfs, where each is a subvolume, or `.zfs/snapshot` of ZFS.
//!
//! When a snapshot was made is taken from its name, as btrbk, sanoid and others write it; the
//! kernel tells it to root alone by calls that this agent does not make. For the same reason it is
//! not shown whether a snapshot of btrfs is read-only. The names are listed and, of btrfs,
//! looked at: the root of a subvolume has inode 256. A snapshot of ZFS is not entered, which would
//! mount it.
//!
//! A snapshot on the disk of its source is no copy elsewhere: the place of the set says so.
//!
//! Source: btrfs(5) "Inode numbers", zfs-snapshot(8), zfsprops(7) `snapdir`.

use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::shown::{Shown, View};
use super::stamp;
use crate::host::Unseen;
use crate::probe::Seen;

/// Inode of the root of a subvolume of btrfs (`BTRFS_FIRST_FREE_OBJECTID`).
const SUBVOLUME_INODE: u64 = 256;
/// Most names that are looked at.
const SNAPSHOTS_MAX: usize = 4096;
const NOT_SHOWN: &str = "when the kernel says that they were made, whether they are read-only, \
                         what they hold, whether it can be restored";

/// Looks at the snapshots in the folder `path`.
///
/// # Errors
///
/// [`Unseen`]: there is no such folder, or it cannot be read.
pub(super) fn look(view: View<'_>, seen: &mut Seen, path: &str) -> Result<Shown, Unseen> {
    let names = view.host.list(path)?;
    if SNAPSHOTS_MAX < names.len() {
        let why = format!("more than {SNAPSHOTS_MAX} names");
        return Err(Unseen::new(path, Status::Limit, Some(&why)));
    }
    let zone = seen.note(Means::File, "/etc/localtime", stamp::zone(view.host));
    let zone = zone.ok_or_else(|| {
        let why = "the time zone of the names was not seen";
        Unseen::new(path, Status::Failed, Some(why))
    })?;
    let zfs = path.ends_with("/.zfs/snapshot");
    let mut times: Vec<Option<Timestamp>> = Vec::new();
    for name in names {
        if zfs || is_subvolume(view, &format!("{path}/{name}"))? {
            times.push(stamp::in_name(&name, &zone));
        }
    }
    let mut dated: Vec<Timestamp> = times.iter().flatten().copied().collect();
    dated.sort_unstable();
    let reason = match (times.is_empty(), dated.is_empty()) {
        (true, _) => Some("there is no snapshot in this folder"),
        (false, true) => Some("no name of a snapshot has a date"),
        (false, false) => None,
    };
    let whole = dated.len() == times.len();
    Ok(Shown {
        last_success: dated.last().copied(),
        snapshots: Some(times.len()),
        times: whole.then_some(dated),
        reason: reason.map(str::to_owned),
        hidden: Some(NOT_SHOWN),
        ..Shown::default()
    })
}

/// Whether a folder is the root of a subvolume.
fn is_subvolume(view: View<'_>, path: &str) -> Result<bool, Unseen> {
    match view.host.stat(path) {
        Err(unseen) if unseen.is_absent() => Ok(false),
        stat => stat.map(|stat| stat.folder && stat.device_inode.1 == SUBVOLUME_INODE),
    }
}
