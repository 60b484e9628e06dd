//! The updates probe: which updates are pending, how fresh that knowledge is, which kernel runs.
//!
//! Read are the database and the lists of the host's package manager, `/boot` and
//! `/run/reboot-required`; no command runs, and no list is fetched. No right is needed.
//!
//! Each package manager is one module with one function in the table `MANAGERS`; the first one
//! that has a database here states its part.
//!
//! - The outcome is never `absent`: every host has software. A host with a package manager that is
//!   not in the table is `unknown`.

mod rpm_version;
mod sqlite_row;
mod sqlite_log;
mod sqlite;
mod rpmdb;
mod packed;
mod cache;
mod xml;
mod repodata;
mod modules;
mod dnf_config;
mod dnf_lists;
mod stanza;
mod release;
mod apt;
mod inventory;
mod preference;
mod lists;
mod update;
mod sbom;
mod memory;
mod pending;
mod history;
mod changelog;
mod applied;
mod kernel;
mod stale;
mod lifetime;
mod automatic;
mod sources;
mod debian;
mod dnf_automatic;
mod dnf_sources;
mod dnf_pending;
mod dnf_history;
mod rpm;
mod apk_version;
mod apk_index;
mod apk;

use std::collections::BTreeMap;

use shared::fact::{Subject, Value};
use shared::observation::Means;

use super::settings::text;
use super::{Probe, Scene, Seen};
use crate::host::Host;

use sbom::Component;

/// What every package manager is looked at with.
struct Ground<'a> {
    host: &'a dyn Host,
    scene: &'a Scene,
    /// What os-release(5) says, by the names of its fields.
    os: BTreeMap<String, String>,
}

/// What a package manager has to say.
enum Installed {
    /// It has no database on this host.
    Elsewhere,
    /// It has one that was not read; a source says why.
    Unread,
    /// It stated what it knows; these are installed.
    Read(Vec<Component>),
}

/// Looks at the host with one package manager, and states what it knows.
type Manager = fn(&Ground<'_>, &mut Seen) -> Installed;

/// The package managers that are known, in the order in which they are asked.
const MANAGERS: &[Manager] = &[debian::look, rpm::look, apk::look];
/// Folders of the package managers that this agent does not know, and their names.
const OTHERS: [(&str, &str); 3] = [
    ("/var/lib/dpkg/status.d", "dpkg without a status file"),
    ("/var/lib/pacman/local", "pacman"),
    ("/var/db/pkg", "portage"),
];

/// Looks at updates.
#[derive(Debug)]
pub struct Updates;

impl Probe for Updates {
    fn subject(&self) -> &'static Subject {
        &shared::fact::updates::SUBJECT
    }

    fn observe(&self, host: &dyn Host, scene: &Scene) -> Seen {
        let mut seen = Seen::default();
        let os = os_release(host, &mut seen);
        let ground = Ground { host, scene, os };
        for look in MANAGERS {
            match look(&ground, &mut seen) {
                Installed::Elsewhere => {}
                Installed::Unread => {
                    return seen.unknown("the database of installed packages cannot be read");
                }
                Installed::Read(components) => {
                    seen.state_count("installed_count", components.len());
                    state_os(&ground, &mut seen);
                    let field = |name: &str| ground.os.get(name).map_or("", String::as_str);
                    let system = (field("ID"), field("VERSION_ID"));
                    sbom::keep(&mut seen, system, &components);
                    lifetime::state(&mut seen, &ground.os);
                    kernel::look(host, &mut seen);
                    stale::look(host, &mut seen);
                    return seen.facts();
                }
            }
        }
        let reason = match other_manager(host, &mut seen) {
            Some(name) => format!("package manager not known to this agent: {name}"),
            None => "no package database that is known to this agent".to_owned(),
        };
        seen.unknown(&reason)
    }
}

fn other_manager(host: &dyn Host, seen: &mut Seen) -> Option<&'static str> {
    let mut found = OTHERS.iter().filter(|(path, _)| {
        let there = seen.note(Means::File, path, host.stat(path));
        there.is_some()
    });
    found.next().map(|(_, name)| *name)
}

/// The fields of os-release(5), the last of each name.
fn os_release(host: &dyn Host, seen: &mut Seen) -> BTreeMap<String, String> {
    let mut release = None;
    for path in ["/etc/os-release", "/usr/lib/os-release"] {
        release = seen.note(Means::File, path, text(host, path));
        if release.is_some() {
            break;
        }
    }
    let release = release.unwrap_or_default();
    let fields = release.lines().filter_map(|line| line.split_once('='));
    fields
        .map(|(name, value)| {
            let value = value.trim().trim_matches(['"', '\'']);
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

fn state_os(ground: &Ground<'_>, seen: &mut Seen) {
    for (field, fact) in [("ID", "os_id"), ("VERSION_ID", "os_version")] {
        if let Some(value) = ground.os.get(field) {
            seen.state(fact, Value::Text(value.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
