//! The extractors of Ruby, PHP and others against the tools that wrote the files, where those are at hand.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use hullmark_inventory::extractors::ALL;
use hullmark_inventory::{Extraction, FileFacts, FoundPackage, OpenFile};

/// What the tool prints; `None`, with a word about it, when it is not there or fails.
fn output(command: &mut Command) -> Option<String> {
    match command.output() {
        Ok(result) if result.status.success() => String::from_utf8(result.stdout).ok(),
        _ => {
            println!("skipped: {command:?} is not there or does not work");
            None
        }
    }
}

/// What the extractor finds in a file below `root`; it must want it.
fn extract(name: &str, root: &Path, file: &Path) -> Extraction {
    let extractor = ALL.iter().find(|extractor| extractor.name() == name).unwrap();
    let path = file.strip_prefix(root).unwrap().to_str().unwrap();
    let bytes = fs::read(file).unwrap();
    assert!(extractor.wants(&FileFacts { path, size: bytes.len() as u64, mode: 0o644 }), "{path}");
    extractor.extract(&OpenFile { path, bytes: &bytes })
}

fn joined<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>().join(",")
}

#[test]
fn rubygems_names_the_same_gems() {
    let program = r#"Gem::Specification.each do |gem|
        needs = gem.runtime_dependencies.map(&:name).sort.uniq.join(",")
        puts [gem.loaded_from, gem.name, gem.version, gem.platform, gem.default_gem?,
            gem.licenses.sort.uniq.join(","), gem.authors.compact.join(", "), needs].join("\t")
    end"#;
    let Some(listing) = output(Command::new("ruby").args(["-rrubygems", "-e", program])) else { return };
    let mut count = 0;
    for line in listing.lines() {
        let (path, expected) = line.split_once('\t').unwrap();
        let found = extract("ruby", Path::new("/"), Path::new(path));
        assert_eq!(found.diagnostics, [], "{path}");
        let [gem] = found.packages.as_slice() else { panic!("{path}: {:?}", found.packages) };
        let property = |key: &str| gem.properties.get(key).map(String::as_str);
        let actual = [
            gem.name.as_str(),
            &gem.version,
            property("gem:platform").unwrap_or("ruby"),
            property("gem:default").unwrap_or("false"),
            &joined(gem.licenses.iter().map(String::as_str)),
            gem.vendor.as_deref().unwrap_or_default(),
            &joined(gem.requires.iter().map(|needed| needed.name.as_str())),
        ]
        .join("\t");
        assert_eq!(actual, expected, "{path}");
        count += 1;
    }
    println!("{count} gems agree");
}

#[test]
fn bundler_writes_the_specifications_of_git_checkouts() {
    let directory = tempfile::tempdir().unwrap();
    let (gem, app) = (directory.path().join("gem"), directory.path().join("app"));
    fs::create_dir_all(&gem).unwrap();
    fs::create_dir_all(&app).unwrap();
    let specification = "Gem::Specification.new do |s|\n s.name = 'lantern'\n s.version = ['2', '0', '1'].join('.')\n\
        s.summary = 'x'\n s.authors = ['A']\n s.license = 'MIT'\n s.files = []\nend\n";
    fs::write(gem.join("lantern.gemspec"), specification).unwrap();
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"];
        output(Command::new("git").args(identity).args(arguments).current_dir(&gem))
    };
    let steps = [&["init", "--quiet"][..], &["add", "."], &["commit", "--quiet", "-m", "x"]];
    if steps.into_iter().any(|arguments| git(arguments).is_none()) {
        return;
    }
    fs::write(app.join("Gemfile"), format!("gem 'lantern', git: '{}'\n", gem.display())).unwrap();
    let mut bundle = Command::new("bundle");
    bundle.args(["install", "--quiet"]).current_dir(&app).env("BUNDLE_PATH", "vendor/bundle");
    bundle.env("HOME", directory.path()).env("BUNDLE_SILENCE_ROOT_WARNING", "1");
    if output(&mut bundle).is_none() {
        return;
    }
    let mut pending = vec![app.join("vendor/bundle")];
    let mut found = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.ends_with("lantern.gemspec") {
            found.push(extract("ruby", &app, &path));
        }
    }
    let [extraction] = found.as_slice() else { panic!("{found:?}") };
    let [lantern] = extraction.packages.as_slice() else { panic!("{extraction:?}") };
    assert_eq!((lantern.name.as_str(), lantern.version.as_str()), ("lantern", "2.0.1"));
    assert_eq!(lantern.licenses, ["MIT"]);
    assert_eq!(lantern.properties["gem:revision"].len(), 12);
}

