//! Whom an RTSP session asks, where redirects may lead, and what servers must prove.

use std::net::{IpAddr, SocketAddr};

use crate::rtsp::auth::Credentials;
use crate::rtsp::client::Delivery;
use crate::rtsp::trust::Trust;
use crate::rtsp::url::RtspUrl;

/// An address range that may be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `address/prefix`, or an address alone.
    pub fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = if prefix.is_empty() {
            longest
        } else {
            prefix.parse().ok()?
        };
        (prefix <= longest).then_some(Network { address, prefix })
    }

    /// Whether `ip` lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.address, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                (own.to_bits() ^ ip.to_bits())
                    .checked_shr(32 - prefix)
                    .unwrap_or(0)
                    == 0
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) => {
                (own.to_bits() ^ ip.to_bits())
                    .checked_shr(128 - prefix)
                    .unwrap_or(0)
                    == 0
            }
            _ => false,
        }
    }
}

/// Whom to ask for a stream, and how.
pub struct RtspTarget {
    /// The stream.
    pub url: RtspUrl,
    /// The server: what the host of the URL means.
    pub address: SocketAddr,
    /// Who we are.
    pub credentials: Credentials,
    /// How the media is to come.
    pub delivery: Delivery,
    /// Where redirects may lead.
    pub networks: Vec<Network>,
    /// What a server inside TLS must prove; without it none is asked.
    pub trust: Option<Trust>,
}

impl RtspTarget {
    /// The address of a redirect's host: a name is never looked up, so only the one already known and plain addresses do.
    pub fn resolve(&self, url: &RtspUrl) -> Option<SocketAddr> {
        // What was to come inside TLS does not come without it, and TLS without a proof is none.
        if (self.url.is_tls && !url.is_tls) || (url.is_tls && self.trust.is_none()) {
            return None;
        }
        let ip = if url.host.eq_ignore_ascii_case(&self.url.host) {
            self.address.ip()
        } else {
            url.host.parse().ok()?
        };
        let is_allowed = self.networks.iter().any(|network| network.contains(ip));
        is_allowed.then(|| SocketAddr::new(ip, url.port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_lies_in_them() {
        let holds = |network: &str, ip: &str| {
            Network::parse(network)
                .unwrap()
                .contains(ip.parse().unwrap())
        };
        assert!(holds("10.0.0.0/8", "10.255.1.2") && !holds("10.0.0.0/8", "11.0.0.1"));
        assert!(holds("0.0.0.0/0", "8.8.8.8") && !holds("0.0.0.0/0", "::1"));
        assert!(holds("192.0.2.7", "192.0.2.7") && !holds("192.0.2.7", "192.0.2.8"));
        assert!(holds("fc00::/7", "fd00::1") && !holds("fc00::/7", "fe80::1"));
        assert_eq!(Network::parse("10.0.0.0/33"), None);
    }

    #[test]
    fn redirects_lead_only_to_allowed_addresses_and_never_to_names() {
        let target = RtspTarget {
            url: RtspUrl::parse("rtsp://camera/1").unwrap(),
            address: "10.0.0.9:554".parse().unwrap(),
            credentials: Credentials::default(),
            delivery: Delivery::Tcp,
            networks: vec![Network::parse("10.0.0.0/8").unwrap()],
            trust: None,
        };
        let resolve = |url| target.resolve(&RtspUrl::parse(url).unwrap());
        assert_eq!(
            resolve("rtsp://camera:8554/2"),
            Some("10.0.0.9:8554".parse().unwrap())
        );
        assert_eq!(
            resolve("rtsp://10.1.1.1/2"),
            Some("10.1.1.1:554".parse().unwrap())
        );
        assert_eq!(resolve("rtsp://169.254.169.254/2"), None);
        assert_eq!(resolve("rtsp://elsewhere/2"), None);
    }

    #[test]
    fn a_redirect_never_leaves_tls_and_enters_it_only_with_a_proof() {
        let target = |url, trust| RtspTarget {
            url: RtspUrl::parse(url).unwrap(),
            address: "10.0.0.9:554".parse().unwrap(),
            credentials: Credentials::default(),
            delivery: Delivery::Tcp,
            networks: vec![Network::parse("10.0.0.0/8").unwrap()],
            trust,
        };
        let to = |url| RtspUrl::parse(url).unwrap();
        let trust = Trust::certificate(&"00".repeat(32)).ok();
        let secured = target("rtsps://camera/1", trust.clone());
        assert_eq!(secured.resolve(&to("rtsp://camera/1")), None);
        assert!(secured.resolve(&to("rtsps://camera/2")).is_some());
        let plain = target("rtsp://camera/1", None);
        assert_eq!(plain.resolve(&to("rtsps://camera/1")), None);
        assert!(
            target("rtsp://camera/1", trust)
                .resolve(&to("rtsps://camera/1"))
                .is_some()
        );
    }
}
