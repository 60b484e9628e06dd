//! Cuts an evidence pack from the ledger: a period of it, and what that rests on from before.
//!
//! Leaves are read twice, bundle by bundle, and records one at a time, so memory does not grow
//! with the period but for the names in the manifest. The entries of a period are those from the
//! first that was received in it to the last; none in between is left out.
//!
//! Checkpoints at both ends are signed here, over roots that are proven to lead to the checkpoint
//! that the ledger has published, so they contradict nothing. Ed25519 signs the same bytes the
//! same way: the same period gives the same pack, however long the ledger has become since.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use shared::attestation::{Attestation, Statement};
use shared::checkpoint::{Signer, TlogProof};
use shared::decision::{self, Decided, DecisionError, SAID_TYPE, Said};
use shared::dsse::Envelope;
use shared::id::{AgentId, Digest};
use shared::key::SigningKey;
use shared::leaf::{Leaf, LeafError, LeafKind, LeafOrigin};
use shared::merkle::{self, ProofError};
use shared::observed;
use shared::pack::{self, Manifest, Period, WriteError, Writer};
use shared::stream::Stream;
use shared::tile::{self, Content, TileError, TilePath, WIDTH};
use shared::time::{TimeError, Timestamp};

use crate::ledger::{Ledger, LedgerError};

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// A pack cannot be cut.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A bound of the period is no time. The operator must correct it.
    #[error("`{given}` is no date such as 2026-01-31 and no RFC 3339 time")]
    Time {
        /// What was given.
        given: String,
        /// Why.
        #[source]
        source: TimeError,
    },
    /// The period ends before it begins. The operator must correct it.
    #[error("the period ends at {to}, before it begins at {from}")]
    Backwards {
        /// Begin.
        from: Timestamp,
        /// End.
        to: Timestamp,
    },
    /// The ledger cannot be read.
    #[error("the ledger cannot be read")]
    Ledger(#[from] LedgerError),
    /// A bundle of the ledger is not what it must be. The operator runs `fsck`.
    #[error("bundle {number} of the ledger is damaged")]
    Bundle {
        /// Number of the bundle.
        number: u64,
        /// Why.
        #[source]
        source: TileError,
    },
    /// A leaf of the ledger is not what it must be. The operator runs `fsck`.
    #[error("leaf {index} of the ledger is damaged")]
    Leaf {
        /// Place in the ledger.
        index: u64,
        /// Why.
        #[source]
        source: LeafError,
    },
    /// An enrolment or revocation is not signed with the key of decisions.
    #[error("entry {index} is no decision of this collector")]
    Decision {
        /// Place in the ledger.
        index: u64,
        /// Why.
        #[source]
        source: DecisionError,
    },
    /// The ledger does not lead to what it has published: nothing is signed. The operator runs
    /// `fsck`.
    #[error("the first {size} entries are not the beginning of the published ledger")]
    Contradiction {
        /// Number of entries.
        size: u64,
        /// Why.
        #[source]
        source: ProofError,
    },
    /// The folder cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Who cuts a pack, and of what.
#[derive(Debug)]
pub struct Scope<'a> {
    /// Name of the collector.
    pub collector: &'a str,
    /// The period.
    pub period: Period,
    /// Signs the checkpoints at both ends.
    pub ledger: &'a Signer,
    /// Signs the manifest.
    pub decisions: &'a SigningKey,
}

/// What is in a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Entries of the ledger before the period.
    pub start: u64,
    /// Entries of the ledger up to its end.
    pub end: u64,
    /// Records from before the period.
    pub older: u64,
    /// Files that the manifest lists.
    pub files: usize,
}

