//! Machines on the same networks, as the kernel remembers them of ARP and of neighbour discovery,
//! and the addresses of this host itself.
//!
//! An entry without an answer is left out. The state of an entry changes by the second and says
//! nothing of the machine, so it is not told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use shared::observation::{Means, Status};

use super::{is_other, record};
use crate::host::{Host, Socket, Unseen};
use crate::probe::Seen;

/// The table of IPv4.
const ARP: &str = "/proc/net/arp";
/// Own addresses of IPv6 with number and name of their device: `proc_pid_net(5)`.
const DEVICES: &str = "/proc/net/if_inet6";
/// Longest table: some ten thousand entries.
const TABLE_BYTES_MAX: u64 = 1024 * 1024;

/// `RTM_GETADDR` in linux/rtnetlink.h.
const RTM_GETADDR: u16 = 22;
/// `IFA_ADDRESS` in `linux/if_addr.h`; of a line between two it is the other end.
const IFA_ADDRESS: u16 = 1;
/// `IFA_LOCAL` in `linux/if_addr.h`.
const IFA_LOCAL: u16 = 2;
/// `IFA_LABEL` in `linux/if_addr.h`: the name of the device, with a suffix perhaps.
const IFA_LABEL: u16 = 3;
/// `struct ifaddrmsg`.
const OWN_BYTES: usize = 8;
/// `RTM_GETNEIGH` in linux/rtnetlink.h.
const RTM_GETNEIGH: u16 = 30;
/// `NLM_F_REQUEST | NLM_F_DUMP` in linux/netlink.h.
const DUMP: u16 = 0x301;
/// `AF_INET6`.
const INET6: u8 = 10;
/// `NDA_DST` in linux/neighbour.h.
const NDA_DST: u16 = 1;
/// `NDA_LLADDR` in linux/neighbour.h.
const NDA_LLADDR: u16 = 2;
/// `NUD_INCOMPLETE | NUD_FAILED | NUD_NOARP` in linux/neighbour.h: nobody answered, or nobody is
/// asked.
const NUD_NO_ANSWER: u16 = 0x01 | 0x20 | 0x40;
/// Header of a message, see netlink(7), and what a neighbour begins with: `struct ndmsg`.
const HEADER_BYTES: usize = 16;
const NEIGHBOUR_BYTES: usize = 12;

/// A machine: its address, the device and its address on the link.
type Link = (IpAddr, String, String);

/// States the machines on the same networks.
pub(super) fn look(host: &dyn Host, seen: &mut Seen) {
    let arp = host.read(ARP, TABLE_BYTES_MAX);
    let arp = seen.note(Means::File, ARP, arp);
    let arp = arp.map(|bytes| of_arp(&String::from_utf8_lossy(&bytes)));
    let discovered = host
        .ask(
            Socket::Route,
            &request(RTM_GETNEIGH, INET6, NEIGHBOUR_BYTES),
        )
        .and_then(|answer| {
            let names = devices(host);
            of_list(&answer, |body| neighbour(body, &names))
        });
    let discovered = seen.note(Means::Netlink, "netlink route neighbours", discovered);
    if arp.is_none() && discovered.is_none() {
        return;
    }
    let whole = arp.is_some() && discovered.is_some();
    let links: BTreeSet<Link> = [arp, discovered].into_iter().flatten().flatten().collect();
    if whole {
        let addresses: BTreeSet<_> = links.iter().map(|(address, ..)| address).collect();
        seen.state_count("link_count", addresses.len());
    }
    let records = links.into_iter().map(|(address, device, mac)| {
        let address = address.to_string();
        record(&[("address", address), ("device", device), ("mac", mac)])
    });
    seen.state_list("links", records.collect());
}

/// `IP address  HW type  Flags  HW address  Mask  Device`: flag 2 is `ATF_COM`, complete.
fn of_arp(text: &str) -> Vec<Link> {
    let links = text.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next()?.parse().ok()?;
        let flags = words.nth(1)?.strip_prefix("0x")?;
        let complete = u32::from_str_radix(flags, 16).ok()? & 2 != 0;
        let mac = words.next()?.to_owned();
        let device = words.nth(1)?.to_owned();
        (complete && is_other(address)).then_some((address, device, mac))
    });
    links.collect()
}

/// States the addresses of this host itself.
pub(super) fn own(host: &dyn Host, seen: &mut Seen) {
    let answer = host.ask(Socket::Route, &request(RTM_GETADDR, 0, OWN_BYTES));
    let names = devices(host);
    let own = answer.and_then(|answer| of_list(&answer, |body| own_address(body, &names)));
    let Some(own) = seen.note(Means::Netlink, "netlink route addresses", own) else {
        return;
    };
    let own: BTreeSet<_> = own.into_iter().collect();
    let records = own.into_iter().map(|(address, device)| {
        let address = address.to_string();
        record(&[("address", address), ("device", device)])
    });
    seen.state_list("addresses", records.collect());
}

