//! Joins enrolled hosts, lists and sightings into machines, and tells how each stands.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::identity::{Addresses, Identity, is_link_local};
use super::{
    Counts, Enrolled, Given, ListShown, Place, Population, Row, SIGHTINGS_MAX, Sighting, State,
    Told, scope,
};
use crate::inventory::Machine;

/// Fewest sources that make it a reconciliation.
const SOURCES_MIN: usize = 2;

/// What is known of one machine.
#[derive(Default)]
struct Found<'a> {
    enrolled: Option<&'a Enrolled>,
    listed: Vec<(usize, Place)>,
    seen: BTreeSet<Sighting>,
    called: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

/// Holds enrolled hosts against lists and sightings. A pure function of what is given.
#[must_use]
pub fn reconcile(given: &Given<'_>) -> Population {
    let mut identity = names(given);
    let addresses = addresses(given, &mut identity);
    let mut found: BTreeMap<String, Found<'_>> = BTreeMap::new();
    for host in &given.enrolled {
        let key = identity.key(host.host.as_str());
        let one = found.entry(key).or_default();
        one.enrolled = Some(host);
        let _new = one.called.insert(host.host.to_string());
        if let Some(own) = &host.own {
            one.called.extend(own.name.clone());
            let global = own.addresses.iter().filter(|own| !is_link_local(**own));
            one.addresses.extend(global);
        }
    }
    for (number, list) in given.lists.iter().enumerate() {
        for host in &list.hosts {
            let one = found.entry(identity.key_of(&host.host)).or_default();
            let _new = one.called.insert(host.host.to_string());
            one.addresses.extend(host.address);
            one.listed.push((
                number,
                Place {
                    list: list.name.clone(),
                    line: host.line,
                    host: host.host.to_string(),
                    owner: host.owner.clone(),
                    group: host.group.clone(),
                },
            ));
        }
    }
    sightings(given, &mut identity, &addresses, &mut found);
    let rows: Vec<_> = found.into_iter().map(|one| row(given, one)).collect();
    population(given, identity, rows)
}

/// Learns all names, and unites an agent with the name that its host calls itself.
fn names(given: &Given<'_>) -> Identity {
    let agents = || given.enrolled.iter().map(|host| host.host.as_str());
    let mut claims: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for host in &given.enrolled {
        let own = host.own.as_ref().and_then(|own| own.name.as_deref());
        if let Some(name) = own {
            let _new = claims.entry(name).or_default().insert(host.host.as_str());
        }
    }
    let lists = given.lists.iter().flat_map(|list| &list.hosts);
    let listed = lists.filter_map(|host| name(&host.host));
    let seen = given.told.iter().filter_map(|told| name(&told.machine));
    let said = agents().chain(claims.keys().copied()).chain(listed);
    let mut identity = Identity::new(said, seen);
    let agents: BTreeSet<&str> = agents().collect();
    for (name, hosts) in claims {
        match hosts.first().filter(|_| hosts.len() == 1) {
            // Another agent is called so, and what a host says of itself takes nothing from it.
            Some(host) if *host != name && agents.contains(name) => {
                let both = [*host, name].map(str::to_owned);
                identity.doubt(format!("{name} (as {host} calls itself)"), both.into());
            }
            Some(host) => {
                let (stays, goes) = (identity.key(host), identity.key(name));
                identity.unite(&stays, &goes);
            }
            None => {
                let hosts = hosts.into_iter().map(str::to_owned);
                identity.doubt(name.to_owned(), hosts.collect());
            }
        }
    }
    identity
}

fn name(machine: &Machine) -> Option<&str> {
    match machine {
        Machine::Name(name) => Some(name),
        Machine::Address(_) => None,
    }
}

