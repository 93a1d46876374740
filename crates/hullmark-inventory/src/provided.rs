//! Names that stand for packages in what other packages need: what a package provides beside its own name.

use std::collections::{BTreeMap, BTreeSet};

use crate::{FoundPackage, Requirement};

/// The most names that stand for what another package provides.
const MAX_PROVIDED: usize = 200_000;

/// The most packages that are taken for what provides one name.
const MAX_PROVIDERS: usize = 16;

/// Which packages provide a name that is none of a package.
#[derive(Default)]
pub(crate) struct Provided {
    by: BTreeMap<String, Vec<String>>,
    count: usize,
}

impl Provided {
    /// Notes what the package `name` provides.
    pub(crate) fn add<'a>(&mut self, provided: impl IntoIterator<Item = &'a str>, name: &str) {
        for provided in provided {
            if self.count < MAX_PROVIDED {
                self.count += 1;
                self.by.entry(provided.to_owned()).or_default().push(name.to_owned());
            }
        }
    }

    /// Puts the packages that provide a name in its place where no package has that name. Each package has what it needs once.
    pub(crate) fn resolve(self, packages: &mut [FoundPackage]) {
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
