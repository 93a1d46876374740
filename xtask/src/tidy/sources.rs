//! Rust sources: module documentation first, no giant files, unsafe code in one crate, no paths of one machine.

use std::path::PathBuf;

use anyhow::Result;

use super::Problem;
use crate::layers::UNSAFE;
use crate::workspace::Workspace;

/// Longest file that is accepted, in lines.
const LONGEST: usize = 1000;

/// Check each tracked file.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let local = local_paths(workspace);
    for name in &workspace.files {
        let Some(text) = workspace.text(name)? else { continue };
        if name.ends_with(".rs") {
            problems.extend(opening(name, &text));
            problems.extend(length(name, &text));
            if !name.starts_with(&format!("crates/{UNSAFE}/")) {
                problems.extend(unsafe_lines(name, &text));
            }
        }
        problems.extend(machine_paths(name, &text, &local));
    }
    Ok(problems)
}

/// A source opens with `//!`; a file of tests, which is no module that others read, at least with a comment.
fn opening(name: &str, text: &str) -> Option<Problem> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#!"))?;
    let of_tests = name.split('/').any(|part| matches!(part, "tests" | "benches" | "examples"));
    let documented = if of_tests { first.starts_with("//") } else { first.starts_with("//!") };
    (!documented).then(|| {
        let wanted = if of_tests { "a comment that says what it tests" } else { "`//!` documentation" };
        Problem::at_line(name, 1, format!("does not open with {wanted}"))
    })
}

fn length(name: &str, text: &str) -> Option<Problem> {
    let lines = text.lines().count();
    (lines > LONGEST).then(|| Problem::new(name, format!("{lines} lines; split it, {LONGEST} is the limit")))
}

/// Lines that open an unsafe block or item, or that lift the ban on them.
fn unsafe_lines(name: &str, text: &str) -> Vec<Problem> {
    let opens = |line: &str| {
        line.split(|character: char| !(character.is_alphanumeric() || "_{".contains(character)))
            .collect::<Vec<&str>>()
            .windows(2)
            .any(|pair| pair[0] == "unsafe" && matches!(pair[1], "{" | "fn" | "impl" | "extern" | "trait"))
    };
    let lifts = |line: &str| line.replace(' ', "").contains(concat!("(unsafe", "_code"));
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.starts_with("//") && !line.starts_with("///"))
        .filter(|(_, line)| opens(line) || lifts(line))
        .map(|(line, _)| Problem::at_line(name, line, format!("unsafe code belongs in `{UNSAFE}` alone")))
        .collect()
}

/// Directories that exist on this machine only: the checkout, what stands beside it, the toolchain's homes.
fn local_paths(workspace: &Workspace) -> Vec<String> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let beside = workspace.root.parent().map(|parent| parent.join("shared"));
    let homes = [".cargo", ".rustup"].map(|name| home.as_ref().map(|home| home.join(name)));
    [Some(workspace.root.clone()), beside]
        .into_iter()
        .chain(homes)
        .flatten()
        .filter(|path| path.is_absolute() && path.components().count() > 2)
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}

fn machine_paths(name: &str, text: &str, local: &[String]) -> Vec<Problem> {
    text.lines()
        .enumerate()
        .filter_map(|(index, line)| {
            let path = local.iter().find(|path| line.contains(path.as_str()))?;
            Some(Problem::at_line(name, index + 1, format!("`{path}` exists on one machine only")))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_open_with_documentation() {
        let check = |name: &str, text: &str, expected: bool| {
            assert_eq!(opening(name, text).is_none(), expected, "{name}: {text:?}");
        };
        check("a/src/lib.rs", "//! Words.\n", true);
        check("a/src/lib.rs", "#![no_std]\n\n//! Words.\n", true);
        check("a/src/lib.rs", "use std::fmt;\n", false);
        check("a/src/lib.rs", "// Words.\n", false);
        check("a/src/tests.rs", "// Words.\n", false);
        check("a/tests/cli.rs", "// What is tested.\n", true);
        check("a/tests/cli.rs", "use std::fmt;\n", false);
    }

    #[test]
    fn unsafe_code_is_found_where_it_is_and_not_in_talk_of_it() {
        let check = |line: &str, expected: usize| {
            let line = line.replace('%', "unsafe");
            assert_eq!(unsafe_lines("x.rs", &line).len(), expected, "{line}");
        };
        check("let x = % { read(p) };", 1);
        check("% fn read() {}", 1);
        check("#[expect(%_code, reason = \"fast\")]", 1);
        check("// % { nothing }", 0);
        check("let %_count = 3;", 0);
        check("%_code = \"deny\"", 0);
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        let local = ["/home/someone/hullmark".to_owned()];
        assert_eq!(machine_paths("a.md", "see\n/home/someone/hullmark/target", &local).len(), 1);
        assert_eq!(machine_paths("a.md", "/root/.ssh/id_rsa and /etc/passwd", &local), Vec::new());
    }

    #[test]
    fn long_files_are_found() {
        assert!(length("a.rs", &"x\n".repeat(LONGEST)).is_none());
        assert!(length("a.rs", &"x\n".repeat(LONGEST + 1)).is_some());
    }
}
