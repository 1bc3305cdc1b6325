//! What waits for one viewer: a queue bounded in bytes and age that falls to the next key frame.
//!
//! Nothing here does I/O: the reactor offers fragments, writes what [`ViewerQueue::slices`] shows and reports how
//! much the socket took.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;

use crate::access_unit::AccessUnit;
use crate::audio::AudioCodec;
pub use crate::chunk::Chunk;
use crate::chunk::{ChunkKind, fragment_parts};
use crate::http;
use crate::parameters::VideoParameters;
use crate::sound::{self, SoundTrack};
use crate::ticket::Protocol;
use crate::websocket::{self, Opcode};

/// How many pieces one gathered write takes.
pub const SLICES_MAX: usize = 48;

/// So long a plain response with sound waits for the sound to show itself: its beginning must name both tracks.
const SOUND_WAIT_US: u64 = 500_000;

/// Room an empty queue keeps.
const CHUNKS_KEPT: usize = 4;

/// What came of offering a picture or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// It is in the queue.
    Queued,
    /// The viewer waits for a key frame and this is none, or does not listen.
    Skipped,
}

/// Limits of one viewer's queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Bytes waiting.
    pub bytes: usize,
    /// Age of what waits longest, microseconds.
    pub age_us: u64,
}

/// The queue of one viewer.
#[derive(Debug)]
pub struct ViewerQueue {
    protocol: Protocol,
    limits: QueueLimits,
    chunks: VecDeque<Chunk>,
    sent_of_first: usize,
    bytes: usize,
    generation: u32,
    /// Presentation (90 kHz) and arrival of the latest picture offered.
    latest: Option<(i64, u64)>,
    audio: Option<AudioCodec>,
    is_listening: bool,
    sound_generation: u32,
    origin: Option<String>,
    /// Of a plain response: the sound its beginning names, and until when it is waited for.
    sound: Option<Arc<SoundTrack>>,
    sound_by_us: u64,
    awaits_key_frame: bool,
    has_started: bool,
    drops: u64,
    falls: u64,
    pictures: u64,
    bytes_sent: u64,
}

impl ViewerQueue {
    /// An empty queue that awaits a key frame.
    pub fn new(protocol: Protocol, limits: QueueLimits) -> ViewerQueue {
        ViewerQueue {
            protocol,
            limits,
            chunks: VecDeque::new(),
            sent_of_first: 0,
            bytes: 0,
            generation: 0,
            latest: None,
            audio: None,
            is_listening: false,
            sound_generation: 0,
            origin: None,
            sound: None,
            sound_by_us: 0,
            awaits_key_frame: true,
            has_started: false,
            drops: 0,
            falls: 0,
            pictures: 0,
            bytes_sent: 0,
        }
    }

    /// Queue bytes that are no picture.
    pub fn push_preamble(&mut self, chunk: Chunk) {
        self.push(chunk);
    }

    /// Offer a picture. `chunk` must be made for this viewer's protocol from `unit`.
    pub fn offer(
        &mut self,
        unit: &AccessUnit,
        parameters: &VideoParameters,
        chunk: &Chunk,
    ) -> Offer {
        self.latest = Some((unit.pts, unit.received_us));
        if chunk.queued_us < self.sound_by_us {
            return Offer::Skipped;
        }
        self.fall_if_slow(chunk);
        if self.awaits_key_frame && !unit.is_key_frame {
            // Before the first picture nothing is lost by waiting.
            self.drops += u64::from(self.has_started);
            return Offer::Skipped;
        }
        if self.generation != unit.generation {
            match self.protocol.is_flv() {
                true => self.push_flv_start(parameters, unit.dts, chunk.queued_us),
                false => self.push_start(parameters, chunk.queued_us),
            }
        }
        self.awaits_key_frame = false;
        self.has_started = true;
        self.push(chunk.clone());
        Offer::Queued
    }

    /// The viewer wants to hear from now on, or no longer.
    pub fn listen(&mut self, is_listening: bool) {
        self.is_listening = is_listening;
        self.sound_generation = 0;
    }

