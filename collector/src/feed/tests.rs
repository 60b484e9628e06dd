//! Lists as they are published, and what is none.

use std::path::PathBuf;

use super::*;

fn list(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/feeds")
        .join(name)
}

fn read(name: &str, publisher: Publisher) -> Feed {
    Feed::read(&list(name), publisher).unwrap()
}

fn installed() -> Vec<Component> {
    components(&shared::durable::read(&list("sbom.cdx.json"), 1 << 20).unwrap()).unwrap()
}

/// The matches as lines: id, package, fixed version, severity, exploited.
fn joined(feeds: &[Feed]) -> Vec<String> {
    let feeds: Vec<&Feed> = feeds.iter().collect();
    let seen = join(&feeds, &installed());
    let lines = seen.matches.iter().map(|one| {
        let (fixed, severity) = (one.fixed.as_deref().unwrap_or("-"), one.severity.as_str());
        format!(
            "{} {} {fixed} {severity} {}",
            one.id, one.package, one.exploited
        )
    });
    lines.collect()
}

/// A list like the tracker of Debian of so many packages, and of those of the fixture.
fn tracker_of(packages: usize) -> Feed {
    let whole = shared::durable::read(&list("tracker.json"), 1 << 20).unwrap();
    let mut whole: serde_json::Value = serde_json::from_slice(&whole).unwrap();
    for number in whole.as_object().unwrap().len()..packages {
        whole[format!("package{number}")] = serde_json::json!({"CVE-2020-0001": {"releases": {
            "bookworm": {"status": "resolved", "fixed_version": "1-1", "urgency": "low"},
        }}});
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list.json");
    shared::durable::write(&path, whole.to_string().as_bytes(), 0o644).unwrap();
    Feed::read(&path, Publisher::DebianTracker).unwrap()
}

fn covered(feeds: &[&Feed]) -> (usize, usize) {
    let seen = join(feeds, &installed());
    (seen.covered, seen.uncovered)
}

#[test]
fn one_record_covers_no_distribution() {
    let osv = read("osv.json", Publisher::Osv);
    assert!(!osv.complete, "nobody declared it");
    assert_eq!(covered(&[&osv, &read("kev.json", Publisher::Kev)]), (0, 5));
    let mut declared = osv;
    declared.complete = true;
    assert_eq!(
        covered(&[&declared]),
        (0, 5),
        "too few packages for a whole list"
    );
    // In the fixture all but `bash` is affected in bookworm.
    assert_eq!(covered(&[&tracker_of(1000)]), (0, 5));
    let whole = tracker_of(1001);
    assert_eq!(
        covered(&[&whole]),
        (4, 1),
        "another distribution is in no list"
    );
    let mut part = whole.clone();
    part.complete = false;
    assert_eq!(covered(&[&part]), (0, 5));
    assert_eq!(
        join(&[&part], &installed()).matches,
        join(&[&whole], &installed()).matches
    );
}

#[test]
fn the_tracker_of_debian() {
    let tracker = read("tracker.json", Publisher::DebianTracker);
    assert_eq!((tracker.records, tracker.dated), (4, None));
    assert_eq!(
        joined(&[tracker]),
        [
            "CVE-2024-3094 xz-utils 5.4.1-2 high false",
            "CVE-2025-0002 openssl - medium false",
        ]
    );
}

#[test]
fn open_source_vulnerabilities() {
    let osv = read("osv.json", Publisher::Osv);
    assert_eq!(osv.records, 5);
    assert_eq!(osv.dated.unwrap().to_string(), "2026-01-02T08:00:00.000Z");
    let lines = [
        // Fixed for one list, and not yet for the advisory that came later.
        "CVE-2025-0001 openssl 3.0.18-1~deb12u1 unrated false",
        "CVE-2025-0002 openssl 3.0.18-1~deb12u1 unrated false",
    ];
    assert_eq!(joined(&[osv]), lines);
    assert_eq!(joined(&[read("osv.ndjson", Publisher::Osv)]), lines);
}

#[test]
fn what_is_exploited_comes_first_and_the_worst_rating_counts() {
    let feeds = [
        read("kev.json", Publisher::Kev),
        read("tracker.json", Publisher::DebianTracker),
        read("osv.json", Publisher::Osv),
    ];
    let all: Vec<&Feed> = feeds.iter().collect();
    let seen = join(&all, &installed());
    assert_eq!((seen.covered, seen.uncovered), (0, 5));
    let first = &seen.matches[0];
    assert_eq!(first.due.unwrap().to_string(), "2026-01-10T00:00:00.000Z");
    assert_eq!(
        joined(&feeds),
        [
            "CVE-2024-3094 xz-utils 5.4.1-2 high true",
            "CVE-2025-0002 openssl 3.0.18-1~deb12u1 medium false",
            "CVE-2025-0001 openssl 3.0.18-1~deb12u1 unrated false",
        ]
    );
    assert_eq!(
        feeds[0].dated.unwrap().to_string(),
        "2026-01-02T15:00:02.456Z"
    );
}

#[test]
fn vectors_and_words_of_severity() {
    for (vector, severity) in [
        (
            "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
            Severity::Critical,
        ),
        (
            "CVSS:3.1/AV:L/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N",
            Severity::Low,
        ),
        (
            "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
            Severity::Critical,
        ),
        ("AV:N/AC:L/Au:N/C:P/I:P/A:P", Severity::Unrated),
        ("", Severity::Unrated),
    ] {
        assert_eq!(Severity::from_vector(vector), severity, "{vector}");
    }
    assert_eq!(Severity::from_word("Important"), Severity::High);
    assert_eq!(Severity::from_word("not yet assigned"), Severity::Unrated);
}

#[test]
fn what_is_no_list_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("list.json");
    let whole = shared::durable::read(&list("tracker.json"), 1 << 20).unwrap();
    let cut = &whole[..whole.len() / 2];
    for (bytes, publisher, wanted) in [
        (cut, Publisher::DebianTracker, "EOF"),
        (
            b"{}".as_slice(),
            Publisher::DebianTracker,
            "it lists nothing",
        ),
        (b"", Publisher::Osv, "it lists nothing"),
        (whole.as_slice(), Publisher::Kev, "dateReleased"),
        (
            whole.as_slice(),
            Publisher::Osv,
            "did not match any variant",
        ),
    ] {
        shared::durable::write(&path, bytes, 0o644).unwrap();
        let error = Feed::read(&path, publisher).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
        assert!(error.contains(publisher.as_str()), "{error}");
    }
    let absent = Feed::read(&dir.path().join("none"), Publisher::Kev);
    assert!(matches!(absent, Err(FeedError::Read(_))));
}
