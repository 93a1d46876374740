//! What is wrong with a policy or exceptions file: all of it, each with its place.

use std::fmt;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Line, counted from 1.
    pub line: u64,
    /// Column in characters, counted from 1.
    pub column: u64,
    /// What was found and what was expected.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Everything that is wrong with a file, in the order of the lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyErrors {
    /// Name of the file, as given.
    pub file: String,
    /// The problems; never empty.
    pub errors: Vec<Problem>,
}

impl fmt::Display for PolicyErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.errors.iter().enumerate() {
            if position > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{}:{}:{}: {}", self.file, problem.line, problem.column, problem.message)?;
            if let Some(hint) = &problem.hint {
                write!(formatter, "\n  hint: {hint}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for PolicyErrors {}

/// Collects problems while a file is validated.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
}

/// A file with more problems than this is not listed further: the rest would not be read.
const MAX_PROBLEMS: usize = 200;

impl Problems {
    pub(crate) fn add(&mut self, place: (u64, u64), message: impl Into<String>, hint: Option<String>) {
        if self.list.len() < MAX_PROBLEMS {
            self.list.push(Problem { line: place.0, column: place.1, message: message.into(), hint });
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The problems as an error of `file`, sorted by place.
    pub(crate) fn into_errors(self, file: &str) -> PolicyErrors {
        let mut errors = self.list;
        errors.sort();
        errors.dedup();
        PolicyErrors { file: file.to_owned(), errors }
    }
}

/// The candidate nearest to `word` by edit distance, when it is near enough to be a slip of the pen.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    candidates
        .into_iter()
        .map(|candidate| (edit_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= 1 + candidate.len().div_ceil(4) && *distance < candidate.len()
        })
        .min()
        .map(|(_, candidate)| candidate)
}

fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().enumerate() {
        let mut diagonal = line;
        let mut before = line + 1;
        for (column, to) in right.iter().enumerate() {
            let above = row.get(column + 1).copied().unwrap_or(usize::MAX);
            let cost = (diagonal + usize::from(from != *to)).min(above + 1).min(before + 1);
            diagonal = above;
            if let Some(cell) = row.get_mut(column) {
                *cell = before;
            }
            before = cost;
        }
        if let Some(cell) = row.get_mut(right.len()) {
            *cell = before;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_recognised() {
        let keys = ["name", "on", "when", "threat", "actions", "message"];
        for (word, expected) in
            [("acton", Some("actions")), ("mesage", Some("message")), ("whne", Some("when")), ("zebra", None)]
        {
            assert_eq!(nearest(word, keys), expected, "{word}");
        }
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("", "abc"), 3);
    }
}
