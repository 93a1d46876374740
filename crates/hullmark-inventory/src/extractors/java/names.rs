//! Coordinates of an archive of which Maven says nothing: from its name and its manifest.

use super::manifest::Manifest;

/// The name of a file without its extension, as artifact and version: `commons-io-2.11.0` is `commons-io` and `2.11.0`.
pub(super) fn split_file_name(name: &str) -> (String, Option<String>) {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    for separator in ['-', '_'] {
        // The version begins with the first part that begins with a digit: artifacts have parts such as `log4j-1.2-api`, whose
        // number is followed by a word, so the last such part that begins a sound version counts.
        let mut best = None;
        for (at, _) in stem.match_indices(separator) {
            let rest = stem.get(at + 1..).unwrap_or_default();
            if rest.starts_with(|first: char| first.is_ascii_digit()) && is_version(rest) {
                best = Some((at, rest));
                break;
            }
        }
        if let Some((at, version)) = best {
            let artifact = stem.get(..at).unwrap_or_default();
            if !artifact.is_empty() {
                return (artifact.to_owned(), Some(version.to_owned()));
            }
        }
    }
    (stem.to_owned(), None)
}

/// Words that follow the number of a version.
const QUALIFIERS: &[&str] = &[
    "alpha",
    "beta",
    "cr",
    "dev",
    "ea",
    "final",
    "fix",
    "ga",
    "android",
    "incubating",
    "jdk",
    "jre",
    "java",
    "m",
    "milestone",
    "pre",
    "preview",
    "rc",
    "redhat",
    "release",
    "sec",
    "snapshot",
    "sp",
    "build",
    "b",
    "patch",
    "p",
    "dist",
    "linux",
    "native",
    "osx",
    "windows",
    "x86_64",
    "aarch_64",
    "all",
    "shaded",
    "jakarta",
    "tests",
    "nohttp",
    "standalone",
    "hadoop",
    "scala",
    "gwt",
    "v",
];

/// Whether a text is a version to its end: each part is a number, or a word that versions have with a number perhaps.
fn is_version(text: &str) -> bool {
    text.split(['-', '+']).enumerate().all(|(position, part)| {
        let part = part.to_ascii_lowercase();
        let word = part.trim_start_matches(|one: char| one.is_ascii_digit() || one == '.');
        let letters = word.split(|one: char| !one.is_ascii_alphabetic()).next().unwrap_or_default();
        match position {
            0 => true,
            _ => {
                word.is_empty()
                    || QUALIFIERS.contains(&letters)
                    || QUALIFIERS.contains(&word)
                    || is_hexadecimal(&part)
            }
        }
    })
}

/// Whether it may be an abbreviated commit.
fn is_hexadecimal(part: &str) -> bool {
    part.len() >= 7 && part.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The version: that of the name, else that of the manifest.
pub(super) fn version(of_name: Option<String>, manifest: &Manifest) -> Option<String> {
    let of_manifest = || {
        let keys = [
            "implementation-version",
            "bundle-version",
            "plugin-version",
            "specification-version",
            "nar-version",
            "hudson-version",
            "dependency-version",
        ];
        let said = keys.iter().filter_map(|key| manifest.first(&[key]));
        let sound = |text: &&str| {
            text.starts_with(|one: char| one.is_ascii_digit() || one == 'v') && !text.contains([' ', '$'])
        };
        said.into_iter().find(sound).map(str::to_owned)
    };
    of_name.or_else(of_manifest)
}

/// The group, as far as it can be worked out without a network.
pub(super) fn group(artifact: &str, manifest: &Manifest) -> Option<String> {
    if let Some(group) = known_group(artifact) {
        return Some(group.to_owned());
    }
    let keys: &[&[&str]] = &[
        &["group-id", "nar-group"],
        &["implementation-vendor-id"],
        &["bundle-symbolicname"],
        &["automatic-module-name"],
        &["extension-name"],
        &["implementation-title"],
    ];
    let said = keys.iter().filter_map(|names| manifest.first(names));
    said.filter_map(|text| group_of(text, artifact)).next()
}

/// The group in a name with dots: without the artifact, if it ends with that.
fn group_of(text: &str, artifact: &str) -> Option<String> {
    let name = text.split(';').next().unwrap_or_default().trim();
    let is_sound = name.contains('.')
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|one| one.is_ascii_alphanumeric() || matches!(one, '.' | '-' | '_'));
    if !is_sound {
        return None;
    }
    let simple = |text: &str| text.replace(['-', '_', '.'], "").to_ascii_lowercase();
    let last = name.rsplit_once('.');
    match last {
        // `org.apache.commons.commons-io`, `com.google.gson` for `gson`, `org.apache.logging.log4j.core` for `log4j-core`.
        Some((rest, last)) if rest.contains('.') && simple(artifact).ends_with(&simple(last)) => {
            Some(rest.to_owned())
        }
        _ => Some(name.to_owned()),
    }
}

