//! FLV (Adobe Flash Video File Format 10.1, annex E; Enhanced RTMP v1 for H.265): a picture as a tag around the bytes that everybody
//! gets, over HTTP as one endless response, over a WebSocket as messages that follow on each other.
//!
//! ```text
//! | HTTP chunk or WebSocket header | tag header | video header | length, NAL unit, length, NAL unit ... | size of the tag |
//! |               made for each picture          |              shared                              |                 |
//! ```

use bytes::Bytes;

use crate::access_unit::AccessUnit;
use crate::audio::{AudioCodec, AudioFrame};
use crate::http;
use crate::parameters::{VideoCodec, VideoParameters};
use crate::ticket::Protocol;
use crate::websocket::{self, Opcode};

const TAG_HEADER: usize = 11;
const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
/// The FourCC of H.265 (Enhanced RTMP v1, table 4).
const HEVC: &[u8; 4] = b"hvc1";
/// A sequence header, and pictures with their composition time: the same numbers in the old form and the enhanced one.
const SEQUENCE: u8 = 0;
const CODED: u8 = 1;
const CODEC_AVC: u8 = 7;
const ENHANCED: u8 = 0x80;

/// What stands at the beginning: the signature, what is to come, and the size of no tag.
pub fn header(has_audio: bool) -> Vec<u8> {
    let flags = 1 | if has_audio { 4 } else { 0 };
    [&b"FLV\x01"[..], &[flags], &9u32.to_be_bytes(), &[0; 4]].concat()
}

/// What a decoder needs before the first picture of a generation.
pub fn video_start(parameters: &VideoParameters, dts: i64) -> Vec<u8> {
    let head = video_head(parameters.codec, SEQUENCE, true, 0);
    tag(VIDEO, dts, &[&head, &parameters.record])
}

/// A picture for viewers of `protocol`: what stands before it, its shared bytes, and what stands behind.
pub fn picture(unit: &AccessUnit, protocol: Protocol) -> [Bytes; 3] {
    let composition_ms = (unit.pts - unit.dts) / 90;
    let video = video_head(unit.codec, CODED, unit.is_key_frame, composition_ms as i32);
    let payload = unit.payload();
    let length = video.len() + payload.len();
    let mut head = wrapping_head(protocol, TAG_HEADER + length + 4);
    head.extend_from_slice(&tag_header(VIDEO, unit.dts, length));
    head.extend_from_slice(&video);
    let mut tail = tag_size(length).to_vec();
    tail.extend_from_slice(wrapping_end(protocol));
    [head.into(), payload, tail.into()]
}

/// What a decoder needs before the first sound of an AAC track; other codecs need nothing.
pub fn sound_start(frame: &AudioFrame) -> Option<Vec<u8>> {
    let config = frame.aac?.specific_config();
    Some(tag(AUDIO, frame.pts, &[&[AAC, SEQUENCE], &config]))
}

/// AAC is always said to be 44 kHz, 16 bits and stereo; its configuration says what it is (E.4.2.1).
const AAC: u8 = 10 << 4 | 3 << 2 | 1 << 1 | 1;
/// G.711 is 8 kHz, 16 bits when decoded, mono.
const G711A: u8 = 7 << 4 | 1 << 1;
const G711U: u8 = 8 << 4 | 1 << 1;

/// Sound, when FLV can carry it.
pub fn sound(frame: &AudioFrame) -> Option<Vec<u8>> {
    match frame.codec {
        AudioCodec::Aac => {
            frame.aac?;
            Some(tag(AUDIO, frame.pts, &[&[AAC, CODED], &frame.data]))
        }
        AudioCodec::G711A => Some(tag(AUDIO, frame.pts, &[&[G711A], &frame.data])),
        AudioCodec::G711U => Some(tag(AUDIO, frame.pts, &[&[G711U], &frame.data])),
        AudioCodec::Other(_) => None,
    }
}

/// Bytes as they are written to viewers of `protocol`.
pub fn wrapped(protocol: Protocol, bytes: Vec<u8>) -> [Bytes; 3] {
    let head = wrapping_head(protocol, bytes.len());
    let end = Bytes::from_static(wrapping_end(protocol));
    [head.into(), bytes.into(), end]
}

fn wrapping_head(protocol: Protocol, length: usize) -> Vec<u8> {
    if protocol.is_websocket() {
        websocket::frame_head(Opcode::Binary, length)
    } else {
        http::chunk_head(length)
    }
}

fn wrapping_end(protocol: Protocol) -> &'static [u8] {
    if protocol.is_websocket() {
        &[]
    } else {
        http::CHUNK_END
    }
}

/// What stands between the tag header and the NAL units (E.4.3.1; Enhanced RTMP v1, "Enhanced video").
fn video_head(codec: VideoCodec, kind: u8, is_key_frame: bool, composition_ms: i32) -> Vec<u8> {
    let frame = if is_key_frame { 1 } else { 2 };
    let [_, composition @ ..] = composition_ms.to_be_bytes();
    match codec {
        VideoCodec::H264 => {
            let mut head = vec![frame << 4 | CODEC_AVC, kind];
            head.extend_from_slice(&composition);
            head
        }
        VideoCodec::H265 => {
            let mut head = vec![ENHANCED | frame << 4 | kind];
            head.extend_from_slice(HEVC);
            if kind == CODED {
                head.extend_from_slice(&composition);
            }
            head
        }
    }
}

