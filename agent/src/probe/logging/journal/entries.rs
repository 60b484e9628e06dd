//! The entries of a journal file that have a certain value in a certain field.
//!
//! Every value stands once in a file, is found by its hash, and knows its entries: so a rare
//! message is found by a few hundred small reads, however large the file is, and whatever other
//! values its writers choose. Nothing is decompressed: values of less than 512 bytes are stored as
//! they are unless `Compress=` sets another limit, and a value that is compressed is passed over.
//!
//! Format: <https://systemd.io/JOURNAL_FILE_FORMAT>.

use shared::observation::Status;
use shared::time::Timestamp;

use super::hash;
use super::header::{self, Header, number};
use crate::host::{Parts, Unseen};

/// Kinds of objects.
const DATA: u8 = 1;
const ENTRY: u8 = 3;
const ENTRY_ARRAY: u8 = 6;
/// Bits of an object that is compressed: XZ, LZ4, ZSTD.
const COMPRESSED: u8 = 7;
/// Bytes of a place in the table of values: where a chain begins, and where it ends.
const BUCKET_BYTES: u64 = 16;
/// As much of an object as is read: a short value, or an entry of a hundred fields.
const OBJECT_BYTES_MAX: usize = 2 * 1024;
/// Bytes before the offsets of an entry, and of an array of entries.
const ENTRY_BYTES: usize = 64;
const ARRAY_BYTES: usize = 24;

/// A journal file in which is searched.
pub(super) struct Search<'a> {
    path: &'a str,
    parts: Box<dyn Parts>,
    header: Header,
    /// How often it may still be read.
    budget: &'a mut usize,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// When journald took it.
    pub(super) at: Timestamp,
    /// Its fields as `NAME=value`, without those that are compressed or long.
    pub(super) fields: Vec<String>,
}

/// A value, and where its entries are.
pub(super) struct Found {
    /// Where it stands itself.
    at: u64,
    first: u64,
    array: u64,
    count: u64,
}

/// How many entries are wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// None before this time.
    pub(super) since: Timestamp,
    /// Most entries that are looked at.
    pub(super) looked_max: usize,
    /// Most entries whose fields are read.
    pub(super) read_max: usize,
}

impl Entry {
    /// The value of a field.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let mut pairs = self.fields.iter().filter_map(|field| field.split_once('='));
        pairs
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    }
}

impl<'a> Search<'a> {
    /// Begins; `budget` is how often all searches together may read.
    pub(super) fn new(
        path: &'a str,
        parts: Box<dyn Parts>,
        header: Header,
        budget: &'a mut usize,
    ) -> Self {
        Self {
            path,
            parts,
            header,
            budget,
        }
    }

    /// The value of a field, written `NAME=value`; `None` when no entry has it. A file without
    /// a table of values has none.
    ///
    /// # Errors
    ///
    /// [`Unseen`]: [`Status::Malformed`] when the file is damaged, [`Status::Limit`] when it was
    /// read too often.
    pub(super) fn value(&mut self, text: &str) -> Result<Option<Found>, Unseen> {
        let (table, length) = self.header.values;
        let hash = hash::of(text.as_bytes(), self.header.hash_key.as_ref());
        let Some(bucket) = hash.checked_rem(length / BUCKET_BYTES) else {
            return Ok(None);
        };
        let Some(place) = table.checked_add(bucket * BUCKET_BYTES) else {
            return Err(self.damaged("an offset leads out of the file"));
        };
        let chain = self.read(place, 8)?;
        let payload = if self.header.compact { 72 } else { 64 };
        let mut at = number(&chain, 0).unwrap_or_default();
        while at != 0 {
            let object = self.object(at, DATA, payload)?;
            let number = |place| number(&object, place).unwrap_or_default();
            if number(16) == hash && text_of(&object, payload).is_some_and(|found| found == text) {
                return Ok(Some(Found {
                    at,
                    first: number(40),
                    array: number(48),
                    count: number(56),
                }));
            }
            let next = number(24);
            // Later ones are appended, so a chain that turns back is no chain.
            if next != 0 && next <= at {
                return Err(self.damaged("a chain of values leads back"));
            }
            at = next;
        }
        Ok(None)
    }

    /// The newest entries of a value, the newest first, of those only that also have the value
    /// `with`; and whether these are all that are wanted.
    ///
    /// # Errors
    ///
    /// As [`Search::value`].
    pub(super) fn entries(
        &mut self,
        found: &Found,
        with: Option<&Found>,
        wanted: Wanted,
    ) -> Result<(Vec<Entry>, bool), Unseen> {
        let mut entries = Vec::new();
        let offsets = self.newest(found, wanted.looked_max)?;
        let all = u64::try_from(offsets.len()).is_ok_and(|looked| found.count <= looked);
        for offset in offsets {
            let (at, items) = self.items(offset)?;
            if at < wanted.since {
                return Ok((entries, true));
            }
            if with.is_some_and(|with| !items.contains(&with.at)) {
                continue;
            }
            if entries.len() == wanted.read_max {
                return Ok((entries, false));
            }
            let fields = self.fields(&items)?;
            entries.push(Entry { at, fields });
        }
        Ok((entries, all))
    }

