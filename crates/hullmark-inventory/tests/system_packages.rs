//! The distribution, the ecosystem of its packages, and what they own.
#![expect(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Layer, codes, inventory, inventory_in_order};
use hullmark_types::{Inventory, Package, canonical_json};

fn package<'a>(inventory: &'a Inventory, name: &str) -> &'a Package {
    inventory.packages.iter().find(|package| package.name == name).unwrap()
}

#[track_caller]
fn check_distribution(
    files: &[(&str, &str)],
    expected: Option<(&str, Option<&str>)>,
    ecosystem: Option<&str>,
) {
    let layer = files.iter().fold(Layer::new(), |layer, (path, text)| layer.file(path, text));
    let inventory = inventory(&[layer]);
    let found = inventory.distribution.as_ref();
    assert_eq!(found.map(|known| (known.id.as_str(), known.version.as_deref())), expected);
    assert_eq!(found.and_then(|known| known.ecosystem()).as_deref(), ecosystem);
    let is_unknown = codes(&inventory).contains(&"gap unknown-distribution".to_owned());
    assert_eq!(is_unknown, ecosystem.is_none());
}

#[test]
fn the_distribution_is_found_in_any_of_its_files() {
    let os_release = |id: &str, version: &str| format!("ID={id}\nVERSION_ID={version}\n");
    let debian = os_release("debian", "12");
    check_distribution(&[("etc/os-release", &debian)], Some(("debian", Some("12"))), Some("Debian:12"));
    check_distribution(&[("usr/lib/os-release", &debian)], Some(("debian", Some("12"))), Some("Debian:12"));
    check_distribution(
        &[("etc/os-release", ""), ("usr/lib/os-release", &debian)],
        Some(("debian", Some("12"))),
        Some("Debian:12"),
    );
    check_distribution(
        &[("etc/os-release", &debian), ("usr/lib/os-release", &os_release("debian", "11"))],
        Some(("debian", Some("12"))),
        Some("Debian:12"),
    );
    check_distribution(&[("etc/os-release", "ID=wolfi\n")], Some(("wolfi", None)), Some("Wolfi"));
    check_distribution(
        &[("etc/alpine-release", "3.7.3\n")],
        Some(("alpine", Some("3.7.3"))),
        Some("Alpine:v3.7"),
    );
    check_distribution(
        &[("etc/debian_version", "10.13\n")],
        Some(("debian", Some("10.13"))),
        Some("Debian:10"),
    );
    check_distribution(&[("etc/debian_version", "trixie/sid\n")], Some(("debian", None)), None);
    check_distribution(&[("etc/os-release", "ID=debian\n")], Some(("debian", None)), None);
    check_distribution(&[("etc/os-release", &os_release("plan9", "4"))], Some(("plan9", Some("4"))), None);
    check_distribution(&[("etc/os-release", "\u{0}\u{1}")], None, None);
}

#[test]
fn the_repositories_of_alpine_beat_its_os_release() {
    let files = |repositories: &'static str| {
        [("etc/os-release", "ID=alpine\nVERSION_ID=3.18.2\n"), ("etc/apk/repositories", repositories)]
    };
    let check = |repositories, version, ecosystem| {
        check_distribution(&files(repositories), Some(("alpine", Some(version))), Some(ecosystem));
    };
    check("http://a/alpine/v3.18/main\n", "3.18.2", "Alpine:v3.18");
    check("http://a/alpine/v3.19/main\n", "3.19", "Alpine:v3.19");
    check("http://a/alpine/v3.1/main\n", "3.1", "Alpine:v3.1");
    check("http://a/alpine/edge/main\n", "edge", "Alpine:edge");
    check("/media/cdrom\n", "3.18.2", "Alpine:v3.18");
    let wolfi = [("etc/os-release", "ID=wolfi\n"), ("etc/apk/repositories", "http://a/alpine/edge/main\n")];
    check_distribution(&wolfi, Some(("wolfi", None)), Some("Wolfi"));
}

