//! Real root file systems and images, where they are at hand.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};

use common::codes;
use hullmark_image::{ImageVisitor, Limits, walk_layer};
use hullmark_inventory::InventoryVisitor;
use hullmark_types::{Inventory, Package};

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/images").join(name);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: ../shared is absent");
    None
}

fn root_file_system(path: &Path) -> Inventory {
    let mut visitor = InventoryVisitor::default();
    let mut layer = visitor.begin();
    let outcome = walk_layer(&mut File::open(path).unwrap(), &Limits::default(), &mut layer);
    let output = ImageVisitor::finish(&visitor, layer, &outcome);
    visitor.end_layer(0, output);
    visitor.finish(common::subject(), None, common::layer_infos(1), Vec::new()).0
}

fn package<'a>(inventory: &'a Inventory, name: &str) -> &'a Package {
    inventory.packages.iter().find(|package| package.name == name).unwrap()
}

#[test]
fn alpine_3_7_3_has_its_thirteen_packages() {
    let Some(path) = shared("alpine-minirootfs-3.7.3-x86_64.tar.gz") else { return };
    let inventory = root_file_system(&path);
    let names: Vec<_> = inventory.packages.iter().map(|package| package.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "alpine-baselayout",
            "alpine-keys",
            "apk-tools",
            "busybox",
            "libc-utils",
            "libressl2.6-libcrypto",
            "libressl2.6-libssl",
            "libressl2.6-libtls",
            "musl",
            "musl-utils",
            "scanelf",
            "ssl_client",
            "zlib"
        ]
    );
    let musl = package(&inventory, "musl-utils");
    assert_eq!(musl.version, "1.1.18-r3");
    assert_eq!(musl.purl, "pkg:apk/alpine/musl-utils@1.1.18-r3?arch=x86_64&distro=alpine-3.7.3");
    assert_eq!((musl.advisory_name().as_str(), musl.advisory_version()), ("musl", "1.1.18-r3"));
    assert_eq!(musl.ecosystem.as_deref(), Some("Alpine:v3.7"));
    assert_eq!(musl.locations[0].path, "lib/apk/db/installed");
    assert_eq!(inventory.distribution.as_ref().unwrap().display_name(), "Alpine Linux v3.7");
    assert!(codes(&inventory).is_empty(), "{:?}", inventory.diagnostics);
}

#[test]
fn alpine_3_18_is_named() {
    let Some(path) = shared("alpine-minirootfs-3.18.9-x86_64.tar.gz") else { return };
    let inventory = root_file_system(&path);
    assert_eq!(inventory.packages.len(), 15);
    assert_eq!(package(&inventory, "busybox").ecosystem.as_deref(), Some("Alpine:v3.18"));
    assert!(codes(&inventory).is_empty(), "{:?}", inventory.diagnostics);
}
