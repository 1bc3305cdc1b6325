//! Pictures and sound in RTP (RFC 6184, RFC 7798, RFC 3551, RFC 3640), framed for a connection (RFC 2326 10.12).
//!
//! A picture is packed once and its packets lie one behind the other in one allocation, each behind its frame header `$`, channel,
//! length. A player on a connection is sent the whole of it, a player of datagrams packet by packet.

use bytes::Bytes;

use super::session::usual_channels;
use crate::access_unit::AccessUnit;
use crate::audio::{AacConfig, AudioCodec, AudioFrame};
use crate::parameters::{VideoCodec, VideoParameters};
use crate::rtsp::message::FRAME_HEADER;

/// Payload octets of a packet: with every header it fits an Ethernet frame, and a tunnel's.
pub const PAYLOAD_MAX: usize = 1380;
/// Dynamic payload types (RFC 3551 6).
pub const VIDEO_PAYLOAD_TYPE: u8 = 96;
const AAC_PAYLOAD_TYPE: u8 = 97;
const RTP_HEADER: usize = 12;
const AAC_SAMPLES_MAX: usize = 0x1fff;

/// A sound that can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AudioFormat {
    /// G.711 A-law.
    Pcma,
    /// G.711 mu-law.
    Pcmu,
    /// AAC with what its decoder must know.
    Aac(AacConfig),
}

impl AudioFormat {
    /// The format of a frame, if it can be sent.
    pub fn of(frame: &AudioFrame) -> Option<AudioFormat> {
        match (frame.codec, frame.aac) {
            (AudioCodec::G711A, _) => Some(AudioFormat::Pcma),
            (AudioCodec::G711U, _) => Some(AudioFormat::Pcmu),
            (AudioCodec::Aac, Some(aac)) if aac.sample_rate() > 0 => Some(AudioFormat::Aac(aac)),
            _ => None,
        }
    }

    /// RFC 3551 6 for G.711; dynamic for AAC.
    pub fn payload_type(self) -> u8 {
        match self {
            AudioFormat::Pcma => 8,
            AudioFormat::Pcmu => 0,
            AudioFormat::Aac(_) => AAC_PAYLOAD_TYPE,
        }
    }

    /// Ticks of its RTP clock in a second.
    pub fn clock_rate(self) -> u32 {
        match self {
            AudioFormat::Pcma | AudioFormat::Pcmu => 8000,
            AudioFormat::Aac(aac) => aac.sample_rate(),
        }
    }
}

/// What reaches a player whole or not at all: the packets of a picture or of a piece of sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The framed packets, on the usual channel of the track.
    pub bytes: Bytes,
    /// 0 video, 1 audio.
    pub track: usize,
    /// Whether decoding may start with it; never for sound.
    pub is_key_frame: bool,
    /// Packets in it.
    pub packets: u32,
    /// The sequence number of the first one.
    pub sequence: u16,
    /// Their time stamp.
    pub timestamp: u32,
}

impl Unit {
    /// The packets of the unit without their frame headers.
    pub fn packets(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            let packet = rest.get(FRAME_HEADER..FRAME_HEADER + frame_length(rest)?)?;
            rest = &rest[FRAME_HEADER + packet.len()..];
            Some(packet)
        })
    }

    /// The unit for a player that has chosen another channel.
    pub fn on_channel(&self, channel: u8) -> Unit {
        let mut bytes = self.bytes.to_vec();
        let mut at = 0;
        while let Some(length) = frame_length(&bytes[at..]) {
            bytes[at + 1] = channel;
            at += FRAME_HEADER + length;
        }
        Unit {
            bytes: bytes.into(),
            ..self.clone()
        }
    }
}

/// The length that the frame header at the beginning names.
pub fn frame_length(bytes: &[u8]) -> Option<usize> {
    let &[_, _, high, low] = bytes.first_chunk::<FRAME_HEADER>()?;
    Some(usize::from(u16::from_be_bytes([high, low])))
}

/// Numbers the packets of one track.
#[derive(Debug)]
pub struct Packer {
    track: usize,
    payload_type: u8,
    ssrc: u32,
    clock_rate: u32,
    sequence: u16,
    /// Random, so that time stamps cannot be foreseen (RFC 3550 5.1).
    time_offset: u32,
}

impl Packer {
    /// A track whose numbers begin at random places, drawn from `random`.
    pub fn new(track: usize, payload_type: u8, clock_rate: u32, random: u64) -> Packer {
        Packer {
            track,
            payload_type,
            ssrc: random as u32,
            clock_rate,
            sequence: (random >> 32) as u16,
            time_offset: (random >> 48) as u32 * 40_503,
        }
    }

    /// Its SSRC.
    pub fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Ticks of its time stamps a second.
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// The number the next packet will have.
    pub fn next_sequence(&self) -> u16 {
        self.sequence
    }

    /// The time stamp of a moment of the stream's timeline, 90 kHz.
    pub fn timestamp(&self, pts: i64) -> u32 {
        let ticks = i128::from(pts) * i128::from(self.clock_rate) / 90_000;
        (ticks as u32).wrapping_add(self.time_offset)
    }

