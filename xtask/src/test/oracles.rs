//! The reference implementations of version orders that tests compare Hullmark's with.

use std::path::PathBuf;
use std::process::Command;

use super::{Outcome, run_command};
use crate::workspace::{root, target};

const SCRIPT: &str = "tests/oracles/install.sh";

/// Where they are installed; tests find the directory in `HULLMARK_ORACLES`.
pub(super) fn directory() -> PathBuf {
    target().join("oracles")
}

/// Install them from their package registries, as the script pins them.
pub(super) fn install() -> Outcome {
    if !root().join(SCRIPT).is_file() {
        return Outcome::missing(format!("{SCRIPT} is absent"));
    }
    match run_command(Command::new("bash").current_dir(root()).arg(SCRIPT).arg(directory())) {
        Outcome::Failed(reason) => Outcome::missing(format!(
            "{reason}; without the package registries the tests that compare with these are skipped"
        )),
        outcome => outcome,
    }
}
