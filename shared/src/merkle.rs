//! The Merkle tree of the ledger: hashes, roots, proofs and how they are checked.
//!
//! A leaf is hashed as SHA-256(0x00 || data), a node as SHA-256(0x01 || left || right), the empty
//! tree as SHA-256(""). A tree of n leaves splits at the largest power of two below n, so every
//! complete subtree of 2^level leaves keeps its hash for ever; (level, index) names it. Whoever
//! builds a proof says how to read such hashes, and this file knows nothing of where they lie.
//!
//! Source: RFC 6962 section 2.1, RFC 9162 sections 2.1.3.2 and 2.1.4.2.

use sha2::Digest as _;

use crate::id::Digest;
use crate::limits;

/// The hash of the tree without leaves: SHA-256 of nothing.
pub const EMPTY_ROOT: Digest = Digest([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

/// Most leaves of a tree, 2^63: then no step of the arithmetic overflows.
pub const SIZE_MAX: u64 = 1 << 63;

/// A proof does not show what it was given for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The index is outside the tree, or the tree is larger than 2^63. The caller mixed two trees.
    #[error("entry {index} is not in a tree of {size} entries")]
    OutOfTree {
        /// The index asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The second tree is smaller than the first. Whoever signed both must explain it.
    #[error("a ledger of {old} entries cannot become one of {new}")]
    Shrunk {
        /// Size of the first tree.
        old: u64,
        /// Size of the second tree.
        new: u64,
    },
    /// The number of hashes does not fit the sizes. Whoever made the proof must correct it.
    #[error("{given} hashes are no proof for these sizes")]
    Length {
        /// The number of hashes given.
        given: usize,
    },
    /// The proof leads to another root. The proof, the leaf or the root is false.
    #[error("the proof leads to root {computed}, not to {claimed}")]
    OtherRoot {
        /// The root that the proof leads to.
        computed: Digest,
        /// The root that was to be shown.
        claimed: Digest,
    },
}

/// The hash of the leaf that holds `data`.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Digest {
    let hash = sha2::Sha256::new()
        .chain_update([0x00])
        .chain_update(data)
        .finalize();
    Digest(hash.into())
}

/// The hash of the node above `left` and `right`.
#[must_use]
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    let hash = sha2::Sha256::new()
        .chain_update([0x01])
        .chain_update(left.as_bytes())
        .chain_update(right.as_bytes())
        .finalize();
    Digest(hash.into())
}

/// A tree of which only the right edge is kept: enough to add leaves and to know the root.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    /// The roots of the complete subtrees that make up the tree, largest first: one for each bit
    /// that is set in `size`.
    peaks: Vec<Digest>,
}

