//! What upstream registries hold: tags, manifests, and which blobs a manifest reaches.

use async_trait::async_trait;
use hullmark_types::Digest;

use super::{Reader, SqliteStore, nanoseconds, signed};
use crate::{ManifestRow, Manifests, StoreError, TagRow};

/// The most manifests that share a part and are given.
const MAX_SHARING: u32 = 256;

/// The most children of an index that are given.
const MAX_CHILDREN: u32 = 1024;

const CHILD: &str = "child";
const BLOB: &str = "blob";

impl SqliteStore {
    async fn naming(
        &self,
        upstream: &str,
        repository: &str,
        kind: &'static str,
        part: &Digest,
    ) -> Result<Vec<Digest>, StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT digest FROM manifest_parts
             WHERE upstream = ? AND repository = ? AND part = ? AND kind = ? ORDER BY digest LIMIT ?",
        )
        .bind(upstream)
        .bind(repository)
        .bind(part.to_string())
        .bind(kind)
        .bind(MAX_SHARING)
        .fetch_all(&self.reader)
        .await
        .map_err(StoreError::doing("look for manifests"))?;
        rows.iter().map(|row| Reader::new("manifest", row).digest("digest")).collect()
    }
}

#[async_trait]
impl Manifests for SqliteStore {
    async fn put_tag(&self, tag: &TagRow) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO tags (upstream, repository, tag, digest, seen_at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (upstream, repository, tag) DO UPDATE SET digest = excluded.digest, seen_at = excluded.seen_at",
        )
        .bind(&tag.upstream)
        .bind(&tag.repository)
        .bind(&tag.tag)
        .bind(tag.digest.to_string())
        .bind(nanoseconds(tag.seen_at))
        .execute(&self.writer)
        .await
        .map_err(StoreError::doing("remember a tag"))?;
        Ok(())
    }

    async fn tag(&self, upstream: &str, repository: &str, tag: &str) -> Result<Option<TagRow>, StoreError> {
        let row =
            sqlx::query("SELECT digest, seen_at FROM tags WHERE upstream = ? AND repository = ? AND tag = ?")
                .bind(upstream)
                .bind(repository)
                .bind(tag)
                .fetch_optional(&self.reader)
                .await
                .map_err(StoreError::doing("read a tag"))?;
        let Some(row) = row else { return Ok(None) };
        let reader = Reader::new("tag", &row);
        Ok(Some(TagRow {
            upstream: upstream.to_owned(),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
            digest: reader.digest("digest")?,
            seen_at: reader.time("seen_at")?,
        }))
    }

    async fn put_manifest(&self, manifest: &ManifestRow) -> Result<(), StoreError> {
        let operation = "remember a manifest";
        let mut transaction = self.begin(operation).await?;
        sqlx::query(
            "INSERT INTO manifests (upstream, repository, digest, media_type, size, config, seen_at)
             VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (upstream, repository, digest) DO UPDATE SET media_type = excluded.media_type,
                 size = excluded.size, config = excluded.config, seen_at = excluded.seen_at",
        )
        .bind(&manifest.upstream)
        .bind(&manifest.repository)
        .bind(manifest.digest.to_string())
        .bind(&manifest.media_type)
        .bind(signed(manifest.size))
        .bind(manifest.config.as_ref().map(ToString::to_string))
        .bind(nanoseconds(manifest.seen_at))
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::doing(operation))?;
        for (kind, parts) in [(CHILD, &manifest.children), (BLOB, &manifest.blobs)] {
            for (position, part) in parts.iter().enumerate() {
                sqlx::query(
                    "INSERT INTO manifest_parts (upstream, repository, digest, kind, position, part)
                     VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                )
                .bind(&manifest.upstream)
                .bind(&manifest.repository)
                .bind(manifest.digest.to_string())
                .bind(kind)
                .bind(signed(position as u64))
                .bind(part.to_string())
                .execute(&mut *transaction)
                .await
                .map_err(StoreError::doing(operation))?;
            }
        }
        transaction.commit().await.map_err(StoreError::doing(operation))
    }

    async fn manifest(
        &self,
        upstream: &str,
        repository: &str,
        digest: &Digest,
    ) -> Result<Option<ManifestRow>, StoreError> {
        let row = sqlx::query("SELECT * FROM manifests WHERE upstream = ? AND repository = ? AND digest = ?")
            .bind(upstream)
            .bind(repository)
            .bind(digest.to_string())
            .fetch_optional(&self.reader)
            .await
            .map_err(StoreError::doing("read a manifest"))?;
        let Some(row) = row else { return Ok(None) };
        let parts = sqlx::query(
            "SELECT kind, part FROM manifest_parts WHERE upstream = ? AND repository = ? AND digest = ?
             ORDER BY kind, position",
        )
        .bind(upstream)
        .bind(repository)
        .bind(digest.to_string())
        .fetch_all(&self.reader)
        .await
        .map_err(StoreError::doing("read a manifest"))?;
        let (mut children, mut blobs) = (Vec::new(), Vec::new());
        for part in &parts {
            let reader = Reader::new("manifest", part);
            match reader.get::<&str>("kind")? {
                CHILD => children.push(reader.digest("part")?),
                _ => blobs.push(reader.digest("part")?),
            }
        }
        let reader = Reader::new("manifest", &row);
        Ok(Some(ManifestRow {
            upstream: upstream.to_owned(),
            repository: repository.to_owned(),
            digest: digest.clone(),
            media_type: reader.text("media_type")?,
            size: reader.number("size")?,
            config: reader.optional_digest("config")?,
            children,
            blobs,
            seen_at: reader.time("seen_at")?,
        }))
    }

    async fn manifests_with_blob(
        &self,
        upstream: &str,
        repository: &str,
        blob: &Digest,
    ) -> Result<Vec<Digest>, StoreError> {
        self.naming(upstream, repository, BLOB, blob).await
    }

    async fn indexes_with_child(
        &self,
        upstream: &str,
        repository: &str,
        child: &Digest,
    ) -> Result<Vec<Digest>, StoreError> {
        self.naming(upstream, repository, CHILD, child).await
    }

    async fn children(&self, index: &Digest) -> Result<Vec<Digest>, StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT part AS digest, EXISTS (SELECT 1 FROM image_aliases WHERE alias = part) AS scanned
             FROM manifest_parts WHERE manifest_parts.digest = ? AND kind = ? ORDER BY scanned DESC, part LIMIT ?",
        )
        .bind(index.to_string())
        .bind(CHILD)
        .bind(MAX_CHILDREN)
        .fetch_all(&self.reader)
        .await
        .map_err(StoreError::doing("look for the images of an index"))?;
        rows.iter().map(|row| Reader::new("manifest", row).digest("digest")).collect()
    }
}
