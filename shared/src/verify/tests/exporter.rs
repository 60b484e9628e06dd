//! An exporter who signs what it should not is found.

use super::sample::{Cut, Ledger, OBSERVATION, at, stream};
use super::{END, START};
use crate::dsse::Envelope;
use crate::id::Digest;
use crate::key::SigningKey;
use crate::pack;
use crate::verify::{Verdict, verify};

/// What an exporter signs that should not: the claim that fails, and what it says.
#[track_caller]
pub(super) fn check(
    ledger: &Ledger,
    change: impl FnOnce(&Ledger, &mut Cut),
    wanted: (&str, Verdict, &str),
) {
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
    // The lie is in what was signed: no file was changed behind the exporter's back.
    let mut files = report.claims.iter().filter(|claim| claim.claim == "files");
    assert!(files.all(|claim| claim.verdict == Verdict::Ok), "{report}");
}

fn id_at(ledger: &Ledger, index: u64) -> Digest {
    ledger.leaves[usize::try_from(index).unwrap()].id
}

#[test]
fn an_exporter_cannot_leave_a_file_out() {
    let ledger = Ledger::sample();
    let id = id_at(&ledger, 270);
    let tile = |name: &str| format!("ledger/tile/{name}");
    for (name, claim, part) in [
        (pack::record_name(&id), "records", "is missing"),
        (pack::proof_name(&id), "proofs", "shows no entry 270"),
        (
            pack::blob_name(&Digest::of(OBSERVATION.as_bytes())),
            "blobs",
            "is missing",
        ),
        (
            pack::agent_name(&stream("web-1", 1)),
            "enrolments",
            "is missing",
        ),
        (
            pack::CHECKPOINT_START.to_owned(),
            "checkpoints",
            "is missing",
        ),
        (pack::CHECKPOINT_END.to_owned(), "checkpoints", "is missing"),
        (tile("1/000.p/1"), "tree", "is missing"),
        (tile("0/001.p/18"), "tree", "is missing"),
        (tile("entries/001.p/18"), "tree", "is missing"),
        (pack::POLICY.to_owned(), "keys", "is missing"),
        (pack::DECISIONS.to_owned(), "keys", "is missing"),
    ] {
        let leave_out = |_: &Ledger, cut: &mut Cut| drop(cut.files.remove(&name).unwrap());
        check(&ledger, leave_out, (claim, Verdict::Fail, part));
    }
}

/// Puts another text in the place of a file.
#[track_caller]
fn exchanged(ledger: &Ledger, name: String, text: Vec<u8>, (claim, part): (&str, &str)) {
    let exchange = |_: &Ledger, cut: &mut Cut| drop(cut.files.insert(name, text).unwrap());
    check(ledger, exchange, (claim, Verdict::Fail, part));
}

#[test]
fn an_exporter_cannot_exchange_a_record_or_its_proof() {
    let ledger = Ledger::sample();
    let (id, other) = (id_at(&ledger, 270), id_at(&ledger, 271));
    for (text, part) in [
        (ledger.files[&other].clone(), "is not the record"),
        (Vec::new(), "is not the record"),
    ] {
        exchanged(&ledger, pack::record_name(&id), text, ("records", part));
    }
    let shown = ledger.proof(270, END);
    for (text, part) in [
        (ledger.proof(271, END), "another record than its name"),
        (ledger.proof(270, END - 1), "another checkpoint"),
        (shown.replace("index 270", "index 269"), "leads to root"),
        (shown.replace("extra ", "extra AA"), "is no"),
        ("x".to_owned(), "is no proof file"),
    ] {
        exchanged(
            &ledger,
            pack::proof_name(&id),
            text.into(),
            ("proofs", part),
        );
    }
    let observation = pack::blob_name(&Digest::of(OBSERVATION.as_bytes()));
    let wanted = ("blobs", "is not the blob of its name");
    exchanged(&ledger, observation, b"{}".to_vec(), wanted);
}

