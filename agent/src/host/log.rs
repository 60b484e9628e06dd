//! Gives one line to the log daemons of this host.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use shared::observation::Status;

use super::Unseen;

/// Longest line.
pub const LINE_BYTES_MAX: usize = 512;
/// Name by which log daemons know the agent's lines.
pub const IDENTIFIER: &str = "evident";
/// How long a daemon may take to accept a line.
const SEND_WAIT: Duration = Duration::from_secs(1);

/// A way to the log daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// `/run/systemd/journal/socket`: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL>.
    Journal,
    /// `/dev/log`: syslog(3).
    Syslog,
}

impl Way {
    /// Both ways.
    pub const ALL: [Self; 2] = [Self::Journal, Self::Syslog];

    /// Its name in facts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Journal => "journal",
            Self::Syslog => "syslog",
        }
    }

    /// The socket.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Journal => "/run/systemd/journal/socket",
            Self::Syslog => "/dev/log",
        }
    }

    /// The datagram that carries a line: facility user, severity informational.
    fn datagram(self, line: &str) -> String {
        match self {
            Self::Journal => format!(
                "MESSAGE={line}\nPRIORITY=6\nSYSLOG_FACILITY=1\nSYSLOG_IDENTIFIER={IDENTIFIER}\n"
            ),
            // Without a time: the daemon puts its own there, and needs no zone to read ours.
            Self::Syslog => format!("<14>{IDENTIFIER}[{}]: {line}", std::process::id()),
        }
    }
}

/// Gives one line to the socket `path`.
///
/// # Errors
///
/// [`Unseen`]: `absent` without a socket, `unreachable` without a daemon, `timed-out` when it
/// accepts nothing within a second, `limit` and `malformed` when it is not one short line.
pub fn send(path: &Path, way: Way, line: &str) -> Result<(), Unseen> {
    let name = path.to_string_lossy();
    if LINE_BYTES_MAX < line.len() {
        return Err(Unseen::new(&name, Status::Limit, Some("a longer line")));
    }
    if line.contains(|character: char| character.is_control()) {
        return Err(Unseen::new(&name, Status::Malformed, Some("not one line")));
    }
    let datagram = way.datagram(line);
    let sent = || {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_WAIT))?;
        socket.send_to(datagram.as_bytes(), path)
    };
    match sent() {
        Ok(_whole) => Ok(()),
        Err(error) => Err(Unseen::from_io(&name, &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_gets_the_line_in_its_own_form() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let status = |line: &str| send(&path, Way::Journal, line).map_err(|unseen| unseen.status);
        assert_eq!(status("x"), Err(Status::Absent));
        let daemon = UnixDatagram::bind(&path).unwrap();
        let heard = |way| {
            send(&path, way, "one two").unwrap();
            let mut bytes = vec![0; 256];
            let length = daemon.recv(&mut bytes).unwrap();
            String::from_utf8(bytes[..length].to_vec()).unwrap()
        };
        let expected =
            "MESSAGE=one two\nPRIORITY=6\nSYSLOG_FACILITY=1\nSYSLOG_IDENTIFIER=evident\n";
        assert_eq!(heard(Way::Journal), expected);
        let expected = format!("<14>evident[{}]: one two", std::process::id());
        assert_eq!(heard(Way::Syslog), expected);
        assert_eq!(status("one\nPRIORITY=0"), Err(Status::Malformed));
        assert_eq!(status(&"x".repeat(513)), Err(Status::Limit));
        drop(daemon);
        assert_eq!(status("x"), Err(Status::Unreachable));
    }

    #[test]
    fn a_daemon_that_does_not_read_holds_up_nobody_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let _daemon = UnixDatagram::bind(&path).unwrap();
        let refused = (0..10_000).find_map(|_| send(&path, Way::Syslog, "x").err());
        assert_eq!(refused.unwrap().status, Status::TimedOut);
    }
}
