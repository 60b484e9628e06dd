//! Files that are packed: the ending of the name says how, and memory has a limit.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result};

use lz4_flex::frame::FrameDecoder as Lz4;
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
            self.frame = Some(frame.map_err(|error| wrong(&error.to_string()))?);
        }
    }
}
