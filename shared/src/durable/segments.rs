//! Append-only segment files: where the ledger and the spool keep what they promised.
//!
//! ```text
//! 0000000000.seg   header   "EVIDSEG" 0x01 | number of the file, 4 B | salt, 4 B | checksum, 4 B
//!                  record   length, 4 B | checksum, 4 B | synced, 4 B | payload
//!                  record   ..
//!                  zeros to the size of the file
//! lock             held by the one process that writes
//! ```
//!
//! Numbers are big-endian. The checksum is CRC32C, begun with the salt, over the length, `synced`
//! and the payload. `synced` is the offset up to which this file was known to be on disk when the
//! record was written.
//!
//! - A file gets its full size in zeros before it gets its name, so appending changes no metadata
//!   and `fdatasync` is cheap, and a full disk shows only when a file is begun: then nothing was
//!   written and everything goes on when there is room.
//! - Records are appended in groups, each with one write, never over the border of a file.
//! - At the end of the newest file a bad record is a write that never was synced, unless a good
//!   record behind it says that this place had been synced: that is damage, and never cut away.
//!   The salt is secret to those who send payloads, so nobody can send such a record on purpose.
//! - After a failed write or sync nothing is known about the file; the object refuses everything
//!   until it is opened anew. What memory holds may then never reach the disk, though a later
//!   sync says so; therefore opening writes once more what no record says was synced.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::records::{Reader, Records, Tail};
use crate::limits;

pub(super) const MAGIC: &[u8; 8] = b"EVIDSEG\x01";
/// Length of the header of a file.
pub(super) const HEADER: u32 = 20;
/// Length of the frame before a payload.
pub(super) const FRAME: u32 = 12;

/// Segment files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The machine refused; the operator must look at the disk and its rights.
    #[error("cannot {operation} {path}")]
    Machine {
        /// What was tried.
        operation: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the machine said.
        source: io::Error,
    },
    /// Another process, or this one, already writes there.
    #[error("{0} is in use by another process")]
    Locked(PathBuf),
    /// Bytes that were on disk are gone or changed. The operator must bring back a copy.
    #[error("{path} is damaged at offset {offset}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The offset of the record or the header, in bytes.
        offset: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// The payload is empty, or the payload or its group is longer than is kept.
    #[error("a record or a group of {0} bytes cannot be kept")]
    Length(usize),
    /// An earlier write or sync failed, so the state on disk is unknown; open the folder anew.
    #[error("{0} is not written any more after a failed write")]
    Stopped(PathBuf),
}

impl SegmentError {
    pub(super) fn machine(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Machine {
            operation,
            path,
            source,
        }
    }
}

/// The place of a record: number of the file and offset in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

impl Position {
    pub(super) fn new(segment: u32, offset: u32) -> Self {
        Self(u64::from(segment) << 32 | u64::from(offset))
    }

    /// A position from its number, as [`Position::to_u64`] gave it.
    pub const fn from_u64(packed: u64) -> Self {
        Self(packed)
    }

    /// Both parts in one number, in the order of writing.
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// The number of the file.
    pub fn segment(self) -> u32 {
        u32::try_from(self.0 >> 32).unwrap_or(u32::MAX)
    }

    /// The offset of the record's frame in the file.
    pub fn offset(self) -> u32 {
        u32::try_from(self.0 & u64::from(u32::MAX)).unwrap_or(u32::MAX)
    }
}

/// A folder of segment files, open for appending by this object alone.
#[derive(Debug)]
pub struct Segments {
    reader: Reader,
    /// Size of a new file.
    segment_bytes: u32,
    file: File,
    path: PathBuf,
    number: u32,
    salt: u32,
    length: u32,
    /// Where the next record goes.
    end: u32,
    /// Up to where the newest file is known to be on disk.
    synced: u32,
    /// Whether there is something else than zeros behind the end, or fewer than there should be.
    unclean: bool,
    stopped: bool,
    /// Holds the lock of the folder as long as this object lives.
    _lock: File,
}

