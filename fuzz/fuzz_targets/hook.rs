//! What a container runtime says of a container: state, bundle configuration, annotations; and the arguments of a verifier.
#![no_main]

use std::path::Path;

use hullmark_hook::identity::annotation;
use hullmark_hook::oci::{BundleConfiguration, State};
use hullmark_hook::{Arguments, Mode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(state) = State::parse(bytes) {
        assert!(state.bundle.is_absolute() && !state.id.contains('/'));
    }
    if let Ok(configuration) = BundleConfiguration::parse(bytes, Path::new("/run/bundle")) {
        let root = configuration.root.as_deref().unwrap_or(Path::new("/"));
        assert!(root.is_absolute() && !root.components().any(|part| part.as_os_str() == ".."));
        let image = annotation::find(&configuration.annotations);
        assert!(image.is_none_or(|image| image.config.is_some() || image.manifest.is_some()));
    }
    let words = String::from_utf8_lossy(bytes);
    if let Ok(arguments) = Arguments::parse(words.split('\n').map(str::to_owned)) {
        // Help is no way to exit code 0 beside anything else.
        assert!(!matches!(arguments.mode, Mode::Help | Mode::Version) || words.split('\n').count() == 1);
    }
});
