//! RPM distributions: what rpm has installed, and what dnf knows of newer versions.
//!
//! - The database is read in its SQLite form, which RHEL 9, Fedora 33 and later have. One in the
//!   form of Berkeley DB or ndb is recognised and not read.
//! - dnf's repositories, locks and exclusions are evaluated; zypper's are not.
//! - Whether an update is one for security, how severe it is and since when it was offered are
//!   what the repository's advisories say.
//! - Signatures of repositories and packages are not verified; dnf verified them, where its
//!   settings say so.

use std::collections::{BTreeMap, BTreeSet};

use shared::fact::{Record, Value};
use shared::id::Digest;
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::applied::{self, Applied};
use super::dnf_config::Config;
use super::dnf_lists::{self, List, Lists, Wanted};
use super::dnf_pending::{self, source};
use super::repodata::{Advisory, Offer};
use super::rpmdb::{self, Package};
use super::sbom::{self, Component};
use super::{Ground, Installed, dnf_automatic, dnf_history, dnf_sources, history, update};
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Folders of the database, newer distributions first.
const FOLDERS: [&str; 2] = ["/usr/lib/sysimage/rpm", "/var/lib/rpm"];
const SQLITE: &str = "rpmdb.sqlite";
/// Files of the forms that are not read.
const OTHERS: [(&str, &str); 2] = [("Packages.db", "ndb"), ("Packages", "Berkeley DB")];
/// States what rpm and dnf know; [`Installed::Elsewhere`] when rpm has no database here.
pub(super) fn look(ground: &Ground<'_>, seen: &mut Seen) -> Installed {
    let host = ground.host;
    let path = match database(host, seen) {
        Ok(Some(path)) => path,
        Ok(None) => return Installed::Elsewhere,
        Err(NotRead) => return Installed::Unread,
    };
    let Some(packages) = seen.note(Means::File, &path, rpmdb::read(host, &path)) else {
        return Installed::Unread;
    };
    let upgrades = dnf_history::look(host, seen, &packages, begin(ground));
    let has = |name: &str| oldest(&packages, name).is_some();
    dnf_automatic::look(host, seen, &has);
    if let Some(config) = Config::read(host, seen) {
        dnf_sources::state(host, seen, &config);
        let applied = upgrades.iter().flatten();
        let applied: BTreeSet<String> = applied.map(history::Upgrade::named).collect();
        let version = |offer: &Offer| {
            let installed = oldest(&packages, &offer.name);
            installed.is_some_and(|one| offer.version.compare(&one.version).is_gt())
                || applied.contains(&offer.named())
        };
        let wanted = Wanted {
            name: &has,
            version: &version,
            digest: digest(&packages, &applied),
        };
        let lists = dnf_lists::read(host, seen, &config, &wanted);
        state_metadata(seen, &lists);
        state_pending(seen, &packages, &lists, &config);
        if let (true, Some(upgrades)) = (lists.whole, &upgrades) {
            state_applied(seen, upgrades, &lists);
        }
    }
    Installed::Read(
        packages
            .into_iter()
            .map(|one| component(ground, one))
            .collect(),
    )
}

/// A database is there, and its source says why it is not read.
struct NotRead;

fn database(host: &dyn Host, seen: &mut Seen) -> Result<Option<String>, NotRead> {
    for folder in FOLDERS {
        let path = format!("{folder}/{SQLITE}");
        match host.stat(&path) {
            Ok(_) => return Ok(Some(path)),
            Err(unseen) if unseen.is_absent() => seen.unseen(Means::File, unseen),
            Err(unseen) => {
                seen.unseen(Means::File, unseen);
                return Err(NotRead);
            }
        }
        for (name, form) in OTHERS {
            let path = format!("{folder}/{name}");
            if host.stat(&path).is_ok() {
                let why = format!("rpm's database in the form of {form} is not read");
                seen.unseen(
                    Means::File,
                    Unseen::new(&path, Status::Unsupported, Some(&why)),
                );
                return Err(NotRead);
            }
        }
    }
    Ok(None)
}

/// The oldest installed version of a name.
fn oldest<'a>(packages: &'a [Package], name: &str) -> Option<&'a Package> {
    let from = packages.partition_point(|package| package.name.as_str() < name);
    let own = packages
        .iter()
        .skip(from)
        .take_while(|package| package.name == name);
    own.min_by(|a, b| a.version.compare(&b.version))
}