/// Groups of artifacts whose archives do not name them. Facts of the central repository
/// (<https://repo1.maven.org/maven2/>).
fn known_group(artifact: &str) -> Option<&'static str> {
    const NAMES: &[(&str, &str)] = &[
        ("activation", "javax.activation"),
        ("ant", "org.apache.ant"),
        ("antlr", "antlr"),
        ("antlr-runtime", "org.antlr"),
        ("antlr4-runtime", "org.antlr"),
        ("aopalliance", "aopalliance"),
        ("asm", "org.ow2.asm"),
        ("avro", "org.apache.avro"),
        ("bcprov-jdk15on", "org.bouncycastle"),
        ("bcprov-jdk18on", "org.bouncycastle"),
        ("c3p0", "com.mchange"),
        ("cglib", "cglib"),
        ("commons-beanutils", "commons-beanutils"),
        ("commons-cli", "commons-cli"),
        ("commons-codec", "commons-codec"),
        ("commons-collections", "commons-collections"),
        ("commons-collections4", "org.apache.commons"),
        ("commons-compress", "org.apache.commons"),
        ("commons-configuration", "commons-configuration"),
        ("commons-configuration2", "org.apache.commons"),
        ("commons-dbcp", "commons-dbcp"),
        ("commons-digester", "commons-digester"),
        ("commons-email", "org.apache.commons"),
        ("commons-fileupload", "commons-fileupload"),
        ("commons-httpclient", "commons-httpclient"),
        ("commons-io", "commons-io"),
        ("commons-jxpath", "commons-jxpath"),
        ("commons-lang", "commons-lang"),
        ("commons-lang3", "org.apache.commons"),
        ("commons-logging", "commons-logging"),
        ("commons-net", "commons-net"),
        ("commons-pool", "commons-pool"),
        ("commons-text", "org.apache.commons"),
        ("commons-validator", "commons-validator"),
        ("dom4j", "dom4j"),
        ("ehcache", "net.sf.ehcache"),
        ("freemarker", "org.freemarker"),
        ("groovy-all", "org.codehaus.groovy"),
        ("gson", "com.google.code.gson"),
        ("guava", "com.google.guava"),
        ("h2", "com.h2database"),
        ("hsqldb", "org.hsqldb"),
        ("httpclient", "org.apache.httpcomponents"),
        ("httpcore", "org.apache.httpcomponents"),
        ("jackson-annotations", "com.fasterxml.jackson.core"),
        ("jackson-core", "com.fasterxml.jackson.core"),
        ("jackson-core-asl", "org.codehaus.jackson"),
        ("jackson-databind", "com.fasterxml.jackson.core"),
        ("jackson-mapper-asl", "org.codehaus.jackson"),
        ("javax.servlet-api", "javax.servlet"),
        ("jdom", "org.jdom"),
        ("jdom2", "org.jdom"),
        ("joda-time", "joda-time"),
        ("json", "org.json"),
        ("json-smart", "net.minidev"),
        ("json-path", "com.jayway.jsonpath"),
        ("jsoup", "org.jsoup"),
        ("jstl", "javax.servlet"),
        ("junit", "junit"),
        ("log4j", "log4j"),
        ("log4j-1.2-api", "org.apache.logging.log4j"),
        ("log4j-api", "org.apache.logging.log4j"),
        ("log4j-core", "org.apache.logging.log4j"),
        ("log4j-slf4j-impl", "org.apache.logging.log4j"),
        ("logback-classic", "ch.qos.logback"),
        ("logback-core", "ch.qos.logback"),
        ("mail", "javax.mail"),
        ("mysql-connector-j", "com.mysql"),
        ("mysql-connector-java", "mysql"),
        ("nimbus-jose-jwt", "com.nimbusds"),
        ("ognl", "ognl"),
        ("oro", "oro"),
        ("poi", "org.apache.poi"),
        ("poi-ooxml", "org.apache.poi"),
        ("postgresql", "org.postgresql"),
        ("protobuf-java", "com.google.protobuf"),
        ("quartz", "org.quartz-scheduler"),
        ("servlet-api", "javax.servlet"),
        ("shiro-core", "org.apache.shiro"),
        ("slf4j-api", "org.slf4j"),
        ("slf4j-log4j12", "org.slf4j"),
        ("snakeyaml", "org.yaml"),
        ("snappy-java", "org.xerial.snappy"),
        ("sqlite-jdbc", "org.xerial"),
        ("struts2-core", "org.apache.struts"),
        ("velocity", "org.apache.velocity"),
        ("velocity-engine-core", "org.apache.velocity"),
        ("xalan", "xalan"),
        ("xercesImpl", "xerces"),
        ("xml-apis", "xml-apis"),
        ("xmlsec", "org.apache.santuario"),
        ("xstream", "com.thoughtworks.xstream"),
        ("zookeeper", "org.apache.zookeeper"),
    ];
    const BEGINNINGS: &[(&str, &str)] = &[
        ("hibernate-", "org.hibernate"),
        ("jackson-dataformat-", "com.fasterxml.jackson.dataformat"),
        ("jackson-datatype-", "com.fasterxml.jackson.datatype"),
        ("jackson-module-", "com.fasterxml.jackson.module"),
        ("jetty-", "org.eclipse.jetty"),
        ("kotlin-stdlib", "org.jetbrains.kotlin"),
        ("netty-", "io.netty"),
        ("spring-boot-", "org.springframework.boot"),
        ("spring-cloud-", "org.springframework.cloud"),
        ("spring-data-", "org.springframework.data"),
        ("spring-security-", "org.springframework.security"),
        ("tomcat-embed-", "org.apache.tomcat.embed"),
    ];
    const SPRING: &[&str] = &[
        "spring-aop",
        "spring-aspects",
        "spring-beans",
        "spring-context",
        "spring-context-support",
        "spring-core",
        "spring-expression",
        "spring-instrument",
        "spring-jcl",
        "spring-jdbc",
        "spring-jms",
        "spring-messaging",
        "spring-orm",
        "spring-oxm",
        "spring-test",
        "spring-tx",
        "spring-web",
        "spring-webflux",
        "spring-webmvc",
        "spring-websocket",
    ];
    let exact = NAMES.iter().find(|(name, _)| *name == artifact).map(|(_, group)| *group);
    let spring = || SPRING.contains(&artifact).then_some("org.springframework");
    let beginning =
        || BEGINNINGS.iter().find(|(name, _)| artifact.starts_with(name)).map(|(_, group)| *group);
    exact.or_else(spring).or_else(beginning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_artifact_and_version() {
        let check = |name: &str, artifact: &str, version: Option<&str>| {
            assert_eq!(split_file_name(name), (artifact.to_owned(), version.map(str::to_owned)), "{name}");
        };
        check("commons-io-2.11.0.jar", "commons-io", Some("2.11.0"));
        check("log4j-1.2-api-2.17.1.jar", "log4j-1.2-api", Some("2.17.1"));
        check("guava-31.1-jre.jar", "guava", Some("31.1-jre"));
        check("spring-core-5.3.0-RC1.jar", "spring-core", Some("5.3.0-RC1"));
        check("app-1.0-SNAPSHOT.war", "app", Some("1.0-SNAPSHOT"));
        check(
            "netty-transport-native-epoll-4.1.100.Final-linux-x86_64.jar",
            "netty-transport-native-epoll",
            Some("4.1.100.Final-linux-x86_64"),
        );
        check("jenkins-plugin.hpi", "jenkins-plugin", None);
        check("scala-library_2.13.jar", "scala-library", Some("2.13"));
        check("h2-2.1.214.jar", "h2", Some("2.1.214"));
        check("1.0.jar", "1.0", None);
        check("-1.0.jar", "-1.0", None);
    }

    #[test]
    fn groups_are_known_or_come_from_the_manifest() {
        let group_in = |text: &str, artifact: &str| group(artifact, &Manifest::parse(text.as_bytes()));
        let check = |text: &str, artifact: &str, expected: Option<&str>| {
            assert_eq!(group_in(text, artifact).as_deref(), expected, "{artifact}");
        };
        check("A: b\n", "log4j", Some("log4j"));
        check("A: b\n", "spring-boot-starter", Some("org.springframework.boot"));
        check("A: b\n", "spring-core", Some("org.springframework"));
        check("Bundle-SymbolicName: org.foo.bar;singleton:=true\n", "bar", Some("org.foo"));
        check("Bundle-SymbolicName: org.foo.bar\n", "foo-bar", Some("org.foo"));
        check("Bundle-SymbolicName: org.foo\n", "x", Some("org.foo"));
        check(
            "Implementation-Vendor-Id: com.acme\nBundle-SymbolicName: org.foo.bar\n",
            "bar",
            Some("com.acme"),
        );
        check("Bundle-SymbolicName: Some Words. Here\n", "x", None);
    }
}
