//! What dnf has fetched: for each enabled repository what it offers, and its advisories.
//!
//! dnf keeps the files of a repository in `ID-HASH/repodata` below its cache. Of several folders of
//! one id, which a change of the address leaves behind, the one that was fetched last counts.
//!
//! - An enabled repository without files, or with one that was not read, leaves the whole
//!   incomplete: then nothing is said about pending updates.
//! - A repository without advisories is no source of security updates, and its updates are none.
//! - When something was fetched is the change time of `repomd.xml`, which dnf also sets when the
//!   repository says that the file is still the newest one. Signatures are not verified.
//! - Unpacking is the dear part, so what a file says of the installed packages is remembered as
//!   long as the file and those packages are the same.

use std::io::{Error, ErrorKind};
use std::sync::Arc;

use shared::id::Digest;
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::cache::Cache;
use super::dnf_config::{Config, Repository};
use super::modules::{self, Modules};
use super::packed;
use super::repodata::{self, Advisory, Index, Offer};
use super::rpm_version::Version;
use crate::host::{Host, Stat, Unseen};
use crate::probe::Seen;

/// Where dnf 4 and dnf 5 keep what they fetched.
const CACHES: [&str; 2] = ["/var/cache/dnf", "/var/cache/libdnf5"];
/// Longest `repomd.xml`.
const INDEX_BYTES_MAX: u64 = 1024 * 1024;
/// Most offers and advisories of one file that are kept.
const KEPT_MAX: usize = 20_000;

/// Which packages are asked for.
pub(super) struct Wanted<'a> {
    /// Whether a name is installed.
    pub(super) name: &'a dyn Fn(&str) -> bool,
    /// Whether a version matters: it is newer than the installed one, or was installed lately.
    pub(super) version: &'a dyn Fn(&Offer) -> bool,
    /// Tells whether the same is asked for as before.
    pub(super) digest: Digest,
}

/// An enabled repository and what it says of the packages that are asked for.
#[derive(Debug)]
pub(super) struct List {
    /// Its settings.
    pub(super) repository: Repository,
    /// When it was made.
    pub(super) released: Option<Timestamp>,
    /// When it was fetched.
    pub(super) fetched: Timestamp,
    /// Versions of the packages that are asked for.
    pub(super) offers: Option<Arc<Vec<Offer>>>,
    /// Advisories about them, and whether there is one about security at all.
    pub(super) advisories: Option<Arc<(Vec<Advisory>, bool)>>,
    /// The modules that they belong to.
    pub(super) modules: Option<Arc<Modules>>,
}

impl List {
    /// The stream of a module that an offer belongs to, as `NAME:STREAM`; `Some("")` when it
    /// belongs to one that the repository does not describe.
    pub(super) fn module(&self, offer: &Offer) -> Option<&str> {
        let Version {
            epoch,
            version,
            release,
        } = &offer.version;
        let (name, architecture) = (&offer.name, &offer.architecture);
        let package = format!("{name}-{epoch}:{version}-{release}.{architecture}");
        let module = self.modules.as_ref().and_then(|all| all.get(&package));
        // The build systems of the distributions say so in the release too.
        let marked = || release.contains(".module").then_some("");
        module.map(String::as_str).or_else(marked)
    }
}

/// All enabled repositories that have files.
#[derive(Debug)]
pub(super) struct Lists {
    /// The repositories, in the order of the settings.
    pub(super) known: Vec<List>,
    /// There is one at least, all have files, and all were read.
    pub(super) whole: bool,
}

/// Reads what dnf has fetched.
pub(super) fn read(
    host: &dyn Host,
    seen: &mut Seen,
    config: &Config,
    wanted: &Wanted<'_>,
) -> Lists {
    let mut lists = Lists {
        known: Vec::new(),
        whole: true,
    };
    let caches = caches(host, seen, config);
    for repository in config.repositories.iter().filter(|one| one.enabled()) {
        let Some((folder, stat)) = newest(host, &caches, &repository.id) else {
            let what = format!("repository {}", repository.id);
            let why = Some("it is enabled, and dnf has fetched nothing from it");
            seen.unseen(Means::File, Unseen::new(&what, Status::Absent, None));
            seen.unseen(Means::File, Unseen::new(&what, Status::Unsupported, why));
            lists.whole = false;
            continue;
        };
        match list(host, seen, repository, (&folder, stat), wanted) {
            Some(list) => {
                let read = [list.advisories.is_some(), list.modules.is_some()];
                lists.whole &= list.offers.is_some() && !read.contains(&false);
                lists.known.push(list);
            }
            None => lists.whole = false,
        }
    }
    lists.whole &= !lists.known.is_empty();
    lists
}

