//! The updates probe on a host of Alpine that was written by hand, and what may be wrong with it.

use shared::observation::{Observation, Outcome};

use super::super::Updates;
use super::super::tests::{Copy, facts};
use crate::probe::golden;

const HOST: &str = "updates/alpine-synthetic";
const INSTALLED: &str = "lib/apk/db/installed";
const INDEX: &str = "var/cache/apk/APKINDEX.0aa00b01.tar.gz";

fn host() -> Copy {
    Copy::of(&golden::folder(HOST))
}

/// `PACKAGE CANDIDATE` of the pending updates.
fn pending(seen: &Observation) -> Vec<String> {
    let pending = facts(seen, &["pending"]).concat();
    let records: Vec<serde_json::Value> = serde_json::from_str(&pending).unwrap();
    let text = |record: &serde_json::Value, name: &str| record[name].as_str().unwrap().to_owned();
    let records = records.iter();
    let records = records.map(|one| text(one, "package") + " " + &text(one, "candidate"));
    records.collect()
}

#[test]
fn as_found() {
    golden::check(HOST, &Updates);
}

#[test]
fn the_world_limits_versions() {
    let host = host();
    let seen = host.look();
    let found = ["libcrypto3 3.3.2-r1", "nginx 1.26.2-r0", "openssl 3.3.2-r1"];
    assert_eq!(pending(&seen), found);
    let names = [
        "pending_count",
        "pinned_count",
        "held_count",
        "installed_count",
    ];
    assert_eq!(facts(&seen, &names), ["3", "1", "2", "8"]);
    host.write(
        "etc/apk/world",
        b"nginx python3<3.12.7 !telnet busybox@edge\n",
    );
    let seen = host.look();
    assert_eq!(pending(&seen)[1], "nginx 1.28.0_rc1-r0");
    assert_eq!(facts(&seen, &names[1..3]), ["1", "1"]);
    host.write("etc/apk/world", b"python3>=3.12 nginx>1.27\n");
    assert_eq!(pending(&host.look()).len(), 4);
}

#[test]
fn whether_signatures_are_demanded() {
    let host = host();
    let count = |host: &Copy| facts(&host.look(), &["repositories_unverified_count"]).concat();
    assert_eq!(count(&host), "0");
    let _host = host.write("etc/apk/config", b"allow-untrusted\n");
    assert_eq!(count(&host), "2");
    let _host = host.refuse("/etc/apk/config");
    assert_eq!(count(&host), "-");
}

#[test]
fn nothing_says_what_is_for_security() {
    let seen = host().look();
    let names = [
        "security_source",
        "pending_security_count",
        "pending_security_since",
    ];
    assert_eq!(facts(&seen, &names), ["-", "-", "-"]);
    assert!(!facts(&seen, &["pending"]).concat().contains("\"security\""));
}

#[track_caller]
fn not_told(host: &Copy, reason: &str) {
    let seen = host.look();
    assert_eq!(seen.outcome, Outcome::Facts);
    assert_eq!(facts(&seen, &["pending", "pending_count"]), ["-", "-"]);
    assert!(seen.reason.contains(reason), "{}", seen.reason);
}

#[test]
fn indexes_that_are_not_whole_say_nothing_about_updates() {
    let host = host();
    let whole = host.read(INDEX);
    for cut in [0, 9, 300, whole.len() / 2, whole.len() - 1] {
        let _host = host.write(INDEX, &whole[..cut]);
        not_told(&host, "tar.gz: malformed");
    }
    let _host = host.write(INDEX, b"<html>log in first</html>");
    not_told(&host, "tar.gz: malformed");
    let _host = host.remove(INDEX);
    not_told(&host, "there are fewer indexes than repositories");
    let _host = host.write(INDEX, &whole).refuse(&format!("/{INDEX}"));
    not_told(&host, "tar.gz: not-permitted");
    let _host = host.refuse("/etc/apk/repositories");
    not_told(&host, "repositories: not-permitted");
    let _host = host.refuse("/etc/apk/world");
    not_told(&host, "world: not-permitted");
    let _host = host.refuse("/none");
    assert_eq!(pending(&host.look()).len(), 3);
    for (line, reason) in [
        (
            "@edge https://a.example/edge/main",
            "with a tag are not evaluated",
        ),
        ("/srv/packages", "in a folder are not evaluated"),
        ("https://a.example https://b.example", "unsupported (`https"),
    ] {
        let _host = host.write("etc/apk/repositories", line.as_bytes());
        not_told(&host, reason);
    }
}

#[test]
fn a_database_that_is_not_whole_is_never_half_read() {
    let host = host();
    let whole = host.read(INSTALLED);
    for cut in (0..whole.len()).step_by(97) {
        let seen = host.write(INSTALLED, &whole[..cut]).look();
        // It may be cut between two packages, which nothing tells; apk renames a whole file.
        if whole[..cut].ends_with(b"\n\n") {
            continue;
        }
        assert_eq!(seen.outcome, Outcome::Unknown, "{cut}");
        assert!(
            seen.reason.contains("installed: malformed"),
            "{cut}: {}",
            seen.reason
        );
    }
    let _host = host
        .write(INSTALLED, &whole)
        .refuse(&format!("/{INSTALLED}"));
    assert_eq!(host.look().outcome, Outcome::Unknown);
}