    /// A plain response is to have sound: it begins when the sound is known, or a moment later without.
    pub fn await_sound(&mut self, now_us: u64) {
        self.is_listening = true;
        self.sound_by_us = now_us + SOUND_WAIT_US;
    }

    /// Whether a wait for sound ends now: `track` is what has come of it. What was left out meanwhile is to be offered again.
    pub fn ends_sound_wait(&mut self, track: Option<&Arc<SoundTrack>>, now_us: u64) -> bool {
        if self.sound_by_us == 0 || track.is_none() && now_us < self.sound_by_us {
            return false;
        }
        self.sound_by_us = 0;
        self.sound = track.cloned();
        self.is_listening = track.is_some();
        true
    }

    /// Whether the viewer wants to hear.
    pub fn is_listening(&self) -> bool {
        self.is_listening
    }

    /// The stream's audio is of this coding. A viewer that understands messages is told: now, or with its first picture.
    pub fn announce(&mut self, codec: AudioCodec, now_us: u64) {
        self.audio = Some(codec);
        if self.generation > 0 {
            self.push_announcement(now_us);
        }
    }

    /// Tell the viewer how old the stream's latest picture is, so that it knows how late it shows its own. `question` is
    /// the viewer's number for having asked.
    pub fn tell_age(&mut self, question: u32, now_us: u64) {
        if let Some((pts, received_us)) = self.latest {
            let media_ms = pts / 90;
            let age_ms = now_us.saturating_sub(received_us) / 1000;
            let message = format!(
                "{{\"type\":\"age\",\"question\":{question},\"media_ms\":{media_ms},\"age_ms\":{age_ms}}}"
            );
            let frame = websocket::frame(Opcode::Text, message.as_bytes());
            self.push(Chunk::preamble(frame, now_us));
        }
    }

    /// Offer sound of `track`. `chunk` must be made for this viewer's protocol.
    pub fn offer_sound(&mut self, track: &SoundTrack, chunk: &Chunk) -> Offer {
        if !self.is_listening {
            return Offer::Skipped;
        }
        self.fall_if_slow(chunk);
        // Sound goes with pictures: without them there is nothing to hear either.
        if self.awaits_key_frame {
            return Offer::Skipped;
        }
        if self.sound_generation != track.generation {
            if self.protocol == Protocol::Http {
                // Its beginning named another sound, and there is no other beginning.
                return Offer::Skipped;
            }
            self.push_sound_start(track, chunk.queued_us);
        }
        self.push(chunk.clone());
        Offer::Queued
    }

    /// The page that may read the answer, when it is one of another port.
    pub fn for_page(&mut self, origin: Option<String>) {
        self.origin = origin;
    }

