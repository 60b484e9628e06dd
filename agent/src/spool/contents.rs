//! What is in a spool, as reading all of its records tells it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use shared::attestation::{Attestation, AttestationError, TreeHead};
use shared::durable::{Position, Reader};
use shared::id::Digest;
use shared::wire::StreamHead;

use super::SpoolError;
use super::state::State;
use crate::attest::Moment;

/// First byte of a record: what kind it is.
pub(super) const STATE: u8 = 1;
pub(super) const ATTESTATION: u8 = 2;
pub(super) const BLOB: u8 = 3;

/// The live part of a spool: what is where.
#[derive(Debug)]
pub(super) struct Contents {
    folder: PathBuf,
    pub(super) state: State,
    /// Attestations without receipt, by their number.
    pub(super) unsent: BTreeMap<u64, Unsent>,
    /// Blobs that are here.
    pub(super) blobs: BTreeMap<Digest, Held>,
    /// Bytes of all records, also of those that are dead.
    pub(super) written: u64,
}

/// An attestation without receipt.
#[derive(Clone, Debug)]
pub(super) struct Unsent {
    pub(super) id: Digest,
    pub(super) at: Held,
    pub(super) blobs: Vec<Digest>,
}

/// Where a record is, and how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    pub(super) position: Position,
    pub(super) bytes: u64,
}

impl Held {
    pub(super) fn new(position: Position, payload: &[u8]) -> Self {
        let bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        Self { position, bytes }
    }
}

impl Contents {
    pub(super) fn new(folder: &Path, state: State) -> Self {
        Self {
            folder: folder.to_owned(),
            state,
            unsent: BTreeMap::new(),
            blobs: BTreeMap::new(),
            written: 0,
        }
    }

    /// Reads all records of a spool.
    pub(super) fn read(folder: &Path, reader: &Reader) -> Result<Self, SpoolError> {
        let nothing = TreeHead {
            size: 0,
            root: Digest::of(b""),
        };
        let mut contents = Self::new(folder, State::new(Digest::of(b""), nothing, ""));
        let mut begun = false;
        for record in reader.records()? {
            let (position, payload) = record?;
            contents.take(&mut begun, position, &payload)?;
        }
        if !begun {
            return Err(SpoolError::Gone(contents.folder));
        }
        let acked = contents.state.acked;
        let first = acked.map_or(0, |acked| acked.saturating_add(1));
        let mut due = first..contents.state.next_seq();
        if let Some(seq) = due.find(|seq| !contents.unsent.contains_key(seq)) {
            let folder = contents.folder;
            return Err(SpoolError::Missing { folder, seq });
        }
        contents.let_go();
        Ok(contents)
    }

    /// Takes in one record. What stands before the first state was written anew behind it, or is
    /// dead.
    fn take(
        &mut self,
        begun: &mut bool,
        position: Position,
        payload: &[u8],
    ) -> Result<(), SpoolError> {
        let damaged = |what: &dyn std::fmt::Display| SpoolError::Content {
            folder: self.folder.clone(),
            file: position.segment(),
            offset: position.offset(),
            what: what.to_string(),
        };
        let held = Held::new(position, payload);
        self.written = self.written.saturating_add(held.bytes);
        match payload.split_first() {
            Some((&STATE, json)) => {
                self.state = serde_json::from_slice(json).map_err(|error| damaged(&error))?;
                *begun = true;
                let acked = self.state.acked;
                self.unsent
                    .retain(|seq, _| acked.is_none_or(|acked| acked < *seq));
            }
            Some((&BLOB, bytes)) => drop(self.blobs.insert(Digest::of(bytes), held)),
            Some((&ATTESTATION, file)) if *begun => {
                let attestation = Attestation::from_file(file.to_vec())
                    .map_err(|error: AttestationError| damaged(&error))?;
                let seq = attestation.evidence().stream.seq;
                if self.state.acked.is_some_and(|acked| seq <= acked) {
                    return Ok(());
                }
                let due = self.state.next_seq();
                let prev = attestation.evidence().stream.prev;
                if due < seq || (seq == due && prev != self.state.link()) {
                    return Err(damaged(&"the record does not follow the one before"));
                }
                self.entered(&attestation, held);
            }
            Some((&ATTESTATION, _)) => {}
            Some(_) | None => return Err(damaged(&"a record of unknown kind")),
        }
        Ok(())
    }

