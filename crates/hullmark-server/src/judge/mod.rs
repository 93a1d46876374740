//! The verdict of an image, from what is stored: one function for every gate.
//!
//! [`Judge::scan`] takes an inventory in and gives its verdict; [`Judge::standing`] gives the verdict of an image that was
//! scanned. A verdict is made again when the policy, the exceptions or the advisory database changed, or when it is too
//! old; it is in the ledger before anybody is told.

mod advisories;
mod cache;
mod rules;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hullmark_engine::{Asker, Circumstances, EngineError, VerdictRecord};
use hullmark_report::{LedgerReceipt, ScanReport, Tool};
use hullmark_store::{ImageRow, Store, StoreError, VerdictKey, VerdictRow};
use hullmark_types::{
    Action, CanonicalError, Digest, DriftKind, ExceptionStatus, INVENTORY_SCHEMA, ImageIdentity,
    ImageProfile, Inventory, MAX_TRAIL_REASONS, Point, Stage, Subject, VerdictLink, canonical_json,
};
use jiff::Timestamp;

use crate::config::ModesConfig;
use crate::state::Clock;
use crate::trail::{Trail, TrailError};
use advisories::Advisories;
use cache::{Cache, Flights};
pub use rules::{Rules, exceptions_of};

/// How many stored inventories are judged at the same time; more wait.
const MAX_INVENTORIES: usize = 4;

/// The longest name or reference of an image, in bytes: it stands in the record of the verdict.
const MAX_NAME: usize = 4096;

/// The most references of an image.
const MAX_REFERENCES: usize = 256;

/// What is known of an image.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It was scanned, and this is the verdict by the policy, exceptions and advisories of now.
    Judged {
        /// The image.
        image: Arc<ImageRow>,
        /// Its verdict.
        verdict: Arc<VerdictRow>,
    },
    /// No inventory of it is stored.
    Unscanned,
}

