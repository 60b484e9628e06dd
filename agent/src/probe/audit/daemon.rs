//! The settings of auditd and its log file: auditd.conf(5).

use shared::fact::Value;
use shared::observation::{Means, Status};

use crate::host::{Host, Unseen};
use crate::probe::{Seen, lines, settings};

/// The settings.
const PATH: &str = "/etc/audit/auditd.conf";
/// Where records are written unless told otherwise.
const LOG_FILE: &str = "/var/log/audit/audit.log";
/// Bytes in a mebibyte, in which sizes are written.
const MIB: i64 = 1024 * 1024;
/// Bits of a mode that let others than the owner write, and others than the group do anything.
const TOO_OPEN: u32 = 0o027;

/// Actions, by the key in the settings: their values are stated in lower case.
const ACTIONS: [(&str, &str); 6] = [
    ("admin_space_left_action", "admin_space_left_action"),
    ("disk_error_action", "disk_error_action"),
    ("disk_full_action", "disk_full_action"),
    ("overflow_action", "overflow_action"),
    ("max_log_file_action", "log_full_action"),
    ("space_left_action", "space_left_action"),
];

/// States what the settings say, and what the log file shows. Without settings there is no auditd,
/// and nothing is stated.
pub(super) fn look(host: &dyn Host, seen: &mut Seen) {
    let text = settings::text(host, PATH);
    let Some(text) = seen.note(Means::File, PATH, text) else {
        return;
    };
    let pairs: Vec<(String, &str)> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.trim().to_ascii_lowercase(), value.trim()))
        .collect();
    let value = |name: &str| {
        let mut found = pairs.iter().filter(|(key, _)| key == name);
        found.next_back().map(|(_, value)| *value)
    };
    for (key, fact) in ACTIONS {
        if let Some(action) = value(key) {
            // What follows is the path of a program.
            let action = action.split_whitespace().next().unwrap_or_default();
            seen.state(fact, Value::Text(action.to_ascii_lowercase()));
        }
    }
    for (key, fact, unit) in [
        ("max_log_file", "log_size_limit_bytes", MIB),
        ("num_logs", "log_kept_count", 1),
    ] {
        if let Some(number) = value(key).and_then(|value| value.parse::<i64>().ok()) {
            seen.state(fact, Value::Number(number.saturating_mul(unit)));
        }
    }
    let on = |key| value(key).is_none_or(|word| word.eq_ignore_ascii_case("yes"));
    let writes = on("write_logs") && on("local_events");
    seen.state("log_written", Value::Flag(writes));
    log_file(host, seen, value("log_file").unwrap_or(LOG_FILE));
}

fn log_file(host: &dyn Host, seen: &mut Seen, path: &str) {
    seen.state("log_file", Value::Text(path.to_owned()));
    let stat = host.stat(path);
    let Some(stat) = seen.note(Means::File, path, stat) else {
        return;
    };
    let bytes = i64::try_from(stat.bytes).unwrap_or(i64::MAX);
    seen.state("log_bytes", Value::Number(bytes));
    seen.state("log_mode", Value::Number(stat.mode.into()));
    let folder = path.rsplit_once('/').map_or("/", |(folder, _)| folder);
    if let Ok(folder) = host.stat(folder) {
        let closed = (stat.mode | folder.mode) & TOO_OPEN == 0 && stat.user == 0;
        seen.state("log_private", Value::Flag(closed));
    }
    match lines::last(host, path) {
        Ok(line) => {
            // Only the form of auditd counts, which needs no zone.
            let zone = jiff::tz::TimeZone::UTC;
            let time = line.and_then(|line| lines::time(&line, &zone, stat.modified));
            match time {
                Some(time) => seen.state("log_newest", Value::Instant(time)),
                None if stat.bytes == 0 => {}
                None => {
                    let why = "the last line says no time";
                    seen.unseen(Means::File, Unseen::new(path, Status::Malformed, Some(why)));
                }
            }
        }
        Err(unseen) => seen.unseen(Means::File, unseen),
    }
}
