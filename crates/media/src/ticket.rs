//! Media tickets: the signed, single-use right to open one stream by one protocol, soon and until a moment.
//!
//! The token is `base64url(payload || HMAC-SHA256(key, payload))` without padding. The payload, big-endian:
//!
//! ```text
//! offset  size  field
//! 0       1     version, 1
//! 1       1     protocol: 1 HTTP, 2 WebSocket, 3 talk (the stream id is that of the talk)
//! 2       8     start_by, milliseconds UTC since 1970
//! 10      8     end_by, milliseconds UTC since 1970
//! 18      16    nonce
//! 34      ...   stream_id, access_id, grant_id: each a length byte (1-128) and as many characters
//! ```
//!
//! `src/commonview/media/tickets.py` is the signing side.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// The longest id a ticket can carry.
pub const ID_MAX: usize = 128;
/// A ticket whose `start_by` lies further ahead than this is refused.
pub const START_WITHIN_MAX_MS: u64 = 60_000;
/// The shortest key a node accepts.
pub const KEY_MIN: usize = 32;

const VERSION: u8 = 1;
const MAC_LEN: usize = 32;
const FIXED_LEN: usize = 34;
const TOKEN_MAX: usize = (FIXED_LEN + 3 * (1 + ID_MAX) + MAC_LEN).div_ceil(3) * 4;

/// The one-time number inside a ticket.
pub type Nonce = [u8; 16];

/// How a viewer reads a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// fMP4 as one endless HTTP/1.1 response.
    Http,
    /// fMP4 as WebSocket messages.
    WebSocket,
    /// Not reading but speaking: G.711 in WebSocket messages to a talk.
    Talk,
}

impl Protocol {
    /// The protocol's word in events.
    pub fn word(self) -> &'static str {
        match self {
            Protocol::Http => "http",
            Protocol::WebSocket => "ws",
            Protocol::Talk => "talk",
        }
    }
}

/// What one viewer may open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// The stream to be read.
    pub stream_id: String,
    /// The access record this viewing is written down in.
    pub access_id: String,
    /// The grant that allows it.
    pub grant_id: String,
    /// The only protocol the ticket is good for.
    pub protocol: Protocol,
    /// Connect before this moment, milliseconds UTC.
    pub start_by_ms: u64,
    /// The viewer is cut at this moment, milliseconds UTC.
    pub end_by_ms: u64,
    /// The one-time number.
    pub nonce: Nonce,
}

/// Why a ticket was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No ticket came with the request.
    Missing,
    /// Not a ticket at all.
    Malformed,
    /// The signature is not ours.
    Forged,
    /// Good for the other protocol.
    WrongProtocol,
    /// Good for another stream than the path names.
    WrongStream,
    /// `start_by` lies too far ahead.
    StartTooFar,
    /// `start_by` has passed.
    Expired,
    /// `end_by` has passed.
    Ended,
    /// Presented before.
    Reused,
    /// Its grant or access was cut.
    Cut,
    /// The node has no such stream.
    StreamUnknown,
    /// Too many used tickets to remember another one.
    Overloaded,
}

impl Refusal {
    /// Every refusal, for counters.
    pub const ALL: [Refusal; 12] = [
        Refusal::Missing,
        Refusal::Malformed,
        Refusal::Forged,
        Refusal::WrongProtocol,
        Refusal::WrongStream,
        Refusal::StartTooFar,
        Refusal::Expired,
        Refusal::Ended,
        Refusal::Reused,
        Refusal::Cut,
        Refusal::StreamUnknown,
        Refusal::Overloaded,
    ];

    /// The stable word of this refusal.
    pub fn word(self) -> &'static str {
        match self {
            Refusal::Missing => "missing",
            Refusal::Malformed => "malformed",
            Refusal::Forged => "forged",
            Refusal::WrongProtocol => "wrong_protocol",
            Refusal::WrongStream => "wrong_stream",
            Refusal::StartTooFar => "start_too_far",
            Refusal::Expired => "expired",
            Refusal::Ended => "ended",
            Refusal::Reused => "reused",
            Refusal::Cut => "cut",
            Refusal::StreamUnknown => "stream_unknown",
            Refusal::Overloaded => "overloaded",
        }
    }
}

