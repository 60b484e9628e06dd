//! dnf's settings: which repositories are enabled, how far they are trusted, what is kept out.
//!
//! Files of the form of `.repo` files: sections, names and values, values that go on in lines
//! that begin with white space. What dnf would replace in a repository's id is not replaced: such
//! an id is refused.
//!
//! Source: dnf.conf(5), dnf5.conf(5), dnf-versionlock(8), dnf5-versionlock(8).

use shared::observation::{Means, Status};

use super::rpm_version::Named;
use crate::host::{Host, Unseen};
use crate::probe::Seen;
use crate::probe::settings::{FILES_MAX, glob, text};

/// The main files: dnf 4 reads the first, dnf 5 all.
const MAIN: [&str; 2] = ["/usr/share/dnf5/libdnf.conf.d", "/etc/dnf/libdnf5.conf.d"];
const DNF_CONF: &str = "/etc/dnf/dnf.conf";
/// Folders with repositories, the strongest last.
const FOLDERS: [&str; 4] = [
    "/usr/share/dnf5/repos.d",
    "/etc/distro.repos.d",
    "/etc/yum.repos.d",
    "/etc/dnf/repos.override.d",
];
const LOCKS: &str = "/etc/dnf/plugins/versionlock.list";
const LOCKS_5: &str = "/etc/dnf/versionlock.toml";

/// Names and values of a section, in the order of the files.
type Pairs = Vec<(String, String)>;

/// The values of a section, the patterns of packages understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    pairs: Pairs,
    excluded: Vec<String>,
    included: Vec<String>,
}

/// A repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Repository {
    /// Its id.
    pub(super) id: String,
    /// The file that names it first.
    pub(super) file: String,
    section: Section,
}

/// A package that may only be of some versions.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lock {
    /// Pattern of the name.
    name: String,
    /// Pattern of the whole.
    pattern: String,
    /// The whole names versions.
    versions: bool,
}

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    main: Section,
    /// Every repository, whether it is enabled or not.
    pub(super) repositories: Vec<Repository>,
    locks: Vec<Lock>,
}

impl Config {
    /// Reads the settings; `None` when a file of them could not be read or understood.
    pub(super) fn read(host: &dyn Host, seen: &mut Seen) -> Option<Self> {
        let mut config = Self::default();
        let mut whole = true;
        let mut paths = Vec::new();
        for folder in MAIN {
            paths.extend(files(host, seen, folder, ".conf").or_else(|| {
                whole = false;
                None
            }));
        }
        paths.push(vec![DNF_CONF.to_owned()]);
        for folder in FOLDERS {
            paths.extend(files(host, seen, folder, ".repo").or_else(|| {
                whole = false;
                None
            }));
        }
        for path in paths.iter().flatten() {
            whole &= config.take(host, seen, path, Self::merge);
        }
        whole &= config.take(host, seen, LOCKS, Self::locks);
        whole &= config.take(host, seen, LOCKS_5, Self::locks_5);
        whole.then_some(config)
    }

    /// Takes in a file, if it is there. Whether nothing of it was lost.
    fn take(
        &mut self,
        host: &dyn Host,
        seen: &mut Seen,
        path: &str,
        merge: fn(&mut Self, &str, &str) -> Result<(), String>,
    ) -> bool {
        let merged = text(host, path).and_then(|text| {
            merge(self, path, &text)
                .map_err(|why| Unseen::new(path, Status::Unsupported, Some(&why)))
        });
        let absent = merged.as_ref().is_err_and(Unseen::is_absent);
        seen.note(Means::File, path, merged).is_some() || absent
    }

    fn merge(&mut self, path: &str, text: &str) -> Result<(), String> {
        for (section, pairs) in sections(text)? {
            if section == "main" {
                self.main.extend(pairs)?;
                continue;
            }
            if section.contains('$') {
                return Err(format!("the id `{section}`"));
            }
            let known = self
                .repositories
                .iter_mut()
                .find(|known| known.id == section);
            if let Some(repository) = known {
                repository.section.extend(pairs)?;
            } else {
                let mut repository = Repository {
                    id: section,
                    file: path.to_owned(),
                    ..Repository::default()
                };
                repository.section.extend(pairs)?;
                self.repositories.push(repository);
            }
        }
        Ok(())
    }

    fn locks(&mut self, _path: &str, text: &str) -> Result<(), String> {
        for line in text.lines() {
            let line = line.split_once('#').map_or(line, |(line, _)| line).trim();
            if line.starts_with('!') {
                return Err(format!("`{line}`"));
            }
            if !line.is_empty() {
                self.locks.push(lock(line)?);
            }
        }
        Ok(())
    }

    /// Of the locks of dnf 5 the names count: the versions may be ranges.
    fn locks_5(&mut self, _path: &str, text: &str) -> Result<(), String> {
        let table: toml::Table = text.parse().map_err(|_error| "not TOML".to_owned())?;
        let packages = table.get("packages").and_then(toml::Value::as_array);
        for package in packages.into_iter().flatten() {
            let name = package.get("name").and_then(toml::Value::as_str);
            let name = name.ok_or_else(|| "a package without a name".to_owned())?;
            self.locks.push(Lock {
                versions: false,
                ..lock(name)?
            });
        }
        Ok(())
    }

    /// A value of the section `main`.
    pub(super) fn main(&self, name: &str) -> Option<&str> {
        self.main.value(name)
    }

    /// Whether an installed package is held back, by a lock or by an exclusion.
    pub(super) fn holds(&self, package: &Named<'_>) -> bool {
        let excluded = self.main.excluded(&package.forms());
        excluded || self.locks_of(package).next().is_some()
    }

