//! Units of systemd as files: what a service runs, which timer starts it, and whether that is
//! enabled.
//!
//! A file in `/etc` replaces one of the same name in `/run`, and that one in `/usr`; settings in
//! `NAME.d/*.conf` are added in the order of their names; an empty value takes away what stood
//! before. A name in a `.wants`
//! folder is enabled. Of a template (`a@.service`) the instances that are enabled are looked at.
//!
//! Source: systemd.unit(5), systemd.exec(5), systemd.timer(5).

use std::collections::{BTreeMap, BTreeSet};

use shared::observation::{Means, Status};

use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Where units are, the first wins.
const FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
/// Which targets start timers and services.
const TARGETS: [&str; 3] = ["default", "multi-user", "timers"];
/// Longest unit or part of one.
const UNIT_BYTES_MAX: u64 = 64 * 1024;
/// Most units that are read.
const UNITS_MAX: usize = 2048;
/// When a timer runs.
const TIMES: [&str; 6] = [
    "OnActiveSec",
    "OnBootSec",
    "OnCalendar",
    "OnStartupSec",
    "OnUnitActiveSec",
    "OnUnitInactiveSec",
];

/// The units of a host.
#[derive(Debug, Default)]
pub(super) struct Units {
    units: BTreeMap<String, Unit>,
    enabled: BTreeSet<String>,
}

/// The settings of a unit by their names, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Unit {
    /// The file that is in force.
    pub(super) file: String,
    settings: BTreeMap<String, Vec<String>>,
}

impl Unit {
    /// All values of a setting.
    pub(super) fn all(&self, name: &str) -> &[String] {
        self.settings.get(name).map_or(&[], Vec::as_slice)
    }

    /// When a timer runs.
    pub(super) fn times(&self) -> String {
        let times = TIMES.iter().flat_map(|name| {
            let calendar = *name == "OnCalendar";
            self.all(name).iter().map(move |value| {
                if calendar {
                    value.clone()
                } else {
                    format!("{name}={value}")
                }
            })
        });
        times.collect::<Vec<_>>().join("; ")
    }

    /// Takes over the settings of a file.
    fn read(&mut self, text: &str) {
        let mut line = String::new();
        for part in text.lines() {
            let part = part.trim();
            if part.starts_with(['#', ';']) {
                continue;
            }
            if let Some(begin) = part.strip_suffix('\\') {
                line.push_str(begin);
                line.push(' ');
            } else {
                line.push_str(part);
                self.set(&std::mem::take(&mut line));
            }
        }
        self.set(&line);
    }

    fn set(&mut self, line: &str) {
        if let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('[')) {
            let values = self.settings.entry(name.trim().to_owned()).or_default();
            if value.trim().is_empty() {
                values.clear();
            } else {
                values.push(value.trim().to_owned());
            }
        }
    }
}

impl Units {
    /// Reads all services and timers; `None` when a folder of them cannot be seen.
    pub(super) fn look(host: &dyn Host, seen: &mut Seen) -> Option<Self> {
        let mut units = Self::default();
        let mut whole = true;
        let mut names = BTreeMap::new();
        let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for folder in FOLDERS {
            let listed = host.list(folder);
            let absent = listed.as_ref().is_err_and(Unseen::is_absent);
            whole &= absent || listed.is_ok();
            for name in seen.note(Means::File, folder, listed).unwrap_or_default() {
                let path = format!("{folder}/{name}");
                if let Some(unit) = name.strip_suffix(".d").filter(|unit| is_unit(unit)) {
                    parts.entry(unit.to_owned()).or_default().push(path);
                } else if is_unit(&name) {
                    let _first: &mut String = names.entry(name).or_insert(path);
                }
            }
            for target in TARGETS {
                let wants = format!("{folder}/{target}.target.wants");
                let listed = host.list(&wants);
                whole &= listed.as_ref().err().is_none_or(Unseen::is_absent);
                units.enabled.extend(listed.unwrap_or_default());
            }
        }
        units.add_instances(&mut names);
        if UNITS_MAX < names.len() {
            let why = format!("{} units", names.len());
            seen.unseen(Means::File, Unseen::new("units", Status::Limit, Some(&why)));
            return None;
        }
        for (name, path) in names {
            let unit = read_unit(host, &name, path, &parts);
            match unit {
                Ok(unit) => drop(units.units.insert(name, unit)),
                // A link to /dev/null is a masked unit.
                Err(unseen) if unseen.status == Status::Malformed => {}
                Err(unseen) if unseen.is_absent() => {}
                Err(unseen) => {
                    seen.unseen(Means::File, unseen);
                    whole = false;
                }
            }
        }
        whole.then_some(units)
    }