/// Learns all addresses that hosts and lists state, and unites machines that share one, unless
/// that would make one of two that were told apart.
fn addresses(given: &Given<'_>, identity: &mut Identity) -> Addresses {
    let mut addresses = Addresses::default();
    let mut agents = BTreeSet::new();
    let mut lists: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for host in &given.enrolled {
        let key = identity.key(host.host.as_str());
        for own in host.own.iter().flat_map(|own| &own.addresses) {
            addresses.add(*own, key.clone());
        }
        let _new = agents.insert(key);
    }
    for (number, list) in given.lists.iter().enumerate() {
        for host in &list.hosts {
            let key = identity.key_of(&host.host);
            let own = match host.host {
                Machine::Address(address) => Some(address),
                Machine::Name(_) => host.address,
            };
            if let Some(address) = own {
                addresses.add(address, key.clone());
            }
            let _new = lists.entry(key).or_default().insert(number);
        }
    }
    let shared: Vec<_> = addresses.all().filter(|one| !is_link_local(*one)).collect();
    for address in shared {
        let keys = addresses.of(address, identity);
        let mut sorted = keys.iter();
        let (Some(one), Some(other)) = (sorted.next(), sorted.next()) else {
            continue;
        };
        let none = BTreeSet::new();
        let on = |key: &String| lists.get(key).unwrap_or(&none).clone();
        let apart = agents.contains(one) && agents.contains(other)
            || !on(one).is_disjoint(&on(other))
            || sorted.next().is_some();
        if apart {
            identity.doubt(address.to_string(), keys.clone());
            continue;
        }
        // The name of the agent stays, else a name and no address.
        let plain = |key: &String| key.parse::<IpAddr>().is_ok();
        let swap = agents.contains(other) || (plain(one) && !agents.contains(one));
        let (stays, goes) = if swap { (other, one) } else { (one, other) };
        identity.unite(stays, goes);
        let both = on(one).union(&on(other)).copied().collect();
        if agents.remove(goes) {
            let _new = agents.insert(stays.clone());
        }
        drop(lists.insert(stays.clone(), both));
    }
    addresses
}

/// Adds what hosts tell to the machines that it is about.
fn sightings<'a>(
    given: &'a Given<'_>,
    identity: &mut Identity,
    stated: &Addresses,
    found: &mut BTreeMap<String, Found<'a>>,
) {
    // An address beside a name in a file of settings, and machines by their address on a link.
    let (mut written, mut links) = (Addresses::default(), BTreeMap::new());
    for told in &given.told {
        if let (Machine::Name(name), Some(address)) = (&told.machine, told.address) {
            written.add(address, identity.key(name));
        }
    }
    let (local, global): (Vec<_>, Vec<_>) = given.told.iter().partition(
        |told| matches!(told.machine, Machine::Address(address) if is_link_local(address)),
    );
    for told in global {
        let key = match told.machine {
            Machine::Name(ref name) => identity.key(name),
            Machine::Address(address) => of_address(address, identity, &[stated, &written]),
        };
        if !told.mac.is_empty() {
            let machines: &mut BTreeSet<_> = links.entry((&told.by, &told.mac)).or_default();
            let _new = machines.insert(key.clone());
        }
        see(told, key, identity, found);
    }
    for told in local {
        let Machine::Address(address) = told.machine else {
            continue;
        };
        let known = stated.of(address, identity);
        let on_link = links.get(&(&told.by, &told.mac));
        let one = |keys: &BTreeSet<String>| keys.first().filter(|_| keys.len() == 1).cloned();
        let key = one(&known).or_else(|| on_link.and_then(one));
        see(
            told,
            key.unwrap_or_else(|| address.to_string()),
            identity,
            found,
        );
    }
}

/// The machine that has an address: the only one by the first of `known` that knows any.
fn of_address(address: IpAddr, identity: &mut Identity, known: &[&Addresses]) -> String {
    for addresses in known {
        let keys = addresses.of(address, identity);
        match keys.first().filter(|_| keys.len() == 1) {
            Some(key) => return key.clone(),
            None if keys.is_empty() => {}
            None => {
                identity.doubt(address.to_string(), keys);
                break;
            }
        }
    }
    identity.root(&address.to_string())
}

