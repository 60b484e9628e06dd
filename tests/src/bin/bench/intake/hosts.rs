//! Hosts that are enrolled at the collector and have signed their records already.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use agent::attest::{Circumstances, Matter, Moment, Observed, Program, attest};
use agent::identity::{Enrolling, Identity, enrol};
use anyhow::Context as _;
use collector::fleet::token;
use collector::serve::Intake;
use shared::attestation::{Boot, HostTime, Position, Seen, TreeHead};
use shared::checkpoint::VerifierKey;
use shared::decision::HostClaims;
use shared::dsse::{self, Envelope};
use shared::fact::Facts;
use shared::id::{AgentId, Digest};
use shared::key::{PublicKey, Signature};
use shared::leaf::{LeafKind, LeafOrigin};
use shared::observation::{Artifact, Observation, Outcome};
use shared::receipt::Own;
use shared::wire::{Frame, SubmitAnswer};

use super::client::{self, Answer};
use super::now;

/// Length from which on a record is long enough.
const RECORD_BYTES: usize = 4096;
/// The time between two runs, in milliseconds.
const RUN_MS: i64 = 900_000;

/// An enrolled host and what it has to send.
pub(super) struct Host {
    pub(super) identity: Identity,
    pub(super) key: PublicKey,
    /// What it had seen of the ledger when it enrolled.
    seen: TreeHead,
    files: Vec<Vec<u8>>,
    /// By file, what of it was signed and the signature.
    signatures: Vec<(Vec<u8>, Signature)>,
    /// Whole requests with the files, the first of which holds the blobs too.
    pub(super) requests: Vec<Arc<Vec<u8>>>,
    batch: usize,
}

impl Host {
    /// Enrols over the wire.
    pub(super) async fn enrol(
        intake: &Intake,
        url: &str,
        folder: &Path,
        name: &str,
    ) -> anyhow::Result<Self> {
        let (agent, at): (AgentId, _) = (name.parse()?, now());
        let secret = token::make(
            folder,
            (Some(agent.clone()), "bench"),
            at,
            at.plus_ms(600_000),
        )?;
        let token = format!("evd1_{secret}_{}", intake.authority.fingerprint()).parse()?;
        let host = HostClaims {
            name: name.to_owned(),
            system: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel: "6.1.0".to_owned(),
            architecture: "x86_64".to_owned(),
        };
        let enrolling = Enrolling {
            dir: &folder.join(name),
            url,
            token: &token,
            agent,
            host,
            again: false,
            now: at,
        };
        let mut seen = None;
        let keep = |_spool: &Path, _record, head, _checkpoint: &str| {
            seen = Some(head);
            anyhow::Ok(())
        };
        let identity = enrol(&enrolling, keep).await??;
        Ok(Self {
            key: identity.evidence_key().public(),
            seen: seen.context("nothing was proven")?,
            identity,
            files: Vec::new(),
            signatures: Vec::new(),
            requests: Vec::new(),
            batch: 1,
        })
    }

    /// Signs a chain of so many records, with so many of them in a request.
    pub(super) fn sign(mut self, records: usize, batch: usize) -> anyhow::Result<Self> {
        let run = self.run()?;
        let mut prev = self.identity.record();
        let mut named = Vec::new();
        for seq in 0..u64::try_from(records)? {
            let (record, blobs) = self.record(seq, prev, &run)?;
            prev = record.id();
            let envelope = Envelope::from_file(record.file())?;
            let pae = dsse::pae(&envelope.body);
            self.signatures.push((pae, envelope.signature));
            self.files.push(record.into_file());
            named = blobs;
        }
        for (number, files) in self.files.chunks(batch).enumerate() {
            let mut body = Vec::new();
            if number == 0 {
                for blob in &named {
                    Frame::Blob(blob).write(&mut body);
                }
            }
            for file in files {
                Frame::Attestation(file).write(&mut body);
            }
            let request = client::request(self.seen.size, &body);
            self.requests.push(Arc::new(request));
        }
        self.batch = batch;
        Ok(self)
    }

