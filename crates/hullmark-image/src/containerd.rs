//! containerd: images and blobs from its API, a gRPC service behind a socket.
//!
//! Only three calls are needed, so their messages are declared in [`messages`] and no client is generated.

use std::io::{self, Read};
use std::time::Duration;

use http_body_util::Full;
use hullmark_types::{Digest, ImageReference};
use hyper::Request;
use hyper::body::Bytes;
use prost::Message;

use crate::documents::Descriptor;
use crate::image::Image;
use crate::oci::Blob;
use crate::platforms::{self, PlatformImage};
use crate::source::{LayerSource, Source};
use crate::unix::{Answer, Body, Question, Version};
use crate::{AcquireOptions, ImageError, LocalEngines, oci};

/// How long an answer may take to begin.
const WAIT: Duration = Duration::from_secs(60);

/// The largest message, in bytes: that of containerd itself.
const MAX_MESSAGE: u32 = 16 << 20;

/// The status code of gRPC for something that is not there.
const NOT_FOUND: &str = "5";

/// Opens the image with this name.
pub(crate) fn open(name: &str, options: &AcquireOptions) -> Result<Image, ImageError> {
    let containerd = Containerd { engines: options.engines.clone() };
    let (name, digest) = containerd.root(name)?;
    let place = format!("containerd:{name}");
    let mut fetch = |descriptor: &Descriptor| containerd.document(&descriptor.digest, options);
    let root = Descriptor::of(digest.clone());
    let bytes = oci::verified(&place, &root, &mut fetch)?;
    let mut described = oci::describe(&place, digest, &bytes, options, &mut fetch)?;
    described.subject.name.clone_from(&name);
    described.subject.references = vec![name];
    let layers = ContainerdLayers { containerd, blobs: described.blobs.clone() };
    Ok(described.into_image(Source::Blobs(Box::new(layers)), options))
}

/// The images that this name leads to, whether they are in the content store or not.
pub(crate) fn platforms(name: &str, options: &AcquireOptions) -> Result<Vec<PlatformImage>, ImageError> {
    let containerd = Containerd { engines: options.engines.clone() };
    let (name, digest) = containerd.root(name)?;
    let mut fetch = |descriptor: &Descriptor| containerd.document(&descriptor.digest, options);
    platforms::list(&format!("containerd:{name}"), &[Descriptor::of(digest)], &[], &mut fetch)
}

/// Layers in the content store.
#[derive(Debug)]
struct ContainerdLayers {
    containerd: Containerd,
    blobs: Vec<Blob>,
}

impl LayerSource for ContainerdLayers {
    fn open(&self, index: usize) -> Result<Option<Box<dyn Read + Send + '_>>, ImageError> {
        let Some(Blob { digest, foreign, .. }) = self.blobs.get(index) else { return Ok(None) };
        match self.containerd.blob(digest) {
            Ok(blob) => Ok(Some(Box::new(blob))),
            Err(ImageError::Missing { .. }) if *foreign => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn place(&self, index: usize) -> String {
        let digest = self.blobs.get(index).map(|blob| blob.digest.to_string()).unwrap_or_default();
        format!("containerd@{digest}")
    }
}

/// The service.
#[derive(Debug)]
struct Containerd {
    engines: LocalEngines,
}

impl Containerd {
    /// The full name of the image, and the digest of its index or manifest.
    fn root(&self, name: &str) -> Result<(String, Digest), ImageError> {
        let (name, target) = self.image(name)?;
        let digest = target.digest.parse().map_err(|_| ImageError::Malformed {
            place: format!("containerd:{name}"),
            problem: format!("expected a digest, found `{}`", target.digest),
        })?;
        Ok((name, digest))
    }

