//! A small camera for tests: H.264/H.265 pictures without meaning, program stream packing and RTP, every part with a knob for its faults.
#![allow(dead_code)] // each test program uses another part

pub mod ts;

use commonview_media::access_unit::AccessUnit;
use commonview_media::ingest::{Ingest, IngestConfig, IngestOutput, SourceId};

pub const SOURCE: SourceId = SourceId(1);
pub const SSRC: u32 = 0x0a0b_0c0d;
pub const FRAME_TICKS: u64 = 3600;
pub const FRAME_US: u64 = 40_000;

/// 1920x1080 High 4.0 and 176x144 Constrained Baseline 3.0.
pub const SPS_1080: &[u8] = &[
    0x67, 0x64, 0x00, 0x28, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0xc0, 0x44, 0x00, 0x00, 0x03,
    0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xca, 0x3c, 0x60, 0xc6, 0x58,
];
pub const SPS_QCIF: &[u8] = &[0x67, 0x42, 0xc0, 0x1e, 0xda, 0x0b, 0x13, 0x90];
pub const PPS: &[u8] = &[0x68, 0xee, 0x3c, 0x80];

/// What a picture is made of.
#[derive(Clone, Debug)]
pub struct Picture {
    pub nal_units: Vec<Vec<u8>>,
    pub is_key: bool,
}

/// Bytes that never need emulation prevention, different for every seed.
pub fn filler(seed: u32, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    (0..length)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as u8 | 1
        })
        .collect()
}

fn slice(header: u8, is_first: bool, seed: u32, length: usize) -> Vec<u8> {
    let mut nal = vec![header, if is_first { 0x88 } else { 0x48 }];
    nal.extend(filler(seed, length.saturating_sub(2)));
    nal
}

/// A key picture of one slice with its parameter sets and SEI.
pub fn key_picture(sps: &[u8], seed: u32, length: usize) -> Picture {
    Picture {
        nal_units: vec![
            sps.to_vec(),
            PPS.to_vec(),
            vec![0x06, 0x05, 0x01, 0xff, 0x80],
            slice(0x65, true, seed, length),
        ],
        is_key: true,
    }
}

/// A dependent picture of `slices` slices.
pub fn dependent_picture(seed: u32, length: usize, slices: u32) -> Picture {
    Picture {
        nal_units: (0..slices)
            .map(|n| slice(0x41, n == 0, seed * 16 + n, length / slices as usize))
            .collect(),
        is_key: false,
    }
}

/// `count` pictures with a key picture every `gop`.
pub fn pictures(count: u32, gop: u32) -> Vec<Picture> {
    (0..count)
        .map(|n| {
            if n % gop == 0 {
                key_picture(SPS_1080, n, 6000)
            } else {
                dependent_picture(n, 2500, 1)
            }
        })
        .collect()
}

/// How the camera packs.
#[derive(Clone, Debug)]
pub struct Packing {
    pub with_map: bool,
    pub with_marker: bool,
    /// `None`: as it is; else written instead of the right PES length.
    pub pes_length: Option<u16>,
    /// Largest PES payload; longer pictures are several packets with the same PTS.
    pub pes_payload: usize,
    pub with_pts: bool,
    pub first_pts: u64,
    pub payload: usize,
    pub first_sequence: u16,
    pub ssrc: u32,
    pub video_type: u8,
}

impl Default for Packing {
    fn default() -> Self {
        Self {
            with_map: true,
            with_marker: true,
            pes_length: None,
            pes_payload: 60_000,
            with_pts: true,
            first_pts: 1_000_000,
            payload: 1400,
            first_sequence: 65_530,
            ssrc: SSRC,
            video_type: 0x1b,
        }
    }
}

pub fn stamp(prefix: u8, value: u64) -> [u8; 5] {
    [
        prefix << 4 | ((value >> 30) as u8 & 7) << 1 | 1,
        (value >> 22) as u8,
        ((value >> 15) as u8) << 1 | 1,
        (value >> 7) as u8,
        (value as u8) << 1 | 1,
    ]
}

pub fn pes(id: u8, pts: Option<u64>, length: Option<u16>, payload: &[u8]) -> Vec<u8> {
    let header = if pts.is_some() { 5 } else { 0 };
    let mut out = vec![0, 0, 1, id];
    out.extend_from_slice(
        &length
            .unwrap_or((3 + header + payload.len()) as u16)
            .to_be_bytes(),
    );
    out.extend_from_slice(&[0x80, if pts.is_some() { 0x80 } else { 0 }, header as u8]);
    if let Some(pts) = pts {
        out.extend_from_slice(&stamp(2, pts));
    }
    out.extend_from_slice(payload);
    out
}

