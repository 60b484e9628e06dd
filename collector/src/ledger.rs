//! The ledger: an append-only Merkle log of entries, and the only state that must never be lost.
//!
//! ```text
//! <dir>/segments/           blobs, entries and commits in the order of writing (shared::durable)
//! <dir>/tile/..             full tiles and bundles in the layout of C2SP tlog-tiles: copies
//! <dir>/checkpoint          the last checkpoint that was written down; refuses an older ledger
//! ```
//!
//! - One thread writes. It takes everything that waits, up to 256 entries, as one group: one write
//!   that ends in a commit record with the new size and root, and one `fdatasync`. What waits
//!   meanwhile becomes the next group, so groups grow with the load and nobody waits for a clock.
//! - Only after the sync the checkpoint is signed and published and the callers get their answers.
//!   So a root is durable before it is signed, and two signed checkpoints never contradict.
//! - Entries behind the last commit were never answered; opening the ledger drops them.
//! - Partial tiles are not files: the commit record holds the same promise in one sync instead of
//!   four, and every tile follows from the entries.
//! - After a failed write or sync nothing more is signed: the ledger stops, and everything that is
//!   appended from then on is refused with [`LedgerError::Stopped`] until it is opened anew.
//! - What is in memory: 8 bytes and one 40-byte index row an entry, and one such row a blob; about
//!   100 bytes each, thus 1 GB for ten million.

pub mod fsck;
mod leaf;
mod load;
mod read;
mod record;
mod tree;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;

use shared::checkpoint::{NoteError, Signer};
use shared::durable::{Reader, SegmentError, Segments};
use shared::id::{AgentId, Digest};
use shared::leaf::LeafKind;
use shared::limits;
use shared::merkle::ProofError;
use shared::time::Timestamp;
use tokio::sync::{oneshot, watch};

pub use read::{Entries, Entry};

/// Most submissions that wait for the writer.
const WAITING_MAX: usize = 1024;
/// Most bytes that wait for the writer.
const WAITING_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The ledger cannot do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// Too much waits to be written. The sender tries again later (503).
    #[error("the ledger is busy; try again")]
    Busy,
    /// There is no room for a new segment file; nothing was written. The operator makes room, and
    /// senders try again.
    #[error("the ledger cannot be extended now")]
    NoRoom(#[source] Arc<SegmentError>),
    /// A write or a sync failed, so the state on disk is unknown. The operator looks at the disk
    /// and starts the collector anew.
    #[error("the ledger has stopped: {0}")]
    Stopped(Arc<str>),
    /// This ledger was opened for reading.
    #[error("the ledger was opened for reading only")]
    ReadOnly,
    /// An envelope, a blob or the submission is empty or longer than is kept. The caller is wrong.
    #[error("{what} of {bytes} bytes cannot be kept")]
    Length {
        /// What has that length.
        what: &'static str,
        /// The length.
        bytes: usize,
    },
    /// The bytes of a blob have another name. The sender is wrong.
    #[error("a blob was named {named}, and its name is {computed}")]
    BlobName {
        /// The name it was given.
        named: Digest,
        /// The SHA-256 of its bytes.
        computed: Digest,
    },
    /// The entry is not there (yet). The caller mixed two ledgers, or is ahead.
    #[error("entry {index} is not in a ledger of {size} entries")]
    OutOfTree {
        /// The index asked for.
        index: u64,
        /// The size.
        size: u64,
    },
    /// The segment files cannot be used.
    #[error("the files of the ledger cannot be used")]
    Segments(#[source] Arc<SegmentError>),
    /// Another file of the ledger cannot be read or written.
    #[error("cannot {operation} {path}")]
    Machine {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the machine said.
        source: Arc<io::Error>,
    },
    /// A record has good checksums and cannot be what it says. The operator runs `fsck`.
    #[error("the record at offset {offset} of segment {segment} is wrong: {what}")]
    Record {
        /// The number of the segment file.
        segment: u32,
        /// The offset in it.
        offset: u32,
        /// What is wrong.
        what: &'static str,
    },
    /// The entries on disk do not lead to the hashes in memory. The operator runs `fsck`.
    #[error("neither {0} nor the entries below it lead to the root; run `fsck`")]
    Tile(PathBuf),
    /// The proof that was built from the tiles does not hold.
    #[error("the ledger built a proof that does not hold")]
    Proof(#[source] ProofError),
    /// The checkpoint beside the ledger was signed by another key or for another origin.
    #[error("{path} is not a checkpoint of this ledger's key; was the key or the origin changed?")]
    OtherKey {
        /// The checkpoint file.
        path: PathBuf,
        /// What is wrong with it.
        source: NoteError,
    },
    /// Fewer entries are on disk than were signed: a backup was restored, or files were lost. A
    /// person must decide: bring the files back, or begin a new origin.
    #[error("{stored} entries are on disk, and a checkpoint of {signed} was signed")]
    Behind {
        /// Entries on disk.
        stored: u64,
        /// Entries in the signed checkpoint.
        signed: u64,
    },
    /// The entries on disk are not those that were signed. A person must decide.
    #[error("the first {0} entries on disk are not those of the checkpoint that was signed")]
    Contradiction(u64),
}

impl LedgerError {
    fn machine(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Machine {
            operation,
            path,
            source: Arc::new(source),
        }
    }

    fn segments(error: SegmentError) -> Self {
        Self::Segments(Arc::new(error))
    }
}

/// A checkpoint that everybody may see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The number of entries.
    pub size: u64,
    /// The root over them.
    pub root: Digest,
    /// The signed checkpoint.
    pub note: String,
}

/// The place of an attestation in the stream of its agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// The agent.
    pub agent: AgentId,
    /// The generation of its key.
    pub generation: u64,
    /// The number in the stream.
    pub seq: u64,
}

