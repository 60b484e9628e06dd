//! Debian's package manager: what dpkg has installed, and what apt knows of newer versions.
//!
//! - A list that is missing or damaged, and preferences that this agent does not evaluate leave the
//!   facts `pending*` and `pinned_count` out.
//! - The change time of a release file shows when it was fetched, for its modification time is that
//!   of the server.
//! - The signatures of release files are not verified; apt verified them when it fetched them.

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::apt::{self, Settings};
use super::inventory::{Inventory, Package, STATUS};
use super::lists::{self, Archive, Archives};
use super::memory::Memory;
use super::preference::Pins;
use super::sbom::{self, Component};
use super::{Ground, Installed, applied, automatic, history, pending, sources, update};
use crate::host::{Host, Unseen};
use crate::probe::Seen;
use crate::probe::settings::text;

/// Most files of one folder of settings or preferences.
const PARTS_MAX: usize = 256;

/// States what dpkg and apt know; [`Installed::Elsewhere`] when dpkg has no database here.
pub(super) fn look(ground: &Ground<'_>, seen: &mut Seen) -> Installed {
    let host = ground.host;
    let inventory = Inventory::read(host);
    let absent = inventory.as_ref().is_err_and(Unseen::is_absent);
    let Some(inventory) = seen.note(Means::File, STATUS, inventory) else {
        return if absent {
            Installed::Elsewhere
        } else {
            Installed::Unread
        };
    };
    let held = inventory.packages.iter().filter(|package| package.held);
    seen.state_count("held_count", held.count());
    let settings = apt_settings(host, seen);
    automatic::state(host, seen, &inventory, settings.as_ref());
    automatic::state_timers(host, seen);
    sources::look(host, seen, settings.as_ref());
    let zone = history::zone(host, seen);
    if let Some(zone) = &zone {
        automatic::state_log(host, seen, zone);
    }
    let own = ground.scene.own.as_ref().map(|own| own.folder.as_path());
    let remembered = Memory::read(own, seen);
    let mut memory = remembered.clone();
    if let Some(archives) = lists::archives(host, seen) {
        state_metadata(seen, &archives);
        if let Some(settings) = &settings {
            let name = ground.os.get("VERSION_CODENAME").map_or("", String::as_str);
            automatic::state_origins(seen, settings, &archives, (distributor(ground), name));
        }
        let pins = settings.and_then(|settings| pins(host, seen, &settings));
        if let Some(lists) = archives.lists(host, seen, &inventory) {
            memory.learn(&inventory, &lists);
            memory.write(&remembered, own, seen);
            if let Some(pins) = pins {
                let pending = pending::pending(&inventory, &lists, &pins, &memory);
                seen.state_count("pinned_count", pending.pinned);
                update::state(seen, &pending.updates);
            }
        }
    }
    let begin = ground.scene.now.plus_ms(-applied::PERIOD_MS);
    let upgrades = zone.and_then(|zone| history::look(host, seen, &zone, begin));
    if let Some(upgrades) = upgrades {
        applied::state(host, seen, &upgrades, &memory);
    }
    Installed::Read(components(ground, inventory))
}

/// The name that the distribution has in patterns of unattended-upgrades: that of `lsb_release(1)`.
fn distributor<'a>(ground: &'a Ground<'_>) -> &'a str {
    match ground.os.get("ID").map_or("", String::as_str) {
        "debian" => "Debian",
        "ubuntu" => "Ubuntu",
        other => other,
    }
}

/// Source: purl type `deb`.
fn components(ground: &Ground<'_>, inventory: Inventory) -> Vec<Component> {
    let id = ground.os.get("ID").map_or("debian", String::as_str);
    let version = ground.os.get("VERSION_ID").map(String::as_str);
    let distro = version.map_or_else(String::new, |version| format!("{id}-{version}"));
    let of = |package: Package| {
        let named = (package.name.as_str(), package.version.as_str());
        let qualifiers = [("arch", package.architecture.as_str()), ("distro", &distro)];
        Component {
            purl: sbom::purl("deb", id, named, &qualifiers),
            name: package.name,
            architecture: package.architecture,
            version: package.version,
            source: Some(package.source),
        }
    };
    inventory.packages.into_iter().map(of).collect()
}