    /// The image with this name, which is a full reference; a short one is completed as Docker does.
    fn image(&self, name: &str) -> Result<(String, messages::Descriptor), ImageError> {
        let mut names = vec![name.to_owned()];
        names.extend(name.parse::<ImageReference>().ok().map(|reference| reference.to_string()));
        names.dedup();
        for name in names {
            let request = messages::GetImageRequest { name: name.clone() };
            let subject = format!("image {name}");
            let mut call = match self.call("images.v1.Images/Get", &subject, &request) {
                Err(ImageError::Missing { .. }) => continue,
                other => other?,
            };
            let answer = match call.message() {
                Err(ImageError::Missing { .. }) => continue,
                other => other?,
            };
            let answer: messages::GetImageResponse =
                answer.map(|bytes| call.decode(&bytes)).transpose()?.unwrap_or_default();
            let target = answer.image.and_then(|image| image.target);
            return target.map(|target| (name, target)).ok_or_else(|| call.failed("expected an image"));
        }
        Err(ImageError::Missing { place: self.place(), missing: format!("image {name}") })
    }

    /// A manifest, index or configuration; not verified.
    fn document(&self, digest: &Digest, options: &AcquireOptions) -> Result<Vec<u8>, ImageError> {
        let limit = options.limits.max_document_size;
        let mut bytes = Vec::new();
        let mut blob = self.blob(digest)?;
        (&mut blob).take(limit + 1).read_to_end(&mut bytes).map_err(|source| ImageError::Socket {
            socket: self.engines.containerd_socket.clone(),
            source,
        })?;
        match bytes.len() as u64 > limit {
            true => Err(ImageError::Limit {
                place: format!("containerd@{digest}"),
                problem: format!("a document of more than {limit} bytes"),
            }),
            false => Ok(bytes),
        }
    }

    /// A blob, from its beginning.
    fn blob(&self, digest: &Digest) -> Result<Content, ImageError> {
        let subject = format!("blob {digest}");
        let info = messages::InfoRequest { digest: digest.to_string() };
        // Whether it is there is asked first: of a stream it is known only once it begins.
        self.call("content.v1.Content/Info", &subject, &info)?.message()?;
        let request = messages::ReadContentRequest { digest: digest.to_string(), offset: 0, size: 0 };
        let call = self.call("content.v1.Content/Read", &subject, &request)?;
        Ok(Content { call, bytes: Bytes::new(), offset: 0 })
    }

    fn place(&self) -> String {
        format!(
            "{} in the namespace {}",
            self.engines.containerd_socket.display(),
            self.engines.containerd_namespace
        )
    }

    fn call(&self, method: &str, subject: &str, message: &impl Message) -> Result<Call, ImageError> {
        let socket = &self.engines.containerd_socket;
        let refused = |message: String| ImageError::Daemon {
            socket: socket.clone(),
            subject: subject.to_owned(),
            status: 0,
            message,
        };
        let length = message.encoded_len();
        let mut body = vec![0];
        body.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        message.encode(&mut body).map_err(|error| refused(error.to_string()))?;
        let request = Request::post(format!("http://localhost/containerd.services.{method}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("containerd-namespace", &self.engines.containerd_namespace)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| refused(error.to_string()))?;
        let Answer { status, headers, body } =
            Question { socket, version: Version::Two, request, wait: WAIT }.ask()?;
        let call = Call { place: self.place(), socket: socket.clone(), subject: subject.to_owned(), body };
        if status != 200 {
            return Err(call.refused(status, "it does not speak gRPC"));
        }
        // An answer that is an error only has no body and no trailers of its own.
        if headers.contains_key("grpc-status") {
            call.check(&headers)?;
        }
        Ok(call)
    }
}

/// A call that was answered.
#[derive(Debug)]
struct Call {
    place: String,
    socket: std::path::PathBuf,
    subject: String,
    body: Body,
}

impl Call {
    /// The next message; `None` when there are no more and the call succeeded.
    fn message(&mut self) -> Result<Option<Bytes>, ImageError> {
        let mut prefix = [0; 5];
        match self.fill(&mut prefix)? {
            0 => {
                let trailers = self.body.trailers().cloned();
                self.check(&trailers.unwrap_or_default())?;
                return Ok(None);
            }
            5 => {}
            _ => return Err(self.failed("the answer ends early")),
        }
        let [compressed, length @ ..] = prefix;
        let length = u32::from_be_bytes(length);
        if compressed != 0 || length > MAX_MESSAGE {
            return Err(self.failed("expected a message that is not compressed and at most 16 MiB long"));
        }
        let mut bytes = vec![0; length as usize];
        match self.fill(&mut bytes)? == bytes.len() {
            true => Ok(Some(Bytes::from(bytes))),
            false => Err(self.failed("the answer ends early")),
        }
    }

    /// Reads until the buffer is full or there is no more.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ImageError> {
        let mut length = 0;
        while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match self.body.read(rest) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(source) => return Err(ImageError::Socket { socket: self.socket.clone(), source }),
            }
        }
        Ok(length)
    }

