//! Tiles: the files in which the hashes and the leaves of a ledger are kept and handed out.
//!
//! A tile holds up to 256 hashes of one level; the tiles of level L hold the roots of the complete
//! subtrees of 256^L leaves. A bundle holds the data of up to 256 leaves, each after its length in
//! two bytes. Paths are `tile/<L>/<N>` and `tile/entries/<N>`, with `.p/<W>` behind them while only
//! W of the 256 are there. N is written in groups of three digits, all but the last after an `x`:
//! 1234067 is `x001/x234/067`.
//!
//! Source: C2SP tlog-tiles.

use std::fmt;
use std::str::FromStr;

use crate::id::Digest;
use crate::limits;
use crate::merkle;

/// Most hashes in a tile and most leaves in a bundle.
pub const WIDTH: u16 = 256;

/// Highest level of a tile: a tree of 2^63 leaves has none above it.
pub const LEVEL_MAX: u8 = 7;

/// Bytes or a path are no tile. Whoever wrote them must correct them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// The text is no path of a tile.
    #[error("`{0}` is no path of a tile or of a bundle of entries")]
    Path(String),
    /// The bytes are not 1 to 256 hashes.
    #[error("{0} bytes are no tile: 1 to 256 hashes of 32 bytes are wanted")]
    Hashes(usize),
    /// The bytes are not 1 to 256 leaves.
    #[error("the bytes are no bundle: entry {0} is cut short, too long or one too many")]
    Bundle(usize),
}

/// What a tile holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// Hashes of this level, in steps of 256.
    Hashes(u8),
    /// The data of leaves: a bundle.
    Entries,
}

/// The name of a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TilePath {
    /// What it holds.
    pub content: Content,
    /// Its number in its level.
    pub number: u64,
    /// How many hashes or leaves it holds, 1 to 256.
    pub width: u16,
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.content {
            Content::Hashes(level) => write!(f, "tile/{level}")?,
            Content::Entries => write!(f, "tile/entries")?,
        }
        let digits = format!("{:03}", self.number);
        let digits = format!("{digits:0>width$}", width = digits.len().div_ceil(3) * 3);
        let (groups, _none_is_left) = digits.as_bytes().as_chunks::<3>();
        for (place, &[a, b, c]) in (1..).zip(groups) {
            let mark = if place < groups.len() { "x" } else { "" };
            let [a, b, c] = [a, b, c].map(char::from);
            write!(f, "/{mark}{a}{b}{c}")?;
        }
        if self.width < WIDTH {
            write!(f, ".p/{}", self.width)
        } else {
            Ok(())
        }
    }
}

impl FromStr for TilePath {
    type Err = TileError;

    fn from_str(text: &str) -> Result<Self, TileError> {
        let refused = || TileError::Path(text.chars().take(80).collect());
        let path = parse_path(text).ok_or_else(refused)?;
        // There is one written form: what is printed.
        if path.to_string() == text {
            Ok(path)
        } else {
            Err(refused())
        }
    }
}

fn parse_path(text: &str) -> Option<TilePath> {
    // The longest has level, seven groups and a width.
    let text = text.get(..64.min(text.len()))?.strip_prefix("tile/")?;
    let (content, rest) = text.split_once('/')?;
    let content = match content {
        "entries" => Content::Entries,
        level => Content::Hashes(level.parse().ok().filter(|level| *level <= LEVEL_MAX)?),
    };
    let (number, width) = match rest.split_once(".p/") {
        Some((number, width)) => {
            let width = width.parse().ok();
            (number, width.filter(|width| (1..WIDTH).contains(width))?)
        }
        None => (rest, WIDTH),
    };
    let number = number.replace(['x', '/'], "").parse().ok()?;
    Some(TilePath {
        content,
        number,
        width,
    })
}

/// The tiles and bundles of a tree of `size` leaves, level by level, bundles last.
pub fn paths(size: u64) -> impl Iterator<Item = TilePath> {
    let levels = (0..=LEVEL_MAX).map(move |level| (Content::Hashes(level), size >> (8 * level)));
    levels
        .chain([(Content::Entries, size)])
        .flat_map(|(content, count)| {
            (0..count.div_ceil(u64::from(WIDTH))).map(move |number| {
                let rest = count - number * u64::from(WIDTH);
                let width = u16::try_from(rest).map_or(WIDTH, |rest| rest.min(WIDTH));
                TilePath {
                    content,
                    number,
                    width,
                }
            })
        })
}