#[test]
fn an_exporter_cannot_exchange_keys_or_hashes() {
    let ledger = Ledger::sample();
    let key = SigningKey::from_seed([9; 32]).unwrap().public().to_pem();
    let bundle = "ledger/tile/entries/001.p/18";
    let mut leaves = ledger.cut(START, END).files[bundle].clone();
    *leaves.last_mut().unwrap() = b' ';
    let agent = pack::agent_name(&stream("db-1", 1));
    let (low, high) = ("ledger/tile/0/001.p/18", "ledger/tile/1/000.p/1");
    let checkpoint = ledger.checkpoint(1).into_bytes();
    for (name, text, claim, part) in [
        (
            agent.as_str(),
            key.clone().into(),
            "enrolments",
            "not the key",
        ),
        (pack::DECISIONS, key.into(), "keys", "not the trusted key"),
        (
            pack::POLICY,
            b"quorum none\n".to_vec(),
            "keys",
            "trusted ledger alone",
        ),
        (
            pack::CHECKPOINT_END,
            checkpoint,
            "checkpoints",
            "is over 1 ",
        ),
        (bundle, leaves, "tree", "do not fit"),
        (low, vec![0; 31], "tree", "is no tile"),
        (low, vec![0; 32], "tree", "another number of hashes"),
        (high, vec![0; 32], "tree", "another root than the hashes"),
    ] {
        exchanged(&ledger, name.to_owned(), text, (claim, part));
    }
}

#[test]
fn an_exporter_cannot_add_a_file_where_records_lie() {
    let ledger = Ledger::sample();
    for (name, claim, part) in [
        ("blobs/00/00", "records", "belongs to nothing"),
        ("proofs/x", "records", "belongs to nothing"),
        ("trust/agents/x-g1.pub.pem", "records", "belongs to nothing"),
        ("attestations/x", "records", "belongs to nothing"),
        ("ledger/tile/0/009", "tree", "belongs to no entry"),
    ] {
        let add = |_: &Ledger, cut: &mut Cut| {
            let _new = cut.files.insert(name.to_owned(), vec![b'x']);
        };
        check(&ledger, add, (claim, Verdict::Fail, part));
    }
}

#[test]
fn an_exporter_cannot_hide_what_came_before() {
    let ledger = Ledger::sample();
    for (index, claim, part) in [
        (START - 1, "streams", "db-1-g1: missing 0..129"),
        (0, "signatures", "web-1-g1, which was never enrolled"),
        (
            0,
            "records",
            "entry 1: is record 1 of the collector; 0 is due",
        ),
    ] {
        let hide = |ledger: &Ledger, cut: &mut Cut| {
            let id = id_at(ledger, index);
            drop(cut.files.remove(&pack::record_name(&id)).unwrap());
            drop(cut.files.remove(&pack::proof_name(&id)).unwrap());
        };
        check(&ledger, hide, (claim, Verdict::Fail, part));
    }
}

/// A host that was enrolled before the period and is never heard of in it, and one that was revoked
/// before it; then `change` of a ledger of 262 entries, and 24 more.
fn with_a_silent_host(change: impl FnOnce(&mut Ledger)) -> Ledger {
    let mut ledger = Ledger::new();
    for (agent, seed) in [("web-1", 3), ("left-1", 4), ("gone-1", 5)] {
        ledger.enrol(&stream(agent, 1), seed);
    }
    ledger.revoke(&stream("left-1", 1));
    ledger.evidence(&stream("gone-1", 1), |_| {});
    while ledger.size() < START {
        ledger.evidence(&stream("web-1", 1), |_| {});
    }
    change(&mut ledger);
    for _ in 0..24 {
        ledger.evidence(&stream("web-1", 1), |_| {});
    }
    ledger
}

/// Takes the records at `indices` out, and what belongs to the silent host alone.
fn hide(indices: &[u64]) -> impl Fn(&Ledger, &mut Cut) {
    let silent = indices.contains(&2);
    move |ledger, cut| {
        for index in indices {
            let id = id_at(ledger, *index);
            drop(cut.files.remove(&pack::record_name(&id)).unwrap());
            drop(cut.files.remove(&pack::proof_name(&id)).unwrap());
        }
        if silent {
            let name = pack::agent_name(&stream("gone-1", 1));
            drop(cut.files.remove(&name).unwrap());
            let asks = |_: &String, file: &mut Vec<u8>| {
                let file = Envelope::from_file(file);
                file.is_ok_and(|file| String::from_utf8(file.body).unwrap().contains("gone-1"))
            };
            assert!(0 < cut.files.extract_if(.., asks).count());
        }
    }
}

