//! What large files said before: unpacking and reading them again is the dear part.

use std::sync::{Arc, Mutex, PoisonError};

use shared::id::Digest;
use shared::time::Timestamp;

use crate::host::{Host, Stat, Unseen};

/// Most files that are remembered.
const REMEMBERED_MAX: usize = 64;

/// What files said before, the oldest first.
pub(super) struct Cache<T>(Mutex<Vec<Remembered<T>>>);

struct Remembered<T> {
    path: String,
    stat: Stat,
    wanted: Digest,
    said: Arc<T>,
}

impl<T> Cache<T> {
    /// Nothing is remembered yet.
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// What a file says, read only when it or what is asked for changed. A recorded file without
    /// times is not remembered, because nothing tells that it changed.
    ///
    /// # Errors
    ///
    /// [`Unseen`] of the file, or of `read`, which is then asked again.
    pub(super) fn get(
        &self,
        host: &dyn Host,
        path: &str,
        wanted: Digest,
        read: impl FnOnce() -> Result<T, Unseen>,
    ) -> Result<Arc<T>, Unseen> {
        let stat = host.stat(path)?;
        let remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = remembered
            .iter()
            .find(|old| old.path == path && old.stat == stat && old.wanted == wanted)
            .map(|old| Arc::clone(&old.said));
        drop(remembered);
        if let Some(said) = same {
            return Ok(said);
        }
        let said = Arc::new(read()?);
        if stat.changed == Timestamp::default() {
            return Ok(said);
        }
        let mut remembered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|old| old.path != path);
        if REMEMBERED_MAX <= remembered.len() {
            drop(remembered.remove(0));
        }
        remembered.push(Remembered {
            path: path.to_owned(),
            stat,
            wanted,
            said: Arc::clone(&said),
        });
        Ok(said)
    }
}
