//! Which probe is due: a pure function of the time and of what ran when.
//!
//! Schedules have the five fields of crontab(5) and are read in UTC. Each host adds a delay of its
//! own to each probe, so that a fleet does not come all at once. A run that was missed is made up
//! once, late; two missed runs are made up by one.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use shared::id::Digest;
use shared::time::Timestamp;

/// Name of the line of a plan that makes a record when nothing else was due.
pub const HEARTBEAT: &str = "heartbeat";
/// The longest delay that a host adds, in milliseconds.
const JITTER_MS_MAX: i64 = 5 * 60 * 1000;
/// Longest expression that is read.
const EXPRESSION_BYTES_MAX: usize = 256;
/// How many times are looked at to find the shortest interval.
const INTERVALS_LOOKED_AT: usize = 512;

/// The clocks of the host. Only the main program reads them; everything else takes this.
pub trait Clock {
    /// The wall clock, in UTC.
    fn wall(&self) -> Timestamp;
    /// Milliseconds since boot, sleep included; no change of the wall clock moves it.
    fn since_boot_ms(&self) -> u64;
}

/// Times in UTC, written with the five fields of crontab(5): minute, hour, day of month, month,
/// day of week.
#[derive(Clone)]
pub struct Cron {
    text: String,
    times: cron::Schedule,
    shortest_ms: i64,
}

/// An expression gives no times. The writer of the settings must correct it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not five fields.
    #[error("{0} fields where five are wanted")]
    Fields(usize),
    /// A field holds something else than numbers, names, `*`, `,`, `-` and `/`.
    #[error("`{0}` is no {1}")]
    Field(String, &'static str),
    /// Days of the week as numbers mean different days to different programs.
    #[error("`{0}` gives days of the week as numbers")]
    WeekdayNumber(String),
    /// Both days of the month and days of the week: crontab(5) takes either, others want both.
    #[error("days of the month and days of the week in one schedule")]
    BothDays,
    /// No such date in any year.
    #[error("a date that never comes")]
    Never,
    /// Longer than an expression may be.
    #[error("{0} bytes are more than a schedule may have")]
    Size(usize),
}

impl CronError {
    /// What the writer can do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Fields(_) => {
                "minute, hour, day of month, month, day of week, in UTC: `*/15 * * * *`"
            }
            Self::Field(..) => "write numbers or names with `*`, `,`, `-` and `/`: `0,30 8-18/2`",
            Self::WeekdayNumber(_) => "write names: `MON-FRI`, `SAT,SUN`",
            Self::BothDays => "leave one of the two `*`",
            Self::Never => "no month has such a day; choose another",
            Self::Size(_) => "at most 256 bytes",
        }
    }
}

const FIELDS: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        if EXPRESSION_BYTES_MAX < text.len() {
            return Err(CronError::Size(text.len()));
        }
        let fields: Vec<&str> = text.split_whitespace().collect();
        let &[_, _, day, _, weekday] = fields.as_slice() else {
            return Err(CronError::Fields(fields.len()));
        };
        if weekday.contains(|character: char| character.is_ascii_digit()) {
            return Err(CronError::WeekdayNumber(weekday.to_owned()));
        }
        for (at, field) in fields.iter().enumerate() {
            check_field(&fields, at, field)?;
        }
        if day != "*" && weekday != "*" {
            return Err(CronError::BothDays);
        }
        let refused = |_error| CronError::Field(text.to_owned(), "schedule");
        // The crate wants a field of seconds in front.
        let times = cron::Schedule::from_str(&format!("0 {}", fields.join(" ")));
        Self::new(fields.join(" "), times.map_err(refused)?).ok_or(CronError::Never)
    }
}

/// Checks one field in its place, with `*` in all others, so that the error names the field.
fn check_field(fields: &[&str], at: usize, field: &str) -> Result<(), CronError> {
    let name = FIELDS.get(at).copied().unwrap_or_default();
    let refused = || CronError::Field(field.to_owned(), name);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"*,-/".contains(&byte);
    // Names stand for months and days of the week alone; a step of nothing never ends.
    let step_of_nothing = field.split(',').any(|part| {
        part.split_once('/')
            .is_some_and(|(_, step)| step.parse().unwrap_or(0_u32) == 0)
    });
    if !field.bytes().all(plain) || step_of_nothing {
        return Err(refused());
    }
    let alone: Vec<&str> = (0..fields.len())
        .map(|place| if place == at { field } else { "*" })
        .collect();
    cron::Schedule::from_str(&format!("0 {}", alone.join(" ")))
        .map(drop)
        .map_err(|_error| refused())
}