    fn record(
        &self,
        seq: u64,
        prev: Digest,
        run: &[Observed],
    ) -> anyhow::Result<(shared::attestation::Attestation, Vec<Vec<u8>>)> {
        let due = now().plus_ms(RUN_MS.saturating_mul(i64::try_from(seq)?));
        let program = Program {
            name: "evident-agent/0.1.0".to_owned(),
            binary: Digest::of(b"program"),
            config: Digest::of(b"settings"),
        };
        let at = Circumstances {
            stream: Position {
                agent: self.identity.agent().clone(),
                generation: self.identity.generation(),
                seq,
                prev,
            },
            moment: Moment {
                boot: Boot {
                    id: "1b4e28ba-2fa1-41d2-883f-0016d3cca427".to_owned(),
                    mono_ms: u64::try_from(RUN_MS)? * seq,
                },
                wall: due,
            },
            time: HostTime {
                wall: due,
                synced: true,
                max_error_ms: 12,
                exchange: None,
            },
            seen: Seen {
                size: self.seen.size,
                root: self.seen.root,
                acked: None,
            },
            due,
        };
        Ok(attest(
            self.identity.evidence_key(),
            &program,
            at,
            Matter::Run(run),
        )?)
    }

    /// What four probes saw, with as many copies of files as make a record of 4 KiB.
    fn run(&self) -> anyhow::Result<Vec<Observed>> {
        let mut run: Vec<Observed> = ["backup", "clock", "logging", "updates"]
            .map(|probe| Observed {
                observation: Observation {
                    artifacts: Vec::new(),
                    facts: Facts::new(),
                    outcome: Outcome::Unknown,
                    probe: probe.to_owned(),
                    reason: "a benchmark does not look".to_owned(),
                    schema: 1,
                    source: Vec::new(),
                },
                copies: Vec::new(),
                took_ms: 3,
            })
            .into();
        for number in 0.. {
            let (record, _blobs) = self.record(0, self.identity.record(), &run)?;
            if RECORD_BYTES <= record.file().len() {
                break;
            }
            let copy = format!("{} {number}", self.identity.agent()).into_bytes();
            let updates = run.last_mut().context("there are probes")?;
            updates.observation.artifacts.push(Artifact {
                bytes: u64::try_from(copy.len())?,
                name: format!("/etc/apt/sources.list.d/{number:02}.list"),
                redacted: 0,
                sha256: Digest::of(&copy),
                truncated: false,
            });
            updates.copies.push(copy);
        }
        Ok(run)
    }

    /// Files with what was signed and the signature: all that the bare loop needs.
    pub(super) fn signed(
        &self,
        records: Range<usize>,
    ) -> impl Iterator<Item = (&[u8], &[u8], &Signature)> {
        let signed = self.files.iter().zip(&self.signatures);
        signed
            .skip(records.start)
            .take(records.len())
            .map(|(file, (pae, signature))| (file.as_slice(), pae.as_slice(), signature))
    }

    /// Opens the receipts that were kept, as an agent does.
    pub(super) fn check(&self, answers: &[Answer], key: &VerifierKey) -> anyhow::Result<()> {
        anyhow::ensure!(!answers.is_empty(), "no receipt was kept");
        for (request, json) in answers {
            let answer: SubmitAnswer = serde_json::from_slice(json)?;
            if let Some(refused) = answer.refused {
                anyhow::bail!("record {}: {}", refused.id, refused.problem.title);
            }
            let files = self.files.chunks(self.batch).nth(*request);
            let mut own = Vec::new();
            for (place, file) in files.context("no such request")?.iter().enumerate() {
                let origin = LeafOrigin::Agent {
                    agent: self.identity.agent().clone(),
                    generation: self.identity.generation(),
                    seq: u64::try_from(request * self.batch + place)?,
                };
                own.push(Own {
                    kind: LeafKind::Evidence,
                    origin: Some(origin),
                    id: Digest::of(file),
                });
            }
            let _head = answer.receipt.open(key, &self.seen, &own)?;
        }
        Ok(())
    }
}