/// One picture as one PS pack (GB/T 28181-2022 Annex C).
pub fn pack(picture: &Picture, pts: u64, packing: &Packing) -> Vec<u8> {
    let mut out = vec![0, 0, 1, 0xba, 0x44, 0, 4, 0, 4, 1, 0, 0, 3, 0xf8];
    if picture.is_key {
        out.extend_from_slice(&[
            0, 0, 1, 0xbb, 0, 12, 0x80, 0, 1, 4, 0xe1, 0x7f, 0xe0, 0xe0, 0x80, 0xc0, 0xc0, 8,
        ]);
        if packing.with_map {
            out.extend_from_slice(&[
                0,
                0,
                1,
                0xbc,
                0,
                18,
                0xe1,
                0xff,
                0,
                0,
                0,
                8,
                packing.video_type,
                0xe0,
                0,
                0,
                0x90,
                0xc0,
                0,
                0,
            ]);
            out.extend_from_slice(&[0x45, 0xbd, 0xdc, 0xf4]);
        }
    }
    let stream = byte_stream(picture);
    for part in stream.chunks(packing.pes_payload) {
        out.extend(pes(
            0xe0,
            packing.with_pts.then_some(pts & 0x1_ffff_ffff),
            packing.pes_length,
            part,
        ));
    }
    out
}

/// The picture with start codes.
pub fn byte_stream(picture: &Picture) -> Vec<u8> {
    picture
        .nal_units
        .iter()
        .flat_map(|nal| [&[0, 0, 0, 1][..], nal].concat())
        .collect()
}

/// One RTP packet.
pub fn rtp(sequence: u16, timestamp: u32, marker: bool, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0x80, 96 | u8::from(marker) << 7];
    out.extend_from_slice(&sequence.to_be_bytes());
    out.extend_from_slice(&timestamp.to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// RTP packets of `pictures`, each with the number of its picture.
pub fn packets(pictures: &[Picture], packing: &Packing) -> Vec<(usize, Vec<u8>)> {
    let mut out = Vec::new();
    let mut sequence = packing.first_sequence;
    for (number, picture) in pictures.iter().enumerate() {
        let pts = packing.first_pts + number as u64 * FRAME_TICKS;
        let data = pack(picture, pts, packing);
        let count = data.len().div_ceil(packing.payload);
        for (n, part) in data.chunks(packing.payload).enumerate() {
            let marker = packing.with_marker && n + 1 == count;
            out.push((
                number,
                rtp(sequence, pts as u32, marker, packing.ssrc, part),
            ));
            sequence = sequence.wrapping_add(1);
        }
    }
    out
}

/// RFC 4571.
pub fn framed(frame: &[u8]) -> Vec<u8> {
    [&(frame.len() as u16).to_be_bytes()[..], frame].concat()
}

/// Feeds datagrams, each at the time of its picture, then ends the stream.
pub fn receive(ingest: &mut Ingest, packets: &[(usize, Vec<u8>)]) -> Vec<IngestOutput> {
    let mut out = Vec::new();
    for (number, packet) in packets {
        ingest.push_rtp(*number as u64 * FRAME_US, packet, SOURCE, &mut out);
    }
    let end = packets
        .last()
        .map_or(0, |(number, _)| *number as u64 * FRAME_US + 1_000_000);
    ingest.tick(end, &mut out);
    out
}

pub fn receive_default(packets: &[(usize, Vec<u8>)]) -> (Vec<IngestOutput>, Ingest) {
    let mut ingest = Ingest::new(IngestConfig::default());
    let out = receive(&mut ingest, packets);
    (out, ingest)
}

pub fn units(out: &[IngestOutput]) -> Vec<&AccessUnit> {
    out.iter()
        .filter_map(|output| match output {
            IngestOutput::AccessUnit(unit) => Some(unit),
            _ => None,
        })
        .collect()
}

/// The NAL units a viewer should get of a picture: without the parameter sets that stand in the init segment.
pub fn expected_nal_units(picture: &Picture) -> Vec<&[u8]> {
    picture
        .nal_units
        .iter()
        .map(|nal| &nal[..])
        .filter(|nal| !matches!(nal[0] & 0x1f, 7..=9))
        .collect()
}

/// Asserts that `out` carries exactly these pictures, in order.
pub fn assert_pictures(out: &[IngestOutput], pictures: &[&Picture]) {
    let units = units(out);
    let seen: Vec<Vec<&[u8]>> = units
        .iter()
        .map(|unit| unit.nal_units().collect())
        .collect();
    let wanted: Vec<Vec<&[u8]>> = pictures
        .iter()
        .map(|picture| expected_nal_units(picture))
        .collect();
    assert_eq!(seen.len(), wanted.len(), "number of pictures");
    for (number, (seen, wanted)) in seen.iter().zip(&wanted).enumerate() {
        assert!(
            seen == wanted,
            "picture {number} differs: {:?} NAL units of {:?} bytes",
            seen.len(),
            lengths(seen)
        );
    }
    assert!(
        units.windows(2).all(|pair| pair[0].dts < pair[1].dts),
        "decoding times increase"
    );
}

fn lengths(nal_units: &[&[u8]]) -> Vec<usize> {
    nal_units.iter().map(|nal| nal.len()).collect()
}
