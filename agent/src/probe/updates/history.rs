//! When packages changed: dpkg's logs, whose times are local times without a zone.
//!
//! The zone is that of `/etc/localtime`, or UTC when there is none, as dpkg itself has it. In the
//! hour that a change of zone repeats, the first one is taken.
//!
//! An `upgrade` is looked at for how long it waited, an `install` is not: nothing of that name was
//! there before. A downgrade is none, and neither is what was done while an image was made, before
//! its machine id was written at the first start.
//!
//! Source: dpkg.conf(5) `log`, dpkg(1) "Files"; tzfile(5); machine-id(5).

use std::io::{BufRead, BufReader, Read};

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use shared::fact::Value;
use shared::observation::{Means, Status};
use shared::time::Timestamp;
use shared::version;

use super::stanza;
use crate::host::{Host, Unseen};
use crate::probe::Seen;

/// dpkg's logs, newest first; rotated each month, the older ones packed.
const LOGS: [&str; 6] = [
    "/var/log/dpkg.log",
    "/var/log/dpkg.log.1",
    "/var/log/dpkg.log.2.gz",
    "/var/log/dpkg.log.3.gz",
    "/var/log/dpkg.log.4.gz",
    "/var/log/dpkg.log.5.gz",
];
const ZONE: &str = "/etc/localtime";
const ZONE_BYTES_MAX: u64 = 64 * 1024;
const MACHINE_ID: &str = "/etc/machine-id";
/// Largest log that is read.
const LOG_BYTES_MAX: u64 = 64 * 1024 * 1024;
const LINE_BYTES_MAX: u64 = 1024;
/// Most upgrades that are kept, the newest ones.
const UPGRADES_MAX: usize = 4096;

/// One package that was upgraded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Upgrade {
    /// When.
    pub(super) at: Timestamp,
    /// Name of the package.
    pub(super) package: String,
    /// Its architecture, as dpkg writes it.
    pub(super) architecture: String,
    /// The version before.
    pub(super) from: String,
    /// The version since then.
    pub(super) to: String,
}

impl Upgrade {
    /// Name, new version and architecture in one text.
    pub(super) fn named(&self) -> String {
        format!("{} {} {}", self.package, self.to, self.architecture)
    }
}

/// States when a package was last installed, upgraded or removed, and returns the upgrades of the
/// period that begins at `begin`, oldest first; `None` when a log of it was not read.
pub(super) fn look(
    host: &dyn Host,
    seen: &mut Seen,
    zone: &TimeZone,
    begin: Timestamp,
) -> Option<Vec<Upgrade>> {
    let begin = begin.max(made(host, seen)?);
    let (mut upgrades, mut stated) = (Vec::new(), false);
    for path in LOGS {
        let read = read(host, path, zone);
        let absent = read.as_ref().is_err_and(Unseen::is_absent);
        let Some(log) = seen.note(Means::File, path, read) else {
            if absent {
                continue;
            }
            return None;
        };
        if let (Some(at), false) = (log.last, stated) {
            seen.state("last_change", Value::Instant(at));
            stated = true;
        }
        let before_all = log.first.is_some_and(|first| first < begin);
        upgrades.splice(0..0, log.upgrades);
        if before_all {
            break;
        }
    }
    upgrades.retain(|upgrade| {
        begin <= upgrade.at && version::compare(&upgrade.from, &upgrade.to).is_lt()
    });
    if UPGRADES_MAX < upgrades.len() {
        let why = format!("{} upgrades", upgrades.len());
        let what = LOGS.first().copied().unwrap_or_default();
        seen.unseen(Means::File, Unseen::new(what, Status::Limit, Some(&why)));
        return None;
    }
    Some(upgrades)
}

/// When the machine id was written: at the first start of an image, or when the host was installed.
fn made(host: &dyn Host, seen: &mut Seen) -> Option<Timestamp> {
    match host.stat(MACHINE_ID) {
        Err(unseen) if unseen.is_absent() => {
            seen.unseen(Means::File, unseen);
            Some(Timestamp::default())
        }
        stat => seen
            .note(Means::File, MACHINE_ID, stat)
            .map(|stat| stat.modified),
    }
}

