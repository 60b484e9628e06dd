//! Notes, keys, policies and proof files against recorded vectors, and everything near them.

use serde::Deserialize;

use super::*;
use crate::limits;

const PROOF: &str = include_str!("../../../tests/vectors/tlog/leaf-65536.tlog-proof");
const POLICY: &str = include_str!("../../../tests/vectors/tlog/policy.txt");

#[derive(Deserialize)]
struct Notes {
    c2sp_example_note: String,
    c2sp_example_vkey: String,
    log: Log,
    witnesses: Vec<Witness>,
    checkpoints: Vec<Signed>,
}

#[derive(Deserialize)]
struct Log {
    seed: Digest,
    origin: String,
    vkey: String,
}

#[derive(Deserialize)]
struct Witness {
    name: String,
    vkey: String,
}

#[derive(Deserialize)]
struct Signed {
    size: u64,
    text: String,
    note: String,
    cosigned: String,
}

fn notes() -> Notes {
    serde_json::from_str(include_str!("../../../tests/vectors/tlog/notes.json")).unwrap()
}

fn log() -> VerifierKey {
    notes().log.vkey.parse().unwrap()
}

#[test]
fn the_published_example_verifies() {
    let notes = notes();
    let key: VerifierKey = notes.c2sp_example_vkey.parse().unwrap();
    assert_eq!(key.to_string(), notes.c2sp_example_vkey);
    let note: SignedNote = notes.c2sp_example_note.parse().unwrap();
    assert_eq!(note.to_string(), notes.c2sp_example_note);
    assert_eq!(note.signed_by(&key), Ok(Some(0)));
    let other = notes
        .c2sp_example_note
        .replace("example message", "other message");
    let forged = Err(NoteError::Forged("example.com/foo".to_owned()));
    assert_eq!(other.parse::<SignedNote>().unwrap().signed_by(&key), forged);
}

#[test]
fn recorded_checkpoints_are_signed_to_the_same_bytes() {
    let notes = notes();
    let signer = Signer::new(&notes.log.origin, notes.log.seed.as_bytes()).unwrap();
    assert_eq!(signer.verifier_key().to_string(), notes.log.vkey);
    assert_eq!(format!("{signer:?}"), format!("Signer({})", notes.log.vkey));
    assert_eq!(notes.checkpoints.len(), 7);
    for case in notes.checkpoints {
        let checkpoint: Checkpoint = case.text.parse().unwrap();
        assert_eq!(checkpoint.to_string(), case.text);
        assert_eq!(checkpoint.size, case.size);
        let again = signer.sign(checkpoint.size, checkpoint.root).to_string();
        assert_eq!(again, case.note);
        for note in [&case.note, &case.cosigned] {
            let verified = Verified::open(note, signer.verifier_key()).unwrap();
            assert_eq!(verified.checkpoint(), &checkpoint);
            assert_eq!(verified.note().to_string(), *note);
        }
        let verified = Verified::open(&case.cosigned, signer.verifier_key()).unwrap();
        for (place, witness) in notes.witnesses.iter().enumerate() {
            let key: VerifierKey = witness.vkey.parse().unwrap();
            assert_eq!(key.to_string(), witness.vkey);
            assert_eq!(verified.note().signatures()[place + 1].name(), witness.name);
            assert!(verified.cosigned_by(&key).unwrap() > Some(1_767_000_000));
        }
        let bare = Verified::open(&case.note, signer.verifier_key()).unwrap();
        let witness = notes.witnesses[0].vkey.parse().unwrap();
        assert_eq!(bare.cosigned_by(&witness), Ok(None));
        assert_eq!(
            verified.cosigned_by(&log()),
            Ok(None),
            "a ledger is no witness"
        );
        assert!(
            Verified::open(&case.cosigned, &witness).is_err(),
            "a witness is no ledger"
        );
    }
}

