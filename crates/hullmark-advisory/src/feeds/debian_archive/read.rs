//! From the release file to advisories.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hullmark_types::{
    Advisory, Affected, Diagnostic, Digest, DigestAlgorithm, FeedStatus, Hasher, RangeEvent, RangeKind,
    VersionRange,
};

use super::cache::{self, Known};
use super::changelog::Fixed;
use super::deb::{self, Found};
use super::index::{self, Binary, Release, Source};
use crate::config::FeedConfig;
use crate::database::FeedData;
use crate::feeds::{Context, Feed, FeedError, FeedOutput, Skipped};
use crate::fetch::{Document, FetchError};

/// The kind `debian-archive`.
pub struct DebianArchive;

const MAX_RELEASE: u64 = 16 * 1024 * 1024;
const MAX_INDEX: u64 = 128 * 1024 * 1024;
const MAX_PLAIN_INDEX: u64 = 1024 * 1024 * 1024;
const MAX_INDEX_MEMORY_KIB: u32 = 128 * 1024;
/// How many binary packages of a source are tried.
const MAX_CANDIDATES: usize = 8;
/// How many packages are fetched at once: the server answers slower than packages are read.
const DOWNLOADS: usize = 8;
/// What is left of a package after its changelog is read too, for its digest, if it is not more than this.
const MAX_REST: u64 = 1024 * 1024;
const COMPONENTS: [&str; 4] = ["main", "contrib", "non-free", "non-free-firmware"];

impl Feed for DebianArchive {
    fn kind(&self) -> &'static str {
        "debian-archive"
    }

    fn about(&self) -> &'static str {
        "the security archive of a Debian suite: the changelogs name the vulnerabilities that a version fixed"
    }

    fn read(&self, config: &FeedConfig, context: &Context<'_>) -> Result<FeedOutput, FeedError> {
        let suite = config.required("suite", self.kind(), config.suite.as_deref())?;
        let archive = Archive { base: config.address.trim_end_matches('/'), suite, context };
        let (release, document) = archive.release()?;
        let ecosystem =
            config.ecosystem.clone().or_else(|| release.ecosystem()).ok_or_else(|| FeedError::Malformed {
                address: archive.release_address(),
                expected: "the release file of a Debian suite",
                reason: "it names no release of Debian; give `ecosystem`".to_owned(),
            })?;
        let mut diagnostics = archive.check_validity(&release);
        let (sources, unusable) = archive.sources(&release)?;
        let mut skipped = Skipped::default();
        for _ in 0..unusable {
            skipped.add(
                "skipped-package",
                &config.public_address(),
                "a stanza of a package index is not usable",
            );
        }

        let known = context.cache.map(|directory| cache::path(directory, archive.base, suite));
        let earlier = known.as_deref().map(cache::read).unwrap_or_default();
        let results = archive.changelogs(&sources, &earlier);
        let mut collected = cache::Sources::new();
        let mut unverified = 0_u64;
        for (source, result) in sources.iter().zip(results) {
            match result {
                Ok(read) => {
                    unverified += u64::from(!read.verified);
                    let known = Known { version: source.version.clone(), fixes: read.fixes };
                    collected.entry(source.name.clone()).or_default().push(known);
                }
                Err(error) => {
                    let path = format!("{} {}", source.name, source.version);
                    skipped.add("changelog-not-read", &path, error.to_string());
                }
            }
        }
        skipped.check(&archive.release_address(), collected.len())?;
        let (skipped, problems) = skipped.finish(&config.name);
        diagnostics.extend(problems);
        if unverified > 0 {
            let message = format!(
                "{unverified} of {} packages were not read to their end: their digests were not checked",
                sources.len()
            );
            diagnostics.push(Diagnostic::note("package-digest-unchecked", &config.name, message));
        }
        let advisories = advisories(&collected, &ecosystem, &config.name);
        if let Some(path) = &known
            && collected != earlier
            && let Err(error) = cache::write(path, collected)
        {
            let message = format!("what was read cannot be kept for the next time: {error}");
            diagnostics.push(Diagnostic::note("cache-not-written", path.display().to_string(), message));
        }
        let status = FeedStatus {
            name: config.name.clone(),
            address: format!("{}/dists/{suite}", config.public_address().trim_end_matches('/')),
            ecosystems: vec![ecosystem],
            digest: document.digest,
            data_date: context.believable(release.date).or(context.believable(document.last_modified)),
            fetched: document.remote.then_some(context.now),
            records: advisories.len() as u64,
            skipped,
        };
        Ok(FeedOutput { data: FeedData { status, advisories, exploited: Vec::new() }, diagnostics })
    }
}

