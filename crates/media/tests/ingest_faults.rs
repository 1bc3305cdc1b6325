//! The pipeline under the faults of real cameras and networks.

mod support;

use commonview_media::audio::AudioCodec;
use commonview_media::ingest::{
    AfterLoss, Ingest, IngestConfig, IngestOutput, NoVideoReason, PayloadFormat, SourceId,
    SsrcPolicy,
};
use support::*;

fn all(pictures: &[Picture]) -> Vec<&Picture> {
    pictures.iter().collect()
}

#[test]
fn a_clean_stream_comes_out_whole_and_at_once() {
    let pictures = pictures(12, 5);
    let (out, ingest) = receive_default(&packets(&pictures, &Packing::default()));
    assert_pictures(&out, &all(&pictures));
    assert!(matches!(
        out[0],
        IngestOutput::FirstPacket {
            ssrc: SSRC,
            payload_type: 96,
            ..
        }
    ));
    assert!(matches!(
        out[1],
        IngestOutput::FormatDetected(PayloadFormat::ProgramStream)
    ));
    let IngestOutput::ParametersChanged(parameters) = &out[2] else {
        panic!("parameters come before the first picture")
    };
    assert_eq!(
        (
            parameters.width,
            parameters.height,
            parameters.codec_string.as_str()
        ),
        (1920, 1080, "avc1.640028")
    );
    assert_eq!(parameters.mime(), "video/mp4; codecs=\"avc1.640028\"");
    let units = units(&out);
    assert_eq!(
        units
            .iter()
            .map(|unit| unit.is_key_frame)
            .collect::<Vec<_>>(),
        (0..12).map(|n| n % 5 == 0).collect::<Vec<_>>()
    );
    // The marker lets each picture out with its own last packet, not with the next picture.
    assert_eq!(
        units
            .iter()
            .map(|unit| unit.received_us)
            .collect::<Vec<_>>(),
        (0..12).map(|n| n * FRAME_US).collect::<Vec<_>>()
    );
    assert_eq!(
        units.iter().map(|unit| unit.pts).collect::<Vec<_>>(),
        (0..12).map(|n| n * 3600).collect::<Vec<_>>()
    );
    assert_eq!(ingest.no_video_reason(), None);
    assert_eq!(ingest.stats().lost, 0);
}

#[test]
// trap 42
fn the_marker_may_be_missing() {
    let pictures = pictures(8, 4);
    let packing = Packing {
        with_marker: false,
        ..Packing::default()
    };
    let (out, _) = receive_default(&packets(&pictures, &packing));
    assert_pictures(&out, &all(&pictures));
}

#[test]
fn a_marker_on_every_packet_costs_one_picture_and_is_ignored_from_then_on() {
    let pictures = pictures(8, 4);
    let mut packets = packets(&pictures, &Packing::default());
    for (_, packet) in &mut packets {
        packet[1] |= 0x80;
    }
    let (out, ingest) = receive_default(&packets);
    assert_eq!(ingest.stats().assembler.misplaced_markers, 1);
    let units = units(&out);
    let from_second_key = units.iter().skip_while(|unit| unit.pts < 4 * 3600).count();
    assert_eq!(from_second_key, 4);
    assert_pictures(&out[out.len() - 4..], &all(&pictures[4..]));
}

#[test]
// trap 42
fn several_slices_and_several_packets_of_one_time_are_one_picture() {
    let mut pictures = vec![key_picture(SPS_1080, 0, 5000)];
    pictures.extend((1..6).map(|n| dependent_picture(n, 9000, 4)));
    for with_marker in [true, false] {
        let packing = Packing {
            pes_payload: 2000,
            with_marker,
            ..Packing::default()
        };
        let (out, _) = receive_default(&packets(&pictures, &packing));
        assert_pictures(&out, &all(&pictures));
    }
}

