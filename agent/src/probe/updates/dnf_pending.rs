//! Which installed packages have a newer version in the repositories of dnf.
//!
//! Each package counts by itself: neither dependencies nor packages that replace others are
//! resolved. A package of a module is updated within its stream only. Of a kernel, of which several
//! versions are installed side by side, the newest counts. What locks and exclusions keep out is
//! pending only when it is a security update.

use std::cmp::Ordering;

use super::dnf_config::Config;
use super::dnf_lists::{List, Lists};
use super::repodata::{Advisory, Offer};
use super::rpm_version::{Named, Version};
use super::rpmdb::Package;
use super::update::Update;

/// What is pending on a host.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// The updates, those for security first.
    pub(super) updates: Vec<Update>,
    /// Packages with a newer version that only locks and exclusions keep out.
    pub(super) pinned: usize,
}

/// Compares what is installed, sorted, with what the repositories offer.
pub(super) fn pending(packages: &[Package], lists: &Lists, config: &Config) -> Pending {
    let native = native(packages);
    let mut pending = Pending::default();
    let same = |a: &Package, b: &Package| (&a.name, &a.architecture) == (&b.name, &b.architecture);
    for group in packages.chunk_by(same) {
        // Sorted, so the newest is the last.
        let Some(package) = group.last() else {
            continue;
        };
        let newer = newer(package, lists, &native);
        let mut allowed = newer.clone();
        allowed.retain(|found| {
            let named = Named {
                name: &found.offer.name,
                architecture: &found.offer.architecture,
                version: &found.offer.version,
            };
            !config.keeps_out(&named) && !found.list.repository.keeps_out(&named)
        });
        let (chosen, unpinned) = (newest(&allowed), newest(&newer));
        let kept_out = chosen.is_none() && unpinned.is_some();
        pending.pinned += usize::from(kept_out);
        let Some(candidate) = chosen.or(unpinned) else {
            continue;
        };
        // What a lock keeps out may still close a hole.
        let fixed = newest(&newer).unwrap_or(candidate);
        let update = update(package, candidate, fixed, lists, kept_out);
        if !kept_out || update.security {
            pending.updates.push(update);
        }
    }
    pending.updates.sort_by_key(|update| !update.security);
    pending
}

/// An offer and who makes it.
#[derive(Clone, Copy, Debug)]
struct Found<'a> {
    list: &'a List,
    offer: &'a Offer,
}

/// Newer versions of a package, of the repositories of the best priority that have the name.
fn newer<'a>(package: &Package, lists: &'a Lists, native: &str) -> Vec<Found<'a>> {
    let own = package.stream();
    let fits = |list: &List, offer: &Offer| {
        let same = offer.name == package.name
            && architecture_fits(&package.architecture, &offer.architecture, native)
            && offer.version.compare(&package.version).is_gt();
        let module = || {
            let everywhere = list.repository.flag("module_hotfixes") == Some(true);
            everywhere || list.module(offer) == own.as_deref()
        };
        same && module()
    };
    let mut found: Vec<Found<'_>> = Vec::new();
    for list in &lists.known {
        let offers = list.offers.iter().flat_map(|offers| offers.iter());
        let offers = offers.filter(|offer| fits(list, offer));
        found.extend(offers.map(|offer| Found { list, offer }));
    }
    let best = found
        .iter()
        .map(|found| found.list.repository.priority())
        .min();
    found.retain(|found| Some(found.list.repository.priority()) == best);
    found
}

fn newest<'a>(found: &[Found<'a>]) -> Option<Found<'a>> {
    let order = |a: &&Found<'_>, b: &&Found<'_>| a.offer.version.compare(&b.offer.version);
    found.iter().max_by(order).copied()
}

/// An update stays within its architecture, or goes from or to no architecture at all.
fn architecture_fits(installed: &str, offered: &str, native: &str) -> bool {
    installed == offered || offered == "noarch" || installed == "noarch" && offered == native
}

