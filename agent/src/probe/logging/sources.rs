//! The log files: how long ago each was written, and when they were rotated.
//!
//! The last line of a file says when an entry came; its modification time may be that of a
//! rotation.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use shared::fact::{Record, Value};
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use crate::config::LogSource;
use crate::host::{Host, Unseen};
use crate::probe::{Seen, lines};

/// Log files of syslog daemons on the distributions that are known. Everybody may see their folder.
const FILES: [&str; 11] = [
    "/var/log/auth.log",
    "/var/log/cron",
    "/var/log/cron.log",
    "/var/log/daemon.log",
    "/var/log/kern.log",
    "/var/log/mail.log",
    "/var/log/maillog",
    "/var/log/messages",
    "/var/log/secure",
    "/var/log/syslog",
    "/var/log/user.log",
];

/// What logrotate(8) did last, as Debian and RHEL keep it.
const ROTATIONS: [&str; 3] = [
    "/var/lib/logrotate/status",
    "/var/lib/logrotate/logrotate.status",
    "/var/lib/logrotate.status",
];
/// Longest file of it.
const ROTATIONS_BYTES_MAX: u64 = 1024 * 1024;
/// The settings of logrotate.
const ROTATE: &str = "/etc/logrotate.conf";

/// One log file.
pub(super) struct LogFile {
    pub(super) path: &'static str,
    pub(super) bytes: u64,
    pub(super) modified: Timestamp,
}

/// The log files that are there; `None` when it could not be told of one of them.
pub(super) fn look(host: &dyn Host, seen: &mut Seen) -> Option<Vec<LogFile>> {
    let mut files = Vec::new();
    let mut whole = true;
    for path in FILES {
        match host.stat(path) {
            Ok(stat) if stat.folder => {}
            Ok(stat) => files.push(LogFile {
                path,
                bytes: stat.bytes,
                modified: stat.modified,
            }),
            Err(unseen) if unseen.is_absent() => {}
            Err(unseen) => {
                seen.unseen(Means::File, unseen);
                whole = false;
            }
        }
    }
    whole.then_some(files)
}

/// The zone in which the log files are written; `None`, and a source, when it is not known.
pub(super) fn zone(host: &dyn Host, seen: &mut Seen) -> Option<TimeZone> {
    match lines::zone(host) {
        Ok(zone) => Some(zone),
        Err(unseen) => {
            seen.unseen(Means::File, unseen);
            None
        }
    }
}

/// States the log files.
pub(super) fn state(host: &dyn Host, seen: &mut Seen, files: &[LogFile], zone: Option<&TimeZone>) {
    let mut records = Vec::new();
    for file in files {
        let bytes = i64::try_from(file.bytes).unwrap_or(i64::MAX);
        let mut record = Record::from([
            ("bytes".to_owned(), Value::Number(bytes)),
            ("modified".to_owned(), Value::Instant(file.modified)),
            ("path".to_owned(), Value::Text(file.path.to_owned())),
        ]);
        if let Some(newest) = last_entry(host, seen, file.path, file.modified, zone) {
            let _new = record.insert("newest".to_owned(), Value::Instant(newest));
        }
        records.push(record);
    }
    seen.state_list("files", records);
}

/// The time that the last line says.
fn last_entry(
    host: &dyn Host,
    seen: &mut Seen,
    path: &str,
    modified: Timestamp,
    zone: Option<&TimeZone>,
) -> Option<Timestamp> {
    match lines::last(host, path) {
        Ok(line) => lines::time(&line?, zone?, modified),
        Err(unseen) => {
            seen.unseen(Means::File, unseen);
            None
        }
    }
}

