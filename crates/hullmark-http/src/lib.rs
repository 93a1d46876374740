//! One HTTP client: TLS, proxies, retry, timeouts, offline switch, redaction of credentials.
