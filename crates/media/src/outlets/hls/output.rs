//! The ring of a stream and those who wait for what comes next in it.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::cadence::Cadence;
use super::playlist;
use super::ring::{Reach, Ring};

/// The ring may hold so many times what the key-frame cache may.
const RING_GROUPS: usize = 4;

/// What the stream writes and the connections of all its clients read, on whatever thread they live.
#[derive(Debug)]
pub struct HlsOutput {
    /// Wakes who waits for the next part.
    pub changed: Notify,
    ring: Mutex<Ring>,
    /// The playlist as it stands, made once for all who ask for it.
    text: Mutex<Option<Bytes>>,
}

/// What came of waiting.
#[derive(Debug)]
pub enum Awaiting<T> {
    /// It is there.
    Here(T),
    /// It is nowhere.
    Nowhere,
    /// It did not come in time.
    Late,
    /// The session has ended.
    Ended,
}

impl HlsOutput {
    /// Nothing yet, in the cadence of a stream whose key-frame cache holds `group_bytes` at most.
    pub fn new(cadence: Cadence, group_bytes: usize) -> HlsOutput {
        HlsOutput {
            changed: Notify::new(),
            ring: Mutex::new(Ring::new(cadence, RING_GROUPS * group_bytes)),
            text: Mutex::default(),
        }
    }

    /// The ring.
    pub fn ring(&self) -> MutexGuard<'_, Ring> {
        lock(&self.ring)
    }

    /// There is something new in the ring.
    pub fn announce(&self) {
        *lock(&self.text) = None;
        self.changed.notify_waiters();
    }

    /// The media playlist.
    pub fn playlist(&self) -> Bytes {
        // The ring first: what is announced afterwards takes this text away again.
        let ring = self.ring();
        let mut text = lock(&self.text);
        text.get_or_insert_with(|| playlist::media(&ring).into())
            .clone()
    }

    /// Look now and after every change, until `until`, or until `has_ended` says that nobody may look any longer.
    pub async fn wait<T>(
        &self,
        until: Instant,
        has_ended: impl Fn() -> bool,
        look: impl Fn(&Ring) -> Reach<T>,
    ) -> Awaiting<T> {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the look: a change right behind it is not missed.
            changed.as_mut().enable();
            if has_ended() {
                return Awaiting::Ended;
            }
            let reach = look(&self.ring());
            match reach {
                Reach::Here(found) => return Awaiting::Here(found),
                Reach::Nowhere => return Awaiting::Nowhere,
                Reach::Awaited => {}
            }
            if timeout_at(until, changed).await.is_err() {
                return Awaiting::Late;
            }
        }
    }
}

/// Values here are whole after a panic as well.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
