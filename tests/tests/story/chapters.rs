//! The parts of the story: what people do, what is refused, and what is seen then.

use std::path::Path;
use std::time::Duration;

use evident_tests::people::{now_and, order};
use evident_tests::{bytes, ends, program, until};
use serde_json::{Value, json};

use crate::site::{Site, Who, named};

/// How long the exception lasts: longer than what is done meanwhile takes on a slow machine.
const EXCEPTED_MS: i64 = 20_000;
const MINUTE: Duration = Duration::from_mins(1);

/// What drift says of `clock.utc` on `db-1`, the newest last.
fn drifted(site: &Site) -> Vec<Value> {
    let found = site.ask(&["drift", "--control", "A.8.17", "--host", "db-1"]);
    let entries = found["entries"].as_array().unwrap().iter();
    let ours = json!(["clock.utc"]);
    let of = entries.filter(|one| one["check"] == "clock.utc" || one["checks"] == ours);
    of.cloned().collect()
}

/// What broke is drift, with what was before, what is now, and the facts.
pub(crate) fn drift_without_a_decision(site: &Site) {
    let found = drifted(site);
    let broke = found.last().unwrap();
    assert_eq!(broke["before"]["verdict"], "pass", "{broke}");
    assert_eq!(broke["after"]["verdict"], "fail", "{broke}");
    assert_eq!(broke["direction"], "worse", "{broke}");
    assert_eq!(broke["explained"], Value::Null, "{broke}");
    assert!(
        broke["facts"]
            .as_array()
            .unwrap()
            .iter()
            .any(|fact| fact["name"] == "rtc_in_local_time"),
        "{broke}"
    );
}

/// The owner cannot accept the own deviation; what somebody else accepted is in force.
pub(crate) fn an_exception_needs_two_people(site: &Site) -> String {
    let propose = |until: &str| {
        let words = "exception propose --check clock.utc --host db-1 --owner ada --until";
        let mut words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        words.extend([until, "--reason", "the board clock is replaced"].map(str::to_owned));
        words
    };
    let refused = |until: &str, because: &str| {
        let words = propose(until);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        site.refused(Who::Ada, &words, because);
    };
    refused("2020-01-01T00:00:00Z", "is over");
    refused("2999-01-01T00:00:00", "zone");

    let until = now_and(EXCEPTED_MS);
    let words = propose(&until);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    drop(site.decides(Who::Ada, &words));
    let approve = ["exception", "approve", "EX-1"];
    site.refused(Who::Ada, &approve, "`ada` is the owner");
    drop(site.decides(Who::Bob, &approve));

    let record = site.record("exception", "EX-1");
    let approved = record["history"][1]["at"].as_str().unwrap();
    let control = site.assess(&["--at", approved]);
    assert_eq!(control["exceptions"][0]["id"], "EX-1", "{control}");
    assert_eq!(control["exceptions"][0]["approver"], "bob", "{control}");
    let finding = named(&control, "clock.utc");
    // It goes on failing, with the exception beside it.
    assert_eq!(
        (&finding["verdict"], &finding["exception"]),
        (&json!("fail"), &json!("EX-1"))
    );
    let found = drifted(site);
    let explained = &found.last().unwrap()["explained"];
    assert_eq!(
        (&explained["by"], &explained["id"]),
        (&json!("exception"), &json!("EX-1"))
    );
    until
}

