//! Tests of enrolment: what a collector may answer, and what is refused of it.

use rcgen::{
    CertificateParams, CertificateSigningRequestParams, CertifiedIssuer, KeyPair, SanType,
};
use shared::checkpoint::Signer;
use shared::leaf::{Leaf, LeafOrigin};
use shared::merkle::Edge;
use shared::receipt::{Entered, Receipt};

use super::*;

/// All that takes part in an enrolment, but the network between.
pub(crate) struct Table {
    pub(crate) dir: PathBuf,
    _folder: tempfile::TempDir,
    authority: CertifiedIssuer<'static, KeyPair>,
    token: Token,
    keys: Keys,
}

impl Table {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(Vec::new()).unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        let token = format!("evd1_{}_{}", "s".repeat(43), Digest::of(authority.der()));
        let folder = tempfile::tempdir().unwrap();
        Self {
            dir: folder.path().join("state"),
            _folder: folder,
            authority,
            token: token.parse().unwrap(),
            keys: Keys {
                evidence: SigningKey::generate().unwrap(),
                tls_pem: certificate::make_key().unwrap(),
            },
        }
    }

    fn enrolling(&self) -> Enrolling<'_> {
        let text = || "x".to_owned();
        Enrolling {
            dir: &self.dir,
            url: "https://collector.example:8443",
            token: &self.token,
            agent: "web-1".parse().unwrap(),
            host: HostClaims {
                name: text(),
                system: text(),
                kernel: text(),
                architecture: text(),
            },
            again: false,
            now: Timestamp::default(),
        }
    }

    fn statement(&self) -> Vec<u8> {
        statement(&self.enrolling(), &self.keys, Digest::of(b"nonce")).unwrap()
    }

    fn certificate(&self, name: &str) -> String {
        let pem = certificate::request(&self.keys.tls_pem, &"web-1".parse().unwrap()).unwrap();
        let mut request = CertificateSigningRequestParams::from_pem(&pem).unwrap();
        request.params.subject_alt_names = vec![SanType::URI(name.try_into().unwrap())];
        request.signed_by(&self.authority).unwrap().pem()
    }

    fn record(&self, edit: impl FnOnce(&mut shared::decision::Enrolled)) -> String {
        let mut enrolled = shared::decision::Enrolled {
            agent: "web-1".parse().unwrap(),
            generation: 1,
            evidence_key: self.keys.evidence.public().to_pem(),
            statement: Digest::of(&self.statement()),
            token: self.token.hash(),
            heartbeat_s: 3600,
        };
        edit(&mut enrolled);
        let decision = Decision {
            at: Timestamp::default(),
            by: "operator".to_owned(),
            statement: None,
            decides: Decided::Enrol(enrolled),
        };
        let file = Statement::new(DECISION_TYPE, Vec::new(), decision);
        let file = file.seal(&SigningKey::from_seed([9; 32]).unwrap()).unwrap();
        String::from_utf8(file).unwrap()
    }

    /// The answer of a collector whose ledger holds `kind` for this record and nothing else.
    fn answer(&self, record: String, kind: LeafKind) -> EnrolAnswer {
        let signer = Signer::new("c.example/evident/1", &[5; 32]).unwrap();
        let leaf = Leaf {
            kind,
            origin: LeafOrigin::Collector { number: 0 },
            id: Digest::of(record.as_bytes()),
            received: Timestamp::default(),
        };
        let mut edge = Edge::default();
        edge.push(leaf.hash());
        EnrolAnswer {
            agent: "web-1".parse().unwrap(),
            generation: 1,
            certificate_pem: self.certificate("spiffe://d/agent/web-1/g1"),
            authority_pem: self.authority.pem(),
            record,
            ledger_key: signer.verifier_key().to_string(),
            receipt: Receipt {
                checkpoint: signer.sign(1, edge.root()).to_string(),
                consistency: Vec::new(),
                entries: vec![Entered {
                    leaf: leaf.to_string(),
                    index: 0,
                    inclusion: Vec::new(),
                }],
            },
            heartbeat_s: 3600,
        }
    }

    pub(crate) fn good(&self) -> EnrolAnswer {
        self.answer(self.record(|_| ()), LeafKind::Enrol)
    }

    fn check(&self, answer: &EnrolAnswer) -> Result<(), String> {
        check(answer, &self.enrolling(), &self.keys, &self.statement())
    }

    /// Keeps an answer as the one in force.
    pub(crate) fn keep(&self, answer: &EnrolAnswer) {
        let (record, _) = proven(answer).unwrap();
        create_closed(&self.dir).unwrap();
        keep(&self.enrolling(), &self.keys, answer, record).unwrap();
        put_in_force(&self.enrolling(), answer, record).unwrap();
    }
}

