//! What of `NO_PROXY` the HTTP library does not read itself: entries with a port.
//!
//! Names, addresses, subnets and `*` are matched by the library. Other clients (curl, and whatever is written in Go) also
//! take `HOST:PORT`, `ADDRESS:PORT` and `[ADDRESS]:PORT`, which hold for that port alone.

use std::net::IpAddr;

/// The list of the environment.
pub(crate) fn exemptions() -> String {
    std::env::var("NO_PROXY").or_else(|_| std::env::var("no_proxy")).unwrap_or_default()
}

/// Whether an entry of the list names this host with this port.
pub(crate) fn is_exempt(list: &str, host: &str, port: u16) -> bool {
    let host = bare(host).to_ascii_lowercase();
    list.split(',').map(str::trim).any(|entry| {
        let Some((name, of_port)) = entry.rsplit_once(':') else { return false };
        let bracketed = name.starts_with('[') && name.ends_with(']');
        // An IPv6 address without brackets has no port.
        if of_port.parse() != Ok(port) || (name.contains(':') && !bracketed) {
            return false;
        }
        let name = bare(name).to_ascii_lowercase();
        match (name.parse::<IpAddr>(), host.parse::<IpAddr>()) {
            (Ok(name), Ok(host)) => name == host,
            (Err(_), Err(_)) => is_below(&host, name.trim_start_matches("*.").trim_start_matches('.')),
            _ => false,
        }
    })
}

fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn is_below(host: &str, domain: &str) -> bool {
    !domain.is_empty()
        && host.strip_suffix(domain).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_with_a_port_hold_for_that_port() {
        let list =
            "other.example, registry.example:5000,.inside.example:443 ,10.0.0.1:5000,[fd00::1]:5000,fd00::2";
        for (host, port, expected) in [
            ("registry.example", 5000, true),
            ("REGISTRY.example", 5000, true),
            ("a.registry.example", 5000, true),
            ("notregistry.example", 5000, false),
            ("registry.example", 443, false),
            ("a.inside.example", 443, true),
            ("inside.example", 443, true),
            ("10.0.0.1", 5000, true),
            ("10.0.0.1", 5001, false),
            ("[fd00::1]", 5000, true),
            ("[fd00::2]", 2, false),
            // Those without a port are for the library.
            ("other.example", 443, false),
        ] {
            assert_eq!(is_exempt(list, host, port), expected, "{host}:{port}");
        }
        assert!(!is_exempt("", "registry.example", 5000));
        assert!(!is_exempt(":5000", "registry.example", 5000));
    }
}
