//! `cargo xtask test`.

use anyhow::Result;

use crate::Ending;

pub(crate) fn run() -> Result<Ending> {
    Ok(Ending::Passed)
}
