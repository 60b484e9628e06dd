//! Real systems that were booted for a test: Debian with systemd, in one of two ways.
//!
//! A *machine* has a kernel of its own (user-mode Linux), so its clock can be disciplined, stopped
//! and set back, and its auditing switched on, and nothing of that reaches this computer. It boots
//! in about ten seconds. A *container* (systemd-nspawn) has the kernel of this computer, and boots
//! in about one. Both lie on a copy of a tree of [`Release`] and are gone when they are dropped.

mod container;
mod machine;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::roots::Release;
use crate::site::Site;
use container::Container;
use machine::Machine;

/// How long a boot, or a script in a system, may take.
const PATIENCE: Duration = Duration::from_mins(5);
/// Where the tests keep what is theirs in a system.
pub(crate) const OWN: &str = "opt/evident";

/// A system that runs.
#[derive(Debug)]
pub struct Booted<'site> {
    kind: Kind<'site>,
    root: Root,
}

#[derive(Debug)]
enum Kind<'site> {
    Machine(Machine),
    Container(Container<'site>),
}

/// Its root folder, as the site sees it and as this process does.
#[derive(Debug)]
struct Root {
    inside: PathBuf,
    outside: PathBuf,
}

impl<'site> Booted<'site> {
    /// Boots a machine with this address in the site's network.
    ///
    /// `prepare` gets the root folder before anything runs in it.
    pub fn machine(
        site: &'site Site,
        release: Release,
        address: &str,
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let root = Root::new(site, release);
        prepare(&root.outside);
        let kind = Kind::Machine(Machine::boot(site, &root, address));
        Self { kind, root }
    }

    /// Boots a container; without an address it has no network.
    pub fn container(
        site: &'site Site,
        release: Release,
        address: Option<&str>,
        prepare: impl FnOnce(&Path),
    ) -> Self {
        let root = Root::new(site, release);
        prepare(&root.outside);
        let kind = Kind::Container(Container::boot(site, &root, address));
        Self { kind, root }
    }

    /// Its root folder, as a command that runs in the site names it.
    pub fn root(&self) -> &Path {
        &self.root.inside
    }

    /// Runs a script of bash as root.
    pub fn run(&self, script: &str) -> Output {
        match &self.kind {
            Kind::Machine(machine) => machine.run(script),
            Kind::Container(container) => container.run(script),
        }
    }

    /// Standard output of a script that must end well.
    #[track_caller]
    pub fn ok(&self, script: &str) -> String {
        crate::ends(&self.run(&format!("set -euo pipefail\n{script}")), 0)
    }

    /// Runs a script again and again until it ends well.
    #[track_caller]
    pub fn until(&self, script: &str) -> String {
        crate::until(PATIENCE, || {
            let output = self.run(&format!("set -euo pipefail\n{script}"));
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            let ended = format!("{script}: {output:?}");
            output.status.success().then_some(said).ok_or(ended)
        })
    }
}

/// Puts a program of the product into a root folder, under `/usr/bin`.
///
/// A release that is older than this computer gets the C library of this computer beside it.
pub fn install(root: &Path, name: &str) {
    let own = root.join(OWN);
    let copy = |from: &Path, to: &Path| {
        let _bytes = std::fs::copy(from, to).unwrap();
    };
    std::fs::create_dir_all(own.join("lib")).unwrap();
    copy(
        &crate::programs().join(name),
        &root.join("usr/bin").join(name),
    );
    let mut plain = Command::new("chroot");
    let plain = plain
        .arg(root)
        .args([&format!("/usr/bin/{name}"), "--version"]);
    if plain.output().unwrap().status.success() {
        return;
    }
    let needs = Command::new("ldd")
        .arg(crate::programs().join(name))
        .output();
    let needs = String::from_utf8(needs.unwrap().stdout).unwrap();
    let mut loader = "";
    for library in needs
        .split_whitespace()
        .filter(|word| word.starts_with('/'))
    {
        let (_folder, file) = library.rsplit_once('/').unwrap();
        copy(Path::new(library), &own.join("lib").join(file));
        if file.starts_with("ld-") {
            loader = file;
        }
    }
    std::fs::rename(root.join("usr/bin").join(name), own.join(name)).unwrap();
    let start = format!(
        "#!/bin/sh\nexec /{OWN}/lib/{loader} --library-path /{OWN}/lib /{OWN}/{name} \"$@\"\n"
    );
    write_program(&root.join("usr/bin").join(name), &start);
}

/// Writes a script that may be started.
pub fn write_program(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

impl Root {
    fn new(site: &Site, release: Release) -> Self {
        let (inside, outside) = site.overlay(&release.tree());
        let root = Self { inside, outside };
        std::fs::create_dir_all(root.path(OWN)).unwrap();
        root.write("etc/hostname", &format!("{}\n", release.name()));
        root
    }

    fn path(&self, path: &str) -> PathBuf {
        self.outside.join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }

    /// A service that is started at boot.
    fn start_at_boot(&self, name: &str, text: &str) {
        self.write(&format!("etc/systemd/system/{name}.service"), text);
        let wants = self.path("etc/systemd/system/multi-user.target.wants");
        std::fs::create_dir_all(&wants).unwrap();
        let from = wants.join(format!("{name}.service"));
        std::os::unix::fs::symlink(format!("../{name}.service"), from).unwrap();
    }
}

/// Waits until this file is there; `said` is what the system wrote to its console.
#[track_caller]
fn wait(file: &Path, said: &Path) {
    crate::until(PATIENCE, || {
        let console = || String::from_utf8_lossy(&crate::bytes(said)).into_owned();
        let missing = || format!("no {}; the console:\n{}", file.display(), console());
        file.exists().then_some(()).ok_or_else(missing)
    });
}
