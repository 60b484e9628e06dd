//! Every broken pack is found, and the file, host or entry is named.

mod exporter;
mod history;
mod said;
mod sample;
mod sights;

use sample::{Ledger, OBSERVATION, stream};

use super::*;
use crate::checkpoint::Signer;
use crate::key::SigningKey;
use crate::pack::{self, Writer};

const START: u64 = 262;
const END: u64 = 274;

#[expect(
    clippy::disallowed_methods,
    reason = "the bytes are changed as an enemy would"
)]
fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "files of a test are small")]
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// A good pack, and the names of all its files.
fn good() -> (tempfile::TempDir, Trust, Vec<String>) {
    let ledger = Ledger::sample();
    let dir = tempfile::tempdir().unwrap();
    let cut = ledger.cut(START, END);
    let mut names: Vec<String> = cut.files.keys().cloned().collect();
    let more = [
        pack::MANIFEST,
        pack::MANIFEST_DSSE,
        pack::README,
        pack::SCRIPT,
    ];
    names.extend(more.map(str::to_owned));
    ledger.write(dir.path(), cut);
    (dir, ledger.trust(), names)
}

fn names(report: &Report, name: &str) -> bool {
    let mut problems = report.claims.iter().flat_map(|claim| &claim.problems);
    problems.any(|problem| problem.place == name)
}

#[test]
fn a_good_pack_is_shown() {
    let (dir, trust, _) = good();
    let report = verify(dir.path(), &trust).unwrap();
    assert_eq!(
        (report.verdict, report.exit_status()),
        (Verdict::Note, 0),
        "{report}"
    );
    let claims: Vec<&str> = report.claims.iter().map(|claim| claim.claim).collect();
    let wanted = [
        "keys",
        "manifest",
        "files",
        "checkpoints",
        "tree",
        "records",
        "proofs",
        "enrolments",
        "signatures",
        "decisions",
        "blobs",
        "seen",
        "streams",
        "silence",
    ];
    assert_eq!(claims, wanted);
    let text = report.to_string();
    for part in [
        "each of the 12 entries of the period has its record",
        "12 of the period and 4 from before it",
        "14 attestations hold under the enrolled keys, 2 records",
        "2 streams have no gap",
        "Not shown: that a host told the truth",
        "nothing here shows whether it made more than 2 before",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let json: serde_json::Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"], "note");
    assert_eq!(json["claims"][0]["claim"], "keys");
}

#[test]
fn packs_from_every_place_of_the_ledger_are_shown() {
    let ledger = Ledger::sample();
    for (start, end) in [
        (0, 3),
        (0, 256),
        (1, 257),
        (255, 256),
        (256, 274),
        (274, 274),
        (0, 274),
    ] {
        let dir = tempfile::tempdir().unwrap();
        ledger.write(dir.path(), ledger.cut(start, end));
        let report = verify(dir.path(), &ledger.trust()).unwrap();
        // From there on the pack holds no record of the collector, which is noted.
        let wanted = if start == END {
            Verdict::Note
        } else {
            Verdict::Ok
        };
        assert_eq!(report.verdict, wanted, "{start}..{end} {report}");
    }
}

#[test]
fn a_changed_byte_in_any_file_is_found_and_named() {
    let (dir, trust, files) = good();
    for name in files {
        let path = dir.path().join(&name);
        let bytes = read(&path);
        for place in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut bad = bytes.clone();
            bad[place] ^= 1;
            overwrite(&path, &bad);
            let report = verify(dir.path(), &trust).unwrap();
            assert_eq!(report.exit_status(), 1, "{name} {place} {report}");
            assert!(names(&report, &name), "{name} {place} {report}");
        }
        overwrite(&path, &bytes);
    }
    assert_eq!(verify(dir.path(), &trust).unwrap().exit_status(), 0);
}

#[test]
fn a_file_cut_short_or_taken_away_is_found_and_named() {
    let (dir, trust, files) = good();
    for name in files {
        let path = dir.path().join(&name);
        let bytes = read(&path);
        for rest in [&bytes[..0], &bytes[..bytes.len() - 1]] {
            overwrite(&path, rest);
            let report = verify(dir.path(), &trust).unwrap();
            assert!(
                report.exit_status() == 1 && names(&report, &name),
                "{name} {report}"
            );
        }
        std::fs::remove_file(&path).unwrap();
        let report = verify(dir.path(), &trust).unwrap();
        assert!(
            report.exit_status() == 1 && names(&report, &name),
            "{name} {report}"
        );
        overwrite(&path, &bytes);
    }
}

#[test]
fn files_that_change_places_are_found_and_named() {
    let (dir, trust, files) = good();
    for pair in files.windows(2) {
        let (one, two) = (dir.path().join(&pair[0]), dir.path().join(&pair[1]));
        let (first, second) = (read(&one), read(&two));
        overwrite(&one, &second);
        overwrite(&two, &first);
        let report = verify(dir.path(), &trust).unwrap();
        assert_eq!(report.exit_status(), 1, "{pair:?} {report}");
        assert!(
            names(&report, &pair[0]) && names(&report, &pair[1]),
            "{pair:?} {report}"
        );
        overwrite(&one, &first);
        overwrite(&two, &second);
    }
}

