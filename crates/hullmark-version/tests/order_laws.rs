//! Laws that each version order keeps, whatever the versions.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::cmp::Ordering;

use hullmark_version::{MAX_LENGTH, Scheme, VersionError, compare, validate};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::string::string_regex;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// What versions of a scheme look like, from a small alphabet so that many are alike or equal.
fn grammar(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Apk => {
            "0?[01](\\.(0?[0-1]|10)){0,2}(-r0?[01])?|0?1(\\.0)?(a1?)?(_(rc|git|p)0?[01]?){0,2}(~[ab]{1,2})?(-r0?[01])?"
        }
        Scheme::Deb => {
            "0?[01](\\.0?[01])?(-0?[01])?|(0?[0-2]:)?[0-2]([.+~a-b0-2]|-[0-1]){0,6}(-[0-2a~+.]{1,3})?"
        }
        Scheme::Semver => {
            "[0-1]\\.[0-1]\\.([0-2]|10)(-(0|1|10|a|b|a-|-)(\\.(0|1|10|a|b|1a)){0,2})?(\\+[a0]{1,2})?"
        }
        Scheme::Npm => {
            " ?v?[0-1]\\.[0-1]\\.([0-2]|10)(-(0|1|10|a|900719925474099[0-4])(\\.(0|1|a|1a)){0,2})?(\\+[a0])? ?"
        }
        Scheme::Pep440 => {
            "v?[01](\\.0){0,2}((a|rc|-|dev)0?[01]?)?|v?([0-1]!)?0?[0-1](\\.[0-1]){0,2}([._-]?(a|alpha|B|rc|c|pre)[._-]?[0-2]?)?(-[0-1]|[._-]?(post|r)[._-]?[0-1]?)?([._-]?dev[._-]?[0-1]?)?(\\+(a|A|0|1|01)([._-](a|b|1)){0,2})?"
        }
        Scheme::Go => {
            "v?[0-1](\\.[0-1]){0,1}|v?[0-1]\\.[0-1]\\.[0-2](-(0|rc|a)(\\.[0-2]){0,2})?(\\+incompatible)?|(go)?1\\.[0-1](\\.[0-1])?((rc|beta)[1-2])?"
        }
        _ => unreachable!("a grammar for {scheme}"),
    }
}

/// Versions, and texts that are nearly so or not at all.
fn texts(scheme: Scheme) -> impl Strategy<Value = String> {
    let version = string_regex(grammar(scheme)).unwrap().boxed();
    let odd = select(std::vec![
        "", ".", "-", "_", "~", "+", ":", "!", " ", "0", "a", "\u{e9}", "\u{661}", "\0", "\n"
    ]);
    let damaged = (version.clone(), any::<Index>(), odd).prop_map(|(version, place, odd)| {
        let (start, end) = version.split_at(place.index(version.len() + 1));
        format!("{start}{odd}{end}")
    });
    prop_oneof![8 => version, 2 => damaged, 1 => "\\PC{0,12}", 1 => any::<String>()]
}

/// Runs `law` on as many random inputs, the same in every run.
fn check<S: Strategy>(cases: u32, strategy: S, law: impl Fn(S::Value) -> Result<(), TestCaseError>)
where
    S::Value: std::fmt::Debug,
{
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    TestRunner::new_with_rng(config, random).run(&strategy, law).unwrap();
}

#[test]
fn most_of_the_texts_are_versions() {
    for scheme in Scheme::ALL {
        let valid = std::cell::Cell::new(0);
        let equal = std::cell::Cell::new(0);
        check(3000, (texts(*scheme), texts(*scheme)), |(a, b)| {
            valid.set(valid.get() + usize::from(validate(*scheme, &a).is_ok()));
            equal.set(equal.get() + usize::from(compare(*scheme, &a, &b) == Ok(Ordering::Equal)));
            Ok(())
        });
        let (valid, equal) = (valid.get(), equal.get());
        assert!((1500..2900).contains(&valid) && equal > 5, "{scheme}: {valid} valid, {equal} equal");
    }
}

