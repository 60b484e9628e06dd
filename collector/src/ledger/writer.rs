//! The one thread that writes the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use shared::checkpoint::Signer;
use shared::durable::{Position, Segments};
use shared::id::Digest;
use shared::leaf::LeafKind;
use shared::merkle::{Edge, leaf_hash};
use tokio::sync::watch;

use super::leaf::{Numbers, leaf_of};
use super::record::Record;
use super::tree::{self, Full};
use super::{Appended, LedgerError, Message, NewEntry, Published, Shared, load};

/// Most entries of a group, unless one submission holds more.
pub(super) const GROUP_ENTRIES_MAX: usize = 256;
/// Bytes after which nothing more is taken into a group.
const GROUP_BYTES: usize = 16 * 1024 * 1024;
/// Full tiles and the checkpoint become files when nothing came for so long, or when so many tiles
/// are due: one costs as much as the sync of a group, and everything that comes meanwhile waits.
const QUIET: Duration = Duration::from_secs(1);
const DUE_MAX: usize = 32;

pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) segments: Segments,
    pub(super) signer: Signer,
    pub(super) growth: watch::Sender<u64>,
    pub(super) waiting_bytes: Arc<AtomicUsize>,
    /// Full tiles and bundles that are no files yet.
    pub(super) due: Vec<Full>,
}

/// The id and the index of each entry of a submission, and the leaf data of new ones.
type Places = Vec<(Digest, u64, Option<String>)>;

/// What one group adds; nothing of it counts before it is on disk.
struct Group {
    records: Vec<Vec<u8>>,
    /// The leaf data, id and number in `records` of each new entry.
    entries: Vec<(Vec<u8>, Digest, usize)>,
    /// The name and number in `records` of each new blob.
    blobs: Vec<(Digest, usize)>,
    /// For each message.
    answers: Vec<Places>,
    /// The entries that put a catalogue in force.
    catalogues: Vec<u64>,
    edge: Edge,
    own: Numbers,
}

impl Group {
    fn add_blob(&mut self, digest: Digest, bytes: &[u8], new: &mut BTreeSet<Digest>) {
        if new.insert(digest) {
            self.blobs.push((digest, self.records.len()));
            self.records.push(Record::Blob { digest, bytes }.encode());
        }
    }

    fn add_entry(&mut self, entry: &NewEntry, id: Digest) -> (u64, String) {
        let index = self.edge.size();
        let leaf = leaf_of(entry, id, self.own);
        self.own.taken(&leaf.origin);
        if leaf.kind == LeafKind::Catalogue {
            self.catalogues.push(index);
        }
        let text = leaf.to_string();
        let data = text.clone().into_bytes();
        self.edge.push(leaf_hash(&data));
        let (leaf, envelope) = (data.as_slice(), entry.envelope.as_slice());
        let record = Record::Entry {
            index,
            leaf,
            envelope,
        }
        .encode();
        self.entries.push((data, id, self.records.len()));
        self.records.push(record);
        (index, text)
    }
}

