//! Manifests, indexes and configurations of the OCI image specification and of Docker, read leniently: a field that is not
//! used may have any form.

use std::collections::BTreeMap;

use hullmark_types::{Digest, HistoryEntry, ImageConfig, LayerInfo, Platform};
use serde::{Deserialize, Deserializer};

use crate::ImageError;

/// A reference to other bytes.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub(crate) media_type: String,
    pub(crate) digest: Digest,
    #[serde(default)]
    pub(crate) size: u64,
    #[serde(default)]
    pub(crate) platform: Option<DescriptorPlatform>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) annotations: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) urls: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct DescriptorPlatform {
    #[serde(default)]
    pub(crate) os: String,
    #[serde(default)]
    pub(crate) architecture: String,
    #[serde(default)]
    pub(crate) variant: Option<String>,
}

impl DescriptorPlatform {
    /// The platform, where it is said.
    pub(crate) fn known(&self) -> Option<Platform> {
        (!self.os.is_empty() && !self.architecture.is_empty()).then(|| Platform {
            os: self.os.clone(),
            architecture: self.architecture.clone(),
            variant: self.variant.clone().filter(|variant| !variant.is_empty()),
        })
    }

    pub(crate) fn matches(&self, wanted: &Platform) -> bool {
        self.os == wanted.os
            && self.architecture == wanted.architecture
            && (wanted.variant.is_none() || self.variant.is_none() || self.variant == wanted.variant)
    }

    /// Of several variants that would do, the one that was asked for, or the one that Docker takes by default.
    fn is_preferred(&self, wanted: &Platform) -> bool {
        let default = match self.architecture.as_str() {
            "arm" => Some("v7"),
            "arm64" => Some("v8"),
            _ => None,
        };
        match (&wanted.variant, self.variant.as_deref()) {
            (Some(wanted), variant) => variant == Some(wanted),
            (None, None) => true,
            (None, variant) => variant == default,
        }
    }

    /// Attestations are listed as manifests for the platform `unknown/unknown`.
    fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }
}

impl Descriptor {
    /// That of bytes of which only the digest is known.
    pub(crate) fn of(digest: Digest) -> Self {
        Self {
            media_type: String::new(),
            digest,
            size: 0,
            platform: None,
            annotations: BTreeMap::new(),
            urls: Vec::new(),
        }
    }

    /// Whether it is an attestation about an image and no image.
    ///
    /// One that says its platform is an image, whatever its annotations say: a runtime would take it.
    pub(crate) fn is_attestation(&self) -> bool {
        match &self.platform {
            Some(platform) => platform.is_unknown(),
            None => self.annotations.contains_key("vnd.docker.reference.type"),
        }
    }

    /// Whether it is an index of images.
    pub(crate) fn is_index(&self) -> bool {
        let media_type = self.media_type.split(';').next().unwrap_or_default().trim();
        matches!(
            media_type,
            "application/vnd.oci.image.index.v1+json"
                | "application/vnd.docker.distribution.manifest.list.v2+json"
        )
    }

    /// The name of the image, where an index of a layout has one.
    pub(crate) fn name(&self) -> Option<&str> {
        let names = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
        names.iter().find_map(|name| self.annotations.get(*name)).map(String::as_str)
    }

    /// Whether it is a layer that may have to be fetched from elsewhere than the image.
    pub(crate) fn is_foreign(&self) -> bool {
        !self.urls.is_empty()
            || self.media_type.contains(".foreign.")
            || self.media_type.contains(".nondistributable.")
    }

    /// Whether it can be the configuration of an image, and not of a chart, a plugin or another artifact.
    pub(crate) fn is_image_configuration(&self) -> bool {
        matches!(
            self.media_type.split(';').next().unwrap_or_default().trim(),
            "" | "application/octet-stream"
                | "application/vnd.oci.image.config.v1+json"
                | "application/vnd.docker.container.image.v1+json"
        )
    }

    /// For people: the name or platform, and the digest.
    pub(crate) fn display(&self) -> String {
        let name = self.annotations.get("org.opencontainers.image.ref.name");
        let platform =
            self.platform.as_ref().map(|platform| format!("{}/{}", platform.os, platform.architecture));
        name.cloned().or(platform).unwrap_or_else(|| self.digest.to_string())
    }
}

/// A manifest, or an index of manifests.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ManifestOrIndex {
    #[serde(default)]
    pub(crate) schema_version: u64,
    #[serde(default)]
    pub(crate) config: Option<Descriptor>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) layers: Vec<Descriptor>,
    #[serde(default)]
    pub(crate) manifests: Option<Vec<Descriptor>>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) annotations: BTreeMap<String, String>,
}