/// The folders of all repositories.
fn caches(host: &dyn Host, seen: &mut Seen, config: &Config) -> Vec<String> {
    let own = ["cachedir", "system_cachedir"].map(|name| config.main(name));
    let own = own
        .into_iter()
        .flatten()
        .map(|path| path.trim_end_matches('/'));
    let mut paths = Vec::new();
    for cache in own.chain(CACHES) {
        let names = seen.note(Means::File, cache, host.list(cache));
        let names = names.unwrap_or_default();
        paths.extend(names.iter().map(|name| format!("{cache}/{name}")));
    }
    paths
}

/// The folder of a repository whose index came last.
fn newest(host: &dyn Host, caches: &[String], id: &str) -> Option<(String, Stat)> {
    let own = caches.iter().filter(|path| {
        let name = path.rsplit_once('/').map_or("", |(_, name)| name);
        let hash = name
            .strip_prefix(id)
            .and_then(|rest| rest.strip_prefix('-'));
        let hexadecimal = |hash: &str| hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        hash.is_some_and(|hash| hash.len() == 16 && hexadecimal(hash))
    });
    let stats = own.filter_map(|path| {
        let folder = format!("{path}/repodata");
        let stat = host.stat(&format!("{folder}/repomd.xml")).ok()?;
        Some((folder, stat))
    });
    stats.max_by_key(|(_, stat)| stat.changed)
}

fn list(
    host: &dyn Host,
    seen: &mut Seen,
    repository: &Repository,
    (folder, stat): (&str, Stat),
    wanted: &Wanted<'_>,
) -> Option<List> {
    let path = format!("{folder}/repomd.xml");
    let index = host
        .read(&path, INDEX_BYTES_MAX)
        .and_then(|bytes| Index::read(&*bytes).map_err(|error| packed::unseen(&path, &error)));
    let index = seen.note(Means::File, &path, index)?;
    let place = |kind: &str| {
        let name = index.file(kind)?;
        Some(format!("{folder}/{name}"))
    };
    let offers = match place("primary") {
        Some(path) => {
            let offers = OFFERS.get(host, &path, wanted.digest, || offers(host, &path, wanted));
            seen.note(Means::File, &path, offers)
        }
        None => None,
    };
    let advisories = match place("updateinfo") {
        Some(path) => {
            let read = || advisories(host, &path, wanted);
            let advisories = ADVISORIES.get(host, &path, wanted.digest, read);
            seen.note(Means::File, &path, advisories.map_err(not_absent))
        }
        None => Some(Arc::default()),
    };
    let modules = match place("modules") {
        Some(path) => {
            let modules = MODULES.get(host, &path, wanted.digest, || {
                let found = modules::modules(packed::open(host, &path)?, wanted.name);
                found.map_err(|error| packed::unseen(&path, &error))
            });
            seen.note(Means::File, &path, modules.map_err(not_absent))
        }
        None => Some(Arc::default()),
    };
    Some(List {
        repository: repository.clone(),
        released: index.released,
        fetched: stat.changed,
        offers: offers.filter(|_| place("primary").is_some()),
        advisories,
        modules,
    })
}

/// A file that the index names and dnf did not fetch is no file that is certainly absent.
fn not_absent(unseen: Unseen) -> Unseen {
    if unseen.is_absent() {
        let why = Some("the repository has it, and dnf did not fetch it");
        return Unseen::new(&unseen.what, Status::Unsupported, why);
    }
    unseen
}

fn offers(host: &dyn Host, path: &str, wanted: &Wanted<'_>) -> Result<Vec<Offer>, Unseen> {
    let mut offers = Vec::new();
    let from = packed::open(host, path)?;
    let each = |offer: Offer| {
        let source = matches!(offer.architecture.as_str(), "src" | "nosrc");
        if !source && (wanted.version)(&offer) {
            offers.push(offer);
        }
        room(offers.len())
    };
    repodata::packages(from, wanted.name, each).map_err(|error| packed::unseen(path, &error))?;
    Ok(offers)
}

fn advisories(
    host: &dyn Host,
    path: &str,
    wanted: &Wanted<'_>,
) -> Result<(Vec<Advisory>, bool), Unseen> {
    let mut advisories = Vec::new();
    let from = packed::open(host, path)?;
    let is_wanted = |package: &Offer| (wanted.name)(&package.name) && (wanted.version)(package);
    let security = repodata::advisories(from, is_wanted, |advisory| {
        advisories.push(advisory);
        room(advisories.len())
    });
    let security = security.map_err(|error| packed::unseen(path, &error))?;
    Ok((advisories, 0 < security))
}

fn room(kept: usize) -> std::io::Result<()> {
    if KEPT_MAX < kept {
        return Err(Error::new(ErrorKind::FileTooLarge, "too many versions"));
    }
    Ok(())
}

static OFFERS: Cache<Vec<Offer>> = Cache::new();
static ADVISORIES: Cache<(Vec<Advisory>, bool)> = Cache::new();
static MODULES: Cache<Modules> = Cache::new();
