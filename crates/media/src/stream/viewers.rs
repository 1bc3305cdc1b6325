//! Viewers of a stream: each has a socket and a bounded queue of shared fragments.

use super::Stream;
use crate::access_unit::AccessUnit;
use crate::cache::KeyFrameCache;
use crate::connection::{EndReason, ViewerConnection};
use crate::events::{Event, Value, text};
use crate::parameters::VideoParameters;
use crate::ticket::{Protocol, Ticket};
use crate::viewer::Chunk;

impl Stream {
    /// Take a viewer in; it gets the cached pictures at once. Returns its key.
    pub fn attach(&mut self, mut viewer: ViewerConnection, now_us: u64) -> usize {
        self.report(viewer.joined_event(&self.id));
        if let Some(codec) = self.sound.heard() {
            viewer.queue.announce(codec, now_us);
        }
        viewer.queue.ends_sound_wait(self.sound.track(), now_us);
        if let Some(parameters) = &self.parameters {
            let most = self.shared.settings.viewer_queue_bytes;
            offer_group(&mut viewer, &self.cache, most, parameters, now_us);
        }
        let key = self.viewers.insert(viewer);
        self.flush(key, now_us);
        key
    }

    /// Write what waits for a viewer, as far as its socket takes it.
    pub fn flush(&mut self, key: usize, now_us: u64) {
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        let outcome = viewer.flush(now_us);
        self.after_flush(key, outcome);
    }

    /// The viewer sent bytes (or closed, when there are none).
    pub fn viewer_sent(&mut self, key: usize, bytes: &[u8], now_us: u64) {
        let Some(viewer) = self.viewers.get_mut(key) else {
            return;
        };
        match viewer.receive(bytes, now_us) {
            Ok(()) => self.flush(key, now_us),
            Err(reason) => self.end_viewer(key, reason),
        }
    }

    /// End one viewer and report it.
    pub fn end_viewer(&mut self, key: usize, reason: EndReason) {
        let Some(viewer) = self.viewers.try_remove(key) else {
            return;
        };
        self.viewer_drops += viewer.queue.drops();
        self.viewer_falls += viewer.queue.falls();
        self.viewer_bytes += viewer.queue.bytes_sent();
        let event = viewer.end(reason, &self.id);
        self.report(event);
    }

    /// End every viewer whose ticket `is_meant` says, and return how many.
    pub fn cut(&mut self, is_meant: impl Fn(&Ticket) -> bool, reason: EndReason) -> usize {
        let meant: Vec<usize> = self
            .viewers
            .iter()
            .filter(|(_, viewer)| is_meant(&viewer.ticket))
            .map(|(key, _)| key)
            .collect();
        for &key in &meant {
            self.end_viewer(key, reason);
        }
        let sessions = self.end_hls(|session| is_meant(&session.ticket).then_some(reason));
        meant.len() + sessions
    }

    pub(super) fn fan_out(&mut self, unit: &AccessUnit, now_us: u64) {
        let Some(parameters) = self.parameters.clone() else {
            return;
        };
        let mut websocket = None;
        let mut http = None;
        let (mut http_flv, mut ws_flv) = (None, None);
        let mut failed = Vec::new();
        for (key, viewer) in &mut self.viewers {
            if viewer.has_ended(now_us) {
                // Not one picture more, even if the tick that ends it is still to come.
                failed.push((key, Err(EndReason::GrantEnded)));
                continue;
            }
            if viewer.queue.ends_sound_wait(self.sound.track(), now_us) {
                let most = self.shared.settings.viewer_queue_bytes;
                offer_group(viewer, &self.cache, most, &parameters, now_us);
            }
            let protocol = viewer.queue.protocol();
            let made = match protocol {
                Protocol::WebSocket | Protocol::Talk => &mut websocket,
                Protocol::Http | Protocol::Hls => &mut http,
                Protocol::HttpFlv => &mut http_flv,
                Protocol::WsFlv => &mut ws_flv,
                // Players stand elsewhere.
                Protocol::Rtsp => continue,
            };
            let chunk = made.get_or_insert_with(|| Chunk::picture(unit, protocol, now_us));
            viewer.queue.offer(unit, &parameters, chunk);
            self.fragments += 1;
            // A viewer whose socket is full is written to when it has room again.
            if !viewer.is_blocked()
                && let outcome @ (Err(_) | Ok(Some(_))) = viewer.flush(now_us)
            {
                failed.push((key, outcome));
            }
        }
        for (key, outcome) in failed {
            self.after_flush(key, outcome);
        }
    }

    pub(super) fn after_flush(&mut self, key: usize, outcome: Result<Option<f64>, EndReason>) {
        match outcome {
            Ok(None) => {}
            Ok(Some(elapsed_ms)) => {
                let Some(viewer) = self.viewers.get(key) else {
                    return;
                };
                let fields = vec![
                    ("stream_id", text(&*self.id)),
                    ("access_id", text(&*viewer.ticket.access_id)),
                    ("elapsed_ms", Value::Real(elapsed_ms)),
                ];
                self.report(Event::notice("ViewerFirstBytes", fields));
            }
            Err(reason) => self.end_viewer(key, reason),
        }
    }

    pub(super) fn end_overdue_viewers(&mut self, now_us: u64) {
        // An invitation and the first media may each take the whole time-out.
        let wait_us = 2 * self.shared.settings.media_timeout.as_micros() as u64;
        // Nobody waits in vain for a playback that is paused.
        let since_us = if self.is_paused {
            now_us
        } else {
            self.resumed_us
        };
        let overdue: Vec<_> = self
            .viewers
            .iter()
            .filter_map(|(key, viewer)| {
                let reason = viewer.overdue(now_us, since_us, wait_us)?;
                Some((key, reason))
            })
            .collect();
        for (key, reason) in overdue {
            self.end_viewer(key, reason);
        }
        self.end_hls(|session| session.overdue(now_us, since_us, wait_us));
    }
}

/// Offer the cached pictures. A group that would overflow the queue at once is of no use: the next one is waited for.
fn offer_group(
    viewer: &mut ViewerConnection,
    cache: &KeyFrameCache,
    most_bytes: usize,
    parameters: &VideoParameters,
    now_us: u64,
) {
    if cache.bytes() > most_bytes {
        return;
    }
    let protocol = viewer.queue.protocol();
    for unit in cache.units() {
        let chunk = Chunk::picture(unit, protocol, now_us);
        viewer.queue.offer(unit, parameters, &chunk);
    }
}
