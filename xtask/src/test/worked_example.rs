//! Builds the worked example of `CONTRIBUTING.md`: its code goes into a copy of the workspace, and the extractor crate's
//! own tests run there. So the example cannot rot.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Outcome;
use crate::process;
use crate::workspace::{Workspace, cargo};

/// Where the copy and its build go.
const DIRECTORY: &str = "target/worked-example";

/// The step.
pub(crate) fn run() -> Outcome {
    match build() {
        Ok(()) => Outcome::Passed,
        Err(error) => Outcome::Failed(format!("{error:#}")),
    }
}

fn build() -> Result<()> {
    let workspace = Workspace::read()?;
    let guide =
        fs::read_to_string(workspace.root.join("CONTRIBUTING.md")).context("cannot read CONTRIBUTING.md")?;
    let changes = changes(&guide)?;
    let copy = workspace.root.join(DIRECTORY).join("tree");
    if copy.exists() {
        fs::remove_dir_all(&copy).with_context(|| format!("cannot remove `{}`", copy.display()))?;
    }
    for file in workspace.files.iter().filter(|file| !file.starts_with("fuzz/")) {
        let from = workspace.root.join(file);
        if from.is_file() {
            write(&copy.join(file), &fs::read(&from).with_context(|| format!("cannot read `{file}`"))?)?;
        }
    }
    for change in &changes {
        change.apply(&copy)?;
    }
    let mut command = cargo();
    command
        .args(["test", "--locked", "--package", "hullmark-inventory", "--lib"])
        .env("CARGO_TARGET_DIR", workspace.root.join(DIRECTORY).join("build"))
        .current_dir(&copy);
    println!("  in `{}`: {}", copy.display(), process::show(&command));
    match command.status().context("cannot start cargo")? {
        status if status.success() => Ok(()),
        status => bail!("the worked example of CONTRIBUTING.md does not build or pass: {status}"),
    }
}

/// One step of the example.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// A new file with its content.
    File { path: String, content: String },
    /// Lines added to a file, each after the line before it in the block.
    Lines { path: String, block: Vec<(bool, String)> },
}

impl Change {
    fn apply(&self, root: &Path) -> Result<()> {
        match self {
            Change::File { path, content } => write(&root.join(path), content.as_bytes()),
            Change::Lines { path, block } => {
                let text =
                    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read `{path}`"))?;
                let changed =
                    insert(&text, block).with_context(|| format!("the change to `{path}` does not fit"))?;
                write(&root.join(path), changed.as_bytes())
            }
        }
    }
}

/// Adds the `+` lines of a block, where its other lines stand next to each other.
fn insert(text: &str, block: &[(bool, String)]) -> Result<String> {
    let context: Vec<&str> = block.iter().filter(|(added, _)| !added).map(|(_, line)| line.trim()).collect();
    let lines: Vec<&str> = text.lines().collect();
    let start = lines
        .windows(context.len().max(1))
        .position(|window| window.iter().map(|line| line.trim()).eq(context.iter().copied()))
        .context("its context lines are not in the file")?;
    let mut changed: Vec<&str> = lines.iter().take(start).copied().collect();
    let mut rest = lines.iter().skip(start);
    for (added, line) in block {
        match added {
            true => changed.push(line),
            false => changed.extend(rest.next()),
        }
    }
    changed.extend(rest);
    Ok(changed.join("\n") + "\n")
}

/// The steps in the guide: code blocks whose first line is a comment `// PATH` or `# PATH` with a path in this repository.
fn changes(guide: &str) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let mut lines = guide.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```").filter(|language| !language.is_empty()) else {
            continue;
        };
        let body: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        let Some((first, rest)) = body.split_first() else { continue };
        let path = first.trim_start_matches(['/', '#', ' ']).trim();
        if !path.starts_with("crates/") {
            continue;
        }
        changes.push(match language {
            "diff" => Change::Lines {
                path: path.to_owned(),
                block: rest
                    .iter()
                    .map(|line| match line.strip_prefix('+') {
                        Some(added) => (true, added.to_owned()),
                        None => (false, line.strip_prefix(' ').unwrap_or(line).to_owned()),
                    })
                    .collect(),
            },
            _ => Change::File { path: path.to_owned(), content: rest.join("\n") + "\n" },
        });
    }
    if changes.len() < 2 {
        bail!("CONTRIBUTING.md has no worked example: expected code blocks that begin with `// crates/...`");
    }
    Ok(changes)
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    let parent = path.parent().context("a file without a directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
    fs::write(path, content).with_context(|| format!("cannot write `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_go_where_their_context_stands() {
        let block =
            vec![(false, "    b,".to_owned()), (true, "    new,".to_owned()), (false, "    c,".to_owned())];
        assert_eq!(insert("a,\n    b,\n    c,\nd\n", &block).unwrap(), "a,\n    b,\n    new,\n    c,\nd\n");
        assert!(insert("a\n", &block).is_err());
    }

    #[test]
    fn the_guide_has_an_example() {
        let guide =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../CONTRIBUTING.md")).unwrap();
        let changes = changes(&guide).unwrap();
        let lines = changes.iter().filter(|change| matches!(change, Change::Lines { .. })).count();
        assert_eq!(lines, 1, "one directory and one line");
        let Some(Change::File { path, .. }) = changes.first() else { panic!("the first step is a file") };
        let directory = path.rsplit_once('/').unwrap().0;
        for change in &changes {
            if let Change::File { path, .. } = change {
                assert!(path.starts_with(directory), "{path} is outside {directory}");
            }
        }
    }
}