/// Whether `id` can stand in a ticket and in a URL path.
pub fn is_valid_id(id: &str) -> bool {
    (1..=ID_MAX).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
}

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
        let ticket = self.authenticate(token)?;
        if ticket.protocol != protocol {
            return Err(Refusal::WrongProtocol);
        }
        if ticket.stream_id != stream_id {
            return Err(Refusal::WrongStream);
        }
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
            VERSION,
            match ticket.protocol {
                Protocol::Http => 1,
                Protocol::WebSocket => 2,
                Protocol::Talk => 3,
            },
        ];
        bytes.extend_from_slice(&ticket.start_by_ms.to_be_bytes());
        bytes.extend_from_slice(&ticket.end_by_ms.to_be_bytes());
        bytes.extend_from_slice(&ticket.nonce);
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

fn parse_payload(payload: &[u8]) -> Option<Ticket> {
    let (fixed, mut rest) = payload.split_at_checked(FIXED_LEN)?;
    if fixed[0] != VERSION {
        return None;
    }
    let protocol = match fixed[1] {
        1 => Protocol::Http,
        2 => Protocol::WebSocket,
        3 => Protocol::Talk,
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
    })
}

/// Remembers things for at least as long as a ticket can be presented, in bounded memory.
///
/// Two generations: entries go into the young one; once a generation is older than any ticket it is dropped whole.
#[derive(Debug)]
struct Remembered<T> {
    young: HashSet<T>,
    old: HashSet<T>,
    rotated_at_ms: u64,
    capacity: usize,
}

impl<T: std::hash::Hash + Eq> Remembered<T> {
    fn new(capacity: usize) -> Self {
        Remembered {
            young: HashSet::new(),
            old: HashSet::new(),
            rotated_at_ms: 0,
            capacity,
        }
    }

    fn rotate(&mut self, now_ms: u64) {
        // One second of slack over the longest life of a ticket.
        const LIFE_MS: u64 = START_WITHIN_MAX_MS + 1_000;
        let age = now_ms.saturating_sub(self.rotated_at_ms);
        if age > 2 * LIFE_MS {
            self.old.clear();
            self.young.clear();
            self.rotated_at_ms = now_ms;
        } else if age > LIFE_MS {
            self.old = std::mem::take(&mut self.young);
            self.rotated_at_ms = now_ms;
        }
    }

    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

/// Which tickets were used and which grants and accesses were cut. Times are milliseconds UTC.
#[derive(Debug)]
pub struct TicketBook {
    nonces: Remembered<Nonce>,
    cut: Remembered<String>,
}

impl TicketBook {
    /// A book that remembers at most `capacity` used tickets a minute.
    pub fn new(capacity: usize) -> TicketBook {
        TicketBook {
            nonces: Remembered::new(capacity),
            cut: Remembered::new(capacity),
        }
    }

    /// Use a verified ticket up. A full book refuses: forgetting would let a ticket be used twice.
    pub fn redeem(&mut self, ticket: &Ticket, now_ms: u64) -> Result<(), Refusal> {
        if self.is_cut(ticket, now_ms) {
            return Err(Refusal::Cut);
        }
        self.nonces.rotate(now_ms);
        if self.nonces.young.contains(&ticket.nonce) || self.nonces.old.contains(&ticket.nonce) {
            return Err(Refusal::Reused);
        }
        if self.nonces.young.len() >= self.nonces.capacity {
            return Err(Refusal::Overloaded);
        }
        self.nonces.young.insert(ticket.nonce);
        Ok(())
    }

    /// Refuse tickets of this grant that are still unused. False when the memory for it is full.
    pub fn cut_grant(&mut self, grant_id: &str, now_ms: u64) -> bool {
        self.cut(format!("grant {grant_id}"), now_ms)
    }

