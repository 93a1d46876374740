//! Reading line-based files of unknown encoding.

use std::borrow::Cow;

/// The lines of `bytes` with their numbers from 1, without line ends (`\n` or `\r\n`), bytes that are not UTF-8
/// replaced.
pub(crate) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    bytes.split(|byte| *byte == b'\n').enumerate().map(|(position, line)| {
        (position + 1, String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line)))
    })
}

/// The text for a message: cut to 60 characters, control characters escaped.
pub(crate) fn excerpt(text: &str) -> String {
    let short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() { format!("{short}...") } else { short }
}

/// The text without white space around it; `None` when nothing is left.
pub(crate) fn non_empty(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Cuts the text to at most `length` bytes.
pub(crate) fn cut(text: &mut String, length: usize) {
    if text.len() > length {
        let end = (0..=length).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
    }
}
