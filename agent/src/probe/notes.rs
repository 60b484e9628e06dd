//! What a probe notes for its next look: one JSON file a probe, in a folder of the agent alone.
//!
//! Notes are no evidence. Whoever loses or damages them makes a probe begin anew, which it says.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;
use shared::durable;
use shared::observation::{Means, Status};

use super::{Own, Seen};
use crate::host::Unseen;

/// Longest notes.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

fn path(own: &Own, probe: &str) -> PathBuf {
    own.folder.join(format!("{probe}.json"))
}

/// The notes of a probe; empty ones at its first look, and when they cannot be read, which becomes
/// a source.
pub fn load<T: DeserializeOwned + Default>(seen: &mut Seen, own: &Own, probe: &str) -> T {
    let name = format!("notes of {probe}");
    let read = match durable::read_text(&path(own, probe), BYTES_MAX) {
        Ok(text) => serde_json::from_str(&text)
            .map_err(|error| Unseen::new(&name, Status::Malformed, Some(&error.to_string()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return T::default(),
        Err(error) => Err(Unseen::from_io(&name, &error)),
    };
    match read {
        Ok(notes) => notes,
        Err(unseen) => {
            seen.unseen(Means::File, unseen);
            T::default()
        }
    }
}

/// Replaces the notes of a probe; that it could not becomes a source.
pub fn save<T: Serialize>(seen: &mut Seen, own: &Own, probe: &str, notes: &T) {
    let write = || {
        let mut folder = std::fs::DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&own.folder)?;
        let text = serde_json::to_vec(notes)?;
        durable::write(&path(own, probe), &text, 0o600)
    };
    if let Err(error) = write() {
        let name = format!("notes of {probe}");
        seen.unseen(Means::File, Unseen::from_io(&name, &error));
    }
}

#[cfg(test)]
mod tests {
    use shared::key::SigningKey;

    use super::*;

    #[test]
    fn what_is_noted_is_read_back_and_damage_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let own = Own {
            agent: "web-1".parse().unwrap(),
            generation: 1,
            key: SigningKey::from_seed([7; 32]).unwrap().into(),
            folder: folder.path().join("notes"),
        };
        let mut seen = Seen::default();
        assert_eq!(load::<Vec<u64>>(&mut seen, &own, "x"), [0; 0]);
        save(&mut seen, &own, "x", &vec![1, 2]);
        assert_eq!(load::<Vec<u64>>(&mut seen, &own, "x"), [1, 2]);
        assert!(seen.sources.is_empty());
        durable::write(&path(&own, "x"), b"[1,", 0o600).unwrap();
        assert_eq!(load::<Vec<u64>>(&mut seen, &own, "x"), [0; 0]);
        assert_eq!(seen.sources[0].status, Status::Malformed);
    }
}
