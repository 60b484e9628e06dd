//! A small ledger in memory, and the packs that a good or a bad exporter cuts from it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::attestation::{
    Attestation, Boot, EVIDENCE_TYPE, Evidence, Gap, HostTime, Kind, Position, ProbeRun, Run, Seen,
    Statement, Subject,
};
use crate::checkpoint::{Signer, TlogProof};
use crate::decision::{
    DECISION_TYPE, Decided, Decision, ENROLMENT_TYPE, Enrolled, Enrolment, HostClaims, Revoked,
    SAID_TYPE, Said,
};
use crate::dsse::Envelope;
use crate::id::Digest;
use crate::key::SigningKey;
use crate::leaf::{Leaf, LeafKind, LeafOrigin};
use crate::merkle::{self, Edge};
use crate::observation::Outcome;
use crate::pack::{self, Manifest, Period, Writer};
use crate::stream::Stream;
use crate::tile::{self, Content};
use crate::time::Timestamp;
use crate::verify::Trust;

pub(super) const OBSERVATION: &str = r#"{"artifacts":[],"facts":{"kernel_synchronised":false},"outcome":"facts","probe":"clock","reason":"","schema":1,"source":[{"kind":"syscall","name":"adjtimex","status":"ok"}]}"#;
pub(super) const ORIGIN: &str = "c.example/evident/1";
/// Time between two entries.
pub(super) const STEP_MS: i64 = 10_000;

/// When entry `index` was received.
pub(super) fn at(index: u64) -> Timestamp {
    let index = i64::try_from(index).unwrap();
    Timestamp::from_unix_ms(1_767_323_000_000 + index * STEP_MS).unwrap()
}

pub(super) struct Ledger {
    signer: Signer,
    pub(super) decisions: SigningKey,
    pub(super) leaves: Vec<Leaf>,
    pub(super) files: BTreeMap<Digest, Vec<u8>>,
    pub(super) blobs: BTreeMap<Digest, Vec<u8>>,
    /// By host: its key, and id of the last record with its number.
    hosts: BTreeMap<Stream, (SigningKey, Digest, u64)>,
    own: u64,
    /// What the probe of every host observes from now on.
    pub(super) observation: String,
    /// What it copies from now on.
    pub(super) copy: Option<String>,
    /// What decisions add to the time when they were made.
    pub(super) late_ms: i64,
    /// The root over the first n entries, for each n.
    roots: Vec<Digest>,
    edge: Edge,
}

/// What goes into a pack before it is signed.
pub(super) struct Cut {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) manifest: Manifest,
}