/// The architecture that most packages have.
fn native(packages: &[Package]) -> String {
    let mut names: Vec<&str> = packages
        .iter()
        .map(|one| one.architecture.as_str())
        .collect();
    names.retain(|name| *name != "noarch");
    names.sort_unstable();
    let most = names
        .chunk_by(|a, b| a == b)
        .max_by_key(|chunk| chunk.len());
    let first = most.and_then(|chunk| chunk.first());
    first.map_or_else(String::new, |name| (*name).to_owned())
}

/// The update of a package, with what the advisories up to version `fixed` say.
fn update(
    package: &Package,
    candidate: Found<'_>,
    fixed: Found<'_>,
    lists: &Lists,
    held: bool,
) -> Update {
    let upto = &fixed.offer.version;
    let about: Vec<&Advisory> = advisories(package, upto, lists).collect();
    let security: Vec<&Advisory> = about.iter().filter(|one| one.security).copied().collect();
    let is_security = !security.is_empty();
    let counted = if is_security { security } else { about };
    let mut cves: Vec<String> = counted.iter().flat_map(|one| one.cves.clone()).collect();
    cves.sort();
    cves.dedup();
    // Advisories are issued when their packages are there, or earlier on that day.
    let since = counted.iter().filter_map(|one| one.issued).min();
    let dated = counted.iter().all(|one| one.issued.is_some());
    let worst = counted.iter().max_by(|a, b| {
        let ranks = rank(a.severity.as_deref()).cmp(&rank(b.severity.as_deref()));
        // Of two that are as severe, the older one waits longer.
        ranks.then_with(|| b.issued.cmp(&a.issued))
    });
    let source = candidate.offer.source.as_deref().and_then(source);
    Update {
        package: package.name.clone(),
        architecture: package.architecture.clone(),
        installed: package.version.text(),
        candidate: candidate.offer.version.text(),
        origin: candidate.list.repository.id.clone(),
        source: source.as_ref().map(|(name, _)| name.clone()),
        source_version: source.map(|(_, version)| version),
        severity: worst.and_then(|one| one.severity.clone()),
        advisory: worst.map(|one| one.id.clone()).filter(|id| !id.is_empty()),
        cves,
        available_since: since,
        available_after: since.filter(|_| dated),
        held,
        security: is_security,
    }
}

/// Advisories with a version of a package that is newer than the installed one, up to `upto`.
fn advisories<'a>(
    package: &'a Package,
    upto: &'a Version,
    lists: &'a Lists,
) -> impl Iterator<Item = &'a Advisory> {
    let about = |offer: &Offer| {
        offer.name == package.name
            && (offer.architecture == package.architecture
                || [&offer.architecture, &package.architecture]
                    .iter()
                    .any(|one| *one == "noarch"))
            && offer.version.compare(&package.version) == Ordering::Greater
            && offer.version.compare(upto) != Ordering::Greater
    };
    let known = lists.known.iter().flat_map(|list| &list.advisories);
    known
        .flat_map(|advisories| &advisories.0)
        .filter(move |advisory| advisory.packages.iter().any(about))
}

/// Red Hat's four words, which others took over.
fn rank(severity: Option<&str>) -> usize {
    let words = ["low", "moderate", "important", "critical"];
    let known = |severity: &str| {
        let severity = severity.to_ascii_lowercase();
        words.iter().position(|word| *word == severity)
    };
    severity.and_then(known).map_or(0, |rank| rank + 1)
}

/// Name and version in the file name of a source package: `NAME-VERSION-RELEASE.src.rpm`.
pub(super) fn source(file: &str) -> Option<(String, String)> {
    let stem = file.strip_suffix(".rpm")?;
    let stem = stem
        .strip_suffix(".src")
        .or_else(|| stem.strip_suffix(".nosrc"))?;
    let (rest, release) = stem.rsplit_once('-')?;
    let (name, version) = rest.rsplit_once('-')?;
    Some((name.to_owned(), format!("{version}-{release}")))
}
