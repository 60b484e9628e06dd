//! Times and shares of time in words, and rows of CSV.

/// A length of time in its two largest units, e.g. `3 d 4 h`.
#[must_use]
pub(super) fn length(ms: i64) -> String {
    const UNITS: [(&str, i64); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("min", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let mut rest = ms.max(0);
    let mut parts = Vec::new();
    for (unit, size) in UNITS {
        let count = rest / size;
        rest %= size;
        // Nothing below the unit that follows the largest one.
        if count == 0 && !parts.is_empty() {
            break;
        }
        if 0 < count {
            parts.push(format!("{count} {unit}"));
        }
        if parts.len() == 2 {
            break;
        }
    }
    if parts.is_empty() {
        return "0 s".to_owned();
    }
    parts.join(" ")
}

/// A share in percent with one decimal, never better than it is: what is good is rounded down,
/// what is bad up. Of nothing there is no share.
#[must_use]
pub(super) fn percent(part_ms: i64, whole_ms: i64, good: bool) -> String {
    if whole_ms <= 0 {
        return "none".to_owned();
    }
    let (part, whole) = (i128::from(part_ms.max(0)), i128::from(whole_ms));
    let up = if good { 0 } else { whole - 1 };
    let tenths = (part * 1000 + up) / whole;
    format!("{}.{} %", tenths / 10, tenths % 10)
}

/// Adds a row of CSV. Source: RFC 4180. A text that a spreadsheet would take for a formula begins
/// with an apostrophe: names and reasons come from hosts.
pub(super) fn row(text: &mut String, fields: &[String]) {
    for (place, field) in fields.iter().enumerate() {
        if 0 < place {
            text.push(',');
        }
        let number = field.parse::<i64>().is_ok();
        let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']) && !number;
        let field = if formula {
            format!("'{field}")
        } else {
            field.clone()
        };
        if field.contains(['"', ',', '\n', '\r']) {
            text.push('"');
            text.push_str(&field.replace('"', "\"\""));
            text.push('"');
        } else {
            text.push_str(&field);
        }
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_two_units_at_most() {
        for (ms, text) in [
            (0, "0 s"),
            (-5, "0 s"),
            (7, "7 ms"),
            (1000, "1 s"),
            (61_001, "1 min 1 s"),
            (3_600_000, "1 h"),
            (3_601_000, "1 h"),
            (90_061_000, "1 d 1 h"),
            (86_400_000 * 400, "400 d"),
        ] {
            assert_eq!(length(ms), text, "{ms}");
        }
    }

    #[test]
    fn shares_are_never_better_than_they_are() {
        for (part, whole, good, text) in [
            (999_999, 1_000_000, true, "99.9 %"),
            (1_000_000, 1_000_000, true, "100.0 %"),
            (1, 1_000_000_000, false, "0.1 %"),
            (0, 1_000_000_000, false, "0.0 %"),
            (1, 3, true, "33.3 %"),
            (1, 3, false, "33.4 %"),
            (i64::MAX, i64::MAX, false, "100.0 %"),
            (0, 0, true, "none"),
        ] {
            assert_eq!(percent(part, whole, good), text, "{part} of {whole}");
        }
    }

    #[test]
    fn rows_are_quoted_and_hold_no_formula() {
        let mut text = String::new();
        let fields = ["a,b", "say \"x\"", "=1+1", "-5", "plain"].map(str::to_owned);
        row(&mut text, &fields);
        assert_eq!(text, "\"a,b\",\"say \"\"x\"\"\",'=1+1,-5,plain\n");
    }
}
