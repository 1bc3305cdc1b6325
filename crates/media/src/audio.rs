//! Audio that travels beside the video: kept as tracks, not decoded here.

use bytes::Bytes;

use crate::ps::StreamType;

/// Largest audio packet; a PES packet with a declared length cannot be longer.
const MAX_PACKET: usize = 64 << 10;
/// Most codecs a stream may announce, one after the other.
const MAX_CODECS: usize = 8;
/// Samples of an AAC frame.
const AAC_SAMPLES: u64 = 1024;

/// Audio coding of a track, from the program stream map (GB/T 28181-2022 Annex C) or the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// G.711 A-law, 8 kHz mono.
    G711A,
    /// G.711 mu-law, 8 kHz mono.
    G711U,
    /// AAC in ADTS frames.
    Aac,
    /// Announced with this stream_type, which the core does not know (0 when nothing announced it).
    Other(u8),
}

impl AudioCodec {
    /// Its `stream_type` in a program stream map (GB/T 28181-2022 Annex C); none for what is unknown.
    pub fn stream_type(self) -> Option<u8> {
        match self {
            Self::G711A => Some(0x90),
            Self::G711U => Some(0x91),
            Self::Aac => Some(0x0f),
            Self::Other(_) => None,
        }
    }

    /// The short lower-case name used in statistics: `g711a`, `g711u`, `aac`, `other`.
    pub fn name(self) -> &'static str {
        match self {
            Self::G711A => "g711a",
            Self::G711U => "g711u",
            Self::Aac => "aac",
            Self::Other(_) => "other",
        }
    }
}

/// What a decoder must know of an AAC track (ISO/IEC 14496-3 1.6.2.1), as ADTS headers say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AacConfig {
    /// `audioObjectType`, 1 to 4.
    pub object_type: u8,
    /// `samplingFrequencyIndex`, 0 to 12.
    pub frequency_index: u8,
    /// `channelConfiguration`, 0 to 7.
    pub channels: u8,
}

impl AacConfig {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
        8000, 7350,
    ];

    /// Samples per second; 0 for an index that is reserved.
    pub fn sample_rate(&self) -> u32 {
        let index = usize::from(self.frequency_index);
        Self::RATES.get(index).copied().unwrap_or(0)
    }

    /// What such an `AudioSpecificConfig` says; `None` when it does not say it in two octets, as [`Self::specific_config`] does.
    pub fn of([first, second]: [u8; 2]) -> Option<Self> {
        let config = Self {
            object_type: first >> 3,
            frequency_index: (first & 7) << 1 | second >> 7,
            channels: second >> 3 & 15,
        };
        let is_known = (1..=4).contains(&config.object_type)
            && (1..=7).contains(&config.channels)
            && config.sample_rate() > 0;
        is_known.then_some(config)
    }

    /// The `AudioSpecificConfig` of this track.
    pub fn specific_config(&self) -> [u8; 2] {
        [
            self.object_type << 3 | self.frequency_index >> 1,
            self.frequency_index << 7 | self.channels << 3,
        ]
    }

    /// The ADTS header (ISO/IEC 13818-7 6.2, without CRC) of a frame of `length` bytes; `None` when it is too long for one.
    pub fn adts_header(&self, length: usize) -> Option<[u8; 7]> {
        let length = u16::try_from(length + 7)
            .ok()
            .filter(|&length| length < 1 << 13)?;
        let [high, low] = length.to_be_bytes();
        Some([
            0xff,
            0xf1,
            (self.object_type - 1) << 6 | self.frequency_index << 2 | self.channels >> 2,
            (self.channels & 3) << 6 | high >> 3,
            high << 5 | low >> 3,
            low << 5 | 0x1f,
            0xfc,
        ])
    }
}

/// One audio PES payload (G.711) or one ADTS frame (AAC).
#[derive(Clone, Debug)]
pub struct AudioFrame {
    /// Coding of [`AudioFrame::data`].
    pub codec: AudioCodec,
    /// Presentation time on the stream's repaired timeline, 90 kHz.
    pub pts: i64,
    /// When the last byte arrived, microseconds on the caller's clock.
    pub received_us: u64,
    /// The coded samples; AAC without its ADTS header.
    pub data: Bytes,
    /// What the ADTS header said; none for other codecs.
    pub aac: Option<AacConfig>,
}

