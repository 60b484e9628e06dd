//! Reads the heads of stanzas out of dpkg's status file and of apt's package lists.
//!
//! A list of Debian has 60,000 stanzas and 50 MB, and a few hundred of them are wanted: lines are
//! skipped inside the read buffer, and only the lines of five fields of wanted stanzas are copied.
//!
//! Source: deb822(5), deb-control(5).

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use shared::observation::Status;

use crate::host::Unseen;

/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// Longest line of a wanted field; apt and dpkg write far shorter ones.
const LINE_BYTES_MAX: u64 = 4096;

/// The fields that are looked at.
#[derive(Debug, Default)]
pub(super) struct Head {
    /// Field `Package`.
    pub(super) package: String,
    /// Field `Version`.
    pub(super) version: String,
    /// Field `Architecture`.
    pub(super) architecture: String,
    /// Field `Status`, which only the status file has.
    pub(super) status: String,
    /// Field `Source`; empty when the package is built from one of its own name and version.
    pub(super) source: String,
}

impl Head {
    fn clear(&mut self) {
        self.package.clear();
        self.version.clear();
        self.architecture.clear();
        self.status.clear();
        self.source.clear();
    }
}

/// Name and version of the package that one is built from, by its field `Source`:
/// `openssl (3.0.19-1)`. What the field leaves out is that of the package.
pub(super) fn source(field: &str, package: &str, version: &str) -> (String, String) {
    let (name, rest) = field.split_once(' ').unwrap_or((field, ""));
    let inside = rest.trim().strip_prefix('(');
    let inside = inside.and_then(|rest| rest.strip_suffix(')'));
    let name = if name.is_empty() { package } else { name };
    (name.to_owned(), inside.unwrap_or(version).to_owned())
}

/// Hands every stanza to `found` whose package is wanted, and returns how many stanzas there are.
///
/// # Errors
///
/// What reading gives, an unpacker's complaint included; [`ErrorKind::InvalidData`] also when there
/// are bytes and no stanza in them, or a wanted field is no UTF-8.
pub(super) fn scan(
    from: impl Read,
    wanted: impl Fn(&str) -> bool,
    mut found: impl FnMut(&Head),
) -> io::Result<u64> {
    let mut from = BufReader::with_capacity(CHUNK_BYTES, from);
    let (mut head, mut line) = (Head::default(), Vec::new());
    let (mut stanzas, mut keep, mut any) = (0, false, false);
    while let Some(first) = from.fill_buf()?.first().copied() {
        any = true;
        let read = match first {
            b'\n' => {
                from.consume(1);
                if keep {
                    found(&head);
                }
                (keep, line) = (false, cleared(line));
                continue;
            }
            b'P' => true,
            b'V' | b'A' | b'S' => keep,
            _ => false,
        };
        if !read {
            from.skip_until(b'\n')?;
            continue;
        }
        line = cleared(line);
        let length = (&mut from)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') && u64::try_from(length) == Ok(LINE_BYTES_MAX) {
            from.skip_until(b'\n')?;
        }
        if let Some(name) = value(&line, b"Package:")? {
            stanzas += 1;
            keep = wanted(name);
            head.clear();
            head.package.push_str(name);
        } else if keep {
            fill(&mut head, &line)?;
        }
    }
    if keep {
        found(&head);
    }
    if any && stanzas == 0 {
        return Err(io::Error::new(ErrorKind::InvalidData, "no stanza in it"));
    }
    Ok(stanzas)
}

/// What an error of [`scan`] says about the file `path`.
pub(super) fn unseen(path: &str, error: &io::Error) -> Unseen {
    if error.raw_os_error().is_some() {
        Unseen::from_io(path, error)
    } else {
        Unseen::new(path, Status::Malformed, Some(&error.to_string()))
    }
}

fn cleared(mut line: Vec<u8>) -> Vec<u8> {
    line.clear();
    line
}

fn fill(head: &mut Head, line: &[u8]) -> io::Result<()> {
    for (field, place) in [
        (&b"Version:"[..], &mut head.version),
        (b"Architecture:", &mut head.architecture),
        (b"Status:", &mut head.status),
        (b"Source:", &mut head.source),
    ] {
        if let Some(text) = value(line, field)? {
            place.clear();
            place.push_str(text);
        }
    }
    Ok(())
}

fn value<'a>(line: &'a [u8], field: &[u8]) -> io::Result<Option<&'a str>> {
    let Some(text) = line.strip_prefix(field) else {
        return Ok(None);
    };
    std::str::from_utf8(text)
        .map(|text| Some(text.trim()))
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn heads(text: &[u8], want: &str) -> io::Result<Vec<String>> {
        let mut all = Vec::new();
        scan(
            text,
            |name| want.is_empty() || name == want,
            |head| {
                let Head {
                    package,
                    version,
                    architecture,
                    status,
                    source: _,
                } = head;
                all.push(format!("{package}|{version}|{architecture}|{status}"));
            },
        )?;
        Ok(all)
    }

    #[track_caller]
    fn check(text: &str, want: &str, expected: &[&str]) {
        assert_eq!(heads(text.as_bytes(), want).unwrap(), expected, "{text}");
    }

    #[test]
    fn heads_of_wanted_stanzas() {
        let text = "Package: a\nStatus: install ok installed\nVersion: 1\nProvides: x\n\n\
                    Package: b\nVersion: 2\nArchitecture: all\nDescription: b\n Version: 9\n .\n";
        check(text, "", &["a|1||install ok installed", "b|2|all|"]);
        check(text, "b", &["b|2|all|"]);
        check(text, "c", &[]);
        check("", "", &[]);
        // A field that the stanza lacks is not taken from the one before.
        check("Package: a\nVersion: 1\n\nPackage: b\n\n", "b", &["b|||"]);
        check("\n\nPackage:a\nVersion:1", "", &["a|1||"]);
        // The rest of an overlong line is no line of its own.
        let long = format!(
            "Package: a\nProvides: {}Package: z\nVersion: 1\n",
            "x".repeat(4086)
        );
        check(&long, "", &["a|1||"]);
    }

    #[test]
    fn what_a_package_is_built_from() {
        for (field, expected) in [
            ("", ("a", "1+b2")),
            ("s", ("s", "1+b2")),
            ("s (1)", ("s", "1")),
            ("s (1", ("s", "1+b2")),
        ] {
            let (name, version) = source(field, "a", "1+b2");
            assert_eq!((name.as_str(), version.as_str()), expected, "{field}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in [
            &b"<html>login</html>"[..],
            b"\0\0\0",
            b"Package: \xff\n",
            b"\n",
        ] {
            assert!(heads(text, "").is_err(), "{text:?}");
        }
        let text = b"Package: a\nVersion: \xff\n";
        assert!(heads(text, "").is_err());
        assert!(
            heads(text, "b").is_ok(),
            "a stanza that is not wanted is not looked into"
        );
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            drop(heads(&bytes, ""));
        }

        #[test]
        fn any_lines(text in "((Package|Version|Status|x)?:? ?[a-z\n ]{0,6}\n?){0,20}") {
            drop(heads(text.as_bytes(), ""));
        }
    }
}
