//! [`Store`] on one SQLite file, embedded in the process.
//!
//! Write-ahead log and `synchronous=FULL`: what was answered as stored survives a crash, and a process killed at any moment
//! leaves the file whole. One connection writes, so that writers wait for each other in order; others only read.

mod documents;
mod events;
mod exceptions;
mod images;
mod manifests;
mod policies;
mod tokens;
mod verdicts;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use hullmark_types::Digest;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Row, SqlSafeStr, Sqlite, SqlitePool, Transaction};

use crate::{Store, StoreError};

/// The changes of the tables, oldest first. A change that was released is never edited.
const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("../../migrations/1_first.sql")),
    (2, "children", include_str!("../../migrations/2_children.sql")),
];

/// How many connections read at the same time.
const READERS: u32 = 4;

/// The store in one SQLite file.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    reader: SqlitePool,
    writer: SqlitePool,
}

impl SqliteStore {
    /// Opens the file, makes it when it is absent, and brings its tables up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is no store, or was written by a newer version.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10));
        let opening = |source| StoreError::Open { path: path.to_path_buf(), source };
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(Duration::from_secs(20))
            .connect_with(options.clone())
            .await
            .map_err(opening)?;
        let migrations = MIGRATIONS.iter().map(|(version, name, text)| {
            Migration::new(*version, (*name).into(), MigrationType::Simple, text.into_sql_str(), false)
        });
        Migrator::with_migrations(migrations.collect())
            .run(&writer)
            .await
            .map_err(|source| StoreError::Migrate { path: path.to_path_buf(), source })?;
        let reader = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(Duration::from_secs(20))
            .connect_with(options.pragma("query_only", "ON"))
            .await
            .map_err(|source| StoreError::Open { path: path.to_path_buf(), source })?;
        Ok(Self { reader, writer })
    }

    /// Begins a change of several steps; dropped without a commit it changes nothing.
    async fn begin(&self, operation: &'static str) -> Result<Transaction<'static, Sqlite>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(StoreError::doing(operation))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn check(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT count(*) FROM settings")
            .fetch_one(&self.reader)
            .await
            .map_err(StoreError::doing("be read"))?;
        sqlx::query("INSERT INTO settings (name, value) VALUES ('checked', '') ON CONFLICT (name) DO UPDATE SET value = value")
            .execute(&self.writer)
            .await
            .map_err(StoreError::doing("be written"))?;
        Ok(())
    }

    async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// A time as it is stored: nanoseconds.
fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(i64::MAX)
}

/// A number as it is stored.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn json<T: Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(StoreError::value(what))
}

/// Reads the columns of a row; `what` names the thing in errors.
struct Reader<'r> {
    what: &'static str,
    row: &'r SqliteRow,
}

impl<'r> Reader<'r> {
    fn new(what: &'static str, row: &'r SqliteRow) -> Self {
        Self { what, row }
    }

    fn get<T>(&self, column: &str) -> Result<T, StoreError>
    where
        T: sqlx::Decode<'r, Sqlite> + sqlx::Type<Sqlite>,
    {
        self.row.try_get(column).map_err(StoreError::damaged(self.what))
    }

    fn text(&self, column: &str) -> Result<String, StoreError> {
        self.get(column)
    }

    fn number(&self, column: &str) -> Result<u64, StoreError> {
        u64::try_from(self.get::<i64>(column)?).map_err(StoreError::damaged(self.what))
    }

    fn digest(&self, column: &str) -> Result<Digest, StoreError> {
        self.get::<&str>(column)?.parse().map_err(StoreError::damaged(self.what))
    }

    fn optional_digest(&self, column: &str) -> Result<Option<Digest>, StoreError> {
        let text = self.get::<Option<&str>>(column)?;
        text.map(|text| text.parse().map_err(StoreError::damaged(self.what))).transpose()
    }

    fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        Timestamp::from_nanosecond(self.get::<i64>(column)?.into()).map_err(StoreError::damaged(self.what))
    }

    fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        let number = self.get::<Option<i64>>(column)?;
        number
            .map(|number| Timestamp::from_nanosecond(number.into()).map_err(StoreError::damaged(self.what)))
            .transpose()
    }

    fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(self.get::<&str>(column)?).map_err(StoreError::damaged(self.what))
    }
}

/// Whether a write failed because a key is there already.
fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}