/// One image of a Docker archive.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DockerImage {
    pub(crate) config: String,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    pub(crate) layers: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct RawConfig {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    config: RawSettings,
    #[serde(default, deserialize_with = "null_as_default")]
    history: Vec<RawHistory>,
    #[serde(default, deserialize_with = "null_as_default")]
    rootfs: RawRootfs,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawSettings {
    #[serde(default, deserialize_with = "null_as_default")]
    user: String,
    #[serde(default, deserialize_with = "null_as_default")]
    env: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    entrypoint: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    cmd: Vec<String>,
    #[serde(default, deserialize_with = "null_as_default")]
    exposed_ports: BTreeMap<String, serde::de::IgnoredAny>,
    #[serde(default, deserialize_with = "null_as_default")]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct RawHistory {
    #[serde(default, deserialize_with = "null_as_default")]
    created_by: String,
    #[serde(default, deserialize_with = "null_as_default")]
    empty_layer: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct RawRootfs {
    #[serde(default, deserialize_with = "null_as_default")]
    diff_ids: Vec<Digest>,
}

/// An image configuration, as far as it is used.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub(crate) platform: Option<Platform>,
    pub(crate) config: ImageConfig,
    pub(crate) diff_ids: Vec<Digest>,
}

fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads a JSON document; errors name `place`, line and column.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(place: &str, bytes: &[u8]) -> Result<T, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|error| ImageError::Malformed { place: place.to_owned(), problem: error.to_string() })
}

/// Reads an image configuration.
pub(crate) fn read_configuration(place: &str, bytes: &[u8]) -> Result<Configuration, ImageError> {
    let raw: RawConfig = read(place, bytes)?;
    let known = !raw.os.is_empty() && !raw.architecture.is_empty();
    Ok(Configuration {
        platform: known.then_some(Platform {
            os: raw.os,
            architecture: raw.architecture,
            variant: raw.variant,
        }),
        config: ImageConfig {
            user: raw.config.user,
            env: raw.config.env,
            entrypoint: raw.config.entrypoint,
            cmd: raw.config.cmd,
            exposed_ports: raw.config.exposed_ports.into_keys().collect(),
            labels: raw.config.labels,
            created: raw.created,
            history: raw
                .history
                .into_iter()
                .map(|entry| HistoryEntry { created_by: entry.created_by, empty_layer: entry.empty_layer })
                .collect(),
        },
        diff_ids: raw.rootfs.diff_ids,
    })
}

/// Describes the layers: digests, sizes, and the instruction of each by the history. The history may be longer or shorter
/// than the layers; layers beyond it have no instruction.
pub(crate) fn layer_infos(
    descriptors: &[(Option<Digest>, Option<u64>)],
    diff_ids: &[Digest],
    config: &ImageConfig,
) -> Vec<LayerInfo> {
    let mut instructions = config.history.iter().filter(|entry| !entry.empty_layer);
    (0..)
        .zip(descriptors)
        .map(|(index, (digest, size))| LayerInfo {
            index,
            digest: digest.clone(),
            diff_id: diff_ids.get(index as usize).cloned(),
            size: *size,
            created_by: instructions
                .next()
                .map(|entry| entry.created_by.clone())
                .filter(|text| !text.is_empty()),
        })
        .collect()
}

/// Chooses the manifest for a platform from an index: the only one there is, or the one that matches.
pub(crate) fn choose<'a>(
    place: &str,
    manifests: &'a [Descriptor],
    platform: &Platform,
) -> Result<&'a Descriptor, ImageError> {
    let images: Vec<&Descriptor> =
        manifests.iter().filter(|descriptor| !descriptor.is_attestation()).collect();
    let with_platform = images.iter().any(|descriptor| descriptor.platform.is_some());
    match images.as_slice() {
        [] => {
            Err(ImageError::Missing { place: place.to_owned(), missing: "manifest of an image".to_owned() })
        }
        [only] if !with_platform => Ok(only),
        several if !with_platform => Err(ImageError::Ambiguous {
            place: place.to_owned(),
            choices: several.iter().map(|descriptor| descriptor.display()).collect(),
        }),
        _ => {
            let matches = |descriptor: &&&Descriptor| {
                descriptor.platform.as_ref().is_some_and(|offered| offered.matches(platform))
            };
            let preferred = |descriptor: &&&Descriptor| {
                descriptor.platform.as_ref().is_some_and(|offered| offered.is_preferred(platform))
            };
            let mut fitting = images.iter().filter(matches);
            let chosen = fitting.clone().find(preferred).or_else(|| fitting.next());
            chosen.copied().ok_or_else(|| ImageError::Platform {
                place: place.to_owned(),
                wanted: platform.to_string(),
                offered: images.iter().map(|descriptor| descriptor.display()).collect(),
            })
        }
    }
}
