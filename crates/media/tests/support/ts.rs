//! Transport streams (ISO/IEC 13818-1 2.4) for tests.

use super::{Picture, byte_stream, pes};

pub const PACKET: usize = 188;
pub const MAP_PID: u16 = 0x1000;
pub const VIDEO_PID: u16 = 0x100;
pub const AUDIO_PID: u16 = 0x101;

/// Writes packets with the right continuity counters.
#[derive(Default)]
pub struct TsWriter {
    counters: std::collections::HashMap<u16, u8>,
    pub out: Vec<u8>,
}

impl TsWriter {
    /// Payload of one PID in as many packets as it needs, stuffed by adaptation fields.
    pub fn payload(&mut self, pid: u16, mut data: &[u8]) {
        let mut starts = true;
        while !data.is_empty() {
            let counter = self.counters.entry(pid).or_insert(0);
            let length = data.len().min(PACKET - 4);
            let stuffing = PACKET - 4 - length;
            let [high, low] = pid.to_be_bytes();
            let adaptation = if stuffing > 0 { 0x30 } else { 0x10 };
            self.out.extend([
                0x47,
                high | u8::from(starts) << 6,
                low,
                adaptation | *counter,
            ]);
            *counter = (*counter + 1) & 0x0f;
            if stuffing > 0 {
                self.out.push(stuffing as u8 - 1);
                self.out
                    .extend((1..stuffing).map(|n| if n == 1 { 0 } else { 0xff }));
            }
            self.out.extend_from_slice(&data[..length]);
            data = &data[length..];
            starts = false;
        }
    }

    /// A table as one section with its checksum.
    pub fn table(&mut self, pid: u16, table_id: u8, body: &[u8]) {
        let length = (5 + body.len() + 4) as u16;
        let mut section = vec![
            table_id,
            0xb0 | (length >> 8) as u8,
            length as u8,
            0,
            1,
            0xc1,
            0,
            0,
        ];
        section.extend_from_slice(body);
        let check = crc32(&section);
        section.extend(check.to_be_bytes());
        self.payload(pid, &[&[0][..], &section].concat());
    }

    /// Both tables of one program with video and, when it is not 0, sound.
    pub fn tables(&mut self, video_type: u8, audio_type: u8) {
        let [high, low] = MAP_PID.to_be_bytes();
        self.table(0, 0, &[0, 1, 0xe0 | high, low]);
        let mut body = vec![0xe1, 0, 0xf0, 0, video_type, 0xe1, 0, 0xf0, 0];
        if audio_type != 0 {
            body.extend([audio_type, 0xe1, 1, 0xf0, 0]);
        }
        self.table(MAP_PID, 2, &body);
    }

    /// One picture, its length not declared, as is usual.
    pub fn picture(&mut self, picture: &Picture, pts: u64) {
        let packet = pes(0xe0, Some(pts), Some(0), &byte_stream(picture));
        self.payload(VIDEO_PID, &packet);
    }

    /// One packet of sound.
    pub fn sound(&mut self, data: &[u8], pts: u64) {
        let packet = pes(0xc0, Some(pts), None, data);
        self.payload(AUDIO_PID, &packet);
    }
}

/// The pictures with tables before each key picture.
pub fn stream(pictures: &[Picture]) -> Vec<u8> {
    let mut writer = TsWriter::default();
    for (n, picture) in pictures.iter().enumerate() {
        if picture.is_key {
            writer.tables(0x1b, 0x90);
        }
        writer.picture(picture, 90_000 + n as u64 * super::FRAME_TICKS);
        writer.sound(&[0xd5; 320], 90_000 + n as u64 * super::FRAME_TICKS);
    }
    writer.out
}

/// CRC_32 of Annex A.
pub fn crc32(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}
