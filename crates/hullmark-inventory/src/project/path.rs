//! Paths within a project.

/// The path that `relative` leads to from `directory`; `None` when it leads out of the root.
pub(crate) fn joined(directory: &str, relative: &str) -> Option<String> {
    let mut parts: Vec<&str> = match relative.starts_with(['/', '\\']) {
        true => return None,
        false => directory.split('/').filter(|part| !part.is_empty()).collect(),
    };
    for part in relative.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The directory of a file; empty for the root.
pub(crate) fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside_the_root() {
        for (directory, relative, expected) in [
            ("a/b", "../pom.xml", Some("a/pom.xml")),
            ("", "x", Some("x")),
            ("a", "..\\b\\.\\c.props", Some("b/c.props")),
            ("a", "../../x", None),
            ("a", "/x", None),
        ] {
            assert_eq!(joined(directory, relative).as_deref(), expected, "{directory} {relative}");
        }
    }
}
