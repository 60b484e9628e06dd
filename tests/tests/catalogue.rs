//! The catalogue in force with real processes: shown, changed, refused, compared with another.
#![expect(clippy::disallowed_methods, reason = "tests run the real programs")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::Output;

use evident_tests::{Deployment, bytes, ends, files, program};

/// Runs a command that has commands below it.
fn run(deployment: &Deployment, arguments: &[&str]) -> Output {
    let mut command = program("evident-collector");
    command
        .args(arguments)
        .arg("--dir")
        .arg(deployment.folder());
    command.output().unwrap()
}

/// A copy of the catalogue inside, with one file changed.
fn changed(deployment: &Deployment, name: &str, file: &str, from: &str, to: &str) -> String {
    let out = deployment.scratch().join(name);
    let folder = out.to_str().unwrap().to_owned();
    drop(ends(
        &program("evident-collector")
            .args(["export-catalog", "--out", &folder])
            .output()
            .unwrap(),
        0,
    ));
    let path = out.join("checks").join(file);
    let text = String::from_utf8(bytes(&path)).unwrap();
    assert!(text.contains(from), "{file} has no {from}");
    std::fs::write(&path, text.replace(from, to)).unwrap();
    folder
}

/// The same files, written in the opposite order.
fn shuffled(folder: &str, to: &Path) -> String {
    for file in files(Path::new(folder)).into_iter().rev() {
        let path = to.join(&file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes(&Path::new(folder).join(&file))).unwrap();
    }
    to.to_str().unwrap().to_owned()
}

/// Puts the catalogue of a folder in force.
fn adopt(deployment: &Deployment, folder: &str, more: &[&str]) -> Output {
    let given = [
        "catalogue",
        "adopt",
        "--catalog",
        folder,
        "--reason",
        "tried",
    ];
    run(deployment, &[&given, more].concat())
}

fn refuses_what_is_wrong(deployment: &Deployment) {
    // A check that would go unsaid; a name that is wrong; a file that is wrong: nothing changes.
    let fewer = changed(
        deployment,
        "fewer",
        "canary.toml",
        "canary.watched",
        "canary.seen",
    );
    let complaint = |output: &Output| {
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = complaint(&adopt(deployment, &fewer, &[]));
    assert!(said.contains("--drop canary.watched"), "{said}");
    let said = complaint(&adopt(deployment, &fewer, &["--drop", "clock.zone"]));
    assert!(said.contains("canary.watched"), "{said}");
    let wrong = changed(
        deployment,
        "wrong",
        "clock.toml",
        "fact.kernel_synchronised",
        "fact.kernel",
    );
    let said = complaint(&adopt(deployment, &wrong, &[]));
    assert!(
        said.contains("checks/clock.toml:") && said.contains('^'),
        "{said}"
    );
    drop(ends(
        &adopt(deployment, &fewer, &["--drop", "canary.watched"]),
        0,
    ));
}

fn compares_the_same_anywhere(deployment: &Deployment, folder: &str) {
    // Beside the collector that runs, twice, in two time zones, of two copies: the same bytes.
    let copy = shuffled(folder, &deployment.scratch().join("copy"));
    let reevaluated = |zone: &str, folder: &str| {
        let mut command = program("evident-collector");
        command.args([
            "reevaluate",
            "--format",
            "json",
            "--catalog",
            folder,
            "--dir",
        ]);
        command.arg(deployment.folder()).env("TZ", zone);
        let output = command.output().unwrap();
        assert!(
            output.status.code().is_some_and(|code| code < 2),
            "{output:?}"
        );
        output.stdout
    };
    let first = reevaluated("UTC", folder);
    assert_eq!(first, reevaluated("Asia/Kathmandu", &copy));
    let made: serde_json::Value = serde_json::from_slice(&first).unwrap();
    assert_ne!(made.get("in_force"), made.get("catalogue"));
    assert!(!made.get("compared").unwrap().as_array().unwrap().is_empty());
}

#[test]
fn a_catalogue_is_adopted_and_what_was_judged_before_stays() {
    let mut deployment = Deployment::start();
    let host = deployment.enrol("web-1");
    drop(ends(&host.once().output().unwrap(), 0));
    let known = ends(
        &run(&deployment, &["catalogue", "show", "--format", "json"]),
        0,
    );
    let known: serde_json::Value = serde_json::from_str(&known).unwrap();
    assert_eq!(
        (&known["entry"], &known["inside_is_new"]),
        (&0.into(), &false.into())
    );
    let same = ends(&run(&deployment, &["catalogue", "diff"]), 0);
    assert!(
        same.contains("the same as the catalogue in force"),
        "{same}"
    );

    // A parameter changed: shown, adopted, in force at once, and in force after a new start.
    let folder = changed(
        &deployment,
        "longer",
        "backup.toml",
        "max_age = \"26h\"",
        "max_age = \"50h\"",
    );
    let shown = ends(
        &run(&deployment, &["catalogue", "diff", "--catalog", &folder]),
        1,
    );
    assert!(shown.contains("parameter max_age: 26h -> 50h"), "{shown}");
    let adopted = ends(&adopt(&deployment, &folder, &[]), 0);
    assert!(adopted.contains("is in force; entry "), "{adopted}");
    let again = adopt(&deployment, &folder, &[]);
    assert_eq!(again.status.code(), Some(2), "adopted twice");

    refuses_what_is_wrong(&deployment);
    compares_the_same_anywhere(&deployment, &folder);
    deployment.stop();
    let said = ends(&deployment.collector(&["replay"]), 0);
    assert!(said.contains("identical"), "{said}");
    let known = ends(&run(&deployment, &["catalogue", "show"]), 0);
    assert!(known.contains("dropped    canary.watched"), "{known}");
    let pack = deployment.pack("pack");
    drop(ends(&deployment.verify(&pack), 0));
}

#[test]
fn the_examples_of_checks_are_run_and_surprises_shown() {
    let deployment = Deployment::start();
    let said = ends(&run(&deployment, &["check", "test"]), 0);
    assert!(said.contains(" 0 not, 0 checks with gaps"), "{said}");
    let wrong = changed(
        &deployment,
        "wrong",
        "canary.toml",
        "verdict = \"fail\"",
        "verdict = \"pass\"",
    );
    let said = ends(
        &run(&deployment, &["check", "test", "--catalog", &wrong]),
        1,
    );
    assert!(said.contains("expected pass, found fail: "), "{said}");
    assert!(said.contains("has no example of: fail"), "{said}");
    let listed = ["check", "list", "--control", "A.8.17", "--probe", "clock"];
    let said = ends(&run(&deployment, &listed), 0);
    assert!(said.contains("clock.synchronised"), "{said}");
    let said = ends(
        &run(&deployment, &["check", "show", "clock.synchronised"]),
        0,
    );
    for part in ["criterion", "kernel_synchronised", "A.8.17", "examples"] {
        assert!(said.contains(part), "{said}");
    }
    let unknown = run(&deployment, &["check", "show", "clock.synchronized"]);
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(
        said.contains("did you mean `clock.synchronised`?"),
        "{said}"
    );
}
