//! A container with systemd as its first process: systemd-nspawn on a root folder.

use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use super::{OWN, Root};
use crate::site::{Site, held};

/// Says that the system is up.
const SERVICE: &str = "\
[Unit]
After=basic.target dbus.service rsyslog.service
[Service]
Type=oneshot
ExecStart=/bin/touch /opt/evident/ready
";

/// A container that runs.
#[derive(Debug)]
pub(super) struct Container<'site> {
    process: Child,
    leader: u32,
    network: Option<Child>,
    cgroup: PathBuf,
    _site: &'site Site,
}

impl<'site> Container<'site> {
    pub(super) fn boot(site: &'site Site, root: &Root, address: Option<&str>) -> Self {
        root.start_at_boot("evident-ready", SERVICE);
        let name = root.inside.parent().unwrap().file_name().unwrap();
        let name = name.to_str().unwrap();
        let cgroup = hierarchy().join(format!("evident-{}-{name}", site.holder()));
        std::fs::create_dir(&cgroup).unwrap();
        let network = address.map(|address| network(site, address));
        let console = site.folder("consoles").join(name);
        let log = std::fs::File::create(&console).unwrap();
        // In a group of its own: two systemd in one would take each other's processes for theirs.
        // In a process namespace of its own: with its first process all the others go, also when
        // the test is killed.
        let script = "echo $$ >\"$0/cgroup.procs\" && exec unshare --pid --fork --kill-child \
                      --mount-proc systemd-nspawn \"$@\"";
        let inside = network.as_ref().map_or_else(|| site.holder(), Child::id);
        let mut command = crate::site::inside(inside, "sh");
        let nspawn = command
            .env("SYSTEMD_NSPAWN_UNIFIED_HIERARCHY", "1")
            .args(["-c", script])
            .arg(&cgroup)
            .args(["--quiet", "--boot", "--register=no", "--keep-unit"])
            .args(["--link-journal=no", "--console=pipe", "--resolv-conf=off"])
            .args(["--timezone=off", "--directory"])
            .arg(&root.inside);
        if network.is_none() {
            nspawn.arg("--private-network");
        }
        let process = nspawn
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .unwrap();
        super::wait(&root.path(OWN).join("ready"), &console);
        let leader = leader(process.id());
        Self {
            process,
            leader,
            network,
            cgroup,
            _site: site,
        }
    }

    pub(super) fn run(&self, script: &str) -> Output {
        let mut command = held("nsenter");
        command
            .arg(format!("--target={}", self.leader))
            .args(["--all", "--", "/usr/bin/setpriv"])
            // As in the container: who enters it must not touch the clock of this computer either.
            .arg("--bounding-set=-sys_time,-sys_module,-sys_rawio")
            .args(["/usr/bin/env", "-i", "HOME=/root"])
            .arg("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .args(["/bin/bash", "-c", script])
            .stdin(Stdio::null());
        command.output().unwrap()
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        if let Some(mut network) = self.network.take() {
            drop(network.kill());
            drop(network.wait());
        }
        drop(std::fs::write(self.cgroup.join("cgroup.kill"), "1"));
        drop_groups(&self.cgroup);
    }
}

/// A network namespace that is linked to the site's, held by a process.
fn network(site: &Site, address: &str) -> Child {
    let (_net, last) = address.rsplit_once('.').unwrap();
    let holder = site
        .command("unshare")
        .args(["--net", "sleep", "infinity"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let id = holder.id();
    // The namespace is there a moment after the process is.
    let script = format!(
        "while [ \"$(readlink /proc/{id}/ns/net)\" = \"$(readlink /proc/self/ns/net)\" ] || \
             [ \"$(cat /proc/{id}/comm)\" != sleep ]; do :; done
         ip link add port{last} type veth peer name host0 netns {id}
         ip link set port{last} master hub up
         nsenter --target={id} --net ip link set lo up
         nsenter --target={id} --net ip address add {address}/24 dev host0
         nsenter --target={id} --net ip link set host0 up"
    );
    let _said = site.run(&script);
    holder
}

/// The first process of the container: what systemd-nspawn started, which `outer` started.
fn leader(outer: u32) -> u32 {
    let below = |parent: u32| {
        let entries = std::fs::read_dir("/proc").unwrap();
        let ids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        ids.filter(move |id: &u32| field(*id, "PPid:") == [parent.to_string()])
    };
    let first = |id: &u32| field(*id, "NSpid:").last().is_some_and(|last| last == "1");
    let nspawn = below(outer).next().unwrap();
    below(nspawn).find(first).unwrap()
}

/// The words of a line of `/proc/ID/status`; none when the process has ended.
fn field(id: u32, line: &str) -> Vec<String> {
    let text = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let rest = text.lines().find_map(|text| text.strip_prefix(line));
    let words = rest.unwrap_or_default().split_whitespace();
    words.map(str::to_owned).collect()
}

/// Where the unified hierarchy of control groups is mounted.
fn hierarchy() -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let mut unified = mounts
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let line = unified.next().unwrap();
    PathBuf::from(line.split(' ').nth(1).unwrap())
}

/// Removes a control group and those below it, when nothing runs in them any more.
fn drop_groups(group: &Path) {
    let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
    for entry in entries {
        if entry.path().is_dir() {
            drop_groups(&entry.path());
        }
    }
    for _attempt in 0..100 {
        if std::fs::remove_dir(group).is_ok() || !group.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
