//! What a command tells a machine while it works: one JSON object a line, by `docs/schema/progress.schema.json`.

use hullmark_types::{Digest, Outcome, Platform, Severity};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::schema_parts::{digest, list, number, object, platform, text, words};

/// Something that happened. Layers are counted from 0 at the base, and belong to the image that was named last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ProgressEvent {
    /// An image was found; its layers come next.
    Image {
        /// Its name.
        name: String,
        /// Digest of its manifest, else of its configuration.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
        /// Its platform.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        platform: Option<Platform>,
        /// How many layers it has.
        layers: usize,
        /// How many bytes its layers have as stored, where all of them are known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
    },
    /// A layer begins to be read.
    LayerStarted {
        /// Its number.
        layer: u32,
        /// Digest of its bytes as stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
        /// How many bytes will be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
    },
    /// More of a layer was read. Said for each twentieth part, and not more often than for each MiB.
    LayerProgress {
        /// Its number.
        layer: u32,
        /// How many bytes were read so far, as stored.
        bytes: u64,
        /// How many bytes will be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
    },
    /// A layer was read.
    LayerFinished {
        /// Its number.
        layer: u32,
        /// How many bytes were read, as stored.
        bytes: u64,
    },
    /// A layer is not read, as the cache knows what it holds.
    LayerRecalled {
        /// Its number.
        layer: u32,
        /// Digest of its bytes as stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<Digest>,
        /// How many bytes need not be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
    },
    /// A layer was read by its table of contents.
    LayerFetchedInPart {
        /// Its number.
        layer: u32,
        /// How many of its bytes were fetched.
        fetched: u64,
        /// How many it has.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
    },
    /// It is known what the image holds.
    Inventory {
        /// How many packages.
        packages: usize,
        /// How many places could not be assessed.
        gaps: usize,
    },
    /// The image was judged, and the verdict is recorded.
    Verdict {
        /// The verdict.
        outcome: Outcome,
        /// How many findings there are.
        findings: usize,
        /// How severe the worst of them is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worst: Option<Severity>,
    },
    /// An image for one of several platforms could not be scanned; the others go on.
    PlatformFailed {
        /// The platform.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        platform: Option<Platform>,
        /// Why.
        message: String,
    },
    /// A feed of advisories begins to be read.
    FeedStarted {
        /// Its name.
        feed: String,
    },
    /// A feed of advisories was read.
    FeedFinished {
        /// Its name.
        feed: String,
        /// How many records of it there are now.
        records: u64,
        /// Why they are not those that the feed has now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        problem: Option<String>,
    },
    /// Something worth knowing.
    Note {
        /// What.
        message: String,
    },
    /// Something is not as it should be.
    Warning {
        /// What.
        message: String,
    },
    /// The command could not do its work.
    Error {
        /// What failed.
        message: String,
        /// Why, the nearest cause first.
        causes: Vec<String>,
    },
    /// A signal ends the command.
    Interrupted {
        /// Its name.
        signal: String,
    },
}

/// The JSON schema (2020-12) of a line.
pub fn progress_schema() -> Value {
    let event = |name: &str, members: &[(&str, Value)]| {
        object(&[&[("event", json!({ "const": name }))], members].concat())
    };
    let layer = |more: &[(&'static str, Value)]| [&[("layer", number())], more].concat();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://hullmark.dev/schema/progress.schema.json",
        "title": "Hullmark progress",
        "description": "A line that a command writes to standard error with `--progress json`.",
        "oneOf": [
            event("image", &[
                ("name", text()), ("digest?", digest()), ("platform?", platform()), ("layers", number()),
                ("size?", number()),
            ]),
            event("layer-started", &layer(&[("digest?", digest()), ("size?", number())])),
            event("layer-progress", &layer(&[("bytes", number()), ("size?", number())])),
            event("layer-finished", &layer(&[("bytes", number())])),
            event("layer-recalled", &layer(&[("digest?", digest()), ("size?", number())])),
            event("layer-fetched-in-part", &layer(&[("fetched", number()), ("size?", number())])),
            event("inventory", &[("packages", number()), ("gaps", number())]),
            event("verdict", &[
                ("outcome", words(["passed", "warned", "failed"])), ("findings", number()),
                ("worst?", words(Severity::ALL.map(Severity::name))),
            ]),
            event("platform-failed", &[("platform?", platform()), ("message", text())]),
            event("feed-started", &[("feed", text())]),
            event("feed-finished", &[("feed", text()), ("records", number()), ("problem?", text())]),
            event("note", &[("message", text())]),
            event("warning", &[("message", text())]),
            event("error", &[("message", text()), ("causes", list(text()))]),
            event("interrupted", &[("signal", text())]),
        ],
    })
}
