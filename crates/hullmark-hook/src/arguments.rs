//! What the program is called with.
//!
//! An OCI hook is called as its hook file says, so the word for the mode is ours. A verifier is called by containerd with
//! Go's flags: `-name REFERENCE -digest DIGEST -stdin-media-type TYPE`, each also with `=` or two dashes.

use std::path::PathBuf;

use hullmark_types::{Digest, DigestError};

/// What to print for `--help`.
pub const HELP: &str = "\
Asks whether an image may be used on this machine

Usage: hullmark-hook [--config FILE] createRuntime
       hullmark-hook -name REFERENCE -digest DIGEST -stdin-media-type TYPE

The first is an OCI hook: the state of the container on standard input, the reason on standard error.
The second is an image verifier of containerd: a descriptor on standard input, the reason on standard output.

Exit codes: 0 allowed, 1 denied

Configuration: the file after --config, else $HULLMARK_HOOK_CONFIG, else /etc/hullmark/hook.json
";

/// Who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// A container runtime, with the state of a container on standard input.
    OciHook,
    /// containerd, with a descriptor on standard input.
    ImageVerifier {
        /// The reference that is pulled.
        name: String,
        /// What it was resolved to: an index or a manifest.
        digest: Digest,
        /// Media type of standard input.
        stdin_media_type: Option<String>,
    },
    /// A person who wants to know what this is.
    Help,
    /// A person who wants to know which version this is.
    Version,
}

/// The arguments, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arguments {
    /// Who calls.
    pub mode: Mode,
    /// The configuration file named on the command line.
    pub configuration: Option<PathBuf>,
}

/// Why the arguments make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// Neither mode.
    #[error("no mode: expected `createRuntime`, or `-name` and `-digest`")]
    NoMode,
    /// A word that is no mode.
    #[error("no mode `{0}`: expected `createRuntime`, or `-name` and `-digest`")]
    UnknownMode(String),
    /// An option without its value.
    #[error("`{0}` needs a value")]
    NoValue(String),
    /// An option that came twice.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// A verifier was asked without a digest.
    #[error("`-digest` is missing")]
    NoDigest,
    /// A verifier was asked without a name.
    #[error("`-name` is missing")]
    NoName,
    /// The digest is none.
    #[error("`-digest`: {0}")]
    Digest(#[from] DigestError),
}

impl Arguments {
    /// Takes the arguments apart; the name of the program is not among them.
    ///
    /// Options of a verifier that are not known are passed over with their value, because containerd may add some: the
    /// decision rests on the digest alone.
    ///
    /// # Errors
    /// When they make no sense. The program denies then.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, ArgumentError> {
        let words: Vec<String> = words.into_iter().collect();
        // Only alone: beside anything else they would be a way to exit code 0 without a decision.
        match words.as_slice() {
            [word] if word == "--help" => return Ok(Self { mode: Mode::Help, configuration: None }),
            [word] if word == "--version" => return Ok(Self { mode: Mode::Version, configuration: None }),
            _ => {}
        }
        let mut words = words.into_iter().peekable();
        let (mut configuration, mut name, mut digest, mut media_type, mut mode) =
            (None, None, None, None, None);
        while let Some(word) = words.next() {
            if !word.starts_with('-') {
                if mode.is_some() || !matches!(word.as_str(), "createRuntime" | "prestart") {
                    return Err(ArgumentError::UnknownMode(word.chars().take(100).collect()));
                }
                mode = Some(Mode::OciHook);
                continue;
            }
            let flag = word.trim_start_matches('-');
            let (flag, given) = match flag.split_once('=') {
                Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
                None => (flag.to_owned(), None),
            };
            let mut value =
                || given.clone().or_else(|| words.next()).ok_or(ArgumentError::NoValue(flag.clone()));
            match flag.as_str() {
                "config" => set(&mut configuration, "--config", PathBuf::from(value()?))?,
                "name" => set(&mut name, "-name", value()?)?,
                "digest" => set(&mut digest, "-digest", value()?.parse::<Digest>()?)?,
                "stdin-media-type" => set(&mut media_type, "-stdin-media-type", value()?)?,
                _ if given.is_none() => {
                    words.next_if(|next| !next.starts_with('-'));
                }
                _ => {}
            }
        }
        let mode = match (mode, name, digest) {
            (Some(mode), None, None) => mode,
            (Some(_), _, _) => return Err(ArgumentError::UnknownMode("createRuntime with -name".to_owned())),
            (None, Some(name), Some(digest)) => {
                Mode::ImageVerifier { name, digest, stdin_media_type: media_type }
            }
            (None, Some(_), None) => return Err(ArgumentError::NoDigest),
            (None, None, Some(_)) => return Err(ArgumentError::NoName),
            (None, None, None) => return Err(ArgumentError::NoMode),
        };
        Ok(Self { mode, configuration })
    }
}

fn set<T>(place: &mut Option<T>, flag: &'static str, value: T) -> Result<(), ArgumentError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ArgumentError::Twice(flag)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, ArgumentError> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn both_callers_are_understood() {
        assert_eq!(parse("createRuntime").unwrap().mode, Mode::OciHook);
        let arguments = parse("--config /a/b createRuntime").unwrap();
        assert_eq!((arguments.mode, arguments.configuration), (Mode::OciHook, Some(PathBuf::from("/a/b"))));
        let digest = Digest::sha256(b"x");
        let verifier = Mode::ImageVerifier {
            name: "docker.io/library/alpine:3".to_owned(),
            digest: digest.clone(),
            stdin_media_type: Some("application/vnd.oci.descriptor.v1+json".to_owned()),
        };
        for line in [
            format!(
                "-name docker.io/library/alpine:3 -digest {digest} -stdin-media-type application/vnd.oci.descriptor.v1+json"
            ),
            format!(
                "--digest={digest} -operation pull --name=docker.io/library/alpine:3 -stdin-media-type=application/vnd.oci.descriptor.v1+json"
            ),
        ] {
            assert_eq!(parse(&line).unwrap().mode, verifier, "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let digest = Digest::sha256(b"x");
        for line in [
            String::new(),
            "poststop".to_owned(),
            "createRuntime createRuntime".to_owned(),
            "-name a".to_owned(),
            format!("-digest {digest}"),
            "-name a -digest sha256:12".to_owned(),
            format!("-name a -digest {digest} -digest {digest}"),
            format!("createRuntime -name a -digest {digest}"),
            "-name".to_owned(),
            "--help createRunTime".to_owned(),
            format!("-digest {digest} --help"),
        ] {
            assert!(parse(&line).is_err(), "{line}");
        }
    }
}
