//! The hashes of the ledger: full tiles as files, the right edge in memory.
//!
//! A tile file is only a copy: it follows from the entries. So it is written after the commit that
//! filled it and written again when it is missing. When it is read it is checked against the tile
//! above it, and computed from the entries when it is wrong; the topmost hashes are always in
//! memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shared::merkle::{self, Edge};
use shared::tile::{self, Content, Tile, TileError, TilePath, WIDTH};

/// A full tile or bundle that is due as a file.
#[derive(Clone, Debug)]
pub(super) struct Full {
    pub(super) path: TilePath,
    pub(super) bytes: Arc<Vec<u8>>,
}

/// What of the tree is in memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    edge: Edge,
    /// By level, the tile that is not full yet.
    levels: Vec<Tile>,
    /// The data of the leaves whose bundle is not full yet.
    leaves: Vec<Vec<u8>>,
    /// Full tiles of hashes that may not be files yet.
    due: BTreeMap<(u8, u64), Tile>,
}

impl Tree {
    pub(super) const fn size(&self) -> u64 {
        self.edge.size()
    }

    pub(super) const fn edge(&self) -> &Edge {
        &self.edge
    }

    /// Adds a leaf; gives the tiles and the bundle that became full.
    pub(super) fn push(&mut self, data: Vec<u8>) -> Result<Vec<Full>, TileError> {
        let mut full = Vec::new();
        let width = usize::from(WIDTH);
        let index = self.edge.size();
        let mut hash = merkle::leaf_hash(&data);
        self.edge.push(hash);
        self.leaves.push(data);
        if self.leaves.len() == width {
            let bytes = Arc::new(tile::encode_bundle(&self.leaves)?);
            self.leaves.clear();
            let number = index >> 8;
            let path = TilePath {
                content: Content::Entries,
                number,
                width: WIDTH,
            };
            full.push(Full { path, bytes });
        }
        for level in 0..=tile::LEVEL_MAX {
            let place = usize::from(level);
            if self.levels.len() <= place {
                self.levels.push(Tile::default());
            }
            let Some(tile) = self.levels.get_mut(place) else {
                break;
            };
            tile.push(hash);
            let Some(root) = tile.root() else {
                break;
            };
            hash = root;
            let tile = std::mem::take(tile);
            let number = index >> (8 * (u32::from(level) + 1));
            let path = TilePath {
                content: Content::Hashes(level),
                number,
                width: WIDTH,
            };
            let bytes = Arc::new(tile::encode_hashes(tile.hashes()));
            full.push(Full { path, bytes });
            let _none_before = self.due.insert((level, number), tile);
        }
        Ok(full)
    }

    /// The tile `number` of `level` as far as it is in memory.
    pub(super) fn tile(&self, level: u8, number: u64) -> Option<&Tile> {
        if let Some(due) = self.due.get(&(level, number)) {
            return Some(due);
        }
        let open = self.levels.get(usize::from(level))?;
        let count = self.size() >> (8 * u32::from(level));
        (number == count >> 8).then_some(open)
    }

    /// The leaves of bundle `number`, if it is the one that is not full yet.
    pub(super) fn open_bundle(&self, number: u64) -> Option<&[Vec<u8>]> {
        (number == self.size() >> 8).then_some(self.leaves.as_slice())
    }

    /// Says that a tile is a file now.
    pub(super) fn written(&mut self, path: TilePath) {
        if let Content::Hashes(level) = path.content {
            drop(self.due.remove(&(level, path.number)));
        }
    }
}

/// Where a tile lies in the folder of the ledger.
pub(super) fn file(dir: &Path, path: TilePath) -> PathBuf {
    dir.join(path.to_string())
}

/// Writes a full tile or bundle, without waiting for the disk.
///
/// After a loss of power the file may be missing or hold anything: it is checked when it is read,
/// and everything in it stands in the segments. Three syncs a tile cost the writer a fifth of its
/// time, for nothing.
pub(super) fn write(dir: &Path, full: &Full) -> io::Result<()> {
    let path = file(dir, full.path);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("new");
    File::create(&beside)?.write_all(&full.bytes)?;
    std::fs::rename(&beside, path)
}