    /// Whether a version of a package is kept out, by a lock or by an exclusion for all
    /// repositories.
    pub(super) fn keeps_out(&self, package: &Named<'_>) -> bool {
        let forms = package.forms();
        let allows = |lock: &Lock| {
            // A lock that names no version keeps the one that is installed.
            lock.versions && forms.iter().any(|form| glob(&lock.pattern, form))
        };
        let locked = self.locks_of(package).next().is_some();
        locked && !self.locks_of(package).any(allows) || self.main.excluded(&forms)
    }

    fn locks_of(&self, package: &Named<'_>) -> impl Iterator<Item = &Lock> {
        self.locks
            .iter()
            .filter(|lock| glob(&lock.name, package.name))
    }
}

impl Repository {
    /// Whether dnf uses it.
    pub(super) fn enabled(&self) -> bool {
        self.flag("enabled").unwrap_or(true)
    }

    /// A value.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.section.value(name)
    }

    /// A value that is on or off; `None` when none is set or it is neither.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name).and_then(flag)
    }

    /// Smaller numbers go first.
    pub(super) fn priority(&self) -> i64 {
        let value = self.value("priority").and_then(|value| value.parse().ok());
        value.unwrap_or(99)
    }

    /// Whether a version of a package is kept out by an exclusion of this repository.
    pub(super) fn keeps_out(&self, package: &Named<'_>) -> bool {
        self.section.excluded(&package.forms())
    }
}

impl Section {
    /// Takes in the values of one more section of the same name.
    fn extend(&mut self, pairs: Pairs) -> Result<(), String> {
        for (name, value) in &pairs {
            let patterns = match name.as_str() {
                "excludepkgs" | "exclude" => &mut self.excluded,
                "includepkgs" => &mut self.included,
                _ => continue,
            };
            let words = value.split([',', ' ', '\n', '\t']);
            for word in words.filter(|word| !word.is_empty()) {
                patterns.push(understood(word)?);
            }
        }
        self.pairs.extend(pairs);
        Ok(())
    }

    /// The last value of a name.
    fn value(&self, name: &str) -> Option<&str> {
        let last = self.pairs.iter().rev().find(|(known, _)| known == name);
        last.map(|(_, value)| value.as_str())
    }

    fn excluded(&self, forms: &[String]) -> bool {
        let any = |patterns: &[String]| {
            let matches = |pattern: &String| forms.iter().any(|form| glob(pattern, form));
            patterns.iter().any(matches)
        };
        any(&self.excluded) || !self.included.is_empty() && !any(&self.included)
    }
}

/// `on`, `yes`, `true` and `1`, or their opposites.
pub(super) fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "true" | "on" => Some(true),
        "0" | "no" | "false" | "off" => Some(false),
        _ => None,
    }
}

/// A pattern of which `*` and `?` are the only signs.
fn understood(pattern: &str) -> Result<String, String> {
    if pattern.contains(['[', '{', '/', '<', '>', '=', '@']) {
        return Err(format!("the pattern `{pattern}`"));
    }
    Ok(pattern.to_owned())
}

/// A lock: `NAME-EPOCH:VERSION-RELEASE.*`, or a name alone.
fn lock(text: &str) -> Result<Lock, String> {
    let pattern = understood(text)?;
    let parts = pattern
        .rsplit_once('-')
        .and_then(|(rest, _)| rest.rsplit_once('-'));
    let begins = |version: &str| version.starts_with(|c: char| c == '*' || c.is_ascii_digit());
    let name = match parts {
        Some((name, version)) if begins(version) => Some(name.to_owned()),
        _ => None,
    };
    Ok(Lock {
        versions: name.is_some(),
        name: name.unwrap_or_else(|| pattern.clone()),
        pattern,
    })
}

fn files(host: &dyn Host, seen: &mut Seen, folder: &str, ending: &str) -> Option<Vec<String>> {
    let names = match host.list(folder) {
        Err(unseen) if unseen.is_absent() => {
            seen.unseen(Means::File, unseen);
            return Some(Vec::new());
        }
        names => names.and_then(|mut names| {
            names.retain(|name| name.ends_with(ending) && !name.starts_with('.'));
            if FILES_MAX < names.len() {
                return Err(Unseen::new(folder, Status::Limit, None));
            }
            Ok(names)
        }),
    };
    let names = seen.note(Means::File, folder, names)?;
    let paths = names.iter().map(|name| format!("{folder}/{name}"));
    Some(paths.collect())
}

/// The sections of a file, in its order.
pub(super) fn sections(text: &str) -> Result<Vec<(String, Pairs)>, String> {
    let mut sections: Vec<(String, Pairs)> = Vec::new();
    for line in text.lines() {
        let plain = line.trim();
        if plain.is_empty() || plain.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = plain.strip_prefix('[') {
            let name = name.split_once(']').ok_or_else(|| format!("`{plain}`"))?.0;
            sections.push((name.to_owned(), Vec::new()));
            continue;
        }
        let (_, pairs) = sections.last_mut().ok_or_else(|| format!("`{plain}`"))?;
        if line.starts_with(char::is_whitespace) {
            let (_, value) = pairs.last_mut().ok_or_else(|| format!("`{plain}`"))?;
            value.push('\n');
            value.push_str(plain);
        } else {
            let (name, value) = plain.split_once('=').ok_or_else(|| format!("`{plain}`"))?;
            pairs.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    Ok(sections)
}
