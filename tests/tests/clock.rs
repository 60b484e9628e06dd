//! Time daemons that run, with servers that answer and go away: what the agent sees, and what the
//! checks make of it. No daemon can set the clock of this machine. Needs root and Debian's archive.
#![expect(clippy::disallowed_methods, reason = "tests run the real programs")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use evident_tests::apart::{Apart, Daemon};
use evident_tests::{bytes, ends, poll, program, programs, unpacked};
use serde_json::Value;

/// How long daemons may take to hear each other, or to notice that they no longer do.
const PATIENCE: Duration = Duration::from_mins(2);

/// A network apart, with time servers on it.
struct Site {
    // In the order in which they end.
    first: Option<Daemon>,
    second: Option<Daemon>,
    apart: Apart,
    dir: tempfile::TempDir,
}

impl Site {
    /// Two servers at 10.9.0.2 and 10.9.0.3, which take the clock of this machine for a reference.
    /// The first also has these settings.
    fn start(first: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let apart = Apart::new(dir.path());
        let mut site = Self {
            first: None,
            second: None,
            apart,
            dir,
        };
        site.first = Some(site.server(2, first));
        site.second = Some(site.server(3, ""));
        site
    }

    fn server(&self, last: u8, more: &str) -> Daemon {
        let settings = format!(
            "local stratum 8\nallow 10.9.0.0/24\nbindaddress 10.9.0.{last}\ncmdport 0\n\
             bindcmdaddress /\npidfile /run/server-{last}.pid\n{more}"
        );
        let path = format!("/run/server-{last}.conf");
        self.apart.write(&path, &settings);
        Daemon::start(&mut self.chronyd(&path))
    }

    /// chronyd that does not control the clock.
    fn chronyd(&self, settings: &str) -> Command {
        let program = unpacked::debian("chrony").join("usr/sbin/chronyd");
        let mut chronyd = self.apart.command(&program);
        chronyd
            .args(["-x", "-d", "-u", "root", "-f", settings])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        chronyd
    }

    /// chronyd as the time daemon of the host, with these sources.
    fn client(&self, sources: &str) -> Daemon {
        let settings = format!("port 0\ncmdport 0\npidfile /run/client.pid\n{sources}");
        self.apart.write("/etc/chrony/chrony.conf", &settings);
        Daemon::start(&mut self.chronyd("/etc/chrony/chrony.conf"))
    }

    /// What the agent sees there, and what the checks on the clock make of it.
    fn look(&self) -> Look {
        let mut once = self.apart.command(&programs().join("evident-agent"));
        let seen = once.args(["once", "--probe", "clock", "--format", "json"]);
        let seen = ends(&seen.output().unwrap(), 0);
        let file = self.dir.path().join("seen.json");
        std::fs::write(&file, &seen).unwrap();
        let mut judge = program("evident-collector");
        let judged = judge.arg("judge").arg(&file).args(["--format", "json"]);
        let judged = judged.output().unwrap();
        let seen: Value = serde_json::from_str(&seen).unwrap();
        let report: Value = serde_json::from_slice(&judged.stdout).unwrap();
        let controls = report["controls"].as_array().unwrap().iter();
        let mut controls = controls.filter(|one| one["control"] == "A.8.17");
        Look {
            facts: seen["observations"][0]["observation"]["facts"].clone(),
            checks: controls.next().unwrap()["checks"].clone(),
        }
    }

    /// Looks until it is as wanted.
    #[track_caller]
    fn look_until(&self, what: &str, wanted: impl Fn(&Look) -> bool) -> Look {
        let mut last = Value::Null;
        let found = poll(PATIENCE, || {
            let look = self.look();
            last = look.facts.clone();
            Some(look).filter(&wanted)
        });
        found.unwrap_or_else(|| panic!("{what}: {last:#}"))
    }
}

/// One look at the clock.
struct Look {
    facts: Value,
    checks: Value,
}

impl Look {
    /// The verdict of a check, and the facts that decided.
    fn check(&self, id: &str) -> (&str, &str) {
        let mut checks = self.checks.as_array().unwrap().iter();
        let check = checks.find(|check| check["check"] == id).unwrap();
        let deciding = &check["deciding"][0];
        let text = |name: &str| deciding[name].as_str().unwrap();
        (text("verdict"), text("reason"))
    }

    fn passes(&self, id: &str) -> bool {
        self.check(id).0 == "pass"
    }
}

const TWO: &str = "server 10.9.0.2 iburst minpoll 0 maxpoll 0\n\
                   server 10.9.0.3 iburst minpoll 0 maxpoll 0\n";

#[test]
fn chronyd_that_stops_or_loses_its_sources_is_found_and_found_well_again() {
    let mut site = Site::start("");
    let client = site.client(TWO);
    let good = site.look_until("chronyd hears two servers", |look| {
        // The bound of the error falls with the first measurements.
        look.passes("clock.sources") && look.passes("clock.update") && look.passes("clock.error")
    });
    assert_eq!(good.facts["tracking_daemon"], "chronyd");
    assert_eq!(good.facts["usable_source_count"], 2);
    assert_eq!(good.facts["sources"][0]["authentication"], "none");
    assert!(
        good.passes("clock.error"),
        "{:?}",
        good.check("clock.error")
    );
    assert_eq!(good.check("clock.nts").0, "not applicable");
    // The kernel of this machine is disciplined or not, whatever runs here without control of it.
    let kernel = good.facts["kernel_synchronised"].as_bool().unwrap();
    assert!(kernel || good.check("clock.synchronised").0 == "fail");

    drop(client);
    let stopped = site.look();
    assert_eq!(stopped.facts.get("tracking_leap"), None);
    assert_eq!(stopped.facts.get("sources"), None);
    let (verdict, reason) = stopped.check("clock.update");
    assert_eq!(verdict, "unknown", "servers of the same name still run");
    assert!(reason.starts_with("no time daemon told"), "{reason}");

    let client = site.client(TWO);
    drop(site.look_until("chronyd runs again", |look| {
        look.passes("clock.sources") && look.passes("clock.update")
    }));

    site.second = None;
    let lost = site.look_until("one server went away", |look| !look.passes("clock.sources"));
    let (verdict, reason) = lost.check("clock.sources");
    assert_eq!(verdict, "fail");
    assert!(reason.contains("usable_source_count 1"), "{reason}");
    site.second = Some(site.server(3, ""));
    drop(site.look_until("it came back", |look| look.passes("clock.sources")));
    drop(client);
}

