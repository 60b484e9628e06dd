//! A restic repository, looked at without its password.
//!
//! ```text
//! config              encrypted; there is no repository without it
//! keys/<id>           one file a password, JSON; without one nothing can be restored
//! snapshots/<id>      one file a snapshot, written last
//! index/<id>          which pack holds what, encrypted
//! data/xx/<id>        the packs
//! locks/<id>          one file a running command, or one that was cut off
//! ```
//!
//! The id of a key, a snapshot, an index and a pack is the SHA-256 of its file, so damage shows
//! without the password, as far as a look reads. A pack that is gone does not: which there must be
//! stands in the encrypted index.
//!
//! A snapshot file says that a snapshot was written, and no more. restic writes one too when it
//! could not read some of the files (it ends with status 3 then), and `tag`, `rewrite` and `copy`
//! write new files for snapshots of earlier times. Where several hosts share a repository, the last
//! one may be of another host. A manifest of the job tells more.
//!
//! What a snapshot added is the size of the packs that were written after the snapshot before it;
//! a prune that packs anew counts as added.
//!
//! Whoever may write to the repository can make and touch such files, so this is no proof that the
//! contents are those of the host. Everything in a repository is encrypted: restic knows no other
//! way. Whether a server in front of it refuses deletion is not seen here.
//!
//! Source: restic 0.14, "References", "Repository layout", "Keys, Encryption and MAC".

use serde::Deserialize;
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::contents::Contents;
use super::shown::{Shown, View, each_below, is_digest, written, written_at};
use crate::host::Unseen;
use crate::probe::Seen;

/// Longest file of a key.
const KEY_BYTES_MAX: u64 = 16 * 1024;
/// Longest snapshot: a list of paths, not of files.
const SNAPSHOT_BYTES_MAX: u64 = 1024 * 1024;
/// Longest pack and index: restic makes packs of up to 128 MiB.
const PACK_BYTES_MAX: u64 = 256 * 1024 * 1024;
const CIPHER: &str = "AES-256-CTR with Poly1305-AES";
const NOT_SHOWN: &str = "version of the repository, hosts, paths and files of the snapshots, \
                         whether every pack that they need is there, whether they can be restored";

/// The part of a key that is looked at.
#[derive(Deserialize)]
struct Key {
    kdf: String,
    #[serde(rename = "N")]
    n: u64,
    r: u64,
    p: u64,
}

/// Looks at the repository in the folder `path`.
///
/// # Errors
///
/// [`Unseen`]: there is no repository, or its snapshots cannot be read.
pub(super) fn look(view: View<'_>, seen: &mut Seen, path: &str) -> Result<Shown, Unseen> {
    let host = view.host;
    let stat = host.stat(&format!("{path}/config"))?;
    if stat.folder || stat.bytes == 0 {
        let why = Some("no configuration of restic");
        return Err(Unseen::new(path, Status::Malformed, why));
    }
    let mut shown = Shown {
        encrypted: Some(true),
        cipher: Some(CIPHER),
        hidden: Some(NOT_SHOWN),
        ..Shown::default()
    };
    let mut contents = Contents::new(view);
    if let Some(file) = contents.damaged_before(path) {
        let hash = file.rsplit('/').next().unwrap_or_default();
        let _whole: Option<bool> = contents.sha256(&file, hash, PACK_BYTES_MAX)?;
    }
    shown.kdf = key_derivation(view, &mut contents, path)?;
    let times = snapshots(view, &mut contents, path)?;
    shown.last_success = times.last().copied();
    shown.snapshots = Some(times.len());
    let data = format!("{path}/data");
    let packs = packs(view, &data, &times);
    if let Some((bytes, added)) = seen.note(Means::File, &data, packs) {
        shown.bytes = Some(bytes);
        shown.added = added;
    }
    shown.times = Some(times);
    let sampled = sample(view, &mut contents, path);
    if seen.note(Means::File, path, sampled).is_some() {
        contents.tell(&mut shown);
    }
    let folder = format!("{path}/locks");
    if let Some(times) = seen.note(Means::File, &folder, locks(view, &folder)) {
        shown.locked = Some(!times.is_empty());
        shown.locked_since = times.into_iter().min();
    }
    Ok(shown)
}