/// A group, the scope and two lists of hosts.
pub(crate) fn who_should_be_there_is_laid_down(site: &Site) {
    let group = "group define databases --member db-* --owner ada";
    let group: Vec<&str> = group.split(' ').collect();
    drop(site.decides(Who::Ada, &group));
    let exclude = ["scope", "exclude", "--host", "lab-*"];
    let reason = ["--reason", "no data of customers"];
    drop(site.decides(Who::Bob, &[&exclude[..], &reason].concat()));
    let cmdb = site.file("cmdb.csv", "host,owner\nweb-1,ada\ndb-1,ada\nghost-9,\n");
    let cloud = site.file("cloud.csv", "host\nweb-1\nlab-3\n");
    for (name, file) in [("cmdb", cmdb), ("cloud", cloud)] {
        let import = ["population", "import", "--name", name, "--origin", "all"];
        drop(site.decides(Who::Ada, &[&import[..], &[&file]].concat()));
    }
    let found = site.ask(&["population"]);
    let machines = found["machines"].as_array().unwrap().iter();
    let states: Vec<_> = machines
        .map(|one| {
            (
                one["name"].as_str().unwrap(),
                one["state"].as_str().unwrap(),
            )
        })
        .collect();
    for expected in [
        ("db-1", "enrolled"),
        ("web-1", "enrolled"),
        ("ghost-9", "expected"),
        ("lab-3", "out-of-scope"),
    ] {
        assert!(states.contains(&expected), "{states:?}");
    }
    let of_group = site.ask(&["assess", "--control", "A.8.17", "--group", "databases"]);
    assert_eq!(
        of_group["controls"][0]["collected"]["expected"], 1,
        "{of_group}"
    );
}

/// A host that a list names and that has no agent reaches people.
pub(crate) fn who_is_missing_is_told(site: &Site) {
    let missing = site.told("population/expected/ghost-9", 1);
    assert_eq!(missing[0].0, "evident.notice.raised");
}

/// A statement of applicability counts when nothing is open, and somebody else approved it.
pub(crate) fn what_applies_is_approved(site: &Site) {
    let out = site.deployment.scratch().join("soa.toml");
    let out = out.to_str().unwrap();
    let mut export = program("evident-collector");
    let export = export.args(["soa", "export", "--out", out]);
    drop(ends(&export.output().unwrap(), 0));
    let open = String::from_utf8(bytes(Path::new(out))).unwrap();
    let propose = |document: &str, version: &str| {
        let words = ["applicability", "propose", "--document", document];
        let more = ["--version", version, "--reason", "the first"];
        drop(site.decides(Who::Ada, &[&words[..], &more].concat()));
    };
    propose(out, "2026-1");
    let approve = |id| ["applicability", "approve", id];
    site.refused(Who::Bob, &approve("SOA-1"), "what only people can say");

    let filled = open
        .replace("justification = \"\"", "justification = \"risk R-1\"")
        .replace("owner = \"\"", "owner = \"ada\"");
    propose(&site.file("soa-2.toml", &filled), "2026-2");
    site.refused(Who::Ada, &approve("SOA-2"), "by");
    drop(site.decides(Who::Bob, &approve("SOA-2")));
    let control = site.assess(&[]);
    let row = &control["applicability"];
    assert_eq!(
        (&row["applicable"], &row["owner"]),
        (&json!(true), &json!("ada"))
    );
}

/// What no agent can see is brought with the file, and approved.
pub(crate) fn a_document_counts_when_somebody_else_approved_it(site: &Site) {
    let policy = site.file("clocks.txt", "Hardware clocks are kept in UTC.\n");
    let submit = ["document", "submit", "--title", "Policy of clocks"];
    let of = [
        "--file",
        &policy,
        "--requirement",
        "A.8.17",
        "--owner",
        "ada",
    ];
    let more = ["--covers-from", "2026-01-01T00:00:00Z", "--revision", "1"];
    drop(site.decides(Who::Ada, &[&submit[..], &of, &more].concat()));
    let approve = ["document", "approve", "DOC-1"];
    site.refused(Who::Ada, &approve, "owner");
    drop(site.decides(Who::Bob, &approve));
    assert_eq!(site.record("document", "DOC-1")["state"], "approved");
}

/// The conclusion is a person's, and stands beside the finding.
pub(crate) fn a_reviewer_concludes_beside_the_finding(site: &Site) {
    let to = now_and(0);
    let conclude = ["review", "conclude", "--control", "A.8.17", "--to", &to];
    let of = ["--from", "2026-01-01T00:00:00Z", "--owner", "ada"];
    let said = ["--conclusion", "partly effective", "--document", "DOC-1"];
    let comment = ["--comment", "one board clock; it is being replaced"];
    let words = [&conclude[..], &of, &said, &comment].concat();
    site.refused(Who::Ada, &words, "`ada` is the owner");
    drop(site.decides(Who::Bob, &words));
    let control = site.assess(&[]);
    assert!(
        control["conclusion"]
            .to_string()
            .contains("partly effective"),
        "{control}"
    );
    assert_eq!(named(&control, "clock.utc")["verdict"], "fail");
}

