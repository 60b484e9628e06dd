//! The only door to the machine: bounded reads, listed sockets, calls, programs, two small writes.
//!
//! Two things it does and not only sees: it gives one line to the log daemons, and writes a canary
//! file into a folder whose backup is tested.
//!
//! Probes see a host through [`Host`] alone. [`Machine`](machine::Machine) is the host that the
//! agent runs on, or another root folder of it; [`Recorded`](recorded::Recorded) is a folder with
//! the files of a host and the answers of its kernel and sockets.

use std::io::Read;

use rustix::io::Errno;
use shared::observation::Status;
use shared::time::Timestamp;

use bus::BusCall;
use log::Way;
use program::{Ended, Task};

pub mod kernel;
pub mod bus;
pub mod log;
pub mod place;
pub mod program;
pub mod machine;
pub mod recorded;

/// The host that a probe looks at. Paths are absolute and lie inside its root folder: symbolic
/// links cannot lead out of it.
pub trait Host: Send + Sync {
    /// Reads a whole file of at most `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// [`Unseen`]; a longer file is [`Status::Limit`].
    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, Unseen>;

    /// Opens a file to be read as a stream that ends after `bytes_max` bytes.
    ///
    /// # Errors
    ///
    /// [`Unseen`].
    fn open(&self, path: &str, bytes_max: u64) -> Result<Box<dyn Read + Send>, Unseen>;

    /// Opens a file of which parts are read.
    ///
    /// # Errors
    ///
    /// [`Unseen`].
    fn open_parts(&self, path: &str) -> Result<Box<dyn Parts>, Unseen>;

    /// Where a symbolic link leads, as it is written; of a link of `/proc` what stands for it.
    ///
    /// # Errors
    ///
    /// [`Unseen`]; what is no link is [`Status::Malformed`].
    fn link(&self, path: &str) -> Result<String, Unseen>;

    /// Size, times, mode and owner of a file or folder; a symbolic link is followed.
    ///
    /// # Errors
    ///
    /// [`Unseen`].
    fn stat(&self, path: &str) -> Result<Stat, Unseen>;

    /// Names in a folder, sorted, at most [`NAMES_MAX`].
    ///
    /// # Errors
    ///
    /// [`Unseen`]; a fuller folder is [`Status::Limit`].
    fn list(&self, path: &str) -> Result<Vec<String>, Unseen>;

    /// State of the kernel clock: adjtimex(2) with no mode bit, so nothing is set.
    ///
    /// # Errors
    ///
    /// [`Unseen`]; on another root folder [`Status::Unsupported`].
    fn kernel_clock(&self) -> Result<KernelClock, Unseen>;

    /// Release of the kernel that runs: uname(2).
    ///
    /// # Errors
    ///
    /// [`Unseen`]; on another root folder [`Status::Unsupported`].
    fn kernel_release(&self) -> Result<String, Unseen>;

    /// Sends one datagram to a listed socket and returns the answer, within two seconds.
    ///
    /// # Errors
    ///
    /// [`Unseen`]; on another root folder [`Status::Unsupported`].
    fn ask(&self, socket: Socket, request: &[u8]) -> Result<Vec<u8>, Unseen>;

