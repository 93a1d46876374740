//! Verdicts.

use async_trait::async_trait;
use hullmark_types::Digest;
use sqlx::sqlite::SqliteRow;

use super::{Reader, SqliteStore, json, nanoseconds, signed};
use crate::{StoreError, VerdictKey, VerdictRow, Verdicts};

fn verdict(row: &SqliteRow) -> Result<VerdictRow, StoreError> {
    Reader::new("verdict", row).json("row")
}

#[async_trait]
impl Verdicts for SqliteStore {
    async fn put_verdict(&self, row: &VerdictRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO verdicts (entry, image, inventory, stage, policy, exceptions, database, verdict, made_at, row)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (entry) DO NOTHING",
        )
        .bind(signed(row.link.entry))
        .bind(row.key.image.to_string())
        .bind(row.key.inventory.to_string())
        .bind(row.key.stage.name())
        .bind(row.key.policy.to_string())
        .bind(row.key.exceptions.to_string())
        .bind(row.key.database.to_string())
        .bind(row.link.verdict.to_string())
        .bind(nanoseconds(row.made_at))
        .bind(json("verdict", row)?)
        .execute(&self.writer)
        .await
        .map_err(StoreError::doing("store a verdict"))?;
        Ok(())
    }

    async fn verdict(&self, key: &VerdictKey) -> Result<Option<VerdictRow>, StoreError> {
        let row = sqlx::query(
            "SELECT row FROM verdicts WHERE image = ? AND stage = ? AND policy = ? AND exceptions = ? AND database = ?
             AND inventory = ? ORDER BY entry DESC LIMIT 1",
        )
        .bind(key.image.to_string())
        .bind(key.stage.name())
        .bind(key.policy.to_string())
        .bind(key.exceptions.to_string())
        .bind(key.database.to_string())
        .bind(key.inventory.to_string())
        .fetch_optional(&self.reader)
        .await
        .map_err(StoreError::doing("read a verdict"))?;
        row.as_ref().map(verdict).transpose()
    }

    async fn verdict_by_digest(&self, digest: &Digest) -> Result<Option<VerdictRow>, StoreError> {
        let row = sqlx::query("SELECT row FROM verdicts WHERE verdict = ? ORDER BY entry DESC LIMIT 1")
            .bind(digest.to_string())
            .fetch_optional(&self.reader)
            .await
            .map_err(StoreError::doing("read a verdict"))?;
        row.as_ref().map(verdict).transpose()
    }

    async fn verdicts_of(
        &self,
        image: &Digest,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<VerdictRow>, StoreError> {
        let rows =
            sqlx::query("SELECT row FROM verdicts WHERE image = ? AND entry < ? ORDER BY entry DESC LIMIT ?")
                .bind(image.to_string())
                .bind(before.map_or(i64::MAX, signed))
                .bind(limit)
                .fetch_all(&self.reader)
                .await
                .map_err(StoreError::doing("list verdicts"))?;
        rows.iter().map(verdict).collect()
    }
}
