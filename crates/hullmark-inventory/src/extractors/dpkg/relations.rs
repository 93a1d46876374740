//! Which packages a package needs: `Depends`, `Pre-Depends` and `Provides` (deb-control(5), Debian Policy 7.1).

use std::collections::{BTreeMap, BTreeSet};

use crate::{FoundPackage, Requirement};

/// The most relations of one field that are read.
const MAX_RELATIONS: usize = 4096;

/// The most names that stand for what another package provides.
const MAX_PROVIDED: usize = 200_000;

/// The names in a field: `a (>= 1) | b, c:any`. Of alternatives all are named, for any that is there is used.
pub(super) fn requirements(field: &str) -> impl Iterator<Item = Requirement> {
    names(field).map(|name| Requirement { name: name.to_owned(), version: None })
}

fn names(field: &str) -> impl Iterator<Item = &str> {
    let relations = field.split([',', '|']).take(MAX_RELATIONS);
    relations.filter_map(|relation| {
        let name = relation.trim().split([' ', '\t', '(', ':', '[', '<']).next()?;
        (!name.is_empty()).then_some(name)
    })
}

/// Which packages provide a name that is none of a package.
#[derive(Default)]
pub(super) struct Provided {
    by: BTreeMap<String, Vec<String>>,
    count: usize,
}

impl Provided {
    /// Notes what the package `name` provides.
    pub(super) fn add(&mut self, field: Option<&str>, name: &str) {
        for provided in field.into_iter().flat_map(names) {
            if self.count < MAX_PROVIDED {
                self.count += 1;
                self.by.entry(provided.to_owned()).or_default().push(name.to_owned());
            }
        }
    }

    /// Puts the packages that provide a name in its place where no package has that name. Each package has what it needs once.
    pub(super) fn resolve(self, packages: &mut [FoundPackage]) {
        const MAX_PROVIDERS: usize = 16;
        let known: BTreeSet<String> = packages.iter().map(|package| package.name.clone()).collect();
        for package in packages {
            let mut names = BTreeSet::new();
            for requirement in std::mem::take(&mut package.requires) {
                match self.by.get(&requirement.name) {
                    Some(providers) if !known.contains(&requirement.name) => {
                        names.extend(providers.iter().take(MAX_PROVIDERS).cloned());
                    }
                    // What is in no package of the file is not installed: an alternative to what is.
                    _ if known.contains(&requirement.name) => {
                        names.insert(requirement.name);
                    }
                    _ => {}
                }
            }
            names.remove(&package.name);
            package.requires = names.into_iter().map(|name| Requirement { name, version: None }).collect();
        }
    }
}
