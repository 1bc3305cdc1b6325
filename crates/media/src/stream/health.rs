//! Whether a stream still lives: packets, pictures, and the word for what stays away.

use super::Stream;
use crate::events::{Event, text};

impl Stream {
    pub(super) fn watch_for_stall(&mut self, now_us: u64) {
        if self.is_paused {
            return;
        }
        if self.is_disk_behind() {
            // It is us who do not read on.
            self.resumed_us = now_us;
        }
        let timeout_us = self.shared.settings.media_timeout.as_micros() as u64;
        let is_late = |at: u64| now_us.saturating_sub(at.max(self.resumed_us)) >= timeout_us;
        let packets_since = self.last_packet_us.unwrap_or(self.opened_us);
        // Nobody waits for pictures of a voice.
        let pictures_since = match self.talks.is_empty() {
            true => self.last_picture_us.unwrap_or(self.opened_us),
            false => packets_since,
        };
        let reason = if is_late(packets_since) {
            Some("no_packets")
        } else if is_late(pictures_since) {
            Some(
                self.ingest
                    .no_video_reason()
                    .map_or("no_video", |reason| reason.word()),
            )
        } else {
            None
        };
        match (self.stalled, reason) {
            (None, Some(word)) => {
                self.report_word("StreamStalled", "reason", word);
                if self.last_picture_us.is_some() {
                    // What a new viewer would get is an old picture passing for a live one.
                    self.cache.clear();
                    self.hls.as_ref().inspect(|feed| feed.forget());
                    self.players.forget_group();
                }
            }
            (Some(_), None) => {
                self.report(Event::lifecycle(
                    "StreamResumed",
                    vec![("stream_id", text(&*self.id))],
                ));
            }
            _ => {}
        }
        self.stalled = reason;
    }
}