#[test]
fn system_packages_have_the_ecosystem_source_and_url_of_the_distribution() {
    let layer = Layer::new()
        .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
        .file("var/lib/dpkg/status", "Package: libexample1\nStatus: install ok installed\nArchitecture: amd64\nSource: example (1:2.0-3)\nVersion: 2.0-3+b1\n");
    let inventory = inventory(&[layer]);
    let found = package(&inventory, "libexample1");
    assert_eq!(found.ecosystem.as_deref(), Some("Debian:12"));
    assert_eq!(found.purl, "pkg:deb/debian/libexample1@2.0-3%2Bb1?arch=amd64&distro=debian-12");
    assert_eq!((found.advisory_name().as_str(), found.advisory_version()), ("example", "1:2.0-3"));
    assert_eq!(found.found_by, "dpkg");
}

#[test]
fn the_packages_of_third_parties_are_not_covered_by_the_distribution() {
    let layer = Layer::new()
        .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
        .file("var/lib/dpkg/status", "Package: nginx\nVersion: 1.27.0-1~bookworm\nMaintainer: NGINX Packaging <nginx-packaging@f5.com>\n\nPackage: zlib1g\nVersion: 1\nMaintainer: Mark Brown <broonie@debian.org>\n\n");
    let inventory = inventory(&[layer]);
    assert_eq!(package(&inventory, "nginx").ecosystem, None);
    assert_eq!(package(&inventory, "zlib1g").ecosystem.as_deref(), Some("Debian:12"));
    assert_eq!(codes(&inventory), ["note third-party-package"]);
}

const METADATA: &str = "Name: six\nVersion: 1.16.0\n";

/// Where the metadata of a Python distribution is, and where the list of a Debian package says that it is.
fn owner(evidence: &str, listed: &str, maintainer: &str, links: &[(&str, &str)]) -> Option<String> {
    let status =
        format!("Package: python3-six\nVersion: 1.16.0-4\nArchitecture: all\nMaintainer: {maintainer}\n");
    let base = Layer::new()
        .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
        .file("var/lib/dpkg/status", &status)
        .file("var/lib/dpkg/info/python3-six.list", &format!("/.\n/usr\n{listed}\n"));
    let base = links.iter().fold(base, |layer, (path, target)| layer.link(path, target));
    let inventory = inventory(&[base.file(evidence, METADATA)]);
    package(&inventory, "six").owner.clone()
}

#[test]
fn language_packages_have_the_system_package_that_installed_them_as_owner() {
    let debian = "A Maintainer <maintainer@debian.org>";
    let own = Some("pkg:deb/debian/python3-six@1.16.0-4?arch=all&distro=debian-12".to_owned());
    let path = "usr/lib/python3/dist-packages/six-1.16.0.egg-info/PKG-INFO";
    assert_eq!(owner(path, &format!("/{path}"), debian, &[]), own);
    // Merged /usr, with and without the link, in either direction.
    assert_eq!(owner("usr/lib/six.egg-info", "/lib/six.egg-info", debian, &[]), own);
    assert_eq!(owner("lib/six.egg-info", "/usr/lib/six.egg-info", debian, &[]), own);
    assert_eq!(owner("usr/lib/six.egg-info", "/lib/six.egg-info", debian, &[("lib", "usr/lib")]), own);
    // A link of the image's own.
    assert_eq!(owner("opt/v1/six.egg-info", "/srv/six.egg-info", debian, &[("srv", "/opt/v1")]), own);
    // Something else at another place, or in a directory that the package lists.
    assert_eq!(owner("usr/local/lib/six.egg-info", "/usr/lib/six.egg-info", debian, &[]), None);
    assert_eq!(owner("usr/six.egg-info/PKG-INFO", "/usr/six.egg-info", debian, &[]), None);
    // The distribution says nothing of what a third party installs.
    assert_eq!(owner(path, &format!("/{path}"), "Docker <support@docker.com>", &[]), None);
}

