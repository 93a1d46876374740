//! Tests of the ledger through its public interface.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failure is a failed test")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

mod common;
mod evidence;
mod log;
mod merkle;
mod parsers;
mod processes;
mod python;
mod tamper;
