//! The agent on real systems: what it sees there is what is known of them by construction.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests run the real programs, and stop at the first surprise"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use evident_tests::booted::{Booted, install};
use evident_tests::roots::Release;
use evident_tests::site::Site;
use evident_tests::{Deployment, Host, ends, judge, programs, until};
use serde_json::{Value, json};

/// How long something may take that comes by itself.
const PATIENCE: Duration = Duration::from_secs(90);
const ADDRESS: &str = "10.77.0.4";
/// As a package would bring it: it may read everything, and write its own state only.
const SERVICE: &str = "\
[Service]
ExecStart=/usr/bin/evident-agent run
StateDirectory=evident-agent
StateDirectoryMode=0700
ProtectSystem=strict
PrivateTmp=yes
";
/// Facts that go on changing while one looks.
const RESTLESS: [&str; 5] = [
    "files",
    "journal_bytes",
    "journal_newest",
    "journal_searched_since",
    "newest_entry",
];

#[test]
fn bullseye() {
    look_at(Release::Bullseye);
}

#[test]
fn bookworm() {
    look_at(Release::Bookworm);
}

#[test]
fn trixie() {
    look_at(Release::Trixie);
}

#[track_caller]
fn look_at(release: Release) {
    let site = Site::new();
    let deployment = Deployment::start_in(&site);
    let url = deployment.url();
    let system = Booted::container(&site, release, Some(ADDRESS), |root| prepare(root, &url));
    let _said = system.ok("apt-mark hold cron");

    let live = observations(&system.ok("evident-agent once --format json"));
    known_facts(&live, &system, release);

    // What only root may see is unknown to others, and nothing passes because of that.
    let nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups";
    let seen = system.ok(&format!("cd /; {nobody} evident-agent once --format json"));
    let (all, less) = (judged(&live), judged(&observations(&seen)));
    for (check, verdict) in &less {
        let same = verdict == &all[check];
        assert!(
            same || verdict == "unknown",
            "{check}: {verdict}, not {}",
            all[check]
        );
    }
    let audit = &observations(&seen)["audit"];
    let asked = audit["source"].as_array().unwrap().iter();
    let mut asked = asked.filter(|source| source["kind"] == "netlink");
    assert!(asked.all(|source| source["status"] != "ok"), "{audit}");

    // The same tree, looked at from outside, has the same facts as far as files tell them.
    let mut outside = site.command(programs().join("evident-agent"));
    let outside = outside.args(["once", "--format", "json", "--root"]);
    let outside = outside.arg(system.root()).arg("--config");
    let outside = outside.arg(system.root().join("etc/evident/agent.toml"));
    let outside = ends(&outside.output().unwrap(), 0);
    let compared = same_facts(&live, &observations(&outside));
    for name in [
        "held_count",
        "installed_count",
        "journald_setting",
        "os_version",
        "tools",
    ] {
        assert!(compared.contains(&name.to_owned()), "{name}: {compared:?}");
    }

    // As a service, it brings what it sees without being asked.
    let token = deployment.collector(&["enrol-token", "--host", release.name()]);
    let token = ends(&token, 0);
    let (token, name) = (token.trim(), release.name());
    let enrol = format!("evident-agent enrol --collector {url} --token {token} --name {name}");
    let _said = system.ok(&format!("{enrol}; systemctl start evident-agent"));
    let probes = brought(&deployment, |probes| probes.contains_key("updates"));
    assert!(
        probes.values().all(|outcome| outcome == "facts"),
        "{probes:?}"
    );
    let _said = system.ok("systemctl is-active evident-agent; systemctl stop evident-agent");
    let result = system.ok("systemctl show --property=Result evident-agent");
    assert_eq!(result, "Result=success\n");
}

