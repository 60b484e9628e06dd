//! apt's package lists: which archives there are, and which versions they offer of what is
//! installed.
//!
//! `<place>_InRelease` (or `<place>_Release`) describes the lists
//! `<place>_<component>_binary-<architecture>_Packages`, which may be packed. A list that cannot be
//! read, and a release file without a list, leave the whole incomplete: then nothing is said about
//! pending updates. apt removes the files of sources that are no longer configured at its next
//! update; until then they count.
//!
//! Unpacking and scanning 50 MB is the dear part, so what a list offers is remembered as long as
//! the file and the set of installed packages are the same. A recorded file without times is not
//! remembered, because nothing tells that it changed.

use std::sync::Arc;

use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::cache::Cache;
use super::inventory::Inventory;
use super::preference::Place;
use super::release::Release;
use super::{packed, stanza};
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Where apt keeps its lists.
pub(super) const FOLDER: &str = "/var/lib/apt/lists";
/// Longest release file; that of Debian stable has 150 KB.
const RELEASE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Most release files and lists of one host; one with ten archives has about a hundred.
const FILES_MAX: usize = 512;

/// An archive whose release file was read.
#[derive(Clone, Debug)]
pub(super) struct Archive {
    /// File name of the release file.
    pub(super) name: String,
    /// What it says.
    pub(super) release: Release,
    /// When the file came to this host. Its change time: the modification time is the server's.
    pub(super) fetched: Timestamp,
}

/// A version of an installed package in a list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Offer {
    /// Name of the package.
    pub(super) package: String,
    /// Architecture; that of the machine for `all`.
    pub(super) architecture: String,
    /// Version.
    pub(super) version: String,
    /// Field `Source`.
    pub(super) source: String,
}

/// What one list offers.
#[derive(Debug)]
pub(super) struct List {
    /// The list.
    pub(super) place: Place,
    /// Its versions of installed packages, sorted.
    pub(super) offers: Arc<Vec<Offer>>,
}

/// The archives of this host; `None` when their folder could not be read.
pub(super) fn archives(host: &dyn Host, seen: &mut Seen) -> Option<Archives> {
    let names = seen.note(Means::File, FOLDER, names(host))?;
    let mut found = Archives {
        known: Vec::new(),
        whole: true,
        names,
    };
    let releases = found.names.iter().filter(|name| {
        let both = |stem: &str| found.names.contains(&format!("{stem}_InRelease"));
        name.ends_with("_InRelease") || name.strip_suffix("_Release").is_some_and(|s| !both(s))
    });
    for name in releases {
        let path = format!("{FOLDER}/{name}");
        match seen.note(Means::File, &path, archive(host, name)) {
            Some(archive) => {
                if let Some(text) = &archive.release.no_date {
                    let why = format!("`{text}` is no date");
                    seen.unseen(
                        Means::File,
                        Unseen::new(&path, Status::Malformed, Some(&why)),
                    );
                }
                found.known.push(archive);
            }
            None => found.whole = false,
        }
    }
    if found.known.is_empty() {
        let what = format!("{FOLDER}/*_InRelease");
        seen.unseen(Means::File, Unseen::new(&what, Status::Absent, None));
        found.whole = false;
    }
    Some(found)
}

/// The archives of a host.
#[derive(Debug)]
pub(super) struct Archives {
    /// Those whose release file was read.
    pub(super) known: Vec<Archive>,
    /// There is one at least, and all were read.
    pub(super) whole: bool,
    names: Vec<String>,
}

impl Archives {
    /// What the lists offer of what is installed; `None` when a list is missing or was not read.
    pub(super) fn lists(
        &self,
        host: &dyn Host,
        seen: &mut Seen,
        inventory: &Inventory,
    ) -> Option<Vec<List>> {
        let mut whole = self.whole;
        for archive in &self.known {
            let stem = stem(&archive.name);
            let mut own = self.names.iter().filter(|name| {
                let rest = name.strip_prefix(stem);
                rest.is_some_and(|rest| rest.contains("_Packages") || rest.contains("_Sources"))
            });
            if own.next().is_none() {
                let what = format!("{FOLDER}/{stem}_*_Packages");
                let why = Some("the release file has no package list beside it");
                seen.unseen(Means::File, Unseen::new(&what, Status::Unsupported, why));
                whole = false;
            }
        }
        let names = inventory.names();
        let mut lists = Vec::new();
        for name in self.names.iter().filter(|name| self.is_list(name)) {
            let path = format!("{FOLDER}/{name}");
            let offers = OFFERS.get(host, &path, names, || scan(host, &path, inventory));
            match seen.note(Means::File, &path, offers) {
                Some(offers) => lists.push(List {
                    place: self.place(name),
                    offers,
                }),
                None => whole = false,
            }
        }
        whole.then_some(lists)
    }

