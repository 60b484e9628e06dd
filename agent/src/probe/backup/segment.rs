//! A segment of a borg repository of version 1: entries with a checksum each.
//!
//! ```text
//! BORG_SEG            8 bytes
//! crc                 4 bytes, little-endian, of what follows in the entry
//! size                4 bytes, little-endian, of the whole entry
//! tag                 0 put, 1 delete, 2 commit, 3 put of borg 1.4 and later
//! put                 id (32 bytes), object; of tag 3 a hash (8 bytes) before these, and the
//!                     checksum ends with the id
//! delete              id (32 bytes)
//! ```
//!
//! Source: borg 1.2, "Internals", "Data structures and file formats", "Segments".

use flate2::Crc;

use super::contents::{BUDGET_BYTES, stream};
use super::shown::View;
use crate::host::Unseen;

/// How much of a segment is read to see its first object.
pub(super) const HEAD_BYTES: u64 = 64 * 1024;
const MAGIC: &[u8] = b"BORG_SEG";
/// Checksum, size and tag.
const HEADER_BYTES: usize = 9;
/// Of a put of tag 3: tag, hash and id.
const PUT2_BYTES: u32 = 8 + 32;

/// Bytes are no segment of borg.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// The first byte of the first object in a segment; `None` when there is no object.
///
/// An entry is CRC (4 bytes), size of the whole entry (4 bytes, little-endian), tag (1 byte), then
/// for a put (0) the id (32 bytes) and the object, for a put of borg 1.4 (3) a hash (8 bytes)
/// before these.
pub(super) fn first_object(segment: &[u8]) -> Result<Option<u8>, Damaged> {
    let mut rest = segment.strip_prefix(b"BORG_SEG").ok_or(Damaged)?;
    while let Some(entry) = rest.first_chunk::<9>() {
        let [_, _, _, _, a, b, c, d, tag] = *entry;
        let size = usize::try_from(u32::from_be_bytes([d, c, b, a])).unwrap_or(usize::MAX);
        if size < entry.len() {
            return Err(Damaged);
        }
        match tag {
            0 => return Ok(rest.get(9 + 32).copied().filter(|_| 9 + 32 < size)),
            3 => return Ok(rest.get(9 + 8 + 32).copied().filter(|_| 9 + 8 + 32 < size)),
            1 | 2 => rest = rest.get(size..).unwrap_or_default(),
            _ => return Err(Damaged),
        }
    }
    Ok(None)
}

/// Whether a type of key encrypts, or is for plain or authenticated text only.
pub(super) fn encrypts(kind: u8) -> Option<bool> {
    match kind {
        0 | 1 | 3 | 4 | 5 => Some(true),
        2 | 6 | 7 => Some(false),
        _ => None,
    }
}

/// How a type of key encrypts.
pub(super) fn cipher(kind: u8) -> Option<&'static str> {
    match kind {
        0 | 1 | 3 => Some("AES-256-CTR with HMAC-SHA-256"),
        4 | 5 => Some("AES-256-CTR with BLAKE2b-256"),
        _ => None,
    }
}

/// Compares the entries of a segment with their checksums: how many bytes were read, and whether
/// they are whole. Of a long segment only the beginning is read.
///
/// # Errors
///
/// [`Unseen`].
pub(super) fn check(view: View<'_>, path: &str) -> Result<(u64, bool), Unseen> {
    let mut check = Check::default();
    let bytes = stream(view, path, BUDGET_BYTES, |chunk| check.take(chunk))?;
    Ok((bytes, check.whole(bytes == BUDGET_BYTES)))
}

/// Where in a segment the check is.
#[derive(Default)]
struct Check {
    head: Vec<u8>,
    begun: bool,
    broken: bool,
    crc: Crc,
    expected: u32,
    /// Bytes of the entry that are still to come, and of them those that the checksum is over.
    left: u32,
    summed: u32,
}

impl Check {
    fn take(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() && !self.broken {
            if self.left != 0 {
                chunk = self.body(chunk);
                continue;
            }
            let wanted = if self.begun {
                HEADER_BYTES
            } else {
                MAGIC.len()
            };
            let missing = wanted.saturating_sub(self.head.len()).min(chunk.len());
            let (head, tail) = chunk.split_at(missing);
            self.head.extend_from_slice(head);
            chunk = tail;
            if self.head.len() == wanted {
                self.header();
            }
        }
    }

