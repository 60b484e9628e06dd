//! A host in a folder: its files below `root`, and what its kernel and sockets answered in `live`.
//!
//! ```text
//! root/...                    the files, see Machine
//! live/kernel_clock.json      adjtimex(2), the fields of KernelClock
//! live/kernel_release.txt     uname(2)
//! live/chronyd-33.bin         chronyd's reply to command 33 without arguments
//! live/chronyd-15-00000001.bin  ... to command 15 with these arguments, zeros at the end left out
//! live/ntpd-2-0.bin           ntpd's answer to operation 2 on association 0
//! live/bus-UNIT.json          all properties of a unit, as `busctl --json` shows them, no types
//! live/bus-failed.json        ListUnitsByPatterns for what failed
//! live/bus-timers.json        ... for timers
//! live/bus-timesync.json      all properties of systemd-timesyncd
//! live/bus.status             why D-Bus does not answer
//! live/audit.bin              the reply of kernel auditing to AUDIT_GET
//! live/audit-1013.bin         ... to another request: its number
//! live/route-30.bin           the reply of rtnetlink to request 30: a list, without its end
//! live/log-journal            a socket that takes lines; log-syslog the one for /dev/log
//! live/restic-dump.bin        what restic writes when it is told to dump; other programs alike
//! live/NAME.status            why NAME did not answer, e.g. `not-permitted` in audit.status
//! live/refused.txt            paths that may not be read, and nothing below them, one a line
//! live/times.txt              lines of a time and a path: when that file was written
//! live/modes.txt              lines of an octal mode and a path
//! ```
//!
//! What has no answer and no status is absent. Where there is systemd, it has `bus-failed.json`,
//! and a unit without an answer is one that it does not know. A version-control system carries
//! neither times nor owners nor modes: a file that `times.txt` does not name was written at the
//! beginning of 1970, one that `modes.txt` does not name has 0644, a folder 0755, and everything
//! belongs to root.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use shared::durable;
use shared::observation::Status;
use shared::time::Timestamp;

use super::bus::{BusCall, Listed};
use super::log::{self, Way};
use super::machine::Machine;
use super::program::{Ended, Task};
use super::{Host, KernelClock, Parts, Socket, Stat, Unseen};

/// Longest recorded answer or list.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;
/// `AUDIT_GET` in linux/audit.h.
const AUDIT_GET: u16 = 1000;
/// Bytes of a chronyd request before its arguments.
const CHRONY_HEADER_BYTES: usize = 20;

/// A host in a folder.
#[derive(Debug)]
pub struct Recorded {
    machine: Machine,
    live: PathBuf,
    refused: BTreeSet<String>,
    times: BTreeMap<String, Timestamp>,
    modes: BTreeMap<String, u32>,
}

impl Recorded {
    /// Opens the host in `folder`.
    ///
    /// # Errors
    ///
    /// [`Unseen`] when it has no folder `root`, or when its lists cannot be understood.
    pub fn open(folder: &Path) -> Result<Self, Unseen> {
        let live = folder.join("live");
        let refused = lines(&live.join("refused.txt"))?;
        let mut times = BTreeMap::new();
        for line in lines(&live.join("times.txt"))? {
            let (time, path) = line.split_once(' ').unwrap_or_default();
            let Ok(time) = time.parse() else {
                return Err(Unseen::new("times.txt", Status::Malformed, Some(&line)));
            };
            let _earlier = times.insert(path.to_owned(), time);
        }
        let mut modes = BTreeMap::new();
        for line in lines(&live.join("modes.txt"))? {
            let (mode, path) = line.split_once(' ').unwrap_or_default();
            let Ok(mode) = u32::from_str_radix(mode, 8) else {
                return Err(Unseen::new("modes.txt", Status::Malformed, Some(&line)));
            };
            let _earlier = modes.insert(path.to_owned(), mode);
        }
        Ok(Self {
            machine: Machine::open(&folder.join("root"))?,
            live,
            refused: refused.into_iter().collect(),
            times,
            modes,
        })
    }

