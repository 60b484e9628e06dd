//! Joins what is installed on a host with what the lists say.

use std::collections::BTreeMap;

use serde::Deserialize;
use shared::time::Timestamp;
use shared::version::compare;

use super::{Affected, ECOSYSTEM_PACKAGES_MIN, Feed, Severity};

/// An installed package, as a bill of materials tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its ecosystem, e.g. `debian:12`; `None` where the order of versions is not known here.
    pub ecosystem: Option<String>,
    /// Name and version of the package that it is built from.
    pub source: (String, String),
}

/// A vulnerability of an installed package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// CVE id, or the publisher's own.
    pub id: String,
    /// Source package.
    pub package: String,
    /// Its installed version.
    pub installed: String,
    /// First version without it, where there is one.
    pub fixed: Option<String>,
    /// The worst that any list calls it.
    pub severity: Severity,
    /// It is known to be exploited.
    pub exploited: bool,
    /// Until when it is to be mended, where a list says so.
    pub due: Option<Timestamp>,
}

/// What a join saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Vulnerabilities, the worst first.
    pub matches: Vec<Match>,
    /// Packages of an ecosystem that a complete list covers.
    pub covered: usize,
    /// Packages that no complete list covers: of them nobody knows what is not listed.
    pub uncovered: usize,
}

#[derive(Deserialize)]
struct Bom {
    components: Vec<Part>,
}

#[derive(Deserialize)]
struct Part {
    name: String,
    version: String,
    purl: Option<String>,
    pedigree: Option<Pedigree>,
}

#[derive(Deserialize)]
struct Pedigree {
    #[serde(default)]
    ancestors: Vec<Part>,
}

/// The packages of a bill of materials in `CycloneDX`; `None` when it is none.
#[must_use]
pub fn components(bom: &[u8]) -> Option<Vec<Component>> {
    let bom: Bom = serde_json::from_slice(bom).ok()?;
    let all = bom.components.into_iter().map(|part| {
        let source = part
            .pedigree
            .and_then(|pedigree| pedigree.ancestors.into_iter().next());
        let source = source.map(|source| (source.name, source.version));
        Component {
            ecosystem: part.purl.as_deref().and_then(ecosystem),
            source: source.unwrap_or_else(|| (part.name.clone(), part.version.clone())),
            name: part.name,
            version: part.version,
        }
    });
    Some(all.collect())
}

/// The ecosystem of a package URL, whose qualifier `distro` names the release.
fn ecosystem(purl: &str) -> Option<String> {
    let rest = purl.strip_prefix("pkg:deb/")?;
    let (vendor, _name) = rest.split_once('/')?;
    let (_name, qualifiers) = rest.split_once('?')?;
    let distro = qualifiers
        .split('&')
        .find_map(|one| one.strip_prefix("distro="))?;
    let release = distro.strip_prefix(vendor)?.strip_prefix('-')?;
    Some(format!("{vendor}:{release}"))
}

/// Joins the packages of a host with the lists.
#[must_use]
pub fn join(feeds: &[&Feed], components: &[Component]) -> Seen {
    let mut seen = Seen::default();
    let mut found: BTreeMap<(String, String), Match> = BTreeMap::new();
    let mut complete: BTreeMap<&str, bool> = BTreeMap::new();
    for component in components {
        let Some(ecosystem) = &component.ecosystem else {
            seen.uncovered += 1;
            continue;
        };
        let covered = *complete
            .entry(ecosystem.as_str())
            .or_insert_with(|| feeds.iter().any(|feed| covers(feed, ecosystem)));
        for packages in feeds.iter().flat_map(|feed| of(feed, ecosystem)) {
            for affected in packages.get(&component.source.0).into_iter().flatten() {
                if holds(affected, &component.source.1) {
                    merge(&mut found, component, affected);
                }
            }
        }
        seen.covered += usize::from(covered);
        seen.uncovered += usize::from(!covered);
    }
    for one in found.values_mut() {
        for feed in feeds {
            if let Some(due) = feed.exploited.get(&one.id) {
                one.exploited = true;
                one.due = *due;
            }
        }
    }
    seen.matches = found.into_values().collect();
    let rank = |one: &Match| {
        (
            !one.exploited,
            std::cmp::Reverse(one.severity),
            one.id.clone(),
        )
    };
    seen.matches.sort_by_key(rank);
    seen
}

/// Whether what a list does not say of an ecosystem is not there.
fn covers(feed: &Feed, ecosystem: &str) -> bool {
    let packages = of(feed, ecosystem).map(BTreeMap::len).sum::<usize>();
    feed.complete && ECOSYSTEM_PACKAGES_MIN <= packages
}

/// What a list says of an ecosystem. OSV adds words to some releases, such as `Ubuntu:22.04:LTS`.
fn of<'a>(
    feed: &'a Feed,
    ecosystem: &'a str,
) -> impl Iterator<Item = &'a BTreeMap<String, Vec<Affected>>> {
    let from = feed.affected.range(ecosystem.to_owned()..);
    from.take_while(move |(name, _)| name.starts_with(ecosystem))
        .filter(move |(name, _)| {
            let rest = name.strip_prefix(ecosystem).unwrap_or_default();
            rest.is_empty() || rest.starts_with(':')
        })
        .map(|(_, packages)| packages)
}

fn holds(affected: &Affected, installed: &str) -> bool {
    let after = affected.introduced.as_deref();
    let before = affected.fixed.as_deref();
    after.is_none_or(|first| compare(first, installed).is_le())
        && before.is_none_or(|fixed| compare(installed, fixed).is_lt())
}

/// One vulnerability of one source package is told once, with the worst rating and the latest fix.
fn merge(
    found: &mut BTreeMap<(String, String), Match>,
    component: &Component,
    affected: &Affected,
) {
    let (package, installed) = component.source.clone();
    let key = (affected.id.clone(), package.clone());
    let one = found.entry(key).or_insert_with(|| Match {
        id: affected.id.clone(),
        package,
        installed,
        fixed: affected.fixed.clone(),
        severity: affected.severity,
        exploited: false,
        due: None,
    });
    one.severity = one.severity.max(affected.severity);
    if let Some(fixed) = &affected.fixed {
        let later = one
            .fixed
            .as_deref()
            .is_none_or(|known| compare(known, fixed).is_lt());
        if later {
            one.fixed = Some(fixed.clone());
        }
    }
}
