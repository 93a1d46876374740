//! What differs between the JSON reports of two scans.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// A finding, as far as it is compared: package and identifier.
type Key = (String, String);

/// The findings of a report: package and identifier, with the installed version.
pub(super) type Findings = BTreeMap<Key, String>;

/// The findings of two reports, apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Only in the first.
    pub(super) gone: Vec<Key>,
    /// In both.
    pub(super) left: Vec<Key>,
    /// Only in the second.
    pub(super) new: Vec<Key>,
}

/// Read the findings of a report that `hullmark scan --format json` wrote.
///
/// # Errors
/// When the file cannot be read or is not such a report.
pub(super) fn read(path: &Path) -> Result<Findings> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let report = serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))?;
    findings(&report).with_context(|| format!("{} is not a report", path.display()))
}

fn findings(report: &Value) -> Option<Findings> {
    let list = report.get("findings").or_else(|| report.pointer("/matches/findings"))?.as_array()?;
    list.iter()
        .map(|finding| {
            let package = &finding["package"];
            let key = (package["name"].as_str()?.to_owned(), finding["id"].as_str()?.to_owned());
            Some((key, package["version"].as_str()?.to_owned()))
        })
        .collect()
}

/// Compare the findings of two reports.
pub(super) fn compare(first: &Findings, second: &Findings) -> Changes {
    let only = |here: &Findings, there: &Findings, both: bool| {
        here.keys().filter(|key| there.contains_key(*key) == both).cloned().collect()
    };
    Changes {
        gone: only(first, second, false),
        left: only(first, second, true),
        new: only(second, first, false),
    }
}

/// One line for each package, with its identifiers.
pub(super) fn by_package(keys: &[Key]) -> Vec<String> {
    let mut packages: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (package, id) in keys {
        packages.entry(package).or_default().push(id);
    }
    packages.iter().map(|(package, ids)| format!("{package} ({}): {}", ids.len(), ids.join(", "))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(list: &[(&str, &str)]) -> Findings {
        let list: Vec<Value> = list
            .iter()
            .map(|(name, id)| json!({"id": id, "package": {"name": name, "version": "1"}}))
            .collect();
        findings(&json!({"matches": {"findings": list}})).unwrap()
    }

    #[test]
    fn findings_are_told_apart() {
        let changes =
            compare(&report(&[("a", "1"), ("a", "2"), ("b", "1")]), &report(&[("a", "2"), ("c", "3")]));
        assert_eq!(by_package(&changes.gone), ["a (1): 1", "b (1): 1"]);
        assert_eq!(by_package(&changes.left), ["a (1): 2"]);
        assert_eq!(by_package(&changes.new), ["c (1): 3"]);
    }

    #[test]
    fn a_finding_without_its_package_makes_no_report() {
        assert_eq!(findings(&json!({"findings": [{"id": "x"}]})), None);
        assert_eq!(findings(&json!({})), None);
    }
}
