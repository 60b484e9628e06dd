//! The tree against the recursive definition, a second implementation and recorded vectors.

use std::convert::Infallible;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// MTH of RFC 6962 section 2.1, word for word.
fn defined_root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(power_below(leaves.len()));
            node_hash(&defined_root(left), &defined_root(right))
        }
    }
}

/// PATH of RFC 6962 section 2.1.1, word for word.
fn defined_inclusion(index: usize, leaves: &[Digest]) -> Vec<Digest> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = power_below(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if index < k {
        (defined_inclusion(index, left), defined_root(right))
    } else {
        (defined_inclusion(index - k, right), defined_root(left))
    };
    path.push(sibling);
    path
}

/// SUBPROOF of RFC 6962 section 2.1.2, word for word.
fn defined_consistency(old: usize, leaves: &[Digest], known: bool) -> Vec<Digest> {
    if old == leaves.len() {
        return if known {
            vec![]
        } else {
            vec![defined_root(leaves)]
        };
    }
    let k = power_below(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, sibling) = if old <= k {
        (defined_consistency(old, left, known), defined_root(right))
    } else {
        (
            defined_consistency(old - k, right, false),
            defined_root(left),
        )
    };
    path.push(sibling);
    path
}

fn power_below(count: usize) -> usize {
    let mut k = 1;
    while k * 2 < count {
        k *= 2;
    }
    k
}

fn leaves(count: u64) -> Vec<Digest> {
    (0..count)
        .map(|i| leaf_hash(format!("leaf-{i}\n").as_bytes()))
        .collect()
}

/// All complete subtrees, by level.
fn levels(leaves: &[Digest]) -> Vec<Vec<Digest>> {
    let mut levels = vec![leaves.to_vec()];
    while levels.last().unwrap().len() > 1 {
        let below = levels.last().unwrap();
        let above = below.as_chunks::<2>().0.iter();
        let above = above.map(|[left, right]| node_hash(left, right)).collect();
        levels.push(above);
    }
    levels
}

fn reader(levels: &[Vec<Digest>]) -> impl FnMut(u8, u64) -> Result<Digest, Infallible> + '_ {
    |level, index| Ok(levels[usize::from(level)][usize::try_from(index).unwrap()])
}

fn flipped(digest: &Digest, bit: usize) -> Digest {
    let mut bytes = *digest.as_bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    Digest(bytes)
}

#[test]
fn empty_root_is_the_hash_of_nothing() {
    assert_eq!(EMPTY_ROOT, Digest::of(b""));
    assert_eq!(Edge::default().root(), EMPTY_ROOT);
}

#[test]
fn every_small_tree_is_as_defined() {
    let all = leaves(70);
    for size in 0..all.len() {
        let leaves = &all[..size];
        let levels = levels(leaves);
        let want = defined_root(leaves);
        let n = u64::try_from(size).unwrap();
        assert_eq!(leaves.iter().copied().collect::<Edge>().root(), want);
        assert_eq!(root(n, &mut reader(&levels)), Ok(want));
        for index in 0..size {
            let i = u64::try_from(index).unwrap();
            let proof = inclusion(i, n, &mut reader(&levels)).unwrap();
            assert_eq!(proof, defined_inclusion(index, leaves), "{index} of {size}");
            assert_eq!(
                verify_inclusion(i, n, &leaves[index], &proof, &want),
                Ok(())
            );
        }
        for old in 1..=size {
            let m = u64::try_from(old).unwrap();
            let proof = consistency(m, n, &mut reader(&levels)).unwrap();
            assert_eq!(
                proof,
                defined_consistency(old, leaves, true),
                "{old} of {size}"
            );
            let old_root = defined_root(&leaves[..old]);
            assert_eq!(verify_consistency(m, n, &old_root, &want, &proof), Ok(()));
        }
    }
}

