//! Reading the ledger: entries, blobs, proofs and tiles.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use shared::durable;
use shared::id::Digest;
use shared::leaf::Leaf;
use shared::merkle::{self, ProofError};
use shared::tile::{self, Content, Tile, TilePath, WIDTH};

use super::record::Record;
use super::{Ledger, LedgerError, Published, tree};

/// Most tiles that are kept in memory for proofs: 8 MiB.
const TILES_MAX: usize = 512;

/// Tiles that were read and checked.
pub(super) type TileCache = Mutex<BTreeMap<(u8, u64), Arc<Tile>>>;

/// One entry of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The index.
    pub index: u64,
    /// The leaf.
    pub leaf: Leaf,
    /// The DSSE file.
    pub envelope: Vec<u8>,
}

/// Entries from an index on, in order, up to the size when the iterator was made.
#[derive(Debug)]
pub struct Entries {
    ledger: Ledger,
    next: u64,
    end: u64,
}

impl Iterator for Entries {
    type Item = Result<Entry, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next;
        (index < self.end).then(|| {
            self.next += 1;
            self.ledger.entry(index)
        })
    }
}

impl Ledger {
    /// The last checkpoint.
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.shared.state().published)
    }

    /// The index of the entry with this id.
    pub fn index_of(&self, id: &Digest) -> Option<u64> {
        self.shared.state().ids.get(id).copied()
    }

    /// The entries that put a catalogue in force, in their order.
    pub fn catalogues(&self) -> Vec<u64> {
        self.shared.state().catalogues.clone()
    }

    /// Whether the blob is there.
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.shared.state().blobs.contains_key(digest)
    }

    /// Reads a blob; `None` when it is not there.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Segments`], or [`LedgerError::Record`] when it has another name by now.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>, LedgerError> {
        let position = self.shared.state().blobs.get(digest).copied();
        let Some(position) = position else {
            return Ok(None);
        };
        let payload = self
            .shared
            .reader
            .read(position)
            .map_err(LedgerError::segments)?;
        match Record::decode(&payload) {
            Some(Record::Blob { bytes, .. }) if Digest::of(bytes) == *digest => {
                Ok(Some(bytes.to_vec()))
            }
            _ => Err(LedgerError::Record {
                segment: position.segment(),
                offset: position.offset(),
                what: "it is not the blob that was written there",
            }),
        }
    }

    /// Reads an entry.
    ///
    /// # Errors
    ///
    /// [`LedgerError::OutOfTree`], [`LedgerError::Segments`] or [`LedgerError::Record`].
    pub fn entry(&self, index: u64) -> Result<Entry, LedgerError> {
        let state = self.shared.state();
        let place = usize::try_from(index)
            .ok()
            .and_then(|index| state.entries.get(index));
        let size = state.tree.size();
        let position = place
            .copied()
            .ok_or(LedgerError::OutOfTree { index, size })?;
        drop(state);
        let payload = self
            .shared
            .reader
            .read(position)
            .map_err(LedgerError::segments)?;
        let read = match Record::decode(&payload) {
            Some(Record::Entry {
                index: read,
                leaf,
                envelope,
            }) if read == index => {
                let leaf = Leaf::from_bytes(leaf).ok();
                let leaf = leaf.filter(|leaf| leaf.id == Digest::of(envelope));
                leaf.map(|leaf| Entry {
                    index,
                    leaf,
                    envelope: envelope.to_vec(),
                })
            }
            _ => None,
        };
        read.ok_or(LedgerError::Record {
            segment: position.segment(),
            offset: position.offset(),
            what: "it is not the entry that was written there",
        })
    }

    /// The entries from `index` on that are committed now.
    pub fn entries_from(&self, index: u64) -> Entries {
        let end = self.published().size;
        Entries {
            ledger: self.clone(),
            next: index,
            end,
        }
    }

    /// Builds the proof that entry `index` is in the tree of the first `size` entries.
    ///
    /// # Errors
    ///
    /// [`LedgerError::OutOfTree`] unless `index < size` and the ledger has `size` entries;
    /// [`LedgerError::Tile`] when the entries on disk were changed.
    pub fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Digest>, LedgerError> {
        self.within(index, size, index < size)?;
        merkle::inclusion(index, size, &mut self.nodes())
    }

    /// Builds the proof that the tree of `new` entries begins with that of `old` entries.
    ///
    /// # Errors
    ///
    /// [`LedgerError::OutOfTree`] unless `old <= new` and the ledger has `new` entries;
    /// [`LedgerError::Tile`] when the entries on disk were changed.
    pub fn consistency(&self, old: u64, new: u64) -> Result<Vec<Digest>, LedgerError> {
        self.within(old, new, old <= new)?;
        merkle::consistency(old, new, &mut self.nodes())
    }

    /// The root over the first `size` entries.
    ///
    /// # Errors
    ///
    /// [`LedgerError::OutOfTree`] or [`LedgerError::Tile`].
    pub fn root(&self, size: u64) -> Result<Digest, LedgerError> {
        self.within(size, size, true)?;
        merkle::root(size, &mut self.nodes())
    }

    /// The bytes of a tile or a bundle; `None` while the ledger does not reach that far.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Tile`], [`LedgerError::Segments`] or [`LedgerError::Record`].
    pub fn tile(&self, path: TilePath) -> Result<Option<Vec<u8>>, LedgerError> {
        let first = path.number.checked_mul(u64::from(WIDTH));
        let end = first.and_then(|first| first.checked_add(path.width.into()));
        let level = match path.content {
            Content::Hashes(level) => u32::from(level.min(tile::LEVEL_MAX)),
            Content::Entries => 0,
        };
        let there = self.published().size >> (8 * level);
        let (Some(first), Some(end)) = (first, end.filter(|end| *end <= there)) else {
            return Ok(None);
        };
        if path.width == 0 || WIDTH < path.width {
            return Ok(None);
        }
        if let Content::Hashes(level) = path.content {
            return self.in_tile(level, path.number, |tile| {
                let hashes = tile.hashes().get(..usize::from(path.width));
                hashes.map(tile::encode_hashes)
            });
        }
        let open = self
            .shared
            .state()
            .tree
            .open_bundle(path.number)
            .map(<[_]>::to_vec);
        let leaves = match open {
            Some(mut leaves) => {
                leaves.truncate(path.width.into());
                leaves
            }
            None => (first..end)
                .map(|index| Ok(self.entry(index)?.leaf.to_string().into_bytes()))
                .collect::<Result<_, LedgerError>>()?,
        };
        Ok(tile::encode_bundle(&leaves).ok())
    }

    fn within(&self, index: u64, size: u64, ordered: bool) -> Result<(), LedgerError> {
        let there = self.published().size;
        if !ordered {
            Err(LedgerError::OutOfTree { index, size })
        } else if there < size {
            Err(LedgerError::OutOfTree {
                index: size - 1,
                size: there,
            })
        } else {
            Ok(())
        }
    }

    /// Reads the roots of complete subtrees from tiles.
    fn nodes(&self) -> impl FnMut(u8, u64) -> Result<Digest, LedgerError> {
        |level, index| {
            let (tile_level, number) = tile::tile_of(level, index);
            let node = self.in_tile(tile_level, number, |tile| tile.node(level, index))?;
            node.ok_or_else(|| {
                // Asked only for subtrees inside the tree, whose tiles are in memory or full.
                let size = self.published().size;
                LedgerError::Proof(ProofError::OutOfTree { index, size })
            })
        }
    }

    /// Looks into a tile in memory, or else in its file.
    fn in_tile<T>(
        &self,
        level: u8,
        number: u64,
        look: impl Fn(&Tile) -> T,
    ) -> Result<T, LedgerError> {
        if let Some(tile) = self.shared.state().tree.tile(level, number) {
            return Ok(look(tile));
        }
        Ok(look(self.stored_tile(level, number)?.as_ref()))
    }

    /// A tile from its file when that agrees with the tile above it, or else from the entries.
    ///
    /// A damaged tile must never become a proof: an agent would take it for a forked ledger.
    fn stored_tile(&self, level: u8, number: u64) -> Result<Arc<Tile>, LedgerError> {
        let cache = || {
            self.shared
                .tiles
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(tile) = cache().get(&(level, number)) {
            return Ok(Arc::clone(tile));
        }
        let (content, width) = (Content::Hashes(level), WIDTH);
        let path = TilePath {
            content,
            number,
            width,
        };
        let file = tree::file(&self.shared.dir, path);
        if tile::LEVEL_MAX <= level {
            return Err(LedgerError::Tile(file));
        }
        let place = usize::try_from(number & 0xff).unwrap_or_default();
        let root = self.in_tile(level + 1, number >> 8, |above| {
            above.hashes().get(place).copied()
        })?;
        let agrees = |tile: &Tile| root.is_some() && tile.root() == root;
        let bytes = durable::read(&file, 32 * u64::from(WIDTH)).ok();
        let hashes = bytes.and_then(|bytes| tile::decode_hashes(&bytes).ok());
        let tile: Option<Tile> = hashes.map(|hashes| hashes.into_iter().collect());
        let tile = if let Some(tile) = tile.filter(agrees) {
            tile
        } else {
            tracing::warn!(tile = %path, "a tile file is wrong; it was computed from the entries");
            let tile = self.compute_tile(level, number)?;
            Some(tile).filter(agrees).ok_or(LedgerError::Tile(file))?
        };
        let tile = Arc::new(tile);
        let mut cache = cache();
        if TILES_MAX <= cache.len() {
            // Low levels and old entries first.
            drop(cache.pop_first());
        }
        let _none_before = cache.insert((level, number), Arc::clone(&tile));
        Ok(tile)
    }

    /// A full tile, from the entries or from the tiles below.
    fn compute_tile(&self, level: u8, number: u64) -> Result<Tile, LedgerError> {
        let first = number * u64::from(WIDTH);
        let range = first..first + u64::from(WIDTH);
        match level.checked_sub(1) {
            None => range
                .map(|index| Ok(self.entry(index)?.leaf.hash()))
                .collect(),
            Some(below) => range
                .map(|number| {
                    let below = self.compute_tile(below, number)?;
                    Ok(below.root().unwrap_or(merkle::EMPTY_ROOT))
                })
                .collect(),
        }
    }
}
