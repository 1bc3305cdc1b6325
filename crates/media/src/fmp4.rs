//! Fragmented MP4 (ISO/IEC 14496-12) for live viewers: an init segment per generation, a fragment per access unit.
//!
//! The layout of a fragment is fixed, so its size is known before a byte is written and everything fits one allocation:
//!
//! ```text
//! | WebSocket header | moof (mfhd, traf (tfhd, tfdt, trun)) | mdat header | length, NAL unit, length, NAL unit ... |
//! ```

use bytes::Bytes;

use crate::parameters::VideoCodec;

/// Room for the longest WebSocket server frame header (RFC 6455 5.2: 2 + 8 bytes, unmasked).
pub const WEBSOCKET_ROOM: usize = 10;
/// Ticks per second of the video track, as in the program stream.
pub const TIMESCALE: u32 = 90_000;
/// The video track.
pub const TRACK_ID: u32 = 1;

const MFHD: usize = 16;
const TFHD: usize = 16;
const TFDT: usize = 20;
const TRUN: usize = 12 + 8 + 16;
const TRAF: usize = 8 + TFHD + TFDT + TRUN;
/// Bytes of a `moof` with one sample.
pub const MOOF: usize = 8 + MFHD + TRAF;
const MDAT_HEADER: usize = 8;

/// Bytes in front of the first NAL unit's length.
pub const FRAGMENT_OVERHEAD: usize = WEBSOCKET_ROOM + MOOF + MDAT_HEADER;

/// `sample_depends_on = 2`: an I picture (8.8.3.1).
const KEY_SAMPLE: u32 = 0x0200_0000;
/// `sample_depends_on = 1`, `sample_is_non_sync_sample`.
const DEPENDENT_SAMPLE: u32 = 0x0101_0000;

/// fMP4 bytes with a ready-made WebSocket binary frame header in front, in one shared allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// The whole allocation.
    pub buffer: Bytes,
    /// Where the WebSocket frame begins in `buffer`.
    pub ws_offset: usize,
    /// Where the fMP4 boxes begin in `buffer`.
    pub payload_offset: usize,
}

impl Fragment {
    /// The bytes to write to a WebSocket viewer: frame header and boxes.
    pub fn websocket(&self) -> Bytes {
        self.buffer.slice(self.ws_offset..)
    }

    /// The bytes to write to an HTTP viewer or a file: boxes only.
    pub fn boxes(&self) -> Bytes {
        self.buffer.slice(self.payload_offset..)
    }