#[test]
fn nothing_may_lie_beside_the_files() {
    let (dir, trust, _) = good();
    let wanting = |name: &str, what: &str| {
        let report = verify(dir.path(), &trust).unwrap();
        assert!(
            report.exit_status() == 1 && names(&report, name),
            "{report}"
        );
        assert!(report.to_string().contains(what), "{report}");
    };
    for name in [
        "more.txt",
        "blobs/00",
        "ledger/tile/0/001",
        "attestations/00.json",
    ] {
        let path = dir.path().join(name);
        overwrite(&path, b"x");
        wanting(name, "is not in the manifest");
        std::fs::remove_file(&path).unwrap();
    }
    for name in [".hidden", "a b", "\u{e4}"] {
        let path = dir.path().join(name);
        overwrite(&path, b"x");
        wanting(name, "has a name that no file of a pack has");
        std::fs::remove_file(&path).unwrap();
    }
    let path = dir.path().join("link");
    std::os::unix::fs::symlink("README.txt", &path).unwrap();
    wanting("link", "is no plain file");
    std::fs::remove_file(&path).unwrap();
    let readme = dir.path().join(pack::README);
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    overwrite(elsewhere.path(), &read(&readme));
    std::fs::remove_file(&readme).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), &readme).unwrap();
    wanting(pack::README, "is no plain file");
    std::fs::remove_file(&readme).unwrap();
    overwrite(&readme, &read(elsewhere.path()));
    std::fs::create_dir(dir.path().join("empty")).unwrap();
    wanting("empty", "is an empty folder");
    std::fs::remove_dir(dir.path().join("empty")).unwrap();
    let deep = "a/".repeat(13);
    std::fs::create_dir_all(dir.path().join(&deep)).unwrap();
    wanting(
        deep.trim_end_matches('/'),
        "has a name that no file of a pack has",
    );
}

#[test]
fn without_the_trusted_keys_nothing_is_shown() {
    let (dir, trust, _) = good();
    let other = SigningKey::from_seed([9; 32]).unwrap().public().id();
    let signer = Signer::new(trust.ledger.name(), &[9; 32]).unwrap();
    let stranger = Signer::new("d.example/evident/1", &[1; 32]).unwrap();
    for (trust, part) in [
        (
            Trust {
                decisions: other,
                ..trust.clone()
            },
            "not the trusted key",
        ),
        (
            Trust {
                ledger: signer.verifier_key().clone(),
                ..trust.clone()
            },
            "is not signed by",
        ),
        (
            Trust {
                ledger: stranger.verifier_key().clone(),
                ..trust
            },
            "names another ledger",
        ),
    ] {
        let report = verify(dir.path(), &trust).unwrap();
        assert_eq!(report.exit_status(), 1, "{report}");
        assert!(report.to_string().contains(part), "{report}");
    }
    let nowhere = dir.path().join("nowhere");
    let error = verify(&nowhere, &good().1).unwrap_err();
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn a_pack_that_could_not_be_checked_has_its_own_exit_status() {
    let mut ledger = Ledger::sample();
    ledger.observation = OBSERVATION.replacen("schema\":1", "schema\":99", 1);
    for _ in 0..3 {
        ledger.evidence(&stream("web-1", 1), |_| {});
    }
    let dir = tempfile::tempdir().unwrap();
    ledger.write(dir.path(), ledger.cut(START, ledger.size()));
    let report = verify(dir.path(), &ledger.trust()).unwrap();
    assert_eq!(report.exit_status(), 2, "{report}");
    std::fs::remove_file(dir.path().join(pack::README)).unwrap();
    assert_eq!(
        verify(dir.path(), &ledger.trust()).unwrap().exit_status(),
        1
    );
}

#[test]
fn a_report_shows_no_control_characters_and_counts_what_it_leaves_out() {
    let mut claim = Claim::new("files");
    for number in 0..KEPT_MAX + 5 {
        claim.fail(format!("\u{1b}[2J{number}"), "x\ny");
    }
    assert_eq!(
        (claim.problems.len(), claim.problem_count),
        (KEPT_MAX, KEPT_MAX + 5)
    );
    let text = claim.to_string();
    assert!(
        !text.contains('\u{1b}') && text.contains("?[2J0: x?y"),
        "{text}"
    );
    assert!(
        text.ends_with("and 9985 more; --format json names them"),
        "{text}"
    );
}

#[test]
fn a_writer_overwrites_nothing_and_takes_no_odd_name() {
    let (dir, ..) = good();
    let error = Writer::create(dir.path()).unwrap_err();
    assert!(
        error.to_string().contains("is not an empty folder"),
        "{error}"
    );
    let empty = tempfile::tempdir().unwrap();
    let mut writer = Writer::create(&empty.path().join("new")).unwrap();
    writer.add("a/b", b"x").unwrap();
    writer.add("a/b", b"x").unwrap();
    for bad in [
        "a/b",
        "",
        "/a",
        "a//b",
        "../a",
        "a/..",
        ".a",
        "a b",
        "a\n",
        "\u{e4}",
        &"a".repeat(200),
    ] {
        assert!(writer.add(bad, b"y").is_err(), "{bad}");
    }
}
