//! System packages: installed where that is possible without asking, named where it is not.

use std::process::{Command, Stdio};

use crate::process;

/// Install Debian packages if this is root on a machine with apt, else do nothing. Whether it worked shows when what
/// they bring is looked for again.
pub(crate) fn install(packages: &[&str]) {
    if !has_apt() || !is_root() {
        return;
    }
    let update = ["update", "--quiet"].as_slice();
    let install = [["install", "--quiet", "--yes", "--no-install-recommends"].as_slice(), packages].concat();
    for arguments in [update, &install] {
        let mut command = Command::new("apt-get");
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        println!("$ {}", process::show(&command));
        match command.status() {
            Ok(status) if status.success() => {}
            Ok(status) => println!("apt-get ended with {status}"),
            Err(error) => println!("cannot start apt-get: {error}"),
        }
    }
}

/// What a person should do to have these packages.
pub(crate) fn advice(packages: &[&str]) -> String {
    if has_apt() {
        format!("type `apt-get install {}` as root", packages.join(" "))
    } else {
        "install them with this system's package manager".to_owned()
    }
}

fn has_apt() -> bool {
    process::find("apt-get").is_some()
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    process::capture(Command::new("id").arg("-u")).is_ok_and(|output| output.trim_ascii() == b"0")
}
