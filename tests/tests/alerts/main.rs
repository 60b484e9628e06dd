//! Alerts end to end: what is wrong is told once, also when the collector is killed, and its end.
#![expect(
    clippy::disallowed_methods,
    reason = "tests write the files that people write"
)]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use evident_tests::webhook::{Told, Word, receive};
use evident_tests::{Deployment, ends, poll, program};
use serde_json::Value;

/// How long something may take that comes at the next look.
const PATIENCE: Duration = Duration::from_mins(2);

/// A collector with one webhook, for which a host is silent after a second.
fn start() -> (Deployment, Arc<Told>, tempfile::TempDir) {
    let (address, told) = receive();
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "a key of at least 24 bytes").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let alerts = format!(
        r#"
        [[alert.channel]]
        name = "hook"
        kind = "webhook"
        url = "http://{address}/hook"
        secret_file = "{}"

        [[alert.route]]
        name = "silent"
        match = {{ kind = ["silent-host", "silent-fleet"] }}
        channels = ["hook"]
        group_by = ["host"]
        group_wait_seconds = 0
        resolve_after_seconds = 0
        "#,
        secret.display()
    );
    let deployment = Deployment::start_with(|settings| {
        let heartbeat = "heartbeat_seconds = 3600";
        let signal = "url = \"\"\n# How often, in seconds.\nevery_seconds = 60";
        assert!(settings.contains(heartbeat) && settings.contains(signal));
        let alive = format!("url = \"http://{address}/alive\"\nevery_seconds = 1");
        let settings = settings.replace(signal, &alive);
        format!(
            "{}{alerts}",
            settings.replace(heartbeat, "heartbeat_seconds = 1")
        )
    });
    (deployment, told, dir)
}

/// Waits until so many notices were told.
fn words(told: &Told, deployment: &Deployment, count: usize) -> Vec<Word> {
    let words = poll(PATIENCE, || {
        Some(told.words()).filter(|words| count <= words.len())
    });
    assert!(words.is_some(), "{:?}\n{}", told.words(), deployment.log());
    words.unwrap_or_default()
}

/// A command about alerts.
fn alert(deployment: &Deployment, arguments: &[&str]) -> Output {
    let mut command = program("evident-collector");
    let command = command
        .arg("alert")
        .args(arguments)
        .arg("--dir")
        .arg(deployment.folder());
    command.output().unwrap()
}

#[test]
fn a_silent_host_is_told_once_across_kills_and_its_end_too() {
    let (mut deployment, told, _secret) = start();
    let _host = deployment.enrol("web-1");
    let first = words(&told, &deployment, 1)[0].clone();
    assert_eq!((first.0.as_str(), first.2), ("evident.notice.raised", 1));
    let notice = told.newest()["data"].clone();
    assert_eq!(notice["conditions"][0]["key"], "silent-host/web-1");
    assert_eq!(
        (&notice["severity"], &notice["count"]),
        (&"high".into(), &1.into())
    );

    // Of two hosts both are silent, so the fleet is, and that hides which.
    // Killed with a notice that nobody has taken: it is told after the start, and this not again.
    told.down.store(true, Ordering::Relaxed);
    let _host = deployment.enrol("web-2");
    let tried = || (0 < told.refused.load(Ordering::Relaxed)).then_some(());
    assert!(poll(PATIENCE, tried).is_some(), "{}", deployment.log());
    deployment.kill();
    let listed = ends(&alert(&deployment, &["list", "--format", "json"]), 0);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["incidents"].as_array().unwrap().len(), 2);
    assert_eq!(listed["channels"]["hook"]["waiting"], 1);
    told.down.store(false, Ordering::Relaxed);
    for round in 0..3 {
        deployment.serve();
        let second = words(&told, &deployment, 2)[1].clone();
        assert_eq!(
            (second.0.as_str(), second.2),
            ("evident.notice.raised", 1),
            "{round}"
        );
        assert_ne!(second.1, first.1);
        let settled = || {
            let listed = ends(&alert(&deployment, &["list", "--format", "json"]), 0);
            let listed: Value = serde_json::from_str(&listed).unwrap();
            (listed["channels"]["hook"]["delivered"] == 2).then_some(())
        };
        assert!(poll(PATIENCE, settled).is_some(), "{}", deployment.log());
        deployment.kill();
    }
    deployment.serve();

    let revoked = deployment.collector(&["revoke", "--host", "web-1", "--reason", "gone"]);
    drop(ends(&revoked, 0));
    let all = words(&told, &deployment, 5);
    let fleet = all[1].1.clone();
    let resolved = |incident: &str| ("evident.notice.resolved".to_owned(), incident.to_owned(), 2);
    assert!(
        all.contains(&resolved(&first.1)) && all.contains(&resolved(&fleet)),
        "{all:?}"
    );
    let other = all
        .iter()
        .skip(2)
        .find(|(_type, _incident, number)| *number == 1);
    let other = other.unwrap().1.clone();
    assert!(told.once(), "{all:?}");

    // Derived state is made again, and nobody hears of it.
    deployment.stop();
    drop(ends(&deployment.collector(&["replay"]), 0));
    deployment.serve();
    let revoked = deployment.collector(&["revoke", "--host", "web-2", "--reason", "gone"]);
    drop(ends(&revoked, 0));
    let all = words(&told, &deployment, 6);
    assert_eq!(all[5], resolved(&other));
    assert_eq!((told.once(), all.len()), (true, 6), "{all:?}");
}

#[test]
fn a_channel_is_tried_and_the_signal_comes_while_all_is_well() {
    let (mut deployment, told, secret) = start();
    let alive = || (2 <= told.alive.load(Ordering::Relaxed)).then_some(());
    assert!(poll(PATIENCE, alive).is_some(), "{}", deployment.log());
    let said = ends(&alert(&deployment, &["test", "hook"]), 0);
    assert!(
        said.starts_with("`hook` took the test: webhook to http://127.0.0.1:"),
        "{said}"
    );
    assert_eq!(told.words()[0].0, "evident.notice.test");
    told.down.store(true, Ordering::Relaxed);
    let said = ends(&alert(&deployment, &["test", "hook"]), 1);
    assert!(said.contains("the receiver answered 503"), "{said}");
    let unknown = alert(&deployment, &["test", "mail"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        said.contains("there is no channel `mail`; known are: hook"),
        "{said}"
    );

    let dry = ["routes", "--kind", "silent-host", "--host", "web-7"];
    let said = ends(&alert(&deployment, &dry), 0);
    assert!(
        said.contains("route `silent` takes it and tells: hook"),
        "{said}"
    );
    let said = ends(
        &alert(&deployment, &["routes", "--check", "clock.synchronised"]),
        0,
    );
    assert!(said.contains("A.8.17"), "{said}");
    assert!(
        said.contains("route `default` takes it and tells: hook"),
        "{said}"
    );

    // A secret that others may read keeps one channel quiet, and the collector does not mind.
    deployment.stop();
    let path = secret.path().join("secret");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    deployment.serve();
    assert!(
        deployment.log().contains("others may read it"),
        "{}",
        deployment.log()
    );
}
