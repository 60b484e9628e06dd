//! The head of an archive's release file: what the archive says of itself and when it said it.
//!
//! `InRelease` files are signed in clear text. Only the signed text is read, but the signature is
//! not verified here: apt verified it when it fetched the file, and root may have changed it since.
//!
//! Source: <https://wiki.debian.org/DebianRepository/Format>, RFC 9580 section 7.

use shared::time::Timestamp;

/// What a release file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Release {
    /// Field `Origin`.
    pub(super) origin: Option<String>,
    /// Field `Label`.
    pub(super) label: Option<String>,
    /// Field `Suite`.
    pub(super) suite: Option<String>,
    /// Field `Codename`.
    pub(super) codename: Option<String>,
    /// Field `Version`.
    pub(super) version: Option<String>,
    /// Field `Date`.
    pub(super) released: Option<Timestamp>,
    /// Field `Valid-Until`.
    pub(super) valid_until: Option<Timestamp>,
    /// Field `NotAutomatic`: nothing is taken from here by itself.
    pub(super) not_automatic: bool,
    /// Field `ButAutomaticUpgrades`: except newer versions of what was once taken from here.
    pub(super) but_automatic_upgrades: bool,
    /// A date that has another form: it is not known, and all else is.
    pub(super) no_date: Option<String>,
}

/// A file is no release file, no clear-signed text, or cut short: it is damaged, or something else
/// was saved under its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no complete release file")]
pub(super) struct ReleaseError;

impl Release {
    /// Reads a release file, clear-signed (`InRelease`) or not (`Release`).
    ///
    /// # Errors
    ///
    /// [`ReleaseError`].
    pub(super) fn read(bytes: &[u8], signed: bool) -> Result<Self, ReleaseError> {
        // What is no UTF-8 stands in descriptions of old archives.
        let text = String::from_utf8_lossy(bytes);
        let text = if signed { signed_part(&text)? } else { &text };
        let mut release = Self::default();
        let mut fields = 0_usize;
        for line in text.lines() {
            // A line that begins with a dash is written with `- ` before it when it is signed.
            let line = line.strip_prefix("- ").filter(|_| signed).unwrap_or(line);
            let Some((name, value)) = line.split_once(':').filter(|_| !line.starts_with(' '))
            else {
                continue;
            };
            fields += 1;
            release.set(name, value.trim());
        }
        if fields == 0 {
            return Err(ReleaseError);
        }
        Ok(release)
    }

    fn set(&mut self, name: &str, value: &str) {
        match name {
            "Origin" => self.origin = Some(value.to_owned()),
            "Label" => self.label = Some(value.to_owned()),
            "Suite" => self.suite = Some(value.to_owned()),
            "Codename" => self.codename = Some(value.to_owned()),
            "Version" => self.version = Some(value.to_owned()),
            "Date" => self.released = self.date(value),
            "Valid-Until" => self.valid_until = self.date(value),
            "NotAutomatic" => self.not_automatic = value == "yes",
            "ButAutomaticUpgrades" => self.but_automatic_upgrades = value == "yes",
            _ => {}
        }
    }

    fn date(&mut self, value: &str) -> Option<Timestamp> {
        let date = Timestamp::from_rfc2822(value).ok();
        if date.is_none() {
            self.no_date = Some(value.to_owned());
        }
        date
    }

    /// Whether it is a source of security updates: label `Debian-Security`, a suite or codename
    /// that ends in `-security`, or an origin of Ubuntu's extended maintenance.
    pub(super) fn security(&self) -> bool {
        let ends = |text: &Option<String>| {
            text.as_deref().is_some_and(|text| {
                // Debian wrote `buster/updates` until 2021, with the label below.
                text.ends_with("-security")
            })
        };
        self.label.as_deref() == Some("Debian-Security")
            || ends(&self.suite)
            || ends(&self.codename)
            || self
                .origin
                .as_deref()
                .is_some_and(|origin| origin.starts_with("UbuntuESM"))
    }

