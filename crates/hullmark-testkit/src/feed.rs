//! Advisory feeds laid out like the public servers.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

/// Writes feeds below a directory.
#[derive(Debug, Clone)]
pub struct FeedBuilder {
    root: PathBuf,
}

impl FeedBuilder {
    /// Feeds below `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("it can be made");
        fs::write(path, bytes).expect("it can be written");
    }

    /// `osv/ECOSYSTEM/all.zip` with records, each with its `id`.
    #[must_use]
    pub fn osv(self, ecosystem: &str, records: &[Value]) -> Self {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        for record in records {
            let name = record.get("id").and_then(Value::as_str).expect("a record has an id");
            zip.start_file(format!("{name}.json"), options).expect("a new entry");
            zip.write_all(&serde_json::to_vec(record).expect("JSON")).expect("memory takes all");
        }
        self.write(&format!("osv/{ecosystem}/all.zip"), &zip.finish().expect("a zip").into_inner());
        self
    }

    /// `alpine/RELEASE/REPOSITORY.json`: packages with fixed versions and identifiers.
    #[must_use]
    pub fn alpine(self, release: &str, repository: &str, fixes: &[(&str, &str, &[&str])]) -> Self {
        let packages: Vec<Value> = fixes
            .iter()
            .map(|(package, version, ids)| json!({ "pkg": { "name": package, "secfixes": { *version: ids } } }))
            .collect();
        let document = json!({
            "distroversion": release, "reponame": repository, "archs": ["x86_64"],
            "urlprefix": "http://dl-cdn.alpinelinux.org/alpine",
            "apkurl": "{{urlprefix}}/{{distroversion}}/{{reponame}}/{{arch}}/{{pkg.name}}-{{pkg.ver}}.apk",
            "packages": packages,
        });
        self.write(
            &format!("alpine/{release}/{repository}.json"),
            &serde_json::to_vec(&document).expect("JSON"),
        );
        self
    }

    /// `kev/known_exploited_vulnerabilities.json`.
    #[must_use]
    pub fn kev(self, cves: &[&str]) -> Self {
        let vulnerabilities: Vec<Value> = cves
            .iter()
            .map(|cve| json!({
                "cveID": cve, "vendorProject": "x", "product": "x", "vulnerabilityName": "x", "dateAdded": "2026-01-01",
                "shortDescription": "x", "requiredAction": "x", "dueDate": "2026-01-15",
                "knownRansomwareCampaignUse": "Unknown", "notes": "",
            }))
            .collect();
        let document = json!({
            "title": "CISA Catalog of Known Exploited Vulnerabilities", "catalogVersion": "2026.01.01",
            "dateReleased": "2026-01-01T00:00:00.0000Z", "count": vulnerabilities.len(), "vulnerabilities": vulnerabilities,
        });
        self.write("kev/known_exploited_vulnerabilities.json", &serde_json::to_vec(&document).expect("JSON"));
        self
    }
}
