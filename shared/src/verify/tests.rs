//! Every broken pack is found, and the file, host or entry is named.

mod sample;

use sample::{Cut, Ledger, OBSERVATION, at, gap, stream};

use super::*;
use crate::attestation::Kind;
use crate::checkpoint::Signer;
use crate::id::Digest;
use crate::key::SigningKey;
use crate::leaf::LeafKind;
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
        (Verdict::Ok, 0),
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
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let json: serde_json::Value = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"], "ok");
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
        assert_eq!(report.verdict, Verdict::Ok, "{start}..{end} {report}");
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

/// What an exporter signs that should not: the claim that fails, and what it says.
#[track_caller]
fn check(ledger: &Ledger, change: impl FnOnce(&Ledger, &mut Cut), wanted: (&str, Verdict, &str)) {
    let dir = tempfile::tempdir().unwrap();
    let mut cut = ledger.cut(START, ledger.size());
    change(ledger, &mut cut);
    ledger.write(dir.path(), cut);
    let report = verify(dir.path(), &ledger.trust()).unwrap();
    let (name, verdict, part) = wanted;
    let claim = report.claims.iter().find(|claim| claim.claim == name);
    let claim = claim.unwrap_or_else(|| panic!("no claim {name}: {report}"));
    assert_eq!(claim.verdict, verdict, "{report}");
    assert!(claim.to_string().contains(part), "{part}\n{report}");
    let intact = report
        .claims
        .iter()
        .filter(|claim| ["keys", "manifest", "files"].contains(&claim.claim));
    let signed_lie = intact.clone().all(|claim| claim.verdict == Verdict::Ok);
    assert!(
        signed_lie || ["keys", "manifest", "files"].contains(&name),
        "{report}"
    );
}

fn id_at(ledger: &Ledger, index: u64) -> Digest {
    ledger.leaves[usize::try_from(index).unwrap()].id
}

#[test]
fn an_exporter_cannot_leave_out_or_exchange() {
    let ledger = Ledger::sample();
    let fail = |change: &dyn Fn(&Ledger, &mut Cut), claim: &str, part: &str| {
        check(&ledger, change, (claim, Verdict::Fail, part));
    };
    let record = |index| pack::record_name(&id_at(&ledger, index));
    let proof = |index| pack::proof_name(&id_at(&ledger, index));
    let remove =
        |name: String| move |_: &Ledger, cut: &mut Cut| drop(cut.files.remove(&name).unwrap());
    let put = |name: String, bytes: Vec<u8>| {
        move |_: &Ledger, cut: &mut Cut| {
            drop(cut.files.insert(name.clone(), bytes.clone()).unwrap())
        }
    };
    fail(&remove(record(270)), "records", "is missing");
    fail(&remove(proof(270)), "proofs", "shows no entry 270");
    fail(
        &remove(pack::blob_name(&Digest::of(OBSERVATION.as_bytes()))),
        "blobs",
        "is missing",
    );
    fail(
        &remove(pack::agent_name(&stream("web-1", 1))),
        "enrolments",
        "is missing",
    );
    fail(
        &remove(pack::CHECKPOINT_START.to_owned()),
        "checkpoints",
        "is missing",
    );
    fail(
        &remove("ledger/tile/1/000.p/1".to_owned()),
        "tree",
        "is missing",
    );
    fail(
        &remove("ledger/tile/entries/001.p/18".to_owned()),
        "tree",
        "is missing",
    );
    fail(&remove(pack::POLICY.to_owned()), "keys", "is missing");
    fail(
        &put(record(270), ledger.files[&id_at(&ledger, 271)].clone()),
        "records",
        "is not the record",
    );
    fail(
        &put(proof(270), ledger.proof(271, END).into()),
        "proofs",
        "another record than its name",
    );
    fail(
        &put(proof(270), ledger.proof(270, END - 1).into()),
        "proofs",
        "another checkpoint",
    );
    fail(
        &put(
            proof(270),
            ledger
                .proof(270, END)
                .replace("index 270", "index 269")
                .into(),
        ),
        "proofs",
        "leads to root",
    );
    let key = SigningKey::from_seed([9; 32]).unwrap().public().to_pem();
    fail(
        &put(pack::agent_name(&stream("db-1", 1)), key.into()),
        "enrolments",
        "not the key that was",
    );
    let blob = pack::blob_name(&Digest::of(OBSERVATION.as_bytes()));
    fail(
        &put(blob, b"{}".to_vec()),
        "blobs",
        "is not the blob of its name",
    );
    fail(
        &put(
            pack::CHECKPOINT_END.to_owned(),
            ledger.checkpoint(END - 1).into(),
        ),
        "checkpoints",
        "is over 273",
    );
    let mut tile = ledger.cut(START, END).files["ledger/tile/entries/001.p/18"].clone();
    *tile.last_mut().unwrap() = b' ';
    fail(
        &put("ledger/tile/entries/001.p/18".to_owned(), tile),
        "tree",
        "do not fit",
    );
    for name in [
        "blobs/00/00",
        "proofs/x",
        "trust/agents/x-g1.pub.pem",
        "attestations/x",
    ] {
        let more = |_: &Ledger, cut: &mut Cut| drop(cut.files.insert(name.to_owned(), vec![b'x']));
        fail(&more, "records", "belongs to nothing");
    }
    let more = |_: &Ledger, cut: &mut Cut| {
        drop(cut.files.insert("ledger/tile/0/009".to_owned(), vec![b'x']))
    };
    fail(&more, "tree", "belongs to no entry");
}

