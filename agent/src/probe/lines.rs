//! The last line of a log file, and the time that it says itself.
//!
//! A file may be touched without an entry, so the time in the line tells more than that of the
//! file. Three forms are read: RFC 3339 (rsyslog and syslog-ng as they may be set up), RFC 3164
//! section 4.1.2 (their default: no year and no zone), and the records of auditd.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use shared::observation::Status;
use shared::time::Timestamp;

use crate::host::{Host, Unseen};

/// As much of the end of a file as is read: longer lines give no time.
const TAIL_BYTES: usize = 8 * 1024;
/// Longest file of a time zone.
const ZONE_BYTES_MAX: u64 = 64 * 1024;
/// How much later than the file its last line may be: clocks are corrected.
const LATER_MS: i64 = 24 * 60 * 60 * 1000;
/// Names of months: RFC 3164 section 4.1.2.
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The last whole line of a file; `None` when it has none in its last bytes.
///
/// # Errors
///
/// [`Unseen`].
pub fn last(host: &dyn Host, path: &str) -> Result<Option<String>, Unseen> {
    let bytes = host.stat(path)?.bytes;
    let kept = u64::try_from(TAIL_BYTES).unwrap_or(u64::MAX);
    let tail = host
        .open_parts(path)?
        .part(bytes.saturating_sub(kept), TAIL_BYTES)
        .map_err(|error| Unseen::from_io(path, &error))?;
    let mut lines: Vec<&[u8]> = tail.split(|byte| *byte == b'\n').collect();
    // What follows the last line break is not written to its end; what stands before the first one
    // has no beginning unless the whole file was read.
    let _unfinished = lines.pop();
    if kept < bytes && !lines.is_empty() {
        let _headless = lines.remove(0);
    }
    let line = lines
        .iter()
        .rev()
        .find(|line| !line.trim_ascii().is_empty());
    Ok(line.map(|line| String::from_utf8_lossy(line).into_owned()))
}

/// The time zone of the host: localtime(5). Without the file it is UTC.
///
/// # Errors
///
/// [`Unseen`].
pub fn zone(host: &dyn Host) -> Result<TimeZone, Unseen> {
    const PATH: &str = "/etc/localtime";
    match host.read(PATH, ZONE_BYTES_MAX) {
        Ok(bytes) => TimeZone::tzif("local", &bytes)
            .map_err(|_error| Unseen::new(PATH, Status::Malformed, None)),
        Err(unseen) if unseen.is_absent() => Ok(TimeZone::UTC),
        Err(unseen) => Err(unseen),
    }
}

/// The time that a line says; `None` when it says none in a form that is known. Where it says no
/// year it is the last one that `modified`, the last write to the file, permits.
#[must_use]
pub fn time(line: &str, zone: &TimeZone, modified: Timestamp) -> Option<Timestamp> {
    let line = match line.strip_prefix('<') {
        // The priority of syslog, where it is kept.
        Some(rest) => rest.split_once('>').map_or(line, |(_priority, rest)| rest),
        None => line,
    };
    of_audit(line)
        .or_else(|| of_rfc_3339(line))
        .or_else(|| of_rfc_3164(line, zone, modified))
}

/// `type=SYSCALL msg=audit(1767323045.678:42): ..`, or with `node=` before it.
fn of_audit(line: &str) -> Option<Timestamp> {
    let (before, rest) = line.split_once(" msg=audit(")?;
    if !before.starts_with("type=") && !before.starts_with("node=") {
        return None;
    }
    let (time, _number) = rest.split_once(':')?;
    let (seconds, ms) = time.split_once('.')?;
    let (seconds, ms): (i64, i64) = (seconds.parse().ok()?, ms.parse().ok()?);
    let ms = seconds.checked_mul(1000)?.checked_add(ms)?;
    Timestamp::from_unix_ms(ms).ok()
}

fn of_rfc_3339(line: &str) -> Option<Timestamp> {
    let word = line.split(' ').next()?;
    let time: jiff::Timestamp = word.parse().ok()?;
    Timestamp::from_unix_ms(time.as_millisecond()).ok()
}

