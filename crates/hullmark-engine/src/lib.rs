//! The pipeline: every stage in order.
//!
//! [`take_inventory`] turns a [`Target`] into an inventory, [`judge`] turns an inventory into a [`ScanReport`] with a
//! verdict, and [`record`] puts the verdict into the ledger. [`scan`] does the three, in that order; its body is the
//! whole order of the stages. Nothing here decides anything: each stage does its own work.
//!
//! [`trail_of`] reads the other way: from the ledger, the life of an image.
//!
//! [`ScanReport`]: hullmark_report::ScanReport

mod error;
mod pipeline;
mod record;
mod target;
mod trail;

pub use error::EngineError;
pub use pipeline::{
    Acquire, Judge, ScanProgress, identify, judge, scan, take_inventory, take_inventory_with_profile,
};
pub use record::{
    Asker, Circumstances, FeedAge, RECORD_SCHEMA, Recorder, VERDICT_KIND, VerdictRecord, record,
    record_schema,
};
pub use target::{Target, TargetError};
pub use trail::{
    EvidenceContent, Relation, TRAIL_DOCUMENT_SCHEMA, Trail, TrailEntry, TrailLimits, TrailRow,
    UnrelatedError, check_evidence, describe, trail_of,
};
