//! `hullmark sbom`: what is inside, as CycloneDX or SPDX.

use std::path::Path;

use anyhow::Result;
use hullmark_report::SbomFormat;
use hullmark_types::Inventory;

use super::Context;
use super::reading::{Reading, all_taken, for_platform};
use crate::cli::Sbom;
use crate::output::to_file_or_stdout;

/// Runs the command.
pub fn run(context: &Context<'_>, arguments: Sbom) -> Result<()> {
    let reading = Reading::open(context, &arguments.target)?;
    let (output, format) = (arguments.output.as_deref(), arguments.format);
    if !reading.wants_all() {
        return write(context, format, &reading.image(hullmark_engine::take_inventory)?, output);
    }
    reading.check_output(format.document(), output)?;
    let taken = reading.each(|acquire, label| {
        let output = output.map(|path| for_platform(path, label));
        write(context, format, &hullmark_engine::take_inventory(acquire)?, output.as_deref())
    })?;
    all_taken(&taken)
}

fn write(
    context: &Context<'_>,
    format: SbomFormat,
    inventory: &Inventory,
    output: Option<&Path>,
) -> Result<()> {
    to_file_or_stdout(output, |out| {
        hullmark_report::write_sbom(format, inventory, &super::scan::tool(), out)
    })?;
    let gaps = inventory.diagnostics.len();
    if gaps > 0 {
        context.talk.note(format!("{gaps} diagnostics are in the document as `hullmark:diagnostic`"));
    }
    Ok(())
}
