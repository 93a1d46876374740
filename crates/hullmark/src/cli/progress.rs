//! How the command says what it is doing.

use clap::ValueEnum;

/// What is said on standard error while the command works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressMode {
    /// Bars on a terminal, else lines; nothing with --quiet
    Auto,
    /// A bar for each layer or feed, with bytes, rate and time left
    Bar,
    /// A line for each step
    Plain,
    /// A JSON object for each step, one a line; warnings and errors too
    Json,
    /// Nothing
    None,
}
