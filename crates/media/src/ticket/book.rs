//! What has been used and what was cut, remembered in bounded memory.

use std::collections::HashSet;
use std::net::IpAddr;

use super::{Nonce, Refusal, START_WITHIN_MAX_MS, Ticket};

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
    pub fn redeem(&mut self, ticket: &Ticket, peer: IpAddr, now_ms: u64) -> Result<(), Refusal> {
        // First: a ticket in wrong hands is not used up for the one it was made for.
        if !ticket.admits(peer) {
            return Err(Refusal::WrongAddress);
        }
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
    use crate::ticket::Peers;
    use std::net::Ipv4Addr;

    const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
    use crate::ticket::verifier::tests::{NOW, ticket};

    #[test]
    fn a_ticket_is_good_once_and_remembered_as_long_as_it_could_come_again() {
        let mut book = TicketBook::new(10);
        assert_eq!(book.redeem(&ticket(), PEER, NOW), Ok(()));
        for later in [0, 30_000, 60_000] {
            assert_eq!(
                book.redeem(&ticket(), PEER, NOW + later),
                Err(Refusal::Reused)
            );
        }
    }

    #[test]
    fn used_tickets_are_forgotten_after_two_minutes() {
        let mut book = TicketBook::new(10);
        book.redeem(&ticket(), PEER, NOW).unwrap();
        book.redeem(
            &Ticket {
                nonce: [1; 16],
                ..ticket()
            },
            PEER,
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
                PEER,
                NOW,
            )
            .unwrap();
        }
        let third = Ticket {
            nonce: [2; 16],
            ..ticket()
        };
        assert_eq!(book.redeem(&third, PEER, NOW), Err(Refusal::Overloaded));
        assert_eq!(
            book.redeem(
                &Ticket {
                    nonce: [0; 16],
                    ..ticket()
                },
                PEER,
                NOW
            ),
            Err(Refusal::Reused)
        );
    }

    #[test]
    fn tickets_of_a_cut_grant_or_access_are_refused_before_use() {
        let mut book = TicketBook::new(10);
        assert!(book.cut_grant("grant-1", NOW));
        assert_eq!(
            book.redeem(&ticket(), PEER, NOW + 59_000),
            Err(Refusal::Cut)
        );
        let other = Ticket {
            grant_id: "grant-2".into(),
            ..ticket()
        };
        assert_eq!(book.redeem(&other, PEER, NOW), Ok(()));
        assert!(book.cut_access("access-1", NOW));
        assert!(book.is_cut(&other, NOW));
    }

    #[test]
    fn a_ticket_in_wrong_hands_stays_good_for_the_right_ones() {
        let mut book = TicketBook::new(10);
        let bound = Ticket {
            peers: Peers::new(PEER, 32),
            ..ticket()
        };
        let stranger = "192.0.2.8".parse().unwrap();
        assert_eq!(
            book.redeem(&bound, stranger, NOW),
            Err(Refusal::WrongAddress)
        );
        assert_eq!(book.redeem(&bound, PEER, NOW), Ok(()));
    }
}
