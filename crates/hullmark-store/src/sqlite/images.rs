//! Images, and the digests and names by which they are found.

use std::collections::BTreeSet;

use async_trait::async_trait;
use hullmark_types::{Digest, Subject};
use sqlx::sqlite::SqliteRow;

use super::{Reader, SqliteStore, json, nanoseconds};
use crate::{ImageRow, Images, StoreError};

/// The most images that share a digest and are given.
const MAX_SHARING: u32 = 64;

fn image(row: &SqliteRow) -> Result<ImageRow, StoreError> {
    let reader = Reader::new("image", row);
    Ok(ImageRow {
        subject: reader.json("subject")?,
        inventory: reader.digest("inventory")?,
        profile: reader.optional_digest("profile")?,
        taken_here: reader.get("taken_here")?,
        first_scanned: reader.time("first_scanned")?,
        last_scanned: reader.time("last_scanned")?,
    })
}

/// The alias of a name. A name may look like a digest, and is none.
fn name_alias(name: &str) -> String {
    format!("name {name}")
}

/// The row that is stored when `new` comes after `old`. What was sent adds no digest to what the server took itself: who
/// sends could tie any digest to the image.
fn merge(old: ImageRow, new: &ImageRow) -> ImageRow {
    let keeps_inventory = old.taken_here && !new.taken_here;
    let is_equal_source = old.taken_here == new.taken_here;
    let mut subject = match keeps_inventory {
        true => old.subject.clone(),
        false => new.subject.clone(),
    };
    let names: BTreeSet<String> =
        old.subject.references.into_iter().chain(new.subject.references.iter().cloned()).collect();
    subject.references = names.into_iter().collect();
    if is_equal_source {
        subject.index = subject.index.or(old.subject.index);
        subject.manifest = subject.manifest.or(old.subject.manifest);
        subject.config = subject.config.or(old.subject.config);
    }
    let (inventory, profile) = match keeps_inventory {
        true => (old.inventory, old.profile),
        // The same inventory may come without its profile.
        false if new.profile.is_none() && old.inventory == new.inventory && is_equal_source => {
            (old.inventory, old.profile)
        }
        false => (new.inventory.clone(), new.profile.clone()),
    };
    ImageRow {
        subject,
        inventory,
        profile,
        taken_here: old.taken_here || new.taken_here,
        first_scanned: old.first_scanned,
        last_scanned: old.last_scanned.max(new.last_scanned),
    }
}

/// The digests by which an image is found.
fn digests(subject: &Subject) -> impl Iterator<Item = &Digest> {
    [&subject.index, &subject.manifest, &subject.config].into_iter().flatten()
}

#[async_trait]
impl Images for SqliteStore {
    async fn put_image(&self, new: &ImageRow) -> Result<ImageRow, StoreError> {
        let operation = "store an image";
        let Some(digest) = new.subject.digest() else {
            let reason = "it has neither a manifest digest nor a configuration digest".to_owned();
            return Err(StoreError::Value { what: "image", reason });
        };
        let mut transaction = self.begin(operation).await?;
        let old = sqlx::query("SELECT * FROM images WHERE digest = ?")
            .bind(digest.to_string())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(StoreError::doing(operation))?;
        let row = match old {
            Some(old) => {
                let old = image(&old)?;
                for alias in digests(&old.subject) {
                    sqlx::query("DELETE FROM image_aliases WHERE alias = ? AND image = ?")
                        .bind(alias.to_string())
                        .bind(digest.to_string())
                        .execute(&mut *transaction)
                        .await
                        .map_err(StoreError::doing(operation))?;
                }
                merge(old, new)
            }
            None => new.clone(),
        };
        sqlx::query(
            "INSERT INTO images (digest, name, subject, inventory, profile, taken_here, first_scanned, last_scanned)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (digest) DO UPDATE SET name = excluded.name, subject = excluded.subject,
                 inventory = excluded.inventory, profile = excluded.profile, taken_here = excluded.taken_here,
                 last_scanned = excluded.last_scanned",
        )
        .bind(digest.to_string())
        .bind(&row.subject.name)
        .bind(json("image", &row.subject)?)
        .bind(row.inventory.to_string())
        .bind(row.profile.as_ref().map(ToString::to_string))
        .bind(row.taken_here)
        .bind(nanoseconds(row.first_scanned))
        .bind(nanoseconds(row.last_scanned))
        .execute(&mut *transaction)
        .await
        .map_err(StoreError::doing(operation))?;
        let subject = &row.subject;
        let names = subject.references.iter().chain([&subject.name, &new.subject.name]);
        let names = names.map(|name| name_alias(name));
        for alias in digests(subject).map(ToString::to_string).chain(names) {
            sqlx::query("INSERT INTO image_aliases (alias, image) VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(alias)
                .bind(digest.to_string())
                .execute(&mut *transaction)
                .await
                .map_err(StoreError::doing(operation))?;
        }
        transaction.commit().await.map_err(StoreError::doing(operation))?;
        Ok(row)
    }

    async fn images_by_digest(&self, digest: &Digest) -> Result<Vec<ImageRow>, StoreError> {
        let rows = sqlx::query(
            "SELECT images.* FROM image_aliases JOIN images ON images.digest = image_aliases.image
             WHERE image_aliases.alias = ?
             ORDER BY images.taken_here DESC, images.last_scanned DESC, images.digest LIMIT ?",
        )
        .bind(digest.to_string())
        .bind(MAX_SHARING)
        .fetch_all(&self.reader)
        .await
        .map_err(StoreError::doing("read images"))?;
        rows.iter().map(image).collect()
    }

    async fn images(
        &self,
        name: Option<&str>,
        after: Option<&Digest>,
        limit: u32,
    ) -> Result<Vec<ImageRow>, StoreError> {
        let after = after.map(ToString::to_string).unwrap_or_default();
        let query = match name {
            Some(name) => sqlx::query(
                "SELECT images.* FROM image_aliases JOIN images ON images.digest = image_aliases.image
                 WHERE image_aliases.alias = ? AND images.digest > ? ORDER BY images.digest LIMIT ?",
            )
            .bind(name_alias(name)),
            None => sqlx::query("SELECT * FROM images WHERE digest > ? ORDER BY digest LIMIT ?"),
        };
        let rows = query
            .bind(after)
            .bind(limit)
            .fetch_all(&self.reader)
            .await
            .map_err(StoreError::doing("list images"))?;
        rows.iter().map(image).collect()
    }
}
