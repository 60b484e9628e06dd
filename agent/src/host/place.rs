//! Writes a canary file into a folder that is backed up.
//!
//! Its name begins with `.evident-canary`, and no symbolic link is followed on the way, so that a
//! user who may write in the folder cannot lead root to another file.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use shared::observation::Status;

use super::Unseen;
use crate::config::CANARY_FILE;

/// Longest canary file.
pub const FILE_BYTES_MAX: usize = 4096;

/// Replaces the canary file `path`, which lies below `root`, whole.
///
/// # Errors
///
/// [`Unseen`]: `malformed` when a symbolic link is on the way, `failed` when it is no name of a
/// canary file or too long; then an old file stands.
pub fn place(root: BorrowedFd<'_>, path: &str, bytes: &[u8]) -> Result<(), Unseen> {
    let failed = |why| Err(Unseen::new(path, Status::Failed, Some(why)));
    let Some((folder, name)) = path.rsplit_once('/') else {
        return failed("no absolute path");
    };
    if !name.starts_with(CANARY_FILE) {
        return failed("no name of a canary file");
    }
    if FILE_BYTES_MAX < bytes.len() {
        return failed("too long for a canary file");
    }
    let unseen = |errno| Unseen::from_errno(path, errno);
    let folder = open_folder(root, folder).map_err(unseen)?;
    replace(folder.as_fd(), name, bytes).map_err(unseen)
}

fn open_folder(root: BorrowedFd<'_>, folder: &str) -> rustix::io::Result<OwnedFd> {
    let folder = folder.trim_start_matches('/');
    let folder = if folder.is_empty() { "." } else { folder };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, folder, flags, Mode::empty(), resolve)
}

/// Writes a new file beside it, and gives it the name when it is whole.
fn replace(folder: BorrowedFd<'_>, name: &str, bytes: &[u8]) -> rustix::io::Result<()> {
    let beside = format!("{name}.new");
    // Left behind when the agent was killed. Only a file or a link goes, never a folder.
    match rustix::fs::unlinkat(folder, beside.as_str(), AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, beside.as_str(), flags, Mode::from_raw_mode(0o644))?;
    let written = write_all(&file, bytes).and_then(|()| {
        rustix::fs::fsync(&file)?;
        rustix::fs::renameat(folder, beside.as_str(), folder, name)
    });
    if written.is_err() {
        let _tidied = rustix::fs::unlinkat(folder, beside.as_str(), AtFlags::empty());
    }
    written?;
    rustix::fs::fsync(folder)
}

fn write_all(file: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(length) => bytes = bytes.get(length..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_canary_files_are_written_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("data")).unwrap();
        symlink("data", folder.path().join("link")).unwrap();
        let other = folder.path().join("other");
        shared::durable::write(&other, b"mine", 0o600).unwrap();
        symlink("../other", folder.path().join("data/.evident-canary")).unwrap();
        symlink("../other", folder.path().join("data/.evident-canary.new")).unwrap();
        let root = std::fs::File::open(folder.path()).unwrap();
        let status = |path: &str| {
            let placed = place(root.as_fd(), path, b"canary");
            placed.map_err(|unseen| unseen.status)
        };
        assert_eq!(status("/data/.evident-canary"), Ok(()));
        assert_eq!(status("/.evident-canary-2"), Ok(()));
        assert_eq!(status("/data/notes"), Err(Status::Failed));
        assert_eq!(status("/link/.evident-canary"), Err(Status::Malformed));
        assert_eq!(status("/../.evident-canary"), Err(Status::Malformed));
        assert_eq!(status("/none/.evident-canary"), Err(Status::Absent));
        let long = place(root.as_fd(), "/.evident-canary", &[0; FILE_BYTES_MAX + 1]);
        assert_eq!(long.unwrap_err().status, Status::Failed);
        let read = |path: &str| shared::durable::read_text(&folder.path().join(path), 99).unwrap();
        assert_eq!(read("data/.evident-canary"), "canary");
        assert_eq!(read("other"), "mine", "a link was followed");
        let mut names: Vec<_> = std::fs::read_dir(folder.path().join("data"))
            .unwrap()
            .collect();
        assert_eq!(names.pop().unwrap().unwrap().file_name(), ".evident-canary");
        assert!(names.is_empty(), "{names:?}");
    }
}
