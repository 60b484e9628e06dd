//! Which facts show that a control operated: something happened, or was seen happening.
//!
//! A setting, a permission or a count of what is missing shows design at most. Only a check whose
//! expectation reads one of these facts may say that it *proves* a control.

/// Facts, and fields of records as `list.field`, by the name of their probe.
const OPERATION: &[(&str, &[&str])] = &[
    ("audit", &["log_newest"]),
    (
        "backup",
        &["data.last_success", "oldest_success", "sets.last_success"],
    ),
    ("canary", &["received_count", "sent_count"]),
    (
        "clock",
        &[
            "steps.step_ms",
            "timesyncd_synchronised_at",
            "tracking_updated",
        ],
    ),
    (
        "delivery",
        &[
            "arrived_count",
            "last_arrived",
            "latency_max_ms",
            "latency_min_ms",
        ],
    ),
    (
        "logging",
        &[
            "journal_newest",
            "newest_entry",
            "rotation_ran",
            "upload_sent",
        ],
    ),
    ("offset", &["error_max_ms", "measured"]),
    (
        "recovery",
        &[
            "matched_count",
            "oldest_data_ms",
            "oldest_restore",
            "slowest_ms",
        ],
    ),
    ("restore", &["oldest_success", "slowest_ms", "tested_count"]),
    (
        "updates",
        &[
            "applied_count",
            "applied_security_count",
            "automatic_last_success",
            "last_change",
            "security_wait_p50_s",
            "security_wait_p95_s",
        ],
    ),
];

/// The facts of a probe that show operation, and fields of records as `list.field`.
#[must_use]
pub fn of(probe: &str) -> &'static [&'static str] {
    let found = OPERATION.iter().find(|(name, _)| *name == probe);
    found.map_or(&[], |(_, facts)| facts)
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, subject};
    use super::*;

    #[test]
    fn every_name_is_declared() {
        assert!(OPERATION.is_sorted_by_key(|(probe, _)| probe));
        for (probe, names) in OPERATION {
            assert!(names.is_sorted(), "{probe}");
            for name in *names {
                let (fact, field) = name.split_once('.').unwrap_or((name, ""));
                let fact = subject(probe).unwrap().fact(fact);
                let kind = fact.unwrap_or_else(|| panic!("{probe}.{name}")).kind;
                let declared = if let Kind::List(fields) = kind {
                    fields.iter().any(|known| known.name == field)
                } else {
                    field.is_empty()
                };
                assert!(declared, "{probe}.{name}");
            }
        }
    }
}
