//! Reports: what was found and decided, for people and for machines.
//!
//! A [`ScanReport`] holds everything; [`write()`] gives it one of the forms of [`Format`]. [`cyclonedx()`] writes an inventory
//! as an SBOM and [`parse_cyclonedx`] reads one back, without loss when Hullmark wrote it.

mod attribution;
mod checksum;
mod cpe;
mod cyclonedx;
mod format;
mod json;
mod license;
mod needed;
mod platforms;
mod progress;
mod sarif;
mod sbom;
mod schema;
pub mod schema_parts;
mod spdx;
mod table;
mod text;

use std::io;

use hullmark_types::{Digest, Inventory, Matches, Verdict};
use serde::{Deserialize, Serialize};

pub use cyclonedx::{SbomError, cyclonedx, cyclonedx_xml, parse_cyclonedx};
pub use format::{Format, UnknownFormat};
pub use license::spdx_expression;
pub use platforms::{PlatformReport, PlatformsReport, labels, write_platforms};
pub use progress::{ProgressEvent, progress_schema};
pub use sbom::{SbomFormat, UnknownSbomFormat, parse_sbom, write_sbom};
pub use schema::{json_schema, platforms_schema};
pub use spdx::{spdx_document, spdx_tag_value, spdx3_document};
pub use text::safe as safe_text;

/// The program that made a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
}

/// Where the verdict stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerReceipt {
    /// Name of the ledger.
    pub origin: String,
    /// Number of the entry, from 0.
    pub index: u64,
    /// SHA-256 of the entry.
    pub entry_digest: Digest,
}

/// Everything a scan found and decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanReport {
    /// The program.
    pub tool: Tool,
    /// What is in the image.
    pub inventory: Inventory,
    /// What the advisories say of it.
    pub matches: Matches,
    /// What the policy makes of it.
    pub verdict: Verdict,
    /// Where the verdict is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerReceipt>,
    /// What was not as it should be when the verdict was made: `server-unreachable`, ...
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriteOptions {
    /// With ANSI colours (the table only).
    pub color: bool,
    /// Columns to fit into (the table only); `None` for as wide as need be.
    pub width: Option<usize>,
}

/// Writes a report in one of the forms.
///
/// # Errors
/// When `out` cannot be written to.
pub fn write(
    format: Format,
    report: &ScanReport,
    options: &WriteOptions,
    out: &mut dyn io::Write,
) -> io::Result<()> {
    match format {
        Format::Table => table::write(report, options, out),
        Format::Json => json::write(report, out),
        Format::Sarif => pretty(&sarif::document(report), out),
        Format::Cyclonedx => {
            pretty(&cyclonedx(&report.inventory, &report.tool).map_err(io::Error::other)?, out)
        }
    }
}

fn pretty(value: &serde_json::Value, out: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}
