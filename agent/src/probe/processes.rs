//! The programs that run, by the names that `/proc` gives them.

use std::collections::BTreeSet;
use std::io::Read as _;

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};

use super::Seen;
use crate::host::{Host, Unseen};

/// The kernel keeps the first 15 bytes of a name: proc(5), `comm`.
const COMM_BYTES_MAX: usize = 15;
/// Most that is read of a command line: its first word is wanted.
const COMMAND_LINE_BYTES_MAX: u64 = 4096;

/// The programs that run.
#[derive(Debug, PartialEq, Eq)]
pub struct Processes {
    names: BTreeSet<String>,
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
        let mut names = BTreeSet::new();
        let entries = host.list("/proc")?;
        if !entries.iter().any(|name| name == "1") {
            let why = "the first process is not listed";
            return Err(Unseen::new("/proc", Status::Unsupported, Some(why)));
        }
        for pid in entries.iter().filter(|name| name.parse::<u32>().is_ok()) {
            match program(host, pid) {
                Ok(name) => drop(names.insert(name)),
                // It ended meanwhile; a read then gives ESRCH.
                Err(unseen) if matches!(unseen.status, Status::Absent | Status::Failed) => {}
                Err(unseen) => return Err(unseen),
            }
        }
        // Process 2 is this kernel thread in the first process namespace, and in no other.
        let whole_host = program(host, "2").is_ok_and(|name| name == "kthreadd");
        Ok(Self { names, whole_host })
    }

    /// Whether a program of this name runs.
    pub fn has(&self, name: &str) -> bool {
        self.names.contains(name)
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
}
