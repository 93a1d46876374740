//! Files of projects that complete each other.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;

use common::Layer;
use hullmark_image::LayerVisitor as _;
use hullmark_inventory::{LayerCollector, merge};
use hullmark_types::Inventory;

fn add(directory: &Path, root: &Path, layer: Layer) -> Layer {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries.into_iter().fold(layer, |layer, path| match path.is_dir() {
        true => add(&path, root, layer),
        false => {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            layer.file(&name, &fs::read_to_string(&path).unwrap())
        }
    })
}

/// The inventory of a directory with these files.
fn inventory(layer: &Layer) -> Inventory {
    let mut collector = LayerCollector::default().with_projects(true);
    layer.visit(&mut collector);
    let _ = collector.kept();
    let contents = [collector.finish(Vec::new())];
    merge(common::subject(), None, common::layer_infos(1), &contents, Vec::new()).0
}

fn fixture(path: &str) -> Inventory {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/extractors").join(path);
    inventory(&add(&root, &root, Layer::new()))
}

/// The packages that files named `file` say, one line each.
fn listed(inventory: &Inventory, file: &str) -> Vec<String> {
    let packages = inventory.packages.iter();
    let here = packages.filter(|package| package.locations.iter().any(|place| place.path == file));
    here.map(|package| {
        let development = if package.development { " (development)" } else { "" };
        format!("{} {}{development}", package.name, package.version)
    })
    .collect()
}

fn said(inventory: &Inventory, code: &str) -> Vec<String> {
    let all = inventory.diagnostics.iter().filter(|diagnostic| diagnostic.code == code);
    all.map(|diagnostic| format!("{}: {}", diagnostic.path, diagnostic.message)).collect()
}

#[test]
fn a_project_of_maven_takes_versions_from_its_parents_and_imported_lists() {
    let inventory = fixture("maven/fixtures/family");
    assert_eq!(
        listed(&inventory, "core/pom.xml"),
        [
            "com.fasterxml.jackson.core:jackson-databind 2.15.2",
            "com.google.guava:guava 32.1.3-jre",
            "junit:junit 4.13.2 (development)",
            "org.slf4j:slf4j-api 2.0.12",
        ]
    );
    assert_eq!(
        listed(&inventory, "web/pom.xml"),
        [
            "io.netty:netty-transport-native-epoll 4.1.100.Final",
            "jakarta.servlet:jakarta.servlet-api 6.0.0 (development)",
            "org.apache.commons:commons-lang3 ",
            "org.slf4j:slf4j-api 2.0.9",
            "org.unmanaged:none ",
            "org.unset:none ",
        ]
    );
    assert_eq!(listed(&inventory, "pom.xml"), ["org.slf4j:slf4j-api 2.0.9"]);
    assert_eq!(listed(&inventory, "bom/pom.xml"), [""; 0]);
    assert_eq!(
        said(&inventory, "unresolved-version"),
        [
            "web/pom.xml: line 28: `org.apache.commons:commons-lang3` has no version: `[3.0,4.0)` leaves it open",
            "web/pom.xml: line 33: `org.unmanaged:none` has no version: nothing manages it",
            "web/pom.xml: line 37: `org.unset:none` has no version: `${no.such.property}` is not set",
        ]
    );
    assert_eq!(
        said(&inventory, "profile-not-read"),
        ["core/pom.xml: line 28: the profile `native` adds 1 dependencies; what profiles add is not listed"]
    );
    assert_eq!(
        said(&inventory, "indirect-dependencies-unknown"),
        [
            "core/pom.xml: a `pom.xml` names what a project needs directly; what that needs in turn is not listed (3 projects)"
        ]
    );
}

fn pom(coordinates: &str, rest: &str) -> String {
    let mut parts = coordinates.split(':');
    let mut part =
        |name: &str| parts.next().map(|text| format!("<{name}>{text}</{name}>")).unwrap_or_default();
    let (group, artifact, version) = (part("groupId"), part("artifactId"), part("version"));
    format!("<project>{group}{artifact}{version}{rest}</project>")
}

const PARENT: &str = "<parent><groupId>g</groupId><artifactId>p</artifactId><version>1</version></parent>";
const DEPENDENCIES: &str =
    "<dependencies><dependency><groupId>x</groupId><artifactId>y</artifactId></dependency></dependencies>";
const MANAGED: &str = "<dependencyManagement><dependencies><dependency><groupId>x</groupId><artifactId>y</artifactId><version>7</version></dependency></dependencies></dependencyManagement>";

#[test]
fn parents_are_found_by_place_then_by_coordinates() {
    let child = format!("<project>{PARENT}<artifactId>c</artifactId>{DEPENDENCIES}</project>");
    let check = |parent: &str, content: &str, expected: &str| {
        let inventory = inventory(&Layer::new().file("a/c/pom.xml", &child).file(parent, content));
        assert_eq!(listed(&inventory, "a/c/pom.xml"), [expected], "{parent}");
    };
    check("a/pom.xml", &pom("g:p:1", MANAGED), "x:y 7");
    check("other/pom.xml", &pom("g:p:1", MANAGED), "x:y 7");
    check(".m2/repository/g/p/1/p-1.pom", &pom("g:p:1", MANAGED), "x:y 7");
    // Another project, or another version of it, is no parent.
    check("a/pom.xml", &pom("g:q:1", MANAGED), "x:y ");
    check("a/pom.xml", &pom("g:p:2", MANAGED), "x:y ");
    let alone = inventory(&Layer::new().file("pom.xml", &child));
    assert_eq!(
        said(&alone, "unresolved-version"),
        ["pom.xml: line 1: `x:y` has no version: what manages it is not there (`g:p:1`)"]
    );
}