    /// The pieces to write next, at most [`SLICES_MAX`], into `slices`.
    pub fn slices<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>) {
        let mut skip = self.sent_of_first;
        for part in self.chunks.iter().flat_map(|chunk| &chunk.parts) {
            if slices.len() == SLICES_MAX {
                break;
            }
            let skipped = skip.min(part.len());
            skip -= skipped;
            if skipped < part.len() {
                slices.push(IoSlice::new(&part[skipped..]));
            }
        }
    }

    /// The socket took `written` bytes. Returns true when the first picture is now wholly with the socket.
    pub fn advance(&mut self, written: usize) -> bool {
        let is_first = self.pictures == 0;
        self.bytes_sent += written as u64;
        self.bytes -= written.min(self.bytes);
        let mut sent = self.sent_of_first + written;
        while let Some(first) = self.chunks.front()
            && sent >= first.len
        {
            sent -= first.len;
            self.pictures += u64::from(first.kind.is_picture());
            self.chunks.pop_front();
        }
        self.sent_of_first = sent;
        if self.chunks.is_empty() {
            // The cached group of pictures went through here once; afterwards one picture at a time does.
            self.chunks.shrink_to(CHUNKS_KEPT);
        }
        is_first && self.pictures > 0
    }

    /// Whether everything is with the socket.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether the socket holds a part of something: nothing else may be written before the rest.
    pub fn is_mid_chunk(&self) -> bool {
        self.sent_of_first > 0
    }

    /// Chunks waiting.
    pub fn waiting(&self) -> usize {
        self.chunks.len()
    }

    /// Since when the oldest of them waits.
    pub fn waits_since(&self) -> Option<u64> {
        self.chunks.front().map(|chunk| chunk.queued_us)
    }

    /// Bytes waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The viewer's protocol.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether a picture was ever queued.
    pub fn has_started(&self) -> bool {
        self.has_started
    }

    /// Pictures not sent because the viewer was too slow.
    pub fn drops(&self) -> u64 {
        self.drops
    }

    /// How often the viewer was moved to the next key frame.
    pub fn falls(&self) -> u64 {
        self.falls
    }

    /// Pictures wholly with the socket.
    pub fn pictures(&self) -> u64 {
        self.pictures
    }

    /// Bytes with the socket.
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent
    }

    /// What a decoder needs before the first picture of a generation.
    fn push_start(&mut self, parameters: &VideoParameters, now_us: u64) {
        match self.protocol {
            Protocol::WebSocket | Protocol::Talk | Protocol::Rtsp => {
                let message = websocket::frame(Opcode::Text, init_message(parameters).as_bytes());
                self.push(Chunk::preamble(message, now_us));
            }
            // The head goes first; once a byte of it is out it must not come again.
            Protocol::Http if self.generation == 0 && self.bytes_sent == 0 => {
                self.push(Chunk::preamble(http::live_head("video/mp4", None), now_us));
            }
            _ => {}
        }
        let parts = match &self.sound {
            Some(track) => {
                self.sound_generation = track.generation;
                fragment_parts(&track.beside(parameters), self.protocol)
            }
            None => fragment_parts(&parameters.init, self.protocol),
        };
        self.push(Chunk::new(ChunkKind::Preamble, parts, now_us));
        self.generation = parameters.generation;
        self.push_announcement(now_us);
    }

    fn push_announcement(&mut self, now_us: u64) {
        if let (Some(codec), Protocol::WebSocket) = (self.audio, self.protocol) {
            let message = sound::announcement(codec);
            let frame = websocket::frame(Opcode::Text, message.as_bytes());
            self.push(Chunk::preamble(frame, now_us));
        }
    }

    /// What a decoder needs before the first sound of a track.
    fn push_sound_start(&mut self, track: &SoundTrack, now_us: u64) {
        let message = websocket::frame(Opcode::Text, track.message().as_bytes());
        self.push(Chunk::preamble(message, now_us));
        let parts = fragment_parts(&track.init, self.protocol);
        self.push(Chunk::new(ChunkKind::Preamble, parts, now_us));
        self.sound_generation = track.generation;
    }

    fn push(&mut self, chunk: Chunk) {
        self.bytes += chunk.len;
        self.chunks.push_back(chunk);
    }

    /// Forget what waits when it is too much or too old, and await a key frame.
    fn fall_if_slow(&mut self, next: &Chunk) {
        let Some(oldest) = self.chunks.front() else {
            return;
        };
        let too_old = next.queued_us.saturating_sub(oldest.queued_us) > self.limits.age_us;
        if !too_old && self.bytes + next.len <= self.limits.bytes {
            return;
        }
        // What the socket has begun must be finished, or the framing is lost.
        let begun = usize::from(self.is_mid_chunk());
        if self.chunks.len() == begun && self.awaits_key_frame {
            return;
        }
        for chunk in self.chunks.drain(begun..) {
            self.bytes -= chunk.len;
            match chunk.kind {
                // It may have been an init segment: send them again before the next key frame and the next sound.
                ChunkKind::Preamble => (self.generation, self.sound_generation) = (0, 0),
                ChunkKind::KeyFrame | ChunkKind::Delta => self.drops += 1,
                ChunkKind::Sound => {}
            }
        }
        self.falls += 1;
        self.awaits_key_frame = true;
    }
}

#[path = "viewer_flv.rs"]
mod flv_start;
#[path = "viewer_words.rs"]
mod words;

pub use words::{farewell, init_message};

#[cfg(test)]
#[path = "viewer_tests.rs"]
mod tests;
