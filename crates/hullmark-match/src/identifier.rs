//! Identifiers of vulnerabilities: which to show, and which are the same.

use std::collections::{BTreeMap, BTreeSet};

/// Whether it is a CVE id.
pub(crate) fn is_cve(id: &str) -> bool {
    id.starts_with("CVE-")
}

/// Sorts identifiers by what people know them by: CVE, then GHSA, then others; numbers by their value.
pub(crate) fn rank(id: &str) -> (u8, Vec<(u64, String)>) {
    let family = match id {
        _ if is_cve(id) => 0,
        _ if id.starts_with("GHSA-") => 1,
        _ => 2,
    };
    (family, id.split('-').map(|part| (part.parse().unwrap_or(u64::MAX), part.to_owned())).collect())
}

/// The identifier to show, and all others, sorted.
pub(crate) fn choose(identifiers: &BTreeSet<String>) -> (String, Vec<String>) {
    let shown = identifiers.iter().min_by_key(|id| rank(id)).cloned().unwrap_or_default();
    let others = identifiers.iter().filter(|id| **id != shown).cloned().collect();
    (shown, others)
}

/// Joins sets that share a member, and those that share one with the joined set, and so on (union-find). Gives for each
/// set the position of the first set that it belongs with.
pub(crate) fn join(sets: &[BTreeSet<String>]) -> Vec<usize> {
    let mut leader: Vec<usize> = (0..sets.len()).collect();
    let mut holder: BTreeMap<&str, usize> = BTreeMap::new();
    for (position, set) in sets.iter().enumerate() {
        for member in set {
            match holder.get(member.as_str()) {
                Some(other) => {
                    let (left, right) = (find(&leader, position), find(&leader, *other));
                    if let Some(slot) = leader.get_mut(left.max(right)) {
                        *slot = left.min(right);
                    }
                }
                None => {
                    holder.insert(member, position);
                }
            }
        }
    }
    (0..sets.len()).map(|position| find(&leader, position)).collect()
}

/// The leader of a set. Leaders only ever point to earlier sets, so this ends.
fn find(leader: &[usize], mut position: usize) -> usize {
    while let Some(next) = leader.get(position).copied().filter(|next| *next != position) {
        position = next;
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(members: &[&str]) -> BTreeSet<String> {
        members.iter().map(|member| (*member).to_owned()).collect()
    }

    #[test]
    fn sets_join_through_others() {
        for (sets, expected) in [
            (vec![set(&["a", "b"]), set(&["b", "c"]), set(&["d"])], vec![0, 0, 2]),
            (vec![set(&["a"]), set(&["c"]), set(&["a", "c"])], vec![0, 0, 0]),
            (vec![set(&["d"]), set(&["c", "d"]), set(&["b", "c"]), set(&["a", "b"])], vec![0, 0, 0, 0]),
            (vec![], vec![]),
        ] {
            assert_eq!(join(&sets), expected, "{sets:?}");
        }
    }

    #[test]
    fn the_cve_id_is_shown_where_there_is_one() {
        for (members, shown) in [
            (set(&["PYSEC-2023-192", "GHSA-v845-jxx5-vc9f", "CVE-2023-43804"]), "CVE-2023-43804"),
            (set(&["CVE-2024-10000", "CVE-2024-9999"]), "CVE-2024-9999"),
            (set(&["PYSEC-2023-1", "GHSA-x"]), "GHSA-x"),
            (set(&["PYSEC-2023-1", "MAL-2023-1"]), "MAL-2023-1"),
        ] {
            assert_eq!(choose(&members).0, shown);
        }
        assert_eq!(choose(&set(&["CVE-2", "B", "A"])).1, ["A", "B"]);
    }
}