#[test]
fn the_architecture_of_a_list_chooses_among_packages_of_one_name() {
    let stanza = |architecture: &str| format!("Package: x\nVersion: 1\nArchitecture: {architecture}\n\n");
    let layer = Layer::new()
        .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
        .file("var/lib/dpkg/status", &(stanza("amd64") + &stanza("i386")))
        .file("var/lib/dpkg/info/x:i386.list", "/usr/lib/six.egg-info\n")
        .file("usr/lib/six.egg-info", METADATA);
    let owner = package(&inventory(&[layer]), "six").owner.clone().unwrap();
    assert!(owner.contains("arch=i386"), "{owner}");
}

#[test]
fn the_database_of_apk_names_owned_files() {
    let layer = Layer::new()
        .file("etc/os-release", "ID=alpine\nVERSION_ID=3.18.2\n")
        .file(
            "lib/apk/db/installed",
            "P:py3-six\nV:1.16.0-r6\nA:noarch\nF:usr/lib/python3.11/site-packages/six-1.16.0.dist-info\nR:METADATA\n\n",
        )
        .file("usr/lib/python3.11/site-packages/six-1.16.0.dist-info/METADATA", METADATA);
    assert_eq!(
        package(&inventory(&[layer]), "six").owner.as_deref(),
        Some("pkg:apk/alpine/py3-six@1.16.0-r6?arch=noarch&distro=alpine-3.18.2")
    );
}

