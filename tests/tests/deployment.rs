//! The main job with real processes: enrol, collect, judge, cut a pack, verify it.
#![expect(clippy::disallowed_methods, reason = "tests run the real programs")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::{Command, Stdio};

use evident_tests::people::now_and;
use evident_tests::{Deployment, Host, bytes, ends, files, judge, program};

#[test]
fn evidence_of_this_host_becomes_a_pack_that_others_verify() {
    let mut deployment = Deployment::start();
    let host = deployment.enrol("web-1");
    let table = ends(&host.once().output().unwrap(), 0);
    assert!(table.contains("kernel_max_error_us"), "{table}");
    drop(ends(&host.agent("status").output().unwrap(), 0));

    // Stopped first, so that the state is read from disk and everything has been followed.
    deployment.stop();
    let status = deployment.collector(&["status", "--format", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    let clock = control(&status, "A.8.17");
    let evidence = &clock["checks"][0]["deciding"][0]["attestation"];
    assert_eq!(clock["checks"][0]["deciding"][0]["host"], "web-1");

    let pack = deployment.pack("pack");
    let said = ends(&deployment.verify(&pack), 0);
    assert!(said.contains("1 agents' keys"), "{said}");
    let id = evidence.as_str().unwrap();
    let record = pack
        .join("attestations")
        .join(id.get(..2).unwrap())
        .join(format!("{id}.json"));
    assert!(record.exists(), "the pack has no record {id}");

    // Nothing of ours: bash, openssl and sha256sum, and the key that `init` gave.
    let trust = String::from_utf8(bytes(&deployment.folder().join("trust.txt"))).unwrap();
    let key = trust
        .lines()
        .find_map(|line| line.strip_prefix("decisions "))
        .unwrap();
    let script = |key: &[&str]| {
        let script = pack.join("verify.sh");
        Command::new("bash").arg(script).args(key).output().unwrap()
    };
    assert!(ends(&script(&[key]), 0).contains("records signed"));
    assert_eq!(
        script(&[]).status.code(),
        Some(2),
        "nobody said which key to trust"
    );
    assert_eq!(script(&[&"0".repeat(64)]).status.code(), Some(1));
    let mut changed = bytes(&record);
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    std::fs::write(&record, changed).unwrap();
    assert_eq!(script(&[key]).status.code(), Some(1));
    let wanting = ends(&deployment.verify(&pack), 1);
    assert!(wanting.contains(id), "{wanting}");
}

fn control<'a>(status: &'a serde_json::Value, id: &str) -> &'a serde_json::Value {
    let controls = status["controls"].as_array().unwrap();
    controls
        .iter()
        .find(|control| control["control"] == id)
        .unwrap()
}

#[test]
fn a_pack_of_a_time_without_evidence_says_so() {
    let deployment = Deployment::start();
    let host = deployment.enrol("web-1");
    drop(ends(&host.once().output().unwrap(), 0));
    let out = deployment.scratch().join("pack");
    let cut = ["pack", "--to", "2020-01-01", "--out", out.to_str().unwrap()];
    drop(ends(&deployment.collector(&cut), 0));
    let said = ends(&deployment.verify(&out), 0);
    assert!(said.contains("note          records"), "{said}");
    assert!(said.contains("nothing was received in it"), "{said}");
}

#[test]
fn every_changed_byte_of_a_pack_is_found_and_its_file_named() {
    let deployment = Deployment::start();
    let host = deployment.enrol("web-1");
    drop(ends(&host.once().output().unwrap(), 0));
    let pack = deployment.pack("pack");
    drop(ends(&deployment.verify(&pack), 0));
    for file in files(&pack) {
        let path = pack.join(&file);
        let good = bytes(&path);
        // First, middle and last byte of each file; every byte is tried beside the verifier.
        for at in [0, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, bad).unwrap();
            let verdict = deployment.verify(&pack);
            let said = String::from_utf8_lossy(&verdict.stdout).into_owned();
            assert_eq!(
                verdict.status.code(),
                Some(1),
                "{} byte {at}: {said}",
                file.display()
            );
            assert!(
                said.contains(&*file.to_string_lossy()),
                "{}: {said}",
                file.display()
            );
        }
        std::fs::write(&path, good).unwrap();
    }
    drop(ends(&deployment.verify(&pack), 0));
    let other = Deployment::start();
    let verdict = other.verify(&pack);
    assert_eq!(
        verdict.status.code(),
        Some(1),
        "keys of another collector were accepted"
    );
}

#[test]
fn replay_gives_the_same_state_and_fsck_finds_nothing() {
    let mut deployment = Deployment::start();
    let host = deployment.enrol("web-1");
    for _run in 0..3 {
        drop(ends(&host.once().output().unwrap(), 0));
    }
    let refused = deployment.collector(&["replay"]);
    assert_eq!(
        refused.status.code(),
        Some(2),
        "replay beside a collector that runs"
    );
    deployment.stop();
    let said = ends(&deployment.collector(&["replay"]), 0);
    assert!(said.contains("identical"), "{said}");
    let said = ends(&deployment.collector(&["fsck"]), 0);
    assert!(said.contains("nothing is wrong"), "{said}");
}