/// Reads the bounds of a period: RFC 3339 times, or dates in UTC. The date `to` is part of it.
///
/// # Errors
///
/// [`PackError::Time`] or [`PackError::Backwards`].
pub fn period(from: &str, to: &str) -> Result<Period, PackError> {
    let read = |given: &str, whole_day: i64| -> Result<Timestamp, PackError> {
        let date = given.len() == "2026-01-31".len();
        let text = if date {
            format!("{given}T00:00:00Z")
        } else {
            given.to_owned()
        };
        let at: Timestamp = text.parse().map_err(|source| PackError::Time {
            given: given.to_owned(),
            source,
        })?;
        Ok(if date { at.plus_ms(whole_day) } else { at })
    };
    let (from, to) = (read(from, 0)?, read(to, DAY_MS)?);
    if to < from {
        return Err(PackError::Backwards { from, to });
    }
    Ok(Period { from, to })
}

/// Cuts a pack of the period into `dir`, which must be empty or not there.
///
/// A period that ends later than now makes every host look silent until then: the caller ends it.
///
/// # Errors
///
/// [`PackError`]; then `dir` may hold files, but no manifest, so it is no pack.
pub fn write(ledger: &Ledger, scope: &Scope<'_>, dir: &Path) -> Result<Summary, PackError> {
    let selected = Selected::find(ledger, scope)?;
    let (start, end) = (selected.start, selected.end);
    let checkpoints = [start, end].map(|size| checkpoint(ledger, scope.ledger, size));
    let [first, last] = checkpoints;
    let (first, last) = (first?, last?);
    let mut cut = Cut {
        ledger,
        writer: Writer::create(dir)?,
        end,
        checkpoint: last,
    };
    let trusted = scope.ledger.verifier_key();
    let policy = format!("log {trusted}\nquorum none\n");
    cut.writer.add(pack::POLICY, policy.as_bytes())?;
    let exporter = scope.decisions.public();
    cut.writer
        .add(pack::DECISIONS, exporter.to_pem().as_bytes())?;
    cut.writer.add(pack::CHECKPOINT_START, first.as_bytes())?;
    cut.writer
        .add(pack::CHECKPOINT_END, cut.checkpoint.as_bytes())?;
    for path in pack::tiles(start, end) {
        let bytes = ledger.tile(path)?;
        let bytes = bytes.ok_or(LedgerError::OutOfTree {
            index: end,
            size: end,
        })?;
        cut.writer.add(&pack::tile_name(&path), &bytes)?;
    }
    let mut made = scope.period.from;
    for &index in &selected.older {
        let _received = cut.record(index, scope, false)?;
    }
    for index in start..end {
        made = cut.record(index, scope, true)?;
    }
    let manifest = Manifest {
        format: pack::FORMAT,
        collector: scope.collector.to_owned(),
        ledger: trusted.name().to_owned(),
        period: scope.period,
        start,
        end,
        made,
        exporter: exporter.id(),
        tool: concat!("evident-collector/", env!("CARGO_PKG_VERSION")).to_owned(),
    };
    let files = cut.writer.close(manifest, scope.decisions)?;
    let older = u64::try_from(selected.older.len()).unwrap_or(u64::MAX);
    Ok(Summary {
        start,
        end,
        older,
        files,
    })
}

/// Signs a checkpoint over the first `size` entries, after it is shown that the published ledger
/// begins with them.
fn checkpoint(ledger: &Ledger, signer: &Signer, size: u64) -> Result<String, PackError> {
    let published = ledger.published();
    let root = ledger.root(size)?;
    let proof = ledger.consistency(size, published.size)?;
    merkle::verify_consistency(size, published.size, &root, &published.root, &proof)
        .map_err(|source| PackError::Contradiction { size, source })?;
    Ok(signer.sign(size, root).to_string())
}

/// Which entries belong into a pack.
struct Selected {
    start: u64,
    end: u64,
    /// All records of the collector itself, and the last record of each stream, before `start`.
    older: BTreeSet<u64>,
}