#[test]
// trap 39
fn a_missing_map_and_a_lying_map_do_not_matter() {
    let pictures = pictures(6, 3);
    for packing in [
        Packing {
            with_map: false,
            ..Packing::default()
        },
        Packing {
            video_type: 0x24,
            ..Packing::default()
        },
    ] {
        let (out, _) = receive_default(&packets(&pictures, &packing));
        assert_pictures(&out, &all(&pictures));
    }
}

#[test]
fn packet_lengths_zero_too_short_and_too_long_do_not_matter() {
    let pictures = pictures(6, 3);
    for pes_length in [0, 100, 0xffff] {
        for with_marker in [true, false] {
            let packing = Packing {
                pes_length: Some(pes_length),
                with_marker,
                ..Packing::default()
            };
            let (out, _) = receive_default(&packets(&pictures, &packing));
            assert_pictures(&out, &all(&pictures));
        }
    }
}

#[test]
fn without_pts_the_rtp_timestamps_place_the_pictures() {
    let pictures = pictures(6, 3);
    let packing = Packing {
        with_pts: false,
        ..Packing::default()
    };
    let (out, ingest) = receive_default(&packets(&pictures, &packing));
    assert_pictures(&out, &all(&pictures));
    assert_eq!(
        units(&out).iter().map(|unit| unit.pts).collect::<Vec<_>>(),
        (0..6).map(|n| n * 3600).collect::<Vec<_>>()
    );
    assert_eq!(ingest.stats().timeline.missing, 0);
}

#[test]
fn the_33_bit_clock_may_wrap() {
    let pictures = pictures(6, 3);
    let packing = Packing {
        first_pts: (1 << 33) - 2 * FRAME_TICKS,
        ..Packing::default()
    };
    let (out, _) = receive_default(&packets(&pictures, &packing));
    assert_eq!(
        units(&out).iter().map(|unit| unit.dts).collect::<Vec<_>>(),
        (0..6).map(|n| n * 3600).collect::<Vec<_>>()
    );
}

#[test]
fn reordered_and_duplicated_datagrams_are_put_right() {
    let pictures = pictures(10, 5);
    let mut packets = packets(&pictures, &Packing::default());
    let count = packets.len();
    for n in (1..count - 4).step_by(4) {
        packets.swap(n, n + 2);
    }
    let duplicate = packets[5].clone();
    packets.insert(9, duplicate);
    let (out, ingest) = receive_default(&packets);
    assert_pictures(&out, &all(&pictures));
    let stats = ingest.stats();
    assert_eq!((stats.lost, stats.duplicates), (0, 1));
    assert!(stats.reordered > 0);
}

#[test]
fn after_loss_the_picture_stands_still_until_the_next_key_frame() {
    let pictures = pictures(15, 5);
    let mut packets = packets(&pictures, &Packing::default());
    let lost = packets.iter().position(|(number, _)| *number == 7).unwrap();
    packets.remove(lost);
    let (out, ingest) = receive_default(&packets);
    let kept: Vec<_> = pictures[..7].iter().chain(&pictures[10..]).collect();
    assert_pictures(&out, &kept);
    let stats = ingest.stats();
    assert_eq!(stats.lost, 1);
    assert_eq!(
        stats.video.units,
        stats.video.delivered + stats.video.damaged_dropped + stats.video.after_loss_dropped
    );
    // The pause is kept on the timeline.
    assert_eq!(units(&out)[7].pts, 10 * 3600);
}

#[test]
fn damaged_pictures_are_delivered_and_marked_when_asked_for() {
    let mut pictures = vec![key_picture(SPS_1080, 0, 5000)];
    pictures.extend((1..6).map(|n| dependent_picture(n, 9000, 4)));
    let mut packets = packets(&pictures, &Packing::default());
    let last_of_third = packets
        .iter()
        .rposition(|(number, _)| *number == 2)
        .unwrap();
    packets.remove(last_of_third);
    let mut ingest = Ingest::new(IngestConfig {
        after_loss: AfterLoss::Deliver,
        ..IngestConfig::default()
    });
    let out = receive(&mut ingest, &packets);
    let damaged: Vec<_> = units(&out).iter().map(|unit| unit.is_damaged).collect();
    assert_eq!(damaged, [false, false, true, false, false, false]);
}

