//! Asking a server: for what it knows, or for a verdict in place of this machine's.

use anyhow::{Context as _, Result, bail, ensure};
use hullmark_http::{Client, ClientOptions, HttpError, Secret};
use hullmark_report::ScanReport;
use hullmark_types::{CanonicalError, ImageProfile, Inventory, Stage, digest_of};
use serde::Deserialize;
use serde_json::json;

use super::Context;
use crate::cli::ServerArguments;
use crate::environment;

/// The most bytes of an error's description that are read.
const MAX_PROBLEM: u64 = 64 * 1024;

/// The largest report, in bytes.
const MAX_REPORT: u64 = 512 * 1024 * 1024;

/// How long to wait for the server, which may have other work.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(180);

/// Where the API begins.
const PREFIX: &str = "/api/v1";

/// The server gave no verdict.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// No answer.
    #[error("the server `{address}` cannot be asked")]
    Unreachable {
        /// Its address.
        address: String,
        /// Why.
        source: HttpError,
    },
    /// It cannot do its work now.
    #[error("the server `{address}` cannot judge now ({status}): {detail}")]
    Unavailable {
        /// Its address.
        address: String,
        /// The status.
        status: u16,
        /// What it says.
        detail: String,
    },
    /// It refuses.
    #[error("the server `{address}` refuses ({status}): {detail}")]
    Refused {
        /// Its address.
        address: String,
        /// The status.
        status: u16,
        /// What it says.
        detail: String,
    },
    /// The answer is none.
    #[error("what the server `{address}` answered is not a report: {reason}")]
    Answer {
        /// Its address.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The inventory cannot be sent.
    #[error("the inventory cannot be sent")]
    Inventory(#[from] CanonicalError),
}

impl RemoteError {
    /// Whether the server is away, rather than of another opinion.
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unavailable { .. })
    }
}

/// A server and who asks it.
pub struct Remote {
    base: String,
    token: Option<Secret>,
    client: Client,
}

/// What a server says of an error (RFC 9457), as far as people want to know.
#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
}

impl Remote {
    /// The server that the arguments name; `None` when they name none.
    pub fn open(context: &Context<'_>, arguments: &ServerArguments) -> Result<Option<Self>> {
        let Some(server) = &arguments.server else { return Ok(None) };
        ensure!(
            server.starts_with("https://") || server.starts_with("http://"),
            "`{}` is no address of a server: expected `https://HOST[:PORT]`",
            hullmark_http::redact(server)
        );
        let options = ClientOptions {
            ca_files: arguments.ca_file.iter().cloned().collect(),
            read_timeout: PATIENCE,
            ..context.client_options()
        };
        Ok(Some(Self {
            base: format!("{}{PREFIX}", server.trim_end_matches('/')),
            token: environment::token(arguments.token_file.as_deref())?,
            client: Client::new(options)?,
        }))
    }

    /// The body of the answer at a path below `/api/v1`; `None` when the server knows nothing there.
    pub fn get(&self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let address = format!("{}{path}", self.base);
        let shown = hullmark_http::redact(&address);
        let mut request = self.client.get(&address);
        if let Some(token) = &self.token {
            request = request.authorization(&Secret::new(format!("Bearer {}", token.expose())));
        }
        let response = request.send().with_context(|| format!("cannot ask `{shown}`"))?;
        match (response.status(), response.is_success()) {
            (404, _) => Ok(None),
            (_, true) => {
                let body = response.read_limited(limit);
                Ok(Some(body.with_context(|| format!("cannot read the answer of `{shown}`"))?))
            }
            (status, false) => {
                let body = response.read_limited(MAX_PROBLEM).unwrap_or_default();
                let problem = serde_json::from_slice::<Problem>(&body).ok();
                let said = problem.map(|problem| match problem.detail.is_empty() {
                    true => problem.title,
                    false => problem.detail,
                });
                let said =
                    said.filter(|said| !said.is_empty()).map_or_else(String::new, |said| format!(": {said}"));
                let hint = match (status, &self.token) {
                    (401, None) => "\nhint: name the file with your token by --server-token-file",
                    _ => "",
                };
                bail!("`{shown}` answers {status}{}{hint}", hullmark_report::safe_text(&said))
            }
        }
    }

    /// Lets the server judge an inventory. What comes back is recorded there.
    pub fn scan(
        &self,
        inventory: &Inventory,
        profile: Option<&ImageProfile>,
        stage: Stage,
    ) -> Result<ScanReport, RemoteError> {
        let address = hullmark_http::redact(self.base.trim_end_matches(PREFIX));
        let malformed = |reason: String| RemoteError::Answer { address: address.clone(), reason };
        let mut body = json!({ "inventory": inventory, "stage": stage, "asker": environment::asker() });
        if let (Some(profile), Some(members)) = (profile, body.as_object_mut()) {
            members.insert("profile".to_owned(), json!(profile));
        }
        let unreachable = |source| RemoteError::Unreachable { address: address.clone(), source };
        let token = self.token.as_ref().map_or("", Secret::expose);
        let response = self
            .client
            .post(&format!("{}/scans", self.base), "application/json", body.to_string().into_bytes())
            .authorization(&Secret::new(format!("Bearer {}", token)))
            .accept("application/json")
            .send()
            .map_err(unreachable)?;
        let status = response.status();
        let bytes = response.read_limited(MAX_REPORT).map_err(unreachable)?;
        if status != 200 {
            let detail = match serde_json::from_slice::<Problem>(&bytes) {
                Ok(problem) => problem.detail.chars().take(500).collect::<String>(),
                Err(_) => "it gives no reason".to_owned(),
            };
            let detail = hullmark_report::safe_text(&detail);
            return Err(match status {
                500.. => RemoteError::Unavailable { address, status, detail },
                _ => RemoteError::Refused { address, status, detail },
            });
        }
        let report: ScanReport =
            serde_json::from_slice(&bytes).map_err(|error| malformed(error.to_string()))?;
        let sent = digest_of(inventory)?;
        if digest_of(&report.inventory)? != sent || report.verdict.inputs.inventory != sent {
            return Err(malformed("it is about another inventory than was sent".to_owned()));
        }
        if report.ledger.is_none() || report.verdict.stage != stage {
            return Err(malformed("it is not recorded, or for another stage".to_owned()));
        }
        Ok(report)
    }
}
