//! Reading segment files: one record by its position, or all in the order of writing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::segments::{FRAME, HEADER, MAGIC, Position, SegmentError, checksum, header_sum};
use crate::limits;

/// Most files that a reader keeps open.
const OPEN_FILES_MAX: usize = 64;

/// Reads the records of a folder, also while another object appends to it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Reader {
    folder: PathBuf,
    open: Arc<Mutex<BTreeMap<u32, Arc<Segment>>>>,
}

/// An open file with the salt of its checksums.
#[derive(Debug)]
pub(super) struct Segment {
    file: File,
    pub(super) salt: u32,
}

/// What lies behind the last good record of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing but zeros.
    Clean,
    /// A group that was not synced.
    Torn,
    /// Something that had been synced.
    Damaged,
}

impl Reader {
    /// A reader of the segment files in `folder`; files are opened when they are needed.
    #[must_use]
    pub fn open(folder: &Path) -> Self {
        let folder = folder.to_owned();
        Self {
            folder,
            open: Arc::default(),
        }
    }

    /// Reads the record at `position`.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Damaged`] when there is no good record, [`SegmentError::Machine`] when the
    /// file is not there or cannot be read.
    pub fn read(&self, position: Position) -> Result<Vec<u8>, SegmentError> {
        let segment = self.file(position.segment())?;
        let offset = u64::from(position.offset());
        let damaged = |what| SegmentError::Damaged {
            path: self.path(position.segment()),
            offset,
            what,
        };
        let mut frame = [[0; 4]; 3];
        let read = segment.file.read_exact_at(frame.as_flattened_mut(), offset);
        read.map_err(|_short| damaged("there is no record"))?;
        let [length, sum, synced] = frame;
        let bytes = payload_length(length).ok_or_else(|| damaged("there is no record"))?;
        let mut payload = vec![0; bytes];
        let read = segment
            .file
            .read_exact_at(&mut payload, offset + u64::from(FRAME));
        read.map_err(|_short| damaged("the record is cut short"))?;
        if checksum(segment.salt, length, synced, &payload).to_be_bytes() == sum {
            Ok(payload)
        } else {
            Err(damaged("the checksum of the record is false"))
        }
    }

    /// All records from the oldest on.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Machine`] when the folder cannot be read, [`SegmentError::Damaged`] when a
    /// file in the middle is missing.
    pub fn records(&self) -> Result<Records, SegmentError> {
        let first = self.numbers()?.first().copied().unwrap_or(0);
        Ok(self.records_from(Position::new(first, HEADER)))
    }

    /// The records from `position` on, which must be that of a record or the end of the last one.
    pub fn records_from(&self, position: Position) -> Records {
        Records::new(self.clone(), position)
    }

    /// The file with this number.
    #[must_use]
    pub fn path(&self, number: u32) -> PathBuf {
        self.folder.join(format!("{number:010}.seg"))
    }

    /// The numbers of the files, ascending and without a gap.
    pub(super) fn numbers(&self) -> Result<Vec<u32>, SegmentError> {
        let listed = || -> std::io::Result<Vec<u32>> {
            let mut numbers = Vec::new();
            for entry in std::fs::read_dir(&self.folder)? {
                let name = entry?.file_name();
                let number = name.to_str().and_then(|name| name.strip_suffix(".seg"));
                numbers.extend(number.and_then(|number| number.parse::<u32>().ok()));
            }
            numbers.sort_unstable();
            Ok(numbers)
        };
        let numbers = listed().map_err(SegmentError::machine("list", &self.folder))?;
        let gap = numbers
            .array_windows()
            .find(|[one, next]| one.checked_add(1) != Some(*next));
        match gap {
            Some([before, _]) => Err(SegmentError::Damaged {
                path: self.path(before.saturating_add(1)),
                offset: 0,
                what: "the file is missing",
            }),
            None => Ok(numbers),
        }
    }

    pub(super) fn file(&self, number: u32) -> Result<Arc<Segment>, SegmentError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(segment) = open.get(&number) {
            return Ok(Arc::clone(segment));
        }
        let segment = Arc::new(open_segment(&self.path(number), number)?);
        if OPEN_FILES_MAX <= open.len() {
            // The oldest is the least likely to be read again.
            drop(open.pop_first());
        }
        let _none_before = open.insert(number, Arc::clone(&segment));
        Ok(segment)
    }

    pub(super) fn forget(&self, number: u32) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        drop(open.remove(&number));
    }
}

/// The length of a payload, if a record may have it.
fn payload_length(length: [u8; 4]) -> Option<usize> {
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    (1..=limits::RECORD_BYTES_MAX)
        .contains(&length)
        .then_some(length)
}

fn open_segment(path: &Path, number: u32) -> Result<Segment, SegmentError> {
    let file = File::open(path).map_err(SegmentError::machine("open", path))?;
    let mut header = [[0; 4]; 5];
    let read = file.read_exact_at(header.as_flattened_mut(), 0);
    let [magic @ .., given, salt, sum] = header;
    let computed = header_sum(number, salt).to_be_bytes();
    let right = magic.as_flattened() == MAGIC && given == number.to_be_bytes();
    if read.is_ok() && right && sum == computed {
        let salt = u32::from_be_bytes(salt);
        return Ok(Segment { file, salt });
    }
    let what = "the header is not that of this segment file";
    let path = path.to_owned();
    Err(SegmentError::Damaged {
        path,
        offset: 0,
        what,
    })
}

