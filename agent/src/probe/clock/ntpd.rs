//! ntpd and `NTPsec` by mode 6 of NTP, on UDP 127.0.0.1:123: the clock, and each association.
//!
//! ```text
//! u8 leap, version, mode 6; u8 response 80, error 40, more 20, operation; u16 number, u16 status,
//! u16 association, u16 offset, u16 count, data, zeros up to a multiple of 4
//! ```
//!
//! Data are texts `name=value`, separated by commas, or pairs of an association and its status.
//! Variables are asked for by name, so that an answer fits into one datagram.
//!
//! Source: RFC 9327.

use std::collections::BTreeMap;

use shared::fact::Value;
use shared::observation::Status;
use shared::time::Timestamp;

use super::reported::{Polled, Tracking, aged_us, leap, record};
use crate::host::{Host, Socket, Unseen};

/// Operations.
const READ_STATUS: u8 = 1;
const READ_VARIABLES: u8 = 2;
/// Bytes before the data.
const HEADER_BYTES: usize = 12;
/// Each question has its own socket, so one number serves them all.
const NUMBER: [u8; 2] = [1, 2];
/// Most associations that are asked about; a pool makes about ten.
const ASSOCIATIONS_MAX: usize = 64;
/// From 1900, with which times of NTP begin, to 1970.
const NTP_EPOCH_S: i64 = 2_208_988_800;

const SYSTEM: &str = "leap,stratum,refid,rootdelay,rootdisp,reftime,tc,offset,sys_jitter,frequency";
const PEER: &str = "srcadr,stratum,hmode,hpoll,reach,offset,delay,dispersion,rec,ntscookies";

/// Asks for the state of the clock.
///
/// # Errors
///
/// [`Unseen`].
pub(super) fn tracking(host: &dyn Host, now: Timestamp) -> Result<Tracking, Unseen> {
    let all = variables(host, 0, SYSTEM)?;
    read_tracking(&all, now).ok_or_else(|| malformed(0))
}

/// Asks for the associations.
///
/// # Errors
///
/// [`Unseen`]; more than are asked about is [`Status::Limit`].
pub(super) fn sources(host: &dyn Host, now: Timestamp) -> Result<Vec<Polled>, Unseen> {
    let pairs = ask(host, READ_STATUS, 0, "")?;
    let (pairs, []) = pairs.as_chunks::<4>() else {
        return Err(malformed(0));
    };
    if ASSOCIATIONS_MAX < pairs.len() {
        let why = format!("{} associations", pairs.len());
        return Err(Unseen::new("ntpd", Status::Limit, Some(&why)));
    }
    let asked = pairs.iter().map(|[a, b, high, _low]| {
        let association = u16::from_be_bytes([*a, *b]);
        let all = variables(host, association, PEER)?;
        read_source(&all, *high, now).ok_or_else(|| malformed(association))
    });
    asked.collect()
}

fn malformed(association: u16) -> Unseen {
    let what = format!("ntpd association {association}");
    Unseen::new(&what, Status::Malformed, None)
}

fn variables(
    host: &dyn Host,
    association: u16,
    names: &str,
) -> Result<BTreeMap<String, String>, Unseen> {
    let text = ask(host, READ_VARIABLES, association, names)?;
    let text = std::str::from_utf8(&text).map_err(|_not_text| malformed(association))?;
    // No value that is asked for is a text in quotes, in which a comma could stand.
    let pairs = text
        .split(',')
        .filter_map(|pair| pair.trim().split_once('='));
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(pairs.collect())
}

fn request(operation: u8, association: u16, names: &str) -> Vec<u8> {
    let [high, low] = association.to_be_bytes();
    let count = u16::try_from(names.len()).unwrap_or(0).to_be_bytes();
    // Version 2, which every daemon answers, and mode 6.
    let mut request = vec![0x16, operation];
    request.extend(NUMBER);
    request.extend([0, 0, high, low, 0, 0]);
    request.extend(count);
    request.extend(names.bytes());
    request.resize(request.len().next_multiple_of(4), 0);
    request
}