impl Selected {
    /// Reads all leaves once.
    fn find(ledger: &Ledger, scope: &Scope<'_>) -> Result<Self, PackError> {
        let size = ledger.published().size;
        let Period { from, to } = scope.period;
        let (mut start, mut end) = (None, 0);
        let mut older = BTreeSet::new();
        let mut last: BTreeMap<Stream, u64> = BTreeMap::new();
        for number in 0..size.div_ceil(u64::from(WIDTH)) {
            for (index, leaf) in bundle(ledger, number, size)? {
                if start.is_none() && from <= leaf.received {
                    start = Some(index);
                }
                if leaf.received < to {
                    end = index + 1;
                }
                if start.is_some() {
                    continue;
                }
                match (leaf.kind, leaf.origin) {
                    (LeafKind::Enrol | LeafKind::Revoke, _) => {
                        let _new = older.insert(index);
                        let ended = ended(ledger, scope, index)?;
                        last.retain(|stream, _| !ended.iter().any(|one| one.ends(stream)));
                    }
                    // All records of the collector itself, so that its numbers have no gap.
                    (
                        LeafKind::Decision
                        | LeafKind::Catalogue
                        | LeafKind::Roster
                        | LeafKind::Redact
                        | LeafKind::Pack,
                        _,
                    ) => {
                        let _new = older.insert(index);
                    }
                    (
                        LeafKind::Evidence,
                        LeafOrigin::Agent {
                            agent, generation, ..
                        },
                    ) => {
                        let stream = Stream { agent, generation };
                        let _older = last.insert(stream, index);
                    }
                    (
                        LeafKind::Evidence,
                        LeafOrigin::Collector { .. } | LeafOrigin::Observer { .. },
                    )
                    | (LeafKind::Observed, _) => {}
                }
            }
        }
        let start = start.unwrap_or(size);
        older.extend(last.into_values());
        Ok(Self {
            start,
            end: end.max(start),
            older,
        })
    }
}

/// The leaves of one bundle, with their places.
fn bundle(ledger: &Ledger, number: u64, size: u64) -> Result<Vec<(u64, Leaf)>, PackError> {
    let first = number.saturating_mul(u64::from(WIDTH));
    let rest = size.saturating_sub(first);
    let path = TilePath {
        content: Content::Entries,
        number,
        width: u16::try_from(rest).map_or(WIDTH, |rest| rest.min(WIDTH)),
    };
    let bytes = ledger.tile(path)?;
    let bytes = bytes.ok_or(LedgerError::OutOfTree { index: first, size })?;
    let leaves = tile::decode_bundle(&bytes);
    let leaves = leaves.map_err(|source| PackError::Bundle { number, source })?;
    (first..)
        .zip(leaves)
        .map(|(index, data)| match Leaf::from_bytes(&data) {
            Ok(leaf) => Ok((index, leaf)),
            Err(source) => Err(PackError::Leaf { index, source }),
        })
        .collect()
}

/// Which streams of an agent an enrolment or a revocation ends.
struct Ended {
    agent: AgentId,
    /// `None` for an enrolment, which ends all before it.
    generation: Option<u64>,
}

impl Ended {
    fn ends(&self, stream: &Stream) -> bool {
        stream.agent == self.agent
            && self
                .generation
                .is_none_or(|generation| generation == stream.generation)
    }
}

fn ended(ledger: &Ledger, scope: &Scope<'_>, index: u64) -> Result<Option<Ended>, PackError> {
    let file = ledger.entry(index)?.envelope;
    let decided = match decided(&file, scope, index) {
        // It is signed here, cannot be read and ended nothing: the verifier says so.
        Err(PackError::Decision {
            source: DecisionError::Statement(_),
            ..
        }) => return Ok(None),
        decided => decided?,
    };
    Ok(match decided {
        Decided::Enrol(enrolled) => Some(Ended {
            agent: enrolled.agent,
            generation: None,
        }),
        Decided::Revoke(revoked) => Some(Ended {
            agent: revoked.agent,
            generation: Some(revoked.generation),
        }),
        Decided::Import(_) | Decided::Person(_) | Decided::Catalogue(_) | Decided::Record(_) => {
            None
        }
    })
}

