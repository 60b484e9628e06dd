//! Alert channels against receivers that speak their language: what arrives, and what does not.
#![expect(
    clippy::disallowed_methods,
    reason = "tests run real programs and read real clocks"
)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

use collector::alert::Channel;
use collector::config::Config;

mod alertmanager;
mod mail;
mod receiver;
mod site;
mod syslog;
mod web;

/// The document is tried: what it shows can be set, and is of all kinds.
#[test]
fn the_examples_in_the_document_are_settings() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../collector/README.md");
    let text = std::fs::read_to_string(file).unwrap();
    let examples = text.split("```toml\n").skip(1);
    let examples = examples.map(|part| part.split("```").next().unwrap());
    let examples: Vec<_> = examples
        .filter(|part| part.contains("[[alert.channel]]"))
        .collect();
    let site = site::Site::new();
    std::fs::create_dir(site.path("secrets")).unwrap();
    let slack = "https://hooks.slack.com/services/T0/B0/x";
    for (name, secret) in [
        ("hook", "twenty-four bytes or more"),
        ("slack", slack),
        ("mail", "x"),
        ("pagerduty", "0123456789abcdef0123456789abcdef"),
        ("alertmanager", "x"),
    ] {
        site.write(&format!("secrets/{name}"), secret, 0o600);
    }
    let config = Config::parse(&examples.concat(), file.as_ref()).unwrap();
    let mut shown = Vec::new();
    for mut settings in config.alert.channel {
        settings.ca_file = Some("ca.pem".into());
        let channel = Channel::open(&settings, site.folder()).unwrap();
        shown.push(format!("{}: {}", channel.name(), channel.describe()));
    }
    let expected = [
        "hook: webhook to https://alerts.example/hook",
        "chat: slack via hooks.slack.com",
        "mail: email to ops@example.org via mail.example:587",
        "on-call: pagerduty via https://events.pagerduty.com/v2/enqueue",
        "prometheus: alertmanager at https://alertmanager.example/api/v2/alerts",
        "siem: syslog to log.example:6514 over TLS",
    ];
    assert_eq!(shown, expected);
}
