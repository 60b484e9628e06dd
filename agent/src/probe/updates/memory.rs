//! Since when newer versions were offered: what this agent saw in the lists at its looks before.
//!
//! A list names no day on which a version came into it. But each release file has a date, so the
//! first one that offered a version and the last one that did not yet stand on both sides of that
//! day. Both dates are the archive's, not this host's.
//!
//! - `since`: the version was offered at this date, perhaps earlier.
//! - `after`: it was not offered yet at this date. Known only when the same list was read at the
//!   look before, and the package was installed then in an older version.
//!
//! The memory is one file in the agent's own folder. A file that cannot be read is begun anew: then
//! the dates are later than they were, and `after` is not known.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use shared::durable;
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::inventory::{Inventory, Package};
use super::lists::List;
use crate::host::Unseen;
use crate::probe::Seen;
use shared::version;

/// Its name in the agent's own folder.
const FILE: &str = "updates-offers.json";
/// Longest file; that of a host with 700 packages has 40 KB.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most versions that are remembered.
const OFFERS_MAX: usize = 8192;
/// How long a version is remembered after it was last offered and not installed.
const OFFER_MS_MAX: i64 = 120 * 24 * 3_600_000;

/// What the lists offered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Memory {
    /// By list, the date of its release file at the look before.
    lists: BTreeMap<String, Timestamp>,
    /// Versions of what was installed at the look before, by `name:architecture`.
    installed: BTreeMap<String, String>,
    /// Newer versions than the installed ones, by `name:architecture version`.
    offers: BTreeMap<String, Remembered>,
}

/// A version that was offered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Remembered {
    since: Timestamp,
    after: Option<Timestamp>,
    /// The newest date of all lists when it was offered.
    last: Timestamp,
    /// A source of security updates offered it.
    security: bool,
}

/// Dates of a list that offers something.
#[derive(Clone, Copy)]
struct Dates {
    date: Timestamp,
    /// Of the same list at the look before.
    before: Option<Timestamp>,
    /// The newest date of all lists.
    newest: Timestamp,
}

/// When something was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offered {
    /// It was offered at this date.
    pub(super) since: Timestamp,
    /// It was not offered yet at this date.
    pub(super) after: Option<Timestamp>,
    /// By a source of security updates.
    pub(super) security: bool,
}

impl Memory {
    /// Reads what is remembered; nothing when there is no folder or no file.
    pub(super) fn read(folder: Option<&Path>, seen: &mut Seen) -> Self {
        let Some(path) = folder.map(|folder| folder.join(FILE)) else {
            return Self::default();
        };
        let read = durable::read(&path, FILE_BYTES_MAX);
        let read = read.map_err(|error| Unseen::from_io(FILE, &error));
        let read = read.and_then(|bytes| {
            serde_json::from_slice(&bytes)
                .map_err(|error| Unseen::new(FILE, Status::Malformed, Some(&error.to_string())))
        });
        match read {
            Ok(memory) => memory,
            Err(unseen) => {
                if !unseen.is_absent() {
                    seen.unseen(Means::File, unseen);
                }
                Self::default()
            }
        }
    }

    /// Keeps it, when it is not what it was `before`.
    pub(super) fn write(&self, before: &Self, folder: Option<&Path>, seen: &mut Seen) {
        let Some(folder) = folder.filter(|_| self != before) else {
            return;
        };
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        let written = std::fs::create_dir_all(folder)
            .and_then(|()| durable::write(&folder.join(FILE), &bytes, 0o600));
        if let Err(error) = written {
            seen.unseen(Means::File, Unseen::from_io(FILE, &error));
        }
    }