#[test]
fn a_version_equals_itself_or_does_not_parse() {
    for scheme in Scheme::ALL {
        check(3000, texts(*scheme), |a| {
            match compare(*scheme, &a, &a) {
                Ok(order) => prop_assert_eq!(order, Ordering::Equal),
                Err(error) => prop_assert_eq!(validate(*scheme, &a), Err(error)),
            }
            Ok(())
        });
    }
}

#[test]
fn two_versions_have_an_order_when_each_parses() {
    for scheme in Scheme::ALL {
        check(3000, (texts(*scheme), texts(*scheme)), |(a, b)| {
            let parse = validate(*scheme, &a).is_ok() && validate(*scheme, &b).is_ok();
            prop_assert_eq!(compare(*scheme, &a, &b).is_ok(), parse);
            Ok(())
        });
    }
}

#[test]
fn the_order_is_antisymmetric() {
    for scheme in Scheme::ALL {
        check(3000, (texts(*scheme), texts(*scheme)), |(a, b)| {
            if let (Ok(forwards), Ok(backwards)) = (compare(*scheme, &a, &b), compare(*scheme, &b, &a)) {
                prop_assert_eq!(forwards, backwards.reverse());
            }
            Ok(())
        });
    }
}

#[test]
fn the_order_is_transitive() {
    for scheme in Scheme::ALL {
        check(300, vec(texts(*scheme), 12), |versions| {
            let versions: Vec<&String> =
                versions.iter().filter(|version| validate(*scheme, version).is_ok()).collect();
            let order = |left: &&String, right: &&String| compare(*scheme, left, right).unwrap();
            let orders: Vec<Vec<Ordering>> = versions
                .iter()
                .map(|left| versions.iter().map(|right| order(left, right)).collect())
                .collect();
            for (a, orders_of_a) in orders.iter().enumerate() {
                for (b, ab) in orders_of_a.iter().enumerate() {
                    for (c, ac) in orders_of_a.iter().enumerate() {
                        let bc = orders[b][c];
                        let names = (versions[a], versions[b], versions[c]);
                        prop_assert!(bc != *ab || bc == *ac, "{:?}", names);
                        prop_assert!(bc.is_ne() || ab == ac, "{:?}", names);
                        prop_assert!(ab.is_ne() || bc == *ac, "{:?}", names);
                    }
                }
            }
            Ok(())
        });
    }
}

#[test]
fn an_error_names_the_scheme_the_version_and_a_place_in_it() {
    for scheme in Scheme::ALL {
        check(3000, texts(*scheme), |a| {
            let Err(error) = validate(*scheme, &a) else { return Ok(()) };
            let VersionError { scheme: named, version, position, expected } = &error;
            prop_assert_eq!(named, scheme);
            prop_assert_eq!(version, &a.chars().take(200).collect::<String>());
            prop_assert!(*position <= a.len() && a.is_char_boundary(*position), "{}", position);
            prop_assert!(!expected.is_empty());
            let message = error.to_string();
            prop_assert!(message.contains(scheme.name()) && message.contains(expected), "{}", message);
            Ok(())
        });
    }
}

#[test]
fn a_version_may_have_1024_bytes() {
    for (scheme, start) in [
        (Scheme::Apk, "1."),
        (Scheme::Deb, "1."),
        (Scheme::Semver, "1.0."),
        (Scheme::Pep440, "1."),
        (Scheme::Go, "v1.0."),
    ] {
        let longest = format!("{start}{}", "1".repeat(MAX_LENGTH - start.len()));
        assert_eq!(validate(scheme, &longest), Ok(()), "{scheme}");
        assert_eq!(compare(scheme, &format!("{start}1"), &longest), Ok(Ordering::Less), "{scheme}");
        let error = validate(scheme, &format!("{longest}1")).unwrap_err();
        assert_eq!(error.position, MAX_LENGTH, "{error}");
    }
    assert!(validate(Scheme::Npm, &format!("1.0.0{}", " ".repeat(MAX_LENGTH))).is_err());
}
