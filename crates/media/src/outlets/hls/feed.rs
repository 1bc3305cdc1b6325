//! The stream's side: pictures into the ring while somebody reads, and the books of who does.

use std::sync::Arc;

use super::cadence::Cadence;
use super::output::HlsOutput;
use super::request::SessionKey;
use super::session::HlsSession;
use crate::access_unit::AccessUnit;
use crate::cache::KeyFrameCache;
use crate::connection::EndReason;
use crate::events::{Event, unix_us};
use crate::parameters::VideoParameters;
use crate::shared::Shared;
use crate::ticket::Ticket;

/// What a stream has while it is read by HLS, and not longer.
pub struct HlsFeed {
    output: Arc<HlsOutput>,
    sessions: Vec<Arc<HlsSession>>,
    shared: Arc<Shared>,
    /// The rate of the pictures is not known yet.
    is_untimed: bool,
    ended_bytes: u64,
}

impl HlsFeed {
    /// A feed that begins with what is cached.
    pub fn new(
        shared: Arc<Shared>,
        cache: &KeyFrameCache,
        parameters: Option<&Arc<VideoParameters>>,
        now_us: u64,
    ) -> HlsFeed {
        let cached: Vec<_> = cache.units().collect();
        let picture = match &cached[..] {
            [first, .., last] => Some((last.dts - first.dts) / (cached.len() as i64 - 1)),
            [one] => Some(i64::from(one.duration)),
            [] => None,
        };
        let cadence = Cadence::of(picture, cache.group_ticks());
        let output = HlsOutput::new(cadence, shared.settings.gop_max_bytes);
        let mut feed = HlsFeed {
            output: Arc::new(output),
            sessions: Vec::new(),
            shared,
            is_untimed: picture.is_none(),
            ended_bytes: 0,
        };
        if let Some(parameters) = parameters {
            let offset_us = unix_us() as i64 - now_us as i64;
            let mut ring = feed.output.ring();
            for unit in &cached {
                ring.push(unit, parameters, unit.received_us as i64 + offset_us);
            }
            ring.finish_first();
            drop(ring);
            feed.is_untimed &= cached.is_empty();
        }
        feed
    }

    /// What is written and read.
    pub fn output(&self) -> &Arc<HlsOutput> {
        &self.output
    }

    /// A viewing begins.
    pub fn join(&mut self, session: HlsSession) -> Arc<HlsSession> {
        let session = Arc::new(session);
        self.shared
            .hls_sessions()
            .insert(session.key, Arc::clone(&session));
        self.sessions.push(Arc::clone(&session));
        session
    }

    /// Take a picture.
    pub fn picture(&mut self, unit: &AccessUnit, parameters: &Arc<VideoParameters>, now_us: u64) {
        let arrived_us = unix_us() as i64 - now_us as i64 + unit.received_us as i64;
        let mut ring = self.output.ring();
        if self.is_untimed && unit.is_key_frame {
            self.is_untimed = false;
            ring.retime(Cadence::of(Some(i64::from(unit.duration)), None));
        }
        let mut is_new = ring.push(unit, parameters, arrived_us);
        if is_new && !ring.has_begun() {
            // Clients take no playlist without a whole segment: the first one is short, so that nobody waits for a group.
            ring.finish_first();
            is_new = true;
        }
        drop(ring);
        if is_new {
            self.output.announce();
        }
    }

    /// End the sessions `why` gives a reason for, and tell what came of them.
    pub fn end(&mut self, why: impl Fn(&HlsSession) -> Option<EndReason>) -> Vec<Event> {
        let mut events = Vec::new();
        self.sessions.retain(|session| {
            let Some(reason) = why(session) else {
                return true;
            };
            self.shared.hls_sessions().remove(&session.key);
            self.ended_bytes += session.bytes_sent();
            events.push(session.end(reason));
            false
        });
        events
    }

    /// End those whose ticket `is_meant` says.
    pub fn cut(&mut self, is_meant: impl Fn(&Ticket) -> bool, reason: EndReason) -> Vec<Event> {
        self.end(|session| is_meant(&session.ticket).then_some(reason))
    }

    /// Whether nobody reads.
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Viewings now.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// Bytes that left.
    pub fn bytes_sent(&self) -> u64 {
        let now: u64 = self.sessions.iter().map(|one| one.bytes_sent()).sum();
        self.ended_bytes + now
    }
}

/// A key nobody can guess; none when the system gives no randomness.
pub fn new_key() -> Option<SessionKey> {
    let mut key = [0; 16];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut key).ok()?;
    Some(key)
}