impl Segments {
    /// Opens a folder for appending, and creates it when it is not there. A last group that was not
    /// synced is passed over, and cut away by the first [`Segments::append`], so that whoever finds
    /// more missing than that can still refuse and leave the bytes as they are. New files get
    /// `segment_bytes` bytes (at most 1 GiB).
    ///
    /// # Errors
    ///
    /// [`SegmentError::Locked`], [`SegmentError::Damaged`] in the newest file (older ones are
    /// checked when they are read), or [`SegmentError::Machine`].
    pub fn open(folder: &Path, segment_bytes: u64) -> Result<Self, SegmentError> {
        std::fs::create_dir_all(folder).map_err(SegmentError::machine("create", folder))?;
        let lock = lock(folder)?;
        let segment_bytes = u32::try_from(segment_bytes).unwrap_or(1 << 30).min(1 << 30);
        let reader = Reader::open(folder);
        let newest = reader.numbers()?.last().copied();
        let number = newest.unwrap_or(0);
        if newest.is_none() {
            let _first = create(&reader.path(0), 0, segment_bytes)?;
        }
        let path = reader.path(number);
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(SegmentError::machine("open", &path))?;
        let salt = reader.file(number)?.salt;
        let mut records = Records::new(reader.clone(), Position::new(number, HEADER));
        let mut last = None;
        while let Some((position, _payload)) = records.next().transpose()? {
            last = Some(position.offset());
        }
        let end = records.at().offset();
        let tail = records.tail();
        let length = file
            .metadata()
            .map_err(SegmentError::machine("read", &path))?
            .len();
        let segments = Self {
            reader,
            segment_bytes,
            file,
            path,
            number,
            salt,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            end,
            synced: end,
            unclean: tail == Tail::Torn || length < u64::from(segment_bytes),
            stopped: false,
            _lock: lock,
        };
        // A process that was killed, or a failed sync, may have left good records that only memory
        // holds so far.
        let synced = last.map_or(Ok(()), |last| write_again(&segments.file, last, end));
        let synced = synced.and_then(|()| segments.file.sync_data());
        synced.map_err(SegmentError::machine("sync", &segments.path))?;
        Ok(segments)
    }

    /// A reader of the same folder, for other threads.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Whether a failed write or sync ended this object; it must then be opened anew.
    pub const fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Where the next record goes, unless it needs a new file.
    pub fn end(&self) -> Position {
        Position::new(self.number, self.end)
    }

    /// Appends a group of records with one write. They are on disk after [`Segments::sync`].
    ///
    /// # Errors
    ///
    /// [`SegmentError::Length`], or [`SegmentError::Machine`] when no new file can be begun: then
    /// nothing was written and the call may be repeated. After any other failure, and from then
    /// on, [`SegmentError::Stopped`].
    pub fn append(&mut self, records: &[&[u8]]) -> Result<Vec<Position>, SegmentError> {
        self.check_running()?;
        if self.unclean {
            self.clear_tail()?;
        }
        let bytes = self.make_room(records)?;
        let mut group = Vec::with_capacity(bytes);
        let mut positions = Vec::with_capacity(records.len());
        let mut offset = self.end;
        for record in records {
            let payload = u32::try_from(record.len()).unwrap_or(u32::MAX);
            let (length, synced) = (payload.to_be_bytes(), self.synced.to_be_bytes());
            group.extend_from_slice(&length);
            group.extend_from_slice(&checksum(self.salt, length, synced, record).to_be_bytes());
            group.extend_from_slice(&synced);
            group.extend_from_slice(record);
            positions.push(Position::new(self.number, offset));
            offset = offset.saturating_add(FRAME).saturating_add(payload);
        }
        let written = self.file.write_all_at(&group, self.end.into());
        self.stop_after("write", written)?;
        self.end = offset;
        Ok(positions)
    }

    /// Waits until everything appended is on disk.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Machine`], and [`SegmentError::Stopped`] from then on: what a failed sync
    /// left on disk is unknown.
    pub fn sync(&mut self) -> Result<(), SegmentError> {
        self.check_running()?;
        if self.synced != self.end {
            let synced = self.file.sync_data();
            self.stop_after("sync", synced)?;
            self.synced = self.end;
        }
        Ok(())
    }

    /// Removes the files whose records all lie before `position`; never the newest file.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Machine`]; what is left is still in order.
    pub fn forget_before(&mut self, position: Position) -> Result<(), SegmentError> {
        self.check_running()?;
        let keep = position.segment().min(self.number);
        for number in self.reader.numbers()? {
            if number < keep {
                let path = self.reader.path(number);
                std::fs::remove_file(&path).map_err(SegmentError::machine("remove", &path))?;
                self.reader.forget(number);
            }
        }
        super::sync_folder(&self.path).map_err(SegmentError::machine("sync", &self.path))
    }

    /// Checks the lengths and begins a new file when the group does not fit into this one.
    fn make_room(&mut self, records: &[&[u8]]) -> Result<usize, SegmentError> {
        let frame = usize::try_from(FRAME).unwrap_or(usize::MAX);
        let mut bytes = 0_usize;
        for record in records {
            if record.is_empty() || limits::RECORD_BYTES_MAX < record.len() {
                return Err(SegmentError::Length(record.len()));
            }
            bytes = bytes.saturating_add(frame).saturating_add(record.len());
        }
        let need = u32::try_from(bytes).ok().filter(|bytes| *bytes < 1 << 31);
        let need = need.ok_or(SegmentError::Length(bytes))?;
        if self.length.saturating_sub(self.end) < need {
            self.roll(need)?;
        }
        Ok(bytes)
    }

