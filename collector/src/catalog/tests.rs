//! Tests of the catalogue.

use super::*;

#[test]
fn durations() {
    for (text, ms) in [
        ("26h", Some(93_600_000)),
        ("0s", Some(0)),
        ("500ms", Some(500)),
        ("2d", Some(172_800_000)),
        ("3m", Some(180_000)),
    ] {
        assert_eq!(duration_ms(text), ms, "{text}");
    }
    for text in [
        "",
        "h",
        "26",
        "-1h",
        "1.5h",
        "1h30m",
        "1 h",
        "1w",
        "9223372036854775807d",
        "\u{e4}",
    ] {
        assert_eq!(duration_ms(text), None, "{text}");
    }
}
