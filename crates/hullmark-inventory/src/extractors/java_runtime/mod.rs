//! The run-time of Java that is installed without a package: the file `release` in its directory, which every JDK and JRE since
//! Java 7 has (JEP 223, <https://openjdk.org/jeps/223>).

use std::collections::BTreeMap;

use hullmark_types::PackageKind;

use crate::text::{lines, non_empty};
use crate::{Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads the release files of Java.
pub struct JavaRuntime;

impl Extractor for JavaRuntime {
    fn name(&self) -> &'static str {
        "java-runtime"
    }

    fn summary(&self) -> &'static str {
        "JDKs and JREs, from `release` in their directory"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Generic]
    }

    fn max_file_size(&self) -> u64 {
        1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == "release"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads a release file. One without `JAVA_VERSION` is of something else, and gives nothing.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for (_, line) in lines(file.bytes).take(1000) {
        if let Some((key, value)) = line.split_once('=')
            && let Some(value) = non_empty(value.trim().trim_matches('"'))
        {
            values.entry(key.trim().to_owned()).or_insert(value);
        }
    }
    let value = |key: &str| values.get(key).cloned();
    let Some(java) = value("JAVA_VERSION") else { return found };
    let implementor = value("IMPLEMENTOR");
    let (name, version, cpe) = match (value("GRAALVM_VERSION"), implementor.as_deref()) {
        (Some(version), _) => ("graalvm", version, "oracle:graalvm"),
        (None, Some("Oracle Corporation")) => ("jdk", java.clone(), "oracle:jdk"),
        (None, _) => ("openjdk", java.clone(), "oracle:openjdk"),
    };
    let mut properties = BTreeMap::new();
    // Java 8 is 1.8.0 with an update: `1.8.0_392`.
    let update = version.split_once('_');
    let (plain, update) = update
        .map_or((version.as_str(), "*".to_owned()), |(plain, update)| (plain, format!("update{update}")));
    properties.insert("cpe".to_owned(), format!("cpe:2.3:a:{cpe}:{plain}:{update}:*:*:*:*:*:*"));
    let more = [
        ("java:version", value("JAVA_VERSION").filter(|_| name == "graalvm")),
        ("java:runtime-version", value("JAVA_RUNTIME_VERSION")),
        ("java:implementor-version", value("IMPLEMENTOR_VERSION")),
        ("java:image-type", value("IMAGE_TYPE")),
    ];
    properties.extend(more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    let package = FoundPackage {
        vendor: implementor,
        architecture: value("OS_ARCH"),
        properties,
        ..FoundPackage::new(PackageKind::Generic, name, version)
    };
    found.add_package(file.path, package);
    found
}