#[test]
fn composer_shows_the_same_packages() {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "one/composer.json",
        r#"{"name": "example/one", "version": "1.2.3", "license": ["MIT", "GPL-2.0-only"], "require": {"example/two": "*"}}"#,
    );
    write("two/composer.json", r#"{"name": "example/two", "version": "v2.0.0-RC1", "license": "ISC"}"#);
    write("three/composer.json", r#"{"name": "example/three", "version": "3.0"}"#);
    write(
        "app/composer.json",
        r#"{"name": "example/app", "repositories": [{"packagist.org": false}, {"type": "path", "url": "../*", "options": {"symlink": false}}],
            "minimum-stability": "dev", "require": {"example/one": "*"}, "require-dev": {"example/three": "*"}}"#,
    );
    let app = directory.path().join("app");
    let composer = |arguments: &[&str]| {
        let mut command = Command::new("composer");
        command.args(arguments).args(["--no-interaction", "--no-plugins"]).current_dir(&app);
        command.env("COMPOSER_HOME", directory.path().join("home")).env("COMPOSER_ALLOW_SUPERUSER", "1");
        command.env("COMPOSER_DISABLE_NETWORK", "1");
        output(&mut command)
    };
    if composer(&["install", "--quiet"]).is_none() {
        return;
    }
    let Some(listing) = composer(&["show", "--format=json"]) else { return };
    let listing: serde_json::Value = serde_json::from_str(&listing).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let expected: BTreeSet<_> = listing["installed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (text(&entry["name"]), text(&entry["version"])))
        .collect();
    let found = extract("composer", directory.path(), &app.join("vendor/composer/installed.json"));
    let pair = |package: &FoundPackage| (package.name.clone(), package.version.clone());
    assert_eq!(found.packages.iter().map(pair).collect::<BTreeSet<_>>(), expected);
    assert_eq!(found.diagnostics, []);
    let development: Vec<_> = found.packages.iter().filter(|package| package.development).map(pair).collect();
    assert_eq!(development, [("example/three".to_owned(), "3.0".to_owned())]);
    let one = found.packages.iter().find(|package| package.name == "example/one").unwrap();
    assert_eq!(one.licenses, ["MIT", "GPL-2.0-only"]);
    assert_eq!(one.requires[0].name, "example/two");
}

#[test]
fn r_names_the_same_packages() {
    let program = r#"p <- installed.packages(fields = c("License", "Maintainer"))
        for (i in seq_len(nrow(p))) cat(p[i, "LibPath"], p[i, "Package"], p[i, "Version"], p[i, "License"], sep = "\t", "\n")"#;
    let Some(listing) = output(Command::new("Rscript").args(["--vanilla", "-e", program])) else { return };
    let mut count = 0;
    for line in listing.lines() {
        let [library, name, version, license] = line.split('\t').take(4).collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let file = fs::canonicalize(Path::new(library).join(name).join("DESCRIPTION")).unwrap();
        let found = extract("r", Path::new("/"), &file);
        let [package] = found.packages.as_slice() else { panic!("{file:?}: {found:?}") };
        assert_eq!((package.name.as_str(), package.version.as_str()), (name, version), "{file:?}");
        assert_eq!(package.licenses, [license], "{file:?}");
        count += 1;
    }
    println!("{count} R packages agree");
}

#[test]
fn pear_lists_the_same_packages() {
    let Some(directory) = output(Command::new("pear").args(["config-get", "php_dir"])) else { return };
    let Some(listing) = output(Command::new("pear").args(["list", "-c", "pear.php.net"])) else {
        return;
    };
    let registry = Path::new(directory.trim()).join(".registry");
    let expected: BTreeSet<_> = listing
        .lines()
        .skip_while(|line| !line.starts_with("PACKAGE"))
        .skip(1)
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((format!("pear.php.net/{}", words.next()?), words.next()?.to_owned()))
        })
        .collect();
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(registry).unwrap() {
        let file = entry.unwrap().path();
        if file.is_file() {
            let record = extract("pear", Path::new("/"), &file);
            assert_eq!(record.diagnostics, [], "{file:?}");
            found.extend(record.packages.into_iter().map(|package| (package.name, package.version)));
        }
    }
    assert_eq!(found, expected);
    assert!(found.len() > 2);
}