/// States the sources that the operator has named: when each was written last, and how long ago.
pub(super) fn state_declared(
    host: &dyn Host,
    seen: &mut Seen,
    sources: &[LogSource],
    zone: Option<&TimeZone>,
    now: Timestamp,
) {
    let mut records = Vec::new();
    for source in sources {
        let mut record = Record::from([
            ("name".to_owned(), Value::Text(source.name.clone())),
            ("path".to_owned(), Value::Text(source.path.clone())),
            (
                "max_silence_s".to_owned(),
                Value::Number(source.max_silence_s),
            ),
        ]);
        let stat = host.stat(&source.path);
        let absent = stat.as_ref().is_err_and(Unseen::is_absent);
        if let Some(stat) = seen.note(Means::File, &source.path, stat) {
            let entry = last_entry(host, seen, &source.path, stat.modified, zone);
            // A file without a time in its lines was written when it was written.
            let newest = entry.or_else(|| (stat.bytes != 0).then_some(stat.modified));
            if let Some(newest) = newest {
                let silence = now.ms_since(newest) / 1000;
                let _new = record.insert("newest".to_owned(), Value::Instant(newest));
                let _new = record.insert("silence_s".to_owned(), Value::Number(silence));
            }
        }
        if absent {
            let _new = record.insert("present".to_owned(), Value::Flag(false));
        }
        records.push(record);
    }
    seen.state_list("sources", records);
}

/// States when logrotate ran, and when it rotated each file.
pub(super) fn state_rotation(host: &dyn Host, seen: &mut Seen, zone: Option<&TimeZone>) {
    let settings = host.stat(ROTATE);
    let absent = settings.as_ref().is_err_and(Unseen::is_absent);
    let there = seen.note(Means::File, ROTATE, settings).is_some();
    if there || absent {
        seen.state("rotation_configured", Value::Flag(there));
    }
    let found = |path: &&&str| !host.stat(path).is_err_and(|unseen| unseen.is_absent());
    let Some(path) = ROTATIONS.iter().find(found) else {
        return;
    };
    let stat = host.stat(path);
    if let Some(stat) = seen.note(Means::File, path, stat) {
        seen.state("rotation_ran", Value::Instant(stat.modified));
    }
    let text = host.read(path, ROTATIONS_BYTES_MAX);
    let Some(text) = seen.note(Means::File, path, text) else {
        return;
    };
    let Some(zone) = zone else { return };
    let text = String::from_utf8_lossy(&text);
    let mut lines = text.lines();
    if !lines
        .next()
        .is_some_and(|line| line.starts_with("logrotate state"))
    {
        let why = "no file of logrotate";
        seen.unseen(Means::File, Unseen::new(path, Status::Malformed, Some(why)));
        return;
    }
    let records = lines.filter_map(|line| {
        let (path, at) = rotation(line, zone)?;
        let path = ("path".to_owned(), Value::Text(path.to_owned()));
        Some(Record::from([path, ("at".to_owned(), Value::Instant(at))]))
    });
    seen.state_list("rotations", records.collect());
}

/// `"/var/log/syslog" 2026-1-2-3:4:5`, in the time of the host.
fn rotation<'a>(line: &'a str, zone: &TimeZone) -> Option<(&'a str, Timestamp)> {
    let (path, time) = line.rsplit_once(' ')?;
    let path = path.strip_prefix('"')?.strip_suffix('"')?;
    let mut numbers = time.split(['-', ':']).map(str::parse::<i16>);
    let mut next = || numbers.next()?.ok();
    let year = next()?;
    let mut small = || i8::try_from(next()?).ok();
    let (month, day) = (small()?, small()?);
    // Old versions write no time of the day.
    let (hour, minute, second) = (
        small().unwrap_or_default(),
        small().unwrap_or_default(),
        small().unwrap_or_default(),
    );
    let civil = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    let time = civil.to_zoned(zone.clone()).ok()?.timestamp();
    let at = Timestamp::from_unix_ms(time.as_millisecond()).ok()?;
    Some((path, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_logrotate() {
        let zone = TimeZone::posix("CET-1").unwrap();
        let found = |line| rotation(line, &zone).map(|(path, at)| format!("{path} {at}"));
        assert_eq!(
            found("\"/var/log/syslog\" 2026-1-2-3:4:5").unwrap(),
            "/var/log/syslog 2026-01-02T02:04:05.000Z"
        );
        assert_eq!(
            found("\"/var/log/a b\" 2026-1-2").unwrap(),
            "/var/log/a b 2026-01-01T23:00:00.000Z"
        );
        for bad in [
            "",
            "/var/log/x 2026-1-2",
            "\"x\" 2026-13-2",
            "\"x\" 2026",
            "\"x\" y",
        ] {
            assert_eq!(found(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_line_is_read(line in "(\"/x\" |[0-9:-]{0,20}|\\PC)*") {
            let _rotation = rotation(&line, &TimeZone::UTC);
        }
    }
}
