//! The Merkle tree against a second implementation: the recursive definitions of RFC 6962, word for word.

use hullmark_ledger::merkle::{
    consistency_proof, inclusion_proof, range_root, verify_consistency, verify_inclusion,
};
use hullmark_ledger::{LeafHashes, NodeHash};
use proptest::prelude::*;

/// The largest power of two smaller than `n`.
fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// MTH(D[n]), RFC 6962 section 2.1.
fn tree_hash(leaves: &[NodeHash]) -> NodeHash {
    match leaves {
        [] => NodeHash::of_empty_tree(),
        [one] => *one,
        _ => {
            let k = split(leaves.len());
            NodeHash::of_children(tree_hash(&leaves[..k]), tree_hash(&leaves[k..]))
        }
    }
}

/// PATH(m, D[n]), RFC 6962 section 2.1.1.
fn path(m: usize, leaves: &[NodeHash]) -> Vec<NodeHash> {
    if leaves.len() <= 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (mut hashes, sibling) = if m < k {
        (path(m, &leaves[..k]), tree_hash(&leaves[k..]))
    } else {
        (path(m - k, &leaves[k..]), tree_hash(&leaves[..k]))
    };
    hashes.push(sibling);
    hashes
}

/// SUBPROOF(m, D[n], b), RFC 6962 section 2.1.2.
fn subproof(m: usize, leaves: &[NodeHash], complete: bool) -> Vec<NodeHash> {
    if m == leaves.len() {
        return if complete { Vec::new() } else { vec![tree_hash(leaves)] };
    }
    let k = split(leaves.len());
    let (mut hashes, sibling) = if m <= k {
        (subproof(m, &leaves[..k], complete), tree_hash(&leaves[k..]))
    } else {
        (subproof(m - k, &leaves[k..], false), tree_hash(&leaves[..k]))
    };
    hashes.push(sibling);
    hashes
}

fn leaves(count: usize) -> Vec<NodeHash> {
    (0..count).map(|n| NodeHash::of_leaf(format!("entry {n}").as_bytes())).collect()
}

fn root_of(leaves: &[NodeHash]) -> NodeHash {
    let Ok(root) = range_root(&mut LeafHashes(leaves.to_vec()), 0, leaves.len() as u64);
    root
}

fn check_inclusion(all: &[NodeHash], size: usize, index: usize) {
    let tree = &all[..size];
    let (root, n, i) = (tree_hash(tree), size as u64, index as u64);
    let Ok(made) = inclusion_proof(&mut LeafHashes(tree.to_vec()), i, n);
    assert_eq!(made, path(index, tree), "path of {index} in {size}");
    assert!(verify_inclusion(tree[index], i, n, &made, root), "{index} in {size}");
    // What must not hold.
    let other = NodeHash::of_leaf(b"another");
    assert!(!verify_inclusion(other, i, n, &made, root), "another leaf at {index} in {size}");
    assert!(!verify_inclusion(tree[index], i, n, &made, other), "another root, {index} in {size}");
    assert!(!verify_inclusion(tree[index], n, n, &made, root), "beyond the end of {size}");
    let wrong = (i + 1) % n;
    assert!(
        size == 1 || !verify_inclusion(tree[index], wrong, n, &made, root),
        "{index} as {wrong} in {size}"
    );
    let longer: Vec<_> = made.iter().copied().chain([other]).collect();
    assert!(!verify_inclusion(tree[index], i, n, &longer, root), "longer path of {index} in {size}");
    if let Some((_, shorter)) = made.split_last() {
        assert!(!verify_inclusion(tree[index], i, n, shorter, root), "shorter path of {index} in {size}");
    }
}

fn check_consistency(all: &[NodeHash], old: usize, new: usize) {
    let (old_root, new_root) = (tree_hash(&all[..old]), tree_hash(&all[..new]));
    let Ok(made) = consistency_proof(&mut LeafHashes(all[..new].to_vec()), old as u64, new as u64);
    let expected = if old == 0 { Vec::new() } else { subproof(old, &all[..new], true) };
    assert_eq!(made, expected, "proof from {old} to {new}");
    let verify = |old_root, new_root, path: &[NodeHash]| {
        verify_consistency(old as u64, old_root, new as u64, new_root, path)
    };
    assert!(verify(old_root, new_root, &made), "{old} to {new}");
    let other = NodeHash::of_leaf(b"another");
    assert!(!verify(other, new_root, &made), "another old root, {old} to {new}");
    assert!(old == 0 || !verify(old_root, other, &made), "another new root, {old} to {new}");
    let longer: Vec<_> = made.iter().copied().chain([other]).collect();
    assert!(!verify(old_root, new_root, &longer), "longer proof from {old} to {new}");
    if let Some((_, shorter)) = made.split_last() {
        assert!(!verify(old_root, new_root, shorter), "shorter proof from {old} to {new}");
    }
}

#[test]
fn roots_of_the_certificate_transparency_test_tree() {
    // The leaves and roots of the test data of the Certificate Transparency reference implementation.
    let entries: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let hashes: Vec<_> = entries.iter().map(|entry| NodeHash::of_leaf(entry)).collect();
    for (size, expected) in (1..).zip(roots) {
        assert_eq!(root_of(&hashes[..size]).to_hex(), expected, "{size} leaves");
    }
}

#[test]
fn roots_of_all_sizes_up_to_600() {
    let all = leaves(600);
    for size in 0..=600 {
        assert_eq!(root_of(&all[..size]), tree_hash(&all[..size]), "{size} leaves");
    }
}

#[test]
fn every_entry_of_every_tree_up_to_40_is_provable() {
    let all = leaves(40);
    for size in 1..=40 {
        for index in 0..size {
            check_inclusion(&all, size, index);
        }
    }
}

#[test]
fn every_tree_up_to_40_continues_every_smaller_one() {
    let all = leaves(40);
    for new in 0..=40 {
        for old in 0..=new {
            check_consistency(&all, old, new);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn entries_of_larger_trees_are_provable(size in 1_usize..=600, place in 0.0_f64..1.0) {
        let index = (place * size as f64) as usize;
        check_inclusion(&leaves(600), size, index.min(size - 1));
    }

    #[test]
    fn larger_trees_continue_smaller_ones(a in 0_usize..=600, b in 0_usize..=600) {
        check_consistency(&leaves(600), a.min(b), a.max(b));
    }

    #[test]
    fn no_numbers_make_verification_panic(index: u64, size: u64, hashes in 0_usize..70) {
        let hash = NodeHash::of_leaf(b"x");
        let path = vec![hash; hashes];
        prop_assert!(!verify_inclusion(hash, index, size, &path, NodeHash::of_empty_tree()));
        prop_assert!(!verify_consistency(index, hash, size, NodeHash::of_empty_tree(), &path));
    }
}
