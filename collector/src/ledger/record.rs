//! What stands in the ledger's segment files.
//!
//! ```text
//! 0x01 | SHA-256, 32 B | bytes                                   blob
//! 0x02 | index, 8 B | length, 2 B | leaf data | DSSE file        entry
//! 0x03 | size, 8 B | root, 32 B                                  commit: all before it counts
//! 0x04                                                           what follows no commit is void
//! ```
//!
//! Numbers are big-endian.

use shared::id::Digest;

/// One record, borrowed from the bytes of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Blob {
        digest: Digest,
        bytes: &'a [u8],
    },
    Entry {
        index: u64,
        leaf: &'a [u8],
        envelope: &'a [u8],
    },
    Commit {
        size: u64,
        root: Digest,
    },
    Void,
}

impl<'a> Record<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Blob { digest, bytes } => [&[0x01], digest.as_bytes().as_slice(), bytes].concat(),
            Self::Entry {
                index,
                leaf,
                envelope,
            } => {
                // Leaf data is limited to less than 64 KiB by its type.
                let length = u16::try_from(leaf.len()).unwrap_or(u16::MAX).to_be_bytes();
                [
                    &[0x02],
                    index.to_be_bytes().as_slice(),
                    &length,
                    leaf,
                    envelope,
                ]
                .concat()
            }
            Self::Commit { size, root } => {
                [&[0x03], size.to_be_bytes().as_slice(), root.as_bytes()].concat()
            }
            Self::Void => vec![0x04],
        }
    }

    pub(super) fn decode(payload: &'a [u8]) -> Option<Self> {
        let (tag, rest) = payload.split_first()?;
        match tag {
            0x01 => {
                let (digest, bytes) = rest.split_first_chunk::<32>()?;
                let digest = Digest(*digest);
                Some(Self::Blob { digest, bytes })
            }
            0x02 => {
                let (index, rest) = rest.split_first_chunk::<8>()?;
                let (length, rest) = rest.split_first_chunk::<2>()?;
                let length = usize::from(u16::from_be_bytes(*length));
                let (leaf, envelope) = rest.split_at_checked(length)?;
                let index = u64::from_be_bytes(*index);
                Some(Self::Entry {
                    index,
                    leaf,
                    envelope,
                })
            }
            0x03 => {
                let (size, root) = rest.split_first_chunk::<8>()?;
                let root = Digest(<[u8; 32]>::try_from(root).ok()?);
                let size = u64::from_be_bytes(*size);
                Some(Self::Commit { size, root })
            }
            0x04 if rest.is_empty() => Some(Self::Void),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_read_back() {
        let (digest, bytes) = (Digest::of(b"x"), b"bytes".as_slice());
        for record in [
            Record::Blob { digest, bytes },
            Record::Blob { digest, bytes: b"" },
            Record::Entry {
                index: 7,
                leaf: bytes,
                envelope: b"{}",
            },
            Record::Entry {
                index: u64::MAX,
                leaf: b"",
                envelope: b"",
            },
            Record::Commit {
                size: 8,
                root: digest,
            },
            Record::Void,
        ] {
            assert_eq!(Record::decode(&record.encode()), Some(record));
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        let commit = Record::Commit {
            size: 8,
            root: Digest::of(b"x"),
        }
        .encode();
        for bad in [
            &[][..],
            &[0x00],
            &[0x05],
            &[0x04, 0],
            &[0x01; 32],
            &[0x02; 10],
            &[0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, b'x'],
            &commit[..40],
            &[commit.as_slice(), &[0]].concat(),
        ] {
            assert_eq!(Record::decode(bad), None, "{bad:?}");
        }
    }
}
