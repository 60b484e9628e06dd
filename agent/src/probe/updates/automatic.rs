//! Updates that are installed by themselves: what is switched on, what it covers, how it last went.
//!
//! `/var/lib/apt/periodic/update-stamp` is not read: apt touches it after an update that reached
//! no server too. `upgrade-stamp` is touched only when unattended-upgrade ended without an error.
//!
//! Source: /usr/lib/apt/apt.systemd.daily, unattended-upgrades(8).

use std::io::Read as _;

use jiff::tz::TimeZone;
use shared::fact::{Record, Value};
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::apt::Settings;
use super::history;
use super::inventory::Inventory;
use super::lists::Archives;
use super::release::Release;
use crate::host::{Host, Unseen};
use crate::probe::Seen;
use crate::probe::settings::glob;
use crate::probe::units;

/// The tool that installs updates by itself.
const UNATTENDED: &str = "unattended-upgrades";
/// Touched only when unattended-upgrade ended without an error.
const UPGRADE_STAMP: &str = "/var/lib/apt/periodic/upgrade-stamp";
/// Its log and the one before, which root and the group `adm` may read; rotated each month.
const LOGS: [&str; 3] = [
    "/var/log/unattended-upgrades/unattended-upgrades.log",
    "/var/log/unattended-upgrades/unattended-upgrades.log.1",
    "/var/log/unattended-upgrades/unattended-upgrades.log.1.gz",
];
/// How much is read of the end of a log.
const LOG_BYTES_MAX: u64 = 256 * 1024;
/// Longest packed log, unpacked: its end is known only when all of it was.
const PACKED_BYTES_MAX: u64 = 1024 * 1024;
/// What it says when it begins.
const STARTING: &str = "INFO Starting unattended upgrades";
/// What it says when something went wrong.
const ERROR: &str = "ERROR ";
/// The timers that fetch lists, and that install.
const TIMERS: [&str; 2] = ["apt-daily.timer", "apt-daily-upgrade.timer"];
/// Settings of what it may install: lists of patterns.
const ORIGINS: [&str; 2] = [
    "unattended-upgrade::allowed-origins",
    "unattended-upgrade::origins-pattern",
];

/// States whether updates are installed by themselves, and when that last went well.
pub(super) fn state(
    host: &dyn Host,
    seen: &mut Seen,
    inventory: &Inventory,
    settings: Option<&Settings>,
) {
    let installed = inventory.has(UNATTENDED);
    let tool = if installed { UNATTENDED } else { "none" };
    seen.state("automatic_tool", Value::Text(tool.to_owned()));
    if let Some(settings) = settings {
        let on = |name: &str, default: &str| {
            let value = settings.get(&format!("apt::periodic::{name}"));
            let digits = value
                .unwrap_or(default)
                .trim_end_matches(['s', 'm', 'h', 'd']);
            !digits.is_empty() && digits.bytes().any(|byte| byte != b'0')
        };
        let enabled = installed
            && on("enable", "1")
            && on("update-package-lists", "0")
            && on("unattended-upgrade", "0");
        seen.state("automatic_enabled", Value::Flag(enabled));
        let record =
            |pattern: &String| Record::from([("pattern".to_owned(), Value::Text(pattern.clone()))]);
        let excluded = settings.list("unattended-upgrade::package-blacklist");
        seen.state_list("automatic_excluded", excluded.iter().map(record).collect());
    }
    if let Some(stat) = seen.note(Means::File, UPGRADE_STAMP, host.stat(UPGRADE_STAMP)) {
        seen.state("automatic_last_success", Value::Instant(stat.modified));
    }
}

