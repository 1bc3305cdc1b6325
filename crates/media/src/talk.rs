//! Voice to a device: what a speaker's browser sends becomes RTP, bounded in delay.
//!
//! Sound arrives as G.711 A-law, 8 kHz mono, or as one AAC access unit a message, and leaves as it arrives; nothing is stored. A
//! network that stalled delivers late sound in a burst: what runs more than [`AHEAD_MS`] ahead of the clock is dropped, so
//! that the delay never grows. After a pause the time stamp jumps to the present and the marker is set (RFC 3551 4.1); no
//! silence is sent.

use bytes::Bytes;

use crate::audio::{AacConfig, AudioCodec, AudioFrame};
use crate::ps_mux::PsMuxer;
use crate::relay::RelayPacket;

/// Samples, and octets, of a packet of A-law: 20 ms.
pub const PACKET: usize = 160;
/// The longest message of A-law: 200 ms.
pub const MESSAGE_MAX: usize = 10 * PACKET;
/// The longest access unit of one channel: 6144 bits (ISO/IEC 14496-3 4.5.3).
pub const UNIT_MAX: usize = 768;
/// So much of a burst is let through, milliseconds.
pub const AHEAD_MS: i64 = 200;
/// Samples of an access unit.
const UNIT: i64 = 1024;
/// Time from one stream map to the next, with PS: one second.
const MAP_EVERY_US: u64 = 1_000_000;

/// How the sound is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// G.711 A-law, 8 kHz mono.
    Alaw,
    /// AAC of one channel.
    Aac(AacConfig),
}

impl Coding {
    /// AAC-LC of one channel at this rate; `None` for a rate without an index, or one that no RTP clock of whole kilohertz can count.
    pub fn aac(rate_hz: u32) -> Option<Coding> {
        let config = |frequency_index| AacConfig {
            object_type: 2,
            frequency_index,
            channels: 1,
        };
        let mut configs = (0..13).map(config);
        let found = configs.find(|config| config.sample_rate() == rate_hz)?;
        rate_hz.is_multiple_of(1000).then_some(Coding::Aac(found))
    }

    /// Samples a second.
    fn rate(self) -> u32 {
        match self {
            Coding::Alaw => 8000,
            Coding::Aac(config) => config.sample_rate(),
        }
    }

    /// Samples of a packet.
    fn unit(self) -> i64 {
        match self {
            Coding::Alaw => PACKET as i64,
            Coding::Aac(_) => UNIT,
        }
    }
}

/// How the sound is coded and carried: straight in RTP (A-law by RFC 3551, AAC by RFC 3640), or in a program stream with one audio
/// stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carriage {
    /// How it is coded.
    pub coding: Coding,
    /// Whether in a program stream, whose clock has 90 kHz.
    pub in_program_stream: bool,
}

impl Carriage {
    /// Ticks of its RTP clock a millisecond.
    pub fn clock_khz(self) -> u32 {
        if self.in_program_stream {
            90
        } else {
            self.coding.rate() / 1000
        }
    }
}

/// A message too long for its coding, or no access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSound;

/// Counters of a voice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VoiceStats {
    /// Packets made.
    pub packets: u64,
    /// Packets dropped because they came too far ahead of the clock (late sound in a burst).
    pub late: u64,
    /// Pauses.
    pub pauses: u64,
}

/// The voice of one speaker on its way to RTP.
#[derive(Debug)]
pub struct Voice {
    carriage: Carriage,
    muxer: PsMuxer,
    rest: Vec<u8>,
    began_us: Option<u64>,
    mapped_us: Option<u64>,
    /// Samples since the beginning, pauses included.
    position: i64,
    stats: VoiceStats,
}

impl Voice {
    /// A voice that has said nothing.
    pub fn new(carriage: Carriage) -> Self {
        Self {
            carriage,
            muxer: PsMuxer::new(),
            rest: Vec::new(),
            began_us: None,
            mapped_us: None,
            position: 0,
            stats: VoiceStats::default(),
        }
    }

