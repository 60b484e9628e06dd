//! Attestations and blobs that have no receipt yet: durable, in order, bounded.
//!
//! One folder of segment files for one generation of the agent, with three kinds of records:
//!
//! ```text
//! 1 | state         head of the stream, what was seen of the ledger, what is held and sent; JSON
//! 2 | attestation   a DSSE file
//! 3 | blob          an observation or an artifact
//! ```
//!
//! - A record is on disk before it can be sent, and [`Spool::append`] takes only the next number of
//!   the stream, so no number is signed twice for anybody to see.
//! - Nothing is forgotten before its receipt is verified.
//! - The blobs of the newest observation of each probe stay, so that an unchanged observation is
//!   neither written nor sent again, and can be sent once more when the collector asks.
//! - What is live may take a third of the bytes that the settings allow: the rest is what is dead,
//!   and room to write the live part anew. Beyond it blobs are dropped, oldest first, and
//!   [`Spool::lost`] stays until a record says so. Attestations are never dropped, so after a long
//!   time without a collector they alone may take more than that.
//! - Writing the live part anew begins with the state, and only then whole older files are
//!   removed; reading is such that a crash between the two changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use shared::attestation::{Attestation, Gap, Seen, TreeHead};
use shared::durable::{Position, Reader, SegmentError, Segments};
use shared::id::Digest;
use shared::limits;
use shared::wire::{Frame, StreamHead};

use crate::attest::Moment;

use contents::{ATTESTATION, BLOB, Contents, Held, STATE};
use state::State;

mod contents;
mod state;

/// Size of a segment file.
const SEGMENT_BYTES: u64 = 1024 * 1024;
/// So many dead bytes are worth no rewriting.
const DEAD_BYTES_MIN: u64 = 1024 * 1024;
/// This part of the room is left to blobs even where attestations take more than all of it.
const BLOBS_LEFT: u64 = 8;
/// A submission is closed when it has so many bytes; one record may make it longer.
const BATCH_BYTES: usize = 1024 * 1024;

/// The spool cannot be used. Nothing is deleted; what is there stays for a person to look at.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The segment files cannot be read or written.
    #[error("spool cannot be used")]
    Segments(#[from] SegmentError),
    /// A record is whole, but its content is not.
    #[error("spool {folder} is damaged in file {file} at offset {offset}: {what}")]
    Content {
        /// Folder of the spool.
        folder: PathBuf,
        /// Number of the file.
        file: u32,
        /// Offset in the file.
        offset: u32,
        /// What is wrong.
        what: String,
    },
    /// There is nothing in it, though this generation of the agent has begun.
    #[error("spool {0} is empty, but the agent is enrolled")]
    Gone(PathBuf),
    /// Records without receipt are missing.
    #[error("spool {folder} lacks record {seq}")]
    Missing {
        /// Folder of the spool.
        folder: PathBuf,
        /// Number of the record.
        seq: u64,
    },
    /// The record is not the next one of the stream. It is a fault of the agent.
    #[error("record {came} is not the next one of the stream: {due}")]
    Order {
        /// Number that came.
        came: u64,
        /// Number that is due.
        due: u64,
    },
}

impl SpoolError {
    /// Whether the disk may take it at another time.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Segments(SegmentError::Machine { .. } | SegmentError::Stopped(_))
        )
    }

    /// What the operator can do, where there is something.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Segments(SegmentError::Machine { .. } | SegmentError::Stopped(_)) => {
                "look at the disk: space, rights, health; the agent tries again"
            }
            Self::Segments(SegmentError::Locked(_)) => "another evident-agent runs on this host",
            Self::Segments(_) | Self::Content { .. } | Self::Gone(_) | Self::Missing { .. } => {
                "the stream cannot go on safely; `evident-agent enrol --again` begins a new \
                 generation and leaves this folder as it is"
            }
            Self::Order { .. } => "report this as a fault of evident-agent",
        }
    }
}

/// The spool of one generation, open for the one process that may write to it.
#[derive(Debug)]
pub struct Spool {
    segments: Segments,
    /// Most bytes that may be live.
    live_max: u64,
    contents: Contents,
}

/// What can be told of a spool while another process writes to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// The last record.
    pub head: Option<StreamHead>,
    /// When the last record was made.
    pub last: Option<Moment>,
    /// What was seen of the ledger, and up to which own record.
    pub seen: Seen,
    /// How many records have no receipt.
    pub depth: usize,
    /// Bytes of what is live.
    pub bytes: u64,
    /// What was dropped and stands in no record yet.
    pub lost: Option<Gap>,
}

/// A submission and the records in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Frames: blobs before the attestations that name them.
    pub body: Vec<u8>,
    /// Number and id of each attestation in it.
    pub records: Vec<StreamHead>,
}

