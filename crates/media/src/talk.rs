//! Voice to a device: what a speaker's browser sends becomes RTP, bounded in delay.
//!
//! Sound arrives as G.711 A-law, 8 kHz mono, and leaves in packets of 20 ms as it arrives; nothing is stored. A network that
//! stalled delivers late sound in a burst: what runs more than [`AHEAD_MAX`] ahead of the clock is dropped, so that the
//! delay never grows. After a pause the time stamp jumps to the present and the marker is set (RFC 3551 4.1); no
//! silence is sent.

use bytes::Bytes;

use crate::audio::{AudioCodec, AudioFrame};
use crate::ps_mux::PsMuxer;
use crate::relay::RelayPacket;

/// Samples, and octets, of a packet: 20 ms.
pub const PACKET: usize = 160;
/// The longest message a speaker may send: 200 ms.
pub const MESSAGE_MAX: usize = 10 * PACKET;
/// So many samples of a burst are let through: 200 ms.
pub const AHEAD_MAX: i64 = 1600;
/// A pause of more than this is a pause, 60 ms; less is jitter.
const PAUSE_MIN: i64 = 480;
/// Packets from one stream map to the next, with PS: one second.
const MAP_EVERY: u64 = 50;

/// How the sound is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carriage {
    /// RTP payload type 8 (RFC 3551), clock 8 kHz.
    Pcma,
    /// A program stream with one audio stream, clock 90 kHz.
    ProgramStream,
}

impl Carriage {
    /// Ticks of its RTP clock a millisecond.
    pub fn clock_khz(self) -> u32 {
        match self {
            Carriage::Pcma => 8,
            Carriage::ProgramStream => 90,
        }
    }
}

/// A message longer than [`MESSAGE_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

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
    ) -> Result<(), TooLong> {
        if sound.len() > MESSAGE_MAX {
            return Err(TooLong);
        }
        let began_us = *self.began_us.get_or_insert(now_us);
        let present = (now_us.saturating_sub(began_us).min(1 << 50) / 125) as i64;
        let mut is_first = self.stats.packets == 0;
        if present - self.position > PAUSE_MIN {
            self.position = present;
            // What is left of before the pause is not worth a packet.
            self.rest.clear();
            self.stats.pauses += 1;
            is_first = true;
        }
        self.rest.extend_from_slice(sound);
        let rest = std::mem::take(&mut self.rest);
        let (packets, tail) = rest.split_at(rest.len() / PACKET * PACKET);
        for samples in packets.chunks(PACKET) {
            if self.position - present > AHEAD_MAX {
                self.stats.late += 1;
                continue;
            }
            self.packet(samples, std::mem::take(&mut is_first), sink);
        }
        self.rest = tail.to_vec();
        Ok(())
    }

    /// The counters.
    pub fn stats(&self) -> VoiceStats {
        self.stats
    }

    fn packet(&mut self, samples: &[u8], is_first: bool, sink: &mut impl FnMut(RelayPacket)) {
        let (payload, marker) = match self.carriage {
            Carriage::Pcma => (Bytes::copy_from_slice(samples), is_first),
            Carriage::ProgramStream => (self.pack(samples).into(), true),
        };
        let timestamp = self.position * i64::from(self.carriage.clock_khz()) / 8;
        self.position += PACKET as i64;
        self.stats.packets += 1;
        sink(RelayPacket {
            payload,
            timestamp: timestamp as u32,
            marker,
            lost_before: 0,
            starts_group: true,
        });
    }

    fn pack(&mut self, samples: &[u8]) -> Vec<u8> {
        let frame = AudioFrame {
            codec: AudioCodec::G711A,
            pts: self.position * 90 / 8,
            received_us: 0,
            data: Bytes::copy_from_slice(samples),
            aac: None,
        };
        self.muxer
            .voice(&frame, self.stats.packets.is_multiple_of(MAP_EVERY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(voice: &mut Voice, sound: &[u8], now_us: u64) -> Vec<(u32, bool, usize)> {
        let mut packets = Vec::new();
        voice
            .say(sound, now_us, &mut |packet| {
                packets.push((packet.timestamp, packet.marker, packet.payload.len()));
            })
            .unwrap();
        packets
    }

    #[test]
    fn sound_leaves_in_packets_of_twenty_milliseconds_as_it_comes() {
        let mut voice = Voice::new(Carriage::Pcma);
        assert_eq!(said(&mut voice, &[0xd5; 160], 0), [(0, true, 160)]);
        assert_eq!(said(&mut voice, &[0xd5; 100], 20_000), []);
        assert_eq!(
            said(&mut voice, &[0xd5; 220], 30_000),
            [(160, false, 160), (320, false, 160)]
        );
    }

    #[test]
    fn late_sound_in_a_burst_is_dropped_and_the_delay_does_not_grow() {
        let mut voice = Voice::new(Carriage::Pcma);
        let burst: usize = (0..50)
            .map(|_| said(&mut voice, &[0xd5; 160], 0).len())
            .sum();
        assert_eq!((burst, voice.stats().late), (11, 39));
        // A second later the clock has caught up.
        assert_eq!(
            said(&mut voice, &[0xd5; 160], 1_000_000),
            [(8000, true, 160)]
        );
    }

    #[test]
    fn after_a_pause_the_time_stamp_is_the_present_and_marked() {
        let mut voice = Voice::new(Carriage::Pcma);
        said(&mut voice, &[0xd5; 200], 0);
        assert_eq!(
            said(&mut voice, &[0xd5; 160], 5_000_000),
            [(40_000, true, 160)]
        );
        assert_eq!((voice.stats().pauses, voice.stats().packets), (1, 2));
        assert_eq!(
            said(&mut voice, &[0xd5; 160], 5_050_000),
            [(40_160, false, 160)]
        );
    }

    #[test]
    fn with_a_program_stream_every_packet_is_a_pack_and_its_clock_is_90_khz() {
        let mut voice = Voice::new(Carriage::ProgramStream);
        let mut packs = Vec::new();
        for n in 0..60 {
            voice
                .say(&[0xd5; 160], n * 20_000, &mut |packet| packs.push(packet))
                .unwrap();
        }
        assert!(
            packs
                .iter()
                .all(|packet| packet.marker && packet.payload.starts_with(&[0, 0, 1, 0xba]))
        );
        assert_eq!(packs[1].timestamp, 1800);
        let maps = packs
            .iter()
            .filter(|packet| memchr::memmem::find(&packet.payload, &[0, 0, 1, 0xbc]).is_some());
        assert_eq!(maps.count(), 2);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_delay_is_bounded_and_time_never_steps_back(
            messages in prop::collection::vec((0usize..=MESSAGE_MAX, 0u64..300_000), 1..300)
        ) {
            let mut voice = Voice::new(Carriage::Pcma);
            let (mut now_us, mut last) = (0, -1);
            for (length, wait_us) in messages {
                now_us += wait_us;
                let mut stamps = Vec::new();
                voice.say(&vec![0; length], now_us, &mut |packet| stamps.push(i64::from(packet.timestamp))).unwrap();
                for stamp in stamps {
                    prop_assert!(stamp > last && stamp - (now_us / 125) as i64 <= AHEAD_MAX);
                    last = stamp;
                }
            }
            prop_assert_eq!(voice.say(&vec![0; MESSAGE_MAX + 1], now_us, &mut |_| ()), Err(TooLong));
        }
    }
}
