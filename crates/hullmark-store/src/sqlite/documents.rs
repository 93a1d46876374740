//! Documents: compressed, by digest.

use async_trait::async_trait;
use hullmark_types::{Digest, DigestAlgorithm, Hasher};

use super::{Reader, SqliteStore, signed};
use crate::{Documents, StoreError};

/// Good enough for JSON, and fast.
const LEVEL: i32 = 3;

#[async_trait]
impl Documents for SqliteStore {
    async fn put_document(&self, kind: &str, bytes: Vec<u8>) -> Result<Digest, StoreError> {
        let size = signed(bytes.len() as u64);
        let (digest, content) = blocking(move || {
            let content = zstd::bulk::compress(&bytes, LEVEL).map_err(StoreError::value("document"))?;
            Ok((Digest::sha256(&bytes), content))
        })
        .await?;
        sqlx::query(
            "INSERT INTO documents (digest, kind, size, content) VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO NOTHING",
        )
        .bind(digest.to_string())
        .bind(kind)
        .bind(size)
        .bind(content)
        .execute(&self.writer)
        .await
        .map_err(StoreError::doing("store a document"))?;
        Ok(digest)
    }

    async fn document_kind(&self, digest: &Digest) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT kind FROM documents WHERE digest = ?")
            .bind(digest.to_string())
            .fetch_optional(&self.reader)
            .await
            .map_err(StoreError::doing("look for a document"))?;
        row.as_ref().map(|row| Reader::new("document", row).text("kind")).transpose()
    }

    async fn document(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT size, content FROM documents WHERE digest = ?")
            .bind(digest.to_string())
            .fetch_optional(&self.reader)
            .await
            .map_err(StoreError::doing("read a document"))?;
        let Some(row) = row else { return Ok(None) };
        let reader = Reader::new("document", &row);
        let size = usize::try_from(reader.number("size")?).map_err(StoreError::damaged("document"))?;
        let content: Vec<u8> = reader.get("content")?;
        let digest = digest.clone();
        let bytes = blocking(move || {
            let damaged = |reason: String| StoreError::Document { digest: digest.clone(), reason };
            let bytes = zstd::bulk::decompress(&content, size).map_err(|error| damaged(error.to_string()))?;
            let mut hasher = Hasher::new(DigestAlgorithm::Sha256);
            hasher.update(&bytes);
            let found = hasher.finish();
            match found == digest {
                true => Ok(bytes),
                false => Err(damaged(format!("its content has the digest {found}"))),
            }
        });
        bytes.await.map(Some)
    }
}

/// Runs what takes a while beside the tasks that answer requests.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(StoreError::value("document"))?
}