    /// Pack a picture; before a key frame stand the parameter sets, which the stream's fragments do without.
    pub fn picture(&mut self, unit: &AccessUnit, parameters: &VideoParameters) -> Unit {
        let sets: &[Bytes] = match unit.is_key_frame {
            true => &parameters.parameter_sets,
            false => &[],
        };
        let mut packing = self.begin(unit.size() + unit.size() / 64 + 512, unit.pts);
        let nals = sets.iter().map(|set| &set[..]).chain(unit.nal_units());
        let mut nals = nals.filter(|nal| !nal.is_empty()).peekable();
        while let Some(nal) = nals.next() {
            // The marker stands on the last packet of a picture (RFC 6184 5.1, RFC 7798 4.1).
            packing.nal(unit.codec, nal, nals.peek().is_none());
        }
        packing.finish(unit.is_key_frame)
    }

    /// Pack sound that was described as `format`; `None` for what is no longer that, or what no packet can carry.
    pub fn sound(&mut self, frame: &AudioFrame, format: AudioFormat) -> Option<Unit> {
        if AudioFormat::of(frame)? != format || frame.data.is_empty() {
            return None;
        }
        let is_aac = matches!(format, AudioFormat::Aac(_));
        if is_aac && frame.data.len() > AAC_SAMPLES_MAX {
            return None;
        }
        let mut packing = self.begin(frame.data.len() + 64, frame.pts);
        match is_aac {
            true => packing.aac(&frame.data),
            false => packing.g711(&frame.data),
        }
        Some(packing.finish(false))
    }

    fn begin(&mut self, capacity: usize, pts: i64) -> Packing<'_> {
        let timestamp = self.timestamp(pts);
        let sequence = self.sequence;
        Packing {
            packer: self,
            bytes: Vec::with_capacity(capacity),
            packets: 0,
            sequence,
            begin: timestamp,
            timestamp,
        }
    }
}

struct Packing<'a> {
    packer: &'a mut Packer,
    bytes: Vec<u8>,
    packets: u32,
    sequence: u16,
    begin: u32,
    timestamp: u32,
}

impl Packing<'_> {
    fn packet(&mut self, is_last: bool, parts: [&[u8]; 2]) {
        let length = RTP_HEADER + parts[0].len() + parts[1].len();
        debug_assert!(length <= usize::from(u16::MAX));
        let [high, low] = (length as u16).to_be_bytes();
        let packer = &mut self.packer;
        let channel = usual_channels(packer.track).0;
        self.bytes.extend([b'$', channel, high, low]);
        let marker = u8::from(is_last) << 7;
        self.bytes.extend([0x80, marker | packer.payload_type]);
        self.bytes.extend(packer.sequence.to_be_bytes());
        self.bytes.extend(self.timestamp.to_be_bytes());
        self.bytes.extend(packer.ssrc.to_be_bytes());
        self.bytes.extend(parts[0]);
        self.bytes.extend(parts[1]);
        packer.sequence = packer.sequence.wrapping_add(1);
        self.packets += 1;
    }

    /// One packet when it fits, fragmentation units when it does not (RFC 6184 5.8, RFC 7798 4.4.3).
    fn nal(&mut self, codec: VideoCodec, nal: &[u8], is_last: bool) {
        if nal.len() <= PAYLOAD_MAX {
            return self.packet(is_last, [nal, &[]]);
        }
        let (head, kind, body) = match codec {
            VideoCodec::H264 => ([nal[0] & 0xe0 | 28, 0], nal[0] & 0x1f, &nal[1..]),
            VideoCodec::H265 => (
                [nal[0] & 0x81 | 49 << 1, nal[1]],
                nal[0] >> 1 & 0x3f,
                &nal[2..],
            ),
        };
        let head_length = match codec {
            VideoCodec::H264 => 1,
            VideoCodec::H265 => 2,
        };
        let pieces = body.chunks(PAYLOAD_MAX - head_length - 1);
        let count = pieces.len();
        for (number, piece) in pieces.enumerate() {
            let (is_start, is_end) = (number == 0, number + 1 == count);
            let mut indicator = [head[0], head[1], 0];
            indicator[head_length] = u8::from(is_start) << 7 | u8::from(is_end) << 6 | kind;
            self.packet(is_last && is_end, [&indicator[..=head_length], piece]);
        }
    }

    /// RFC 3551 4.5.14: octets as they are; a new packet goes on where the last one ended.
    fn g711(&mut self, samples: &[u8]) {
        for piece in samples.chunks(PAYLOAD_MAX) {
            self.packet(false, [piece, &[]]);
            self.timestamp = self.timestamp.wrapping_add(piece.len() as u32);
        }
    }

    /// RFC 3640 3.2: one access unit with its header, in pieces when it is long.
    fn aac(&mut self, frame: &[u8]) {
        let size = (frame.len() as u16) << 3;
        let [high, low] = size.to_be_bytes();
        let pieces = frame.chunks(PAYLOAD_MAX - 4);
        let count = pieces.len();
        for (number, piece) in pieces.enumerate() {
            self.packet(number + 1 == count, [&[0, 16, high, low], piece]);
        }
    }

    fn finish(self, is_key_frame: bool) -> Unit {
        Unit {
            bytes: self.bytes.into(),
            track: self.packer.track,
            is_key_frame,
            packets: self.packets,
            sequence: self.sequence,
            timestamp: self.begin,
        }
    }
}

#[cfg(test)]
#[path = "packets_tests.rs"]
mod tests;
