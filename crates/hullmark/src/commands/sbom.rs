//! `hullmark sbom`: what is inside, as CycloneDX.

use std::path::Path;

use anyhow::Result;
use hullmark_types::Inventory;

use super::Context;
use super::reading::{Reading, all_taken, for_platform};
use crate::cli::Sbom;
use crate::output::to_file_or_stdout;

/// Runs the command.
pub fn run(context: &Context<'_>, arguments: Sbom) -> Result<()> {
    let reading = Reading::open(context, &arguments.target)?;
    let output = arguments.output.as_deref();
    if !reading.wants_all() {
        return write(context, &reading.image(hullmark_engine::take_inventory)?, output);
    }
    reading.check_output("a CycloneDX document", output)?;
    let taken = reading.each(|acquire, label| {
        let output = output.map(|path| for_platform(path, label));
        write(context, &hullmark_engine::take_inventory(acquire)?, output.as_deref())
    })?;
    all_taken(&taken)
}

fn write(context: &Context<'_>, inventory: &Inventory, output: Option<&Path>) -> Result<()> {
    let document = hullmark_report::cyclonedx(inventory, &super::scan::tool())?;
    to_file_or_stdout(output, |out| {
        serde_json::to_writer_pretty(&mut *out, &document)?;
        out.write_all(b"\n")
    })?;
    let gaps = inventory.diagnostics.len();
    if gaps > 0 {
        context
            .talk
            .note(format!("{gaps} diagnostics are in the document as properties `hullmark:diagnostic`"));
    }
    Ok(())
}
