//! The command protocol of chronyd, version 6: what tracking, sources and authentication say.
//!
//! ```text
//! request  u8 6, u8 1, u16 0, u16 command, u16 attempt, u32 number, u64 0, arguments, zeros
//! reply    u8 6, u8 2, u16 0, u16 command, u16 kind, u16 status, 6 bytes, u32 number, u64,
//!          then the body at byte 28
//! ```
//!
//! Everything is big endian. A request is as long as the longest reply, so that chronyd cannot be
//! used to amplify; it refuses a shorter one.

use std::net::{Ipv4Addr, Ipv6Addr};

use shared::observation::Status;
use shared::time::Timestamp;

use super::reported::{Tracking, leap};
use crate::host::{Host, Socket, Unseen};

/// Length of every request.
const REQUEST_BYTES: usize = 416;
/// Where the body of a reply begins.
const REPLY_BODY: usize = 28;
/// Each question has its own socket, so one number serves them all.
const NUMBER: u32 = 0x0102_0304;

/// Reference identifier of a daemon that takes its own clock for a reference.
const LOCAL_REFERENCE: [u8; 4] = [127, 127, 1, 1];

/// Commands, with the kind of their reply.
const TRACKING: (u16, u16) = (33, 5);
const SOURCE_COUNT: (u16, u16) = (14, 2);
const SOURCE_DATA: (u16, u16) = (15, 3);
const AUTH_DATA: (u16, u16) = (67, 20);

/// What chronyd says about one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SourceData {
    /// The address as it stands in the reply: also the argument of the next question.
    pub(super) address: Address,
    /// client, peer or refclock.
    pub(super) mode: &'static str,
    /// selected, unreachable, falseticker, jittery, candidate or outlier.
    pub(super) state: &'static str,
    /// Distance from a reference clock.
    pub(super) stratum: i64,
    /// Register of the last eight polls.
    pub(super) reach: i64,
    /// Interval of polling; 0 when it is shorter than a second.
    pub(super) poll_s: i64,
    /// Time since the last good sample.
    pub(super) since_sample_s: i64,
    /// Offset of the last sample as it was measured.
    pub(super) offset_ns: i64,
    /// Error bound of the last sample.
    pub(super) error_ns: i64,
}

/// What chronyd says about how a source is authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Authentication {
    /// none, symmetric or nts.
    pub(super) mode: &'static str,
    /// Time since keys were agreed on; `None` when they were not, or are not agreed on.
    pub(super) key_age_s: Option<i64>,
    /// Attempts to agree on keys since that last went well.
    pub(super) attempts: i64,
    /// Cookies that are left for requests.
    pub(super) cookies: i64,
    /// The last request was refused because the server could not read its cookie.
    pub(super) refused: bool,
}

/// An address in the form of the protocol: 16 bytes, family, two zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address([u8; 20]);

/// Asks for the state of the clock.
pub(super) fn tracking(host: &dyn Host) -> Result<Tracking, Unseen> {
    ask(host, TRACKING, &[], read_tracking)
}

/// Asks how many sources there are.
pub(super) fn source_count(host: &dyn Host) -> Result<u32, Unseen> {
    ask(host, SOURCE_COUNT, &[], read_source_count)
}

/// Asks about source `index`.
pub(super) fn source(host: &dyn Host, index: u32) -> Result<SourceData, Unseen> {
    ask(host, SOURCE_DATA, &index.to_be_bytes(), read_source)
}

/// Asks how the source at `address` is authenticated.
pub(super) fn authentication(host: &dyn Host, address: Address) -> Result<Authentication, Unseen> {
    ask(host, AUTH_DATA, &address.0, read_authentication)
}

