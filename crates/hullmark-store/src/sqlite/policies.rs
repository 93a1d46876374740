//! Versions of the policy.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{Reader, SqliteStore, nanoseconds, signed};
use crate::{NewPolicy, Policies, PolicyRow, StoreError};

/// A policy with the word of whether it is the active one.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT policies.*, coalesce((SELECT value FROM settings WHERE name = 'active-policy'), '') = ",
            "CAST(policies.version AS TEXT) AS active FROM policies ",
            $rest
        )
    };
}

fn policy(row: &SqliteRow) -> Result<PolicyRow, StoreError> {
    let reader = Reader::new("policy", row);
    Ok(PolicyRow {
        version: reader.number("version")?,
        name: reader.text("name")?,
        digest: reader.digest("digest")?,
        text: reader.text("text")?,
        comment: reader.text("comment")?,
        created_by: reader.text("created_by")?,
        created_at: reader.time("created_at")?,
        active: reader.get("active")?,
        activated_by: reader.get("activated_by")?,
        activated_at: reader.optional_time("activated_at")?,
    })
}

#[async_trait]
impl Policies for SqliteStore {
    async fn put_policy(&self, new: &NewPolicy) -> Result<PolicyRow, StoreError> {
        let done = sqlx::query(
            "INSERT INTO policies (name, digest, text, comment, created_by, created_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.name)
        .bind(new.digest.to_string())
        .bind(&new.text)
        .bind(&new.comment)
        .bind(&new.created_by)
        .bind(nanoseconds(new.created_at))
        .execute(&self.writer)
        .await
        .map_err(StoreError::doing("store a policy"))?;
        Ok(PolicyRow {
            version: u64::try_from(done.last_insert_rowid()).map_err(StoreError::damaged("policy"))?,
            name: new.name.clone(),
            digest: new.digest.clone(),
            text: new.text.clone(),
            comment: new.comment.clone(),
            created_by: new.created_by.clone(),
            created_at: new.created_at,
            active: false,
            activated_by: None,
            activated_at: None,
        })
    }

    async fn activate_policy(
        &self,
        version: u64,
        by: &str,
        at: Timestamp,
    ) -> Result<Option<PolicyRow>, StoreError> {
        let operation = "activate a policy";
        let mut transaction = self.begin(operation).await?;
        let done = sqlx::query("UPDATE policies SET activated_by = ?, activated_at = ? WHERE version = ?")
            .bind(by)
            .bind(nanoseconds(at))
            .bind(signed(version))
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::doing(operation))?;
        if done.rows_affected() == 0 {
            return Ok(None);
        }
        sqlx::query(
            "INSERT INTO settings (name, value) VALUES ('active-policy', ?)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(version.to_string())
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::doing(operation))?;
        let row = sqlx::query(select!("WHERE version = ?"))
            .bind(signed(version))
            .fetch_one(&mut *transaction)
            .await
            .map_err(StoreError::doing(operation))?;
        let row = policy(&row)?;
        transaction.commit().await.map_err(StoreError::doing(operation))?;
        Ok(Some(row))
    }

    async fn active_policy(&self) -> Result<Option<PolicyRow>, StoreError> {
        let row = sqlx::query(select!(
            "WHERE CAST(version AS TEXT) = (SELECT value FROM settings WHERE name = 'active-policy')"
        ))
        .fetch_optional(&self.reader)
        .await
        .map_err(StoreError::doing("read the active policy"))?;
        row.as_ref().map(policy).transpose()
    }

    async fn policy(&self, version: u64) -> Result<Option<PolicyRow>, StoreError> {
        let row = sqlx::query(select!("WHERE version = ?"))
            .bind(signed(version))
            .fetch_optional(&self.reader)
            .await
            .map_err(StoreError::doing("read a policy"))?;
        row.as_ref().map(policy).transpose()
    }

    async fn policies(&self, before: Option<u64>, limit: u32) -> Result<Vec<PolicyRow>, StoreError> {
        let rows = sqlx::query(select!("WHERE version < ? ORDER BY version DESC LIMIT ?"))
            .bind(before.map_or(i64::MAX, signed))
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .map_err(StoreError::doing("list policies"))?;
        rows.iter().map(policy).collect()
    }
}
