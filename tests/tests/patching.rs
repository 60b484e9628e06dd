//! Patching on real Debian: what apt itself says of three releases, and an update that waits too
//! long from the look that finds it to the one that no longer does.
#![expect(clippy::disallowed_methods, reason = "tests run the real programs")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use evident_tests::{Deployment, ends, program, programs};
use serde_json::Value;
use shared::id::Digest;

/// Makes a tree of a release as it was at its last point release, with the lists of now: what has
/// come since is pending. `$1` is the suite, `$2` the folder.
const TREE: &str = r#"
mmdebstrap --quiet --mode=root --variant=minbase \
    --include=curl,openssl,python3,unattended-upgrades \
    "$1" "$2.begun" "deb http://deb.debian.org/debian $1 main"
cat >"$2.begun/etc/apt/sources.list" <<END
deb http://deb.debian.org/debian $1 main
deb http://deb.debian.org/debian $1-updates main
deb http://deb.debian.org/debian-security $1-security main
END
echo 'Acquire::Languages "none";' >"$2.begun/etc/apt/apt.conf.d/50own"
cp /etc/resolv.conf "$2.begun/etc/resolv.conf"
chroot "$2.begun" apt-get -qq -o APT::Update::Error-Mode=any update
mv "$2.begun" "$2"
"#;

/// The root folder of a release, which nobody changes; made once and kept.
fn tree(suite: &str) -> PathBuf {
    let of = |name, below: &str| Some(PathBuf::from(std::env::var_os(name)?).join(below));
    let cache = of("XDG_CACHE_HOME", "").or_else(|| of("HOME", ".cache"));
    let kept = cache.unwrap().join("evident/patching");
    std::fs::create_dir_all(&kept).unwrap();
    // Another way to make it makes another tree.
    let digest = Digest::of(TREE.as_bytes()).to_string();
    let tree = kept.join(format!("{suite}-{}", digest.split_at(8).0));
    let lock = std::fs::File::create(kept.join(format!("{suite}.lock"))).unwrap();
    lock.lock().unwrap();
    if !tree.exists() {
        let begun = tree.with_file_name(format!("{suite}-{}.begun", digest.split_at(8).0));
        if begun.exists() {
            std::fs::remove_dir_all(&begun).unwrap();
        }
        let made = Command::new("bash")
            .args(["-euc", TREE, "bash", suite])
            .arg(&tree)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        drop(ends(&made, 0));
    }
    tree
}

/// A copy of a tree that may be changed: only the changes are kept, above the tree.
struct System {
    tree: PathBuf,
    above: tempfile::TempDir,
}

impl System {
    fn of(suite: &str) -> Self {
        let above = tempfile::tempdir().unwrap();
        for name in ["changes", "work", "root"] {
            std::fs::create_dir(above.path().join(name)).unwrap();
        }
        Self {
            tree: tree(suite),
            above,
        }
    }

    /// Runs a script in a mount namespace of its own, where `$root` is the system, and returns
    /// what it says.
    #[track_caller]
    fn run(&self, script: &str, more: &[(&str, &Path)]) -> String {
        let above = self.above.path().display();
        let tree = self.tree.display();
        let mount = format!(
            "export LC_ALL=C root={above}/root; mount -t overlay overlay -o \
             lowerdir={tree},upperdir={above}/changes,workdir={above}/work $root; "
        );
        let run = Command::new("unshare")
            .args(["--mount", "bash", "-euc"])
            .arg(mount + script)
            .env("programs", programs())
            .envs(more.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        ends(&run, 0)
    }

    /// What the probe sees, and what the checks make of it.
    fn look(&self) -> (Value, BTreeMap<String, String>) {
        self.look_as("")
    }

    fn look_as(&self, become_user: &str) -> (Value, BTreeMap<String, String>) {
        let once = "$programs/evident-agent once --format json --probe updates --root $root";
        // Nobody may read where the tests were built.
        let copied = "cp $programs/evident-agent $root/evident-agent; ";
        let once = once.replacen("$programs", "$root", 1);
        let said = self.run(&format!("{copied}{become_user} {once}"), &[]);
        let seen: Value = serde_json::from_str(&said).unwrap();
        let file = self.above.path().join("seen.json");
        std::fs::write(&file, said).unwrap();
        let judged = program("evident-collector")
            .args(["judge", "--format", "json"])
            .arg(&file)
            .output()
            .unwrap();
        let judged: Value = serde_json::from_slice(&judged.stdout).unwrap();
        (
            seen["observations"][0]["observation"].clone(),
            verdicts(&judged),
        )
    }
}

/// Verdicts of one host by check.
fn verdicts(judged: &Value) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let controls = judged["controls"].as_array().unwrap();
    for check in controls
        .iter()
        .flat_map(|control| control["checks"].as_array().unwrap())
    {
        let words = ["passing", "failing", "unknown", "not_applicable"];
        let verdict = words.into_iter().find(|word| check[word] == 1);
        let name = check["check"].as_str().unwrap().to_owned();
        drop(found.insert(name, verdict.unwrap_or("none").to_owned()));
    }
    found
}

