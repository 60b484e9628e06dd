//! Real repositories that break and are repaired, and what the verdicts say meanwhile.
#![expect(clippy::disallowed_methods, reason = "tests run the real programs")]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

mod lab;
mod postgres;

use std::process::Command;
use std::time::{Duration, SystemTime};

use lab::{Lab, Site, damage, files_with, run, set};

/// A command of restic on the repository of the lab.
fn restic(lab: &Lab) -> Command {
    let mut command = Command::new("restic");
    command
        .env("RESTIC_PASSWORD", "a word")
        .env("RESTIC_REPOSITORY", lab.text("restic"))
        .env("HOME", lab.path("home"));
    command
}

fn borg(lab: &Lab) -> Command {
    let mut command = Command::new("borg");
    command
        .env("BORG_PASSPHRASE", "a word")
        .env("BORG_REPO", lab.text("borg"))
        .env("HOME", lab.path("home"));
    command
}

/// A folder with data that is saved.
fn data(lab: &Lab) {
    std::fs::create_dir_all(lab.path("data")).unwrap();
    for at in 0..3 {
        let text = format!("file {at}\n").repeat(5000);
        std::fs::write(lab.path(&format!("data/{at}")), text).unwrap();
    }
}

fn age(path: &std::path::Path, hours: u64) {
    let file = std::fs::File::open(path).unwrap();
    let then = SystemTime::now() - Duration::from_hours(hours);
    file.set_modified(then).unwrap();
}

#[test]
fn a_damaged_repository_of_restic_is_a_finding_until_it_is_repaired() {
    let (lab, mut site) = (Lab::new(), Site::new());
    data(&lab);
    drop(run(restic(&lab).arg("init")));
    drop(run(restic(&lab).arg("backup").arg(lab.path("data"))));
    let covered = format!(
        "[[probe.backup.data]]\npath = \"{}\"\nsets = [\"files\"]\n",
        lab.text("data")
    );
    site.declare(&(set("files", "restic", &lab.text("restic")) + &covered));
    let judged = site.judged();
    for check in [
        "declared",
        "recent",
        "coverage",
        "intact",
        "encrypted",
        "lock",
    ] {
        let (verdict, reason) = &judged[&format!("backup.{check}")];
        assert_eq!(verdict, "pass", "{check}: {reason}");
    }
    // It is on this host alone, and two states are missing.
    assert_eq!(judged["backup.off-host"].0, "fail");
    assert_eq!(judged["backup.snapshots"].0, "fail");

    let pack = files_with(&lab.path("restic"), "data/").remove(0);
    let good = damage(&pack);
    let (verdict, reason) = site.verdict("backup.intact");
    assert_eq!(verdict, "fail");
    assert!(reason.contains("damaged [/"), "{reason}");
    std::fs::write(&pack, good).unwrap();
    assert_eq!(site.verdict("backup.intact").0, "pass");

    // The only snapshot grows old, as when the job stops; then the job runs again.
    let snapshot = files_with(&lab.path("restic"), "snapshots/").remove(0);
    age(&snapshot, 72);
    let (verdict, reason) = site.verdict("backup.recent");
    assert_eq!(verdict, "fail");
    assert!(reason.contains("oldest_success"), "{reason}");
    drop(run(restic(&lab).arg("backup").arg(lab.path("data"))));
    assert_eq!(site.verdict("backup.recent").0, "pass");
}

#[test]
fn repositories_of_restic_that_are_cut_off_or_locked() {
    let lab = Lab::new();
    data(&lab);
    drop(run(restic(&lab).arg("init")));
    for at in 0..5 {
        std::fs::write(lab.path("data/new"), [at; 2000]).unwrap();
        drop(run(restic(&lab).arg("backup").arg(lab.path("data"))));
    }
    let settings = set("files", "restic", &lab.text("restic"));
    let found = lab.set(&settings);
    assert_eq!(
        (&found["grade"], &found["snapshots"]),
        (&"proof".into(), &5.into())
    );
    assert_eq!(
        (&found["days"], &found["damaged_files"]),
        (&1.into(), &0.into())
    );
    let added = found["added_percent"].as_i64().unwrap();
    assert!((50..200).contains(&added), "{found}");
    assert!(
        found["kdf"].as_str().unwrap().starts_with("scrypt N="),
        "{found}"
    );
    let hidden = found["not_shown"].as_str().unwrap();
    assert!(hidden.contains("restored"), "{found}");
    let place = found["place"].as_str().unwrap();
    assert!(["local", "mounted"].contains(&place), "{found}");

    // A snapshot that was cut off is no backup; what it adds up to nobody can tell.
    let snapshot = files_with(&lab.path("restic"), "snapshots/").remove(0);
    let good = evident_tests::bytes(&snapshot);
    std::fs::write(&snapshot, &good[..good.len() / 2]).unwrap();
    let cut = lab.set(&settings);
    assert_eq!(
        (&cut["snapshots"], &cut["damaged_files"]),
        (&4.into(), &1.into())
    );
    assert_eq!(cut["grade"], "metadata", "{cut}");
    assert_eq!(cut["damaged_file"], snapshot.to_str().unwrap());
    std::fs::write(&snapshot, good).unwrap();

    let lock = lab.path(&format!("restic/locks/{}", "a".repeat(64)));
    std::fs::write(&lock, b"x").unwrap();
    age(&lock, 50);
    let locked = lab.set(&settings);
    assert_eq!(locked["locked"], true);
    let since = locked["locked_since"].as_i64().unwrap();
    assert!(since + 49 * 3_600_000 < locked["last_success"].as_i64().unwrap());
    drop(run(restic(&lab).args(["unlock", "--remove-all"])));
    assert_eq!(lab.set(&settings)["locked"], false);

    std::fs::remove_file(lab.path("restic/config")).unwrap();
    assert_eq!(lab.set(&settings)["reason"], "absent");
}

