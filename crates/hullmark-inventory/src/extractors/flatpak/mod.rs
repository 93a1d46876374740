//! Applications and runtimes of Flatpak, from `metadata` in `flatpak/{app,runtime}/ID/ARCHITECTURE/BRANCH/COMMIT`. Which release of
//! an application that is, its AppStream file says.

use std::collections::BTreeMap;

use hullmark_types::PackageKind;
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::text::{lines, non_empty};
use crate::{Details, Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// The most events of an AppStream file that are read; its releases come before the descriptions of them all.
const MAX_EVENTS: usize = 100_000;

/// Reads what Flatpak deploys.
pub struct Flatpak;

impl Extractor for Flatpak {
    fn name(&self) -> &'static str {
        "flatpak"
    }

    fn summary(&self) -> &'static str {
        "Applications and runtimes of Flatpak, from `metadata` where they are deployed, with release and licence from AppStream"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Flatpak]
    }

    fn has_licenses(&self) -> bool {
        true
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        Place::of(file.path).is_some()
    }

    fn max_file_size(&self) -> u64 {
        8 * 1024 * 1024
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        match Place::of(file.path) {
            Some(Place::Metadata(deployed)) => metadata(file, &deployed),
            Some(Place::AppStream) => app_stream(file),
            None => Extraction::default(),
        }
    }
}

/// What is deployed where.
struct Deployed<'a> {
    id: &'a str,
    architecture: &'a str,
    branch: &'a str,
}

enum Place<'a> {
    Metadata(Deployed<'a>),
    AppStream,
}

impl<'a> Place<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let (directory, file) = path.rsplit_once('/')?;
        if file == "metadata" {
            return Deployed::in_directory(directory).map(Self::Metadata);
        }
        let id = file.strip_suffix(".metainfo.xml").or_else(|| file.strip_suffix(".appdata.xml"))?;
        let share = directory.strip_suffix("/metainfo").or_else(|| directory.strip_suffix("/appdata"))?;
        let deployed = Deployed::in_directory(share.strip_suffix("/files/share")?)?;
        (deployed.id == id).then_some(Self::AppStream)
    }
}

impl<'a> Deployed<'a> {
    fn in_directory(directory: &'a str) -> Option<Self> {
        let mut parts = directory.rsplit('/');
        let (_commit, branch, architecture, id) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let (kind, root) = (parts.next()?, parts.next()?);
        (matches!(kind, "app" | "runtime") && root == "flatpak").then_some(Self { id, architecture, branch })
    }
}

fn metadata(file: &OpenFile<'_>, deployed: &Deployed<'_>) -> Extraction {
    let mut found = Extraction::default();
    let runtime =
        lines(file.bytes).take(1000).find_map(|(_, line)| non_empty(line.strip_prefix("runtime=")?));
    let directory = file.directory();
    let id = deployed.id;
    let details = ["metainfo/", "appdata/"].iter().flat_map(|place| {
        [".metainfo.xml", ".appdata.xml"].map(|end| format!("{directory}/files/share/{place}{id}{end}"))
    });
    let package = FoundPackage {
        architecture: Some(deployed.architecture.to_owned()),
        properties: runtime.map(|runtime| ("flatpak:runtime".to_owned(), runtime)).into_iter().collect(),
        details: details.collect(),
        ..FoundPackage::new(PackageKind::Flatpak, id, deployed.branch)
    };
    found.add_package(file.path, package);
    found
}

/// Reads licence and newest release, which comes first
/// (<https://www.freedesktop.org/software/appstream/docs/chap-Metadata.html>).
fn app_stream(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let text = String::from_utf8_lossy(file.bytes);
    let mut reader = Reader::from_str(&text);
    let mut details = Details::default();
    let mut in_license = false;
    for _ in 0..MAX_EVENTS {
        match reader.read_event() {
            Ok(Event::Start(element) | Event::Empty(element)) => {
                in_license = element.name().as_ref() == "project_license";
                if element.name().as_ref() == "release" && details.properties.is_empty() {
                    let version = element.attributes().flatten().find(|one| one.key.as_ref() == "version");
                    let version = version.and_then(|one| non_empty(&one.value));
                    details.properties = BTreeMap::from_iter(
                        version
                            .filter(|text| text.len() <= 256)
                            .map(|text| ("flatpak:release".to_owned(), text)),
                    );
                }
            }
            Ok(Event::Text(text)) if in_license && details.licenses.is_empty() => {
                let text = non_empty(&text).filter(|text| text.len() <= 1024);
                details.licenses.extend(text);
            }
            Ok(Event::End(_)) => in_license = false,
            Ok(Event::Eof) => break,
            Ok(_) => {}
            Err(error) => {
                let message = format!("the description cannot be read: {error}");
                found.gap("malformed-package-metadata", file.path, message);
                break;
            }
        }
    }
    if details != Details::default() {
        found.details = Some(details);
    }
    found
}
