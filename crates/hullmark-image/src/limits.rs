//! Hard limits on what an image may make us do.

/// Limits on one image. A limit that is hit becomes a diagnostic, and the rest of the image goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Entries of one layer.
    pub max_entries: u64,
    /// Size of one file, in bytes.
    pub max_file_size: u64,
    /// Uncompressed size of one layer, in bytes.
    pub max_layer_size: u64,
    /// Uncompressed size of all layers together, in bytes.
    pub max_image_size: u64,
    /// Uncompressed bytes for each compressed byte.
    pub max_ratio: u64,
    /// Uncompressed bytes below which the ratio is not judged.
    pub ratio_floor: u64,
    /// Length of a path, in bytes.
    pub max_path_length: usize,
    /// Components of a path.
    pub max_path_depth: usize,
    /// Size of a manifest, index or configuration, in bytes.
    pub max_document_size: u64,
    /// Layers of an image.
    pub max_layers: usize,
    /// Members of an archive of an image, such as `docker save` writes.
    pub max_members: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_entries: 2_000_000,
            max_file_size: 32 << 30,
            max_layer_size: 64 << 30,
            max_image_size: 128 << 30,
            max_ratio: 500,
            ratio_floor: 512 << 20,
            max_path_length: 4096,
            max_path_depth: 128,
            max_document_size: 8 << 20,
            max_layers: 1024,
            max_members: 100_000,
        }
    }
}

/// A limit that the bytes of a layer hit, as the error of a reader. It becomes a diagnostic with this code.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct LimitHit {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl LimitHit {
    /// The limit that an error is about.
    pub(crate) fn of(error: &std::io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}
