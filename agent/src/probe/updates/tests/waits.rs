//! How long updates wait and waited, what runs old code, and which repositories are trusted: the
//! recorded Debian 12, changed by hand.

use std::io::Write as _;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use shared::key::SigningKey;
use shared::time::Timestamp;

use super::*;
use crate::probe::Own;

/// An agent with a folder of its own looks at a host.
struct Agent {
    folder: tempfile::TempDir,
}

impl Agent {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn look(&self, host: &Copy, now: &str) -> Observation {
        let own = Own {
            agent: "host-1".parse().unwrap(),
            generation: 1,
            key: Arc::new(SigningKey::from_seed([1; 32]).unwrap()),
            folder: self.folder.path().join("own"),
        };
        let scene = Scene {
            now: now.parse().unwrap(),
            own: Some(Arc::new(own)),
            ..Scene::default()
        };
        let host = Recorded::open(host.0.path()).unwrap();
        let seen = Updates.observe(&host, &scene);
        seen.observation(Updates.subject()).0
    }
}

fn instant(text: &str) -> String {
    let at: Timestamp = text.parse().unwrap();
    at.unix_ms().to_string()
}

fn packed(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

const SINCE: [&str; 2] = ["pending_security_since", "pending_security_after"];
const NOW: &str = "2026-11-22T12:00:00Z";

#[test]
fn the_day_of_an_offer_lies_between_two_dates() {
    let host = Copy::new();
    let list = format!("{SECURITY}_main_binary-amd64_Packages");
    host.remove(&format!("{list}.lz4"))
        .write(&list, b"Package: other\nVersion: 1\nArchitecture: all\n");
    let agent = Agent::new();
    // The one security update that is left stands in the main list as well, since July.
    let first = agent.look(&host, NOW);
    assert_eq!(facts(&first, &PENDING[1..2]), ["0"]);
    assert_eq!(facts(&first, &SINCE), ["-", "-"]);
    let stanza = "Package: unzip\nVersion: 6.0-28+deb12u1\nArchitecture: amd64\n";
    let release = format!("{SECURITY}_InRelease");
    host.write(&list, stanza.as_bytes()).edit(
        &release,
        "Fri, 20 Nov 2026 00",
        "Sat, 21 Nov 2026 00",
    );
    let second = agent.look(&host, NOW);
    assert_eq!(facts(&second, &PENDING[1..2]), ["1"]);
    let expected = [
        instant("2026-11-21T00:12:41Z"),
        instant("2026-11-20T00:12:41Z"),
    ];
    assert_eq!(facts(&second, &SINCE), expected);
    // Another agent has not watched, and a new version does not begin the time anew.
    let other = Agent::new().look(&host, NOW);
    assert_eq!(facts(&other, &SINCE), [expected[0].as_str(), "-"]);
    host.write(&list, stanza.replace("u1", "u2").as_bytes())
        .edit(&release, "Sat, 21 Nov 2026 00", "Mon, 30 Nov 2026 00");
    let third = agent.look(&host, "2026-11-30T12:00:00Z");
    assert_eq!(facts(&third, &SINCE), expected);
    let pending = facts(&third, &["pending"]).concat();
    assert!(pending.contains("\"candidate\":\"6.0-28+deb12u2\""));
    // It is installed: what was remembered says how long it had waited.
    let status = String::from_utf8(host.read("var/lib/dpkg/status")).unwrap();
    let status = status.replacen("Version: 6.0-28\n", "Version: 6.0-28+deb12u2\n", 1);
    host.write("var/lib/dpkg/status", status.as_bytes()).write(
        "var/log/dpkg.log",
        b"2026-12-02 01:12:41 upgrade unzip:amd64 6.0-28 6.0-28+deb12u2\n",
    );
    let ended = agent.look(&host, "2026-12-02T12:00:00Z");
    assert_eq!(facts(&ended, &PENDING[1..2]), ["0"]);
    let names = [
        "applied_count",
        "applied_security_count",
        "applied_undated_count",
        "security_wait_p50_s",
        "security_wait_p95_s",
    ];
    // u2 was certainly not offered on the 21st, and dpkg writes the time of Berlin.
    let wait_s = (11 * 24 * 3600).to_string();
    assert_eq!(facts(&ended, &names), ["1", "1", "0", &wait_s, &wait_s]);
}

#[test]
fn what_was_applied_and_how_long_it_had_waited() {
    let host = Copy::new();
    let log = "2026-11-01 12:00:00 upgrade openssl:amd64 3.0.18-1 3.0.19-1~deb12u9\n\
               2026-11-02 12:00:00 upgrade zip:amd64 3.0-12 3.0-13\n\
               2026-11-03 12:00:00 upgrade tzdata:all 2026b-0 2025b-0+deb12u2\n\
               2026-11-04 12:00:00 install unzip:amd64 <none> 6.0-28\n";
    let before = "2026-06-01 12:00:00 upgrade zip:amd64 3.0-11 3.0-12\n\
                  2026-09-30 12:00:00 upgrade zip:amd64 3.0-12 3.0-12+b1\n";
    let changelog = "openssl (3.0.19-1~deb12u9) bookworm-security; urgency=medium\n\n  * CVE\n\n \
                     -- A <a@example.org>  Thu, 29 Oct 2026 12:00:00 +0100\n\n\
                     openssl (3.0.18-1) bookworm; urgency=medium\n\n -- A <a@example.org>  Mon, 01 \
                     Jun 2026 12:00:00 +0200\n";
    host.write("var/log/dpkg.log", log.as_bytes())
        .write("var/log/dpkg.log.2.gz", &packed(before))
        .write(
            "usr/share/doc/openssl/changelog.Debian.gz",
            &packed(changelog),
        );
    let names = [
        "applied_count",
        "applied_security_count",
        "applied_undated_count",
        "security_wait_p95_s",
    ];
    let seen = Agent::new().look(&host, NOW);
    let wait_s = (3 * 24 * 3600).to_string();
    assert_eq!(facts(&seen, &names), ["3", "1", "2", &wait_s]);
    let applied = facts(&seen, &["applied"]).concat();
    assert!(applied.starts_with(r#"[{"applied":"#), "{applied}");
    assert!(applied.contains(r#""package":"openssl","security":true"#));
    // What was done while an image was made is no update of a host.
    let times = "2026-10-15T00:00:00Z /etc/machine-id";
    host.write("etc/machine-id", b"0")
        .write("../live/times.txt", times.as_bytes());
    assert_eq!(facts(&Agent::new().look(&host, NOW), &names[..1]), ["2"]);
    host.refuse("/var/log/dpkg.log.2.gz");
    let unread = Agent::new().look(&host, "2026-11-22T12:00:00Z");
    assert_eq!(facts(&unread, &names), ["-", "-", "-", "-"]);
    assert!(unread.reason.contains("dpkg.log.2.gz: not-permitted"));
}

#[test]
fn services_with_old_code() {
    let host = Copy::new();
    let names = [
        "stale_processes_count",
        "stale_unseen_count",
        "stale_services",
    ];
    let gone = "55d1-55d2 r-xp 00000000 fe:00 2 /usr/lib/libssl.so.3 (deleted)\n";
    host.write("proc/1/maps", b"")
        .write("proc/2/maps", b"")
        .write("proc/41/maps", gone.as_bytes())
        .write("proc/41/status", b"Uid:\t0\t0\t0\t0\nNSpid:\t41\n")
        .write("proc/41/comm", b"sshd\n")
        .write("proc/41/cgroup", b"0::/system.slice/ssh.service\n")
        .write("proc/42/maps", gone.as_bytes())
        .write("proc/42/status", b"Uid:\t0\t0\t0\t0\nNSpid:\t42\t1\n")
        .write("proc/42/comm", b"inner\n")
        .write("usr/lib/libssl.so.3", b"new");
    let times = "2026-11-20T00:00:00Z /usr/lib/libssl.so.3";
    host.write("../live/times.txt", times.as_bytes());
    let record = format!(
        r#"[{{"example":"/usr/lib/libssl.so.3","files":1,"name":"ssh.service","processes":1,"since":{}}}]"#,
        instant("2026-11-20T00:00:00Z")
    );
    assert_eq!(facts(&host.look(), &names), ["1", "0", &record]);
    host.refuse("/proc/41/maps");
    assert_eq!(facts(&host.look(), &names), ["0", "1", "[]"]);
    host.remove("usr/lib/libssl.so.3").refuse("");
    let undated = facts(&host.look(), &names).concat();
    assert!(!undated.contains("since"), "{undated}");
}

#[test]
fn repositories_that_are_trusted_blindly() {
    let host = Copy::new();
    let names = ["repositories_unverified_count", "insecure_settings"];
    assert_eq!(facts(&host.look(), &names), ["0", "[]"]);
    host.write(
        "etc/apt/sources.list",
        b"deb [trusted=yes] https://u:secret@apt.example.org/x ./\n",
    )
    .write(
        "etc/apt/apt.conf",
        b"APT::Get::AllowUnauthenticated \"true\";\nAcquire::Check-Valid-Until no;",
    );
    let seen = host.look();
    let settings =
        r#"[{"name":"apt::get::allowunauthenticated"},{"name":"acquire::check-valid-until"}]"#;
    assert_eq!(facts(&seen, &names), ["1", settings]);
    let all = facts(&seen, &["repositories"]).concat();
    assert!(!all.contains("secret"), "{all}");
    assert!(all.contains(r#""keys_present":false"#), "{all}");
    host.write("etc/apt/sources.list.d/own.list", b"deb http://only\n");
    assert_eq!(facts(&host.look(), &["repositories"]), ["-"]);
    host.remove("etc/apt/sources.list.d/own.list")
        .refuse("/etc/apt/sources.list.d/debian.sources");
    assert_eq!(facts(&host.look(), &names[..1]), ["-"]);
}

#[test]
fn how_automatic_updates_went() {
    let host = Copy::new();
    let names = [
        "automatic_security",
        "automatic_last_run",
        "automatic_last_error",
        "automatic_excluded",
    ];
    assert_eq!(facts(&host.look(), &names), ["true", "-", "-", "[]"]);
    let log = "2026-11-20 06:30:01,123 INFO Starting unattended upgrades script\n\
               2026-11-20 06:30:05,001 ERROR Lock could not be acquired\n\
               2026-11-21 06:30:01,123 INFO Starting unattended upgrades script\n\
               2026-11-21 06:30:02,123 INFO No packages found that can be upgraded unattended\n";
    host.write(
        "var/log/unattended-upgrades/unattended-upgrades.log",
        log.as_bytes(),
    )
    .write(
        "etc/apt/apt.conf",
        b"#clear Unattended-Upgrade::Origins-Pattern;\n\
          Unattended-Upgrade::Origins-Pattern { \"origin=Debian,codename=${distro_codename}\"; };\n\
          Unattended-Upgrade::Package-Blacklist:: \"openssl\";",
    );
    let expected = [
        "false".to_owned(),
        instant("2026-11-21T05:30:01Z"),
        instant("2026-11-20T05:30:05Z"),
        r#"[{"pattern":"openssl"}]"#.to_owned(),
    ];
    assert_eq!(facts(&host.look(), &names), expected);
    host.write(
        "etc/apt/apt.conf",
        b"Unattended-Upgrade::Allowed-Origins:: \"everything\";",
    );
    let odd = host.look();
    assert_eq!(facts(&odd, &names[..1]), ["-"]);
    assert!(odd.reason.contains("`everything` is not understood"));
}

#[test]
fn a_log_of_automatic_updates_is_read_back_to_the_last_success() {
    const LOG: &str = "var/log/unattended-upgrades/unattended-upgrades.log";
    let host = Copy::new();
    let names = ["automatic_last_error", "automatic_log_read"];
    assert_eq!(facts(&host.look(), &names), ["-", "false"]);
    host.write("var/lib/apt/periodic/upgrade-stamp", b"");
    let error = "2026-11-20 06:30:05,001 ERROR Lock could not be acquired\n";
    let filler = "2026-11-21 06:30:02,123 INFO Checking if system is running on battery\n";
    let at = instant("2026-11-20T05:30:05Z");
    // Far longer than what is read: the end of it has no error, and does not reach back.
    let stamp = |text: &str| text.replace("2026", "2096");
    let long = stamp(&format!("{error}{}", filler.repeat(5000)));
    host.write(LOG, long.as_bytes());
    let seen = host.look();
    assert_eq!(facts(&seen, &names), ["-", "false"]);
    assert!(seen.reason.contains("reach back"), "{}", seen.reason);
    // The end reaches back to a time before the stamp.
    host.write(LOG, format!("{}{error}", filler.repeat(5000)).as_bytes());
    assert_eq!(facts(&host.look(), &names), [at.clone(), "true".to_owned()]);
    // Just rotated: the newest error is in the log before.
    host.write(LOG, b"")
        .write(&format!("{LOG}.1"), error.as_bytes());
    assert_eq!(facts(&host.look(), &names), [at.clone(), "true".to_owned()]);
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut packed, error.as_bytes()).unwrap();
    host.remove(&format!("{LOG}.1"))
        .write(&format!("{LOG}.1.gz"), &packed.finish().unwrap());
    assert_eq!(facts(&host.look(), &names), [at, "true".to_owned()]);
    host.refuse(&format!("/{LOG}"));
    assert_eq!(facts(&host.look(), &names), ["-", "false"]);
}

#[test]
fn the_kernel_is_patched_while_it_runs() {
    let host = Copy::new();
    host.write("sys/kernel/notes", b"");
    assert_eq!(facts(&host.look(), &["live_patches"]), ["[]"]);
    host.write("sys/kernel/livepatch/fix_1/enabled", b"1\n")
        .write("sys/kernel/livepatch/fix_2/enabled", b"0\n");
    let expected = r#"[{"enabled":true,"name":"fix_1"},{"enabled":false,"name":"fix_2"}]"#;
    assert_eq!(facts(&host.look(), &["live_patches"]), [expected]);
}