/// Pending updates of an observation: package and candidate.
fn pending(seen: &Value) -> BTreeMap<String, String> {
    let list = seen["facts"]["pending"].as_array().unwrap();
    let text = |update: &Value, name: &str| update[name].as_str().unwrap().to_owned();
    let pairs = list
        .iter()
        .map(|update| (text(update, "package"), text(update, "candidate")));
    pairs.collect()
}

/// What `apt-cache policy` names of packages with another candidate than the installed version.
fn policy(said: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let (mut package, mut installed) = ("", "");
    for line in said.lines() {
        if !line.starts_with(' ') {
            package = line.trim_end_matches(':');
        } else if let Some(version) = line.trim().strip_prefix("Installed: ") {
            installed = version;
        } else if let Some(candidate) = line.trim().strip_prefix("Candidate: ")
            && installed != candidate
        {
            drop(found.insert(package.to_owned(), candidate.to_owned()));
        }
    }
    found
}

const POLICY: &str = "chroot $root sh -c 'apt-cache policy $(dpkg-query -W -f \"\\${Package} \")'";

#[track_caller]
fn agrees_with_apt(suite: &str) {
    let system = System::of(suite);
    let (seen, _verdicts) = system.look();
    let found = pending(&seen);
    assert!(
        5 < found.len(),
        "{suite} has nothing to wait for: {found:?}"
    );
    assert_eq!(found, policy(&system.run(POLICY, &[])), "{suite}");
    // The lines are `Inst NAME [installed] (candidate archive [architecture])`.
    let said = system.run("chroot $root apt-get -s dist-upgrade", &[]);
    let upgrades = said.lines().filter_map(|line| line.strip_prefix("Inst "));
    let upgrades = upgrades.filter(|line| line.contains('['));
    let words: Vec<Vec<&str>> = upgrades.map(|line| line.split(' ').collect()).collect();
    let upgrades: BTreeMap<String, String> = words
        .iter()
        .map(|words| {
            (
                words[0].to_owned(),
                words[2].trim_start_matches('(').to_owned(),
            )
        })
        .collect();
    assert_eq!(found, upgrades, "{suite}");
    let security = words
        .iter()
        .filter(|words| words.join(" ").contains("-Security"));
    let facts = &seen["facts"];
    let counted = facts["pending_security_count"].as_u64().unwrap();
    assert!(
        u64::try_from(security.count()).unwrap() <= counted,
        "{suite}"
    );
    let installed = system.run("chroot $root dpkg-query -W | wc -l", &[]);
    let installed: u64 = installed.trim().parse().unwrap();
    assert_eq!(facts["installed_count"].as_u64(), Some(installed));
    let artifacts = seen["artifacts"].as_array().unwrap();
    let names = artifacts
        .iter()
        .map(|artifact| artifact["name"].as_str().unwrap());
    assert!(names.eq(["sbom.cdx.json", "sbom.spdx.json"]));
}

#[test]
fn bullseye_agrees_with_apt() {
    agrees_with_apt("bullseye");
}

#[test]
fn bookworm_agrees_with_apt() {
    agrees_with_apt("bookworm");
}

#[test]
fn trixie_agrees_with_apt() {
    agrees_with_apt("trixie");
}