#[test]
fn projects_that_are_their_own_parents_or_imports_end() {
    let import = "<dependencyManagement><dependencies><dependency><groupId>g</groupId><artifactId>p</artifactId><version>1</version><type>pom</type><scope>import</scope></dependency></dependencies></dependencyManagement>";
    let text = format!(
        "<project>{PARENT}<groupId>g</groupId><artifactId>p</artifactId><version>1</version>{import}{DEPENDENCIES}</project>"
    );
    let inventory = inventory(&Layer::new().file("pom.xml", &text));
    assert_eq!(listed(&inventory, "pom.xml"), ["x:y "]);
    assert_eq!(said(&inventory, "unresolved-version").len(), 1);
}

#[test]
fn what_many_projects_ask_of_one_list_is_bounded() {
    let dependency = |classifier: usize, version: &str| {
        format!(
            "<dependency><groupId>x</groupId><artifactId>y</artifactId><classifier>{classifier}</classifier>{version}</dependency>"
        )
    };
    let list: String = (0..4000).map(|at| dependency(at, "<version>1</version>")).collect();
    let managed = format!("<dependencyManagement><dependencies>{list}</dependencies></dependencyManagement>");
    let asked: String = (0..1000).map(|at| dependency(5000 + at, "")).collect();
    let child =
        format!("<project>{PARENT}<artifactId>c</artifactId><dependencies>{asked}</dependencies></project>");
    let layer = Layer::new().file("pom.xml", &pom("g:p:1", &managed)).file("c/pom.xml", &child);
    assert_eq!(said(&inventory(&layer), "limit-projects").len(), 1);
}

#[test]
fn names_of_nuget_differ_in_more_than_case() {
    let layer = Layer::new()
        .file("a/packages.config", r#"<packages><package id="Newtonsoft.Json" version="13.0.3"/></packages>"#)
        .file(
            "b/packages.config",
            r#"<packages><package id="newtonsoft.json" version="13.0.3"/></packages>"#,
        );
    let inventory = inventory(&layer);
    assert_eq!(inventory.packages.len(), 1);
    assert_eq!(inventory.packages[0].locations.len(), 2);
}

#[test]
fn a_project_of_dotnet_takes_versions_from_what_it_imports() {
    let inventory = fixture("msbuild/fixtures/central");
    assert_eq!(
        listed(&inventory, "src/api/Api.csproj"),
        [
            "Dapper 2.1.0",
            "Floating ",
            "Microsoft.Extensions.Logging 6.0.0",
            "Microsoft.Extensions.Logging 8.0.0",
            "Nerdbank.GitVersioning 3.6.133 (development)",
            "Polly 8.2.0",
            "Serilog 3.0.0",
            "StyleCop.Analyzers 1.1.118 (development)",
            "Unmanaged ",
            "Unset ",
            "newtonsoft.json 13.0.3",
        ]
    );
    assert_eq!(
        listed(&inventory, "src/locked/Locked.fsproj"),
        [
            "Microsoft.Extensions.Logging 8.0.0",
            "Nerdbank.GitVersioning 3.6.133 (development)",
            "StyleCop.Analyzers 1.1.118 (development)",
        ]
    );
    assert_eq!(listed(&inventory, "src/locked/packages.lock.json"), ["Serilog 3.1.2"]);
    assert_eq!(
        listed(&inventory, "test/Tests.vbproj"),
        [
            "Polly 8.2.0",
            "StyleCop.Analyzers 1.1.118 (development)",
            "dotnet-xunit 2.3.1 (development)",
            "xunit 2.6.2",
        ]
    );
    assert_eq!(
        said(&inventory, "unresolved-version"),
        [
            "src/api/Api.csproj: line 13: `Floating` has no version: `1.*` leaves it open",
            "src/api/Api.csproj: line 14: `Unmanaged` has no version: no file that is there says it",
            "src/api/Api.csproj: line 15: `Unset` has no version: `$(NoSuchVersion)` is not set",
        ]
    );
    assert_eq!(
        said(&inventory, "unresolved-name"),
        ["test/Tests.vbproj: line 6: `@(Others)` is not listed, for it is not known which package it is"]
    );
    assert_eq!(
        said(&inventory, "indirect-dependencies-unknown"),
        [
            "src/api/Api.csproj: a project without a lock file names what it needs directly; what that needs in turn is not listed (2 projects)"
        ]
    );
}

#[test]
fn files_that_import_each_other_end() {
    let layer = Layer::new()
        .file("a.csproj", r#"<Project><Import Project="b.props"/><ItemGroup><PackageReference Include="X" Version="$(V)"/></ItemGroup></Project>"#)
        .file("b.props", r#"<Project><Import Project="c.props"/><PropertyGroup><V>$(V)$(V)1</V></PropertyGroup></Project>"#)
        .file("c.props", r#"<Project><Import Project="b.props"/><PropertyGroup><V>2.</V></PropertyGroup></Project>"#);
    assert_eq!(listed(&inventory(&layer), "a.csproj"), ["X 2.2.1"]);
}
