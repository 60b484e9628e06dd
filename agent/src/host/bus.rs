//! Questions to systemd and its services over D-Bus: a fixed list that only reads.
//!
//! A call never starts a service, takes no handles of files, hears no signals, and is over after
//! two seconds. Without a bus daemon systemd itself is asked, over its private socket.

use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{self, sockopt};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use shared::observation::Status;

use super::Unseen;

mod wire;

use wire::{Argument, Call, HEAD_BYTES, Message};

/// The socket of the bus daemon: D-Bus Specification, "Well-known message bus instances".
const BUS: &str = "/run/dbus/system_bus_socket";
/// The socket of systemd itself, which only root may use.
const SYSTEMD: &str = "/run/systemd/private";
/// How long a question may take, with everything.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// Most messages that are read while one is waited for; the others are signals to everybody.
const MESSAGES_MAX: u32 = 64;
/// Longest line of the handshake.
const LINE_BYTES_MAX: usize = 1024;

/// A question that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusCall<'a> {
    /// All properties of a unit of systemd, as an object. What systemd does not know is a unit
    /// too, whose `LoadState` is `not-found`.
    Unit(&'a str),
    /// The units in memory that failed, or that are timers: each an array of name, description,
    /// load state, active state, sub-state and more, see `org.freedesktop.systemd1(5)`.
    Units(Listed),
    /// All properties of systemd-timesyncd, as an object; absent when it does not run.
    Timesync,
}

/// Which units are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Those that failed.
    Failed,
    /// The timers.
    Timers,
}

impl BusCall<'_> {
    /// What is asked, as it stands in a source.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Unit(name) => format!("systemd {name}"),
            Self::Units(Listed::Failed) => "systemd failed units".to_owned(),
            Self::Units(Listed::Timers) => "systemd timers".to_owned(),
            Self::Timesync => "systemd-timesyncd".to_owned(),
        }
    }
}

/// Asks over the bus, or, when there is none, systemd itself.
///
/// # Errors
///
/// [`Unseen`]; without systemd, or without the service, [`Status::Absent`].
pub fn ask(call: BusCall<'_>) -> Result<Value, Unseen> {
    match ask_at(BUS, true, call) {
        Err(unseen) if unseen.what == BUS && call != BusCall::Timesync => {
            match ask_at(SYSTEMD, false, call) {
                Err(other) if other.is_absent() => Err(unseen),
                answer => answer,
            }
        }
        answer => answer,
    }
}

/// Asks at a socket, which is that of a bus daemon or of systemd itself. When the socket does not
/// answer at all, it is what was not seen.
fn ask_at(socket: &str, bus: bool, call: BusCall<'_>) -> Result<Value, Unseen> {
    const MANAGER: &str = "org.freedesktop.systemd1.Manager";
    let mut connection = Connection::open(socket)?;
    if bus {
        let hello = Call {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "Hello",
            arguments: &[],
        };
        let _name = connection.call(&hello, socket)?;
    }
    let what = call.name();
    let unit;
    let mut systemd = Call {
        destination: "org.freedesktop.systemd1",
        path: "/org/freedesktop/systemd1",
        interface: MANAGER,
        member: "ListUnitsByPatterns",
        arguments: &[],
    };
    match call {
        BusCall::Unit(name) => {
            unit = unit_path(name);
            systemd.path = &unit;
            systemd.interface = "org.freedesktop.DBus.Properties";
            systemd.member = "GetAll";
            // No name stands for all interfaces of the object at once.
            systemd.arguments = &[Argument::Text("")];
            connection.call(&systemd, &what)
        }
        BusCall::Units(Listed::Failed) => {
            systemd.arguments = &[Argument::Texts(&["failed"]), Argument::Texts(&[])];
            connection.call(&systemd, &what)
        }
        BusCall::Units(Listed::Timers) => {
            systemd.arguments = &[Argument::Texts(&[]), Argument::Texts(&["*.timer"])];
            connection.call(&systemd, &what)
        }
        BusCall::Timesync => {
            let timesync = Call {
                destination: "org.freedesktop.timesync1",
                path: "/org/freedesktop/timesync1",
                interface: "org.freedesktop.DBus.Properties",
                member: "GetAll",
                arguments: &[Argument::Text("org.freedesktop.timesync1.Manager")],
            };
            connection.call(&timesync, &what)
        }
    }
}

/// The path of the object of a unit: letters and digits stand for themselves, other bytes are
/// written as `_` and two hex digits, and so is a digit at the beginning.
///
/// Source: `sd_bus_path_encode(3)`.
fn unit_path(name: &str) -> String {
    let begin = "/org/freedesktop/systemd1/unit/".to_owned();
    let plain =
        |index, byte: u8| byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && index != 0);
    let bytes = name.bytes().enumerate();
    bytes.fold(begin, |path, (index, byte)| {
        if plain(index, byte) {
            format!("{path}{}", char::from(byte))
        } else {
            format!("{path}_{byte:02x}")
        }
    })
}

/// A connection that was let in.
struct Connection {
    stream: UnixStream,
    end: Duration,
    number: u32,
}

impl Connection {
    fn open(path: &str) -> Result<Self, Unseen> {
        let unseen = |errno| Unseen::from_errno(path, errno);
        let socket = net::socket_with(
            net::AddressFamily::UNIX,
            net::SocketType::STREAM,
            net::SocketFlags::CLOEXEC,
            None,
        )
        .map_err(unseen)?;
        // It bounds how long connect(2) waits for a daemon that takes nobody in: unix(7).
        let wait = Some(ANSWER_WAIT);
        sockopt::set_socket_timeout(socket.as_fd(), sockopt::Timeout::Send, wait)
            .map_err(unseen)?;
        let address = net::SocketAddrUnix::new(path).map_err(unseen)?;
        net::connect(&socket, &address).map_err(unseen)?;
        let mut connection = Self {
            stream: UnixStream::from(socket),
            end: since_boot().saturating_add(ANSWER_WAIT),
            number: 0,
        };
        connection.let_in(path)?;
        Ok(connection)
    }