#[test]
fn recorded_files_are_accepted() {
    let policy: Policy = POLICY.parse().unwrap();
    for (size, text) in [
        (
            1,
            include_str!("../../../tests/vectors/tlog/checkpoint.1.txt"),
        ),
        (
            2,
            include_str!("../../../tests/vectors/tlog/checkpoint.2.txt"),
        ),
        (
            3,
            include_str!("../../../tests/vectors/tlog/checkpoint.3.txt"),
        ),
        (
            256,
            include_str!("../../../tests/vectors/tlog/checkpoint.256.txt"),
        ),
        (
            257,
            include_str!("../../../tests/vectors/tlog/checkpoint.257.txt"),
        ),
        (
            70_000,
            include_str!("../../../tests/vectors/tlog/checkpoint.70000.txt"),
        ),
    ] {
        let accepted = policy.accept(text).unwrap();
        assert_eq!(accepted.verified().checkpoint().size, size);
        let names: Vec<_> = accepted.cosigned().keys().collect();
        assert_eq!(names, ["w1", "w2"]);
    }
}

#[test]
fn a_signature_of_another_kind_is_passed_over() {
    #[derive(Deserialize)]
    struct Other {
        vkey: String,
        line: String,
    }
    let file = include_str!("../../../tests/vectors/tlog/mldsa44_cosignature.json");
    let other: Other = serde_json::from_str(file).unwrap();
    let note = format!("{}{}\n", notes().checkpoints[6].note, other.line.trim_end());
    let verified = Verified::open(&note, &log()).unwrap();
    assert_eq!(verified.note().signatures().len(), 2);
    assert_eq!(verified.note().to_string(), note);
    let refused = other.vkey.parse::<VerifierKey>();
    assert!(matches!(
        refused,
        Err(KeyError::Algorithm { algorithm: 6, .. })
    ));
}

#[test]
fn every_flipped_bit_of_a_checkpoint_is_refused() {
    let note = &notes().checkpoints[3].note;
    let log = log();
    for place in 0..note.len() {
        for bit in 0..8 {
            let mut bytes = note.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            if let Ok(changed) = String::from_utf8(bytes) {
                let opened = Verified::open(&changed, &log);
                assert!(opened.is_err(), "bit {bit} of byte {place}: {changed}");
            }
        }
        if let Some(cut) = note.get(..place) {
            assert!(Verified::open(cut, &log).is_err(), "cut at {place}");
        }
    }
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let root = "SHhhVZEPRD69qxNwJ9fY6y/Xvs2ZuJ9c48PZiRhF9a8=";
    assert!(format!("a\n1\n{root}\n").parse::<Checkpoint>().is_ok());
    for bad in [
        String::new(),
        format!("a\n1\n{root}"),
        format!("a\n01\n{root}\n"),
        format!("a\n+1\n{root}\n"),
        format!("a\n\n{root}\n"),
        format!("a\n-1\n{root}\n"),
        format!("a\n18446744073709551616\n{root}\n"),
        format!("a\n9223372036854775809\n{root}\n"),
        format!("\n1\n{root}\n"),
        format!("a b\n1\n{root}\n"),
        format!("a+b\n1\n{root}\n"),
        format!("a\n1\n{root}\nextension\n"),
        format!("a\n1\n{root}\n\n"),
        format!("a\r\n1\n{root}\n"),
        "a\n1\nSHhhVZEPRD69qxNwJ9fY6y/Xvs2ZuJ9c48PZiRhF9a9=\n".to_owned(),
        "a\n1\nSHhhVZEPRD69qxNwJ9fY6y/Xvs2ZuJ9c48PZiRhF9a8\n".to_owned(),
        "a\n1\nSHhh\n".to_owned(),
    ] {
        assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
    }
}

