//! What the clock stands on: clock source, hardware clocks, time zone.

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};

use crate::host::{Host, Unseen};
use crate::probe::{Seen, settings};

const CLOCKSOURCE: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
const PTP: &str = "/sys/class/ptp";
const ADJTIME: &str = "/etc/adjtime";
const LOCALTIME: &str = "/etc/localtime";
/// Longest file of one word.
const WORD_BYTES_MAX: u64 = 4096;
/// Longest file of a time zone; the longest of tzdata has 4 KiB.
const ZONE_BYTES_MAX: u64 = 64 * 1024;
/// Most hardware clocks that are named.
const PTP_MAX: usize = 64;

/// States what the clock stands on.
pub(super) fn observe(host: &dyn Host, seen: &mut Seen) {
    let source = word(host, CLOCKSOURCE);
    let source = seen.note(Means::File, CLOCKSOURCE, source);
    let live = source.is_some();
    if let Some(source) = source {
        seen.state("clocksource", Value::Text(source));
    }
    state_ptp(host, seen, live);
    // Without the file the hardware clock keeps UTC: hwclock(8), "The adjtime file".
    let adjtime = settings::text(host, ADJTIME).and_then(|text| in_local_time(&text));
    let absent = adjtime.as_ref().is_err_and(Unseen::is_absent) && in_etc(host);
    let local = seen.note(Means::File, ADJTIME, adjtime);
    if let Some(local) = local.or(absent.then_some(false)) {
        seen.state("rtc_in_local_time", Value::Flag(local));
    }
    // Without the file times are UTC: localtime(5).
    let zone = host
        .read(LOCALTIME, ZONE_BYTES_MAX)
        .and_then(|file| rule(&file));
    let absent = zone.as_ref().is_err_and(Unseen::is_absent) && in_etc(host);
    let zone = seen.note(Means::File, LOCALTIME, zone);
    if let Some(zone) = zone.or(absent.then(|| "UTC0".to_owned())) {
        let utc = matches!(zone.as_str(), "UTC0" | "GMT0" | "UCT0" | "<+00>0");
        seen.state("time_zone_is_utc", Value::Flag(utc));
        seen.state("time_zone", Value::Text(zone));
    }
}

/// Whether files of `/etc` are seen at all, so that one that is absent is known to be.
fn in_etc(host: &dyn Host) -> bool {
    host.list("/etc").is_ok_and(|names| !names.is_empty())
}

fn word(host: &dyn Host, path: &str) -> Result<String, Unseen> {
    let bytes = host.read(path, WORD_BYTES_MAX)?;
    match std::str::from_utf8(bytes.trim_ascii()) {
        Ok(text) if !text.is_empty() => Ok(text.to_owned()),
        Ok(_) | Err(_) => Err(Unseen::new(path, Status::Malformed, None)),
    }
}

/// Hardware clocks by the Precision Time Protocol, also those that a hypervisor offers.
fn state_ptp(host: &dyn Host, seen: &mut Seen, live: bool) {
    let listed = host.list(PTP);
    let absent = listed.as_ref().is_err_and(Unseen::is_absent);
    let Some(devices) = seen.note(Means::File, PTP, listed) else {
        // A kernel without them has not the folder either.
        if absent && live {
            seen.state_list("ptp_clocks", Vec::new());
        }
        return;
    };
    let mut clocks = Vec::new();
    for device in devices.into_iter().take(PTP_MAX) {
        let path = format!("{PTP}/{device}/clock_name");
        let name = word(host, &path);
        let name = seen.note(Means::File, &path, name).map(Value::Text);
        let mut clock = Record::from([("device".to_owned(), Value::Text(device))]);
        clock.extend(name.map(|name| ("name".to_owned(), name)));
        clocks.push(clock);
    }
    seen.state_list("ptp_clocks", clocks);
}

/// Whether the third line of `/etc/adjtime` says that the hardware clock keeps local time.
fn in_local_time(text: &str) -> Result<bool, Unseen> {
    match text.lines().nth(2).map(str::trim) {
        None | Some("" | "UTC") => Ok(false),
        Some("LOCAL") => Ok(true),
        Some(_other) => Err(Unseen::new(ADJTIME, Status::Malformed, None)),
    }
}

/// The rule at the end of a file of a time zone: RFC 9636 section 3.3, `tzfile(5)`.
fn rule(file: &[u8]) -> Result<String, Unseen> {
    let read = || {
        let (_magic, last) = (file.strip_prefix(b"TZif")?, file.strip_suffix(b"\n")?);
        let begin = last.iter().rposition(|byte| *byte == b'\n')?;
        let rule = std::str::from_utf8(last.get(begin.checked_add(1)?..)?).ok()?;
        let plain = !rule.is_empty() && rule.bytes().all(|byte| byte.is_ascii_graphic());
        plain.then(|| rule.to_owned())
    };
    read().ok_or_else(|| Unseen::new(LOCALTIME, Status::Malformed, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_end_with_their_rule() {
        let rule_of = |file: &[u8]| rule(file).ok();
        let zone = |rule: &str| rule_of(format!("TZif2 and times\n{rule}\n").as_bytes());
        assert_eq!(zone("UTC0").as_deref(), Some("UTC0"));
        let berlin = "CET-1CEST,M3.5.0,M10.5.0/3";
        assert_eq!(zone(berlin).as_deref(), Some(berlin));
        for bad in ["", "a b", "\u{e4}"] {
            assert_eq!(zone(bad), None, "{bad}");
        }
        for bad in [&b""[..], b"TZif", b"TZif2\nUTC0", b"2\nUTC0\n", b"\n"] {
            assert_eq!(rule_of(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn the_hardware_clock() {
        for (text, expected) in [
            ("0.0 0 0.0\n0\nUTC\n", Some(false)),
            ("0.0 0 0.0\n0\nLOCAL\n", Some(true)),
            ("0.0 0 0.0\n0\n", Some(false)),
            ("", Some(false)),
            ("0.0 0 0.0\n0\nlocal", None),
        ] {
            assert_eq!(in_local_time(text).ok(), expected, "{text:?}");
        }
    }
}
