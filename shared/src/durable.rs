//! Files that survive: whole small files, and append-only segment files.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

mod records;
mod segments;

pub use records::{Reader, Records};
pub use segments::{Position, SegmentError, Segments};

/// Reads a file of at most `bytes_max` bytes.
///
/// # Errors
///
/// The error of the machine, or [`io::ErrorKind::FileTooLarge`] when the file is longer.
pub fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let _read = File::open(path)?
        .take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if length <= bytes_max {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::FileTooLarge.into())
    }
}

/// Reads a UTF-8 file of at most `bytes_max` bytes.
///
/// # Errors
///
/// As [`read`], or [`io::ErrorKind::InvalidData`] when it is not UTF-8.
pub fn read_text(path: &Path, bytes_max: u64) -> io::Result<String> {
    String::from_utf8(read(path, bytes_max)?)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Replaces a file whole: after a crash there is the old one or the new one, and nothing between.
///
/// The bytes go to a new file beside it, are synced, take its name, and the folder is synced.
///
/// # Errors
///
/// The error of the machine; then the old file stands.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;

    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let mut beside = std::ffi::OsString::from(".new-");
    beside.push(name);
    let beside = path.with_file_name(beside);
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)?;
    sync_folder(path)
}

/// Syncs the folder that `path` lies in, so that a new name in it survives.
///
/// # Errors
///
/// The error of the machine.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}