/// Counters of the audio of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AudioStats {
    /// Frames handed on.
    pub frames: u64,
    /// Packets of unknown coding, or AAC packets in which no ADTS frame was found.
    pub discarded: u64,
    /// Packets that outgrew the limit or were cut off by loss.
    pub damaged: u64,
}

/// What a collected packet gave.
#[derive(Debug)]
pub enum Collected {
    /// A codec seen for the first time.
    Detected(AudioCodec),
    /// A frame: codec, device PTS, data, and for AAC what its header said.
    Frame(AudioCodec, Option<u64>, Bytes, Option<AacConfig>),
}

/// Collects the audio packets of one stream.
#[derive(Debug, Default)]
pub struct AudioCollector {
    packet: Vec<u8>,
    stream_type: Option<u8>,
    pts: Option<u64>,
    is_damaged: bool,
    codecs: Vec<AudioCodec>,
    stats: AudioStats,
}

impl AudioCollector {
    /// Codecs seen so far, in order of appearance.
    pub fn codecs(&self) -> &[AudioCodec] {
        &self.codecs
    }

    /// The counters.
    pub fn stats(&self) -> AudioStats {
        self.stats
    }

    /// A packet begins.
    pub fn start(&mut self, stream_type: Option<u8>, pts: Option<u64>) {
        self.packet.clear();
        self.stream_type = stream_type;
        self.pts = pts;
        self.is_damaged = false;
    }

    /// More of the packet.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.packet.len() + bytes.len() > MAX_PACKET {
            self.is_damaged = true;
        } else {
            self.packet.extend_from_slice(bytes);
        }
    }

    /// Part of the packet was lost.
    pub fn damage(&mut self) {
        self.is_damaged = true;
    }

    /// The packet is complete.
    pub fn end(&mut self, sink: &mut impl FnMut(Collected)) {
        if self.is_damaged {
            self.stats.damaged += 1;
            return;
        }
        if self.packet.is_empty() {
            return;
        }
        let codec = self.codec();
        if !self.codecs.contains(&codec) && self.codecs.len() < MAX_CODECS {
            self.codecs.push(codec);
            sink(Collected::Detected(codec));
        }
        match codec {
            AudioCodec::G711A | AudioCodec::G711U => {
                self.stats.frames += 1;
                sink(Collected::Frame(
                    codec,
                    self.pts,
                    Bytes::copy_from_slice(&self.packet),
                    None,
                ));
            }
            AudioCodec::Aac => self.split_adts(sink),
            AudioCodec::Other(_) => self.stats.discarded += 1,
        }
    }

    fn codec(&self) -> AudioCodec {
        let is_adts =
            self.packet[0] == 0xff && self.packet.get(1).is_some_and(|byte| byte & 0xf6 == 0xf0);
        match self.stream_type.map(StreamType::from) {
            Some(StreamType::G711A) => AudioCodec::G711A,
            Some(StreamType::G711U) => AudioCodec::G711U,
            Some(StreamType::Aac) => AudioCodec::Aac,
            _ if is_adts => AudioCodec::Aac,
            _ => AudioCodec::Other(self.stream_type.unwrap_or(0)),
        }
    }

    fn split_adts(&mut self, sink: &mut impl FnMut(Collected)) {
        let mut rest = &self.packet[..];
        let mut count = 0;
        while let Some(adts) = Adts::parse(rest) {
            let pts = self.pts.map(|pts| {
                pts + count * AAC_SAMPLES * 90_000 / u64::from(adts.config.sample_rate())
            });
            sink(Collected::Frame(
                AudioCodec::Aac,
                pts,
                Bytes::copy_from_slice(&rest[adts.header..adts.length]),
                Some(adts.config),
            ));
            self.stats.frames += 1;
            count += 1;
            rest = &rest[adts.length..];
        }
        self.stats.discarded += u64::from(count == 0);
    }
}

