//! Signatures: what a token says is looked at only once its signature holds.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{ID_MAX, Peers, Protocol, Refusal, START_WITHIN_MAX_MS, Ticket, is_valid_id};

/// The shortest key a node accepts.
pub const KEY_MIN: usize = 32;

/// Good from anywhere.
const ANYWHERE: u8 = 1;
/// Good from a network it names.
const BOUND: u8 = 2;
const MAC_LEN: usize = 32;
const FIXED_LEN: usize = 34;
/// Family, prefix and an IPv6 address.
const PEERS_MAX: usize = 18;
const TOKEN_MAX: usize = (FIXED_LEN + PEERS_MAX + 3 * (1 + ID_MAX) + MAC_LEN).div_ceil(3) * 4;

/// Checks signatures with one key.
#[derive(Clone)]
pub struct Verifier {
    mac: Hmac<Sha256>,
}

impl Verifier {
    /// A verifier for `key`, or `None` when it is shorter than [`KEY_MIN`].
    pub fn new(key: &[u8]) -> Option<Verifier> {
        if key.len() < KEY_MIN {
            return None;
        }
        let mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
        Some(Verifier { mac })
    }

    /// Decode `token` and check signature, protocol, stream and times. Single use is [`TicketBook`]'s part.
    pub fn verify(
        &self,
        token: &str,
        stream_id: &str,
        protocol: Protocol,
        now_ms: u64,
    ) -> Result<Ticket, Refusal> {
        let ticket = self.open(token, protocol)?;
        if ticket.stream_id != stream_id {
            return Err(Refusal::WrongStream);
        }
        in_time(ticket, now_ms)
    }

    /// As [`Verifier::verify`], for whatever stream the ticket names.
    pub fn verify_any(
        &self,
        token: &str,
        protocol: Protocol,
        now_ms: u64,
    ) -> Result<Ticket, Refusal> {
        in_time(self.open(token, protocol)?, now_ms)
    }

    fn open(&self, token: &str, protocol: Protocol) -> Result<Ticket, Refusal> {
        let ticket = self.authenticate(token)?;
        if ticket.protocol != protocol {
            return Err(Refusal::WrongProtocol);
        }
        Ok(ticket)
    }

