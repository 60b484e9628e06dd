//! Packs that are cut from a real ledger hold, are always the same, and show every change.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use collector::ledger::{self, Ledger, NewEntry, Submission};
use collector::pack::{PackError, Scope, Summary, period, write};

use shared::attestation::{
    Boot, EVIDENCE_TYPE, Evidence, HostTime, Kind, Position, ProbeRun, Run, Seen, Statement,
    Subject,
};
use shared::checkpoint::Signer;
use shared::decision::{
    DECISION_TYPE, Decided, Decision, ENROLMENT_TYPE, Enrolled, Enrolment, HostClaims,
};
use shared::dsse;
use shared::id::Digest;
use shared::key::SigningKey;
use shared::leaf::LeafKind;
use shared::merkle::EMPTY_ROOT;
use shared::observation::Outcome;
use shared::pack::{self, Manifest, Period, WriteError, Writer};
use shared::time::Timestamp;
use shared::verify::{self, Report, Trust, Verdict};

const OBSERVATION: &str = r#"{"artifacts":[],"facts":{"kernel_synchronised":false},"outcome":"facts","probe":"clock","reason":"","schema":1,"source":[{"kind":"syscall","name":"adjtimex","status":"ok"}]}"#;
const STEP_MS: i64 = 10_000;

fn at(entry: u64) -> Timestamp {
    let begin: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
    begin.plus_ms(i64::try_from(entry).unwrap() * STEP_MS)
}

/// A collector with one host.
struct Site {
    dir: tempfile::TempDir,
    ledger: Ledger,
    signer: Signer,
    decisions: SigningKey,
    host: SigningKey,
    prev: Digest,
    seq: u64,
}

impl Site {
    fn new() -> Self {
        let signer = || Signer::new("c.example/evident/1", &[1; 32]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open_sized(&dir.path().join("ledger"), signer(), 1 << 22).unwrap();
        let mut site = Self {
            dir,
            ledger,
            signer: signer(),
            decisions: SigningKey::from_seed([2; 32]).unwrap(),
            host: SigningKey::from_seed([3; 32]).unwrap(),
            prev: EMPTY_ROOT,
            seq: 0,
        };
        site.enrol();
        site
    }

    fn append(&self, kind: LeafKind, envelope: Vec<u8>, blob: Vec<u8>) -> Digest {
        let stream = (kind == LeafKind::Evidence).then(|| ledger::Stream {
            agent: "web-1".parse().unwrap(),
            generation: 1,
            seq: self.seq,
        });
        let entry = NewEntry {
            kind,
            stream,
            envelope,
            received: at(self.ledger.published().size),
        };
        let submission = Submission {
            entries: vec![entry],
            blobs: vec![(Digest::of(&blob), blob)],
        };
        self.ledger.append_blocking(submission).unwrap()[0].id
    }

    fn enrol(&mut self) {
        let evidence_key = self.host.public().to_pem();
        let asked = Enrolment {
            agent: "web-1".parse().unwrap(),
            nonce: EMPTY_ROOT,
            token: EMPTY_ROOT,
            tls_key: EMPTY_ROOT,
            evidence_key: evidence_key.clone(),
            host: HostClaims {
                name: "web-1".to_owned(),
                system: "Debian 12".to_owned(),
                kernel: "6.1".to_owned(),
                architecture: "x86_64".to_owned(),
            },
        };
        let asked = Statement::new(ENROLMENT_TYPE, Vec::new(), asked);
        let asked = asked.seal(&self.host).unwrap();
        let enrolled = Enrolled {
            agent: "web-1".parse().unwrap(),
            generation: 1,
            evidence_key,
            statement: Digest::of(&asked),
            token: EMPTY_ROOT,
            heartbeat_s: 60,
        };
        let decision = Decision {
            at: at(0),
            by: "operator".to_owned(),
            statement: None,
            decides: Decided::Enrol(enrolled),
        };
        let statement = Statement::new(DECISION_TYPE, Vec::new(), decision);
        let file = statement.seal(&self.decisions).unwrap();
        self.prev = self.append(LeafKind::Enrol, file, asked);
    }

    fn evidence(&mut self, count: u64) {
        for _ in 0..count {
            let seen = self.ledger.published();
            let wall = at(seen.size).plus_ms(-50);
            let evidence = Evidence {
                stream: Position {
                    agent: "web-1".parse().unwrap(),
                    generation: 1,
                    seq: self.seq,
                    prev: self.prev,
                },
                kind: Kind::Evidence,
                boot: Boot {
                    id: "5f0c2b52".to_owned(),
                    mono_ms: wall.unix_ms().unsigned_abs(),
                },
                time: HostTime {
                    wall,
                    synced: true,
                    max_error_ms: 1,
                    exchange: None,
                },
                seen: Seen {
                    size: seen.size,
                    root: seen.root,
                    acked: None,
                },
                run: Run {
                    agent: "evident-agent/0.1.0".to_owned(),
                    binary: EMPTY_ROOT,
                    config: EMPTY_ROOT,
                    due: wall,
                    probes: vec![ProbeRun {
                        probe: "clock".to_owned(),
                        outcome: Outcome::Facts,
                        took_ms: 3,
                    }],
                },
                gap: None,
            };
            let subject = Subject::new("observation/clock", Digest::of(OBSERVATION.as_bytes()));
            let statement = Statement::new(EVIDENCE_TYPE, vec![subject], evidence);
            let file = statement.seal(&self.host).unwrap();
            self.prev = self.append(LeafKind::Evidence, file, OBSERVATION.into());
            self.seq += 1;
        }
    }

    fn cut(&self, name: &str, from: u64, to: u64) -> Result<(PathBuf, Summary), PackError> {
        let dir = self.dir.path().join(name);
        let scope = Scope {
            collector: "c.example",
            period: Period {
                from: at(from),
                to: at(to),
            },
            ledger: &self.signer,
            decisions: &self.decisions,
        };
        write(&self.ledger, &scope, &dir).map(|summary| (dir, summary))
    }

    fn verify(&self, pack: &Path) -> Report {
        let trust = Trust {
            ledger: self.signer.verifier_key().clone(),
            decisions: self.decisions.public().id(),
        };
        verify::verify(pack, &trust).unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "files of a test are small")]
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let bytes = std::fs::read(&path).unwrap();
                drop(files.insert(path.strip_prefix(dir).unwrap().to_owned(), bytes));
            }
        }
    }
    files
}