/// An ADTS frame header (ISO/IEC 13818-7 6.2).
struct Adts {
    header: usize,
    length: usize,
    config: AacConfig,
}

impl Adts {
    fn parse(data: &[u8]) -> Option<Self> {
        let head = data.first_chunk::<7>()?;
        if head[0] != 0xff || head[1] & 0xf6 != 0xf0 {
            return None;
        }
        let header = if head[1] & 1 == 1 { 7 } else { 9 };
        let length =
            usize::from(head[3] & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5] >> 5);
        let config = AacConfig {
            object_type: (head[2] >> 6) + 1,
            frequency_index: head[2] >> 2 & 15,
            channels: (head[2] & 1) << 2 | head[3] >> 6,
        };
        let is_whole = length > header && length <= data.len();
        (is_whole && config.sample_rate() > 0).then_some(Self {
            header,
            length,
            config,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(
        stream_type: Option<u8>,
        packet: &[u8],
    ) -> (Vec<(AudioCodec, Option<u64>, Bytes)>, AudioCollector) {
        let mut collector = AudioCollector::default();
        let mut frames = Vec::new();
        collector.start(stream_type, Some(900));
        collector.push(packet);
        collector.end(&mut |item| {
            if let Collected::Frame(codec, pts, data, _) = item {
                frames.push((codec, pts, data));
            }
        });
        (frames, collector)
    }

    #[test]
    fn g711_packets_pass_whole() {
        let (frames, collector) = collect(Some(0x90), &[0xd5; 320]);
        assert_eq!(
            frames,
            [(AudioCodec::G711A, Some(900), Bytes::from(vec![0xd5; 320]))]
        );
        assert_eq!(collector.codecs(), [AudioCodec::G711A]);
    }

    #[test]
    fn adts_frames_are_split_and_timed_even_without_a_map() {
        // 16 kHz mono, 7 octets of header, 9 in all.
        let frame = [0xff, 0xf1, 0x60, 0x40, 0x01, 0x3f, 0xfc, 1, 2];
        let (frames, _) = collect(None, &[frame, frame].concat());
        let times: Vec<_> = frames.iter().map(|(_, pts, _)| pts.unwrap()).collect();
        assert_eq!(times, [900, 900 + 5760]);
        assert_eq!(frames[0].2, [1, 2][..]);
    }

    #[test]
    fn an_adts_header_is_read_and_written_alike() {
        let config = AacConfig {
            object_type: 2,
            frequency_index: 8,
            channels: 1,
        };
        let frame = [&config.adts_header(2).unwrap()[..], &[1, 2]].concat();
        assert_eq!(frame[..7], [0xff, 0xf1, 0x60, 0x40, 0x01, 0x3f, 0xfc]);
        let mut collector = AudioCollector::default();
        collector.start(None, None);
        collector.push(&frame);
        let mut read = None;
        collector.end(&mut |item| {
            if let Collected::Frame(_, _, data, aac) = item {
                read = Some((data, aac));
            }
        });
        assert_eq!(read, Some((Bytes::from(vec![1, 2]), Some(config))));
        assert_eq!(config.specific_config(), [0x14, 0x08]);
        assert_eq!(AacConfig::of([0x14, 0x08]), Some(config));
        assert_eq!(AacConfig::of([0x14, 0x00]), None, "no channels");
        assert_eq!(AacConfig::of([0x2c, 0x08]), None, "an extension follows");
        assert_eq!(config.adts_header(1 << 13), None);
    }

    #[test]
    fn unknown_and_broken_audio_is_counted() {
        let (frames, collector) = collect(Some(0x99), &[1, 2, 3]);
        assert!(frames.is_empty());
        assert_eq!(collector.stats().discarded, 1);
        let (_, collector) = collect(Some(0x0f), &[1, 2, 3]);
        assert_eq!(collector.stats().discarded, 1);
        let (_, collector) = collect(Some(0x90), &vec![0; MAX_PACKET + 1]);
        assert_eq!(collector.stats().damaged, 1);
    }
}