/// The level and the number of the tile in which [`Tile::node`] finds a complete subtree of
/// 2^`level` leaves.
pub const fn tile_of(level: u8, index: u64) -> (u8, u64) {
    (level / 8, index >> (8 - level % 8))
}

/// The hashes of a tile with the roots of all complete subtrees over them, so that a proof hashes
/// nothing again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tile {
    /// The hashes, the roots over pairs of them, over fours, and so on up to the root of all 256.
    heights: [Vec<Digest>; 9],
}

impl Tile {
    /// Adds a hash. A full tile stays as it is.
    pub fn push(&mut self, hash: Digest) {
        if usize::from(WIDTH) <= self.hashes().len() {
            return;
        }
        let mut hash = hash;
        for roots in &mut self.heights {
            roots.push(hash);
            let (pairs, rest) = roots.as_chunks::<2>();
            let ([.., [left, right]], []) = (pairs, rest) else {
                break;
            };
            hash = merkle::node_hash(left, right);
        }
    }

    /// The hashes.
    pub fn hashes(&self) -> &[Digest] {
        let [hashes, ..] = &self.heights;
        hashes
    }

    /// The root over all 256 hashes; `None` while the tile is not full.
    pub fn root(&self) -> Option<Digest> {
        let [.., roots] = &self.heights;
        roots.first().copied()
    }

    /// The root of the complete subtree `index` of 2^`level` leaves, which must be in this tile
    /// (see [`tile_of`]); `None` when the tile does not reach that far.
    pub fn node(&self, level: u8, index: u64) -> Option<Digest> {
        let place = usize::try_from(index & (0xff >> (level % 8))).ok()?;
        let roots = self.heights.get(usize::from(level % 8))?;
        roots.get(place).copied()
    }
}

impl FromIterator<Digest> for Tile {
    fn from_iter<I: IntoIterator<Item = Digest>>(hashes: I) -> Self {
        let mut tile = Self::default();
        hashes.into_iter().for_each(|hash| tile.push(hash));
        tile
    }
}

/// The bytes of a tile.
#[must_use]
pub fn encode_hashes(hashes: &[Digest]) -> Vec<u8> {
    let hashes = hashes.iter().map(Digest::as_bytes);
    hashes.flatten().copied().collect()
}

/// Reads the bytes of a tile.
///
/// # Errors
///
/// [`TileError::Hashes`].
pub fn decode_hashes(bytes: &[u8]) -> Result<Vec<Digest>, TileError> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() && (1..=usize::from(WIDTH)).contains(&hashes.len()) {
        Ok(hashes.iter().copied().map(Digest).collect())
    } else {
        Err(TileError::Hashes(bytes.len()))
    }
}

/// The bytes of a bundle.
///
/// # Errors
///
/// [`TileError::Bundle`] when there are none or more than 256 leaves, or one is longer than
/// [`limits::LEAF_BYTES_MAX`].
pub fn encode_bundle<L: AsRef<[u8]>>(leaves: &[L]) -> Result<Vec<u8>, TileError> {
    if !(1..=usize::from(WIDTH)).contains(&leaves.len()) {
        return Err(TileError::Bundle(leaves.len()));
    }
    let mut bytes = Vec::new();
    for (place, leaf) in leaves.iter().enumerate() {
        let leaf = leaf.as_ref();
        let length = u16::try_from(leaf.len()).ok();
        let length = length.filter(|_| leaf.len() <= limits::LEAF_BYTES_MAX);
        let length = length.ok_or(TileError::Bundle(place))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(leaf);
    }
    Ok(bytes)
}