#[test]
fn holds_pins_and_packed_lists_agree_with_apt() {
    let system = System::of("bookworm");
    let before = pending(&system.look().0);
    let (held, pinned) = ("openssl", "libexpat1");
    assert!(
        before.contains_key(held) && before.contains_key(pinned),
        "{before:?}"
    );
    let change = "chroot $root apt-mark hold openssl >/dev/null
        printf 'Package: libexpat1\\nPin: release l=Debian-Security\\nPin-Priority: -1\\n' \
            >$root/etc/apt/preferences.d/own
        xz -0 $root/var/lib/apt/lists/*bookworm-security_main*_Packages
        zstd -q --rm $root/var/lib/apt/lists/*dists_bookworm_main*_Packages";
    drop(system.run(change, &[]));
    let (seen, verdicts) = system.look();
    let found = pending(&seen);
    // apt keeps a pinned version out; a fix that is kept out still waits here.
    let mut said = policy(&system.run(POLICY, &[]));
    assert!(!said.contains_key(pinned), "{said:?}");
    drop(said.insert(pinned.to_owned(), before[pinned].clone()));
    assert_eq!(found, said);
    let facts = &seen["facts"];
    assert_eq!(facts["pending_security_held_count"], 2);
    assert_eq!(facts["pinned_count"], 1);
    assert_eq!(facts["held_count"], 1);
    assert_eq!(verdicts["updates.security-held"], "failing");
}

#[test]
fn a_list_that_is_cut_or_not_readable_is_never_a_pass() {
    let system = System::of("bookworm");
    // Nothing would be pending: what is installed is what the lists have.
    drop(system.run(
        "chroot $root apt-get -qq dist-upgrade -y >/dev/null 2>&1",
        &[],
    ));
    let judged = ["updates.security-pending", "updates.security-wait"];
    let (seen, verdicts) = system.look();
    assert_eq!(seen["facts"]["pending_count"], 0);
    for check in judged {
        assert_eq!(verdicts[check], "passing");
    }
    let list = "$root/var/lib/apt/lists/*bookworm-security_main*_Packages";
    let never_a_pass = |system: &System, become_user: &str| {
        let (seen, verdicts) = system.look_as(become_user);
        assert_eq!(seen["facts"]["pending_count"], Value::Null);
        for check in judged {
            assert_eq!(verdicts[check], "unknown", "{check}");
        }
    };
    drop(system.run(&format!("chmod 0600 {list}"), &[]));
    never_a_pass(
        &system,
        "setpriv --reuid=65534 --regid=65534 --clear-groups",
    );
    let cut = format!("xz -0 {list}; truncate --size=-9 {list}.xz");
    drop(system.run(&cut, &[]));
    never_a_pass(&system, "");
}

/// A repository of one package, as it was at a date: `$1` is the date, the versions follow.
const PUBLISH: &str = r#"
publish() {
    local date="$1" suite="$root/srv/toy/dists/toy-security" version
    shift
    mkdir -p "$suite/main/binary-amd64" "$root/srv/toy/pool"
    : >"$suite/main/binary-amd64/Packages"
    for version; do
        local made="$root/srv/build/tool" file="pool/tool_$version.deb"
        rm -rf "$made"; mkdir -p "$made/DEBIAN"
        printf 'Package: tool\nVersion: %s\nArchitecture: all\nMaintainer: A <a@example.org>\nDescription: toy\n' \
            "$version" >"$made/DEBIAN/control"
        dpkg-deb --build --root-owner-group "$made" "$root/srv/toy/$file" >/dev/null
        {
            cat "$made/DEBIAN/control"
            printf 'Filename: %s\nSize: %s\nSHA256: %s\n\n' "$file" \
                "$(stat -c %s "$root/srv/toy/$file")" \
                "$(sha256sum <"$root/srv/toy/$file" | cut -d' ' -f1)"
        } >>"$suite/main/binary-amd64/Packages"
    done
    {
        printf 'Origin: Toy\nLabel: Toy\nSuite: toy-security\nCodename: toy-security\n'
        printf 'Date: %s\nArchitectures: amd64 all\nComponents: main\nSHA256:\n' \
            "$(date -u -d "$date" '+%a, %d %b %Y %H:%M:%S UTC')"
        printf ' %s %s main/binary-amd64/Packages\n' \
            "$(sha256sum <"$suite/main/binary-amd64/Packages" | cut -d' ' -f1)" \
            "$(stat -c %s "$suite/main/binary-amd64/Packages")"
    } >"$suite/Release"
    rm -f "$root"/etc/apt/sources.list.d/* "$root"/var/lib/apt/lists/*_*
    echo 'deb [trusted=yes] file:/srv/toy toy-security main' >"$root/etc/apt/sources.list"
    chroot "$root" apt-get -qq update 2>/dev/null
}
"#;

/// An agent that lives in a system and brings what it sees to a collector.
struct Estate {
    deployment: Deployment,
    system: System,
}

impl Estate {
    fn start() -> (Self, evident_tests::Host) {
        let deployment = Deployment::start();
        let host = deployment.enrol("web-1");
        let system = System::of("trixie");
        (Self { deployment, system }, host)
    }

    /// Changes the system, lets the agent look inside it, and returns the verdicts.
    fn after(&mut self, change: &str, host: &evident_tests::Host) -> BTreeMap<String, String> {
        let enter = "
            mkdir -p $root/proc $root$scratch $root/programs
            mount -t proc proc $root/proc
            mount --bind $scratch $root$scratch
            mount --bind $programs $root/programs
            echo 127.0.0.1 localhost >$root/etc/hosts
            chroot $root /programs/evident-agent once --probe updates --config $settings";
        let script = format!("{PUBLISH}\n{change}\n{enter}");
        let scratch = self.deployment.scratch().to_owned();
        let paths = [("scratch", scratch.as_path()), ("settings", &host.settings)];
        drop(self.system.run(&script, &paths));
        // Stopped first, so that everything has been followed.
        self.deployment.stop();
        let status = self.deployment.collector(&["status", "--format", "json"]);
        let found = verdicts(&serde_json::from_slice(&status.stdout).unwrap());
        self.deployment.serve_again();
        found
    }
}

#[test]
fn an_update_that_waits_too_long_is_found_and_closes_when_it_is_installed() {
    let (mut estate, host) = Estate::start();
    let wait = "updates.security-wait";
    let installed = "publish '21 days ago' 1
        chroot $root apt-get -qq install tool >/dev/null 2>&1";
    // Nothing is pending by lists that are three weeks old: that is no pass.
    assert_eq!(estate.after(installed, &host)[wait], "unknown");
    let fresh = estate.after("publish '20 days ago' 1; publish '1 hour ago' 1", &host);
    assert_eq!(fresh[wait], "passing");
    assert_eq!(fresh["updates.security-pending"], "passing");
    assert_eq!(fresh["updates.security-latency"], "not_applicable");
    assert_eq!(fresh["updates.repositories-signed"], "failing");
    // Offered since the last look: it waits, and not for long.
    let offered = estate.after("publish 'now' 1 2", &host);
    assert_eq!(offered["updates.security-pending"], "failing");
    assert_eq!(offered[wait], "passing");
    // The same host with an archive that had it three weeks ago already.
    let late = estate.after("publish '20 days ago' 1 2", &host);
    assert_eq!(late[wait], "failing");
    let held = estate.after(
        "chroot $root apt-mark -qq hold tool; publish 'now' 1 2",
        &host,
    );
    assert_eq!(
        (held[wait].as_str(), held["updates.security-held"].as_str()),
        ("failing", "failing")
    );
    let repaired = "chroot $root apt-mark -qq unhold tool
        chroot $root apt-get -qq install tool >/dev/null 2>&1";
    let closed = estate.after(repaired, &host);
    assert_eq!(closed[wait], "passing");
    assert_eq!(closed["updates.security-pending"], "passing");
    assert_eq!(closed["updates.security-held"], "passing");
    the_bill_of_materials_is_in_the_pack(&estate);
}

/// What was installed lies in the pack: one bill for each state of the host, however often it was
/// looked at.
fn the_bill_of_materials_is_in_the_pack(estate: &Estate) {
    let pack = estate.deployment.pack("pack");
    drop(ends(&estate.deployment.verify(&pack), 0));
    let files = evident_tests::files(&pack.join("blobs"));
    let read = |file: &PathBuf| evident_tests::bytes(&pack.join("blobs").join(file));
    let documents: Vec<Value> = files
        .iter()
        .filter_map(|file| serde_json::from_slice(&read(file)).ok())
        .collect();
    let bills = |version: &str| {
        let wanted = format!("pkg:deb/debian/tool@{version}?arch=amd64&distro=debian-13");
        let of_tool = documents.iter().filter(|document| {
            let components = document["components"].as_array();
            components.is_some_and(|all| all.iter().any(|one| one["purl"] == wanted.as_str()))
        });
        of_tool.count()
    };
    assert_eq!((bills("1"), bills("2")), (1, 1));
}