    /// Says who is there, which the kernel vouches for. Everything is said at once: systemd does
    /// not notice a first call that it reads together with the `BEGIN` before it.
    ///
    /// Source: D-Bus Specification, "Authentication protocol" with the mechanism `EXTERNAL`.
    fn let_in(&mut self, path: &str) -> Result<(), Unseen> {
        let user = rustix::process::geteuid().as_raw().to_string();
        let digits = user
            .bytes()
            .fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
        let hello = format!("\0AUTH EXTERNAL {digits}\r\nBEGIN\r\n");
        self.write(hello.as_bytes(), path)?;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let [byte] = self.read(path)?;
            line.push(byte);
            if LINE_BYTES_MAX < line.len() {
                return Err(Unseen::new(path, Status::Malformed, Some("handshake")));
            }
        }
        if line.starts_with(b"REJECTED") {
            return Err(Unseen::new(path, Status::NotPermitted, None));
        }
        if !line.starts_with(b"OK ") {
            return Err(Unseen::new(path, Status::Malformed, Some("handshake")));
        }
        Ok(())
    }

    /// The one value that a call gives.
    fn call(&mut self, call: &Call<'_>, what: &str) -> Result<Value, Unseen> {
        self.number = self.number.saturating_add(1);
        self.write(&call.bytes(self.number), what)?;
        for _message in 0..MESSAGES_MAX {
            let message = self.message(what)?;
            if message.answers != self.number {
                continue;
            }
            if let Some(name) = &message.error {
                return Err(refused(what, name, &message.body));
            }
            let mut body = message.body.into_iter();
            return match (body.next(), body.next()) {
                (Some(value), None) => Ok(value),
                _ => Err(Unseen::new(what, Status::Malformed, Some("no value"))),
            };
        }
        let why = "other messages only";
        Err(Unseen::new(what, Status::Malformed, Some(why)))
    }

    fn message(&mut self, what: &str) -> Result<Message, Unseen> {
        let malformed = || Unseen::new(what, Status::Malformed, Some("no message"));
        let head = self.read::<HEAD_BYTES>(what)?;
        let length = wire::message_length(&head).ok_or_else(malformed)?;
        let mut bytes = vec![0; length];
        let (begin, rest) = bytes
            .split_at_mut_checked(HEAD_BYTES)
            .ok_or_else(malformed)?;
        begin.copy_from_slice(&head);
        self.fill(rest, what)?;
        Message::read(&bytes).ok_or_else(malformed)
    }

    fn read<const N: usize>(&mut self, what: &str) -> Result<[u8; N], Unseen> {
        let mut bytes = [0; N];
        self.fill(&mut bytes, what)?;
        Ok(bytes)
    }

    fn fill(&mut self, mut bytes: &mut [u8], what: &str) -> Result<(), Unseen> {
        while !bytes.is_empty() {
            self.limit(what)?;
            let read = self.stream.read(bytes);
            let length = read.map_err(|error| Unseen::from_io(what, &error))?;
            bytes = match bytes.get_mut(length..) {
                Some(rest) if 0 < length => rest,
                _ => {
                    let why = "it hung up";
                    return Err(Unseen::new(what, Status::Unreachable, Some(why)));
                }
            };
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8], what: &str) -> Result<(), Unseen> {
        self.limit(what)?;
        let written = self.stream.write_all(bytes);
        written.map_err(|error| Unseen::from_io(what, &error))
    }

    /// Lets the next step take what is left of the time.
    fn limit(&self, what: &str) -> Result<(), Unseen> {
        let left = self.end.saturating_sub(since_boot());
        if left.is_zero() {
            return Err(Unseen::new(what, Status::TimedOut, None));
        }
        let set = self.stream.set_read_timeout(Some(left));
        let set = set.and_then(|()| self.stream.set_write_timeout(Some(left)));
        set.map_err(|error| Unseen::from_io(what, &error))
    }
}

/// Time by a clock that nobody sets.
fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    Duration::from_secs(part(time.tv_sec)).saturating_add(Duration::from_nanos(part(time.tv_nsec)))
}

/// Why a call was refused, from the name of the error and the text beside it.
fn refused(what: &str, error: &str, body: &[Value]) -> Unseen {
    const COMMON: &str = "org.freedesktop.DBus.Error.";
    let status = match error.strip_prefix(COMMON).unwrap_or(error) {
        "ServiceUnknown" | "NameHasNoOwner" | "org.freedesktop.systemd1.NoSuchUnit" => {
            Status::Absent
        }
        "AccessDenied" | "AuthFailed" | "InteractiveAuthorizationRequired" => Status::NotPermitted,
        "UnknownMethod" | "UnknownObject" | "UnknownInterface" | "UnknownProperty"
        | "NotSupported" => Status::Unsupported,
        "NoReply" | "Timeout" | "TimedOut" => Status::TimedOut,
        "Disconnected" => Status::Unreachable,
        "LimitsExceeded" => Status::Limit,
        _ => Status::Failed,
    };
    let text = body.first().and_then(Value::as_str).unwrap_or_default();
    let detail = format!("{error}: {text}");
    Unseen::new(what, status, (status == Status::Failed).then_some(&detail))
}

#[cfg(test)]
mod tests;