/// No verdict can be had.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The verdict could not be recorded.
    #[error("the verdict cannot be recorded")]
    Trail(#[from] TrailError),
    /// Matching or evaluating failed.
    #[error("the image cannot be judged")]
    Engine(#[from] EngineError),
    /// The advisory database cannot be used.
    #[error("the advisory database cannot be used")]
    Database(#[from] hullmark_advisory::DatabaseError),
    /// The stored policy or exceptions cannot be used.
    #[error("the {what} cannot be used: {reason}")]
    Rules {
        /// Policy or exceptions.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An inventory or profile cannot be used.
    #[error("the {what} cannot be used: {reason}")]
    Inventory {
        /// Inventory or profile.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A value has no canonical form.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// The work was broken off.
    #[error("the work was broken off")]
    Task(#[from] tokio::task::JoinError),
}

impl JudgeError {
    /// The word for `degraded` lists of records.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Store(_) => "store-unreachable",
            Self::Trail(_) => "ledger-unwritable",
            Self::Database(_) => "database-unreachable",
            _ => "verdict-unavailable",
        }
    }
}

/// What a judge is made of.
pub struct JudgeSetup {
    /// What is remembered.
    pub store: Arc<dyn Store>,
    /// Records.
    pub trail: Trail,
    /// The time.
    pub clock: Clock,
    /// This program.
    pub tool: Tool,
    /// Digest of this program's file.
    pub binary: Option<Digest>,
    /// The file of the advisory database.
    pub database: PathBuf,
    /// The policy that becomes version 1 of an empty store; the built-in one where there is no file.
    pub first_policy: Option<PathBuf>,
    /// How long a verdict is used.
    pub verdict_max_age: Duration,
    /// Whether a failed verdict stops anything, by point.
    pub modes: ModesConfig,
}

struct Inner {
    store: Arc<dyn Store>,
    trail: Trail,
    clock: Clock,
    tool: Tool,
    binary: Option<Digest>,
    advisories: Advisories,
    rules: RwLock<Arc<Rules>>,
    cache: Cache,
    flights: Flights,
    /// Bounds how many stored inventories are in memory at the same time.
    inventories: tokio::sync::Semaphore,
    /// Recording that the advisory database was replaced.
    recording: tokio::sync::Mutex<()>,
    /// Reading the rules: what was read later is not replaced by what was read before.
    reloading: tokio::sync::Mutex<()>,
    verdict_max_age: Duration,
    modes: ModesConfig,
}

/// Gives verdicts. Cheap to clone.
#[derive(Clone)]
pub struct Judge {
    inner: Arc<Inner>,
}

impl Judge {
    /// Opens the advisory database and reads policy and exceptions from the store; an empty store gets its first policy.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub async fn open(setup: JudgeSetup) -> Result<Self, JudgeError> {
        let advisories = Advisories::open(setup.database)?;
        rules::first_policy(&*setup.store, &setup.trail, setup.first_policy.as_deref(), (setup.clock)())
            .await?;
        let rules = Rules::load(&*setup.store).await?;
        Ok(Self {
            inner: Arc::new(Inner {
                store: setup.store,
                trail: setup.trail,
                clock: setup.clock,
                tool: setup.tool,
                binary: setup.binary,
                advisories,
                rules: RwLock::new(Arc::new(rules)),
                cache: Cache::default(),
                flights: Flights::default(),
                inventories: tokio::sync::Semaphore::new(MAX_INVENTORIES),
                recording: tokio::sync::Mutex::new(()),
                reloading: tokio::sync::Mutex::new(()),
                verdict_max_age: setup.verdict_max_age,
                modes: setup.modes,
            }),
        })
    }

    /// Stores the inventory (and profile) that the server took itself, matches, evaluates at `stage`, records the verdict
    /// in the ledger, stores it. What comes back is recorded already.
    ///
    /// # Errors
    /// When the image cannot be judged, or the verdict cannot be recorded.
    pub async fn scan(
        &self,
        inventory: Inventory,
        profile: Option<ImageProfile>,
        stage: Stage,
        asker: Asker,
    ) -> Result<ScanReport, JudgeError> {
        let point = match stage {
            Stage::Ship => Point::RegistryGate,
            _ => Point::Scan,
        };
        self.take_in(inventory, profile, stage, asker, point, true).await
    }

    /// The same for an inventory that was sent. It is believed, as its sender has a token, but it does not replace one
    /// that the server took of the same image.
    ///
    /// # Errors
    /// As [`Judge::scan`].
    pub async fn scan_sent(
        &self,
        inventory: Inventory,
        profile: Option<ImageProfile>,
        stage: Stage,
        asker: Asker,
    ) -> Result<ScanReport, JudgeError> {
        self.take_in(inventory, profile, stage, asker, Point::Scan, false).await
    }

    async fn take_in(
        &self,
        inventory: Inventory,
        profile: Option<ImageProfile>,
        stage: Stage,
        asker: Asker,
        point: Point,
        taken_here: bool,
    ) -> Result<ScanReport, JudgeError> {
        check(&inventory, profile.as_ref())?;
        if !taken_here {
            self.check_digests(&inventory.subject).await?;
        }
        let (inventory, bytes) = blocking(move || Ok((canonical_json(&inventory)?, inventory)))
            .await
            .map(|(bytes, inventory)| (inventory, bytes))?;
        let digest = self.inner.store.put_document("inventory", bytes).await?;
        let profile = match profile {
            Some(profile) => {
                let bytes = blocking(move || Ok(canonical_json(&profile)?)).await?;
                Some(self.inner.store.put_document("profile", bytes).await?)
            }
            None => None,
        };
        let subject = inventory.subject.clone();
        let (report, _) = self.judge(Arc::new(inventory), stage, asker, point).await?;
        if let Some(image) = subject.digest() {
            let before = self.inner.store.images_by_digest(image).await?;
            let now = report.verdict.evaluated_at;
            self.inner
                .store
                .put_image(&ImageRow {
                    subject: subject.clone(),
                    inventory: digest,
                    profile,
                    taken_here,
                    first_scanned: now,
                    last_scanned: now,
                })
                .await?;
            // Digests that the image had before may not be its digests any more.
            for subject in before.iter().map(|row| &row.subject).chain([&subject]) {
                self.inner.cache.forget(subject);
            }
        }
        Ok(report)
    }

    /// The standing of the image with this index, manifest or configuration digest at `stage`. Microseconds when the
    /// verdict is in memory; a stored inventory without a current verdict is matched and evaluated (milliseconds), once
    /// however many ask; never a scan. Of an index the strictest verdict of its images counts.
    ///
    /// # Errors
    /// When no verdict can be had or recorded.
    pub async fn standing(&self, image: &Digest, stage: Stage) -> Result<Standing, JudgeError> {
        self.refresh_database().await?;
        let now = (self.inner.clock)();
        let generation = self.generation();
        if let Some((image, verdict)) = self.inner.cache.get(image, stage, &generation, now) {
            return Ok(Standing::Judged { image, verdict });
        }
        let (images, by_children) = self.images_of(image).await?;
        let mut strictest: Option<(Arc<ImageRow>, Arc<VerdictRow>)> = None;
        for row in images {
            let verdict = self.current_verdict(&row, stage).await?;
            if strictest.as_ref().is_none_or(|(_, other)| verdict.outcome > other.outcome) {
                strictest = Some((Arc::new(row), verdict));
            }
        }
        let Some((row, verdict)) = strictest else { return Ok(Standing::Unscanned) };
        // What is known of an index changes when one of its images is scanned, which does not know of the index.
        if !by_children {
            let until = self.usable_until(&verdict);
            self.inner.cache.put(image, stage, generation, until, Arc::clone(&row), Arc::clone(&verdict));
        }
        Ok(Standing::Judged { image: row, verdict })
    }

    /// The images that count for a digest, and whether it is an index whose images are known from a registry. Then nobody
    /// can send an image under the digest of the index.
    async fn images_of(&self, digest: &Digest) -> Result<(Vec<ImageRow>, bool), JudgeError> {
        let store = &self.inner.store;
        let known = store.images_by_digest(digest).await?;
        let children = store.children(digest).await?;
        if children.is_empty() {
            return Ok((candidates(digest, known), false));
        }
        let mut images: Vec<_> =
            known.into_iter().filter(|row| row.subject.index.as_ref() == Some(digest)).collect();
        for child in &children {
            images.extend(candidates(child, store.images_by_digest(child).await?));
        }
        Ok((images, true))
    }

    /// Refuses an image that was sent when one of its digests is known as the digest of something else.
    async fn check_digests(&self, subject: &Subject) -> Result<(), JudgeError> {
        let parts = |subject: &Subject| {
            [
                ("index", subject.index.clone()),
                ("manifest", subject.manifest.clone()),
                ("configuration", subject.config.clone()),
            ]
        };
        for (kind, digest) in parts(subject) {
            let Some(digest) = digest else { continue };
            let mut subjects = vec![subject.clone()];
            subjects
                .extend(self.inner.store.images_by_digest(&digest).await?.into_iter().map(|row| row.subject));
            let others = subjects.iter().flat_map(parts);
            let other =
                others.into_iter().find(|(other, part)| *other != kind && part.as_ref() == Some(&digest));
            let is_index = kind != "index" && !self.inner.store.children(&digest).await?.is_empty();
            if let Some(other) = other.map(|(other, _)| other).or(is_index.then_some("index")) {
                let reason =
                    format!("its {kind} digest {digest} is known as that of another image's {other}");
                return Err(JudgeError::Inventory { what: "inventory", reason });
            }
        }
        Ok(())
    }

    /// What the policy does about each kind of drift in containers of an image; nothing for one that was not scanned.
    pub async fn runtime_actions(&self, image: &ImageIdentity) -> BTreeMap<DriftKind, Action> {
        let _place = self.inner.inventories.acquire().await;
        let Ok(Some(inventory)) = self.inventory_of(image).await else { return BTreeMap::new() };
        let rules = self.rules();
        let now = (self.inner.clock)();
        let work =
            move || Ok(hullmark_policy::runtime_actions(&rules.policy, &rules.exceptions, &inventory, now));
        blocking(work).await.unwrap_or_default()
    }

    /// Reads policy and exceptions from the store again: after one of them was changed, and now and then, in case that
    /// failed.
    ///
    /// # Errors
    /// When they cannot be used; then the ones before count on.
    pub async fn reload_rules(&self) -> Result<(), JudgeError> {
        let _turn = self.inner.reloading.lock().await;
        let rules = Arc::new(Rules::load(&*self.inner.store).await?);
        *self.inner.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
        Ok(())
    }

    /// Policy and exceptions as they count now.
    pub fn rules(&self) -> Arc<Rules> {
        Arc::clone(&self.inner.rules.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Digest of the advisory database as it counts now.
    pub fn database_digest(&self) -> Digest {
        self.inner.advisories.current().digest().clone()
    }

    /// When the advisory database was built.
    pub fn database_built_at(&self) -> Timestamp {
        self.inner.advisories.current().built_at()
    }

    /// Whether the file of the advisory database can be used as it is now; the one that is open counts on otherwise.
    pub fn is_database_broken(&self) -> bool {
        self.inner.advisories.is_broken()
    }

    /// Opens the advisory database again when its file was replaced, and records that.
    ///
    /// # Errors
    /// When that cannot be recorded.
    pub async fn refresh_database(&self) -> Result<(), JudgeError> {
        let advisories = &self.inner.advisories;
        if !advisories.is_fresh() {
            let judge = self.clone();
            blocking(move || {
                judge.inner.advisories.reopen();
                Ok(())
            })
            .await?;
        }
        if advisories.unrecorded().is_none() {
            return Ok(());
        }
        // One at a time, so that a change is recorded once; what cannot be recorded now is tried again.
        let _turn = self.inner.recording.lock().await;
        while let Some((old, new)) = advisories.unrecorded() {
            let record = advisories::record(&old, &new, (self.inner.clock)());
            self.inner.trail.record(&record).await?;
            advisories.recorded();
        }
        Ok(())
    }

    fn generation(&self) -> Generation {
        let rules = self.rules();
        Generation {
            policy: rules.row.version,
            policy_digest: rules.policy_digest.clone(),
            exceptions: rules.exceptions_digest.clone(),
            database: self.database_digest(),
        }
    }

    /// The verdict of a stored image by what counts now: the stored one, or a new one.
    async fn current_verdict(&self, image: &ImageRow, stage: Stage) -> Result<Arc<VerdictRow>, JudgeError> {
        if let Some(row) = self.stored_verdict(image, stage).await? {
            return Ok(Arc::new(row));
        }
        let _flight = self.inner.flights.enter(key_of(&image.subject, &image.inventory), stage).await;
        // Whoever was before may have made it.
        if let Some(row) = self.stored_verdict(image, stage).await? {
            return Ok(Arc::new(row));
        }
        let _place = self.inner.inventories.acquire().await;
        let inventory = self.inventory(&image.inventory).await?;
        let (_, row) = self.judge(Arc::new(inventory), stage, Asker::default(), Point::Server).await?;
        Ok(Arc::new(row))
    }

    async fn stored_verdict(&self, image: &ImageRow, stage: Stage) -> Result<Option<VerdictRow>, JudgeError> {
        let generation = self.generation();
        let key = VerdictKey {
            image: key_of(&image.subject, &image.inventory),
            inventory: image.inventory.clone(),
            stage,
            policy: generation.policy_digest,
            exceptions: generation.exceptions,
            database: generation.database,
        };
        let now = (self.inner.clock)();
        let row = self.inner.store.verdict(&key).await?;
        Ok(row.filter(|row| row.made_at <= now && now < self.usable_until(row)))
    }

    fn usable_until(&self, verdict: &VerdictRow) -> Timestamp {
        let by_age = verdict.made_at.checked_add(self.inner.verdict_max_age).unwrap_or(Timestamp::MAX);
        verdict.valid_until.map_or(by_age, |until| until.min(by_age))
    }

    /// A stored inventory.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn inventory(&self, digest: &Digest) -> Result<Inventory, JudgeError> {
        let unusable = |reason: String| JudgeError::Inventory { what: "stored inventory", reason };
        let bytes = self.inner.store.document(digest).await?;
        let bytes = bytes.ok_or_else(|| unusable(format!("{digest} is not stored")))?;
        blocking(move || serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))).await
    }

    async fn inventory_of(&self, image: &ImageIdentity) -> Result<Option<Inventory>, JudgeError> {
        for digest in [&image.manifest, &image.config, &image.index].into_iter().flatten() {
            let (rows, _) = self.images_of(digest).await?;
            if let Some(row) = rows.first() {
                return self.inventory(&row.inventory).await.map(Some);
            }
        }
        Ok(None)
    }

    /// Matches, evaluates, records, stores. Everything that gives a verdict comes through here.
    async fn judge(
        &self,
        inventory: Arc<Inventory>,
        stage: Stage,
        asker: Asker,
        point: Point,
    ) -> Result<(ScanReport, VerdictRow), JudgeError> {
        self.refresh_database().await?;
        let now = (self.inner.clock)();
        let rules = self.rules();
        let database = self.inner.advisories.current();
        let tool = self.inner.tool.clone();
        let (rules_then, database_then) = (Arc::clone(&rules), Arc::clone(&database));
        let report = blocking(move || {
            let by = hullmark_engine::Judge {
                database: &database_then,
                policy: &rules_then.policy,
                exceptions: &rules_then.exceptions,
                stage,
                now,
            };
            let inventory = Arc::unwrap_or_clone(inventory);
            Ok(hullmark_engine::judge(inventory, &by, &tool)?)
        });
        let mut report = report.await?;
        let image = key_of(&report.inventory.subject, &report.verdict.inputs.inventory);
        let before = self.inner.store.verdicts_of(&image, None, 1).await?;
        let circumstances = Circumstances {
            tool: self.inner.tool.clone(),
            binary: self.inner.binary.clone(),
            asker,
            point,
            mode: self.inner.modes.of(point),
            policy_version: Some(rules.row.version),
            degraded: Vec::new(),
        };
        let previous = before.first().map(|row| row.link.entry);
        let entry = VerdictRecord::new(&report, &circumstances, previous)?.into_entry()?;
        let verdict_bytes = canonical_json(&report.verdict)?;
        let verdict_digest = self.inner.store.put_document("verdict", verdict_bytes).await?;
        let entry_digest = Digest::sha256(&entry);
        let index = self.inner.trail.append(entry).await?;
        report.ledger =
            Some(LedgerReceipt { origin: self.inner.trail.origin().to_owned(), index, entry_digest });
        let row = self.row(&report, &rules, image, verdict_digest, index);
        self.inner.store.put_verdict(&row).await?;
        metrics::counter!("hullmark_verdicts_total", "stage" => stage.name(), "outcome" => row.outcome.name())
            .increment(1);
        Ok((report, row))
    }

    fn row(
        &self,
        report: &ScanReport,
        rules: &Rules,
        image: Digest,
        verdict_digest: Digest,
        entry: u64,
    ) -> VerdictRow {
        let verdict = &report.verdict;
        let used =
            |status: ExceptionStatus| matches!(status, ExceptionStatus::Used | ExceptionStatus::ExpiringSoon);
        let exceptions =
            verdict.exceptions.iter().filter(|one| used(one.status)).map(|one| one.id.clone()).collect();
        VerdictRow {
            key: VerdictKey {
                image,
                inventory: verdict.inputs.inventory.clone(),
                stage: verdict.stage,
                policy: verdict.inputs.policy.clone(),
                exceptions: verdict.inputs.exceptions.clone(),
                database: verdict.inputs.database.clone(),
            },
            link: VerdictLink {
                verdict: verdict_digest,
                entry,
                outcome: verdict.outcome,
                policy: verdict.policy.clone(),
                policy_digest: verdict.inputs.policy.clone(),
                policy_version: Some(rules.row.version),
                database: verdict.inputs.database.clone(),
                exceptions,
            },
            outcome: verdict.outcome,
            reasons: verdict.reasons.iter().take(MAX_TRAIL_REASONS).cloned().collect(),
            reason_count: verdict.reasons.len() as u64,
            made_at: verdict.evaluated_at,
            valid_until: rules.next_change(verdict),
        }
    }
}

/// What verdicts in memory were made from.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Generation {
    policy: u64,
    policy_digest: Digest,
    exceptions: Digest,
    database: Digest,
}