/// States whether systemd starts the tool, and when it last did.
pub(super) fn state_timers(host: &dyn Host, seen: &mut Seen) {
    let mut records = Vec::new();
    for name in TIMERS {
        let asked = units::timer_unit(host, name);
        let Some(timer) = seen.note(Means::Dbus, name, asked) else {
            return;
        };
        let Some(timer) = timer else {
            continue;
        };
        let fields = [
            ("name", Some(Value::Text(name.to_owned()))),
            ("active", Some(Value::Flag(timer.unit.is_active()))),
            ("file", timer.unit.file.map(Value::Text)),
            ("last", timer.last.map(Value::Instant)),
            ("next", timer.next.map(Value::Instant)),
        ];
        let fields = fields.into_iter();
        records.push(
            fields
                .filter_map(|(name, value)| Some((name.to_owned(), value?)))
                .collect(),
        );
    }
    seen.state_list("automatic_timers", records);
}

/// States when the tool last said in its log that it ran, and that something went wrong; and
/// whether its whole log since the last success was read, so that no error means none.
pub(super) fn state_log(host: &dyn Host, seen: &mut Seen, zone: &TimeZone) {
    let success = host.stat(UPGRADE_STAMP).ok().map(|stat| stat.modified);
    let mut said = Said::default();
    let mut read_back = false;
    // Newest first. Who just rotated the log has the last run in the one before.
    for path in LOGS {
        let read = end_of(host, path);
        let absent = read.as_ref().is_err_and(Unseen::is_absent);
        let Some((text, whole)) = seen.note(Means::File, path, read) else {
            if absent {
                continue;
            }
            read_back = false;
            break;
        };
        said.read(&text, zone);
        read_back = true;
        if said.first.zip(success).is_some_and(|(at, last)| at < last) {
            break;
        }
        if !whole {
            let why = format!("its last {LOG_BYTES_MAX} bytes do not reach back to a success");
            seen.unseen(Means::File, Unseen::new(path, Status::Limit, Some(&why)));
            read_back = false;
            break;
        }
    }
    for (fact, at) in [
        ("automatic_last_run", said.run),
        ("automatic_last_error", said.error),
    ] {
        if let Some(at) = at {
            seen.state(fact, Value::Instant(at));
        }
    }
    seen.state("automatic_log_read", Value::Flag(read_back));
}

/// What the logs say, read from the newest to the oldest.
#[derive(Default)]
struct Said {
    run: Option<Timestamp>,
    error: Option<Timestamp>,
    /// The oldest time that was read.
    first: Option<Timestamp>,
}

impl Said {
    fn read(&mut self, text: &str, zone: &TimeZone) {
        let time = |line: &str| history::local_time(line.get(..19)?, zone);
        let last = |begin: &str| {
            let lines = text.lines().rev().filter(|line| {
                let said = line.get(24..).unwrap_or_default();
                said.starts_with(begin)
            });
            let mut times = lines.filter_map(time);
            times.next()
        };
        self.run = self.run.or_else(|| last(STARTING));
        self.error = self.error.or_else(|| last(ERROR));
        self.first = text.lines().find_map(time).or(self.first);
    }
}

/// The end of a log, and whether that is all of it.
fn end_of(host: &dyn Host, path: &str) -> Result<(String, bool), Unseen> {
    let bytes = host.stat(path)?.bytes;
    if path.strip_suffix(".gz").is_some() {
        let packed = host.open(path, bytes.min(LOG_BYTES_MAX))?;
        let mut text = Vec::new();
        let mut whole = flate2::read::MultiGzDecoder::new(packed).take(PACKED_BYTES_MAX);
        let length = whole.read_to_end(&mut text);
        let length = length.map_err(|error| Unseen::from_io(path, &error))?;
        if LOG_BYTES_MAX < bytes || u64::try_from(length).unwrap_or(u64::MAX) == PACKED_BYTES_MAX {
            return Err(Unseen::new(path, Status::Limit, None));
        }
        return Ok((String::from_utf8_lossy(&text).into_owned(), true));
    }
    let begin = bytes.saturating_sub(LOG_BYTES_MAX);
    let length = usize::try_from(bytes - begin).unwrap_or_default();
    let mut text = vec![0; length];
    let file = host.open_parts(path)?;
    file.fill(&mut text, begin)
        .map_err(|error| Unseen::from_io(path, &error))?;
    Ok((String::from_utf8_lossy(&text).into_owned(), begin == 0))
}

