//! From where a ticket may be used: one address, or a network of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network that a viewer must come from; of one address when its prefix is the whole address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peers {
    network: u128,
    prefix: u8,
    is_ipv4: bool,
}

impl Peers {
    /// The network with these leading bits; `None` for a prefix too long, or bits behind it.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Peers> {
        let (network, is_ipv4) = number(address);
        let peers = Peers {
            network,
            prefix,
            is_ipv4,
        };
        let is_one = prefix <= peers.length() && peers.masked(network) == network;
        is_one.then_some(peers)
    }

    /// Whether this address lies in it. An IPv4 address is one, however the socket writes it.
    pub fn admits(&self, address: IpAddr) -> bool {
        let (number, is_ipv4) = number(address.to_canonical());
        is_ipv4 == self.is_ipv4 && self.masked(number) == self.network
    }

    /// As it stands in a ticket: the family, the length of the prefix, the address.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend([if self.is_ipv4 { 4 } else { 6 }, self.prefix]);
        let octets = self.network.to_be_bytes();
        bytes.extend(if self.is_ipv4 {
            &octets[12..]
        } else {
            &octets[..]
        });
    }

    /// Read it back from the front of `bytes`, with what stands behind it.
    pub(super) fn read(bytes: &[u8]) -> Option<(Peers, &[u8])> {
        let (&[family, prefix], rest) = bytes.split_first_chunk()?;
        match family {
            4 => {
                let (octets, rest) = rest.split_first_chunk::<4>()?;
                Some((Peers::new(Ipv4Addr::from(*octets).into(), prefix)?, rest))
            }
            6 => {
                let (octets, rest) = rest.split_first_chunk::<16>()?;
                Some((Peers::new(Ipv6Addr::from(*octets).into(), prefix)?, rest))
            }
            _ => None,
        }
    }

    fn length(&self) -> u8 {
        if self.is_ipv4 { 32 } else { 128 }
    }

    fn masked(&self, number: u128) -> u128 {
        let behind = u32::from(self.length() - self.prefix);
        let shifted = number.checked_shr(behind).unwrap_or(0);
        shifted.checked_shl(behind).unwrap_or(0)
    }
}

fn number(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), true),
        IpAddr::V6(address) => (address.to_bits(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(address: &str, prefix: u8) -> Option<Peers> {
        Peers::new(address.parse().unwrap(), prefix)
    }

    #[test]
    fn an_address_lies_in_its_network_however_it_is_written() {
        let cases = [
            ("192.0.2.7", 32, "192.0.2.7", true),
            ("192.0.2.7", 32, "::ffff:192.0.2.7", true),
            ("192.0.2.7", 32, "192.0.2.6", false),
            ("192.0.2.0", 24, "192.0.2.255", true),
            ("192.0.2.0", 24, "192.0.3.0", false),
            ("0.0.0.0", 0, "203.0.113.9", true),
            ("0.0.0.0", 0, "2001:db8::1", false),
            ("2001:db8::", 32, "2001:db8:1::7", true),
            ("2001:db8::", 32, "2001:db9::", false),
            ("::1", 128, "::1", true),
            ("::", 0, "2001:db8::1", true),
            ("::", 0, "192.0.2.7", false),
        ];
        for (network, prefix, address, is_in) in cases {
            let admits = peers(network, prefix)
                .unwrap()
                .admits(address.parse().unwrap());
            assert_eq!(admits, is_in, "{address} in {network}/{prefix}");
        }
    }

    #[test]
    fn a_network_is_written_in_one_way_only() {
        assert_eq!(peers("192.0.2.7", 24), None);
        assert_eq!(peers("192.0.2.0", 33), None);
        assert_eq!(peers("2001:db8::1", 64), None);
        assert_eq!(peers("::", 129), None);
        for bytes in [
            &[][..],
            &[4, 32, 1, 2, 3],
            &[5, 32, 1, 2, 3, 4],
            &[4, 24, 1, 2, 3, 4],
        ] {
            assert_eq!(Peers::read(bytes), None, "{bytes:?}");
        }
    }
}
