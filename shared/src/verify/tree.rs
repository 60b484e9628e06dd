//! The ledger in a pack: its checkpoints, and the leaves and hashes between them.

use std::collections::{BTreeMap, BTreeSet};

use super::files::Pack;
use super::{Claim, Trust};
use crate::attestation::TreeHead;
use crate::checkpoint::Verified;
use crate::id::Digest;
use crate::leaf::Leaf;
use crate::limits;
use crate::merkle;
use crate::pack::{self, Manifest};
use crate::tile::{self, Content, Tile, TilePath, WIDTH};

/// Longest tile, and longest bundle.
const TILE_BYTES_MAX: usize = 256 * 32;
const BUNDLE_BYTES_MAX: usize = 256 * (2 + limits::LEAF_BYTES_MAX);

/// A ledger that holds: its leaves and hashes give the roots that were signed.
pub(super) struct Tree<'a> {
    pack: &'a Pack,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) root: Digest,
    /// The text of the checkpoint at the end.
    pub(super) checkpoint: String,
}

/// A tile is not there, or is not what it must be.
struct Absent;

/// The hashes of the pack, with the last tile of each level at hand.
pub(super) struct Hashes<'a> {
    pack: &'a Pack,
    end: u64,
    held: BTreeMap<u8, (u64, Tile)>,
}

impl<'a> Hashes<'a> {
    const fn new(pack: &'a Pack, end: u64) -> Self {
        Self {
            pack,
            end,
            held: BTreeMap::new(),
        }
    }

    fn tile(&mut self, level: u8, number: u64) -> Result<&Tile, Absent> {
        let held = self.held.get(&level).is_some_and(|held| held.0 == number);
        if !held {
            let count = self.end >> (8 * u32::from(level));
            let rest = count.checked_sub(number.saturating_mul(u64::from(WIDTH)));
            let rest = rest.filter(|rest| 0 < *rest).ok_or(Absent)?;
            let path = TilePath {
                content: Content::Hashes(level),
                number,
                width: u16::try_from(rest).map_or(WIDTH, |rest| rest.min(WIDTH)),
            };
            let read = self.pack.read(&pack::tile_name(&path), TILE_BYTES_MAX);
            let bytes = read.map_err(|_unread| Absent)?;
            let hashes = tile::decode_hashes(&bytes).map_err(|_malformed| Absent)?;
            let tile = hashes.into_iter().collect();
            self.held.insert(level, (number, tile));
        }
        let held = self.held.get(&level).ok_or(Absent)?;
        Ok(&held.1)
    }

    fn read(&mut self, level: u8, index: u64) -> Result<Digest, Absent> {
        let (tile_level, number) = tile::tile_of(level, index);
        let tile = self.tile(tile_level, number)?;
        tile.node(level, index).ok_or(Absent)
    }

    /// The root of the first `size` entries, when the pack holds enough for it.
    pub(super) fn root(&mut self, size: u64) -> Option<Digest> {
        merkle::root(size, &mut |level, index| self.read(level, index)).ok()
    }
}

/// Checks checkpoints, leaves and hashes; `None` when no entry is certain.
pub(super) fn check<'a>(
    pack: &'a Pack,
    trust: &Trust,
    manifest: &Manifest,
    claims: &mut Vec<Claim>,
) -> Option<Tree<'a>> {
    let mut signed = Claim::new("checkpoints");
    let start = open(
        pack,
        pack::CHECKPOINT_START,
        manifest.start,
        trust,
        &mut signed,
    );
    let end = open(pack, pack::CHECKPOINT_END, manifest.end, trust, &mut signed);
    let says = format!(
        "signed by ledger {}, over {} and {} entries",
        trust.ledger.name(),
        manifest.start,
        manifest.end
    );
    claims.push(signed.says(says));
    let (Some((start, _)), Some((end, checkpoint))) = (start, end) else {
        let why = "leaves cannot be checked without both checkpoints";
        claims.push(Claim::blocked("tree", why));
        return None;
    };
    let mut claim = Claim::new("tree");
    tiles(pack, &start, &end, &mut claim);
    roots(pack, &start, &end, &mut claim);
    let holds = claim.problem_count == 0;
    let says = format!(
        "entries {} to {} and the hashes give both roots; the first is the beginning of the second",
        start.size, end.size
    );
    claims.push(claim.says(says));
    holds.then_some(Tree {
        pack,
        start: start.size,
        end: end.size,
        root: end.root,
        checkpoint,
    })
}

fn open(
    pack: &Pack,
    name: &str,
    size: u64,
    trust: &Trust,
    claim: &mut Claim,
) -> Option<(TreeHead, String)> {
    let text = match pack.read_text(name, limits::NOTE_BYTES_MAX) {
        Ok(text) => text,
        Err(error) => {
            claim.unread(name, &error);
            return None;
        }
    };
    match Verified::open(&text, &trust.ledger) {
        Ok(verified) if verified.checkpoint().size == size => {
            let root = verified.checkpoint().root;
            Some((TreeHead { size, root }, text))
        }
        Ok(verified) => {
            let other = verified.checkpoint().size;
            claim.fail(
                name,
                format!("is over {other} entries, the manifest says {size}"),
            );
            None
        }
        Err(error) => {
            claim.fail(name, error);
            None
        }
    }
}