impl Spool {
    /// Begins the spool of a new generation, whose first record follows the enrolment record
    /// `record`, and which has seen `seen` of the ledger, proven by `checkpoint`.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Segments`].
    pub fn create(
        folder: &Path,
        record: Digest,
        seen: TreeHead,
        checkpoint: &str,
    ) -> Result<(), SpoolError> {
        let state = State::new(record, seen, checkpoint);
        let mut spool = Self {
            segments: Segments::open(folder, SEGMENT_BYTES)?,
            live_max: 0,
            contents: Contents::new(folder, state),
        };
        spool.write_state().map(drop)
    }

    /// Opens the spool of a generation that has begun; it may take `bytes_max` bytes on disk.
    ///
    /// # Errors
    ///
    /// [`SpoolError`]; nothing is changed then.
    pub fn open(folder: &Path, bytes_max: u64) -> Result<Self, SpoolError> {
        if !folder.is_dir() {
            return Err(SpoolError::Gone(folder.to_owned()));
        }
        let segments = Segments::open(folder, SEGMENT_BYTES)?;
        Ok(Self {
            contents: Contents::read(folder, segments.reader())?,
            live_max: bytes_max / 3,
            segments,
        })
    }

    /// Looks into a spool without opening it for writing.
    ///
    /// # Errors
    ///
    /// [`SpoolError`].
    pub fn glance(folder: &Path) -> Result<Glance, SpoolError> {
        let contents = Contents::read(folder, &Reader::open(folder))?;
        Ok(Glance {
            head: contents.state.head,
            seen: contents.state.seen(),
            depth: contents.unsent.len(),
            bytes: contents.live_bytes(),
            last: contents.state.last,
            lost: contents.state.lost,
        })
    }

    /// The number of the next record.
    pub fn next_seq(&self) -> u64 {
        self.contents.state.next_seq()
    }

    /// What the next record must name as the one before it.
    pub const fn link(&self) -> Digest {
        self.contents.state.link()
    }

    /// The last record.
    pub const fn head(&self) -> Option<StreamHead> {
        self.contents.state.head
    }

    /// When the last record was made.
    pub const fn last(&self) -> Option<&Moment> {
        self.contents.state.last.as_ref()
    }

    /// What was seen of the ledger, and up to which own record.
    pub const fn seen(&self) -> Seen {
        self.contents.state.seen()
    }

    /// The newest head of the ledger that was proven to grow from all before.
    pub const fn tree(&self) -> TreeHead {
        self.contents.state.seen
    }

    /// The signed checkpoint of that head.
    pub fn checkpoint(&self) -> &str {
        &self.contents.state.checkpoint
    }

    /// How many records have no receipt.
    pub fn depth(&self) -> usize {
        self.contents.unsent.len()
    }

    /// The id of a record that has no receipt yet.
    #[must_use]
    pub fn unsent(&self, seq: u64) -> Option<Digest> {
        self.contents.unsent.get(&seq).map(|unsent| unsent.id)
    }

    /// The blobs that a record without receipt names.
    #[must_use]
    pub fn named(&self, seq: u64) -> &[Digest] {
        let unsent = self.contents.unsent.get(&seq);
        unsent.map_or(&[], |unsent| &unsent.blobs)
    }

    /// What was dropped and stands in no record yet.
    pub const fn lost(&self) -> Option<&Gap> {
        self.contents.state.lost.as_ref()
    }

    /// Keeps a record and those of its blobs that are not here yet. It is on disk afterwards.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Order`], or [`SpoolError::Segments`]: then open the spool anew to know
    /// whether the record is in it.
    pub fn append(
        &mut self,
        attestation: &Attestation,
        blobs: &[Vec<u8>],
    ) -> Result<(), SpoolError> {
        let place = &attestation.evidence().stream;
        let (came, due) = (place.seq, self.next_seq());
        if came != due || place.prev != self.link() {
            return Err(SpoolError::Order { came, due });
        }
        let mut new = BTreeMap::new();
        for blob in blobs {
            let digest = Digest::of(blob);
            if !self.contents.blobs.contains_key(&digest) {
                new.insert(digest, record(BLOB, blob));
            }
        }
        let file = record(ATTESTATION, attestation.file());
        let bytes: usize = new.values().map(Vec::len).sum::<usize>() + file.len();
        self.make_room(u64::try_from(bytes).unwrap_or(u64::MAX))?;
        let mut payloads: Vec<&[u8]> = new.values().map(Vec::as_slice).collect();
        payloads.push(&file);
        let positions = self.write(&payloads)?;
        self.segments.sync()?;
        for ((digest, payload), position) in new.iter().zip(&positions) {
            self.contents
                .blobs
                .insert(*digest, Held::new(*position, payload));
        }
        if let Some(position) = positions.last() {
            self.contents
                .entered(attestation, Held::new(*position, &file));
        }
        self.contents.let_go();
        self.tidy()
    }

    /// Notes that a receipt proved the growth of the ledger to `seen`, whose signed form is
    /// `checkpoint`, and the records up to `acked`; what is proven is forgotten.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Segments`].
    pub fn acknowledge(
        &mut self,
        seen: TreeHead,
        checkpoint: &str,
        acked: Option<u64>,
    ) -> Result<(), SpoolError> {
        self.contents.proven(seen, checkpoint, acked);
        self.write_state()?;
        self.tidy()
    }