    /// Refuses what lies below a refused path.
    fn permit_look(&self, path: &str) -> Result<(), Unseen> {
        let below = |refused: &String| {
            path.strip_prefix(refused.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        };
        if self.refused.iter().any(below) {
            Err(Unseen::new(path, Status::NotPermitted, None))
        } else {
            Ok(())
        }
    }

    fn permit_read(&self, path: &str) -> Result<(), Unseen> {
        if self.refused.contains(path) {
            Err(Unseen::new(path, Status::NotPermitted, None))
        } else {
            self.permit_look(path)
        }
    }

    /// The recorded answer, or the recorded reason why there is none under one of `names`.
    fn answer(&self, file: &str, names: &[&str]) -> Result<Vec<u8>, Unseen> {
        let found = durable::read(&self.live.join(file), ANSWER_BYTES_MAX);
        if let Ok(answer) = found {
            return Ok(answer);
        }
        let status = names.iter().find_map(|name| {
            let path = self.live.join(format!("{name}.status"));
            durable::read_text(&path, ANSWER_BYTES_MAX).ok()
        });
        match status {
            None => Err(Unseen::new(file, Status::Absent, None)),
            Some(word) => {
                let word = serde_json::Value::from(word.trim());
                let status = Status::deserialize(word).unwrap_or(Status::Malformed);
                Err(Unseen::new(file, status, None))
            }
        }
    }
}

/// The lines of a list; none when there is no list.
fn lines(path: &Path) -> Result<Vec<String>, Unseen> {
    match durable::read_text(path, ANSWER_BYTES_MAX) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Unseen::from_io(&path.to_string_lossy(), &error)),
    }
}

/// The number of a request over netlink: the type in the header of the message.
fn netlink_kind(request: &[u8]) -> Option<u16> {
    let kind = request.get(4..6).and_then(<[u8]>::first_chunk::<2>);
    #[expect(
        clippy::host_endian_bytes,
        reason = "netlink speaks in the order of the host"
    )]
    kind.map(|bytes| u16::from_ne_bytes(*bytes))
}

/// Name of the recorded reply to a request: command and arguments.
fn chronyd_name(request: &[u8]) -> String {
    let command = match request.get(4..6).and_then(<[u8]>::first_chunk::<2>) {
        Some(bytes) => u16::from_be_bytes(*bytes),
        None => 0,
    };
    let body = request.get(CHRONY_HEADER_BYTES..).unwrap_or_default();
    let end = body.iter().rposition(|byte| *byte != 0);
    let digits = body
        .iter()
        .take(end.map_or(0, |last| last + 1))
        .fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
    let dash = if digits.is_empty() { "" } else { "-" };
    format!("chronyd-{command}{dash}{digits}")
}

/// Name of the recorded answer to a control message: operation and association.
fn ntpd_name(request: &[u8]) -> String {
    let operation = request.get(1).copied().unwrap_or_default();
    let association = request.get(6..8).and_then(<[u8]>::first_chunk::<2>);
    let association = association.map_or(0, |bytes| u16::from_be_bytes(*bytes));
    format!("ntpd-{operation}-{association}")
}

impl Host for Recorded {
    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, Unseen> {
        self.permit_read(path)?;
        self.machine.read(path, bytes_max)
    }

    fn open(&self, path: &str, bytes_max: u64) -> Result<Box<dyn Read + Send>, Unseen> {
        self.permit_read(path)?;
        self.machine.open(path, bytes_max)
    }

    fn open_parts(&self, path: &str) -> Result<Box<dyn Parts>, Unseen> {
        self.permit_read(path)?;
        self.machine.open_parts(path)
    }

    fn link(&self, path: &str) -> Result<String, Unseen> {
        self.permit_look(path)?;
        self.machine.link(path)
    }

    fn stat(&self, path: &str) -> Result<Stat, Unseen> {
        self.permit_look(path)?;
        let written = self.times.get(path).copied().unwrap_or_default();
        let stat = self.machine.stat(path)?;
        let usual = if stat.folder { 0o755 } else { 0o644 };
        Ok(Stat {
            mode: self.modes.get(path).copied().unwrap_or(usual),
            user: 0,
            group: 0,
            modified: written,
            changed: written,
            ..stat
        })
    }

    fn list(&self, path: &str) -> Result<Vec<String>, Unseen> {
        self.permit_read(path)?;
        self.machine.list(path)
    }

    fn kernel_clock(&self) -> Result<KernelClock, Unseen> {
        let answer = self.answer("kernel_clock.json", &["kernel_clock"])?;
        serde_json::from_slice(&answer).map_err(|error| {
            let why = error.to_string();
            Unseen::new("kernel_clock.json", Status::Malformed, Some(&why))
        })
    }

