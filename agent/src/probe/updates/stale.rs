//! Processes that still run code which was replaced or removed: their mappings of it are marked
//! `(deleted)`.
//!
//! Looked at are mappings that may run, of files in the folders of the system. Programs elsewhere,
//! and processes of containers, are not looked at. A process of another user is seen only by root
//! or with `CAP_SYS_PTRACE`; those that were not seen are counted.
//!
//! Source: `proc_pid_maps(5)`, `proc_pid_cgroup(5)`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read};

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// Longest list of mappings; that of a large database has 5 MB.
const MAPS_BYTES_MAX: u64 = 32 * 1024 * 1024;
const LINE_BYTES_MAX: u64 = 8192;
const TEXT_BYTES_MAX: u64 = 64 * 1024;
/// Most processes that are looked at.
const PROCESSES_MAX: usize = 16_384;
/// Most files that are named of one service.
const NAMED_MAX: usize = 3;
/// Where packages put code.
const FOLDERS: [&str; 7] = [
    "/usr/", "/lib/", "/lib32/", "/lib64/", "/bin/", "/sbin/", "/opt/",
];

/// What one service still runs.
#[derive(Debug, Default)]
struct Stale {
    processes: i64,
    files: BTreeSet<String>,
}

/// States the services that run old code.
pub(super) fn look(host: &dyn Host, seen: &mut Seen) {
    let pids = host.list("/proc").and_then(|mut names| {
        if !names.iter().any(|name| name == "1") {
            let why = "the first process is not listed";
            return Err(Unseen::new("/proc", Status::Unsupported, Some(why)));
        }
        names.retain(|name| name.parse::<u32>().is_ok());
        if PROCESSES_MAX < names.len() {
            let why = format!("{} processes", names.len());
            return Err(Unseen::new("/proc", Status::Limit, Some(&why)));
        }
        Ok(names)
    });
    let Some(pids) = seen.note(Means::File, "/proc/[pid]/maps", pids) else {
        return;
    };
    let (mut services, mut unseen) = (BTreeMap::<String, Stale>::new(), 0_usize);
    for pid in &pids {
        match replaced(host, pid) {
            Ok(files) if files.is_empty() => {}
            Ok(files) => {
                if let Some(name) = unit_of(host, pid) {
                    let service = services.entry(name).or_default();
                    service.processes += 1;
                    service.files.extend(files);
                }
            }
            // It ended meanwhile.
            Err(_) if host.stat(&format!("/proc/{pid}")).is_err() => {}
            Err(_) => unseen += 1,
        }
    }
    seen.state_count("stale_unseen_count", unseen);
    let processes = services.values().map(|service| service.processes).sum();
    seen.state("stale_processes_count", Value::Number(processes));
    let records = services
        .iter()
        .map(|(name, service)| service.record(host, name));
    seen.state_list("stale_services", records.collect());
}

/// The files of which a process runs code that is no longer in them.
fn replaced(host: &dyn Host, pid: &str) -> Result<BTreeSet<String>, Unseen> {
    let path = format!("/proc/{pid}/maps");
    let maps = host.open(&path, MAPS_BYTES_MAX)?;
    deleted(maps).map_err(|error| Unseen::from_io(&path, &error))
}

/// Lines are `begin-end r-xp offset device inode   /path (deleted)`.
fn deleted(maps: impl Read) -> std::io::Result<BTreeSet<String>> {
    let mut maps = BufReader::with_capacity(16 * 1024, maps);
    let (mut line, mut found) = (Vec::new(), BTreeSet::new());
    loop {
        line.clear();
        if (&mut maps)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?
            == 0
        {
            return Ok(found);
        }
        let Some(line) = line.trim_ascii_end().strip_suffix(b" (deleted)") else {
            continue;
        };
        let line = String::from_utf8_lossy(line);
        let runs = line
            .split(' ')
            .nth(1)
            .is_some_and(|rights| rights.contains('x'));
        let Some(at) = line.find('/').filter(|_| runs) else {
            continue;
        };
        // While dpkg unpacks, a file has this name for a moment.
        let file = line
            .get(at..)
            .unwrap_or_default()
            .trim_end_matches(".dpkg-new");
        if FOLDERS.iter().any(|folder| file.starts_with(folder)) {
            let _new = found.insert(file.to_owned());
        }
    }
}

