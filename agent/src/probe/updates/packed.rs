//! Files that are packed: the ending of the name says how, and memory has a limit.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};

use lz4_flex::frame::FrameDecoder as Lz4;
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use shared::observation::Status;

use crate::host::{Host, Unseen};

/// Longest file, packed or not; Debian's main list has 50 MB, that of Fedora 200 MB.
pub(super) const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Most memory to unpack with; `zstd -19` and `xz -6` need this much, `xz -9` eight times more.
const WINDOW_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// The same for xz, which counts its own tables too.
const XZ_KIB_MAX: u32 = 9 * 1024;
const BUFFER_BYTES: usize = 64 * 1024;
/// Endings of packed files; only the first four are understood.
pub(super) const ENDINGS: [&str; 7] = [".lz4", ".gz", ".xz", ".zst", ".bz2", ".lzma", ".zck"];

/// Opens a file of at most [`BYTES_MAX`] bytes, packed and unpacked; one that ends in neither of
/// [`ENDINGS`] is not packed.
///
/// # Errors
///
/// [`Unseen`]; [`Status::Unsupported`] for a form that is not read. What is no such file, or needs
/// too much memory, shows when it is read.
pub(super) fn open(
    host: &dyn Host,
    path: &str,
) -> std::result::Result<impl BufRead + use<>, Unseen> {
    let file = host.open(path, BYTES_MAX)?;
    let ending = ENDINGS.iter().find(|ending| path.ends_with(**ending));
    let plain: Box<dyn Read + Send> = match ending {
        None => file,
        Some(&".lz4") => Box::new(Lz4::new(file)),
        Some(&".gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        Some(&".xz") => Box::new(lzma_rust2::XzReader::new_mem_limit(file, true, XZ_KIB_MAX)),
        Some(&".zst") => Box::new(Zstd::new(file)),
        Some(ending) => {
            let why = format!("files packed as {ending} are not read by this agent");
            return Err(Unseen::new(path, Status::Unsupported, Some(&why)));
        }
    };
    let limited = Limited {
        from: plain,
        left: BYTES_MAX,
    };
    Ok(BufReader::with_capacity(BUFFER_BYTES, limited))
}

/// Why a packed file could not be read to its end.
pub(super) fn unseen(path: &str, error: &Error) -> Unseen {
    match (error.raw_os_error(), error.kind()) {
        (Some(_), _) => Unseen::from_io(path, error),
        (None, ErrorKind::FileTooLarge | ErrorKind::OutOfMemory) => {
            Unseen::new(path, Status::Limit, Some(&error.to_string()))
        }
        (None, _) => Unseen::new(path, Status::Malformed, Some(&error.to_string())),
    }
}

/// Ends with an error where a file is too long, so that nothing is cut unseen.
struct Limited {
    from: Box<dyn Read + Send>,
    left: u64,
}

impl Read for Limited {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let length = self.from.read(into)?;
        let left = u64::try_from(length)
            .ok()
            .and_then(|length| self.left.checked_sub(length));
        self.left = left.ok_or(ErrorKind::FileTooLarge)?;
        Ok(length)
    }
}

/// Frames of Zstandard, one after the other.
struct Zstd<R: Read> {
    /// Before the first frame, and between two.
    source: Option<BufReader<R>>,
    frame: Option<StreamingDecoder<BufReader<R>, FrameDecoder>>,
}