#[test]
fn chronyd_that_follows_its_own_clock_follows_nothing() {
    let site = Site::start("");
    let _client = site.client("local stratum 8\n");
    let own = site.look_until("chronyd answers", |look| {
        look.facts.get("tracking_reference").is_some()
    });
    assert_eq!(own.facts["tracking_reference"], "local");
    assert_eq!(own.facts["tracking_leap"], "normal");
    for id in ["clock.update", "clock.error", "clock.synchronised"] {
        assert_eq!(own.check(id).0, "fail", "{id}");
    }
}

/// A key and a certificate for the first server.
fn certificate(dir: &Path) -> (PathBuf, PathBuf) {
    let (key, certificate) = (dir.join("nts.key"), dir.join("nts.crt"));
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]);
    openssl.args(["-nodes", "-days", "2", "-subj", "/CN=time", "-addext"]);
    openssl.arg("subjectAltName=IP:10.9.0.2,DNS:time");
    openssl
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    drop(ends(&openssl.output().unwrap(), 0));
    (key, certificate)
}

#[test]
fn sources_are_authenticated_by_nts_or_the_check_fails() {
    let dir = tempfile::tempdir().unwrap();
    let (key, good) = certificate(dir.path());
    let settings = format!(
        "ntsserverkey {}\nntsservercert {}\n",
        key.display(),
        good.display()
    );
    let site = Site::start(&settings);
    let sources = |trusted: &Path| {
        format!(
            "nosystemcert\nntstrustedcerts {}\n\
             server 10.9.0.2 iburst minpoll 0 maxpoll 0 nts\n\
             server 10.9.0.3 iburst minpoll 0 maxpoll 0\n",
            trusted.display()
        )
    };
    let client = site.client(&sources(&good));
    let look = site.look_until("keys are agreed on", |look| look.passes("clock.nts"));
    assert_eq!(look.facts["nts_source_count"], 1);
    let source = &look.facts["sources"][0];
    assert_eq!(source["authentication"], "nts");
    assert!(source["cookies"].as_i64().unwrap() > 0, "{source}");
    assert!(source["key_age_s"].as_i64().unwrap() < 120, "{source}");

    // The certificate of somebody else: no keys, and so no time from that source.
    drop(client);
    let stranger = tempfile::tempdir().unwrap();
    let (_key, other) = certificate(stranger.path());
    let _client = site.client(&sources(&other));
    let look = site.look_until("keys are refused", |look| {
        let attempts = &look.facts["sources"][0]["key_attempts"];
        attempts.as_i64().is_some_and(|attempts| 0 < attempts)
    });
    assert_eq!(look.facts["nts_source_count"], 0);
    assert_eq!(look.facts["sources"][0]["authentication"], "none");
    let (verdict, reason) = look.check("clock.nts");
    assert_eq!(verdict, "fail", "{reason}");
    assert!(reason.contains("nts_source_count 0"), "{reason}");
}

#[test]
fn ntpd_says_over_its_control_port_what_it_hears() {
    let site = Site::start("");
    let settings = "interface ignore wildcard\ninterface listen 127.0.0.1\n\
                    interface listen 10.9.0.1\nrestrict default nomodify noquery limited\n\
                    restrict 127.0.0.1\nserver 10.9.0.2 iburst minpoll 3 maxpoll 3\n\
                    server 10.9.0.3 iburst minpoll 3 maxpoll 3\n";
    site.apart.write("/etc/ntpsec/ntp.conf", settings);
    let ntpd = unpacked::debian("ntpsec").join("usr/sbin/ntpd");
    let mut command = site.apart.command(Path::new("setpriv"));
    // It then runs on without the right to set the clock.
    command.args(["--bounding-set", "-sys_time", "--inh-caps", "-sys_time"]);
    command.arg(ntpd).args(["-n", "-c", "/etc/ntpsec/ntp.conf"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let ntpd = Daemon::start(&mut command);
    let good = site.look_until("ntpd hears two servers", |look| {
        look.passes("clock.sources") && look.passes("clock.update")
    });
    assert_eq!(good.facts["tracking_daemon"], "ntpd");
    assert_eq!(good.facts["usable_source_count"], 2);
    assert_eq!(good.facts["tracking_stratum"], 9);
    let configured = good.facts["configured_sources"].as_array().unwrap();
    assert!(configured.iter().any(|one| one["address"] == "10.9.0.3"));
    drop(ntpd);
    let stopped = site.look();
    assert_eq!(stopped.facts.get("tracking_leap"), None);
    assert_eq!(stopped.check("clock.update").0, "unknown");
}

#[test]
fn packages_are_unpacked_and_not_installed() {
    let folder = unpacked::debian("chrony");
    assert!(!bytes(&folder.join("usr/sbin/chronyd")).is_empty());
}
