//! A collector in this process, with its own clock, and peers that speak to its real TLS socket.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock, RwLock};

use collector::authority::Authority;
use collector::catalog::Catalog;
use collector::config::Config;
use collector::fleet::{Fleet, token};
use collector::ledger::Ledger;
use collector::observer::Observer;
use collector::register::Register;
use collector::serve::{self, Intake};
use collector::status::Status;
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};
use shared::attestation::{
    Boot, EVIDENCE_TYPE, Evidence, HostTime, Kind, Position, ProbeRun, Run, Seen, Statement,
    Subject, TreeHead,
};
use shared::checkpoint::{Signer, VerifierKey};
use shared::decision::{ENROLMENT_TYPE, Enrolment, HostClaims};
use shared::id::{AgentId, Digest};
use shared::key::SigningKey;
use shared::merkle::EMPTY_ROOT;
use shared::observation::Outcome;
use shared::time::Timestamp;
use shared::wire::{
    self, Code, EnrolAnswer, EnrolRequest, Frame, NonceAnswer, Problem, StreamHead,
};
use tokio::sync::watch;

/// A good observation, as a blob.
pub(crate) const OBSERVATION: &[u8] = br#"{"artifacts":[],"facts":{"container":false,"kernel_synchronised":false},"outcome":"facts","probe":"clock","reason":"","schema":1,"source":[]}"#;

/// A collector that serves.
pub(crate) struct Site {
    pub(crate) intake: Arc<Intake>,
    pub(crate) address: String,
    clock: Arc<AtomicI64>,
    _stop: watch::Sender<bool>,
    _dir: tempfile::TempDir,
}

impl Site {
    pub(crate) async fn start() -> Self {
        static PROVIDER: OnceLock<()> = OnceLock::new();
        PROVIDER.get_or_init(|| {
            rustls::crypto::aws_lc_rs::default_provider()
                .install_default()
                .unwrap();
        });
        let dir = tempfile::tempdir().unwrap();
        // TLS looks at the clock of the machine, so the site begins with it.
        let clock = Arc::new(AtomicI64::new(machine_time().unix_ms()));
        let now = {
            let clock = Arc::clone(&clock);
            move || Timestamp::from_unix_ms(clock.load(Ordering::SeqCst)).unwrap()
        };
        let mut config = Config::default();
        config.intake.listen = ([127, 0, 0, 1], 0).into();
        config.intake.submissions_max = 2;
        let authority = Authority::create(dir.path(), &config, now()).unwrap();
        let signer = Signer::new("localhost/evident/1", authority.ledger.seed()).unwrap();
        let key = signer.verifier_key().clone();
        let ledger = Ledger::open(&dir.path().join("ledger"), signer).unwrap();
        let catalog = Arc::new(Catalog::embedded().unwrap());
        let (status, _fresh) = Status::open(&dir.path().join("status"), catalog).unwrap();
        let decisions = SigningKey::from_seed(*authority.decisions.seed()).unwrap();
        let (observer, door) = Observer::new(ledger.clone(), decisions, Arc::new(now.clone()));
        drop(std::thread::spawn(move || observer.run()));
        let intake = Intake::new(
            dir.path().to_owned(),
            (config, authority, key),
            (
                ledger,
                (Fleet::default(), Register::default()),
                Arc::new(RwLock::new(Some(status))),
            ),
            Arc::new(now),
        );
        let intake = Arc::new(intake.observed(door));
        let listener = serve::listen(&intake.config).await.unwrap();
        let operator = serve::operator::listen(dir.path()).unwrap();
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let (stop, stopped) = watch::channel(false);
        drop(tokio::spawn(serve::serve(
            Arc::clone(&intake),
            listener,
            stopped.clone(),
        )));
        let operators = serve::operator::serve(Arc::clone(&intake), operator, stopped);
        drop(tokio::spawn(operators));
        Self {
            intake,
            address,
            clock,
            _stop: stop,
            _dir: dir,
        }
    }

    /// Moves the collector's clock.
    pub(crate) fn pass(&self, ms: i64) {
        let _before = self.clock.fetch_add(ms, Ordering::SeqCst);
    }

    pub(crate) fn count(&self, code: Code) -> u64 {
        self.intake.counters.of(code)
    }

    /// The operator's socket.
    pub(crate) fn operator(&self) -> PathBuf {
        self.intake.dir.join(serve::operator::SOCKET)
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(self.clock.load(Ordering::SeqCst)).unwrap()
    }

