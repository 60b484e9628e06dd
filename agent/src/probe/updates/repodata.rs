//! Metadata of an RPM repository: what it offers, and the advisories about it.
//!
//! `repomd.xml` names the other files; `primary` has one element a package, `updateinfo` one an
//! advisory. Both are read as streams, and only what is asked for is kept.
//!
//! Source: `createrepo_c` 0.20 `doc/`, libsolv `ext/repo_rpmmd.c` and `ext/repo_updateinfoxml.c`.

use std::io::{BufRead, Error, ErrorKind, Result};

use jiff::civil;
use jiff::tz::TimeZone;
use shared::time::Timestamp;

use super::rpm_version::Version;
use super::xml::{Tag, Tags};

/// Most CVE ids of one advisory.
const CVES_MAX: usize = 1024;
/// Most bytes that are kept of one advisory, and of all advisories of a file.
const ADVISORY_BYTES_MAX: usize = 1024 * 1024;
const ADVISORIES_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What `repomd.xml` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// When the repository was made: the newest of its files, and the revision when it is a time.
    pub(super) released: Option<Timestamp>,
    /// Type and file name of each file.
    pub(super) files: Vec<(String, String)>,
}

impl Index {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// Those of [`Tags::next`].
    pub(super) fn read(from: impl BufRead) -> Result<Self> {
        let mut index = Self::default();
        let mut kind = String::new();
        let mut tags = Tags::new(from);
        while let Some(tag) = tags.next()? {
            match tag.name() {
                "data" => kind = tag.attribute("type").unwrap_or_default(),
                "location" => {
                    let place = tag.attribute("href").unwrap_or_default();
                    let name = place.rsplit('/').next().unwrap_or_default();
                    index.files.push((kind.clone(), name.to_owned()));
                }
                "/timestamp" | "/revision" => {
                    index.released = index.released.max(date(&tag.text()));
                }
                _ => {}
            }
        }
        if index.file("primary").is_none() && index.file("primary_zck").is_none() {
            return Err(Error::new(ErrorKind::InvalidData, "it names no packages"));
        }
        Ok(index)
    }

    /// The file name of a type.
    pub(super) fn file(&self, kind: &str) -> Option<&str> {
        let found = self.files.iter().find(|(known, _)| known == kind);
        found.map(|(_, name)| name.as_str())
    }
}

/// A package that a repository offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offer {
    /// Name.
    pub(super) name: String,
    /// Architecture.
    pub(super) architecture: String,
    /// Epoch, version, release.
    pub(super) version: Version,
    /// File name of the source package.
    pub(super) source: Option<String>,
}

impl Offer {
    /// Bytes that it takes.
    fn bytes(&self) -> usize {
        let Version {
            version, release, ..
        } = &self.version;
        let source = self.source.as_ref().map_or(0, String::len);
        let name = self.name.len() + self.architecture.len();
        size_of::<Self>() + name + version.len() + release.len() + source
    }

    /// Name, version and architecture in one text.
    pub(super) fn named(&self) -> String {
        format!(
            "{} {} {}",
            self.name,
            self.version.text(),
            self.architecture
        )
    }
}

