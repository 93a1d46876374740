//! Configuration of clients that pull through the gate and nowhere else.
//!
//! A client that is told of a mirror asks the mirror first, and the registry itself when the mirror refuses. A gate that is
//! set up as a mirror therefore stops nothing. What is written here replaces the registry.

use std::fmt::Write as _;
use std::path::Path;

/// The programs for which configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientKind {
    /// containerd, and what uses it: nerdctl, Kubernetes.
    Containerd,
    /// Docker Engine.
    Docker,
    /// Podman, Buildah, Skopeo, CRI-O.
    Podman,
}

/// What the configuration is about.
#[derive(Debug, Clone, Copy)]
pub struct ClientConfig<'a> {
    /// Host and port of the gate.
    pub gate: &'a str,
    /// The upstream registries.
    pub upstreams: &'a [String],
    /// Whether the gate speaks plain HTTP.
    pub plain_http: bool,
    /// File with the certificate authority of the gate, on the machine of the client.
    pub ca_file: Option<&'a Path>,
}

/// A name that is no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host: expected a name or an address with an optional port")]
pub struct NotAHost(pub String);

impl ClientConfig<'_> {
    /// The configuration, with comments.
    ///
    /// # Errors
    /// When the gate or an upstream is not a host.
    pub fn write(&self, client: ClientKind) -> Result<String, NotAHost> {
        for host in self.upstreams.iter().map(String::as_str).chain([self.gate]) {
            let reference = format!("{host}/x").parse::<hullmark_types::ImageReference>();
            if reference.is_err() || host.contains('/') || !(host.contains(['.', ':']) || host == "localhost")
            {
                return Err(NotAHost(host.chars().take(100).collect()));
            }
        }
        Ok(match client {
            ClientKind::Containerd => self.containerd(),
            ClientKind::Docker => self.docker(),
            ClientKind::Podman => self.podman(),
        })
    }

    fn url(&self) -> String {
        format!("{}://{}", if self.plain_http { "http" } else { "https" }, self.gate)
    }

    fn ca(&self) -> Option<String> {
        self.ca_file.map(|path| path.display().to_string())
    }

    fn containerd(&self) -> String {
        let mut text = String::from(
            "# containerd: one file for each registry. `server` and the only host are the gate itself.\n\
             #\n\
             # Why no mirror: with `server = \"https://registry-1.docker.io\"` and the gate under `[host]`, containerd asks the\n\
             # registry whenever the gate answers with an error, a denial among them.\n\
             #\n\
             # A file that containerd cannot read is skipped, and the registry asked. containerd 1.6 wants a `[host]` table in it.\n\
             #\n\
             # containerd reads these files when its configuration names their directory:\n\
             #   version 2:  [plugins.\"io.containerd.grpc.v1.cri\".registry]\n\
             #               config_path = \"/etc/containerd/certs.d\"\n\
             #   version 3:  [plugins.\"io.containerd.cri.v1.images\".registry]\n\
             #               config_path = \"/etc/containerd/certs.d\"\n\
             # `ctr` reads them with --hosts-dir /etc/containerd/certs.d, nerdctl by itself.\n\
             # A token for the gate goes to Kubernetes as a pull secret for the names of the upstreams.\n",
        );
        let names = self.upstreams.iter().map(String::as_str);
        for name in names.chain(["_default"]) {
            let _ = writeln!(text, "\n# --- /etc/containerd/certs.d/{name}/hosts.toml");
            if name == "_default" {
                text.push_str("# Every other registry: the gate answers that it does not pass it on.\n");
            }
            let ca = self.ca().map_or_else(String::new, |path| format!("ca = {path:?}\n"));
            let can = format!("capabilities = [\"pull\", \"resolve\"]\n{ca}");
            let url = self.url();
            let _ = write!(text, "server = \"{url}\"\n{can}[host.\"{url}\"]\n{can}");
        }
        text
    }

    fn podman(&self) -> String {
        let mut text = String::from(
            "# --- /etc/containers/registries.conf.d/50-hullmark.conf (Podman, Buildah, Skopeo, CRI-O)\n\
             #\n\
             # `location` takes the place of the registry: there is no other address for these names.\n\
             #\n\
             # Why no mirror: entries of `[[registry.mirror]]` are tried first, and the registry itself whenever they answer\n\
             # with an error, a denial among them.\n",
        );
        for name in self.upstreams {
            let _ = writeln!(
                text,
                "\n[[registry]]\nprefix = \"{name}\"\nlocation = \"{}/{name}\"\ninsecure = {}",
                self.gate, self.plain_http
            );
        }
        let blocked = [
            "docker.io",
            "quay.io",
            "ghcr.io",
            "gcr.io",
            "registry.k8s.io",
            "public.ecr.aws",
            "mcr.microsoft.com",
        ];
        for name in blocked.iter().filter(|name| !self.upstreams.iter().any(|upstream| upstream == *name)) {
            let _ = writeln!(text, "\n[[registry]]\nprefix = \"{name}\"\nblocked = true");
        }
        text.push_str(
            "\n# There is no entry for all other registries here. /etc/containers/policy.json closes them:\n\
             #   {\"default\": [{\"type\": \"reject\"}], \"transports\": {\"docker\": {\n",
        );
        let accept = "[{\"type\": \"insecureAcceptAnything\"}]";
        let scopes: Vec<String> =
            self.upstreams.iter().map(|name| format!("#     \"{name}\": {accept}")).collect();
        let _ = writeln!(text, "{}\n#   }}}}}}", scopes.join(",\n"));
        if let Some(path) = self.ca() {
            let _ = writeln!(
                text,
                "#\n# The certificate authority of the gate:\n#   install -D -m 644 {path} /etc/containers/certs.d/{}/ca.crt",
                self.gate
            );
        }
        let _ = writeln!(text, "#\n# A token for the gate: podman login --username token {}", self.gate);
        text
    }

    fn docker(&self) -> String {
        let mut text = String::from(
            "# Docker Engine cannot be told to take another address for a registry.\n\
             #\n\
             # Why no mirror: `registry-mirrors` in daemon.json covers docker.io only, and Docker asks docker.io itself\n\
             # whenever the mirror answers with an error, a denial among them.\n\
             #\n\
             # What works: name images by the gate, and let nothing else through the firewall.\n\
             #\n\
             # 1. Names, in Dockerfiles, compose files and on the command line:\n",
        );
        for name in self.upstreams {
            let repository = if name == "docker.io" { "library/alpine" } else { "team/app" };
            let _ =
                writeln!(text, "#      {name}/{repository}:TAG  ->  {}/{name}/{repository}:TAG", self.gate);
        }
        text.push_str("#\n# 2. Trust and token:\n");
        if let Some(path) = self.ca() {
            let _ =
                writeln!(text, "#      install -D -m 644 {path} /etc/docker/certs.d/{}/ca.crt", self.gate);
        }
        let _ = writeln!(text, "#      docker login --username token {}", self.gate);
        text.push_str(
            "#\n# 3. At the firewall, refuse connections of these machines to registries; for docker.io they are\n\
             #    registry-1.docker.io, auth.docker.io and production.cloudflare.docker.com. Without this, an image that is\n\
             #    named without the gate is pulled past it.\n",
        );
        text.push_str("#\n# --- /etc/docker/daemon.json: no mirror");
        let insecure = match self.plain_http {
            true => format!(",\n  \"insecure-registries\": [\"{}\"]", self.gate),
            false => String::new(),
        };
        let _ = writeln!(text, "\n{{\n  \"registry-mirrors\": []{insecure}\n}}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(client: ClientKind, plain_http: bool) -> String {
        let upstreams = ["docker.io".to_owned(), "registry.example:5000".to_owned()];
        let ca_file = Some(Path::new("/etc/ca.pem"));
        ClientConfig { gate: "gate.example:8443", upstreams: &upstreams, plain_http, ca_file }
            .write(client)
            .unwrap()
    }

    #[test]
    fn containerd_has_no_other_host() {
        let text = config(ClientKind::Containerd, false);
        for file in text.split("# --- ").skip(1) {
            let body: String = file.lines().skip(1).map(|line| format!("{line}\n")).collect();
            let value: toml::Value = toml::from_str(&body).unwrap();
            assert_eq!(value["server"].as_str(), Some("https://gate.example:8443"), "{file}");
            assert_eq!(value["ca"].as_str(), Some("/etc/ca.pem"));
            let hosts: Vec<&String> = value["host"].as_table().unwrap().keys().collect();
            assert_eq!(hosts, ["https://gate.example:8443"]);
        }
        assert_eq!(text.matches("\nserver = ").count(), 3);
    }

    #[test]
    fn podman_has_locations_and_no_mirrors() {
        let value: toml::Value = toml::from_str(&config(ClientKind::Podman, true)).unwrap();
        let registries = value["registry"].as_array().unwrap();
        assert_eq!(registries[1]["location"].as_str(), Some("gate.example:8443/registry.example:5000"));
        assert_eq!(registries[1]["insecure"].as_bool(), Some(true));
        for registry in registries {
            assert!(registry.get("mirror").is_none());
            assert!(registry.get("location").is_some() != registry.get("blocked").is_some());
        }
    }

    #[test]
    fn docker_is_told_that_mirrors_fall_through() {
        let text = config(ClientKind::Docker, true);
        let json: String = text.lines().filter(|line| !line.starts_with('#')).collect();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["registry-mirrors"], serde_json::json!([]));
        assert_eq!(value["insecure-registries"], serde_json::json!(["gate.example:8443"]));
        assert!(
            text.contains("docker.io/library/alpine:TAG  ->  gate.example:8443/docker.io/library/alpine:TAG")
        );
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for gate in
            ["", "gate", "https://gate.example", "gate.example/x", "a.b\"\nserver", "gate.example:port"]
        {
            let config = ClientConfig { gate, upstreams: &[], plain_http: false, ca_file: None };
            assert!(config.write(ClientKind::Podman).is_err(), "{gate}");
        }
    }
}