fn ask<T>(
    host: &dyn Host,
    (command, kind): (u16, u16),
    arguments: &[u8],
    read: fn(&mut Body<'_>) -> Option<T>,
) -> Result<T, Unseen> {
    let what = format!("chronyd command {command}");
    let reply = host.ask(Socket::Chronyd, &request(command, arguments))?;
    let mut body = body(&reply, command, kind)
        .map_err(|(status, why)| Unseen::new(&what, status, Some(&why)))?;
    read(&mut body).ok_or_else(|| Unseen::new(&what, Status::Malformed, None))
}

fn request(command: u16, arguments: &[u8]) -> Vec<u8> {
    let mut request = vec![6, 1, 0, 0];
    request.extend(command.to_be_bytes());
    request.extend([0, 0]);
    request.extend(NUMBER.to_be_bytes());
    request.extend([0; 8]);
    request.extend(arguments);
    request.resize(REQUEST_BYTES, 0);
    request
}

/// The body of a reply that is one to `command`.
fn body(reply: &[u8], command: u16, kind: u16) -> Result<Body<'_>, (Status, String)> {
    let mut header = Body(reply);
    let malformed = || (Status::Malformed, "no reply".to_owned());
    let mut next = || header.u16().ok_or_else(malformed);
    let (version, _reserved, asked, got, status) = (next()?, next()?, next()?, next()?, next()?);
    if version >> 8 != 6 {
        return Err((Status::Unsupported, format!("protocol {}", version >> 8)));
    }
    if version != 0x0602 || asked != command {
        return Err(malformed());
    }
    match status {
        0 if got == kind => {}
        0 => return Err((Status::Unsupported, format!("reply of kind {got}"))),
        // What may be asked over the port is less than over the socket.
        2 => return Err((Status::NotPermitted, "over the port".to_owned())),
        other => return Err((Status::Failed, format!("status {other}"))),
    }
    reply.get(REPLY_BODY..).map(Body).ok_or_else(malformed)
}

fn read_tracking(body: &mut Body<'_>) -> Option<Tracking> {
    let reference = body.array::<4>()?;
    let address = body.address()?;
    let stratum = body.u16()?.into();
    let leap = leap(body.u16()?.into())?;
    let updated = match body.time_ms()? {
        0 => None,
        ms => Some(Timestamp::from_unix_ms(ms).ok()?),
    };
    let [offset, last, rms] = body.floats::<3>()?;
    let [frequency, _residual, skew] = body.floats::<3>()?;
    let [delay, dispersion, interval] = body.floats::<3>()?;
    Some(Tracking {
        daemon: "chronyd",
        reference: match address.family() {
            1 | 2 => Some(address.text()),
            _ if reference == [0; 4] => None,
            // The directive `local` of chrony.conf(5): the clock of the host is its own reference.
            _ if reference == LOCAL_REFERENCE => Some("local".to_owned()),
            _ => Some(identifier(reference)),
        },
        leap,
        updated,
        numbers: vec![
            // Parts in a million are read as if they were seconds.
            ("tracking_frequency_ppb", frequency / 1_000_000),
            ("tracking_interval_s", interval / 1_000_000_000),
            ("tracking_last_offset_us", last / 1000),
            ("tracking_offset_us", offset / 1000),
            ("tracking_rms_offset_us", rms / 1000),
            ("tracking_root_delay_us", microseconds_up(delay)),
            ("tracking_root_dispersion_us", microseconds_up(dispersion)),
            (
                "tracking_root_distance_us",
                microseconds_up((delay / 2).saturating_add(dispersion)),
            ),
            ("tracking_skew_ppb", skew / 1_000_000),
            ("tracking_stratum", stratum),
        ],
    })
}

/// A bound is rounded up.
fn microseconds_up(ns: i64) -> i64 {
    ns.saturating_add(999) / 1000
}

fn read_source_count(body: &mut Body<'_>) -> Option<u32> {
    body.u32()
}

fn read_source(body: &mut Body<'_>) -> Option<SourceData> {
    let address = body.address()?;
    let poll = i16::from_be_bytes(body.array()?);
    let stratum = body.u16()?.into();
    let state = match body.u16()? {
        0 => "selected",
        1 => "unreachable",
        2 => "falseticker",
        3 => "jittery",
        4 => "candidate",
        5 => "outlier",
        _ => return None,
    };
    let mode = match body.u16()? {
        0 => "client",
        1 => "peer",
        2 => "refclock",
        _ => return None,
    };
    let _flags = body.u16()?;
    Some(SourceData {
        address,
        mode,
        state,
        stratum,
        reach: body.u16()?.into(),
        poll_s: match u32::try_from(poll) {
            Err(_less_than_a_second) => 0,
            Ok(power) => 1_i64.checked_shl(power).filter(|_| power < 63)?,
        },
        since_sample_s: body.u32()?.into(),
        offset_ns: body.float_ns()?,
        error_ns: {
            let _adjusted = body.float_ns()?;
            body.float_ns()?
        },
    })
}

