//! `hullmark profile`: what a container of an image may execute, as JSON.

use std::path::Path;

use anyhow::{Context as _, Result};
use hullmark_types::ImageProfile;

use super::Context;
use super::reading::{Reading, all_taken, for_platform};
use crate::cli::Profile;
use crate::output::to_file_or_stdout;

/// Runs the command.
pub fn run(context: &Context<'_>, arguments: Profile) -> Result<()> {
    let reading = Reading::open(context, &arguments.target)?;
    let output = arguments.output.as_deref();
    if !reading.wants_all() {
        return write(context, reading.image(hullmark_engine::take_inventory_with_profile)?.1, output);
    }
    reading.check_output("a runtime profile", output)?;
    let taken = reading.each(|acquire, label| {
        let output = output.map(|path| for_platform(path, label));
        let (_, profile) = hullmark_engine::take_inventory_with_profile(acquire)?;
        write(context, profile, output.as_deref())
    })?;
    all_taken(&taken)
}

fn write(context: &Context<'_>, profile: Option<ImageProfile>, output: Option<&Path>) -> Result<()> {
    let profile =
        profile.context("an SBOM does not say which programs the image holds; name the image itself")?;
    if !profile.complete {
        context.talk.warn("a part of the image could not be read, so the profile is not complete".to_owned());
    }
    let bytes = hullmark_types::canonical_json(&profile)?;
    to_file_or_stdout(output, |out| {
        out.write_all(&bytes)?;
        out.write_all(b"\n")
    })
}
