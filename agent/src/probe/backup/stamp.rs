//! The time in the name of a snapshot, as btrbk, sanoid, zfs-auto-snapshot, snapper's scripts and
//! pgBackRest write it.
//!
//! ```text
//! home.20260102T0300             autosnap_2026-01-02_03:00:00_daily
//! zfs-auto-snap_daily-2026-01-02-0300   20260102-030000F_20260103-030000I
//! @GMT-2026.01.02-03.00.00
//! ```
//!
//! It is the local time of whoever wrote it, but for names with `GMT` or `UTC`. The last date in
//! a name counts: it is that of the snapshot itself.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use shared::observation::Status;
use shared::time::Timestamp;

use crate::host::{Host, Unseen};

const ZONE: &str = "/etc/localtime";
const ZONE_BYTES_MAX: u64 = 64 * 1024;

/// The time zone of the host; UTC when it has none.
///
/// # Errors
///
/// [`Unseen`] when it cannot be read.
pub(in crate::probe) fn zone(host: &dyn Host) -> Result<TimeZone, Unseen> {
    match host.read(ZONE, ZONE_BYTES_MAX) {
        Err(unseen) if unseen.is_absent() => Ok(TimeZone::UTC),
        bytes => TimeZone::tzif("local", &bytes?)
            .map_err(|error| Unseen::new(ZONE, Status::Malformed, Some(&error.to_string()))),
    }
}

/// The time in a name.
pub(in crate::probe) fn in_name(name: &str, zone: &TimeZone) -> Option<Timestamp> {
    let bytes = name.as_bytes();
    let found = (0..bytes.len())
        .rev()
        // Not in the middle of a longer number.
        .filter(|at| *at == 0 || !digit(bytes, at.saturating_sub(1)))
        .find_map(|at| civil(bytes.get(at..)?))?;
    let zone = if name.contains("GMT") || name.contains("UTC") {
        TimeZone::UTC
    } else {
        zone.clone()
    };
    let instant = zone.to_ambiguous_timestamp(found).compatible().ok()?;
    Timestamp::from_unix_ms(instant.as_millisecond()).ok()
}

fn digit(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_some_and(u8::is_ascii_digit)
}

/// The date, and the time of day if there is one, at the beginning of a text.
fn civil(bytes: &[u8]) -> Option<DateTime> {
    let mut rest = bytes;
    let year = number(&mut rest, 4)?;
    let dashed = skip(&mut rest, b"-._");
    let month = number(&mut rest, 2)?;
    if skip(&mut rest, b"-._") != dashed {
        return None;
    }
    let day = number(&mut rest, 2)?;
    let date = rest;
    let time = (|| {
        if !skip(&mut rest, b"-_T. ") {
            return None;
        }
        let hour = number(&mut rest, 2)?;
        let _colon = skip(&mut rest, b":.-h");
        let minute = number(&mut rest, 2)?;
        let _colon = skip(&mut rest, b":.-m");
        Some((hour, minute, number(&mut rest, 2).unwrap_or_default()))
    })();
    if time.is_none() && digit(date, 0) {
        return None;
    }
    let (hour, minute, second) = time.unwrap_or_default();
    let small = |number: i16| i8::try_from(number).ok();
    let (month, day) = (small(month)?, small(day)?);
    DateTime::new(
        year,
        month,
        day,
        small(hour)?,
        small(minute)?,
        small(second)?,
        0,
    )
    .ok()
}

fn number(rest: &mut &[u8], digits: usize) -> Option<i16> {
    let (head, tail) = rest.split_at_checked(digits)?;
    let text = std::str::from_utf8(head).ok()?;
    let number = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| number)?;
    *rest = tail;
    Some(number)
}

fn skip(rest: &mut &[u8], any: &[u8]) -> bool {
    match rest.split_first() {
        Some((first, tail)) if any.contains(first) => {
            *rest = tail;
            true
        }
        Some(_) | None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_tools() {
        for (name, expected) in [
            ("home.20260102T0300", Some("2026-01-02T03:00:00Z")),
            ("home.20260102T030405+0000", Some("2026-01-02T03:04:05Z")),
            (
                "autosnap_2026-01-02_03:04:05_daily",
                Some("2026-01-02T03:04:05Z"),
            ),
            (
                "zfs-auto-snap_daily-2026-01-02-0304",
                Some("2026-01-02T03:04:00Z"),
            ),
            ("@GMT-2026.01.02-03.04.05", Some("2026-01-02T03:04:05Z")),
            ("20260102-030000F", Some("2026-01-02T03:00:00Z")),
            (
                "20260102-030000F_20260103-040506I",
                Some("2026-01-03T04:05:06Z"),
            ),
            ("daily-2026-01-02", Some("2026-01-02T00:00:00Z")),
            ("20260102", Some("2026-01-02T00:00:00Z")),
            ("2026-13-02", None),
            ("20260230-030000F", None),
            ("202601021", None),
            ("120260102", None),
            ("before-upgrade", None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(in_name(name, &TimeZone::UTC), expected, "{name}");
        }
        let east = TimeZone::fixed(jiff::tz::offset(2));
        let local = in_name("home.20260102T0300", &east);
        assert_eq!(local, Some("2026-01-02T01:00:00Z".parse().unwrap()));
    }

    proptest! {
        #[test]
        fn any_name(name in "\\PC*|[0-9T:_.-]{0,30}") {
            let _time: Option<Timestamp> = in_name(&name, &TimeZone::UTC);
        }
    }
}