fn read_authentication(body: &mut Body<'_>) -> Option<Authentication> {
    let (mode, _kind) = (body.u16()?, body.u16()?);
    let (_key, key_bits) = (body.u32()?, body.u16()?);
    let (attempts, ago_s) = (body.u16()?, body.u32()?);
    let (cookies, _length, refused) = (body.u16()?, body.u16()?, body.u16()?);
    let mode = match mode {
        0 => "none",
        1 => "symmetric",
        // It is set up, but no key was agreed on yet.
        2 if key_bits == 0 => "none",
        2 => "nts",
        _ => return None,
    };
    Some(Authentication {
        mode,
        // The largest number stands for never.
        key_age_s: (mode == "nts" && ago_s != u32::MAX).then_some(ago_s.into()),
        attempts: attempts.into(),
        cookies: cookies.into(),
        refused: refused != 0,
    })
}

impl Address {
    fn family(self) -> u8 {
        let [.., family, _, _] = self.0;
        family
    }

    /// The address as people write it.
    pub(super) fn text(self) -> String {
        let [a, b, c, d, ..] = self.0;
        match self.family() {
            1 => Ipv4Addr::new(a, b, c, d).to_string(),
            2 => match self.0.first_chunk() {
                Some(bytes) => Ipv6Addr::from(*bytes).to_string(),
                None => String::new(),
            },
            // A name that has no address yet has a number.
            _ => format!("unresolved {}", u32::from_be_bytes([a, b, c, d])),
        }
    }

    /// The name of a reference clock, which stands in the place of an address.
    pub(super) fn clock_name(self) -> String {
        let [a, b, c, d, ..] = self.0;
        identifier([a, b, c, d])
    }
}

/// A reference identifier: text where it is text, otherwise hex digits.
fn identifier(bytes: [u8; 4]) -> String {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    if !text.is_empty() && text.iter().all(u8::is_ascii_graphic) {
        String::from_utf8_lossy(text).into_owned()
    } else {
        format!("{:08X}", u32::from_be_bytes(bytes))
    }
}

/// What is still to be read of a reply.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn address(&mut self) -> Option<Address> {
        self.array().map(Address)
    }

    /// A time in milliseconds since 1970; 0 stands for never.
    fn time_ms(&mut self) -> Option<i64> {
        let (high, low, ns) = (self.u32()?, self.u32()?, self.u32()?);
        // Hosts with 32-bit times write this in place of the upper half.
        let high = if high == 0x7fff_ffff {
            0
        } else {
            i64::from(high)
        };
        let seconds = (high << 32).checked_add(low.into())?;
        seconds
            .checked_mul(1000)?
            .checked_add(i64::from(ns / 1_000_000))
    }

    /// A number of seconds, in nanoseconds.
    ///
    /// The upper 7 bits are a signed exponent e, the lower 25 a signed coefficient c, and the value
    /// is c * 2^(e - 25). Whole numbers are exact where a float would round.
    fn float_ns(&mut self) -> Option<i64> {
        let bits = self.u32()?.cast_signed();
        let (exponent, coefficient) = (bits >> 25, (bits << 7) >> 7);
        let ns = i128::from(coefficient) * 1_000_000_000;
        let scaled = match u32::try_from(exponent - 25) {
            Ok(up) => ns.checked_shl(up)?,
            Err(_down) => ns / 1_i128.checked_shl((25 - exponent).unsigned_abs())?,
        };
        let end = if scaled < 0 { i64::MIN } else { i64::MAX };
        Some(i64::try_from(scaled).unwrap_or(end))
    }

    fn floats<const N: usize>(&mut self) -> Option<[i64; N]> {
        let mut values = [0; N];
        for value in &mut values {
            *value = self.float_ns()?;
        }
        Some(values)
    }
}

#[cfg(test)]
mod tests;
