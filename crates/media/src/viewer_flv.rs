//! What a viewer of FLV is sent beside its pictures.

use super::{Offer, ViewerQueue};
use crate::audio::AudioFrame;
use crate::chunk::{Chunk, ChunkKind};
use crate::http;
use crate::outlets::flv;
use crate::parameters::VideoParameters;
use crate::ticket::Protocol;

impl ViewerQueue {
    /// Offer sound to a viewer of FLV. `chunk` must be made for its protocol from `frame`.
    pub fn offer_flv_sound(&mut self, frame: &AudioFrame, chunk: &Chunk) -> Offer {
        self.fall_if_slow(chunk);
        if self.awaits_key_frame {
            return Offer::Skipped;
        }
        if let (Some(aac), Some(start)) = (frame.aac, flv::sound_start(frame)) {
            let config = u32::from(u16::from_be_bytes(aac.specific_config()));
            if self.sound_generation != config {
                self.push_flv(start, chunk.queued_us);
                self.sound_generation = config;
            }
        }
        self.push(chunk.clone());
        Offer::Queued
    }

    /// The same in FLV: the head of the answer and of the file once, then the parameter sets.
    pub(super) fn push_flv_start(&mut self, parameters: &VideoParameters, dts: i64, now_us: u64) {
        if self.generation == 0 && self.bytes_sent == 0 {
            // In one piece: a viewer that is begun has its beginning.
            let mut start = match self.protocol {
                Protocol::HttpFlv => http::live_head("video/x-flv", self.origin.as_deref()),
                _ => Vec::new(),
            };
            let header = flv::wrapped(self.protocol, flv::header(self.audio.is_some()));
            header.iter().for_each(|part| start.extend_from_slice(part));
            self.push(Chunk::preamble(start, now_us));
        }
        self.push_flv(flv::video_start(parameters, dts), now_us);
        self.generation = parameters.generation;
    }

    fn push_flv(&mut self, bytes: Vec<u8>, now_us: u64) {
        let parts = flv::wrapped(self.protocol, bytes);
        self.push(Chunk::new(ChunkKind::Preamble, parts, now_us));
    }
}