/// The unit that a process belongs to, or its own name; `None` for a process of a container.
fn unit_of(host: &dyn Host, pid: &str) -> Option<String> {
    let text = |name: &str| {
        let bytes = host
            .read(&format!("/proc/{pid}/{name}"), TEXT_BYTES_MAX)
            .ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    };
    let status = text("status").unwrap_or_default();
    let namespaces = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    if namespaces.is_some_and(|all| 1 < all.split_whitespace().count()) {
        return None;
    }
    let groups = text("cgroup").unwrap_or_default();
    unit(&groups).or_else(|| text("comm").map(|name| name.trim().to_owned()))
}

/// The innermost unit of systemd in the control groups of a process.
fn unit(groups: &str) -> Option<String> {
    let group = groups.lines().find_map(|line| {
        let named = line.strip_prefix("0::").filter(|path| *path != "/");
        named.or_else(|| line.split_once(":name=systemd:").map(|(_, path)| path))
    })?;
    let is_unit = |name: &&str| {
        [".service", ".scope"]
            .iter()
            .any(|kind| name.ends_with(kind))
    };
    group.rsplit('/').find(is_unit).map(str::to_owned)
}

impl Stale {
    fn record(&self, host: &dyn Host, name: &str) -> Record {
        // When the file that is there now came: the old code runs at least since then.
        let since: Option<Vec<Timestamp>> = self
            .files
            .iter()
            .map(|path| host.stat(path).ok().map(|stat| stat.changed))
            .collect();
        let named: Vec<&str> = self
            .files
            .iter()
            .take(NAMED_MAX)
            .map(String::as_str)
            .collect();
        let files = i64::try_from(self.files.len()).unwrap_or(i64::MAX);
        let fields = [
            ("name", Some(Value::Text(name.to_owned()))),
            ("processes", Some(Value::Number(self.processes))),
            ("files", Some(Value::Number(files))),
            ("example", Some(Value::Text(named.join(" ")))),
            (
                "since",
                since
                    .and_then(|all| all.into_iter().min())
                    .map(Value::Instant),
            ),
        ];
        let fields = fields.into_iter();
        fields
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn code_that_is_no_longer_in_its_file() {
        let maps = "\
55d0-55d1 r--p 00000000 fe:00 1 /usr/sbin/tool
55d1-55d2 r-xp 00000000 fe:00 2 /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)
55d2-55d3 r--p 00000000 fe:00 2 /usr/lib/x86_64-linux-gnu/libdata.so (deleted)
55d3-55d4 r-xp 00000000 00:01 3 /memfd:jit (deleted)
55d4-55d5 r-xp 00000000 fe:00 4 /tmp/own (deleted)
55d5-55d6 r-xp 00000000 fe:00 5 /usr/lib/a b.so.dpkg-new (deleted)
55d6-55d7 rwxp 00000000 00:00 0
7ffd-7ffe r-xp 00000000 00:00 0 [vdso]
";
        let found: Vec<String> = deleted(maps.as_bytes()).unwrap().into_iter().collect();
        let expected = ["/usr/lib/a b.so", "/usr/lib/x86_64-linux-gnu/libssl.so.3"];
        assert_eq!(found, expected);
    }

    #[test]
    fn units_of_processes() {
        for (groups, expected) in [
            ("0::/system.slice/ssh.service\n", Some("ssh.service")),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.scope\n",
                Some("x.scope"),
            ),
            (
                "0::/system.slice/docker.service/helper/inner\n",
                Some("docker.service"),
            ),
            (
                "9:name=systemd:/system.slice/cron.service\n1:cpu:/\n0::/\n",
                Some("cron.service"),
            ),
            ("0::/init.scope", Some("init.scope")),
            ("9:name=systemd:/\n0::/\n", None),
            ("", None),
        ] {
            assert_eq!(unit(groups).as_deref(), expected, "{groups}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            drop(deleted(&bytes[..]));
        }
    }
}