    /// Adds the instances of templates that are enabled, with the files of their templates.
    fn add_instances(&self, names: &mut BTreeMap<String, String>) {
        for name in self.enabled.iter().filter(|name| is_unit(name)) {
            for wanted in [name.clone(), name.replace(".timer", ".service")] {
                let Some((stem, rest)) = wanted.split_once('@') else {
                    continue;
                };
                let end = rest.rsplit('.').next().unwrap_or_default();
                let template = names.get(&format!("{stem}@.{end}")).cloned();
                if let Some(path) = template {
                    let _first: &mut String = names.entry(wanted).or_insert(path);
                }
            }
        }
    }

    /// The services with their names; templates are none.
    pub(super) fn services(&self) -> impl Iterator<Item = (&str, &Unit)> {
        let all = self.units.iter().map(|(name, unit)| (name.as_str(), unit));
        all.filter(|(name, _)| name.ends_with(".service") && !name.contains("@."))
    }

    /// The timer that starts a service: one that is enabled before any other.
    pub(super) fn timer(&self, service: &str) -> Option<(&str, &Unit)> {
        let stem = service.strip_suffix(".service").unwrap_or(service);
        let timers = self.units.iter().filter(|(name, unit)| {
            let Some(own) = name.strip_suffix(".timer") else {
                return false;
            };
            match unit.all("Unit").last() {
                Some(named) => named == service,
                None => own == stem,
            }
        });
        let timers = timers.map(|(name, unit)| (name.as_str(), unit));
        timers.max_by_key(|(name, _)| self.is_enabled(name))
    }

    /// Whether there is a template of which this is an instance.
    pub(super) fn has_template(&self, name: &str) -> bool {
        name.split_once('@').is_some_and(|(stem, _)| {
            let template = format!("{stem}@.service");
            self.units.contains_key(&template)
        })
    }

    /// Whether a target wants it.
    pub(super) fn is_enabled(&self, name: &str) -> bool {
        self.enabled.contains(name)
    }
}

fn is_unit(name: &str) -> bool {
    [".service", ".timer"].iter().any(|end| name.ends_with(end))
}

fn read_unit(
    host: &dyn Host,
    name: &str,
    path: String,
    parts: &BTreeMap<String, Vec<String>>,
) -> Result<Unit, Unseen> {
    let mut unit = Unit::default();
    let bytes = host.read(&path, UNIT_BYTES_MAX)?;
    unit.read(&String::from_utf8_lossy(&bytes));
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for folder in parts.get(name).into_iter().flatten() {
        for part in host.list(folder)? {
            let path = format!("{folder}/{part}");
            let _first: &mut String = files.entry(part).or_insert(path);
        }
    }
    let files = files
        .iter()
        .filter(|(part, _)| part.strip_suffix(".conf").is_some());
    for (_, part) in files {
        let bytes = host.read(part, UNIT_BYTES_MAX)?;
        unit.read(&String::from_utf8_lossy(&bytes));
    }
    unit.file = path;
    Ok(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_unit() {
        let mut unit = Unit::default();
        unit.read(
            "[Service]\n# ExecStart=no\nExecStart=/bin/a \\\n  b\nExecStart = c\n\
             Environment=A=1\nOnCalendar=daily\nOnBootSec=5min\n",
        );
        assert_eq!(unit.all("ExecStart"), ["/bin/a  b", "c"]);
        assert_eq!(unit.all("Environment"), ["A=1"]);
        assert_eq!(unit.times(), "OnBootSec=5min; daily");
        unit.read("[Service]\nExecStart=\nExecStart=/bin/d\n[x=y]\n");
        assert_eq!(unit.all("ExecStart"), ["/bin/d"]);
        assert_eq!(unit.all("none"), [""; 0]);
    }
}