#[test]
fn what_is_no_note_is_refused() {
    let good = notes().c2sp_example_note;
    let line = good.rsplit_once("\n\n").unwrap().1;
    for bad in [
        String::new(),
        "\n\n".to_owned(),
        "text\n\n".to_owned(),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        good.replace("\n\n", "\n"),
        good.replace('\u{2014}', "-"),
        good.replace("example.com/foo ", "example.com/foo  "),
        good.replace("example.com/foo", "example.com+foo"),
        good.replace("This", "This\t"),
        good.replace("aQM=", "aQM"),
        "text\n\n\u{2014} name AAAA\n".to_owned(),
        "text\n\n\u{2014} name AAAAAA==\n".to_owned(),
        format!("text\n\n{}", line.repeat(limits::NOTE_SIGNATURES_MAX + 1)),
        format!("{}\n\n{line}", "x".repeat(limits::NOTE_BYTES_MAX)),
    ] {
        assert!(bad.parse::<SignedNote>().is_err(), "{bad:?}");
    }
    let most = format!("text\n\n{}", line.repeat(limits::NOTE_SIGNATURES_MAX));
    assert!(most.parse::<SignedNote>().is_ok());
}

#[test]
fn a_second_line_of_the_same_key_must_hold_too() {
    let notes = notes();
    let line = |note: &str| note.rsplit_once("\n\n").unwrap().1.to_owned();
    let same = format!(
        "{}{}",
        notes.checkpoints[1].note,
        line(&notes.checkpoints[1].note)
    );
    assert!(Verified::open(&same, &log()).is_ok());
    let other = format!(
        "{}{}",
        notes.checkpoints[1].note,
        line(&notes.checkpoints[2].note)
    );
    let forged = Err(NoteError::Forged(notes.log.origin));
    assert_eq!(Verified::open(&other, &log()), forged);
}

#[test]
fn what_is_no_key_is_refused() {
    let good = notes().log.vkey;
    for bad in [
        "",
        "name",
        "name+6240f2be",
        &good.replace("6240f2be", "6240f2bf"),
        &good.replace("6240f2be", "6240F2BE"),
        &good.replace("ledger", "Ledger"),
        &good.replace("+AU", "+AE"),
        &good.replace("BLY", "BL"),
        &good.replace("+AU", "+BU"),
        &format!("{good}\n"),
        "a b+00000000+AQ==",
    ] {
        assert!(bad.parse::<VerifierKey>().is_err(), "{bad}");
    }
    for name in ["", "a b", "a+b", "a\n", "a\u{a0}"] {
        let made = Signer::new(name, &[7; 32]);
        assert_eq!(made.err(), Some(KeyError::Name(name.to_owned())));
    }
}

#[test]
fn policies() {
    let lines: Vec<&str> = POLICY.lines().collect();
    let [log, w1, w2, group, quorum] = lines[..] else {
        panic!("five lines")
    };
    let refused = |lines: &[&str]| lines.join("\n").parse::<Policy>().err();
    for good in [
        &["quorum none"][..],
        &[log, "", " # a remark", "\tquorum\tnone\t"],
        &[log, w1, "quorum w1"],
        &[
            &format!("{log} https://x"),
            &format!("{w1} https://x"),
            w2,
            "group g 2 w1 w2",
            "quorum g",
        ],
        &[w1, w2, "group g any w1", "group h all g w2", "quorum h"],
    ] {
        assert_eq!(refused(good), None, "{good:?}");
    }
    for bad in [
        &[][..],
        &[log],
        &[log, log, "quorum none"],
        &[&log.replace("log", "lag"), "quorum none"],
        &["log", "quorum none"],
        &["log x", "quorum none"],
        &[&format!("{log} a b"), "quorum none"],
        &[&w1.replace("witness w1", "log"), "quorum none"],
        &[&log.replace("log", "witness w"), "quorum none"],
        &[w1, w1, "quorum w1"],
        &[w1, &w1.replace("witness w1", "witness w3"), "quorum w1"],
        &[&w1.replace("witness w1", "witness none"), "quorum none"],
        &[w1, w2, group],
        &[w1, group, w2, quorum],
        &[w1, w2, group, quorum, quorum],
        &[w1, "quorum w2"],
        &[w1, "quorum"],
        &[w1, "group g", "quorum g"],
        &[w1, "group g any", "quorum g"],
        &[w1, "group g 0 w1", "quorum g"],
        &[w1, "group g 2 w1", "quorum g"],
        &[w1, "group g 01 w1", "quorum g"],
        &[w1, "group g all none", "quorum g"],
        &[w1, "group g any w1 w1", "quorum g"],
        &[w1, "group g any w1", "group h any w1", "quorum h"],
        &[w1, "group w1 any w1", "quorum w1"],
        &[w1, "group g any g", "quorum g"],
        &["quorum none\r"],
    ] {
        assert!(refused(bad).is_some(), "{bad:?}");
    }
}