#[test]
fn loss_on_a_byte_stream_shows_in_the_sequence_numbers() {
    let pictures = pictures(10, 5);
    let packets = packets(&pictures, &Packing::default());
    let mut ingest = Ingest::new(IngestConfig::default());
    let mut out = Vec::new();
    for (n, (number, packet)) in packets.iter().enumerate() {
        if n != 8 {
            ingest.push_stream(*number as u64 * FRAME_US, SOURCE, &framed(packet), &mut out);
        }
    }
    assert_eq!(
        packets[8].0, 2,
        "the packet left out belongs to the third picture"
    );
    let kept: Vec<_> = pictures[..2].iter().chain(&pictures[5..]).collect();
    assert_pictures(&out, &kept);
    assert_eq!(ingest.stats().lost, 1);
}

#[test]
fn a_byte_stream_may_be_split_anywhere() {
    let pictures = vec![key_picture(SPS_QCIF, 1, 300), dependent_picture(2, 200, 2)];
    let packing = Packing {
        payload: 100,
        ..Packing::default()
    };
    let stream: Vec<u8> = packets(&pictures, &packing)
        .iter()
        .flat_map(|(_, packet)| framed(packet))
        .collect();
    for at in 0..=stream.len() {
        let mut ingest = Ingest::new(IngestConfig::default());
        let mut out = Vec::new();
        for part in [&stream[..at], &stream[at..]] {
            ingest.push_stream(0, SOURCE, part, &mut out);
        }
        assert_pictures(&out, &all(&pictures));
    }
    for size in 1..50 {
        let mut ingest = Ingest::new(IngestConfig::default());
        let mut out = Vec::new();
        stream
            .chunks(size)
            .for_each(|part| ingest.push_stream(0, SOURCE, part, &mut out));
        assert_pictures(&out, &all(&pictures));
    }
}

#[test]
fn a_stream_may_be_joined_in_the_middle() {
    let pictures = pictures(10, 5);
    let packets = packets(&pictures, &Packing::default());
    let (out, ingest) = receive_default(&packets[2..]);
    assert_pictures(&out, &all(&pictures[5..]));
    assert!(ingest.stats().video.before_key_frame <= 4);
}

#[test]
fn new_parameter_sets_begin_a_generation_and_repeated_ones_do_not() {
    let mut pictures = pictures(10, 5);
    pictures.push(key_picture(SPS_QCIF, 77, 900));
    pictures.push(dependent_picture(78, 500, 1));
    let (out, _) = receive_default(&packets(&pictures, &Packing::default()));
    assert_pictures(&out, &all(&pictures));
    let generations: Vec<_> = units(&out).iter().map(|unit| unit.generation).collect();
    assert_eq!(generations, [vec![1; 10], vec![2; 2]].concat());
    let sizes: Vec<_> = out
        .iter()
        .filter_map(|output| match output {
            IngestOutput::ParametersChanged(parameters) => {
                Some((parameters.generation, parameters.width, parameters.height))
            }
            _ => None,
        })
        .collect();
    assert_eq!(sizes, [(1, 1920, 1080), (2, 176, 144)]);
}

#[test]
// trap 34
fn a_camera_that_chose_its_own_ssrc_is_followed_and_reported_once() {
    let pictures = pictures(4, 4);
    let packing = Packing {
        ssrc: 0,
        ..Packing::default()
    };
    let mut ingest = Ingest::new(IngestConfig {
        ssrc: SsrcPolicy::Learn(Some(SSRC)),
        ..IngestConfig::default()
    });
    let out = receive(&mut ingest, &packets(&pictures, &packing));
    assert_pictures(&out, &all(&pictures));
    let reports: Vec<_> = out
        .iter()
        .filter(|output| matches!(output, IngestOutput::SsrcMismatch { .. }))
        .collect();
    assert!(matches!(
        reports[..],
        [IngestOutput::SsrcMismatch {
            expected: SSRC,
            seen: 0,
            accepted: true
        }]
    ));
}

