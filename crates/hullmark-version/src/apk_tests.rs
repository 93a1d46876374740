//! The order of apk-tools, in tables.

use super::*;

fn check(left: &str, order: Ordering, right: &str) {
    assert_eq!(compare(left, right), Ok(order), "{left} {right}");
    assert_eq!(compare(right, left), Ok(order.reverse()), "{right} {left}");
}

fn check_sorted(sorted: &[&str]) {
    for (position, left) in sorted.iter().enumerate() {
        for (other, right) in sorted.iter().enumerate() {
            assert_eq!(compare(left, right), Ok(position.cmp(&other)), "{left} {right}");
        }
    }
}

#[test]
fn released_packages() {
    check("1.1.18-r3", Ordering::Less, "1.1.18-r4");
    check("1.1.18-r4", Ordering::Less, "1.1.18-r10");
    check("1.36.1-r15", Ordering::Less, "1.36.1-r19");
    check("3.0.12-r4", Ordering::Less, "3.1.0-r0");
    check("20230506-r0", Ordering::Greater, "2023.5.6-r0");
    check("9.3_p2-r1", Ordering::Greater, "9.3_p1-r3");
    check("9.3_p2-r1", Ordering::Greater, "9.3-r9");
    check("2.36.0_git20220104-r0", Ordering::Greater, "2.36.0-r5");
    check("0_git20230717-r0", Ordering::Greater, "0-r0");
    check("1.1.1w-r1", Ordering::Greater, "1.1.1t-r3");
    check("5.0.0_rc1-r0", Ordering::Less, "5.0.0-r0");
    check("9e-r1", Ordering::Less, "9f-r0");
}

#[test]
fn the_last_token_decides_by_its_kind() {
    check_sorted(&[
        "1.0_alpha",
        "1.0_alpha1",
        "1.0_beta",
        "1.0_pre",
        "1.0_rc",
        "1.0_rc1",
        "1.0_rc1-r1",
        "1.0_rc2",
        "1.0",
        "1.0-r0",
        "1.0-r1",
        "1.0~0a",
        "1.0~ab",
        "1.0~ab-r1",
        "1.0~abc",
        "1.0_cvs",
        "1.0_svn",
        "1.0_git",
        "1.0_hg",
        "1.0_p_alpha",
        "1.0_p",
        "1.0_p-r7",
        "1.0_p0",
        "1.0_p0-r1",
        "1.0_p1",
        "1.0_p_p",
        "1.0a_rc",
        "1.0a",
        "1.0a1",
        "1.0b",
        "1.0.0",
        "1.0.1",
        "1.1",
    ]);
}

#[test]
fn a_component_that_begins_with_zero_is_a_fraction() {
    check_sorted(&["1.0", "1.00", "1.00.1", "1.01", "1.010", "1.02", "1.1", "1.2", "1.10"]);
    check("1.06", Ordering::Less, "1.5");
    check("01.5", Ordering::Equal, "1.5");
    check("1.5-r01", Ordering::Equal, "1.5-r1");
    check("1.5_p02", Ordering::Equal, "1.5_p2");
    check("1.06.10", Ordering::Greater, "1.06.9");
}

#[test]
fn digits_after_a_letter_as_in_version_2_of_apk_tools() {
    check_sorted(&["6.6.2p", "6.6.2p-r1", "6.6.2p0-r0", "6.6.2p1-r0", "6.6.2p1.1", "6.6.2p10", "6.6.2q"]);
}

#[test]
fn numbers_of_any_length() {
    check("1.99999999999999999999999", Ordering::Less, "1.100000000000000000000000");
    check("1-r18446744073709551616", Ordering::Greater, "1-r18446744073709551615");
}

#[test]
fn what_is_not_a_version() {
    for (text, position) in [
        ("", 0),
        ("a", 0),
        (".1", 0),
        ("1.", 2),
        ("4.8.0.-r1", 6),
        ("0.8.21.r2", 7),
        ("1..2", 2),
        ("1.2_foo", 4),
        ("1.2_", 4),
        ("1.2_pp1", 4),
        ("1.2_rc1a", 7),
        ("1.2_rc.1", 6),
        ("1.2-3", 4),
        ("1.2-", 4),
        ("1.2-r", 5),
        ("1.2-r1-r2", 6),
        ("1.2-r1_p1", 6),
        ("1.2-r1.1", 6),
        ("1.2~", 4),
        ("1.2~AB", 4),
        ("1.2~ab~cd", 6),
        ("1.2~ab_p1", 6),
        ("1.2A", 3),
        ("1.2ab", 4),
        ("1.2a.3", 4),
        ("1 ", 1),
        ("v1", 0),
        ("1.\u{e9}", 2),
        ("1:1.2", 1),
        ("1.2+3", 3),
    ] {
        let error = compare("1", text).unwrap_err();
        assert_eq!((error.version.as_str(), error.position), (text, position), "{error}");
        // Also when the order is decided before the error.
        assert!(compare("999", text).is_err(), "{text:?}");
    }
}
