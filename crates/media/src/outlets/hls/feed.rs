//! The stream's side: pictures into the ring while somebody reads, and the books of who does.

use std::sync::Arc;

use super::cadence::Cadence;
use super::output::HlsOutput;
use super::session::HlsSession;
use crate::access_unit::AccessUnit;
use crate::cache::KeyFrameCache;
use crate::connection::EndReason;
use crate::events::{Event, unix_us};
use crate::parameters::VideoParameters;
use crate::shared::Shared;
use crate::sound::{Made, SoundTrack};

/// What a stream has while it is read by HLS, and not longer.
pub struct HlsFeed {
    output: Arc<HlsOutput>,
    sessions: Vec<Arc<HlsSession>>,
    shared: Arc<Shared>,
    /// The rate of the pictures is not known yet.
    is_untimed: bool,
}

impl HlsFeed {
    /// A feed that begins with what is cached.
    pub fn new(
        shared: Arc<Shared>,
        cache: &KeyFrameCache,
        (parameters, heard): (Option<&Arc<VideoParameters>>, Option<&Arc<SoundTrack>>),
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
        let feed = HlsFeed {
            output: Arc::new(output),
            sessions: Vec::new(),
            shared,
            is_untimed: picture.is_none(),
        };
        feed.hear(heard);
        if let Some(parameters) = parameters {
            let offset_us = unix_us() as i64 - now_us as i64;
            let mut ring = feed.output.ring();
            for unit in &cached {
                ring.push(unit, parameters, unit.received_us as i64 + offset_us);
            }
            ring.begin_list();
            drop(ring);
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
        let is_new = ring.push(unit, parameters, arrived_us);
        if is_new && !ring.has_begun() {
            // Clients take no playlist without a whole segment: the first one is short, so that nobody waits for a group.
            ring.begin_list();
        }
        drop(ring);
        if is_new {
            self.output.announce();
        }
    }

    /// What the source's sound is now. Returns whether it is to be made for those who read.
    pub fn hear(&self, track: Option<&Arc<SoundTrack>>) -> bool {
        self.output.ring().hear(track)
    }

    /// Take sound; it is read with the pictures around it.
    pub fn sound(&self, track: &SoundTrack, made: &Made) {
        self.output.ring().push_sound(track, made);
    }

    /// End the sessions `why` gives a reason for: what each was sent, and the event of its leaving.
    pub fn end(&mut self, why: impl Fn(&HlsSession) -> Option<EndReason>) -> Vec<(u64, Event)> {
        let mut ended = Vec::new();
        self.sessions.retain(|session| {
            let Some(reason) = why(session) else {
                return true;
            };
            self.shared.hls_sessions().remove(&session.key);
            ended.push((session.bytes_sent(), session.end(reason)));
            false
        });
        ended
    }

    /// Whether nobody reads.
    pub fn is_idle(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Who reads it.
    pub fn viewings(&self) -> &[Arc<HlsSession>] {
        &self.sessions
    }

    /// Viewings now.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The stream has stalled: what it sent before is not what happens now.
    pub fn forget(&self) {
        self.output.ring().forget();
        self.output.announce();
    }

    /// Counters by name.
    pub fn details(&self) -> Vec<(&'static str, u64)> {
        let ring = self.output.ring();
        vec![
            ("hls_sessions", self.sessions.len() as u64),
            ("hls_ring_bytes", ring.bytes() as u64),
            ("hls_ring_overflows", ring.overflows()),
            ("hls_late_sound", ring.late_sound()),
        ]
    }

    /// Bytes that left to those who still read.
    pub fn bytes_sent(&self) -> u64 {
        self.sessions.iter().map(|one| one.bytes_sent()).sum()
    }
}
