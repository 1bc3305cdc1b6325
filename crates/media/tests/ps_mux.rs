//! What the muxer writes the demultiplexer reads: pictures, times and sound.

mod support;

use bytes::Bytes;
use commonview_media::audio::{AacConfig, AudioCodec, AudioFrame};
use commonview_media::ingest::{Ingest, IngestConfig, IngestOutput};
use commonview_media::ps_mux::PsMuxer;
use commonview_media::relay::{packetize, starts_key_frame};
use proptest::prelude::*;
use support::*;

fn sound(codec: AudioCodec, pts: i64) -> AudioFrame {
    AudioFrame {
        codec,
        pts,
        received_us: 0,
        data: Bytes::from(vec![0x55; 320]),
        aac: (codec == AudioCodec::Aac).then_some(AacConfig {
            object_type: 2,
            frequency_index: 8,
            channels: 1,
        }),
    }
}

/// Through the muxer, as packets, and received again.
fn relayed(out: &[IngestOutput], codec: Option<AudioCodec>) -> Vec<IngestOutput> {
    let mut muxer = PsMuxer::new();
    let mut parameters = None;
    let mut packets = Vec::new();
    let mut sequence = 0u16;
    for output in out {
        let packs = match output {
            IngestOutput::ParametersChanged(new) => {
                parameters = Some(new.clone());
                continue;
            }
            IngestOutput::AccessUnit(unit) => {
                let sound = codec.and_then(|codec| muxer.audio(&sound(codec, unit.pts)));
                let picture = muxer.picture(unit, parameters.as_ref().unwrap());
                assert_eq!(
                    starts_key_frame(&picture, Some(unit.codec)),
                    unit.is_key_frame
                );
                [Some(picture), sound].map(|pack| pack.map(|pack| (unit.pts, pack)))
            }
            _ => continue,
        };
        for (pts, pack) in packs.into_iter().flatten() {
            for packet in packetize(pack, pts as u32, false) {
                packets.push(rtp(
                    sequence,
                    packet.timestamp,
                    packet.marker,
                    9,
                    &packet.payload,
                ));
                sequence = sequence.wrapping_add(1);
            }
        }
    }
    let mut ingest = Ingest::new(IngestConfig::default());
    let mut again = Vec::new();
    for (packet, n) in packets.iter().zip(0..) {
        ingest.push_rtp(n * 1000, packet, SOURCE, &mut again);
    }
    ingest.tick(u64::MAX / 2, &mut again);
    let stats = ingest.stats();
    assert_eq!(
        (
            stats.ps.length_errors,
            stats.ps.header_errors,
            stats.ps.resyncs,
            stats.ps.bad_maps
        ),
        (0, 0, 0, 0)
    );
    assert_eq!(
        (stats.video.damaged, stats.assembler.misplaced_markers),
        (0, 0)
    );
    again
}

fn content(out: &[IngestOutput]) -> Vec<(Vec<u8>, i64, bool)> {
    let content = units(out).into_iter();
    content
        .map(|unit| (unit.payload().to_vec(), unit.pts, unit.is_key_frame))
        .collect()
}

#[test]
fn pictures_and_times_survive_the_muxer() {
    let pictures = pictures(40, 10);
    let (out, _) = receive_default(&packets(&pictures, &Packing::default()));
    assert_eq!(content(&relayed(&out, None)), content(&out));
}

#[test]
fn a_picture_larger_than_a_packet_can_say_is_split() {
    let pictures = [
        key_picture(SPS_1080, 1, 200_000),
        dependent_picture(2, 70_000, 1),
        key_picture(SPS_1080, 3, 65_522),
    ];
    let (out, _) = receive_default(&packets(&pictures, &Packing::default()));
    assert_eq!(content(&relayed(&out, None)), content(&out));
}

#[test]
fn sound_is_announced_and_comes_back() {
    let pictures = pictures(40, 10);
    let (out, _) = receive_default(&packets(&pictures, &Packing::default()));
    for codec in [AudioCodec::G711A, AudioCodec::G711U, AudioCodec::Aac] {
        let again = relayed(&out, Some(codec));
        assert_eq!(content(&again), content(&out));
        let frames: Vec<_> = again
            .iter()
            .filter_map(|output| match output {
                IngestOutput::AudioFrame(frame) => {
                    Some((frame.codec, frame.data.len(), frame.aac.is_some()))
                }
                _ => None,
            })
            .collect();
        assert_eq!(frames.len(), 40, "{codec:?}");
        assert!(
            frames
                .iter()
                .all(|frame| *frame == (codec, 320, codec == AudioCodec::Aac))
        );
    }
    assert!(
        PsMuxer::new()
            .audio(&sound(AudioCodec::Other(0x99), 0))
            .is_none()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn pictures_of_any_size_come_back_whole(sizes in prop::collection::vec(20usize..140_000, 1..12), slices in 1u32..5) {
        let mut pictures = vec![key_picture(SPS_1080, 1, 500)];
        pictures.extend(sizes.iter().zip(2..).map(|(&size, n)| dependent_picture(n, size, slices)));
        let (out, _) = receive_default(&packets(&pictures, &Packing::default()));
        prop_assert_eq!(content(&relayed(&out, None)), content(&out));
    }
}
