//! Exceptions.

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

use super::{Reader, SqliteStore, is_taken, json, nanoseconds};
use crate::{ExceptionRow, ExceptionStore, StoreError};

fn exception(row: &SqliteRow) -> Result<ExceptionRow, StoreError> {
    let reader = Reader::new("exception", row);
    Ok(ExceptionRow {
        id: reader.text("id")?,
        body: reader.json("body")?,
        created_by: reader.text("created_by")?,
        created_at: reader.time("created_at")?,
        revoked_by: reader.get("revoked_by")?,
        revoked_at: reader.optional_time("revoked_at")?,
    })
}

#[async_trait]
impl ExceptionStore for SqliteStore {
    async fn put_exceptions(&self, exceptions: &[ExceptionRow]) -> Result<(), StoreError> {
        let operation = "store exceptions";
        let mut transaction = self.begin(operation).await?;
        for row in exceptions {
            sqlx::query("INSERT INTO exceptions (id, body, created_by, created_at) VALUES (?, ?, ?, ?)")
                .bind(&row.id)
                .bind(json("exception", &row.body)?)
                .bind(&row.created_by)
                .bind(nanoseconds(row.created_at))
                .execute(&mut *transaction)
                .await
                .map_err(|error| match is_taken(&error) {
                    true => StoreError::Taken { what: "an exception", name: row.id.clone() },
                    false => StoreError::doing(operation)(error),
                })?;
        }
        transaction.commit().await.map_err(StoreError::doing(operation))
    }

    async fn revoke_exception(
        &self,
        id: &str,
        by: &str,
        at: Timestamp,
    ) -> Result<Option<ExceptionRow>, StoreError> {
        let row = sqlx::query(
            "UPDATE exceptions SET revoked_by = ?, revoked_at = ? WHERE id = ? AND revoked_at IS NULL RETURNING *",
        )
        .bind(by)
        .bind(nanoseconds(at))
        .bind(id)
        .fetch_optional(&self.writer)
        .await
        .map_err(StoreError::doing("revoke an exception"))?;
        row.as_ref().map(exception).transpose()
    }

    async fn exceptions(&self, revoked: bool) -> Result<Vec<ExceptionRow>, StoreError> {
        let rows = sqlx::query("SELECT * FROM exceptions WHERE revoked_at IS NULL OR ? ORDER BY id")
            .bind(revoked)
            .fetch_all(&self.reader)
            .await
            .map_err(StoreError::doing("list exceptions"))?;
        rows.iter().map(exception).collect()
    }
}