#[test]
fn the_statement_opens_under_the_key_that_it_names() {
    let table = Table::new();
    let (enrolment, key) = shared::decision::open_enrolment(&table.statement()).unwrap();
    assert_eq!(key, table.keys.evidence.public());
    assert_eq!(enrolment.token, table.token.hash());
    let tls_key = certificate::key_digest(&table.keys.tls_pem).unwrap();
    assert_eq!(enrolment.tls_key, tls_key);
}

#[test]
fn a_good_answer_is_taken() {
    let table = Table::new();
    let answer = table.good();
    assert_eq!(table.check(&answer), Ok(()));
    let (record, seen) = proven(&answer).unwrap();
    assert_eq!(record, Digest::of(answer.record.as_bytes()));
    assert_eq!(seen.size, 1);
}

#[test]
fn answers_about_somebody_else_are_refused() {
    let table = Table::new();
    let other = Table::new();
    let good = table.good();
    let with_record = |record| EnrolAnswer {
        record,
        ..good.clone()
    };
    for (bad, what) in [
        (
            EnrolAnswer {
                agent: "web-2".parse().unwrap(),
                ..good.clone()
            },
            "enrolled `web-2`",
        ),
        (
            EnrolAnswer {
                authority_pem: other.authority.pem(),
                ..good.clone()
            },
            "not the one in",
        ),
        (
            EnrolAnswer {
                generation: 2,
                ..good.clone()
            },
            "the certificate is for",
        ),
        (
            EnrolAnswer {
                certificate_pem: other.certificate("spiffe://d/agent/web-1/g1"),
                ..good.clone()
            },
            "another key",
        ),
        (with_record("{}".to_owned()), "the record"),
        (
            with_record(table.record(|record| record.generation = 2)),
            "somebody else",
        ),
        (
            with_record(table.record(|record| record.token = Digest::of(b""))),
            "somebody else",
        ),
        (
            with_record(table.record(|record| record.statement = Digest::of(b""))),
            "somebody else",
        ),
        (with_record(other.record(|_| ())), "somebody else"),
    ] {
        let error = table.check(&bad).unwrap_err();
        assert!(error.contains(what), "{what}: {error}");
    }
}

#[test]
fn an_enrolment_that_the_ledger_does_not_prove_is_refused() {
    let table = Table::new();
    let good = table.good();
    let other_kind = table.answer(table.record(|_| ()), LeafKind::Decision);
    let mut other_record = good.clone();
    other_record.record = table.record(|record| record.heartbeat_s = 1);
    let mut no_entry = good.clone();
    no_entry.receipt.entries.clear();
    let mut other_key = good;
    let key = Signer::new("c.example/evident/1", &[6; 32]).unwrap();
    other_key.ledger_key = key.verifier_key().to_string();
    for bad in [other_kind, other_record, no_entry, other_key] {
        assert!(matches!(proven(&bad), Err(EnrolError::Receipt(_))));
    }
}

#[test]
fn nothing_is_asked_for_when_the_host_is_enrolled() {
    let table = Table::new();
    table.keep(&table.good());
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    let result = runtime.block_on(enrol(&table.enrolling(), |_, _, _, _| Ok::<(), ()>(())));
    assert!(matches!(
        result,
        Err(EnrolError::Already { generation: 1, .. })
    ));
    // An identity that is damaged is not given up silently.
    for bytes in [&b"{}"[..], b""] {
        durable::write(&table.dir.join(IDENTITY), bytes, 0o600).unwrap();
        let result = runtime.block_on(enrol(&table.enrolling(), |_, _, _, _| Ok::<(), ()>(())));
        let error = result.unwrap_err();
        assert!(matches!(error, EnrolError::Identity(_)), "{error:?}");
        assert!(error.hint().unwrap().contains("enrol --again"));
    }
}