#[test]
// trap 34
fn a_camera_that_changes_its_ssrc_in_the_middle_is_followed_where_that_is_allowed() {
    let pictures = pictures(8, 4);
    let change = |(number, packet): &(usize, Vec<u8>)| {
        let mut packet = packet.clone();
        packet[8..12].copy_from_slice(&(if *number < 4 { SSRC } else { 99 }).to_be_bytes());
        (*number, packet)
    };
    let sent: Vec<_> = packets(&pictures, &Packing::default())
        .iter()
        .map(change)
        .collect();
    for (policy, shown) in [
        (SsrcPolicy::Follow(Some(SSRC)), 8),
        (SsrcPolicy::Learn(Some(SSRC)), 4),
        (SsrcPolicy::Strict(SSRC), 4),
    ] {
        let mut ingest = Ingest::new(IngestConfig {
            ssrc: policy,
            ..IngestConfig::default()
        });
        let out = receive(&mut ingest, &sent);
        let pictures = out
            .iter()
            .filter(|output| matches!(output, IngestOutput::AccessUnit(_)));
        assert!(pictures.count().abs_diff(shown) <= 1, "{policy:?}");
        assert_eq!(ingest.stats().ssrc_dropped > 0, shown == 4, "{policy:?}");
    }
}

#[test]
// trap 34
fn a_strict_stream_drops_foreign_packets_and_says_why_there_is_no_picture() {
    let mut ingest = Ingest::new(IngestConfig {
        ssrc: SsrcPolicy::Strict(1),
        ..IngestConfig::default()
    });
    assert_eq!(ingest.no_video_reason(), Some(NoVideoReason::NoPackets));
    let packets = packets(&pictures(2, 2), &Packing::default());
    let out = receive(&mut ingest, &packets);
    assert_eq!(out.len(), 1);
    assert_eq!(ingest.stats().ssrc_dropped, packets.len() as u64);
    assert_eq!(ingest.no_video_reason(), Some(NoVideoReason::SsrcMismatch));
}

#[test]
// trap 35
fn another_camera_on_the_same_port_does_not_disturb_the_first() {
    let pictures = pictures(10, 5);
    let ours = packets(&pictures, &Packing::default());
    let theirs = packets(
        &pictures,
        &Packing {
            ssrc: 99,
            first_sequence: 7,
            ..Packing::default()
        },
    );
    let mut ingest = Ingest::new(IngestConfig::default());
    let mut out = Vec::new();
    for ((number, our), (_, their)) in ours.iter().zip(&theirs) {
        ingest.push_rtp(*number as u64 * FRAME_US, our, SOURCE, &mut out);
        ingest.push_rtp(*number as u64 * FRAME_US, their, SourceId(2), &mut out);
    }
    assert_pictures(&out, &all(&pictures));
    assert_eq!(ingest.stats().ssrc_dropped, theirs.len() as u64);
}

#[test]
fn a_restarted_camera_is_followed_after_silence() {
    let pictures = pictures(4, 4);
    let first = packets(&pictures, &Packing::default());
    let second = packets(
        &pictures,
        &Packing {
            ssrc: 99,
            first_sequence: 7,
            first_pts: 5,
            ..Packing::default()
        },
    );
    let mut ingest = Ingest::new(IngestConfig::default());
    let mut out = receive(&mut ingest, &first);
    for (number, packet) in &second {
        ingest.push_rtp(
            10_000_000 + *number as u64 * FRAME_US,
            packet,
            SOURCE,
            &mut out,
        );
    }
    assert_pictures(&out, &[all(&pictures), all(&pictures)].concat());
    assert_eq!(ingest.ssrc(), Some(99));
    assert_eq!(ingest.stats().lost, 0);
}