#[test]
fn an_exporter_cannot_hide_a_silent_host_when_a_record_of_the_collector_follows() {
    let followed = with_a_silent_host(|ledger| ledger.enrol(&stream("new-1", 1), 6));
    check(
        &followed,
        |_, _| {},
        ("enrolments", Verdict::Ok, "4 agents"),
    );
    for (hidden, number, due) in [(&[2, 4][..], 3, 2), (&[3], 4, 3), (&[2, 3, 4], 4, 2)] {
        let part = format!("is record {number} of the collector; {due} is due");
        check(&followed, hide(hidden), ("records", Verdict::Fail, &part));
    }
}

#[test]
fn where_no_record_of_the_collector_follows_it_is_noted() {
    let alone = with_a_silent_host(|_| {});
    let part = "gone-1-g1: silent-tail";
    check(&alone, |_, _| {}, ("silence", Verdict::Note, part));
    // In the middle it is found all the same.
    let part = "entry 3: is record 3 of the collector; 2 is due";
    check(&alone, hide(&[2, 4]), ("records", Verdict::Fail, part));
    let part = "nothing here shows whether it made more than 4 before";
    check(&alone, |_, _| {}, ("enrolments", Verdict::Note, part));
    let part = "nothing here shows whether it made more than 2 before";
    check(
        &alone,
        hide(&[2, 3, 4]),
        ("enrolments", Verdict::Note, part),
    );
}

#[test]
fn a_record_of_the_collector_in_the_first_bundle_cannot_be_hidden() {
    let mut ledger = Ledger::sample();
    while ledger.size() < 512 + 10 {
        ledger.evidence(&stream("web-1", 1), |_| {});
        ledger.evidence(&stream("db-1", 1), |_| {});
    }
    ledger.revoke(&stream("db-1", 1));
    while ledger.size() < 512 + 30 {
        ledger.evidence(&stream("web-1", 1), |_| {});
    }
    for hidden in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut cut = ledger.cut(512 + 20, ledger.size());
        if hidden {
            hide(&[512 + 10])(&ledger, &mut cut);
        }
        ledger.write(dir.path(), cut);
        let report = verify(dir.path(), &ledger.trust()).unwrap();
        let text = report.to_string();
        let part = "entry 522: is of the collector itself and has no record here";
        assert_eq!(text.contains(part), hidden, "{text}");
        assert_eq!(report.exit_status(), u8::from(hidden), "{text}");
    }
}

#[test]
fn an_exporter_cannot_say_something_else_of_the_whole() {
    let ledger = Ledger::sample();
    let check = |change: &dyn Fn(&mut pack::Manifest), claim, verdict, part| {
        check(
            &ledger,
            |_, cut| change(&mut cut.manifest),
            (claim, verdict, part),
        );
    };
    let fail = Verdict::Fail;
    check(
        &|all| all.period.from = at(START - 3),
        "records",
        fail,
        "stands before its first",
    );
    check(
        &|all| all.period.to = at(END - 2),
        "records",
        Verdict::Note,
        "2 entries have a time",
    );
    check(
        &|all| all.ledger.push('0'),
        "manifest",
        fail,
        "names another ledger",
    );
    check(
        &|all| all.end = START - 1,
        "manifest",
        fail,
        "ends before it begins",
    );
    check(
        &|all| all.period.to = at(0),
        "manifest",
        fail,
        "ends before it begins",
    );
    check(
        &|all| all.made = at(END),
        "records",
        fail,
        "at another time than its last entry",
    );
    check(
        &|all| all.exporter = Digest::of(b"x"),
        "manifest",
        fail,
        "names another exporter",
    );
    check(
        &|all| all.format = 2,
        "manifest",
        fail,
        "no manifest of a pack of version 1",
    );
    check(
        &|all| all.start = u64::MAX,
        "checkpoints",
        fail,
        "the manifest says 18446744073709551615",
    );
}

#[test]
fn a_ledger_of_more_entries_than_can_be_looked_at_is_refused_at_once() {
    let ledger = Ledger::sample();
    let invent = |ledger: &Ledger, cut: &mut Cut| {
        let size = 1 << 62;
        cut.manifest.end = size;
        let checkpoint = ledger.invented(size).into_bytes();
        let _true_one = cut
            .files
            .insert(pack::CHECKPOINT_END.to_owned(), checkpoint);
    };
    let part = "more than a pack may have";
    check(&ledger, invent, ("tree", Verdict::Fail, part));
}
