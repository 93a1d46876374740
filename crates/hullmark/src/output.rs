//! Where words go: data to standard output or a file, talk to standard error.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};

/// Talk to the person at the terminal: standard error, in one form.
pub struct Talk {
    quiet: bool,
}

impl Talk {
    /// With `quiet`, only errors are said.
    pub fn new(quiet: bool) -> Self {
        Self { quiet }
    }

    /// Whether only errors are said.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Says something worth knowing.
    pub fn note(&self, message: impl std::fmt::Display) {
        if !self.quiet {
            let _ = writeln!(anstream::stderr(), "{message}");
        }
    }

    /// Says that something is not as it should be.
    pub fn warn(&self, message: impl std::fmt::Display) {
        if !self.quiet {
            let style = Style::new().bold().fg_color(Some(AnsiColor::Yellow.into()));
            let _ = writeln!(anstream::stderr(), "{style}warning{style:#}: {message}");
        }
    }

    /// Says an error with its causes, once.
    pub fn error(&self, error: &anyhow::Error) {
        let style = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        let mut stderr = anstream::stderr();
        let _ = writeln!(stderr, "{style}error{style:#}: {error}");
        for cause in error.chain().skip(1) {
            let _ = writeln!(stderr, "  caused by: {cause}");
        }
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
    let mut out = BufWriter::new(File::create(&partial).with_context(failed)?);
    let written = write(&mut out).and_then(|()| out.flush()).and_then(|()| std::fs::rename(&partial, path));
    written
        .inspect_err(|_| {
            let _ = std::fs::remove_file(&partial);
        })
        .with_context(failed)
}
