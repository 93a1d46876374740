//! How far into networks that are not public a request may lead: no further than the server that was asked for itself.
//!
//! A server that is hostile, or whose name is, can answer with a redirect to `169.254.169.254` or to a name that leads
//! there. The addresses of a name are therefore checked when it is resolved, and the connection goes to the addresses that
//! were checked: there is no second look-up that could say something else.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolving};

/// Gives the addresses of a host name. Passed in, so that tests need no name server.
pub type Lookup = fn(&str) -> io::Result<Vec<IpAddr>>;

/// Asks the system.
pub(crate) fn system_lookup(host: &str) -> io::Result<Vec<IpAddr>> {
    Ok((host, 0).to_socket_addrs()?.map(|address| address.ip()).collect())
}

/// Which addresses may be contacted; each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// Addresses of the public internet.
    Public,
    /// Those of private networks: RFC 1918, RFC 6598 (shared), RFC 4193 (unique local); and those for documentation and
    /// benchmarks (RFC 5737, RFC 2544), which closed networks give to servers of their own.
    Private,
    /// This machine.
    Loopback,
}

impl Reach {
    /// What is needed to contact an address; `None` for addresses that no redirect has a reason to name: link-local (where
    /// clouds keep their instance metadata), unspecified, multicast and reserved addresses.
    pub(crate) fn needed(address: IpAddr) -> Option<Self> {
        match address {
            IpAddr::V4(address) => Self::needed_v4(address),
            IpAddr::V6(address) => Self::needed_v6(address),
        }
    }

    fn needed_v4(address: Ipv4Addr) -> Option<Self> {
        match address.octets() {
            [127, ..] => Some(Self::Loopback),
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Self::Private),
            [0 | 224..=255, ..] | [169, 254, ..] => None,
            [192, 0, 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => Some(Self::Private),
            [192, 0, 0, _] => None,
            _ => Some(Self::Public),
        }
    }

    fn needed_v6(address: Ipv6Addr) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = address.segments();
        let v4 = |high: u16, low: u16| {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Self::needed_v4(Ipv4Addr::new(a, b, c, d))
        };
        match (a, b) {
            _ if address.is_loopback() => Some(Self::Loopback),
            // An IPv4 address in another dress: mapped, compatible, translated (RFC 6052), 6to4.
            (0, 0) if (c, d, e) == (0, 0, 0) && (f == 0xffff || (f == 0 && g != 0)) => v4(g, h),
            (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => v4(g, h),
            (0x2002, _) => v4(b, c),
            (0x2001, 0xdb8 | 0) => None,
            (0x2000..=0x3fff, _) => Some(Self::Public),
            (0xfc00..=0xfdff, _) => Some(Self::Private),
            _ => None,
        }
    }

    /// Whether an address may be contacted.
    pub(crate) fn allows(self, address: IpAddr) -> bool {
        Self::needed(address).is_some_and(|needed| needed <= self)
    }

    /// What a server at these addresses may lead to: no more than the most public of them.
    pub(crate) fn of(addresses: &[IpAddr]) -> Self {
        addresses.iter().filter_map(|address| Self::needed(*address)).min().unwrap_or(Self::Public)
    }
}

/// A name has no address that may be contacted.
#[derive(Debug, thiserror::Error)]
#[error("it leads to {address}, {INTERNAL}")]
struct Forbidden {
    address: IpAddr,
}

/// Said of addresses that are refused.
pub(crate) const INTERNAL: &str = "which is not a public address";

/// Resolves names and lets only addresses within reach through.
#[derive(Debug)]
pub(crate) struct Resolver {
    pub(crate) reach: Reach,
    pub(crate) lookup: Lookup,
    /// Proxies, which the environment names, may be anywhere; what they contact is theirs to check.
    pub(crate) proxies: Arc<BTreeSet<String>>,
}

impl reqwest::dns::Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, lookup) = (self.reach, self.lookup);
        let name = name.as_str().to_ascii_lowercase();
        let free = self.proxies.contains(&name);
        Box::pin(async move {
            let found = tokio::task::spawn_blocking(move || lookup(&name)).await??;
            let allowed: Vec<SocketAddr> = found
                .iter()
                .filter(|address| free || reach.allows(**address))
                .map(|address| SocketAddr::new(*address, 0))
                .collect();
            match (allowed.is_empty(), found.first()) {
                (true, Some(address)) => Err(Forbidden { address: *address }.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// The hosts of the proxies that the environment names.
pub(crate) fn proxies() -> BTreeSet<String> {
    ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .filter_map(|value| {
            let address = if value.contains("://") { value } else { format!("http://{value}") };
            Some(reqwest::Url::parse(&address).ok()?.host_str()?.to_ascii_lowercase())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, expected: Option<Reach>) {
        assert_eq!(Reach::needed(address.parse().unwrap()), expected, "{address}");
    }

    #[test]
    fn addresses_are_told_apart_in_every_dress() {
        for address in ["1.1.1.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "::ffff:1.1.1.1"] {
            check(address, Some(Reach::Public));
        }
        for address in [
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "198.18.0.1",
            "192.0.2.1",
            "203.0.113.1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "2002:a00:1::",
        ] {
            check(address, Some(Reach::Private));
        }
        for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            check(address, Some(Reach::Loopback));
        }
        for address in [
            "169.254.169.254",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.1",
            "192.0.0.1",
            "::",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
        ] {
            check(address, None);
        }
    }

    #[test]
    fn a_server_leads_no_further_than_its_most_public_address() {
        let of = |addresses: &[&str]| {
            Reach::of(&addresses.iter().map(|address| address.parse().unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(of(&["127.0.0.1", "::1"]), Reach::Loopback);
        assert_eq!(of(&["127.0.0.1", "10.0.0.1"]), Reach::Private);
        assert_eq!(of(&["127.0.0.1", "1.1.1.1"]), Reach::Public);
        assert_eq!(of(&["169.254.169.254"]), Reach::Public);
        assert_eq!(of(&[]), Reach::Public);
    }
}