/// What is to become an entry.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// What it is.
    pub kind: LeafKind,
    /// Its place in the stream of an agent; `None` for a record of the collector, which the ledger
    /// numbers itself.
    pub stream: Option<Stream>,
    /// The DSSE file; its SHA-256 is the id.
    pub envelope: Vec<u8>,
    /// When the collector received it.
    pub received: Timestamp,
}

/// Entries and the blobs that they name, to be appended together.
#[derive(Clone, Debug, Default)]
pub struct Submission {
    /// The entries, in the order in which they are to stand.
    pub entries: Vec<NewEntry>,
    /// Blobs with their names; those that are there already are not written again.
    pub blobs: Vec<(Digest, Vec<u8>)>,
}

/// Where an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The SHA-256 of the envelope.
    pub id: Digest,
    /// The index.
    pub index: u64,
    /// The leaf data when it was new; an envelope that is there already keeps its entry.
    pub leaf: Option<String>,
    /// A checkpoint that contains it.
    pub checkpoint: Arc<Published>,
}

/// The ledger. Cheap to clone; dropping the last one waits until the writer has ended.
#[derive(Clone, Debug)]
pub struct Ledger {
    shared: Arc<Shared>,
    /// `None` when it was opened for reading.
    writer: Option<Arc<Writing>>,
}

/// What the readers see and only the writer changes.
#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    reader: Reader,
    state: RwLock<load::State>,
    tiles: read::TileCache,
    /// Why nothing can be appended any more.
    stopped: OnceLock<Arc<str>>,
}

impl Shared {
    fn state(&self) -> RwLockReadGuard<'_, load::State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The way to the writer.
#[derive(Debug)]
struct Writing {
    /// `None` once the ledger is being dropped.
    sender: Option<SyncSender<Message>>,
    waiting_bytes: Arc<AtomicUsize>,
    grown: watch::Receiver<u64>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Writing {
    fn drop(&mut self) {
        drop(self.sender.take());
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has answered nobody; there is nothing left to do here.
            drop(thread.join());
        }
    }
}

/// A submission on its way, with ids computed by the caller's thread.
#[derive(Debug)]
struct Message {
    ids: Vec<Digest>,
    submission: Submission,
    bytes: usize,
    answer: oneshot::Sender<Result<Vec<Appended>, LedgerError>>,
}

impl Ledger {
    /// Opens the ledger in `dir` for reading and appending, and creates it when there is none.
    ///
    /// Every record is read and the tree is computed anew.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Segments`] when another process has it open or a file is damaged,
    /// [`LedgerError::Record`], [`LedgerError::OtherKey`], [`LedgerError::Behind`],
    /// [`LedgerError::Contradiction`] or [`LedgerError::Machine`].
    pub fn open(dir: &Path, signer: Signer) -> Result<Self, LedgerError> {
        Self::open_sized(dir, signer, limits::SEGMENT_BYTES)
    }