#[expect(
    clippy::disallowed_methods,
    reason = "the bytes are changed as an enemy would"
)]
fn overwrite(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_pack_holds_and_is_the_same_however_long_the_ledger_has_become() {
    let mut site = Site::new();
    site.evidence(300);
    let (first, summary) = site.cut("first", 258, 290).unwrap();
    let wanted = Summary {
        start: 258,
        end: 290,
        older: 2,
        files: summary.files,
    };
    assert_eq!(summary, wanted);
    // No record of the collector stands behind the beginning of its second bundle.
    let report = site.verify(&first);
    assert_eq!(report.verdict, Verdict::Note, "{report}");
    assert!(
        report
            .to_string()
            .contains("made no record from entry 256 on")
    );
    site.evidence(250);
    let (second, again) = site.cut("second", 258, 290).unwrap();
    assert_eq!(again, summary);
    assert!(files(&first) == files(&second), "the packs differ");
    for (name, from, to) in [
        ("all", 0, 551),
        ("begin", 0, 1),
        ("edge", 256, 512),
        ("late", 600, 601),
    ] {
        let (pack, _) = site.cut(name, from, to).unwrap();
        let report = site.verify(&pack);
        let gone_silent = name == "late";
        let wanted = if gone_silent {
            Verdict::Note
        } else {
            Verdict::Ok
        };
        assert_eq!(report.verdict, wanted, "{name} {report}");
    }
    // Every record of the collector is packed, of whatever kind: they are numbered in one row.
    for kind in [LeafKind::Pack, LeafKind::Roster, LeafKind::Redact] {
        let file = dsse::seal(&site.decisions, kind.as_str().as_bytes());
        let _id = site.append(kind, file, kind.as_str().into());
    }
    site.evidence(300);
    let (pack, summary) = site.cut("own", 830, 840).unwrap();
    assert_eq!(summary.older, 5);
    let report = site.verify(&pack);
    assert_eq!(report.exit_status(), 0, "{report}");
    let error = site.cut("first", 0, 1).unwrap_err();
    assert!(
        matches!(error, PackError::Write(WriteError::NotEmpty(_))),
        "{error}"
    );
}

#[test]
fn a_changed_byte_is_found_by_the_verifier_and_by_the_script() {
    let mut site = Site::new();
    site.evidence(6);
    let (pack, _) = site.cut("pack", 3, 7).unwrap();
    let decisions = site.decisions.public().id().to_string();
    assert_eq!(script(&pack, &decisions), (true, String::new()));
    let (held, said) = script(&pack, &"0".repeat(64));
    assert!(
        !held && said.contains("not the key that you gave"),
        "{said}"
    );
    for (name, bytes) in files(&pack) {
        let mut bad = bytes.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        overwrite(&pack.join(&name), &bad);
        let report = site.verify(&pack);
        assert_eq!(report.exit_status(), 1, "{} {report}", name.display());
        let named = report.to_string().contains(&name.display().to_string());
        assert!(named, "{} {report}", name.display());
        // A script that was changed cannot be asked about itself.
        if name != Path::new(pack::SCRIPT) {
            let (held, said) = script(&pack, &decisions);
            assert!(!held && said.contains("FAIL"), "{} {said}", name.display());
        }
        overwrite(&pack.join(&name), &bytes);
    }
    overwrite(&pack.join("more.txt"), b"x");
    let (held, said) = script(&pack, &decisions);
    assert!(
        !held && said.contains("more.txt is not in the manifest"),
        "{said}"
    );
}

/// Signs a pack again after `change`, as a bad exporter would.
fn sign_again(
    site: &Site,
    pack: &Path,
    name: &str,
    change: impl FnOnce(&mut BTreeMap<PathBuf, Vec<u8>>),
) -> PathBuf {
    let mut files = files(pack);
    let manifest = files.remove(Path::new(pack::MANIFEST)).unwrap();
    let manifest: Statement<Manifest> = serde_json::from_slice(&manifest).unwrap();
    drop(files.remove(Path::new(pack::MANIFEST_DSSE)).unwrap());
    change(&mut files);
    let dir = site.dir.path().join(name);
    let mut writer = Writer::create(&dir).unwrap();
    for (name, bytes) in &files {
        writer.add(name.to_str().unwrap(), bytes).unwrap();
    }
    let _files = writer.close(manifest.predicate, &site.decisions).unwrap();
    dir
}

#[test]
fn the_script_finds_what_a_bad_exporter_signed() {
    let mut site = Site::new();
    site.evidence(4);
    let (pack, _) = site.cut("pack", 3, 5).unwrap();
    let decisions = site.decisions.public().id().to_string();
    let same = sign_again(&site, &pack, "same", |_| {});
    assert!(
        files(&same) == files(&pack),
        "signing again changed the pack"
    );
    let agent = PathBuf::from("trust/agents/web-1-g1.pub.pem");
    let other = sign_again(&site, &pack, "key", |files| {
        let key = site.decisions.public().to_pem();
        drop(files.insert(agent.clone(), key.into()).unwrap());
    });
    let (held, said) = script(&other, &decisions);
    assert!(
        !held && said.contains("not signed with trust/agents/web-1-g1"),
        "{said}"
    );
    let record = PathBuf::from(pack::record_name(&site.prev));
    let misnamed = sign_again(&site, &pack, "name", |files| {
        let bytes = files.remove(&record).unwrap();
        let name = pack::record_name(&EMPTY_ROOT);
        drop(files.insert(name.into(), bytes));
    });
    let (held, said) = script(&misnamed, &decisions);
    assert!(!held && said.contains("the name is not its id"), "{said}");
    let loose = sign_again(&site, &pack, "form", |files| {
        let mut bytes = files.remove(&record).unwrap();
        bytes.insert(1, b' ');
        let name = pack::record_name(&Digest::of(&bytes));
        drop(files.insert(name.into(), bytes));
    });
    let (held, said) = script(&loose, &decisions);
    assert!(!held && said.contains("not a DSSE file"), "{said}");
    for pack in [other, misnamed, loose] {
        assert_eq!(site.verify(&pack).exit_status(), 1);
    }
}

/// Runs the script of a pack: whether it holds, and what it complains of.
#[expect(
    clippy::disallowed_methods,
    reason = "the script is what third parties run"
)]
fn script(pack: &Path, decisions: &str) -> (bool, String) {
    let output = std::process::Command::new("bash")
        .arg(pack.join(pack::SCRIPT))
        .arg(decisions)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), said)
}

