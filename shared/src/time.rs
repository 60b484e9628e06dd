//! Points in time: UTC, whole milliseconds since 1970, RFC 3339 outside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time in milliseconds since 1970-01-01T00:00:00Z.
///
/// The range is that of years 0000 to 9999, so that it always has an RFC 3339 form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// 0000-01-01T00:00:00Z and 9999-12-30T22:00:00Z, the ends that both RFC 3339 and jiff can show.
const RANGE_MS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_207_200_000;

/// A text or a number is no point in time between the years 0000 and 9999.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no RFC 3339 time of the years 0000 to 9999")]
pub struct TimeError(String);

impl Timestamp {
    /// Milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// [`TimeError`] outside the years 0000 to 9999.
    pub fn from_unix_ms(ms: i64) -> Result<Self, TimeError> {
        if RANGE_MS.contains(&ms) {
            Ok(Self(ms))
        } else {
            Err(TimeError(ms.to_string()))
        }
    }

    /// The time of a clock reading; before 1970 counts as 1970.
    #[must_use]
    pub fn from_system(time: std::time::SystemTime) -> Self {
        let since = time
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Self(ms.min(*RANGE_MS.end()))
    }

    /// Milliseconds since 1970.
    pub const fn unix_ms(self) -> i64 {
        self.0
    }

    /// Milliseconds from `earlier` to this time; negative when `earlier` is later.
    pub const fn ms_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This time and `ms` more, held inside the range.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(
            self.0
                .saturating_add(ms)
                .clamp(*RANGE_MS.start(), *RANGE_MS.end()),
        )
    }

    /// Reads the date of a mail header, as `Release` files of apt carry it.
    ///
    /// # Errors
    ///
    /// [`TimeError`] when the text has another form.
    ///
    /// Source: RFC 2822 section 3.3.
    pub fn from_rfc2822(text: &str) -> Result<Self, TimeError> {
        // apt writes the zone as `UTC`, which RFC 2822 knows only as the obsolete `UT` or `GMT`.
        let text = text.trim();
        let plain = text.strip_suffix("UTC").map(|rest| format!("{rest}+0000"));
        jiff::fmt::rfc2822::parse(plain.as_deref().unwrap_or(text))
            .map_err(|_not_a_date| TimeError(text.to_owned()))
            .and_then(|zoned| Self::from_unix_ms(zoned.timestamp().as_millisecond()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_out_of_range) => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        text.parse::<jiff::Timestamp>()
            .map_err(|_not_a_time| TimeError(text.to_owned()))
            .and_then(|at| Self::from_unix_ms(at.as_millisecond()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_form_reads_back() {
        let at = Timestamp::from_unix_ms(1_767_323_045_678).unwrap();
        assert_eq!(at.to_string(), "2026-01-02T03:04:05.678Z");
        assert_eq!(at.to_string().parse(), Ok(at));
        assert_eq!(Timestamp::default().to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn ends_of_the_range_have_a_written_form() {
        for end in [*RANGE_MS.start(), *RANGE_MS.end()] {
            let at = Timestamp::from_unix_ms(end).unwrap();
            assert_eq!(at.to_string().parse(), Ok(at));
        }
        assert!(Timestamp::from_unix_ms(RANGE_MS.end() + 1).is_err());
        assert!(Timestamp::from_unix_ms(i64::MIN).is_err());
    }

    #[test]
    fn apt_writes_utc() {
        let at = Timestamp::from_rfc2822("Sat, 17 May 2025 09:12:40 UTC").unwrap();
        assert_eq!(at.to_string(), "2025-05-17T09:12:40.000Z");
        assert!(Timestamp::from_rfc2822("yesterday").is_err());
    }
}