#[test]
fn a_second_implementation_agrees() {
    let mut other = ct_merkle::mem_backed_tree::MemoryBackedTree::<sha2::Sha256, _>::new();
    for i in 0..300_u64 {
        other.push(format!("leaf-{i}\n").into_bytes());
        let n = i + 1;
        let levels = levels(&leaves(n));
        let root = root(n, &mut reader(&levels)).unwrap();
        assert_eq!(other.root().as_bytes().as_slice(), root.as_bytes());
        let index = i / 3;
        let proof = inclusion(index, n, &mut reader(&levels)).unwrap();
        let bytes = proof.iter().flat_map(|hash| hash.as_bytes().to_vec());
        let theirs = other.prove_inclusion(usize::try_from(index).unwrap());
        assert_eq!(theirs.as_bytes(), bytes.collect::<Vec<u8>>());
        let proof = consistency(index + 1, n, &mut reader(&levels)).unwrap();
        let bytes = proof.iter().flat_map(|hash| hash.as_bytes().to_vec());
        let theirs = other.prove_consistency(usize::try_from(i - index).unwrap());
        assert_eq!(theirs.as_bytes(), bytes.collect::<Vec<u8>>());
    }
}

#[test]
fn recorded_roots() {
    #[derive(Deserialize)]
    struct File {
        roots: std::collections::BTreeMap<u64, Digest>,
    }
    let file = include_str!("../../../tests/vectors/tlog/roots.json");
    let file: File = serde_json::from_str(file).unwrap();
    assert!(file.roots.len() > 40);
    let mut edge = Edge::default();
    for (size, root) in file.roots {
        let more = (edge.size()..size).map(|i| leaf_hash(format!("leaf-{i}\n").as_bytes()));
        edge.extend(more);
        assert_eq!((edge.size(), edge.root()), (size, root));
    }
}

#[derive(Deserialize)]
struct Inclusion {
    index: u64,
    size: u64,
    leaf_hash: Digest,
    root: Digest,
    proof: Vec<Digest>,
}

#[test]
fn recorded_inclusion_proofs() {
    let file = include_str!("../../../tests/vectors/tlog/inclusion.json");
    let cases: Vec<Inclusion> = serde_json::from_str(file).unwrap();
    assert_eq!(cases.len(), 599);
    let levels = levels(&leaves(70_000));
    for case in cases {
        let (index, size) = (case.index, case.size);
        let proof = inclusion(index, size, &mut reader(&levels)).unwrap();
        assert_eq!(proof, case.proof, "{index} of {size}");
        let verify = |leaf: &Digest, proof: &[Digest], root: &Digest| {
            verify_inclusion(index, size, leaf, proof, root)
        };
        assert_eq!(verify(&case.leaf_hash, &proof, &case.root), Ok(()));
        refuse_changes(&proof, |proof| verify(&case.leaf_hash, proof, &case.root));
        let bit = proof.len() * 7 % 256;
        assert!(verify(&flipped(&case.leaf_hash, bit), &proof, &case.root).is_err());
        assert!(verify(&case.leaf_hash, &proof, &flipped(&case.root, bit)).is_err());
        let other = verify_inclusion(index, size << 1, &case.leaf_hash, &proof, &case.root);
        assert!(other.is_err(), "{index} of {size} in a tree twice as large");
        let out = verify_inclusion(size, size, &case.leaf_hash, &proof, &case.root);
        assert_eq!(out, Err(ProofError::OutOfTree { index: size, size }));
    }
}

#[derive(Deserialize)]
struct Consistency {
    m: u64,
    n: u64,
    root_m: Digest,
    root_n: Digest,
    proof: Vec<Digest>,
}

