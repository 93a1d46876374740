//! Tokens, by the digest of their secret.

use async_trait::async_trait;
use hullmark_types::Digest;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{Reader, SqliteStore, is_taken, nanoseconds};
use crate::{StoreError, TokenRow, Tokens};

fn token(row: &SqliteRow) -> Result<TokenRow, StoreError> {
    let reader = Reader::new("token", row);
    Ok(TokenRow {
        name: reader.text("name")?,
        hash: reader.digest("hash")?,
        role: reader.text("role")?,
        created_by: reader.text("created_by")?,
        created_at: reader.time("created_at")?,
        expires_at: reader.optional_time("expires_at")?,
        revoked_by: reader.get("revoked_by")?,
        revoked_at: reader.optional_time("revoked_at")?,
    })
}

#[async_trait]
impl Tokens for SqliteStore {
    async fn put_token(&self, new: &TokenRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO tokens (name, hash, role, created_by, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&new.name)
        .bind(new.hash.to_string())
        .bind(&new.role)
        .bind(&new.created_by)
        .bind(nanoseconds(new.created_at))
        .bind(new.expires_at.map(nanoseconds))
        .execute(&self.writer)
        .await
        .map_err(|error| match is_taken(&error) {
            true => StoreError::Taken { what: "a token", name: new.name.clone() },
            false => StoreError::doing("store a token")(error),
        })?;
        Ok(())
    }

    async fn token_by_hash(&self, hash: &Digest) -> Result<Option<TokenRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM tokens WHERE hash = ?")
            .bind(hash.to_string())
            .fetch_optional(&self.reader)
            .await
            .map_err(StoreError::doing("look a token up"))?;
        row.as_ref().map(token).transpose()
    }

    async fn revoke_token(
        &self,
        name: &str,
        by: &str,
        at: Timestamp,
    ) -> Result<Option<TokenRow>, StoreError> {
        let row = sqlx::query(
            "UPDATE tokens SET revoked_by = ?, revoked_at = ? WHERE name = ? AND revoked_at IS NULL RETURNING *",
        )
        .bind(by)
        .bind(nanoseconds(at))
        .bind(name)
        .fetch_optional(&self.writer)
        .await
        .map_err(StoreError::doing("revoke a token"))?;
        row.as_ref().map(token).transpose()
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM tokens ORDER BY name")
            .fetch_all(&self.reader)
            .await
            .map_err(StoreError::doing("list tokens"))?;
        rows.iter().map(token).collect()
    }
}
