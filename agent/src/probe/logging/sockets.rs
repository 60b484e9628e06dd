//! The sockets of the host, and which program has them: proc(5), `/proc/net/tcp` and its like.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use shared::observation::{Means, Status};

use crate::host::{Host, Unseen};
use crate::probe::Seen;
use crate::probe::processes::Processes;

/// Longest list of sockets: some fifty thousand.
const LIST_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Most open files of one daemon.
const FILES_MAX: usize = 4096;
/// States in the lists: established, and listening.
const ESTABLISHED: u8 = 1;
const LISTENING: u8 = 10;
/// Ports from here on are given to whoever asks for none: tcp(7), `ip_local_port_range`.
const EPHEMERAL: u16 = 32_768;

/// The lists, and whether they are of TCP.
const LISTS: [(&str, bool); 4] = [
    ("/proc/net/tcp", true),
    ("/proc/net/tcp6", true),
    ("/proc/net/udp", false),
    ("/proc/net/udp6", false),
];

/// One socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// TCP, not UDP.
    pub(super) tcp: bool,
    /// Own address and port.
    pub(super) local: (IpAddr, u16),
    /// Address and port of the other end.
    pub(super) remote: (IpAddr, u16),
    state: u8,
    inode: u64,
}

/// All sockets.
#[derive(Debug)]
pub(super) struct Sockets(Vec<Socket>);

impl Sockets {
    /// Looks at the lists; `None`, and a source that says why, when one could not be read.
    pub(super) fn look(host: &dyn Host, seen: &mut Seen) -> Option<Self> {
        let mut all = Vec::new();
        for (path, tcp) in LISTS {
            match host.read(path, LIST_BYTES_MAX) {
                // A host without IPv6.
                Err(unseen) if unseen.is_absent() && path.ends_with('6') => {}
                list => {
                    let list = seen.note(Means::File, path, list)?;
                    let list = String::from_utf8_lossy(&list);
                    let sockets: Option<Vec<_>> =
                        list.lines().skip(1).map(|line| socket(line, tcp)).collect();
                    let malformed = || Unseen::new(path, Status::Malformed, None);
                    all.extend(seen.note(Means::File, path, sockets.ok_or_else(malformed))?);
                }
            }
        }
        Some(Self(all))
    }

    /// Whether one of the processes has a connection to this port, and to this address where it is
    /// known.
    pub(super) fn connected(
        &self,
        owned: &BTreeSet<u64>,
        address: Option<IpAddr>,
        port: u16,
    ) -> bool {
        self.0.iter().any(|socket| {
            socket.tcp
                && socket.state == ESTABLISHED
                && socket.remote.1 == port
                && owned.contains(&socket.inode)
                && address.is_none_or(|address| plain(address) == plain(socket.remote.0))
        })
    }

    /// The sockets at which somebody else on the network may deliver: those that listen, and those
    /// of UDP with a port that was asked for.
    pub(super) fn open(&self) -> impl Iterator<Item = &Socket> {
        self.0.iter().filter(|socket| {
            let waits = if socket.tcp {
                socket.state == LISTENING
            } else {
                socket.remote.1 == 0 && socket.local.1 < EPHEMERAL
            };
            waits && !plain(socket.local.0).is_loopback()
        })
    }
}

impl Socket {
    /// Whether one of these is its number.
    pub(super) fn is_one_of(&self, inodes: &BTreeSet<u64>) -> bool {
        inodes.contains(&self.inode)
    }
}

/// The numbers of the sockets that the processes of this name have open.
pub(super) fn owned(
    host: &dyn Host,
    processes: &Processes,
    name: &str,
) -> Result<BTreeSet<u64>, Unseen> {
    let mut inodes = BTreeSet::new();
    for process in processes.numbers(name) {
        let folder = format!("/proc/{process}/fd");
        let files = match host.list(&folder) {
            // It ended meanwhile.
            Err(unseen) if unseen.is_absent() => continue,
            files => files?,
        };
        if FILES_MAX < files.len() {
            let why = format!("more than {FILES_MAX} open files");
            return Err(Unseen::new(&folder, Status::Limit, Some(&why)));
        }
        for file in files {
            match host.link(&format!("{folder}/{file}")) {
                Ok(target) => {
                    let number = target
                        .strip_prefix("socket:[")
                        .and_then(|rest| rest.strip_suffix(']'));
                    inodes.extend(number.and_then(|number| number.parse::<u64>().ok()));
                }
                // It was closed meanwhile.
                Err(unseen) if unseen.is_absent() => {}
                Err(unseen) => return Err(unseen),
            }
        }
    }
    Ok(inodes)
}