    fn authenticate(&self, token: &str) -> Result<Ticket, Refusal> {
        if token.len() > TOKEN_MAX {
            return Err(Refusal::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|_| Refusal::Malformed)?;
        let payload_len = bytes.len().checked_sub(MAC_LEN).ok_or(Refusal::Malformed)?;
        let (payload, signature) = bytes.split_at(payload_len);
        let mut mac = self.mac.clone();
        mac.update(payload);
        // Constant-time comparison, and nothing of the payload is looked at before it holds.
        mac.verify_slice(signature).map_err(|_| Refusal::Forged)?;
        parse_payload(payload).ok_or(Refusal::Malformed)
    }

    /// Sign `ticket`; the counterpart for tests and load generators. `None` when an id does not fit.
    pub fn sign(&self, ticket: &Ticket) -> Option<String> {
        let mut bytes = vec![
            if ticket.peers.is_some() {
                BOUND
            } else {
                ANYWHERE
            },
            match ticket.protocol {
                Protocol::Http => 1,
                Protocol::WebSocket => 2,
                Protocol::Talk => 3,
                Protocol::Rtsp => 4,
                Protocol::Hls => 5,
                Protocol::HttpFlv => 6,
                Protocol::WsFlv => 7,
            },
        ];
        bytes.extend_from_slice(&ticket.start_by_ms.to_be_bytes());
        bytes.extend_from_slice(&ticket.end_by_ms.to_be_bytes());
        bytes.extend_from_slice(&ticket.nonce);
        if let Some(peers) = &ticket.peers {
            peers.write(&mut bytes);
        }
        for id in [&ticket.stream_id, &ticket.access_id, &ticket.grant_id] {
            if !is_valid_id(id) {
                return None;
            }
            bytes.push(u8::try_from(id.len()).ok()?);
            bytes.extend_from_slice(id.as_bytes());
        }
        let mut mac = self.mac.clone();
        mac.update(&bytes);
        bytes.extend_from_slice(&mac.finalize().into_bytes());
        Some(URL_SAFE_NO_PAD.encode(bytes))
    }
}

fn in_time(ticket: Ticket, now_ms: u64) -> Result<Ticket, Refusal> {
    if ticket.start_by_ms <= now_ms {
        return Err(Refusal::Expired);
    }
    if ticket.start_by_ms - now_ms > START_WITHIN_MAX_MS {
        return Err(Refusal::StartTooFar);
    }
    if ticket.end_by_ms <= now_ms {
        return Err(Refusal::Ended);
    }
    Ok(ticket)
}

fn parse_payload(payload: &[u8]) -> Option<Ticket> {
    let (fixed, mut rest) = payload.split_at_checked(FIXED_LEN)?;
    let peers = match fixed[0] {
        ANYWHERE => None,
        BOUND => {
            let (peers, behind) = Peers::read(rest)?;
            rest = behind;
            Some(peers)
        }
        _ => return None,
    };
    let protocol = match fixed[1] {
        1 => Protocol::Http,
        2 => Protocol::WebSocket,
        3 => Protocol::Talk,
        4 => Protocol::Rtsp,
        5 => Protocol::Hls,
        6 => Protocol::HttpFlv,
        7 => Protocol::WsFlv,
        _ => return None,
    };
    let start_by_ms = u64::from_be_bytes(fixed[2..10].try_into().ok()?);
    let end_by_ms = u64::from_be_bytes(fixed[10..18].try_into().ok()?);
    let nonce = fixed[18..34].try_into().ok()?;
    let mut next_id = || {
        let (&len, tail) = rest.split_first()?;
        let (id, tail) = tail.split_at_checked(usize::from(len))?;
        rest = tail;
        let id = std::str::from_utf8(id).ok()?;
        is_valid_id(id).then(|| id.to_owned())
    };
    let (stream_id, access_id, grant_id) = (next_id()?, next_id()?, next_id()?);
    if !rest.is_empty() {
        return None;
    }
    Some(Ticket {
        stream_id,
        access_id,
        grant_id,
        protocol,
        start_by_ms,
        end_by_ms,
        nonce,
        peers,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::ticket) const NOW: u64 = 1_795_000_000_000;

    fn verifier() -> Verifier {
        Verifier::new(&[7; 32]).unwrap()
    }

    pub(in crate::ticket) fn ticket() -> Ticket {
        Ticket {
            stream_id: "stream-1".into(),
            access_id: "access-1".into(),
            grant_id: "grant-1".into(),
            protocol: Protocol::WebSocket,
            start_by_ms: NOW + 30_000,
            end_by_ms: NOW + 600_000,
            nonce: [9; 16],
            peers: None,
        }
    }

    fn verify(ticket: &Ticket) -> Result<Ticket, Refusal> {
        let token = verifier().sign(ticket).unwrap();
        verifier().verify(&token, "stream-1", Protocol::WebSocket, NOW)
    }

    #[test]
    fn a_signed_ticket_is_read_back_whole() {
        assert_eq!(verify(&ticket()), Ok(ticket()));
    }

    #[test]
    fn a_ticket_says_from_where_it_may_be_used() {
        for (network, prefix, near, far) in [
            ("192.0.2.7", 32, "192.0.2.7", "192.0.2.8"),
            ("2001:db8::", 64, "2001:db8::9", "2001:db8:0:1::9"),
        ] {
            let bound = Ticket {
                peers: Peers::new(network.parse().unwrap(), prefix),
                ..ticket()
            };
            let read = verify(&bound).unwrap();
            assert_eq!(read, bound);
            assert!(read.admits(near.parse().unwrap()));
            assert!(!read.admits(far.parse().unwrap()));
            assert!(ticket().admits(far.parse().unwrap()));
        }
    }

    #[test]
    fn python_and_rust_agree_on_the_bytes() {
        // The same ticket signed by commonview.media.tickets with the nonce 09 * 16 (tests/media/test_tickets.py).
        let token = verifier().sign(&ticket()).unwrap();
        assert_eq!(token, include_str!("../../testdata/ticket.txt").trim_end());
        let bound = Ticket {
            peers: Peers::new("192.0.2.7".parse().unwrap(), 32),
            ..ticket()
        };
        let token = verifier().sign(&bound).unwrap();
        let expected = include_str!("../../testdata/ticket_bound.txt");
        assert_eq!(token, expected.trim_end());
    }

    #[test]
    fn a_ticket_is_bound_to_protocol_stream_and_times() {
        assert_eq!(
            verify(&Ticket {
                protocol: Protocol::Http,
                ..ticket()
            }),
            Err(Refusal::WrongProtocol)
        );
        assert_eq!(
            verify(&Ticket {
                stream_id: "stream-2".into(),
                ..ticket()
            }),
            Err(Refusal::WrongStream)
        );
        assert_eq!(
            verify(&Ticket {
                start_by_ms: NOW,
                ..ticket()
            }),
            Err(Refusal::Expired)
        );
        assert_eq!(
            verify(&Ticket {
                start_by_ms: NOW + 60_001,
                ..ticket()
            }),
            Err(Refusal::StartTooFar)
        );
        assert_eq!(
            verify(&Ticket {
                start_by_ms: u64::MAX,
                ..ticket()
            }),
            Err(Refusal::StartTooFar)
        );
        assert_eq!(
            verify(&Ticket {
                end_by_ms: NOW,
                ..ticket()
            }),
            Err(Refusal::Ended)
        );
    }

    #[test]
    fn every_changed_bit_is_refused() {
        let bytes = URL_SAFE_NO_PAD
            .decode(verifier().sign(&ticket()).unwrap())
            .unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let token = URL_SAFE_NO_PAD.encode(changed);
            let verdict = verifier().verify(&token, "stream-1", Protocol::WebSocket, NOW);
            assert_eq!(verdict, Err(Refusal::Forged), "bit {bit}");
        }
    }

    #[test]
    fn a_signed_payload_with_trailing_or_missing_bytes_is_malformed() {
        let bytes = URL_SAFE_NO_PAD
            .decode(verifier().sign(&ticket()).unwrap())
            .unwrap();
        let payload = &bytes[..bytes.len() - MAC_LEN];
        for changed in [
            payload[..payload.len() - 1].to_vec(),
            [payload, b"x"].concat(),
            vec![],
            vec![1; 33],
        ] {
            let mut mac = verifier().mac;
            mac.update(&changed);
            let token =
                URL_SAFE_NO_PAD.encode([&changed[..], &mac.finalize().into_bytes()].concat());
            let verdict = verifier().verify(&token, "stream-1", Protocol::WebSocket, NOW);
            assert_eq!(verdict, Err(Refusal::Malformed));
        }
    }

    proptest! {
        #[test]
        fn no_token_is_ever_taken_for_a_ticket_of_ours(token in "[A-Za-z0-9_-]{0,1400}|.{0,60}") {
            let verdict = verifier().verify(&token, "stream-1", Protocol::WebSocket, NOW);
            prop_assert!(verdict.is_err());
        }

        #[test]
        fn any_payload_is_read_or_refused_and_reads_back(payload in proptest::collection::vec(any::<u8>(), 0..500)) {
            if let Some(ticket) = parse_payload(&payload) {
                let token = verifier().sign(&ticket).unwrap();
                prop_assert_eq!(verifier().authenticate(&token), Ok(ticket));
            }
        }
    }
}
