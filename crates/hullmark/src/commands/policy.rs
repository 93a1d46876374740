//! `hullmark policy`: the built-in policy, checks, schemas.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::Context;
use crate::cli::Policy;
use crate::output::to_stdout;

/// The largest policy or exception file, in bytes.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// Runs a `policy` command.
pub fn run(context: &Context<'_>, command: Policy) -> Result<()> {
    match command {
        Policy::Default => to_stdout(|out| out.write_all(hullmark_policy::DEFAULT_POLICY.as_bytes())),
        Policy::Check { policy, exceptions } => check(context, policy, exceptions),
        Policy::Schema { exceptions } => {
            let schema = if exceptions {
                hullmark_policy::exceptions_schema()
            } else {
                hullmark_policy::policy_schema()
            };
            to_stdout(|out| {
                serde_json::to_writer_pretty(&mut *out, &schema)?;
                out.write_all(b"\n")
            })
        }
        Policy::Fields => to_stdout(|out| out.write_all(hullmark_policy::field_reference().as_bytes())),
    }
}

fn check(context: &Context<'_>, policy: Option<PathBuf>, exceptions: Option<PathBuf>) -> Result<()> {
    if let Some(path) = policy {
        let policy = load_policy(&path)?;
        context.talk.note(format!(
            "`{}` is a valid policy with {} rules",
            path.display(),
            policy.rules().len()
        ));
    }
    if let Some(path) = exceptions {
        load_exceptions(&path)?;
        context.talk.note(format!("`{}` is a valid file of exceptions", path.display()));
    }
    Ok(())
}

/// Reads and validates a policy file.
pub fn load_policy(path: &Path) -> Result<hullmark_policy::Policy> {
    let text = read(path)?;
    hullmark_policy::parse_policy(&path.display().to_string(), &text).context("the policy is not valid")
}

/// Reads and validates a file of exceptions.
pub fn load_exceptions(path: &Path) -> Result<hullmark_policy::Exceptions> {
    let text = read(path)?;
    hullmark_policy::parse_exceptions(&path.display().to_string(), &text)
        .context("the exceptions are not valid")
}

fn read(path: &Path) -> Result<String> {
    let bytes = super::read_limited(path, MAX_FILE)?;
    String::from_utf8(bytes).with_context(|| format!("`{}` is not UTF-8", path.display()))
}