    /// Takes in what is installed now, and what the lists, all of which were read, offer of it.
    pub(super) fn learn(&mut self, inventory: &Inventory, lists: &[List]) {
        let mut dates = BTreeMap::new();
        let released = lists.iter().filter_map(|list| list.place.release.released);
        let newest = released.max().unwrap_or_default();
        for list in lists {
            let Some(date) = list.place.release.released else {
                continue;
            };
            let place = &list.place;
            let name = [&*place.archive, &*place.component, &*place.architecture].join(" ");
            for offer in list.offers.iter() {
                let installed = inventory.get(&offer.package, &offer.architecture);
                if let Some(package) = installed.filter(|package| newer(&offer.version, package)) {
                    let before = self.lists.get(&name).copied();
                    let security = place.release.security();
                    let at = Dates {
                        date,
                        before,
                        newest,
                    };
                    self.offered(package, &offer.version, at, security);
                }
            }
            let _same = dates.insert(name, date);
        }
        self.lists = dates;
        let installed = inventory.packages.iter();
        self.installed = installed
            .map(|package| (key(package), package.version.clone()))
            .collect();
        let keys = &self.installed;
        self.offers.retain(|name, offer| {
            let package = name.split(' ').next().unwrap_or_default();
            keys.contains_key(package) && newest.ms_since(offer.last) <= OFFER_MS_MAX
        });
        while OFFERS_MAX < self.offers.len() {
            drop(self.offers.pop_first());
        }
    }

    fn offered(&mut self, package: &Package, version: &str, at: Dates, security: bool) {
        let key = key(package);
        let was_older = self
            .installed
            .get(&key)
            .is_some_and(|installed| version::compare(version, installed).is_gt());
        // The list of that date had been read, and such a version would have been noticed.
        let after = at.before.filter(|before| was_older && *before < at.date);
        let new = Remembered {
            since: at.date,
            after,
            last: at.newest,
            security,
        };
        let known = self.offers.entry(format!("{key} {version}")).or_insert(new);
        known.since = known.since.min(at.date);
        // A list that is read for the first time may have had it long before.
        let read_before = at.before.is_some();
        known.after = known
            .after
            .filter(|after| read_before && *after < known.since);
        known.last = known.last.max(at.newest);
        known.security |= security;
    }

    /// Since when a newer version than the installed one is offered, for `security` one of a
    /// source of security updates. A version that came after another does not begin the time anew.
    pub(super) fn pending(
        &self,
        name: &str,
        architecture: &str,
        installed: &str,
        security: bool,
    ) -> Option<Offered> {
        let begin = format!("{name}:{architecture} ");
        let offers = self.offers.range(begin.clone()..);
        let offers = offers.take_while(|(key, _)| key.starts_with(&begin));
        let offers = offers.filter(|(key, offer)| {
            let version = key.get(begin.len()..).unwrap_or_default();
            version::compare(version, installed).is_gt() && (offer.security || !security)
        });
        let offers: Vec<&Remembered> = offers.map(|(_, offer)| offer).collect();
        let since = offers.iter().map(|offer| offer.since).min()?;
        // One that may have been offered at any time before leaves the whole without a bound.
        let after: Option<Vec<Timestamp>> = offers.iter().map(|offer| offer.after).collect();
        Some(Offered {
            since,
            after: after.and_then(|after| after.into_iter().min()),
            security,
        })
    }

    /// When this very version was offered.
    pub(super) fn version(&self, name: &str, architecture: &str, version: &str) -> Option<Offered> {
        let offer = self
            .offers
            .get(&format!("{name}:{architecture} {version}"))?;
        Some(Offered {
            since: offer.since,
            after: offer.after,
            security: offer.security,
        })
    }
}

fn key(package: &Package) -> String {
    format!("{}:{}", package.name, package.architecture)
}

