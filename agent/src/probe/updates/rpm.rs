//! RPM distributions: what rpm has installed, and what dnf knows of newer versions.
//!
//! - The database is read in its SQLite form, which RHEL 9, Fedora 33 and later have. One in the
//!   form of Berkeley DB or ndb is recognised and not read.
//! - dnf's repositories, locks and exclusions are evaluated; zypper's are not.
//! - Whether an update is one for security, how severe it is and since when it was offered are
//!   what the repository's advisories say.
//! - Signatures of repositories and packages are not verified; dnf verified them, where its
//!   settings say so.

use shared::fact::{Record, Value};
use shared::id::Digest;
use shared::observation::{Means, Status};

use super::dnf_config::{self, Config};
use super::dnf_lists::{self, List, Lists, Wanted};
use super::dnf_pending::{self, source};
use super::repodata::Offer;
use super::rpmdb::{self, Package};
use super::sbom::{self, Component};
use super::{Ground, Installed, dnf_history, update};
use crate::host::{Host, Unseen};
use crate::probe::Seen;
use crate::probe::settings::text;

/// Folders of the database, newer distributions first.
const FOLDERS: [&str; 2] = ["/usr/lib/sysimage/rpm", "/var/lib/rpm"];
const SQLITE: &str = "rpmdb.sqlite";
/// Files of the forms that are not read.
const OTHERS: [(&str, &str); 2] = [("Packages.db", "ndb"), ("Packages", "Berkeley DB")];
/// Packages that install updates by themselves.
const AUTOMATIC: [&str; 2] = ["dnf-automatic", "dnf5-plugin-automatic"];
const AUTOMATIC_CONF: [&str; 2] = [
    "/usr/share/dnf5/dnf5-plugins/automatic.conf",
    "/etc/dnf/automatic.conf",
];
/// Timers that start them; the second one installs whatever the settings say.
const TIMERS: [(&str, bool); 3] = [
    ("dnf-automatic.timer", false),
    ("dnf-automatic-install.timer", true),
    ("dnf5-automatic.timer", false),
];
const TIMERS_WANTED: &str = "/etc/systemd/system/timers.target.wants";

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
    dnf_history::state_last_change(host, seen, &packages);
    state_automatic(host, seen, &packages);
    if let Some(config) = Config::read(host, seen) {
        let name = |name: &str| find(&packages, name).is_some();
        let version = |offer: &Offer| {
            let installed = find(&packages, &offer.name);
            installed.is_some_and(|one| offer.version.compare(&one.version).is_gt())
        };
        let wanted = Wanted {
            name: &name,
            version: &version,
            digest: digest(&packages),
        };
        let lists = dnf_lists::read(host, seen, &config, &wanted);
        state_metadata(seen, &lists);
        state_pending(seen, &packages, &lists, &config);
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
fn find<'a>(packages: &'a [Package], name: &str) -> Option<&'a Package> {
    let from = packages.partition_point(|package| package.name.as_str() < name);
    let own = packages
        .iter()
        .skip(from)
        .take_while(|package| package.name == name);
    own.min_by(|a, b| a.version.compare(&b.version))
}

fn digest(packages: &[Package]) -> Digest {
    let mut text = String::new();
    for package in packages {
        text.push_str(&package.name);
        text.push(' ');
        text.push_str(&package.version.text());
        text.push(' ');
        text.push_str(&package.architecture);
        text.push('\n');
    }
    Digest::of(text.as_bytes())
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

/// Source: automatic.conf of dnf-automatic(8), dnf5-automatic(8). No file says when it succeeded
/// last: it leaves a transaction in the history only when there was something to install.
fn state_automatic(host: &dyn Host, seen: &mut Seen, packages: &[Package]) {
    let installed = AUTOMATIC.iter().find(|name| find(packages, name).is_some());
    let tool = installed.map_or("none", |name| name);
    seen.state("automatic_tool", Value::Text(tool.to_owned()));
    if installed.is_none() {
        seen.state("automatic_enabled", Value::Flag(false));
        return;
    }
    let mut apply = Some(false);
    for path in AUTOMATIC_CONF {
        let set = text(host, path).and_then(|text| {
            let sections = dnf_config::sections(&text)
                .map_err(|why| Unseen::new(path, Status::Unsupported, Some(&why)))?;
            let pairs = sections.iter().filter(|(name, _)| name == "commands");
            let mut pairs = pairs.flat_map(|(_, pairs)| pairs).rev();
            let set = pairs.find(|(name, _)| name == "apply_updates");
            Ok(set.map(|(_, value)| dnf_config::flag(value)))
        });
        let absent = set.as_ref().is_err_and(Unseen::is_absent);
        match seen.note(Means::File, path, set) {
            Some(Some(set)) => apply = set,
            None if !absent => apply = None,
            _ => {}
        }
    }
    let mut enabled = Some(false);
    for (timer, always) in TIMERS {
        let path = format!("{TIMERS_WANTED}/{timer}");
        let stat = host.stat(&path);
        let absent = stat.as_ref().is_err_and(Unseen::is_absent);
        enabled = match seen.note(Means::File, &path, stat) {
            Some(_) if always || enabled == Some(true) => Some(true),
            Some(_) => apply,
            None if absent => enabled,
            None => None,
        };
    }
    if let Some(enabled) = enabled {
        seen.state("automatic_enabled", Value::Flag(enabled));
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
