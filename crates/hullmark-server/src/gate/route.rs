//! What a path asks for, by the grammar of the OCI distribution specification. What does not follow it is refused here,
//! before anything else looks at it.

use hullmark_types::{Digest, Platform};

use super::error::{Code, OciError};

/// The most characters that a host, a `/` and the name of a repository may have together.
const MAX_NAME: usize = 255;

/// The longest query, in bytes.
const MAX_QUERY: usize = 4096;

/// A repository of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Name of the upstream, such as `docker.io`.
    pub(crate) upstream: String,
    /// Repository there, such as `library/alpine`.
    pub(crate) repository: String,
}

impl Place {
    /// For people: `docker.io/library/alpine`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.upstream, self.repository)
    }

    /// For people, with a tag or a digest.
    pub(crate) fn reference(&self, wanted: &Reference) -> String {
        match wanted {
            Reference::Tag(tag) => format!("{}/{}:{tag}", self.upstream, self.repository),
            Reference::Digest(digest) => format!("{}/{}@{digest}", self.upstream, self.repository),
        }
    }
}

/// A manifest by tag or by digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    Tag(String),
    Digest(Digest),
}

/// What is wanted of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Manifest(Reference),
    Blob(Digest),
    Tags,
    Referrers(Digest),
}

/// A request that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) place: Place,
    pub(crate) wanted: Wanted,
    /// The name as the client wrote it; links in answers bear it.
    pub(crate) written: String,
    /// The parameters of the query, without `ns`.
    pub(crate) query: Vec<(String, String)>,
    /// The value of `ns`, which the answer repeats.
    pub(crate) namespace: Option<String>,
}

impl Route {
    /// Understands the path behind `/v2/` and the query.
    pub(crate) fn parse<'a>(
        path: &str,
        query: Option<&str>,
        upstreams: impl Iterator<Item = &'a str>,
    ) -> Result<Self, OciError> {
        let query = query.unwrap_or_default();
        if query.len() > MAX_QUERY {
            return Err(OciError::new(414, Code::Unsupported, "the query is too long"));
        }
        let mut query = parameters(query);
        let namespace = query.iter().find(|(name, _)| name == "ns").map(|(_, value)| value.clone());
        query.retain(|(name, _)| name != "ns");
        // Decoded after it was split: what is no separator as it came does not become one.
        let parts: Vec<String> = path.split('/').map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let unknown = || {
            OciError::new(
                404,
                Code::Unsupported,
                "there is nothing at this path; this registry is for pulling only",
            )
        };
        let (name, action, argument) = match parts.as_slice() {
            // Uploads are a part of the specification that is not offered.
            [.., "blobs", "uploads"] | [.., "blobs", "uploads", _] => return Err(OciError::read_only()),
            [name @ .., action @ ("manifests" | "blobs" | "referrers"), argument] if !name.is_empty() => {
                (name, *action, *argument)
            }
            [name @ .., "tags", "list"] if !name.is_empty() => (name, "tags", "list"),
            _ => return Err(unknown()),
        };
        let written = name.join("/");
        if !name.iter().all(|component| is_component(component)) || written.len() > MAX_NAME {
            return Err(OciError::new(
                400,
                Code::NameInvalid,
                "the name of the repository must be lower-case letters and digits, with `.`, `_`, `-` and `/` between them",
            ));
        }
        let digest = |text: &str| {
            text.parse::<Digest>().map_err(|error| OciError::new(400, Code::DigestInvalid, error.to_string()))
        };
        let wanted = match action {
            "manifests" if argument.contains(':') => Wanted::Manifest(Reference::Digest(digest(argument)?)),
            "manifests" if is_tag(argument) => Wanted::Manifest(Reference::Tag(argument.to_owned())),
            "manifests" => {
                let message = "the tag must be 1 to 128 letters, digits, `_`, `.` and `-`";
                return Err(OciError::new(400, Code::ManifestInvalid, message));
            }
            "blobs" => Wanted::Blob(digest(argument)?),
            "referrers" => Wanted::Referrers(digest(argument)?),
            _ => Wanted::Tags,
        };
        let place = place(name, namespace.as_deref(), upstreams)?;
        Ok(Self { place, wanted, written, query, namespace })
    }

    /// A parameter of the query.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The upstream by `ns`, which clients that know of the gate send, else by the first part of the name.
fn place<'a>(
    name: &[&str],
    namespace: Option<&str>,
    mut upstreams: impl Iterator<Item = &'a str>,
) -> Result<Place, OciError> {
    let unknown = |upstream: &str| {
        let shown: String = upstream.chars().filter(|c| c.is_ascii_graphic()).take(100).collect();
        let message = format!("`{shown}` is not a registry that this gate passes on");
        OciError::new(404, Code::NameUnknown, message)
    };
    let (wanted, rest) = match (namespace, name) {
        (Some(namespace), name) => (namespace, name),
        (None, [first, rest @ ..]) if !rest.is_empty() => (*first, rest),
        (None, name) => return Err(unknown(&name.join("/"))),
    };
    let upstream = upstreams.find(|upstream| *upstream == wanted).ok_or_else(|| unknown(wanted))?;
    let repository = match (upstream, rest) {
        // Docker's short names.
        ("docker.io", [only]) => format!("library/{only}"),
        _ => rest.join("/"),
    };
    if upstream.len() + 1 + repository.len() > MAX_NAME {
        return Err(OciError::new(400, Code::NameInvalid, "the name of the repository is too long"));
    }
    Ok(Place { upstream: upstream.to_owned(), repository })
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let word = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    bytes.first().is_some_and(word)
        && bytes.last().is_some_and(word)
        && component.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).all(|between| {
            matches!(between, "" | "." | "_" | "__") || between.bytes().all(|byte| byte == b'-')
        })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