impl Cron {
    fn new(text: String, times: cron::Schedule) -> Option<Self> {
        // A leap year follows, so that 29 February counts as a date that comes.
        let begin = DateTime::<Utc>::UNIX_EPOCH;
        let first: Vec<i64> = times
            .after(&begin)
            .take(INTERVALS_LOOKED_AT)
            .map(|at| at.timestamp_millis())
            .collect();
        let intervals = first.iter().zip(first.iter().skip(1));
        let shortest_ms = intervals.map(|(one, next)| next - one).min()?;
        Some(Self {
            text,
            times,
            shortest_ms,
        })
    }

    /// The expression, its fields parted by one space.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The shortest time between two of its times, in milliseconds.
    pub const fn shortest_ms(&self) -> i64 {
        self.shortest_ms
    }

    /// The first time after `at`; none after the year 2100, where the crate ends.
    #[must_use]
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let at = DateTime::<Utc>::from_timestamp_millis(at.unix_ms())?;
        let next = self.times.after(&at).next()?;
        Timestamp::from_unix_ms(next.timestamp_millis()).ok()
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({})", self.text)
    }
}

impl<'de> Deserialize<'de> for Cron {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|error: CronError| {
            serde::de::Error::custom(format!("{error}\nhint: {}", error.hint()))
        })
    }
}

/// When a line of a plan was last done.
pub type LastRuns = BTreeMap<String, Timestamp>;

/// A line of a plan that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Name of the probe, or [`HEARTBEAT`].
    pub name: String,
    /// When it became due: the first time that was missed.
    pub since: Timestamp,
}

/// All schedules of one host, each with the delay that the host adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    lines: Vec<Line>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    name: String,
    cron: Cron,
    jitter_ms: i64,
}

/// Lowers what was done later than `now`: after the clock was set back, a plan would otherwise wait
/// until it has caught up.
pub fn set_back(last: &mut LastRuns, now: Timestamp) {
    for at in last.values_mut() {
        *at = (*at).min(now);
    }
}

impl Plan {
    /// The plan of the host of this name.
    ///
    /// The delay is taken from SHA-256 of host and probe: always the same, spread over a quarter
    /// of the shortest interval and over five minutes at most.
    #[must_use]
    pub fn new(host: &str, schedules: &BTreeMap<String, Cron>) -> Self {
        let line = |(name, cron): (&String, &Cron)| Line {
            name: name.clone(),
            jitter_ms: jitter_ms(host, name, cron.shortest_ms),
            cron: cron.clone(),
        };
        Self {
            lines: schedules.iter().map(line).collect(),
        }
    }

    /// What is due at `now`, in the order of the names. What never ran is due at once.
    ///
    /// A heartbeat is due at each of its times unless something was done since the time before,
    /// so its last run is that of the newest record of any kind.
    #[must_use]
    pub fn due(&self, now: Timestamp, last: &LastRuns) -> Vec<Due> {
        let due = self.lines.iter().filter_map(|line| {
            let since = line.next(now, last)?;
            (since <= now).then(|| Due {
                name: line.name.clone(),
                since,
            })
        });
        due.collect()
    }

    /// The next time at which something is due: `now` when something is due already. None only
    /// for a plan without lines or after the year 2100.
    #[must_use]
    pub fn next(&self, now: Timestamp, last: &LastRuns) -> Option<Timestamp> {
        let next = self.lines.iter().filter_map(|line| line.next(now, last));
        next.min().map(|at| at.max(now))
    }
}

impl Line {
    fn next(&self, now: Timestamp, last: &LastRuns) -> Option<Timestamp> {
        let Some(last) = last.get(&self.name) else {
            return Some(now);
        };
        let undelayed = last.plus_ms(-self.jitter_ms);
        let mut at = self.cron.after(undelayed)?;
        if self.name == HEARTBEAT {
            at = self.cron.after(at)?;
        }
        Some(at.plus_ms(self.jitter_ms))
    }
}

