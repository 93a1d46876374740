//! `hullmark profile`: what a container of an image may execute, as JSON.

use anyhow::{Context as _, Result};

use super::Context;
use super::scan::acquire_inventory_with_profile;
use crate::cli::Profile;
use crate::output::to_file_or_stdout;

/// Runs the command.
pub fn run(context: &Context<'_>, arguments: Profile) -> Result<()> {
    let (_, profile) = acquire_inventory_with_profile(context, &arguments.target)?;
    let profile =
        profile.context("an SBOM does not say which programs the image holds; name the image itself")?;
    if !profile.complete {
        context.talk.warn("a part of the image could not be read, so the profile is not complete".to_owned());
    }
    let bytes = hullmark_types::canonical_json(&profile)?;
    to_file_or_stdout(arguments.output.as_deref(), |out| {
        out.write_all(&bytes)?;
        out.write_all(b"\n")
    })
}