#[test]
fn rtcp_and_garbage_are_counted_and_change_nothing() {
    let pictures = pictures(5, 5);
    let mut packets = packets(&pictures, &Packing::default());
    packets.insert(0, (0, vec![0x80, 200, 0, 1, 0, 0, 0, 42]));
    packets.insert(3, (0, b"\x00\x01 keep-alive".to_vec()));
    packets.insert(3, (0, vec![]));
    let (out, ingest) = receive_default(&packets);
    assert_pictures(&out, &all(&pictures));
    assert_eq!((ingest.stats().rtcp, ingest.stats().malformed), (1, 2));
    assert_eq!(ingest.ssrc(), Some(SSRC));
}

#[test]
// trap 40
fn audio_and_private_streams_lie_beside_the_video() {
    let pictures = pictures(4, 4);
    let mut out = Vec::new();
    let mut ingest = Ingest::new(IngestConfig::default());
    let packing = Packing::default();
    for (n, picture) in pictures.iter().enumerate() {
        let pts = packing.first_pts + n as u64 * FRAME_TICKS;
        let mut data = pack(picture, pts, &packing);
        data.extend(pes(0xbd, Some(pts), None, &[0xaa; 30]));
        data.extend(pes(0xc0, Some(pts), None, &[0xd5; 320]));
        ingest.push_rtp(
            n as u64 * FRAME_US,
            &rtp(n as u16, pts as u32, true, SSRC, &data),
            SOURCE,
            &mut out,
        );
    }
    assert_pictures(&out, &all(&pictures));
    assert_eq!(ingest.audio_codecs(), [AudioCodec::G711A]);
    let times: Vec<_> = out
        .iter()
        .filter_map(|output| match output {
            IngestOutput::AudioFrame(frame) => Some((frame.pts, frame.data.len())),
            _ => None,
        })
        .collect();
    assert_eq!(times, [(0, 320), (3600, 320), (7200, 320), (10_800, 320)]);
    assert_eq!(ingest.stats().ps.private_packets, 4);
}

#[test]
fn reasons_for_no_picture_are_told_apart() {
    let no_key: Vec<_> = (1..5).map(|n| dependent_picture(n, 500, 1)).collect();
    let (_, ingest) = receive_default(&packets(&no_key, &Packing::default()));
    assert_eq!(ingest.no_video_reason(), Some(NoVideoReason::NoKeyFrame));

    let mut svac = pictures(2, 2);
    svac.iter_mut()
        .flat_map(|picture| &mut picture.nal_units)
        .for_each(|nal| nal[0] = 0x11);
    let (_, ingest) = receive_default(&packets(
        &svac,
        &Packing {
            video_type: 0x80,
            ..Packing::default()
        },
    ));
    assert_eq!(ingest.no_video_reason(), Some(NoVideoReason::UnknownCodec));

    let (_, ingest) = receive_default(&[(0, rtp(0, 0, false, SSRC, &[0x55; 500]))]);
    assert_eq!(
        ingest.no_video_reason(),
        Some(NoVideoReason::UnknownPayload)
    );

    let mut transport = vec![0xff; 188 * 4];
    transport
        .iter_mut()
        .step_by(188)
        .for_each(|byte| *byte = 0x47);
    let (_, ingest) = receive_default(&[(0, rtp(0, 0, false, SSRC, &transport))]);
    assert_eq!(
        ingest.no_video_reason(),
        Some(NoVideoReason::UnknownCodec),
        "a transport stream without tables"
    );
}

