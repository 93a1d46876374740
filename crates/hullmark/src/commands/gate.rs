//! `hullmark gate`: clients of the registry gate.

use anyhow::Result;
use hullmark_server::gate::client_config::{ClientConfig, ClientKind};

use super::Context;
use crate::cli::{Gate, GateClient};
use crate::output::to_stdout;

/// Runs a `gate` command.
pub fn run(context: &Context<'_>, command: Gate) -> Result<()> {
    let Gate::Config { client, gate, mut upstream, ca_file } = command;
    if upstream.is_empty() {
        upstream.push("docker.io".to_owned());
    }
    let config = ClientConfig {
        gate: &gate,
        upstreams: &upstream,
        plain_http: context.global.plain_http,
        ca_file: ca_file.as_deref(),
    };
    let text = config.write(match client {
        GateClient::Containerd => ClientKind::Containerd,
        GateClient::Docker => ClientKind::Docker,
        GateClient::Podman => ClientKind::Podman,
    })?;
    to_stdout(|out| write!(out, "{text}"))
}
