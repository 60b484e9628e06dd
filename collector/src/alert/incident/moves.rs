//! Incidents whose conditions another route takes now: settings, owners and groups change.
//!
//! The incident goes where its first condition goes, with its name, and stays apart if there is
//! one already: a receiver knows it by its name. What goes elsewhere is told there.

use std::collections::{BTreeMap, BTreeSet};

use super::{Changes, Incident, Slots};

/// Parts a slot from the name of an incident that came to it when it was taken.
const APART: &str = " #";

/// Moves incidents to the slots of what they told. Returns the slots that are new for it.
pub(super) fn moved(
    slots: &mut BTreeMap<String, Incident>,
    seen: &mut Slots<'_>,
    changes: &mut Changes,
) -> BTreeSet<String> {
    let mut new = BTreeSet::new();
    let raised = slots
        .iter()
        .filter(|(_slot, one)| one.head.raised.is_some());
    let raised: Vec<String> = raised.map(|(slot, _incident)| slot.clone()).collect();
    for slot in raised {
        let Some(to) = target(&slot, slots, seen) else {
            continue;
        };
        let Some(mut incident) = slots.remove(&slot) else {
            continue;
        };
        let named = format!("{to}{APART}{}", incident.head.id);
        let free = to != home(&slot) && !slots.contains_key(&to);
        let place = if free { to.clone() } else { named };
        if let Some((head, there)) = seen.get_mut(&to) {
            incident.head.route.clone_from(&head.route);
            incident.head.group.clone_from(&head.group);
            if !free {
                let other = slots.get(&to);
                let own = |key: &str| {
                    let told = |one: &Incident| one.members.contains_key(key);
                    incident.members.contains_key(key) && !other.is_some_and(told)
                };
                let head = incident.head.clone();
                let (mine, rest) = std::mem::take(there)
                    .into_iter()
                    .partition(|(key, _said)| own(key));
                *there = rest;
                let _new = seen.insert(place.clone(), (head, mine));
            }
        }
        if place != slot {
            let left = incident.members.keys().map(|key| (key.clone(), None));
            let _first = changes.members.insert(slot.clone(), left.collect());
            let _first = changes.heads.insert(slot, None);
            let _new = new.insert(place.clone());
        }
        let _free = slots.insert(place, incident);
    }
    new
}

/// The slot to which an incident belongs, without its name.
fn home(slot: &str) -> &str {
    slot.split_once(APART).map_or(slot, |(home, _id)| home)
}

/// Where what an incident told is seen now, unless some of it is where it was, or nowhere, or told
/// there already.
fn target(slot: &str, slots: &BTreeMap<String, Incident>, seen: &Slots<'_>) -> Option<String> {
    let incident = slots.get(slot)?;
    let told = || incident.members.iter().filter(|(_key, member)| member.told);
    let here = seen.get(slot).map(|(_head, there)| there);
    if here.is_some_and(|here| told().any(|(key, _member)| here.contains_key(key.as_str()))) {
        return None;
    }
    let takes = |to: &str, key: &str| {
        let there = seen
            .get(to)
            .is_some_and(|(_head, seen)| seen.contains_key(key));
        let other = slots
            .get(to)
            .is_some_and(|one| one.members.contains_key(key));
        there && (!other || to == slot)
    };
    let own = home(slot);
    if own != slot && told().any(|(key, _member)| takes(own, key)) {
        return Some(own.to_owned());
    }
    let mut found = told().flat_map(|(key, _member)| {
        let to = seen.keys().filter(|to| takes(to, key));
        to.cloned()
    });
    found.next()
}
