//! Who calls: tokens, their roles, and the extractor [`Caller`].
//!
//! A token is `hmk_` and the base64url of 32 random bytes and the first four bytes of their SHA-256, so that a mistyped one
//! is recognised without a look-up. Only its SHA-256 is stored. That is enough: slow hashes such as Argon2 protect passwords
//! that can be guessed, and nobody guesses 256 random bits.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hullmark_http::Secret;
use hullmark_types::{Actor, Digest};
use serde::{Deserialize, Serialize};

use crate::error::ApiError;
use crate::state::Shared;

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Everything.
    Admin,
    /// Policies and exceptions, and all that can be read.
    Security,
    /// Scans, and pulls through the registry gate.
    Ci,
    /// Decisions, events and profiles: agents on nodes.
    Agent,
    /// All that can be read, and pulls through the registry gate.
    Reader,
}

/// A word that is not a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a role: expected admin, security, ci, agent or reader")]
pub struct UnknownRole(pub String);

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Admin, Self::Security, Self::Ci, Self::Agent, Self::Reader];

    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Security => "security",
            Self::Ci => "ci",
            Self::Agent => "agent",
            Self::Reader => "reader",
        }
    }
}

impl std::str::FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// How every token begins.
const PREFIX: &str = "hmk_";

/// Random bytes in a token.
const RANDOM: usize = 32;

/// Makes a token.
///
/// # Errors
/// When the random source fails.
pub fn new_token(
    entropy: &(dyn Fn(&mut [u8]) -> std::io::Result<()> + Send + Sync),
) -> std::io::Result<Secret> {
    let mut bytes = [0; RANDOM];
    entropy(&mut bytes)?;
    let mut all = bytes.to_vec();
    all.extend(check_bytes(&bytes));
    Ok(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(all))))
}

/// The digest under which a token is stored; `None` when the text is no token.
pub fn token_hash(text: &str) -> Option<Digest> {
    let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
    let (random, check) = bytes.split_at_checked(RANDOM)?;
    (check == check_bytes(random)).then(|| Digest::sha256(text.as_bytes()))
}

fn check_bytes(bytes: &[u8]) -> Vec<u8> {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(bytes);
    digest.iter().take(4).copied().collect()
}

/// Who calls, by token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Name of the token.
    pub name: String,
    /// Its role.
    pub role: Role,
}

impl Caller {
    /// Refuses callers of other roles. An admin is never refused.
    ///
    /// # Errors
    /// The caller's role is another one.
    pub fn require(&self, roles: &[Role]) -> Result<(), ApiError> {
        if self.role == Role::Admin || roles.contains(&self.role) {
            return Ok(());
        }
        let detail = format!("the role `{}` of the token `{}` may not do this", self.role.name(), self.name);
        tracing::warn!(token = %self.name, role = self.role.name(), "refused: wrong role");
        Err(ApiError::new(StatusCode::FORBIDDEN, "role-insufficient", detail))
    }

    /// The caller as records name it.
    pub fn actor(&self) -> Actor {
        Actor { name: self.name.clone(), role: Some(self.role.name().to_owned()), claims: None }
    }
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, ApiError> {
        authenticate(shared, &parts.headers).await
    }
}

/// Who may use a route.
pub trait Permission: Send + Sync + 'static {
    /// The roles; an admin always may.
    const ROLES: &'static [Role];
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident => [$($role:ident),*];)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name;

        impl Permission for $name {
            const ROLES: &'static [Role] = &[$(Role::$role),*];
        }
    )*};
}

permissions! {
    /// Tokens.
    Administer => [];
    /// Changes of policies and exceptions.
    Govern => [Security];
    /// Scans.
    Submit => [Ci];
    /// Decisions and events.
    Operate => [Agent];
    /// What is stored.
    Read => [Security, Ci, Reader];
    /// What is stored and agents need.
    ReadProfiles => [Security, Ci, Agent, Reader];
    /// What every token may see.
    Anyone => [Security, Ci, Agent, Reader];
}

/// A caller whose role has the permission `P`. Others are refused before the body of the request is read.
#[derive(Debug)]
pub struct Permitted<P> {
    /// Who calls.
    pub caller: Caller,
    permission: std::marker::PhantomData<P>,
}

impl<P: Permission> FromRequestParts<Shared> for Permitted<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, ApiError> {
        let caller = authenticate(shared, &parts.headers).await?;
        caller.require(P::ROLES)?;
        Ok(Self { caller, permission: std::marker::PhantomData })
    }
}

/// Finds out who calls from the `Authorization` header: `Bearer TOKEN`, or `Basic` with the token as password.
///
/// # Errors
/// There is no token, or it does not count (any more); the store cannot be read.
pub async fn authenticate(shared: &Shared, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let refused = |code, detail: &str| ApiError::new(StatusCode::UNAUTHORIZED, code, detail);
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Err(refused("token-missing", "a token is needed: `Authorization: Bearer TOKEN`"));
    };
    let token = value.to_str().ok().and_then(presented);
    let Some(hash) = token.as_ref().and_then(|token| token_hash(token.expose())) else {
        return Err(refused("token-malformed", "what was presented is not a token of this server"));
    };
    let unknown = || refused("token-unknown", "the token is not known, was revoked or has expired");
    let row = shared.store.token_by_hash(&hash).await?.ok_or_else(unknown)?;
    let expired = row.expires_at.is_some_and(|expires| expires <= shared.now());
    if row.revoked_at.is_some() || expired {
        tracing::warn!(token = %row.name, expired, "refused: the token does not count any more");
        return Err(unknown());
    }
    let role = row.role.parse::<Role>().map_err(ApiError::internal)?;
    Ok(Caller { name: row.name, role })
}

fn presented(value: &str) -> Option<Secret> {
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Secret::new(rest.trim()));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let text = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        return Some(Secret::new(text.split_once(':')?.1));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_carry_a_checksum() {
        let token = new_token(&|bytes| {
            bytes.fill(7);
            Ok(())
        })
        .unwrap();
        let text = token.expose();
        assert!(text.starts_with("hmk_") && text.len() == 52, "{text}");
        assert_eq!(token_hash(text), Some(Digest::sha256(text.as_bytes())));
        let mistyped = text.replacen("Bw", "BW", 1);
        assert_ne!(text, mistyped);
        for bad in [mistyped.as_str(), "", "hmk_", "hmk_AAAA", &text[1..], &format!("{text}A")] {
            assert_eq!(token_hash(bad), None, "{bad}");
        }
    }

    #[test]
    fn bearer_and_basic_are_understood() {
        let expose = |value: &str| presented(value).map(|secret| secret.expose().to_owned());
        assert_eq!(expose("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(expose("bearer  abc").as_deref(), Some("abc"));
        assert_eq!(expose(&format!("Basic {}", STANDARD.encode("user:abc:d"))).as_deref(), Some("abc:d"));
        for bad in ["", "abc", "Digest abc", "Basic !", "Basic YWJj"] {
            assert_eq!(expose(bad), None, "{bad}");
        }
    }
}
