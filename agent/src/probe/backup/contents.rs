//! Contents of a copy, compared with their hashes within a budget: bit rot and cut-off files show
//! without any secret.
//!
//! A look reads at most [`BUDGET_BYTES`] of a set, and another part each hour, so that large
//! repositories are gone through in time and no look costs much. What was damaged at the look
//! before is read first: a finding does not close because another sample was drawn.

use std::io::Read;

use sha2::{Digest as _, Sha256};
use shared::id::Digest;
use shared::observation::Status;

use super::shown::{Grade, Hashed, Shown, View};
use crate::host::Unseen;

/// Most bytes that are read of one set at one look, but for a last file that is begun.
pub(super) const BUDGET_BYTES: u64 = 16 * 1024 * 1024;
/// How much is read at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// Compares contents until the budget is spent.
pub(super) struct Contents<'a> {
    view: View<'a>,
    left: u64,
    hashed: Hashed,
    /// The file that was compared first, and whether it was whole: it may come again.
    first: Option<(String, bool)>,
}

impl<'a> Contents<'a> {
    pub(super) fn new(view: View<'a>) -> Self {
        Self {
            view,
            left: BUDGET_BYTES,
            hashed: Hashed::default(),
            first: None,
        }
    }

    /// The file below `folder` that was damaged at the look before.
    pub(super) fn damaged_before(&self, folder: &str) -> Option<String> {
        let file = self.view.earlier_text("damaged_file")?;
        let inside = file.strip_prefix(folder)?;
        (inside.starts_with('/') && !inside.contains("..")).then(|| file.to_owned())
    }

    /// Whether nothing more is read.
    pub(super) const fn spent(&self) -> bool {
        self.left == 0
    }

    /// Compares a file of at most `bytes_max` bytes with the SHA-256 that it must have. `None`: it
    /// was not compared, because the budget is spent or it is gone.
    ///
    /// # Errors
    ///
    /// [`Unseen`] when it cannot be read; [`Status::Limit`] when it is longer.
    pub(super) fn sha256(
        &mut self,
        path: &str,
        hash: &str,
        bytes_max: u64,
    ) -> Result<Option<bool>, Unseen> {
        match &self.first {
            Some((first, whole)) if first == path => return Ok(Some(*whole)),
            Some(_) | None if self.spent() => return Ok(None),
            Some(_) | None => {}
        }
        let found = match sha256(self.view, path, bytes_max) {
            Err(unseen) if unseen.is_absent() => return Ok(None),
            found => found?,
        };
        let whole = found.0.to_string() == hash;
        self.count(path, found.1, whole);
        Ok(Some(whole))
    }

    /// Counts a file that was compared in another way, and the bytes that it cost.
    pub(super) fn count(&mut self, path: &str, bytes: u64, whole: bool) {
        self.left = self.left.saturating_sub(bytes);
        self.hashed.count(path, whole);
        if self.first.is_none() {
            self.first = Some((path.to_owned(), whole));
        }
    }

    /// Writes what was compared into what the set shows.
    pub(super) fn tell(self, shown: &mut Shown) {
        if self.hashed.files != 0 && self.hashed.damaged == 0 {
            shown.grade = Grade::Proof;
        }
        shown.hashed = Some(self.hashed);
    }
}

/// SHA-256 of a file and how many bytes it has: at most `bytes_max`.
///
/// # Errors
///
/// [`Unseen`]; [`Status::Limit`] when it is longer, before it is read: it may have holes.
pub(super) fn sha256(view: View<'_>, path: &str, bytes_max: u64) -> Result<(Digest, u64), Unseen> {
    let long = || {
        let why = format!("longer than {bytes_max} bytes");
        Unseen::new(path, Status::Limit, Some(&why))
    };
    if bytes_max < view.host.stat(path)?.bytes {
        return Err(long());
    }
    let mut hash = Sha256::new();
    // It may grow meanwhile.
    let bytes = stream(view, path, bytes_max.saturating_add(1), |chunk| {
        hash.update(chunk);
    })?;
    if bytes_max < bytes {
        return Err(long());
    }
    Ok((Digest(hash.finalize().into()), bytes))
}

/// Shows a file piece by piece, and says how many bytes were read.
///
/// # Errors
///
/// [`Unseen`].
pub(super) fn stream(
    view: View<'_>,
    path: &str,
    bytes_max: u64,
    mut show: impl FnMut(&[u8]),
) -> Result<u64, Unseen> {
    let mut file = view.host.open(path, bytes_max)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut bytes = 0_u64;
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(length) => {
                show(chunk.get(..length).unwrap_or_default());
                bytes = bytes.saturating_add(u64::try_from(length).unwrap_or_default());
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Unseen::from_io(path, &error)),
        }
    }
}
