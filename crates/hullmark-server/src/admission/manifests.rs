//! The objects that make a cluster ask: a ValidatingWebhookConfiguration, and a Service where the server runs inside.
//!
//! The rules come from the list of kinds that are judged ([`KINDS`]), so nothing is sent that is not judged, and nothing is
//! judged that is not sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::images::KINDS;

/// Name of the configuration.
const NAME: &str = "hullmark";

/// Name of the webhook, which the API server puts before annotations in its audit log.
const WEBHOOK: &str = "images.hullmark.dev";

/// The label that every namespace bears, with its name.
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// Where the API server finds the webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// At this address, outside of the cluster or on its nodes.
    Url(String),
    /// Behind a Service of the cluster.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
}

/// What the API server does when the webhook does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailurePolicy {
    /// It refuses.
    Fail,
    /// It goes on without.
    Ignore,
}

/// What the objects say.
#[derive(Debug, Clone)]
pub struct Manifests {
    /// Where the webhook is.
    pub endpoint: Endpoint,
    /// Certificates by which the webhook proves who it is, PEM; those of the system when there are none.
    pub certificates: Option<Vec<u8>>,
    /// What happens without an answer.
    pub failure_policy: FailurePolicy,
    /// How long the API server waits, in seconds.
    pub timeout: u8,
    /// Namespaces whose objects are not sent.
    pub exempt: Vec<String>,
    /// Conditions on the labels of a namespace: `name=value`, `name!=value`, `name`, `!name`.
    pub selector: Vec<String>,
}

/// The objects cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// The address is of another kind.
    #[error(
        "`{0}` is not the address of a webhook: it must begin with `https://` and have neither user, query nor fragment"
    )]
    Url(String),
    /// A name is none.
    #[error("`{0}` is not the name of a {1}: lower-case letters, digits and `-`, at most 63")]
    Name(String, &'static str),
    /// A condition cannot be understood.
    #[error("`{0}` is not a condition on labels: expected `name=value`, `name!=value`, `name` or `!name`")]
    Condition(String),
    /// The certificates are something else.
    #[error("the file of certificates has no `BEGIN CERTIFICATE`, or has a private key")]
    Certificates,
    /// A Service is reached by a name that no public authority vouches for.
    #[error("behind a Service the certificates of the server's authority are needed")]
    CertificatesMissing,
    /// The time is out of range.
    #[error("the API server waits between 1 and 30 seconds, not {0}")]
    Timeout(u8),
}

impl Manifests {
    /// The objects as YAML.
    ///
    /// # Errors
    /// When a value is not what Kubernetes takes.
    pub fn yaml(&self) -> Result<String, ManifestError> {
        if !(1..=30).contains(&self.timeout) {
            return Err(ManifestError::Timeout(self.timeout));
        }
        let mut text = String::new();
        // Writing to a String cannot fail; the results are dropped.
        let _ = write!(
            text,
            "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata:\n  name: {NAME}\n\
             webhooks:\n  - name: {WEBHOOK}\n    admissionReviewVersions: [v1]\n    clientConfig:\n"
        );
        match &self.endpoint {
            Endpoint::Url(url) if is_webhook_url(url) => {
                let _ = writeln!(text, "      url: {}", quoted(url));
            }
            Endpoint::Url(url) => return Err(ManifestError::Url(url.clone())),
            Endpoint::Service { .. } if self.certificates.is_none() => {
                return Err(ManifestError::CertificatesMissing);
            }
            Endpoint::Service { namespace, name } => {
                check_name(namespace, "namespace")?;
                check_name(name, "Service")?;
                let _ = write!(
                    text,
                    "      service:\n        namespace: {}\n        name: {}\n        path: /admission/validate\n        port: 443\n",
                    quoted(namespace),
                    quoted(name)
                );
            }
        }
        if let Some(certificates) = &self.certificates {
            let pem = String::from_utf8_lossy(certificates);
            if !pem.contains("-----BEGIN CERTIFICATE-----") || pem.contains("PRIVATE KEY") {
                return Err(ManifestError::Certificates);
            }
            let _ = writeln!(text, "      caBundle: {}", STANDARD.encode(certificates));
        }
        self.policy(&mut text);
        self.namespaces(&mut text)?;
        rules(&mut text);
        if let Endpoint::Service { namespace, name } = &self.endpoint {
            let _ = write!(
                text,
                "---\napiVersion: v1\nkind: Service\nmetadata:\n  namespace: {0}\n  name: {1}\nspec:\n  \
                 # The pods of the server.\n  selector:\n    app.kubernetes.io/name: hullmark-server\n  \
                 ports:\n    - name: https\n      port: 443\n      targetPort: 8443\n",
                quoted(namespace),
                quoted(name)
            );
        }
        Ok(text)
    }

    fn policy(&self, text: &mut String) {
        let (policy, meaning) = match self.failure_policy {
            FailurePolicy::Fail => {
                ("Fail", "Without an answer nothing that runs images is created or changed.")
            }
            FailurePolicy::Ignore => {
                ("Ignore", "Without an answer everything is admitted, and nothing records it.")
            }
        };
        let _ = write!(
            text,
            "    # {meaning}\n    failurePolicy: {policy}\n    timeoutSeconds: {}\n    \
             # Each answer becomes an entry of the ledger, unless it is a dry run.\n    sideEffects: NoneOnDryRun\n    \
             # Also objects that are sent by way of other versions of the API.\n    matchPolicy: Equivalent\n    \
             # No objectSelector: whoever makes an object chooses its labels, and could exempt it.\n",
            self.timeout
        );
    }

