//! Package managers whose databases cannot be read yet. Their packages are in no result, and that is said.

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::Diagnostic;

/// A kind of package of which only the presence is noticed.
pub(crate) struct UnsupportedKind {
    /// What it is, in words: the subject of the message.
    pub(crate) name: &'static str,
    /// The part of the path that stands for one database or package; `None` when the path is no evidence.
    pub(crate) evidence: fn(&str) -> Option<&str>,
    /// A path that is evidence; tests keep the kind apart from the extractors by it.
    #[cfg_attr(not(test), expect(dead_code, reason = "data for tests, kept beside what it tests"))]
    pub(crate) sample: &'static str,
}

/// Kinds for which there is no extractor. A new extractor takes its line away.
pub(crate) static UNSUPPORTED: &[UnsupportedKind] = &[
    UnsupportedKind {
        name: "SBOM files that are not JSON",
        evidence: |path| {
            let (_, name) = path.rsplit_once('/').unwrap_or(("", path));
            let is_sbom = [".bom.xml", ".cdx.xml", ".spdx.rdf", ".spdx.xml", ".spdx.yaml", ".spdx.yml"]
                .iter()
                .any(|suffix| name.ends_with(suffix));
            // Bitnami's are JSON, and read; licences have such names too.
            let is_tag_value =
                name.ends_with(".spdx") && !name.starts_with(".spdx-") && !name.starts_with("LICENSE");
            (is_sbom || is_tag_value).then_some(path)
        },
        sample: "usr/share/sbom/app.cdx.xml",
    },
    UnsupportedKind {
        name: "packed snaps",
        evidence: |path| {
            let (directory, name) = path.rsplit_once('/')?;
            (directory == "var/lib/snapd/snaps" && name.ends_with(".snap")).then_some(path)
        },
        sample: "var/lib/snapd/snaps/core22_1122.snap",
    },
];

/// One gap for each kind of which `paths` has evidence.
pub(crate) fn gaps<'a>(paths: impl Iterator<Item = (&'a str, u32)>) -> Vec<Diagnostic> {
    let mut seen: BTreeMap<usize, (BTreeSet<&str>, (&str, u32))> = BTreeMap::new();
    for (path, layer) in paths {
        for (position, kind) in UNSUPPORTED.iter().enumerate() {
            if let Some(evidence) = (kind.evidence)(path) {
                seen.entry(position).or_insert_with(|| (BTreeSet::new(), (path, layer))).0.insert(evidence);
            }
        }
    }
    seen.into_iter()
        .filter_map(|(position, (evidence, (path, layer)))| {
            let name = UNSUPPORTED.get(position)?.name;
            let message = format!(
                "{name} cannot be read yet ({} found), so their packages are not assessed",
                evidence.len()
            );
            Some(Diagnostic::gap("unsupported-package-database", path, message).in_layer(layer))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileFacts;

    #[test]
    fn each_kind_is_noticed_and_read_by_no_extractor() {
        for kind in UNSUPPORTED {
            assert!((kind.evidence)(kind.sample).is_some(), "{}", kind.name);
            let facts = FileFacts { path: kind.sample, size: 1, mode: 0o644 };
            for extractor in crate::extractors::ALL {
                assert!(
                    !extractor.wants(&facts),
                    "{} is read by {}: drop its line",
                    kind.name,
                    extractor.name()
                );
            }
        }
    }

    #[test]
    fn one_gap_for_each_kind_with_a_count() {
        let paths = ["var/lib/snapd/snaps/a_1.snap", "var/lib/snapd/snaps/b_2.snap"];
        let gaps = gaps(paths.into_iter().map(|path| (path, 3)));
        let text: Vec<_> = gaps.iter().map(|gap| format!("{}: {}", gap.path, gap.message)).collect();
        assert_eq!(
            text,
            [
                "var/lib/snapd/snaps/a_1.snap: packed snaps cannot be read yet (2 found), so their packages are not assessed"
            ]
        );
    }
}