pub(super) fn stream(agent: &str, generation: u64) -> Stream {
    Stream {
        agent: agent.parse().unwrap(),
        generation,
    }
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self {
            signer: Signer::new(ORIGIN, &[1; 32]).unwrap(),
            decisions: SigningKey::from_seed([2; 32]).unwrap(),
            leaves: Vec::new(),
            files: BTreeMap::new(),
            blobs: BTreeMap::new(),
            hosts: BTreeMap::new(),
            own: 0,
            observation: OBSERVATION.to_owned(),
            copy: None,
            late_ms: 0,
            roots: vec![merkle::EMPTY_ROOT],
            edge: Edge::default(),
        }
    }

    /// Two hosts, and 274 entries by turns.
    pub(super) fn sample() -> Self {
        let mut ledger = Self::new();
        ledger.enrol(&stream("web-1", 1), 3);
        ledger.enrol(&stream("db-1", 1), 4);
        while ledger.size() < 274 {
            ledger.evidence(&stream("web-1", 1), |_| {});
            ledger.evidence(&stream("db-1", 1), |_| {});
        }
        ledger
    }

    pub(super) fn trust(&self) -> Trust {
        Trust {
            ledger: self.signer.verifier_key().clone(),
            decisions: self.decisions.public().id(),
        }
    }

    pub(super) fn size(&self) -> u64 {
        u64::try_from(self.leaves.len()).unwrap()
    }

    pub(super) fn enter(&mut self, kind: LeafKind, origin: LeafOrigin, file: Vec<u8>) -> Digest {
        let id = Digest::of(&file);
        let received = at(self.size());
        self.files.insert(id, file);
        let leaf = Leaf {
            kind,
            origin,
            id,
            received,
        };
        self.edge.push(leaf.hash());
        self.roots.push(self.edge.root());
        self.leaves.push(leaf);
        id
    }

    /// Takes the last entry back.
    pub(super) fn forget_last(&mut self) {
        drop(self.leaves.pop());
        let hashes: Vec<Digest> = self.leaves.iter().map(Leaf::hash).collect();
        self.edge = hashes.into_iter().collect();
        let _last = self.roots.pop();
    }

    /// Enters a decision, which the key of decisions signs.
    pub(super) fn decide(&mut self, kind: LeafKind, decides: Decided) -> Digest {
        let number = self.own;
        self.own += 1;
        self.decide_as(kind, LeafOrigin::Collector { number }, decides)
    }

    /// The same with any number.
    pub(super) fn decide_as(
        &mut self,
        kind: LeafKind,
        origin: LeafOrigin,
        decides: Decided,
    ) -> Digest {
        let decision = Decision {
            at: at(self.size()).plus_ms(self.late_ms),
            by: "operator".to_owned(),
            statement: None,
            decides,
        };
        self.seal_decision(kind, origin, decision)
    }

    /// Enters what a person decided, with the statement and the files that it names.
    pub(super) fn decided(
        &mut self,
        kind: LeafKind,
        (statement, files): (Vec<u8>, Vec<Vec<u8>>),
        change: impl FnOnce(&mut Decision),
    ) {
        let number = self.own;
        self.own += 1;
        let said: Statement<Said> =
            Statement::from_body(&Envelope::from_file(&statement).unwrap().body, SAID_TYPE)
                .unwrap();
        let mut decision = Decision {
            at: at(self.size()),
            by: said.predicate.by.to_string(),
            statement: Some(Digest::of(&statement)),
            decides: said.predicate.decides,
        };
        change(&mut decision);
        for file in files.into_iter().chain([statement]) {
            self.blobs.insert(Digest::of(&file), file);
        }
        self.seal_decision(kind, LeafOrigin::Collector { number }, decision);
    }

    fn seal_decision(&mut self, kind: LeafKind, origin: LeafOrigin, decision: Decision) -> Digest {
        let statement = Statement::new(DECISION_TYPE, Vec::new(), decision);
        let file = statement.seal(&self.decisions).unwrap();
        self.enter(kind, origin, file)
    }

    pub(super) fn revoke(&mut self, stream: &Stream) {
        let revoked = Revoked {
            agent: stream.agent.clone(),
            generation: stream.generation,
            reason: "lost".to_owned(),
        };
        self.decide(LeafKind::Revoke, Decided::Revoke(revoked));
    }

    pub(super) fn enrol(&mut self, stream: &Stream, seed: u8) {
        let key = SigningKey::from_seed([seed; 32]).unwrap();
        let evidence_key = key.public().to_pem();
        let asked = Enrolment {
            agent: stream.agent.clone(),
            nonce: Digest::of(b"nonce"),
            token: Digest::of(b"token"),
            tls_key: Digest::of(b"tls"),
            evidence_key: evidence_key.clone(),
            host: HostClaims {
                name: stream.agent.to_string(),
                system: "Debian 12".to_owned(),
                kernel: "6.1".to_owned(),
                architecture: "x86_64".to_owned(),
            },
        };
        let asked = Statement::new(ENROLMENT_TYPE, Vec::new(), asked);
        let asked = asked.seal(&key).unwrap();
        let statement = Digest::of(&asked);
        self.blobs.insert(statement, asked);
        let enrolled = Enrolled {
            agent: stream.agent.clone(),
            generation: stream.generation,
            evidence_key,
            statement,
            token: Digest::of(b"token"),
            heartbeat_s: 60,
        };
        let id = self.decide(LeafKind::Enrol, Decided::Enrol(enrolled));
        self.hosts.insert(stream.clone(), (key, id, 0));
    }

    /// Enters the next record of a host after `change`; every third is a run of a probe.
    pub(super) fn evidence(&mut self, stream: &Stream, change: impl FnOnce(&mut Evidence)) {
        let size = self.size();
        let (key, prev, seq) = &self.hosts[stream];
        let (kind, probes, subjects) = if seq % 3 == 0 {
            let mut subjects = Vec::new();
            let copied = self.copy.iter().map(|copy| ("artifact/copy", copy));
            for (name, text) in copied.chain([("observation/clock", &self.observation)]) {
                let digest = Digest::of(text.as_bytes());
                self.blobs.insert(digest, text.clone().into());
                subjects.push(Subject::new(name, digest));
            }
            let probe = ProbeRun {
                probe: "clock".to_owned(),
                outcome: Outcome::Facts,
                took_ms: 3,
            };
            (Kind::Evidence, vec![probe], subjects)
        } else {
            let subject = Subject::new("attestation", *prev);
            (Kind::Heartbeat, Vec::new(), vec![subject])
        };
        let mut evidence = Evidence {
            stream: Position {
                agent: stream.agent.clone(),
                generation: stream.generation,
                seq: *seq,
                prev: *prev,
            },
            kind,
            boot: Boot {
                id: "5f0c2b52".to_owned(),
                mono_ms: size * u64::try_from(STEP_MS).unwrap(),
            },
            time: HostTime {
                wall: at(size).plus_ms(-100),
                synced: true,
                max_error_ms: 1,
                exchange: None,
            },
            seen: Seen {
                size: size - 1,
                root: self.root(size - 1),
                acked: seq.checked_sub(2),
            },
            run: Run {
                agent: "evident-agent/0.1.0".to_owned(),
                binary: Digest::of(b"binary"),
                config: Digest::of(b"config"),
                due: at(size),
                probes,
            },
            gap: None,
        };
        change(&mut evidence);
        let (origin, seq) = (
            LeafOrigin::Agent {
                agent: evidence.stream.agent.clone(),
                generation: evidence.stream.generation,
                seq: evidence.stream.seq,
            },
            evidence.stream.seq,
        );
        let statement = Statement::new(EVIDENCE_TYPE, subjects, evidence);
        let file = statement.seal(key).unwrap();
        let id = self.enter(LeafKind::Evidence, origin, file);
        let host = self.hosts.get_mut(stream).unwrap();
        (host.1, host.2) = (id, seq + 1);
    }

    fn hashes(&self, from: u64, to: u64) -> impl Iterator<Item = Digest> {
        let range = usize::try_from(from).unwrap()..usize::try_from(to).unwrap();
        self.leaves[range].iter().map(Leaf::hash)
    }

    #[expect(
        clippy::unnecessary_wraps,
        reason = "proofs are built from what may be missing"
    )]
    fn read(&self, level: u8, index: u64) -> Result<Digest, std::convert::Infallible> {
        let edge: Edge = self.hashes(index << level, (index + 1) << level).collect();
        Ok(edge.root())
    }

    pub(super) fn root(&self, size: u64) -> Digest {
        self.roots[usize::try_from(size).unwrap()]
    }

    pub(super) fn checkpoint(&self, size: u64) -> String {
        self.signer.sign(size, self.root(size)).to_string()
    }

    /// A checkpoint over entries that are nowhere.
    pub(super) fn invented(&self, size: u64) -> String {
        self.signer.sign(size, Digest::of(b"nowhere")).to_string()
    }

    pub(super) fn proof(&self, index: u64, end: u64) -> String {
        let leaf = &self.leaves[usize::try_from(index).unwrap()];
        let mut read = |level, index| self.read(level, index);
        let proof = TlogProof {
            extra: Some(leaf.to_string().into_bytes()),
            index,
            hashes: merkle::inclusion(index, end, &mut read).unwrap(),
            checkpoint: self.checkpoint(end),
        };
        proof.to_string()
    }

    /// What a good exporter puts into a pack of the entries from `start` to `end`.
    pub(super) fn cut(&self, start: u64, end: u64) -> Cut {
        let mut files = BTreeMap::new();
        let ledger = self.signer.verifier_key();
        files.insert(
            pack::POLICY.to_owned(),
            format!("log {ledger}\nquorum none\n").into(),
        );
        let decisions = self.decisions.public();
        files.insert(pack::DECISIONS.to_owned(), decisions.to_pem().into());
        for (stream, (key, ..)) in &self.hosts {
            files.insert(pack::agent_name(stream), key.public().to_pem().into());
        }
        files.insert(
            pack::CHECKPOINT_START.to_owned(),
            self.checkpoint(start).into(),
        );
        files.insert(pack::CHECKPOINT_END.to_owned(), self.checkpoint(end).into());
        for path in pack::tiles(start, end) {
            let from = path.number * 256;
            let range = from..from + u64::from(path.width);
            let bytes = match path.content {
                Content::Entries => {
                    let leaves =
                        range.map(|index| self.leaves[usize::try_from(index).unwrap()].to_string());
                    tile::encode_bundle(&leaves.collect::<Vec<_>>()).unwrap()
                }
                Content::Hashes(level) => {
                    let hashes = range.map(|index| self.read(8 * level, index).unwrap());
                    tile::encode_hashes(&hashes.collect::<Vec<_>>())
                }
            };
            files.insert(pack::tile_name(&path), bytes);
        }
        let mut last = BTreeMap::new();
        let mut wanted = Vec::new();
        for (index, leaf) in (0..end).zip(&self.leaves) {
            match &leaf.origin {
                LeafOrigin::Agent { agent, .. } if index < start => {
                    last.insert(agent.clone(), index);
                }
                LeafOrigin::Observer { .. } if index < start => {}
                LeafOrigin::Agent { .. }
                | LeafOrigin::Collector { .. }
                | LeafOrigin::Observer { .. } => wanted.push(index),
            }
        }
        for index in wanted.into_iter().chain(last.into_values()) {
            let id = self.leaves[usize::try_from(index).unwrap()].id;
            files.insert(pack::record_name(&id), self.files[&id].clone());
            files.insert(pack::proof_name(&id), self.proof(index, end).into());
        }
        self.cut_blobs(start, end, &mut files);
        let made = if start < end { at(end - 1) } else { at(start) };
        let manifest = Manifest {
            format: pack::FORMAT,
            collector: "c.example".to_owned(),
            ledger: ORIGIN.to_owned(),
            period: Period {
                from: at(start),
                to: at(end),
            },
            start,
            end,
            made,
            exporter: decisions.id(),
            tool: "test".to_owned(),
        };
        Cut { files, manifest }
    }

    fn cut_blobs(&self, start: u64, end: u64, files: &mut BTreeMap<String, Vec<u8>>) {
        // Statements of new agents are always wanted, observations only for the period.
        let range = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
        let named: Vec<Digest> = self.leaves[range]
            .iter()
            .filter_map(|leaf| Attestation::from_file(self.files[&leaf.id].clone()).ok())
            .flat_map(|attestation| attestation.blobs().collect::<Vec<_>>())
            .collect();
        for (digest, bytes) in &self.blobs {
            if bytes != OBSERVATION.as_bytes() || named.contains(digest) {
                files.insert(pack::blob_name(digest), bytes.clone());
            }
        }
    }

    /// Signs and writes what was cut.
    pub(super) fn write(&self, dir: &Path, cut: Cut) {
        let mut writer = Writer::create(dir).unwrap();
        for (name, bytes) in &cut.files {
            writer.add(name, bytes).unwrap();
        }
        writer.close(cut.manifest, &self.decisions).unwrap();
    }
}

/// What a host says when its spool was full.
pub(super) fn gap(first: u64, last: u64, blobs: u64) -> Gap {
    Gap {
        first,
        last,
        blobs,
        reason: "spool is full".to_owned(),
    }
}