    fn namespaces(&self, text: &mut String) -> Result<(), ManifestError> {
        let mut exempt = self.exempt.clone();
        // With `Fail`, a server that is down could not be started again.
        if let Endpoint::Service { namespace, .. } = &self.endpoint {
            exempt.push(namespace.clone());
        }
        exempt.sort();
        exempt.dedup();
        let mut expressions = Vec::new();
        if !exempt.is_empty() {
            exempt.iter().try_for_each(|name| check_name(name, "namespace"))?;
            let names: Vec<String> = exempt.iter().map(|name| quoted(name)).collect();
            expressions.push((NAMESPACE_LABEL.to_owned(), "NotIn", names));
        }
        for condition in &self.selector {
            expressions.push(expression(condition)?);
        }
        if expressions.is_empty() {
            text.push_str("    namespaceSelector: {}\n");
            return Ok(());
        }
        text.push_str("    namespaceSelector:\n      matchExpressions:\n");
        for (key, operator, values) in expressions {
            let _ = write!(text, "        - key: {}\n          operator: {operator}\n", quoted(&key));
            if !values.is_empty() {
                let _ = writeln!(text, "          values: [{}]", values.join(", "));
            }
        }
        Ok(())
    }
}

fn rules(text: &mut String) {
    text.push_str("    rules:\n");
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (group, _, resource, _) in KINDS {
        groups.entry(group).or_default().push(resource);
        if *resource == "pods" {
            groups.entry(group).or_default().push("pods/ephemeralcontainers");
        }
    }
    for (group, resources) in groups {
        let _ = write!(
            text,
            "      - apiGroups: [{}]\n        apiVersions: [v1]\n        operations: [CREATE, UPDATE]\n        \
             resources: [{}]\n        scope: Namespaced\n",
            quoted(group),
            resources.join(", ")
        );
    }
}

fn expression(condition: &str) -> Result<(String, &'static str, Vec<String>), ManifestError> {
    let error = || ManifestError::Condition(condition.chars().take(200).collect());
    let (key, operator, value) = if let Some((key, value)) = condition.split_once("!=") {
        (key, "NotIn", Some(value))
    } else if let Some((key, value)) = condition.split_once('=') {
        (key, "In", Some(value))
    } else if let Some(key) = condition.strip_prefix('!') {
        (key, "DoesNotExist", None)
    } else {
        (condition, "Exists", None)
    };
    let word = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        text.len() <= 253 && text.bytes().all(allowed)
    };
    let key_is_good = !key.is_empty() && key.splitn(2, '/').all(|part| !part.is_empty() && word(part));
    if !key_is_good || !value.is_none_or(|value| word(value) && value.len() <= 63) {
        return Err(error());
    }
    Ok((key.to_owned(), operator, value.iter().map(|value| quoted(value)).collect()))
}

fn is_webhook_url(url: &str) -> bool {
    url.strip_prefix("https://").is_some_and(|rest| {
        !rest.is_empty()
            && !rest.starts_with('/')
            && rest.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'@' | b'"'))
    })
}

fn check_name(name: &str, what: &'static str) -> Result<(), ManifestError> {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let good = (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-');
    if good { Ok(()) } else { Err(ManifestError::Name(name.chars().take(100).collect(), what)) }
}

/// A text in double quotes. What comes here was checked to have no character that would need more.
fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Manifests {
        Manifests {
            endpoint: Endpoint::Service { namespace: "hullmark".to_owned(), name: "server".to_owned() },
            certificates: Some(b"-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n".to_vec()),
            failure_policy: FailurePolicy::Fail,
            timeout: 5,
            exempt: vec!["kube-system".to_owned()],
            selector: vec!["hullmark.dev/exempt!=true".to_owned(), "team".to_owned()],
        }
    }

    #[test]
    fn the_objects_are_the_golden_ones() {
        let expected = include_str!("../../tests/admission/webhook.yaml");
        assert_eq!(service().yaml().unwrap(), expected);
        let url = Manifests {
            endpoint: Endpoint::Url("https://hullmark.example:8443/admission/validate".to_owned()),
            certificates: None,
            failure_policy: FailurePolicy::Ignore,
            exempt: Vec::new(),
            selector: Vec::new(),
            ..service()
        };
        let text = url.yaml().unwrap();
        assert!(
            text.contains("failurePolicy: Ignore\n") && text.contains("namespaceSelector: {}\n"),
            "{text}"
        );
        assert!(!text.contains("caBundle") && !text.contains("kind: Service"), "{text}");
    }

    #[test]
    fn every_kind_that_is_judged_is_sent() {
        let text = service().yaml().unwrap();
        for (_, _, resource, _) in KINDS {
            assert!(text.contains(resource), "{resource}");
        }
        assert!(text.contains("pods/ephemeralcontainers"));
    }

    #[test]
    fn what_kubernetes_does_not_take_is_refused() {
        let check = |change: &dyn Fn(&mut Manifests)| {
            let mut manifests = service();
            change(&mut manifests);
            assert!(manifests.yaml().is_err(), "{manifests:?}");
        };
        for url in
            ["http://a/", "https://", "https:///x", "https://a/?b", "https://u@a/", "https://a/\"\nx: y"]
        {
            check(&|manifests| manifests.endpoint = Endpoint::Url(url.to_owned()));
        }
        check(&|manifests| manifests.certificates = None);
        check(&|manifests| manifests.certificates = Some(b"-----BEGIN PRIVATE KEY-----".to_vec()));
        check(&|manifests| manifests.timeout = 0);
        check(&|manifests| manifests.timeout = 31);
        check(&|manifests| manifests.exempt.push("Kube System".to_owned()));
        for condition in ["", "!", "=x", "a=b c", "a/=b", "a=\"x\""] {
            check(&|manifests| manifests.selector.push(condition.to_owned()));
        }
    }
}
