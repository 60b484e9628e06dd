//! The write-ahead log of a SQLite database: pages that are newer than those of the database.
//!
//! Frames count up to the last one that ends a transaction and whose checksum, which goes on from
//! frame to frame, is right; what stands behind it is left from before, or was never finished.
//!
//! Source: <https://sqlite.org/fileformat2.html> section 4.

use std::collections::BTreeMap;

use shared::observation::Status;

use super::sqlite_row::number;
use crate::host::{Host, Parts, Unseen};

/// Largest log that is read; SQLite begins anew at 4 MB unless a transaction is larger.
const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;
const FRAME_HEADER_BYTES: usize = 24;
/// The last bit says in which byte order the checksums are.
const MAGIC: u64 = 0x377f_0682;
const VERSION: u64 = 3_007_000;

/// A write-ahead log, and where in it the newest version of each page is.
pub(super) struct Log {
    path: String,
    file: Option<Box<dyn Parts>>,
    offsets: BTreeMap<u32, u64>,
    pages: Option<u32>,
}

impl Log {
    /// Bytes before the first frame.
    pub(super) const HEADER_BYTES: usize = 32;
    /// The same.
    pub(super) const HEADER_BYTES_U64: u64 = 32;

    /// Reads which pages are in the log; one that is absent or empty has none.
    ///
    /// # Errors
    ///
    /// [`Unseen`]; [`Status::Malformed`] when it belongs to another page size.
    pub(super) fn read(host: &dyn Host, path: &str, page_bytes: usize) -> Result<Self, Unseen> {
        let mut log = Self {
            path: path.to_owned(),
            file: None,
            offsets: BTreeMap::new(),
            pages: None,
        };
        let bytes = match host.stat(path) {
            Err(unseen) if unseen.is_absent() => return Ok(log),
            stat => stat?.bytes,
        };
        if LOG_BYTES_MAX < bytes {
            return Err(Unseen::new(path, Status::Limit, None));
        }
        if bytes < Self::HEADER_BYTES_U64 {
            return Ok(log);
        }
        let file = host.open_parts(path)?;
        log.scan(&*file, bytes, page_bytes)?;
        log.file = Some(file);
        Ok(log)
    }

    fn scan(&mut self, file: &dyn Parts, bytes: u64, page_bytes: usize) -> Result<(), Unseen> {
        let unread = |error: &std::io::Error| Unseen::from_io(&self.path, error);
        let mut header = [0; Self::HEADER_BYTES];
        file.fill(&mut header, 0).map_err(|e| unread(&e))?;
        let field = |at| number(&header, at, 4).unwrap_or_default();
        let mut sum = Checksum::new(field(0) & 1 == 1);
        sum.add(header.get(..24).unwrap_or_default());
        // A header that was never finished is one of a log without frames.
        if field(0) & !1 != MAGIC || !sum.is(field(24), field(28)) {
            return Ok(());
        }
        if field(4) != VERSION {
            let why = Some("a newer form of the log");
            return Err(Unseen::new(&self.path, Status::Unsupported, why));
        }
        if usize::try_from(field(8)).ok() != Some(page_bytes) {
            let why = Some("its pages have another size");
            return Err(Unseen::new(&self.path, Status::Malformed, why));
        }
        let salt = header.get(16..24).unwrap_or_default();
        let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
        let frame_bytes = u64::try_from(frame.len()).unwrap_or(u64::MAX);
        let mut offset = Self::HEADER_BYTES_U64;
        let mut open = BTreeMap::new();
        while offset.saturating_add(frame_bytes) <= bytes {
            file.fill(&mut frame, offset).map_err(|e| unread(&e))?;
            let field = |at| number(&frame, at, 4).unwrap_or_default();
            sum.add(frame.get(..8).unwrap_or_default());
            sum.add(frame.get(FRAME_HEADER_BYTES..).unwrap_or_default());
            if frame.get(8..16) != Some(salt) || !sum.is(field(16), field(20)) {
                break;
            }
            let page = u32::try_from(field(0)).unwrap_or_default();
            let header_bytes = u64::try_from(FRAME_HEADER_BYTES).unwrap_or_default();
            let _older = open.insert(page, offset + header_bytes);
            if field(4) != 0 {
                self.pages = u32::try_from(field(4)).ok();
                self.offsets.append(&mut open);
            }
            offset += frame_bytes;
        }
        Ok(())
    }

    /// Pages of the database after the last transaction in the log.
    pub(super) fn pages(&self) -> Option<u32> {
        self.pages
    }

    /// How many pages the log has a version of.
    pub(super) fn frames(&self) -> u64 {
        u64::try_from(self.offsets.len()).unwrap_or(u64::MAX)
    }

    /// Reads a page from the log. Whether it is there.
    ///
    /// # Errors
    ///
    /// [`Unseen`] of the file.
    pub(super) fn page(&self, page: u32, into: &mut [u8]) -> Result<bool, Unseen> {
        match (&self.file, self.offsets.get(&page)) {
            (Some(file), Some(offset)) => {
                let read = file.fill(into, *offset);
                read.map_err(|error| Unseen::from_io(&self.path, &error))?;
                Ok(true)
            }
            _ => Ok(false),
        }
    }
}

struct Checksum {
    big_endian: bool,
    sums: (u32, u32),
}

impl Checksum {
    fn new(big_endian: bool) -> Self {
        Self {
            big_endian,
            sums: (0, 0),
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let (pairs, _rest) = bytes.as_chunks::<8>();
        let (mut first, mut second) = self.sums;
        for [a, b, c, d, e, f, g, h] in pairs {
            let word = |bytes| {
                let word = u32::from_be_bytes(bytes);
                if self.big_endian {
                    word
                } else {
                    word.swap_bytes()
                }
            };
            first = first
                .wrapping_add(word([*a, *b, *c, *d]))
                .wrapping_add(second);
            second = second
                .wrapping_add(word([*e, *f, *g, *h]))
                .wrapping_add(first);
        }
        self.sums = (first, second);
    }

    fn is(&self, first: u64, second: u64) -> bool {
        (u64::from(self.sums.0), u64::from(self.sums.1)) == (first, second)
    }
}
