//! The one place that knows sled: records by key, the position in the same batch, and the rule
//! that nothing is taken up that was not closed cleanly and found equal.
//!
//! ```text
//! FOLDER/sled      the records
//! FOLDER/closed    written last at a clean close, removed first at open: digest of the records
//! FOLDER/aside     the last folder that was not trusted
//! FOLDER/lock      held by the one process that has the state open
//! ```
//!
//! sled 0.34.7 opens some damaged files without a word, and panics on others; so the mark of a
//! clean close carries the digest of all records, and it is compared at open.

use std::fs::{File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::durable;
use shared::id::Digest;

const CACHE_BYTES: u64 = 16 * 1024 * 1024;
const MARK_BYTES_MAX: u64 = 512;
const POSITION: &str = "position";

/// The derived state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// The change is not the next one. The caller skipped or repeated one.
    #[error("change {due} was due but {came} came")]
    Position {
        /// The next one.
        due: u64,
        /// The one that was given.
        came: u64,
    },
    /// The store gave an error.
    #[error("the derived state could not be read or written")]
    Store(#[from] sled::Error),
    /// A record is not what was written. Open again: the state is then rebuilt.
    #[error("record `{0}` of the derived state is damaged")]
    Damaged(String),
    /// Another process has it open: a collector runs on this folder. The operator must act.
    #[error("{0} is open in another process")]
    InUse(PathBuf),
    /// A file or a folder of the machine gave an error. The operator must act.
    #[error("could not use {path}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// Why a state was not taken up. All changes must be applied again from position 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// In words, for the log.
    pub reason: String,
    /// Where the old state lies now.
    pub moved_to: PathBuf,
}

/// Records to be written together.
#[derive(Debug, Default)]
pub(super) struct Writes(sled::Batch);

impl Writes {
    pub(super) fn put<T: Serialize>(&mut self, key: String, record: &T) {
        // Texts, numbers, flags and maps with text keys: it cannot fail.
        let bytes = serde_json::to_vec(record).unwrap_or_default();
        self.0.insert(key.into_bytes(), bytes);
    }

    pub(super) fn remove(&mut self, key: String) {
        self.0.remove(key.into_bytes());
    }
}

#[derive(Debug)]
pub(super) struct Store {
    db: sled::Db,
    folder: PathBuf,
    /// Held until the state is closed, so that nobody else moves it aside.
    lock: File,
}

impl Store {
    pub(super) fn open(
        folder: &Path,
        catalog: Digest,
    ) -> Result<(Self, Option<Rebuild>), StatusError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| StatusError::Folder { path, source }
        };
        std::fs::create_dir_all(folder).map_err(at(folder))?;
        let lock = locked(folder)?;
        let closed = take_mark(folder)?;
        let data = folder.join("sled");
        if !data.exists() {
            let db = opened(&data)?;
            let folder = folder.to_owned();
            return Ok((Self { db, folder, lock }, None));
        }
        let reason = match closed {
            None => "it was not closed cleanly".to_owned(),
            Some(text) => match trusted(&data, &text, catalog) {
                Ok(db) => {
                    let folder = folder.to_owned();
                    return Ok((Self { db, folder, lock }, None));
                }
                Err(reason) => reason,
            },
        };
        let aside = folder.join("aside");
        match std::fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(at(&aside)(error));
            }
            Ok(()) | Err(_) => {}
        }
        std::fs::rename(&data, &aside).map_err(at(&data))?;
        let db = opened(&data)?;
        let folder = folder.to_owned();
        let moved_to = aside;
        let rebuild = Rebuild { reason, moved_to };
        Ok((Self { db, folder, lock }, Some(rebuild)))
    }

    /// Takes the mark of the clean close away, so that the next open begins empty.
    pub(super) fn forget(folder: &Path) -> Result<(), StatusError> {
        let lock = locked(folder)?;
        let _closed = take_mark(folder)?;
        drop(lock);
        Ok(())
    }

    pub(super) fn position(&self) -> Result<u64, StatusError> {
        let Some(bytes) = self.db.get(POSITION)? else {
            return Ok(0);
        };
        let bytes = <[u8; 8]>::try_from(bytes.as_ref());
        let bytes = bytes.map_err(|_length| StatusError::Damaged(POSITION.to_owned()))?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// Writes records and the new position, all or nothing.
    pub(super) fn apply(&self, position: u64, mut writes: Writes) -> Result<(), StatusError> {
        writes.0.insert(POSITION, &position.to_be_bytes());
        Ok(self.db.apply_batch(writes.0)?)
    }

    pub(super) fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, StatusError> {
        let bytes = self.db.get(key)?;
        bytes.map(|bytes| record(key, &bytes)).transpose()
    }

    /// All records whose key begins with `prefix`, in the order of the rest of their keys.
    pub(super) fn scan<T: DeserializeOwned>(
        &self,
        prefix: &str,
    ) -> Result<Vec<(String, T)>, StatusError> {
        let records = self.db.scan_prefix(prefix).map(|pair| {
            let (key, bytes) = pair?;
            let key = String::from_utf8_lossy(&key);
            let rest = key.strip_prefix(prefix).unwrap_or(&key);
            Ok((rest.to_owned(), record(&key, &bytes)?))
        });
        records.collect()
    }

    /// Every record in the order of the keys: length and bytes of key and of value.
    pub(super) fn export(&self) -> Result<Vec<u8>, StatusError> {
        let mut all = Vec::new();
        for pair in self.db.iter() {
            let (key, value) = pair?;
            framed(&key, &mut all);
            framed(&value, &mut all);
        }
        Ok(all)
    }

    pub(super) fn close(self, catalog: Digest) -> Result<(), StatusError> {
        let digest = digest(&self.db)?;
        let _bytes = self.db.flush()?;
        drop(self.db);
        let path = self.folder.join("closed");
        durable::write(&path, mark(digest, catalog).as_bytes(), 0o600)
            .map_err(|source| StatusError::Folder { path, source })?;
        drop(self.lock);
        Ok(())
    }
}

