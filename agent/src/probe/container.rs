//! Whether the host is a container: the one notion that all probes have of it.
//!
//! Marks are files that systemd, Docker and Podman leave; containerd leaves none. So a host without
//! marks is no container only when the first process namespace is seen too. A machine that was made
//! from the image of a container has marks as well: it is no container when, besides, the first
//! process has the same root mount as the agent. A container has the kernel and the clock of
//! another host, and what it does not run may run there.

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};

use super::Seen;
use super::processes::Processes;
use crate::host::{Host, Unseen};

/// Longest list of mounts.
const MOUNTS_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Marks of containers: systemd, Docker, Podman.
const MARKS: [&str; 3] = [
    "/run/systemd/container",
    "/.dockerenv",
    "/run/.containerenv",
];

/// States the fact `container`, and hands it on; `None`, and sources that say why, when it could
/// not be told. `processes` is what [`Processes::look`] gave.
pub fn look(host: &dyn Host, seen: &mut Seen, processes: Option<&Processes>) -> Option<bool> {
    let mut marked = false;
    let mut told = true;
    for path in MARKS {
        let stat = host.stat(path);
        let absent = stat.as_ref().is_err_and(Unseen::is_absent);
        let there = seen.note(Means::File, path, stat).is_some();
        marked |= there;
        told &= there || absent;
    }
    let first = processes.map(|all| all.whole_host);
    let container = match (marked, first) {
        (true, Some(true)) => Some(!same_root(host)),
        (true, _) | (_, Some(false)) => Some(true),
        (false, Some(true)) => told.then_some(false),
        (false, None) => None,
    };
    if let Some(container) = container {
        seen.state("container", Value::Flag(container));
    }
    container
}

/// Whether the first process and this one have the same root: the same folder of the same file
/// system. `false` when it cannot be told. Its mount may be another one: a service that systemd
/// confines has a name space of mounts of its own, on the same host.
///
/// Source: `proc_pid_mountinfo(5)`: the third field is the device, the fourth the folder in it, the
/// fifth the place.
fn same_root(host: &dyn Host) -> bool {
    let root = |path| {
        let mounts = host.read(path, MOUNTS_BYTES_MAX).ok()?;
        let mounts = String::from_utf8_lossy(&mounts).into_owned();
        mounts.lines().rev().find_map(|line| {
            let mut fields = line.split(' ').skip(2);
            let (device, folder, place) = (fields.next()?, fields.next()?, fields.next()?);
            (place == "/").then(|| (device.to_owned(), folder.to_owned()))
        })
    };
    root("/proc/1/mountinfo").is_some_and(|first| root("/proc/self/mountinfo") == Some(first))
}

/// States the fact `daemons`: those of a probe that run. In a container none is not the same as
/// none on the host, and then it is left out, with a source that says so.
pub fn state_daemons(seen: &mut Seen, running: Vec<Record>, container: Option<bool>) {
    if container == Some(false) || !running.is_empty() {
        seen.state("daemons", Value::List(running));
    } else {
        let why = "it is not certain that all are seen";
        let unseen = Unseen::new("daemons of the host", Status::Unsupported, Some(why));
        seen.unseen(Means::File, unseen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::recorded::Recorded;

    #[test]
    fn a_machine_made_from_the_image_of_a_container_is_none() {
        let own = "22 27 0:21 / /proc rw - proc proc rw\n27 1 254:0 / / rw - ext4 /dev/vda rw\n";
        let other = "98 1 0:50 / / rw - overlay overlay rw\n99 98 0:21 / /proc rw - proc proc rw\n";
        let own_namespace = "91 80 254:0 / / ro - ext4 /dev/vda rw\n";
        for (first, this, expected) in [
            (own, own, Some(false)),
            (own, own_namespace, Some(false)),
            (own, other, Some(true)),
            (own, "", Some(true)),
            ("", own, Some(true)),
            (
                "27 1 254:0 / /srv rw\n",
                "27 1 254:0 / /srv rw\n",
                Some(true),
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let write = |path: &str, text: &str| {
                let path = folder.path().join("root").join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                shared::durable::write(&path, text.as_bytes(), 0o644).unwrap();
            };
            write(".dockerenv", "");
            write("proc/1/comm", "init");
            write("proc/2/comm", "kthreadd");
            for pid in [1, 2] {
                write(&format!("proc/{pid}/status"), "Uid:\t0\n");
            }
            write("proc/1/mountinfo", first);
            write("proc/self/mountinfo", this);
            let host = Recorded::open(folder.path()).unwrap();
            let mut seen = Seen::default();
            let all = Processes::look(&host, &mut seen);
            assert_eq!(
                look(&host, &mut seen, all.as_ref()),
                expected,
                "{first:?} {this:?}"
            );
        }
    }

    #[test]
    fn no_container_only_when_everything_says_so() {
        let processes = [("1", "init"), ("2", "kthreadd")];
        let pod = [("1", "pause"), ("2", "nginx")];
        for (processes, mark, refused, expected) in [
            (&processes[..], "", "", Some(false)),
            (&processes[..1], "", "", Some(true)),
            (&pod[..], "", "", Some(true)),
            (&pod[..], "", "/run/systemd", Some(true)),
            (&processes[..], "", "/run/systemd", None),
            (&processes[..], "", "/proc/2/status", None),
            (&processes[..], ".dockerenv", "", Some(true)),
            (&processes[..], "run/.containerenv", "", Some(true)),
            (&[], "", "", None),
            (&[], "run/systemd/container", "", Some(true)),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let write = |path: &str, text: &str| {
                let path = folder.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                shared::durable::write(&path, text.as_bytes(), 0o644).unwrap();
            };
            std::fs::create_dir_all(folder.path().join("root")).unwrap();
            for (pid, name) in processes {
                write(&format!("root/proc/{pid}/comm"), name);
                write(&format!("root/proc/{pid}/status"), "Uid:\t0\n");
            }
            if !mark.is_empty() {
                write(&format!("root/{mark}"), "");
            }
            write("live/refused.txt", refused);
            let host = Recorded::open(folder.path()).unwrap();
            let mut seen = Seen::default();
            let all = Processes::look(&host, &mut seen);
            let found = look(&host, &mut seen, all.as_ref());
            assert_eq!(found, expected, "{processes:?} {mark} {refused}");
            assert_eq!(seen.is_empty(), expected.is_none());
        }
    }
}
