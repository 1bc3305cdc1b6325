//! Audio tracks of an RTSP session: G.711 as it is, AAC by RFC 3640 put into ADTS frames.

use crate::ps::StreamType;
use crate::rtp::RtpPacket;
use crate::rtsp::sdp::{AacFormat, TrackFormat};

/// Samples of an AAC frame.
const AAC_SAMPLES: i64 = 1024;
/// Most AAC frames in one packet.
const MAX_FRAMES: usize = 32;
/// Audio that has drifted so far from its arrival is placed anew, 90 kHz.
const MAX_DRIFT: i64 = 45_000;
/// Longest ADTS frame: thirteen bits.
const MAX_ADTS: usize = 0x1fff;

/// One packet's worth of audio for the collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioPacket {
    /// The coding as a program stream would name it.
    pub stream_type: u8,
    /// Where it lies on the stream's timeline, 90 kHz.
    pub pts: i64,
    /// G.711 samples or one ADTS frame.
    pub data: Vec<u8>,
}

/// Undoes the packing of an audio track and places it beside the video.
///
/// The two tracks have clocks of their own. The first packet is placed at its arrival; from there the track's own clock
/// counts, until it has drifted half a second from the arrivals.
#[derive(Debug)]
pub struct AudioTrack {
    format: TrackFormat,
    clock_rate: i64,
    anchor: Option<(u32, i64)>,
    /// Packets that could not be read.
    pub malformed: u64,
}

impl AudioTrack {
    /// A track of this format; `None` when it is no audio.
    pub fn new(format: TrackFormat, clock_rate: u32) -> Option<Self> {
        (!format.is_video() && clock_rate > 0).then(|| Self {
            format,
            clock_rate: i64::from(clock_rate),
            anchor: None,
            malformed: 0,
        })
    }

    /// Takes a packet; `present` is the moment of its arrival on the stream's timeline.
    pub fn packet(&mut self, packet: &RtpPacket<'_>, present: i64) -> Vec<AudioPacket> {
        let pts = self.place(packet.timestamp(), present);
        let stream_type = match self.format {
            TrackFormat::Pcma => StreamType::G711A,
            TrackFormat::Pcmu => StreamType::G711U,
            TrackFormat::Aac(format) => return self.aac(format, packet.payload(), pts),
            TrackFormat::Video { .. } | TrackFormat::ProgramStream => return Vec::new(),
        };
        let data = packet.payload().to_vec();
        vec![AudioPacket {
            stream_type: stream_type_code(stream_type),
            pts,
            data,
        }]
    }

    fn place(&mut self, timestamp: u32, present: i64) -> i64 {
        if let Some((base, at)) = self.anchor {
            let ticks = i64::from(timestamp.wrapping_sub(base) as i32);
            let pts = at + ticks * 90_000 / self.clock_rate;
            if (pts - present).abs() <= MAX_DRIFT {
                // Kept close, so that the 32 bits never wrap.
                self.anchor = Some((timestamp, pts));
                return pts;
            }
        }
        self.anchor = Some((timestamp, present));
        present
    }

    /// RFC 3640 3.2: the length of the AU headers in bits, the headers, then the access units.
    fn aac(&mut self, format: AacFormat, payload: &[u8], pts: i64) -> Vec<AudioPacket> {
        let frames = split(format, payload).unwrap_or_default();
        self.malformed += u64::from(frames.is_empty());
        let to_packet = |(number, frame): (usize, &[u8])| AudioPacket {
            stream_type: stream_type_code(StreamType::Aac),
            pts: pts + number as i64 * AAC_SAMPLES * 90_000 / self.clock_rate,
            data: adts(format, frame),
        };
        frames.into_iter().enumerate().map(to_packet).collect()
    }
}

