//! Images in registries, by the OCI distribution specification
//! (<https://github.com/opencontainers/distribution-spec/blob/main/spec.md>), end points 2 and 3.

use hullmark_http::{Client, Response, leads_to_loopback};
use hullmark_types::{Digest, DigestAlgorithm, Hasher, ImageReference};
use serde::Deserialize;

use crate::auth::Authenticator;
use crate::documents::Descriptor;
use crate::image::{Image, RegistryLayers, Source};
use crate::{AcquireOptions, ImageError, oci};

/// The media types that can be read, in the order of preference.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json";

/// How often a request is sent again because the registry wants to know who asks.
const MAX_CHALLENGES: usize = 2;

/// A repository of a registry, with the right to pull from it.
#[derive(Debug)]
pub(crate) struct Repository {
    client: Client,
    reference: ImageReference,
    base: String,
    authenticator: Authenticator,
    renewing: std::sync::Mutex<()>,
    max_document: u64,
}

pub(crate) fn open(reference: &ImageReference, options: &AcquireOptions) -> Result<Image, ImageError> {
    let repository = Repository::new(reference, options)?;
    let wanted = match (&reference.digest, &reference.tag) {
        (Some(digest), _) => digest.to_string(),
        (None, Some(tag)) => tag.clone(),
        (None, None) => "latest".to_owned(),
    };
    let bytes = repository.manifest(&wanted)?;
    // The digest that the registry states is not trusted; ours is computed.
    let algorithm = reference.digest.as_ref().map_or(DigestAlgorithm::Sha256, Digest::algorithm);
    let mut hasher = Hasher::new(algorithm);
    hasher.update(&bytes);
    let digest = hasher.finish();
    if let Some(expected) = reference.digest.as_ref().filter(|expected| **expected != digest) {
        return Err(ImageError::DigestMismatch {
            place: reference.to_string(),
            expected: expected.clone(),
            got: digest,
        });
    }
    let mut fetch = |descriptor: &Descriptor| match descriptor.media_type.contains("config") {
        true => repository.small_blob(&descriptor.digest),
        false if descriptor.media_type.contains("manifest") || descriptor.media_type.contains("index") => {
            repository.manifest(&descriptor.digest.to_string())
        }
        false => repository.small_blob(&descriptor.digest),
    };
    let mut described = oci::describe(&repository.name(), digest, &bytes, options, &mut fetch)?;
    described.subject.name = reference.to_string();
    described.subject.references = vec![reference.to_string()];
    let blobs = described.blobs.clone();
    Ok(described.into_image(
        Source::Blobs(Box::new(RegistryLayers { repository: Box::new(repository), blobs })),
        options,
    ))
}

impl Repository {
    fn new(reference: &ImageReference, options: &AcquireOptions) -> Result<Self, ImageError> {
        let client = Client::new(options.client.clone())?;
        let host = match reference.registry.as_str() {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        let scheme = match leads_to_loopback(&format!("http://{host}"))
            || options.client.plain_http == hullmark_http::PlainHttp::Allowed
        {
            true => "http",
            false => "https",
        };
        let address = format!("{scheme}://{host}");
        Ok(Self {
            client,
            base: format!("{address}/v2/{}", reference.repository),
            authenticator: Authenticator::new(reference, &address, options.auth_file.as_deref())?,
            renewing: std::sync::Mutex::new(()),
            reference: reference.clone(),
            max_document: options.limits.max_document_size,
        })
    }

    /// `host/repository`.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.reference.registry, self.reference.repository)
    }

    /// Opens a blob.
    pub(crate) fn blob(&self, digest: &Digest) -> Result<Response, ImageError> {
        self.get(&format!("blobs/{digest}"), "*/*")
    }

    fn small_blob(&self, digest: &Digest) -> Result<Vec<u8>, ImageError> {
        Ok(self.blob(digest)?.read_limited(self.max_document)?)
    }

    fn manifest(&self, wanted: &str) -> Result<Vec<u8>, ImageError> {
        Ok(self.get(&format!("manifests/{wanted}"), ACCEPT)?.read_limited(self.max_document)?)
    }

    /// Asks for something; authenticates when the registry says that it must.
    fn get(&self, path: &str, accept: &str) -> Result<Response, ImageError> {
        let address = format!("{}/{path}", self.base);
        let send = |authorization: Option<&hullmark_http::Secret>| {
            let mut request = self.client.get(&address).accept(accept);
            if let Some(authorization) = authorization {
                request = request.authorization(authorization);
            }
            request.send()
        };
        let mut authorization = self.authenticator.authorization();
        let mut response = send(authorization.as_ref())?;
        for _ in 0..MAX_CHALLENGES {
            if response.status() != 401 {
                break;
            }
            // One thread at a time; another may have a new token already.
            let turn = self.renewing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let now = self.authenticator.authorization();
            let exposed = |secret: &Option<hullmark_http::Secret>| {
                secret.as_ref().map(|secret| secret.expose().to_owned())
            };
            if exposed(&now) == exposed(&authorization) {
                self.authenticator.answer(&self.client, &response.headers("www-authenticate"))?;
            }
            authorization = self.authenticator.authorization();
            drop(turn);
            response = send(authorization.as_ref())?;
        }
        match response.is_success() {
            true => Ok(response),
            false => {
                let subject = format!("{}/{path}", self.reference.repository);
                Err(refusal(&self.reference.registry, subject, response, &self.authenticator))
            }
        }
    }
}

/// What a registry said when it refused, with a hint.
pub(crate) fn refusal(
    registry: &str,
    subject: String,
    response: Response,
    authenticator: &Authenticator,
) -> ImageError {
    #[derive(Deserialize)]
    struct Answer {
        errors: Vec<Error>,
    }
    #[derive(Deserialize)]
    struct Error {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let status = response.status();
    let body = response.read_limited(64 * 1024).unwrap_or_default();
    let said = serde_json::from_slice::<Answer>(&body)
        .map(|answer| {
            let errors = answer.errors.into_iter().take(3);
            errors.map(|error| format!("{} {}", error.code, error.message)).collect::<Vec<_>>().join("; ")
        })
        .unwrap_or_default();
    let said: String = said.chars().filter(|character| !character.is_control()).take(500).collect();
    let hint = match status {
            401 | 403 => authenticator.hint(),
            404 => {
                "\nhint: check the repository and the tag; private repositories also answer so without credentials"
                    .to_owned()
            }
            429 => "\nhint: the registry limits how often it is asked; log in, or try again later".to_owned(),
            _ => String::new(),
        };
    let separator = if said.is_empty() { "" } else { ": " };
    ImageError::Registry {
        registry: registry.to_owned(),
        subject,
        status,
        detail: format!("{separator}{said}{hint}"),
    }
}