fn ask(host: &dyn Host, operation: u8, association: u16, names: &str) -> Result<Vec<u8>, Unseen> {
    let answer = host.ask(Socket::Ntpd, &request(operation, association, names))?;
    match data(&answer, operation, association) {
        Ok(data) => Ok(data.to_owned()),
        Err(status) => {
            let what = format!("ntpd association {association}");
            Err(Unseen::new(&what, status, None))
        }
    }
}

/// The data of an answer, or why there are none.
fn data(answer: &[u8], operation: u8, association: u16) -> Result<&[u8], Status> {
    let Some((header, rest)) = answer.split_first_chunk::<HEADER_BYTES>() else {
        return Err(Status::Malformed);
    };
    let [first, kind, n1, n2, error, _, a1, a2, o1, o2, c1, c2] = *header;
    let known = first & 7 == 6
        && kind & 0x9f == 0x80 | operation
        && [n1, n2] == NUMBER
        && [a1, a2] == association.to_be_bytes();
    if !known {
        return Err(Status::Malformed);
    }
    if kind & 0x40 != 0 {
        // The upper byte of the status then says why: RFC 9327 section 3.4.
        let status = if error == 1 {
            Status::NotPermitted
        } else {
            Status::Failed
        };
        return Err(status);
    }
    if kind & 0x20 != 0 || [o1, o2] != [0, 0] {
        return Err(Status::Limit);
    }
    let count = usize::from(u16::from_be_bytes([c1, c2]));
    rest.get(..count).ok_or(Status::Malformed)
}

fn read_tracking(all: &BTreeMap<String, String>, now: Timestamp) -> Option<Tracking> {
    let number = |name: &str| all.get(name)?.parse().ok();
    let us = |name: &str| thousandths(all.get(name)?);
    let (delay_us, dispersion_us) = (us("rootdelay")?, us("rootdisp")?);
    let updated = time(all.get("reftime")?).ok()?;
    // Half the delay and the dispersion, rounded up as a bound is.
    let distance_us = (delay_us.saturating_add(1) / 2).saturating_add(dispersion_us);
    let distance_us = distance_us
        .saturating_add(1)
        .saturating_add(aged_us(updated, now));
    let reference = all
        .get("refid")
        .map(|text| text.trim_matches('"').to_owned());
    let mut numbers = vec![
        ("tracking_root_delay_us", delay_us),
        ("tracking_root_dispersion_us", dispersion_us),
        ("tracking_root_distance_us", distance_us),
        ("tracking_stratum", number("stratum")?),
    ];
    for (name, value) in [
        ("tracking_offset_us", us("offset")),
        ("tracking_rms_offset_us", us("sys_jitter")),
        ("tracking_frequency_ppb", us("frequency")),
        ("tracking_interval_s", number("tc").and_then(power)),
    ] {
        numbers.extend(value.map(|value| (name, value)));
    }
    Some(Tracking {
        daemon: "ntpd",
        leap: leap(all.get("leap")?.parse().ok()?)?,
        // The daemon takes its own clock for a reference, or has none.
        reference: match reference.as_deref() {
            Some("LOCL" | "LOCAL" | "127.127.1.0" | "127.127.1.1") => Some("local".to_owned()),
            Some("INIT" | "STEP" | "") => None,
            _ => reference,
        },
        updated,
        numbers,
    })
}

