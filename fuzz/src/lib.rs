//! What several fuzz targets check.

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
            Err(_) => assert!(validate(scheme, version).is_err(), "validate and compare disagree: {version:?}"),
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
