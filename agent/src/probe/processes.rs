//! The programs that run as services of this host, by the names that `/proc` gives them.
//!
//! Anybody may give a program the name of a daemon, and a container may run its own: neither is a
//! service of this host. A process counts that is in no process namespace below the one that is
//! looked at, and that belongs to a user whose number is one of the system's.

use std::collections::BTreeMap;
use std::io::Read as _;

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};

use super::Seen;
use crate::host::{Host, Unseen};

/// The kernel keeps the first 15 bytes of a name: proc(5), `comm`.
const COMM_BYTES_MAX: usize = 15;
/// Most that is read of a command line: its first word is wanted.
const COMMAND_LINE_BYTES_MAX: u64 = 4096;

/// Most that is read of `/proc/[pid]/status`, which has about 60 lines.
const STATUS_BYTES_MAX: u64 = 16 * 1024;
/// Below it are the users of the system: login.defs(5), `UID_MIN`.
const UID_MIN: u32 = 1000;
/// Users that systemd makes for a service while it runs: systemd.exec(5), `DynamicUser=`.
const DYNAMIC_USERS: std::ops::RangeInclusive<u32> = 61_184..=65_519;

/// The programs that run as services.
#[derive(Debug, PartialEq, Eq)]
pub struct Processes {
    /// Number and user of each process, by their names.
    names: BTreeMap<String, Vec<(u32, u32)>>,
    /// The processes of the whole host are seen, not only those of a container on it.
    pub whole_host: bool,
}

impl Processes {
    /// Looks through `/proc`. `None`, and a source that says why, when not every process is seen:
    /// another root folder without `/proc`, or one mounted with `hidepid`.
    pub fn look(host: &dyn Host, seen: &mut Seen) -> Option<Self> {
        let found = Self::read(host);
        seen.note(Means::File, "/proc/[pid]/comm", found)
    }

    fn read(host: &dyn Host) -> Result<Self, Unseen> {
        let mut names = BTreeMap::<_, Vec<(u32, u32)>>::new();
        let mut whole_host = false;
        let entries = host.list("/proc")?;
        if !entries.iter().any(|name| name == "1") {
            let why = "the first process is not listed";
            return Err(Unseen::new("/proc", Status::Unsupported, Some(why)));
        }
        for pid in &entries {
            let Ok(number) = pid.parse::<u32>() else {
                continue;
            };
            match name_of_service(host, pid) {
                Ok(Some((name, user))) => {
                    // Process 2 is this kernel thread in the first process namespace, and in no
                    // other.
                    whole_host |= pid == "2" && name == "kthreadd";
                    names.entry(name).or_default().push((number, user));
                }
                Ok(None) => {}
                // It ended meanwhile; a read then gives ESRCH.
                Err(unseen) if matches!(unseen.status, Status::Absent | Status::Failed) => {}
                Err(unseen) => return Err(unseen),
            }
        }
        Ok(Self { names, whole_host })
    }

    /// Whether a program of this name runs.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains_key(name)
    }

    /// The numbers of the processes of this name.
    pub fn numbers(&self, name: &str) -> impl Iterator<Item = u32> {
        let all = self.names.get(name).into_iter().flatten();
        all.map(|(number, _user)| *number)
    }

    /// Number of the user that a program of this name runs as, if one does; of several programs
    /// that of the oldest, which for a daemon with helpers is the daemon.
    pub fn user(&self, name: &str) -> Option<u32> {
        let all = self.names.get(name).into_iter().flatten();
        all.min().map(|(_number, user)| *user)
    }

    /// Those of `known` that run, as records with the field `name`.
    pub fn records(&self, known: &[&str]) -> Vec<Record> {
        let running = known.iter().filter(|name| self.has(name));
        running
            .map(|name| {
                let name = Value::Text((*name).to_owned());
                Record::from([("name".to_owned(), name)])
            })
            .collect()
    }
}

/// The name of the program of a process, and the number of its user; `None` when it is no service
/// of this host.
fn name_of_service(host: &dyn Host, pid: &str) -> Result<Option<(String, u32)>, Unseen> {
    let path = format!("/proc/{pid}/status");
    let status = host.read(&path, STATUS_BYTES_MAX)?;
    let status = String::from_utf8_lossy(&status);
    match user(&status).zip(is_service(&status)) {
        Some((user, true)) => program(host, pid).map(|name| Some((name, user))),
        Some((_user, false)) => Ok(None),
        None => Err(Unseen::new(&path, Status::Malformed, Some("no user"))),
    }
}

/// The words after this name in a status: `proc_pid_status(5)`.
fn field<'a>(status: &'a str, name: &str) -> Option<std::str::SplitWhitespace<'a>> {
    let mut values = status.lines().filter_map(|line| line.strip_prefix(name));
    values.next().map(str::split_whitespace)
}

