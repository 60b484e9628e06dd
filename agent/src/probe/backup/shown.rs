//! What a backup set shows of itself, whatever made it.

use shared::fact::{Record, Value};
use shared::id::Digest;
use shared::observation::Status;
use shared::time::Timestamp;

use crate::host::{Host, Stat, Unseen};

/// Most files and folders whose sizes are added up; with restic's packs of 16 MiB, 0.5 TiB.
pub(super) const ENTRIES_MAX: usize = 32_768;

/// From where a set is looked at.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    /// The host.
    pub(super) host: &'a dyn Host,
    /// When, by its wall clock.
    pub(super) now: Timestamp,
    /// What the same set showed at the look before.
    pub(super) before: Option<&'a Record>,
}

impl View<'_> {
    /// A number that goes up by one each hour, so that each look takes another sample.
    pub(super) fn turn(&self) -> usize {
        let hours = self.now.unix_ms().max(0) / (60 * 60 * 1000);
        usize::try_from(hours).unwrap_or_default()
    }

    /// A text that the set showed at the look before.
    pub(super) fn earlier_text(&self, field: &str) -> Option<&str> {
        match self.before?.get(field)? {
            Value::Text(text) => Some(text),
            Value::Flag(_) | Value::Instant(_) | Value::List(_) | Value::Number(_) => None,
        }
    }

    /// A number that the set showed at the look before.
    pub(super) fn earlier_number(&self, field: &str) -> Option<i64> {
        match self.before?.get(field)? {
            Value::Number(number) => Some(*number),
            Value::Flag(_) | Value::Instant(_) | Value::List(_) | Value::Text(_) => None,
        }
    }
}

/// Who says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Grade {
    /// A job.
    Job,
    /// The repository or the folder itself.
    #[default]
    Metadata,
    /// Contents were compared with their hashes, and none differed.
    Proof,
}

impl Grade {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Job => "job",
            Self::Metadata => "metadata",
            Self::Proof => "proof",
        }
    }
}

/// What a set shows. What could not be seen is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// When the last backup ended well; `None` when there is none.
    pub(super) last_success: Option<Timestamp>,
    /// How many backups are kept.
    pub(super) snapshots: Option<usize>,
    /// When each backup that is kept was made.
    pub(super) times: Option<Vec<Timestamp>>,
    /// What each backup added, oldest first; of borg, what each day did.
    pub(super) added: Vec<u64>,
    /// How much each backup holds, oldest first.
    pub(super) sizes: Vec<u64>,
    /// Size of the copy.
    pub(super) bytes: Option<u64>,
    /// Files in the last backup.
    pub(super) files: Option<u64>,
    /// Whether the copy is encrypted.
    pub(super) encrypted: Option<bool>,
    /// How.
    pub(super) cipher: Option<&'static str>,
    /// How the key is made from the password.
    pub(super) kdf: Option<String>,
    /// Whether the repository refuses deletion.
    pub(super) append_only: Option<bool>,
    /// Whether somebody holds a lock, or left one behind.
    pub(super) locked: Option<bool>,
    /// When the oldest lock was taken.
    pub(super) locked_since: Option<Timestamp>,
    /// Version of the form of the repository or of its writer.
    pub(super) version: Option<String>,
    /// Contents that were compared.
    pub(super) hashed: Option<Hashed>,
    /// When a copy of one piece was compared whole.
    pub(super) hashed_at: Option<Timestamp>,
    /// Whether the archive has the log that the last backup needs.
    pub(super) wal_complete: Option<bool>,
    /// What a job says of the copy's hash.
    pub(super) sha256: Option<Digest>,
    /// More for people, e.g. why there is no success.
    pub(super) reason: Option<String>,
    /// What only the secret shows.
    pub(super) hidden: Option<&'static str>,
    /// Who says so.
    pub(super) grade: Grade,
}

/// Contents that were compared with their hashes or checksums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hashed {
    /// Files that were compared whole.
    pub(super) files: u64,
    /// Files that differ, are too short or are missing.
    pub(super) damaged: u64,
    /// One of those.
    pub(super) damaged_file: Option<String>,
}

impl Hashed {
    /// Counts a file; a damaged one that was counted before counts once.
    pub(super) fn count(&mut self, path: &str, whole: bool) {
        if whole {
            self.files = self.files.saturating_add(1);
        } else {
            self.damaged = self.damaged.saturating_add(1);
            let _first: &mut String = self.damaged_file.get_or_insert_with(|| path.to_owned());
        }
    }
}

/// The time at which a file was written that nobody changes later. The modification time can be
/// set to any value and the change time cannot, so neither alone makes a copy look newer.
pub(super) fn written(host: &dyn Host, path: &str) -> Result<Timestamp, Unseen> {
    host.stat(path).map(|stat| written_at(&stat))
}

/// The same of what stat(2) said.
pub(super) fn written_at(stat: &Stat) -> Timestamp {
    stat.modified.min(stat.changed)
}

/// Shows each file in the folders of a folder, as restic and borg lay out their data: the name of
/// the folder, the name of the file, and what stat(2) says.
///
/// # Errors
///
/// [`Unseen`]; [`Status::Limit`] when there are more than [`ENTRIES_MAX`].
pub(super) fn each_below(
    host: &dyn Host,
    folder: &str,
    mut show: impl FnMut(&str, &str, &Stat),
) -> Result<(), Unseen> {
    let mut entries = 0_usize;
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
            match host.stat(&format!("{below}/{file}")) {
                Err(unseen) if unseen.is_absent() => {}
                stat => show(&name, &file, &stat?),
            }
        }
    }
    Ok(())
}

/// Whether a name is a SHA-256 in lower-case hexadecimal digits.
pub(super) fn is_digest(name: &str) -> bool {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    name.len() == 64 && name.bytes().all(digit)
}
