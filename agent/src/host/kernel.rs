//! What the running kernel and the sockets of daemons answer; the only unsafe code of the agent.

use std::net::UdpSocket;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{self, netlink};
use shared::observation::Status;

use super::{KernelClock, Unseen};

/// How long a socket may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// Longest datagram that is read.
const DATAGRAM_BYTES_MAX: usize = 16 * 1024;

/// Longest list of kernel auditing: some thousand rules.
const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// `AUDIT_LIST_RULES` in linux/audit.h: its answer is a list.
const AUDIT_LIST_RULES: u16 = 1013;
/// netlink(7): an error or an acknowledgement.
const NLMSG_ERROR: u16 = 2;
/// netlink(7): the end of a list.
const NLMSG_DONE: u16 = 3;

/// Folder of chronyd's command socket. Clients bind their own socket in it: it is the one folder
/// that the daemon, and its `AppArmor` profile on Debian, may write to.
const CHRONY_FOLDER: &str = "/run/chrony";
/// Name of chronyd's command socket in that folder.
const CHRONY_SOCKET: &str = "chronyd.sock";
/// Loopback port of chronyd, where it answers a monitoring subset, see `cmdport` in chrony.conf(5).
const CHRONY_PORT: &str = "127.0.0.1:323";

/// Loopback port of ntpd, where it answers control messages unless its settings forbid it.
const NTP_PORT: &str = "127.0.0.1:123";

/// Status bit of adjtimex(2): the offset counts nanoseconds.
const STA_NANO: i64 = 0x2000;

/// State of the kernel clock, from adjtimex(2) with no mode bit.
///
/// # Errors
///
/// [`Unseen`] when the call is refused.
pub fn clock() -> Result<KernelClock, Unseen> {
    let mut timex = std::mem::MaybeUninit::<libc::timex>::zeroed();
    #[expect(unsafe_code, reason = "no maintained safe wrapper offers adjtimex(2)")]
    // SAFETY: `timex` is a C structure of integers, for which all zero bytes are a value, so it is
    // initialised before the call as well as after it. The pointer is valid and exclusive for the
    // call. `modes` is 0, so the kernel only fills the structure in.
    let (state, timex) = unsafe {
        let state = libc::adjtimex(timex.as_mut_ptr());
        (state, timex.assume_init())
    };
    if state < 0 {
        let error = std::io::Error::last_os_error();
        return Err(Unseen::from_io("adjtimex", &error));
    }
    let status = i64::from(timex.status);
    let offset_ns = if status & STA_NANO == 0 {
        timex.offset.saturating_mul(1000)
    } else {
        timex.offset
    };
    Ok(KernelClock {
        state: i64::from(state),
        status,
        offset_ns,
        // The kernel counts in 2^-16 parts per million.
        frequency_ppb: timex.freq.saturating_mul(1000) / 65_536,
        max_error_us: timex.maxerror,
        estimated_error_us: timex.esterror,
        tai_offset_s: i64::from(timex.tai),
    })
}

/// Release of the kernel that runs, from uname(2).
///
/// # Errors
///
/// [`Unseen`] when it is not text.
pub fn release() -> Result<String, Unseen> {
    let names = rustix::system::uname();
    match names.release().to_str() {
        Ok(release) => Ok(release.to_owned()),
        Err(_not_text) => Err(Unseen::new("uname", Status::Malformed, None)),
    }
}

/// Asks chronyd: over its command socket, and when that does not answer over UDP on loopback.
///
/// # Errors
///
/// [`Unseen`] of the command socket, unless it is absent: then that of UDP, where a refusal means
/// that no daemon listens.
pub fn ask_chronyd(request: &[u8]) -> Result<Vec<u8>, Unseen> {
    let unseen = match ask_chronyd_socket(Path::new(CHRONY_FOLDER), request) {
        Ok(answer) => return Ok(answer),
        Err(unseen) if unseen.status == Status::TimedOut => return Err(unseen),
        Err(unseen) => unseen,
    };
    match ask_port(CHRONY_PORT, request) {
        Ok(answer) => Ok(answer),
        Err(error) if unseen.is_absent() => {
            let mut unseen = Unseen::from_io(CHRONY_PORT, &error);
            if unseen.status == Status::Unreachable {
                unseen.status = Status::Absent;
            }
            Err(unseen)
        }
        Err(_also_silent) => Err(unseen),
    }
}

/// Asks ntpd over UDP on loopback.
///
/// # Errors
///
/// [`Unseen`]; a refusal is [`Status::Unreachable`].
pub fn ask_ntpd(request: &[u8]) -> Result<Vec<u8>, Unseen> {
    ask_port(NTP_PORT, request).map_err(|error| Unseen::from_io(NTP_PORT, &error))
}