impl<R: Read> Zstd<R> {
    fn new(from: R) -> Self {
        Self {
            source: Some(BufReader::with_capacity(BUFFER_BYTES, from)),
            frame: None,
        }
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let wrong = |why: &str| Error::new(ErrorKind::InvalidData, why.to_owned());
        loop {
            if let Some(frame) = &mut self.frame {
                let length = frame.read(into)?;
                if 0 < length || into.is_empty() {
                    return Ok(length);
                }
            }
            if let Some(frame) = self.frame.take() {
                let decoder = &frame.decoder;
                let sum = decoder.get_checksum_from_data();
                if sum.is_some() && sum != decoder.get_calculated_checksum() {
                    return Err(wrong("checksum"));
                }
                self.source = Some(frame.into_inner());
            }
            let Some(mut source) = self.source.take() else {
                return Ok(0);
            };
            if source.fill_buf()?.is_empty() {
                self.source = Some(source);
                return Ok(0);
            }
            let frame = StreamingDecoder::new_with_max_window_size(source, WINDOW_BYTES_MAX);
            self.frame = Some(frame.map_err(|error| {
                let large = matches!(error, FrameDecoderError::WindowSizeTooBig { .. });
                let kind = if large {
                    ErrorKind::OutOfMemory
                } else {
                    ErrorKind::InvalidData
                };
                Error::new(kind, error.to_string())
            })?);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::machine::Machine;

    /// `evident` and a line feed by zstd 1.5.4, with a checksum.
    const ZST: [u8; 21] = [
        0x28, 0xb5, 0x2f, 0xfd, 0x24, 0x08, 0x41, 0x00, 0x00, 0x65, 0x76, 0x69, 0x64, 0x65, 0x6e,
        0x74, 0x0a, 0x0d, 0x66, 0xbf, 0x20,
    ];
    /// The same by xz 5.4.1.
    const XZ: [u8; 64] = [
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
        0x01, 0x16, 0x00, 0x00, 0x00, 0x74, 0x2f, 0xe5, 0xa3, 0x01, 0x00, 0x07, 0x65, 0x76, 0x69,
        0x64, 0x65, 0x6e, 0x74, 0x0a, 0x00, 0x76, 0xa1, 0x53, 0x6c, 0x83, 0xbf, 0xb9, 0x0c, 0x00,
        0x01, 0x20, 0x08, 0xbb, 0x19, 0xd9, 0xbb, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00,
        0x00, 0x04, 0x59, 0x5a,
    ];
    /// The same by `xz -9`, which needs 64 MiB to be unpacked.
    const XZ_9: [u8; 64] = [
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21,
        0x01, 0x1c, 0x00, 0x00, 0x00, 0x10, 0xcf, 0x58, 0xcc, 0x01, 0x00, 0x07, 0x65, 0x76, 0x69,
        0x64, 0x65, 0x6e, 0x74, 0x0a, 0x00, 0x76, 0xa1, 0x53, 0x6c, 0x83, 0xbf, 0xb9, 0x0c, 0x00,
        0x01, 0x20, 0x08, 0xbb, 0x19, 0xd9, 0xbb, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00,
        0x00, 0x04, 0x59, 0x5a,
    ];

    fn text(name: &str, bytes: &[u8]) -> std::result::Result<String, Unseen> {
        let (_folder, host) = host(name, bytes);
        let path = format!("/{name}");
        let mut text = String::new();
        let read = open(&host, &path)?.read_to_string(&mut text);
        read.map(|_length| text)
            .map_err(|error| unseen(&path, &error))
    }

    fn host(name: &str, bytes: &[u8]) -> (tempfile::TempDir, Machine) {
        let folder = tempfile::tempdir().unwrap();
        shared::durable::write(&folder.path().join(name), bytes, 0o644).unwrap();
        let host = Machine::open(folder.path()).unwrap();
        (folder, host)
    }

    #[test]
    fn every_form_is_unpacked() {
        let text = |name, bytes: &[u8]| text(name, bytes).unwrap();
        assert_eq!(text("x.zst", &ZST), "evident\n");
        assert_eq!(text("x.zst", &[ZST, ZST].concat()), "evident\nevident\n");
        assert_eq!(text("x.xz", &XZ), "evident\n");
        assert_eq!(text("x.xz", &[XZ, XZ].concat()), "evident\nevident\n");
        assert_eq!(text("x.zst", b""), "");
        assert_eq!(text("plain", b"evident"), "evident");
    }

    #[test]
    fn what_is_damaged_or_too_large_is_not_half_read() {
        let status = |name, bytes: &[u8]| text(name, bytes).unwrap_err().status;
        for cut in 1..ZST.len() {
            assert_eq!(status("x.zst", &ZST[..cut]), Status::Malformed, "{cut}");
        }
        for cut in 1..XZ.len() {
            assert_eq!(status("x.xz", &XZ[..cut]), Status::Malformed, "{cut}");
        }
        let mut wrong = ZST;
        wrong[20] ^= 1;
        assert_eq!(status("x.zst", &wrong), Status::Malformed, "checksum");
        let window = [&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x70][..], &ZST[6..17]].concat();
        assert_eq!(status("x.zst", &window), Status::Limit, "16 MiB");
        assert_eq!(status("x.xz", &XZ_9), Status::Limit, "64 MiB");
        for name in ["x.gz", "x.lz4", "x.xz", "x.zst"] {
            assert_eq!(
                status(name, b"<html>log in first</html>"),
                Status::Malformed,
                "{name}"
            );
        }
        for name in ["x.bz2", "x.lzma", "x.zck"] {
            assert_eq!(status(name, b"x"), Status::Unsupported, "{name}");
        }
    }
}