/// The records of a folder in the order of writing.
///
/// It ends where the newest file ends; asked again, it goes on when more was appended.
#[derive(Debug)]
pub struct Records {
    reader: Reader,
    number: u32,
    offset: u32,
    /// The file that is being read, at `offset`.
    open: Option<BufReader<File>>,
    /// A newer file was there before this one was read to its end.
    closed: bool,
    tail: Tail,
}

impl Records {
    pub(super) fn new(reader: Reader, position: Position) -> Self {
        let (number, offset) = (position.segment(), position.offset().max(HEADER));
        let (open, closed, tail) = (None, false, Tail::Clean);
        Self {
            reader,
            number,
            offset,
            open,
            closed,
            tail,
        }
    }

    /// Where the next record is, or will be.
    pub fn at(&self) -> Position {
        Position::new(self.number, self.offset)
    }

    /// What stands behind the last record of the newest file; known when the records ended.
    pub(super) const fn tail(&self) -> Tail {
        self.tail
    }

    fn advance(&mut self) -> Result<Option<(Position, Vec<u8>)>, SegmentError> {
        loop {
            if let Some(payload) = self.take()? {
                return Ok(Some(self.step(payload)));
            }
            // Opened anew when it is asked again, since more may have been appended by then.
            self.open = None;
            if !self.closed && self.reader.path(self.number.saturating_add(1)).exists() {
                self.closed = true;
                continue;
            }
            self.tail = self.look_behind()?;
            // What proves damage may have been written since the record here was looked at. It was
            // written after this record was synced, so if there is one, it is seen now.
            if self.tail == Tail::Damaged
                && let Some(payload) = self.take()?
            {
                return Ok(Some(self.step(payload)));
            }
            match self.tail {
                Tail::Clean if self.closed => {
                    (self.number, self.offset) = (self.number.saturating_add(1), HEADER);
                    self.closed = false;
                }
                Tail::Torn if !self.closed => return Ok(None),
                Tail::Clean => return Ok(None),
                Tail::Torn | Tail::Damaged => {
                    return Err(SegmentError::Damaged {
                        path: self.reader.path(self.number),
                        offset: self.offset.into(),
                        what: "the record is cut short or its checksum is false",
                    });
                }
            }
        }
    }

    /// Goes behind the record at the current offset.
    fn step(&mut self, payload: Vec<u8>) -> (Position, Vec<u8>) {
        let position = self.at();
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        self.offset = self.offset.saturating_add(FRAME).saturating_add(length);
        (position, payload)
    }

    /// The record at the current offset, if there is a good one.
    fn take(&mut self) -> Result<Option<Vec<u8>>, SegmentError> {
        let segment = self.reader.file(self.number)?;
        let path = self.reader.path(self.number);
        let open = match &mut self.open {
            Some(open) => open,
            none => {
                let file = File::open(&path).map_err(SegmentError::machine("open", &path))?;
                let mut file = BufReader::with_capacity(1 << 18, file);
                file.seek(SeekFrom::Start(self.offset.into()))
                    .map_err(SegmentError::machine("read", &path))?;
                none.insert(file)
            }
        };
        let mut read = |bytes: &mut [u8]| match open.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(SegmentError::machine("read", &path)(error)),
        };
        let mut frame = [[0; 4]; 3];
        if !read(frame.as_flattened_mut())? {
            return Ok(None);
        }
        let [length, sum, synced] = frame;
        let Some(bytes) = payload_length(length) else {
            return Ok(None);
        };
        let mut payload = vec![0; bytes];
        let whole = read(&mut payload)?;
        let computed = checksum(segment.salt, length, synced, &payload).to_be_bytes();
        let good = whole && computed == sum;
        Ok(Some(payload).filter(|_| good))
    }

    /// Judges what stands behind the last good record of the current file.
    fn look_behind(&self) -> Result<Tail, SegmentError> {
        let segment = self.reader.file(self.number)?;
        let path = self.reader.path(self.number);
        let looked = || -> std::io::Result<Vec<u8>> {
            let mut file = File::open(&path)?;
            let mut rest = Vec::new();
            let _at = file.seek(SeekFrom::Start(self.offset.into()))?;
            let _read = file.take(u64::from(u32::MAX)).read_to_end(&mut rest)?;
            Ok(rest)
        };
        let rest = looked().map_err(SegmentError::machine("read", &path))?;
        let Some(last) = rest.iter().rposition(|byte| *byte != 0) else {
            return Ok(Tail::Clean);
        };
        let proves = |place| proves_sync(&rest, place, self.offset, segment.salt);
        let damaged = (0..=last).any(|place| proves(place).is_some());
        Ok(if damaged { Tail::Damaged } else { Tail::Torn })
    }
}

/// Whether a good record at `place` of `rest` says that the file was synced beyond `offset`, where
/// `rest` begins.
fn proves_sync(rest: &[u8], place: usize, offset: u32, salt: u32) -> Option<()> {
    let (frame, behind) = rest.get(place..)?.split_first_chunk::<12>()?;
    let [length, sum, synced] = *frame.as_chunks::<4>().0 else {
        return None;
    };
    let at = u64::from(offset) + u64::try_from(place).ok()?;
    let beyond = u32::from_be_bytes(synced);
    let payload = behind.get(..payload_length(length)?)?;
    let plausible = offset < beyond && u64::from(beyond) <= at;
    let good = || checksum(salt, length, synced, payload).to_be_bytes() == sum;
    (plausible && good()).then_some(())
}

impl Iterator for Records {
    type Item = Result<(Position, Vec<u8>), SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