    /// Refuse tickets of this access that are still unused. False when the memory for it is full.
    pub fn cut_access(&mut self, access_id: &str, now_ms: u64) -> bool {
        self.cut(format!("access {access_id}"), now_ms)
    }

    /// Whether the ticket's grant or access was cut.
    pub fn is_cut(&mut self, ticket: &Ticket, now_ms: u64) -> bool {
        self.cut.rotate(now_ms);
        let grant = format!("grant {}", ticket.grant_id);
        let access = format!("access {}", ticket.access_id);
        [grant, access]
            .iter()
            .any(|key| self.cut.young.contains(key) || self.cut.old.contains(key))
    }

    /// How many used tickets are remembered.
    pub fn len(&self) -> usize {
        self.nonces.len()
    }

    /// Whether no used ticket is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn cut(&mut self, key: String, now_ms: u64) -> bool {
        self.cut.rotate(now_ms);
        let room = self.cut.young.len() < self.cut.capacity;
        if room {
            self.cut.young.insert(key);
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_795_000_000_000;

    fn verifier() -> Verifier {
        Verifier::new(&[7; 32]).unwrap()
    }

    fn ticket() -> Ticket {
        Ticket {
            stream_id: "stream-1".into(),
            access_id: "access-1".into(),
            grant_id: "grant-1".into(),
            protocol: Protocol::WebSocket,
            start_by_ms: NOW + 30_000,
            end_by_ms: NOW + 600_000,
            nonce: [9; 16],
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
    fn python_and_rust_agree_on_the_bytes() {
        // The same ticket signed by commonview.media.tickets with the nonce 09 * 16 (tests/media/test_tickets.py).
        let token = verifier().sign(&ticket()).unwrap();
        assert_eq!(token, include_str!("../testdata/ticket.txt").trim_end());
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

    #[test]
    fn a_ticket_is_good_once_and_remembered_as_long_as_it_could_come_again() {
        let mut book = TicketBook::new(10);
        assert_eq!(book.redeem(&ticket(), NOW), Ok(()));
        for later in [0, 30_000, 60_000] {
            assert_eq!(book.redeem(&ticket(), NOW + later), Err(Refusal::Reused));
        }
    }

    #[test]
    fn used_tickets_are_forgotten_after_two_minutes() {
        let mut book = TicketBook::new(10);
        book.redeem(&ticket(), NOW).unwrap();
        book.redeem(
            &Ticket {
                nonce: [1; 16],
                ..ticket()
            },
            NOW + 130_000,
        )
        .unwrap();
        assert_eq!(book.len(), 1);
    }

    #[test]
    fn a_full_book_refuses_instead_of_forgetting() {
        let mut book = TicketBook::new(2);
        for nonce in 0..2 {
            book.redeem(
                &Ticket {
                    nonce: [nonce; 16],
                    ..ticket()
                },
                NOW,
            )
            .unwrap();
        }
        let third = Ticket {
            nonce: [2; 16],
            ..ticket()
        };
        assert_eq!(book.redeem(&third, NOW), Err(Refusal::Overloaded));
        assert_eq!(
            book.redeem(
                &Ticket {
                    nonce: [0; 16],
                    ..ticket()
                },
                NOW
            ),
            Err(Refusal::Reused)
        );
    }

    #[test]
    fn tickets_of_a_cut_grant_or_access_are_refused_before_use() {
        let mut book = TicketBook::new(10);
        assert!(book.cut_grant("grant-1", NOW));
        assert_eq!(book.redeem(&ticket(), NOW + 59_000), Err(Refusal::Cut));
        let other = Ticket {
            grant_id: "grant-2".into(),
            ..ticket()
        };
        assert_eq!(book.redeem(&other, NOW), Ok(()));
        assert!(book.cut_access("access-1", NOW));
        assert!(book.is_cut(&other, NOW));
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