/// What is known of every system that is looked at here.
fn prepare(root: &Path, url: &str) {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    install(root, "evident-agent");
    let manifest = "srv/database/evident-backup.json";
    write(
        "etc/evident/agent.toml",
        &format!(
            "[collector]\nurl = \"{url}\"\n\n[[probe.backup.set]]\nname = \"database\"\n\
             tool = \"manifest\"\npath = \"/{manifest}\"\n"
        ),
    );
    write("etc/systemd/system/evident-agent.service", SERVICE);
    write(
        manifest,
        "{\"name\":\"database\",\"tool\":\"pg_dump\",\"started\":\"2026-01-02T02:00:00Z\",\
         \"finished\":\"2026-01-02T02:04:10Z\",\"files\":1,\"bytes\":1048576,\"encrypted\":true}",
    );
    write(
        "etc/systemd/journald.conf.d/own.conf",
        "[Journal]\nStorage=persistent\n",
    );
    write("etc/rsyslog.d/forward.conf", "*.* @10.77.0.9:5514\n");
    write(
        "etc/chrony/chrony.conf",
        "server 10.77.0.8 nts\nserver 10.77.0.9\n",
    );
}

/// Each is known from how the system was made, or from what its own tools say.
#[track_caller]
fn known_facts(seen: &BTreeMap<String, Value>, system: &Booted<'_>, release: Release) {
    let installed = system.ok("dpkg-query -W -f '${db:Status-Status}\\n' | grep -cx installed");
    let installed: i64 = installed.trim().parse().unwrap();
    let oldest =
        system.ok("journalctl --output=export | sed -n 's/^__REALTIME_TIMESTAMP=//p' | head -1");
    let oldest: i64 = oldest.trim().parse().unwrap();
    for (probe, name, expected) in [
        ("backup", "declared_count", json!(1)),
        ("backup", "found_count", json!(1)),
        ("backup", "never_count", json!(0)),
        ("backup", "oldest_success", json!(1_767_319_450_000_i64)),
        ("backup", "unencrypted_count", json!(0)),
        (
            "clock",
            "configured_sources",
            json!([
                {"address": "10.77.0.8", "daemon": "chronyd", "kind": "server", "nts": true},
                {"address": "10.77.0.9", "daemon": "chronyd", "kind": "server", "nts": false},
            ]),
        ),
        ("clock", "container", json!(true)),
        ("logging", "container", json!(true)),
        ("logging", "forwarding_count", json!(1)),
        ("logging", "forwarding_encrypted_count", json!(0)),
        ("logging", "journal_oldest", json!(oldest / 1000)),
        ("logging", "journald_setting", json!("persistent")),
        ("logging", "journald_storage", json!("persistent")),
        ("updates", "held_count", json!(1)),
        ("updates", "installed_count", json!(installed)),
        ("updates", "os_id", json!("debian")),
        ("updates", "os_version", json!(release.version())),
    ] {
        assert_eq!(
            seen[probe]["facts"][name], expected,
            "{probe} {name}: {}",
            seen[probe]
        );
    }
    let forwarding = &seen["logging"]["facts"]["forwarding"][0];
    assert_eq!(forwarding["target"], "10.77.0.9", "{forwarding}");
    assert_eq!(forwarding["port"], 5514, "{forwarding}");
    let daemons = seen["logging"]["facts"]["daemons"].as_array().unwrap();
    let names: Vec<&Value> = daemons.iter().map(|daemon| &daemon["name"]).collect();
    assert_eq!(names, ["rsyslogd", "systemd-journald"]);
    // The kernel is that of another host, which is not for this one to tell.
    assert_eq!(seen["updates"]["facts"]["kernel_current"], Value::Null);
}

/// Observations by the name of their probe.
fn observations(text: &str) -> BTreeMap<String, Value> {
    let all: Value = serde_json::from_str(text).unwrap();
    let all = all["observations"].as_array().unwrap().iter();
    let one = |one: &Value| one["observation"].clone();
    all.map(one)
        .map(|one| (one["probe"].as_str().unwrap().to_owned(), one))
        .collect()
}

/// The verdict of each check on these observations.
fn judged(seen: &BTreeMap<String, Value>) -> BTreeMap<String, String> {
    let now = "2026-01-02T12:00:00.000Z";
    let all: Vec<Value> = seen
        .values()
        .map(|one| json!({ "collected": now, "observation": one, "took_ms": 1 }))
        .collect();
    let once = json!({ "host": "web-1", "observations": all });
    let report = judge(once.to_string().as_bytes());
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    let controls = report["controls"].as_array().unwrap().iter();
    let checks = controls.flat_map(|control| control["checks"].as_array().unwrap());
    let verdict = |check: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&check["check"]),
            text(&check["deciding"][0]["verdict"]),
        )
    };
    checks.map(verdict).collect()
}