    fn decode<M: Message + Default>(&self, bytes: &[u8]) -> Result<M, ImageError> {
        M::decode(bytes).map_err(|error| self.failed(&error.to_string()))
    }

    /// Whether the call succeeded.
    fn check(&self, trailers: &hyper::HeaderMap) -> Result<(), ImageError> {
        let text = |name| trailers.get(name).and_then(|value| value.to_str().ok());
        match text("grpc-status") {
            Some("0") => Ok(()),
            Some(NOT_FOUND) => {
                Err(ImageError::Missing { place: self.place.clone(), missing: self.subject.clone() })
            }
            Some(_) => Err(self.failed(text("grpc-message").unwrap_or("it does not say why"))),
            None => Err(self.failed("the answer ends early")),
        }
    }

    fn failed(&self, message: &str) -> ImageError {
        self.refused(0, message)
    }

    fn refused(&self, status: u16, message: &str) -> ImageError {
        ImageError::Daemon {
            socket: self.socket.clone(),
            subject: self.subject.clone(),
            status,
            message: message.to_owned(),
        }
    }
}

/// The bytes of a blob, as they come.
#[derive(Debug)]
struct Content {
    call: Call,
    bytes: Bytes,
    offset: i64,
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.bytes.is_empty() {
            let Some(message) = self.call.message().map_err(io::Error::other)? else { return Ok(0) };
            let part: messages::ReadContentResponse = self.call.decode(&message).map_err(io::Error::other)?;
            if part.offset != self.offset {
                return Err(io::Error::other(format!(
                    "expected the bytes from {} on, got those from {}",
                    self.offset, part.offset
                )));
            }
            self.offset = self.offset.saturating_add(i64::try_from(part.data.len()).unwrap_or(i64::MAX));
            self.bytes = part.data;
        }
        let length = self.bytes.len().min(buffer.len());
        let taken = self.bytes.split_to(length);
        if let Some(into) = buffer.get_mut(..length) {
            into.copy_from_slice(&taken);
        }
        Ok(length)
    }
}

/// The messages of containerd's API, after `api/services/images/v1/images.proto`,
/// `api/services/content/v1/content.proto` and `api/types/descriptor.proto` of containerd 1.6 (the same in 2.0). Fields that are
/// not used are left out, and are skipped when they come.
mod messages {
    use prost::Message;
    use prost::bytes::Bytes;

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct GetImageRequest {
        #[prost(string, tag = "1")]
        pub(super) name: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct GetImageResponse {
        #[prost(message, optional, tag = "1")]
        pub(super) image: Option<Image>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Image {
        #[prost(message, optional, tag = "3")]
        pub(super) target: Option<Descriptor>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct Descriptor {
        #[prost(string, tag = "2")]
        pub(super) digest: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct InfoRequest {
        #[prost(string, tag = "1")]
        pub(super) digest: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct ReadContentRequest {
        #[prost(string, tag = "1")]
        pub(super) digest: String,
        #[prost(int64, tag = "2")]
        pub(super) offset: i64,
        #[prost(int64, tag = "3")]
        pub(super) size: i64,
    }

    #[derive(Clone, PartialEq, Message)]
    pub(super) struct ReadContentResponse {
        #[prost(int64, tag = "1")]
        pub(super) offset: i64,
        #[prost(bytes = "bytes", tag = "2")]
        pub(super) data: Bytes,
    }
}
