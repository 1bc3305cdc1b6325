//! Writes a program stream (ISO/IEC 13818-1 2.5, as GB/T 28181-2022 Annex C wants it) from pictures and sound.
//!
//! One pack a picture: pack header, before key frames the system header and the stream map, and the picture in PES packets of at
//! most 65,535 bytes, all with its time stamps in the first. The clock of the packs runs at the decoding times.

use crate::access_unit::AccessUnit;
use crate::audio::{AudioCodec, AudioFrame};
use crate::parameters::{VideoCodec, VideoParameters};

const VIDEO_ID: u8 = 0xe0;
const AUDIO_ID: u8 = 0xc0;
/// `PES_packet_length` has 16 bits; the longest header here has 13 bytes behind it.
const PES_PAYLOAD_MAX: usize = 65_535 - 13;
/// Added to every time: repaired time lines begin at zero, and a presentation time may lie before that.
const CLOCK_BASE: i64 = 90_000;
const CLOCK_MASK: i64 = (1 << 33) - 1;
/// `program_mux_rate` in units of 50 bytes a second: 40 Mbit/s, an upper bound.
const MUX_RATE: u32 = 100_000;

/// Writes one program.
#[derive(Clone, Debug, Default)]
pub struct PsMuxer {
    audio: Option<AudioCodec>,
}

impl PsMuxer {
    /// A muxer that has heard nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The pack of a picture. `parameters` are those of its generation; they stand in front of key frames.
    pub fn picture(&self, unit: &AccessUnit, parameters: &VideoParameters) -> Vec<u8> {
        let mut data = Vec::with_capacity(unit.size() + 256);
        if unit.is_key_frame {
            for set in &parameters.parameter_sets {
                put_nal(&mut data, set);
            }
        }
        unit.nal_units().for_each(|nal| put_nal(&mut data, nal));
        let mut out = Vec::with_capacity(data.len() + 256);
        put_pack_header(&mut out, unit.dts);
        if unit.is_key_frame {
            put_system_header(&mut out, self.audio.is_some());
            self.put_map(&mut out, Some(unit.codec));
        }
        for (n, part) in data.chunks(PES_PAYLOAD_MAX).enumerate() {
            let times = (n == 0).then_some((unit.pts, unit.dts));
            put_pes(&mut out, VIDEO_ID, times, part);
        }
        out
    }

    /// The pack of an audio frame; `None` for coding the map cannot name. Its track is announced from the next key frame on.
    pub fn audio(&mut self, frame: &AudioFrame) -> Option<Vec<u8>> {
        frame.codec.stream_type()?;
        self.audio = Some(frame.codec);
        let header = match frame.aac {
            Some(config) => config.adts_header(frame.data.len())?.to_vec(),
            None => Vec::new(),
        };
        let data = [&header[..], &frame.data].concat();
        let mut out = Vec::with_capacity(data.len() + 64);
        put_pack_header(&mut out, frame.pts);
        for (n, part) in data.chunks(PES_PAYLOAD_MAX).enumerate() {
            let times = (n == 0).then_some((frame.pts, frame.pts));
            put_pes(&mut out, AUDIO_ID, times, part);
        }
        Some(out)
    }

    /// The pack of a sound in a program without pictures, with system header and map when asked for. AAC stands in ADTS frames.
    pub fn voice(&mut self, frame: &AudioFrame, with_map: bool) -> Vec<u8> {
        self.audio = Some(frame.codec);
        let header = frame.aac.and_then(|aac| aac.adts_header(frame.data.len()));
        let data = [header.as_ref().map_or(&[][..], |adts| adts), &frame.data].concat();
        let mut out = Vec::with_capacity(data.len() + 96);
        put_pack_header(&mut out, frame.pts);
        if with_map {
            put_system_header(&mut out, true);
            self.put_map(&mut out, None);
        }
        put_pes(&mut out, AUDIO_ID, Some((frame.pts, frame.pts)), &data);
        out
    }

