//! What is packed is what our own receiving side unpacks.

use super::*;
use crate::fmp4::{self, FRAGMENT_OVERHEAD, Sample};
use crate::nal_payload::{NalDepacketizer, NalFormat};
use crate::rtp::RtpPacket;
use proptest::prelude::*;

fn picture(codec: VideoCodec, is_key_frame: bool, nals: &[Vec<u8>]) -> AccessUnit {
    let sample = Sample {
        sequence: 1,
        decode_time: 0,
        duration: 3600,
        composition_offset: 0,
        is_key_frame,
    };
    AccessUnit {
        generation: 1,
        codec,
        is_key_frame,
        is_damaged: false,
        pts: 7200,
        dts: 3600,
        duration: 3600,
        received_us: 0,
        device_pts: None,
        fragment: fmp4::fragment(&sample, nals.iter().map(|nal| &nal[..])),
        payload_at: FRAGMENT_OVERHEAD,
    }
}

fn parameters(codec: VideoCodec, sets: &[&'static [u8]]) -> VideoParameters {
    VideoParameters {
        generation: 1,
        codec,
        width: 16,
        height: 16,
        codec_string: String::new(),
        parameter_sets: sets.iter().map(|set| Bytes::from_static(set)).collect(),
        record: Bytes::new(),
        init: picture(codec, true, &[]).fragment,
    }
}

fn unpacked(unit: &Unit, format: NalFormat) -> Vec<u8> {
    let mut depacketizer = NalDepacketizer::new(format);
    let mut bytes = Vec::new();
    let count = unit.packets().count();
    for (number, packet) in unit.packets().enumerate() {
        let packet = RtpPacket::parse(packet).unwrap();
        assert!(packet.payload().len() <= PAYLOAD_MAX);
        assert_eq!(packet.marker(), number + 1 == count);
        assert_eq!(packet.sequence(), unit.sequence.wrapping_add(number as u16));
        assert_eq!(packet.timestamp(), unit.timestamp);
        depacketizer.push(packet.payload(), &mut |piece| {
            bytes.extend_from_slice(piece)
        });
    }
    assert_eq!((depacketizer.malformed, count as u32), (0, unit.packets));
    bytes
}

fn byte_stream<'a>(nals: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    nals.into_iter()
        .flat_map(|nal| [&[0, 0, 0, 1], nal].concat())
        .collect()
}

fn a_nal(header: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![0..40usize, PAYLOAD_MAX - 4..PAYLOAD_MAX + 4, 0..5000usize]
        .prop_map(move |length| [header, &vec![0x5a; length]].concat())
}

proptest! {
    #[test]
    fn pictures_of_any_size_come_out_as_they_went_in(
        h264 in proptest::collection::vec(a_nal(&[0x65]), 1..4),
        h265 in proptest::collection::vec(a_nal(&[0x26, 1]), 1..4),
        random: u64,
    ) {
        let sets264: &[&'static [u8]] = &[&[0x67, 1], &[0x68, 2]];
        let sets265: &[&'static [u8]] = &[&[0x40, 1], &[0x42, 1], &[0x44, 1]];
        for (codec, format, nals, sets) in [
            (VideoCodec::H264, NalFormat::H264, h264, sets264),
            (VideoCodec::H265, NalFormat::H265, h265, sets265),
        ] {
            let mut packer = Packer::new(0, VIDEO_PAYLOAD_TYPE, 90_000, random);
            let parameters = parameters(codec, sets);
            let key = packer.picture(&picture(codec, true, &nals), &parameters);
            let whole = sets.iter().copied().chain(nals.iter().map(|nal| &nal[..]));
            prop_assert_eq!(unpacked(&key, format), byte_stream(whole));
            let delta = packer.picture(&picture(codec, false, &nals), &parameters);
            let alone = byte_stream(nals.iter().map(|nal| &nal[..]));
            prop_assert_eq!(unpacked(&delta, format), alone);
            prop_assert_eq!(delta.sequence, key.sequence.wrapping_add(key.packets as u16));
            prop_assert!(key.is_key_frame && !delta.is_key_frame);
        }
    }
}

fn sound(codec: AudioCodec, aac: Option<AacConfig>, data: &[u8]) -> AudioFrame {
    AudioFrame {
        codec,
        pts: 180_000,
        received_us: 0,
        data: Bytes::copy_from_slice(data),
        aac,
    }
}

#[test]
fn long_g711_goes_on_in_time_from_packet_to_packet() {
    let mut packer = Packer::new(1, 8, 8000, 0);
    let frame = sound(AudioCodec::G711A, None, &[0xd5; PAYLOAD_MAX + 160]);
    let unit = packer.sound(&frame, AudioFormat::Pcma).unwrap();
    let times: Vec<_> = unit
        .packets()
        .map(|packet| RtpPacket::parse(packet).unwrap())
        .map(|packet| {
            (
                packet.timestamp(),
                packet.payload().len(),
                packet.payload_type(),
            )
        })
        .collect();
    let begin = 16_000;
    assert_eq!(
        times,
        [
            (begin, PAYLOAD_MAX, 8),
            (begin + PAYLOAD_MAX as u32, 160, 8)
        ]
    );
    assert_eq!(&unit.bytes[..2], b"$\x02");
}

#[test]
fn aac_carries_its_length_and_is_split_when_it_is_long() {
    let aac = AacConfig {
        object_type: 2,
        frequency_index: 8,
        channels: 1,
    };
    let format = AudioFormat::Aac(aac);
    let mut packer = Packer::new(1, format.payload_type(), format.clock_rate(), 0);
    let unit = packer
        .sound(&sound(AudioCodec::Aac, Some(aac), &[7; 300]), format)
        .unwrap();
    let packet = RtpPacket::parse(unit.packets().next().unwrap()).unwrap();
    assert_eq!(packet.payload()[..5], [0, 16, 9, 0x60, 7]);
    assert_eq!((packet.timestamp(), packet.marker()), (32_000, true));
    let long = packer
        .sound(&sound(AudioCodec::Aac, Some(aac), &[7; 2000]), format)
        .unwrap();
    let markers: Vec<_> = long
        .packets()
        .map(|packet| RtpPacket::parse(packet).unwrap().marker())
        .collect();
    assert_eq!(markers, [false, true]);
    let other = AacConfig {
        frequency_index: 3,
        ..aac
    };
    let changed = sound(AudioCodec::Aac, Some(other), &[7; 300]);
    assert_eq!(packer.sound(&changed, format), None);
    let unknown = sound(AudioCodec::Other(1), None, &[7]);
    assert_eq!(packer.sound(&unknown, format), None);
}

#[test]
fn another_channel_changes_the_frames_and_nothing_else() {
    let nals = [vec![0x65; 3000]];
    let mut packer = Packer::new(0, VIDEO_PAYLOAD_TYPE, 90_000, 5);
    let unit = packer.picture(
        &picture(VideoCodec::H264, true, &nals),
        &parameters(VideoCodec::H264, &[]),
    );
    let moved = unit.on_channel(6);
    assert!(moved.packets().eq(unit.packets()));
    assert_eq!((unit.bytes[1], moved.bytes[1]), (0, 6));
    assert_eq!(
        moved
            .bytes
            .iter()
            .zip(&unit.bytes)
            .filter(|(a, b)| a != b)
            .count(),
        3
    );
}