/// One line of a list: proc(5).
fn socket(line: &str, tcp: bool) -> Option<Socket> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    Some(Socket {
        tcp,
        local: end(words.get(1)?)?,
        remote: end(words.get(2)?)?,
        state: u8::from_str_radix(words.get(3)?, 16).ok()?,
        inode: words.get(9)?.parse().ok()?,
    })
}

/// `0100007F:0202`: the bytes of each word of the address stand in the order of the host, and every
/// host that is known here begins with the last one.
fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut words = Vec::new();
    for at in (0..address.len()).step_by(8) {
        let word = address.get(at..at + 8)?;
        words.push(u32::from_str_radix(word, 16).ok()?.swap_bytes());
    }
    let address = match words.as_slice() {
        [word] => Ipv4Addr::from_bits(*word).into(),
        [one, two, three, four] => {
            let high = u128::from(*one) << 96 | u128::from(*two) << 64;
            let low = u128::from(*three) << 32 | u128::from(*four);
            Ipv6Addr::from_bits(high | low).into()
        }
        _ => return None,
    };
    Some((address, port))
}

/// An address of IPv4 that is written as one of IPv6 is the one of IPv4.
fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_lists() {
        // From a host with rsyslogd that listens and sends.
        let line = "   1: 0100007F:1FB5 0100007F:B5DA 01 00000000:00000000 00:00000000 00000000 \
                    \x20   0        0 86417 1 0000000000000000 20 4 30 10 -1";
        let found = socket(line, true).unwrap();
        assert_eq!(found.local, ("127.0.0.1".parse().unwrap(), 8117));
        assert_eq!(found.remote.1, 46_554);
        assert_eq!((found.state, found.inode), (1, 86_417));
        let line = "  0: 00000000000000000000000001000000:0016 \
                    00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 77 1";
        let found = socket(line, true).unwrap();
        assert_eq!(found.local, ("::1".parse().unwrap(), 22));
        let mapped = end("0000000000000000FFFF00000A00020F:0202").unwrap();
        assert_eq!(plain(mapped.0).to_string(), "15.2.0.10");
        for bad in ["", "0: 1 2 3", "0: 0100007F:00 0100007F:00 0A 0 0 0 0 0 x"] {
            assert_eq!(socket(bad, true), None, "{bad}");
        }
        for bad in [
            "0100007F",
            "01:02",
            "0100007G:0001",
            "0100007F0100007F:0001",
        ] {
            assert_eq!(end(bad), None, "{bad}");
        }
    }

    #[test]
    fn connections_and_open_ports() {
        let made = |tcp, local: &str, remote: &str, state, inode| Socket {
            tcp,
            local: end(local).unwrap(),
            remote: end(remote).unwrap(),
            state,
            inode,
        };
        let sockets = Sockets(vec![
            made(true, "0200000A:9000", "010200C0:1972", ESTABLISHED, 7),
            made(true, "00000000:0202", "00000000:0000", LISTENING, 8),
            made(true, "0100007F:0203", "00000000:0000", LISTENING, 9),
            made(false, "00000000:0202", "00000000:0000", 7, 10),
            made(false, "00000000:C000", "00000000:0000", 7, 11),
        ]);
        let address = "192.0.2.1".parse().ok();
        let own = BTreeSet::from([7]);
        assert!(sockets.connected(&own, address, 6514));
        assert!(sockets.connected(&own, None, 6514));
        assert!(!sockets.connected(&own, "192.0.2.2".parse().ok(), 6514));
        assert!(!sockets.connected(&own, address, 514));
        assert!(!sockets.connected(&BTreeSet::from([8]), address, 6514));
        let open: Vec<u64> = sockets.open().map(|socket| socket.inode).collect();
        assert_eq!(open, [8, 10]);
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(line in "([0-9A-F: ]|\\PC)*") {
            let _socket = socket(&line, true);
        }
    }
}