#[test]
fn luarocks_lists_the_same_rocks() {
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    let luarocks = |arguments: &[&str]| {
        let mut command = Command::new("luarocks");
        output(command.arg("--tree").arg(&tree).args(arguments).current_dir(directory.path()))
    };
    fs::write(directory.path().join("wick.lua"), "return {}\n").unwrap();
    fs::write(directory.path().join("lamp.lua"), "return {}\n").unwrap();
    for (name, needed) in [("wick", ""), ("lamp", ", 'wick >= 1.0'")] {
        let spec = format!("{name}-1.2-3.rockspec");
        let text = format!(
            "local n = '{name}'\npackage = n\nversion = '1.2' .. '-3'\nsource = {{ url = 'file://{name}.lua' }}\n\
             description = {{ summary = [[A {name}]], license = \"MIT\" }}\ndependencies = {{ 'lua >= 5.1'{needed} }}\n\
             build = {{ type = 'builtin', modules = {{ [n] = n .. '.lua' }} }}\n"
        );
        fs::write(directory.path().join(&spec), text).unwrap();
        if luarocks(&["make", "--deps-mode", "none", &spec]).is_none() {
            return;
        }
    }
    let Some(listing) = luarocks(&["list", "--porcelain"]) else { return };
    let mut names = BTreeSet::new();
    for line in listing.lines() {
        let [name, version, _, rocks] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let file = Path::new(rocks).join(name).join(version).join(format!("{name}-{version}.rockspec"));
        let found = extract("lua", directory.path(), &file);
        let [rock] = found.packages.as_slice() else { panic!("{file:?}: {found:?}") };
        assert_eq!((rock.name.as_str(), rock.version.as_str()), (name, version));
        assert_eq!(rock.licenses, ["MIT"]);
        let needed: Vec<_> = rock.requires.iter().map(|needed| needed.name.as_str()).collect();
        assert_eq!(needed, if name == "lamp" { &["wick"][..] } else { &[] });
        names.insert(name);
    }
    assert_eq!(names, BTreeSet::from(["lamp", "wick"]));
}

#[test]
fn erlang_loads_the_same_applications() {
    let program = r#"[begin A = list_to_atom(filename:basename(F, ".app")), application:load(A),
            {ok, V} = application:get_key(A, vsn), {ok, N} = application:get_key(A, applications),
            io:format("~s\t~s\t~s\t~s~n", [F, A, V, lists:join(",", [atom_to_list(X) || X <- lists:usort(N)])])
        end || F <- filelib:wildcard(code:lib_dir() ++ "/*/ebin/*.app")], halt()."#;
    let Some(listing) = output(Command::new("erl").args(["-noshell", "-eval", program])) else { return };
    for line in listing.lines() {
        let [file, name, version, needed] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let found = extract("erlang", Path::new("/"), Path::new(file));
        assert_eq!(found.diagnostics, [], "{file}");
        let [package] = found.packages.as_slice() else { panic!("{file}: {found:?}") };
        assert_eq!((package.name.as_str(), package.version.as_str()), (name, version));
        assert_eq!(joined(package.requires.iter().map(|needed| needed.name.as_str())), needed, "{file}");
        assert_eq!(package.kind.purl_type(), "otp");
    }
    assert!(listing.lines().count() > 2);
}

#[test]
fn perl_logs_and_lists_what_it_installs() {
    let directory = tempfile::tempdir().unwrap();
    let source = directory.path().join("source");
    let target = directory.path().join("target");
    fs::create_dir_all(source.join("lib/Lamp")).unwrap();
    fs::write(source.join("lib/Lamp/Wick.pm"), "package Lamp::Wick;\nour $VERSION = '1.07';\n1;\n").unwrap();
    let make = "use ExtUtils::MakeMaker;\nWriteMakefile(NAME => 'Lamp::Wick', VERSION_FROM => 'lib/Lamp/Wick.pm', LICENSE => 'perl');\n";
    fs::write(source.join("Makefile.PL"), make).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        output(Command::new(program).args(arguments).current_dir(&source).env_remove("PERL_MM_OPT"))
    };
    let base = format!("INSTALL_BASE={}", target.display());
    if run("perl", &["Makefile.PL", &base, "NO_PACKLIST=0", "NO_PERLLOCAL=0"]).is_none()
        || run("make", &["install"]).is_none()
    {
        return;
    }
    let mut pending = vec![target.clone()];
    let mut found = BTreeSet::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.ends_with("perllocal.pod") || path.ends_with(".packlist") {
            let extraction = extract("perl", &target, &path);
            assert_eq!(extraction.diagnostics, []);
            found.extend(extraction.packages.into_iter().map(|package| (package.name, package.version)));
        }
    }
    let name = || "Lamp-Wick".to_owned();
    assert_eq!(found, BTreeSet::from([(name(), String::new()), (name(), "1.07".to_owned())]));
}
