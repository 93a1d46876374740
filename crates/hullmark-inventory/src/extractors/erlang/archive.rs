//! Archives of applications (`*.ez`), which are zip archives of their directories
//! (<https://www.erlang.org/doc/apps/kernel/code.html#loading-of-code-from-archive-files>).

use super::{application, read_terms};
use crate::text::excerpt;
use crate::zip::{Member, Zip};
use crate::{Extraction, OpenFile};

/// The most members that are looked at.
const MAX_MEMBERS: usize = 100_000;
/// The most resource files that are read: an archive has one for each application.
const MAX_APPLICATIONS: usize = 1000;
/// The largest resource file.
const MAX_RESOURCE: u64 = 256 * 1024;

/// Reads the resource files in the archive.
pub(super) fn read(found: &mut Extraction, file: &OpenFile<'_>) {
    let zip = match Zip::open(file.bytes) {
        Ok(zip) => zip,
        Err(error) => {
            return found.gap("malformed-archive", file.path, format!("it cannot be read: {error}"));
        }
    };
    let mut applications = 0;
    for (position, member) in zip.members().enumerate() {
        let member = match member {
            Ok(member) => member,
            Err(error) => return found.gap("malformed-archive", file.path, error.to_string()),
        };
        let path = member.path();
        let is_resource = path.ends_with(".app") && path.rsplit('/').nth(1) == Some("ebin");
        applications += usize::from(is_resource);
        if position >= MAX_MEMBERS || applications > MAX_APPLICATIONS {
            let message = format!(
                "more than {MAX_MEMBERS} members or {MAX_APPLICATIONS} applications in one archive; the rest was not read"
            );
            return found.gap("limit-archive-members", file.path, message);
        }
        if is_resource {
            resource(found, file.path, &zip, &member, &path);
        }
    }
}

fn resource(found: &mut Extraction, path: &str, zip: &Zip<'_>, member: &Member<'_>, inside: &str) {
    match zip.read(member, MAX_RESOURCE) {
        Ok(content) => {
            if let Some(term) = read_terms(found, path, Some(inside), &content).first() {
                application(found, path, Some(inside), term);
            }
        }
        Err(error) => found.gap("malformed-archive", path, format!("`{}`: {error}", excerpt(inside))),
    }
}
