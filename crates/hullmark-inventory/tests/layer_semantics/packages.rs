//! What layers do to packages.

use hullmark_testkit::TarBuilder;

fn tar() -> TarBuilder {
    TarBuilder::new()
}

/// A Debian with these packages in dpkg's status file.
fn dpkg(packages: &[(&str, &str)]) -> TarBuilder {
    let status: String = packages
        .iter()
        .map(|(name, version)| {
            format!(
                "Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n\n"
            )
        })
        .collect();
    tar().file("etc/os-release", "ID=debian\nVERSION_ID=12\n").file("var/lib/dpkg/status", status)
}

fn npm(name: &str, version: &str) -> TarBuilder {
    tar().file(
        &format!("node_modules/{name}/package.json"),
        format!(r#"{{"name":"{name}","version":"{version}"}}"#),
    )
}

cases! {
    "Packages that a later layer deletes are gone"
    packages_deleted_later_are_gone => [
        npm("left", "1.0.0"),
        npm("right", "2.0.0").whiteout("node_modules/left"),
    ];

    "Secrets that a later layer deletes are still there: the view names the layer that holds them"
    secrets_deleted_later_are_still_there => [
        tar().file("root/.ssh/id_ed25519", "-----BEGIN OPENSSH PRIVATE KEY-----").file("app/config", "1"),
        tar().whiteout("root/.ssh/id_ed25519"),
        tar().opaque("app").file("app/config", "2"),
    ];

    "A package file that something else overwrites clears the package, and that is said"
    a_package_file_overwritten_by_something_else_clears_the_package => [
        npm("left", "1.0.0"),
        tar().file("node_modules/left/package.json", "{"),
    ];

    "A package database that is emptied is said"
    a_package_database_that_is_emptied_is_said => [
        dpkg(&[("libc6", "2.36-9")]),
        tar().file("var/lib/dpkg/status", ""),
    ];

    "A package belongs to the layer from which on it stayed, though dpkg's status file is rewritten in each"
    packages_are_attributed_to_the_layer_from_which_on_they_stayed => [
        dpkg(&[("libc6", "2.36-9")]),
        dpkg(&[("libc6", "2.36-9"), ("curl", "7.88.1-10"), ("gone", "1")]),
        dpkg(&[("libc6", "2.36-9"), ("curl", "7.88.1-10+deb12u5")]),
        dpkg(&[("libc6", "2.36-9"), ("curl", "7.88.1-10+deb12u5"), ("gone", "1")]),
    ];
}
