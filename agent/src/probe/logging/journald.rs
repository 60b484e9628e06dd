//! The settings of journald: journald.conf(5).

use shared::fact::{Record, Value};
use shared::observation::{Means, Status};

use crate::host::Unseen;
use crate::probe::Seen;
use crate::probe::settings::{self, Assignment};

/// The section of the settings.
const SECTION: &str = "Journal";
/// Where a value comes from that is nowhere written.
const BUILT_IN: &str = "built in";

/// Limits, and what is built in for them where that is a fixed value; the space that the journal
/// may take is otherwise a tenth of its file system, and 4 GiB at most.
const LIMITS: [(&str, Option<&str>); 9] = [
    ("Compress", Some("yes")),
    ("MaxRetentionSec", Some("0")),
    ("RateLimitBurst", Some("10000")),
    ("RateLimitIntervalSec", Some("30s")),
    ("RuntimeMaxUse", None),
    ("Seal", Some("yes")),
    ("SystemKeepFree", None),
    ("SystemMaxFiles", Some("100")),
    ("SystemMaxUse", None),
];

/// Units of times: systemd.time(7), in microseconds.
const TIMES: [(&[&str], u64); 9] = [
    (&["us", "usec", "\u{b5}s", "\u{3bc}s"], 1),
    (&["ms", "msec"], 1_000),
    (&["", "s", "sec", "second", "seconds"], 1_000_000),
    (&["m", "min", "minute", "minutes"], 60_000_000),
    (&["h", "hr", "hour", "hours"], 3_600_000_000),
    (&["d", "day", "days"], 86_400_000_000),
    (&["w", "week", "weeks"], 604_800_000_000),
    (&["M", "month", "months"], 2_629_800_000_000),
    (&["y", "year", "years"], 31_557_600_000_000),
];

/// `Storage=` as written, or nothing. journald passes over a value that it does not know.
pub(super) fn storage(assignments: &[Assignment]) -> &'static str {
    let known = |value: &str| {
        let mut words = ["", "auto", "none", "persistent", "volatile"].into_iter();
        words.find(|word| *word == value)
    };
    let written = |one: &&Assignment| one.section == SECTION && one.key == "Storage";
    let mut values = assignments.iter().rev().filter(written);
    values.find_map(|one| known(&one.value)).unwrap_or_default()
}

/// States the limits that are in force, each with the file that says so.
pub(super) fn state(seen: &mut Seen, assignments: &[Assignment]) {
    let limits = LIMITS.iter().filter_map(|(key, built_in)| {
        let written = settings::assignment(assignments, SECTION, key);
        let (value, from) = match written {
            Some(one) => (one.value.as_str(), one.file.as_str()),
            None => ((*built_in)?, BUILT_IN),
        };
        let values = [("from", from), ("name", key), ("value", value)];
        let text = |(name, value): (&str, &str)| (name.to_owned(), Value::Text(value.to_owned()));
        Some(Record::from(values.map(text)))
    });
    seen.state_list("journald_limits", limits.collect());
    let value =
        |key: &str, built_in| settings::in_force(assignments, SECTION, key).unwrap_or(built_in);
    let interval = value("RateLimitIntervalSec", "30s");
    let burst = value("RateLimitBurst", "10000");
    let retention = value("MaxRetentionSec", "0");
    for (fact, text, number) in [
        (
            "rate_limit_interval_ms",
            interval,
            span_us(interval).map(|us| us / 1000),
        ),
        ("rate_limit_burst_count", burst, burst.parse().ok()),
        (
            "max_retention_s",
            retention,
            span_us(retention).map(|us| us / 1_000_000),
        ),
    ] {
        if let Some(number) = number.and_then(|number| i64::try_from(number).ok()) {
            seen.state(fact, Value::Number(number));
        } else {
            // journald takes what is built in, and warns; what that was then is not certain here.
            let what = format!("journald.conf: `{text}`");
            seen.unseen(Means::File, Unseen::new(&what, Status::Malformed, None));
        }
    }
}

/// A span of time such as `30s` or `1min 30s`, in microseconds; a number alone counts seconds.
fn span_us(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    if rest.is_empty() || rest == "infinity" {
        return None;
    }
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|sign: char| !sign.is_ascii_digit());
        let (number, after) = rest.split_at_checked(digits.unwrap_or(rest.len()))?;
        let after = after.trim_start();
        let letters = after.find(|sign: char| sign.is_ascii_digit() || sign.is_whitespace());
        let (unit, more) = after.split_at_checked(letters.unwrap_or(after.len()))?;
        let (_, us) = TIMES.iter().find(|(names, _)| names.contains(&unit))?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*us)?)?;
        rest = more.trim_start();
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        for (text, expected) in [
            ("30s", Some(30_000_000)),
            ("30", Some(30_000_000)),
            ("0", Some(0)),
            ("500ms", Some(500_000)),
            ("1min 30s", Some(90_000_000)),
            ("1h30m", Some(5_400_000_000)),
            ("1 week", Some(604_800_000_000)),
            ("1month", Some(2_629_800_000_000)),
            ("", None),
            ("s", None),
            ("1.5s", None),
            ("5 lightyears", None),
            ("99999999999999999999", None),
            ("9999999999999999y", None),
        ] {
            assert_eq!(span_us(text), expected, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_span_is_read(text in "([0-9]{1,22}| |[a-zA-Z\u{b5}]{0,4})*") {
            let _span = span_us(&text);
        }
    }
}