/// One advisory for each source package and CVE. Should two versions of a source be in the archive, each fix counts that
/// either knows; ranges are OR-ed, so that the later version decides.
fn advisories(sources: &cache::Sources, ecosystem: &str, feed: &str) -> Vec<Advisory> {
    let mut advisories = Vec::new();
    for (name, versions) in sources {
        let mut fixes: BTreeMap<&str, Vec<&Fixed>> = BTreeMap::new();
        for (cve, fixed) in versions.iter().flat_map(|known| &known.fixes) {
            fixes.entry(cve).or_default().push(fixed);
        }
        for (cve, mut fixed) in fixes {
            fixed.sort_unstable();
            fixed.dedup_by(|right, left| right.version == left.version);
            let range = |fixed: &&Fixed| VersionRange {
                kind: RangeKind::Ecosystem,
                events: vec![
                    RangeEvent::Introduced("0".to_owned()),
                    RangeEvent::Fixed(fixed.version.clone()),
                ],
            };
            let affected = Affected {
                ecosystem: ecosystem.to_owned(),
                name: name.clone(),
                ranges: fixed.iter().map(range).collect(),
                ..Affected::default()
            };
            advisories.push(Advisory {
                id: cve.to_owned(),
                feed: feed.to_owned(),
                published: fixed.iter().filter_map(|fixed| fixed.date).min(),
                affected: vec![affected],
                ..Advisory::default()
            });
        }
    }
    advisories
}

/// What a changelog gave.
struct Fixes {
    fixes: BTreeMap<String, Fixed>,
    verified: bool,
}

/// What looking into one package gave.
enum Looked {
    Fixes(Fixes),
    LinkTo(String),
    Nothing,
}

/// Why there is no changelog of a source.
#[derive(Debug, thiserror::Error)]
enum ChangelogError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("{path} cannot be read: {source}")]
    Package { path: String, source: io::Error },
    #[error("{path} has the digest {got}, its index says {expected}")]
    Digest { path: String, expected: Digest, got: Digest },
    #[error("none of its packages holds its changelog; {tried} were looked into")]
    Absent { tried: usize },
}

struct Archive<'update> {
    base: &'update str,
    suite: &'update str,
    context: &'update Context<'update>,
}