/// States whether the tool may install what comes from the sources of security updates. Left out
/// when a pattern is not understood, or there is no such source.
pub(super) fn state_origins(
    seen: &mut Seen,
    settings: &Settings,
    archives: &Archives,
    (id, codename): (&str, &str),
) {
    let lists = ORIGINS.into_iter().flat_map(|name| settings.list(name));
    let filled = lists.map(|text| {
        text.replace("${distro_id}", id)
            .replace("${distro_codename}", codename)
    });
    let patterns: Result<Vec<Vec<(String, String)>>, String> =
        filled.map(|text| pattern(&text).ok_or(text)).collect();
    match patterns {
        Err(text) => {
            let why = format!("`{text}` is not understood");
            let what = "Unattended-Upgrade::Origins-Pattern";
            seen.unseen(
                Means::File,
                Unseen::new(what, Status::Unsupported, Some(&why)),
            );
        }
        Ok(patterns) => {
            let known = archives.known.iter();
            let security = known.filter(|archive| archive.release.security());
            let mut covered = security.map(|archive| {
                let site = archive.name.split('_').next().unwrap_or_default();
                patterns
                    .iter()
                    .any(|one| covers(one, &archive.release, site))
            });
            if archives.whole
                && let Some(first) = covered.next()
            {
                let all = first && covered.all(|one| one);
                seen.state("automatic_security", Value::Flag(all));
            }
        }
    }
}

/// Both forms of a pattern: `origin=Debian,label=Debian-Security`, and `Debian:bookworm-security`
/// for origin and suite.
fn pattern(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |name: &str, value: &str| (name.trim().to_owned(), value.trim().to_owned());
    if !text.contains('=') {
        let (origin, suite) = text.split_once(':').or_else(|| text.split_once(' '))?;
        return Some(vec![pair("origin", origin), pair("suite", suite)]);
    }
    let parts = text.split(',').map(|part| {
        let (name, value) = part.split_once('=')?;
        Some(pair(name, value))
    });
    parts.collect()
}

fn covers(pattern: &[(String, String)], release: &Release, site: &str) -> bool {
    pattern.iter().all(|(name, wanted)| {
        let found = match name.as_str() {
            "o" | "origin" => release.origin.as_deref(),
            "l" | "label" => release.label.as_deref(),
            "a" | "suite" | "archive" => release.suite.as_deref(),
            "n" | "codename" => release.codename.as_deref(),
            "site" => Some(site),
            // A source is covered only in part when it is so in one component.
            _ => None,
        };
        found.is_some_and(|found| glob(wanted, found))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_what_may_be_installed() {
        let release = Release {
            origin: Some("Debian".to_owned()),
            label: Some("Debian-Security".to_owned()),
            suite: Some("oldstable-security".to_owned()),
            codename: Some("bookworm-security".to_owned()),
            ..Release::default()
        };
        for (text, expected) in [
            (
                "origin=Debian,codename=bookworm-security,label=Debian-Security",
                true,
            ),
            (
                "origin=Debian,codename=bookworm,label=Debian-Security",
                false,
            ),
            ("o=Debian, a=oldstable-security", true),
            ("origin=*", true),
            ("site=deb.debian.org", true),
            ("Debian:oldstable-security", true),
            ("Debian oldstable-security", true),
            ("Debian:stable", false),
            ("origin=Debian,component=main", false),
        ] {
            let pattern = pattern(text).unwrap();
            assert_eq!(
                covers(&pattern, &release, "deb.debian.org"),
                expected,
                "{text}"
            );
        }
        for bad in ["Debian", "origin=Debian,main"] {
            assert_eq!(pattern(bad), None, "{bad}");
        }
    }
}