    /// A client that trusts the collector's authority and shows `identity`, if there is one.
    pub(crate) fn client(&self, identity: Option<(&str, &KeyPair)>) -> reqwest::Client {
        let authority = self.intake.authority.certificate_pem().as_bytes();
        let root = reqwest::Certificate::from_pem(authority).unwrap();
        let mut builder = reqwest::Client::builder().tls_certs_only([root]);
        if let Some((certificate, key)) = identity {
            let pem = format!("{certificate}{}", key.serialize_pem());
            builder = builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap());
        }
        builder.build().unwrap()
    }

    /// Sends a body; the answer, or the problem.
    pub(crate) async fn send(
        &self,
        client: &reqwest::Client,
        path: &str,
        body: Vec<u8>,
    ) -> Result<serde_json::Value, Problem> {
        let url = format!("https://{}{path}", self.address);
        let answer = client.post(url).body(body).send().await.unwrap();
        let good = answer.status().is_success();
        let bytes = answer.bytes().await.unwrap();
        if good {
            Ok(serde_json::from_slice(&bytes).unwrap())
        } else {
            Err(serde_json::from_slice(&bytes).unwrap())
        }
    }

    /// What an agent sends to be enrolled under `name`; `change` may spoil it.
    pub(crate) async fn request(
        &self,
        name: &str,
        change: impl FnOnce(&mut Enrolment, &mut String),
    ) -> (SigningKey, KeyPair, EnrolRequest) {
        self.request_with(self.token(Some(name)), name, change)
            .await
    }

    /// The same with a token that names no host.
    pub(crate) async fn request_unbound(&self, name: &str) -> (SigningKey, KeyPair, EnrolRequest) {
        self.request_with(self.token(None), name, |_claim, _token| {})
            .await
    }

    fn token(&self, host: Option<&str>) -> String {
        let until = self.now().plus_ms(3_600_000);
        let host = host.map(|host| host.parse().unwrap());
        token::make(&self.intake.dir, (host, "uid 0"), self.now(), until).unwrap()
    }

    async fn request_with(
        &self,
        mut token: String,
        name: &str,
        change: impl FnOnce(&mut Enrolment, &mut String),
    ) -> (SigningKey, KeyPair, EnrolRequest) {
        let client = self.client(None);
        let nonce = self
            .send(&client, wire::ENROL_NONCE, Vec::new())
            .await
            .unwrap();
        let nonce: NonceAnswer = serde_json::from_value(nonce).unwrap();
        let (key, tls) = (
            SigningKey::generate().unwrap(),
            KeyPair::generate().unwrap(),
        );
        let mut claim = Enrolment {
            agent: name.parse().unwrap(),
            nonce: nonce.nonce,
            token: token::hash(&token),
            tls_key: Digest::of(&tls.subject_public_key_info()),
            evidence_key: key.public().to_pem(),
            host: HostClaims {
                name: name.to_owned(),
                system: "debian 12".to_owned(),
                kernel: "6".to_owned(),
                architecture: "x86_64".to_owned(),
            },
        };
        change(&mut claim, &mut token);
        let statement = Statement::new(ENROLMENT_TYPE, Vec::new(), claim)
            .seal(&key)
            .unwrap();
        let params = CertificateParams::new(Vec::new()).unwrap();
        let request_pem = params.serialize_request(&tls).unwrap().pem().unwrap();
        let statement = String::from_utf8(statement).unwrap();
        (
            key,
            tls,
            EnrolRequest {
                token,
                request_pem,
                statement,
            },
        )
    }

    /// Enrols a peer.
    pub(crate) async fn enrol(&self, name: &str) -> Peer {
        let (key, tls, request) = self.request(name, |_claim, _token| {}).await;
        let body = serde_json::to_vec(&request).unwrap();
        let answer = self
            .send(&self.client(None), wire::ENROL, body)
            .await
            .unwrap();
        let answer: EnrolAnswer = serde_json::from_value(answer).unwrap();
        let ledger_key: VerifierKey = answer.ledger_key.parse().unwrap();
        let own = shared::receipt::Own {
            kind: shared::leaf::LeafKind::Enrol,
            origin: None,
            id: Digest::of(answer.record.as_bytes()),
        };
        let nothing = TreeHead {
            size: 0,
            root: EMPTY_ROOT,
        };
        let seen = answer.receipt.open(&ledger_key, &nothing, &[own]).unwrap();
        Peer {
            client: self.client(Some((&answer.certificate_pem, &tls))),
            agent: answer.agent,
            generation: answer.generation,
            prev: Digest::of(answer.record.as_bytes()),
            certificate: answer.certificate_pem,
            ledger_key,
            key,
            tls,
            seen,
            seq: 0,
        }
    }
}

