//! Until when a release of a distribution is supported.
//!
//! The dates are those of the package distro-info-data of Debian, copied into `lifetime.tsv` with
//! its version, or of os-release(5), whose field `SUPPORT_END` comes first. Of a distribution that
//! is in neither nothing is said.

use std::collections::BTreeMap;

use shared::fact::Value;
use shared::time::Timestamp;

use crate::probe::Seen;

/// Columns: id, version, end of support, ends of extended support; the first line says where the
/// dates are from.
const DATA: &str = include_str!("lifetime.tsv");

/// States until when the release of this host is supported.
pub(super) fn state(seen: &mut Seen, os: &BTreeMap<String, String>) {
    let field = |name: &str| os.get(name).map_or("", String::as_str);
    let known = DATA.lines().find_map(|line| {
        let mut columns = line.split('\t');
        let same = columns.next() == Some(field("ID")) && !field("VERSION_ID").is_empty();
        let same = same && columns.next() == Some(field("VERSION_ID"));
        same.then(|| columns.filter_map(end_of).collect::<Vec<Timestamp>>())
    });
    let known = known.unwrap_or_default();
    let own = end_of(field("SUPPORT_END"));
    let data = if own.is_some() {
        "SUPPORT_END of os-release"
    } else {
        DATA.lines()
            .next()
            .unwrap_or_default()
            .trim_start_matches("# ")
    };
    if let Some(end) = own.or(known.first().copied()) {
        seen.state("os_support_ends", Value::Instant(end));
        seen.state("os_lifetime_data", Value::Text(data.to_owned()));
    }
    let extended = known.get(1..).unwrap_or_default();
    for (fact, end) in ["os_extended_ends", "os_further_extended_ends"]
        .into_iter()
        .zip(extended)
    {
        seen.state(fact, Value::Instant(*end));
    }
}

/// The end of a day, `2026-07-11`, in UTC.
fn end_of(day: &str) -> Option<Timestamp> {
    let begin: Timestamp = format!("{day}T00:00:00Z").parse().ok()?;
    Some(begin.plus_ms(24 * 3_600_000))
}

#[cfg(test)]
mod tests {
    use shared::fact::Facts;

    use super::*;

    fn facts(fields: &[(&str, &str)]) -> Facts {
        let mut seen = Seen::default();
        let fields = fields.iter();
        let os = fields.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        state(&mut seen, &os.collect());
        let (observation, _) = seen.facts().observation(&shared::fact::updates::SUBJECT);
        observation.facts
    }

    fn day(facts: &Facts, name: &str) -> String {
        match facts.get(name) {
            Some(Value::Instant(at)) => at.to_string(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn releases_and_their_ends() {
        let found = facts(&[("ID", "debian"), ("VERSION_ID", "12")]);
        assert_eq!(day(&found, "os_support_ends"), "2026-07-12T00:00:00.000Z");
        assert_eq!(day(&found, "os_extended_ends"), "2028-07-01T00:00:00.000Z");
        let further = day(&found, "os_further_extended_ends");
        assert_eq!(further, "2033-07-01T00:00:00.000Z");
        let ubuntu = facts(&[("ID", "ubuntu"), ("VERSION_ID", "24.04")]);
        assert_eq!(day(&ubuntu, "os_support_ends"), "2029-06-01T00:00:00.000Z");
        let own = facts(&[
            ("ID", "fedora"),
            ("VERSION_ID", "43"),
            ("SUPPORT_END", "2026-12-02"),
        ]);
        assert_eq!(day(&own, "os_support_ends"), "2026-12-03T00:00:00.000Z");
        for unknown in [
            &[("ID", "debian")][..],
            &[("ID", "debian"), ("VERSION_ID", "")],
            &[("ID", "debian"), ("VERSION_ID", "14")],
            &[("ID", "other"), ("VERSION_ID", "12")],
            &[("ID", "x"), ("VERSION_ID", "1"), ("SUPPORT_END", "soon")],
        ] {
            assert!(facts(unknown).is_empty(), "{unknown:?}");
        }
    }
}
