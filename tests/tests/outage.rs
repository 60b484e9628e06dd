//! What happens when the collector is away, comes back older than it was, or an agent does.
#![expect(clippy::disallowed_methods, reason = "tests run the real programs")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evident_tests::{Deployment, Host, ends, files};

/// What `status` of the agent says, and how it ends.
fn standing(host: &Host) -> (serde_json::Value, Option<i32>) {
    let output = host
        .agent("status")
        .args(["--format", "json"])
        .output()
        .unwrap();
    (
        serde_json::from_slice(&output.stdout).unwrap(),
        output.status.code(),
    )
}

fn acked(host: &Host) -> Option<u64> {
    standing(host).0.get("acked")?.as_u64()
}

/// Copies a folder with the rights of everything in it.
fn copy(from: &Path, to: &Path) {
    assert!(
        Command::new("cp")
            .arg("-a")
            .args([from, to])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn what_was_collected_while_the_collector_was_away_is_delivered() {
    let mut deployment = Deployment::start();
    let host = deployment.enrol("web-1");
    drop(ends(&host.once().output().unwrap(), 0));
    let before = acked(&host).unwrap();
    deployment.stop();
    for _run in 0..3 {
        let output = host.once().output().unwrap();
        assert_ne!(output.status.code(), Some(0), "nobody was there to take it");
        assert!(!output.stdout.is_empty(), "what was seen is not shown");
    }
    assert_eq!(acked(&host), Some(before));
    deployment.serve();
    drop(ends(&host.once().output().unwrap(), 0));
    assert_eq!(acked(&host), Some(before + 4));
    let pack = deployment.pack("pack");
    let said = ends(&deployment.verify(&pack), 0);
    assert!(said.contains("1 streams have no gap"), "{said}");
}

#[test]
fn an_older_copy_of_the_ledger_is_noticed_by_the_agent() {
    let mut deployment = Deployment::start();
    let host = deployment.enrol("web-1");
    drop(ends(&host.once().output().unwrap(), 0));
    deployment.stop();
    let (ledger, backup) = (
        deployment.folder().join("ledger"),
        deployment.scratch().join("old"),
    );
    copy(&ledger, &backup);
    deployment.serve();
    drop(ends(&host.once().output().unwrap(), 0));
    drop(ends(&host.agent("status").output().unwrap(), 0));
    let proven = acked(&host);
    deployment.stop();
    let newest = deployment.scratch().join("newest");
    std::fs::rename(&ledger, &newest).unwrap();
    copy(&backup, &ledger);
    deployment.serve();
    let output = host.once().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(0));
    assert!(said.contains("the ledger shrank"), "{said}");
    let (standing, status) = standing(&host);
    assert_eq!(status, Some(1), "{standing}");
    assert_eq!(acked(&host), proven);
    let kept = files(&host.state);
    let kept = kept
        .iter()
        .filter(|path| path.to_string_lossy().contains("contradiction"));
    assert_ne!(kept.count(), 0, "the two checkpoints are not kept");

    // With the newest copy back, the ledger proves that it grew, and the agent goes on.
    deployment.stop();
    std::fs::remove_dir_all(&ledger).unwrap();
    std::fs::rename(&newest, &ledger).unwrap();
    deployment.serve();
    drop(ends(&host.once().output().unwrap(), 0));
    drop(ends(&host.agent("status").output().unwrap(), 0));
    assert!(proven < acked(&host));
}

#[test]
fn an_agent_that_was_rolled_back_stops_and_says_so() {
    let deployment = Deployment::start();
    let host = deployment.enrol("web-1");
    drop(ends(&host.once().output().unwrap(), 0));
    let snapshot = deployment.scratch().join("snapshot");
    copy(&host.state, &snapshot);
    drop(ends(&host.once().output().unwrap(), 0));
    std::fs::remove_dir_all(&host.state).unwrap();
    copy(&snapshot, &host.state);
    let output = host.once().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(0));
    assert!(said.contains("enrol --again"), "{said}");
    assert_eq!(standing(&host).1, Some(1));
    // Enrolled again, the host goes on under a new generation.
    let token = ends(
        &deployment.collector(&["enrol-token", "--host", "web-1"]),
        0,
    );
    let again = [
        "--collector",
        &deployment.url(),
        "--token",
        token.trim(),
        "--name",
        "web-1",
    ];
    let output = host
        .agent("enrol")
        .args(again)
        .arg("--again")
        .output()
        .unwrap();
    assert!(ends(&output, 0).contains("generation 2"));
    drop(ends(&host.once().output().unwrap(), 0));
}

#[test]
fn the_daemon_looks_at_start_delivers_and_says_when_it_stops() {
    let deployment = Deployment::start();
    let host = deployment.enrol("web-1");
    let mut daemon = host.agent("run").stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_mins(1);
    // The record of the start, and that of the first run.
    while acked(&host) < Some(1) {
        assert!(
            Instant::now() < end,
            "nothing is delivered: {}",
            standing(&host).0
        );
        assert_eq!(daemon.try_wait().unwrap(), None, "the daemon has ended");
    }
    let id = daemon.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    assert!(daemon.wait().unwrap().success());
    let pack = deployment.pack("pack");
    drop(ends(&deployment.verify(&pack), 0));
    let kinds = |kind: &str| {
        let records = files(&pack.join("attestations"));
        let bodies = records
            .iter()
            .map(|file| body(&pack.join("attestations").join(file)));
        bodies
            .filter(|body| body.contains(&format!("\"kind\":\"{kind}\"")))
            .count()
    };
    assert_eq!((kinds("start"), kinds("stop")), (1, 1));
    assert!(0 < kinds("evidence"));
}

/// What a signed file says.
fn body(file: &Path) -> String {
    let envelope = shared::dsse::Envelope::from_file(&evident_tests::bytes(file)).unwrap();
    String::from_utf8(envelope.body).unwrap()
}
