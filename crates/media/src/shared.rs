//! What the node's threads share. Locks are held for a look-up, never across I/O.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::events::EventQueue;
use crate::feeding::tap::Tap;
use crate::file_sink::FileSink;
use crate::outlets::hls::request::SessionKey;
use crate::outlets::hls::session::HlsSession;
use crate::ports::PortAllocator;
use crate::recording::{Disks, Recorder};
use crate::settings::{EVENTS_MAX, Settings, TICKETS_PER_MINUTE_MAX};
use crate::ticket::{EXPECTED_MAX, ExpectedPlayers, TicketBook, Verifier};

/// Which reactor owns a stream, and its port.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// Index of the reactor.
    pub reactor: usize,
    /// RTP port.
    pub port: u16,
    /// Whether `connect_receiver` may be called.
    pub is_active: bool,
}

/// State shared by the control thread and the reactors.
pub struct Shared {
    /// The node's settings.
    pub settings: Settings,
    /// Checks ticket signatures.
    pub verifier: Verifier,
    /// Reports to the control plane.
    pub events: EventQueue,
    /// Rare events by name; packets and frames are counted by their stream.
    pub counters: Counters,
    /// Connections that have not presented a ticket.
    pub unverified: Slots,
    /// The same at the door of the players.
    pub unverified_players: Slots,
    /// Connections of viewers, and their sessions by HLS.
    pub viewers: Slots,
    /// Connections that carry requests of HLS sessions.
    pub hls_connections: Slots,
    /// The disks recordings lie on.
    pub disks: Disks,
    tickets: Mutex<TicketBook>,
    expected_players: Mutex<ExpectedPlayers>,
    owners: Mutex<HashMap<String, Owner>>,
    ports: Mutex<PortAllocator>,
    sinks: Mutex<HashMap<String, Arc<FileSink>>>,
    recorders: Mutex<HashMap<String, Arc<Recorder>>>,
    senders: Mutex<HashMap<String, String>>,
    taps: Mutex<HashMap<String, Arc<Tap>>>,
    talks: Mutex<HashMap<String, Owner>>,
    hls_sessions: Mutex<HashMap<SessionKey, Arc<HlsSession>>>,
}

impl Shared {
    /// The state of a node that has done nothing yet.
    pub fn new(settings: Settings, verifier: Verifier) -> std::io::Result<Shared> {
        let ports = PortAllocator::new(
            settings.rtp_port_min,
            settings.rtp_port_max,
            settings.port_quarantine,
        );
        Ok(Shared {
            verifier,
            events: EventQueue::new(EVENTS_MAX)?,
            counters: Counters::default(),
            unverified: Slots::default(),
            unverified_players: Slots::default(),
            viewers: Slots::default(),
            hls_connections: Slots::default(),
            disks: Disks::default(),
            tickets: Mutex::new(TicketBook::new(TICKETS_PER_MINUTE_MAX)),
            expected_players: Mutex::new(ExpectedPlayers::new(EXPECTED_MAX)),
            owners: Mutex::new(HashMap::new()),
            ports: Mutex::new(ports),
            sinks: Mutex::default(),
            recorders: Mutex::default(),
            senders: Mutex::default(),
            taps: Mutex::default(),
            talks: Mutex::default(),
            hls_sessions: Mutex::default(),
            settings,
        })
    }

    /// The tickets used and cut.
    pub fn tickets(&self) -> MutexGuard<'_, TicketBook> {
        lock(&self.tickets)
    }

    /// Tickets deposited for players that sign in.
    pub fn expected_players(&self) -> MutexGuard<'_, ExpectedPlayers> {
        lock(&self.expected_players)
    }

    /// Streams and the reactors that own them.
    pub fn owners(&self) -> MutexGuard<'_, HashMap<String, Owner>> {
        lock(&self.owners)
    }

    /// Receivers' ports.
    pub fn ports(&self) -> MutexGuard<'_, PortAllocator> {
        lock(&self.ports)
    }

    /// Senders and their streams.
    pub fn senders(&self) -> MutexGuard<'_, HashMap<String, String>> {
        lock(&self.senders)
    }

    /// Streams' ways out to programs beside the server.
    pub fn taps(&self) -> MutexGuard<'_, HashMap<String, Arc<Tap>>> {
        lock(&self.taps)
    }

    /// Talks and the reactors that own them.
    pub fn talks(&self) -> MutexGuard<'_, HashMap<String, Owner>> {
        lock(&self.talks)
    }

    /// Sessions by HLS.
    pub fn hls_sessions(&self) -> MutexGuard<'_, HashMap<SessionKey, Arc<HlsSession>>> {
        lock(&self.hls_sessions)
    }

    /// Files being written.
    pub fn sinks(&self) -> MutexGuard<'_, HashMap<String, Arc<FileSink>>> {
        lock(&self.sinks)
    }

    /// Recorders at work.
    pub fn recorders(&self) -> MutexGuard<'_, HashMap<String, Arc<Recorder>>> {
        lock(&self.recorders)
    }

    /// A recorder has ended.
    pub fn forget_recorder(&self, recorder_id: &str) {
        self.recorders().remove(recorder_id);
    }

    /// The stream is gone: forget its owner, let its port rest.
    pub fn forget_stream(&self, stream_id: &str) {
        let owner = self.owners().remove(stream_id);
        // Streams that we ask for by URL hold no port of their own.
        if let Some(owner) = owner.filter(|owner| owner.port != 0) {
            self.ports().release(Instant::now(), owner.port);
        }
    }
}

/// A panic while a lock was held leaves plain values behind, which are still whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Named counters of rare events.
#[derive(Debug, Default)]
pub struct Counters {
    values: Mutex<BTreeMap<String, u64>>,
}

impl Counters {
    /// Count one more of `name`. Names are words of the program, never of the network, so their number is bounded.
    pub fn count(&self, name: &str) {
        self.add(name, 1);
    }

    /// Count `amount` more of `name`.
    pub fn add(&self, name: &str, amount: u64) {
        let mut values = lock(&self.values);
        match values.get_mut(name) {
            Some(value) => *value += amount,
            None => {
                values.insert(name.to_owned(), amount);
            }
        }
    }

    /// All counters.
    pub fn snapshot(&self) -> BTreeMap<String, u64> {
        lock(&self.values).clone()
    }
}

/// A bounded number of places.
#[derive(Clone, Debug, Default)]
pub struct Slots {
    taken: Arc<AtomicUsize>,
}

/// One taken place; dropping it frees the place.
#[derive(Debug)]
pub struct Slot {
    taken: Arc<AtomicUsize>,
}

impl Slots {
    /// Take a place unless `limit` are taken.
    pub fn take(&self, limit: usize) -> Option<Slot> {
        let taken = &self.taken;
        let grown = |count| (count < limit).then_some(count + 1);
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown)
            .ok()?;
        Some(Slot {
            taken: Arc::clone(taken),
        })
    }

    /// Places taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_and_come_back() {
        let slots = Slots::default();
        let first = slots.take(1);
        assert!(first.is_some() && slots.take(1).is_none());
        drop(first);
        assert_eq!(slots.taken(), 0);
        assert!(slots.take(1).is_some());
    }

    #[test]
    fn counters_add_up_by_name() {
        let counters = Counters::default();
        counters.count("a");
        counters.add("a", 2);
        assert_eq!(counters.snapshot(), BTreeMap::from([("a".to_owned(), 3)]));
    }
}
