//! Files that name a distribution and its release in their first line: `CentOS release 6.10 (Final)`.

use hullmark_types::Distribution;

use crate::FileFacts;
use crate::text::{excerpt, lines, non_empty};

/// How the name of a distribution begins, and its `ID` in `os-release`.
const NAMES: &[(&str, &str)] = &[
    ("AlmaLinux", "almalinux"),
    ("Amazon Linux", "amzn"),
    ("CBL-Mariner", "mariner"),
    ("CentOS", "centos"),
    ("Fedora", "fedora"),
    ("Mageia", "mageia"),
    ("Microsoft Azure Linux", "azurelinux"),
    ("Oracle Linux", "ol"),
    ("Red Hat Enterprise Linux", "rhel"),
    ("Rocky Linux", "rocky"),
    ("SUSE Linux Enterprise Desktop", "sled"),
    ("SUSE Linux Enterprise Server", "sles"),
    ("Scientific Linux", "scientific"),
    ("VMware Photon", "photon"),
    ("openEuler", "openeuler"),
    ("openSUSE", "opensuse"),
];

/// Files of such names that are something else.
const OTHERS: &[&str] = &["alpine-release", "lsb-release", "os-release"];

/// Whether the file may be one. Most are links to each other, into either directory.
pub(super) fn is_one(file: &FileFacts<'_>) -> bool {
    matches!(file.directory(), "etc" | "usr/lib")
        && file.file_name().ends_with("-release")
        && !OTHERS.contains(&file.file_name())
}

/// `None` when the first line does not begin with a name that is known.
pub(super) fn parse(bytes: &[u8]) -> Option<Distribution> {
    let mut lines = lines(bytes).filter_map(|(_, line)| non_empty(&line));
    let first = lines.next()?;
    let (name, id) = NAMES.iter().find(|(name, _)| first.starts_with(name))?;
    let mut words = first.get(name.len()..)?.split_whitespace();
    let version = words.find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
    let mut version = version.filter(|version| version.len() <= 64).map(str::to_owned);
    // SUSE has its service pack on a line of its own.
    let pack = lines.take(8).find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "PATCHLEVEL").then(|| value.trim().to_owned())
    });
    if let (Some(version), Some(pack)) = (&mut version, pack.filter(|pack| pack.len() <= 8 && pack != "0")) {
        version.push('.');
        version.push_str(&pack);
    }
    Some(Distribution {
        id: (*id).to_owned(),
        version,
        pretty_name: Some(excerpt(&first)),
        ..Distribution::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_known_by_the_first_words() {
        let check = |text: &str, expected: Option<(&str, Option<&str>)>| {
            let found = parse(text.as_bytes());
            assert_eq!(
                found.as_ref().map(|known| (known.id.as_str(), known.version.as_deref())),
                expected,
                "{text}"
            );
        };
        check("CentOS release 6.10 (Final)\n", Some(("centos", Some("6.10"))));
        check("CentOS Stream release 8\n", Some(("centos", Some("8"))));
        check("Red Hat Enterprise Linux Server release 5.11 (Tikanga)\n", Some(("rhel", Some("5.11"))));
        check("Amazon Linux AMI release 2018.03\n", Some(("amzn", Some("2018.03"))));
        check("Oracle Linux Server release 6.10\n", Some(("ol", Some("6.10"))));
        check("VMware Photon OS 3.0\nPHOTON_BUILD_NUMBER=26156e2\n", Some(("photon", Some("3.0"))));
        check("Mageia release 9 (Official) for x86_64\n", Some(("mageia", Some("9"))));
        check(
            "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n",
            Some(("sles", Some("11.4"))),
        );
        check("Fedora\n", Some(("fedora", None)));
        check("Something else release 1\n", None);
        check("", None);
    }
}