/// Hands on each package whose name is wanted.
///
/// # Errors
///
/// Those of [`Tags::next`]; [`ErrorKind::InvalidData`] for a package without name or version.
pub(super) fn packages(
    from: impl BufRead,
    wanted: impl Fn(&str) -> bool,
    mut each: impl FnMut(Offer) -> Result<()>,
) -> Result<()> {
    let mut tags = Tags::new(from);
    let mut offer = Offer::default();
    let (mut format, mut dated) = (false, false);
    while let Some(tag) = tags.next()? {
        match tag.name() {
            "package" => {
                offer = Offer::default();
                dated = false;
            }
            "format" => format = true,
            "/format" => format = false,
            "/name" if !format => offer.name = tag.text(),
            "/arch" if !format => offer.architecture = tag.text(),
            "version" if !format => {
                offer.version = version(&tag)?;
                dated = true;
            }
            "/rpm:sourcerpm" => offer.source = Some(tag.text()).filter(|text| !text.is_empty()),
            "/package" => {
                if offer.name.is_empty() || offer.architecture.is_empty() || !dated {
                    return Err(Error::new(ErrorKind::InvalidData, "a package"));
                }
                if wanted(&offer.name) {
                    each(std::mem::take(&mut offer))?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Attributes of `version` and of the packages of an advisory.
fn version(tag: &Tag<'_>) -> Result<Version> {
    let part = |short, long| tag.attribute(short).or_else(|| tag.attribute(long));
    let epoch = part("epoch", "epoch").unwrap_or_default();
    match (part("ver", "version"), part("rel", "release")) {
        (Some(version), Some(release)) => Ok(Version {
            epoch: epoch.parse().unwrap_or_default(),
            version,
            release,
        }),
        _ => Err(Error::new(ErrorKind::InvalidData, "a version")),
    }
}

/// What is said about some packages: an update for security, against an error, or for more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Advisory {
    /// Its name.
    pub(super) id: String,
    /// It is about security.
    pub(super) security: bool,
    /// How severe, in the repository's words.
    pub(super) severity: Option<String>,
    /// When it was published.
    pub(super) issued: Option<Timestamp>,
    /// The CVE ids.
    pub(super) cves: Vec<String>,
    /// The packages that are wanted.
    pub(super) packages: Vec<Offer>,
}

impl Advisory {
    /// Bytes that it takes.
    fn bytes(&self) -> usize {
        let texts = self.id.len() + self.severity.as_ref().map_or(0, String::len);
        let cves = self.cves.iter().map(|id| size_of::<String>() + id.len());
        let packages = self.packages.iter().map(Offer::bytes);
        size_of::<Self>() + texts + cves.sum::<usize>() + packages.sum::<usize>()
    }
}

/// Hands on each advisory that has a wanted package. How many there are about security at all.
///
/// # Errors
///
/// Those of [`Tags::next`]; [`ErrorKind::InvalidData`] for a package without name or version;
/// [`ErrorKind::FileTooLarge`] when one advisory, or all, have more than is kept.
pub(super) fn advisories(
    from: impl BufRead,
    wanted: impl Fn(&Offer) -> bool,
    mut each: impl FnMut(Advisory) -> Result<()>,
) -> Result<u64> {
    let mut tags = Tags::new(from);
    let mut advisory = Advisory::default();
    let mut security = 0;
    let mut list = false;
    let (mut room, mut room_of_all) = (ADVISORY_BYTES_MAX, ADVISORIES_BYTES_MAX);
    let spend = |room: &mut usize, bytes: usize| {
        let left = room.checked_sub(bytes);
        *room = left.ok_or_else(|| Error::new(ErrorKind::FileTooLarge, "too many packages"))?;
        Ok::<(), Error>(())
    };
    while let Some(tag) = tags.next()? {
        match tag.name() {
            "update" => {
                room = ADVISORY_BYTES_MAX;
                advisory = Advisory {
                    security: tag.attribute("type").is_some_and(|kind| kind == "security"),
                    ..Advisory::default()
                };
            }
            "pkglist" => list = true,
            "/pkglist" => list = false,
            "/id" if !list => advisory.id = tag.text(),
            "/severity" => advisory.severity = Some(tag.text()).filter(|text| !text.is_empty()),
            "issued" => advisory.issued = tag.attribute("date").as_deref().and_then(date),
            "reference" if tag.attribute("type").is_some_and(|kind| kind == "cve") => {
                let id = tag
                    .attribute("id")
                    .filter(|_| advisory.cves.len() < CVES_MAX);
                let bytes = id.as_ref().map_or(0, |id| size_of::<String>() + id.len());
                spend(&mut room, bytes)?;
                advisory.cves.extend(id);
            }
            "package" => {
                let text = |name| tag.attribute(name).unwrap_or_default();
                let package = Offer {
                    name: text("name"),
                    architecture: text("arch"),
                    version: version(&tag)?,
                    source: None,
                };
                if wanted(&package) {
                    spend(&mut room, package.bytes())?;
                    advisory.packages.push(package);
                }
            }
            "/update" => {
                security += u64::from(advisory.security);
                let advisory = std::mem::take(&mut advisory);
                if !advisory.packages.is_empty() {
                    spend(&mut room_of_all, advisory.bytes())?;
                    each(advisory)?;
                }
            }
            _ => {}
        }
    }
    Ok(security)
}

/// A date of a repository, which are all UTC: seconds since 1970, `2026-11-22`,
/// `2026-11-22 10:00:00`, `2026-11-22T10:00:00Z`.
fn date(text: &str) -> Option<Timestamp> {
    let ms = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse::<i64>().ok()?.checked_mul(1000)?
    } else if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        instant.as_millisecond()
    } else {
        let text = text.trim_end_matches(" UTC");
        let day = |text: &str| {
            text.parse::<civil::Date>()
                .ok()
                .map(|day| day.at(0, 0, 0, 0))
        };
        let local = text.parse::<civil::DateTime>().ok().or_else(|| day(text))?;
        let instant = local.to_zoned(TimeZone::UTC).ok()?;
        instant.timestamp().as_millisecond()
    };
    Timestamp::from_unix_ms(ms).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for text in [
            "1795342800",
            "2026-11-22T10:20:00Z",
            "2026-11-22 10:20:00",
            "2026-11-22 10:20:00 UTC",
            "2026-11-22T10:20:00.000Z",
            "2026-11-22T11:20:00+01:00",
        ] {
            let found = date(text).map(|date| date.to_string());
            assert_eq!(found.as_deref(), Some("2026-11-22T10:20:00.000Z"), "{text}");
        }
        let day = date("2026-11-22").unwrap().to_string();
        assert_eq!(day, "2026-11-22T00:00:00.000Z");
        for none in [
            "",
            "yesterday",
            "2026-13-01",
            "99999999999999999999",
            "0x10",
        ] {
            assert_eq!(date(none), None, "{none}");
        }
    }

    #[test]
    fn files_of_a_repository() {
        let data = |kind: &str, time: u64| {
            format!(
                "<data type=\"{kind}\"><location href=\"repodata/{kind}.xml.gz\"/>\
                 <timestamp>{time}</timestamp></data>"
            )
        };
        let text = format!(
            "<repomd><revision>1</revision>{}{}</repomd>",
            data("primary", 60),
            data("updateinfo", 120)
        );
        let index = Index::read(text.as_bytes()).unwrap();
        assert_eq!(index.file("updateinfo"), Some("updateinfo.xml.gz"));
        assert_eq!(index.file("modules"), None);
        let released = index.released.unwrap().to_string();
        assert_eq!(released, "1970-01-01T00:02:00.000Z");
        assert!(Index::read(&b"<repomd></repomd>"[..]).is_err());
        assert!(Index::read(&text.as_bytes()[..text.len() - 1]).is_err());
    }

    #[test]
    fn what_is_kept_of_advisories_is_bounded() {
        let read = |updates: usize, packages: usize, cves: usize| {
            let package = "<package name=\"a\" arch=\"noarch\" version=\"1\" release=\"2\"/>";
            let cve = format!("<reference type=\"cve\" id=\"{}\"/>", "x".repeat(60_000));
            let update = format!(
                "<update type=\"security\"><id>A</id>{}{}</update>",
                cve.repeat(cves),
                package.repeat(packages)
            );
            let text = format!("<updates>{}</updates>", update.repeat(updates));
            let mut asked = 0;
            let asked_for = std::cell::Cell::new(0_usize);
            let wanted = |_: &Offer| {
                asked_for.set(asked_for.get() + 1);
                true
            };
            let result = advisories(text.as_bytes(), wanted, |advisory| {
                asked += advisory.packages.len();
                Ok(())
            });
            let result = result.map_err(|error| error.kind());
            (result, asked, asked_for.get())
        };
        assert_eq!(read(3, 100, 2), (Ok(3), 300, 300));
        // One with more than fits ends the look long before its end.
        let (result, kept, asked) = read(1, 20_000, 0);
        assert_eq!((result, kept), (Err(ErrorKind::FileTooLarge), 0));
        assert!(asked * size_of::<Offer>() <= ADVISORY_BYTES_MAX, "{asked}");
        assert_eq!(read(1, 1, 20).0, Err(ErrorKind::FileTooLarge));
        let (result, kept, _) = read(20, 4000, 0);
        assert_eq!(result, Err(ErrorKind::FileTooLarge));
        assert!(kept * size_of::<Offer>() <= ADVISORIES_BYTES_MAX, "{kept}");
    }

    #[test]
    fn a_package_that_is_not_whole_is_refused() {
        let package = |inside: &str| {
            let text = format!("<metadata><package>{inside}</package></metadata>");
            let mut found = Vec::new();
            let read = packages(
                text.as_bytes(),
                |_| true,
                |offer| {
                    found.push(offer);
                    Ok(())
                },
            );
            read.map(|()| found.len())
        };
        let (name, arch) = ("<name>a</name>", "<arch>noarch</arch>");
        let version = "<version epoch=\"0\" ver=\"1\" rel=\"2\"/>";
        let format = "<format><name>b</name></format>";
        assert_eq!(package(&[name, arch, version, format].concat()).unwrap(), 1);
        for part in [[name, arch], [name, version], [arch, version]] {
            assert!(package(&part.concat()).is_err(), "{part:?}");
        }
        assert!(package(&[name, arch, "<version ver=\"1\"/>"].concat()).is_err());
    }
}
