//! Docker archives: what `docker save` and `podman save` write
//! (<https://github.com/moby/docker-image-spec/blob/main/spec.md#combined-image-json--filesystem-changeset-format>).

use std::collections::BTreeMap;

use hullmark_types::{Digest, Subject, SubjectKind};

use crate::archive::{Archive, Members};
use crate::documents::{DockerImage, layer_infos, read, read_configuration};
use crate::image::Image;
use crate::oci::Described;
use crate::source::Source;
use crate::{AcquireOptions, ImageError, documents, oci};

pub(crate) fn open(
    archive: Archive,
    name: Option<&str>,
    options: &AcquireOptions,
) -> Result<Image, ImageError> {
    archive.complete()?;
    let (described, names) = describe(&archive, name)?;
    let places = names.iter().map(|name| archive.place(name)).collect();
    Ok(described.into_image(Source::archive(archive, places), options))
}

/// What the archive says of an image, and the members that are its layers, base first.
pub(crate) fn describe(
    archive: &dyn Members,
    name: Option<&str>,
) -> Result<(Described, Vec<String>), ImageError> {
    let path = archive.archive();
    let missing = |missing: &str| ImageError::Missing { place: path.clone(), missing: missing.to_owned() };
    let manifest_place = format!("{path}:manifest.json");
    let manifest = archive.document("manifest.json")?.ok_or_else(|| missing("manifest.json"))?;
    let images: Vec<DockerImage> = read(&manifest_place, &manifest)?;
    let image = choose(&path, &images, name)?;

    let config_bytes = archive.document(&image.config)?.ok_or_else(|| missing(&image.config))?;
    let config_place = format!("{path}:{}", image.config);
    let config_digest = Digest::sha256(&config_bytes);
    // The file is named after its digest: `HEX.json`, or `blobs/sha256/HEX`.
    let stem = image.config.trim_end_matches(".json").rsplit('/').next().unwrap_or_default();
    if stem.len() == 64 && stem != config_digest.hex() {
        return Err(ImageError::DigestMismatch {
            place: config_place,
            expected: format!("sha256:{stem}")
                .parse()
                .map_err(|_| missing("configuration with a digest for a name"))?,
            got: config_digest,
        });
    }
    let configuration = read_configuration(&config_place, &config_bytes)?;
    if configuration.diff_ids.len() != image.layers.len() {
        return Err(ImageError::Malformed {
            place: config_place,
            problem: format!("{} diff_ids for {} layers", configuration.diff_ids.len(), image.layers.len()),
        });
    }
    let mut descriptors = Vec::new();
    for layer in &image.layers {
        let size = archive.size(layer).ok_or_else(|| missing(layer))?;
        descriptors.push((digest_in(layer), Some(size)));
    }
    let layers = layer_infos(&descriptors, &configuration.diff_ids, &configuration.config);
    let described = Described {
        subject: Subject {
            kind: SubjectKind::Image,
            name: image.repo_tags.first().cloned().unwrap_or_else(|| path.clone()),
            references: image.repo_tags.clone(),
            index: None,
            manifest: None,
            config: Some(config_digest),
            platform: configuration.platform.clone(),
        },
        diagnostics: oci::about_layers(&layers),
        configuration,
        layers,
        blobs: Vec::new(),
        annotations: BTreeMap::new(),
    };
    Ok((described, image.layers.clone()))
}

/// The digest of a layer as stored, which newer versions of `docker save` name it by: `blobs/sha256/HEX`, as in an OCI layout.
fn digest_in(layer: &str) -> Option<Digest> {
    format!("sha256:{}", layer.strip_prefix("blobs/sha256/")?).parse().ok()
}

fn choose<'a>(
    path: &str,
    images: &'a [DockerImage],
    name: Option<&str>,
) -> Result<&'a documents::DockerImage, ImageError> {
    let named = |image: &&DockerImage| {
        name.is_none_or(|name| {
            image.repo_tags.iter().any(|tag| tag == name || tag.ends_with(&format!("/{name}")))
        })
    };
    let chosen: Vec<&DockerImage> = images.iter().filter(named).collect();
    match (chosen.as_slice(), name) {
        ([image], _) => Ok(image),
        ([], Some(name)) => {
            Err(ImageError::Missing { place: path.to_owned(), missing: format!("image {name}") })
        }
        ([], None) => Err(ImageError::Missing { place: path.to_owned(), missing: "image".to_owned() }),
        (several, _) => Err(ImageError::Ambiguous {
            place: path.to_owned(),
            choices: several
                .iter()
                .map(|image| image.repo_tags.first().unwrap_or(&image.config).clone())
                .collect(),
        }),
    }
}
