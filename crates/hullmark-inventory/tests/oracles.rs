//! The extractors against the tools whose files they read, where those are at hand.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use hullmark_inventory::extractors::ALL;
use hullmark_inventory::{Extraction, Extractor, FileFacts, HEAD_LENGTH, OpenFile};
use hullmark_types::fold_pypi_name;

/// What the tool prints; `None`, with a word about it, when it is not there or fails.
fn output(program: &str, arguments: &[&str], directory: Option<&Path>) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments);
    if let Some(directory) = directory {
        command.current_dir(directory).env("GOFLAGS", "").env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
    }
    match command.output() {
        Ok(result) if result.status.success() => String::from_utf8(result.stdout).ok(),
        _ => {
            println!("skipped: `{program}` is not there or does not work");
            None
        }
    }
}

fn extractor(name: &str) -> &'static dyn Extractor {
    *ALL.iter().find(|extractor| extractor.name() == name).unwrap()
}

fn extract(name: &str, root: &Path, file: &Path) -> Option<Extraction> {
    let path = file.strip_prefix(root).unwrap().to_str()?.to_owned();
    let facts = FileFacts { path: &path, size: 1, mode: 0o755 };
    let wanted = extractor(name).wants(&facts);
    let bytes = fs::read(file).unwrap();
    let found = wanted.then(|| extractor(name).extract(&OpenFile { path: &path, bytes: &bytes }));
    let head = bytes.get(..HEAD_LENGTH).unwrap_or(&bytes);
    if let Some(mut passing) = extractor(name).passing(&FileFacts { size: bytes.len() as u64, ..facts }, head)
    {
        bytes.chunks(65_536).for_each(|piece| passing.bytes(piece));
        assert_eq!(Some(passing.finish(&path)), found, "as it passes");
    }
    found
}

fn files_below(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() && depth > 0 {
            files_below(&path, depth - 1, files);
        } else if metadata.is_file() {
            files.push(path);
        }
    }
}

#[test]
fn dpkg_query_names_the_same_packages() {
    let format = "${Package}\t${Version}\t${source:Package}\t${source:Version}\t${Architecture}\t${db:Status-Status}\n";
    let Some(listing) = output("dpkg-query", &["-W", "-f", format], None) else { return };
    let is_on_disk = |line: &&str| !line.ends_with("\tconfig-files") && !line.ends_with("\tnot-installed");
    let expected: BTreeSet<_> = listing
        .lines()
        .filter(is_on_disk)
        .filter_map(|line| line.rsplit_once('\t').map(|(package, _)| package.to_owned()))
        .collect();
    let found = extract("dpkg", Path::new("/"), Path::new("/var/lib/dpkg/status")).unwrap();
    let line = |package: &hullmark_inventory::FoundPackage| {
        let source = package.source.as_ref().unwrap();
        let architecture = package.architecture.as_deref().unwrap_or("");
        format!("{}\t{}\t{}\t{}\t{architecture}", package.name, package.version, source.name, source.version)
    };
    let actual: BTreeSet<_> = found.packages.iter().map(line).collect();
    assert!(expected.len() > 10);
    assert_eq!(actual, expected);
    assert_eq!(found.diagnostics, []);
}

#[test]
fn dpkg_query_names_the_same_files() {
    let Some(listing) = output("dpkg-query", &["-L", "dpkg"], None) else { return };
    let expected: BTreeSet<_> =
        listing.lines().filter_map(|line| line.strip_prefix('/')).filter(|line| *line != ".").collect();
    let found = extract("dpkg", Path::new("/"), Path::new("/var/lib/dpkg/info/dpkg.list")).unwrap();
    let actual: BTreeSet<_> = found.owned[0].files.iter().map(String::as_str).collect();
    assert_eq!(found.owned[0].package, "dpkg");
    assert_eq!(actual, expected);
}

