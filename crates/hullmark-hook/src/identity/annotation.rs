//! Annotations that engines put on the containers that they make.

use std::collections::BTreeMap;

use hullmark_types::{Digest, ImageIdentity, ImageReference};

/// The image that annotations name by a digest.
///
/// containerd's CRI names the image that the container was made from; CRI-O gives the id or a reference with a digest.
pub fn find(annotations: &BTreeMap<String, String>) -> Option<ImageIdentity> {
    let get = |key: &str| annotations.get(key).map(String::as_str).filter(|value| value.len() <= 1024);
    let sandbox = get("io.kubernetes.cri.container-type") == Some("sandbox");
    let containerd = match sandbox {
        true => get("io.kubernetes.cri.sandbox-image-name").or(get("io.kubernetes.cri.image-name")),
        false => get("io.kubernetes.cri.image-name"),
    };
    let crio_name = get("io.kubernetes.cri-o.ImageName");
    let candidates = [containerd, get("io.kubernetes.cri-o.ImageRef"), crio_name];
    let mut image = candidates.into_iter().flatten().find_map(by_digest)?;
    if image.name.is_empty() {
        image.name = crio_name.unwrap_or_default().to_owned();
    }
    Some(image)
}

/// `NAME@DIGEST`, or the id of an image with or without `sha256:`.
fn by_digest(text: &str) -> Option<ImageIdentity> {
    let id = text.parse::<Digest>().or_else(|_| format!("sha256:{text}").parse());
    if let Ok(id) = id {
        return Some(ImageIdentity { config: Some(id), ..ImageIdentity::default() });
    }
    let reference = text.parse::<ImageReference>().ok()?;
    Some(ImageIdentity {
        name: text.to_owned(),
        manifest: Some(reference.digest?),
        ..ImageIdentity::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(annotations: &[(&str, &str)]) -> Option<ImageIdentity> {
        find(&annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn only_a_digest_identifies() {
        let digest = Digest::sha256(b"image");
        let reference = format!("docker.io/library/alpine@{digest}");
        let image = check(&[("io.kubernetes.cri.image-name", &reference)]).unwrap();
        assert_eq!((image.name, image.manifest), (reference.clone(), Some(digest.clone())));
        let image = check(&[("io.kubernetes.cri.image-name", &digest.to_string())]).unwrap();
        assert_eq!(image.config, Some(digest.clone()));
        let crio = [
            ("io.kubernetes.cri-o.ImageRef", digest.hex()),
            ("io.kubernetes.cri-o.ImageName", "quay.io/a/b:1"),
        ];
        let image = check(&crio).unwrap();
        assert_eq!((image.name.as_str(), image.config), ("quay.io/a/b:1", Some(digest.clone())));
        let sandbox = [
            ("io.kubernetes.cri.container-type", "sandbox"),
            ("io.kubernetes.cri.sandbox-image-name", reference.as_str()),
        ];
        assert_eq!(check(&sandbox).unwrap().manifest, Some(digest));
        assert_eq!(check(&[("io.kubernetes.cri.image-name", "docker.io/library/alpine:3")]), None);
        assert_eq!(check(&[]), None);
    }
}