    /// Bytes of what is live.
    pub(super) fn live_bytes(&self) -> u64 {
        let unsent = self.unsent.values().map(|unsent| unsent.at.bytes);
        unsent
            .chain(self.blobs.values().map(|held| held.bytes))
            .sum()
    }

    /// Notes a record that is on disk.
    pub(super) fn entered(&mut self, attestation: &Attestation, at: Held) {
        let evidence = attestation.evidence();
        let (seq, id) = (evidence.stream.seq, attestation.id());
        let blobs: Vec<Digest> = attestation.blobs().collect();
        if seq == self.state.next_seq() {
            self.state.head = Some(StreamHead { seq, id });
            self.state.last = Some(Moment {
                boot: evidence.boot.clone(),
                wall: evidence.time.wall,
            });
            for probe in &evidence.run.probes {
                drop(self.state.latest.insert(probe.probe.clone(), blobs.clone()));
            }
            if let Some(gap) = &evidence.gap {
                self.state.note_stated(gap);
            }
        }
        self.unsent.insert(seq, Unsent { id, at, blobs });
    }

    /// Notes what a receipt proved, and lets go of it.
    pub(super) fn proven(&mut self, seen: TreeHead, checkpoint: &str, acked: Option<u64>) {
        let state = &mut self.state;
        state.seen = seen;
        checkpoint.clone_into(&mut state.checkpoint);
        state.acked = state.acked.max(acked);
        let acked = state.acked;
        self.unsent.retain(|seq, unsent| {
            let keep = acked.is_none_or(|acked| acked < *seq);
            if !keep {
                state.sent.extend(&unsent.blobs);
            }
            keep
        });
        self.let_go();
    }

    /// Lets go of blobs that nothing names any more.
    pub(super) fn let_go(&mut self) {
        let unsent = self.unsent.values().flat_map(|unsent| &unsent.blobs);
        let named = self.state.latest.values().flatten().chain(unsent);
        let named: BTreeSet<Digest> = named.copied().collect();
        self.blobs.retain(|digest, _| named.contains(digest));
        self.state.sent.retain(|digest| named.contains(digest));
    }

    /// Bytes of the blobs that may be dropped.
    pub(super) fn droppable_bytes(&self) -> u64 {
        let unsent = self.unsent.values().flat_map(|unsent| &unsent.blobs);
        let unsent: BTreeSet<&Digest> = unsent.collect();
        let held = unsent.into_iter().filter_map(|blob| self.blobs.get(blob));
        held.map(|held| held.bytes).sum()
    }

    /// Drops blobs, oldest first, those of the newest observations last, until `bytes` are free or
    /// none is left; notes the loss. Whether anything was dropped.
    pub(super) fn drop_blobs(&mut self, bytes: u64) -> bool {
        let latest: BTreeSet<Digest> = self.state.latest.values().flatten().copied().collect();
        let (mut free, mut dropped) = (0_u64, Vec::new());
        for newest_too in [false, true] {
            let named = self.unsent.iter();
            let named = named.flat_map(|(seq, one)| one.blobs.iter().map(move |blob| (seq, blob)));
            for (seq, blob) in named.filter(|(_, blob)| newest_too || !latest.contains(*blob)) {
                if bytes <= free {
                    break;
                }
                if let Some(held) = self.blobs.remove(blob) {
                    free = free.saturating_add(held.bytes);
                    dropped.push(*seq);
                }
            }
        }
        self.state.note_loss(&dropped);
        !dropped.is_empty()
    }
}
