//! What the base image brought, and what was added on top of it.

use std::collections::BTreeMap;

use hullmark_types::{BaseImage, Inventory, Origin, Severity, SubjectKind};
use serde::Serialize;

use crate::ScanReport;
use crate::text::{count, safe};

/// What the base image or the layers on top of it brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Share {
    /// Packages.
    pub(crate) packages: usize,
    /// Findings by their severity; those that there are.
    pub(crate) findings: BTreeMap<&'static str, usize>,
}

/// Who brought what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Attribution {
    /// The base image.
    pub(crate) base: Share,
    /// The layers on top of it.
    pub(crate) own: Share,
}

/// Who brought what, when the layers of the base image are known.
pub(crate) fn attribution(report: &ScanReport) -> Option<Attribution> {
    let inventory = &report.inventory;
    inventory.base.as_ref()?.layers?;
    let share = |origin: Origin| {
        let packages = inventory.packages.iter().filter(|one| inventory.origin(one.layer) == origin).count();
        let mut findings: BTreeMap<&'static str, usize> = BTreeMap::new();
        for finding in &report.matches.findings {
            if inventory.origin(finding.package.layer) == origin {
                *findings.entry(finding.severity.name()).or_default() += 1;
            }
        }
        Share { packages, findings }
    };
    Some(Attribution { base: share(Origin::Base), own: share(Origin::Own) })
}

impl Share {
    /// Its findings in words, the worst first: `5 findings (1 critical, 4 low)`.
    pub(crate) fn findings_in_words(&self) -> String {
        let total = self.findings.values().sum();
        let parts: Vec<String> = Severity::ALL
            .into_iter()
            .rev()
            .filter_map(|severity| {
                self.findings.get(severity.name()).map(|number| format!("{number} {severity}"))
            })
            .collect();
        let words = count(total, "finding", "findings");
        if parts.is_empty() { words } else { format!("{words} ({})", parts.join(", ")) }
    }
}

/// The base image in words; `None` for what has none, as it is no image.
pub(crate) fn base_in_words(inventory: &Inventory) -> Option<String> {
    if inventory.subject.kind != SubjectKind::Image {
        return None;
    }
    Some(match &inventory.base {
        Some(BaseImage { name, layers: Some(layers), .. }) => {
            format!("{}, {layers} of {}", safe(name), count(inventory.layers.len(), "layer", "layers"))
        }
        Some(BaseImage { name, layers: None, .. }) => {
            format!("{}, by its label; `hullmark base add` makes its layers known", safe(name))
        }
        None => "not known; `hullmark base add` makes one known".to_owned(),
    })
}
