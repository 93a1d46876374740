//! What dpkg keeps of the packages that it has installed, below `/var/lib/dpkg`.

use super::deb::Package;
use super::tree::{Entry, Tree};

/// The path of the status file.
pub(crate) const STATUS: &str = "var/lib/dpkg/status";

/// Put the records of one package into `/var/lib/dpkg/info`.
pub(crate) fn record(tree: &mut Tree, package: &Package, modified: u64) {
    let place = format!("var/lib/dpkg/info/{}", package.file_name());
    let list = package.listed.iter().map(|path| format!("{path}\n")).collect::<String>();
    tree.insert(&format!("{place}.list"), Entry::file(list.into_bytes(), modified));
    for (name, content) in &package.extra {
        tree.insert(&format!("{place}.{name}"), Entry::file(content.clone(), modified));
    }
}

/// The status file: the control paragraph of each package, with its status after the name.
pub(crate) fn status<'a>(controls: impl Iterator<Item = &'a str>, modified: u64) -> Entry {
    let mut text = String::new();
    for control in controls {
        for (number, line) in control.trim_end().lines().enumerate() {
            text.push_str(line);
            text.push('\n');
            if number == 0 {
                text.push_str("Status: install ok installed\n");
            }
        }
        text.push('\n');
    }
    Entry::file(text.into_bytes(), modified)
}
