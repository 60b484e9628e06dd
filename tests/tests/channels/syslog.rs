//! A real rsyslogd, over TLS, TCP and UDP; it says what it understood.

use std::net::TcpListener;
use std::process::Command;

use collector::alert::{DeliveryError, Occasion};
use serde_json::Value;

use super::site::{Daemon, HARM, Site, free_port, notice};

struct Rsyslog {
    _daemon: Daemon,
    port: u16,
}

impl Rsyslog {
    /// Runs one that listens with this driver, and writes what it understood as JSON.
    fn start(site: &Site, driver: &str) -> Self {
        let (port, folder) = (free_port(), site.folder().display());
        let settings = format!(
            "global(workDirectory=\"{folder}\" maxMessageSize=\"64k\"
                DefaultNetstreamDriverCAFile=\"{folder}/ca.pem\"
                DefaultNetstreamDriverCertFile=\"{folder}/ca-server.pem\"
                DefaultNetstreamDriverKeyFile=\"{folder}/ca-server.key\")
             module(load=\"imtcp\" {driver})
             module(load=\"imudp\")
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"{port}\")
             input(type=\"imudp\" address=\"127.0.0.1\" port=\"{port}\")
             template(name=\"all\" type=\"list\") {{
                property(name=\"jsonmesg\") constant(value=\"\\n\") }}
             action(type=\"omfile\" file=\"{folder}/messages\" template=\"all\")\n"
        );
        site.write("rsyslog.conf", &settings, 0o600);
        let mut daemon = Command::new("rsyslogd");
        daemon.arg("-n").arg("-f").arg(site.path("rsyslog.conf"));
        daemon.arg("-i").arg(site.path("rsyslog.pid"));
        let log = site.path("rsyslog.log");
        Self {
            _daemon: Daemon::start(&mut daemon, &log, port),
            port,
        }
    }
}

/// What rsyslogd has written, without its own words.
fn messages(site: &Site) -> Vec<Value> {
    let text = std::fs::read_to_string(site.path("messages")).unwrap_or_default();
    let all = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    all.filter(|one: &Value| one["app-name"] == "evident-collector")
        .collect()
}

const TLS: &str = "StreamDriver.Name=\"gtls\" StreamDriver.Mode=\"1\" StreamDriver.AuthMode=";

fn settings(port: u16, transport: &str) -> String {
    format!(
        "kind = \"syslog\"\nserver = \"localhost:{port}\"\ntransport = \"{transport}\"
         ca_file = \"ca.pem\""
    )
}

#[track_caller]
fn is_understood(message: &Value, words: &str, conditions: usize) {
    let begin = "[HIGH] clocks are off x Bcc: eve@example.org <!channel> &amp; \u{fffd}[2J";
    assert!(words.starts_with(begin), "{words}");
    assert_eq!(message["hostname"], "collector.example");
    assert_eq!(message["msgid"], "raised");
    assert_eq!(message["syslogfacility"], "16");
    assert_eq!(message["syslogseverity"], "3");
    let reported = message["timereported"].as_str().unwrap();
    assert!(reported.starts_with("2026-11-22T09:00:00"), "{reported}");
    let data = message["structured-data"].as_str().unwrap();
    assert!(
        data.starts_with("[evident@32473 incident=\"clock/x Bcc: "),
        "{data}"
    );
    // What a host says stays inside its quotes.
    assert!(HARM.contains("\"] [a@1 b="));
    assert!(data.contains("\\\"\\] [a@1 b=\\\"c\\\"\\] \\\\"), "{data}");
    assert!(data.ends_with("\"]"), "{data}");
    assert_eq!(data.matches(" host=\"web-").count(), conditions, "{data}");
    assert_eq!(data.matches(" control=\"A.8.17\"").count(), 1, "{data}");
    assert_eq!(data.matches(" evidence=\"").count(), conditions, "{data}");
    assert!(
        data.contains(" severity=\"high\" since=\"2026-11-22T08:00:00.000Z\""),
        "{data}"
    );
}

#[test]
fn syslog_over_tls_is_understood_and_only_by_whom_it_is_for() {
    let site = Site::new();
    let rsyslog = Rsyslog::start(&site, &format!("{TLS}\"anon\""));
    let channel = site.open(&settings(rsyslog.port, "tls"));
    let shown = format!("syslog to localhost:{} over TLS", rsyslog.port);
    assert_eq!(channel.describe(), shown);
    let notice = notice(1, Occasion::Raised);
    assert_eq!(site.deliver(&channel, &notice), Ok(()));
    evident_tests::soon(|| messages(&site).len() == 1);
    let message = messages(&site).remove(0);
    let words = message["msg"].as_str().unwrap();
    is_understood(&message, words.trim_start_matches(['\u{feff}', ' ']), 10);

    let stranger = settings(rsyslog.port, "tls").replace("ca.pem", "other.pem");
    let why = site.again(&site.open(&stranger), &notice);
    assert!(why.contains("UnknownIssuer"), "{why}");
    assert_eq!(
        site.deliver(&channel, &super::site::notice(2, Occasion::Resolved)),
        Ok(())
    );
    evident_tests::soon(|| 2 <= messages(&site).len());
    assert_eq!(messages(&site).len(), 2);
    assert_eq!(messages(&site)[1]["syslogseverity"], "6");
}

#[test]
fn a_daemon_that_lets_nobody_in_has_not_taken_the_message() {
    let site = Site::new();
    let rsyslog = Rsyslog::start(&site, &format!("{TLS}\"x509/certvalid\""));
    let channel = site.open(&settings(rsyslog.port, "tls"));
    let _why = site.again(&channel, &notice(1, Occasion::Raised));
    assert_eq!(messages(&site).len(), 0);
}

#[test]
fn syslog_in_the_clear_stays_on_this_machine_or_is_written_out() {
    let site = Site::new();
    let rsyslog = Rsyslog::start(&site, "");
    let notice = notice(1, Occasion::Raised);
    for (count, transport, conditions) in [(1, "tcp", 10), (2, "udp", 2)] {
        let channel = site.open(&settings(rsyslog.port, transport));
        assert_eq!(site.deliver(&channel, &notice), Ok(()));
        evident_tests::soon(|| messages(&site).len() == count);
        let message = messages(&site).remove(count - 1);
        let words = message["msg"].as_str().unwrap();
        is_understood(
            &message,
            words.trim_start_matches(['\u{feff}', ' ']),
            conditions,
        );
    }
    for transport in ["tcp", "udp"] {
        let far = settings(514, transport).replace("localhost", "192.0.2.1");
        let error = site.try_open(&far).unwrap_err();
        assert!(error.contains("what goes to 192.0.2.1:514"), "{error}");
        let _written_out = site.open(&format!("{far}\nin_the_clear = true"));
    }
}

#[test]
fn a_daemon_that_is_not_there_or_does_not_begin_is_tried_again() {
    let site = Site::new();
    let notice = notice(1, Occasion::Raised);
    // It takes connections, and says nothing.
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = silent.local_addr().unwrap().port();
    let channel = site.open(&settings(port, "tls"));
    assert_eq!(site.again(&channel, &notice), "there was no answer in 2 s");
    drop(silent);
    let gone = site.deliver(&channel, &notice);
    assert!(matches!(&gone, Err(DeliveryError::Again { why, .. }) if why.contains("cannot reach")));
}
