//! Lookups in a source, each done once: the binary packages of one source package ask the same.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use hullmark_types::{Advisory, FeedStatus, Inventory, KnownExploited};

use crate::{AdvisorySource, MatchError};

/// A source with what it has answered already.
pub(crate) struct Lookup<'a, S> {
    source: &'a S,
    covered: BTreeSet<&'a str>,
    packages: BTreeMap<(String, String), Rc<Vec<Advisory>>>,
    related: BTreeMap<String, Rc<Vec<Advisory>>>,
}

impl<'a, S: AdvisorySource> Lookup<'a, S> {
    pub(crate) fn new(source: &'a S) -> Self {
        let covered = source.feeds().iter().flat_map(|feed| &feed.ecosystems).map(String::as_str).collect();
        Self { source, covered, packages: BTreeMap::new(), related: BTreeMap::new() }
    }

    /// Whether a feed speaks for `ecosystem`.
    pub(crate) fn covers(&self, ecosystem: &str) -> bool {
        self.covered.contains(ecosystem)
    }

    /// The covered ecosystems of the family of `ecosystem`: the releases of one distribution.
    pub(crate) fn covered_family(&self, ecosystem: &str) -> Vec<&'a str> {
        let family = |name: &str| name.split(':').next().unwrap_or_default().to_owned();
        let wanted = family(ecosystem);
        self.covered.iter().copied().filter(|known| family(known) == wanted).collect()
    }

    /// The feeds that speak for an ecosystem of the inventory, and those that enrich all.
    pub(crate) fn feeds_for(&self, inventory: &Inventory) -> Vec<FeedStatus> {
        let mut wanted: BTreeSet<&str> =
            inventory.packages.iter().filter_map(|package| package.ecosystem.as_deref()).collect();
        let distribution = inventory.distribution.as_ref().and_then(|known| known.ecosystem());
        wanted.extend(distribution.as_deref());
        let speaks = |feed: &&FeedStatus| {
            feed.ecosystems.is_empty() || feed.ecosystems.iter().any(|one| wanted.contains(one.as_str()))
        };
        let mut feeds: Vec<_> = self.source.feeds().iter().filter(speaks).cloned().collect();
        feeds.sort();
        feeds
    }

    /// The advisories that name a package, in a fixed order, each with the entries of this package only.
    pub(crate) fn package(&mut self, ecosystem: &str, name: &str) -> Result<Rc<Vec<Advisory>>, MatchError> {
        let key = (ecosystem.to_owned(), name.to_owned());
        if let Some(known) = self.packages.get(&key) {
            return Ok(Rc::clone(known));
        }
        let found = self.source.lookup(ecosystem, name);
        let mut advisories = found.map_err(|source| MatchError::Package {
            ecosystem: ecosystem.to_owned(),
            name: name.to_owned(),
            source: Box::new(source),
        })?;
        for advisory in &mut advisories {
            advisory.affected.retain(|affected| affected.ecosystem == ecosystem && affected.name == name);
            advisory.affected.sort();
        }
        advisories.retain(|advisory| !advisory.affected.is_empty());
        advisories.sort();
        advisories.dedup();
        let advisories = Rc::new(advisories);
        self.packages.insert(key, Rc::clone(&advisories));
        Ok(advisories)
    }

    /// The advisories with this id or alias, or that cover it, in a fixed order.
    pub(crate) fn related(&mut self, id: &str) -> Result<Rc<Vec<Advisory>>, MatchError> {
        if let Some(known) = self.related.get(id) {
            return Ok(Rc::clone(known));
        }
        let found = self.source.related(id);
        let mut advisories =
            found.map_err(|source| MatchError::Identifier { id: id.to_owned(), source: Box::new(source) })?;
        advisories.sort();
        let advisories = Rc::new(advisories);
        self.related.insert(id.to_owned(), Rc::clone(&advisories));
        Ok(advisories)
    }

    /// The entry of the catalogue of known exploited vulnerabilities.
    pub(crate) fn known_exploited(&self, cve: &str) -> Result<Option<KnownExploited>, MatchError> {
        self.source
            .known_exploited(cve)
            .map_err(|source| MatchError::Identifier { id: cve.to_owned(), source: Box::new(source) })
    }
}