    /// Program stream map (2.5.4) with the streams of the program.
    fn put_map(&self, out: &mut Vec<u8>, codec: Option<VideoCodec>) {
        let video_type = codec.map(|codec| match codec {
            VideoCodec::H264 => 0x1b,
            VideoCodec::H265 => 0x24,
        });
        let mut streams = Vec::new();
        if let Some(video_type) = video_type {
            streams.extend([video_type, VIDEO_ID, 0, 0]);
        }
        if let Some(audio_type) = self.audio.and_then(AudioCodec::stream_type) {
            streams.extend([audio_type, AUDIO_ID, 0, 0]);
        }
        let begin = out.len();
        out.extend([0, 0, 1, 0xbc]);
        put_u16(out, 6 + streams.len() + 4);
        // Current, version 0; no descriptors of the program.
        out.extend([0xe0, 0xff, 0, 0]);
        put_u16(out, streams.len());
        out.extend(streams);
        let check = crc32(&out[begin..]);
        out.extend(check.to_be_bytes());
    }
}

fn put_nal(out: &mut Vec<u8>, nal: &[u8]) {
    out.extend([0, 0, 0, 1]);
    out.extend_from_slice(nal);
}

fn put_u16(out: &mut Vec<u8>, value: usize) {
    out.extend((value as u16).to_be_bytes());
}

fn clock(time: i64) -> u64 {
    ((time + CLOCK_BASE) & CLOCK_MASK) as u64
}

/// Pack header (2.5.3.3).
fn put_pack_header(out: &mut Vec<u8>, time: i64) {
    let base = clock(time);
    let scr = 0b01 << 46
        | (base >> 30 & 7) << 43
        | 1 << 42
        | (base >> 15 & 0x7fff) << 27
        | 1 << 26
        | (base & 0x7fff) << 11
        | 1 << 10
        | 1;
    out.extend([0, 0, 1, 0xba]);
    out.extend_from_slice(&scr.to_be_bytes()[2..]);
    let rate = MUX_RATE << 2 | 3;
    out.extend_from_slice(&rate.to_be_bytes()[1..]);
    // No stuffing.
    out.push(0xf8);
}

/// System header (2.5.3.5) with the buffer bounds of the streams.
fn put_system_header(out: &mut Vec<u8>, has_audio: bool) {
    let mut streams = vec![VIDEO_ID, 0xe0 | 0x0f, 0xff];
    if has_audio {
        streams.extend([AUDIO_ID, 0xc0, 0x80]);
    }
    out.extend([0, 0, 1, 0xbb]);
    put_u16(out, 6 + streams.len());
    let rate = 1 << 23 | MUX_RATE << 1 | 1;
    out.extend_from_slice(&rate.to_be_bytes()[1..]);
    // One audio stream at most, no constraints; one video stream; no rate restriction.
    out.extend([u8::from(has_audio) << 2, 0xe1, 0x7f]);
    out.extend(streams);
}

/// A PES packet (2.4.3.6). `times` are presentation and decoding time.
fn put_pes(out: &mut Vec<u8>, id: u8, times: Option<(i64, i64)>, payload: &[u8]) {
    let header = match times {
        None => 0,
        Some((pts, dts)) if pts == dts => 5,
        Some(_) => 10,
    };
    out.extend([0, 0, 1, id]);
    put_u16(out, 3 + header + payload.len());
    let flags = [0, 0x80, 0xc0][header / 5];
    out.extend([0x80, flags, header as u8]);
    if let Some((pts, dts)) = times {
        out.extend(stamp(flags >> 6, clock(pts)));
        if pts != dts {
            out.extend(stamp(1, clock(dts)));
        }
    }
    out.extend_from_slice(payload);
}

fn stamp(prefix: u8, value: u64) -> [u8; 5] {
    [
        prefix << 4 | ((value >> 30) as u8 & 7) << 1 | 1,
        (value >> 22) as u8,
        ((value >> 15) as u8) << 1 | 1,
        (value >> 7) as u8,
        (value as u8) << 1 | 1,
    ]
}

/// CRC_32 of ISO/IEC 13818-1 Annex A; maps are short and rare.
pub(crate) fn crc32(data: &[u8]) -> u32 {
    data.iter().fold(0xffff_ffff, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            if crc & 0x8000_0000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x04c1_1db7
            }
        })
    })
}
