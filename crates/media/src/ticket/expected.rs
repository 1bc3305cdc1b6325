//! Tickets that wait for a player which signs in instead of showing them.
//!
//! A ticket in the query of an RTSP URL would cross the network in clear and stand in every log on the way. So the control
//! plane deposits it here, and the player proves by digest that it knows it: the name is the ticket's nonce in hexadecimal, the
//! password the first 22 characters (132 bits) of its signature in base64url. Both are short, because ffmpeg cuts the user
//! information of a URL off after 127 characters.

use std::collections::HashMap;

use super::{Nonce, Ticket};

/// Players expected at once.
pub const EXPECTED_MAX: usize = 4096;
/// Characters of the signature that make the password.
const PASSWORD_LEN: usize = 22;
/// Characters of a whole signature.
const SIGNATURE_LEN: usize = 43;

/// The tickets deposited and not used yet.
#[derive(Debug)]
pub struct ExpectedPlayers {
    players: HashMap<Nonce, (Ticket, String)>,
    capacity: usize,
}

impl ExpectedPlayers {
    /// A place for `capacity` tickets.
    pub fn new(capacity: usize) -> ExpectedPlayers {
        ExpectedPlayers {
            players: HashMap::new(),
            capacity,
        }
    }

    /// Keep a verified ticket until its `start_by`. False when too many are kept.
    pub fn expect(&mut self, ticket: Ticket, token: &str, now_ms: u64) -> bool {
        if self.players.len() >= self.capacity {
            self.players
                .retain(|_, (ticket, _)| ticket.start_by_ms > now_ms);
        }
        let Some(password) = password(token).filter(|_| self.players.len() < self.capacity) else {
            return false;
        };
        self.players.insert(ticket.nonce, (ticket, password));
        true
    }

    /// The ticket and password of whoever signs in by this name.
    pub fn find(&mut self, name: &str, now_ms: u64) -> Option<(&Ticket, &str)> {
        let nonce = nonce(name)?;
        if self.players.get(&nonce)?.0.start_by_ms <= now_ms {
            self.players.remove(&nonce);
        }
        let (ticket, password) = self.players.get(&nonce)?;
        Some((ticket, password))
    }

    /// The player has come.
    pub fn forget(&mut self, ticket: &Ticket) {
        self.players.remove(&ticket.nonce);
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.players.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.players.is_empty()
    }
}

/// The end of a token is not its signature's own base64url unless the payload's length happens to be a multiple of three: so the
/// signature is encoded anew.
fn password(token: &str) -> Option<String> {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let signature = bytes.len().checked_sub(32).map(|at| &bytes[at..])?;
    let mut text = URL_SAFE_NO_PAD.encode(signature);
    debug_assert_eq!(text.len(), SIGNATURE_LEN);
    text.truncate(PASSWORD_LEN);
    Some(text)
}

fn nonce(name: &str) -> Option<Nonce> {
    let mut nonce = Nonce::default();
    if name.len() != 2 * nonce.len() || !name.is_ascii() {
        return None;
    }
    for (byte, at) in nonce.iter_mut().zip((0..name.len()).step_by(2)) {
        *byte = u8::from_str_radix(name.get(at..at + 2)?, 16).ok()?;
    }
    Some(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ticket::Verifier;
    use crate::ticket::verifier::tests::{NOW, ticket};

    fn numbered(number: u8) -> (Ticket, String) {
        let ticket = Ticket {
            nonce: [number; 16],
            ..ticket()
        };
        let token = Verifier::new(&[7; 32]).unwrap().sign(&ticket).unwrap();
        (ticket, token)
    }

    #[test]
    fn a_ticket_is_found_by_its_nonce_until_it_starts_too_late_or_has_been_used() {
        let mut expected = ExpectedPlayers::new(2);
        let (ticket, token) = numbered(0xab);
        assert!(expected.expect(ticket.clone(), &token, NOW));
        let name = "ab".repeat(16);
        let (found, password) = expected.find(&name, NOW).unwrap();
        assert_eq!((found, password.len()), (&ticket, PASSWORD_LEN));
        for other in [
            "",
            "ab",
            &"ac".repeat(16),
            &"+b".repeat(16),
            &"\u{e9}".repeat(16),
        ] {
            assert!(expected.find(other, NOW).is_none(), "{other}");
        }
        assert!(expected.find(&name, ticket.start_by_ms).is_none());
        assert!(expected.is_empty());
        assert!(expected.expect(ticket.clone(), &token, NOW));
        expected.forget(&ticket);
        assert!(expected.find(&name, NOW).is_none());
    }

    #[test]
    fn too_many_are_refused_until_the_first_have_expired() {
        let mut expected = ExpectedPlayers::new(2);
        for number in 0..2 {
            let (ticket, token) = numbered(number);
            assert!(expected.expect(ticket, &token, NOW));
        }
        let (ticket, token) = numbered(3);
        assert!(!expected.expect(ticket.clone(), &token, NOW));
        assert_eq!(expected.len(), 2);
        assert!(expected.expect(ticket.clone(), &token, ticket.start_by_ms));
        assert_eq!(expected.len(), 1);
    }
}