fn see(told: &Told, key: String, identity: &mut Identity, found: &mut BTreeMap<String, Found<'_>>) {
    if identity.key(told.by.as_str()) == key {
        return;
    }
    let one = found.entry(key).or_default();
    let called = told.machine.to_string();
    if let Machine::Name(_) = told.machine {
        let _new = one.called.insert(called.clone());
    }
    one.addresses.extend(match told.machine {
        Machine::Address(address) => Some(address),
        Machine::Name(_) => told.address,
    });
    let _new = one.seen.insert(Sighting {
        way: told.way,
        by: told.by.clone(),
        called,
        at: told.at,
        record: told.record,
    });
}

/// How a machine stands.
fn row(given: &Given<'_>, (key, found): (String, Found<'_>)) -> Row {
    let mut called: Vec<String> = found.called.iter().cloned().collect();
    let addresses = found.addresses.iter().map(ToString::to_string);
    called.extend(addresses.filter(|address| !found.called.contains(address)));
    let groups = scope::groups(given.groups, &called);
    let rule = scope::rule(given.scope, &called, &groups);
    let enrolled = found.enrolled;
    let state = if rule.as_ref().is_some_and(|rule| !rule.included) {
        State::OutOfScope
    } else {
        match enrolled {
            // A list that still has it says that it should be there.
            Some(host) if host.retired.is_some() && found.listed.is_empty() => State::Retired,
            Some(host) if host.retired.is_some() => State::Expected,
            Some(host) if host.silent.is_some() => State::Silent,
            Some(_) => State::Enrolled,
            None if found.listed.is_empty() => State::Seen,
            None => State::Expected,
        }
    };
    let first = found
        .listed
        .first()
        .map(|(_number, place)| place.host.clone());
    let agent = enrolled.map(|host| host.host.to_string());
    Row {
        name: agent.or(first).unwrap_or(key),
        state,
        host: enrolled.map(|host| host.host.clone()),
        enrolled: enrolled.map(|host| host.since),
        retired: enrolled.and_then(|host| host.retired),
        silent: enrolled.and_then(|host| host.silent),
        called: called.clone(),
        listed: found
            .listed
            .into_iter()
            .map(|(_number, place)| place)
            .collect(),
        seen_count: found.seen.len(),
        seen: found.seen.into_iter().take(SIGHTINGS_MAX).collect(),
        groups: groups.into_iter().map(str::to_owned).collect(),
        rule,
    }
}

fn population(given: &Given<'_>, identity: Identity, mut rows: Vec<Row>) -> Population {
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    let is_enrolled = |row: &&Row| matches!(row.state, State::Enrolled | State::Silent);
    let lists = given.lists.iter().map(|list| {
        let on = |row: &&Row| row.listed.iter().any(|place| place.list == list.name);
        let counts = |row: &&Row| !matches!(row.state, State::OutOfScope | State::Retired);
        let in_scope: Vec<&Row> = rows.iter().filter(on).filter(counts).collect();
        ListShown {
            name: list.name.clone(),
            document: list.document,
            record: list.record,
            dated: list.dated,
            hosts: list.hosts.len(),
            in_scope: in_scope.len(),
            enrolled: in_scope
                .iter()
                .copied()
                .filter(|row| is_enrolled(row))
                .count(),
        }
    });
    let lists: Vec<_> = lists.collect();
    let mut counts = Counts::of(&rows);
    let telling = |host: &&Enrolled| host.retired.is_none() && host.own.is_some();
    counts.telling = given.enrolled.iter().filter(telling).count();
    let mut sources: Vec<String> = lists.iter().map(|list| list.name.clone()).collect();
    if 0 < counts.telling {
        sources.push(format!("what {} hosts know of others", counts.telling));
    }
    let reconciled = SOURCES_MIN <= sources.len();
    let sources = match (reconciled, sources.is_empty()) {
        (true, _) => format!("held against {}", sources.join(", ")),
        (false, true) => "held against nothing: two lists or sources are wanted".to_owned(),
        (false, false) => format!("held against {} alone: two are wanted", sources.join(", ")),
    };
    Population {
        at: given.at,
        reconciled,
        sources,
        counts,
        lists,
        ambiguous: identity.ambiguous(),
        machines: rows,
    }
}