#[test]
fn repositories_of_borg_that_are_damaged_newer_or_locked() {
    let lab = Lab::new();
    data(&lab);
    drop(run(borg(&lab).args(["init", "--encryption=repokey"])));
    drop(run(borg(&lab)
        .arg("create")
        .arg("::one")
        .arg(lab.path("data"))));
    let settings = set("files", "borg", &lab.text("borg"));
    let found = lab.set(&settings);
    assert_eq!(
        (&found["grade"], &found["damaged_files"]),
        (&"proof".into(), &0.into())
    );
    assert_eq!(
        (&found["encrypted"], &found["version"]),
        (&true.into(), &"1".into())
    );
    assert_eq!(found["append_only"], false);

    let segment = files_with(&lab.path("borg"), "data/0/").remove(0);
    let good = damage(&segment);
    let damaged = lab.set(&settings);
    assert_eq!(damaged["damaged_files"], 1, "{damaged}");
    assert_eq!(damaged["damaged_file"], segment.to_str().unwrap());
    std::fs::write(&segment, good).unwrap();
    assert_eq!(lab.set(&settings)["damaged_files"], 0);

    let config = lab.path("borg/config");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("version = 1", "version = 3")).unwrap();
    let newer = lab.set(&settings);
    let reason = newer["reason"].as_str().unwrap();
    assert!(reason.starts_with("unsupported: version 3"), "{reason}");
    std::fs::write(&config, text).unwrap();

    let set_option = ["config", "::", "append_only", "1"];
    drop(run(borg(&lab).args(set_option)));
    std::fs::create_dir(lab.path("borg/lock.exclusive")).unwrap();
    let locked = lab.set(&settings);
    assert_eq!(
        (&locked["append_only"], &locked["locked"]),
        (&true.into(), &true.into())
    );
    assert!(locked["locked_since"].as_i64().unwrap() > 0);
}

/// Makes an archive and its manifest as the documents say.
const JOB: &str = r#"
started=$(date -u +%Y-%m-%dT%H:%M:%SZ)
tar -C "$1" -czf "$1/etc.tar.gz" data || exit 1
printf '{"name":"etc","tool":"tar","started":"%s","finished":"%s","file":"etc.tar.gz",' \
  "$started" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" > "$1/etc.json.new"
printf '"files":%s,"bytes":%s,"encrypted":false,"sha256":"%s"}\n' \
  "$(tar -tzf "$1/etc.tar.gz" | wc -l)" "$(stat -c %s "$1/etc.tar.gz")" \
  "$(sha256sum "$1/etc.tar.gz" | cut -d ' ' -f 1)" >> "$1/etc.json.new"
mv "$1/etc.json.new" "$1/etc.json"
"#;

#[test]
fn an_archive_is_compared_with_its_manifest() {
    let lab = Lab::new();
    data(&lab);
    let mut job = Command::new("sh");
    drop(run(job.args(["-c", JOB, "job"]).arg(lab.path(""))));
    let record = r#"{"name":"etc","tool":"tar -t","finished":"2026-01-02T05:00:00Z","exit":0}"#;
    std::fs::write(lab.path("check.json"), record).unwrap();
    let check = format!("check = \"{}\"\n", lab.text("check.json"));
    let settings = set("etc", "manifest", &lab.text("etc.json")) + &check;
    let whole = lab.set(&settings);
    assert_eq!(
        (&whole["grade"], &whole["hashed_files"]),
        (&"proof".into(), &1.into())
    );
    assert_eq!(
        (&whole["check_ok"], &whole["files"]),
        (&true.into(), &4.into())
    );

    let archive = lab.path("etc.tar.gz");
    let good = damage(&archive);
    let other = lab.set(&settings);
    assert_eq!(
        (&other["damaged_files"], &other["grade"]),
        (&1.into(), &"metadata".into())
    );
    assert!(other["last_success"].is_null(), "{other}");
    std::fs::write(&archive, &good[..9]).unwrap();
    assert_eq!(lab.set(&settings)["damaged_files"], 1);
    std::fs::remove_file(&archive).unwrap();
    let gone = lab.set(&settings);
    assert!(
        gone["reason"].as_str().unwrap().ends_with("is gone"),
        "{gone}"
    );

    let manifest = std::fs::read_to_string(lab.path("etc.json")).unwrap();
    let (front, back) = manifest.split_once("\"finished\":\"20").unwrap();
    std::fs::write(
        lab.path("etc.json"),
        format!("{front}\"finished\":\"99{back}"),
    )
    .unwrap();
    let future = lab.set(&settings);
    assert_eq!(future["found"], false);
    assert!(
        future["reason"].as_str().unwrap().starts_with("malformed"),
        "{future}"
    );
}