    /// The oldest records without receipt and the blobs that the collector has not, or that it
    /// says it misses; `None` when all have a receipt.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Segments`].
    pub fn batch(&self, missing: &BTreeSet<Digest>) -> Result<Option<Batch>, SpoolError> {
        let mut batch = Batch {
            body: Vec::new(),
            records: Vec::new(),
        };
        let mut included = BTreeSet::new();
        for (seq, unsent) in self
            .contents
            .unsent
            .iter()
            .take(limits::BATCH_ATTESTATIONS_MAX)
        {
            let mut frames = Vec::new();
            for digest in &unsent.blobs {
                let wanted = missing.contains(digest) || !self.contents.state.sent.contains(digest);
                if !wanted || !included.insert(*digest) {
                    continue;
                }
                match self.contents.blobs.get(digest) {
                    Some(held) => Frame::Blob(&self.read(*held)?).write(&mut frames),
                    None => Frame::Dropped(*digest).write(&mut frames),
                }
            }
            Frame::Attestation(&self.read(unsent.at)?).write(&mut frames);
            let longer = BATCH_BYTES < batch.body.len().saturating_add(frames.len());
            if longer && !batch.records.is_empty() {
                break;
            }
            batch.body.append(&mut frames);
            batch.records.push(StreamHead {
                seq: *seq,
                id: unsent.id,
            });
        }
        Ok((!batch.records.is_empty()).then_some(batch))
    }

    /// Whether a blob is here.
    #[cfg(test)]
    pub(crate) fn holds(&self, blob: &Digest) -> bool {
        self.contents.blobs.contains_key(blob)
    }

    fn read(&self, held: Held) -> Result<Vec<u8>, SpoolError> {
        let mut payload = self.segments.reader().read(held.position)?;
        payload.drain(..payload.len().min(1));
        Ok(payload)
    }

    /// Drops blobs, oldest first, until `bytes` more fit; then a quarter more, so that the next
    /// records find room without dropping. Those of the newest observations are dropped last.
    fn make_room(&mut self, bytes: u64) -> Result<(), SpoolError> {
        let live = self.contents.live_bytes().saturating_add(bytes);
        if live <= self.live_max {
            return Ok(());
        }
        // Where attestations alone take the room, dropping a few blobs at each record would free
        // nothing and write everything anew each time.
        if self.contents.droppable_bytes() < self.live_max / BLOBS_LEFT {
            return Ok(());
        }
        let too_many = live.saturating_sub(self.live_max / 4 * 3);
        if !self.contents.drop_blobs(too_many) {
            return Ok(());
        }
        self.rewrite()
    }

    /// Writes the live part anew when the dead part has become the larger one.
    fn tidy(&mut self) -> Result<(), SpoolError> {
        let live = self.contents.live_bytes();
        if self.contents.written.saturating_sub(live) < live.max(DEAD_BYTES_MIN) {
            return Ok(());
        }
        self.rewrite()
    }

    fn rewrite(&mut self) -> Result<(), SpoolError> {
        self.contents.written = 0;
        let begin = self.write_state()?;
        let blobs: Vec<(Digest, Held)> = self
            .contents
            .blobs
            .iter()
            .map(|(id, at)| (*id, *at))
            .collect();
        for (digest, held) in blobs {
            let held = self.copy(held)?;
            self.contents.blobs.insert(digest, held);
        }
        let unsent: Vec<(u64, Held)> = self
            .contents
            .unsent
            .iter()
            .map(|(seq, one)| (*seq, one.at))
            .collect();
        for (seq, held) in unsent {
            let held = self.copy(held)?;
            if let Some(unsent) = self.contents.unsent.get_mut(&seq) {
                unsent.at = held;
            }
        }
        self.segments.sync()?;
        Ok(self.segments.forget_before(begin)?)
    }

    fn copy(&mut self, held: Held) -> Result<Held, SpoolError> {
        let payload = self.segments.reader().read(held.position)?;
        let positions = self.write(&[&payload])?;
        Ok(positions.first().map_or(held, |position| Held {
            position: *position,
            ..held
        }))
    }

    fn write_state(&mut self) -> Result<Position, SpoolError> {
        let payload = self.contents.state.payload(STATE);
        let positions = self.write(&[&payload])?;
        self.segments.sync()?;
        Ok(positions.first().copied().unwrap_or_default())
    }

    fn write(&mut self, payloads: &[&[u8]]) -> Result<Vec<Position>, SpoolError> {
        let bytes: usize = payloads.iter().map(|payload| payload.len()).sum();
        let positions = self.segments.append(payloads)?;
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.contents.written = self.contents.written.saturating_add(bytes);
        Ok(positions)
    }
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[kind], content].concat()
}

#[cfg(test)]
mod tests;