    /// As [`Ledger::open`], with another size for new segment files.
    ///
    /// # Errors
    ///
    /// As [`Ledger::open`].
    pub fn open_sized(dir: &Path, signer: Signer, bytes: u64) -> Result<Self, LedgerError> {
        let folder = dir.join("segments");
        let mut segments = Segments::open(&folder, bytes).map_err(LedgerError::segments)?;
        let loaded = load::load(dir, segments.reader(), &signer, load::Tiles::Write)?;
        if loaded.void {
            let void = record::Record::Void.encode();
            let voided = segments.append(&[&void]).and_then(|_place| segments.sync());
            voided.map_err(LedgerError::segments)?;
        }
        load::write_checkpoint(dir, &loaded.state.published)?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let (growth, grown) = watch::channel(loaded.state.published.size);
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            reader: segments.reader().clone(),
            state: RwLock::new(loaded.state),
            tiles: read::TileCache::default(),
            stopped: OnceLock::new(),
        });
        let waiting_bytes = Arc::new(AtomicUsize::new(0));
        let writer = writer::Writer {
            shared: Arc::clone(&shared),
            segments,
            signer,
            growth,
            waiting_bytes: Arc::clone(&waiting_bytes),
            due: Vec::new(),
        };
        let thread = std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.run(&receiver))
            .map_err(LedgerError::machine("start a thread for", dir))?;
        let (sender, thread) = (Some(sender), Some(thread));
        let writing = Writing {
            sender,
            waiting_bytes,
            grown,
            thread,
        };
        Ok(Self {
            shared,
            writer: Some(Arc::new(writing)),
        })
    }

    /// Opens the ledger in `dir` for reading, also while another process appends to it; it shows
    /// what was committed when it was opened.
    ///
    /// # Errors
    ///
    /// As [`Ledger::open`], but for the lock.
    pub fn read_only(dir: &Path, signer: &Signer) -> Result<Self, LedgerError> {
        let reader = Reader::open(&dir.join("segments"));
        let loaded = load::load(dir, &reader, signer, load::Tiles::Leave)?;
        let shared = Shared {
            dir: dir.to_owned(),
            reader,
            state: RwLock::new(loaded.state),
            tiles: read::TileCache::default(),
            stopped: OnceLock::new(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            writer: None,
        })
    }

    /// Appends entries and blobs; they are on disk and under a signed checkpoint when it answers.
    ///
    /// The answers stand in the order of the entries.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Busy`] and [`LedgerError::NoRoom`] (try again later),
    /// [`LedgerError::Stopped`], [`LedgerError::ReadOnly`], [`LedgerError::Length`] or
    /// [`LedgerError::BlobName`].
    pub async fn append(&self, submission: Submission) -> Result<Vec<Appended>, LedgerError> {
        let answer = self.submit(submission)?;
        answer.await.unwrap_or_else(|_gone| Err(self.stopped()))
    }

    /// As [`Ledger::append`], for threads outside the runtime; inside it this panics.
    ///
    /// # Errors
    ///
    /// As [`Ledger::append`].
    pub fn append_blocking(&self, submission: Submission) -> Result<Vec<Appended>, LedgerError> {
        let answer = self.submit(submission)?;
        answer
            .blocking_recv()
            .unwrap_or_else(|_gone| Err(self.stopped()))
    }

    /// Shows the size after each growth; `None` when the ledger was opened for reading.
    pub fn grown(&self) -> Option<watch::Receiver<u64>> {
        self.writer.as_ref().map(|writer| writer.grown.clone())
    }

    /// Whether it can be extended: no write or sync has failed.
    pub fn is_running(&self) -> bool {
        self.writer.is_some() && self.shared.stopped.get().is_none()
    }

    /// Checks a submission and hands it to the writer.
    fn submit(&self, submission: Submission) -> Result<Answer, LedgerError> {
        let writer = self.writer.as_ref().ok_or(LedgerError::ReadOnly)?;
        let sender = writer.sender.as_ref().ok_or(LedgerError::ReadOnly)?;
        if self.shared.stopped.get().is_some() {
            return Err(self.stopped());
        }
        let bytes = check_submission(&submission)?;
        let ids = submission
            .entries
            .iter()
            .map(|entry| Digest::of(&entry.envelope))
            .collect();
        let before = writer.waiting_bytes.fetch_add(bytes, Ordering::AcqRel);
        let give_back = |error| {
            let _before = writer.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
            Err(error)
        };
        if WAITING_BYTES_MAX < before.saturating_add(bytes) {
            return give_back(LedgerError::Busy);
        }
        let (answer, answered) = oneshot::channel();
        match sender.try_send(Message {
            ids,
            submission,
            bytes,
            answer,
        }) {
            Ok(()) => Ok(answered),
            Err(TrySendError::Full(_)) => give_back(LedgerError::Busy),
            Err(TrySendError::Disconnected(_)) => give_back(self.stopped()),
        }
    }

    fn stopped(&self) -> LedgerError {
        let reason = self.shared.stopped.get().cloned();
        LedgerError::Stopped(reason.unwrap_or_else(|| Arc::from("the writer has ended")))
    }
}

type Answer = oneshot::Receiver<Result<Vec<Appended>, LedgerError>>;

/// Checks lengths and the names of blobs; gives the number of bytes.
fn check_submission(submission: &Submission) -> Result<usize, LedgerError> {
    let mut total = 0_usize;
    let mut add = |what, bytes: usize, max| {
        total = total.saturating_add(bytes);
        if bytes == 0 || max < bytes {
            Err(LedgerError::Length { what, bytes })
        } else {
            Ok(())
        }
    };
    for entry in &submission.entries {
        add(
            "an envelope",
            entry.envelope.len(),
            limits::ENVELOPE_BYTES_MAX,
        )?;
    }
    for (named, bytes) in &submission.blobs {
        add("a blob", bytes.len().max(1), limits::DOCUMENT_BYTES_MAX)?;
        let (named, computed) = (*named, Digest::of(bytes));
        if named != computed {
            return Err(LedgerError::BlobName { named, computed });
        }
    }
    let many = submission.entries.len() > writer::GROUP_ENTRIES_MAX;
    if many || WAITING_BYTES_MAX / 2 < total {
        return Err(LedgerError::Length {
            what: "a submission",
            bytes: total,
        });
    }
    Ok(total)
}

#[cfg(test)]
mod tests;