    /// Whether it is a package list, and not a packed twin of an unpacked one.
    fn is_list(&self, name: &str) -> bool {
        let plain = unpacked_name(name);
        let list = plain.ends_with("_Packages");
        list && (plain == name || !self.names.iter().any(|other| other == plain))
    }

    /// Where a list comes from: the release file whose place is its longest beginning.
    fn place(&self, name: &str) -> Place {
        let plain = unpacked_name(name);
        let begins = |archive: &&Archive| {
            let rest = plain.strip_prefix(stem(&archive.name));
            rest.is_some_and(|rest| rest.starts_with('_'))
        };
        let own = self.known.iter().filter(begins);
        let own = own.max_by_key(|archive| archive.name.len());
        let rest = own.and_then(|archive| plain.strip_prefix(stem(&archive.name)));
        let (component, rest) = rest
            .and_then(|rest| rest.strip_prefix('_'))
            .and_then(|rest| rest.split_once("_binary-"))
            .unwrap_or_default();
        Place {
            site: plain.split('_').next().unwrap_or_default().to_owned(),
            component: component.to_owned(),
            architecture: rest.trim_end_matches("_Packages").to_owned(),
            archive: own.map_or_else(String::new, |archive| archive.name.clone()),
            release: own.map_or_else(Release::default, |archive| archive.release.clone()),
            installed: false,
        }
    }
}

/// The names of release files, and of lists of packages and of sources.
fn names(host: &dyn Host) -> Result<Vec<String>, Unseen> {
    let mut names = host.list(FOLDER)?;
    names.retain(|name| {
        let plain = unpacked_name(name);
        let endings = ["_InRelease", "_Release", "_Packages", "_Sources"];
        endings.iter().any(|ending| plain.ends_with(ending))
    });
    if FILES_MAX < names.len() {
        let why = format!("more than {FILES_MAX} lists");
        return Err(Unseen::new(FOLDER, Status::Limit, Some(&why)));
    }
    Ok(names)
}

fn stem(name: &str) -> &str {
    name.strip_suffix("_InRelease")
        .or_else(|| name.strip_suffix("_Release"))
        .unwrap_or(name)
}

fn unpacked_name(name: &str) -> &str {
    let packed = packed::ENDINGS
        .iter()
        .find_map(|ending| name.strip_suffix(ending));
    packed.unwrap_or(name)
}

fn archive(host: &dyn Host, name: &str) -> Result<Archive, Unseen> {
    let path = format!("{FOLDER}/{name}");
    let stat = host.stat(&path)?;
    let bytes = host.read(&path, RELEASE_BYTES_MAX)?;
    let release = Release::read(&bytes, name.ends_with("_InRelease"))
        .map_err(|error| Unseen::new(&path, Status::Malformed, Some(&error.to_string())))?;
    Ok(Archive {
        name: name.to_owned(),
        release,
        fetched: stat.changed,
    })
}

static OFFERS: Cache<Vec<Offer>> = Cache::new();

fn scan(host: &dyn Host, path: &str, inventory: &Inventory) -> Result<Vec<Offer>, Unseen> {
    let list = packed::open(host, path)?;
    let mut offers = Vec::new();
    stanza::scan(
        list,
        |name| inventory.has(name),
        |head| {
            let all = head.architecture == "all";
            let architecture = if all {
                &inventory.native
            } else {
                &head.architecture
            };
            offers.push(Offer {
                package: head.package.clone(),
                architecture: architecture.clone(),
                version: head.version.clone(),
                source: head.source.clone(),
            });
        },
    )
    .map_err(|error| packed::unseen(path, &error))?;
    offers.retain(|offer| !offer.version.is_empty());
    offers.sort();
    Ok(offers)
}
