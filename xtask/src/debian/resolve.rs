//! A closed set of packages: the wanted ones, what they depend on, and so on.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::index::{Index, Offer};

/// The wanted packages with everything that they need, by name.
///
/// Of alternatives the first that is already chosen is taken, else the first that exists; of several providers of a
/// name, the first by name. Version bounds are not looked at: within one release they hold.
///
/// # Errors
/// When a package depends on something that the index does not offer.
pub(crate) fn close<'a>(index: &'a Index, wanted: &[&str]) -> Result<BTreeMap<&'a str, &'a Offer>> {
    let mut chosen: BTreeMap<&str, &Offer> = BTreeMap::new();
    let mut open: Vec<&Offer> = Vec::new();
    for name in wanted {
        let Some(offer) = index.get(name) else { bail!("the archive offers no package `{name}`") };
        open.push(offer);
    }
    while let Some(offer) = open.pop() {
        if chosen.insert(&offer.name, offer).is_some() {
            continue;
        }
        for dependency in &offer.depends {
            let alternatives: Vec<&str> = dependency.split('|').map(name_of).collect();
            if alternatives.iter().any(|name| is_met(index, &chosen, name)) {
                continue;
            }
            match alternatives.iter().find_map(|name| candidate(index, name)) {
                Some(next) => open.push(next),
                None => bail!(
                    "package `{}` depends on `{dependency}`, which the archive does not offer",
                    offer.name
                ),
            }
        }
    }
    Ok(chosen)
}

/// The name in `name:any (>= 1.0) [amd64]`.
fn name_of(alternative: &str) -> &str {
    let end = alternative.trim().find([' ', '(', ':', '[']);
    let alternative = alternative.trim();
    &alternative[..end.unwrap_or(alternative.len())]
}

fn is_met(index: &Index, chosen: &BTreeMap<&str, &Offer>, name: &str) -> bool {
    chosen.contains_key(name)
        || index.providers(name).iter().any(|provider| chosen.contains_key(provider.as_str()))
}

fn candidate<'a>(index: &'a Index, name: &str) -> Option<&'a Offer> {
    index.get(name).or_else(|| index.providers(name).iter().find_map(|provider| index.get(provider)))
}

#[cfg(test)]
mod tests {
    use super::super::index::tests::paragraph;
    use super::*;

    #[test]
    fn dependencies_are_followed_once_each() {
        let text = [
            paragraph("app", "1", "Depends: lib (>= 1), missing | mailer, cycle:any\n"),
            paragraph("lib", "1", "Pre-Depends: base\n"),
            paragraph("base", "1", ""),
            paragraph("cycle", "1", "Depends: app\n"),
            paragraph("exim", "1", "Provides: mailer\n"),
            paragraph("postfix", "1", "Provides: mailer\n"),
        ]
        .join("\n");
        let index = Index::parse(&text, "").unwrap();
        let check = |wanted: &[&str], expected: &[&str]| {
            let names: Vec<&str> = close(&index, wanted).unwrap().into_keys().collect();
            assert_eq!(names, expected, "{wanted:?}");
        };
        check(&["app"], &["app", "base", "cycle", "exim", "lib"]);
        check(&["postfix", "app"], &["app", "base", "cycle", "exim", "lib", "postfix"]);
        check(&["lib"], &["base", "lib"]);
    }

    #[test]
    fn what_is_not_offered_is_named() {
        let index = Index::parse(&paragraph("app", "1", "Depends: nowhere (>= 2)\n"), "").unwrap();
        let message = close(&index, &["app"]).unwrap_err().to_string();
        assert!(message.contains("`app` depends on `nowhere (>= 2)`"), "{message}");
        assert!(close(&index, &["other"]).unwrap_err().to_string().contains("no package `other`"));
    }
}
