//! What waits to be sent: queues on disk, and the journal behind systemd-journal-upload.
//!
//! Counters that a daemon gives out over HTTP only (Fluent Bit, Vector, OpenTelemetry Collector)
//! are not asked for, and the database of Fluent Bit is not opened.

use shared::fact::{Facts, Record, Value};
use shared::observation::{Means, Status};
use shared::time::Timestamp;

use super::forwarding::{self, Files};
use super::journal::Journal;
use crate::host::{Host, Unseen};
use crate::probe::{Before, Seen};

/// What systemd-journal-upload has sent: systemd-journal-upload(8).
const UPLOAD_STATE: &str = "/var/lib/systemd/journal-upload/state";
/// Longest file of it.
const UPLOAD_BYTES_MAX: u64 = 4096;
/// Most folders and files below the buffers of Vector.
const NAMES_MAX: usize = 1024;
/// Folders of queues, as the packages have them.
const RSYSLOG: &str = "/var/spool/rsyslog";
const SYSLOG_NG: &str = "/var/lib/syslog-ng";
const VECTOR: &str = "/var/lib/vector/buffer/v2";

/// Files of queues in one place.
struct Spool {
    daemon: &'static str,
    folder: String,
    files: usize,
    bytes: u64,
}

/// States what waits on disk, and how much more it is than at the look before.
pub(super) fn state(host: &dyn Host, seen: &mut Seen, rsyslog: &Files, before: Option<&Before>) {
    let folder = forwarding::rsyslog_work_folder(rsyslog);
    let folder = folder.unwrap_or_else(|| RSYSLOG.to_owned());
    // A queue is kept in files that are numbered: `NAME.00000001`.
    let numbered: &dyn Fn(&str) -> bool = &|name: &str| {
        let digits = name.rsplit_once('.').map_or("", |(_, digits)| digits);
        digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let queue = |name: &str| {
        let kind = name.rsplit_once('.').map(|(_, kind)| kind);
        matches!(kind, Some("qf" | "rqf"))
    };
    let mut spools = Vec::new();
    let mut whole = true;
    for (daemon, folder, meant) in [
        ("rsyslogd", folder.as_str(), numbered),
        ("syslog-ng", SYSLOG_NG, &queue),
    ] {
        match spool(host, daemon, folder, meant) {
            Ok(spool) => spools.push(spool),
            Err(unseen) if unseen.is_absent() => {}
            Err(unseen) => {
                seen.unseen(Means::File, unseen);
                whole = false;
            }
        }
    }
    match vector(host) {
        Ok(found) => spools.extend(found),
        Err(unseen) if unseen.is_absent() => {}
        Err(unseen) => {
            seen.unseen(Means::File, unseen);
            whole = false;
        }
    }
    let bytes = spools
        .iter()
        .map(|spool| spool.bytes)
        .fold(0, u64::saturating_add);
    seen.state_list("spools", spools.iter().map(record).collect());
    if !whole {
        return;
    }
    let bytes = number(bytes);
    seen.state("spool_bytes", Value::Number(bytes));
    if let Some(before) = before
        && let Some(earlier) = number_of(&before.facts, "spool_bytes")
    {
        let grown = bytes.saturating_sub(earlier);
        seen.state("spool_grown_bytes", Value::Number(grown));
    }
}

fn spool(
    host: &dyn Host,
    daemon: &'static str,
    folder: &str,
    meant: &dyn Fn(&str) -> bool,
) -> Result<Spool, Unseen> {
    let mut spool = Spool {
        daemon,
        folder: folder.to_owned(),
        files: 0,
        bytes: 0,
    };
    for name in host.list(folder)?.iter().filter(|name| meant(name)) {
        match host.stat(&format!("{folder}/{name}")) {
            Ok(stat) => {
                spool.files += 1;
                spool.bytes = spool.bytes.saturating_add(stat.bytes);
            }
            // It was sent meanwhile.
            Err(unseen) if unseen.is_absent() => {}
            Err(unseen) => return Err(unseen),
        }
    }
    Ok(spool)
}

/// Each sink of Vector has a folder of its own.
fn vector(host: &dyn Host) -> Result<Vec<Spool>, Unseen> {
    let sinks = host.list(VECTOR)?;
    if NAMES_MAX < sinks.len() {
        return Err(Unseen::new(VECTOR, Status::Limit, None));
    }
    let data = |name: &str| name.starts_with("buffer-data-");
    let spools = sinks.iter().map(|sink| {
        let folder = format!("{VECTOR}/{sink}");
        spool(host, "vector", &folder, &data)
    });
    spools.collect()
}

fn record(spool: &Spool) -> Record {
    let files = i64::try_from(spool.files).unwrap_or(i64::MAX);
    Record::from([
        ("bytes".to_owned(), Value::Number(number(spool.bytes))),
        ("daemon".to_owned(), Value::Text(spool.daemon.to_owned())),
        ("file_count".to_owned(), Value::Number(files)),
        ("folder".to_owned(), Value::Text(spool.folder.clone())),
    ])
}

/// States how far systemd-journal-upload is behind the journal, and how much further than at the
/// look before. Without its file it has sent nothing, and nothing is stated.
pub(super) fn state_upload(
    host: &dyn Host,
    seen: &mut Seen,
    journal: &Journal,
    before: Option<&Before>,
) {
    let text = match host.read(UPLOAD_STATE, UPLOAD_BYTES_MAX) {
        Err(unseen) if unseen.is_absent() => return,
        text => seen.note(Means::File, UPLOAD_STATE, text),
    };
    let Some(text) = text else { return };
    let Some(cursor) = cursor(&String::from_utf8_lossy(&text)) else {
        let unseen = Unseen::new(UPLOAD_STATE, Status::Malformed, None);
        seen.unseen(Means::File, unseen);
        return;
    };
    seen.state("upload_sent", Value::Instant(cursor.at));
    if let Some(tail) = journal.tail_number(&cursor.numbering) {
        let lag = number(tail.saturating_sub(cursor.number));
        seen.state("upload_lag_count", Value::Number(lag));
        let earlier = before.and_then(|before| number_of(&before.facts, "upload_lag_count"));
        if let Some(earlier) = earlier {
            let grown = lag.saturating_sub(earlier);
            seen.state("upload_lag_grown_count", Value::Number(grown));
        }
    }
}

/// The last entry that the other end has taken.
#[derive(Debug, PartialEq, Eq)]
struct Cursor {
    numbering: String,
    number: u64,
    at: Timestamp,
}

/// `LAST_CURSOR=s=..;i=1f;b=..;m=..;t=..;x=..`, numbers in base 16: systemd.journal-fields(7),
/// `__CURSOR`; the time is in microseconds.
fn cursor(text: &str) -> Option<Cursor> {
    let mut lines = text.lines().rev();
    let cursor = lines.find_map(|line| line.trim().strip_prefix("LAST_CURSOR="))?;
    let part = |name: &str| {
        let mut parts = cursor.split(';').filter_map(|part| part.split_once('='));
        parts
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    };
    let hex = |name: &str| u64::from_str_radix(part(name)?, 16).ok();
    let ms = i64::try_from(hex("t")? / 1000).ok()?;
    Some(Cursor {
        numbering: part("s")?.to_ascii_lowercase(),
        number: hex("i")?,
        at: Timestamp::from_unix_ms(ms).ok()?,
    })
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn number_of(facts: &Facts, name: &str) -> Option<i64> {
    match facts.get(name)? {
        Value::Number(number) => Some(*number),
        Value::Flag(_) | Value::Instant(_) | Value::List(_) | Value::Text(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors() {
        let text = "# Private.\nLAST_CURSOR=s=f496ae968fb04241bde22e86d39f67c8;\
                    i=7e;b=0f;m=1a2b;t=660da243e3fc2;x=8b6c\n";
        let found = cursor(text).unwrap();
        assert_eq!(found.numbering, "f496ae968fb04241bde22e86d39f67c8");
        assert_eq!(found.number, 126);
        assert_eq!(found.at.to_string(), "2026-11-22T09:31:27.460Z");
        for bad in [
            "",
            "LAST_CURSOR=",
            "LAST_CURSOR=s=a;i=1",
            "LAST_CURSOR=s=a;i=x;t=1",
        ] {
            assert_eq!(cursor(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read(text in "(LAST_CURSOR=|[sit]=|[0-9a-f]{1,20}|;|\n|\\PC)*") {
            let _cursor = cursor(&text);
        }
    }
}