impl Edge {
    /// The number of leaves.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf by its hash. A full tree of 2^63 leaves stays as it is.
    pub fn push(&mut self, leaf: Digest) {
        if SIZE_MAX <= self.size {
            return;
        }
        let mut hash = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The root of the leaves so far.
    #[must_use]
    pub fn root(&self) -> Digest {
        join(&self.peaks)
    }
}

impl Extend<Digest> for Edge {
    fn extend<I: IntoIterator<Item = Digest>>(&mut self, leaves: I) {
        leaves.into_iter().for_each(|leaf| self.push(leaf));
    }
}

impl FromIterator<Digest> for Edge {
    fn from_iter<I: IntoIterator<Item = Digest>>(leaves: I) -> Self {
        let mut edge = Self::default();
        edge.extend(leaves);
        edge
    }
}

/// Reads the root of the first `size` leaves.
///
/// `read(level, index)` gives the root of the complete subtree over the leaves from
/// `index << level` to `(index + 1) << level`; it is asked only for subtrees inside the tree.
///
/// # Errors
///
/// What `read` answers.
pub fn root<E>(
    size: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Digest, E>,
) -> Result<Digest, E> {
    range(0, size, read)
}

/// Builds the proof that entry `index` is in the tree of `size` entries, from the leaf upwards.
///
/// It is empty for a tree of one entry, and for an index outside the tree, where no proof exists.
///
/// # Errors
///
/// What `read` answers; see [`root`].
///
/// Source: RFC 6962 section 2.1.1.
pub fn inclusion<E>(
    index: u64,
    size: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    while index < size && end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range(middle, end, read)?);
            end = middle;
        } else {
            proof.push(range(start, middle, read)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Builds the proof that the tree of `new` entries begins with the tree of `old` entries.
///
/// It is empty when `old` is 0 or equals `new`, and when `old` is larger, where no proof exists.
///
/// # Errors
///
/// What `read` answers; see [`root`].
///
/// Source: RFC 6962 section 2.1.2.
pub fn consistency<E>(
    old: u64,
    new: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Digest, E>,
) -> Result<Vec<Digest>, E> {
    let mut proof = Vec::new();
    if old == 0 || new <= old {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, new);
    while old < end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range(middle, end, read)?);
            end = middle;
        } else {
            proof.push(range(start, middle, read)?);
            start = middle;
        }
    }
    // A reader who knows the old root needs its own hash only when it is not the whole left side.
    if start != 0 {
        proof.push(range(start, end, read)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that the leaf with hash `leaf` is entry `index` of the tree of `size` entries.
///
/// # Errors
///
/// [`ProofError::OutOfTree`], [`ProofError::Length`] or [`ProofError::OtherRoot`].
///
/// Source: RFC 9162 section 2.1.3.2.
pub fn verify_inclusion(
    index: u64,
    size: u64,
    leaf: &Digest,
    proof: &[Digest],
    root: &Digest,
) -> Result<(), ProofError> {
    if size <= index || SIZE_MAX < size {
        return Err(ProofError::OutOfTree { index, size });
    }
    let length = ProofError::Length { given: proof.len() };
    if limits::PROOF_HASHES_MAX < proof.len() {
        return Err(length);
    }
    // The path of the leaf and the path of the last leaf, climbed together.
    let (mut at, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(length);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            climb(&mut at, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(length);
    }
    same(hash, *root)
}

/// Checks that the tree of `new` entries begins with the tree of `old` entries.
///
/// # Errors
///
/// [`ProofError::Shrunk`], [`ProofError::OutOfTree`], [`ProofError::Length`] or
/// [`ProofError::OtherRoot`].
///
/// Source: RFC 9162 section 2.1.4.2, with the empty tree as the beginning of every tree.
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: &Digest,
    new_root: &Digest,
    proof: &[Digest],
) -> Result<(), ProofError> {
    if new < old {
        return Err(ProofError::Shrunk { old, new });
    }
    if SIZE_MAX < new {
        let (index, size) = (old, new);
        return Err(ProofError::OutOfTree { index, size });
    }
    let length = ProofError::Length { given: proof.len() };
    if old == 0 || old == new {
        if !proof.is_empty() {
            return Err(length);
        }
        let claimed = if old == new { *new_root } else { EMPTY_ROOT };
        return same(*old_root, claimed);
    }
    if limits::PROOF_HASHES_MAX < proof.len() {
        return Err(length);
    }
    // When the old tree is complete its root is the first hash, and the proof leaves it out.
    let (first, rest) = match proof.split_first() {
        _ if old.is_power_of_two() => (old_root, proof),
        Some((first, rest)) => (first, rest),
        None => return Err(length),
    };
    let shift = (old - 1).trailing_ones();
    let (mut at, mut last) = ((old - 1) >> shift, (new - 1) >> shift);
    let (mut old_hash, mut new_hash) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return Err(length);
        }
        if at & 1 == 1 || at == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            climb(&mut at, &mut last);
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(length);
    }
    same(old_hash, *old_root)?;
    same(new_hash, *new_root)
}

/// Climbs past the levels on which the node has no sibling, because it is the last and even.
const fn climb(at: &mut u64, last: &mut u64) {
    while *at & 1 == 0 && *at != 0 {
        *at >>= 1;
        *last >>= 1;
    }
}

/// Whether the root that was computed is the one that was claimed.
fn same(computed: Digest, claimed: Digest) -> Result<(), ProofError> {
    if computed == claimed {
        Ok(())
    } else {
        Err(ProofError::OtherRoot { computed, claimed })
    }
}

/// The largest power of two below `size`, which is at least 2.
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The root over the peaks of a tree, largest first.
fn join(peaks: &[Digest]) -> Digest {
    let mut from_right = peaks.iter().rev();
    match from_right.next() {
        Some(last) => from_right.fold(*last, |right, left| node_hash(left, &right)),
        None => EMPTY_ROOT,
    }
}

/// The root over the leaves from `start` to `end`, where a split of the tree made `start`.
fn range<E>(
    start: u64,
    end: u64,
    read: &mut impl FnMut(u8, u64) -> Result<Digest, E>,
) -> Result<Digest, E> {
    let mut peaks = Vec::new();
    let mut at = start;
    for level in (0_u8..64).rev() {
        if (end - start) >> level & 1 == 1 {
            peaks.push(read(level, at >> level)?);
            at += 1 << level;
        }
    }
    Ok(join(&peaks))
}

#[cfg(test)]
mod tests;
