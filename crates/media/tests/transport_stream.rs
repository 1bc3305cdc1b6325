//! Transport streams in RTP: what a device sends that promised a program stream (trap 38).

mod support;

use commonview_media::audio::AudioCodec;
use commonview_media::ingest::{Ingest, IngestConfig, IngestOutput, NoVideoReason, PayloadFormat};
use proptest::prelude::*;
use support::ts::{PACKET, TsWriter, VIDEO_PID, stream};
use support::*;

/// Seven packets a datagram, as is usual.
fn datagrams(stream: &[u8]) -> Vec<(usize, Vec<u8>)> {
    let parts = stream.chunks(7 * PACKET).enumerate();
    parts
        .map(|(n, part)| (n, rtp(n as u16, n as u32 * 3600, n % 3 == 0, SSRC, part)))
        .collect()
}

fn audio(out: &[IngestOutput]) -> Vec<(AudioCodec, usize)> {
    let frames = out.iter().filter_map(|output| match output {
        IngestOutput::AudioFrame(frame) => Some((frame.codec, frame.data.len())),
        _ => None,
    });
    frames.collect()
}

// trap 38
#[test]
fn pictures_and_sound_of_a_transport_stream_come_out_whole() {
    let pictures = pictures(12, 5);
    let (out, ingest) = receive_default(&datagrams(&stream(&pictures)));
    assert_pictures(&out, &pictures.iter().collect::<Vec<_>>());
    assert_eq!(audio(&out), vec![(AudioCodec::G711A, 320); 12]);
    assert_eq!(ingest.format(), Some(PayloadFormat::TransportStream));
    let stats = ingest.stats();
    assert_eq!(
        (stats.ts.tables, stats.ts.gaps, stats.ts.unusable),
        (6, 0, 0)
    );
}

#[test]
fn time_stamps_are_those_of_the_packets_inside_not_of_rtp() {
    let pictures = pictures(6, 3);
    let (out, _) = receive_default(&datagrams(&stream(&pictures)));
    let times: Vec<_> = units(&out).iter().map(|unit| unit.pts).collect();
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] == 3600),
        "{times:?}"
    );
}

#[test]
fn packets_of_the_network_may_split_packets_of_the_stream() {
    let pictures = pictures(8, 4);
    let stream = stream(&pictures);
    // The first one shows what it is; after it any size goes.
    let (first, rest) = stream.split_at(PACKET);
    let mut packets = vec![(0, rtp(0, 0, false, SSRC, first))];
    for (n, part) in rest.chunks(777).enumerate() {
        packets.push((n, rtp(n as u16 + 1, 0, false, SSRC, part)));
    }
    let (out, _) = receive_default(&packets);
    assert_pictures(&out, &pictures.iter().collect::<Vec<_>>());
}

#[test]
fn a_packet_that_comes_twice_is_taken_once() {
    let pictures = pictures(6, 3);
    let doubled: Vec<u8> = stream(&pictures)
        .chunks(PACKET)
        .flat_map(|packet| [packet, packet].concat())
        .collect();
    let (out, ingest) = receive_default(&datagrams(&doubled));
    assert_pictures(&out, &pictures.iter().collect::<Vec<_>>());
    assert_eq!(ingest.stats().ts.gaps, 0);
}

#[test]
fn a_missing_packet_costs_the_pictures_up_to_the_next_key_picture() {
    let pictures = pictures(12, 4);
    let mut packets: Vec<Vec<u8>> = stream(&pictures)
        .chunks(PACKET)
        .map(<[u8]>::to_vec)
        .collect();
    let of_video = |packet: &Vec<u8>| packet[1] & 0x1f == 1 && packet[2] == VIDEO_PID as u8;
    let starts: Vec<_> = (0..packets.len())
        .filter(|&n| of_video(&packets[n]) && packets[n][1] & 0x40 != 0)
        .collect();
    packets.remove(starts[5] + 2);
    let (out, ingest) = receive_default(&datagrams(&packets.concat()));
    let kept: Vec<_> = pictures[..5].iter().chain(&pictures[8..]).collect();
    assert_pictures(&out, &kept);
    assert_eq!(ingest.stats().ts.gaps, 1);
}

#[test]
fn tables_with_a_wrong_checksum_are_not_believed() {
    let picture = key_picture(SPS_1080, 1, 900);
    let mut writer = TsWriter::default();
    writer.tables(0x1b, 0);
    let end = writer.out.len() - 1;
    writer.out[end] ^= 1;
    writer.picture(&picture, 90_000);
    let (out, ingest) = receive_default(&datagrams(&writer.out));
    assert!(units(&out).is_empty());
    assert_eq!(
        (ingest.stats().ts.tables, ingest.stats().ts.bad_tables),
        (1, 1)
    );
    assert_eq!(ingest.no_video_reason(), Some(NoVideoReason::UnknownCodec));
}

#[test]
fn scrambled_and_broken_packets_are_counted_and_left_alone() {
    let pictures = pictures(3, 3);
    let mut stream = stream(&pictures);
    for (n, packet) in stream.chunks_mut(PACKET).enumerate() {
        if packet[1] & 0x1f == 1 && packet[2] == VIDEO_PID as u8 {
            packet[3] |= if n % 2 == 0 { 0x80 } else { 0 };
            packet[1] |= if n % 2 == 1 { 0x80 } else { 0 };
        }
    }
    let (out, ingest) = receive_default(&datagrams(&stream));
    assert!(units(&out).is_empty() && ingest.stats().ts.unusable > 10);
    assert_eq!(ingest.no_video_reason(), Some(NoVideoReason::NoKeyFrame));
}

proptest! {
    #[test]
    fn noise_among_the_packets_is_survived(
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..60),
        cut in 1usize..1500,
    ) {
        let mut stream = stream(&pictures(6, 3));
        for (at, value) in noise {
            let at = at.index(stream.len());
            stream[at] = value;
        }
        let mut ingest = Ingest::new(IngestConfig::default());
        let mut out = Vec::new();
        let parts = stream[..PACKET].chunks(PACKET).chain(stream[PACKET..].chunks(cut));
        for (n, part) in parts.enumerate() {
            let packet = rtp(n as u16, 0, false, SSRC, part);
            ingest.push_rtp(n as u64 * 1000, &packet, SOURCE, &mut out);
        }
        let sent: usize = stream.len();
        let got: usize = units(&out).iter().map(|unit| unit.size()).sum();
        prop_assert!(got <= 2 * sent);
    }
}