#[test]
fn recorded_consistency_proofs() {
    let file = include_str!("../../../tests/vectors/tlog/consistency.json");
    let cases: Vec<Consistency> = serde_json::from_str(file).unwrap();
    assert_eq!(cases.len(), 631);
    let levels = levels(&leaves(70_000));
    for case in cases {
        let (m, n) = (case.m, case.n);
        let proof = consistency(m, n, &mut reader(&levels)).unwrap();
        assert_eq!(proof, case.proof, "{m} to {n}");
        let verify = |old: &Digest, new: &Digest, proof: &[Digest]| {
            verify_consistency(m, n, old, new, proof)
        };
        assert_eq!(verify(&case.root_m, &case.root_n, &proof), Ok(()));
        refuse_changes(&proof, |proof| verify(&case.root_m, &case.root_n, proof));
        let bit = proof.len() * 7 % 256;
        assert!(verify(&flipped(&case.root_m, bit), &case.root_n, &proof).is_err());
        if m != 0 {
            assert!(verify(&case.root_m, &flipped(&case.root_n, bit), &proof).is_err());
        }
        if m != n {
            let back = verify_consistency(n, m, &case.root_n, &case.root_m, &proof);
            assert_eq!(back, Err(ProofError::Shrunk { old: n, new: m }));
        }
    }
}

/// A proof with one bit flipped, one hash less or one hash more shows nothing.
#[track_caller]
fn refuse_changes(proof: &[Digest], verify: impl Fn(&[Digest]) -> Result<(), ProofError>) {
    for place in 0..proof.len() {
        let mut changed = proof.to_vec();
        changed[place] = flipped(&changed[place], place * 37 % 256);
        assert!(verify(&changed).is_err(), "flipped in hash {place}");
        changed.remove(place);
        assert!(verify(&changed).is_err(), "without hash {place}");
    }
    let mut longer = proof.to_vec();
    longer.push(EMPTY_ROOT);
    assert!(verify(&longer).is_err(), "one hash more");
    longer.resize(limits::PROOF_HASHES_MAX + 1, EMPTY_ROOT);
    assert!(verify(&longer).is_err(), "too many hashes");
}

#[test]
fn sizes_at_the_end_of_the_range_do_not_overflow() {
    let hash = EMPTY_ROOT;
    for (index, size) in [
        (u64::MAX - 1, u64::MAX),
        (0, u64::MAX),
        (0, SIZE_MAX),
        (0, 0),
    ] {
        let proof = [hash; limits::PROOF_HASHES_MAX];
        assert!(verify_inclusion(index, size, &hash, &proof, &hash).is_err());
        assert!(verify_consistency(index, size, &hash, &Digest([1; 32]), &proof).is_err());
    }
    let mut any = |_, _| Ok::<_, Infallible>(hash);
    assert_eq!(
        inclusion(SIZE_MAX - 1, SIZE_MAX, &mut any).unwrap().len(),
        63
    );
    assert_eq!(inclusion(5, 5, &mut any), Ok(vec![]));
    assert_eq!(consistency(6, 5, &mut any), Ok(vec![]));
    assert_eq!(
        consistency(SIZE_MAX - 1, SIZE_MAX, &mut any).unwrap().len(),
        64
    );
}

proptest! {
    #[test]
    fn every_flipped_bit_is_refused(
        size in 2_u64..2000,
        place: u64,
        old: u64,
        bit in 0..256_usize,
    ) {
        let (index, old) = (place % size, old % (size - 1) + 1);
        let leaves = leaves(size);
        let levels = levels(&leaves);
        let root = root(size, &mut reader(&levels)).unwrap();
        let leaf = leaves[usize::try_from(index).unwrap()];
        let proof = inclusion(index, size, &mut reader(&levels)).unwrap();
        prop_assert_eq!(verify_inclusion(index, size, &leaf, &proof, &root), Ok(()));
        for place in 0..proof.len() {
            let mut bad = proof.clone();
            bad[place] = flipped(&bad[place], bit);
            prop_assert!(verify_inclusion(index, size, &leaf, &bad, &root).is_err());
        }
        let proof = consistency(old, size, &mut reader(&levels)).unwrap();
        let old_root = leaves[..usize::try_from(old).unwrap()].iter().copied();
        let old_root = old_root.collect::<Edge>().root();
        prop_assert_eq!(verify_consistency(old, size, &old_root, &root, &proof), Ok(()));
        for place in 0..proof.len() {
            let mut bad = proof.clone();
            bad[place] = flipped(&bad[place], bit);
            prop_assert!(verify_consistency(old, size, &old_root, &root, &bad).is_err());
        }
    }
}