/// Reads the bytes of a bundle.
///
/// # Errors
///
/// [`TileError::Bundle`].
pub fn decode_bundle(bytes: &[u8]) -> Result<Vec<Vec<u8>>, TileError> {
    let mut leaves = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() || leaves.is_empty() {
        let refused = TileError::Bundle(leaves.len());
        let Some((length, behind)) = rest.split_first_chunk::<2>() else {
            return Err(refused);
        };
        let length = usize::from(u16::from_be_bytes(*length));
        let full = usize::from(WIDTH) <= leaves.len() || limits::LEAF_BYTES_MAX < length;
        match behind.split_at_checked(length) {
            Some((leaf, behind)) if !full => {
                leaves.push(leaf.to_vec());
                rest = behind;
            }
            _ => return Err(refused),
        }
    }
    Ok(leaves)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::merkle::{Edge, leaf_hash};

    #[derive(Deserialize)]
    struct Recorded {
        sizes: BTreeMap<u64, BTreeMap<String, RecordedTile>>,
        bundles_600: BTreeMap<String, Digest>,
        path_1234067: String,
    }

    #[derive(Deserialize)]
    struct RecordedTile {
        w: u16,
        sha256: Digest,
    }

    fn recorded() -> Recorded {
        serde_json::from_str(include_str!("../../tests/vectors/tlog/tiles.json")).unwrap()
    }

    /// The hashes of all tile levels over `size` leaves.
    fn levels(size: u64) -> Vec<Vec<Digest>> {
        let leaf = |i| leaf_hash(format!("leaf-{i}\n").as_bytes());
        let mut levels = vec![(0..size).map(leaf).collect::<Vec<_>>()];
        while levels.last().unwrap().len() >= 256 {
            let (full, _) = levels.last().unwrap().as_chunks::<256>();
            let pairs = full.iter().map(|tile| {
                let (left, right) = tile.split_at(128);
                let root = |half: &[Digest]| half.iter().copied().collect::<Edge>().root();
                merkle::node_hash(&root(left), &root(right))
            });
            levels.push(pairs.collect());
        }
        levels
    }

    fn level_of(path: TilePath) -> u8 {
        match path.content {
            Content::Hashes(level) => level,
            Content::Entries => panic!("{path} is a bundle"),
        }
    }

    #[test]
    fn recorded_tiles() {
        for (size, tiles) in recorded().sizes {
            let levels = levels(size);
            let mine: Vec<_> = paths(size)
                .filter(|path| path.content != Content::Entries)
                .collect();
            assert_eq!(mine.len(), tiles.len());
            for path in mine {
                let recorded = &tiles[&path.to_string()];
                assert_eq!(recorded.w, path.width);
                let level = usize::from(level_of(path));
                let from = usize::try_from(path.number).unwrap() * 256;
                let hashes = &levels[level][from..][..usize::from(path.width)];
                let bytes = encode_hashes(hashes);
                assert_eq!(Digest::of(&bytes), recorded.sha256, "{path} of {size}");
                assert_eq!(decode_hashes(&bytes).unwrap(), hashes);
            }
        }
    }

    #[test]
    fn recorded_bundles() {
        let recorded = recorded().bundles_600;
        let mine = paths(600).filter(|path| path.content == Content::Entries);
        let mine: Vec<_> = mine.collect();
        assert_eq!(mine.len(), recorded.len());
        for path in mine {
            let from = path.number * 256;
            let leaves = (from..from + u64::from(path.width)).map(|i| format!("leaf-{i}\n"));
            let leaves: Vec<_> = leaves.map(String::into_bytes).collect();
            let bytes = encode_bundle(&leaves).unwrap();
            assert_eq!(Digest::of(&bytes), recorded[&path.to_string()], "{path}");
            assert_eq!(decode_bundle(&bytes), Ok(leaves));
        }
    }

    #[test]
    fn nodes_come_from_tiles() {
        let levels = levels(70_000);
        let mut read = |level, index| {
            let (tile_level, number) = tile_of(level, index);
            let hashes = &levels[usize::from(tile_level)];
            let from = usize::try_from(number).unwrap() * 256;
            let tile: Tile = hashes[from..hashes.len().min(from + 256)]
                .iter()
                .copied()
                .collect();
            tile.node(level, index).ok_or((level, index))
        };
        let edge: Edge = levels[0].iter().copied().collect();
        assert_eq!(merkle::root(70_000, &mut read), Ok(edge.root()));
        for index in [0, 255, 256, 65_535, 65_536, 69_999] {
            let proof = merkle::inclusion(index, 70_000, &mut read).unwrap();
            let leaf = &levels[0][usize::try_from(index).unwrap()];
            let shown = merkle::verify_inclusion(index, 70_000, leaf, &proof, &edge.root());
            assert_eq!(shown, Ok(()));
        }
        assert_eq!(read(0, 70_000), Err((0, 70_000)));
        assert_eq!(read(4, 70_000 / 16), Err((4, 4375)));
    }

    #[test]
    fn a_tile_has_the_roots_over_its_hashes_and_no_more() {
        let hashes: Vec<Digest> = (0..=256_u16)
            .map(|number| leaf_hash(&number.to_be_bytes()))
            .collect();
        let mut tile = Tile::default();
        for (width, hash) in hashes.iter().enumerate() {
            assert_eq!(tile.hashes(), &hashes[..width]);
            for level in 0..8_u8 {
                for (index, part) in (0..).zip(hashes[..256].chunks(1 << level)) {
                    let there = (usize::try_from(index).unwrap() + 1) << level <= width;
                    let root = part.iter().copied().collect::<Edge>().root();
                    assert_eq!(
                        tile.node(level, index),
                        there.then_some(root),
                        "{level} {index}"
                    );
                    // The same place in another tile of the level, and in the level above.
                    let other = index + (256 >> level);
                    assert_eq!(tile.node(level + 8, other), there.then_some(root));
                }
            }
            let root = hashes[..256].iter().copied().collect::<Edge>().root();
            assert_eq!(tile.root(), (width == 256).then_some(root));
            tile.push(*hash);
        }
        assert_eq!(tile.hashes(), &hashes[..256]);
    }

    #[test]
    fn written_paths() {
        let path = |content, number, width| TilePath {
            content,
            number,
            width,
        };
        let (hashes, entries) = (Content::Hashes(0), Content::Entries);
        let recorded = format!("tile/0/{}", recorded().path_1234067);
        for (text, path) in [
            (recorded.as_str(), path(hashes, 1_234_067, 256)),
            ("tile/entries/000", path(entries, 0, 256)),
            ("tile/7/999.p/1", path(Content::Hashes(7), 999, 1)),
            ("tile/entries/x001/000.p/255", path(entries, 1000, 255)),
            (
                "tile/0/x018/x446/x744/x073/x709/x551/615",
                path(hashes, u64::MAX, 256),
            ),
        ] {
            assert_eq!(path.to_string(), text);
            assert_eq!(text.parse(), Ok(path));
        }
        for bad in [
            "",
            "tile",
            "tile/0",
            "tile/0/",
            "tile/0/0",
            "tile/0/0000",
            "tile/8/000",
            "tile/00/000",
            "tile/-1/000",
            "tile/entry/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p",
            "tile/0/x000/000",
            "tile/0/001/000",
            "tile/0/x001/x000",
            "tile/0/x1/000",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/000/",
            "/tile/0/000",
            "tile/0/../000",
            "tile/0/+00",
            "tile/0/x001/000.p/1.p/1",
        ] {
            assert!(bad.parse::<TilePath>().is_err(), "{bad}");
        }
        assert!("tile/0/000".repeat(100).parse::<TilePath>().is_err());
        assert!("tile/0/\u{e4}".repeat(9).parse::<TilePath>().is_err());
    }

    #[test]
    fn malformed_bytes_are_refused() {
        for length in [0, 1, 31, 33, 32 * 257] {
            assert_eq!(
                decode_hashes(&vec![0; length]),
                Err(TileError::Hashes(length))
            );
        }
        for (bad, place) in [
            (&b""[..], 0),
            (b"\0", 0),
            (b"\0\x01", 0),
            (b"\0\x01a\0", 1),
            (b"\0\x01a\0\x02b", 1),
            (&[0; 2 * 257], 256),
            (&[0xff; 2000], 0),
        ] {
            assert_eq!(decode_bundle(bad), Err(TileError::Bundle(place)), "{place}");
        }
        assert_eq!(decode_bundle(&[0; 2 * 256]), Ok(vec![vec![]; 256]));
        assert_eq!(encode_bundle::<Vec<u8>>(&[]), Err(TileError::Bundle(0)));
        assert_eq!(encode_bundle(&vec![[0]; 257]), Err(TileError::Bundle(257)));
        let long = [vec![], vec![0; limits::LEAF_BYTES_MAX + 1]];
        assert_eq!(encode_bundle(&long), Err(TileError::Bundle(1)));
    }
}
