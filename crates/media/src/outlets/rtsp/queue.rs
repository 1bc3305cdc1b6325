//! What waits for one player: words and packets, bounded in octets and age. A player that is too slow falls to the next key frame.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::packets::{Unit, frame_length};
use super::request::TRACKS_MAX;
use crate::rtsp::message::FRAME_HEADER;
use crate::viewer::QueueLimits;

/// Pieces of one gathered write.
const SLICES_MAX: usize = 32;
/// Answers and reports that may wait; a player that asks on and on without reading is not answered for ever.
const WORDS_MAX: usize = 64 * 1024;
/// RTP header.
const RTP_HEADER: u64 = 12;

#[derive(Debug)]
struct Chunk {
    bytes: Bytes,
    kind: Kind,
    queued_us: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Answers, and reports in their frames.
    Words,
    /// So many packets of a track; whether a decoder can start there.
    Media {
        track: usize,
        packets: u32,
        is_picture: bool,
    },
}

/// What a track was sent (RFC 3550 6.4.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Packets.
    pub packets: u64,
    /// Their payload.
    pub octets: u64,
}

/// The queue of one player, for a connection or for datagrams.
#[derive(Debug)]
pub struct Queue {
    limits: QueueLimits,
    chunks: VecDeque<Chunk>,
    sent_of_first: usize,
    bytes: usize,
    words: usize,
    awaits_key_frame: bool,
    has_started: bool,
    sent: [Sent; TRACKS_MAX],
    /// Pictures that were wholly sent.
    pub pictures: u64,
    /// Pictures that were not, because it was too slow.
    pub drops: u64,
    /// How often it fell to the next key frame.
    pub falls: u64,
    /// Octets with the socket.
    pub bytes_sent: u64,
}

impl Queue {
    /// An empty queue that awaits a key frame.
    pub fn new(limits: QueueLimits) -> Queue {
        Queue {
            limits,
            chunks: VecDeque::new(),
            sent_of_first: 0,
            bytes: 0,
            words: 0,
            awaits_key_frame: true,
            has_started: false,
            sent: [Sent::default(); TRACKS_MAX],
            pictures: 0,
            drops: 0,
            falls: 0,
            bytes_sent: 0,
        }
    }

    /// Queue an answer or a framed report. False when too much waits already.
    pub fn say(&mut self, words: Vec<u8>, now_us: u64) -> bool {
        if self.words + words.len() > WORDS_MAX {
            return false;
        }
        self.words += words.len();
        self.push(words.into(), Kind::Words, now_us);
        true
    }

    /// Offer a picture.
    pub fn picture(&mut self, unit: &Unit, now_us: u64) {
        self.fall_if_slow(unit.bytes.len(), now_us);
        if self.awaits_key_frame && !unit.is_key_frame {
            // Before the first picture nothing is lost by waiting.
            self.drops += u64::from(self.has_started);
            return;
        }
        self.awaits_key_frame = false;
        self.has_started = true;
        self.media(unit, true, now_us);
    }

    /// Offer sound; it never makes a picture fall, and waits for the first picture when there will be one.
    pub fn sound(&mut self, unit: &Unit, has_pictures: bool, now_us: u64) {
        let is_early = has_pictures && !self.has_started;
        if !is_early && self.bytes + unit.bytes.len() <= self.limits.bytes {
            self.has_started |= !has_pictures;
            self.media(unit, false, now_us);
        }
    }

    /// Whether anything of the stream was ever queued.
    pub fn has_started(&self) -> bool {
        self.has_started
    }

    /// Whether everything is with the socket.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Whether pictures or sound wait.
    pub fn has_media(&self) -> bool {
        self.chunks.iter().any(|chunk| chunk.kind != Kind::Words)
    }

    /// Since when the oldest of what waits does.
    pub fn waits_since(&self) -> Option<u64> {
        self.chunks.front().map(|chunk| chunk.queued_us)
    }

    /// Octets waiting.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What a track was sent.
    pub fn sent(&self, track: usize) -> Sent {
        self.sent[track]
    }