    /// Begins the next file, large enough for `need` bytes of records.
    fn roll(&mut self, need: u32) -> Result<(), SegmentError> {
        // Only the newest file may end in a torn group, so this one must be whole first.
        self.sync()?;
        let number = self.number.checked_add(1).ok_or(SegmentError::Length(0))?;
        let path = self.reader.path(number);
        let length = self.segment_bytes.max(need.saturating_add(HEADER));
        let (file, salt) = create(&path, number, length)?;
        (self.file, self.path, self.number, self.salt) = (file, path, number, salt);
        (self.length, self.end, self.synced) = (length, HEADER, HEADER);
        Ok(())
    }

    /// Fills the newest file with zeros from the end of its records to its full size.
    fn clear_tail(&mut self) -> Result<(), SegmentError> {
        let length = self.length.max(self.segment_bytes).max(self.end);
        let cleared = zeros(&self.file, self.end, length).and_then(|()| self.file.sync_all());
        cleared.map_err(SegmentError::machine("clear the end of", &self.path))?;
        self.length = length;
        self.unclean = false;
        Ok(())
    }

    fn check_running(&self) -> Result<(), SegmentError> {
        if self.stopped {
            Err(SegmentError::Stopped(self.path.clone()))
        } else {
            Ok(())
        }
    }

    fn stop_after(
        &mut self,
        operation: &'static str,
        result: io::Result<()>,
    ) -> Result<(), SegmentError> {
        self.stopped = result.is_err();
        result.map_err(SegmentError::machine(operation, &self.path))
    }
}

/// CRC32C over the frame and the payload of a record, begun with the salt of its file.
pub(super) fn checksum(salt: u32, length: [u8; 4], synced: [u8; 4], payload: &[u8]) -> u32 {
    let frame = crc32c::crc32c_append(salt, &[length, synced].concat());
    crc32c::crc32c_append(frame, payload)
}

/// CRC32C over the header of a file.
pub(super) fn header_sum(number: u32, salt: [u8; 4]) -> u32 {
    let magic = crc32c::crc32c(MAGIC);
    crc32c::crc32c_append(magic, &[number.to_be_bytes(), salt].concat())
}

/// Takes the lock of a folder.
fn lock(folder: &Path) -> Result<File, SegmentError> {
    let path = folder.join("lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(SegmentError::machine("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(SegmentError::Locked(folder.to_owned())),
        Err(std::fs::TryLockError::Error(source)) => {
            Err(SegmentError::machine("lock", &path)(source))
        }
    }
}

/// Makes a file of zeros with a header; it takes its name only when it is whole.
fn create(path: &Path, number: u32, length: u32) -> Result<(File, u32), SegmentError> {
    let mut salt = [0; 4];
    aws_lc_rs::rand::fill(&mut salt)
        .map_err(io::Error::other)
        .map_err(SegmentError::machine("draw a salt for", path))?;
    let sum = header_sum(number, salt);
    let beside = path.with_extension("new");
    let made = || -> io::Result<File> {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(MAGIC)?;
        file.write_all(&number.to_be_bytes())?;
        file.write_all(&salt)?;
        file.write_all(&sum.to_be_bytes())?;
        zeros(&file, HEADER, length)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        super::sync_folder(path)?;
        Ok(file)
    };
    match made() {
        Ok(file) => Ok((file, u32::from_be_bytes(salt))),
        Err(source) => {
            // Gives the room back; the name is used again, so a failure here costs nothing.
            drop(std::fs::remove_file(&beside));
            Err(SegmentError::machine("begin", path)(source))
        }
    }
}

/// Writes once more what the record at `last` does not know to be on disk, up to `end`: the kernel
/// takes pages whose writing failed for clean, and would not write them again.
fn write_again(file: &File, last: u32, end: u32) -> io::Result<()> {
    let mut frame = [[0; 4]; 3];
    file.read_exact_at(frame.as_flattened_mut(), last.into())?;
    let [_length, _sum, synced] = frame;
    let mut at = u32::from_be_bytes(synced).clamp(HEADER, end);
    let mut block = vec![0; 1 << 16];
    while at < end {
        let step = (end - at).min(1 << 16);
        let part = usize::try_from(step).unwrap_or(usize::MAX);
        let part = block.get_mut(..part).unwrap_or_default();
        file.read_exact_at(part, at.into())?;
        file.write_all_at(part, at.into())?;
        at += step;
    }
    Ok(())
}

/// Writes zeros from `start` to `end`.
fn zeros(file: &File, start: u32, end: u32) -> io::Result<()> {
    let block = vec![0; 1 << 16];
    let mut at = start;
    while at < end {
        let step = (end - at).min(1 << 16);
        let part = usize::try_from(step)
            .ok()
            .and_then(|step| block.get(..step));
        file.write_all_at(part.unwrap_or_default(), at.into())?;
        at += step;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
