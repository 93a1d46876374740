//! From the name of an image in an object to what it stands for, without asking a registry.
//!
//! A digest stands for itself. A tag stands for what the registry gate saw last under it; a name at the gate is taken back
//! to the name at its upstream first. What the gate never saw is not resolved: a request of the API server does not wait
//! for a registry.

use hullmark_store::StoreError;
use hullmark_types::{ImageIdentity, ImageReference, ImageReferenceError};

use crate::config::Config;
use crate::state::Shared;

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Resolved {
    /// An image with at least one digest.
    Image(ImageIdentity),
    /// A tag that the gate never saw.
    UnknownTag(ImageIdentity),
    /// No name of an image.
    Malformed(ImageReferenceError),
    /// The memory of tags cannot be read.
    Failed(StoreError),
}

/// Resolves one name.
pub(super) async fn resolve(shared: &Shared, text: &str) -> Resolved {
    let reference = match upstream_reference(&shared.config, text) {
        Ok(reference) => reference,
        Err(error) => return Resolved::Malformed(error),
    };
    let mut image = ImageIdentity { name: reference.to_string(), ..ImageIdentity::default() };
    if let Some(digest) = reference.digest {
        image.manifest = Some(digest);
        return Resolved::Image(image);
    }
    let Some(upstream) = upstream(&shared.config, &reference.registry) else {
        return Resolved::UnknownTag(image);
    };
    let tag = reference.tag.as_deref().unwrap_or("latest");
    match shared.store.tag(upstream, &reference.repository, tag).await {
        Ok(Some(row)) => {
            image.manifest = Some(row.digest);
            Resolved::Image(image)
        }
        Ok(None) => Resolved::UnknownTag(image),
        Err(error) => Resolved::Failed(error),
    }
}

/// The reference that a text stands for, at its upstream.
fn upstream_reference(config: &Config, text: &str) -> Result<ImageReference, ImageReferenceError> {
    let default = config.admission.default_registry.as_str();
    let named = has_registry(text) || default == "docker.io";
    let reference: ImageReference =
        if named { text.parse()? } else { format!("{default}/{text}").parse()? };
    if config.admission.gate.as_deref() != Some(reference.registry.as_str()) {
        return Ok(reference);
    }
    // At the gate the first component of the repository is the name of the upstream.
    match reference.repository.split_once('/') {
        Some((upstream, repository)) if config.gate.upstreams.contains_key(upstream) => {
            // Docker's short names mean `library`, at the gate too.
            let library = if upstream == "docker.io" && !repository.contains('/') { "library/" } else { "" };
            let repository = format!("{library}{repository}");
            Ok(ImageReference { registry: upstream.to_owned(), repository, ..reference })
        }
        _ => Ok(reference),
    }
}

/// Docker's rule: the first component is a host when it could not be a repository.
fn has_registry(text: &str) -> bool {
    let name = text.split('@').next().unwrap_or(text);
    name.split_once('/').is_some_and(|(first, _)| first.contains(['.', ':']) || first == "localhost")
}

/// The upstream of the gate that a registry is: by its name, or by its address.
fn upstream<'a>(config: &'a Config, registry: &str) -> Option<&'a str> {
    let upstreams = &config.gate.upstreams;
    if let Some((name, _)) = upstreams.get_key_value(registry) {
        return Some(name);
    }
    let host = |url: &'a str| url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next();
    let named = upstreams.iter().find(|(_, upstream)| host(&upstream.url) == Some(registry));
    named.map(|(name, _)| name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::parse(
            "test.toml",
            r#"
            [server]
            data_directory = "/d"
            plain_http = true
            [database]
            file = "/d/a.db"
            [admission]
            default_registry = "registry.example"
            gate = "gate.example:8443"
            [gate.upstreams."docker.io"]
            url = "https://registry-1.docker.io"
            [gate.upstreams.internal]
            url = "https://registry.example"
            "#,
        )
        .unwrap()
    }

    #[test]
    fn names_at_the_gate_are_those_of_the_upstream() {
        for (text, expected) in [
            ("app:1", "registry.example/app:1"),
            ("team/app:1", "registry.example/team/app:1"),
            ("docker.io/library/alpine:3", "docker.io/library/alpine:3"),
            ("gate.example:8443/docker.io/library/alpine:3", "docker.io/library/alpine:3"),
            ("gate.example:8443/docker.io/alpine:3", "docker.io/library/alpine:3"),
            ("gate.example:8443/internal/app:1", "internal/app:1"),
            ("gate.example:8443/other/library/alpine:3", "gate.example:8443/other/library/alpine:3"),
        ] {
            assert_eq!(upstream_reference(&config(), text).unwrap().to_string(), expected, "{text}");
        }
        assert!(upstream_reference(&config(), "a b").is_err());
    }

    #[test]
    fn an_upstream_is_known_by_name_and_by_address() {
        assert_eq!(upstream(&config(), "docker.io"), Some("docker.io"));
        assert_eq!(upstream(&config(), "registry.example"), Some("internal"));
        assert_eq!(upstream(&config(), "quay.io"), None);
    }
}