/// An enrolled agent that can be made to misbehave.
pub(crate) struct Peer {
    pub(crate) client: reqwest::Client,
    pub(crate) agent: AgentId,
    pub(crate) generation: u64,
    pub(crate) key: SigningKey,
    pub(crate) tls: KeyPair,
    pub(crate) certificate: String,
    pub(crate) ledger_key: VerifierKey,
    pub(crate) seen: TreeHead,
    pub(crate) seq: u64,
    pub(crate) prev: Digest,
}

impl Peer {
    /// The next record; `change` may spoil it.
    pub(crate) fn record(&self, site: &Site, change: impl FnOnce(&mut Evidence)) -> Vec<u8> {
        let mut evidence = Evidence {
            stream: Position {
                agent: self.agent.clone(),
                generation: self.generation,
                seq: self.seq,
                prev: self.prev,
            },
            kind: Kind::Evidence,
            boot: Boot {
                id: "boot".to_owned(),
                mono_ms: 1,
            },
            time: HostTime {
                wall: site.now(),
                synced: true,
                max_error_ms: 1,
                exchange: None,
            },
            seen: Seen {
                size: self.seen.size,
                root: self.seen.root,
                acked: self.seq.checked_sub(1),
            },
            run: Run {
                agent: "evident-agent/0".to_owned(),
                binary: Digest::of(b"binary"),
                config: Digest::of(b"config"),
                due: site.now(),
                probes: vec![ProbeRun {
                    probe: "clock".to_owned(),
                    outcome: Outcome::Facts,
                    took_ms: 1,
                }],
            },
            gap: None,
        };
        change(&mut evidence);
        let probes = evidence.run.probes.iter();
        let subject =
            probes.map(|_clock| Subject::new("observation/clock", Digest::of(OBSERVATION)));
        let subject = subject.collect();
        Statement::new(EVIDENCE_TYPE, subject, evidence)
            .seal(&self.key)
            .unwrap()
    }

    /// Submits one record with its blob.
    pub(crate) async fn submit(&self, site: &Site, file: &[u8]) -> Result<usize, Problem> {
        let mut body = Vec::new();
        Frame::Blob(OBSERVATION).write(&mut body);
        Frame::Attestation(file).write(&mut body);
        self.submit_body(site, body).await
    }

    /// Submits a body; how many entries have a receipt, or why not.
    pub(crate) async fn submit_body(&self, site: &Site, body: Vec<u8>) -> Result<usize, Problem> {
        let path = format!("{}?seen={}", wire::SUBMIT, self.seen.size);
        let answer = site.send(&self.client, &path, body).await?;
        let answer: wire::SubmitAnswer = serde_json::from_value(answer).unwrap();
        match answer.refused {
            Some(refused) => Err(refused.problem),
            None => Ok(answer.receipt.entries.len()),
        }
    }

    /// Takes a record as sent.
    pub(crate) fn advance(&mut self, file: &[u8]) {
        self.seq += 1;
        self.prev = Digest::of(file);
    }

    /// Submits a good record, which must be entered.
    pub(crate) async fn good(&mut self, site: &Site) {
        let file = self.record(site, |_evidence| {});
        assert_eq!(self.submit(site, &file).await, Ok(1));
        self.advance(&file);
    }

    /// Where the collector says that the stream stands.
    pub(crate) async fn head(&self, site: &Site) -> Result<Option<StreamHead>, Problem> {
        let hello = wire::Hello {
            generation: self.generation,
            head: None,
            boot: "boot".to_owned(),
            seen: self.seen,
        };
        let body = serde_json::to_vec(&hello).unwrap();
        let answer = site.send(&self.client, wire::HELLO, body).await?;
        let answer: wire::HelloAnswer = serde_json::from_value(answer).unwrap();
        Ok(answer.head)
    }
}

/// The clock of the machine, which TLS uses too.
pub(crate) fn machine_time() -> Timestamp {
    #[expect(clippy::disallowed_methods, reason = "tests are a main of their own")]
    Timestamp::from_system(std::time::SystemTime::now())
}
