//! Root folders of real Debian releases, made by mmdebstrap once and kept for later runs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use shared::id::Digest;

/// What every tree has: an init system, logging, a time daemon, auditing.
const PACKAGES: &str = "auditd,chrony,cron,dbus,iproute2,logrotate,rsyslog,rsyslog-gnutls,\
                        systemd-sysv,unattended-upgrades";
/// What bookworm has besides.
const MORE: &str = "gpg,gpg-agent,restic";

/// A release of Debian that can be booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// Debian 11.
    Bullseye,
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

impl Release {
    /// Its codename.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bullseye => "bullseye",
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }

    /// Its number, as in `VERSION_ID`.
    pub fn version(self) -> &'static str {
        match self {
            Self::Bullseye => "11",
            Self::Bookworm => "12",
            Self::Trixie => "13",
        }
    }

    /// Its root folder, which nobody changes; made when it is not there yet, in half a minute.
    pub fn tree(self) -> PathBuf {
        static KEPT: OnceLock<PathBuf> = OnceLock::new();
        let kept = KEPT.get_or_init(folder);
        let mut packages = PACKAGES.to_owned();
        if self == Self::Bookworm {
            packages = format!("{packages},{MORE}");
        }
        // Another list makes another tree.
        let digest = Digest::of(packages.as_bytes()).to_string();
        let tree = kept.join(format!("{}-{}", self.name(), digest.split_at(8).0));
        if tree.exists() {
            return tree;
        }
        // One process makes it, the others wait for it.
        let lock = std::fs::File::create(kept.join(format!("{}.lock", self.name()))).unwrap();
        lock.lock().unwrap();
        if !tree.exists() {
            let begun = kept.join(format!("{}.begun", self.name()));
            make(self.name(), &packages, &begun);
            std::fs::rename(&begun, &tree).unwrap();
        }
        tree
    }
}

/// Where trees are kept; also between runs.
fn folder() -> PathBuf {
    let of = |name, below: &str| Some(PathBuf::from(std::env::var_os(name)?).join(below));
    let cache = of("XDG_CACHE_HOME", "").or_else(|| of("HOME", ".cache"));
    let folder = cache.unwrap().join("evident/roots");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn make(suite: &str, packages: &str, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    let made = Command::new("mmdebstrap")
        .args(["--quiet", "--mode=root", "--variant=minbase"])
        .arg(format!("--include={packages}"))
        .arg(suite)
        .arg(to)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(made.status.success(), "mmdebstrap {suite}: {said}");
}
