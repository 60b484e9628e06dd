//! The host that the agent runs on, or another root folder of it.
//!
//! Every path is resolved by openat2(2) inside the root folder, so absolute symbolic links and
//! `..` stay in it, and links of `/proc` that lead elsewhere are refused. Only regular files and
//! folders are opened: the type is known before a file is opened to be read, so that looking never
//! wakes a device or waits for a pipe.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Statx, StatxFlags};
use rustix::io::Errno;
use shared::observation::Status;
use shared::time::Timestamp;

use super::bus::{self, BusCall};
use super::log::{self, Way};
use super::program::{self, Ended, Task};
use super::{Host, KernelClock, NAMES_MAX, Parts, Socket, Stat, Unseen, kernel, place};

/// How often a path is resolved anew when a folder on its way is renamed meanwhile.
const RESOLVE_ATTEMPTS: usize = 8;

/// The host that the agent runs on, or another root folder of it.
#[derive(Debug)]
pub struct Machine {
    root: OwnedFd,
    live: bool,
}

impl Machine {
    /// The host below `root`; with `/` its kernel and its daemons can be asked too.
    ///
    /// # Errors
    ///
    /// [`Unseen`] when `root` is no folder that can be opened.
    pub fn open(root: &Path) -> Result<Self, Unseen> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(root, flags, Mode::empty()) {
            Ok(folder) => Ok(Self {
                root: folder,
                live: root == Path::new("/"),
            }),
            Err(errno) => Err(Unseen::from_errno(&root.to_string_lossy(), errno)),
        }
    }

    fn open_in_root(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let mut attempts = RESOLVE_ATTEMPTS;
        loop {
            match rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) if 1 < attempts => attempts -= 1,
                result => return result,
            }
        }
    }

    fn look(&self, path: &str) -> rustix::io::Result<Statx> {
        stat_of(&self.open_in_root(path, OFlags::PATH)?)
    }

    /// Opens what is seen to be of type `kind` before it is opened, and still is after.
    fn open_kind(&self, path: &str, kind: FileType) -> Result<OwnedFd, Unseen> {
        let unseen = |errno| Unseen::from_errno(path, errno);
        let is_kind = |stat: &Statx| FileType::from_raw_mode(stat.stx_mode.into()) == kind;
        if is_kind(&self.look(path).map_err(unseen)?) {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
            let opened = self.open_in_root(path, flags).map_err(unseen)?;
            if is_kind(&stat_of(&opened).map_err(unseen)?) {
                return Ok(opened);
            }
        }
        let wanted = if kind == FileType::Directory {
            "no folder"
        } else {
            "no regular file"
        };
        Err(Unseen::new(path, Status::Malformed, Some(wanted)))
    }

    fn live<T>(&self, what: &str, ask: impl FnOnce() -> Result<T, Unseen>) -> Result<T, Unseen> {
        if self.live {
            ask()
        } else {
            let why = "another root folder is read";
            Err(Unseen::new(what, Status::Unsupported, Some(why)))
        }
    }
}

