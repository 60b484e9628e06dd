//! systemd-timesyncd over D-Bus: its server, and the last packet that came from it.
//!
//! It speaks SNTP, with one server at a time, so it can never compare two. Source: the properties
//! of `org.freedesktop.timesync1.Manager`; the fields of `NTPMessage` are leap, version, mode,
//! stratum, precision, root delay, root dispersion, reference, the four times of the exchange,
//! spike, packet count and jitter; all times are microseconds.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde_json::Value as Json;
use shared::fact::Value;
use shared::observation::Status;
use shared::time::Timestamp;

use super::reported::{Polled, Tracking, aged_us, leap, record};
use crate::host::bus::BusCall;
use crate::host::{Host, Unseen};

/// The daemon of systemd, which has servers built into it.
pub(super) const TIMESYNCD: &str = "systemd-timesyncd";

/// Asks systemd-timesyncd. Without a packet there is no state and its server is no source.
///
/// # Errors
///
/// [`Unseen`]; [`Status::Absent`] when it does not run.
pub(super) fn ask(host: &dyn Host, now: Timestamp) -> Result<(Tracking, Vec<Polled>), Unseen> {
    read(&host.bus(BusCall::Timesync)?, now)
}

fn read(all: &Json, now: Timestamp) -> Result<(Tracking, Vec<Polled>), Unseen> {
    let malformed = || Unseen::new("systemd-timesyncd", Status::Malformed, None);
    let server = Server::read(all).ok_or_else(malformed)?;
    let packet = all.get("NTPMessage").ok_or_else(malformed)?;
    let heard = packet
        .get(13)
        .and_then(Json::as_u64)
        .ok_or_else(malformed)?;
    if heard == 0 {
        return Ok(silent(&server));
    }
    let packet = Packet::read(packet).ok_or_else(malformed)?;
    reported(&server, &packet, now).ok_or_else(malformed)
}

/// The server in use, which is none at first.
struct Server {
    name: Option<String>,
    address: Option<String>,
    poll_us: u64,
    distance_us_max: u64,
}

impl Server {
    fn read(all: &Json) -> Option<Self> {
        let name = all.get("ServerName")?.as_str()?;
        Some(Self {
            name: (!name.is_empty()).then(|| name.to_owned()),
            address: address(all.get("ServerAddress")?),
            poll_us: all.get("PollIntervalUSec")?.as_u64()?,
            distance_us_max: all.get("RootDistanceMaxUSec")?.as_u64()?,
        })
    }

    fn numbers(&self) -> Vec<(&'static str, i64)> {
        let poll_s = signed(self.poll_us / 1_000_000);
        let distance_us_max = signed(self.distance_us_max);
        vec![
            ("tracking_interval_s", poll_s),
            ("tracking_root_distance_max_us", distance_us_max),
        ]
    }
}

/// An address family of Linux, 2 or 10, and the bytes of an address.
fn address(pair: &Json) -> Option<String> {
    let bytes = pair.get(1)?.as_array()?.iter();
    let bytes = bytes.map(|byte| u8::try_from(byte.as_u64()?).ok());
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    match pair.get(0)?.as_u64()? {
        2 => Some(Ipv4Addr::from(*bytes.as_array::<4>()?).to_string()),
        10 => Some(Ipv6Addr::from(*bytes.as_array::<16>()?).to_string()),
        _ => None,
    }
}

/// The last packet.
struct Packet {
    leap: u64,
    stratum: u64,
    root_delay_us: u64,
    root_dispersion_us: u64,
    /// Sent here, received there, sent there, received here.
    times_us: [u64; 4],
    spike: bool,
    heard: u64,
    jitter_us: u64,
}

impl Packet {
    fn read(packet: &Json) -> Option<Self> {
        let number = |index: usize| packet.get(index)?.as_u64();
        Some(Self {
            leap: number(0)?,
            stratum: number(3)?,
            root_delay_us: number(5)?,
            root_dispersion_us: number(6)?,
            times_us: [number(8)?, number(9)?, number(10)?, number(11)?],
            spike: packet.get(12)?.as_bool()?,
            heard: number(13)?,
            jitter_us: number(14)?,
        })
    }
}

fn silent(server: &Server) -> (Tracking, Vec<Polled>) {
    let mut numbers = server.numbers();
    numbers.push(("tracking_packet_count", 0));
    let tracking = Tracking {
        daemon: TIMESYNCD,
        reference: None,
        leap: "unsynchronised",
        updated: None,
        numbers,
    };
    (tracking, Vec::new())
}

fn reported(server: &Server, packet: &Packet, now: Timestamp) -> Option<(Tracking, Vec<Polled>)> {
    let [sent, received, answered, returned] = packet.times_us.map(signed);
    let there_us = answered.saturating_sub(received);
    let delay_us = returned.saturating_sub(sent).saturating_sub(there_us);
    let there = received.saturating_sub(sent);
    let offset_us = there.saturating_add(answered.saturating_sub(returned)) / 2;
    // The distance of the server, and half of what the way to it took.
    let root_delay_us = signed(packet.root_delay_us).saturating_add(delay_us.max(0));
    let dispersion_us = signed(packet.root_dispersion_us);
    let distance_us = (root_delay_us.saturating_add(1) / 2).saturating_add(dispersion_us);
    let updated = Timestamp::from_unix_ms(returned / 1000).ok()?;
    let mut numbers = server.numbers();
    numbers.extend([
        ("tracking_offset_us", offset_us),
        ("tracking_packet_count", signed(packet.heard)),
        ("tracking_rms_offset_us", signed(packet.jitter_us)),
        ("tracking_root_delay_us", root_delay_us),
        ("tracking_root_dispersion_us", dispersion_us),
        (
            "tracking_root_distance_us",
            distance_us.saturating_add(aged_us(Some(updated), now)),
        ),
        // Distance of this host, one more than that of its server.
        ("tracking_stratum", signed(packet.stratum).saturating_add(1)),
    ]);
    let name = server.address.clone().or_else(|| server.name.clone());
    let tracking = Tracking {
        daemon: TIMESYNCD,
        reference: name.clone(),
        leap: leap(packet.leap)?,
        // A spike is left out of account, so it is no update.
        updated: (!packet.spike).then_some(updated),
        numbers,
    };
    let state = if packet.spike { "jittery" } else { "selected" };
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let number = |number| Some(Value::Number(number));
    let source = Polled {
        record: record([
            ("address", name.map(Value::Text)),
            ("mode", text("client")),
            ("state", text(state)),
            ("stratum", number(signed(packet.stratum))),
            ("poll_s", number(signed(server.poll_us / 1_000_000))),
            ("offset_us", number(offset_us)),
            ("error_us", number(distance_us)),
            // The protocol has no means for it.
            ("authentication", text("none")),
        ]),
        state,
        answers: true,
        nts: Some(0),
    };
    Some((tracking, vec![source]))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
