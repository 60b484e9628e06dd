//! A real Alertmanager, over TLS and with a password; amtool says what it has.

use std::process::Command;

use collector::alert::{Channel, Notice, Occasion};
use collector::catalog::Severity;
use serde_json::Value;

use super::site::{Daemon, HARM, Site, free_port, notice};

const PASSWORD: &str = "let me in please";
/// The password as bcrypt keeps it.
const HASH: &str = "$2b$04$wXhXCP2ld4CWz0Pb9EcyzuEkaas8vFCkSXoJChBpnFTyYGi4hpiO6";

struct Alertmanager {
    _daemon: Daemon,
    url: String,
}

impl Alertmanager {
    fn start(site: &Site, scheme: &str) -> Self {
        let (port, folder) = (free_port(), site.folder().display());
        let settings = "route: {receiver: none}\nreceivers: [{name: none}]\n";
        site.write("alertmanager.yml", settings, 0o600);
        let mut daemon = Command::new("prometheus-alertmanager");
        daemon
            .arg(format!("--config.file={folder}/alertmanager.yml"))
            .arg(format!("--storage.path={folder}/alertmanager"))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=");
        if scheme == "https" {
            let web = format!(
                "tls_server_config: {{cert_file: ca-server.pem, key_file: ca-server.key}}\n\
                 basic_auth_users: {{evident: {HASH}}}\n"
            );
            site.write("web.yml", &web, 0o600);
            daemon.arg(format!("--web.config.file={folder}/web.yml"));
        }
        let client = format!(
            "basic_auth: {{username: evident, password: {PASSWORD}}}\n\
             tls_config: {{ca_file: {folder}/ca.pem}}\n"
        );
        site.write("amtool.yml", &client, 0o600);
        let log = site.path("alertmanager.log");
        Self {
            _daemon: Daemon::start(&mut daemon, &log, port),
            url: format!("{scheme}://localhost:{port}"),
        }
    }

    fn channel(&self, site: &Site, ca: &str, user: &str) -> Channel {
        site.open(&format!(
            "kind = \"alertmanager\"\nurl = \"{}\"\nuser = \"{user}\"
             secret_file = \"secret\"\nca_file = \"{ca}\"\nlasts_hours = 2",
            self.url
        ))
    }

    /// What it has, as its own tool tells; with those that ended.
    fn alerts(&self, site: &Site) -> Vec<Value> {
        let output = Command::new("amtool")
            .arg(format!("--alertmanager.url={}", self.url))
            .arg(format!(
                "--http.config.file={}",
                site.path("amtool.yml").display()
            ))
            .args(["alert", "query", "-o", "json", "alertname=Evident"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

#[test]
fn alertmanager_has_one_alert_for_an_incident_and_its_end() {
    let site = Site::new();
    let manager = Alertmanager::start(&site, "https");
    site.write("secret", PASSWORD, 0o600);
    let channel = manager.channel(&site, "ca.pem", "evident");
    let again = channel.resend();
    assert_eq!(again.map(|it| it.as_secs()), Some(3600));
    let tell = |notice: &Notice| assert_eq!(site.deliver(&channel, notice), Ok(()));

    tell(&notice(1, Occasion::Raised));
    let alerts = manager.alerts(&site);
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    let (labels, annotations) = (&alerts[0]["labels"], &alerts[0]["annotations"]);
    assert_eq!(labels["severity"], "high");
    assert_eq!(labels["collector"], "collector.example");
    assert!(
        labels["incident"]
            .as_str()
            .unwrap()
            .starts_with("clock/x Bcc: eve@")
    );
    assert_eq!(annotations["conditions"], "60");
    let summary = annotations["summary"].as_str().unwrap();
    assert!(
        summary.starts_with("[HIGH] clocks are off x Bcc: "),
        "{summary}"
    );
    assert!(
        alerts[0]["startsAt"]
            .as_str()
            .unwrap()
            .starts_with("2026-11-22T08:00:00")
    );

    // The same again is the same; another incident is another.
    tell(&notice(1, Occasion::Raised));
    assert_eq!(manager.alerts(&site).len(), 1);
    let other = Notice {
        incident: "other".to_owned(),
        ..notice(1, Occasion::Raised)
    };
    tell(&other);
    assert_eq!(manager.alerts(&site).len(), 2);

    // A higher severity takes the place of the one before, and of that incident alone.
    let worse = Notice {
        severity: Severity::Critical,
        ..notice(2, Occasion::Escalated)
    };
    tell(&worse);
    let mut severities: Vec<_> = manager
        .alerts(&site)
        .iter()
        .map(|one| one["labels"]["severity"].as_str().unwrap().to_owned())
        .collect();
    severities.sort();
    assert_eq!(severities, ["critical", "high"]);

    let end = Notice {
        severity: Severity::Critical,
        ..notice(3, Occasion::Resolved)
    };
    tell(&end);
    let left = manager.alerts(&site);
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["labels"]["incident"], "other");
    assert!(HARM.contains('"'), "the incident needed quotes");
}

#[test]
fn alertmanager_lets_nobody_else_in_and_nobody_else_is_told() {
    let site = Site::new();
    let manager = Alertmanager::start(&site, "https");
    site.write("secret", PASSWORD, 0o600);
    let channel = manager.channel(&site, "ca.pem", "evident");
    let notice = notice(1, Occasion::Test);
    let why = site.refused(&manager.channel(&site, "ca.pem", "eve"), &notice);
    assert!(why.starts_with("the receiver answered 401"), "{why}");
    let why = site.again(&manager.channel(&site, "other.pem", "evident"), &notice);
    assert!(why.contains("UnknownIssuer"), "{why}");
    site.write("secret", "wrong", 0o600);
    let why = site.refused(&channel, &notice);
    assert!(why.starts_with("the receiver answered 401"), "{why}");
    assert_eq!(manager.alerts(&site).len(), 0);
}

#[test]
fn an_alertmanager_on_this_machine_may_do_without_tls() {
    let site = Site::new();
    let manager = Alertmanager::start(&site, "http");
    let settings = format!("kind = \"alertmanager\"\nurl = \"{}\"", manager.url);
    let channel = site.open(&settings);
    assert_eq!(site.deliver(&channel, &notice(1, Occasion::Raised)), Ok(()));
    assert_eq!(manager.alerts(&site).len(), 1);
    let far = settings.replace("localhost", "alerts.example");
    let error = site.try_open(&far).unwrap_err();
    assert!(
        error.contains("write https://; http:// only reaches this machine"),
        "{error}"
    );
}
