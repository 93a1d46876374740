//! Providers that Terraform or OpenTofu locked (<https://developer.hashicorp.com/terraform/language/files/dependency-lock>).

use hullmark_types::{Checksum, PackageKind};

use crate::text::lines;
use crate::{Evidence, Extraction, Extractor, FileFacts, FoundPackage, OpenFile};

/// Reads the lock files of Terraform.
pub struct TerraformLock;

impl Extractor for TerraformLock {
    fn name(&self) -> &'static str {
        "terraform-lock"
    }

    fn summary(&self) -> &'static str {
        "Providers that Terraform or OpenTofu locked, from `.terraform.lock.hcl`"
    }

    fn kinds(&self) -> &'static [PackageKind] {
        &[PackageKind::Terraform]
    }

    fn evidence(&self) -> Evidence {
        Evidence::Project
    }

    fn max_file_size(&self) -> u64 {
        8 * 1024 * 1024
    }

    fn wants(&self, file: &FileFacts<'_>) -> bool {
        file.file_name() == ".terraform.lock.hcl"
    }

    fn extract(&self, file: &OpenFile<'_>) -> Extraction {
        parse(file)
    }
}

/// Reads the blocks `provider`, in the form in which Terraform writes them. One without version is a gap
/// `malformed-lock-file`.
pub fn parse(file: &OpenFile<'_>) -> Extraction {
    let mut found = Extraction::default();
    let mut provider: Option<FoundPackage> = None;
    for (number, line) in lines(file.bytes) {
        let text = line.trim();
        if let Some(rest) = text.strip_prefix("provider ") {
            if let Some(unfinished) = provider.take() {
                add(&mut found, file, unfinished);
            }
            match quoted(rest) {
                Some(name) => provider = Some(FoundPackage::new(PackageKind::Terraform, name, "")),
                None => found.gap(
                    "malformed-lock-file",
                    file.path,
                    format!("line {number}: a provider has no name"),
                ),
            }
        } else if text == "}" {
            if let Some(finished) = provider.take() {
                add(&mut found, file, finished);
            }
        } else if let Some(provider) = &mut provider {
            if let Some(value) =
                text.strip_prefix("version").map(str::trim_start).and_then(|rest| rest.strip_prefix('='))
            {
                provider.version = quoted(value).unwrap_or_default().to_owned();
            } else if let Some(value) = quoted(text).and_then(|hash| hash.strip_prefix("zh:")) {
                // The checksum of the archive for one platform; of very many the first are taken.
                let is_sound = value.bytes().all(|byte| byte.is_ascii_hexdigit());
                if is_sound && provider.checksums.len() < 64 {
                    provider
                        .checksums
                        .push(Checksum { algorithm: "sha256".to_owned(), value: value.to_owned() });
                }
            }
        }
    }
    if let Some(unfinished) = provider {
        add(&mut found, file, unfinished);
    }
    found
}

fn add(found: &mut Extraction, file: &OpenFile<'_>, provider: FoundPackage) {
    if provider.version.is_empty() {
        let message = format!("provider `{}` has no version", crate::text::excerpt(&provider.name));
        found.gap("malformed-lock-file", file.path, message);
    } else {
        found.add_package(file.path, provider);
    }
}

fn quoted(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once('"')?;
    rest.split_once('"').map(|(text, _)| text)
}