#[test]
fn a_byte_stream_and_nal_units_straight_in_rtp_are_recognised() {
    let pictures = pictures(6, 3);
    let mut plain = Vec::new();
    let mut nal_units = Vec::new();
    for (n, picture) in pictures.iter().enumerate() {
        let time = n as u32 * 3600;
        let data = byte_stream(picture);
        for (part, last) in with_last(data.chunks(1400)) {
            plain.push((n, rtp(plain.len() as u16, time, last, SSRC, part)));
        }
        for (nal, last) in with_last(picture.nal_units.iter()) {
            if nal.len() < 1400 {
                nal_units.push((n, rtp(nal_units.len() as u16, time, last, SSRC, nal)));
                continue;
            }
            for (index, (part, last_part)) in with_last(nal[1..].chunks(1300)).enumerate() {
                let fragment = nal[0] & 0x1f | u8::from(index == 0) << 7 | u8::from(last_part) << 6;
                let payload = [&[nal[0] & 0xe0 | 28, fragment][..], part].concat();
                nal_units.push((
                    n,
                    rtp(
                        nal_units.len() as u16,
                        time,
                        last && last_part,
                        SSRC,
                        &payload,
                    ),
                ));
            }
        }
    }
    for (packets, format) in [
        (plain, PayloadFormat::ByteStream),
        (nal_units, PayloadFormat::RtpH264),
    ] {
        let (out, ingest) = receive_default(&packets);
        assert_eq!(ingest.format(), Some(format));
        assert_pictures(&out, &all(&pictures));
        assert_eq!(
            units(&out).iter().map(|unit| unit.pts).collect::<Vec<_>>(),
            (0..6).map(|n| n * 3600).collect::<Vec<_>>()
        );
    }
}

fn with_last<I: ExactSizeIterator>(items: I) -> impl Iterator<Item = (I::Item, bool)> {
    let count = items.len();
    items
        .enumerate()
        .map(move |(n, item)| (item, n + 1 == count))
}

#[test]
fn a_picture_that_never_ends_is_dropped_and_the_next_key_frame_is_used() {
    let mut pictures = vec![
        key_picture(SPS_1080, 0, 5000),
        dependent_picture(1, 60_000, 1),
    ];
    pictures.extend((2..4).map(|n| dependent_picture(n, 1000, 1)));
    pictures.push(key_picture(SPS_1080, 9, 5000));
    let mut ingest = Ingest::new(IngestConfig {
        max_access_unit_bytes: 20_000,
        ..IngestConfig::default()
    });
    let out = receive(&mut ingest, &packets(&pictures, &Packing::default()));
    assert_pictures(&out, &[&pictures[0], &pictures[4]]);
    assert_eq!(ingest.stats().assembler.oversized, 1);
}

#[test]
fn a_closed_connection_lets_the_camera_come_back_on_another() {
    let pictures = pictures(6, 3);
    let packets = packets(&pictures, &Packing::default());
    let half = packets.iter().position(|(number, _)| *number == 3).unwrap();
    let mut ingest = Ingest::new(IngestConfig::default());
    let mut out = Vec::new();
    for (_, packet) in &packets[..half] {
        ingest.push_stream(0, SourceId(1), &framed(packet), &mut out);
    }
    ingest.push_stream(0, SourceId(1), &[5, 0, 0x80], &mut out);
    ingest.close_connection(0, SourceId(1), &mut out);
    for (_, packet) in &packets[half..] {
        ingest.push_stream(1, SourceId(2), &framed(packet), &mut out);
    }
    assert_pictures(&out, &all(&pictures));
    assert_eq!(ingest.stats().framing.skipped_bytes, 3);
}

#[test]
fn a_datagram_full_of_tiny_pictures_is_taken_apart() {
    let mut tiny = byte_stream(&key_picture(SPS_QCIF, 1, 20));
    tiny.extend([0, 0, 1, 0x41, 0x88, 7].repeat(10_000));
    let (out, ingest) = receive_default(&[(0, rtp(0, 0, true, SSRC, &tiny))]);
    assert_eq!(units(&out).len(), 10_001);
    assert_eq!(ingest.stats().video.damaged, 0);
}

#[test]
fn a_picture_of_thousands_of_slices_is_damaged_not_endless() {
    let mut many = byte_stream(&key_picture(SPS_QCIF, 1, 20));
    many.extend([0, 0, 1, 0x65, 0x48].repeat(5000));
    let (out, ingest) = receive_default(&[(0, rtp(0, 0, true, SSRC, &many))]);
    assert_eq!(units(&out).len(), 0);
    assert_eq!(ingest.stats().video.damaged_dropped, 1);
}