fn read_source(all: &BTreeMap<String, String>, status: u8, now: Timestamp) -> Option<Polled> {
    let number = |name: &str| all.get(name)?.parse::<i64>().ok();
    let us = |name: &str| thousandths(all.get(name)?);
    let address = all.get("srcadr")?.clone();
    let reach = all.get("reach")?;
    let reach = match reach.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok()?,
        None => reach.parse().ok()?,
    };
    let clock = address.starts_with("127.127.");
    let mode = match all.get("hmode")?.as_str() {
        _ if clock => "refclock",
        "1" | "2" => "peer",
        _ => "client",
    };
    // How the association was selected: RFC 9327 section 3.2, "Peer Status Word".
    let state = match status & 7 {
        6 | 7 => "selected",
        2..=5 if reach == 0 => "unreachable",
        4 | 5 => "candidate",
        2 | 3 => "outlier",
        1 => "falseticker",
        _ if reach == 0 => "unreachable",
        _ => "rejected",
    };
    let cookies = number("ntscookies").filter(|cookies| 0 <= *cookies);
    // Bits of the same word: packets are to be authenticated, and they are. The second alone is
    // also set where nothing is asked for.
    let authentication = match (status & 0x60, cookies) {
        (0x20 | 0x60, Some(1..)) => "nts",
        (0x60, _) => "symmetric",
        _ => "none",
    };
    let heard = time(all.get("rec")?).ok()?;
    // A sample that lies in the future was not taken some time ago.
    let since_ms = heard.map(|heard| now.ms_since(heard)).filter(|ms| 0 <= *ms);
    let error = us("delay").zip(us("dispersion"));
    let error_us = error.map(|(delay, dispersion)| (delay / 2).saturating_add(dispersion) + 1);
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let record = record([
        ("address", Some(Value::Text(address))),
        ("mode", text(mode)),
        ("state", text(state)),
        ("stratum", Some(Value::Number(number("stratum")?))),
        ("reach", Some(Value::Number(reach))),
        ("poll_s", number("hpoll").and_then(power).map(Value::Number)),
        (
            "since_sample_s",
            since_ms.map(|ms| Value::Number(ms / 1000)),
        ),
        ("offset_us", heard.and(us("offset")).map(Value::Number)),
        ("error_us", heard.and(error_us).map(Value::Number)),
        ("authentication", text(authentication)),
        ("cookies", cookies.map(Value::Number)),
    ]);
    Some(Polled {
        record,
        state,
        answers: reach != 0,
        nts: Some(usize::from(authentication == "nts")),
    })
}

/// Two to this power, as intervals are given.
fn power(exponent: i64) -> Option<i64> {
    let exponent = u32::try_from(exponent).ok()?;
    1_i64.checked_shl(exponent).filter(|_| exponent < 63)
}

/// A decimal number in thousandths, the rest cut off: milliseconds in microseconds, parts in a
/// million in parts in 10^9.
fn thousandths(text: &str) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !plain(whole) || !plain(fraction) {
        return None;
    }
    let fraction: String = fraction.chars().chain("000".chars()).take(3).collect();
    let number = whole.parse::<i64>().ok()?.checked_mul(1000)?;
    let number = number.checked_add(fraction.parse().ok()?)?;
    Some(if negative { -number } else { number })
}

/// A text is no time.
#[derive(Debug, PartialEq, Eq)]
struct NoTime;

/// A time as `0x` and 32 bits of seconds, a dot, and 32 bits of a fraction; `None` for never.
///
/// Source: RFC 5905 section 6; era 0 ends in 2036, and no update is older than 1968.
fn time(text: &str) -> Result<Option<Timestamp>, NoTime> {
    let read = || {
        let (seconds, fraction) = text.strip_prefix("0x")?.split_once('.')?;
        let part = |digits| u32::from_str_radix(digits, 16).map(i64::from).ok();
        Some((part(seconds)?, part(fraction)?))
    };
    let (seconds, fraction) = read().ok_or(NoTime)?;
    if seconds == 0 {
        return Ok(None);
    }
    let era = if seconds < 1 << 31 { 1 << 32 } else { 0 };
    let ms = (era + seconds - NTP_EPOCH_S) * 1000 + ((fraction * 1000) >> 32);
    Ok(Timestamp::from_unix_ms(ms).ok())
}

#[cfg(test)]
mod tests;
