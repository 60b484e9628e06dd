//! The one place that knows sled: records by key, and nothing that was not closed cleanly.
//!
//! A state is taken up only when its records are found equal to those that were closed.
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

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::durable;
use shared::id::Digest;

const CACHE_BYTES: u64 = 16 * 1024 * 1024;
const MARK_BYTES_MAX: u64 = 512;
/// Most keys that sled takes at once. What a batch replaces is freed only when the batch is over,
/// and every few keys replace a whole page.
const BATCH_KEYS: usize = 512;
/// How much is written before sled must bring it to disk: what it holds back it keeps in memory.
const UNFLUSHED_BYTES_MAX: usize = 32 * 1024 * 1024;

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
    /// A change before could not be applied whole. Open again: the state is then rebuilt.
    #[error("the derived state broke off in the middle of a change")]
    Broken,
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

/// Records to be written together; the last word on a key counts.
#[derive(Debug, Default)]
pub(super) struct Writes(BTreeMap<Vec<u8>, Option<Vec<u8>>>);

impl Writes {
    pub(super) fn put<T: Serialize>(&mut self, key: Vec<u8>, record: &T) {
        // Texts, numbers, flags, lists and maps: it cannot fail.
        let bytes = postcard::to_allocvec(record).unwrap_or_default();
        let _before = self.0.insert(key, Some(bytes));
    }

    pub(super) fn remove(&mut self, key: Vec<u8>) {
        let _before = self.0.insert(key, None);
    }

    /// The record of a key that these writes have put there, or else the stored one.
    pub(super) fn get<T: DeserializeOwned>(
        &self,
        key: &[u8],
        store: &Store,
    ) -> Result<Option<T>, StatusError> {
        match self.0.get(key) {
            Some(Some(bytes)) => record(key, bytes).map(Some),
            Some(None) => Ok(None),
            None => store.get(key),
        }
    }

    /// Writes of other keys beside these.
    pub(super) fn join(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

#[derive(Debug)]
pub(super) struct Store {
    db: sled::Db,
    folder: PathBuf,
    /// Held until the state is closed, so that nobody else moves it aside.
    lock: File,
    unflushed_bytes: AtomicUsize,
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
            return Ok((Self::new(db, folder, lock), None));
        }
        let reason = match closed {
            None => "it was not closed cleanly".to_owned(),
            Some(text) => match trusted(&data, &text, catalog) {
                Ok(db) => return Ok((Self::new(db, folder, lock), None)),
                Err(reason) => reason,
            },
        };
        let (db, rebuild) = moved_aside(folder, reason)?;
        Ok((Self::new(db, folder, lock), Some(rebuild)))
    }

    fn new(db: sled::Db, folder: &Path, lock: File) -> Self {
        Self {
            db,
            folder: folder.to_owned(),
            lock,
            unflushed_bytes: AtomicUsize::new(0),
        }
    }

    /// The same store, empty: what it held cannot be used after all.
    pub(super) fn emptied(self, reason: String) -> Result<(Self, Rebuild), StatusError> {
        let Self {
            db, folder, lock, ..
        } = self;
        drop(db);
        let (db, rebuild) = moved_aside(&folder, reason)?;
        Ok((Self::new(db, &folder, lock), rebuild))
    }

    /// Takes the mark of the clean close away, so that the next open begins empty.
    pub(super) fn forget(folder: &Path) -> Result<(), StatusError> {
        let lock = locked(folder)?;
        let _closed = take_mark(folder)?;
        drop(lock);
        Ok(())
    }

    /// Writes records. After an error, or when the process ends meanwhile, some may stand there:
    /// the state is made anew then.
    pub(super) fn apply(&self, writes: Writes) -> Result<(), StatusError> {
        let mut bytes = 0_usize;
        let mut rest = writes.0.into_iter().peekable();
        while rest.peek().is_some() {
            let mut batch = sled::Batch::default();
            for (key, record) in rest.by_ref().take(BATCH_KEYS) {
                bytes = bytes.saturating_add(key.len());
                if let Some(record) = record {
                    bytes = bytes.saturating_add(record.len());
                    batch.insert(key, record);
                } else {
                    batch.remove(key);
                }
            }
            self.db.apply_batch(batch)?;
        }
        let unflushed = self.unflushed_bytes.fetch_add(bytes, Ordering::Relaxed);
        if UNFLUSHED_BYTES_MAX < unflushed.saturating_add(bytes) {
            self.unflushed_bytes.store(0, Ordering::Relaxed);
            let _bytes = self.db.flush()?;
        }
        Ok(())
    }

    pub(super) fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StatusError> {
        let bytes = self.db.get(key)?;
        bytes.map(|bytes| record(key, &bytes)).transpose()
    }

    /// The records from key `from` until before key `to`, in the order of the keys; from behind
    /// too.
    pub(super) fn range<T: DeserializeOwned>(
        &self,
        from: &[u8],
        to: &[u8],
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, T), StatusError>> + use<T> {
        // A range that ends before it begins is empty; sled would not say so.
        let to = to.max(from).to_vec();
        self.db.range(from.to_vec()..to).map(|pair| {
            let (key, bytes) = pair?;
            let read = record(&key, &bytes)?;
            Ok((key.to_vec(), read))
        })
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

    /// The digest of all records.
    pub(super) fn digest(&self) -> Result<Digest, StatusError> {
        digest(&self.db)
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

/// Moves the records of `folder` aside and begins with none.
fn moved_aside(folder: &Path, reason: String) -> Result<(sled::Db, Rebuild), StatusError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StatusError::Folder { path, source }
    };
    let (data, aside) = (folder.join("sled"), folder.join("aside"));
    match std::fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed(&aside)(error));
        }
        Ok(()) | Err(_) => {}
    }
    std::fs::rename(&data, &aside).map_err(failed(&data))?;
    let moved_to = aside;
    Ok((opened(&data)?, Rebuild { reason, moved_to }))
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
    format!("evident-state/3\n{version}\n{catalog}\n{digest}\n")
}

fn framed(bytes: &[u8], to: &mut Vec<u8>) {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(bytes);
}

fn record<T: DeserializeOwned>(key: &[u8], bytes: &[u8]) -> Result<T, StatusError> {
    postcard::from_bytes(bytes).map_err(|_form| damaged(key))
}

/// A record that is not what was written.
pub(super) fn damaged(key: &[u8]) -> StatusError {
    let name = String::from_utf8_lossy(key);
    StatusError::Damaged(name.chars().take(80).collect())
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