#[test]
fn decisions_of_another_key_are_not_packed() {
    let mut site = Site::new();
    site.evidence(3);
    let other = SigningKey::from_seed([9; 32]).unwrap();
    let own = std::mem::replace(&mut site.decisions, other);
    let error = site.cut("pack", 2, 3).unwrap_err();
    assert!(
        matches!(error, PackError::Decision { index: 0, .. }),
        "{error}"
    );
    site.decisions = own;
    assert!(site.cut("pack", 2, 3).is_ok());
}

#[test]
fn bounds_of_a_period() {
    let show = |from, to| period(from, to).map(|period| format!("{} {}", period.from, period.to));
    assert_eq!(
        show("2026-01-01", "2026-03-31").unwrap(),
        "2026-01-01T00:00:00.000Z 2026-04-01T00:00:00.000Z"
    );
    assert_eq!(
        show("2026-01-01T12:00:00Z", "2026-01-01T13:00:00+01:00").unwrap(),
        "2026-01-01T12:00:00.000Z 2026-01-01T12:00:00.000Z"
    );
    for (from, to, part) in [
        ("2026-01-02", "2026-01-01T00:00:00Z", "before it begins"),
        ("2026-02-30", "2026-03-01", "`2026-02-30` is no date"),
        ("2026-01-01", "today", "`today` is no date"),
        ("", "2026-01-01", "`` is no date"),
        ("2026-01-01", "2026-1-01", "is no date"),
        ("\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}", "2026-01-01", "is no date"),
    ] {
        let error = show(from, to).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}
