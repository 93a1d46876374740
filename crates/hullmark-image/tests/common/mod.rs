//! An image with two layers, and visitors that write down what they are told.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, Read};
use std::path::Path;

use hullmark_http::ClientOptions;
use hullmark_image::{
    AcquireOptions, Entry, EntryKind, Image, ImageError, ImageVisitor, LayerOutcome, LayerVisitor,
    NoProgress, Target, open,
};
use hullmark_testkit::{ImageBuilder, TarBuilder};
use hullmark_types::Digest;

#[derive(Default)]
pub struct Files {
    pub layers: BTreeMap<u32, Vec<String>>,
    pub codes: Vec<String>,
}

#[derive(Default)]
pub struct Layer(Vec<String>);

impl LayerVisitor for Layer {
    fn entry(&mut self, entry: &Entry, content: &mut dyn BufRead) -> std::io::Result<()> {
        if entry.kind == EntryKind::File {
            let mut bytes = Vec::new();
            content.take(100).read_to_end(&mut bytes)?;
            self.0.push(format!("{}={}", entry.path, String::from_utf8_lossy(&bytes)));
        }
        Ok(())
    }
}

impl ImageVisitor for Files {
    type Layer = Layer;

    type Output = (Vec<String>, Vec<String>);

    fn begin(&self) -> Layer {
        Layer::default()
    }

    fn finish(&self, layer: Layer, outcome: &LayerOutcome) -> Self::Output {
        (layer.0, outcome.diagnostics.iter().map(|diagnostic| diagnostic.code.clone()).collect())
    }

    fn end_layer(&mut self, layer: u32, (files, codes): Self::Output) {
        self.layers.insert(layer, files);
        self.codes.extend(codes);
    }
}

pub fn options() -> AcquireOptions {
    let client = ClientOptions { retries: 2, sleep: |_| {}, ..ClientOptions::default() };
    let mut options = AcquireOptions::new(client);
    options.platform = "linux/amd64".parse().unwrap();
    options
}

pub fn builder() -> ImageBuilder {
    ImageBuilder::new()
        .layer(TarBuilder::new().file("base", "1").finish(), "ADD rootfs")
        .empty_layer("ENV A=b")
        .layer(TarBuilder::new().file("app", "2").finish(), "COPY app")
}

pub fn read(target: &Target, options: &AcquireOptions) -> Result<(Image, Files), ImageError> {
    let mut image = open(target, options)?;
    let mut files = Files::default();
    image.walk(&mut files, &NoProgress)?;
    Ok((image, files))
}

/// Two layers with one file each, the instructions mapped past the empty layer.
pub fn check(target: &str, options: &AcquireOptions) -> Image {
    let (image, files) =
        read(&Target::parse(target).unwrap(), options).unwrap_or_else(|error| panic!("{target}: {error}"));
    assert_eq!(
        files.layers,
        BTreeMap::from([(0, vec!["base=1".to_owned()]), (1, vec!["app=2".to_owned()])]),
        "{target}"
    );
    assert_eq!(files.codes, Vec::<String>::new(), "{target}");
    let instructions: Vec<_> = image.layers().iter().map(|layer| layer.created_by.as_deref()).collect();
    assert_eq!(instructions, [Some("ADD rootfs"), Some("COPY app")], "{target}");
    assert_eq!(image.config().unwrap().user, "1000");
    assert_eq!(image.subject().config, Some(Digest::sha256(&builder().config())));
    image
}

pub fn fails(target: &str, options: &AcquireOptions, expected: &str) {
    let error = match read(&Target::parse(target).unwrap(), options) {
        Ok(_) => panic!("{target} can be read"),
        Err(error) => error,
    };
    let mut text = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    assert!(text.contains(expected), "{text}");
}

pub fn put(directory: &Path, name: &str, bytes: &[u8]) -> String {
    let path = directory.join(name);
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}
