//! References to images in registries: `host[:port]/repository[:tag][@digest]`.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

/// A reference to an image in a registry, with Docker's defaults filled in (`docker.io`, `library/`, `latest`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageReference {
    /// Registry host with optional port, as the user writes it: `docker.io`, `localhost:5000`.
    pub registry: String,
    /// Repository path.
    pub repository: String,
    /// Tag; `latest` when neither tag nor digest is given.
    pub tag: Option<String>,
    /// Digest.
    pub digest: Option<Digest>,
}

/// A text that is not an image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{reference}` is not an image reference: {reason}")]
pub struct ImageReferenceError {
    /// The text.
    pub reference: String,
    /// What is wrong with it.
    pub reason: String,
}

impl FromStr for ImageReference {
    type Err = ImageReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |reason: &str| ImageReferenceError {
            reference: text.chars().take(300).collect(),
            reason: reason.to_owned(),
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                (name, Some(digest.parse::<Digest>().map_err(|e| error(&e.to_string()))?))
            }
            None => (text, None),
        };
        // The first component is a host only if it could not be a repository component: Docker's rule.
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (first, rest),
            _ => ("docker.io", name),
        };
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (rest, None),
        };
        let docker_hub = matches!(registry, "docker.io" | "index.docker.io" | "registry-1.docker.io");
        let registry = if docker_hub { "docker.io" } else { registry };
        let repository = match docker_hub && !repository.contains('/') {
            true => format!("library/{repository}"),
            false => repository.to_owned(),
        };
        if !is_host(registry) {
            return Err(error("the registry must be a host name with an optional port"));
        }
        if !repository.split('/').all(is_component) {
            return Err(error(
                "the repository must be lower-case letters, digits and `.`, `_`, `-` between them",
            ));
        }
        if registry.len() + 1 + repository.len() > 255 {
            return Err(error("registry and repository must be at most 255 characters"));
        }
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(error("the tag must be 1 to 128 letters, digits, `_`, `.` and `-`"));
        }
        let tag = if tag.is_none() && digest.is_none() { Some("latest".to_owned()) } else { tag };
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`, from the OCI distribution specification.
fn is_component(component: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    if !bytes.first().copied().is_some_and(alphanumeric) || !bytes.last().copied().is_some_and(alphanumeric) {
        return false;
    }
    component.split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit()).all(
        |separator| matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-'),
    )
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = tag.as_bytes();
    bytes.len() <= 128
        && bytes.first().copied().is_some_and(word)
        && bytes.iter().all(|&byte| word(byte) || byte == b'.' || byte == b'-')
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address, port.strip_prefix(':').or(port.is_empty().then_some("0"))),
            None => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, Some("0")),
        },
    };
    let name_character = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || (host.starts_with('[') && byte == b':')
    };
    !name.is_empty()
        && name.bytes().all(name_character)
        && port.is_some_and(|port| port.parse::<u16>().is_ok())
}

impl fmt::Display for ImageReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.registry, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(formatter, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(formatter, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(text.parse::<ImageReference>().unwrap().to_string(), expected);
    }

    #[test]
    fn docker_defaults_are_filled_in() {
        check("alpine", "docker.io/library/alpine:latest");
        check("alpine:3.18", "docker.io/library/alpine:3.18");
        check("bitnami/redis", "docker.io/bitnami/redis:latest");
        check("index.docker.io/library/alpine", "docker.io/library/alpine:latest");
        check("localhost/a", "localhost/a:latest");
        check("localhost:5000/a/b:c", "localhost:5000/a/b:c");
        check("[::1]:5000/a", "[::1]:5000/a:latest");
        let digest = Digest::sha256(b"");
        check(&format!("ghcr.io/a/b@{digest}"), &format!("ghcr.io/a/b@{digest}"));
    }

    #[test]
    fn malformed_references_are_refused() {
        for text in
            ["", "A", "a/../b", "a b", "host.example/", "a:", "a@sha256:12", "x.y:port/a", "a//b", "a-/b"]
        {
            assert!(text.parse::<ImageReference>().is_err(), "{text}");
        }
    }
}
