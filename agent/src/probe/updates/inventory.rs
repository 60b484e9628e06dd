//! Which packages are installed: dpkg's status file, read as a stream.
//!
//! A package of architecture `all` is kept as one of the machine's own architecture, as apt does:
//! its next version may well be built for one.
//!
//! Source: deb-status(5), dpkg(1) "Information about packages".

use std::io;

use shared::id::Digest;
use shared::observation::Status;

use super::stanza::{self, Head};
use crate::host::{Host, Unseen};

/// dpkg's database of packages.
pub(super) const STATUS: &str = "/var/lib/dpkg/status";
/// Largest database that is read; that of a full desktop has 10 MB.
const STATUS_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most packages that are kept; Debian has 65,000.
const PACKAGES_MAX: usize = 100_000;

/// An installed package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    /// Name.
    pub(super) name: String,
    /// Architecture; that of the machine for `all`.
    pub(super) architecture: String,
    /// Version.
    pub(super) version: String,
    /// It is held back.
    pub(super) held: bool,
    /// Name and version of the package that it is built from.
    pub(super) source: (String, String),
}

/// All installed packages, sorted.
#[derive(Clone, Debug, Default)]
pub(super) struct Inventory {
    /// The packages by name and architecture.
    pub(super) packages: Vec<Package>,
    /// The machine's own architecture, which dpkg itself has; empty when dpkg is not installed.
    pub(super) native: String,
}

impl Inventory {
    /// Reads the status file.
    ///
    /// # Errors
    ///
    /// [`Unseen`]; [`Status::Malformed`] when it is empty, cut or no status file.
    pub(super) fn read(host: &dyn Host) -> Result<Self, Unseen> {
        let stat = host.stat(STATUS)?;
        if STATUS_BYTES_MAX < stat.bytes {
            return Err(Unseen::new(STATUS, Status::Limit, None));
        }
        let file = host.open(STATUS, STATUS_BYTES_MAX)?;
        Self::scan(file)
    }

    fn scan(from: impl io::Read) -> Result<Self, Unseen> {
        let mut packages = Vec::new();
        let mut wrong = None;
        let mut add = |head: &Head| match installed(head) {
            Ok(Some(package)) if packages.len() < PACKAGES_MAX => packages.push(package),
            Ok(None) => {}
            Ok(Some(_)) => wrong = Some(Unseen::new(STATUS, Status::Limit, None)),
            Err(unseen) => wrong = Some(unseen),
        };
        let stanzas = stanza::scan(from, |_| true, &mut add)
            .map_err(|error| stanza::unseen(STATUS, &error))?;
        if stanzas == 0 {
            return Err(Unseen::new(STATUS, Status::Malformed, Some("it is empty")));
        }
        if let Some(unseen) = wrong {
            return Err(unseen);
        }
        let dpkg = packages.iter().find(|package| package.name == "dpkg");
        let native = dpkg.map_or_else(String::new, |dpkg| dpkg.architecture.clone());
        for package in &mut packages {
            if package.architecture == "all" {
                package.architecture.clone_from(&native);
            }
        }
        packages.sort();
        Ok(Self { packages, native })
    }

    /// Whether a package of this name is installed, for whatever architecture.
    pub(super) fn has(&self, name: &str) -> bool {
        self.packages
            .binary_search_by(|package| package.name.as_str().cmp(name))
            .is_ok()
    }

    /// The package of this name and architecture.
    pub(super) fn get(&self, name: &str, architecture: &str) -> Option<&Package> {
        let key = (name, architecture);
        let found = self
            .packages
            .binary_search_by(|package| (&*package.name, &*package.architecture).cmp(&key));
        found.ok().and_then(|place| self.packages.get(place))
    }

    /// Tells whether the same names are installed as before.
    pub(super) fn names(&self) -> Digest {
        let mut text = self.native.clone();
        for package in &self.packages {
            text.push('\n');
            text.push_str(&package.name);
        }
        Digest::of(text.as_bytes())
    }
}

fn installed(head: &Head) -> Result<Option<Package>, Unseen> {
    let malformed = || {
        let why = format!("package `{}`", head.package);
        Unseen::new(STATUS, Status::Malformed, Some(&why))
    };
    let words: Vec<&str> = head.status.split(' ').collect();
    let [wish, _error, state] = words.as_slice() else {
        return Err(malformed());
    };
    match *state {
        "not-installed" | "config-files" => Ok(None),
        "installed" | "unpacked" | "half-installed" | "half-configured" | "triggers-awaited"
        | "triggers-pending" => {
            if head.version.is_empty() || head.architecture.is_empty() {
                return Err(malformed());
            }
            Ok(Some(Package {
                name: head.package.clone(),
                architecture: head.architecture.clone(),
                version: head.version.clone(),
                held: *wish == "hold",
                source: stanza::source(&head.source, &head.package, &head.version),
            }))
        }
        _ => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(name: &str, architecture: &str, status: &str) -> String {
        format!("Package: {name}\nStatus: {status}\nArchitecture: {architecture}\nVersion: 1\n\n")
    }

    #[test]
    fn what_is_there_counts_and_all_is_native() {
        let text = stanza("z", "all", "hold ok installed")
            + &stanza("dpkg", "amd64", "install ok installed")
            + &stanza("a", "i386", "install ok triggers-pending")
            + &stanza("a", "amd64", "install reinstreq half-installed")
            + &stanza("gone", "amd64", "deinstall ok config-files");
        let inventory = Inventory::scan(text.as_bytes()).unwrap();
        let packages = inventory.packages.iter();
        let packages = packages.map(|p| (p.name.as_str(), p.architecture.as_str(), p.held));
        assert_eq!(
            packages.collect::<Vec<_>>(),
            [
                ("a", "amd64", false),
                ("a", "i386", false),
                ("dpkg", "amd64", false),
                ("z", "amd64", true)
            ]
        );
        assert!(inventory.has("a") && inventory.has("z") && !inventory.has("gone"));
        let fewer = Inventory::scan(stanza("a", "i386", "install ok installed").as_bytes());
        assert_ne!(fewer.unwrap().names(), inventory.names());
    }

    #[test]
    fn a_damaged_database_is_not_half_read() {
        let good = stanza("a", "amd64", "install ok installed");
        for bad in [
            "",
            "Package: b\n",
            "Package: b\nStatus: install ok installed\nArchitecture: all\n",
            "Package: b\nStatus: install ok installed\nVersion: 1\n",
            "Package: b\nStatus: install ok great\nVersion: 1\nArchitecture: all\n",
            "Package: b\nStatus: installed\nVersion: 1\nArchitecture: all\n",
        ] {
            let text = if bad.is_empty() {
                String::new()
            } else {
                good.clone() + bad
            };
            let unseen = Inventory::scan(text.as_bytes()).unwrap_err();
            assert_eq!(unseen.status, Status::Malformed, "{bad}");
        }
    }
}
