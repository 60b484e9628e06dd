//! Alpine's package manager: what apk has installed, and what the fetched indexes offer.
//!
//! - An index does not say what is for security, nor how severe it is: that is left out, and an
//!   imported list of fixes has to say it.
//! - `/etc/apk/world` is evaluated: what it limits to some versions is held back. Dependencies are
//!   not resolved.
//! - The files of indexes are named by a hash of the repository's address, which is not computed:
//!   there must be as many as repositories, and repositories with a tag are not evaluated.
//! - Signatures are not verified; apk verified them.
//!
//! Source: apk-repositories(5), apk-world(5), apk-cache(5).

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::apk_index::{self, Package};
use super::apk_version::compare;
use super::sbom::{self, Component};
use super::sources::without_user;
use super::update::{self, Update};
use super::{Ground, Installed, packed};
use crate::host::{Host, Unseen};
use crate::probe::Seen;
use crate::probe::settings::text;

/// Databases of installed packages: before and since Alpine 3.23.
const DATABASES: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];
const WORLD: &str = "/etc/apk/world";
/// Options that count for every command, since apk 3.
const CONFIG: &str = "/etc/apk/config";
const REPOSITORIES: &str = "/etc/apk/repositories";
const PARTS: &str = "/etc/apk/repositories.d";
/// Folders of fetched indexes; the first is a link where an administrator set a cache up.
const CACHES: [&str; 2] = ["/etc/apk/cache", "/var/cache/apk"];
/// Most packages of one list; Alpine's community has 25,000.
const PACKAGES_MAX: usize = 200_000;
/// Most files of repositories and of indexes.
const FILES_MAX: usize = 64;

/// States what apk knows; [`Installed::Elsewhere`] when it has no database here.
pub(super) fn look(ground: &Ground<'_>, seen: &mut Seen) -> Installed {
    let host = ground.host;
    let Some((path, packages)) = DATABASES.iter().find_map(|path| {
        let packages = installed(host, path);
        let absent = packages.as_ref().is_err_and(Unseen::is_absent);
        let packages = seen.note(Means::File, path, packages);
        (!absent).then_some((path, packages))
    }) else {
        return Installed::Elsewhere;
    };
    let Some(packages) = packages else {
        return Installed::Unread;
    };
    // apk writes the whole file anew with each change.
    if let Some(stat) = seen.note(Means::File, path, host.stat(path)) {
        seen.state("last_change", Value::Instant(stat.modified));
    }
    seen.state("automatic_tool", Value::Text("none".to_owned()));
    let limits = world(host, seen);
    if let Some(limits) = &limits {
        let held = |package: &&Package| limits.iter().any(|limit| limit.name == package.name);
        seen.state_count("held_count", packages.iter().filter(held).count());
    }
    let repositories = repositories(host, seen);
    if let Some(repositories) = &repositories {
        state_repositories(host, seen, repositories);
    }
    let indexes = repositories.and_then(|all| indexes(host, seen, &all, &packages));
    if let Some(indexes) = indexes {
        state_metadata(seen, &indexes);
        if let Some(limits) = limits {
            state_pending(seen, &packages, &indexes, &limits);
        }
    }
    Installed::Read(
        packages
            .into_iter()
            .map(|one| component(ground, one))
            .collect(),
    )
}

fn installed(host: &dyn Host, path: &str) -> Result<Vec<Package>, Unseen> {
    let from = packed::open(host, path)?;
    let mut packages = Vec::new();
    let read = apk_index::packages(from, |package| packages.push(package));
    read.map_err(|error| packed::unseen(path, &error))?;
    if packages.is_empty() {
        return Err(Unseen::new(path, Status::Malformed, Some("it is empty")));
    }
    if PACKAGES_MAX < packages.len() {
        return Err(Unseen::new(path, Status::Limit, None));
    }
    packages.sort();
    Ok(packages)
}

/// Source: purl type `apk`.
fn component(ground: &Ground<'_>, package: Package) -> Component {
    let id = ground.os.get("ID").map_or("alpine", String::as_str);
    let release = ground.os.get("VERSION_ID").map(String::as_str);
    let distro = release.map_or_else(String::new, |release| format!("{id}-{release}"));
    let named = (package.name.as_str(), package.version.as_str());
    let qualifiers = [("arch", package.architecture.as_str()), ("distro", &distro)];
    let source = package.source.filter(|source| !source.is_empty());
    Component {
        purl: sbom::purl("apk", id, named, &qualifiers),
        source: source.map(|source| (source, package.version.clone())),
        name: package.name,
        architecture: package.architecture,
        version: package.version,
    }
}

/// A limit on the versions of a package.
struct Limit {
    name: String,
    sign: String,
    version: String,
}

