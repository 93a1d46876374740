//! The report as JSON: everything, sorted keys, indented.

use std::io;

use serde_json::{Value, json};

use crate::ScanReport;
use crate::attribution::attribution;

/// The version of the report's form.
pub(crate) const SCHEMA: u32 = 1;

pub(crate) fn document(report: &ScanReport) -> io::Result<Value> {
    let mut value = serde_json::to_value(report)?;
    if let Value::Object(members) = &mut value {
        members.insert("schema".to_owned(), json!(SCHEMA));
        if let Some(attribution) = attribution(report) {
            members.insert("attribution".to_owned(), json!(attribution));
        }
    }
    Ok(value)
}

pub(crate) fn write(report: &ScanReport, out: &mut dyn io::Write) -> io::Result<()> {
    crate::pretty(&document(report)?, out)
}
