//! What apk knows of packages: its database of installed ones, and the indexes of repositories.
//!
//! Both are stanzas of lines `X:value`, with an empty line behind each stanza. An index is the file
//! `APKINDEX` in a packed archive of tar(5), which a signature stands before.
//!
//! Source: apk-v2(5), apk-index(8); `APKINDEX` and `installed` of Alpine's wiki, "Apk spec".

use std::io::{BufRead, Error, ErrorKind, Read as _, Result};

use shared::time::Timestamp;

/// Longest line; the list of what a package needs may be long.
const LINE_BYTES_MAX: u64 = 256 * 1024;
const BLOCK_BYTES: usize = 512;

/// A package, installed or offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    /// Name.
    pub(super) name: String,
    /// Architecture; `noarch` for any.
    pub(super) architecture: String,
    /// Version.
    pub(super) version: String,
    /// The package that it is built from.
    pub(super) source: Option<String>,
    /// When it was built.
    pub(super) built: Option<Timestamp>,
}

/// Hands on each package of a list.
///
/// # Errors
///
/// Those of the stream; [`ErrorKind::InvalidData`] for a stanza without name or version,
/// [`ErrorKind::UnexpectedEof`] when the last one has no end.
pub(super) fn packages(mut from: impl BufRead, mut each: impl FnMut(Package)) -> Result<()> {
    let mut line = Vec::new();
    let mut package = Package::default();
    let mut inside = false;
    loop {
        line.clear();
        let length = (&mut from)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if length == 0 {
            return if inside {
                Err(ErrorKind::UnexpectedEof.into())
            } else {
                Ok(())
            };
        }
        if line.pop_if(|byte| *byte == b'\n').is_none() {
            // A line of files may be long, and matters as little as its rest.
            let _rest = from.skip_until(b'\n')?;
        }
        if line.is_empty() {
            let package = std::mem::take(&mut package);
            if std::mem::take(&mut inside) {
                let whole = !package.name.is_empty() && !package.version.is_empty();
                if !whole {
                    return Err(Error::new(ErrorKind::InvalidData, "a package"));
                }
                each(package);
            }
            continue;
        }
        inside = true;
        let text = String::from_utf8_lossy(&line);
        match text.split_once(':') {
            Some(("P", value)) => value.clone_into(&mut package.name),
            Some(("V", value)) => value.clone_into(&mut package.version),
            Some(("A", value)) => value.clone_into(&mut package.architecture),
            Some(("o", value)) => package.source = Some(value.to_owned()),
            Some(("t", value)) => package.built = seconds(value),
            Some(_) => {}
            None => return Err(Error::new(ErrorKind::InvalidData, "a line")),
        }
    }
}

fn seconds(text: &str) -> Option<Timestamp> {
    let ms = text.parse::<i64>().ok()?.checked_mul(1000)?;
    Timestamp::from_unix_ms(ms).ok()
}

/// Reads an index out of its archive, unpacked; when it was made, where the archive says so.
///
/// # Errors
///
/// As [`packages`]; [`ErrorKind::InvalidData`] when it is no such archive.
pub(super) fn index(
    mut from: impl BufRead,
    each: impl FnMut(Package),
) -> Result<Option<Timestamp>> {
    let wrong = || Error::new(ErrorKind::InvalidData, "no index of apk");
    loop {
        let mut head = [0; BLOCK_BYTES];
        from.read_exact(&mut head)?;
        if head.iter().all(|byte| *byte == 0) {
            continue;
        }
        let text = |from: usize, length: usize| {
            let field = head.get(from..from + length).unwrap_or_default();
            let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
            String::from_utf8_lossy(field.get(..end).unwrap_or_default())
                .trim()
                .to_owned()
        };
        let number =
            |from, length| u64::from_str_radix(&text(from, length), 8).map_err(|_digits| wrong());
        if head.get(257..262) != Some(b"ustar") {
            return Err(wrong());
        }
        let (size, made) = (number(124, 12)?, number(136, 12)?);
        if text(0, 100) != "APKINDEX" {
            let blocks = size.div_ceil(512).saturating_mul(512);
            let skipped = std::io::copy(&mut (&mut from).take(blocks), &mut std::io::sink())?;
            if skipped < blocks {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            continue;
        }
        let mut inside = (&mut from).take(size);
        packages(&mut inside, each)?;
        if inside.limit() != 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        // What is behind it is read too, so that a packed file is known to be whole.
        let _rest = std::io::copy(&mut from, &mut std::io::sink())?;
        let made = i64::try_from(made).ok().filter(|made| *made != 0);
        let made = made.and_then(|made| made.checked_mul(1000));
        return Ok(made.and_then(|ms| Timestamp::from_unix_ms(ms).ok()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(text: &[u8]) -> Result<Vec<String>> {
        let mut names = Vec::new();
        packages(text, |package| {
            names.push(format!("{} {}", package.name, package.version));
        })?;
        Ok(names)
    }

    #[test]
    fn stanzas_end_with_an_empty_line() {
        let text = b"C:Q1x\nP:a\nV:1-r0\nA:x86_64\no:b\nt:60\nF:usr\nR:x\n\nP:c\nV:2-r1\n\n";
        assert_eq!(names(text).unwrap(), ["a 1-r0", "c 2-r1"]);
        let early = names(&text[..text.len() - 1]).unwrap_err();
        assert_eq!(early.kind(), ErrorKind::UnexpectedEof);
        for bad in [&b"P:a\n\n"[..], b"V:1\n\n", b"<html>\n\n", b"P:a\nV\n\n"] {
            let kind = names(bad).unwrap_err().kind();
            assert_eq!(kind, ErrorKind::InvalidData, "{bad:?}");
        }
        assert!(names(b"").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            drop(index(&*bytes, drop));
            drop(names(&bytes));
        }
    }
}
