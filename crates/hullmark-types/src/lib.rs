//! The words every stage speaks.
//!
//! An [`Inventory`] is what an image contains, [`Matches`] is what the advisories say of it, and a [`Verdict`] is
//! what the policy makes of both. Everything here is plain data: no input or output, no clock, no network. All maps
//! are ordered, and [`canonical_json`] gives the same bytes for the same value, so each value has a [`Digest`].

mod advisory;
mod base_image;
mod canonical;
mod decision;
mod diagnostic;
mod digest;
mod distribution;
mod finding;
mod image;
mod image_reference;
mod inventory;
mod package;
mod profile;
mod runtime_event;
mod severity;
mod trail;
mod verdict;

pub use advisory::{
    Advisory, AdvisoryKind, Affected, FeedStatus, KnownExploited, RangeEvent, RangeKind, SeverityRating,
    VersionRange,
};
pub use base_image::{BaseEvidence, BaseImage, Origin};
pub use canonical::{CanonicalError, canonical_json, digest_of};
pub use decision::{
    ContainerFacts, DECISION_SCHEMA, DecisionAnswer, DecisionRequest, MAX_DECISION_LINE, SPOOL_FILE,
    SpooledDecision,
};
pub use diagnostic::{Diagnostic, DiagnosticLevel};
pub use digest::{Digest, DigestAlgorithm, DigestError, Hasher};
pub use distribution::Distribution;
pub use finding::{Evidence, Finding, Matches, NotAffected, PackageKey, Undetermined};
pub use image::{HistoryEntry, ImageConfig, LayerInfo, Platform, PlatformError, Subject, SubjectKind};
pub use image_reference::{ImageReference, ImageReferenceError};
pub use inventory::{INVENTORY_SCHEMA, Inventory};
pub use package::{
    Checksum, Confidence, Location, Package, PackageKind, SourcePackage, fold_pypi_name,
    split_bitnami_revision,
};
pub use profile::{ImageProfile, PROFILE_SCHEMA, ProgramFile, ProgramKind};
pub use runtime_event::{
    DriftKind, MAX_BATCH_EVENTS, ProcessFacts, RuntimeEvent, RuntimeEventBatch, RuntimeEventKind,
};
pub use severity::{Severity, UnknownSeverity};
pub use trail::{
    Actor, Answer, EnforcementMode, ImageIdentity, MAX_TRAIL_REASONS, Point, TRAIL_SCHEMA, TrailKind,
    TrailRecord, VerdictLink,
};
pub use verdict::{
    Action, ExceptionStatus, ExceptionUse, InputDigests, Outcome, Reason, Stage, UnknownStage, Verdict,
};