#[test]
fn the_order_in_which_layers_arrive_does_not_matter() {
    let layers = [
        Layer::new().file("etc/os-release", "ID=alpine\nVERSION_ID=3.18.2\n").file("a.egg-info", METADATA),
        Layer::new().file("lib/apk/db/installed", "P:a\nV:1-r0\n\nbad\n\n").file("b.jar", ""),
        Layer::new().whiteout("a.egg-info").file("node_modules/a/package.json", "{}"),
    ];
    let expected = canonical_json(&inventory(&layers)).unwrap();
    for order in [[0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        assert_eq!(canonical_json(&inventory_in_order(&layers, order)).unwrap(), expected, "{order:?}");
    }
}

#[test]
fn a_layer_kept_as_json_is_the_layer() {
    let layer = Layer::new()
        .file("lib/apk/db/installed", "P:a\nV:1-r0\nF:usr\nR:b\n\nbad\n\n")
        .link("x", "y")
        .hard_link("z", "absent")
        .whiteout("w")
        .opaque("o")
        .directory("d")
        .read();
    let text = serde_json::to_string(&layer).unwrap();
    assert_eq!(serde_json::from_str::<hullmark_inventory::LayerInventory>(&text).unwrap(), layer);
}

#[test]
fn a_file_above_the_limit_is_a_gap() {
    let large = "x".repeat(1024 * 1024 + 1);
    let inventory = inventory(&[Layer::new().file("etc/os-release", &large)]);
    assert!(codes(&inventory).contains(&"gap limit-file-size".to_owned()));
}

#[test]
fn values_of_absurd_length_are_refused() {
    let long = "9".repeat(100_000);
    check_distribution(&[("etc/os-release", &format!("ID={long}\n"))], None, None);
    let os_release = format!("ID=debian\nVERSION_ID={long}\n");
    check_distribution(&[("etc/os-release", &os_release)], Some(("debian", None)), None);
    let status = |field: &str| {
        let fields = ["Package", "Version", "Architecture", "Source", "Maintainer"];
        let value = |name: &&str| format!("{name}: {}\n", if *name == field { &long } else { "1" });
        fields.iter().map(value).collect::<String>()
    };
    let layer = |field| {
        Layer::new()
            .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
            .file("var/lib/dpkg/status", &status(field))
    };
    for field in ["Package", "Version", "Architecture", "Source"] {
        let codes = codes(&inventory(&[layer(field)]));
        assert!(codes.contains(&"gap malformed-package-metadata".to_owned()), "{field}: {codes:?}");
    }
    let cut = inventory(&[layer("Maintainer")]);
    assert!(package(&cut, "1").vendor.as_ref().unwrap().len() < 2000);
}

#[test]
fn the_distribution_is_found_in_the_files_that_red_hat_and_its_kin_had_before() {
    let check = check_distribution;
    check(&[("etc/redhat-release", "CentOS release 5.11 (Final)\n")], Some(("centos", Some("5.11"))), None);
    check(
        &[("etc/system-release", "Amazon Linux AMI release 2018.03\n")],
        Some(("amzn", Some("2018.03"))),
        None,
    );
    let oracle = [
        ("etc/oracle-release", "Oracle Linux Server release 8.5\n"),
        ("etc/redhat-release", "Red Hat Enterprise Linux release 8.5 (Ootpa)\n"),
    ];
    check(&oracle, Some(("ol", Some("8.5"))), None);
    let both = [
        ("etc/redhat-release", "Rocky Linux release 8.5\n"),
        ("etc/os-release", "ID=rocky\nVERSION_ID=8.6\n"),
    ];
    check(&both, Some(("rocky", Some("8.6"))), Some("Rocky Linux:8"));
    let layer = Layer::new()
        .file("usr/lib/fedora-release", "Fedora release 20 (Heisenbug)\n")
        .link("etc/fedora-release", "../usr/lib/fedora-release")
        .link("etc/system-release", "fedora-release");
    let inventory = inventory(&[layer]);
    assert_eq!(inventory.distribution.as_ref().unwrap().id, "fedora");
    assert!(!codes(&inventory).iter().any(|code| code.contains("symbolic-link")), "{:?}", codes(&inventory));
}

#[test]
fn the_packages_of_rpm_have_their_vendor_and_epoch() {
    let manifest = "dbus\t1.12-8\t0\t0\tMicrosoft Corporation\t1\t1\tx86_64\t1\tdbus-1.12-8.src.rpm\n\
        agent\t7.1-1\t0\t0\tDatadog <package@datadoghq.com>\t(none)\t1\tx86_64\t0\tagent-7.1-1.src.rpm\n\
        own-tool\t1.0-1\t0\t0\t(none)\t(none)\t1\tnoarch\t0\town-tool-1.0-1.src.rpm\n";
    let layer = Layer::new()
        .file("etc/os-release", "ID=azurelinux\nVERSION_ID=\"3.0\"\n")
        .file("var/lib/rpmmanifest/container-manifest-2", manifest);
    let inventory = inventory(&[layer]);
    let dbus = package(&inventory, "dbus");
    assert_eq!(dbus.ecosystem.as_deref(), Some("Azure Linux:3"));
    assert_eq!(dbus.version, "1:1.12-8");
    assert_eq!(dbus.purl, "pkg:rpm/azurelinux/dbus@1.12-8?arch=x86_64&distro=azurelinux-3.0&epoch=1");
    // Those of others are there, and are not covered.
    for name in ["agent", "own-tool"] {
        assert_eq!(package(&inventory, name).ecosystem, None, "{name}");
    }
    assert_eq!(package(&inventory, "agent").vendor.as_deref(), Some("Datadog <package@datadoghq.com>"));
    assert_eq!(codes(&inventory), ["note third-party-package", "note third-party-package"]);
}

#[test]
fn debian_packages_have_the_licences_of_their_copyright_and_what_they_depend_on() {
    let status = "Package: a\nVersion: 1\nArchitecture: all\nDepends: b | c, d\n\nPackage: b\nVersion: 2\nArchitecture: all\nProvides: d\n";
    let copyright = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: MIT\n\nFiles: x\nLicense: Apache-2.0\n";
    let layer = Layer::new()
        .file("etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
        .file("var/lib/dpkg/status", status)
        .file("usr/share/doc/a/copyright", copyright)
        .link("usr/share/doc/b", "a");
    let inventory = inventory(&[layer]);
    let (a, b) = (package(&inventory, "a"), package(&inventory, "b"));
    assert_eq!(a.licenses, ["Apache-2.0", "MIT"]);
    // Packages of one source share the directory of one of them.
    assert_eq!(b.licenses, ["Apache-2.0", "MIT"]);
    assert_eq!(a.dependencies, std::slice::from_ref(&b.purl));
    assert_eq!(codes(&inventory), [""; 0]);
}

#[test]
fn the_packages_of_opkg_have_the_licence_of_their_stanza() {
    let layer = Layer::new()
        .file("etc/os-release", "ID=openwrt\nVERSION_ID=\"23.05.2\"\n")
        .file("usr/lib/opkg/status", "Package: ubus\nVersion: 1\nArchitecture: x86_64\nLicense: LGPL-2.1\nStatus: install user installed\n");
    let inventory = inventory(&[layer]);
    let ubus = package(&inventory, "ubus");
    assert_eq!(ubus.purl, "pkg:opkg/openwrt/ubus@1?arch=x86_64&distro=openwrt-23.05.2");
    assert_eq!(ubus.licenses, ["LGPL-2.1"]);
}

#[test]
fn the_packages_of_gentoo_have_their_category_and_licence() {
    let directory = "var/db/pkg/dev-python/six-1.16.0-r1";
    let egg = "usr/lib/python3.11/site-packages/six-1.16.0-py3.11.egg-info";
    let layer = Layer::new()
        .file("etc/os-release", "ID=gentoo\nVERSION_ID=\"2.14\"\n")
        .file(&format!("{directory}/PF"), "six-1.16.0-r1\n")
        .file(&format!("{directory}/LICENSE"), "MIT\n")
        .file(
            &format!("{directory}/CONTENTS"),
            &format!("dir /usr\nobj /{egg} 00112233445566778899aabbccddeeff 1\n"),
        )
        .file(egg, METADATA);
    let inventory = inventory(&[layer]);
    let found = package(&inventory, "dev-python/six");
    assert_eq!(found.purl, "pkg:ebuild/dev-python/six@1.16.0-r1?distro=gentoo-2.14");
    assert_eq!(found.licenses, ["MIT"]);
    assert_eq!(package(&inventory, "six").locations[0].path, egg);
}

#[test]
fn the_packages_of_nix_are_found_by_the_names_of_their_directories() {
    let directory = format!("nix/store/{}-bash-interactive-5.2-p26", "0".repeat(32));
    let other = format!("nix/store/{}-glibc-2.39-52-bin", "1".repeat(32));
    let base =
        Layer::new().file(&format!("{directory}/bin/bash"), "").file(&format!("{directory}/bin/sh"), "");
    let top = Layer::new().file(&format!("{other}/bin/ldd"), "").file("nix/store/.links/x", "");
    let inventory = inventory(&[base, top]);
    let found: Vec<_> = inventory
        .packages
        .iter()
        .map(|one| (one.purl.as_str(), one.layer, one.found_by.as_str(), one.locations.len()))
        .collect();
    assert_eq!(
        found,
        [
            ("pkg:nix/bash-interactive@5.2-p26", 0, "nix-store", 1),
            ("pkg:nix/glibc@2.39-52", 1, "nix-store", 1)
        ]
    );
}

#[test]
fn chiselled_packages_own_their_files() {
    let manifest = include_bytes!("../src/extractors/chisel/fixtures/ubuntu/var/lib/chisel/manifest.wall");
    let layer = Layer::new().file("etc/os-release", "ID=ubuntu\nVERSION_ID=\"24.04\"\n").file_with_mode(
        "var/lib/chisel/manifest.wall",
        0o644,
        manifest,
    );
    let inventory = inventory(&[layer]);
    let openssl = package(&inventory, "openssl");
    assert_eq!(openssl.purl, "pkg:deb/ubuntu/openssl@3.0.13-0ubuntu3?arch=amd64&distro=ubuntu-24.04");
    assert_eq!(openssl.ecosystem.as_deref(), Some("Ubuntu:24.04"));
    assert_eq!(codes(&inventory), [""; 0]);
}