fn ask_port(port: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(port)?;
    socket.set_read_timeout(Some(ANSWER_WAIT))?;
    let _sent = socket.send(request)?;
    let mut answer = vec![0; DATAGRAM_BYTES_MAX];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn ask_chronyd_socket(folder: &Path, request: &[u8]) -> Result<Vec<u8>, Unseen> {
    let server = folder.join(CHRONY_SOCKET);
    let unseen = |error: &std::io::Error| Unseen::from_io(&server.to_string_lossy(), error);
    // Looked at first, so that nothing is made where no daemon is.
    let _found = std::fs::metadata(&server).map_err(|error| unseen(&error))?;
    let client = ClientSocket::bind(folder).map_err(|error| unseen(&error))?;
    client.ask(&server, request).map_err(|error| unseen(&error))
}

/// A datagram socket with a name of its own, to which the daemon answers. The name goes when the
/// value goes.
struct ClientSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl ClientSocket {
    fn bind(folder: &Path) -> std::io::Result<Self> {
        /// Tells two sockets of this process apart.
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("evident-agent.{}.{number}.sock", std::process::id());
        let path = folder.join(name);
        let socket = UnixDatagram::bind(&path)?;
        let client = Self { socket, path };
        client.let_daemon_answer()?;
        Ok(client)
    }

    /// Lets the daemon, which is another user, write to the socket.
    ///
    /// The folder belongs to that user, who could put a symbolic link in place of the socket: so
    /// the mode is changed on the inode that was seen to be a socket, and never by its name.
    fn let_daemon_answer(&self) -> std::io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inode = rustix::fs::open(&self.path, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&inode)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Socket {
            return Err(Errno::LOOP.into());
        }
        let name = format!("/proc/self/fd/{}", inode.as_raw_fd());
        rustix::fs::chmod(name, Mode::from_raw_mode(0o666))?;
        Ok(())
    }

    fn ask(&self, server: &Path, request: &[u8]) -> std::io::Result<Vec<u8>> {
        self.socket.connect(server)?;
        self.socket.set_read_timeout(Some(ANSWER_WAIT))?;
        self.socket.set_write_timeout(Some(ANSWER_WAIT))?;
        let _sent = self.socket.send(request)?;
        let mut answer = vec![0; DATAGRAM_BYTES_MAX];
        let length = self.socket.recv(&mut answer)?;
        answer.truncate(length);
        Ok(answer)
    }
}

impl Drop for ClientSocket {
    fn drop(&mut self) {
        // The folder is on a file system that goes with the host, so a name that stays is no harm.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Sends a whole netlink message to kernel auditing and returns the answer: of a list all its
/// messages, one after the other, without the one that ends it.
///
/// # Errors
///
/// [`Unseen`]: missing rights and a foreign user namespace are [`Status::NotPermitted`].
pub fn ask_audit(request: &[u8]) -> Result<Vec<u8>, Unseen> {
    const NAME: &str = "netlink audit";
    let answer = ask_netlink(Some(netlink::AUDIT), request).map_err(|errno| match errno {
        // The kernel refuses the connection from another user namespace than its first one.
        Errno::CONNREFUSED => Unseen::new(NAME, Status::NotPermitted, None),
        other => Unseen::from_errno(NAME, other),
    })?;
    match netlink_error(&answer) {
        None => Ok(answer),
        Some(Errno::CONNREFUSED) => Err(Unseen::new(NAME, Status::NotPermitted, None)),
        Some(errno) => Err(Unseen::from_errno(NAME, errno)),
    }
}

/// Sends a whole netlink message that asks for a list to the routing part of the kernel, and
/// returns the messages of the list, without the one that ends it: rtnetlink(7).
///
/// # Errors
///
/// [`Unseen`].
pub fn ask_route(request: &[u8]) -> Result<Vec<u8>, Unseen> {
    const NAME: &str = "netlink route";
    let answer = ask_netlink(None, request);
    let answer = answer.map_err(|errno| Unseen::from_errno(NAME, errno))?;
    match netlink_error(&answer) {
        None => Ok(answer),
        Some(errno) => Err(Unseen::from_errno(NAME, errno)),
    }
}

/// Asks a part of the kernel; the one without a number is routing.
fn ask_netlink(part: Option<net::Protocol>, request: &[u8]) -> rustix::io::Result<Vec<u8>> {
    let socket = net::socket_with(
        net::AddressFamily::NETLINK,
        net::SocketType::RAW,
        net::SocketFlags::CLOEXEC,
        part,
    )?;
    for way in [net::sockopt::Timeout::Recv, net::sockopt::Timeout::Send] {
        net::sockopt::set_socket_timeout(socket.as_fd(), way, Some(ANSWER_WAIT))?;
    }
    let kernel = netlink::SocketAddrNetlink::new(0, 0);
    let _sent = net::sendto(&socket, request, net::SendFlags::empty(), &kernel)?;
    let route = part.is_none();
    let list = route || kind(request) == Some(AUDIT_LIST_RULES);
    let mut all = Vec::new();
    loop {
        let mut answer = vec![0; DATAGRAM_BYTES_MAX];
        let (_same, length, from) =
            net::recvfrom(&socket, answer.as_mut_slice(), net::RecvFlags::empty())?;
        // Any process may write to a netlink socket; only port 0 is the kernel.
        let sender = from.map(netlink::SocketAddrNetlink::try_from);
        if !matches!(sender, Some(Ok(sender)) if sender.pid() == 0) {
            return Err(Errno::BADMSG);
        }
        answer.truncate(length);
        if !list || kind(&answer) == Some(NLMSG_ERROR) {
            return Ok(answer);
        }
        if kind(&answer) == Some(NLMSG_DONE) {
            return Ok(all);
        }
        if LIST_BYTES_MAX < all.len() + answer.len() {
            return Err(Errno::FBIG);
        }
        // The next one begins at a multiple of four: netlink(7), `NLMSG_ALIGN`.
        answer.resize(length.next_multiple_of(4), 0);
        // Auditing puts one message into a datagram; of the others the last one may be the end.
        let end = if route { end_of_list(&answer) } else { None };
        answer.truncate(end.unwrap_or(answer.len()));
        all.extend(answer);
        if end.is_some() {
            return Ok(all);
        }
    }
}

/// The type of a netlink message.
fn kind(message: &[u8]) -> Option<u16> {
    let kind = message.get(4..6)?.first_chunk::<2>()?;
    #[expect(
        clippy::host_endian_bytes,
        reason = "netlink speaks in the order of the host"
    )]
    Some(u16::from_ne_bytes(*kind))
}