    /// Label and suite in one text, for people.
    pub(super) fn title(&self) -> String {
        let suite = self.suite.as_deref().or(self.codename.as_deref());
        let label = self.label.as_deref().or(self.origin.as_deref());
        [label, suite]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn signed_part(text: &str) -> Result<&str, ReleaseError> {
    let (head, rest) = text
        .strip_prefix("-----BEGIN PGP SIGNED MESSAGE-----")
        .and_then(|rest| rest.split_once("\n\n"))
        .ok_or(ReleaseError)?;
    // Between the first line and the empty line only `Hash:` may stand.
    if head.lines().skip(1).any(|line| !line.starts_with("Hash: ")) {
        return Err(ReleaseError);
    }
    rest.split_once("\n-----BEGIN PGP SIGNATURE-----")
        .map(|(signed, _signature)| signed)
        .ok_or(ReleaseError)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn signed(text: &str) -> String {
        format!(
            "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{text}\n\
             -----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"
        )
    }

    #[test]
    fn what_the_archive_says() {
        let text = signed(
            "Origin: Debian\nLabel: Debian-Security\nSuite: oldstable-security\nVersion: 12\n\
             Codename: bookworm-security\nDate: Fri, 20 Nov 2026 00:12:41 UTC\n\
             Valid-Until: Fri, 27 Nov 2026 00:12:41 UTC\nSHA256:\n e3b0 0 Label: x",
        );
        let release = Release::read(text.as_bytes(), true).unwrap();
        assert!(release.security());
        assert_eq!(release.title(), "Debian-Security oldstable-security");
        assert_eq!(
            release.released.unwrap().to_string(),
            "2026-11-20T00:12:41.000Z"
        );
        assert_eq!(
            release.valid_until.unwrap().to_string(),
            "2026-11-27T00:12:41.000Z"
        );
        assert!(!release.not_automatic && !release.but_automatic_upgrades);
    }

    #[test]
    fn which_sources_are_for_security() {
        for (text, security) in [
            ("Label: Debian-Security", true),
            ("Suite: noble-security", true),
            ("Codename: bookworm-security", true),
            ("Origin: UbuntuESMApps", true),
            ("Label: Debian\nSuite: stable", false),
            ("Suite: noble-updates", false),
            ("Suite: security-tools", false),
            ("Description: Debian-Security", false),
        ] {
            let release = Release::read(text.as_bytes(), false).unwrap();
            assert_eq!(release.security(), security, "{text}");
        }
    }

    #[test]
    fn only_what_is_signed_counts() {
        let plain = "Label: Debian-Security\n";
        let before = format!("{plain}{}", signed("Label: x"));
        let inside = signed("Label: x").replacen("Hash: SHA256", plain.trim(), 1);
        let after = format!("{}{plain}", signed("Label: x"));
        let cut = signed("Label: x").replacen("-----BEGIN PGP SIGNATURE-----", "", 1);
        for bad in [plain, &before, &inside, &cut, ""] {
            let refused = Release::read(bad.as_bytes(), true);
            assert_eq!(refused, Err(ReleaseError), "{bad}");
        }
        assert!(!Release::read(after.as_bytes(), true).unwrap().security());
        let dashed = Release::read(signed("- -x: y\n- Label: L").as_bytes(), true).unwrap();
        assert_eq!(dashed.label.as_deref(), Some("L"));
    }

    #[test]
    fn what_is_no_release_file_is_refused() {
        for bad in ["", "hello", " x: y"] {
            let refused = Release::read(bad.as_bytes(), false);
            assert_eq!(refused, Err(ReleaseError), "{bad}");
        }
        for (bad, date) in [
            ("Date: today", "today"),
            (
                "Valid-Until: Fri, 31 Feb 2026 00:00:00 UTC",
                "Fri, 31 Feb 2026 00:00:00 UTC",
            ),
        ] {
            let read = Release::read(bad.as_bytes(), false).unwrap();
            assert_eq!(read.no_date.as_deref(), Some(date));
            assert_eq!((read.released, read.valid_until), (None, None));
        }
        let latin = Release::read(b"Label: L\nDescription: caf\xe9", false).unwrap();
        assert_eq!(latin.label.as_deref(), Some("L"));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300), signed in any::<bool>()) {
            drop(Release::read(&bytes, signed));
        }
    }
}