fn digest(packages: &[Package], applied: &BTreeSet<String>) -> Digest {
    let packages = packages.iter().map(|package| {
        let version = package.version.text();
        format!("{} {version} {}", package.name, package.architecture)
    });
    let lines: Vec<String> = packages.chain(applied.iter().cloned()).collect();
    Digest::of(lines.join("\n").as_bytes())
}

fn begin(ground: &Ground<'_>) -> Timestamp {
    ground.scene.now.plus_ms(-applied::PERIOD_MS)
}

/// Source: purl type `rpm`.
fn component(ground: &Ground<'_>, package: Package) -> Component {
    let id = ground.os.get("ID").map_or("", String::as_str);
    let release = ground.os.get("VERSION_ID").map(String::as_str);
    let distro = release.map_or_else(String::new, |release| format!("{id}-{release}"));
    let version = &package.version;
    let plain = format!("{}-{}", version.version, version.release);
    let epoch = match version.epoch {
        0 => String::new(),
        epoch => epoch.to_string(),
    };
    let qualifiers = [
        ("arch", package.architecture.as_str()),
        ("distro", &distro),
        ("epoch", &epoch),
    ];
    Component {
        purl: sbom::purl("rpm", id, (&package.name, &plain), &qualifiers),
        version: version.text(),
        source: package.source.as_deref().and_then(source),
        name: package.name,
        architecture: package.architecture,
    }
}

/// Whether a repository is a source of security updates; `None` when that was not read.
fn security(list: &List) -> Option<bool> {
    list.advisories.as_ref().map(|advisories| advisories.1)
}

fn state_metadata(seen: &mut Seen, lists: &Lists) {
    if !lists.known.is_empty() {
        let records = lists.known.iter().map(metadata_record).collect();
        seen.state_list("metadata", records);
    }
    let sources = || {
        lists
            .known
            .iter()
            .filter(|list| security(list) == Some(true))
    };
    let any = sources().next().is_some();
    // A repository that was not read may be one of security updates.
    if any || lists.whole {
        seen.state("security_source", Value::Flag(any));
    }
    if !lists.whole {
        return;
    }
    if let Some(fetched) = sources().map(|list| list.fetched).min() {
        seen.state("metadata_fetched", Value::Instant(fetched));
    }
    let released: Option<Vec<_>> = sources().map(|list| list.released).collect();
    if let Some(oldest) = released.and_then(|all| all.into_iter().min()) {
        seen.state("metadata_released", Value::Instant(oldest));
    }
}

fn metadata_record(list: &List) -> Record {
    let fields = [
        ("name", Some(Value::Text(list.repository.id.clone()))),
        (
            "label",
            list.repository
                .value("name")
                .map(|name| Value::Text(name.to_owned())),
        ),
        ("security", security(list).map(Value::Flag)),
        ("released", list.released.map(Value::Instant)),
        ("fetched", Some(Value::Instant(list.fetched))),
    ];
    let fields = fields.into_iter();
    fields
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

fn state_pending(seen: &mut Seen, packages: &[Package], lists: &Lists, config: &Config) {
    let held = packages
        .iter()
        .filter(|package| config.holds(&package.named()));
    seen.state_count("held_count", held.count());
    if lists.whole {
        let pending = dnf_pending::pending(packages, lists, config);
        seen.state_count("pinned_count", pending.pinned);
        update::state(seen, &pending.updates);
    }
}

/// An update was offered when its advisory was issued, which may be later on the same day.
fn state_applied(seen: &mut Seen, upgrades: &[history::Upgrade], lists: &Lists) {
    let mut about: BTreeMap<String, Vec<&Advisory>> = BTreeMap::new();
    let known = lists.known.iter().flat_map(|list| &list.advisories);
    for advisory in known.flat_map(|advisories| &advisories.0) {
        for package in &advisory.packages {
            about.entry(package.named()).or_default().push(advisory);
        }
    }
    let all = upgrades.iter().map(|upgrade| {
        let advisories = about.get(&upgrade.named());
        let advisories = advisories.into_iter().flatten();
        let issued = advisories.clone().filter_map(|one| one.issued).min();
        let issued = issued.filter(|issued| *issued <= upgrade.at);
        Applied {
            upgrade,
            security: advisories.clone().any(|one| one.security),
            after: issued,
            since: issued,
        }
    });
    applied::state_all(seen, all.collect());
}
