//! Who should be there, with real processes: two lists, and hosts that tell of others.
#![expect(clippy::disallowed_methods, reason = "tests run the real programs")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::Output;

use evident_tests::people::{order, person};
use evident_tests::{Deployment, Host, ends, until};
use serde_json::Value;

const CMDB: &str = "host,address,group,owner\r\nlog-1.example.org,,logs,ada\r\nweb-1,,web,ada\r\n\
                    db-1,192.0.2.11,databases,bob\r\nghost-9,,,\r\nlab-3,,lab,\r\n";
const CLOUD: &str = "host\nweb-1.example.org\nlog-1\n";

/// Brings a list of hosts.
fn import(deployment: &Deployment, key: &std::path::Path, name: &str, csv: &str) -> Output {
    let file = deployment.scratch().join(format!("{name}.csv"));
    std::fs::write(&file, csv).unwrap();
    let orders = [
        "population",
        "import",
        "--name",
        name,
        "--origin",
        "all servers in operation",
        "--as",
        key.to_str().unwrap(),
        file.to_str().unwrap(),
    ];
    order(deployment, &orders)
}

fn population(deployment: &Deployment, more: &[&str]) -> Value {
    let arguments = [&["population", "--format", "json"], more].concat();
    let output = deployment.collector(&arguments);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// How a machine stands, by its name.
fn state<'a>(population: &'a Value, name: &str) -> &'a str {
    let machines = population["machines"].as_array().unwrap();
    let machine = machines.iter().find(|machine| machine["name"] == name);
    machine.map_or("not there", |machine| machine["state"].as_str().unwrap())
}

/// A host that looks at a recorded log host.
fn log_host(deployment: &Deployment) -> Host {
    let host = deployment.enrol("log-1");
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/hosts/neighbours/root");
    let settings = std::fs::read_to_string(&host.settings).unwrap();
    let settings = format!("{settings}\n[host]\nroot = \"{recorded}\"\n");
    std::fs::write(&host.settings, settings).unwrap();
    host
}

/// A collector with a host that tells of others, one that tells of itself, and one that sends
/// nothing: with a short heartbeat it is silent at once.
fn site() -> Deployment {
    let (usual, short) = ("heartbeat_seconds = 3600", "heartbeat_seconds = 1");
    let mut deployment = Deployment::start_with(|settings| settings.replace(usual, short));
    drop(deployment.enrol("quiet-1"));
    deployment.stop();
    deployment.change(|settings| settings.replace(short, usual));
    deployment.serve();
    let web = deployment.enrol("web-1");
    let host = log_host(&deployment);
    for host in [&host, &web] {
        let mut once = host.agent("once");
        drop(ends(
            &once.args(["--probe", "neighbours"]).output().unwrap(),
            0,
        ));
    }
    deployment
}

/// Ada brings two lists, after one that is wrong, and says what is out of scope.
fn bring(deployment: &Deployment) {
    let key = person(deployment, "ada");
    let wrong = import(
        deployment,
        &key,
        "cmdb",
        "host,owner\nweb-1,\"ada\ndb-1,bob\n",
    );
    assert_eq!(wrong.status.code(), Some(2));
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("2:7") || said.contains(":2:"), "{said}");
    assert!(said.contains("not closed"), "{said}");
    assert_eq!(
        population(deployment, &[]).get("lists"),
        Some(&serde_json::json!([]))
    );

    let said = ends(&import(deployment, &key, "cmdb", CMDB), 0);
    assert!(said.contains("list `cmdb`: 5 hosts, by ada"), "{said}");
    drop(ends(&import(deployment, &key, "cloud", CLOUD), 0));
    let exclude = [
        "scope",
        "exclude",
        "--host",
        "lab-*",
        "--host",
        "printer-3",
        "--reason",
        "no data of customers",
        "--as",
        key.to_str().unwrap(),
    ];
    drop(ends(&order(deployment, &exclude), 0));
}

#[test]
fn lists_and_evidence_show_who_is_missing() {
    let mut deployment = site();
    let begun = population(&deployment, &[]);
    assert_eq!(begun["reconciled"], false, "{begun}");
    bring(&deployment);
    let found = until(std::time::Duration::from_mins(1), || {
        let found = population(&deployment, &[]);
        let silent = state(&found, "quiet-1") == "silent";
        if found["counts"]["telling"] == 2 && silent {
            Ok(found)
        } else {
            Err(found.to_string())
        }
    });
    assert_eq!(found["reconciled"], true, "{found}");
    for (name, expected) in [
        ("web-1", "enrolled"),
        ("log-1", "enrolled"),
        ("quiet-1", "silent"),
        ("db-1", "expected"),
        ("ghost-9", "expected"),
        ("lab-3", "out-of-scope"),
        ("printer-3", "out-of-scope"),
        ("nas-1.example.org", "not there"),
        ("nas-1", "seen"),
    ] {
        assert_eq!(state(&found, name), expected, "{name}: {found}");
    }
    let machines = found["machines"].as_array().unwrap();
    let db = machines.iter().find(|machine| machine["name"] == "db-1");
    let seen = db.unwrap()["seen"].as_array().unwrap();
    assert!(seen.iter().all(|seen| seen["by"] == "log-1"), "{seen:?}");
    assert!(
        seen.iter().any(|seen| seen["way"] == "log-sender"),
        "{seen:?}"
    );

    // A host that is revoked is expected as long as a list has it, and in 2020 nobody was there.
    let revoke = ["revoke", "--host", "web-1", "--reason", "scrapped"];
    drop(ends(&deployment.collector(&revoke), 0));
    let revoked = until(std::time::Duration::from_mins(1), || {
        let found = population(&deployment, &[]);
        match state(&found, "web-1") {
            "expected" => Ok(found),
            other => Err(other.to_owned()),
        }
    });
    let before = population(&deployment, &["--at", "2020-01-01T00:00:00Z"]);
    assert_eq!(before["machines"], serde_json::json!([]));
    let to_come = deployment.collector(&["population", "--at", "2999-01-01T00:00:00Z"]);
    assert_eq!(to_come.status.code(), Some(2));

    let text = deployment.collector(&["population"]);
    let text = ends(&text, 1);
    assert!(
        text.contains("Reconciled: held against cloud, cmdb"),
        "{text}"
    );
    assert!(text.contains("Expected, and not enrolled"), "{text}");
    let table = ends(&deployment.collector(&["population", "--format", "csv"]), 1);
    assert!(table.contains("\r\nghost-9,expected,"), "{table}");

    // Without a collector that runs the same is read from what it left.
    deployment.stop();
    let read = population(&deployment, &[]);
    assert_eq!(read["machines"], revoked["machines"]);
}
