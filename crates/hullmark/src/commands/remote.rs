//! Asking a server.

use anyhow::{Context as _, Result, bail, ensure};
use hullmark_http::{Client, ClientOptions, Secret};
use serde::Deserialize;

use super::Context;
use crate::cli::ServerArguments;
use crate::environment;

/// The most bytes of an error's description that are read.
const MAX_PROBLEM: u64 = 64 * 1024;

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
        let options = ClientOptions { ca_file: arguments.ca_file.clone(), ..context.client_options() };
        Ok(Some(Self {
            base: format!("{}/api/v1", server.trim_end_matches('/')),
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
                    (401, None) => "\nhint: name the file with your token by --token-file",
                    _ => "",
                };
                bail!("`{shown}` answers {status}{}{hint}", hullmark_report::safe_text(&said))
            }
        }
    }
}