#[test]
fn an_exporter_cannot_begin_late_or_hide_what_came_before() {
    let ledger = Ledger::sample();
    let anchor = pack::record_name(&id_at(&ledger, START - 1));
    let both = |name: &str, cut: &mut Cut| {
        cut.files
            .remove(&pack::record_name(&name.parse().unwrap()))
            .unwrap();
        cut.files
            .remove(&pack::proof_name(&name.parse().unwrap()))
            .unwrap();
    };
    assert!(ledger.cut(START, END).files.contains_key(&anchor));
    check(
        &ledger,
        |ledger, cut| both(&id_at(ledger, START - 1).to_string(), cut),
        ("streams", Verdict::Fail, "db-1-g1: missing 0..129"),
    );
    check(
        &ledger,
        |ledger, cut| both(&id_at(ledger, 0).to_string(), cut),
        (
            "signatures",
            Verdict::Fail,
            "web-1-g1, which was never enrolled",
        ),
    );
    check(
        &ledger,
        |_, cut| cut.manifest.period.from = at(START - 3),
        ("records", Verdict::Fail, "stands before its first entry"),
    );
    check(
        &ledger,
        |_, cut| cut.manifest.period.to = at(END - 2),
        (
            "records",
            Verdict::Note,
            "2 entries have a time of receipt outside",
        ),
    );
    check(
        &ledger,
        |_, cut| cut.manifest.ledger.push('0'),
        ("manifest", Verdict::Fail, "names another ledger"),
    );
    check(
        &ledger,
        |_, cut| cut.manifest.end = START - 1,
        ("manifest", Verdict::Fail, "ends before it begins"),
    );
    check(
        &ledger,
        |_, cut| cut.manifest.made = at(END),
        (
            "records",
            Verdict::Fail,
            "made at another time than its last entry",
        ),
    );
    check(
        &ledger,
        |_, cut| cut.manifest.exporter = Digest::of(b"x"),
        ("manifest", Verdict::Fail, "names another exporter"),
    );
    check(
        &ledger,
        |_, cut| cut.manifest.format = 2,
        (
            "manifest",
            Verdict::Fail,
            "no manifest of a pack of version 1",
        ),
    );
}

/// Checks what is said of a ledger that goes on in an odd way.
#[track_caller]
fn goes_on(change: impl FnOnce(&mut Ledger), wanted: (&str, Verdict, &str)) {
    let mut ledger = Ledger::sample();
    change(&mut ledger);
    check(&ledger, |_, _| {}, wanted);
}

#[test]
fn what_is_wrong_in_the_ledger_itself_is_told() {
    let (web, db) = (stream("web-1", 1), stream("db-1", 1));
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.stream.seq += 1),
        ("streams", Verdict::Fail, "web-1-g1: missing 136..136"),
    );
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.stream.prev = Digest::of(b"x")),
        ("streams", Verdict::Fail, "web-1-g1: broken-link 136"),
    );
    goes_on(
        |ledger| {
            ledger.evidence(&web, |evidence| evidence.stream.seq -= 1);
        },
        ("streams", Verdict::Fail, "web-1-g1: fork 135"),
    );
    goes_on(
        |ledger| {
            let root = ledger.root(3);
            ledger.evidence(&web, |evidence| {
                (evidence.seen.size, evidence.seen.root) = (3, root);
            });
        },
        ("streams", Verdict::Fail, "web-1-g1: seen-went-back 136"),
    );
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.seen.root = Digest::of(b"x")),
        (
            "seen",
            Verdict::Fail,
            "web-1-g1 record 136: has seen another ledger",
        ),
    );
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.seen.size += 2),
        ("seen", Verdict::Fail, "but is entry 274 itself"),
    );
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.stream.generation = 2),
        ("streams", Verdict::Fail, "web-1-g2: unknown-generation"),
    );
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.stream.agent = db.agent.clone()),
        ("signatures", Verdict::Fail, "signature does not hold"),
    );
    goes_on(
        |ledger| {
            ledger.revoke(&web);
            ledger.evidence(&web, |_| {});
        },
        (
            "signatures",
            Verdict::Fail,
            "was entered after web-1-g1 was revoked",
        ),
    );
    goes_on(
        |ledger| ledger.revoke(&stream("web-1", 7)),
        (
            "signatures",
            Verdict::Fail,
            "revokes web-1-g7, never enrolled",
        ),
    );
    goes_on(
        |ledger| ledger.enrol(&web, 3),
        ("signatures", Verdict::Fail, "enrols web-1-g1 a second time"),
    );
}

