//! Actions and workflows that the workflows and composite actions of a repository use
//! (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax>).

use hullmark_types::PackageKind;

use crate::text::lines;
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads workflows and composite actions.
pub struct GithubActions;

impl Extractor for GithubActions {
    fn name(&self) -> &'static str {
        "github-actions"
    }

    fn summary(&self) -> &'static str {
        "Actions and reusable workflows of GitHub, from `uses:` in `.github/workflows/*.yml`, `action.yml` and `action.yaml`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::GithubActions]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        4 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        let name = file.file_name();
        matches!(name, "action.yml" | "action.yaml")
            || (name.ends_with(".yml") || name.ends_with(".yaml"))
                && (file.directory() == ".github/workflows"
                    || file.directory().ends_with("/.github/workflows"))
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads the lines `uses: OWNER/NAME[/PATH]@REF`, outside of texts of several lines. Those of the repository itself (`./`) and images
/// (`docker://`) are no actions of others. One without `@REF` is a gap `malformed-workflow`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    // The depth of the key whose text of several lines we are in.
    let mut block: Option<usize> = None;
    for (number, line) in lines(file.bytes) {
        let depth = line.bytes().take_while(|byte| *byte == b' ').count();
        let mut text = line.trim();
        if text.is_empty() {
            continue;
        }
        if block.is_some_and(|outer| depth > outer) {
            continue;
        }
        block = None;
        let mut key_depth = depth;
        while let Some(rest) = text.strip_prefix("- ") {
            let trimmed = rest.trim_start();
            key_depth += text.len() - trimmed.len();
            text = trimmed;
        }
        let Some((key, value)) = text.split_once(':') else { continue };
        let value = value.trim();
        // `|` and `>` begin a text of several lines, with or without signs behind.
        if value.starts_with(['|', '>']) {
            block = Some(key_depth);
            continue;
        }
        if key.trim().trim_matches(['"', '\'']) != "uses" {
            continue;
        }
        let (value, comment) = match value.split_once(" #") {
            Some((value, comment)) => (value.trim(), Some(comment.trim())),
            None => (value, None),
        };
        let value = value.trim_matches(['"', '\'']);
        if value.is_empty() || value.starts_with("./") || value.starts_with("docker://") {
            continue;
        }
        let action = value.split_once('@').and_then(|(place, reference)| {
            let (owner, rest) = place.split_once('/')?;
            let (name, path) = rest.split_once('/').map_or((rest, None), |(name, path)| (name, Some(path)));
            let is_whole = [owner, name, reference].iter().all(|part| !part.is_empty());
            is_whole.then(|| (format!("{owner}/{name}"), path, reference))
        });
        let Some((name, path, reference)) = action else {
            found.gap(
                "malformed-workflow",
                file.path,
                format!("line {number} is not `uses: OWNER/NAME@REF`"),
            );
            continue;
        };
        let is_commit = reference.len() == 40 && reference.bytes().all(|byte| byte.is_ascii_hexdigit());
        // Behind a commit the release it belongs to is written as a comment.
        let tag =
            comment.filter(|_| is_commit).and_then(|text| text.split_whitespace().next()).filter(|tag| {
                let number = tag.strip_prefix('v').unwrap_or(tag);
                number.starts_with(|first: char| first.is_ascii_digit())
            });
        let mut package = FoundPackage::new(PackageKind::GithubActions, name, tag.unwrap_or(reference));
        let commit = is_commit.then_some(("githubactions:commit", reference));
        let facts = commit.into_iter().chain(path.map(|path| ("githubactions:path", path)));
        package.properties.extend(facts.map(|(key, value)| (key.to_owned(), value.to_owned())));
        found.add_package(file.path, package);
    }
    found
}
