//! What the probe of updates sees on hosts that rpm and dnf made, next to what dnf says itself.
#![expect(clippy::disallowed_methods, reason = "tests run the real programs")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agent::host::machine::Machine;
use agent::probe::updates::Updates;
use agent::probe::{Probe as _, Scene};
use shared::durable;
use shared::fact::{Record, Value};
use shared::observation::{Observation, Outcome};
use shared::time::Timestamp;

/// Where the database of packages is on the hosts of these tests.
const DATABASE: &str = "usr/lib/sysimage/rpm/rpmdb.sqlite";

/// A place to build packages, a repository and hosts.
struct Lab(tempfile::TempDir);

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    durable::write(path, text.as_bytes(), 0o644).unwrap();
}

#[track_caller]
fn text(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
    text
}

impl Lab {
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        // Where Fedora and RHEL 9 have it; Debian's rpm has it in the home of root.
        write(&lab.path(".rpmmacros"), "%_dbpath /usr/lib/sysimage/rpm\n");
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.0.path()).env("HOME", self.0.path()).env("LC_ALL", "C.UTF-8");
        command
    }

    /// Builds packages `NAME EPOCH VERSION RELEASE`, with lines that follow in their files.
    fn build(&self, packages: &[(&str, &str)]) {
        for (package, more) in packages {
            let [name, epoch, version, release] =
                package.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let spec = format!(
                "Name: {name}\nEpoch: {epoch}\nVersion: {version}\nRelease: {release}\n\
                 Summary: toy\nLicense: MIT\nVendor: Toys\nBuildArch: noarch\n\
                 %description\ntoy\n{more}\n%files\n"
            );
            write(&self.path(&format!("{name}.spec")), &spec);
            let topdir = format!("_topdir {}", self.path("build").display());
            let _built = text(
                &self
                    .command("rpmbuild")
                    .args(["-bb", "--quiet", "--define", &topdir, &format!("{name}.spec")])
                    .output()
                    .unwrap(),
            );
        }
    }

    /// Makes a repository of packages that were built, by the beginnings of their file names.
    fn repository(&self, name: &str, packages: &[&str], advisories: Option<&str>, packing: &str) {
        let folder = self.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        for entry in std::fs::read_dir(self.path("build/RPMS/noarch")).unwrap() {
            let entry = entry.unwrap();
            let file = entry.file_name().into_string().unwrap();
            if packages.iter().any(|package| file.starts_with(package)) {
                let _bytes = std::fs::copy(entry.path(), folder.join(file)).unwrap();
            }
        }
        let made = self.command("createrepo_c").arg("-q").arg(&folder).output().unwrap();
        let _made = text(&made);
        if let Some(advisories) = advisories {
            let file = self.path("updateinfo.xml");
            write(&file, &format!("<?xml version=\"1.0\"?>\n<updates>{advisories}</updates>\n"));
            let added = self
                .command("modifyrepo_c")
                .args(["--mdtype=updateinfo", &format!("--compress-type={packing}")])
                .arg(&file)
                .arg(folder.join("repodata"))
                .output()
                .unwrap();
            let _added = text(&added);
        }
    }

    /// A host that uses a repository.
    fn host(&self, repository: &str) -> Host<'_> {
        let host = Host {
            lab: self,
            root: self.path("root"),
        };
        let url = self.path(repository);
        host.write(
            "etc/yum.repos.d/toys.repo",
            &format!(
                "[toys]\nname=Toys 9\nbaseurl=file://{}\nenabled=1\ngpgcheck=0\n",
                url.display()
            ),
        );
        host.write("etc/os-release", "ID=\"rhel\"\nVERSION_ID=\"9.4\"\n");
        host.write("etc/dnf/dnf.conf", "[main]\ngpgcheck=1\n");
        host
    }
}

/// A host in a folder.
struct Host<'a> {
    lab: &'a Lab,
    root: PathBuf,
}

impl Host<'_> {
    fn write(&self, name: &str, text: &str) {
        write(&self.root.join(name), text);
    }

    fn dnf(&self, arguments: &[&str]) -> Output {
        let root = self.root.display();
        self.lab
            .command("dnf")
            .args(["-y", "--installroot", &root.to_string(), "--releasever=9"])
            .arg(format!("--config={root}/etc/dnf/dnf.conf"))
            .arg(format!("--setopt=reposdir={root}/etc/yum.repos.d"))
            .arg(format!("--setopt=cachedir={root}/var/cache/dnf"))
            .args(arguments)
            .output()
            .unwrap()
    }

    fn look(&self) -> Observation {
        let machine = Machine::open(&self.root).unwrap();
        let scene = Scene {
            now: now(),
            ..Scene::default()
        };
        let seen = Updates.observe(&machine, &scene);
        let (observation, _copies) = seen.observation(Updates.subject());
        Observation::from_bytes(&observation.to_bytes()).unwrap()
    }
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::from_unix_ms(since.as_millis().try_into().unwrap()).unwrap()
}

#[test]
fn first() {
    let lab = Lab::new();
    lab.build(&[("alpha 0 1.0 1.el9", ""), ("alpha 0 1.0 2.el9", ""), ("beta 1 1 1", "")]);
    lab.repository("repo", &["alpha", "beta"], Some(""), "gz");
    let host = lab.host("repo");
    println!("{}", text(&host.dnf(&["install", "alpha-1.0-1.el9", "beta"])));
    println!("{}", serde_json::to_string_pretty(&host.look()).unwrap());
    panic!();
}
