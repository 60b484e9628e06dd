//! When a version of a package was made: the changelog that it brings along.
//!
//! The date is that of the source package, so the version was not offered before it. Minimal images
//! leave the changelogs out, and then nothing is known.
//!
//! Source: deb-changelog(5).

use std::io::{BufRead, BufReader, Read};

use shared::time::Timestamp;

use crate::host::Host;

/// How much of a changelog is looked through for a version; a year of a busy package has less.
const CHANGELOG_BYTES_MAX: u64 = 256 * 1024;
const PACKED_BYTES_MAX: u64 = 16 * 1024 * 1024;
const LINE_BYTES_MAX: u64 = 4096;

/// What a changelog says of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Made {
    /// When the source was finished.
    pub(super) at: Timestamp,
    /// It was made for an archive of security updates.
    pub(super) security: bool,
}

/// What the changelogs of an installed package say of one of its versions.
pub(super) fn made(
    host: &dyn Host,
    (package, architecture): (&str, &str),
    version: &str,
) -> Option<Made> {
    let folder = format!("/usr/share/doc/{package}");
    // A rebuild for one architecture has a changelog of its own beside that of the source.
    let own = format!("changelog.Debian.{architecture}.gz");
    let names = [own.as_str(), "changelog.Debian.gz", "changelog.gz"];
    names.into_iter().find_map(|name| {
        let file = host
            .open(&format!("{folder}/{name}"), PACKED_BYTES_MAX)
            .ok()?;
        let text = flate2::read::MultiGzDecoder::new(file).take(CHANGELOG_BYTES_MAX);
        find(text, version).ok().flatten()
    })
}

/// The entry of a version: `openssl (3.0.19-1) bookworm-security; urgency=medium` up to its line
/// ` -- Name <address>  Fri, 03 Apr 2026 14:29:32 +0200`.
fn find(text: impl Read, version: &str) -> std::io::Result<Option<Made>> {
    let mut text = BufReader::with_capacity(16 * 1024, text);
    let (mut line, mut security) = (Vec::new(), None);
    loop {
        line.clear();
        if (&mut text)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&line);
        match security {
            None => {
                let head = Some(&*line).filter(|line| !line.starts_with([' ', '\t']));
                let head = head.and_then(|line| line.split_once(" ("));
                let head = head.and_then(|(_, rest)| rest.split_once(") "));
                if let Some((_, rest)) = head.filter(|(found, _)| *found == version) {
                    let mut suites = rest.split(';').next().unwrap_or_default().split(' ');
                    security = Some(suites.any(|suite| suite.ends_with("-security")));
                }
            }
            Some(security) => {
                if let Some(trailer) = line.strip_prefix(" -- ") {
                    let date = trailer.rsplit_once(">  ").map(|(_, date)| date.trim());
                    let at = date.and_then(|date| Timestamp::from_rfc2822(date).ok());
                    return Ok(at.map(|at| Made { at, security }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "\
tool (1:2-1) bookworm-security; urgency=high

  * Fixes tool (1:1-1) bookworm; which is no head.

 -- A <a@example.org>  Fri, 03 Apr 2026 14:29:32 +0200

tool (1:1-1) bookworm; urgency=medium

  * First.

 -- A <a@example.org>  Sun, 22 Feb 2026 18:36:50 +0100
";

    #[test]
    fn each_version_has_its_date() {
        let made = |version| find(TEXT.as_bytes(), version).unwrap();
        let fix = made("1:2-1").unwrap();
        assert_eq!(
            (fix.at.to_string().as_str(), fix.security),
            ("2026-04-03T12:29:32.000Z", true)
        );
        let first = made("1:1-1").unwrap();
        assert!(!first.security && first.at < fix.at);
        for none in ["2-1", "1:2", ""] {
            assert_eq!(made(none), None, "{none}");
        }
        let undated = TEXT.replacen("Fri, 03 Apr", "Fri, 33 Apr", 1);
        assert_eq!(find(undated.as_bytes(), "1:2-1").unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(find(&bytes[..], "1"));
        }
    }
}