/// apt's settings, parts first and then the main file; `None` when one could not be read.
fn apt_settings(host: &dyn Host, seen: &mut Seen) -> Option<Settings> {
    let mut paths = parts(host, seen, "/etc/apt/apt.conf.d", "conf")?;
    paths.push("/etc/apt/apt.conf".to_owned());
    let mut settings = Settings::default();
    each_text(host, seen, &paths, |text| {
        settings.merge(text).map_err(|error| error.to_string())
    })?;
    Some(settings)
}

/// apt's preferences, the main file first and then its parts; `None` when one could not be read.
fn pins(host: &dyn Host, seen: &mut Seen, settings: &Settings) -> Option<Pins> {
    let mut pins = Pins::default();
    if let Some(name) = settings
        .get("apt::default-release")
        .filter(|name| !name.is_empty())
    {
        let pinned = pins.default_release(name).map_err(|error| {
            let why = error.to_string();
            Unseen::new("APT::Default-Release", Status::Unsupported, Some(&why))
        });
        seen.note(Means::File, "APT::Default-Release", pinned)?;
    }
    let mut paths = vec!["/etc/apt/preferences".to_owned()];
    paths.extend(parts(host, seen, "/etc/apt/preferences.d", "pref")?);
    each_text(host, seen, &paths, |text| {
        pins.merge(text).map_err(|error| error.to_string())
    })?;
    Some(pins)
}

/// The files of a folder that apt reads; none when there is no folder.
fn parts(host: &dyn Host, seen: &mut Seen, folder: &str, ending: &str) -> Option<Vec<String>> {
    let names = absent_is(Vec::new(), host.list(folder)).and_then(|mut names| {
        names.retain(|name| apt::is_part(name, ending));
        if PARTS_MAX < names.len() {
            let why = format!("more than {PARTS_MAX} parts");
            return Err(Unseen::new(folder, Status::Limit, Some(&why)));
        }
        Ok(names)
    });
    let names = seen.note(Means::File, folder, names)?;
    let paths = names.iter().map(|name| format!("{folder}/{name}"));
    Some(paths.collect())
}

/// Hands the text of each file on that is there; `None` when one was not read or not understood.
fn each_text(
    host: &dyn Host,
    seen: &mut Seen,
    paths: &[String],
    mut merge: impl FnMut(&str) -> Result<(), String>,
) -> Option<()> {
    let mut whole = Some(());
    for path in paths {
        let merged = text(host, path).and_then(|text| {
            merge(&text).map_err(|why| Unseen::new(path, Status::Unsupported, Some(&why)))
        });
        let absent = merged.as_ref().is_err_and(Unseen::is_absent);
        if seen.note(Means::File, path, merged).is_none() && !absent {
            whole = None;
        }
    }
    whole
}

fn absent_is<T>(value: T, result: Result<T, Unseen>) -> Result<T, Unseen> {
    match result {
        Err(unseen) if unseen.is_absent() => Ok(value),
        result => result,
    }
}

fn state_metadata(seen: &mut Seen, archives: &Archives) {
    let records = archives.known.iter().map(metadata_record).collect();
    seen.state("metadata", Value::List(records));
    let security = || {
        let known = archives.known.iter();
        known.filter(|archive| archive.release.security())
    };
    // A release file that was not read may be the one of security updates.
    let any = security().next().is_some();
    if any || archives.whole {
        seen.state("security_source", Value::Flag(any));
    }
    if !archives.whole {
        return;
    }
    if let Some(fetched) = security().map(|archive| archive.fetched).min() {
        seen.state("metadata_fetched", Value::Instant(fetched));
    }
    // An archive with a date that cannot be read may be out of date in every other way.
    let dated = |archive: &Archive| {
        let release = &archive.release;
        release.released.filter(|_| release.no_date.is_none())
    };
    let released: Option<Vec<Timestamp>> = security().map(dated).collect();
    if let Some(oldest) = released.and_then(|all| all.into_iter().min()) {
        seen.state("metadata_released", Value::Instant(oldest));
    }
}

fn metadata_record(archive: &Archive) -> Record {
    let release = &archive.release;
    let text = |text: &Option<String>| text.clone().map(Value::Text);
    let fields = [
        ("name", Some(Value::Text(archive.name.clone()))),
        ("origin", text(&release.origin)),
        ("label", text(&release.label)),
        ("suite", text(&release.suite)),
        ("security", Some(Value::Flag(release.security()))),
        ("released", release.released.map(Value::Instant)),
        ("valid_until", release.valid_until.map(Value::Instant)),
        ("fetched", Some(Value::Instant(archive.fetched))),
    ];
    let fields = fields.into_iter();
    fields
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}