/// `None` for what contradicts itself; an access unit cut into several packets (fragmented) is one of these.
fn split(format: AacFormat, payload: &[u8]) -> Option<Vec<&[u8]>> {
    let (bits, rest) = payload.split_first_chunk::<2>()?;
    let bits = usize::from(u16::from_be_bytes(*bits));
    let headers = rest.get(..bits.div_ceil(8))?;
    let mut data = &rest[headers.len()..];
    let mut at = 0;
    let mut frames = Vec::new();
    while at < bits && frames.len() < MAX_FRAMES {
        let index = if at == 0 {
            format.index_bits
        } else {
            format.index_delta_bits
        };
        let end = at + (format.size_bits + index) as usize;
        if end > bits {
            return None;
        }
        let size = read_bits(headers, at, format.size_bits as usize);
        let (frame, left) = data.split_at_checked(size)?;
        if frame.is_empty() || frame.len() > MAX_ADTS - 7 {
            return None;
        }
        frames.push(frame);
        data = left;
        at = end;
    }
    Some(frames)
}

fn read_bits(bytes: &[u8], from: usize, count: usize) -> usize {
    (from..from + count).fold(0, |value, bit| {
        value << 1 | usize::from(bytes[bit / 8] >> (7 - bit % 8) & 1)
    })
}

/// ISO/IEC 13818-7 6.2: MPEG-4, no CRC.
fn adts(format: AacFormat, frame: &[u8]) -> Vec<u8> {
    let length = frame.len() + 7;
    let mut out = Vec::with_capacity(length);
    out.extend([
        0xff,
        0xf1,
        (format.object_type - 1) << 6 | format.frequency_index << 2 | format.channels >> 2,
        (format.channels & 3) << 6 | (length >> 11) as u8,
        (length >> 3) as u8,
        (length as u8 & 7) << 5 | 0x1f,
        0xfc,
    ]);
    out.extend_from_slice(frame);
    out
}

/// The numbers of GB/T 28181-2022 annex C, which the collector knows.
fn stream_type_code(stream_type: StreamType) -> u8 {
    match stream_type {
        StreamType::G711A => 0x90,
        StreamType::G711U => 0x91,
        _ => 0x0f,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AAC: AacFormat = AacFormat {
        size_bits: 13,
        index_bits: 3,
        index_delta_bits: 3,
        object_type: 2,
        frequency_index: 8,
        channels: 1,
    };

    fn rtp(timestamp: u32, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x80, 97, 0, 1];
        packet.extend(timestamp.to_be_bytes());
        packet.extend([0, 0, 0, 9]);
        packet.extend(payload);
        packet
    }

    fn take(track: &mut AudioTrack, raw: &[u8], present: i64) -> Vec<AudioPacket> {
        track.packet(&RtpPacket::parse(raw).unwrap(), present)
    }

    #[test]
    fn two_aac_frames_become_two_adts_frames() {
        let mut track = AudioTrack::new(TrackFormat::Aac(AAC), 16_000).unwrap();
        let payload = [0, 32, 0, 2 << 3, 0, 3 << 3, 1, 2, 3, 4, 5];
        let frames = take(&mut track, &rtp(0, &payload), 900);
        assert_eq!(frames.len(), 2);
        assert_eq!(
            frames[0].data,
            [0xff, 0xf1, 0x60, 0x40, 0x01, 0x3f, 0xfc, 1, 2]
        );
        assert_eq!(
            (frames[1].pts, frames[1].data[7..].to_vec()),
            (900 + 5760, vec![3, 4, 5])
        );
    }

    #[test]
    fn audio_follows_its_own_clock_until_it_drifts() {
        let mut track = AudioTrack::new(TrackFormat::Pcma, 8000).unwrap();
        let mut at =
            |timestamp, present| take(&mut track, &rtp(timestamp, &[0xd5; 160]), present)[0].pts;
        assert_eq!(at(u32::MAX - 79, 1000), 1000);
        assert_eq!(at(80, 2500), 2800);
        assert_eq!(at(8080, 500_000), 500_000);
    }

    #[test]
    fn broken_packets_are_counted() {
        let mut track = AudioTrack::new(TrackFormat::Aac(AAC), 16_000).unwrap();
        for payload in [
            &[][..],
            &[0],
            &[0, 16, 0, 80],
            &[0, 17, 0, 8, 1],
            &[0xff, 0xff, 0, 8, 1],
            &[0, 16, 0, 0],
        ] {
            assert!(
                take(&mut track, &rtp(0, payload), 0).is_empty(),
                "{payload:?}"
            );
        }
        assert_eq!(track.malformed, 6);
        assert!(AudioTrack::new(TrackFormat::ProgramStream, 90_000).is_none());
    }
}
