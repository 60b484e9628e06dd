//! Reads a stretch of a file in pieces, and finds texts in it.

use crate::host::{Host, Unseen};

/// Bytes of one piece.
pub(super) const PIECE_BYTES: u64 = 256 * 1024;

/// Reads `path` from `begin` to `end`, piece by piece; each piece begins with the last `overlap`
/// bytes of the one before, so that a text of that length is whole in one of them. It ends early
/// when `take` says so.
///
/// # Errors
///
/// [`Unseen`] when the file cannot be read, or ended meanwhile.
pub(super) fn each(
    host: &dyn Host,
    path: &str,
    (begin, end): (u64, u64),
    overlap: usize,
    take: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), Unseen> {
    let file = host.open_parts(path)?;
    let mut piece = Vec::new();
    let mut at = begin;
    while at < end {
        let length = (end - at).min(PIECE_BYTES);
        let kept = piece.len().min(overlap);
        drop(piece.drain(..piece.len() - kept));
        piece.resize(kept + usize::try_from(length).unwrap_or(0), 0);
        let fresh = piece.get_mut(kept..).unwrap_or_default();
        file.fill(fresh, at)
            .map_err(|error| Unseen::from_io(path, &error))?;
        if !take(&piece) {
            return Ok(());
        }
        at += length;
    }
    Ok(())
}

/// Whether `text` stands in `bytes`.
pub(super) fn contains(bytes: &[u8], text: &[u8]) -> bool {
    place(bytes, text).is_some()
}

/// Where `text` first stands in `bytes`.
pub(super) fn place(bytes: &[u8], text: &[u8]) -> Option<usize> {
    let first = *text.first()?;
    let mut from = 0;
    loop {
        let rest = bytes.get(from..)?;
        let at = from + rest.iter().position(|byte| *byte == first)?;
        if bytes.get(at..)?.starts_with(text) {
            return Some(at);
        }
        from = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::host::machine::Machine;

    #[test]
    fn a_text_that_lies_across_two_pieces_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let host = Machine::open(folder.path()).unwrap();
        let edge = usize::try_from(PIECE_BYTES).unwrap();
        for before in [0, edge - 6, edge - 3, edge, 2 * edge - 1] {
            let mut bytes = vec![b'.'; before];
            bytes.extend_from_slice(b"needle");
            bytes.resize(3 * edge, b'.');
            shared::durable::write(&folder.path().join("f"), &bytes, 0o600).unwrap();
            let mut found = 0;
            let mut take = |piece: &[u8]| {
                found += usize::from(contains(piece, b"needle"));
                true
            };
            let end = u64::try_from(bytes.len()).unwrap();
            each(&host, "/f", (0, end), 5, &mut take).unwrap();
            assert_eq!(found, 1, "{before}");
        }
        let past = each(&host, "/f", (0, u64::MAX), 5, &mut |_| true);
        assert!(past.is_err());
        assert!(Path::new("/").exists() && !contains(b"", b"x") && !contains(b"ab", b"abc"));
        assert_eq!(place(b"nneedle", b"needle"), Some(1));
    }
}