    /// The pieces to write next on a connection.
    pub fn slices<'a>(&'a self, slices: &mut Vec<IoSlice<'a>>) {
        let mut skip = self.sent_of_first;
        for chunk in self.chunks.iter().take(SLICES_MAX) {
            slices.push(IoSlice::new(&chunk.bytes[skip..]));
            skip = 0;
        }
    }

    /// The connection took `written` octets.
    pub fn advance(&mut self, written: usize) {
        self.bytes_sent += written as u64;
        self.bytes -= written.min(self.bytes);
        self.sent_of_first += written;
        while let Some(first) = self.chunks.front()
            && self.sent_of_first >= first.bytes.len()
        {
            self.sent_of_first -= first.bytes.len();
            self.finish_first(true);
        }
        if self.chunks.is_empty() {
            // The cached group went through here once; afterwards one picture at a time does.
            self.chunks.shrink_to(4);
        }
    }

    /// The next packet for a player of datagrams, and its track.
    pub fn datagram(&self) -> Option<(usize, &[u8])> {
        let first = self.chunks.front()?;
        let Kind::Media { track, .. } = first.kind else {
            return None;
        };
        let rest = first.bytes.get(self.sent_of_first..)?;
        let packet = rest.get(FRAME_HEADER..FRAME_HEADER + frame_length(rest)?)?;
        Some((track, packet))
    }

    /// That packet is with the socket, or was refused by it and is lost.
    pub fn datagram_done(&mut self, was_sent: bool) {
        let Some(length) = self.datagram().map(|(_, packet)| packet.len()) else {
            return;
        };
        self.sent_of_first += FRAME_HEADER + length;
        self.bytes -= FRAME_HEADER + length;
        self.bytes_sent += if was_sent { length as u64 } else { 0 };
        let is_whole = |first: &Chunk| self.sent_of_first >= first.bytes.len();
        if self.chunks.front().is_some_and(is_whole) {
            self.sent_of_first = 0;
            self.finish_first(was_sent);
        }
    }

    fn finish_first(&mut self, was_sent: bool) {
        let Some(chunk) = self.chunks.pop_front() else {
            return;
        };
        match chunk.kind {
            Kind::Words => self.words -= chunk.bytes.len(),
            Kind::Media {
                track,
                packets,
                is_picture,
            } => {
                self.pictures += u64::from(is_picture && was_sent);
                let sent = &mut self.sent[track];
                sent.packets += u64::from(packets);
                let heads = u64::from(packets) * (FRAME_HEADER as u64 + RTP_HEADER);
                sent.octets += (chunk.bytes.len() as u64).saturating_sub(heads);
            }
        }
    }

    fn media(&mut self, unit: &Unit, is_picture: bool, now_us: u64) {
        let kind = Kind::Media {
            track: unit.track,
            packets: unit.packets,
            is_picture,
        };
        self.push(unit.bytes.clone(), kind, now_us);
    }

    fn push(&mut self, bytes: Bytes, kind: Kind, now_us: u64) {
        self.bytes += bytes.len();
        self.chunks.push_back(Chunk {
            bytes,
            kind,
            queued_us: now_us,
        });
    }

    /// Forget the media that waits when it is too much or too old, and await a key frame; what the socket has begun is finished,
    /// and words are kept.
    fn fall_if_slow(&mut self, more: usize, now_us: u64) {
        let Some(oldest) = self.chunks.front() else {
            return;
        };
        let too_old = now_us.saturating_sub(oldest.queued_us) > self.limits.age_us;
        if !too_old && self.bytes + more <= self.limits.bytes {
            return;
        }
        let begun = usize::from(self.sent_of_first > 0);
        let mut dropped = 0;
        let mut kept: VecDeque<Chunk> = VecDeque::new();
        for (at, chunk) in self.chunks.drain(..).enumerate() {
            match chunk.kind {
                Kind::Media { is_picture, .. } if at >= begun => {
                    self.bytes -= chunk.bytes.len();
                    self.drops += u64::from(is_picture);
                    dropped += 1;
                }
                _ => kept.push_back(chunk),
            }
        }
        self.chunks = kept;
        if dropped > 0 || !self.awaits_key_frame {
            self.falls += 1;
        }
        self.awaits_key_frame = true;
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