#[test]
fn a_quorum_is_asked_for() {
    let case = &notes().checkpoints[5];
    let policy: Policy = POLICY.parse().unwrap();
    let missing = Err(NoteError::Quorum("both".to_owned()));
    assert_eq!(policy.accept(&case.note), missing);
    let mut lines: Vec<&str> = case.cosigned.split_inclusive('\n').collect();
    let last = lines.pop().unwrap();
    assert_eq!(policy.accept(&lines.concat()), missing);
    let any: Policy = POLICY.replace("all w1", "any w1").parse().unwrap();
    assert_eq!(any.accept(&lines.concat()).unwrap().cosigned().len(), 1);
    lines.push(last);
    assert!(policy.accept(&lines.concat()).is_ok());
    // The cosignature of another checkpoint in the name of a known witness refuses the note.
    let other = notes().checkpoints[4].cosigned.clone();
    let other = other.split_inclusive('\n').next_back().unwrap();
    lines.pop();
    lines.push(other);
    let forged = Err(NoteError::Forged("witness.example/w2".to_owned()));
    assert_eq!(any.accept(&lines.concat()), forged);
    let alone = Policy::of_log(log());
    assert_eq!(alone.logs(), [log()]);
    assert!(alone.accept(&case.note).is_ok());
    let stranger = "quorum none".parse::<Policy>().unwrap();
    assert!(matches!(
        stranger.accept(&case.note),
        Err(NoteError::Unsigned(_))
    ));
}

#[test]
fn proof_files() {
    let leaf = merkle::leaf_hash(include_bytes!("../../../tests/vectors/tlog/leaf-65536.bin"));
    let policy: Policy = POLICY.parse().unwrap();
    let proof: TlogProof = PROOF.parse().unwrap();
    assert_eq!(proof.to_string(), PROOF);
    assert_eq!((proof.index, proof.hashes.len()), (65_536, 14));
    let accepted = proof.verify(&leaf, &policy).unwrap();
    assert_eq!(accepted.verified().checkpoint().size, 70_000);
    let with_extra = PROOF.replace("\nindex", "\nextra AAEC\nindex");
    let extra: TlogProof = with_extra.parse().unwrap();
    assert_eq!(extra.extra.as_deref(), Some([0, 1, 2].as_slice()));
    assert_eq!(extra.to_string(), with_extra);
    let other_leaf = proof.verify(&merkle::EMPTY_ROOT, &policy);
    assert!(matches!(other_leaf, Err(TlogProofError::Inclusion(_))));
    let other_index: TlogProof = PROOF.replace("65536", "65537").parse().unwrap();
    assert!(other_index.verify(&leaf, &policy).is_err());
    let other_head: TlogProof = PROOF.replace("\n70000\n", "\n70001\n").parse().unwrap();
    let refused = other_head.verify(&leaf, &policy);
    assert!(matches!(
        refused,
        Err(TlogProofError::Checkpoint(NoteError::Forged(_)))
    ));
    for bad in [
        String::new(),
        PROOF.replace("@v1", "@v2"),
        PROOF.replace("index 65536", "index 065536"),
        PROOF.replace("index 65536\n", ""),
        PROOF.replace("\nindex", "\nextra AAE\nindex"),
        PROOF.replace("\nindex", "\nindex 1\nindex"),
        PROOF.replace("N/tqT", "N/tq"),
        PROOF.replace("\n\n", "\n"),
        PROOF.replace(
            "\nN/tqT",
            &format!(
                "\n{}N/tqT",
                format!("{}\n", "A".repeat(43) + "=").repeat(64)
            ),
        ),
        format!("{PROOF}{}", "x".repeat(limits::NOTE_BYTES_MAX)),
    ] {
        assert!(bad.parse::<TlogProof>().is_err(), "{bad:.200}");
    }
}
