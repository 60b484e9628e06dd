//! Tests of the canary probe: real datagrams, a real rsyslogd, journals of systemd-journal-remote.

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use shared::durable;
use shared::key::SigningKey;
use shared::observation::{Observation, Outcome};

use super::*;
use crate::config::{CanarySettings, ProbeSettings};
use crate::host::recorded::Recorded;
use crate::probe::Before;
use crate::probe::golden::{list, number};

/// A host in a folder, and the agent on it.
struct Site {
    folder: tempfile::TempDir,
    settings: ProbeSettings,
    now: Timestamp,
    before: bool,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["root/var/log", "live"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        Self {
            folder,
            settings: ProbeSettings::default(),
            now: Timestamp::from_unix_ms(1_800_000_000_000).unwrap(),
            before: false,
        }
    }

    fn watching(pattern: &str) -> Self {
        let mut site = Self::new();
        site.settings.canary = CanarySettings {
            send: false,
            watches: vec![pattern.to_owned()],
            ..CanarySettings::default()
        };
        site
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn append(&self, name: &str, text: &str) {
        let path = self.path(&format!("root{name}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::OpenOptions::new();
        let mut file = file.append(true).create(true).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn scene(&self) -> Scene {
        Scene {
            settings: Arc::new(self.settings.clone()),
            now: self.now,
            before: self.before.then(|| Before {
                at: self.now,
                ago_ms: 0,
                facts: shared::fact::Facts::new(),
            }),
            own: Some(Arc::new(Own {
                agent: "web-1".parse().unwrap(),
                generation: 3,
                key: SigningKey::from_seed([7; 32]).unwrap().into(),
                folder: self.path("notes"),
            })),
        }
    }

    /// Looks, a quarter of an hour after the look before.
    fn look(&mut self) -> Observation {
        let host = Recorded::open(self.folder.path()).unwrap();
        let seen = Delivery.observe(&host, &self.scene());
        self.now = self.now.plus_ms(900_000);
        self.before = true;
        let observation = seen.observation(Delivery.subject()).0;
        assert!(!observation.reason.contains("fault"), "{observation:?}");
        Observation::from_bytes(&observation.to_bytes()).unwrap()
    }
}

fn text(record: &Record, name: &str) -> String {
    match record.get(name) {
        Some(Value::Text(text)) => text.clone(),
        other => panic!("{name}: {other:?}"),
    }
}

/// Way and arrival of each sent line.
fn sent(observation: &Observation) -> Vec<(String, Option<bool>)> {
    let local = |record: &Record| match record.get("local") {
        Some(Value::Flag(flag)) => Some(*flag),
        None => None,
        other => panic!("{other:?}"),
    };
    let records = list(observation, "sent");
    records
        .iter()
        .map(|record| (text(record, "way"), local(record)))
        .collect()
}

/// A syslog daemon, stopped when the value goes.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[expect(clippy::disallowed_methods, reason = "a real daemon of the test")]
fn program(path: &str) -> Command {
    Command::new(path)
}

fn rsyslogd(site: &Site) -> Daemon {
    let settings = format!(
        "module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
         input(type=\"imuxsock\" Socket=\"{}\" CreatePath=\"off\")\n\
         *.* action(type=\"omfile\" file=\"{}\")\n",
        site.path("live/log-syslog").display(),
        site.path("root/var/log/syslog").display(),
    );
    let path = site.path("rsyslog.conf");
    durable::write(&path, settings.as_bytes(), 0o600).unwrap();
    let mut command = program("/usr/sbin/rsyslogd");
    let child = command
        .args(["-n", "-i", "NONE", "-f"])
        .arg(&path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let daemon = Daemon(child.expect("rsyslogd, which `tests/run tools` installs"));
    let socket = site.path("live/log-syslog");
    for _attempt in 0..500 {
        if socket.exists() {
            return daemon;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("rsyslogd did not begin to listen");
}

#[test]
fn a_line_goes_through_a_real_rsyslogd_and_is_found() {
    let mut site = Site::new();
    let daemon = rsyslogd(&site);
    site.append("/var/log/syslog", "Jan  1 00:00:00 web-1 begin\n");
    let observation = site.look();
    assert_eq!(sent(&observation), [("syslog".to_owned(), Some(true))]);
    assert_eq!(number(&observation, "sent_count"), Some(1));
    assert_eq!(number(&observation, "local_missing_count"), Some(0));
    let record = &list(&observation, "sent")[0];
    let canary = Canary::find(&text(record, "line")).unwrap();
    let key = SigningKey::from_seed([7; 32]).unwrap().public();
    assert!(canary.verify(&key).is_ok());
    assert!(record.contains_key("local_latency_ms"), "{record:?}");
    // The daemon goes, and a socket stays that takes lines and writes none of them.
    drop(daemon);
    let path = site.path("live/log-syslog");
    drop(std::fs::remove_file(&path));
    let silent = UnixDatagram::bind(&path).unwrap();
    let observation = site.look();
    let way = |local| ("syslog".to_owned(), local);
    assert_eq!(sent(&observation), [way(Some(true)), way(None)]);
    assert_eq!(number(&observation, "local_missing_count"), Some(0));
    let observation = site.look();
    let expected = [way(Some(true)), way(Some(false)), way(None)];
    assert_eq!(sent(&observation), expected);
    assert_eq!(number(&observation, "local_missing_count"), Some(1));
    // It works again: the newest line counts at once.
    drop(silent);
    std::fs::remove_file(&path).unwrap();
    let _daemon = rsyslogd(&site);
    let observation = site.look();
    assert_eq!(number(&observation, "local_missing_count"), Some(0));
    assert_eq!(sent(&observation).last().unwrap().1, Some(true));
}

#[test]
fn a_line_that_came_late_is_found_in_the_rotated_log() {
    let mut site = Site::new();
    site.append("/var/log/syslog", "begin\n");
    let daemon = UnixDatagram::bind(site.path("live/log-syslog")).unwrap();
    assert_eq!(sent(&site.look())[0].1, None);
    let mut bytes = vec![0; 512];
    let length = daemon.recv(&mut bytes).unwrap();
    let late = String::from_utf8(bytes[..length].to_vec()).unwrap();
    site.append("/var/log/syslog", &format!("{late}\n"));
    let log = site.path("root/var/log/syslog");
    std::fs::rename(&log, site.path("root/var/log/syslog.1")).unwrap();
    site.append("/var/log/syslog", "a new one\n");
    let observation = site.look();
    assert_eq!(sent(&observation)[0].1, Some(true));
    assert!(!list(&observation, "sent")[0].contains_key("local_latency_ms"));
    // Compressed and gone: nobody can tell any more.
    std::fs::rename(&log, site.path("root/var/log/syslog.2.gz")).unwrap();
    site.append("/var/log/syslog", "a newer one\n");
    let observation = site.look();
    assert_eq!(sent(&observation)[1].1, None);
}

#[test]
fn what_cannot_be_read_is_not_missing() {
    let mut site = Site::new();
    site.append("/var/log/syslog", "begin\n");
    let refused = site.path("live/refused.txt");
    durable::write(&refused, b"/var/log/syslog\n", 0o600).unwrap();
    let _silent = UnixDatagram::bind(site.path("live/log-syslog")).unwrap();
    for _look in 0..3 {
        let observation = site.look();
        assert!(sent(&observation).iter().all(|(_, local)| local.is_none()));
        assert_eq!(number(&observation, "local_missing_count"), None);
    }
}

#[test]
fn a_journal_is_searched_behind_its_mark() {
    let mut site = Site::new();
    let machine = "0123456789abcdef0123456789abcdef";
    let folder = site.path(&format!("root/var/log/journal/{machine}"));
    std::fs::create_dir_all(&folder).unwrap();
    let journal = folder.join("system.journal");
    write_journal(&journal, &["begin"]);
    let daemon = UnixDatagram::bind(site.path("live/log-journal")).unwrap();
    assert_eq!(sent(&site.look()), [("journal".to_owned(), None)]);
    let mut bytes = vec![0; 1024];
    let length = daemon.recv(&mut bytes).unwrap();
    let fields = String::from_utf8(bytes[..length].to_vec()).unwrap();
    let line = fields.lines().next().unwrap().strip_prefix("MESSAGE=");
    write_journal(&journal, &["begin", line.unwrap()]);
    assert_eq!(sent(&site.look())[0].1, Some(true));
    // Half written: whatever stands in it, nobody can say that a line is missing.
    let whole = durable::read(&journal, 1 << 26).unwrap();
    durable::write(&journal, &whole[..1000], 0o640).unwrap();
    let observation = site.look();
    assert_eq!(sent(&observation)[1].1, None);
    assert!(
        observation.reason.contains("system.journal"),
        "{observation:?}"
    );
}

/// Writes a journal with these messages, as the daemon of log hosts does.
fn write_journal(path: &Path, messages: &[&str]) {
    drop(std::fs::remove_file(path));
    let entry = |(at, message): (usize, &&str)| {
        let time = 1_800_000_000_000_000_u64 + u64::try_from(at).unwrap();
        format!(
            "__REALTIME_TIMESTAMP={time}\n__MONOTONIC_TIMESTAMP={at}\n\
             _BOOT_ID=0123456789abcdef0123456789abcdef\nMESSAGE={message}\nPRIORITY=6\n\n"
        )
    };
    let export: String = messages.iter().enumerate().map(entry).collect();
    let mut command = program("/lib/systemd/systemd-journal-remote");
    let child = command
        .arg(format!("--output={}", path.display()))
        .arg("-")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = child.expect("systemd-journal-remote, which `tests/run tools` installs");
    let mut input = child.stdin.take().unwrap();
    input.write_all(export.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
fn without_daemon_or_identity_nothing_is_sent_and_it_is_said() {
    let mut site = Site::new();
    let observation = site.look();
    assert_eq!(observation.outcome, Outcome::Absent);
    let path = site.path("live/log-journal.status");
    durable::write(&path, b"timed-out\n", 0o600).unwrap();
    let observation = site.look();
    assert_eq!(observation.outcome, Outcome::Facts);
    assert_eq!(number(&observation, "sent_count"), None);
    assert!(observation.reason.contains("timed-out"), "{observation:?}");
    let host = Recorded::open(site.folder.path()).unwrap();
    let scene = Scene {
        own: None,
        ..site.scene()
    };
    let observation = Delivery.observe(&host, &scene);
    let observation = observation.observation(Delivery.subject()).0;
    assert_eq!(observation.outcome, Outcome::Unknown);
    assert!(observation.reason.contains("not signed"), "{observation:?}");
}

#[test]
fn a_line_on_this_host_stands_in_its_journal_where_there_is_one() {
    let site = Site::new();
    let machine = crate::host::machine::Machine::open(Path::new("/")).unwrap();
    let seen = Delivery.observe(&machine, &site.scene());
    let observation = seen.observation(Delivery.subject()).0;
    assert!(!observation.reason.contains("fault"), "{observation:?}");
    let journal = machine.stat("/run/systemd/journal/socket").is_ok();
    let readable =
        machine.list("/var/log/journal").is_ok() || machine.list("/run/log/journal").is_ok();
    if journal && readable && rustix::process::geteuid().is_root() {
        let ways = sent(&observation);
        assert!(
            ways.contains(&("journal".to_owned(), Some(true))),
            "{observation:?}"
        );
    }
}

#[test]
fn at_most_sixteen_lines_are_told() {
    let mut site = Site::new();
    let daemon = UnixDatagram::bind(site.path("live/log-syslog")).unwrap();
    for _look in 0..20 {
        let _observation = site.look();
        assert!(daemon.recv(&mut [0; 512]).unwrap() <= 512);
    }
    let observation = site.look();
    let lines = list(&observation, "sent");
    assert_eq!(lines.len(), SENT_MAX);
    let times: Vec<_> = lines.iter().map(|record| record.get("at")).collect();
    assert_eq!(
        times.last().unwrap(),
        &Some(&Value::Instant(site.now.plus_ms(-900_000)))
    );
}

/// The canary of another host.
fn of(agent: &str, at: i64) -> String {
    let key = SigningKey::from_seed([9; 32]).unwrap();
    let sent = Timestamp::from_unix_ms(1_800_000_000_000 + at).unwrap();
    Canary::new(agent.parse().unwrap(), 1, sent, &key).to_string()
}

fn received(observation: &Observation) -> Vec<String> {
    let records = list(observation, "received");
    records.iter().map(|record| text(record, "line")).collect()
}

#[test]
fn lines_of_others_are_told_once() {
    let mut site = Site::watching("/var/log/remote/*/*.log");
    let (one, two, three) = (of("db-1", 1), of("db-1", 2), of("db-2", 3));
    site.append(
        "/var/log/remote/db-1/user.log",
        &format!("2027-01-15T08:00:01+00:00 db-1 evident: {one}\nnoise\n"),
    );
    let observation = site.look();
    assert_eq!(received(&observation), [one]);
    let record = &list(&observation, "received")[0];
    assert_eq!(text(record, "file"), "/var/log/remote/db-1/user.log");
    let written = "2027-01-15T08:00:01Z".parse().unwrap();
    assert_eq!(record["written"], Value::Instant(written));
    assert_eq!(record["seen"], Value::Instant(site.now.plus_ms(-900_000)));
    // What stands in two files is told once; the own line and a line without its end are not.
    let own = of("web-1", 4);
    site.append("/var/log/remote/db-1/user.log", &format!("{two}\n{own}\n"));
    site.append("/var/log/remote/db-1/all.log", &format!("{two}\n"));
    let (begin, end) = three.split_at(60);
    site.append("/var/log/remote/db-2/user.log", &format!("<14>1 - {begin}"));
    let observation = site.look();
    assert_eq!(received(&observation), [two]);
    assert_eq!(number(&observation, "watched_count"), Some(3));
    site.append("/var/log/remote/db-2/user.log", &format!("{end}\n"));
    assert_eq!(received(&site.look()), [three]);
    assert_eq!(received(&site.look()), [""; 0]);
    // A process that ended may not have recorded what it saw, so the next one tells it again.
    site.append(
        "/var/log/remote/db-1/user.log",
        &format!("{}\n", of("db-1", 9)),
    );
    assert_eq!(received(&site.look()), [of("db-1", 9)]);
    site.before = false;
    assert_eq!(received(&site.look()), [of("db-1", 9)]);
    assert_eq!(received(&site.look()), [""; 0]);
}

#[test]
fn rotated_and_cut_files_lose_nothing() {
    let mut site = Site::watching("/var/log/remote.log");
    let file = "/var/log/remote.log";
    site.append(file, &format!("{}\n", of("db-1", 1)));
    assert_eq!(received(&site.look()), [of("db-1", 1)]);
    site.append(file, &format!("{}\n", of("db-1", 2)));
    let path = site.path("root/var/log/remote.log");
    std::fs::rename(&path, site.path("root/var/log/remote.log.1")).unwrap();
    site.append(file, &format!("{}\n", of("db-1", 3)));
    assert_eq!(received(&site.look()), [of("db-1", 2), of("db-1", 3)]);
    // Copied and cut, as copytruncate of logrotate(8) does it.
    std::fs::File::create(&path).unwrap();
    site.append(file, "x\n");
    assert_eq!(received(&site.look()), [""; 0]);
    site.append(file, &format!("{}\n", of("db-1", 4)));
    assert_eq!(received(&site.look()), [of("db-1", 4)]);
    // Rotated and compressed at once: its end is lost, which is said.
    std::fs::rename(&path, site.path("root/var/log/remote.log.2.gz")).unwrap();
    site.append(file, &format!("{}\n", of("db-1", 5)));
    let observation = site.look();
    assert_eq!(received(&observation), [of("db-1", 5)]);
    let lost = |source: &shared::observation::Source| source.status == Status::Absent;
    assert!(observation.source.iter().any(lost), "{observation:?}");
}

#[test]
fn liars_are_told_within_bounds() {
    let mut site = Site::watching("/var/log/remote.log");
    let lie = |at: i64| format!("evident-canary/v1 db-2 {at} nothing\u{1b}[31m");
    let mut lines: Vec<String> = (0..100).flat_map(|at| [of("db-1", at), lie(at)]).collect();
    lines.push(format!("{}{}", "x".repeat(100_000), of("db-3", 1)));
    lines.push(of("db-4", 1));
    site.append("/var/log/remote.log", &(lines.join("\n") + "\n"));
    let observation = site.look();
    assert_eq!(number(&observation, "received_malformed_count"), Some(100));
    assert_eq!(number(&observation, "received_dropped_count"), Some(68));
    let lines = received(&observation);
    assert_eq!(lines.len(), 8 + 32 + 1);
    assert_eq!(lines.last(), Some(&of("db-4", 1)));
    assert!(lines.contains(&of("db-1", 99)) && !lines.contains(&of("db-1", 67)));
    assert!(lines.iter().all(|line| line.len() <= 256));
    // Many hosts at once: the newest of all fit.
    let many: Vec<String> = (0..600).map(|at| of(&format!("n-{at:03}"), at)).collect();
    site.append("/var/log/remote.log", &(many.join("\n") + "\n"));
    let observation = site.look();
    assert_eq!(received(&observation).len(), 512);
    assert_eq!(number(&observation, "received_dropped_count"), Some(88));
}

#[test]
fn a_folder_that_is_shut_is_said() {
    let mut site = Site::watching("/var/log/remote/*/*.log");
    site.append("/var/log/remote/db-1/user.log", "x\n");
    let refused = site.path("live/refused.txt");
    durable::write(&refused, b"/var/log/remote/db-1/user.log\n", 0o600).unwrap();
    let observation = site.look();
    assert!(
        observation.reason.contains("not-permitted"),
        "{observation:?}"
    );
    durable::write(&refused, b"/var/log/remote\n", 0o600).unwrap();
    let observation = site.look();
    assert_eq!(number(&observation, "watched_count"), Some(0));
    assert!(
        observation.reason.contains("not-permitted"),
        "{observation:?}"
    );
}