fn newer(version: &str, package: &Package) -> bool {
    version::compare(version, &package.version).is_gt()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::lists::Offer;
    use super::super::preference::Place;
    use super::super::release::Release;
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::default().plus_ms(day * 24 * 3_600_000)
    }

    fn inventory(versions: &[(&str, &str)]) -> Inventory {
        let package = |(name, version): &(&str, &str)| Package {
            name: (*name).to_owned(),
            architecture: "amd64".to_owned(),
            version: (*version).to_owned(),
            held: false,
            source: (String::new(), String::new()),
        };
        Inventory {
            packages: versions.iter().map(package).collect(),
            native: "amd64".to_owned(),
        }
    }

    fn list(suite: &str, date: i64, offers: &[(&str, &str)]) -> List {
        let offer = |(name, version): &(&str, &str)| Offer {
            package: (*name).to_owned(),
            architecture: "amd64".to_owned(),
            version: (*version).to_owned(),
            source: String::new(),
        };
        List {
            place: Place {
                archive: suite.to_owned(),
                release: Release {
                    suite: Some(suite.to_owned()),
                    released: Some(day(date)),
                    ..Release::default()
                },
                ..Place::default()
            },
            offers: Arc::new(offers.iter().map(offer).collect()),
        }
    }

    fn since(memory: &Memory, installed: &str, security: bool) -> Option<(Timestamp, Timestamp)> {
        let offered = memory.pending("a", "amd64", installed, security)?;
        Some((offered.since, offered.after.unwrap_or_default()))
    }

    #[test]
    fn dates_of_the_archive_stand_on_both_sides() {
        let mut memory = Memory::default();
        let host = inventory(&[("a", "1")]);
        memory.learn(&host, &[list("x-security", 10, &[("a", "1")])]);
        assert_eq!(since(&memory, "1", true), None);
        memory.learn(&host, &[list("x-security", 12, &[("a", "2")])]);
        assert_eq!(since(&memory, "1", true), Some((day(12), day(10))));
        // A later fix does not begin the time anew, and the list need not have the first one.
        memory.learn(&host, &[list("x-security", 20, &[("a", "3")])]);
        assert_eq!(since(&memory, "1", true), Some((day(12), day(10))));
        assert_eq!(since(&memory, "2", true), Some((day(20), day(12))));
        let offered = memory.version("a", "amd64", "2").unwrap();
        assert_eq!((offered.since, offered.security), (day(12), true));
        assert_eq!(memory.version("a", "amd64", "1"), None);
        // A year later nobody asks for it.
        memory.learn(&inventory(&[("a", "3")]), &[list("x-security", 400, &[])]);
        assert_eq!(memory.offers.len(), 0);
    }

    #[test]
    fn what_was_not_watched_has_no_day_before() {
        let first = |was: &[(&str, &str)], before: &List| {
            let mut memory = Memory::default();
            memory.learn(&inventory(was), std::slice::from_ref(before));
            memory.learn(
                &inventory(&[("a", "1")]),
                &[list("x-security", 12, &[("a", "2")])],
            );
            since(&memory, "1", true)
        };
        let unknown = Some((day(12), Timestamp::default()));
        let same = list("x-security", 10, &[]);
        assert_eq!(first(&[("a", "1")], &same), Some((day(12), day(10))));
        assert_eq!(first(&[("b", "1")], &same), unknown, "not installed");
        assert_eq!(first(&[("a", "3")], &same), unknown, "a newer one before");
        let other = list("y-security", 10, &[]);
        assert_eq!(first(&[("a", "1")], &other), unknown, "another list");
        let later = list("x-security", 14, &[]);
        assert_eq!(
            first(&[("a", "1")], &later),
            unknown,
            "a list that went back"
        );
        // Of two newer versions one was always there.
        let mut memory = Memory::default();
        memory.learn(&inventory(&[("a", "1")]), &[list("x", 10, &[("a", "2")])]);
        memory.learn(&inventory(&[("a", "1")]), &[list("x", 12, &[("a", "3")])]);
        assert_eq!(
            since(&memory, "1", false),
            Some((day(10), Timestamp::default()))
        );
        assert_eq!(since(&memory, "1", true), None);
    }

    #[test]
    fn it_is_kept_and_what_is_damaged_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own");
        let mut memory = Memory::default();
        memory.learn(&inventory(&[("a", "1")]), &[list("x", 10, &[("a", "2")])]);
        let mut seen = Seen::default();
        assert_eq!(Memory::read(Some(&own), &mut seen), Memory::default());
        memory.write(&Memory::default(), Some(&own), &mut seen);
        assert_eq!(Memory::read(Some(&own), &mut seen), memory);
        assert_eq!(Memory::read(None, &mut seen), Memory::default());
        assert!(seen.is_empty());
        durable::write(&own.join(FILE), b"{", 0o600).unwrap();
        assert_eq!(Memory::read(Some(&own), &mut seen), Memory::default());
        let subject = &shared::fact::updates::SUBJECT;
        let (observation, _) = seen.facts().observation(subject);
        assert!(
            observation
                .reason
                .contains("updates-offers.json: malformed")
        );
    }
}