impl Writer {
    pub(super) fn run(mut self, receiver: &Receiver<Message>) {
        loop {
            match receiver.recv_timeout(QUIET) {
                Ok(first) => self.take(first, receiver),
                Err(RecvTimeoutError::Timeout) => self.write_due(),
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
            if self.segments.is_stopped() {
                return;
            }
            if DUE_MAX <= self.due.len() {
                self.write_due();
            }
        }
    }

    fn take(&mut self, first: Message, receiver: &Receiver<Message>) {
        // Whoever admits goes first, so that a group holds what they have ready when every
        // processor is busy; where one is free this returns at once.
        std::thread::yield_now();
        let messages = self.collect(first, receiver);
        match self.commit(&messages) {
            Ok((places, checkpoint)) => answer(messages, places, &checkpoint),
            Err(error) => {
                refuse(messages, &error);
                tracing::error!(%error, "a group of entries was not written");
            }
        }
    }

    /// Everything that waits already, within the bounds of a group.
    fn collect(&self, first: Message, receiver: &Receiver<Message>) -> Vec<Message> {
        let (mut entries, mut bytes) = (first.ids.len(), first.bytes);
        let mut messages = vec![first];
        while entries < GROUP_ENTRIES_MAX && bytes < GROUP_BYTES {
            let Ok(next) = receiver.try_recv() else { break };
            entries += next.ids.len();
            bytes = bytes.saturating_add(next.bytes);
            messages.push(next);
        }
        let _before = self.waiting_bytes.fetch_sub(bytes, Ordering::AcqRel);
        messages
    }

    /// Makes a group durable, then signs and publishes it.
    fn commit(
        &mut self,
        messages: &[Message],
    ) -> Result<(Vec<Places>, Arc<Published>), LedgerError> {
        let group = self.plan(messages);
        if group.entries.is_empty() && group.blobs.is_empty() {
            let published = Arc::clone(&self.shared.state().published);
            return Ok((group.answers, published));
        }
        let records: Vec<&[u8]> = group.records.iter().map(Vec::as_slice).collect();
        let places = match self.segments.append(&records) {
            Ok(places) => places,
            Err(error) if self.segments.is_stopped() => return Err(self.stop(&error)),
            Err(error) => return Err(LedgerError::NoRoom(Arc::new(error))),
        };
        if let Err(error) = self.segments.sync() {
            return Err(self.stop(&error));
        }
        // From here on the group is promised, whatever happens to this process.
        let (size, root) = (group.edge.size(), group.edge.root());
        let note = self.signer.sign(size, root).to_string();
        let published = Arc::new(Published { size, root, note });
        let answers = self.publish(group, &places, &published);
        Ok((answers, published))
    }

    fn plan(&self, messages: &[Message]) -> Group {
        let state = self.shared.state();
        let mut group = Group {
            records: Vec::new(),
            entries: Vec::new(),
            blobs: Vec::new(),
            answers: Vec::new(),
            catalogues: Vec::new(),
            edge: state.tree.edge().clone(),
            own: state.own,
        };
        let mut new_ids = BTreeMap::new();
        let mut new_blobs = BTreeSet::new();
        for message in messages {
            let blobs = message.submission.blobs.iter();
            for (digest, bytes) in blobs.filter(|(digest, _)| !state.blobs.contains_key(digest)) {
                group.add_blob(*digest, bytes, &mut new_blobs);
            }
            let entries = message.submission.entries.iter().zip(&message.ids);
            let places = entries.map(|(entry, id)| {
                let known = state.ids.get(id).or_else(|| new_ids.get(id)).copied();
                if let Some(index) = known {
                    return (*id, index, None);
                }
                let (index, leaf) = group.add_entry(entry, *id);
                let _none_before = new_ids.insert(*id, index);
                (*id, index, Some(leaf))
            });
            let places = places.collect();
            group.answers.push(places);
        }
        let (size, root) = (group.edge.size(), group.edge.root());
        group.records.push(Record::Commit { size, root }.encode());
        group
    }

    /// Shows a durable group to the readers.
    fn publish(
        &mut self,
        group: Group,
        places: &[Position],
        published: &Arc<Published>,
    ) -> Vec<Places> {
        let mut state = self
            .shared
            .state
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let place = |number: usize| places.get(number).copied().unwrap_or_default();
        for (digest, number) in group.blobs {
            let _none_before = state.blobs.insert(digest, place(number));
        }
        for (data, id, number) in group.entries {
            let index = state.tree.size();
            let _none_before = state.ids.insert(id, index);
            state.entries.push(place(number));
            // Leaf data made by `leaf_of` is always short enough for a bundle.
            self.due.extend(state.tree.push(data).unwrap_or_default());
        }
        state.catalogues.extend(group.catalogues);
        state.own = group.own;
        state.published = Arc::clone(published);
        drop(state);
        let _before = self.growth.send_replace(published.size);
        group.answers
    }

    fn stop(&self, error: &shared::durable::SegmentError) -> LedgerError {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        let reason: Arc<str> = format!("{error}{}", cause.unwrap_or_default()).into();
        let reason = self.shared.stopped.get_or_init(|| reason);
        LedgerError::Stopped(Arc::clone(reason))
    }

    /// Writes full tiles, and then the checkpoint; what fails is tried again later.
    fn write_due(&mut self) {
        if self.due.is_empty() {
            return;
        }
        let shared = &self.shared;
        self.due
            .retain(|full| match tree::write(&shared.dir, full) {
                Ok(()) => {
                    let mut state = shared.state.write().unwrap_or_else(PoisonError::into_inner);
                    state.tree.written(full.path);
                    false
                }
                Err(error) => {
                    tracing::warn!(%error, tile = %full.path, "a tile is not written yet");
                    true
                }
            });
        self.note_down();
    }

    fn note_down(&self) {
        let published = Arc::clone(&self.shared.state().published);
        if let Err(error) = load::write_checkpoint(&self.shared.dir, &published) {
            tracing::warn!(%error, "the checkpoint is not written down");
        }
    }

    fn close(mut self) {
        self.write_due();
        self.note_down();
    }
}

fn answer(messages: Vec<Message>, answers: Vec<Places>, now: &Arc<Published>) {
    for (message, places) in messages.into_iter().zip(answers) {
        let appended = places.into_iter().map(|(id, index, leaf)| {
            let checkpoint = Arc::clone(now);
            Appended {
                id,
                index,
                leaf,
                checkpoint,
            }
        });
        // Who no longer waits for the answer asks again and then gets it.
        drop(message.answer.send(Ok(appended.collect())));
    }
}

fn refuse(messages: Vec<Message>, error: &LedgerError) {
    for message in messages {
        // Who no longer waits for the answer asks again and then gets it.
        drop(message.answer.send(Err(error.clone())));
    }
}