fn jitter_ms(host: &str, name: &str, shortest_ms: i64) -> i64 {
    let window = (shortest_ms / 4).min(JITTER_MS_MAX);
    let digest = Digest::of(format!("{host}\n{name}").as_bytes());
    let number = digest
        .as_bytes()
        .first_chunk()
        .copied()
        .map(u32::from_be_bytes);
    number.map_or(0, |number| {
        i64::from(number).checked_rem(window).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[track_caller]
    fn next(expression: &str, after: &str, expected: &str) {
        let cron: Cron = expression.parse().unwrap();
        assert_eq!(cron.after(at(after)), Some(at(expected)), "{expression}");
    }

    #[test]
    fn next_times() {
        next(
            "*/15 * * * *",
            "2026-01-02T03:04:05Z",
            "2026-01-02T03:15:00Z",
        );
        next(
            "*/15 * * * *",
            "2026-01-02T03:15:00Z",
            "2026-01-02T03:30:00Z",
        );
        next(
            "0 6 * * MON",
            "2026-01-02T03:04:05Z",
            "2026-01-05T06:00:00Z",
        );
        next(
            "0 6 * * SUN",
            "2026-01-02T03:04:05Z",
            "2026-01-04T06:00:00Z",
        );
        next(
            "0 6 * * mon-fri",
            "2026-01-02T07:00:00Z",
            "2026-01-05T06:00:00Z",
        );
        next("30 2 1 * *", "2026-01-02T00:00:00Z", "2026-02-01T02:30:00Z");
        next("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z");
        // The hour that summer time skips or repeats elsewhere is an hour like any other in UTC.
        next("30 2 * * *", "2026-03-29T00:00:00Z", "2026-03-29T02:30:00Z");
        next(
            "  5   4 * * *  ",
            "2026-01-01T00:00:00Z",
            "2026-01-01T04:05:00Z",
        );
    }

    #[test]
    fn expressions_that_give_no_times_or_doubtful_ones() {
        let field = |text: &str, name| CronError::Field(text.to_owned(), name);
        for (bad, error) in [
            ("", CronError::Fields(0)),
            ("* * * *", CronError::Fields(4)),
            ("0 */15 * * * *", CronError::Fields(6)),
            ("@hourly", CronError::Fields(1)),
            ("60 * * * *", field("60", "minute")),
            ("* 24 * * *", field("24", "hour")),
            ("* * 0 * *", field("0", "day of month")),
            ("* * * 13 *", field("13", "month")),
            ("* * * * FUN", field("FUN", "day of week")),
            ("*/0 * * * *", field("*/0", "minute")),
            ("*/x * * * *", field("*/x", "minute")),
            ("30-10 * * * *", field("30-10", "minute")),
            ("1,,2 * * * *", field("1,,2", "minute")),
            ("? * * * *", field("?", "minute")),
            ("* * ? * MON", field("?", "day of month")),
            ("* * L * *", field("L", "day of month")),
            ("\u{bd} * * * *", field("\u{bd}", "minute")),
            ("* * * * 1-5", CronError::WeekdayNumber("1-5".to_owned())),
            ("* * * * 0", CronError::WeekdayNumber("0".to_owned())),
            ("0 0 13 * FRI", CronError::BothDays),
            ("0 0 31 2 *", CronError::Never),
            ("0 0 31 4,6,9,11 *", CronError::Never),
            (&"1,".repeat(200), CronError::Size(400)),
        ] {
            assert_eq!(bad.parse::<Cron>(), Err(error), "{bad}");
        }
    }

    #[test]
    fn delays_stay_in_their_window_and_differ_between_hosts() {
        let quarter: Cron = "*/15 * * * *".parse().unwrap();
        assert_eq!(quarter.shortest_ms(), 900_000);
        let uneven: Cron = "0,50 * * * *".parse().unwrap();
        assert_eq!(uneven.shortest_ms(), 600_000);
        let mut seen = std::collections::BTreeSet::new();
        for host in 0..100 {
            let delay = jitter_ms(&format!("web-{host}"), "clock", quarter.shortest_ms());
            assert!((0..225_000).contains(&delay), "{delay}");
            seen.insert(delay);
        }
        assert!(90 < seen.len());
        let day = jitter_ms("web-1", "clock", 86_400_000);
        assert!((0..JITTER_MS_MAX).contains(&day));
        assert_eq!(jitter_ms("web-1", "clock", 3), 0);
    }

    fn plan() -> Plan {
        let schedules = [("clock", "*/15 * * * *"), (HEARTBEAT, "0 * * * *")];
        let schedules = schedules.map(|(name, text)| (name.to_owned(), text.parse().unwrap()));
        let mut plan = Plan::new("web-1", &BTreeMap::from(schedules));
        for line in &mut plan.lines {
            line.jitter_ms = 60_000;
        }
        plan
    }

    #[track_caller]
    fn due(now: &str, clock: Option<&str>, record: &str, expected: &[(&str, &str)]) {
        let mut last = LastRuns::from([(HEARTBEAT.to_owned(), at(record))]);
        last.extend(clock.map(|clock| ("clock".to_owned(), at(clock))));
        let expected: Vec<Due> = expected
            .iter()
            .map(|(name, since)| Due {
                name: (*name).to_owned(),
                since: at(since),
            })
            .collect();
        assert_eq!(plan().due(at(now), &last), expected, "{now}");
    }

    #[test]
    fn what_is_due() {
        let day = "2026-01-02T";
        let t = |time: &str| format!("{day}{time}Z");
        // What never ran is due at once.
        due(
            &t("03:04:05"),
            None,
            &t("03:04:05"),
            &[("clock", &t("03:04:05"))],
        );
        // Not before the delay, and not twice.
        due(&t("03:15:59"), Some(&t("03:01:00")), &t("03:01:00"), &[]);
        due(
            &t("03:16:00"),
            Some(&t("03:01:00")),
            &t("03:01:00"),
            &[("clock", &t("03:16:00"))],
        );
        due(&t("03:16:01"), Some(&t("03:16:00")), &t("03:16:00"), &[]);
        // Missed runs are made up by one, which says since when.
        due(
            &t("09:00:00"),
            Some(&t("03:01:00")),
            &t("08:30:00"),
            &[("clock", &t("03:16:00"))],
        );
        // A heartbeat waits for a whole interval without a record.
        due(&t("05:00:30"), Some(&t("05:00:00")), &t("03:30:00"), &[]);
        due(
            &t("05:01:00"),
            Some(&t("05:00:59")),
            &t("03:30:00"),
            &[("clock", &t("05:01:00")), (HEARTBEAT, &t("05:01:00"))],
        );
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_stop_the_plan() {
        let mut last = LastRuns::from([
            ("clock".to_owned(), at("2026-01-02T03:01:00Z")),
            (HEARTBEAT.to_owned(), at("2026-01-02T03:01:00Z")),
        ]);
        let (plan, begin) = (plan(), at("2026-01-02T00:00:00Z"));
        let mut done = Vec::new();
        for minute in 0..120 {
            let now = begin.plus_ms(minute * 60_000);
            set_back(&mut last, now);
            for line in plan.due(now, &last) {
                done.push((line.name.clone(), now.to_string()));
                let _before = last.insert(line.name, now);
            }
        }
        let clock = done.iter().filter(|(name, _)| name == "clock");
        assert_eq!(clock.count(), 8, "{done:?}");
        let first = ("clock".to_owned(), "2026-01-02T00:01:00.000Z".to_owned());
        assert_eq!(done.first(), Some(&first));
        let heartbeat = (HEARTBEAT.to_owned(), "2026-01-02T01:01:00.000Z".to_owned());
        assert!(done.contains(&heartbeat), "{done:?}");
    }

    #[test]
    fn the_next_time_is_never_past() {
        let last = LastRuns::from([
            ("clock".to_owned(), at("2026-01-02T03:01:00Z")),
            (HEARTBEAT.to_owned(), at("2026-01-02T03:01:00Z")),
        ]);
        let now = at("2026-01-02T03:10:00Z");
        assert_eq!(plan().next(now, &last), Some(at("2026-01-02T03:16:00Z")));
        let late = at("2026-01-02T04:10:00Z");
        assert_eq!(plan().next(late, &last), Some(late));
        assert_eq!(Plan::new("a", &BTreeMap::new()).next(now, &last), None);
    }
}
