//! The index of a suite of Debian's archive: `Packages`, paragraphs of `Field: value` lines.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use anyhow::{Context, Result};
use hullmark_version::{Scheme, compare};

use super::fetch::Expected;

/// One binary package that the archive offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// `Pre-Depends` and `Depends`, as written.
    pub(crate) depends: Vec<String>,
    /// Names that it also stands for.
    pub(crate) provides: Vec<String>,
    /// Where its file is, with the base of its archive.
    pub(crate) url: String,
    /// What its file must be.
    pub(crate) expected: Expected,
}

/// What an archive offers, by name.
#[derive(Debug, Default, Clone)]
pub(crate) struct Index {
    offers: BTreeMap<String, Offer>,
    providers: BTreeMap<String, Vec<String>>,
}

impl Index {
    /// Read a `Packages` file of the archive with this base address.
    ///
    /// # Errors
    /// When a paragraph lacks a field that every package has.
    pub(crate) fn parse(text: &str, base: &str) -> Result<Index> {
        let mut index = Index::default();
        for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
            let offer = offer(paragraph, base)?;
            index.add(offer)?;
        }
        Ok(index)
    }

    /// This index with another laid over it: of two versions the later one is offered.
    ///
    /// # Errors
    /// When a version does not parse.
    pub(crate) fn with(mut self, other: &Index) -> Result<Index> {
        for offer in other.offers.values() {
            self.add(offer.clone())?;
        }
        Ok(self)
    }

    /// The package of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Offer> {
        self.offers.get(name)
    }

    /// The packages that stand for this name, in the order of their names.
    pub(crate) fn providers(&self, name: &str) -> &[String] {
        self.providers.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    fn add(&mut self, offer: Offer) -> Result<()> {
        if let Some(present) = self.offers.get(&offer.name) {
            let order = compare(Scheme::Deb, &present.version, &offer.version)
                .with_context(|| format!("package `{}`", offer.name))?;
            if order != Ordering::Less {
                return Ok(());
            }
        }
        for provided in &offer.provides {
            let providers = self.providers.entry(provided.clone()).or_default();
            if let Err(place) = providers.binary_search(&offer.name) {
                providers.insert(place, offer.name.clone());
            }
        }
        self.offers.insert(offer.name.clone(), offer);
        Ok(())
    }
}

fn offer(paragraph: &str, base: &str) -> Result<Offer> {
    let field = |name: &str| field(paragraph, name);
    let name = field("Package").context("a package without `Package`")?;
    let needed = |field_name: &str| {
        field(field_name)
            .map(str::to_owned)
            .with_context(|| format!("package `{name}` without `{field_name}`"))
    };
    let list = |text: Option<&str>| -> Vec<String> {
        text.unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let mut depends = list(field("Pre-Depends"));
    depends.extend(list(field("Depends")));
    let provides = list(field("Provides"))
        .iter()
        .filter_map(|item| item.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    let size = needed("Size")?.parse().with_context(|| format!("package `{name}`: `Size`"))?;
    Ok(Offer {
        name: name.to_owned(),
        version: needed("Version")?,
        depends,
        provides,
        url: format!("{base}/{}", needed("Filename")?),
        expected: Expected { sha256: needed("SHA256")?, size },
    })
}

/// The value of a field that stands on one line.
pub(crate) fn field<'a>(paragraph: &'a str, name: &str) -> Option<&'a str> {
    paragraph.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A paragraph of an index.
    pub(crate) fn paragraph(name: &str, version: &str, more: &str) -> String {
        format!(
            "Package: {name}\nVersion: {version}\nFilename: pool/{name}_{version}.deb\nSize: 1\nSHA256: 00\n{more}\n"
        )
    }

    #[test]
    fn the_later_version_is_offered() {
        let check = |old: &str, new: &str, expected: &str| {
            let base = Index::parse(&paragraph("a", old, ""), "http://base").unwrap();
            let over = Index::parse(&paragraph("a", new, ""), "http://over").unwrap();
            let both = base.with(&over).unwrap();
            assert_eq!(both.get("a").unwrap().version, expected);
        };
        check("1.0-1", "1.0-1+deb12u1", "1.0-1+deb12u1");
        check("1.0-1+deb12u2", "1.0-1+deb12u1", "1.0-1+deb12u2");
        check("1:1", "2", "1:1");
    }

    #[test]
    fn fields_are_read() {
        let text =
            paragraph("a", "1", "Depends: b (>= 2) | c, d:any\nPre-Depends: e\nProvides: f (= 1), g\n");
        let index = Index::parse(&text, "http://base").unwrap();
        let offer = index.get("a").unwrap();
        assert_eq!(offer.depends, ["e", "b (>= 2) | c", "d:any"]);
        assert_eq!(offer.url, "http://base/pool/a_1.deb");
        assert_eq!(index.providers("g"), ["a"]);
        assert!(Index::parse("Package: a\n", "").unwrap_err().to_string().contains("without `Size`"));
    }
}
