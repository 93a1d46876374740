//! Making and revoking tokens, each recorded before it counts; and setting a data directory up.

use std::path::Path;

use hullmark_http::Secret;
use hullmark_ledger::Ledger;
use hullmark_store::{SqliteStore, Store, StoreError, TokenRow};
use hullmark_types::{Actor, Answer, Point, TrailKind};
use jiff::Timestamp;

use crate::auth::{Role, new_token, token_hash};
use crate::serve::LEDGER_ORIGIN;
use crate::state::Environment;
use crate::trail::{self, Trail, TrailError};

/// The longest name of a token, in characters.
const MAX_NAME: usize = 64;

/// A token could not be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name cannot be used.
    #[error("`{0}` is not a name for a token: use 1 to 64 letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// The token would never count.
    #[error("the token would expire at {0}, which is past")]
    Expired(Timestamp),
    /// The store failed, or the name is taken.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The change cannot be recorded.
    #[error(transparent)]
    Trail(#[from] TrailError),
    /// The ledger cannot be opened.
    #[error("cannot open the ledger")]
    Ledger(#[from] hullmark_ledger::LedgerError),
    /// An input or output error.
    #[error("cannot {what}")]
    Io {
        /// What was to be done.
        what: String,
        /// Why it was not.
        source: std::io::Error,
    },
}

/// A token that is to be made.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// From when on it is refused.
    pub expires_at: Option<Timestamp>,
}

/// What tokens are made with and recorded in.
pub struct Desk<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The ledger.
    pub trail: &'a Trail,
    /// Where: the API, or the command on the data directory.
    pub point: Point,
    /// Who makes or revokes.
    pub actor: Actor,
    /// The time.
    pub now: Timestamp,
}

impl Desk<'_> {
    /// Makes a token and gives its secret, which is not kept anywhere.
    ///
    /// # Errors
    /// The name cannot be used or is taken; the change cannot be recorded or stored.
    pub async fn create(
        &self,
        new: &NewToken,
        entropy: &(dyn Fn(&mut [u8]) -> std::io::Result<()> + Send + Sync),
    ) -> Result<(Secret, TokenRow), TokenError> {
        let good = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
        if new.name.is_empty() || new.name.len() > MAX_NAME || !new.name.chars().all(good) {
            return Err(TokenError::Name(new.name.chars().take(MAX_NAME).collect()));
        }
        if let Some(expires) = new.expires_at.filter(|expires| *expires <= self.now) {
            return Err(TokenError::Expired(expires));
        }
        if self.store.tokens().await?.iter().any(|token| token.name == new.name) {
            return Err(StoreError::Taken { what: "a token", name: new.name.clone() }.into());
        }
        let failed = |source| TokenError::Io { what: "draw random bytes".to_owned(), source };
        let secret = new_token(entropy).map_err(failed)?;
        let hash = token_hash(secret.expose())
            .ok_or_else(|| failed(std::io::Error::other("the new token has no digest")))?;
        let row = TokenRow {
            name: new.name.clone(),
            hash,
            role: new.role.name().to_owned(),
            created_by: self.actor.name.clone(),
            created_at: self.now,
            expires_at: new.expires_at,
            revoked_by: None,
            revoked_at: None,
        };
        self.record(&row, format!("token `{}` with role `{}` was made", row.name, row.role)).await?;
        self.store.put_token(&row).await?;
        Ok((secret, row))
    }

    /// Revokes a token; `None` when there is none with the name that counts.
    ///
    /// # Errors
    /// The change cannot be recorded or stored.
    pub async fn revoke(&self, name: &str) -> Result<Option<TokenRow>, TokenError> {
        let tokens = self.store.tokens().await?;
        let Some(row) = tokens.into_iter().find(|token| token.name == name && token.revoked_at.is_none())
        else {
            return Ok(None);
        };
        self.record(&row, format!("token `{}` with role `{}` was revoked", row.name, row.role)).await?;
        Ok(self.store.revoke_token(name, &self.actor.name, self.now).await?)
    }

    async fn record(&self, row: &TokenRow, message: String) -> Result<(), TokenError> {
        let mut record =
            trail::note(TrailKind::Token, self.point, Answer::Noted, message, self.actor.clone(), self.now);
        record.detail.insert("token".to_owned(), row.name.clone());
        record.detail.insert("token_role".to_owned(), row.role.clone());
        if let Some(expires) = row.expires_at {
            record.detail.insert("token_expires".to_owned(), expires.to_string());
        }
        self.trail.record(&record).await?;
        Ok(())
    }
}

/// Makes the data directory, its store and its ledger with a new key, and the first token; gives that token.
///
/// # Errors
/// The directory was set up before, or the disk refuses.
pub async fn initialise(
    directory: &Path,
    name: &str,
    environment: &Environment,
) -> Result<Secret, TokenError> {
    let store_file = directory.join("store.db");
    if store_file.exists() || directory.join("ledger").exists() {
        let source = std::io::Error::new(std::io::ErrorKind::AlreadyExists, "it was set up before");
        return Err(TokenError::Io { what: format!("set `{}` up", directory.display()), source });
    }
    make_private(directory)
        .map_err(|source| TokenError::Io { what: format!("make `{}`", directory.display()), source })?;
    let (store, trail) = open(directory, environment).await?;
    let desk = Desk {
        store: &store,
        trail: &trail,
        point: Point::Server,
        actor: Actor { name: "local".to_owned(), ..Actor::default() },
        now: (environment.clock)(),
    };
    let new = NewToken { name: name.to_owned(), role: Role::Admin, expires_at: None };
    let (secret, _) = desk.create(&new, &*environment.entropy).await?;
    store.close().await;
    Ok(secret)
}

/// Opens store and ledger of a data directory for one change, also beside a server that runs on it.
///
/// # Errors
/// When one of them cannot be opened.
pub async fn open(directory: &Path, environment: &Environment) -> Result<(SqliteStore, Trail), TokenError> {
    let entropy = &environment.entropy;
    let ledger = Ledger::open(&directory.join("ledger"), LEDGER_ORIGIN, &mut |bytes| entropy(bytes))?;
    let trail = Trail::start(ledger)
        .map_err(|source| TokenError::Io { what: "start the writer of the ledger".to_owned(), source })?;
    Ok((SqliteStore::open(&directory.join("store.db")).await?, trail))
}

/// A directory for its owner alone.
fn make_private(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o700))
}

/// Finishes what is under way in a store that [`open`] opened.
pub async fn close(store: &SqliteStore) {
    store.close().await;
}