/// The number of the real user, which no program with the set-user bit changes.
fn user(status: &str) -> Option<u32> {
    field(status, "Uid:")?.next()?.parse().ok()
}

/// Whether a process of this status is a service of the host. `None` when
/// its user is not told.
fn is_service(status: &str) -> Option<bool> {
    let user = user(status)?;
    // A kernel without process namespaces does not write the field.
    let namespaces = field(status, "NSpid:").map_or(1, Iterator::count);
    Some(namespaces <= 1 && (user < UID_MIN || DYNAMIC_USERS.contains(&user)))
}

/// The name of a program; where the kernel cut it, the whole of it from the command line.
fn program(host: &dyn Host, pid: &str) -> Result<String, Unseen> {
    let comm = host.read(&format!("/proc/{pid}/comm"), 64)?;
    let comm = String::from_utf8_lossy(comm.trim_ascii_end()).into_owned();
    if comm.len() < COMM_BYTES_MAX {
        return Ok(comm);
    }
    let mut line = Vec::new();
    let path = format!("/proc/{pid}/cmdline");
    let _length = host
        .open(&path, COMMAND_LINE_BYTES_MAX)?
        .read_to_end(&mut line)
        .map_err(|error| Unseen::from_io(&path, &error))?;
    let word = line.split(|byte| *byte == 0).next().unwrap_or_default();
    let word = String::from_utf8_lossy(word);
    let name = word.rsplit('/').next().unwrap_or_default();
    // A process may write anything there: it counts only when the kernel's name agrees.
    if name.starts_with(&comm) {
        Ok(name.to_owned())
    } else {
        Ok(comm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::machine::Machine;

    #[test]
    fn cut_names_are_completed_and_lies_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let host = Machine::open(folder.path()).unwrap();
        let write = |pid: &str, comm: &str, line: &str| {
            let process = folder.path().join("proc").join(pid);
            std::fs::create_dir_all(&process).unwrap();
            shared::durable::write(&process.join("comm"), comm.as_bytes(), 0o644).unwrap();
            shared::durable::write(&process.join("cmdline"), line.as_bytes(), 0o644).unwrap();
            let status = format!("Name:\t{comm}Uid:\t0\t0\t0\t0\nNSpid:\t{pid}\n");
            shared::durable::write(&process.join("status"), status.as_bytes(), 0o644).unwrap();
        };
        assert_eq!(Processes::read(&host).unwrap_err().status, Status::Absent);
        write("7", "chronyd\n", "/usr/sbin/chronyd\0");
        assert_eq!(
            Processes::read(&host).unwrap_err().status,
            Status::Unsupported
        );
        write("1", "systemd\n", "/sbin/init\0");
        write("8", "systemd-journal\n", "/lib/systemd/systemd-journald\0");
        write("9", "systemd-timesyn\n", "rsyslogd\0-n");
        write("acpi", "auditd\n", "");
        let found = Processes::read(&host).unwrap();
        assert!(!found.whole_host);
        let known = [
            "chronyd",
            "systemd-journald",
            "systemd-timesyncd",
            "rsyslogd",
            "auditd",
        ];
        let names = found.records(&known);
        assert_eq!(
            serde_json::to_string(&names).unwrap(),
            r#"[{"name":"chronyd"},{"name":"systemd-journald"}]"#
        );
        write("2", "kthreadd\n", "");
        assert!(Processes::read(&host).unwrap().whole_host);
    }

    #[test]
    fn services_of_this_host() {
        let status = |users: &str, pids: &str| {
            format!("Name:\trsyslogd\nUid:\t{users}\nNSpid:\t{pids}\nThreads:\t1\n")
        };
        for (users, pids, expected) in [
            ("0\t0\t0\t0", "401", Some(true)),
            ("999\t999\t999\t999", "401", Some(true)),
            ("61184\t61184\t61184\t61184", "401", Some(true)),
            ("65519\t65519\t65519\t65519", "401", Some(true)),
            ("0\t0\t0\t0", "401\t7", Some(false)),
            ("0\t0\t0\t0", "401\t7\t1", Some(false)),
            ("1000\t1000\t1000\t1000", "401", Some(false)),
            ("1000\t0\t0\t0", "401", Some(false)),
            ("60000\t0\t0\t0", "401", Some(false)),
            ("65534\t65534\t65534\t65534", "401", Some(false)),
            ("100000\t100000\t100000\t100000", "401", Some(false)),
            ("root", "401", None),
            ("", "401", None),
        ] {
            let found = is_service(&status(users, pids));
            assert_eq!(found, expected, "{users} {pids}");
        }
        assert_eq!(is_service("Uid:\t0\t0\t0\t0\n"), Some(true));
        assert_eq!(is_service("NSpid:\t401\n"), None);
        assert_eq!(is_service(""), None);
    }
}