impl Host for Machine {
    fn read(&self, path: &str, bytes_max: u64) -> Result<Vec<u8>, Unseen> {
        let mut bytes = Vec::new();
        let _length = self
            .open(path, bytes_max.saturating_add(1))?
            .read_to_end(&mut bytes)
            .map_err(|error| Unseen::from_io(path, &error))?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length <= bytes_max) {
            Ok(bytes)
        } else {
            let why = format!("longer than {bytes_max} bytes");
            Err(Unseen::new(path, Status::Limit, Some(&why)))
        }
    }

    fn open(&self, path: &str, bytes_max: u64) -> Result<Box<dyn Read + Send>, Unseen> {
        let file = self.open_kind(path, FileType::RegularFile)?;
        Ok(Box::new(File::from(file).take(bytes_max)))
    }

    fn open_parts(&self, path: &str) -> Result<Box<dyn Parts>, Unseen> {
        let file = self.open_kind(path, FileType::RegularFile)?;
        Ok(Box::new(File::from(file)))
    }

    fn link(&self, path: &str) -> Result<String, Unseen> {
        let target = self
            .open_in_root(path, OFlags::PATH | OFlags::NOFOLLOW)
            .and_then(|link| rustix::fs::readlinkat(&link, "", Vec::new()));
        match target {
            Ok(target) => Ok(target.to_string_lossy().into_owned()),
            // An empty name of what is no link, see readlink(2).
            Err(Errno::NOENT | Errno::INVAL) if self.look(path).is_ok() => {
                Err(Unseen::new(path, Status::Malformed, Some("no link")))
            }
            Err(errno) => Err(Unseen::from_errno(path, errno)),
        }
    }

    fn stat(&self, path: &str) -> Result<Stat, Unseen> {
        let stat = self
            .look(path)
            .map_err(|errno| Unseen::from_errno(path, errno))?;
        let device = u64::from(stat.stx_dev_major) << 32 | u64::from(stat.stx_dev_minor);
        Ok(Stat {
            folder: FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory,
            bytes: stat.stx_size,
            mode: u32::from(stat.stx_mode & 0o7777),
            user: stat.stx_uid,
            group: stat.stx_gid,
            modified: instant(stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            changed: instant(stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
            device_inode: (device, stat.stx_ino),
        })
    }

    fn list(&self, path: &str) -> Result<Vec<String>, Unseen> {
        let unseen = |errno| Unseen::from_errno(path, errno);
        let folder = self.open_kind(path, FileType::Directory)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&folder).map_err(unseen)? {
            let name = entry.map_err(unseen)?;
            let name = name.file_name().to_string_lossy();
            if matches!(name.as_ref(), "." | "..") {
                continue;
            }
            if names.len() == NAMES_MAX {
                let why = format!("more than {NAMES_MAX} names");
                return Err(Unseen::new(path, Status::Limit, Some(&why)));
            }
            names.push(name.into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn kernel_clock(&self) -> Result<KernelClock, Unseen> {
        self.live("adjtimex", kernel::clock)
    }

    fn kernel_release(&self) -> Result<String, Unseen> {
        self.live("uname", kernel::release)
    }

    fn ask(&self, socket: Socket, request: &[u8]) -> Result<Vec<u8>, Unseen> {
        match socket {
            Socket::Chronyd => self.live("chronyd", || kernel::ask_chronyd(request)),
            Socket::Ntpd => self.live("ntpd", || kernel::ask_ntpd(request)),
            Socket::Audit => self.live("netlink audit", || kernel::ask_audit(request)),
            Socket::Route => self.live("netlink route", || kernel::ask_route(request)),
        }
    }

    fn bus(&self, call: BusCall<'_>) -> Result<serde_json::Value, Unseen> {
        self.live(&call.name(), || bus::ask(call))
    }

    fn run(&self, task: &Task<'_>, output: &mut dyn FnMut(&[u8])) -> Result<Ended, Unseen> {
        self.live(task.program.name(), || {
            let open = |path| self.open_kind(path, FileType::RegularFile);
            let secret = task.secret.map(open).transpose()?.map(File::from);
            program::run(task, secret, output)
        })
    }

    fn log(&self, way: Way, line: &str) -> Result<(), Unseen> {
        let path = way.path();
        self.live(path, || log::send(Path::new(path), way, line))
    }

    fn place(&self, path: &str, bytes: &[u8]) -> Result<(), Unseen> {
        self.live(path, || place::place(self.root.as_fd(), path, bytes))
    }
}

impl Parts for File {
    fn part(&self, offset: u64, bytes_max: usize) -> std::io::Result<Vec<u8>> {
        let mut bytes = vec![0; bytes_max];
        let mut length = 0;
        while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
            let at = offset.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
            match self.read_at(rest, at) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

fn stat_of(file: &OwnedFd) -> rustix::io::Result<Statx> {
    rustix::fs::statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)
}

/// A file's time in milliseconds, held inside what a [`Timestamp`] can say.
fn instant(seconds: i64, nanoseconds: u32) -> Timestamp {
    let ms = i64::from(nanoseconds / 1_000_000);
    Timestamp::default().plus_ms(seconds.saturating_mul(1000).saturating_add(ms))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root folder with a file of five bytes, a folder, a pipe and links.
    fn tree() -> (tempfile::TempDir, Machine) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        std::fs::create_dir_all(root.join("etc/empty")).unwrap();
        shared::durable::write(&root.join("etc/five"), b"fives", 0o640).unwrap();
        shared::durable::write(&folder.path().join("outside"), b"secret", 0o644).unwrap();
        symlink("/etc/five", root.join("absolute")).unwrap();
        symlink("../../../outside", root.join("etc/out")).unwrap();
        symlink("../../../etc/five", root.join("etc/up")).unwrap();
        symlink("around", root.join("around")).unwrap();
        let mode = Mode::from_raw_mode(0o644);
        rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), FileType::Fifo, mode, 0).unwrap();
        let machine = Machine::open(&root).unwrap();
        (folder, machine)
    }

    #[test]
    fn links_stay_inside_the_root() {
        let (_folder, machine) = tree();
        for path in ["/etc/five", "/absolute", "/etc/up", "/../../etc/five"] {
            assert_eq!(machine.read(path, 5).unwrap(), b"fives", "{path}");
        }
        for path in ["/etc/out", "/../outside"] {
            assert_eq!(machine.read(path, 9).unwrap_err().status, Status::Absent);
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let (_folder, machine) = tree();
        let long = format!("/{}", "x".repeat(300));
        for (path, status) in [
            ("/none", Status::Absent),
            ("/etc/five/none", Status::Absent),
            ("/around", Status::Malformed),
            ("/pipe", Status::Malformed),
            ("/etc", Status::Malformed),
            (&long, Status::Limit),
        ] {
            assert_eq!(machine.read(path, 9).unwrap_err().status, status, "{path}");
        }
        assert_eq!(
            machine.read("/etc/five", 4).unwrap_err().status,
            Status::Limit
        );
        assert_eq!(
            machine.list("/etc/five").unwrap_err().status,
            Status::Malformed
        );
        assert_eq!(machine.list("/none").unwrap_err().status, Status::Absent);
        assert_eq!(machine.stat("/none").unwrap_err().status, Status::Absent);
        let absent = Machine::open(Path::new("/nowhere/at/all")).unwrap_err();
        assert_eq!(absent.status, Status::Absent);
    }

    #[test]
    fn parts_and_links() {
        let (_folder, machine) = tree();
        let parts = machine.open_parts("/absolute").unwrap();
        assert_eq!(parts.part(1, 2).unwrap(), b"iv");
        assert_eq!(parts.part(3, 9).unwrap(), b"es");
        assert_eq!(parts.part(6, 9).unwrap(), b"");
        assert_eq!(machine.link("/absolute").unwrap(), "/etc/five");
        assert_eq!(machine.link("/around").unwrap(), "around");
        for (path, status) in [("/etc/five", Status::Malformed), ("/none", Status::Absent)] {
            assert_eq!(machine.link(path).unwrap_err().status, status, "{path}");
        }
    }

    #[test]
    fn stat_and_list() {
        let (_folder, machine) = tree();
        assert_eq!(
            machine.list("/etc").unwrap(),
            ["empty", "five", "out", "up"]
        );
        assert_eq!(machine.list("/etc/empty").unwrap(), [""; 0]);
        let stat = machine.stat("/absolute").unwrap();
        assert_eq!((stat.bytes, stat.mode, stat.folder), (5, 0o640, false));
        assert!(machine.stat("/etc").unwrap().folder);
        assert!(!machine.stat("/pipe").unwrap().folder);
    }

    #[test]
    fn another_root_has_no_kernel() {
        let (_folder, machine) = tree();
        assert_eq!(
            machine.kernel_clock().unwrap_err().status,
            Status::Unsupported
        );
        assert_eq!(
            machine.kernel_release().unwrap_err().status,
            Status::Unsupported
        );
        for socket in [Socket::Chronyd, Socket::Ntpd, Socket::Audit, Socket::Route] {
            let status = machine.ask(socket, b"").unwrap_err().status;
            assert_eq!(status, Status::Unsupported);
        }
        let bus = machine.bus(BusCall::Timesync).unwrap_err();
        assert_eq!(bus.status, Status::Unsupported);
    }

    #[test]
    fn this_host_is_read_and_its_magic_links_are_not_followed() {
        let machine = Machine::open(Path::new("/")).unwrap();
        assert!(!machine.kernel_release().unwrap().is_empty());
        assert!(!machine.read("/proc/self/comm", 64).unwrap().is_empty());
        let link = machine.read("/proc/self/exe", 64).unwrap_err();
        assert_eq!(link.status, Status::Malformed);
        assert!(machine.link("/proc/self/exe").unwrap().starts_with('/'));
        let device = machine.read("/dev/zero", 64).unwrap_err();
        assert_eq!(device.status, Status::Malformed);
    }
}