#[test]
fn silence_and_steps_are_noted_and_break_nothing() {
    let web = stream("web-1", 1);
    let mut ledger = Ledger::sample();
    for _ in 0..8 {
        ledger.evidence(&web, |_| {});
    }
    let part = "db-1-g1: silent-tail";
    check(&ledger, |_, _| {}, ("silence", Verdict::Note, part));
    check(&ledger, |_, _| {}, ("streams", Verdict::Ok, "2 streams"));
    goes_on(
        |ledger| ledger.evidence(&web, |evidence| evidence.boot.mono_ms += 3000),
        ("silence", Verdict::Note, "web-1-g1: clock-step 136"),
    );
    // A host that is enrolled again goes on under a new key; the old stream has an end.
    goes_on(
        |ledger| {
            ledger.enrol(&stream("web-1", 2), 5);
            for _ in 0..10 {
                ledger.evidence(&stream("web-1", 2), |_| {});
                ledger.evidence(&stream("db-1", 1), |_| {});
            }
        },
        ("silence", Verdict::Ok, "none of 3 hosts"),
    );
}

#[test]
fn blobs_that_a_host_says_it_dropped_are_noted() {
    let web = stream("web-1", 1);
    let lose = |ledger: &mut Ledger| {
        // Record 135 of this host is a run of a probe; so is 270 of the ledger.
        ledger
            .blobs
            .remove(&Digest::of(OBSERVATION.as_bytes()))
            .unwrap();
    };
    let part = "web-1-g1 record 135 names it";
    goes_on(lose, ("blobs", Verdict::Fail, part));
    let drops = |ledger: &mut Ledger| {
        ledger.evidence(&web, |evidence| {
            evidence.kind = Kind::Gap;
            evidence.gap = Some(gap(0, 135));
        });
        ledger.evidence(&stream("db-1", 1), |evidence| {
            evidence.kind = Kind::Gap;
            evidence.gap = Some(gap(0, 135));
        });
        lose(ledger);
    };
    goes_on(
        drops,
        ("blobs", Verdict::Note, "were dropped by full spools"),
    );
}

#[test]
fn observations_are_what_their_records_say() {
    let observed = |from: &str, to: &str, wanted| {
        let observe = |ledger: &mut Ledger| {
            ledger.observation = OBSERVATION.replacen(from, to, 1);
            for _ in 0..3 {
                ledger.evidence(&stream("web-1", 1), |_| {});
            }
        };
        goes_on(observe, wanted);
    };
    let other = "is not what web-1-g1 record 138 says of clock";
    observed(
        "\"facts\",\"probe\"",
        "\"absent\",\"probe\"",
        ("blobs", Verdict::Fail, other),
    );
    observed(
        "{\"art",
        " {\"art",
        ("blobs", Verdict::Fail, "not the one written form"),
    );
    observed(
        "false",
        "1",
        ("blobs", Verdict::Fail, "a fact does not fit its schema"),
    );
    // A newer schema may be right: that is for a newer verifier to say.
    observed(
        "schema\":1",
        "schema\":99",
        ("blobs", Verdict::CannotCheck, "is not known here"),
    );
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
fn decisions_of_other_kinds_hold_under_their_key() {
    let decided = |ledger: &mut Ledger| {
        let revoked = crate::decision::Revoked {
            agent: "web-1".parse().unwrap(),
            generation: 1,
            reason: String::new(),
        };
        let revoked = crate::decision::Decided::Revoke(revoked);
        ledger.decide(LeafKind::Decision, revoked.clone());
        ledger.decide(LeafKind::Enrol, revoked);
    };
    goes_on(
        decided,
        (
            "signatures",
            Verdict::Fail,
            "not of the kind that its entry says",
        ),
    );
    let alone = |ledger: &mut Ledger| {
        decided(ledger);
        ledger.forget_last();
    };
    goes_on(
        alone,
        (
            "signatures",
            Verdict::Ok,
            "3 records under the key of decisions",
        ),
    );
    let other_key = |ledger: &mut Ledger| {
        let own = std::mem::replace(
            &mut ledger.decisions,
            SigningKey::from_seed([9; 32]).unwrap(),
        );
        alone(ledger);
        ledger.decisions = own;
    };
    goes_on(
        other_key,
        ("signatures", Verdict::Fail, "signature does not hold"),
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
