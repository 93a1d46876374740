//! Where words go: data to standard output or a file, talk to standard error.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use hullmark_cache::Unfinished;
use hullmark_report::ProgressEvent;

use crate::cli::{Global, ProgressMode};

/// How it is said what the command is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Bars.
    Bars,
    /// Lines for people.
    Lines,
    /// JSON objects.
    Json,
    /// Not at all.
    Silent,
}

/// Talk to whoever runs the command: standard error, in one form.
pub struct Talk {
    quiet: bool,
    manner: Manner,
}

impl Talk {
    /// As the options say; with `--quiet`, only errors are said, and progress only where it was asked for.
    pub fn new(global: &Global) -> Self {
        let is_terminal =
            || io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let manner = match global.progress {
            ProgressMode::Auto if global.quiet => Manner::Silent,
            ProgressMode::Auto if is_terminal() => Manner::Bars,
            ProgressMode::Bar => Manner::Bars,
            ProgressMode::Auto | ProgressMode::Plain => Manner::Lines,
            ProgressMode::Json => Manner::Json,
            ProgressMode::None => Manner::Silent,
        };
        Self { quiet: global.quiet, manner }
    }

    /// How it is said what the command is doing.
    pub fn manner(&self) -> Manner {
        self.manner
    }

    /// Tells a machine, if one listens, that something happened; whether one does.
    pub fn event(&self, event: &ProgressEvent) -> bool {
        let listens = self.manner == Manner::Json;
        if listens {
            write_event(event);
        }
        listens
    }

    /// Says something worth knowing.
    pub fn note(&self, message: impl std::fmt::Display) {
        if !self.quiet && !self.event(&ProgressEvent::Note { message: message.to_string() }) {
            let _ = writeln!(anstream::stderr(), "{message}");
        }
    }

    /// Says a line, whatever `--quiet` says.
    pub fn line(&self, line: &str) {
        let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
    }

    /// Says that something is not as it should be.
    pub fn warn(&self, message: impl std::fmt::Display) {
        if !self.quiet && !self.event(&ProgressEvent::Warning { message: message.to_string() }) {
            let style = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
            let _ = writeln!(anstream::stderr(), "{style}warning{style:#}: {message}");
        }
    }

    /// Says an error with its causes, once.
    pub fn error(&self, error: &anyhow::Error) {
        let causes = error.chain().skip(1).map(ToString::to_string).collect();
        if self.event(&ProgressEvent::Error { message: error.to_string(), causes }) {
            return;
        }
        let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let mut stderr = anstream::stderr();
        let _ = writeln!(stderr, "{style}error{style:#}: {error}");
        for cause in error.chain().skip(1) {
            let _ = writeln!(stderr, "  caused by: {cause}");
        }
    }
}

/// Writes an event as one line, in one piece.
pub fn write_event(event: &ProgressEvent) {
    if let Ok(line) = serde_json::to_string(event) {
        let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
    }
}

/// Whether the error comes from a reader that stopped reading, which is no failure of ours.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Whether standard output takes colours: a terminal, `NO_COLOR` not set, or `CLICOLOR_FORCE` set.
pub fn stdout_has_color() -> bool {
    !matches!(anstream::AutoStream::choice(&io::stdout()), anstream::ColorChoice::Never)
}

/// Width of the terminal on standard output, in columns; `None` when it is not one.
pub fn stdout_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    }
    terminal_size::terminal_size().map(|(terminal_size::Width(width), _)| usize::from(width))
}

/// Writes data to standard output with `write`.
pub fn to_stdout(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    write(&mut out).and_then(|()| out.flush()).context("cannot write to standard output")
}

/// Writes data to the file `path` with `write`, or to standard output without a path. A file that could be written only
/// in part does not replace an older one.
pub fn to_file_or_stdout(
    path: Option<&Path>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<()> {
    let Some(path) = path else { return to_stdout(write) };
    let failed = || format!("cannot write `{}`", path.display());
    if path.exists() && !path.is_file() {
        // A device or pipe, such as /dev/stdout: it cannot be replaced.
        let mut out = BufWriter::new(File::options().write(true).open(path).with_context(failed)?);
        return write(&mut out).and_then(|()| out.flush()).with_context(failed);
    }
    let mut name = path.file_name().with_context(failed)?.to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    let partial = path.with_file_name(name);
    let (file, unfinished) = Unfinished::create(&partial, 0o666).with_context(failed)?;
    let mut out = BufWriter::new(file);
    write(&mut out).and_then(|()| out.flush()).and_then(|()| unfinished.rename(path)).with_context(failed)
}
