//! Which packages are installed: rpm's database in its SQLite form.
//!
//! The table `Packages` has one header a package: an index of entries of 16 bytes, then the data
//! that they point to. The keys of package signatures stand in the same table as packages of the
//! name `gpg-pubkey`; they are no software and are left out.
//!
//! Source: rpm 4.18 `lib/header.c`, `docs/manual/hregions.md`, `docs/manual/tags.md`.

use shared::observation::Status;
use shared::time::Timestamp;

use super::rpm_version::{Named, Version};
use super::sqlite;
use super::sqlite_row::number;
use crate::host::{Host, Unseen};

/// Most packages that are kept; a full desktop has 4,000.
const PACKAGES_MAX: usize = 100_000;
/// Longest name, version and so on.
const TEXT_BYTES_MAX: usize = 1024;
/// Bytes before the index, and of one entry of it.
const ENTRY_BYTES: usize = 16;
const NUMBERS: u64 = 4;
const TEXT: u64 = 6;
const BYTES: u64 = 7;

/// Tags of a header: `include/rpm/rpmtag.h`.
mod tag {
    pub(super) const DSA_HEADER: u64 = 267;
    pub(super) const RSA_HEADER: u64 = 268;
    pub(super) const NAME: u64 = 1000;
    pub(super) const VERSION: u64 = 1001;
    pub(super) const RELEASE: u64 = 1002;
    pub(super) const EPOCH: u64 = 1003;
    pub(super) const INSTALL_TIME: u64 = 1008;
    pub(super) const VENDOR: u64 = 1011;
    pub(super) const ARCHITECTURE: u64 = 1022;
    pub(super) const SOURCE: u64 = 1044;
    pub(super) const MODULE: u64 = 5096;
}

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Package {
    /// Name.
    pub(super) name: String,
    /// Architecture.
    pub(super) architecture: String,
    /// Epoch, version, release.
    pub(super) version: Version,
    /// File name of the source package.
    pub(super) source: Option<String>,
    /// Who built it.
    pub(super) vendor: Option<String>,
    /// When it was installed.
    pub(super) installed: Option<Timestamp>,
    /// Id of the key that signed it, in 16 hexadecimal digits; `None` when nobody did.
    pub(super) key: Option<String>,
    /// `NAME:STREAM:..` of the module that it belongs to.
    pub(super) module: Option<String>,
}

impl Package {
    /// The stream of the module that it belongs to, as `NAME:STREAM`.
    pub(super) fn stream(&self) -> Option<String> {
        let mut parts = self.module.as_deref()?.split(':');
        Some(format!("{}:{}", parts.next()?, parts.next()?))
    }

    /// As patterns see it.
    pub(super) fn named(&self) -> Named<'_> {
        Named {
            name: &self.name,
            architecture: &self.architecture,
            version: &self.version,
        }
    }
}

/// Reads the database at `path`; the packages by name, architecture and version.
///
/// # Errors
///
/// [`Unseen`]; [`Status::Malformed`] when it has no package or one that is damaged.
pub(super) fn read(host: &dyn Host, path: &str) -> Result<Vec<Package>, Unseen> {
    let unseen = |status, why: &str| Unseen::new(path, status, Some(why));
    let mut packages = sqlite::read(host, path, |database| {
        let table = database.table("Packages")?;
        let Some(blob) = table.column("blob") else {
            return Err(unseen(Status::Unsupported, "no column `blob`"));
        };
        let mut packages = Vec::new();
        database.rows(&table, |row| {
            let package = row.blob(blob).and_then(package);
            let package = package.ok_or_else(|| unseen(Status::Malformed, "a header"))?;
            if packages.len() == PACKAGES_MAX {
                return Err(unseen(Status::Limit, "too many packages"));
            }
            if package.name != "gpg-pubkey" {
                packages.push(package);
            }
            Ok(())
        })?;
        Ok(packages)
    })?;
    if packages.is_empty() {
        return Err(unseen(Status::Malformed, "it is empty"));
    }
    packages.sort_by(|a, b| {
        let place = |package: &Package| (package.name.clone(), package.architecture.clone());
        let versions = || a.version.compare(&b.version);
        place(a).cmp(&place(b)).then_with(versions)
    });
    Ok(packages)
}