/// Checks that exactly the tiles that belong here are here, and that each fits the one above it.
fn tiles(pack: &Pack, start: &TreeHead, end: &TreeHead, claim: &mut Claim) {
    // The sizes are signed, but whoever signed them may be bad: the work must have an end.
    let due = pack::tile_count(start.size, end.size);
    if usize::try_from(due).map_or(true, |due| pack::FILES_MAX < due) {
        let what = format!("is over entries of {due} tiles, more than a pack may have");
        return claim.fail(pack::CHECKPOINT_END, what);
    }
    let mut hashes = Hashes::new(pack, end.size);
    let mut count = 0;
    for path in pack::tiles(start.size, end.size) {
        count += 1;
        let name = pack::tile_name(&path);
        let wrong = match path.content {
            Content::Entries => bundle(pack, &mut hashes, &path, &name),
            Content::Hashes(level) => tile(pack, &mut hashes, &path, (level, &name)),
        };
        match wrong {
            Ok(None) => {}
            Ok(Some(what)) => claim.fail(&name, what),
            Err(error) => claim.unread(&name, &error),
        }
    }
    if pack.under("ledger/").count() != count + 2 {
        let known: BTreeSet<String> = pack::tiles(start.size, end.size)
            .map(|path| pack::tile_name(&path))
            .collect();
        for name in pack.under("ledger/") {
            let checkpoint = matches!(name, pack::CHECKPOINT_START | pack::CHECKPOINT_END);
            if !checkpoint && !known.contains(name) {
                claim.fail(name, "belongs to no entry of the period");
            }
        }
    }
}

fn tile(
    pack: &Pack,
    hashes: &mut Hashes<'_>,
    path: &TilePath,
    (level, name): (u8, &str),
) -> std::io::Result<Option<&'static str>> {
    let Ok(own) = tile::decode_hashes(&pack.read(name, TILE_BYTES_MAX)?) else {
        return Ok(Some("is no tile"));
    };
    if own.len() != usize::from(path.width) {
        return Ok(Some("holds another number of hashes than its name says"));
    }
    if path.width < WIDTH || tile::LEVEL_MAX <= level {
        return Ok(None);
    }
    let root = own.into_iter().collect::<merkle::Edge>().root();
    match hashes.read(8 * (level + 1), path.number) {
        Ok(above) if above == root => Ok(None),
        Ok(_other) => Ok(Some("does not fit the tile above it")),
        Err(Absent) => Ok(Some("has no tile above it")),
    }
}

fn bundle(
    pack: &Pack,
    hashes: &mut Hashes<'_>,
    path: &TilePath,
    name: &str,
) -> std::io::Result<Option<&'static str>> {
    let Ok(leaves) = tile::decode_bundle(&pack.read(name, BUNDLE_BYTES_MAX)?) else {
        return Ok(Some("is no bundle of leaves"));
    };
    if leaves.len() != usize::from(path.width) {
        return Ok(Some("holds another number of leaves than its name says"));
    }
    let own = leaves.iter().map(|leaf| merkle::leaf_hash(leaf));
    match hashes.tile(0, path.number) {
        Ok(wanted) if own.eq(wanted.hashes().iter().copied()) => Ok(None),
        Ok(_other) => Ok(Some(
            "holds leaves that do not fit the hashes of the ledger",
        )),
        Err(Absent) => Ok(Some("has no tile of hashes")),
    }
}

fn roots(pack: &Pack, start: &TreeHead, end: &TreeHead, claim: &mut Claim) {
    let mut hashes = Hashes::new(pack, end.size);
    for (name, head) in [(pack::CHECKPOINT_START, start), (pack::CHECKPOINT_END, end)] {
        match hashes.root(head.size) {
            Some(root) if root == head.root => {}
            Some(_other) => claim.fail(name, "signs another root than the hashes give"),
            None => claim.fail(name, "signs a root for which hashes are missing"),
        }
    }
    let (old, new) = (start.size, end.size);
    let read = &mut |level, index| hashes.read(level, index);
    let shown = merkle::consistency(old, new, read)
        .map(|proof| merkle::verify_consistency(old, new, &start.root, &end.root, &proof));
    match shown {
        Ok(Ok(())) => {}
        Ok(Err(error)) => claim.fail(pack::CHECKPOINT_START, error),
        Err(Absent) => claim.fail(pack::CHECKPOINT_START, "hashes for its growth are missing"),
    }
}

impl<'a> Tree<'a> {
    pub(super) const fn hashes(&self) -> Hashes<'a> {
        Hashes::new(self.pack, self.end)
    }

    /// Every leaf that the pack holds, in order: those of the period, and some before them.
    ///
    /// A leaf whose text is malformed comes as `None`.
    pub(super) fn leaves(&self) -> impl Iterator<Item = (u64, Option<Leaf>)> {
        let bundles = pack::tiles(self.start, self.end);
        bundles
            .filter(|path| path.content == Content::Entries)
            .flat_map(|path| {
                let bytes = self.pack.read(&pack::tile_name(&path), BUNDLE_BYTES_MAX);
                let leaves = bytes
                    .ok()
                    .and_then(|bytes| tile::decode_bundle(&bytes).ok());
                let first = path.number * u64::from(WIDTH);
                (first..).zip(leaves.unwrap_or_default())
            })
            .map(|(index, data)| (index, Leaf::from_bytes(&data).ok()))
    }
}
