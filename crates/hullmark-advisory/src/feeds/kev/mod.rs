//! CISA's catalogue of known exploited vulnerabilities.
//!
//! Format: <https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities_schema.json>.

use hullmark_types::{FeedStatus, KnownExploited};
use jiff::Timestamp;
use serde::Deserialize;

use super::{Context, Feed, FeedError, FeedOutput, Skipped};
use crate::config::FeedConfig;
use crate::database::FeedData;

/// The kind `kev`.
pub struct Kev;

const MAX_DOCUMENT: u64 = 64 * 1024 * 1024;

impl Feed for Kev {
    fn kind(&self) -> &'static str {
        "kev"
    }

    fn about(&self) -> &'static str {
        "CISA's catalogue of known exploited vulnerabilities: one JSON document"
    }

    fn read(&self, config: &FeedConfig, context: &Context<'_>) -> Result<FeedOutput, FeedError> {
        let document = context.document(&config.address, MAX_DOCUMENT)?;
        let (catalogue, skipped) =
            parse(&document.bytes, &config.address).map_err(|error| FeedError::Malformed {
                address: config.address.clone(),
                expected: "the catalogue of known exploited vulnerabilities",
                reason: error.to_string(),
            })?;
        skipped.check(&config.address, catalogue.entries.len())?;
        let (skipped, diagnostics) = skipped.finish(&config.address);
        let status = FeedStatus {
            name: config.name.clone(),
            address: config.public_address(),
            ecosystems: Vec::new(),
            digest: document.digest,
            data_date: context.believable(catalogue.released).or(context.believable(document.last_modified)),
            fetched: document.remote.then_some(context.now),
            records: catalogue.entries.len() as u64,
            skipped,
        };
        Ok(FeedOutput {
            data: FeedData { status, advisories: Vec::new(), exploited: catalogue.entries },
            diagnostics,
        })
    }
}

/// The catalogue: its entries, and when it was released.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// The entries that could be read.
    pub entries: Vec<KnownExploited>,
    /// `dateReleased`.
    pub released: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    #[serde(default)]
    date_released: Option<String>,
    vulnerabilities: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "cveID")]
    cve_id: String,
    date_added: String,
    #[serde(default)]
    due_date: Option<String>,
    #[serde(default)]
    known_ransomware_campaign_use: Option<String>,
}

fn parse(bytes: &[u8], address: &str) -> Result<(Catalogue, Skipped), serde_json::Error> {
    let document: Document = serde_json::from_slice(bytes)?;
    let mut skipped = Skipped::default();
    let mut entries = Vec::new();
    for (position, value) in document.vulnerabilities.into_iter().enumerate() {
        let entry = serde_json::from_value::<Entry>(value).map_err(|error| error.to_string());
        match entry.and_then(convert) {
            Ok(entry) => entries.push(entry),
            Err(reason) => {
                skipped.add("skipped-advisory", address, format!("vulnerabilities[{position}]: {reason}"));
            }
        }
    }
    let released = document.date_released.and_then(|date| date.parse().ok());
    Ok((Catalogue { entries, released }, skipped))
}

fn convert(entry: Entry) -> Result<KnownExploited, String> {
    let cve = entry.cve_id.trim().to_ascii_uppercase();
    if !cve.starts_with("CVE-") {
        return Err(format!("`{}` is not a CVE id", cve.chars().take(50).collect::<String>()));
    }
    let date = |text: &str| text.parse::<jiff::civil::Date>().map(|date| date.to_string());
    Ok(KnownExploited {
        cve,
        date_added: date(&entry.date_added).map_err(|error| format!("dateAdded: {error}"))?,
        due_date: entry.due_date.and_then(|text| date(&text).ok()),
        ransomware: entry
            .known_ransomware_campaign_use
            .is_some_and(|use_| use_.eq_ignore_ascii_case("known")),
    })
}

/// Reads a catalogue from its bytes; entries that cannot be read are left out and counted.
///
/// # Errors
/// When it is not JSON of the right shape.
pub fn parse_catalogue(bytes: &[u8]) -> Result<(Catalogue, u64), serde_json::Error> {
    let (catalogue, skipped) = parse(bytes, "")?;
    Ok((catalogue, skipped.count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_and_broken_ones_counted() {
        let text =
            br#"{"title": "t", "dateReleased": "2025-08-25T17:04:19.9796Z", "count": 3, "vulnerabilities": [
            {"cveID": "CVE-2025-48384", "dateAdded": "2025-08-25", "dueDate": "2025-09-15",
             "knownRansomwareCampaignUse": "Unknown", "cwes": ["CWE-59"]},
            {"cveID": "CVE-2021-44228", "dateAdded": "2021-12-10", "knownRansomwareCampaignUse": "Known"},
            {"cveID": "none", "dateAdded": "2021-12-10"}, {"cveID": 7}, "x",
            {"cveID": "CVE-2021-1", "dateAdded": "yesterday"}]}"#;
        let (catalogue, skipped) = parse_catalogue(text).unwrap();
        assert_eq!(skipped, 4);
        assert_eq!(catalogue.released, Some("2025-08-25T17:04:19.9796Z".parse().unwrap()));
        let found: Vec<_> = catalogue
            .entries
            .iter()
            .map(|entry| (entry.cve.as_str(), entry.due_date.as_deref(), entry.ransomware))
            .collect();
        assert_eq!(found, [("CVE-2025-48384", Some("2025-09-15"), false), ("CVE-2021-44228", None, true)]);
        assert!(parse_catalogue(b"[]").is_err());
        assert!(parse_catalogue(b"{\"vulnerabilities\": 1}").is_err());
    }
}
