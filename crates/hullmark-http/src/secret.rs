//! Credentials that cannot be printed by accident.

use std::fmt;

/// A credential. Printing it gives `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a credential into custody.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The credential itself, to be sent and never shown.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// An address without what may be secret in it: user, password, and the values of its query.
pub fn redact(address: &str) -> String {
    let Ok(mut url) = reqwest::Url::parse(address) else {
        return "an address that does not parse".to_owned();
    };
    // Cannot fail for addresses with a host, and others have no user.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let keys: Vec<String> = url.query_pairs().map(|(key, _)| key.into_owned()).collect();
    url.set_query(None);
    url.set_fragment(None);
    match keys.is_empty() {
        true => url.to_string(),
        false => {
            format!("{url}?{}", keys.iter().map(|key| format!("{key}=***")).collect::<Vec<_>>().join("&"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_credentials() {
        assert_eq!(
            redact("https://user:pass@a.example/b?token=x&y=z#f"),
            "https://a.example/b?token=***&y=***"
        );
        assert_eq!(redact("https://a.example/b"), "https://a.example/b");
        assert_eq!(format!("{:?} {}", Secret::new("x"), Secret::new("x")), "*** ***");
    }
}
