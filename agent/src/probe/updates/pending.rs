//! Which installed packages have a newer version, by apt's own choice between versions.
//!
//! An update that the preferences keep out is not pending, with one exception: a fix from a source
//! of security updates is, as one that is held back. A default release without its security suite
//! keeps out every fix, and nobody who set it meant that.
//!
//! Counted is each package by itself: dependencies that keep it back are not resolved, and an
//! update that Ubuntu gives to a part of its hosts first counts from its first day.

use shared::version;

use super::inventory::{Inventory, Package};
use super::lists::{List, Offer};
use super::memory::Memory;
use super::preference::{Pins, Place};
use super::stanza;
use super::update::Update;

/// What is pending on a host.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// The updates, those for security first, then by name and architecture.
    pub(super) updates: Vec<Update>,
    /// Packages with a newer version that only the preferences keep out.
    pub(super) pinned: usize,
}

/// Compares what is installed with what the lists offer; `memory` knows since when.
pub(super) fn pending(
    inventory: &Inventory,
    lists: &[List],
    pins: &Pins,
    memory: &Memory,
) -> Pending {
    let none = Pins::default();
    let mut pending = Pending::default();
    for package in &inventory.packages {
        let found: Vec<(&Offer, &Place)> = lists
            .iter()
            .flat_map(|list| offered(list, package))
            .collect();
        let offers: Vec<(&str, &Place)> = found
            .iter()
            .map(|(offer, place)| (offer.version.as_str(), *place))
            .collect();
        let newer = |version: &str| version::compare(version, &package.version).is_gt();
        if !offers.iter().any(|(version, _)| newer(version)) {
            continue;
        }
        let choose = |pins: &Pins| {
            let chosen = pins.candidate(&package.name, &package.version, &offers);
            chosen.filter(|version| newer(version)).map(str::to_owned)
        };
        let security = offers
            .iter()
            .any(|(version, place)| newer(version) && place.release.security());
        let (chosen, unpinned) = (choose(pins), choose(&none));
        let kept_out = chosen.is_none() && unpinned.is_some();
        pending.pinned += usize::from(kept_out);
        let Some(candidate) = chosen.or_else(|| unpinned.filter(|_| security)) else {
            continue;
        };
        let from = found
            .iter()
            .filter(|(offer, _)| offer.version == candidate)
            .max_by_key(|(_, place)| place.release.security());
        let origin = from.map_or_else(String::new, |(_, place)| place.release.title());
        let source = from.map_or("", |(offer, _)| offer.source.as_str());
        let (source, source_version) = stanza::source(source, &package.name, &candidate);
        let (name, architecture) = (&package.name, &package.architecture);
        let known = memory.pending(name, architecture, &package.version, security);
        pending.updates.push(Update {
            held: package.held || kept_out,
            package: name.clone(),
            architecture: architecture.clone(),
            installed: package.version.clone(),
            candidate,
            origin,
            security,
            source: Some(source),
            source_version: Some(source_version),
            available_since: known.map(|known| known.since),
            available_after: known.and_then(|known| known.after),
            ..Update::default()
        });
    }
    pending.updates.sort_by_key(|update| !update.security);
    pending
}

fn offered<'a>(
    list: &'a List,
    package: &'a Package,
) -> impl Iterator<Item = (&'a Offer, &'a Place)> {
    let key = (&package.name, &package.architecture);
    let first = |offer: &Offer| (&offer.package, &offer.architecture) < key;
    let from = list.offers.partition_point(first);
    let rest = list.offers.iter().skip(from);
    rest.take_while(move |offer| (&offer.package, &offer.architecture) == key)
        .map(|offer| (offer, &list.place))
}