impl Archive<'_> {
    fn address(&self, path: &str) -> String {
        format!("{}/dists/{}/{path}", self.base, self.suite)
    }

    fn release_address(&self) -> String {
        self.address("InRelease")
    }

    fn release(&self) -> Result<(Release, Document), FeedError> {
        let address = self.release_address();
        let document = crate::fetch::fetch_whole(self.context.fetcher, &address, MAX_RELEASE, &|_, _| {})?;
        let release = index::release(&String::from_utf8_lossy(&document.bytes));
        if release.files.is_empty() {
            return Err(FeedError::Malformed {
                address,
                expected: "a release file",
                reason: "it lists no file with its SHA-256".to_owned(),
            });
        }
        Ok((release, document))
    }

    fn check_validity(&self, release: &Release) -> Vec<Diagnostic> {
        let expired = release.valid_until.filter(|until| *until < self.context.now);
        let message = |until| format!("the release file was valid until {until}: newer fixes may be missing");
        expired
            .map(|until| Diagnostic::gap("expired-release-file", self.release_address(), message(until)))
            .into_iter()
            .collect()
    }

    /// The source packages of all components, and the number of stanzas that are not usable.
    fn sources(&self, release: &Release) -> Result<(Vec<Source>, u64), FeedError> {
        let mut sources = BTreeMap::new();
        let (mut unusable, mut found) = (0, false);
        for component in COMPONENTS {
            let path = format!("{component}/binary-amd64/Packages.xz");
            let Some((size, digest)) = release.files.get(&path) else { continue };
            found = true;
            unusable += index::packages(&self.index(&path, *size, digest)?, &mut sources);
        }
        if found {
            return Ok((index::in_order(sources), unusable));
        }
        Err(FeedError::Malformed {
            address: self.release_address(),
            expected: "a release file",
            reason: "it lists no main/binary-amd64/Packages.xz".to_owned(),
        })
    }

    /// The text of a package index that is what the release file describes.
    fn index(&self, path: &str, size: u64, digest: &Digest) -> Result<String, FeedError> {
        let address = self.address(path);
        let document = crate::fetch::fetch_whole(self.context.fetcher, &address, MAX_INDEX, &|_, _| {})?;
        if document.bytes.len() as u64 != size || document.digest != *digest {
            return Err(FeedError::Mismatch {
                address,
                index: self.release_address(),
                expected: format!("{size} bytes with {digest}"),
                got: format!("{} bytes with {}", document.bytes.len(), document.digest),
            });
        }
        let mut text = Vec::new();
        lzma_rust2::XzReader::new_mem_limit(document.bytes.as_slice(), true, MAX_INDEX_MEMORY_KIB)
            .take(MAX_PLAIN_INDEX)
            .read_to_end(&mut text)
            .map_err(|error| FeedError::Malformed {
                address,
                expected: "a package index compressed with xz",
                reason: error.to_string(),
            })?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The fixes of each source, in their order.
    fn changelogs(&self, sources: &[Source], earlier: &cache::Sources) -> Vec<Result<Fixes, ChangelogError>> {
        let next = AtomicUsize::new(0);
        let done = AtomicUsize::new(0);
        let results = Mutex::new(BTreeMap::new());
        std::thread::scope(|scope| {
            for _ in 0..DOWNLOADS.min(sources.len()) {
                scope.spawn(|| {
                    loop {
                        let position = next.fetch_add(1, Ordering::Relaxed);
                        let Some(source) = sources.get(position) else { break };
                        let result = match known(earlier, source) {
                            Some(fixes) => Ok(Fixes { fixes, verified: true }),
                            None => self.changelog(source),
                        };
                        results
                            .lock()
                            .unwrap_or_else(std::sync::PoisonError::into_inner)
                            .insert(position, result);
                        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                        (self.context.progress)(done as u64, Some(sources.len() as u64));
                    }
                });
            }
        });
        results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).into_values().collect()
    }

    /// The fixes of one source: from the smallest of its packages that holds the changelog. Where the documentation of one
    /// is a link to that of another, the other is next.
    fn changelog(&self, source: &Source) -> Result<Fixes, ChangelogError> {
        let mut waiting: VecDeque<&Binary> = source.binaries.iter().collect();
        let mut first_error = None;
        let mut tried = 0;
        while let Some(binary) = waiting.pop_front().filter(|_| tried < MAX_CANDIDATES) {
            tried += 1;
            match self.look_into(binary, source) {
                Ok(Looked::Fixes(fixes)) => return Ok(fixes),
                Ok(Looked::LinkTo(name)) => {
                    if let Some(place) = waiting.iter().position(|binary| binary.name == name) {
                        let linked = waiting.remove(place);
                        linked.into_iter().for_each(|binary| waiting.push_front(binary));
                    }
                }
                Ok(Looked::Nothing) => {}
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        Err(first_error.unwrap_or(ChangelogError::Absent { tried }))
    }

    fn look_into(&self, binary: &Binary, source: &Source) -> Result<Looked, ChangelogError> {
        let fetched = self.context.fetcher.fetch(&format!("{}/{}", self.base, binary.path))?;
        let mut body = Hashing {
            inner: fetched.body.take(binary.size),
            hasher: Hasher::new(DigestAlgorithm::Sha256),
            count: 0,
        };
        let broken = |source| ChangelogError::Package { path: binary.path.clone(), source };
        let found = deb::read(&mut body, &binary.name, &source.name).map_err(broken)?;
        // What is not used need not be verified.
        let changelog = match found {
            Found::Changelog(changelog) => changelog,
            Found::LinkTo(name) => return Ok(Looked::LinkTo(name)),
            Found::Nothing => return Ok(Looked::Nothing),
        };
        let verified = binary.size.saturating_sub(body.count) <= MAX_REST;
        if verified {
            io::copy(&mut body, &mut io::sink()).map_err(broken)?;
            let (count, got) = (body.count, body.hasher.finish());
            if count != binary.size || got != binary.digest {
                let (path, expected) = (binary.path.clone(), binary.digest.clone());
                return Err(ChangelogError::Digest { path, expected, got });
            }
        }
        Ok(Looked::Fixes(Fixes { fixes: changelog.fixes, verified }))
    }
}

fn known(earlier: &cache::Sources, source: &Source) -> Option<BTreeMap<String, Fixed>> {
    let versions = earlier.get(&source.name)?;
    versions.iter().find(|known| known.version == source.version).map(|known| known.fixes.clone())
}

/// Hashes and counts what is read.
struct Hashing<R> {
    inner: R,
    hasher: Hasher,
    count: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        self.count += count as u64;
        Ok(count)
    }
}