/// The zone in which logs are written.
pub(super) fn zone(host: &dyn Host, seen: &mut Seen) -> Option<TimeZone> {
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

/// What one log has.
#[derive(Debug, Default)]
struct Log {
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    upgrades: Vec<Upgrade>,
}

fn read(host: &dyn Host, path: &str, zone: &TimeZone) -> Result<Log, Unseen> {
    if LOG_BYTES_MAX < host.stat(path)?.bytes {
        return Err(Unseen::new(path, Status::Limit, None));
    }
    let file = host.open(path, LOG_BYTES_MAX)?;
    let file: Box<dyn Read> = if path.strip_suffix(".gz").is_some() {
        Box::new(flate2::read::MultiGzDecoder::new(file))
    } else {
        file
    };
    scan(file, zone).map_err(|error| stanza::unseen(path, &error))
}

/// Reads a log. Lines of another form are read over: a log may be cut at either end.
fn scan(log: impl Read, zone: &TimeZone) -> std::io::Result<Log> {
    let log = log.take(LOG_BYTES_MAX);
    let mut log = BufReader::with_capacity(64 * 1024, log);
    let (mut line, mut found) = (Vec::new(), Log::default());
    loop {
        line.clear();
        let length = (&mut log)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)?;
        if length == 0 {
            return Ok(found);
        }
        if line.last() != Some(&b'\n') {
            log.skip_until(b'\n')?;
        }
        let Some((at, words)) = change(&line, zone) else {
            continue;
        };
        found.first = found.first.or(Some(at));
        found.last = Some(at);
        if let ["upgrade", name, from, to] = words.as_slice() {
            let (package, architecture) = name.split_once(':').unwrap_or((name, ""));
            found.upgrades.push(Upgrade {
                at,
                package: package.to_owned(),
                architecture: architecture.to_owned(),
                from: (*from).to_owned(),
                to: (*to).to_owned(),
            });
        }
    }
}

/// A line that tells of a change, its time and its words:
/// `2026-11-22 06:16:34 upgrade tzdata:all 2025b-0 2026f-0`.
fn change<'a>(line: &'a [u8], zone: &TimeZone) -> Option<(Timestamp, Vec<&'a str>)> {
    let action = line.get(20..)?;
    let actions = [&b"install "[..], b"upgrade ", b"remove ", b"purge "];
    if !actions.iter().any(|word| action.starts_with(word)) {
        return None;
    }
    let at = local_time(std::str::from_utf8(line.get(..19)?).ok()?, zone)?;
    let words = std::str::from_utf8(action).ok()?.split_whitespace();
    Some((at, words.collect()))
}

/// The instant of a local time: `2026-11-22 06:16:34`.
pub(super) fn local_time(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let local: DateTime = text.parse().ok()?;
    let at = zone.to_ambiguous_timestamp(local).compatible().ok()?;
    Timestamp::from_unix_ms(at.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn utc(text: &[u8]) -> Log {
        scan(text, &TimeZone::UTC).unwrap()
    }

    #[test]
    fn the_last_change_counts() {
        let text = "2026-11-22 06:16:34 install a:amd64 <none> 1\n\
                    2026-11-22 06:17:00 upgrade b:all 1 2\n\
                    2026-11-22 06:18:00 status installed b:all 2\n\
                    2026-11-22 06:19:00 startup packages configure\n";
        let log = utc(text.as_bytes());
        assert_eq!(log.first.unwrap().to_string(), "2026-11-22T06:16:34.000Z");
        assert_eq!(log.last.unwrap().to_string(), "2026-11-22T06:17:00.000Z");
        let [upgrade] = log.upgrades.as_slice() else {
            panic!("{log:?}")
        };
        let words = [
            &*upgrade.package,
            &*upgrade.architecture,
            &*upgrade.from,
            &*upgrade.to,
        ];
        assert_eq!(words, ["b", "all", "1", "2"]);
        for none in [
            "",
            "x\n",
            "2026-11-22 06:18:00 status installed b:all 2\n",
            "2026-13-22 06:16:34 remove a 1 <none>\n",
        ] {
            assert_eq!(utc(none.as_bytes()).last, None, "{none}");
        }
        // The newest line may be half written.
        let cut = "2026-11-22 06:17:00 upgrade b:all 1 2\n2026-11-22 06:18:00 upgrade c:all 1";
        assert_eq!(utc(cut.as_bytes()).upgrades.len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(utc(&bytes));
        }

        #[test]
        fn any_time(time in "[0-9 :-]{19}") {
            drop(utc(format!("{time} purge x").as_bytes()));
        }
    }
}
