//! What a file of a project says that only other files of the project complete: a version that the parent of a `pom.xml` or a
//! `Directory.Packages.props` sets. An extractor sees one file; the merge sees them all, and completes here what they say.

mod condition;
pub(crate) mod maven;
pub(crate) mod msbuild;
mod path;

use std::collections::BTreeSet;

use hullmark_types::PackageKind;
use serde::{Deserialize, Serialize};

use crate::Extraction;
use crate::root::{LiveFile, LiveNode, Root};

/// How many steps the completion takes at most, such as entries looked at; about a second.
const MAX_STEPS: u64 = 2_000_000;

/// What one file of a project says, before the others complete it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectPart(pub(crate) Part);

/// The forms of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    /// A `pom.xml`.
    Maven(Box<maven::Model>),
    /// A project of .NET, or a file that such projects import.
    Msbuild(Box<msbuild::Model>),
}

impl ProjectPart {
    /// The kind of the packages that it names.
    pub fn kind(&self) -> PackageKind {
        match self.0 {
            Part::Maven(_) => PackageKind::Maven,
            Part::Msbuild(_) => PackageKind::Nuget,
        }
    }

    /// About how many bytes of memory it needs.
    pub(crate) fn weight(&self) -> usize {
        match &self.0 {
            Part::Maven(model) => model.weight(),
            Part::Msbuild(model) => model.weight(),
        }
    }
}

/// What was completed for one file.
pub(crate) struct Completed<'a> {
    pub(crate) path: &'a str,
    pub(crate) layer: u32,
    pub(crate) found_by: &'static str,
    pub(crate) found: Extraction,
}

/// How much may still be done.
pub(crate) struct Steps(u64);

impl Steps {
    /// Whether there is still time, with that many steps taken.
    pub(crate) fn take(&mut self, steps: usize) -> bool {
        self.0 = self.0.saturating_sub(steps as u64);
        self.0 > 0
    }
}

/// Completes the parts of all files that are there.
pub(crate) fn complete<'a>(root: &'a Root<'_>) -> Vec<Completed<'a>> {
    let (mut poms, mut projects) = (Vec::new(), Vec::new());
    for (path, live) in root.nodes() {
        let LiveNode::File(LiveFile { content: Some(content), .. }) = live.node else { continue };
        for part in content.values().filter_map(|extraction| extraction.project.as_ref()) {
            match &part.0 {
                Part::Maven(model) => poms.push(maven::Project { path, layer: live.layer, model }),
                Part::Msbuild(model) => projects.push(msbuild::Project { path, layer: live.layer, model }),
            }
        }
    }
    let locked = |path: &str| {
        let (_, content) = root.content(path)?;
        let packages = content?.values().flat_map(|extraction| &extraction.packages);
        let names: BTreeSet<_> = packages
            .filter(|package| package.kind == PackageKind::Nuget)
            .map(|package| package.name.to_lowercase())
            .collect();
        Some(names)
    };
    let mut completed = maven::complete(&poms, &mut Steps(MAX_STEPS));
    completed.extend(msbuild::complete(&projects, locked, &mut Steps(MAX_STEPS)));
    completed
}
