//! Sound of a stream to those of its viewers who listen.

use std::sync::Arc;

use super::Stream;
use crate::audio::AudioFrame;
use crate::connection::{EndReason, ViewerConnection};
use crate::fmp4::Fragment;
use crate::sound::SoundTrack;
use crate::viewer::Chunk;

impl Stream {
    /// Say what the audio is when that is news, and make it for those who listen, once.
    pub(super) fn sound_out(&mut self, frame: &AudioFrame, now_us: u64) {
        if let Some(codec) = self.sound.notice(frame) {
            for (_, viewer) in &mut self.viewers {
                viewer.queue.announce(codec, now_us);
            }
        }
        let track = self.sound.track();
        let is_read = self.hls.as_ref().is_some_and(|feed| feed.hear(track));
        if !is_read && self.listeners() == 0 {
            return self.sound.rest();
        }
        let mut made = Vec::new();
        self.sound.take(frame, &mut |track, one| {
            made.push((Arc::clone(track), one));
        });
        for (track, one) in made {
            self.fan_sound(&track, &one.fragment, now_us);
            if let Some(feed) = self.hls.as_ref().filter(|_| is_read) {
                feed.sound(&track, &one);
            }
        }
    }

    fn fan_sound(&mut self, track: &SoundTrack, fragment: &Fragment, now_us: u64) {
        let mut written = Vec::new();
        for (key, viewer) in &mut self.viewers {
            if !viewer.queue.is_listening() {
                continue;
            }
            if viewer.has_ended(now_us) {
                written.push((key, Err(EndReason::GrantEnded)));
                continue;
            }
            let chunk = Chunk::sound(fragment, viewer.queue.protocol(), now_us);
            viewer.queue.offer_sound(track, &chunk);
            if !viewer.is_blocked() {
                written.push((key, viewer.flush(now_us)));
            }
        }
        for (key, outcome) in written {
            self.after_flush(key, outcome);
        }
    }

    /// Viewers that listen.
    pub(super) fn listeners(&self) -> usize {
        let listening = |(_, viewer): &(usize, &ViewerConnection)| viewer.queue.is_listening();
        self.viewers.iter().filter(listening).count()
    }
}