/// From the record of the finding to the corrective action that is done.
pub(crate) fn a_nonconformity_is_raised_from_the_evidence(site: &Site, seen: &Value) {
    let record = seen["record"].as_str().unwrap();
    let raise = ["nonconformity", "raise", "--source", "monitoring"];
    let of = [
        "--requirement",
        "A.8.17",
        "--grade",
        "minor",
        "--owner",
        "ada",
    ];
    let said = ["--statement", "db-1 keeps local time", "--evidence"];
    let words = |evidence| [&raise[..], &of, &said, &[evidence]].concat();
    let unknown = "0".repeat(64);
    site.refused(Who::Bob, &words(&unknown), "evidence");
    drop(site.decides(Who::Bob, &words(record)));
    let implement = ["nonconformity", "implement", "NC-1", "--implemented-on"];
    let implement = [&implement[..], &["2026-01-02"]].concat();
    site.refused(Who::Ada, &implement, "open");
    let steps = [
        "correct NC-1 --correction hwclock --corrected-on 2026-01-02",
        "plan NC-1 --extent all --cause image --action rebuild --due 2999-01-01 \
         --criterion none --check-from 2999-01-02",
    ];
    for step in steps {
        let words: Vec<&str> = ["nonconformity"]
            .into_iter()
            .chain(step.split(' '))
            .collect();
        drop(site.decides(Who::Ada, &words));
    }
    drop(site.decides(Who::Ada, &implement));
    let confirm = ["nonconformity", "confirm", "NC-1", "--comment", "seen"];
    site.refused(Who::Bob, &confirm, "cannot be seen before");
    let found = site.record("nonconformity", "NC-1");
    assert_eq!(found["state"], "implemented", "{found}");
    assert_eq!(found["fields"]["evidence"], json!([record]), "{found}");
}

/// When its time is over the exception hides nothing any more.
pub(crate) fn the_finding_is_open_again(site: &Site, until: &str) {
    let control = site.assess(&[]);
    assert_eq!(control["exceptions"], json!([]), "{control}");
    let finding = named(&control, "clock.utc");
    assert_eq!(
        (&finding["verdict"], &finding["exception"]),
        (&json!("fail"), &Value::Null)
    );
    let found = drifted(site);
    let open = found.last().unwrap();
    assert_eq!(
        (&open["kind"], &open["exception"], &open["explained"]),
        (&json!("exception-ended"), &json!("EX-1"), &Value::Null),
        "{open}"
    );
    assert_eq!(open["at"], until, "{open}");
}