/// The package of a header; `None` when it is damaged.
fn package(bytes: &[u8]) -> Option<Package> {
    let header = Header::of(bytes)?;
    let name = header.text(tag::NAME)?;
    let architecture = match header.text(tag::ARCHITECTURE) {
        // Only a key has none.
        None if name != "gpg-pubkey" => return None,
        text => text.unwrap_or_default(),
    };
    let key = [tag::RSA_HEADER, tag::DSA_HEADER];
    let signature = key.iter().find_map(|tag| header.bytes(*tag));
    let time = header.number(tag::INSTALL_TIME);
    let installed = time.map(|seconds| i64::try_from(seconds).unwrap_or_default());
    Some(Package {
        version: Version {
            epoch: header.number(tag::EPOCH).unwrap_or_default(),
            version: header.text(tag::VERSION)?,
            release: header.text(tag::RELEASE)?,
        },
        source: header.text(tag::SOURCE),
        vendor: header.text(tag::VENDOR),
        installed: installed.map(|seconds| Timestamp::default().plus_ms(seconds * 1000)),
        key: signature.and_then(signer),
        module: header.text(tag::MODULE),
        name,
        architecture,
    })
}

/// A header: its index and its data.
struct Header<'a> {
    index: &'a [u8],
    data: &'a [u8],
}

impl<'a> Header<'a> {
    fn of(bytes: &'a [u8]) -> Option<Self> {
        let size = |at| usize::try_from(number(bytes, at, 4)?).ok();
        let index = size(0)?.checked_mul(ENTRY_BYTES)?;
        let (index, data) = bytes.get(8..)?.split_at_checked(index)?;
        (data.len() == size(4)?).then_some(Self { index, data })
    }

    /// The data from where the first entry of a tag and a type points to, and its count.
    fn entry(&self, tag: u64, kind: u64) -> Option<(&'a [u8], usize)> {
        let (entries, _rest) = self.index.as_chunks::<ENTRY_BYTES>();
        let is_meant = |entry: &&[u8; ENTRY_BYTES]| {
            number(*entry, 0, 4) == Some(tag) && number(*entry, 4, 4) == Some(kind)
        };
        let entry = entries.iter().find(is_meant)?;
        let offset = usize::try_from(number(entry, 8, 4)?).ok()?;
        let count = usize::try_from(number(entry, 12, 4)?).ok()?;
        Some((self.data.get(offset..)?, count))
    }

    fn text(&self, tag: u64) -> Option<String> {
        let (data, _one) = self.entry(tag, TEXT)?;
        let end = data
            .iter()
            .take(TEXT_BYTES_MAX)
            .position(|byte| *byte == 0)?;
        let text = String::from_utf8_lossy(data.get(..end)?);
        (!text.is_empty()).then(|| text.into_owned())
    }

    fn number(&self, tag: u64) -> Option<u64> {
        let (data, _one) = self.entry(tag, NUMBERS)?;
        number(data, 0, 4)
    }

    fn bytes(&self, tag: u64) -> Option<&'a [u8]> {
        let (data, count) = self.entry(tag, BYTES)?;
        data.get(..count)
    }
}

