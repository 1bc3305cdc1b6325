//! Sound of a stream to those who watch it as FLV: as it came, where FLV can carry it.

use super::Stream;
use crate::audio::AudioFrame;
use crate::chunk::{Chunk, ChunkKind};
use crate::connection::EndReason;
use crate::outlets::flv;
use crate::ticket::Protocol;

impl Stream {
    pub(super) fn sound_to_flv(&mut self, frame: &AudioFrame, now_us: u64) {
        let mut made = [None, None];
        let mut written = Vec::new();
        for (key, viewer) in &mut self.viewers {
            let protocol = viewer.queue.protocol();
            let slot = match protocol {
                Protocol::HttpFlv => &mut made[0],
                Protocol::WsFlv => &mut made[1],
                _ => continue,
            };
            if viewer.has_ended(now_us) {
                written.push((key, Err(EndReason::GrantEnded)));
                continue;
            }
            let chunk = slot.get_or_insert_with(|| {
                let tag = flv::sound(frame)?;
                let parts = flv::wrapped(protocol, tag);
                Some(Chunk::new(ChunkKind::Sound, parts, now_us))
            });
            let Some(chunk) = chunk else { return };
            viewer.queue.offer_flv_sound(frame, chunk);
            if !viewer.is_blocked() {
                written.push((key, viewer.flush(now_us)));
            }
        }
        for (key, outcome) in written {
            self.after_flush(key, outcome);
        }
    }
}
