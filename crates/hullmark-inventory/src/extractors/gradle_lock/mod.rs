//! What Gradle locked (<https://docs.gradle.org/current/userguide/dependency_locking.html>): one `group:artifact:version` per line
//! with the configurations that it is in.

use hullmark_types::PackageKind;

use crate::text::{excerpt, lines};
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads the lock files of Gradle.
pub struct GradleLock;

/// Configurations of the tools that check or build a project, by the beginning of the name.
const TOOLS: &[&str] = &[
    "_internal",
    "annotationProcessor",
    "checkstyle",
    "codenarc",
    "detekt",
    "developmentOnly",
    "errorprone",
    "jacocoAgent",
    "jacocoAnt",
    "jmh",
    "kapt",
    "kotlinBuildTools",
    "kotlinCompiler",
    "kotlinKlibCommonizer",
    "kotlinNativeCompiler",
    "ksp",
    "ktlint",
    "lintC",
    "pmd",
    "scalaCompilerPlugins",
    "spotbugs",
    "spotless",
    "test",
    "zinc",
];

impl Extractor for GradleLock {
    fn name(&self) -> &'static str {
        "gradle-lock"
    }

    fn summary(&self) -> &'static str {
        "Java artifacts that Gradle locked, from `gradle.lockfile`, `buildscript-gradle.lockfile` and `dependency-locks/*.lockfile`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Maven]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        32 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        is_lock(file.path)
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

fn is_lock(path: &str) -> bool {
    let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
    let Some(name) = name.strip_suffix(".lockfile") else { return false };
    matches!(name, "gradle" | "buildscript-gradle")
        || directory == "dependency-locks"
        || directory.ends_with("/dependency-locks")
}

/// Reads a lock file. A line that is no locked artifact is a gap `malformed-lock-file`.
fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let stem = file.file_name().strip_suffix(".lockfile").unwrap_or_default();
    for (number, line) in lines(file.bytes) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // Up to Gradle 6 there was a file for each configuration, with its name.
        let (artifact, configurations) = line.split_once('=').unwrap_or((line, stem));
        let parts: Vec<_> = artifact.splitn(4, ':').map(str::trim).collect();
        match parts.as_slice() {
            // The configurations in which nothing is.
            ["empty"] => {}
            [group, name, version] if ![group, name, version].iter().any(|part| part.is_empty()) => {
                let mut names = configurations.split(',').map(str::trim).filter(|name| !name.is_empty());
                let development = match stem {
                    "buildscript-gradle" => true,
                    _ => !configurations.trim().is_empty() && names.all(is_for_development),
                };
                let package = FoundPackage {
                    development,
                    ..FoundPackage::new(PackageKind::Maven, format!("{group}:{name}"), *version)
                };
                found.add_package(file.path, package);
            }
            _ => found.gap(
                "malformed-lock-file",
                file.path,
                format!("line {number} is not `group:artifact:version=configurations`: `{}`", excerpt(line)),
            ),
        }
    }
    found
}

/// Whether what is in the configuration serves tests or tools and is not part of what is built.
fn is_for_development(configuration: &str) -> bool {
    // That of a build script is called `classpath` and nothing more; Gradle 6 had `buildscript-classpath.lockfile`.
    configuration == "classpath"
        || configuration.starts_with("buildscript-")
        || configuration.contains("Test")
        || configuration.ends_with("AnnotationProcessor")
        || configuration.ends_with("AnnotationProcessorClasspath")
        || TOOLS.iter().any(|tool| configuration.starts_with(tool))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_of_tests_and_tools_are_for_development() {
        for name in [
            "testRuntimeClasspath",
            "integrationTestCompileClasspath",
            "debugAndroidTestRuntimeClasspath",
            "annotationProcessor",
            "releaseAnnotationProcessorClasspath",
            "kotlinCompilerPluginClasspathMain",
            "classpath",
            "buildscript-classpath",
        ] {
            assert!(is_for_development(name), "{name}");
        }
        for name in
            ["runtimeClasspath", "compileClasspath", "latestRuntimeClasspath", "releaseRuntimeClasspath"]
        {
            assert!(!is_for_development(name), "{name}");
        }
    }

    #[test]
    fn lock_files_are_known_by_name_or_directory() {
        for (path, expected) in [
            ("gradle.lockfile", true),
            ("a/b/buildscript-gradle.lockfile", true),
            ("gradle/dependency-locks/compileClasspath.lockfile", true),
            ("other.lockfile", false),
            ("gradle.lockfile.orig", false),
        ] {
            assert_eq!(is_lock(path), expected, "{path}");
        }
    }
}