/// `Jan  2 03:04:05 host ..`, in the time of the host.
fn of_rfc_3164(line: &str, zone: &TimeZone, modified: Timestamp) -> Option<Timestamp> {
    let mut words = line.split_ascii_whitespace();
    let (month, day, clock) = (words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let month = i8::try_from(month).ok()?;
    let day = day.parse().ok()?;
    let mut parts = clock.split(':').map(|part| part.parse::<i8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let last = modified.plus_ms(LATER_MS);
    let year = jiff::Timestamp::from_millisecond(last.unix_ms()).ok()?;
    let year = zone.to_datetime(year).year();
    // The 29th of February is not in every year.
    let years = (0..=8_i16).map(|back| year.saturating_sub(back));
    let mut times = years.filter_map(|year| {
        let civil = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
        let time = civil.to_zoned(zone.clone()).ok()?.timestamp();
        Timestamp::from_unix_ms(time.as_millisecond()).ok()
    });
    times.find(|time| *time <= last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::machine::Machine;

    /// The time of a line in a file of the new year in New York.
    #[track_caller]
    fn check(line: &str, expected: Option<&str>) {
        // Five hours behind, four in summer: the rule that is in the files of New York.
        let zone = TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap();
        let modified = "2026-01-02T08:00:00Z".parse().unwrap();
        let found = time(line, &zone, modified).map(|time| time.to_string());
        assert_eq!(found.as_deref(), expected, "{line}");
    }

    #[test]
    fn forms_of_times() {
        let expected = Some("2026-01-02T03:04:05.678Z");
        check("2026-01-02T03:04:05.678901+00:00 web sshd[7]: x", expected);
        check("2026-01-02T04:04:05.678+01:00 web sshd[7]: x", expected);
        check(
            "type=SYSCALL msg=audit(1767323045.678:42): arch=c000003e",
            expected,
        );
        check(
            "node=web type=CWD msg=audit(1767323045.678:42): cwd=\"/\"",
            expected,
        );
        check(
            "Jan  1 22:04:05 web sshd[7]: x",
            Some("2026-01-02T03:04:05.000Z"),
        );
        check(
            "<38>Jan  1 22:04:05 web sshd[7]: x",
            Some("2026-01-02T03:04:05.000Z"),
        );
        check("Dec 31 23:59:59 web x", Some("2026-01-01T04:59:59.000Z"));
        check("Jan  4 00:00:00 web x", Some("2025-01-04T05:00:00.000Z"));
        check("Jul  4 12:00:00 web x", Some("2025-07-04T16:00:00.000Z"));
        check("Feb 29 12:00:00 web x", Some("2024-02-29T17:00:00.000Z"));
        for line in [
            "",
            "2026-01-02 03:04:05 x",
            "2026-01-02T03:04:05 x",
            "Jan 32 00:00:00 x",
            "Jan 2 25:00:00 x",
            "Jam 2 05:00:00 x",
            "x msg=audit(1767323045.678:42)",
            "type=X msg=audit(now:42)",
            "type=X msg=audit(9223372036854775807.1:42)",
        ] {
            check(line, None);
        }
    }

    #[test]
    fn last_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let host = Machine::open(folder.path()).unwrap();
        let long = format!("{}\nb\n", "x".repeat(TAIL_BYTES));
        let cut = format!("{}\n", "x".repeat(TAIL_BYTES));
        for (text, expected) in [
            ("", None),
            ("a", None),
            ("a\n", Some("a")),
            ("a\nb", Some("a")),
            ("a\n\n \n", Some("a")),
            (&long, Some("b")),
            (&cut, None),
        ] {
            shared::durable::write(&folder.path().join("log"), text.as_bytes(), 0o644).unwrap();
            assert_eq!(last(&host, "/log").unwrap().as_deref(), expected);
        }
        assert!(last(&host, "/none").is_err());
        assert_eq!(zone(&host).unwrap(), TimeZone::UTC);
        std::fs::create_dir(folder.path().join("etc")).unwrap();
        shared::durable::write(&folder.path().join("etc/localtime"), b"TZif", 0o644).unwrap();
        assert_eq!(zone(&host).unwrap_err().status, Status::Malformed);
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(
            line in "(\\PC|[0-9:.-]|T|Z|Jan |type=A msg=audit\\()*",
            ms in 0_i64..1 << 46,
        ) {
            if let Ok(modified) = Timestamp::from_unix_ms(ms) {
                let _time = time(&line, &TimeZone::UTC, modified);
            }
        }
    }
}
