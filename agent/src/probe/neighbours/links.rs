//! Machines on the same networks: what the kernel remembers of ARP and of neighbour discovery.
//!
//! An entry without an answer is left out. The state of an entry changes by the second and says
//! nothing of the machine, so it is not told.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

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
        .ask(Socket::Route, &request())
        .and_then(|answer| of_list(&answer, &devices(host)));
    let discovered = seen.note(Means::Netlink, "netlink route", discovered);
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

/// Asks for all neighbours of IPv6.
fn request() -> Vec<u8> {
    let mut request = Vec::with_capacity(HEADER_BYTES + NEIGHBOUR_BYTES);
    #[expect(
        clippy::host_endian_bytes,
        reason = "netlink speaks in the order of the host"
    )]
    for part in [
        &28_u32.to_ne_bytes()[..],
        &RTM_GETNEIGH.to_ne_bytes(),
        &DUMP.to_ne_bytes(),
        &1_u32.to_ne_bytes(),
        &0_u32.to_ne_bytes(),
    ] {
        request.extend_from_slice(part);
    }
    request.push(INET6);
    request.resize(HEADER_BYTES + NEIGHBOUR_BYTES, 0);
    request
}

/// Names of devices by their numbers.
fn devices(host: &dyn Host) -> BTreeMap<i32, String> {
    let table = host.read(DEVICES, TABLE_BYTES_MAX).unwrap_or_default();
    let table = String::from_utf8_lossy(&table);
    let named = table.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let number = i32::from_str_radix(words.nth(1)?, 16).ok()?;
        Some((number, words.last()?.to_owned()))
    });
    named.collect()
}

/// The neighbours in a list of netlink messages.
fn of_list(answer: &[u8], devices: &BTreeMap<i32, String>) -> Result<Vec<Link>, Unseen> {
    let mut links = Vec::new();
    let mut rest = answer;
    while !rest.is_empty() {
        let malformed = || Unseen::new("netlink route", Status::Malformed, None);
        let length = number::<4>(rest, 0).map(u32_of).ok_or_else(malformed)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let message = rest.get(..length).filter(|_| HEADER_BYTES <= length);
        let body = message.and_then(|message| message.get(HEADER_BYTES..));
        links.extend(neighbour(body.ok_or_else(malformed)?, devices));
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(links)
}

/// One neighbour; `None` for one that did not answer.
fn neighbour(body: &[u8], devices: &BTreeMap<i32, String>) -> Option<Link> {
    let state = u16_of(number(body, 8)?);
    if body.first() != Some(&INET6) || state & NUD_NO_ANSWER != 0 {
        return None;
    }
    let device = i32_of(number(body, 4)?);
    let (mut address, mut mac) = (None, String::new());
    let mut rest = body.get(NEIGHBOUR_BYTES..)?;
    while let Some(length) = number::<2>(rest, 0).map(u16_of) {
        let length = usize::from(length).max(4);
        let value = rest.get(4..length)?;
        match u16_of(number(rest, 2)?) {
            NDA_DST => address = <[u8; 16]>::try_from(value).ok().map(Ipv6Addr::from),
            NDA_LLADDR => {
                let pairs: Vec<_> = value.iter().map(|byte| format!("{byte:02x}")).collect();
                mac = pairs.join(":");
            }
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    let address = IpAddr::from(address?);
    let device = devices.get(&device).cloned().unwrap_or_default();
    (is_other(address) && !mac.is_empty()).then_some((address, device, mac))
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

#[expect(
    clippy::host_endian_bytes,
    reason = "netlink speaks in the order of the host"
)]
const fn i32_of(bytes: [u8; 4]) -> i32 {
    i32::from_ne_bytes(bytes)
}