    /// Finishes a buffer whose first [`WEBSOCKET_ROOM`] bytes are free.
    fn seal(mut buffer: Vec<u8>) -> Self {
        let length = buffer.len() - WEBSOCKET_ROOM;
        // RFC 6455 5.2: FIN, opcode binary; 7, 16 or 64 bits of length.
        let mut header = [0x82, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        let used = if length < 126 {
            header[1] = length as u8;
            2
        } else if length <= 0xffff {
            header[1] = 126;
            header[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        } else {
            header[1] = 127;
            header[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        };
        let ws_offset = WEBSOCKET_ROOM - used;
        buffer[ws_offset..WEBSOCKET_ROOM].copy_from_slice(&header[..used]);
        Self {
            buffer: buffer.into(),
            ws_offset,
            payload_offset: WEBSOCKET_ROOM,
        }
    }
}

/// What `moof` says about its one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// `mfhd.sequence_number`, increasing.
    pub sequence: u32,
    /// `tfdt.baseMediaDecodeTime`, 90 kHz.
    pub decode_time: u64,
    /// Expected time until the next sample, 90 kHz.
    pub duration: u32,
    /// Presentation minus decoding time, 90 kHz; negative when the device's clock was repaired.
    pub composition_offset: i32,
    /// Whether decoding may start here.
    pub is_key_frame: bool,
}

/// Writes one access unit as `moof` + `mdat`. `nal_units` come without start code or length.
///
/// A single exact allocation; start codes become lengths while the payload is copied.
pub fn fragment<'a>(
    sample: &Sample,
    nal_units: impl Iterator<Item = &'a [u8]> + Clone,
) -> Fragment {
    let payload: usize = nal_units.clone().map(|nal| 4 + nal.len()).sum();
    let mut out = Vec::with_capacity(FRAGMENT_OVERHEAD + payload);
    out.extend_from_slice(&[0; WEBSOCKET_ROOM]);
    write_moof(&mut out, sample, payload);
    out.extend_from_slice(&((MDAT_HEADER + payload) as u32).to_be_bytes());
    out.extend_from_slice(b"mdat");
    for nal in nal_units {
        out.extend_from_slice(&(nal.len() as u32).to_be_bytes());
        out.extend_from_slice(nal);
    }
    Fragment::seal(out)
}

fn write_moof(out: &mut Vec<u8>, sample: &Sample, payload: usize) {
    let begin = out.len();
    put_header(out, MOOF, b"moof");
    put_full_header(out, MFHD, b"mfhd", 0, 0);
    put_u32(out, sample.sequence);
    put_header(out, TRAF, b"traf");
    // default-base-is-moof (8.8.7).
    put_full_header(out, TFHD, b"tfhd", 0, 0x02_0000);
    put_u32(out, TRACK_ID);
    put_full_header(out, TFDT, b"tfdt", 1, 0);
    out.extend_from_slice(&sample.decode_time.to_be_bytes());
    // One sample with data offset, first-sample flags, duration and size per sample, signed composition offset (8.8.8).
    put_full_header(out, TRUN, b"trun", 1, 0x00_0f01);
    put_u32(out, 1);
    put_u32(out, (MOOF + MDAT_HEADER) as u32);
    put_u32(out, sample.duration);
    put_u32(out, payload as u32);
    put_u32(
        out,
        if sample.is_key_frame {
            KEY_SAMPLE
        } else {
            DEPENDENT_SAMPLE
        },
    );
    put_u32(out, sample.composition_offset as u32);
    debug_assert_eq!(out.len() - begin, MOOF);
}

/// The `moof` of a fragment made by [`fragment`], for another place: a file has its own numbering, time and durations.
/// Returns it with the `mdat` behind it, which stays shared. `None` when `fragment` was made otherwise.
pub fn moved(
    fragment: &Fragment,
    sequence: u32,
    decode_time: u64,
    duration: u32,
) -> Option<([u8; MOOF], Bytes)> {
    const SEQUENCE: usize = 8 + 12;
    const DECODE_TIME: usize = 8 + MFHD + 8 + TFHD + 12;
    const DURATION: usize = 8 + MFHD + 8 + TFHD + TFDT + 12 + 8;
    let boxes = fragment.boxes();
    let mut moof = *boxes.first_chunk::<MOOF>()?;
    if moof[4..8] != *b"moof" || boxes.len() < MOOF + MDAT_HEADER {
        return None;
    }
    moof[SEQUENCE..][..4].copy_from_slice(&sequence.to_be_bytes());
    moof[DECODE_TIME..][..8].copy_from_slice(&decode_time.to_be_bytes());
    moof[DURATION..][..4].copy_from_slice(&duration.to_be_bytes());
    Some((moof, boxes.slice(MOOF..)))
}

/// Writes `ftyp` + `moov` for one video track. `record` is the `avcC` or `hvcC` payload.
pub fn init_segment(codec: VideoCodec, width: u32, height: u32, record: &[u8]) -> Fragment {
    sealed(1024, |out| {
        put_movie(out, &[TRACK_ID], |out| {
            put_box(out, b"trak", |out| {
                put_track(out, codec, width, height, record)
            });
        });
    })
}

/// A fragment of what `content` writes.
pub(crate) fn sealed(capacity: usize, content: impl FnOnce(&mut Vec<u8>)) -> Fragment {
    let mut out = Vec::with_capacity(capacity);
    out.extend_from_slice(&[0; WEBSOCKET_ROOM]);
    content(&mut out);
    // An init segment is held as long as its generation lives: keep no spare capacity.
    out.shrink_to_fit();
    Fragment::seal(out)
}

/// `ftyp` and `moov` for the tracks of these numbers, which `put_tracks` writes.
pub(crate) fn put_movie(out: &mut Vec<u8>, tracks: &[u32], put_tracks: impl FnOnce(&mut Vec<u8>)) {
    put_box(out, b"ftyp", |out| {
        out.extend_from_slice(b"iso6");
        put_u32(out, 1);
        out.extend_from_slice(b"iso6mp41");
    });
    put_box(out, b"moov", |out| {
        let next = tracks.iter().max().map_or(1, |last| last + 1);
        put_full_box(out, b"mvhd", 0, 0, |out| {
            put_words(out, &[0, 0, TIMESCALE, 0, 0x0001_0000, 0x0100_0000, 0, 0]);
            put_words(out, &MATRIX);
            put_words(out, &[0, 0, 0, 0, 0, 0, next]);
        });
        put_tracks(out);
        put_box(out, b"mvex", |out| {
            for &track in tracks {
                put_full_box(out, b"trex", 0, 0, |out| {
                    put_words(out, &[track, 1, 0, 0, 0])
                });
            }
        });
    });
}

/// The unity matrix (6.2.2).
pub(crate) const MATRIX: [u32; 9] = [0x0001_0000, 0, 0, 0, 0x0001_0000, 0, 0, 0, 0x4000_0000];

/// The `trak` content of the video.
pub(crate) fn put_track(
    out: &mut Vec<u8>,
    codec: VideoCodec,
    width: u32,
    height: u32,
    record: &[u8],
) {
    // track_enabled, track_in_movie (8.3.2).
    put_full_box(out, b"tkhd", 0, 3, |out| {
        put_words(out, &[0, 0, TRACK_ID, 0, 0, 0, 0, 0, 0]);
        put_words(out, &MATRIX);
        put_words(out, &[width << 16, height << 16]);
    });
    put_box(out, b"mdia", |out| {
        // Language "und" packed in 15 bits (8.4.2).
        put_full_box(out, b"mdhd", 0, 0, |out| {
            put_words(out, &[0, 0, TIMESCALE, 0, 0x55c4_0000])
        });
        put_full_box(out, b"hdlr", 0, 0, |out| {
            put_u32(out, 0);
            out.extend_from_slice(b"vide");
            put_words(out, &[0, 0, 0]);
            out.extend_from_slice(b"video\0");
        });
        put_box(out, b"minf", |out| {
            put_full_box(out, b"vmhd", 0, 1, |out| put_words(out, &[0, 0]));
            put_box(out, b"dinf", |out| {
                put_full_box(out, b"dref", 0, 0, |out| {
                    put_u32(out, 1);
                    // The media is in this file (8.7.2).
                    put_full_box(out, b"url ", 0, 1, |_| {});
                });
            });
            put_box(out, b"stbl", |out| {
                put_sample_table(out, codec, width, height, record)
            });
        });
    });
}

fn put_sample_table(out: &mut Vec<u8>, codec: VideoCodec, width: u32, height: u32, record: &[u8]) {
    let (entry, configuration) = match codec {
        VideoCodec::H264 => (b"avc1", b"avcC"),
        VideoCodec::H265 => (b"hvc1", b"hvcC"),
    };
    put_full_box(out, b"stsd", 0, 0, |out| {
        put_u32(out, 1);
        // VisualSampleEntry (12.1.3).
        put_box(out, entry, |out| {
            out.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
            put_words(out, &[0, 0, 0, 0]);
            out.extend_from_slice(&(width as u16).to_be_bytes());
            out.extend_from_slice(&(height as u16).to_be_bytes());
            // 72 dpi twice, reserved; one frame a sample.
            put_words(out, &[0x0048_0000, 0x0048_0000, 0]);
            out.extend_from_slice(&[0, 1]);
            out.extend_from_slice(&[0; 32]);
            out.extend_from_slice(&[0, 0x18, 0xff, 0xff]);
            put_box(out, configuration, |out| out.extend_from_slice(record));
        });
    });
    for kind in [b"stts", b"stsc", b"stco"] {
        put_full_box(out, kind, 0, 0, |out| put_u32(out, 0));
    }
    put_full_box(out, b"stsz", 0, 0, |out| put_words(out, &[0, 0]));
}

pub(crate) fn put_box(out: &mut Vec<u8>, kind: &[u8; 4], content: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    put_header(out, 0, kind);
    content(out);
    let size = (out.len() - begin) as u32;
    out[begin..begin + 4].copy_from_slice(&size.to_be_bytes());
}

pub(crate) fn put_full_box(
    out: &mut Vec<u8>,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
    content: impl FnOnce(&mut Vec<u8>),
) {
    put_box(out, kind, |out| {
        put_u32(out, u32::from(version) << 24 | flags);
        content(out);
    });
}

pub(crate) fn put_header(out: &mut Vec<u8>, size: usize, kind: &[u8; 4]) {
    put_u32(out, size as u32);
    out.extend_from_slice(kind);
}

pub(crate) fn put_full_header(
    out: &mut Vec<u8>,
    size: usize,
    kind: &[u8; 4],
    version: u8,
    flags: u32,
) {
    put_header(out, size, kind);
    put_u32(out, u32::from(version) << 24 | flags);
}

pub(crate) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn put_words(out: &mut Vec<u8>, words: &[u32]) {
    for &word in words {
        put_u32(out, word);
    }
}

#[cfg(test)]
#[path = "fmp4_tests.rs"]
mod tests;
