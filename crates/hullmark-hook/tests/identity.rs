//! The image of a container in the storage of each engine, from fixture directories laid out as the engines do.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use hullmark_hook::identity::{IdentityError, Source, identify};
use hullmark_hook::oci::{BundleConfiguration, State};
use hullmark_types::ImageIdentity;

const CONFIG: &str = "sha256:2454f87ac38d977a26026553707d0122174775a20818d7ff98368264bdcd272b";
const MANIFEST: &str = "sha256:642eaffab81e2c86ebb402ee7c4532aab7cc7892117854a0d1f2e98be8de9745";

fn identify_fixture(name: &str) -> Result<(ImageIdentity, Source), IdentityError> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let read = |file: &str| {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        text.replace("@ROOT@", root.to_str().unwrap())
    };
    let state = State::parse(read("state.json").as_bytes()).unwrap();
    let configuration = BundleConfiguration::parse(read("config.json").as_bytes(), &state.bundle).unwrap();
    identify(&state, &configuration)
}

fn check(fixture: &str, name: &str, source: Source, digests: [Option<&str>; 3]) {
    let (image, found) = identify_fixture(fixture).unwrap();
    assert_eq!(found, source, "{fixture}");
    assert_eq!(image.name, name, "{fixture}");
    let found = [image.index, image.manifest, image.config].map(|digest| digest.map(|it| it.to_string()));
    assert_eq!(found.each_ref().map(Option::as_deref), digests, "{fixture}");
}

#[test]
fn storage_of_podman_tells_also_against_forged_annotations() {
    for fixture in ["podman", "podman-volatile", "podman-vfs"] {
        let digests = [None, Some(MANIFEST), Some(CONFIG)];
        check(fixture, "localhost/demo:1", Source::ContainersStorage, digests);
    }
}

#[test]
fn storage_of_crio_tells() {
    let digests = [None, Some(MANIFEST), Some(CONFIG)];
    check("crio", "quay.io/example/demo:1", Source::ContainersStorage, digests);
    check("crio-annotations", "quay.io/example/demo:1", Source::Annotation, [None, None, Some(CONFIG)]);
}

#[test]
fn storage_of_docker_tells() {
    check("docker", "demo:1", Source::Docker, [None, None, Some(CONFIG)]);
    let index = format!("sha256:{}", "6".repeat(64));
    let digests = [Some(index.as_str()), Some(MANIFEST), None];
    check("docker-containerd-store", "demo:1", Source::Docker, digests);
}

#[test]
fn annotation_of_containerd_tells_when_it_has_a_digest() {
    let name = format!("registry.example/demo@{MANIFEST}");
    check("containerd", &name, Source::Annotation, [None, Some(MANIFEST), None]);
    assert!(matches!(identify_fixture("containerd-tag"), Err(IdentityError::Unknown)));
}

#[test]
fn what_a_storage_does_not_tell_no_annotation_does() {
    assert!(matches!(identify_fixture("podman-rootfs"), Err(IdentityError::NoImage)));
    assert!(matches!(identify_fixture("podman-forged-storage"), Err(IdentityError::NoImage)));
    assert!(matches!(identify_fixture("podman-other-root"), Err(IdentityError::OtherRoot { .. })));
    assert!(matches!(identify_fixture("podman-unknown"), Err(IdentityError::NoContainer { .. })));
    assert!(matches!(identify_fixture("podman-malformed"), Err(IdentityError::Malformed { .. })));
}