/// What identifies an image among verdicts: its digest, or for a root file system that of its inventory.
fn key_of(subject: &Subject, inventory: &Digest) -> Digest {
    subject.digest().unwrap_or(inventory).clone()
}

/// Which of the images that were found by a digest count. What the server took itself goes before what was sent: the one
/// whose manifest it is; else, as all have the same content, the last scanned of those whose configuration it is. Else all
/// images of the index, whoever took them, as the strictest verdict counts.
pub fn candidates(digest: &Digest, images: Vec<ImageRow>) -> Vec<ImageRow> {
    let is = |part: &Option<Digest>| part.as_ref() == Some(digest);
    for taken_here in [true, false] {
        let rows = || images.iter().filter(|row| row.taken_here == taken_here);
        let configured = || rows().filter(|row| is(&row.subject.config)).max_by_key(|row| row.last_scanned);
        if let Some(one) = rows().find(|row| is(&row.subject.manifest)).or_else(configured) {
            return vec![one.clone()];
        }
        if rows().any(|row| is(&row.subject.index)) {
            break;
        }
    }
    images.into_iter().filter(|row| is(&row.subject.index)).collect()
}

/// Whether an inventory and a profile can be used.
fn check(inventory: &Inventory, profile: Option<&ImageProfile>) -> Result<(), JudgeError> {
    let unusable = |what, reason: String| Err(JudgeError::Inventory { what, reason });
    if inventory.schema != INVENTORY_SCHEMA {
        let reason = format!("its form has the version {}, expected {INVENTORY_SCHEMA}", inventory.schema);
        return unusable("inventory", reason);
    }
    let subject = &inventory.subject;
    let names = std::iter::once(&subject.name).chain(&subject.references);
    if subject.references.len() > MAX_REFERENCES || names.into_iter().any(|name| name.len() > MAX_NAME) {
        let reason =
            format!("a name has more than {MAX_NAME} bytes, or there are more than {MAX_REFERENCES}");
        return unusable("inventory", reason);
    }
    match profile {
        Some(profile) if profile.subject.digest() != inventory.subject.digest() => {
            unusable("profile", "it is of another image than the inventory".to_owned())
        }
        _ => Ok(()),
    }
}

/// Runs what takes a while beside the tasks that answer requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JudgeError> + Send + 'static,
) -> Result<T, JudgeError> {
    tokio::task::spawn_blocking(work).await?
}
