//! `cargo xtask tidy`: the rules that the compiler does not hold.
//!
//! Each check is a function from the [`Workspace`] to a list of [`Problem`]s, and one line in [`CHECKS`].

mod documentation;
mod layering;
mod links;
mod manifests;
mod sources;

use std::fmt;

use anyhow::Result;

use crate::Ending;
use crate::workspace::Workspace;

/// Something that does not hold, and where.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Problem {
    /// The file, relative to the workspace, with a line where one is to blame.
    place: String,
    /// What is wrong and what would be right.
    message: String,
}

impl Problem {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Problem {
        Problem { place: place.into(), message: message.into() }
    }

    fn at_line(place: &str, line: usize, message: impl Into<String>) -> Problem {
        Problem::new(format!("{place}:{line}"), message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.message)
    }
}

type Check = fn(&Workspace) -> Result<Vec<Problem>>;

/// Every check, with what it holds.
const CHECKS: &[(&str, Check)] = &[
    ("crates depend only on lower layers", layering::check),
    ("manifests agree with the workspace", manifests::check),
    ("sources open with their documentation, stay small, and keep unsafe code in its crate", sources::check),
    ("every entry of a list is documented", documentation::check),
    ("links in documents lead somewhere", links::check),
];

/// Run every check and print what does not hold.
///
/// # Errors
/// When cargo or git cannot say what the workspace is made of, or a file cannot be read.
pub(crate) fn run() -> Result<Ending> {
    let workspace = Workspace::read()?;
    let mut problems = Vec::new();
    for (what, check) in CHECKS {
        let mut found = check(&workspace)?;
        println!("{} {what}", if found.is_empty() { "ok    " } else { "FAILED" });
        found.sort();
        for problem in &found {
            println!("         {problem}");
        }
        problems.append(&mut found);
    }
    println!(
        "tidy: {} crates, {} files, {} problems",
        workspace.members.len(),
        workspace.files.len(),
        problems.len()
    );
    Ok(if problems.is_empty() { Ending::Passed } else { Ending::Failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_can_read_this_workspace() {
        let workspace = Workspace::read().unwrap();
        assert!(workspace.members.iter().any(|member| member.name == "xtask"));
        assert!(workspace.files.iter().any(|name| name == "xtask/src/tidy.rs"));
        for (what, check) in CHECKS {
            assert!(check(&workspace).is_ok(), "{what}");
        }
    }
}
