//! How a program was built: the settings in its build information.

/// Names of variables that hold the version of the program, in lower case.
const NAMES: &[&str] =
    &["appversion", "buildversion", "gitversion", "releaseversion", "semver", "version", "versionstring"];

/// The longest version.
const MAX_VERSION: usize = 128;

/// What a build says of itself, as far as it is of use here.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    /// The flags of the linker.
    linker: String,
    /// The commit of the sources.
    pub(super) revision: Option<String>,
}

impl Settings {
    /// Reads the lines `build`.
    pub(super) fn read(modules: &str) -> Self {
        let mut settings = Self::default();
        for line in modules.lines() {
            let Some((key, value)) = line.strip_prefix("build\t").and_then(|line| line.split_once('='))
            else {
                continue;
            };
            match key {
                "-ldflags" => settings.linker = unquote(value),
                "vcs.revision" => settings.revision = Some(unquote(value)),
                _ => {}
            }
        }
        settings
    }

    /// The version that the linker was told to put into a variable of the program (`-X main.version=1.2.3`): of `main` or of a
    /// package of the main module. In the form of Go, with a `v`. The first that is one.
    pub(super) fn version(&self, main_module: &str) -> Option<String> {
        let mut words = words(&self.linker).into_iter();
        while let Some(word) = words.next() {
            let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-')).unwrap_or_default();
            let definition = match flag.strip_prefix('X') {
                Some("") => words.next().unwrap_or_default(),
                Some(rest) => rest.strip_prefix('=').unwrap_or_default().to_owned(),
                None => continue,
            };
            let Some((variable, value)) = definition.split_once('=') else { continue };
            let Some((package, name)) = variable.rsplit_once('.') else { continue };
            let is_own = package == "main"
                || package
                    .strip_prefix(main_module)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            let number = value.strip_prefix('v').unwrap_or(value);
            if is_own && NAMES.contains(&name.to_ascii_lowercase().as_str()) && is_version(number) {
                return Some(format!("v{number}"));
            }
        }
        None
    }
}

/// Whether it is a version as modules of Go have: three numbers, and what may follow them.
fn is_version(text: &str) -> bool {
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (numbers, rest) = text.split_at_checked(end).unwrap_or((text, ""));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
    text.len() <= MAX_VERSION
        && numbers.split('.').count() == 3
        && numbers.split('.').all(is_number)
        && rest.bytes().all(is_plain)
}

/// A value as Go writes it: quoted when there is something in it that needs it.
fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut text = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next().map(|escaped| match escaped {
                't' | 'n' | 'r' => ' ',
                other => other,
            })),
            other => text.push(other),
        }
    }
    text
}

/// Words apart by white space; quotes keep together what is in them.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in text.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (None, '"' | '\'') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (None, _) if character.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(flags: &str) -> Option<String> {
        let modules = format!(
            "path\texample.com/tool/cmd\nmod\texample.com/tool\t(devel)\t\nbuild\t-ldflags={flags}\n"
        );
        Settings::read(&modules).version("example.com/tool")
    }

    #[test]
    fn versions_that_the_linker_was_told() {
        for (flags, expected) in [
            (r#""-s -w -X main.version=1.2.3""#, Some("v1.2.3")),
            (r#""-X main.Version=v1.2.3-rc.1+build""#, Some("v1.2.3-rc.1+build")),
            (r#""-X=example.com/tool/pkg/version.gitVersion=v1.30.2 -s""#, Some("v1.30.2")),
            (r#""-X 'main.date=Mon 3' -X \"main.version=2.0.0\"""#, Some("v2.0.0")),
            // Of another module, of another meaning, and no version.
            (r#""-X example.com/toolbox/x.version=1.2.3""#, None),
            (r#""-X k8s.io/client-go/pkg/version.gitVersion=v1.2.3""#, None),
            (r#""-X main.goVersion=1.22.1""#, None),
            (r#""-X main.version=dev""#, None),
            (r#""-X main.version=1.2""#, None),
            ("-X", None),
            ("", None),
        ] {
            assert_eq!(version(flags).as_deref(), expected, "{flags}");
        }
    }

    #[test]
    fn the_commit_is_known() {
        let settings = Settings::read("build\tvcs=git\nbuild\tvcs.revision=0123abcd\n");
        assert_eq!(settings.revision.as_deref(), Some("0123abcd"));
    }
}