    /// Takes what belongs to the entry, and returns what follows it.
    fn body<'a>(&mut self, chunk: &'a [u8]) -> &'a [u8] {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX);
        let (body, tail) = chunk.split_at(length.min(chunk.len()));
        let summed = usize::try_from(self.summed).unwrap_or(usize::MAX);
        let part = body.get(..summed.min(body.len())).unwrap_or_default();
        self.crc.update(part);
        self.summed = self.summed.saturating_sub(small(part.len()));
        self.left = self.left.saturating_sub(small(body.len()));
        if self.left == 0 {
            self.broken |= self.crc.sum() != self.expected;
        }
        tail
    }

    fn header(&mut self) {
        let head = std::mem::take(&mut self.head);
        if !self.begun {
            self.begun = true;
            self.broken = head != MAGIC;
            return;
        }
        let (Some((sum, sized)), Some(&tag)) = (head.split_first_chunk::<4>(), head.last()) else {
            return;
        };
        let Some(size) = sized.first_chunk::<4>() else {
            return;
        };
        self.expected = little_endian(*sum);
        let size = little_endian(*size);
        self.crc.reset();
        self.crc.update(sized);
        match size.checked_sub(small(HEADER_BYTES)) {
            Some(left) if tag <= 3 => {
                self.left = left;
                self.summed = if tag == 3 { left.min(PUT2_BYTES) } else { left };
                self.broken |= left == 0 && self.crc.sum() != self.expected;
            }
            Some(_) | None => self.broken = true,
        }
    }

    /// Whether all that was taken is whole; one that was `cut` may end anywhere.
    fn whole(&self, cut: bool) -> bool {
        let ended = self.begun && self.left == 0 && self.head.is_empty();
        !self.broken && (cut || ended)
    }
}

fn little_endian(mut bytes: [u8; 4]) -> u32 {
    bytes.reverse();
    u32::from_be_bytes(bytes)
}

/// A length of at most one chunk or header.
fn small(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(tag: u8, body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(body.len() + 9).unwrap();
        let mut size = size.to_be_bytes();
        size.reverse();
        [&[0; 4][..], &size[..], &[tag], body].concat()
    }

    #[test]
    fn first_objects() {
        let put = entry(0, &[&[1; 32][..], &[7, 9]].concat());
        let put2 = entry(3, &[&[1; 40][..], &[3]].concat());
        let (delete, commit) = (entry(1, &[2; 32]), entry(2, &[]));
        let whole = |parts: &[&[u8]]| [&b"BORG_SEG"[..], &parts.concat()].concat();
        for (segment, expected) in [
            (whole(&[&put]), Ok(Some(7))),
            (whole(&[&delete, &commit, &put2]), Ok(Some(3))),
            (whole(&[&commit]), Ok(None)),
            (whole(&[&entry(0, &[1; 32])]), Ok(None)),
            (whole(&[]), Ok(None)),
            (whole(&[&entry(9, &[])]), Err(Damaged)),
            (whole(&[&[0; 9]]), Err(Damaged)),
            (put.clone(), Err(Damaged)),
            (Vec::new(), Err(Damaged)),
        ] {
            assert_eq!(first_object(&segment), expected, "{segment:?}");
        }
    }

    /// An entry with its checksum.
    fn summed(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut entry = entry(tag, body);
        let mut crc = Crc::new();
        let end = if tag == 3 { 9 + 40 } else { entry.len() };
        crc.update(&entry[4..end]);
        let mut sum = crc.sum().to_be_bytes();
        sum.reverse();
        entry[..4].copy_from_slice(&sum);
        entry
    }

    /// Whether a segment that is read in pieces of `step` bytes is whole.
    fn whole(segment: &[u8], step: usize) -> bool {
        let mut check = Check::default();
        segment.chunks(step).for_each(|chunk| check.take(chunk));
        check.whole(false)
    }

    #[test]
    fn checksums() {
        let put2 = summed(3, &[7; 60]);
        let parts = [
            MAGIC,
            &summed(0, &[5; 70]),
            &put2,
            &summed(1, &[2; 32]),
            &summed(2, &[]),
        ];
        let segment = parts.concat();
        for step in [1, 8, 9, 64, 4096] {
            assert!(whole(&segment, step), "{step}");
            for at in 0..segment.len() {
                let mut bad = segment.clone();
                bad[at] ^= 1;
                // What follows the id of such a put has a hash of its own.
                let begin = 8 + 79 + 9 + 40;
                let unsummed = (begin..begin + 20).contains(&at);
                assert_eq!(whole(&bad, step), unsummed, "{at}");
            }
            assert!(!whole(&segment[..segment.len() - 1], step));
            assert!(!whole(b"BORG_SE", step));
        }
        assert!(whole(MAGIC, 3));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200), step in 1_usize..20) {
            let segment = [&b"BORG_SEG"[..], &bytes].concat();
            for segment in [&bytes, &segment] {
                drop(first_object(segment));
                let _whole: bool = whole(segment, step);
            }
        }
    }
}
