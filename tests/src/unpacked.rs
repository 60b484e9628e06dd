//! Programs of Debian that a test runs and does not install: unpacked into the build folder.
//!
//! Installing a time daemon would start it, and it would set the clock of this machine.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder with the files of a Debian package, downloaded once a build folder.
///
/// What it links to has to be installed: each of these packages needs no more than apt does.
#[track_caller]
pub fn debian(package: &str) -> PathBuf {
    let packages = crate::programs().join("packages");
    let folder = packages.join(package);
    if folder.is_dir() {
        return folder;
    }
    std::fs::create_dir_all(&packages).unwrap();
    // Unpacked under another name first, so that tests beside each other see all of it or nothing.
    let scratch = tempfile::tempdir_in(&packages).unwrap();
    if !downloaded(package, scratch.path()) {
        let mut update = Command::new("apt-get");
        let updated = update.arg("update").stdout(Stdio::null()).status();
        assert!(updated.unwrap().success(), "apt-get update");
        assert!(downloaded(package, scratch.path()), "no package {package}");
    }
    let archive = std::fs::read_dir(scratch.path()).unwrap();
    let archive = archive.map(|entry| entry.unwrap().path());
    let archive = archive.last().unwrap();
    let files = scratch.path().join("files");
    let mut unpack = Command::new("dpkg-deb");
    let unpacked = unpack.arg("-x").arg(archive).arg(&files).status().unwrap();
    assert!(unpacked.success(), "{package} cannot be unpacked");
    // Another test may have been faster.
    if std::fs::rename(&files, &folder).is_err() {
        assert!(folder.is_dir(), "{}", folder.display());
    }
    folder
}

fn downloaded(package: &str, into: &Path) -> bool {
    let mut download = Command::new("apt-get");
    download
        .args(["download", "-qq", package])
        .current_dir(into);
    let output = download.stdin(Stdio::null()).output().unwrap();
    output.status.success()
}
