//! Certificates for one server, in directories laid out as Docker's and Podman's are: `HOST[:PORT]/*.crt`, `*.cert`, `*.key`.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use crate::{ClientCertificate, ImageError};

/// The most files of one directory that are looked at.
const MAX_FILES: usize = 1000;

/// What there is for a server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HostCertificates {
    /// Files of certificate authorities.
    pub(crate) authorities: Vec<PathBuf>,
    /// The client certificate; the first by name where there are several.
    pub(crate) client: Option<ClientCertificate>,
}

/// Looks up what there is for the server that has one of `names`. The first directory that has something for it counts.
pub(crate) fn find(directories: &[PathBuf], names: &[&str]) -> Result<HostCertificates, ImageError> {
    for directory in directories {
        // A name is one directory, and never leads out of where it is.
        for name in names.iter().filter(|name| !name.contains('/') && !name.starts_with('.')) {
            let path = directory.join(name);
            let failed = |error: io::Error| ImageError::Certificates {
                path: path.clone(),
                problem: error.to_string(),
            };
            let files = match std::fs::read_dir(&path) {
                Ok(files) => files,
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err(failed(error)),
            };
            let files: io::Result<BTreeSet<PathBuf>> =
                files.take(MAX_FILES).map(|file| file.map(|file| file.path())).collect();
            return sort(&files.map_err(failed)?);
        }
    }
    Ok(HostCertificates::default())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn sort(files: &BTreeSet<PathBuf>) -> Result<HostCertificates, ImageError> {
    let is = |path: &Path, ending: &str| path.extension().is_some_and(|found| found == ending);
    let mut found = HostCertificates::default();
    for path in files {
        let partner = if is(path, "cert") { "key" } else { "cert" };
        if is(path, "crt") {
            found.authorities.push(path.clone());
        } else if is(path, "cert") || is(path, "key") {
            let other = path.with_extension(partner);
            if !files.contains(&other) {
                let problem = format!(
                    "expected `{}` beside it; certificate authorities have names that end in `.crt`",
                    other.display()
                );
                return Err(ImageError::Certificates { path: path.clone(), problem });
            }
            if is(path, "cert") && found.client.is_none() {
                found.client = Some(ClientCertificate { certificate: path.clone(), key: other });
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_directory_with_something_for_the_server_counts() {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "").unwrap();
            path
        };
        let (ca, other) = (put("a/r.example:5000/ca.crt"), put("a/r.example:5000/other.crt"));
        let (certificate, key) = (put("a/r.example:5000/client.cert"), put("a/r.example:5000/client.key"));
        put("a/r.example:5000/README");
        put("b/r.example:5000/ca.crt");
        let second = put("b/r.example/ca.crt");
        put("ca.crt");
        let directories = [root.path().join("absent"), root.path().join("a"), root.path().join("b")];
        let found = find(&directories, &["r.example:5000"]).unwrap();
        assert_eq!(found.authorities, [ca, other]);
        assert_eq!(found.client, Some(ClientCertificate { certificate, key }));
        assert_eq!(find(&directories, &["r.example"]).unwrap().authorities, std::slice::from_ref(&second));
        assert_eq!(find(&directories, &["unknown.example", "r.example"]).unwrap().authorities, [second]);
        for name in ["other.example", "..", "../a/r.example:5000", "."] {
            assert_eq!(find(&directories, &[name]).unwrap(), HostCertificates::default(), "{name}");
        }
    }

    #[test]
    fn half_a_pair_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("r.example")).unwrap();
        for name in ["client.cert", "client.key"] {
            let path = root.path().join("r.example").join(name);
            std::fs::write(&path, "").unwrap();
            let error = find(&[root.path().to_owned()], &["r.example"]).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("beside it"), "{error}");
            std::fs::remove_file(path).unwrap();
        }
    }
}
