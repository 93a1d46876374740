//! `hullmark admission`: the objects that make a cluster ask.

use anyhow::{Context as _, Result};
use hullmark_server::admission::manifests::{Endpoint, FailurePolicy, Manifests};

use super::read_limited;
use crate::cli::{Admission, AdmissionFailurePolicy, AdmissionManifests};
use crate::output::to_stdout;

/// The largest file of certificates, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// Runs an `admission` command.
pub fn run(command: Admission) -> Result<()> {
    match command {
        Admission::Manifests(arguments) => manifests(arguments),
    }
}

fn manifests(arguments: AdmissionManifests) -> Result<()> {
    let endpoint = match (arguments.url, arguments.service) {
        (Some(url), None) => Endpoint::Url(url),
        (None, Some(service)) => {
            let (namespace, name) = service
                .split_once('/')
                .with_context(|| format!("`{service}` is not a Service: expected `NAMESPACE/NAME`"))?;
            Endpoint::Service { namespace: namespace.to_owned(), name: name.to_owned() }
        }
        _ => anyhow::bail!("give either --url or --service"),
    };
    let certificates = arguments.ca_file.map(|path| read_limited(&path, MAX_FILE)).transpose()?;
    let manifests = Manifests {
        endpoint,
        certificates,
        failure_policy: match arguments.failure_policy {
            AdmissionFailurePolicy::Fail => FailurePolicy::Fail,
            AdmissionFailurePolicy::Ignore => FailurePolicy::Ignore,
        },
        timeout: arguments.timeout,
        exempt: arguments.exempt_namespace,
        selector: arguments.namespace_selector,
    };
    let text = manifests.yaml()?;
    to_stdout(|out| out.write_all(text.as_bytes()))
}
