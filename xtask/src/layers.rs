//! The layers of the workspace, from the lowest to the highest. A crate depends only on lower layers.
//!
//! To add a crate: one line here and one in `docs/architecture.md`; `cargo xtask tidy` checks both.

/// One layer and its crates.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The name that `docs/architecture.md` uses.
    pub(crate) name: &'static str,
    /// Directory names under `crates/`, which are also the names of the crates.
    pub(crate) crates: &'static [&'static str],
}

/// Every layer of the product, lowest first. Crates of one layer do not depend on each other.
pub(crate) const LAYERS: &[Layer] = &[
    Layer { name: "L0 words", crates: &["hullmark-types", "hullmark-version"] },
    Layer {
        name: "L1 access",
        crates: &["hullmark-bpf", "hullmark-cache", "hullmark-http", "hullmark-mmap"],
    },
    Layer { name: "L2 stages", crates: &["hullmark-image", "hullmark-advisory", "hullmark-policy"] },
    Layer { name: "L2 stages, built on those", crates: &["hullmark-inventory", "hullmark-match"] },
    Layer { name: "L3 memory", crates: &["hullmark-ledger", "hullmark-report", "hullmark-store"] },
    Layer { name: "L4 pipeline", crates: &["hullmark-engine"] },
    Layer { name: "L5 edges", crates: &["hullmark-server", "hullmark-agent", "hullmark-hook"] },
    Layer { name: "L6 command", crates: &["hullmark"] },
];

/// Crates whose dependencies on the workspace are fewer than their layer would allow, and what they may use.
pub(crate) const NARROWED: &[(&str, &[&str])] = &[
    // What was recorded and how it is shown must not depend on how it was found.
    ("hullmark-ledger", &["hullmark-types"]),
    ("hullmark-report", &["hullmark-types", "hullmark-version"]),
    ("hullmark-store", &["hullmark-types"]),
    // What runs on every node stays small, and cannot judge by itself.
    ("hullmark-agent", &["hullmark-types", "hullmark-bpf", "hullmark-http"]),
    ("hullmark-bpf", &[]),
    ("hullmark-hook", &["hullmark-types"]),
    // What tests are judged by must not be built with the code that they judge.
    (TESTKIT, &["hullmark-types"]),
];

/// Builds fixtures; only a dev-dependency may name it.
pub(crate) const TESTKIT: &str = "hullmark-testkit";

/// Crates beside the layers. Nothing of the product depends on them, except tests on [`TESTKIT`].
pub(crate) const BESIDE: &[&str] = &[TESTKIT, BENCH, "xtask"];

/// What `cargo xtask bench` runs.
pub(crate) const BENCH: &str = "hullmark-bench";

/// Crates that do not live below `crates/`, and where they do.
pub(crate) const ELSEWHERE: &[(&str, &str)] = &[(BENCH, "bench"), ("xtask", "xtask")];

/// The only crate that may contain unsafe code.
pub(crate) const UNSAFE: &str = "hullmark-mmap";

/// The position of a crate in [`LAYERS`]; `None` when it stands beside them or is not listed.
pub(crate) fn position(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.crates.contains(&name))
}
