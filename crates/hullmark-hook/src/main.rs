//! `hullmark-hook`: asks whether an image may be used here. See the library of the same name.
//!
//! The exit code is the answer: 0 allowed, 1 denied. A fault ends with another code than 0, which runtimes and containerd
//! take for a denial too.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use hullmark_hook::{Arguments, Ending, Mode, Surroundings, arguments, run};
use jiff::Timestamp;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let arguments = match Arguments::parse(words) {
        Ok(arguments) => arguments,
        Err(error) => {
            // It is not known who calls, so both places where a reason is looked for get it.
            tell(&mut io::stdout(), &format!("hullmark-hook: {error}"));
            tell(&mut io::stderr(), &format!("hullmark-hook: {error}\n\n{}", arguments::HELP));
            return ExitCode::FAILURE;
        }
    };
    match arguments.mode {
        Mode::Help => {
            tell(&mut io::stdout(), arguments::HELP.trim_end());
            ExitCode::SUCCESS
        }
        Mode::Version => {
            tell(&mut io::stdout(), concat!("hullmark-hook ", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        Mode::OciHook => conclude(&run(arguments, surroundings()), &mut io::stderr(), "hullmark: "),
        Mode::ImageVerifier { .. } => conclude(&run(arguments, surroundings()), &mut io::stdout(), ""),
    }
}

fn conclude(ending: &Ending, place: &mut dyn Write, prefix: &str) -> ExitCode {
    tell(place, &format!("{prefix}{}", ending.reason));
    if ending.allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether anybody reads it does not change the answer.
fn tell(place: &mut dyn Write, text: &str) {
    let _ = writeln!(place, "{text}");
    let _ = place.flush();
}

fn surroundings() -> Surroundings {
    let host_name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Surroundings {
        stdin: Box::new(io::stdin()),
        now,
        configuration: std::env::var_os("HULLMARK_HOOK_CONFIG").map(PathBuf::from),
        host_name: host_name.trim().chars().take(255).collect(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the clock; everything else is handed the time"
)]
fn now() -> Timestamp {
    Timestamp::now()
}