/// Where the message stands that ends a list, when it is in this datagram.
fn end_of_list(messages: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    loop {
        let message = messages.get(at..)?;
        if kind(message)? == NLMSG_DONE {
            return Some(at);
        }
        #[expect(
            clippy::host_endian_bytes,
            reason = "netlink speaks in the order of the host"
        )]
        let length = u32::from_ne_bytes(*message.first_chunk::<4>()?);
        // A message has a header at least, so this ends.
        let length = usize::try_from(length).ok()?.max(16);
        at = at.checked_add(length.checked_next_multiple_of(4)?)?;
    }
}

/// The error that a netlink message carries, when it carries one: netlink(7), `NLMSG_ERROR`.
fn netlink_error(message: &[u8]) -> Option<Errno> {
    let code = message.get(16..20)?.first_chunk::<4>()?;
    #[expect(
        clippy::host_endian_bytes,
        reason = "netlink speaks in the order of the host"
    )]
    let code = i32::from_ne_bytes(*code);
    (kind(message) == Some(NLMSG_ERROR) && code != 0)
        .then(|| Errno::from_raw_os_error(code.saturating_neg()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_of_this_host_has_a_state() {
        let clock = clock().unwrap();
        assert!((0..=5).contains(&clock.state), "{clock:?}");
        assert!(0 <= clock.max_error_us);
    }

    #[test]
    fn the_daemon_answers_to_the_socket_and_its_name_goes() {
        let folder = tempfile::tempdir().unwrap();
        let server = UnixDatagram::bind(folder.path().join(CHRONY_SOCKET)).unwrap();
        let daemon = std::thread::spawn(move || {
            let mut request = [0; 64];
            let (length, from) = server.recv_from(&mut request).unwrap();
            let client = from.as_pathname().unwrap();
            let mode = rustix::fs::stat(client).unwrap().st_mode;
            server.send_to(&request[..length], client).unwrap();
            mode & 0o777
        });
        let answer = ask_chronyd_socket(folder.path(), b"ping").unwrap();
        assert_eq!(answer, b"ping");
        assert_eq!(daemon.join().unwrap(), 0o666);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn no_socket_is_absent_and_a_dead_one_unreachable() {
        let folder = tempfile::tempdir().unwrap();
        let status = || ask_chronyd_socket(folder.path(), b"").unwrap_err().status;
        assert_eq!(status(), Status::Absent);
        drop(UnixDatagram::bind(folder.path().join(CHRONY_SOCKET)).unwrap());
        assert_eq!(status(), Status::Unreachable);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn errors_in_netlink_messages() {
        let mut message = vec![0; 20];
        assert_eq!(netlink_error(&message), None);
        message[4..6].copy_from_slice(&[2, 0]);
        assert_eq!(netlink_error(&message), None, "an acknowledgement");
        message[16..20].copy_from_slice(&[0xff; 4]);
        assert_eq!(netlink_error(&message), Some(Errno::PERM));
        assert_eq!(netlink_error(&message[..19]), None);
    }
}