fn decided(file: &[u8], scope: &Scope<'_>, index: u64) -> Result<Decided, PackError> {
    let opened = decision::open(file, &scope.decisions.public());
    let decision = opened.map_err(|source| PackError::Decision { index, source })?;
    Ok(decision.decides)
}

/// A pack on its way.
struct Cut<'a> {
    ledger: &'a Ledger,
    writer: Writer,
    end: u64,
    checkpoint: String,
}

impl Cut<'_> {
    /// Adds a record, its proof and what it names; gives when it was received.
    fn record(
        &mut self,
        index: u64,
        scope: &Scope<'_>,
        period: bool,
    ) -> Result<Timestamp, PackError> {
        let entry = self.ledger.entry(index)?;
        let (leaf, file) = (&entry.leaf, &entry.envelope);
        let proof = TlogProof {
            extra: Some(leaf.to_string().into_bytes()),
            index,
            hashes: self.ledger.inclusion(index, self.end)?,
            checkpoint: self.checkpoint.clone(),
        };
        let proof = proof.to_string();
        self.writer
            .add(&pack::proof_name(&leaf.id), proof.as_bytes())?;
        self.writer.add(&pack::record_name(&leaf.id), file)?;
        match leaf.kind {
            LeafKind::Enrol => {
                if let Ok(Decided::Enrol(enrolled)) = decided(file, scope, index) {
                    self.blob(&enrolled.statement)?;
                    let stream = Stream {
                        agent: enrolled.agent,
                        generation: enrolled.generation,
                    };
                    let key = enrolled.evidence_key.as_bytes();
                    self.writer.add(&pack::agent_name(&stream), key)?;
                }
            }
            // What is no attestation is given as it is: the verifier says what is wrong with it.
            LeafKind::Evidence if period => {
                if let Ok(attestation) = Attestation::from_file(file.clone()) {
                    for digest in attestation.blobs() {
                        self.blob(&digest)?;
                    }
                }
            }
            LeafKind::Observed if period => {
                if let Ok(sight) = observed::open(file, &scope.decisions.public()) {
                    self.blob(&sight.observation)?;
                }
            }
            LeafKind::Revoke | LeafKind::Decision | LeafKind::Catalogue => {
                self.said(file, scope)?;
            }
            LeafKind::Evidence
            | LeafKind::Observed
            | LeafKind::Roster
            | LeafKind::Redact
            | LeafKind::Pack => {}
        }
        Ok(leaf.received)
    }

    /// Adds what a person said for this decision, and the files that it names. Those of older
    /// decisions are wanted too: what was in force in the period was decided before it.
    fn said(&mut self, file: &[u8], scope: &Scope<'_>) -> Result<(), PackError> {
        let Ok(decision) = decision::open(file, &scope.decisions.public()) else {
            return Ok(());
        };
        if let Decided::Catalogue(catalogue) = &decision.decides {
            for digest in catalogue.files.values() {
                self.blob(digest)?;
            }
        }
        let Some(statement) = decision.statement else {
            return Ok(());
        };
        self.blob(&statement)?;
        let said = self.ledger.blob(&statement)?;
        let said = said.and_then(|file| Envelope::from_file(&file).ok());
        let said =
            said.and_then(|envelope| Statement::<Said>::from_body(&envelope.body, SAID_TYPE).ok());
        for subject in said.iter().flat_map(|said| &said.subject) {
            self.blob(&subject.digest.sha256)?;
        }
        Ok(())
    }

    /// Adds a blob once. One that a host has dropped is not there, and the verifier says so.
    fn blob(&mut self, digest: &Digest) -> Result<(), PackError> {
        let name = pack::blob_name(digest);
        if !self.writer.has(&name)
            && let Some(bytes) = self.ledger.blob(digest)?
        {
            self.writer.add(&name, &bytes)?;
        }
        Ok(())
    }
}
