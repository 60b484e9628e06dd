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

/// What chronyd says about its clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tracking {
    /// Address or identifier of the source in use; `None` when there is none.
    pub(super) reference: Option<String>,
    /// Distance from a reference clock.
    pub(super) stratum: i64,
    /// normal, insert, delete or unsynchronised.
    pub(super) leap: &'static str,
    /// Time of the last update; `None` when there was none.
    pub(super) updated: Option<Timestamp>,
    /// Correction that is still to be made.
    pub(super) offset_ns: i64,
    /// Half the root delay and the root dispersion.
    pub(super) root_distance_ns: i64,
    /// Time between the last two updates.
    pub(super) interval_ns: i64,
}

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

/// Asks how the source at `address` is authenticated: none, symmetric or nts.
pub(super) fn authentication(host: &dyn Host, address: Address) -> Result<&'static str, Unseen> {
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
    let leap = match body.u16()? {
        0 => "normal",
        1 => "insert",
        2 => "delete",
        3 => "unsynchronised",
        _ => return None,
    };
    let updated = match body.time_ms()? {
        0 => None,
        ms => Some(Timestamp::from_unix_ms(ms).ok()?),
    };
    let offset_ns = body.float_ns()?;
    let [_last, _rms, _frequency, _residual, _skew] = body.floats::<5>()?;
    let [root_delay, root_dispersion] = body.floats::<2>()?;
    Some(Tracking {
        reference: match address.family() {
            1 | 2 => Some(address.text()),
            _ if reference == [0; 4] => None,
            // The directive `local` of chrony.conf(5): the clock of the host is its own reference.
            _ if reference == LOCAL_REFERENCE => Some("local".to_owned()),
            _ => Some(identifier(reference)),
        },
        stratum,
        leap,
        updated,
        offset_ns,
        root_distance_ns: (root_delay / 2).saturating_add(root_dispersion),
        interval_ns: body.float_ns()?,
    })
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

fn read_authentication(body: &mut Body<'_>) -> Option<&'static str> {
    let (mode, _kind) = (body.u16()?, body.u16()?);
    let (_key, key_bits) = (body.u32()?, body.u16()?);
    match mode {
        0 => Some("none"),
        1 => Some("symmetric"),
        // It is set up, but no key was agreed on yet.
        2 if key_bits == 0 => Some("none"),
        2 => Some("nts"),
        _ => None,
    }
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
mod tests {
    use super::*;

    macro_rules! vector {
        ($name:literal) => {
            include_bytes!(concat!(
                "../../../../tests/vectors/chrony/chrony-",
                $name,
                ".bin"
            ))
        };
    }

    fn read<T>(
        reply: &[u8],
        (command, kind): (u16, u16),
        read: fn(&mut Body<'_>) -> Option<T>,
    ) -> Option<T> {
        read(&mut body(reply, command, kind).ok()?)
    }

    #[test]
    fn requests_are_as_recorded() {
        assert_eq!(request(33, &[]), vector!("tracking-request"));
        assert_eq!(request(33, &[]), vector!("nts-tracking-request"));
    }

    #[test]
    fn recorded_replies() {
        let tracking = read(vector!("tracking-reply"), TRACKING, read_tracking).unwrap();
        let expected = Tracking {
            reference: Some("127.0.0.1".to_owned()),
            stratum: 9,
            leap: "normal",
            updated: Some("2026-11-22T03:59:41.917Z".parse().unwrap()),
            offset_ns: -739,
            root_distance_ns: 3485,
            interval_ns: 1_013_516_306,
        };
        assert_eq!(tracking, expected);
        let tracking = read(vector!("nts-tracking-reply"), TRACKING, read_tracking).unwrap();
        assert_eq!(
            (tracking.offset_ns, tracking.root_distance_ns),
            (-1500, 5058)
        );
        let source = read(vector!("sourcedata-reply"), SOURCE_DATA, read_source).unwrap();
        assert_eq!(source.address.text(), "127.0.0.1");
        assert_eq!((source.mode, source.state), ("client", "selected"));
        assert_eq!((source.stratum, source.reach, source.poll_s), (8, 255, 1));
        assert_eq!((source.offset_ns, source.error_ns), (166, 2693));
        let none = read(vector!("authdata-reply"), AUTH_DATA, read_authentication);
        assert_eq!(none, Some("none"));
        let nts = read(
            vector!("nts-authdata-reply"),
            AUTH_DATA,
            read_authentication,
        );
        assert_eq!(nts, Some("nts"));
    }

    #[test]
    fn set_up_but_not_agreed_is_not_authenticated() {
        let mut reply = vector!("nts-authdata-reply").to_vec();
        reply[36..38].copy_from_slice(&[0, 0]);
        assert_eq!(read(&reply, AUTH_DATA, read_authentication), Some("none"));
    }

    #[test]
    fn other_replies_are_refused() {
        let good = vector!("tracking-reply");
        for (at, byte, status) in [
            (0, 5, Status::Unsupported),
            (1, 1, Status::Malformed),
            (5, 34, Status::Malformed),
            (7, 6, Status::Unsupported),
            (9, 2, Status::NotPermitted),
            (9, 19, Status::Failed),
        ] {
            let mut bad = good.to_vec();
            bad[at] = byte;
            let refused = body(&bad, 33, 5).map(|_body| ()).unwrap_err();
            assert_eq!(refused.0, status, "byte {at} is {byte}");
        }
        for length in 0..good.len() {
            assert_eq!(
                read(&good[..length], TRACKING, read_tracking),
                None,
                "{length}"
            );
        }
    }

    #[test]
    fn floats_are_exact() {
        for (bits, ns) in [
            (0x0000_0000_u32, 0),
            (0x0100_0000, -500_000_000),  // c = -2^24, e = 0
            (0x0480_0000, 1_000_000_000), // c = 2^23, e = 2
            (0x0480_0001, 1_000_000_119),
            (0x7e80_0000, i64::MAX),
            (0x7f00_0000, i64::MIN),
            (0x8080_0000, 0),
        ] {
            let bytes = bits.to_be_bytes();
            assert_eq!(Body(&bytes).float_ns(), Some(ns), "{bits:08x}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..128)) {
            let _tracking = read_tracking(&mut Body(&bytes));
            let _source = read_source(&mut Body(&bytes)).map(|source| source.address.text());
            let _authentication = read_authentication(&mut Body(&bytes));
            let _header = body(&bytes, 33, 5).is_ok();
        }
    }
}
