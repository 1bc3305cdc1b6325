//! One viewing by HLS: many requests under one ticket, held together by a key.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use super::output::HlsOutput;
use super::request::SessionKey;
use crate::connection::EndReason;
use crate::events::{Event, Value, text};
use crate::shared::Slot;
use crate::ticket::{Protocol, Ticket};

/// A client that asks for nothing this long has gone: HLS knows no goodbye.
const IDLE_US: u64 = 30_000_000;
/// Requests of one session at once; players have two or three under way.
const REQUESTS_MAX: usize = 12;

/// One viewing.
pub struct HlsSession {
    /// What it presented.
    pub ticket: Ticket,
    /// Stands for the ticket in its URLs.
    pub key: SessionKey,
    /// The reactor of its stream.
    pub reactor: usize,
    /// What it reads.
    pub output: Arc<HlsOutput>,
    /// Wakes requests under way when the session ends.
    pub ending: Notify,
    peer: SocketAddr,
    joined_us: u64,
    end_us: u64,
    asked_us: AtomicU64,
    requests: AtomicUsize,
    bytes_sent: AtomicU64,
    pictures: AtomicU64,
    has_begun: AtomicBool,
    has_ended: AtomicBool,
    place: Mutex<Option<Slot>>,
}

/// A request under way; dropping it tells the session that it is answered.
pub struct Asking<'a> {
    session: &'a HlsSession,
}

impl HlsSession {
    /// A viewing that begins now and must be over at `end_us`.
    pub fn new(
        ticket: Ticket,
        (key, reactor): (SessionKey, usize),
        output: Arc<HlsOutput>,
        peer: SocketAddr,
        (now_us, end_us): (u64, u64),
        place: Slot,
    ) -> HlsSession {
        HlsSession {
            ticket,
            key,
            reactor,
            output,
            ending: Notify::new(),
            peer,
            joined_us: now_us,
            end_us,
            asked_us: AtomicU64::new(now_us),
            requests: AtomicUsize::new(0),
            bytes_sent: AtomicU64::new(0),
            pictures: AtomicU64::new(0),
            has_begun: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            place: Mutex::new(Some(place)),
        }
    }