/// When each lock was taken.
fn locks(view: View<'_>, folder: &str) -> Result<Vec<Timestamp>, Unseen> {
    let names = view.host.list(folder)?;
    let names = names.iter().filter(|name| is_digest(name));
    // A command may end meanwhile.
    names
        .map(|name| written(view.host, &format!("{folder}/{name}")))
        .filter(|time| !time.as_ref().is_err_and(Unseen::is_absent))
        .collect()
}

/// How the weakest key is made from its password.
fn key_derivation(
    view: View<'_>,
    contents: &mut Contents<'_>,
    path: &str,
) -> Result<Option<String>, Unseen> {
    let folder = format!("{path}/keys");
    let names = view.host.list(&folder)?;
    let mut weakest: Option<(u64, String)> = None;
    let mut usable = false;
    for name in names.iter().filter(|name| is_digest(name)) {
        let file = format!("{folder}/{name}");
        usable |= contents.sha256(&file, name, KEY_BYTES_MAX)? != Some(false);
        let Ok(key) = serde_json::from_slice::<Key>(&view.host.read(&file, KEY_BYTES_MAX)?) else {
            continue;
        };
        let cost = key.n.saturating_mul(key.r).saturating_mul(key.p);
        if weakest.as_ref().is_none_or(|(least, _)| cost < *least) {
            let name: String = key.kdf.chars().take(16).collect();
            weakest = Some((cost, format!("{name} N={} r={} p={}", key.n, key.r, key.p)));
        }
    }
    if usable {
        Ok(weakest.map(|(_, text)| text))
    } else {
        let why = Some("the repository has no key, so nothing can be restored");
        Err(Unseen::new(path, Status::Malformed, why))
    }
}

/// When each snapshot was written that is not seen to be damaged, oldest first.
fn snapshots(
    view: View<'_>,
    contents: &mut Contents<'_>,
    path: &str,
) -> Result<Vec<Timestamp>, Unseen> {
    let folder = format!("{path}/snapshots");
    let mut found = Vec::new();
    for name in view.host.list(&folder)? {
        if is_digest(&name) {
            found.push((written(view.host, &format!("{folder}/{name}"))?, name));
        }
    }
    // The newest first: they decide most.
    found.sort_unstable_by(|a, b| b.cmp(a));
    let mut times = Vec::with_capacity(found.len());
    for (time, name) in found {
        let file = format!("{folder}/{name}");
        if contents.sha256(&file, &name, SNAPSHOT_BYTES_MAX)? != Some(false) {
            times.push(time);
        }
    }
    times.reverse();
    Ok(times)
}

/// The bytes of all packs, and what each snapshot added, oldest first.
fn packs(view: View<'_>, data: &str, times: &[Timestamp]) -> Result<(u64, Vec<u64>), Unseen> {
    let mut bytes = 0_u64;
    let mut added = vec![0_u64; times.len()];
    each_below(view.host, data, |_folder, _name, stat| {
        bytes = bytes.saturating_add(stat.bytes);
        let at = times.partition_point(|time| *time < written_at(stat));
        // A pack after the last snapshot belongs to a backup that has not ended.
        if let Some(sum) = added.get_mut(at) {
            *sum = sum.saturating_add(stat.bytes);
        }
    })?;
    Ok((bytes, added))
}

/// Compares indexes and packs with their names, from another place each hour.
fn sample(view: View<'_>, contents: &mut Contents<'_>, path: &str) -> Result<(), Unseen> {
    let index = format!("{path}/index");
    let data = format!("{path}/data");
    let mut folders: Vec<String> = view.host.list(&data)?;
    folders.retain(|name| name.len() == 2);
    let turn = view.turn().checked_rem(folders.len()).unwrap_or_default();
    folders.rotate_left(turn);
    let folders = folders.iter().map(|name| format!("{data}/{name}"));
    for folder in std::iter::once(index).chain(folders) {
        if contents.spent() {
            return Ok(());
        }
        for name in view.host.list(&folder)? {
            if is_digest(&name) {
                let file = format!("{folder}/{name}");
                let _whole: Option<bool> = contents.sha256(&file, &name, PACK_BYTES_MAX)?;
            }
        }
    }
    Ok(())
}
