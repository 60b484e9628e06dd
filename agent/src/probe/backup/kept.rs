//! What is kept over time: days, weeks and months with a backup, and how the last one compares
//! with those before.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use shared::time::Timestamp;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// Days from Monday to Thursday, which 1970-01-01 was.
const THURSDAY: i64 = 3;
/// How many backups before the last one are compared with.
const BEFORE_MAX: usize = 7;
/// How many there must be.
const BEFORE_MIN: usize = 3;

/// In how many days, weeks and months there is a backup, in UTC.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Buckets {
    pub(super) days: usize,
    pub(super) weeks: usize,
    pub(super) months: usize,
}

/// Counts the days, weeks and months of these times.
pub(super) fn buckets(times: &[Timestamp]) -> Buckets {
    let days: BTreeSet<i64> = times.iter().map(|time| day(*time)).collect();
    let weeks: BTreeSet<i64> = days
        .iter()
        .map(|day| day.saturating_add(THURSDAY).div_euclid(7))
        .collect();
    let months: BTreeSet<(i16, i8)> = times
        .iter()
        .filter_map(|time| jiff::Timestamp::from_millisecond(time.unix_ms()).ok())
        .map(|time| {
            let date = time.to_zoned(TimeZone::UTC).date();
            (date.year(), date.month())
        })
        .collect();
    Buckets {
        days: days.len(),
        weeks: weeks.len(),
        months: months.len(),
    }
}

/// The number of the day in UTC, from 1970.
pub(super) fn day(time: Timestamp) -> i64 {
    time.unix_ms().div_euclid(DAY_MS)
}

/// The last number in percent of the median of up to seven before it, oldest first; `None` when
/// there are fewer than three, or their median is 0.
pub(super) fn percent(numbers: &[u64]) -> Option<i64> {
    let (last, before) = numbers.split_last()?;
    let begin = before.len().saturating_sub(BEFORE_MAX);
    let mut before = before.get(begin..)?.to_vec();
    if before.len() < BEFORE_MIN {
        return None;
    }
    before.sort_unstable();
    let median = *before.get(before.len() / 2)?;
    let percent = u128::from(*last)
        .checked_mul(100)?
        .checked_div(u128::from(median))?;
    Some(i64::try_from(percent).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_weeks_and_months() {
        let times = |texts: &[&str]| -> Vec<Timestamp> {
            texts.iter().map(|text| text.parse().unwrap()).collect()
        };
        for (found, expected) in [
            (times(&[]), (0, 0, 0)),
            (
                times(&["2026-01-04T23:59:59Z", "2026-01-05T00:00:00Z"]),
                (2, 2, 1),
            ),
            (
                times(&["2026-01-05T00:00:00Z", "2026-01-11T23:00:00Z"]),
                (2, 1, 1),
            ),
            (
                times(&["2026-01-31T23:00:00Z", "2026-02-01T00:00:00Z"]),
                (2, 1, 2),
            ),
            (
                times(&["2025-01-05T01:00:00Z", "2026-01-05T02:00:00Z"]),
                (2, 2, 2),
            ),
            (
                times(&["1969-12-31T23:00:00Z", "1970-01-01T02:00:00Z"]),
                (2, 1, 2),
            ),
        ] {
            let Buckets {
                days,
                weeks,
                months,
            } = buckets(&found);
            assert_eq!((days, weeks, months), expected, "{found:?}");
        }
    }

    #[test]
    fn percents() {
        for (numbers, expected) in [
            (&[][..], None),
            (&[1, 1, 5], None),
            (&[10, 10, 10, 5], Some(50)),
            (&[1, 10, 90, 0], Some(0)),
            (&[1000, 1000, 10, 10, 10, 10, 10, 10, 10, 20], Some(200)),
            (&[0, 0, 0, 7], None),
            (&[1, 1, 1, u64::MAX], Some(i64::MAX)),
        ] {
            assert_eq!(percent(numbers), expected, "{numbers:?}");
        }
    }
}