impl Limit {
    fn allows(&self, version: &str) -> bool {
        let order = compare(version, &self.version);
        match self.sign.as_str() {
            "=" => order.is_eq(),
            "<" => order.is_lt(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            ">=" => order.is_ge(),
            // `~1.2` means 1.2 and whatever goes on with it.
            _ => {
                let rest = version.strip_prefix(&self.version);
                rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
            }
        }
    }
}

/// The limits of `/etc/apk/world`; `None` when it was not read.
fn world(host: &dyn Host, seen: &mut Seen) -> Option<Vec<Limit>> {
    let text = seen.note(Means::File, WORLD, text(host, WORLD))?;
    let limit = |word: &str| {
        let from = word.find(['=', '<', '>', '~'])?;
        let (name, rest) = word.split_at_checked(from)?;
        let version = rest.trim_start_matches(['=', '<', '>', '~']);
        let (sign, version) = rest.split_at_checked(rest.len() - version.len())?;
        Some(Limit {
            name: name.to_owned(),
            sign: sign.trim_matches('~').to_owned(),
            version: version.split('@').next().unwrap_or_default().to_owned(),
        })
    };
    Some(text.split_whitespace().filter_map(limit).collect())
}

/// A repository.
struct Repository {
    file: String,
    tag: Option<String>,
    uri: String,
}

/// All repositories; `None` when one of their files was not read.
fn repositories(host: &dyn Host, seen: &mut Seen) -> Option<Vec<Repository>> {
    let names = match host.list(PARTS) {
        Err(unseen) if unseen.is_absent() => Ok(Vec::new()),
        names => names,
    };
    let mut names = seen.note(Means::File, PARTS, names)?;
    names.retain(|name| {
        let list = name.strip_suffix(".list");
        list.is_some_and(|name| !name.is_empty() && !name.starts_with('.'))
    });
    names.truncate(FILES_MAX);
    let parts = names.iter().map(|name| format!("{PARTS}/{name}"));
    let mut found = Vec::new();
    for file in [REPOSITORIES.to_owned()].into_iter().chain(parts) {
        let text = match text(host, &file) {
            Err(unseen) if unseen.is_absent() => {
                seen.unseen(Means::File, unseen);
                continue;
            }
            text => seen.note(Means::File, &file, text)?,
        };
        for line in text.lines().map(str::trim) {
            let mut words = line.split_whitespace();
            let Some(first) = words.next().filter(|word| !word.starts_with('#')) else {
                continue;
            };
            let tag = first.strip_prefix('@').map(str::to_owned);
            let uri = if tag.is_some() {
                words.next()
            } else {
                Some(first)
            };
            let plain = uri.is_some_and(|uri| uri.starts_with('/') || uri.contains("://"));
            let Some(uri) = uri.filter(|_| plain && words.next().is_none()) else {
                let why = format!("`{line}`");
                seen.unseen(
                    Means::File,
                    Unseen::new(&file, Status::Unsupported, Some(&why)),
                );
                return None;
            };
            found.push(Repository {
                file: file.clone(),
                tag,
                uri: uri.to_owned(),
            });
        }
    }
    Some(found)
}

/// apk refuses an index without a valid signature, unless it is told otherwise.
fn state_repositories(host: &dyn Host, seen: &mut Seen, repositories: &[Repository]) {
    let settings = match text(host, CONFIG) {
        Err(unseen) if unseen.is_absent() => {
            seen.unseen(Means::File, unseen);
            Some(String::new())
        }
        settings => seen.note(Means::File, CONFIG, settings),
    };
    let Some(settings) = settings else {
        return;
    };
    let verified = !settings
        .lines()
        .any(|line| line.trim().starts_with("allow-untrusted"));
    let record = |repository: &Repository| {
        let local = repository.uri.starts_with('/') || repository.uri.starts_with("file:");
        Record::from([
            ("file".to_owned(), Value::Text(repository.file.clone())),
            ("uri".to_owned(), Value::Text(without_user(&repository.uri))),
            ("verified".to_owned(), Value::Flag(verified)),
            (
                "encrypted".to_owned(),
                Value::Flag(repository.uri.starts_with("https:")),
            ),
            ("local".to_owned(), Value::Flag(local)),
        ])
    };
    let unverified = if verified { 0 } else { repositories.len() };
    seen.state_count("repositories_unverified_count", unverified);
    seen.state_list("repositories", repositories.iter().map(record).collect());
}

/// A fetched index and what it offers of the installed packages.
struct Index {
    name: String,
    made: Option<Timestamp>,
    fetched: Timestamp,
    offers: Vec<Package>,
}

/// The indexes of all repositories; `None` when one is missing or was not read.
fn indexes(
    host: &dyn Host,
    seen: &mut Seen,
    repositories: &[Repository],
    packages: &[Package],
) -> Option<Vec<Index>> {
    let mut paths = Vec::new();
    for cache in CACHES {
        let names = seen
            .note(Means::File, cache, host.list(cache))
            .unwrap_or_default();
        let own = names
            .iter()
            .filter(|name| name.starts_with("APKINDEX.") && name.ends_with(".tar.gz"));
        paths.extend(own.map(|name| format!("{cache}/{name}")));
        // The second folder is the same one, or what was used before.
        if !paths.is_empty() {
            break;
        }
    }
    let tagged = repositories.iter().any(|one| one.tag.is_some());
    let remote = repositories
        .iter()
        .filter(|one| one.uri.contains("://"))
        .count();
    let why = if tagged {
        "repositories with a tag are not evaluated"
    } else if remote < repositories.len() {
        "repositories in a folder are not evaluated"
    } else if paths.len() < remote || remote == 0 {
        "there are fewer indexes than repositories"
    } else if FILES_MAX < paths.len() {
        "too many indexes"
    } else {
        ""
    };
    if !why.is_empty() {
        let unseen = Unseen::new(REPOSITORIES, Status::Unsupported, Some(why));
        seen.unseen(Means::File, unseen);
        return None;
    }
    let mut indexes = Vec::new();
    for path in paths {
        indexes.push(seen.note(Means::File, &path, index(host, &path, packages))?);
    }
    Some(indexes)
}

fn index(host: &dyn Host, path: &str, packages: &[Package]) -> Result<Index, Unseen> {
    let stat = host.stat(path)?;
    let mut offers = Vec::new();
    let made = apk_index::index(packed::open(host, path)?, |offer| {
        let installed = packages
            .binary_search_by(|known| known.name.cmp(&offer.name))
            .is_ok();
        if installed && offers.len() < PACKAGES_MAX {
            offers.push(offer);
        }
    });
    let made = made.map_err(|error| packed::unseen(path, &error))?;
    Ok(Index {
        name: path.rsplit('/').next().unwrap_or_default().to_owned(),
        made,
        fetched: stat.changed,
        offers,
    })
}

fn state_metadata(seen: &mut Seen, indexes: &[Index]) {
    let record = |index: &Index| {
        let mut record = Record::from([
            ("name".to_owned(), Value::Text(index.name.clone())),
            ("fetched".to_owned(), Value::Instant(index.fetched)),
        ]);
        let made = index
            .made
            .map(|made| ("released".to_owned(), Value::Instant(made)));
        record.extend(made);
        record
    };
    seen.state_list("metadata", indexes.iter().map(record).collect());
    if let Some(fetched) = indexes.iter().map(|index| index.fetched).min() {
        seen.state("metadata_fetched", Value::Instant(fetched));
    }
    let made: Option<Vec<Timestamp>> = indexes.iter().map(|index| index.made).collect();
    if let Some(oldest) = made.and_then(|made| made.into_iter().min()) {
        seen.state("metadata_released", Value::Instant(oldest));
    }
}

fn state_pending(seen: &mut Seen, packages: &[Package], indexes: &[Index], limits: &[Limit]) {
    let (mut updates, mut pinned) = (Vec::new(), 0_usize);
    for package in packages {
        let newer = |offer: &&Package| compare(&offer.version, &package.version).is_gt();
        let offers = indexes.iter().flat_map(|index| {
            let own = index
                .offers
                .iter()
                .filter(|offer| offer.name == package.name);
            own.filter(newer).map(move |offer| (index, offer))
        });
        let offers: Vec<(&Index, &Package)> = offers.collect();
        let allowed = |(_, offer): &&(&Index, &Package)| {
            let own = limits.iter().filter(|limit| limit.name == package.name);
            own.into_iter().all(|limit| limit.allows(&offer.version))
        };
        let newest = offers.iter().filter(allowed);
        let newest = newest.max_by(|(_, a), (_, b)| compare(&a.version, &b.version));
        let Some((index, candidate)) = newest else {
            pinned += usize::from(!offers.is_empty());
            continue;
        };
        updates.push(Update {
            package: package.name.clone(),
            architecture: package.architecture.clone(),
            installed: package.version.clone(),
            candidate: candidate.version.clone(),
            origin: index.name.clone(),
            source: candidate.source.clone(),
            source_version: Some(candidate.version.clone()),
            available_since: index.made,
            // It was not offered before it was built.
            available_after: candidate.built,
            ..Update::default()
        });
    }
    seen.state_count("pinned_count", pinned);
    update::state_unsorted(seen, &updates);
}

#[cfg(test)]
mod tests;
