//! The header of a journal file: what it says of the file without an entry being read.
//!
//! Format: <https://systemd.io/JOURNAL_FILE_FORMAT>, little endian. Fields were added at the end
//! over the years, so the header is read as far as its own length says.

use shared::time::Timestamp;

/// As much of a header as is known.
pub(super) const BYTES_MAX: usize = 272;
/// The header of the first version, up to the last time.
const BYTES_MIN: u64 = 208;
/// Bit of the compatible flags: entries are sealed.
const SEALED: u64 = 1;
/// Bits of the incompatible flags that are known: XZ, LZ4, keyed hashes, ZSTD, compact.
const KNOWN: u64 = 0x1f;
/// Bit of the incompatible flags: hashes have a key.
const KEYED: u64 = 0x4;
/// Bit of the incompatible flags: offsets have 4 bytes.
const COMPACT: u64 = 0x10;

/// What one header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The flag is set, and tags were written.
    pub(super) sealed: bool,
    /// Entries have the compact form.
    pub(super) compact: bool,
    /// Nothing in it is newer than what is known here.
    pub(super) known: bool,
    /// 0 closed, 1 open, 2 archived.
    pub(super) state: u8,
    /// Which numbering the numbers of entries belong to.
    pub(super) numbering: [u8; 16],
    /// Boot of the last entry.
    pub(super) tail_boot: [u8; 16],
    /// Where objects begin.
    pub(super) bytes: u64,
    /// Where they end.
    pub(super) end: u64,
    /// Where the table of values begins, and its length.
    pub(super) values: (u64, u64),
    /// Id of the file, when it is the key of its hashes.
    pub(super) hash_key: Option<[u8; 16]>,
    /// Numbers of the first and the last entry; 0 for none.
    pub(super) numbers: (u64, u64),
    /// Time of the first entry.
    pub(super) head: Option<Timestamp>,
    /// Time of the last entry.
    pub(super) tail: Option<Timestamp>,
}

/// Reads a header; what is wrong with it, in words.
pub(super) fn read(bytes: &[u8]) -> Result<Header, &'static str> {
    if !bytes.starts_with(b"LPKSHHRH") {
        return Err("no journal file");
    }
    let u64_at = |at| number(bytes, at).ok_or("the header is cut off");
    let id_at = |at: usize| {
        let id = bytes.get(at..).and_then(<[u8]>::first_chunk::<16>);
        id.copied().ok_or("the header is cut off")
    };
    let header_bytes = u64_at(88)?;
    if header_bytes < BYTES_MIN {
        return Err("the header is too short");
    }
    let end = header_bytes.checked_add(u64_at(96)?);
    let flags = u64_at(8)?;
    let (compatible, incompatible) = (flags & u64::from(u32::MAX), flags >> 32);
    let tags = if header_bytes < 232 { 0 } else { u64_at(224)? };
    Ok(Header {
        sealed: compatible & SEALED != 0 && tags != 0,
        compact: incompatible & COMPACT != 0,
        known: incompatible & !KNOWN == 0,
        state: bytes.get(16).copied().unwrap_or_default(),
        numbering: id_at(72)?,
        tail_boot: id_at(56)?,
        bytes: header_bytes,
        end: end.ok_or("impossible size")?,
        values: (u64_at(104)?, u64_at(112)?),
        hash_key: (incompatible & KEYED != 0).then_some(id_at(24)?),
        numbers: (u64_at(168)?, u64_at(160)?),
        head: time(u64_at(184)?)?,
        tail: time(u64_at(192)?)?,
    })
}

/// A time in microseconds; 0 stands for none.
pub(super) fn time(us: u64) -> Result<Option<Timestamp>, &'static str> {
    let ms = i64::try_from(us / 1000).map_err(|_too_large| "impossible time")?;
    if ms == 0 {
        return Ok(None);
    }
    let time = Timestamp::from_unix_ms(ms);
    time.map(Some).map_err(|_out| "impossible time")
}

/// The number at a place.
#[expect(clippy::little_endian_bytes, reason = "the format is little endian")]
pub(super) fn number(bytes: &[u8], at: usize) -> Option<u64> {
    let field = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*field))
}

#[cfg(test)]
mod tests {
    use super::super::tests::made;
    use super::*;

    #[test]
    fn sealed_by_flag_and_tags_together() {
        for (fields, sealed) in [
            (vec![], false),
            (vec![(8, 1)], false),
            (vec![(224, 7)], false),
            (vec![(8, 1), (224, 7)], true),
            (vec![(8, 1), (224, 7), (88, 224)], false),
            (vec![(8, 0x1c_0000_0000), (224, 7)], false),
        ] {
            assert_eq!(read(&made(&fields)).unwrap().sealed, sealed, "{fields:?}");
        }
    }

    #[test]
    fn flags_that_are_not_known() {
        for (flags, compact, known) in [
            (0x0c_0000_0000, false, true),
            (0x1c_0000_0000, true, true),
            (0x20_0000_0000, false, false),
        ] {
            let header = read(&made(&[(8, flags)])).unwrap();
            assert_eq!((header.compact, header.known), (compact, known));
        }
    }

    #[test]
    fn times_and_no_times() {
        let empty = read(&made(&[])).unwrap();
        assert_eq!((empty.head, empty.tail), (None, None));
        let full = read(&made(&[
            (184, 1_767_323_045_678_999),
            (192, u64::MAX / 4096),
        ]));
        assert_eq!(
            full.unwrap().head.unwrap().to_string(),
            "2026-01-02T03:04:05.678Z"
        );
        assert!(read(&made(&[(192, u64::MAX)])).is_err());
    }

    #[test]
    fn no_header_is_refused() {
        let good = made(&[]);
        for bad in [
            b"".to_vec(),
            b"LPKSHHRH".to_vec(),
            good[..199].to_vec(),
            good[1..].to_vec(),
            made(&[(88, 207)]),
            made(&[(96, u64::MAX)]),
        ] {
            assert!(read(&bad).is_err());
        }
        assert!(read(&good[..232]).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let mut signed = b"LPKSHHRH".to_vec();
            signed.extend(&bytes);
            let _headers = (read(&bytes).is_ok(), read(&signed).is_ok());
        }
    }
}