#[test]
fn observations_are_judged_without_a_collector() {
    let once = program("evident-agent")
        .args(["once", "--probe", "clock", "--format", "json"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let judged = judge(ends(&once, 0).as_bytes());
    let report: serde_json::Value = serde_json::from_slice(&judged.stdout).unwrap();
    let clock = control(&report, "A.8.17");
    assert_eq!(report["origin"], "unsigned");
    // Nothing is known of what was not looked at, so it does not hold.
    assert_eq!(control(&report, "A.8.13")["state"], "unknown");
    assert_ne!(clock["state"], "unknown");
    assert_eq!(judged.status.code(), Some(1));
}

#[test]
fn a_token_enrols_one_host_once() {
    let deployment = Deployment::start();
    let token = ends(
        &deployment.collector(&["enrol-token", "--host", "web-1"]),
        0,
    );
    let (first, other) = (
        Host::new(&deployment, "web-1"),
        Host::new(&deployment, "web-2"),
    );
    let refused = other.enrol(&deployment.url(), token.trim());
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("made for host `web-1`, not for `web-2`"),
        "{said}"
    );
    drop(ends(&first.enrol(&deployment.url(), token.trim()), 0));
    let again = other.enrol(&deployment.url(), token.trim());
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(said.contains("unknown, spent or has ended"), "{said}");

    // A token of another collector pins another authority.
    let stranger = Deployment::start();
    let token = ends(&stranger.collector(&["enrol-token", "--host", "web-2"]), 0);
    let refused = other.enrol(&deployment.url(), token.trim());
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_revoked_host_is_out_at_once_and_keeps_its_evidence() {
    let deployment = Deployment::start();
    let host = deployment.enrol("web-1");
    drop(ends(&host.once().output().unwrap(), 0));
    let revoke = ["revoke", "--host", "web-1", "--reason", "stolen"];
    drop(ends(&deployment.collector(&revoke), 0));
    let refused = host.once().output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_ne!(refused.status.code(), Some(0), "{said}");
    assert!(
        said.contains("the enrolment of this host was ended"),
        "{said}"
    );
    let again = deployment.collector(&revoke);
    assert_eq!(again.status.code(), Some(2), "revoked twice");
    let pack = deployment.pack("pack");
    drop(ends(&deployment.verify(&pack), 0));
}

#[test]
fn people_decide_with_their_keys_and_a_pack_shows_it() {
    let mut deployment = Deployment::start();
    let folder = deployment.folder();
    let scratch = deployment.scratch().to_owned();
    let run = |words: &[&str], status| {
        let (command, step) = (words[0], words[1]);
        let mut program = program("evident-collector");
        let program = program.args([command, step]).arg("--dir").arg(&folder);
        let output = program.args(&words[2..]).env("HOME", &scratch).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ends(&output, status) + &said
    };
    let path = |name: &str| scratch.join(name).to_str().unwrap().to_owned();
    for id in ["ada", "bob"] {
        let (key, public) = (path(id), path(&format!("{id}.pem")));
        let mut made = program("evident-collector");
        let made = made
            .args(["person", "key", "--out", &key])
            .output()
            .unwrap();
        std::fs::write(&public, ends(&made, 0)).unwrap();
        let again = program("evident-collector")
            .args(["person", "key", "--out", &key])
            .output();
        drop(ends(&again.unwrap(), 2));
        drop(run(
            &["person", "add", id, "--name", id, "--key", &public],
            0,
        ));
    }
    let (ada, bob) = (path("ada"), path("bob"));
    let until = now_and(30 * 86_400_000);
    let propose = [
        "exception",
        "propose",
        "--control",
        "A.8.13",
        "--host",
        "*",
        "--owner",
        "ada",
        "--reason",
        "new storage",
        "--until",
        &until,
    ];
    let unsigned = run(&propose, 2);
    assert!(unsigned.contains("person key"), "{unsigned}");
    let proposed = run(&[&propose[..], &["--as", &ada]].concat(), 0);
    assert!(proposed.contains("`EX-1`: proposed, by ada"), "{proposed}");
    let own = run(&["exception", "approve", "EX-1", "--as", &ada], 2);
    assert!(own.contains("`ada` is the owner"), "{own}");
    drop(run(&["exception", "approve", "EX-1", "--as", &bob], 0));

    // What was decided is known again after a restart, from the ledger alone.
    deployment.stop();
    deployment.serve_again();
    let shown = run(&["exception", "show", "EX-1"], 0);
    assert!(shown.contains("approve by bob"), "{shown}");
    let pack = deployment.pack("pack");
    let said = ends(&deployment.verify(&pack), 0);
    let wanted = "2 decisions are what people signed";
    assert!(said.contains(wanted), "{said}");
}
