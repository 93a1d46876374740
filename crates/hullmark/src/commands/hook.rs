//! `hullmark hook`: what engines must be told to run `hullmark-hook`.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::cli::{Engine, Hook, HookConfig};
use crate::output::to_stdout;

/// How long podman and CRI-O wait for the hook, in seconds: longer than the longest sensible deadline of the hook itself,
/// which records what it does then.
const TIMEOUT: u32 = 10;

/// Runs a `hook` command.
pub fn run(command: Hook) -> Result<()> {
    match command {
        Hook::Config(arguments) => config(&arguments),
    }
}

fn config(arguments: &HookConfig) -> Result<()> {
    let program = arguments.program.as_deref().unwrap_or_else(|| {
        Path::new(match arguments.engine {
            Engine::Podman => "/usr/libexec/hullmark/hullmark-hook",
            Engine::Containerd => "/opt/containerd/image-verifier/bin/hullmark-hook",
        })
    });
    anyhow::ensure!(program.is_absolute(), "`{}` is not an absolute path", program.display());
    let text = match arguments.engine {
        Engine::Podman => podman(program, arguments.config.as_deref())?,
        Engine::Containerd => {
            anyhow::ensure!(
                arguments.config.is_none(),
                "containerd gives its verifiers no arguments of ours; put the configuration into /etc/hullmark/hook.json"
            );
            containerd(program)?
        }
    };
    to_stdout(|out| out.write_all(text.as_bytes()))
}

fn podman(program: &Path, config: Option<&Path>) -> Result<String> {
    let mut words = vec!["hullmark-hook".to_owned()];
    if let Some(config) = config {
        anyhow::ensure!(config.is_absolute(), "`{}` is not an absolute path", config.display());
        words.extend(["--config".to_owned(), config.display().to_string()]);
    }
    words.push("createRuntime".to_owned());
    let hook = json!({
        "version": "1.0.0",
        "hook": { "path": program, "args": words, "timeout": TIMEOUT },
        "when": { "always": true },
        "stages": ["createRuntime"],
    });
    Ok(serde_json::to_string_pretty(&hook)? + "\n")
}

fn containerd(program: &Path) -> Result<String> {
    let directory = program.parent().context("the program has no directory")?.display().to_string();
    // A JSON string is a TOML string.
    let directory = serde_json::to_string(&directory)?;
    Ok(format!(
        "# The directory may hold verifiers only: containerd executes every file in it, and pulls everything when it is empty.\n\
         # Images are verified when containerd pulls them by its transfer service: by CRI since containerd 2.1.\n\
         [plugins.\"io.containerd.image-verifier.v1.bindir\"]\n  bin_dir = {directory}\n  max_verifiers = 10\n  \
         per_verifier_timeout = \"{TIMEOUT}s\"\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hook_file_is_the_documented_one() {
        let text = podman(Path::new("/usr/libexec/hullmark/hullmark-hook"), None).unwrap();
        let page = include_str!("../../../../docs/hook.md");
        let block = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let [made, documented] =
            [text.as_str(), block].map(|text| serde_json::from_str::<serde_json::Value>(text).unwrap());
        assert_eq!(made, documented);
        let toml = containerd(Path::new("/opt/containerd/image-verifier/bin/hullmark-hook")).unwrap();
        let lines = toml.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
        assert!(page.contains(&lines), "{lines}");
    }

    #[test]
    fn the_configuration_can_be_elsewhere() {
        let text = podman(Path::new("/a/hullmark-hook"), Some(Path::new("/b/hook.json"))).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let expected = json!(["hullmark-hook", "--config", "/b/hook.json", "createRuntime"]);
        assert_eq!(value.pointer("/hook/args"), Some(&expected));
        assert!(podman(Path::new("/a"), Some(Path::new("hook.json"))).is_err());
    }
}
