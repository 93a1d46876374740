//! What CocoaPods locked (<https://guides.cocoapods.org/using/using-cocoapods.html>).

use std::collections::{BTreeMap, BTreeSet};

use hullmark_types::PackageKind;

use crate::text::lines;
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile, Requirement};

/// Reads the lock files of CocoaPods.
pub struct Cocoapods;

impl Extractor for Cocoapods {
    fn name(&self) -> &'static str {
        "cocoapods"
    }

    fn summary(&self) -> &'static str {
        "Pods that CocoaPods locked, from `Podfile.lock`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Cocoapods]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        16 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "Podfile.lock"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads the sections, in the form in which CocoaPods writes them. Parts of a pod (`Pod/Part`) are that pod; pods of a path are
/// parts of the project.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut section = String::new();
    let mut pods: Vec<FoundPackage> = Vec::new();
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    let mut current = None;
    let mut outside = String::new();
    let mut local: BTreeSet<String> = BTreeSet::new();
    for (number, line) in lines(file.bytes) {
        let text = line.trim();
        let depth = line.bytes().take_while(|byte| *byte == b' ').count();
        let item = text.strip_prefix("- ").map(|item| item.trim_end_matches(':').trim_matches('"'));
        match (section.as_str(), depth, item) {
            _ if text.is_empty() => {}
            (_, 0, _) => section = text.split(':').next().unwrap_or_default().to_owned(),
            ("PODS", 2, Some(item)) => {
                current = None;
                let pod = item
                    .split_once(" (")
                    .and_then(|(name, version)| Some((name, version.strip_suffix(')')?)));
                let Some((name, version)) = pod else {
                    found.gap(
                        "malformed-lock-file",
                        file.path,
                        format!("line {number} is not `- name (version)`"),
                    );
                    continue;
                };
                let name = whole(name);
                let position = *positions.entry(name.to_owned()).or_insert_with(|| {
                    pods.push(FoundPackage::new(PackageKind::Cocoapods, name, version));
                    pods.len() - 1
                });
                current = Some(position);
            }
            ("PODS", 4, Some(item)) => {
                let name = whole(item.split(" (").next().unwrap_or(item)).to_owned();
                if let Some(pod) = current.and_then(|position| pods.get_mut(position))
                    && pod.name != name
                {
                    pod.requires.push(Requirement { name, version: None });
                }
            }
            ("EXTERNAL SOURCES" | "CHECKOUT OPTIONS" | "SPEC CHECKSUMS", 2, _) => {
                let (name, value) = text.split_once(':').unwrap_or((text, ""));
                outside = name.trim_matches('"').to_owned();
                let value = value.trim();
                let is_sum =
                    section == "SPEC CHECKSUMS" && value.bytes().all(|byte| byte.is_ascii_hexdigit());
                if is_sum
                    && let Some(pod) = positions.get(&outside).and_then(|position| pods.get_mut(*position))
                {
                    let sum = value.to_ascii_lowercase();
                    pod.properties.insert("cocoapods:specification-sha1".to_owned(), sum);
                }
            }
            ("EXTERNAL SOURCES", 4, _) if text.starts_with(":path:") => {
                local.insert(outside.clone());
            }
            ("EXTERNAL SOURCES" | "CHECKOUT OPTIONS", 4, _) => {
                if let Some(commit) = text.strip_prefix(":commit: ")
                    && let Some(pod) = positions.get(&outside).and_then(|position| pods.get_mut(*position))
                {
                    pod.properties.insert("cocoapods:commit".to_owned(), commit.trim_matches('"').to_owned());
                }
            }
            _ => {}
        }
    }
    for mut pod in pods {
        if !local.contains(&pod.name) {
            pod.requires.sort();
            pod.requires.dedup();
            found.add_package(file.path, pod);
        }
    }
    found
}

/// The pod of a part of it.
fn whole(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}