    /// Takes a message; hands each packet that is whole now to `sink`.
    pub fn say(
        &mut self,
        sound: &[u8],
        now_us: u64,
        sink: &mut impl FnMut(RelayPacket),
    ) -> Result<(), NotSound> {
        let is_sound = match self.carriage.coding {
            Coding::Alaw => sound.len() <= MESSAGE_MAX,
            // An access unit never begins with the end mark (4.4.2.1), as an ADTS header would.
            Coding::Aac(_) => sound.len() <= UNIT_MAX && sound.first().is_some_and(|&b| b != 0xff),
        };
        if !is_sound {
            return Err(NotSound);
        }
        let (present, is_first) = self.arrive(now_us);
        match self.carriage.coding {
            Coding::Alaw => self.say_samples(sound, (now_us, present, is_first), sink),
            Coding::Aac(_) => self.say_unit(sound, (now_us, present, is_first), sink),
        }
        Ok(())
    }

    /// Where the clock stands, in samples, and whether a spell of speech begins here.
    fn arrive(&mut self, now_us: u64) -> (i64, bool) {
        let coding = self.carriage.coding;
        let rate = u64::from(coding.rate());
        let began_us = *self.began_us.get_or_insert(now_us);
        let elapsed_us = now_us.saturating_sub(began_us).min(1 << 45);
        let present = (elapsed_us * rate / 1_000_000) as i64;
        // More than 60 ms, or than two units, is a pause; less is jitter.
        let pause = (rate as i64 * 60 / 1000).max(2 * coding.unit());
        let is_pause = present - self.position > pause;
        if is_pause {
            self.position = present;
            // What is left of before the pause is not worth a packet.
            self.rest.clear();
            self.stats.pauses += 1;
        }
        (present, is_pause || self.stats.packets == 0)
    }

    fn say_samples(
        &mut self,
        sound: &[u8],
        (now_us, present, mut is_first): (u64, i64, bool),
        sink: &mut impl FnMut(RelayPacket),
    ) {
        self.rest.extend_from_slice(sound);
        let rest = std::mem::take(&mut self.rest);
        let (packets, tail) = rest.split_at(rest.len() / PACKET * PACKET);
        for samples in packets.chunks(PACKET) {
            self.say_unit(
                samples,
                (now_us, present, std::mem::take(&mut is_first)),
                sink,
            );
        }
        self.rest = tail.to_vec();
    }

    fn say_unit(
        &mut self,
        unit: &[u8],
        (now_us, present, is_first): (u64, i64, bool),
        sink: &mut impl FnMut(RelayPacket),
    ) {
        let coding = self.carriage.coding;
        if self.position - present > i64::from(coding.rate()) * AHEAD_MS / 1000 {
            self.stats.late += 1;
            return;
        }
        let (payload, marker) = match coding {
            _ if self.carriage.in_program_stream => (self.pack(unit, now_us).into(), true),
            Coding::Alaw => (Bytes::copy_from_slice(unit), is_first),
            // RFC 3640 3.1: the marker says that the access unit ends here.
            Coding::Aac(_) => (aac_payload(unit), true),
        };
        let clock = i64::from(self.carriage.clock_khz());
        let timestamp = self.position * clock * 1000 / i64::from(coding.rate());
        self.position += coding.unit();
        self.stats.packets += 1;
        sink(RelayPacket {
            payload,
            timestamp: timestamp as u32,
            marker,
            lost_before: 0,
            starts_group: true,
        });
    }

    /// The counters.
    pub fn stats(&self) -> VoiceStats {
        self.stats
    }

    fn pack(&mut self, unit: &[u8], now_us: u64) -> Vec<u8> {
        let (codec, aac) = match self.carriage.coding {
            Coding::Alaw => (AudioCodec::G711A, None),
            Coding::Aac(config) => (AudioCodec::Aac, Some(config)),
        };
        let frame = AudioFrame {
            codec,
            pts: self.position * 90_000 / i64::from(self.carriage.coding.rate()),
            received_us: 0,
            data: Bytes::copy_from_slice(unit),
            aac,
        };
        let is_due = self
            .mapped_us
            .is_none_or(|at| now_us.saturating_sub(at) >= MAP_EVERY_US);
        if is_due {
            self.mapped_us = Some(now_us);
        }
        self.muxer.voice(&frame, is_due)
    }
}

/// One access unit in the mode AAC-hbr (RFC 3640 3.3.6): 16 bits of header length, 13 of size, 3 of index.
fn aac_payload(unit: &[u8]) -> Bytes {
    let [high, low] = ((unit.len() as u16) << 3).to_be_bytes();
    [&[0, 16, high, low], unit].concat().into()
}

#[cfg(test)]
#[path = "talk_tests.rs"]
mod tests;
