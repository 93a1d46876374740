//! Layers as images list them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use hullmark_http::ClientOptions;
use hullmark_image::{AcquireOptions, NoProgress, Target, open};
use hullmark_inventory::build;
use hullmark_testkit::{ImageBuilder, TarBuilder};
use hullmark_types::Digest;
use serde_json::{Value, json};

use crate::{check, common};

/// Each rule and the name of its test.
pub(crate) const RULES: &[(&str, &str)] = &[
    ("A layer that an image has twice counts in both places", "the_same_layer_twice_counts_twice"),
    ("An empty layer is a layer of an image", "an_empty_layer_is_a_layer_of_the_image"),
    (
        "A history longer than the layers names the layers as far as there are any",
        "a_history_may_be_longer_than_the_layers",
    ),
    (
        "A foreign layer (`urls`) that is stored is read, and that it has `urls` is said",
        "a_foreign_layer_that_is_stored_is_read",
    ),
    (
        "A foreign layer that is not stored is not fetched, and said; the other layers are read",
        "a_foreign_layer_that_is_not_stored_is_said",
    ),
    ("Media types of layers are not believed", "media_types_of_layers_are_not_believed"),
];

fn npm(name: &str, version: &str) -> TarBuilder {
    let manifest = format!(r#"{{"name":"{name}","version":"{version}"}}"#);
    TarBuilder::new().file(&format!("node_modules/{name}/package.json"), manifest)
}

/// Writes an OCI layout with other documents, lets `damage` at it, and compares the inventory.
fn layout(
    image: &ImageBuilder,
    change: impl FnOnce(&mut Value, &mut Value),
    damage: impl FnOnce(&Path),
) -> String {
    let directory = tempfile::tempdir().unwrap();
    image.oci_layout(directory.path());
    let put = |value: &Value| {
        let bytes = serde_json::to_vec(value).unwrap();
        let digest = Digest::sha256(&bytes);
        fs::write(directory.path().join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
        (digest.to_string(), bytes.len())
    };
    let mut manifest: Value = serde_json::from_slice(&image.manifest()).unwrap();
    let mut config: Value = serde_json::from_slice(&image.config()).unwrap();
    change(&mut manifest, &mut config);
    let (digest, size) = put(&config);
    manifest["config"]["digest"] = digest.into();
    manifest["config"]["size"] = size.into();
    let (digest, size) = put(&manifest);
    let index = json!({ "schemaVersion": 2, "manifests": [{ "digest": digest, "size": size }] });
    fs::write(directory.path().join("index.json"), index.to_string()).unwrap();
    damage(directory.path());

    let target = Target::parse(directory.path().to_str().unwrap()).unwrap();
    let mut options = AcquireOptions::new(ClientOptions::default());
    options.platform = "linux/amd64".parse().unwrap();
    let mut image = open(&target, &options).unwrap();
    let inventory = build(&mut image, &NoProgress, None).unwrap();
    let mut text = "\nlayers\n".to_owned();
    for layer in &inventory.layers {
        let _ = writeln!(text, "  {} {}", layer.index, layer.created_by.as_deref().unwrap_or("-"));
    }
    text.push_str("\npackages\n");
    for line in common::packages(&inventory) {
        let _ = writeln!(text, "  {line}");
    }
    text.push_str("\ndiagnostics\n");
    text + &check::diagnostics(&inventory.diagnostics)
}

#[track_caller]
fn golden(name: &str, text: &str) {
    let (rule, _) = RULES.iter().find(|(_, known)| *known == name).unwrap();
    check::golden(name, &format!("{rule}\n{text}"));
}

#[test]
fn the_same_layer_twice_counts_twice() {
    let image = ImageBuilder::new()
        .layer(npm("left", "1.0.0").finish(), "COPY left")
        .layer(npm("right", "1.0.0").whiteout("node_modules/left").finish(), "RUN rm left")
        .layer(npm("left", "1.0.0").finish(), "COPY left");
    golden("the_same_layer_twice_counts_twice", &layout(&image, |_, _| (), |_| ()));
}

#[test]
fn an_empty_layer_is_a_layer_of_the_image() {
    let image = ImageBuilder::new()
        .layer(TarBuilder::new().finish(), "RUN true")
        .layer(npm("left", "1.0.0").finish(), "COPY left")
        .layer(TarBuilder::new().finish(), "WORKDIR /");
    golden("an_empty_layer_is_a_layer_of_the_image", &layout(&image, |_, _| (), |_| ()));
}

#[test]
fn a_history_may_be_longer_than_the_layers() {
    let image = ImageBuilder::new()
        .layer(npm("left", "1.0.0").finish(), "COPY left")
        .empty_layer("ENV A=b")
        .layer(npm("right", "1.0.0").finish(), "COPY right");
    let text = layout(
        &image,
        |_, config| {
            let history = config["history"].as_array_mut().unwrap();
            history.extend([json!({ "created_by": "RUN lost" }), json!({ "created_by": "RUN lost too" })]);
        },
        |_| (),
    );
    golden("a_history_may_be_longer_than_the_layers", &text);
}

/// Two layers, the first with an address from which nothing is fetched.
fn foreign(damage: impl FnOnce(&Path)) -> String {
    let image = ImageBuilder::new()
        .layer(npm("left", "1.0.0").finish(), "COPY left")
        .layer(npm("right", "1.0.0").finish(), "COPY right");
    let media_type = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    layout(
        &image,
        |manifest, _| {
            manifest["layers"][0]["urls"] = json!(["http://127.0.0.1:1/layer"]);
            manifest["layers"][0]["mediaType"] = media_type.into();
        },
        damage,
    )
}

#[test]
fn a_foreign_layer_that_is_stored_is_read() {
    golden("a_foreign_layer_that_is_stored_is_read", &foreign(|_| ()));
}

#[test]
fn a_foreign_layer_that_is_not_stored_is_said() {
    let blob = ImageBuilder::new().layer(npm("left", "1.0.0").finish(), "").blobs().remove(0);
    let text = foreign(|directory| {
        fs::remove_file(directory.join("blobs/sha256").join(Digest::sha256(&blob).hex())).unwrap();
    });
    golden("a_foreign_layer_that_is_not_stored_is_said", &text);
}

#[test]
fn media_types_of_layers_are_not_believed() {
    let image = ImageBuilder::new().layer(npm("left", "1.0.0").finish(), "COPY left");
    let text = layout(
        &image,
        |manifest, _| {
            manifest["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+zstd".into();
        },
        |_| (),
    );
    golden("media_types_of_layers_are_not_believed", &text);
}