/// The id of the key that made an OpenPGP signature.
///
/// Source: RFC 4880, sections 4.2, 5.2.2, 5.2.3.
fn signer(packet: &[u8]) -> Option<String> {
    let head = usize::from(*packet.first()?);
    let (kind, body) = if head & 0x40 == 0 {
        let length = [1, 2, 4].get(head & 3)?;
        (head >> 2 & 0x0f, packet.get(1 + length..)?)
    } else {
        let length = match packet.get(1)? {
            0..=191 => 1,
            192..=223 => 2,
            224..=254 => return None,
            255 => 5,
        };
        (head & 0x3f, packet.get(1 + length..)?)
    };
    let id = match body.first()? {
        _ if kind != 2 => return None,
        3 => body.get(7..15)?,
        4 => {
            let hashed = usize::try_from(number(body, 4, 2)?).ok()?;
            let signed = body.get(6..6 + hashed)?;
            let rest = body.get(6 + hashed..)?;
            let unsigned = usize::try_from(number(rest, 0, 2)?).ok()?;
            let unsigned = rest.get(2..2 + unsigned)?;
            issuer(signed).or_else(|| issuer(unsigned))?
        }
        _ => return None,
    };
    let digits = id.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// The subpacket of the issuer, or the end of the one of its fingerprint.
fn issuer(mut subpackets: &[u8]) -> Option<&[u8]> {
    while let Some(first) = subpackets.first() {
        let (from, length): (usize, usize) = match usize::from(*first) {
            short @ 0..=191 => (1, short),
            long @ 192..=254 => {
                let second = usize::from(*subpackets.get(1)?);
                (2, (long - 192) * 256 + second + 192)
            }
            _ => (5, usize::try_from(number(subpackets, 1, 4)?).ok()?),
        };
        let end = from.checked_add(length)?;
        let subpacket = subpackets.get(from..end)?;
        match (subpacket.first().map(|kind| kind & 0x7f), subpacket.len()) {
            (Some(16), 9) => return subpacket.get(1..),
            (Some(33), 22) => return subpacket.get(14..),
            _ => subpackets = subpackets.get(end..)?,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A header of texts and numbers, as rpm stores it.
    fn header(entries: &[(u64, u64, &[u8])]) -> Vec<u8> {
        let (mut index, mut data) = (Vec::new(), Vec::new());
        let word = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
        for (tag, kind, bytes) in entries {
            let count = if *kind == BYTES { bytes.len() } else { 1 };
            let tag = usize::try_from(*tag).unwrap();
            let kind = usize::try_from(*kind).unwrap();
            for number in [tag, kind, data.len(), count] {
                index.extend(word(number));
            }
            data.extend(*bytes);
        }
        [&word(entries.len())[..], &word(data.len()), &index, &data].concat()
    }

    #[test]
    fn a_package_out_of_a_header() {
        let entries: &[(u64, u64, &[u8])] = &[
            (tag::NAME, TEXT, b"bash\0"),
            (tag::VERSION, TEXT, b"5.1.8\0"),
            (tag::RELEASE, TEXT, b"9.el9\0"),
            (tag::ARCHITECTURE, TEXT, b"x86_64\0"),
            (tag::EPOCH, NUMBERS, &[0, 0, 0, 2]),
            (tag::INSTALL_TIME, NUMBERS, &[0, 0, 0, 9]),
            (tag::MODULE, TEXT, b"shell:5:1:c\0"),
        ];
        let whole = header(entries);
        let found = package(&whole).unwrap();
        assert_eq!(found.version.text(), "2:5.1.8-9.el9");
        assert_eq!(found.installed.unwrap().unix_ms(), 9000);
        assert_eq!(found.module.as_deref(), Some("shell:5:1:c"));
        assert_eq!((found.vendor, found.key), (None, None));
        for missing in 0..4 {
            let mut fewer = entries.to_vec();
            let _removed = fewer.remove(missing);
            assert_eq!(package(&header(&fewer)), None, "{missing}");
        }
        for cut in 0..whole.len() {
            assert_eq!(package(&whole[..cut]), None, "{cut}");
        }
        let key = header(&[
            (tag::NAME, TEXT, b"gpg-pubkey\0"),
            (tag::VERSION, TEXT, b"fd431d51\0"),
            (tag::RELEASE, TEXT, b"4ae0493b\0"),
        ]);
        assert_eq!(package(&key).unwrap().name, "gpg-pubkey");
    }

    #[test]
    fn signers() {
        let id = [1, 2, 3, 4, 5, 6, 7, 0xab];
        let hex = Some("01020304050607ab".to_owned());
        let old = [&[0x89, 0, 19, 3, 5, 0, 0, 0, 0, 0][..], &id, &[1, 8, 0, 0]].concat();
        assert_eq!(signer(&old), hex);
        let issuer = [&[9, 16][..], &id].concat();
        let new = |hashed: &[u8], other: &[u8]| {
            let length = |bytes: &[u8]| [0, u8::try_from(bytes.len()).unwrap()];
            let (first, second) = (length(hashed), length(other));
            let head = [0xc2, 60, 4, 0, 1, 8];
            [&head[..], &first, hashed, &second, other].concat()
        };
        assert_eq!(signer(&new(&[], &issuer)), hex);
        let print = [&[22, 33, 4][..], &[9; 12], &id].concat();
        assert_eq!(signer(&new(&[&[2, 27, 3][..], &print].concat(), &[])), hex);
        for none in [
            &[][..],
            &[0x89],
            &[0x99, 0, 1, 3],
            &new(&[], &[]),
            &new(&[9, 16], &[]),
        ] {
            assert_eq!(signer(none), None, "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            drop(package(&bytes));
            drop(signer(&bytes));
            drop(signer(&[&[0xc2, 70, 4][..], &bytes].concat()));
        }
    }
}