/// Asks for a list of all entries of a family of addresses.
fn request(kind: u16, family: u8, body_bytes: usize) -> Vec<u8> {
    let bytes = HEADER_BYTES + body_bytes;
    let length = u32::try_from(bytes).unwrap_or(u32::MAX);
    let mut request = Vec::with_capacity(bytes);
    #[expect(
        clippy::host_endian_bytes,
        reason = "netlink speaks in the order of the host"
    )]
    for part in [
        &length.to_ne_bytes()[..],
        &kind.to_ne_bytes(),
        &DUMP.to_ne_bytes(),
        &1_u32.to_ne_bytes(),
        &0_u32.to_ne_bytes(),
    ] {
        request.extend_from_slice(part);
    }
    request.push(family);
    request.resize(bytes, 0);
    request
}

/// Names of devices by their numbers.
fn devices(host: &dyn Host) -> BTreeMap<u32, String> {
    let table = host.read(DEVICES, TABLE_BYTES_MAX).unwrap_or_default();
    let table = String::from_utf8_lossy(&table);
    let named = table.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let number = u32::from_str_radix(words.nth(1)?, 16).ok()?;
        Some((number, words.last()?.to_owned()))
    });
    named.collect()
}

/// What `entry` makes of the messages in a list.
fn of_list<T>(answer: &[u8], entry: impl Fn(&[u8]) -> Option<T>) -> Result<Vec<T>, Unseen> {
    let mut entries = Vec::new();
    let mut rest = answer;
    while !rest.is_empty() {
        let malformed = || Unseen::new("netlink route", Status::Malformed, None);
        let length = number::<4>(rest, 0).map(u32_of).ok_or_else(malformed)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let message = rest.get(..length).filter(|_| HEADER_BYTES <= length);
        let body = message.and_then(|message| message.get(HEADER_BYTES..));
        entries.extend(entry(body.ok_or_else(malformed)?));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(entries)
}

/// The attributes of a message, behind what it begins with: each a kind and a value.
fn attributes(body: &[u8], begin: usize) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = body.get(begin..).unwrap_or_default();
    std::iter::from_fn(move || {
        let length = usize::from(u16_of(number(rest, 0)?));
        let kind = u16_of(number(rest, 2)?);
        let value = rest.get(4..length)?;
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn address(value: &[u8]) -> Option<IpAddr> {
    let six = <[u8; 16]>::try_from(value).map(|six| Ipv6Addr::from(six).into());
    let four = || <[u8; 4]>::try_from(value).map(|four| Ipv4Addr::from(four).into());
    six.or_else(|_length| four()).ok()
}

/// One neighbour; `None` for one that did not answer.
fn neighbour(body: &[u8], devices: &BTreeMap<u32, String>) -> Option<Link> {
    let state = u16_of(number(body, 8)?);
    if body.first() != Some(&INET6) || state & NUD_NO_ANSWER != 0 {
        return None;
    }
    let device = devices.get(&u32_of(number(body, 4)?));
    let (mut found, mut mac) = (None, String::new());
    for (kind, value) in attributes(body, NEIGHBOUR_BYTES) {
        if kind == NDA_DST {
            found = address(value);
        } else if kind == NDA_LLADDR {
            let pairs: Vec<_> = value.iter().map(|byte| format!("{byte:02x}")).collect();
            mac = pairs.join(":");
        }
    }
    let found = found.filter(|found| is_other(*found) && !mac.is_empty())?;
    Some((found, device.cloned().unwrap_or_default(), mac))
}

/// One address of this host, and its device.
fn own_address(body: &[u8], devices: &BTreeMap<u32, String>) -> Option<(IpAddr, String)> {
    let number = u32_of(number(body, 4)?);
    let (mut plain, mut local, mut device) = (None, None, devices.get(&number).cloned());
    for (kind, value) in attributes(body, OWN_BYTES) {
        match kind {
            IFA_ADDRESS => plain = address(value),
            IFA_LOCAL => local = address(value),
            IFA_LABEL => {
                let label = String::from_utf8_lossy(value);
                let label = label.trim_end_matches('\0').split(':').next();
                device = device.or(label.map(str::to_owned));
            }
            _ => {}
        }
    }
    let own = local.or(plain).filter(|own| is_other(*own))?;
    Some((own, device.unwrap_or_default()))
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

#[expect(
    clippy::host_endian_bytes,
    reason = "netlink speaks in the order of the host"
)]
const fn u16_of(bytes: [u8; 2]) -> u16 {
    u16::from_ne_bytes(bytes)
}

#[expect(
    clippy::host_endian_bytes,
    reason = "netlink speaks in the order of the host"
)]
const fn u32_of(bytes: [u8; 4]) -> u32 {
    u32::from_ne_bytes(bytes)
}
