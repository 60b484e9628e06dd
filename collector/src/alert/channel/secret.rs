//! Secrets: a file each, for the eyes of its owner alone.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::super::DeliveryError;
use super::again;

/// Longest secret.
const SECRET_BYTES_MAX: u64 = 4096;

/// Where a secret is.
#[derive(Debug)]
pub(super) struct SecretFile(PathBuf);

/// A secret, which shows itself to nobody who prints it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

impl SecretFile {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Reads it, without the line ends after it.
    pub(super) fn read(&self) -> Result<Secret, String> {
        let path = self.0.display();
        let cannot = |error| format!("secret `{path}` cannot be read: {error}");
        let file = File::open(&self.0).map_err(cannot)?;
        // The open file is asked, so that nobody can exchange it between the two looks.
        let metadata = file.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Err(format!("secret `{path}` is no file"));
        }
        let (mode, owner) = (metadata.mode() & 0o777, metadata.uid());
        if mode & 0o077 != 0 {
            return Err(format!(
                "secret `{path}` has mode {mode:04o}, so others may read it: chmod 0600 {path}"
            ));
        }
        if owner != 0 && owner != rustix::process::geteuid().as_raw() {
            return Err(format!("secret `{path}` belongs to another user ({owner})"));
        }
        let mut text = String::new();
        let mut bounded = file.take(SECRET_BYTES_MAX.saturating_add(1));
        let length = bounded.read_to_string(&mut text).map_err(cannot)?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() || SECRET_BYTES_MAX < u64::try_from(length).unwrap_or(u64::MAX) {
            return Err(format!(
                "secret `{path}` must have 1 to {SECRET_BYTES_MAX} bytes"
            ));
        }
        Ok(Secret(text.to_owned()))
    }

    /// Reads it for a delivery.
    pub(super) fn now(&self) -> Result<Secret, DeliveryError> {
        self.read().map_err(again)
    }
}

impl Secret {
    /// The secret itself: it goes to its receiver and nowhere else.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}
