//! A canary file out of the newest of some tar archives: `tar --extract --to-stdout`.
//!
//! Which archives belong to a set the settings say. The newest is the one that was written last; an
//! archive that is still being written gives an error, which the next look repairs.

use shared::observation::Status;
use shared::time::Timestamp;

use super::attempt::{Attempt, Back, Bench};
use super::{Broken, Ending, RestoreSet};
use crate::host::program::Program;
use crate::probe::settings;

/// Programs that an attempt starts; tar may start one more that decompresses.
pub(super) const PROGRAMS: usize = 2;

/// Restores the file.
///
/// # Errors
///
/// [`Broken`].
pub(super) fn restore(
    bench: &mut Bench<'_>,
    set: &RestoreSet,
    attempt: &mut Attempt,
) -> Result<Back, Broken> {
    let Some(pattern) = set.archive.as_deref() else {
        let why = "no archive is declared from which the file could be restored";
        return Err(Broken::new(Ending::NoTool, why));
    };
    let found = settings::expand(bench.host, pattern).map_err(|unseen| {
        let ending = if unseen.status == Status::Unsupported {
            Ending::Unsupported
        } else {
            Ending::Unreachable
        };
        Broken::new(ending, &unseen.to_string())
    })?;
    let written = |path: String| {
        let stat = bench.host.stat(&path).ok().filter(|stat| !stat.folder)?;
        // The first can be set to any value, the second changes with every attribute.
        Some((stat.modified.min(stat.changed), path))
    };
    let newest: Option<(Timestamp, String)> = found.into_iter().filter_map(written).max();
    let Some((at, path)) = newest else {
        let why = "there is no such archive";
        return Err(Broken::new(Ending::NoSnapshot, why));
    };
    attempt.snapshot = Some(path.rsplit('/').next().unwrap_or(&path).to_owned());
    attempt.snapshot_at = Some(at);
    let file = format!("--file={path}");
    let options = [
        "--extract",
        "--to-stdout",
        "--force-local",
        "--occurrence=1",
        &file,
    ];
    // tar keeps paths without the first `/`.
    let member = match set.member.as_deref() {
        Some(member) => member,
        None => set.canary.trim_start_matches('/'),
    };
    let back = bench.hash((Program::Tar, None), &options, &[member], attempt);
    // What decompresses is a program too.
    bench.children = bench.children.saturating_sub(1);
    back
}
