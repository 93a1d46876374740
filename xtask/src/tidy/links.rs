//! Relative links in documents lead to a file of the project, and to a heading of it where they name one.

use anyhow::Result;

use super::Problem;
use crate::workspace::Workspace;

/// Check each Markdown file.
pub(super) fn check(workspace: &Workspace) -> Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for name in workspace.with_ending(".md") {
        let text = workspace.text(name)?.unwrap_or_default();
        for (line, target) in links(&text) {
            if let Some(message) = objection(workspace, name, &target)? {
                problems.push(Problem::at_line(name, line, message));
            }
        }
    }
    Ok(problems)
}

/// Why a link leads nowhere; `None` when it leads somewhere or out of the project.
fn objection(workspace: &Workspace, page: &str, target: &str) -> Result<Option<String>> {
    if target.contains("://") || target.starts_with("mailto:") {
        return Ok(None);
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    let Some(file) = resolve(page, path) else {
        return Ok(Some(format!("link `{target}` leads out of the project")));
    };
    let below = format!("{file}/");
    let is_file = workspace.files.contains(&file);
    if !is_file && !file.is_empty() && !workspace.files.iter().any(|name| name.starts_with(&below)) {
        return Ok(Some(format!("link `{target}` leads nowhere: there is no {file}")));
    }
    if heading.is_empty() || !is_file {
        return Ok(None);
    }
    let text = workspace.text(&file)?.unwrap_or_default();
    let known = headings(&text).iter().any(|known| known == heading);
    Ok((!known).then(|| format!("link `{target}` leads nowhere: {file} has no such heading")))
}

/// The path of a link's target, relative to the workspace; `None` when it leaves the workspace.
fn resolve(page: &str, path: &str) -> Option<String> {
    if path.is_empty() {
        return Some(page.to_owned());
    }
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Lines of a Markdown text outside fenced and indented code, with their numbers, code spans blanked out.
fn prose(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            return None;
        }
        if fenced || line.starts_with("    ") {
            return None;
        }
        let outside =
            line.split('`').enumerate().map(|(index, part)| if index % 2 == 0 { part } else { "`" });
        Some((index + 1, outside.collect()))
    })
}

/// The targets of `[text](target)` links, with their lines.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        for part in line.split("](").skip(1) {
            if let Some((target, _)) = part.split_once(')') {
                let target = target.split_whitespace().next().unwrap_or_default();
                found.push((number, target.to_owned()));
            }
        }
    }
    found
}

/// The anchors of a Markdown text's headings, as code hosts make them.
fn headings(text: &str) -> Vec<String> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        fenced ^= line.trim_start().starts_with("```");
        if let Some(title) = line.strip_prefix('#').filter(|_| !fenced) {
            let title = title.trim_start_matches('#').trim().to_lowercase();
            let anchor = title.chars().filter_map(|character| match character {
                ' ' => Some('-'),
                _ if character.is_alphanumeric() || "-_".contains(character) => Some(character),
                _ => None,
            });
            found.push(anchor.collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found_outside_code() {
        let text =
            "See [a](a.md) and [b](b/c.md#d \"title\").\n`[x](y)` is code\n```\n[x](y)\n```\n    [x](y)\n";
        assert_eq!(links(text), [(1, "a.md".to_owned()), (1, "b/c.md#d".to_owned())]);
    }

    #[test]
    fn targets_are_resolved_from_their_page() {
        let check = |page: &str, path: &str, expected: Option<&str>| {
            assert_eq!(resolve(page, path).as_deref(), expected, "{page} -> {path}");
        };
        check("README.md", "docs/a.md", Some("docs/a.md"));
        check("docs/a.md", "../README.md", Some("README.md"));
        check("docs/a.md", "reference/", Some("docs/reference"));
        check("docs/a.md", "", Some("docs/a.md"));
        check("docs/a.md", "../../elsewhere", None);
    }

    #[test]
    fn headings_become_anchors() {
        let text = "# Hullmark: architecture\n## What is `new`?\n```\n# no heading\n```\n";
        assert_eq!(headings(text), ["hullmark-architecture", "what-is-new"]);
    }
}