/// The names of facts that both have and that are the same, as all must be that do not change.
#[track_caller]
fn same_facts(one: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>) -> Vec<String> {
    let mut compared = Vec::new();
    for (probe, seen) in other {
        let facts = seen["facts"].as_object().into_iter().flatten();
        for (name, value) in facts.filter(|(name, _)| !RESTLESS.contains(&name.as_str())) {
            let mut live = one[probe]["facts"][name].clone();
            // Files do not tell what runs, and what is mounted.
            for record in live.as_array_mut().into_iter().flatten() {
                for told_live in ["place", "running"] {
                    let _told = record.as_object_mut().and_then(|all| all.remove(told_live));
                }
            }
            assert_eq!(&live, value, "{probe} {name}");
            compared.push(name.clone());
        }
    }
    compared
}

/// The outcomes of the probes of the only host, as soon as they are `enough`.
#[track_caller]
fn brought(
    deployment: &Deployment,
    enough: impl Fn(&BTreeMap<String, String>) -> bool,
) -> BTreeMap<String, String> {
    until(PATIENCE, || {
        let said = deployment.collector(&["status", "--format", "json"]);
        let status: Value = serde_json::from_slice(&said.stdout).unwrap();
        let probes = status["hosts"][0]["last"]["probes"].clone();
        let probes: BTreeMap<String, String> = serde_json::from_value(probes).unwrap_or_default();
        let heard = format!("the collector heard only {probes:?}");
        enough(&probes).then_some(probes).ok_or(heard)
    })
}

/// A mount whose server took the request and says nothing: who looks waits in the kernel.
///
/// Source: `fuse(4)`: the file is the connection; nobody reads it here.
#[test]
fn a_mount_that_does_not_answer_holds_up_one_probe_only() {
    let site = Site::new();
    let mount = site.folder("backup");
    let script = format!(
        "exec 3<>/dev/fuse; mount -i -t fuse -o \
         fd=3,rootmode=40000,user_id=0,group_id=0 none {}; echo ready; exec sleep infinity",
        mount.display()
    );
    let mut silent = site.command("bash");
    let silent = silent.args(["-ec", &script]).stdout(Stdio::piped());
    let mut silent = silent.spawn().unwrap();
    let mut said = [0; 6];
    let mut output = silent.stdout.take().unwrap();
    std::io::Read::read_exact(&mut output, &mut said).unwrap();

    let deployment = Deployment::start_in(&site);
    let host = Host::new(&deployment, "web-1");
    let token = ends(
        &deployment.collector(&["enrol-token", "--host", "web-1"]),
        0,
    );
    let mut enrol = site.command(programs().join("evident-agent"));
    let enrol = enrol.args([
        "enrol",
        "--collector",
        &deployment.url(),
        "--token",
        token.trim(),
    ]);
    let enrol = enrol
        .args(["--name", "web-1", "--config"])
        .arg(&host.settings);
    drop(ends(&enrol.output().unwrap(), 0));
    let settings = std::fs::read_to_string(&host.settings).unwrap();
    let settings = format!(
        "{settings}\n[[probe.backup.set]]\nname = \"etc\"\ntool = \"restic\"\npath = \"{}\"\n",
        mount.display()
    );
    std::fs::write(&host.settings, settings).unwrap();
    let mut agent: Command = site.command(programs().join("evident-agent"));
    let agent = agent.args(["run", "--config"]).arg(&host.settings);
    let mut agent = agent.stdin(Stdio::null()).spawn().unwrap();
    let probes = brought(&deployment, |probes| probes.contains_key("backup"));
    assert_eq!(probes["backup"], "unknown", "{probes:?}");
    assert_ne!(probes["clock"], "unknown", "{probes:?}");
    assert_ne!(probes["updates"], "unknown", "{probes:?}");
    assert!(agent.try_wait().unwrap().is_none(), "the agent ended");
    agent.kill().unwrap();
    let _ended = agent.wait().unwrap();
    silent.kill().unwrap();
    let _ended = silent.wait().unwrap();
}
