//! `hullmark sbom`: what is inside, as CycloneDX.

use anyhow::Result;

use super::Context;
use super::scan::acquire_inventory;
use crate::cli::Sbom;
use crate::output::to_file_or_stdout;

/// Runs the command.
pub fn run(context: &Context<'_>, arguments: Sbom) -> Result<()> {
    let inventory = acquire_inventory(context, &arguments.target)?;
    let document = hullmark_report::cyclonedx(&inventory, &super::scan::tool())?;
    to_file_or_stdout(arguments.output.as_deref(), |out| {
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