fn tag(kind: u8, at: i64, content: &[&[u8]]) -> Vec<u8> {
    let length = content.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(TAG_HEADER + length + 4);
    out.extend_from_slice(&tag_header(kind, at, length));
    for part in content {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(&tag_size(length));
    out
}

/// Kind, length and time (E.4.1); the time in milliseconds, its highest octet behind the others.
fn tag_header(kind: u8, at: i64, length: usize) -> [u8; TAG_HEADER] {
    let [_, size @ ..] = (length as u32).to_be_bytes();
    let [extension, time @ ..] = ((at / 90) as u32).to_be_bytes();
    [
        kind, size[0], size[1], size[2], time[0], time[1], time[2], extension, 0, 0, 0,
    ]
}

fn tag_size(length: usize) -> [u8; 4] {
    ((TAG_HEADER + length) as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::AacConfig;
    use crate::fmp4::Fragment;

    fn unit(codec: VideoCodec, is_key_frame: bool) -> AccessUnit {
        AccessUnit {
            generation: 1,
            codec,
            is_key_frame,
            is_damaged: false,
            pts: 0x0123_4567 * 90 + 40 * 90,
            dts: 0x0123_4567 * 90,
            duration: 3600,
            received_us: 0,
            device_pts: None,
            fragment: Fragment {
                buffer: Bytes::from_static(&[9, 9, 0, 0, 0, 2, 0x65, 1]),
                ws_offset: 0,
                payload_offset: 0,
            },
            payload_at: 2,
        }
    }

    #[test]
    fn a_picture_of_h264_is_a_tag_of_the_old_form() {
        let parts = picture(&unit(VideoCodec::H264, true), Protocol::WsFlv).concat();
        let expected: &[u8] = &[
            0x82, 26, // WebSocket: binary, 26 octets
            9, 0, 0, 11, 0x23, 0x45, 0x67, 0x01, 0, 0, 0, // video, 11 octets, time
            0x17, 1, 0, 0, 40, // key frame of AVC, shown 40 ms later
            0, 0, 0, 2, 0x65, 1, // a NAL unit
            0, 0, 0, 22,
        ];
        assert_eq!(parts, expected);
        let parts = picture(&unit(VideoCodec::H264, false), Protocol::HttpFlv).concat();
        assert!(parts.starts_with(b"1a\r\n\x09") && parts.ends_with(b"\x00\x00\x00\x16\r\n"));
        assert_eq!(parts[4 + 11], 0x27);
    }

    #[test]
    fn a_picture_of_h265_is_a_tag_of_the_enhanced_form() {
        let parts = picture(&unit(VideoCodec::H265, true), Protocol::WsFlv).concat();
        assert_eq!(parts[2 + 11..][..8], *b"\x91hvc1\x00\x00\x28");
        let parts = picture(&unit(VideoCodec::H265, false), Protocol::WsFlv).concat();
        assert_eq!(parts[2 + 11], 0xa1);
    }

    #[test]
    fn a_picture_that_is_shown_before_it_is_decoded_keeps_its_sign() {
        let early = AccessUnit {
            pts: -90,
            dts: 0,
            ..unit(VideoCodec::H264, true)
        };
        let parts = picture(&early, Protocol::WsFlv).concat();
        assert_eq!(parts[2 + 11..][..5], [0x17, 1, 0xff, 0xff, 0xff]);
    }

    #[test]
    fn what_a_decoder_needs_comes_first() {
        assert_eq!(
            header(false),
            b"FLV\x01\x01\x00\x00\x00\x09\x00\x00\x00\x00"
        );
        assert_eq!(header(true)[4], 5);
        let mut parameters = VideoParameters {
            generation: 1,
            codec: VideoCodec::H264,
            width: 16,
            height: 16,
            codec_string: String::new(),
            parameter_sets: Vec::new(),
            record: Bytes::from_static(&[1, 2, 3]),
            init: unit(VideoCodec::H264, true).fragment,
        };
        let start = video_start(&parameters, 0);
        assert_eq!(start[TAG_HEADER..][..8], [0x17, 0, 0, 0, 0, 1, 2, 3]);
        parameters.codec = VideoCodec::H265;
        let start = video_start(&parameters, 0);
        assert_eq!(start[TAG_HEADER..][..8], *b"\x90hvc1\x01\x02\x03");
    }

    #[test]
    fn sound_says_what_it_is() {
        let mut frame = AudioFrame {
            codec: AudioCodec::G711A,
            pts: 90,
            received_us: 0,
            data: Bytes::from_static(&[0xd5]),
            aac: None,
        };
        assert_eq!(sound_start(&frame), None);
        assert_eq!(sound(&frame).unwrap()[TAG_HEADER..][..2], [0x72, 0xd5]);
        frame.codec = AudioCodec::G711U;
        assert_eq!(sound(&frame).unwrap()[TAG_HEADER], 0x82);
        frame.codec = AudioCodec::Other(0x99);
        assert_eq!(sound(&frame), None);
        frame.codec = AudioCodec::Aac;
        assert_eq!(sound(&frame), None, "nobody could decode it");
        frame.aac = Some(AacConfig {
            object_type: 2,
            frequency_index: 11,
            channels: 1,
        });
        assert_eq!(sound(&frame).unwrap()[TAG_HEADER..][..3], [0xaf, 1, 0xd5]);
        let start = sound_start(&frame).unwrap();
        assert_eq!(start[TAG_HEADER..][..4], [0xaf, 0, 0x15, 0x88]);
    }
}
