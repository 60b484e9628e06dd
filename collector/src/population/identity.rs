//! Which names and addresses mean the same machine, and which could mean several.
//!
//! A machine has a key: its name. A short name and a whole name are one when there is only one
//! whole name that begins so. What enrolled hosts and lists say decides first; names that were only
//! seen count where nobody else says anything, so that no host can part what others hold together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Ambiguous;
use crate::inventory::{Machine, short};

/// Names that are known, and the keys that were found to mean the same machine.
#[derive(Debug, Default)]
pub(super) struct Identity {
    /// Whole names by their short ones.
    whole: BTreeMap<String, BTreeSet<String>>,
    /// A key that gave way to another one.
    same: BTreeMap<String, String>,
    /// Names and addresses that could be several.
    ambiguous: BTreeMap<String, BTreeSet<String>>,
}

impl Identity {
    /// Knows the names that enrolled hosts and lists have, and those that were only seen.
    pub(super) fn new<'a>(
        said: impl Iterator<Item = &'a str>,
        seen: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut whole: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let add = |name: &str, into: &mut BTreeMap<String, BTreeSet<String>>| {
            if name.contains('.') {
                let names = into.entry(short(name).to_owned()).or_default();
                let _new = names.insert(name.to_owned());
            }
        };
        for name in said {
            add(name, &mut whole);
        }
        let mut only_seen = BTreeMap::new();
        for name in seen {
            add(name, &mut only_seen);
        }
        for (short, names) in only_seen {
            let _said: &mut BTreeSet<String> = whole.entry(short).or_insert(names);
        }
        Self {
            whole,
            ..Self::default()
        }
    }

    /// The key of a machine by its name. A short name that could be several is noted.
    pub(super) fn key(&mut self, name: &str) -> String {
        let begin = short(name);
        let names = self.whole.get(begin);
        let key = match names {
            None => name,
            Some(names) if names.len() == 1 => {
                if names.contains(name) || name == begin {
                    begin
                } else {
                    name
                }
            }
            Some(names) if name == begin => {
                let names = names.clone();
                let _twice = self.ambiguous.insert(name.to_owned(), names);
                name
            }
            Some(_several) => name,
        };
        self.root(key)
    }

    /// The key of a machine by its name or its address alone.
    pub(super) fn key_of(&mut self, machine: &Machine) -> String {
        match machine {
            Machine::Name(name) => self.key(name),
            Machine::Address(address) => self.root(&address.to_string()),
        }
    }

    /// The key that stands for this one.
    pub(super) fn root(&self, key: &str) -> String {
        let mut key = key;
        // A key never gives way to one that gave way to it, so this ends.
        while let Some(next) = self.same.get(key) {
            key = next;
        }
        key.to_owned()
    }

    /// Two keys mean one machine; the first one stays.
    pub(super) fn unite(&mut self, stays: &str, goes: &str) {
        let (stays, goes) = (self.root(stays), self.root(goes));
        if stays != goes {
            let _first_time = self.same.insert(goes, stays);
        }
    }

    /// A name or an address could be several machines.
    pub(super) fn doubt(&mut self, name: String, could_be: BTreeSet<String>) {
        self.ambiguous.entry(name).or_default().extend(could_be);
    }

    /// All that could be several.
    pub(super) fn ambiguous(self) -> Vec<Ambiguous> {
        let all = self.ambiguous.into_iter();
        let shown = all.map(|(name, could_be)| Ambiguous {
            name,
            could_be: could_be.into_iter().collect(),
        });
        shown.collect()
    }
}

/// The machines that have an address, by their keys.
#[derive(Debug, Default)]
pub(super) struct Addresses(BTreeMap<IpAddr, BTreeSet<String>>);

impl Addresses {
    pub(super) fn add(&mut self, address: IpAddr, key: String) {
        let _new = self.0.entry(address).or_default().insert(key);
    }

    /// The machines that have this address.
    pub(super) fn of(&self, address: IpAddr, identity: &Identity) -> BTreeSet<String> {
        let keys = self.0.get(&address).into_iter().flatten();
        keys.map(|key| identity.root(key)).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = IpAddr> {
        self.0.keys().copied()
    }
}

/// Whether every network has this address for itself, so that it says nothing beyond one of them.
pub(super) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    }
}