    /// A request arrives; none when there are too many at once.
    pub fn ask(&self, now_us: u64) -> Option<Asking<'_>> {
        let under_way = self.requests.fetch_add(1, Ordering::Relaxed);
        let asking = Asking { session: self };
        self.asked_us.fetch_max(now_us, Ordering::Relaxed);
        (under_way < REQUESTS_MAX).then_some(asking)
    }

    /// Bytes of a response left.
    pub fn sent(&self, bytes: usize, now_us: u64) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
        self.asked_us.fetch_max(now_us, Ordering::Relaxed);
    }

    /// A whole part or segment left. Returns the event of the first one.
    pub fn delivered(&self, pictures: usize, now_us: u64) -> Option<Event> {
        self.pictures.fetch_add(pictures as u64, Ordering::Relaxed);
        if self.has_begun.swap(true, Ordering::Relaxed) {
            return None;
        }
        let elapsed_us = now_us.saturating_sub(self.joined_us);
        let fields = vec![
            ("stream_id", text(&*self.ticket.stream_id)),
            ("access_id", text(&*self.ticket.access_id)),
            ("elapsed_ms", Value::Real(elapsed_us as f64 / 1000.0)),
        ];
        Some(Event::notice("ViewerFirstBytes", fields))
    }

    /// Whether it is over: nothing more may leave.
    pub fn has_ended(&self, now_us: u64) -> bool {
        now_us >= self.end_us || self.has_ended.load(Ordering::Acquire)
    }

    /// Why it must end now, if it must. It waits for media no longer than `media_wait_us`, at the earliest since `since_us`.
    pub fn overdue(&self, now_us: u64, since_us: u64, media_wait_us: u64) -> Option<EndReason> {
        let asked_us = self.asked_us.load(Ordering::Relaxed);
        let is_idle = self.requests.load(Ordering::Relaxed) == 0
            && now_us.saturating_sub(asked_us) >= IDLE_US;
        let waited_us = now_us.saturating_sub(self.joined_us.max(since_us));
        if now_us >= self.end_us {
            Some(EndReason::GrantEnded)
        } else if is_idle {
            Some(EndReason::ViewerClosed)
        } else if waited_us >= media_wait_us && !self.output.ring().has_begun() {
            Some(EndReason::NoMedia)
        } else {
            None
        }
    }

    /// Microseconds it still has.
    pub fn left_us(&self, now_us: u64) -> u64 {
        self.end_us.saturating_sub(now_us)
    }

    /// It is over: its requests under way end, its place is free.
    pub fn end(&self, reason: EndReason) -> Event {
        self.has_ended.store(true, Ordering::Release);
        drop(
            self.place
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        self.ending.notify_waiters();
        self.output.changed.notify_waiters();
        let fields = vec![
            ("stream_id", text(&*self.ticket.stream_id)),
            ("access_id", text(&*self.ticket.access_id)),
            ("grant_id", text(&*self.ticket.grant_id)),
            ("reason", text(reason.word())),
            ("bytes_sent", Value::Number(self.bytes_sent())),
            (
                "fragments",
                Value::Number(self.pictures.load(Ordering::Relaxed)),
            ),
            ("drops", Value::Number(0)),
        ];
        Event::lifecycle("ViewerLeft", fields)
    }

    /// Bytes that left.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }

    /// The event of its coming.
    pub fn joined_event(&self) -> Event {
        let fields = vec![
            ("stream_id", text(&*self.ticket.stream_id)),
            ("access_id", text(&*self.ticket.access_id)),
            ("grant_id", text(&*self.ticket.grant_id)),
            ("protocol", text(Protocol::Hls.word())),
            ("peer", text(self.peer.to_string())),
        ];
        Event::lifecycle("ViewerJoined", fields)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.session.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outlets::hls::cadence::Cadence;
    use crate::shared::Slots;

    const HOUR_US: u64 = 3_600_000_000;
    const NO_WAIT_US: u64 = u64::MAX;

    fn session(places: &Slots) -> HlsSession {
        let ticket = Ticket {
            stream_id: "s1".into(),
            access_id: "a1".into(),
            grant_id: "g1".into(),
            protocol: Protocol::Hls,
            start_by_ms: 0,
            end_by_ms: 0,
            nonce: [0; 16],
            peers: None,
        };
        let output = Arc::new(HlsOutput::new(Cadence::of(None, None), 1 << 20));
        let peer = "192.0.2.1:5000".parse().unwrap();
        let place = places.take(1).unwrap();
        HlsSession::new(ticket, ([1; 16], 0), output, peer, (0, HOUR_US), place)
    }

    #[test]
    fn who_asks_for_nothing_for_half_a_minute_has_left() {
        let session = session(&Slots::default());
        drop(session.ask(1_000_000));
        assert_eq!(session.overdue(30_999_999, 0, NO_WAIT_US), None);
        let left = Some(EndReason::ViewerClosed);
        assert_eq!(session.overdue(31_000_000, 0, NO_WAIT_US), left);
        let asking = session.ask(31_000_000);
        assert_eq!(
            session.overdue(90_000_000, 0, NO_WAIT_US),
            None,
            "one waits"
        );
        drop(asking);
        assert_eq!(session.overdue(90_000_000, 0, NO_WAIT_US), left);
        session.sent(1, 90_000_000);
        assert_eq!(session.overdue(119_999_999, 0, NO_WAIT_US), None);
    }

    #[test]
    fn its_end_and_the_lack_of_media_end_it() {
        let session = session(&Slots::default());
        let _asking = session.ask(0);
        let ended = Some(EndReason::GrantEnded);
        assert_eq!(session.overdue(HOUR_US, 0, NO_WAIT_US), ended);
        assert!(session.has_ended(HOUR_US) && !session.has_ended(HOUR_US - 1));
        assert_eq!(session.left_us(HOUR_US - 1), 1);
        let in_vain = Some(EndReason::NoMedia);
        assert_eq!(session.overdue(20_000_000, 0, 20_000_000), in_vain);
        assert_eq!(
            session.overdue(20_000_000, 1, 20_000_000),
            None,
            "it was paused"
        );
    }

    #[test]
    fn requests_at_once_are_bounded_and_its_place_comes_back() {
        let places = Slots::default();
        let session = session(&places);
        let asking: Vec<_> = (0..REQUESTS_MAX).map(|_| session.ask(0)).collect();
        assert!(asking.iter().all(Option::is_some));
        assert!(session.ask(0).is_none());
        drop(asking);
        assert!(session.ask(0).is_some());
        session.end(EndReason::AccessCut);
        assert_eq!((places.taken(), session.has_ended(0)), (0, true));
    }
}