    /// Asks systemd, or a service of it, over D-Bus, within two seconds.
    ///
    /// # Errors
    ///
    /// [`Unseen`]; without systemd, or without the service, [`Status::Absent`]; on another root
    /// folder [`Status::Unsupported`].
    fn bus(&self, call: BusCall<'_>) -> Result<serde_json::Value, Unseen>;

    /// Runs a listed program that only reads, and hands on what it writes, piece by piece.
    ///
    /// # Errors
    ///
    /// [`Unseen`], see [`program::run`]; on another root folder [`Status::Unsupported`].
    fn run(&self, task: &Task<'_>, output: &mut dyn FnMut(&[u8])) -> Result<Ended, Unseen>;

    /// Gives one line to a log daemon.
    ///
    /// # Errors
    ///
    /// [`Unseen`], see [`log::send`]; on another root folder [`Status::Unsupported`].
    fn log(&self, way: Way, line: &str) -> Result<(), Unseen>;

    /// Writes a canary file.
    ///
    /// # Errors
    ///
    /// [`Unseen`], see [`place::place`]; on another root folder [`Status::Unsupported`].
    fn place(&self, path: &str, bytes: &[u8]) -> Result<(), Unseen>;
}

/// An open file of which parts are read.
pub trait Parts: Send {
    /// At most `bytes_max` bytes from `offset` on; fewer where the file ends.
    ///
    /// # Errors
    ///
    /// What the machine said.
    fn part(&self, offset: u64, bytes_max: usize) -> std::io::Result<Vec<u8>>;

    /// Fills `into` with the bytes from `offset` on.
    ///
    /// # Errors
    ///
    /// As [`Parts::part`]; [`std::io::ErrorKind::UnexpectedEof`] when the file ends before.
    fn fill(&self, into: &mut [u8], offset: u64) -> std::io::Result<()> {
        let part = self.part(offset, into.len())?;
        if part.len() == into.len() {
            into.copy_from_slice(&part);
            Ok(())
        } else {
            Err(std::io::ErrorKind::UnexpectedEof.into())
        }
    }
}

/// Most names of one folder.
pub const NAMES_MAX: usize = 65_536;

/// A socket that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    /// `/run/chrony/chronyd.sock`, then UDP 127.0.0.1:323.
    Chronyd,
    /// UDP 127.0.0.1:123, where ntpd answers control messages.
    Ntpd,
    /// Netlink audit (family 9): the request is a whole message with its header, and so is each
    /// part of the answer; a list is read up to its end.
    Audit,
    /// Netlink route (family 0), which is asked for lists alone: rtnetlink(7).
    Route,
}

/// Why something was not seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {}{}", .status.as_str(), in_brackets(.detail.as_deref()))]
pub struct Unseen {
    /// Path, socket or call.
    pub what: String,
    /// Never [`Status::Ok`].
    pub status: Status,
    /// More, where there is more to say.
    pub detail: Option<String>,
}

fn in_brackets(detail: Option<&str>) -> String {
    detail.map(|text| format!(" ({text})")).unwrap_or_default()
}

impl Unseen {
    /// Why an operation on `what` gave nothing, from the error of the machine.
    #[must_use]
    pub fn from_errno(what: &str, errno: Errno) -> Self {
        let status = match errno {
            Errno::NOENT | Errno::NOTDIR => Status::Absent,
            Errno::ACCESS | Errno::PERM => Status::NotPermitted,
            Errno::LOOP | Errno::XDEV => Status::Malformed,
            Errno::NAMETOOLONG | Errno::FBIG => Status::Limit,
            Errno::NOSYS | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT => Status::Unsupported,
            Errno::AGAIN | Errno::TIMEDOUT => Status::TimedOut,
            Errno::CONNREFUSED => Status::Unreachable,
            _ => Status::Failed,
        };
        // The status says it all, unless it is the one for everything else.
        let detail = (status == Status::Failed).then(|| errno.to_string());
        Self::new(what, status, detail.as_deref())
    }

    /// It is not there, which was seen.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.status == Status::Absent
    }

    /// The same for an error of the standard library.
    #[must_use]
    pub fn from_io(what: &str, error: &std::io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(errno) => Self::from_errno(what, errno),
            None => Self::new(what, Status::Failed, Some(&error.to_string())),
        }
    }

    /// `what` was not seen: `status` and, where there is more to say, `detail`.
    #[must_use]
    pub fn new(what: &str, status: Status, detail: Option<&str>) -> Self {
        Self {
            what: what.to_owned(),
            status,
            detail: detail.map(str::to_owned),
        }
    }
}

/// What stat(2) says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// It is a folder.
    pub folder: bool,
    /// Size in bytes.
    pub bytes: u64,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub user: u32,
    /// Numeric group.
    pub group: u32,
    /// Last write.
    pub modified: Timestamp,
    /// Last change of contents or of attributes; nobody can set it.
    pub changed: Timestamp,
    /// Device and inode, which tell that a file is still the same.
    pub device_inode: (u64, u64),
}

/// What adjtimex(2) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelClock {
    /// Return value: 0 to 5.
    pub state: i64,
    /// Bits STA_*.
    pub status: i64,
    /// Offset in nanoseconds, whatever unit the kernel uses.
    pub offset_ns: i64,
    /// Frequency correction in parts per billion.
    pub frequency_ppb: i64,
    /// Maximum error in microseconds.
    pub max_error_us: i64,
    /// Estimated error in microseconds.
    pub estimated_error_us: i64,
    /// TAI minus UTC in seconds.
    pub tai_offset_s: i64,
}

impl KernelClock {
    /// Return value `TIME_ERROR` of adjtimex(2) for a clock that is not synchronised.
    const TIME_ERROR: i64 = 5;
    /// The kernel gives up at this error, and systemd calls a clock below it synchronised.
    pub const MAX_ERROR_US: i64 = 16_000_000;

    /// Whether somebody corrects the clock. The flag `STA_UNSYNC`, and with it `TIME_ERROR`, alone
    /// says too little: chronyd without `rtcsync` never clears it.
    #[must_use]
    pub const fn is_synchronised(&self) -> bool {
        self.state != Self::TIME_ERROR || self.max_error_us < Self::MAX_ERROR_US
    }
}
