//! Events of running containers, each batch taken once.

use async_trait::async_trait;
use hullmark_types::RuntimeEventKind;
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Sqlite};

use super::{Reader, SqliteStore, json, nanoseconds, signed};
use crate::{EventFilter, EventRow, Events, NewEvent, StoreError};

fn event(row: &SqliteRow) -> Result<EventRow, StoreError> {
    let reader = Reader::new("event", row);
    let entry = reader.get::<Option<i64>>("entry")?;
    Ok(EventRow {
        id: reader.number("id")?,
        event: reader.json("body")?,
        entry: entry.and_then(|entry| u64::try_from(entry).ok()),
    })
}

/// The word of a kind, as it stands in JSON.
fn word(kind: RuntimeEventKind) -> Result<String, StoreError> {
    Ok(json("event", &kind)?.trim_matches('"').to_owned())
}

#[async_trait]
impl Events for SqliteStore {
    async fn has_batch(&self, node: &str, spool: &str, sequence: u64) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT 1 FROM batches WHERE node = ? AND spool = ? AND sequence = ?")
            .bind(node)
            .bind(spool)
            .bind(signed(sequence))
            .fetch_optional(&self.reader)
            .await
            .map_err(StoreError::doing("look for a batch of events"))?;
        Ok(row.is_some())
    }

    async fn put_batch(
        &self,
        node: &str,
        spool: &str,
        sequence: u64,
        received: Timestamp,
        events: &[NewEvent],
    ) -> Result<bool, StoreError> {
        let operation = "store events";
        let mut transaction = self.begin(operation).await?;
        let done = sqlx::query(
            "INSERT INTO batches (node, spool, sequence, received) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(node)
        .bind(spool)
        .bind(signed(sequence))
        .bind(nanoseconds(received))
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::doing(operation))?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        for new in events {
            let image = &new.event.image;
            let text = |digest: &Option<hullmark_types::Digest>| digest.as_ref().map(ToString::to_string);
            sqlx::query(
                "INSERT INTO events (time, kind, container, index_digest, manifest_digest, config_digest, entry, body)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(nanoseconds(new.event.time))
            .bind(word(new.event.kind)?)
            .bind(&new.event.container)
            .bind(text(&image.index))
            .bind(text(&image.manifest))
            .bind(text(&image.config))
            .bind(new.entry.map(signed))
            .bind(json("event", &new.event)?)
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::doing(operation))?;
        }
        transaction.commit().await.map_err(StoreError::doing(operation))?;
        Ok(true)
    }

    async fn events(&self, filter: &EventFilter) -> Result<Vec<EventRow>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT id, entry, body FROM events WHERE id < ");
        query.push_bind(filter.before.map_or(i64::MAX, signed));
        if let Some(image) = &filter.image {
            let image = image.to_string();
            query.push(" AND (index_digest = ").push_bind(image.clone());
            query.push(" OR manifest_digest = ").push_bind(image.clone());
            query.push(" OR config_digest = ").push_bind(image).push(")");
        }
        if let Some(container) = &filter.container {
            query.push(" AND container = ").push_bind(container.clone());
        }
        if let Some(kind) = filter.kind {
            query.push(" AND kind = ").push_bind(word(kind)?);
        }
        query.push(" ORDER BY id DESC LIMIT ").push_bind(filter.limit);
        let rows = query.build().fetch_all(&self.reader).await.map_err(StoreError::doing("list events"))?;
        rows.iter().map(event).collect()
    }

    async fn prune_events(&self, keep: u64, batches: Timestamp) -> Result<u64, StoreError> {
        sqlx::query("DELETE FROM batches WHERE received < ?")
            .bind(nanoseconds(batches))
            .execute(&self.writer)
            .await
            .map_err(StoreError::doing("forget old batches of events"))?;
        let done = sqlx::query("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?")
            .bind(signed(keep))
            .execute(&self.writer)
            .await
            .map_err(StoreError::doing("remove old events"))?;
        Ok(done.rows_affected())
    }
}