/// Names the whole state without holding it in memory: each step covers the one before it.
fn digest(db: &sled::Db) -> Result<Digest, StatusError> {
    let mut so_far = Digest::of(b"evident-state/1");
    for pair in db.iter() {
        let (key, value) = pair?;
        let mut step = so_far.as_bytes().to_vec();
        framed(&key, &mut step);
        framed(&value, &mut step);
        so_far = Digest::of(&step);
    }
    Ok(so_far)
}

fn locked(folder: &Path) -> Result<File, StatusError> {
    let path = folder.join("lock");
    let mut options = File::options();
    let file = options.create(true).truncate(false).write(true).open(&path);
    let failed = |source| StatusError::Folder { path, source };
    let file = file.map_err(failed.clone())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StatusError::InUse(folder.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Reads and removes the mark of a clean close: until the next one there is none.
fn take_mark(folder: &Path) -> Result<Option<String>, StatusError> {
    let path = folder.join("closed");
    let failed = |source| StatusError::Folder {
        path: path.clone(),
        source,
    };
    let text = match durable::read_text(&path, MARK_BYTES_MAX) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::FileTooLarge
            ) =>
        {
            String::new()
        }
        Err(error) => return Err(failed(error)),
    };
    std::fs::remove_file(&path).map_err(failed)?;
    durable::sync_folder(&path).map_err(failed)?;
    Ok(Some(text))
}

/// What the file `closed` holds: another program or catalogue would give other findings.
fn mark(digest: Digest, catalog: Digest) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("evident-state/2\n{version}\n{catalog}\n{digest}\n")
}

fn framed(bytes: &[u8], to: &mut Vec<u8>) {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(bytes);
}

fn record<T: DeserializeOwned>(key: &str, bytes: &[u8]) -> Result<T, StatusError> {
    serde_json::from_slice(bytes)
        .map_err(|_form| StatusError::Damaged(key.chars().take(80).collect()))
}

fn opened(data: &Path) -> Result<sled::Db, sled::Error> {
    sled::Config::new()
        .path(data)
        .cache_capacity(CACHE_BYTES)
        .flush_every_ms(None)
        .open()
}

/// Opens a state that was closed with the mark `text`, or says why it is not to be trusted.
fn trusted(data: &Path, text: &str, catalog: Digest) -> Result<sled::Db, String> {
    // sled panics on some damaged files, at open or while reading.
    let tried = catch_unwind(AssertUnwindSafe(|| {
        let db = opened(data)?;
        let digest = digest(&db)?;
        Ok::<_, StatusError>((db, digest))
    }));
    match tried {
        Ok(Ok((db, digest))) if mark(digest, catalog) == text => Ok(db),
        Ok(Ok((_, digest))) if text.ends_with(&format!("\n{digest}\n")) => {
            Err("it was made with another catalogue or program".to_owned())
        }
        Ok(Ok(_)) => Err("its records are not those that were closed".to_owned()),
        Ok(Err(error)) => Err(format!("it could not be opened: {error:?}")),
        Err(_panic) => Err("opening it made the store stop".to_owned()),
    }
}
