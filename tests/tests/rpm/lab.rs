//! A place to build packages, a repository and hosts with the programs of rpm, and how to ask both
//! dnf and the probe what is pending there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use agent::host::machine::Machine;
use agent::probe::updates::Updates;
use agent::probe::{Probe as _, Scene};
use shared::durable;
use shared::fact::{Record, Value};
use shared::observation::Observation;
use shared::time::Timestamp;

/// Where the database of packages is on the hosts of these tests.
pub(crate) const DATABASE: &str = "usr/lib/sysimage/rpm/rpmdb.sqlite";

/// A place to build packages, a repository and hosts.
pub(crate) struct Lab(tempfile::TempDir);

pub(crate) fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    durable::write(path, text.as_bytes(), 0o644).unwrap();
}

/// Packages with these names are built for the stream of a module that their version begins with.
pub(crate) fn module(name: &str, version: &str) -> String {
    if !name.starts_with("stream") {
        return String::new();
    }
    let stream = version.split('.').next().unwrap();
    format!("ModularityLabel: {name}:{stream}:1:c0ffee\n")
}

#[track_caller]
pub(crate) fn text(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{error}");
    text
}

impl Lab {
    pub(crate) fn new() -> Self {
        let lab = Self(tempfile::tempdir().unwrap());
        // Where Fedora and RHEL 9 have it; Debian's rpm has it in the home of root.
        write(&lab.path(".rpmmacros"), "%_dbpath /usr/lib/sysimage/rpm\n");
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Builds packages `NAME EPOCH VERSION RELEASE`, with lines that follow in their files.
    pub(crate) fn build(&self, packages: &[(&str, &str)]) {
        for (package, more) in packages {
            let [name, epoch, version, release] =
                package.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let spec = format!(
                "Name: {name}\nEpoch: {epoch}\nVersion: {version}\nRelease: {release}\n\
                 Summary: toy\nLicense: MIT\nVendor: Toys\nBuildArch: noarch\n\
                 {}%description\ntoy\n{more}\n%files\n",
                module(name, version)
            );
            write(&self.path(&format!("{name}.spec")), &spec);
            let topdir = format!("_topdir {}", self.path("build").display());
            let _built = text(
                &self
                    .command("rpmbuild")
                    .args([
                        "-bb",
                        "--quiet",
                        "--define",
                        &topdir,
                        &format!("{name}.spec"),
                    ])
                    .output()
                    .unwrap(),
            );
        }
    }

    /// Makes a repository of packages that were built, by the beginnings of their file names.
    pub(crate) fn repository(
        &self,
        name: &str,
        packages: &[&str],
        advisories: Option<&str>,
        packing: &str,
    ) {
        let folder = self.path(name);
        std::fs::create_dir_all(&folder).unwrap();
        for entry in std::fs::read_dir(self.path("build/RPMS/noarch")).unwrap() {
            let entry = entry.unwrap();
            let file = entry.file_name().into_string().unwrap();
            if packages.iter().any(|package| file.starts_with(package)) {
                let _bytes = std::fs::copy(entry.path(), folder.join(file)).unwrap();
            }
        }
        let made = self
            .command("createrepo_c")
            .arg("-q")
            .arg(&folder)
            .output()
            .unwrap();
        let _made = text(&made);
        if let Some(advisories) = advisories {
            let file = self.path("updateinfo.xml");
            write(
                &file,
                &format!("<?xml version=\"1.0\"?>\n<updates>{advisories}</updates>\n"),
            );
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
    pub(crate) fn host(&self, repository: &str) -> Host<'_> {
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
pub(crate) struct Host<'a> {
    pub(crate) lab: &'a Lab,
    pub(crate) root: PathBuf,
}

impl Host<'_> {
    pub(crate) fn write(&self, name: &str, text: &str) {
        write(&self.root.join(name), text);
    }

    pub(crate) fn dnf(&self, arguments: &[&str]) -> Output {
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

    pub(crate) fn look(&self) -> Observation {
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

pub(crate) fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::from_unix_ms(since.as_millis().try_into().unwrap()).unwrap()
}

/// A fact as JSON, `-` where it is left out.
pub(crate) fn fact(seen: &Observation, name: &str) -> String {
    match seen.facts.get(name) {
        Some(value) => serde_json::to_string(value).unwrap(),
        None => "-".to_owned(),
    }
}

pub(crate) fn count(seen: &Observation, name: &str) -> i64 {
    fact(seen, name).parse().unwrap_or(-1)
}

pub(crate) fn records(seen: &Observation, name: &str) -> Vec<Record> {
    match seen.facts.get(name) {
        Some(Value::List(records)) => records.clone(),
        _ => Vec::new(),
    }
}

pub(crate) fn field(record: &Record, name: &str) -> String {
    match record.get(name) {
        Some(Value::Text(text)) => text.clone(),
        Some(Value::Instant(at)) => at.to_string(),
        Some(value) => serde_json::to_string(value).unwrap(),
        None => "-".to_owned(),
    }
}

/// `NAME.ARCH VERSION` of the pending updates, sorted; with `security` only those for security.
pub(crate) fn pending(seen: &Observation, security: bool) -> Vec<String> {
    let updates = records(seen, "pending").into_iter();
    let updates = updates.filter(|one| !security || field(one, "security") == "true");
    let mut found: Vec<String> = updates
        .map(|one| {
            let [name, arch, version] =
                ["package", "architecture", "candidate"].map(|name| field(&one, name));
            format!("{name}.{arch} {version}")
        })
        .collect();
    found.sort();
    found
}

/// The same from `dnf check-update`.
pub(crate) fn said(host: &Host<'_>, arguments: &[&str]) -> Vec<String> {
    let output = host.dnf(&[&["-q", "-C", "check-update"], arguments].concat());
    // 100 means that there are updates: dnf(8).
    assert!(
        [Some(0), Some(100)].contains(&output.status.code()),
        "{output:?}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let mut found: Vec<String> = text
        .lines()
        .take_while(|line| !line.starts_with("Obsoleting"))
        .filter_map(
            |line| match line.split_whitespace().collect::<Vec<_>>()[..] {
                [name, version, _repository] => Some(format!("{name} {version}")),
                _ => None,
            },
        )
        .collect();
    found.sort();
    found
}

/// An advisory about packages `NAME EPOCH VERSION RELEASE`.
pub(crate) fn advisory(
    kind: &str,
    id: &str,
    severity: &str,
    date: &str,
    packages: &[&str],
) -> String {
    let package = |package: &&str| {
        let [name, epoch, version, release] =
            package.split(' ').collect::<Vec<_>>().try_into().unwrap();
        format!(
            "<package name=\"{name}\" version=\"{version}\" release=\"{release}\" \
             epoch=\"{epoch}\" arch=\"noarch\" src=\"{name}-{version}-{release}.src.rpm\">\
             <filename>{name}-{version}-{release}.noarch.rpm</filename></package>"
        )
    };
    let packages: String = packages.iter().map(package).collect();
    format!(
        "<update from=\"toys\" status=\"final\" type=\"{kind}\" version=\"2.0\"><id>{id}</id>\
         <title>{id}</title><issued date=\"{date}\"/><updated date=\"2026-11-01 00:00:00\"/>\
         <severity>{severity}</severity><description>A &lt;hole&gt; &amp; more.</description>\
         <references><reference href=\"https://toys.example/{id}\" id=\"CVE-{id}\" type=\"cve\" \
         title=\"CVE-{id}\"/></references><pkglist><collection short=\"toys\">\
         <name>toys</name>{packages}</collection></pkglist></update>"
    )
}