pub(crate) fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

/// Undoes percent-encoding. What is no UTF-8 then follows no grammar either.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let value = digits.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (byte, value.and_then(|digits| u8::from_str_radix(digits, 16).ok())) {
            (b'%', Some(value)) => {
                bytes.push(value);
                rest = after.get(2..).unwrap_or_default();
            }
            _ => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The parameters of a query.
pub(crate) fn parameters(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .take(32)
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
        })
        .collect()
}

/// Whether an image for `offered` is one that is judged when `wanted` is configured.
pub(crate) fn fits(offered: &Platform, wanted: &Platform) -> bool {
    offered.os == wanted.os
        && offered.architecture == wanted.architecture
        && (wanted.variant.is_none() || offered.variant.is_none() || offered.variant == wanted.variant)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<Route, OciError> {
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        Route::parse(path, query, ["docker.io", "registry.example"].into_iter())
    }

    fn check(path: &str, expected: &str) {
        let shown = match parse(path) {
            Ok(route) => format!("{} {:?}", route.place.name(), route.wanted),
            Err(error) => format!("{} {}", error.status, error.code.name()),
        };
        assert_eq!(shown, expected, "{path}");
    }

    #[test]
    fn paths_and_namespaces_are_told_apart() {
        check("docker.io/alpine/manifests/3.18", r#"docker.io/library/alpine Manifest(Tag("3.18"))"#);
        check("docker.io/a/b/tags/list?n=1", "docker.io/a/b Tags");
        check("a/b/tags/list?ns=docker.io", "docker.io/a/b Tags");
        check("alpine/tags/list?ns=docker.io", "docker.io/library/alpine Tags");
        check(
            "registry.example/manifests/manifests/blobs",
            r#"registry.example/manifests Manifest(Tag("blobs"))"#,
        );
        let digest = Digest::sha256(b"");
        let escaped = digest.to_string().replace(':', "%3A");
        check(&format!("registry.example/a/blobs/{escaped}"), &format!("registry.example/a Blob({digest})"));
        check(
            &format!("registry.example/a/referrers/{digest}"),
            &format!("registry.example/a Referrers({digest})"),
        );
    }

    proptest::proptest! {
        #[test]
        fn what_is_understood_follows_the_grammar(path in "[a-zA-Z0-9_.:/%@-]{0,80}", query in "[a-z0-9=&%+]{0,40}") {
            if let Ok(route) = Route::parse(&path, Some(&query), ["docker.io"].into_iter()) {
                proptest::prop_assert!(route.place.repository.split('/').all(is_component), "{route:?}");
                proptest::prop_assert!(!format!("{route:?}").contains(".."), "{route:?}");
            }
        }
    }

    #[test]
    fn what_follows_no_grammar_is_refused() {
        for path in
            ["", "_catalog", "a", "tags/list", "docker.io/a/tags", "docker.io/a/tags/list/x", "manifests/x"]
        {
            check(path, "404 UNSUPPORTED");
        }
        for path in ["docker.io/a/blobs/uploads/", "docker.io/a/blobs/uploads/1-2-3"] {
            check(path, "405 UNSUPPORTED");
        }
        for name in ["A", "a..b", "a___b", "-a", "a-", "..", "a/../b", "a//b", "%2e%2e", "a%00", "é", "a b"]
        {
            check(&format!("docker.io/{name}/manifests/x"), "400 NAME_INVALID");
        }
        check(&format!("docker.io/{}/manifests/x", "a".repeat(250)), "400 NAME_INVALID");
        for digest in ["sha256:", "sha256:ABC", "md5:x", "sha256:..%2f..", "x:y:z"] {
            check(&format!("docker.io/a/manifests/{digest}"), "400 DIGEST_INVALID");
            check(&format!("docker.io/a/blobs/{digest}"), "400 DIGEST_INVALID");
            check(&format!("docker.io/a/referrers/{digest}"), "400 DIGEST_INVALID");
        }
        check("docker.io/a/blobs/latest", "400 DIGEST_INVALID");
        for tag in [".a", "-a", "a%20b", "a@b", "", &"a".repeat(129)] {
            check(&format!("docker.io/a/manifests/{tag}"), "400 MANIFEST_INVALID");
        }
        for path in [
            "other.example/a/tags/list",
            "docker.io/tags/list",
            "a/tags/list?ns=other.example",
            "a/tags/list?ns=",
        ] {
            check(path, "404 NAME_UNKNOWN");
        }
    }
}