/// One parameter is changed: what was judged keeps its verdict, and both are shown.
pub(crate) fn another_catalogue_judges_from_now_on(site: &Site) {
    let out = site.deployment.scratch().join("catalogue");
    let folder = out.to_str().unwrap();
    let mut export = program("evident-collector");
    let export = export.args(["export-catalog", "--out", folder]);
    drop(ends(&export.output().unwrap(), 0));
    let file = out.join("checks/clock.toml");
    let text = String::from_utf8(bytes(&file)).unwrap();
    let (two, one) = ("min_sources = 2, single", "min_sources = 1, single");
    assert!(text.contains(two));
    // Two of its examples are about two sources: they say so, or the catalogue is refused.
    let mut text = text.replace(two, one);
    std::fs::write(&file, &text).unwrap();
    let reason = ["--reason", "one source of our own"];
    let adopt = [&["catalogue", "adopt", "--catalog", folder][..], &reason].concat();
    site.refused(Who::Ada, &adopt, "example 6 of `clock.sources`");
    for about in ["four are configured and one answers", "systemd-timesyncd"] {
        let example = format!("[[check.test]] # {about}\n");
        assert!(text.contains(&example), "{about}");
        text = text.replacen(
            &example,
            &format!("{example}parameters = {{ min_sources = 2 }}\n"),
            1,
        );
    }
    std::fs::write(&file, &text).unwrap();

    let then = site.assess(&[]);
    drop(site.decides(Who::Ada, &adopt));
    let known = site.ask(&["catalogue", "show"]);
    assert!(
        known["by"].as_str().unwrap().contains("ada"),
        "{}",
        known["by"]
    );
    let judged = site.look("debian12-deviating", "clock.sources", "pass");
    let at = then["as_of"].as_str().unwrap();
    let kept = site.assess(&["--at", at]);
    let old = named(&kept, "clock.sources");
    assert_eq!(old["verdict"], "fail", "{old}");
    assert_eq!(old["record"], named(&then, "clock.sources")["record"]);
    assert_ne!(old["record"], judged["record"]);
    assert_eq!(kept["catalogue"], then["catalogue"]);
    assert_eq!(site.assess(&[])["catalogue"], known["catalogue"]);
    assert_ne!(known["catalogue"], then["catalogue"]);

    let other = site.ask(&["reevaluate", "--catalog", folder]);
    let mut compared = other["compared"].as_array().unwrap().iter();
    let one = compared
        .find(|one| one["host"] == "db-1" && one["check"] == "clock.sources")
        .unwrap();
    assert_eq!(one["after"]["fail_ms"], 0, "{one}");
    assert_ne!(one["before"]["fail_ms"], 0, "{one}");
    assert_ne!(one["differs"], json!([]), "{one}");
}

/// An instant that is past gives what was then, whatever was decided since.
pub(crate) fn the_past_is_as_it_was(site: &Site, before: &Value) {
    let at = before["as_of"].as_str().unwrap();
    let mut then = site.assess(&["--at", at]);
    assert_eq!(&then, before);
    then = site.get(&format!("/v1/assess?control=A.8.17&host=db-1&at={at}"));
    assert_eq!(then["controls"][0]["checks"], before["checks"]);
    assert_eq!(then["controls"][0]["applicability"], Value::Null);
    assert_eq!(then["controls"][0]["conclusion"], Value::Null);
    assert_eq!(then["catalogue"], before["catalogue"]);
    let drift = site.get("/v1/drift?control=A.8.17&host=db-1");
    assert_eq!(
        drift["entries"].as_array().unwrap().last().unwrap()["after"]["verdict"],
        "pass",
        "{drift}"
    );
    for (at, state) in [(at.to_owned(), None), (now_and(0), Some("approved"))] {
        let list = site.ask(&["applicability", "list", "--at", &at]);
        let records = list["records"].as_array().unwrap();
        let state_then = records
            .last()
            .map(|record| record["state"].as_str().unwrap());
        assert_eq!(state_then, state, "{list}");
    }
}

/// A replay finds the same, and a verifier finds evidence, statements and documents.
pub(crate) fn all_of_it_is_in_the_pack(site: &mut Site, before: &Value) {
    let signed = site.signed();
    // Of each step one statement, and five files.
    assert!(20 < signed.len(), "{signed:?}");
    site.deployment.stop();
    let replayed = until(MINUTE, || {
        let output = order(&site.deployment, &["replay"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output
            .status
            .success()
            .then(|| ends(&output, 0))
            .ok_or(said)
    });
    assert!(replayed.contains("identical"), "{replayed}");
    let pack = site.deployment.pack("pack");
    drop(ends(&site.deployment.verify(&pack), 0));
    let there = |folder: &str, id: &str, end: &str| {
        let start = id.get(..2).unwrap();
        let path = pack.join(folder).join(start).join(format!("{id}{end}"));
        assert!(path.exists(), "{} is missing", path.display());
    };
    for id in &signed {
        there("blobs", id, "");
    }
    for check in before["checks"].as_array().unwrap() {
        for named in check["named"].as_array().unwrap() {
            if let Some(record) = named["record"].as_str() {
                there("attestations", record, ".json");
            }
            if let Some(observation) = named["observation"].as_str() {
                there("blobs", observation, "");
            }
        }
    }
}