#[test]
fn pip_names_the_same_distributions() {
    let program = "import sysconfig; print(sysconfig.get_path('purelib'))";
    let Some(directory) = output("python3", &["-c", program], None) else { return };
    let directory = Path::new(directory.trim());
    let arguments = [
        "-m",
        "pip",
        "--disable-pip-version-check",
        "list",
        "--format=json",
        "--path",
        directory.to_str().unwrap(),
    ];
    let Some(listing) = output("python3", &arguments, None) else { return };
    let listing: Vec<serde_json::Value> = serde_json::from_str(&listing).unwrap();
    let text = |value: &serde_json::Value, key: &str| value[key].as_str().unwrap().to_owned();
    let expected: BTreeSet<_> =
        listing.iter().map(|entry| (fold_pypi_name(&text(entry, "name")), text(entry, "version"))).collect();
    let mut files = Vec::new();
    files_below(directory, 1, &mut files);
    let found: BTreeSet<_> = files
        .iter()
        .filter_map(|file| extract("python", directory, file))
        .flat_map(|found| found.packages)
        .map(|package| (fold_pypi_name(&package.name), package.version))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn npm_names_the_same_packages() {
    let Some(root) = output("npm", &["root", "--global"], None) else { return };
    let Some(listing) = output("npm", &["ls", "--global", "--all", "--parseable", "--long"], None) else {
        return;
    };
    // Lines are `PATH:NAME@VERSION:...`; the first names the directory that holds everything.
    let expected: BTreeSet<_> =
        listing.lines().skip(1).filter_map(|line| line.split(':').nth(1)).map(str::to_owned).collect();
    let root = Path::new(root.trim());
    let mut files = Vec::new();
    files_below(root, 12, &mut files);
    let found: BTreeSet<_> = files
        .iter()
        .filter(|file| file.ends_with("package.json"))
        .filter_map(|file| extract("npm", root.parent().unwrap(), file))
        .flat_map(|found| found.packages)
        .map(|package| format!("{}@{}", package.name, package.version))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn go_names_the_same_build_information() {
    if output("go", &["version"], None).is_none() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    fs::create_dir(root.join("dependency")).unwrap();
    fs::write(root.join("dependency/go.mod"), "module example.com/dependency\n\ngo 1.18\n").unwrap();
    fs::write(root.join("dependency/lib.go"), "package dependency\n\nconst Greeting = \"hello\"\n").unwrap();
    let module = "module example.com/Hello\n\ngo 1.18\n\nrequire example.com/dependency v1.0.0\n\nreplace example.com/dependency => ./dependency\n";
    fs::write(root.join("go.mod"), module).unwrap();
    let program =
        "package main\n\nimport \"example.com/dependency\"\n\nfunc main() { println(dependency.Greeting) }\n";
    fs::write(root.join("main.go"), program).unwrap();
    // With and without symbols, which stripped programs keep their build information without, and for any address.
    for (name, flags) in
        [("plain", "-ldflags="), ("stripped", "-ldflags=-s -w"), ("relocatable", "-buildmode=pie")]
    {
        if output("go", &["build", flags, "-o", name, "."], Some(root)).is_none() {
            return;
        }
        let listing = output("go", &["version", "-m", name], Some(root)).unwrap();
        let (head, modules) = listing.split_once('\n').unwrap();
        let bytes = fs::read(root.join(name)).unwrap();
        let information =
            hullmark_inventory::extractors::go_binary::read_build_information(&bytes).unwrap().unwrap();
        assert_eq!(head, format!("{name}: {}", information.go_version));
        let printed: Vec<_> = modules.lines().map(str::trim).collect();
        let read: Vec<_> = information.modules.lines().map(str::trim).collect();
        assert_eq!(read, printed);
        let found = extract("go-binary", root, &root.join(name)).unwrap();
        let names: Vec<_> =
            found.packages.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
        assert_eq!(
            names.get(1..),
            Some([("example.com/Hello", ""), ("example.com/dependency", "")].as_slice())
        );
        assert_eq!(names[0].0, "stdlib");
        assert!(!names[0].1.is_empty());
    }
}

#[test]
fn dpkg_query_names_the_same_owners() {
    let root = Path::new("/");
    let mut files = Vec::new();
    files_below(Path::new("/usr/lib/python3/dist-packages"), 2, &mut files);
    files.retain(|file| {
        let path = file.strip_prefix(root).unwrap().to_str().unwrap_or("");
        extractor("python").wants(&FileFacts { path, size: 1, mode: 0 })
    });
    let mut arguments = vec!["-S"];
    arguments.extend(files.iter().filter_map(|file| file.to_str()));
    if files.is_empty() {
        println!("skipped: there are no Python packages of Debian");
        return;
    }
    let Some(listing) = output("dpkg-query", &arguments, None) else { return };
    let expected: BTreeSet<_> = listing
        .lines()
        .filter_map(|line| line.split_once(": /"))
        .map(|(owner, path)| (path.to_owned(), owner.split(':').next().unwrap_or("").to_owned()))
        .collect();
    let mut lists = Vec::new();
    files_below(Path::new("/var/lib/dpkg/info"), 0, &mut lists);
    files.extend(lists.into_iter().filter(|file| file.extension().is_some_and(|name| name == "list")));
    files.extend(["/etc/os-release", "/var/lib/dpkg/status"].map(PathBuf::from));
    let text = |file: &Path| String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
    let layer = files.iter().fold(common::Layer::new(), |layer, file| {
        layer.file(file.strip_prefix(root).unwrap().to_str().unwrap(), &text(file))
    });
    let inventory = common::inventory(&[layer]);
    let owner = |purl: &str| {
        inventory.packages.iter().find(|package| package.purl == purl).map(|package| package.name.clone())
    };
    let found: BTreeSet<_> = inventory
        .packages
        .iter()
        .filter(|package| !package.kind.is_operating_system())
        .flat_map(|package| package.locations.iter().map(move |place| (place, package.owner.as_deref())))
        .map(|(place, purl)| (place.path.clone(), purl.and_then(owner).unwrap_or_default()))
        .collect();
    assert_eq!(found, expected);
}
