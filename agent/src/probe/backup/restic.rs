//! A restic repository, looked at without its password.
//!
//! ```text
//! config              encrypted; there is no repository without it
//! keys/<id>           one file a password; without one nothing can be restored
//! snapshots/<id>      one file a snapshot, written last
//! data/xx/<id>        the packs
//! locks/<id>          one file a running command, or one that was cut off
//! ```
//!
//! A snapshot file says that a snapshot was written, and no more. restic writes one too when it
//! could not read some of the files (it ends with status 3 then), and `tag`, `rewrite` and `copy`
//! write new files for snapshots of earlier times. Where several hosts share a repository, the last
//! one may be of another host. A manifest of the job tells more.
//!
//! Whoever may write to the repository can make and touch such files, so this is no proof of the
//! contents. Everything in a repository is encrypted: restic knows no other way. Whether a server
//! in front of it refuses deletion is not seen here.
//!
//! Source: restic 0.14, "References", "Repository layout".

use shared::observation::{Means, Status};

use super::shown::{Shown, bytes_below, is_digest, written};
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Looks at the repository in the folder `path`.
///
/// # Errors
///
/// [`Unseen`]: there is no repository, or its snapshots cannot be read.
pub(super) fn look(host: &dyn Host, seen: &mut Seen, path: &str) -> Result<Shown, Unseen> {
    let stat = host.stat(&format!("{path}/config"))?;
    if stat.folder || stat.bytes == 0 {
        let why = Some("no configuration of restic");
        return Err(Unseen::new(path, Status::Malformed, why));
    }
    let keys = host.list(&format!("{path}/keys"))?;
    if !keys.iter().any(|name| is_digest(name)) {
        let why = Some("the repository has no key, so nothing can be restored");
        return Err(Unseen::new(path, Status::Malformed, why));
    }
    let folder = format!("{path}/snapshots");
    let mut shown = Shown {
        encrypted: Some(true),
        ..Shown::default()
    };
    let names = host.list(&folder)?;
    let snapshots = names.iter().filter(|name| is_digest(name));
    let mut count = 0_usize;
    for name in snapshots {
        shown.last_success = shown
            .last_success
            .max(Some(written(host, &format!("{folder}/{name}"))?));
        count += 1;
    }
    shown.snapshots = Some(count);
    let data = format!("{path}/data");
    shown.bytes = seen.note(Means::File, &data, bytes_below(host, &data));
    let locks = format!("{path}/locks");
    let locked = seen.note(Means::File, &locks, host.list(&locks));
    shown.locked = locked.map(|names| names.iter().any(|name| is_digest(name)));
    Ok(shown)
}