    /// Offsets of the newest entries, newest first.
    fn newest(&mut self, found: &Found, count_max: usize) -> Result<Vec<u64>, Unseen> {
        let item = if self.header.compact { 4 } else { 8 };
        // The arrays of offsets, each with the number of those that are used.
        let mut arrays = Vec::new();
        let mut left = found.count.saturating_sub(1);
        let mut at = found.array;
        while at != 0 && left != 0 {
            let object = self.object(at, ENTRY_ARRAY, ARRAY_BYTES)?;
            let size = number(&object, 8).unwrap_or_default();
            let room = size.saturating_sub(24) / item;
            let used = room.min(left);
            arrays.push((at, used));
            left -= used;
            let next = number(&object, 16).unwrap_or_default();
            if next != 0 && next <= at {
                return Err(self.damaged("a chain of entries leads back"));
            }
            at = next;
        }
        let mut offsets = Vec::new();
        for (at, used) in arrays.into_iter().rev() {
            let wanted = u64::try_from(count_max - offsets.len()).unwrap_or(u64::MAX);
            let taken = used.min(wanted);
            let bytes = usize::try_from(taken * item).unwrap_or_default();
            let items = self.read(at + 24 + (used - taken) * item, bytes)?;
            let width = usize::try_from(item).unwrap_or(8);
            offsets.extend(items.chunks_exact(width).rev().map(offset));
            if offsets.len() == count_max {
                return Ok(offsets);
            }
        }
        if 0 < found.count && offsets.len() < count_max {
            offsets.push(found.first);
        }
        Ok(offsets)
    }

    /// The time of an entry, and where its values stand.
    fn items(&mut self, at: u64) -> Result<(Timestamp, Vec<u64>), Unseen> {
        let object = self.object(at, ENTRY, ENTRY_BYTES)?;
        let time = header::time(number(&object, 24).unwrap_or_default());
        let Ok(Some(time)) = time else {
            return Err(self.damaged("an entry without a time"));
        };
        let width = if self.header.compact { 4 } else { 16 };
        let items = object.get(ENTRY_BYTES..).unwrap_or_default();
        Ok((time, items.chunks_exact(width).map(offset).collect()))
    }

    fn fields(&mut self, items: &[u64]) -> Result<Vec<String>, Unseen> {
        let payload = if self.header.compact { 72 } else { 64 };
        let mut fields = Vec::new();
        for item in items {
            let data = self.object(*item, DATA, payload)?;
            fields.extend(text_of(&data, payload));
        }
        Ok(fields)
    }

    /// An object of this kind, as far as it is read, with at least `least` bytes.
    fn object(&mut self, at: u64, kind: u8, least: usize) -> Result<Vec<u8>, Unseen> {
        let inside = self.header.bytes <= at && at < self.header.end;
        if !at.is_multiple_of(8) || !inside {
            return Err(self.damaged("an offset leads out of the file"));
        }
        let mut object = self.read_some(at, OBJECT_BYTES_MAX)?;
        let size = number(&object, 8).and_then(|size| usize::try_from(size).ok());
        let whole = size.filter(|size| least <= *size);
        match whole {
            Some(size) if object.first() == Some(&kind) && least <= object.len() => {
                object.truncate(size);
                Ok(object)
            }
            Some(_) | None => Err(self.damaged("an object is no such object")),
        }
    }

    /// Exactly these bytes.
    fn read(&mut self, at: u64, bytes: usize) -> Result<Vec<u8>, Unseen> {
        let found = self.read_some(at, bytes)?;
        if found.len() == bytes {
            Ok(found)
        } else {
            Err(self.damaged("an object is cut off"))
        }
    }

    fn read_some(&mut self, at: u64, bytes: usize) -> Result<Vec<u8>, Unseen> {
        let Some(left) = self.budget.checked_sub(1) else {
            let why = "too many entries to read";
            return Err(Unseen::new(self.path, Status::Limit, Some(why)));
        };
        *self.budget = left;
        let read = self.parts.part(at, bytes);
        read.map_err(|error| Unseen::from_io(self.path, &error))
    }

    fn damaged(&self, why: &str) -> Unseen {
        Unseen::new(self.path, Status::Malformed, Some(why))
    }
}

/// The text of a value that is neither compressed nor longer than what was read.
fn text_of(object: &[u8], payload: usize) -> Option<String> {
    let plain = object.get(1)? & COMPRESSED == 0;
    let size = usize::try_from(number(object, 8)?).ok()?;
    let text = object
        .get(payload..)
        .filter(|_| plain && size == object.len())?;
    String::from_utf8(text.to_vec()).ok()
}

/// An offset of 4 bytes, or of 8 with a hash behind it.
fn offset(item: &[u8]) -> u64 {
    number(item, 0).unwrap_or_else(|| {
        let mut wide = [0; 8];
        for (to, from) in wide.iter_mut().zip(item) {
            *to = *from;
        }
        number(&wide, 0).unwrap_or_default()
    })
}
