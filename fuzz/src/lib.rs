//! What fuzz targets check.

mod framing;
mod walked;
mod whiteouts;

pub use framing::check_framing;
pub use whiteouts::check_whiteouts;

use std::cmp::Ordering;

use hullmark_version::{Scheme, compare, validate};

/// Splits `bytes` at newlines into three texts, and checks that those that parse are totally ordered.
pub fn check_order(scheme: Scheme, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(3, '\n');
    let (Some(a), Some(b), Some(c)) = (lines.next(), lines.next(), lines.next()) else {
        let _ = compare(scheme, &text, &text);
        return;
    };
    for version in [a, b, c] {
        match compare(scheme, version, version) {
            Ok(order) => assert_eq!(order, Ordering::Equal, "reflexive: {version:?}"),
            Err(_) => {
                assert!(validate(scheme, version).is_err(), "validate and compare disagree: {version:?}")
            }
        }
    }
    let (Ok(ab), Ok(ba)) = (compare(scheme, a, b), compare(scheme, b, a)) else { return };
    assert_eq!(ab, ba.reverse(), "antisymmetric: {a:?} {b:?}");
    let (Ok(bc), Ok(ac)) = (compare(scheme, b, c), compare(scheme, a, c)) else { return };
    if ab == bc || bc == Ordering::Equal {
        assert_eq!(ab, ac, "transitive: {a:?} {b:?} {c:?}");
    }
    if ab == Ordering::Equal {
        assert_eq!(bc, ac, "equal versions order alike: {a:?} {b:?} {c:?}");
    }
}

/// Limits small enough that a hostile layer hits them quickly.
fn small_limits() -> hullmark_image::Limits {
    hullmark_image::Limits {
        max_entries: 2_000,
        max_file_size: 1 << 20,
        max_layer_size: 8 << 20,
        max_image_size: 16 << 20,
        max_ratio: 200,
        ratio_floor: 1 << 20,
        ..hullmark_image::Limits::default()
    }
}

/// Takes two layers (the halves of `bytes`) apart with all extractors, puts them on top of each other, and checks what must
/// hold of any inventory.
pub fn check_layer(bytes: &[u8]) {
    use hullmark_inventory::{LayerCollector, merge};
    use hullmark_types::{LayerInfo, Subject, SubjectKind};

    let limits = small_limits();
    let (lower, upper) = bytes.split_at(bytes.len() / 2);
    // Whole blocks, so that the second half can be a tar of its own.
    let cut = lower.len() / 512 * 512;
    let halves = [bytes.get(..cut).unwrap_or(lower), bytes.get(cut..).unwrap_or(upper)];
    let mut layers = Vec::new();
    for mut half in halves {
        let half_length = half.len();
        let mut collector = LayerCollector::default();
        let outcome = hullmark_image::walk_layer(&mut half, &limits, &mut collector);
        assert_eq!(outcome.stored_size, half_length as u64, "the layer is read to its end");
        assert!(outcome.size <= limits.max_layer_size + (1 << 20), "the size limit holds");
        assert!(outcome.entries <= limits.max_entries + 1, "the entry limit holds");
        layers.push(collector.finish(outcome.diagnostics));
    }
    let info = |index| LayerInfo { index, digest: None, diff_id: None, size: None, created_by: None };
    let subject = Subject {
        kind: SubjectKind::Image,
        name: "fuzz".to_owned(),
        references: Vec::new(),
        index: None,
        manifest: None,
        config: None,
        platform: None,
    };
    let (inventory, _) = merge(subject, None, vec![info(0), info(1)], &layers, Vec::new());
    assert!(inventory.packages.is_sorted());
    for package in &inventory.packages {
        assert!(package.layer < 2 && !package.locations.is_empty());
        assert!(
            package
                .locations
                .iter()
                .all(|location| !location.path.starts_with('/') && !location.path.contains("../"))
        );
    }
}

/// Walks a tar of any bytes, and checks what must hold of any walk.
pub fn check_tar(bytes: &[u8]) {
    walked::walk(bytes, &small_limits());
}
