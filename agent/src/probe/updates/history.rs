//! When packages last changed: dpkg's log, whose times are local times without a zone.
//!
//! The zone is that of `/etc/localtime`, or UTC when there is none, as dpkg itself has it. In the
//! hour that a change of zone repeats, the first one is taken. Older, packed logs are not read.
//!
//! Source: dpkg.conf(5) `log`, dpkg(1) "Files"; tzfile(5).

use std::io::{BufRead, BufReader, Read};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use shared::fact::Value;
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::stanza;
use crate::host::{Host, Unseen};
use crate::probe::Seen;

const LOGS: [&str; 2] = ["/var/log/dpkg.log", "/var/log/dpkg.log.1"];
const ZONE: &str = "/etc/localtime";
const ZONE_BYTES_MAX: u64 = 64 * 1024;
/// Largest log that is read; logs are rotated each month.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
const LINE_BYTES_MAX: u64 = 1024;

/// States when a package was last installed, upgraded or removed.
pub(super) fn look(host: &dyn Host, seen: &mut Seen) {
    let Some(zone) = zone(host, seen) else {
        return;
    };
    for path in LOGS {
        let last = last_change(host, path, &zone);
        let unread = last.as_ref().is_err_and(|unseen| !unseen.is_absent());
        match seen.note(Means::File, path, last) {
            Some(Some(at)) => {
                seen.state("last_change", Value::Instant(at));
                return;
            }
            _ if unread => return,
            _ => {}
        }
    }
}

fn zone(host: &dyn Host, seen: &mut Seen) -> Option<TimeZone> {
    match host.read(ZONE, ZONE_BYTES_MAX) {
        Err(unseen) if unseen.is_absent() => {
            seen.unseen(Means::File, unseen);
            Some(TimeZone::UTC)
        }
        bytes => {
            let zone = bytes.and_then(|bytes| {
                TimeZone::tzif("local", &bytes)
                    .map_err(|error| Unseen::new(ZONE, Status::Malformed, Some(&error.to_string())))
            });
            seen.note(Means::File, ZONE, zone)
        }
    }
}

fn last_change(host: &dyn Host, path: &str, zone: &TimeZone) -> Result<Option<Timestamp>, Unseen> {
    if LOG_BYTES_MAX < host.stat(path)?.bytes {
        return Err(Unseen::new(path, Status::Limit, None));
    }
    let log = host.open(path, LOG_BYTES_MAX)?;
    let local = last_line(log).map_err(|error| stanza::unseen(path, &error))?;
    let Some(local) = local else {
        return Ok(None);
    };
    zone.to_ambiguous_timestamp(local)
        .compatible()
        .ok()
        .and_then(|at| Timestamp::from_unix_ms(at.as_millisecond()).ok())
        .map(Some)
        .ok_or_else(|| Unseen::new(path, Status::Malformed, Some("time")))
}

/// The time of the last line that tells of a change. Lines of another form are read over: a log
/// may be cut at either end.
fn last_line(log: impl Read) -> std::io::Result<Option<DateTime>> {
    let mut log = BufReader::with_capacity(64 * 1024, log);
    let (mut line, mut last) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        let length = (&mut log)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if length == 0 {
            break;
        }
        if line.last() != Some(&b'\n') {
            log.skip_until(b'\n')?;
        }
        if change(&line).is_some() {
            std::mem::swap(&mut line, &mut last);
        }
    }
    Ok(change(&last).and_then(|time| time.parse().ok()))
}

/// The time of a line that tells of a change: `2026-11-22 06:16:34 upgrade ..`.
fn change(line: &[u8]) -> Option<&str> {
    let action = line.get(20..)?;
    let actions = [&b"install "[..], b"upgrade ", b"remove ", b"purge "];
    let told = actions.iter().any(|word| action.starts_with(word));
    let time = line.get(..19).filter(|_| told)?;
    std::str::from_utf8(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_last_change_counts() {
        let text = "2026-11-22 06:16:34 install a:amd64 <none> 1\n\
                    2026-11-22 06:17:00 upgrade b:all 1 2\n\
                    2026-11-22 06:18:00 status installed b:all 2\n\
                    2026-11-22 06:19:00 startup packages configure\n";
        let last = last_line(text.as_bytes()).unwrap().unwrap();
        assert_eq!(last.to_string(), "2026-11-22T06:17:00");
        for none in ["", "x\n", "2026-11-22 06:18:00 status installed b:all 2\n"] {
            assert_eq!(last_line(none.as_bytes()).unwrap(), None, "{none}");
        }
        let odd = "2026-13-22 06:16:34 remove a 1 <none>\n";
        assert_eq!(last_line(odd.as_bytes()).unwrap(), None);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(last_line(&bytes[..]));
        }

        #[test]
        fn any_time(time in "[0-9 :-]{19}") {
            drop(last_line(format!("{time} purge x").as_bytes()));
        }
    }
}
