//! Opening the ledger: every record is read, the tree is computed and compared with the commits.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared::checkpoint::{Signer, Verified};
use shared::durable::{self, Position, Reader};
use shared::id::Digest;
use shared::leaf::{Leaf, LeafKind};
use shared::limits;
use shared::merkle::Edge;

use super::leaf::Numbers;
use super::record::Record;
use super::tree::{self, Full, Tree};
use super::{LedgerError, Published};

/// Everything that is committed, as far as it is in memory.
#[derive(Debug)]
pub(super) struct State {
    /// The place of each entry.
    pub(super) entries: Vec<Position>,
    /// The index of each id; of equal ids the first.
    pub(super) ids: BTreeMap<Digest, u64>,
    /// The place of each blob.
    pub(super) blobs: BTreeMap<Digest, Position>,
    /// The entries that put a catalogue in force.
    pub(super) catalogues: Vec<u64>,
    pub(super) tree: Tree,
    /// The next numbers of the collector's own records.
    pub(super) own: Numbers,
    pub(super) published: Arc<Published>,
}

/// What to do with full tiles that are no files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tiles {
    Write,
    Leave,
}

pub(super) struct Loaded {
    pub(super) state: State,
    /// Records stand behind the last commit, and must be declared void before the next is written.
    pub(super) void: bool,
}

/// Entries and blobs whose commit was not read yet.
#[derive(Default)]
struct Pending {
    entries: Vec<(Position, Vec<u8>)>,
    blobs: Vec<(Digest, Position)>,
}

pub(super) fn load(
    dir: &Path,
    reader: &Reader,
    signer: &Signer,
    tiles: Tiles,
) -> Result<Loaded, LedgerError> {
    let promised = read_checkpoint(dir, signer)?;
    let mut loading = Loading::default();
    if promised.as_ref().is_some_and(|promised| promised.size == 0) {
        loading.signed_root = Some(Edge::default().root());
    }
    for record in reader.records().map_err(LedgerError::segments)? {
        let (position, payload) = record.map_err(LedgerError::segments)?;
        let refused = |what| LedgerError::Record {
            segment: position.segment(),
            offset: position.offset(),
            what,
        };
        loading
            .take(position, &payload, promised.as_ref())
            .map_err(refused)?;
        for full in loading.full.drain(..) {
            let file = tree::file(dir, full.path);
            let length = file.metadata().map_or(0, |file| file.len());
            let same = u64::try_from(full.bytes.len()).is_ok_and(|bytes| bytes == length);
            if same {
                loading.tree.written(full.path);
            } else if tiles == Tiles::Write {
                tree::write(dir, &full).map_err(LedgerError::machine("write", &file))?;
                loading.tree.written(full.path);
            }
        }
    }
    let (size, root) = (loading.tree.size(), loading.tree.edge().root());
    if let Some(Published {
        size: promised,
        root,
        ..
    }) = promised
    {
        if size < promised {
            return Err(LedgerError::Behind {
                stored: size,
                signed: promised,
            });
        }
        if loading.signed_root != Some(root) {
            return Err(LedgerError::Contradiction(promised));
        }
    }
    let note = signer.sign(size, root).to_string();
    let Loading {
        entries,
        ids,
        blobs,
        catalogues,
        tree,
        own,
        pending,
        ..
    } = loading;
    let void = !pending.entries.is_empty() || !pending.blobs.is_empty();
    let published = Arc::new(Published { size, root, note });
    let state = State {
        entries,
        ids,
        blobs,
        catalogues,
        tree,
        own,
        published,
    };
    Ok(Loaded { state, void })
}

#[derive(Default)]
struct Loading {
    entries: Vec<Position>,
    ids: BTreeMap<Digest, u64>,
    blobs: BTreeMap<Digest, Position>,
    catalogues: Vec<u64>,
    tree: Tree,
    own: Numbers,
    pending: Pending,
    full: Vec<Full>,
    /// The root at the size of the checkpoint beside the ledger.
    signed_root: Option<Digest>,
}

impl Loading {
    fn take(
        &mut self,
        position: Position,
        payload: &[u8],
        signed: Option<&Published>,
    ) -> Result<(), &'static str> {
        match Record::decode(payload).ok_or("it has an unknown form")? {
            Record::Blob { digest, .. } => self.pending.blobs.push((digest, position)),
            Record::Entry { index, leaf, .. } => {
                let waiting = u64::try_from(self.pending.entries.len()).unwrap_or(u64::MAX);
                if index != self.tree.size().saturating_add(waiting) {
                    return Err("the index of the entry does not follow the one before");
                }
                self.pending.entries.push((position, leaf.to_vec()));
            }
            Record::Commit { size, root } => {
                self.commit(signed)?;
                if (size, root) != (self.tree.size(), self.tree.edge().root()) {
                    return Err("the commit has another size or root than the entries before it");
                }
            }
            Record::Void => self.pending = Pending::default(),
        }
        Ok(())
    }

    fn commit(&mut self, signed: Option<&Published>) -> Result<(), &'static str> {
        let Pending { entries, blobs } = std::mem::take(&mut self.pending);
        self.blobs.extend(blobs);
        for (position, data) in entries {
            let leaf =
                Leaf::from_bytes(&data).map_err(|_malformed| "the leaf data is malformed")?;
            self.own.taken(&leaf.origin);
            if leaf.kind == LeafKind::Catalogue {
                self.catalogues.push(self.tree.size());
            }
            let _first = self.ids.entry(leaf.id).or_insert(self.tree.size());
            self.entries.push(position);
            let full = self
                .tree
                .push(data)
                .map_err(|_too_long| "the leaf data is too long")?;
            self.full.extend(full);
            if signed.is_some_and(|signed| signed.size == self.tree.size()) {
                self.signed_root = Some(self.tree.edge().root());
            }
        }
        Ok(())
    }
}

pub(super) fn checkpoint_file(dir: &Path) -> PathBuf {
    dir.join("checkpoint")
}

/// Writes down what was signed.
pub(super) fn write_checkpoint(dir: &Path, published: &Published) -> Result<(), LedgerError> {
    let path = checkpoint_file(dir);
    durable::write(&path, published.note.as_bytes(), 0o600)
        .map_err(LedgerError::machine("write", &path))
}

/// The checkpoint that was written down, if there is one.
fn read_checkpoint(dir: &Path, signer: &Signer) -> Result<Option<Published>, LedgerError> {
    let path = checkpoint_file(dir);
    let bytes_max = u64::try_from(limits::NOTE_BYTES_MAX).unwrap_or(u64::MAX);
    let note = match durable::read_text(&path, bytes_max) {
        Ok(note) => note,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(LedgerError::machine("read", &path)(error)),
    };
    let verified = Verified::open(&note, signer.verifier_key());
    let verified = verified.map_err(|source| LedgerError::OtherKey { path, source })?;
    let (size, root) = (verified.checkpoint().size, verified.checkpoint().root);
    Ok(Some(Published { size, root, note }))
}
