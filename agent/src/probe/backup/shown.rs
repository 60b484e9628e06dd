//! What a backup set shows of itself, whatever made it.

use shared::id::Digest;
use shared::observation::Status;
use shared::time::Timestamp;

use crate::host::{Host, Unseen};

/// Most files and folders whose sizes are added up; with restic's packs of 16 MiB, 0.5 TiB.
const ENTRIES_MAX: usize = 32_768;

/// What a set shows. What could not be seen is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// When the last backup ended well; `None` when there is none.
    pub(super) last_success: Option<Timestamp>,
    /// How many backups are kept.
    pub(super) snapshots: Option<usize>,
    /// Size of the copy.
    pub(super) bytes: Option<u64>,
    /// Files in the last backup.
    pub(super) files: Option<u64>,
    /// Whether the copy is encrypted.
    pub(super) encrypted: Option<bool>,
    /// Whether the repository refuses deletion.
    pub(super) append_only: Option<bool>,
    /// Whether somebody holds a lock, or left one behind.
    pub(super) locked: Option<bool>,
    /// What a job says of the copy's hash.
    pub(super) sha256: Option<Digest>,
    /// More for people, e.g. why there is no success.
    pub(super) reason: Option<String>,
    /// A job says so; otherwise the repository itself shows it.
    pub(super) by_job: bool,
}

/// The time at which a file was written that nobody changes later. The modification time can be
/// set to any value and the change time cannot, so neither alone makes a copy look newer.
pub(super) fn written(host: &dyn Host, path: &str) -> Result<Timestamp, Unseen> {
    let stat = host.stat(path)?;
    Ok(stat.modified.min(stat.changed))
}

/// The bytes of the files in the folders of a folder, as restic and borg lay out their data.
///
/// # Errors
///
/// [`Unseen`]; [`Status::Limit`] when there are more than [`ENTRIES_MAX`].
pub(super) fn bytes_below(host: &dyn Host, folder: &str) -> Result<u64, Unseen> {
    let mut entries = 0_usize;
    let mut bytes = 0_u64;
    for name in host.list(folder)? {
        let below = format!("{folder}/{name}");
        if !host.stat(&below)?.folder {
            continue;
        }
        let files = host.list(&below)?;
        entries = entries.saturating_add(1).saturating_add(files.len());
        if ENTRIES_MAX < entries {
            let why = format!("more than {ENTRIES_MAX} files: the size is not added up");
            return Err(Unseen::new(folder, Status::Limit, Some(&why)));
        }
        for file in files {
            // A job may remove a file between the list and the look.
            let size = match host.stat(&format!("{below}/{file}")) {
                Err(unseen) if unseen.is_absent() => 0,
                stat => stat?.bytes,
            };
            bytes = bytes.saturating_add(size);
        }
    }
    Ok(bytes)
}

/// Whether a name is a SHA-256 in lower-case hexadecimal digits.
pub(super) fn is_digest(name: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.len() == 64 && name.bytes().all(digit)
}