    fn kernel_release(&self) -> Result<String, Unseen> {
        let answer = self.answer("kernel_release.txt", &["kernel_release"])?;
        match String::from_utf8(answer) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(_not_text) => Err(Unseen::new("kernel_release.txt", Status::Malformed, None)),
        }
    }

    fn ask(&self, socket: Socket, request: &[u8]) -> Result<Vec<u8>, Unseen> {
        match socket {
            Socket::Chronyd => {
                let name = chronyd_name(request);
                self.answer(&format!("{name}.bin"), &[&name, "chronyd"])
            }
            Socket::Ntpd => {
                let name = ntpd_name(request);
                self.answer(&format!("{name}.bin"), &[&name, "ntpd"])
            }
            Socket::Audit => match netlink_kind(request).unwrap_or(AUDIT_GET) {
                AUDIT_GET => self.answer("audit.bin", &["audit"]),
                kind => self.answer(&format!("audit-{kind}.bin"), &["audit"]),
            },
            Socket::Route => {
                let kind = netlink_kind(request).unwrap_or_default();
                self.answer(&format!("route-{kind}.bin"), &["route"])
            }
        }
    }

    fn bus(&self, call: BusCall<'_>) -> Result<serde_json::Value, Unseen> {
        let name = match call {
            BusCall::Unit(name) => name,
            BusCall::Units(Listed::Failed) => "failed",
            BusCall::Units(Listed::Timers) => "timers",
            BusCall::Timesync => "timesync",
        };
        let name = format!("bus-{name}");
        let file = format!("{name}.json");
        let answer = match self.answer(&file, &[&name, "bus"]) {
            Err(unseen) if unseen.is_absent() && matches!(call, BusCall::Unit(_)) => {
                let _systemd = self.answer("bus-failed.json", &["bus"])?;
                br#"{"LoadState": "not-found"}"#.to_vec()
            }
            answer => answer?,
        };
        serde_json::from_slice(&answer).map_err(|error| {
            let why = error.to_string();
            Unseen::new(&file, Status::Malformed, Some(&why))
        })
    }

    fn run(&self, task: &Task<'_>, output: &mut dyn FnMut(&[u8])) -> Result<Ended, Unseen> {
        let verb = task.options.first().copied().unwrap_or_default();
        let name = format!("{}-{}", task.program.name(), verb.trim_start_matches('-'));
        let answer = self.answer(&format!("{name}.bin"), &[&name, task.program.name()])?;
        output(&answer);
        Ok(Ended {
            status: Some(0),
            errors: String::new(),
            bytes: u64::try_from(answer.len()).unwrap_or(u64::MAX),
            took_ms: 0,
        })
    }

    fn log(&self, way: Way, line: &str) -> Result<(), Unseen> {
        let name = format!("log-{}", way.as_str());
        let path = self.live.join(&name);
        if path.exists() {
            log::send(&path, way, line)
        } else {
            self.answer(&name, &[&name]).map(drop)
        }
    }

    fn place(&self, path: &str, _bytes: &[u8]) -> Result<(), Unseen> {
        let why = Some("a recorded host is not changed");
        Err(Unseen::new(path, Status::Unsupported, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, name: &str, text: &str) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        durable::write(&path, text.as_bytes(), 0o644).unwrap();
    }

    #[test]
    fn answers_refusals_and_times_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path();
        assert!(Recorded::open(dir).is_err(), "no root");
        write(dir, "root/etc/shut/file", "x");
        write(dir, "root/etc/open", "x");
        write(dir, "live/refused.txt", "/etc/shut\n");
        write(dir, "live/times.txt", "2026-01-02T03:04:05Z /etc/open\n");
        write(dir, "live/audit.status", "not-permitted\n");
        write(dir, "live/chronyd-15-00000001.bin", "one");
        write(dir, "live/kernel_clock.json", "{}");
        let host = Recorded::open(dir).unwrap();
        assert_eq!(host.read("/etc/open", 9).unwrap(), b"x");
        assert_eq!(
            host.list("/etc/shut").unwrap_err().status,
            Status::NotPermitted
        );
        assert!(host.stat("/etc/shut").unwrap().folder);
        let below = host.stat("/etc/shut/file").unwrap_err();
        assert_eq!(below.status, Status::NotPermitted);
        let modified = host.stat("/etc/open").unwrap().modified;
        assert_eq!(modified.to_string(), "2026-01-02T03:04:05.000Z");
        let audit = host.ask(Socket::Audit, b"").unwrap_err();
        assert_eq!(audit.status, Status::NotPermitted);
        let mut request = vec![0; 24];
        request[5] = 15;
        let none = host.ask(Socket::Chronyd, &request).unwrap_err();
        assert_eq!(none.status, Status::Absent);
        request[23] = 1;
        assert_eq!(host.ask(Socket::Chronyd, &request).unwrap(), b"one");
        assert_eq!(host.kernel_clock().unwrap_err().status, Status::Malformed);
        write(dir, "live/times.txt", "yesterday /etc/open\n");
        assert!(Recorded::open(dir).is_err());
    }
}
