//! What holds for every input: no panic, every packet and byte counted once, the same result for every split.

mod support;

use std::sync::OnceLock;

use bytes::Bytes;
use commonview_media::assembler::Assembler;
use commonview_media::fmp4::{self, Sample};
use commonview_media::ingest::{
    AfterLoss, Ingest, IngestConfig, IngestOutput, IngestStats, SourceId, SsrcPolicy,
};
use commonview_media::parameters::{ParameterSets, VideoCodec};
use commonview_media::ps::{PsDemux, PsSink};
use commonview_media::reorder::Reorder;
use commonview_media::rfc4571::Framer;
use commonview_media::rtp::{RtpPacket, is_rtcp};
use commonview_media::timeline::{DeviceTime, MAX_REORDER, MAX_STEP, Timeline};
use commonview_media::{h264, h265};
use proptest::collection::vec;
use proptest::prelude::*;
use support::*;

/// A change at a place given as a fraction of the whole.
#[derive(Clone, Debug)]
enum Fault {
    Set(f64, u8),
    Remove(f64, usize),
    Insert(f64, Vec<u8>),
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        (
            0.0..1.0,
            prop_oneof![any::<u8>(), Just(0), Just(1), Just(0xba), Just(0xff)]
        )
            .prop_map(|(at, byte)| Fault::Set(at, byte)),
        (0.0..1.0, 1usize..40).prop_map(|(at, count)| Fault::Remove(at, count)),
        (
            0.0..1.0,
            vec(prop_oneof![any::<u8>(), Just(0), Just(1)], 1..20)
        )
            .prop_map(|(at, bytes)| Fault::Insert(at, bytes)),
    ]
}

fn damage(mut data: Vec<u8>, faults: &[Fault]) -> Vec<u8> {
    for fault in faults {
        let place = |at: f64| (at * data.len() as f64) as usize;
        match fault {
            Fault::Set(at, byte) => {
                let at = place(*at);
                if let Some(target) = data.get_mut(at) {
                    *target = *byte;
                }
            }
            Fault::Remove(at, count) => {
                let at = place(*at);
                data.drain(at..(at + count).min(data.len()));
            }
            Fault::Insert(at, bytes) => {
                let at = place(*at);
                data.splice(at..at, bytes.iter().copied());
            }
        }
    }
    data
}

/// Cuts `data` into pieces of the given sizes, over and over.
fn split<'a>(data: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = data;
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (part, tail) = rest.split_at((*sizes.next()?).min(rest.len()));
        rest = tail;
        Some(part)
    })
}

fn small_packing() -> Packing {
    Packing {
        payload: 120,
        pes_payload: 300,
        ..Packing::default()
    }
}

fn small_pictures() -> Vec<Picture> {
    vec![
        key_picture(SPS_QCIF, 1, 400),
        dependent_picture(2, 200, 2),
        dependent_picture(3, 100, 1),
        key_picture(SPS_1080, 4, 300),
        dependent_picture(5, 100, 1),
    ]
}

fn small_packets() -> &'static [(usize, Vec<u8>)] {
    static PACKETS: OnceLock<Vec<(usize, Vec<u8>)>> = OnceLock::new();
    PACKETS.get_or_init(|| packets(&small_pictures(), &small_packing()))
}

fn program_stream() -> Vec<u8> {
    let mut out = Vec::new();
    for (n, picture) in small_pictures().iter().enumerate() {
        out.extend(pack(
            picture,
            1000 + n as u64 * FRAME_TICKS,
            &small_packing(),
        ));
        out.extend(pes(0xc0, Some(1000), None, &[0xd5; 40]));
        out.extend(pes(0xbd, None, None, &[0xaa; 10]));
    }
    out
}

fn assert_conserved(stats: &IngestStats) {
    let counted = stats.used
        + stats.late
        + stats.duplicates
        + stats.malformed
        + stats.rtcp
        + stats.ssrc_dropped
        + stats.out_of_range
        + stats.held;
    assert_eq!(stats.packets, counted, "{stats:?}");
    let video = &stats.video;
    let units = video.delivered
        + video.before_key_frame
        + video.damaged_dropped
        + video.after_loss_dropped
        + video.bad_parameter_sets;
    assert_eq!(video.units, units, "{stats:?}");
    assert_eq!(video.units, stats.assembler.finished);
}

fn assert_well_formed(out: &[IngestOutput]) {
    let units = units(out);
    for unit in &units {
        let payload: usize = unit.nal_units().map(|nal| 4 + nal.len()).sum();
        assert_eq!(payload, unit.payload().len(), "lengths cover the payload");
        assert!(unit.nal_units().count() > 0);
        assert!((unit.pts - unit.dts).abs() <= MAX_REORDER);
        walk(&unit.fragment.boxes());
    }
    assert!(
        units
            .windows(2)
            .all(|pair| pair[0].dts < pair[1].dts && pair[0].generation <= pair[1].generation)
    );
    assert!(units.first().is_none_or(|unit| unit.is_key_frame));
}

/// Top-level boxes fill the data exactly.
fn walk(mut data: &[u8]) {
    while !data.is_empty() {
        let size = u32::from_be_bytes(data[..4].try_into().unwrap()) as usize;
        assert!(size >= 8 && size <= data.len());
        data = &data[size..];
    }
}

#[derive(Default, Debug, PartialEq)]
struct Recorder {
    video: Vec<u8>,
    events: Vec<(usize, Option<DeviceTime>)>,
    audio: Vec<u8>,
}

impl PsSink for Recorder {
    fn video_start(&mut self, time: Option<DeviceTime>) {
        self.events.push((self.video.len(), time));
    }

    fn video(&mut self, bytes: &[u8]) -> Option<usize> {
        let before = self.video.len();
        self.video.extend_from_slice(bytes);
        // A start code cannot reach back over the beginning of a packet that was cut short.
        let from = before.saturating_sub(3);
        let at = self.video[from..]
            .windows(4)
            .position(|code| code[..3] == [0, 0, 1] && code[3] >= 0xb9)?
            + from;
        self.video.truncate(at);
        Some((at + 3).saturating_sub(before))
    }

    fn audio_start(&mut self, stream_type: Option<u8>, _: Option<u64>) {
        self.audio.push(stream_type.unwrap_or(0));
    }

    fn audio(&mut self, bytes: &[u8]) {
        self.audio.extend_from_slice(bytes);
    }

    fn audio_end(&mut self) {
        self.audio.push(0);
    }
}

fn demux(data: &[u8], sizes: &[usize]) -> (Recorder, PsDemux) {
    let mut demux = PsDemux::new();
    let mut recorder = Recorder::default();
    split(data, sizes).for_each(|part| demux.push(part, &mut recorder));
    (recorder, demux)
}

type Cut = (Vec<Vec<u8>>, Option<DeviceTime>, bool, bool);

fn assemble(data: &[u8], sizes: &[usize]) -> (Vec<Cut>, Assembler) {
    let mut assembler = Assembler::new(1 << 20);
    let mut cut = Vec::new();
    for part in split(data, sizes) {
        let mut rest = part;
        // What follows a system start code is offered again as if it were video.
        while let Some(at) = assembler.push(rest, &mut |unit| {
            let nal_units = unit
                .nal_units
                .iter()
                .map(|nal| unit.bytes[nal.start..nal.end].to_vec())
                .collect();
            cut.push((nal_units, unit.time, unit.is_key_frame, unit.is_damaged));
        }) {
            rest = &rest[at..];
        }
    }
    (cut, assembler)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rtp_payloads_lie_inside_their_packet(raw in vec(any::<u8>(), 0..80)) {
        if let Ok(packet) = RtpPacket::parse(&raw) {
            prop_assert!(packet.payload().len() + 12 <= raw.len());
        }
        is_rtcp(&raw);
    }

    #[test]
    fn reordering_counts_every_packet_once(
        steps in vec((any::<u16>(), 0u64..50_000, 0u16..4), 0..300),
        window in 0usize..20,
    ) {
        let mut reorder = Reorder::new(window, 100_000);
        let (mut now, mut released, mut lost, mut near) = (0, 0, 0, 100u16);
        let pushed = steps.len() as u64;
        for (sequence, elapsed, mode) in steps {
            now += elapsed;
            near = near.wrapping_add(1);
            let sequence = if mode == 0 { sequence } else { near.wrapping_add(sequence % 8) };
            reorder.push(now, sequence, &[], &mut |before, _| { released += 1; lost += before; });
            reorder.expire(now, &mut |before, _| { released += 1; lost += before; });
            prop_assert!(reorder.held() <= window);
        }
        let stats = reorder.stats();
        prop_assert_eq!(pushed, stats.released + stats.duplicates + stats.late + stats.out_of_range + reorder.held() as u64);
        prop_assert_eq!(stats.released, released);
        prop_assert_eq!(stats.lost + stats.restarts, lost);
    }

    #[test]
    fn any_shuffle_within_the_window_is_undone(first in any::<u16>(), keys in vec(0u32..8, 1..200)) {
        let mut order: Vec<_> = keys.iter().enumerate().skip(1).map(|(n, key)| (n as u32 + key, n as u16)).collect();
        order.sort_unstable();
        let mut reorder = Reorder::new(16, 1_000_000);
        let mut seen = Vec::new();
        for n in std::iter::once(0).chain(order.into_iter().map(|(_, n)| n)) {
            reorder.push(0, first.wrapping_add(n), &n.to_be_bytes(), &mut |lost, packet| {
                assert_eq!(lost, 0);
                seen.push(u16::from_be_bytes([packet[0], packet[1]]));
            });
        }
        prop_assert_eq!(seen, (0..keys.len() as u16).collect::<Vec<_>>());
    }

    #[test]
    fn framing_counts_every_byte_once_and_does_not_depend_on_the_split(
        faults in vec(fault(), 0..4),
        sizes in vec(1usize..400, 1..6),
        noise in vec(any::<u8>(), 0..30),
    ) {
        let clean: Vec<u8> = small_packets().iter().flat_map(|(_, packet)| framed(packet)).collect();
        let stream = [noise, damage(clean, &faults)].concat();
        let run = |sizes: &[usize]| {
            let mut framer = Framer::new();
            let mut frames = Vec::new();
            split(&stream, sizes).for_each(|part| framer.push(part, &mut |frame| frames.push(frame.to_vec())));
            (frames, framer.stats(), framer.carried())
        };
        let (frames, stats, carried) = run(&sizes);
        prop_assert_eq!(stream.len() as u64, stats.framed_bytes + stats.skipped_bytes + carried as u64);
        prop_assert_eq!(stats.frames, frames.len() as u64);
        prop_assert_eq!(run(&[usize::MAX]), (frames, stats, carried));
    }

    #[test]
    fn framing_survives_anything(parts in vec(vec(prop_oneof![any::<u8>(), Just(0x80), Just(0), Just(b'$')], 0..200), 0..20)) {
        let mut framer = Framer::new();
        let total: usize = parts.iter().map(Vec::len).sum();
        for part in &parts {
            framer.push(part, &mut |frame| assert!(frame.len() >= 8));
        }
        prop_assert_eq!(total as u64, framer.stats().framed_bytes + framer.stats().skipped_bytes + framer.carried() as u64);
    }

    #[test]
    fn program_streams_do_not_depend_on_the_split(faults in vec(fault(), 0..6), sizes in vec(1usize..300, 1..6)) {
        let stream = damage(program_stream(), &faults);
        let (recorder, parts) = demux(&stream, &sizes);
        let (whole, at_once) = demux(&stream, &[usize::MAX]);
        prop_assert_eq!(recorder, whole);
        prop_assert_eq!(parts.stats(), at_once.stats());
    }

    #[test]
    fn program_streams_of_noise_are_survived(data in vec(prop_oneof![any::<u8>(), Just(0), Just(1), 0xb9u8..=0xef], 0..600), size in 1usize..50) {
        demux(&data, &[size]);
    }

    #[test]
    fn access_units_do_not_depend_on_the_split(faults in vec(fault(), 0..6), sizes in vec(1usize..300, 1..6)) {
        let stream: Vec<u8> = small_pictures().iter().flat_map(byte_stream).collect();
        let stream = damage(stream, &faults);
        let (cut, parts) = assemble(&stream, &sizes);
        let (whole, at_once) = assemble(&stream, &[usize::MAX]);
        prop_assert_eq!(cut, whole);
        prop_assert_eq!(parts.stats(), at_once.stats());
    }

    #[test]
    fn byte_streams_of_noise_are_survived(data in vec(prop_oneof![any::<u8>(), Just(0), Just(1), Just(0x67), Just(0x65)], 0..600), size in 1usize..50) {
        assemble(&data, &[size]);
    }

    #[test]
    fn parameter_sets_of_noise_are_survived(
        noise in vec(any::<u8>(), 0..80),
        faults in vec(fault(), 0..4),
        h265_head in vec(any::<u8>(), 0..60),
    ) {
        let damaged = damage(SPS_1080.to_vec(), &faults);
        let h265_sps = [&[0x42, 0x01][..], &h265_head].concat();
        for nal in [noise, damaged, h265_sps] {
            let formats = [h264::parse_sps(&nal), h265::parse_sps(&nal)];
            for format in formats.into_iter().flatten() {
                prop_assert!(format.width > 0 && format.height > 0 && format.codec_string.len() < 64);
            }
            for codec in [VideoCodec::H264, VideoCodec::H265] {
                let mut sets = ParameterSets::default();
                sets.put_pps(codec, &nal);
                sets.replace_sequence(vec![Bytes::from(nal.clone())], vec![Bytes::from(nal.clone())]);
                if let Some(parameters) = sets.to_parameters(codec, 1) {
                    walk(&parameters.init.boxes());
                }
            }
        }
    }

    #[test]
    fn fragments_are_exact(nal_units in vec(vec(any::<u8>(), 0..300), 1..10), time in any::<u64>(), offset in any::<i32>()) {
        let sample = Sample { sequence: 1, decode_time: time, duration: 3600, composition_offset: offset, is_key_frame: false };
        let fragment = fmp4::fragment(&sample, nal_units.iter().map(|nal| &nal[..]));
        walk(&fragment.boxes());
        let payload: usize = nal_units.iter().map(|nal| 4 + nal.len()).sum();
        prop_assert_eq!(fragment.buffer.len(), fmp4::FRAGMENT_OVERHEAD + payload);
        prop_assert!(fragment.websocket().ends_with(&fragment.boxes()));
    }

    #[test]
    fn decoding_times_always_increase(
        times in vec((proptest::option::of((any::<u64>(), proptest::option::of(any::<u64>()))), 0u64..20_000_000, any::<bool>()), 1..100),
    ) {
        let mut timeline = Timeline::default();
        let (mut now, mut near, mut last) = (0, 0u64, None);
        for (time, elapsed, is_near) in times {
            now += elapsed;
            near += 3600;
            let time = time.map(|(pts, dts)| if is_near {
                DeviceTime { pts: near.wrapping_add(pts % 20_000), dts: dts.map(|dts| near.wrapping_add(dts % 10_000)) }
            } else {
                DeviceTime { pts, dts }
            });
            let placed = timeline.place(time, now);
            timeline.place_audio(time.map(|time| time.pts), now);
            if let Some(last) = last {
                prop_assert!(placed.dts > last && placed.dts - last <= MAX_STEP);
            }
            prop_assert!((placed.pts - placed.dts).abs() <= MAX_REORDER);
            last = Some(placed.dts);
        }
    }

    #[test]
    fn the_whole_pipeline_survives_anything_and_counts_everything(
        faults in vec((any::<prop::sample::Index>(), fault()), 0..12),
        swaps in vec((any::<prop::sample::Index>(), 1usize..6), 0..6),
        sources in vec(0u64..3, 1..20),
        noise in vec(vec(any::<u8>(), 0..60), 0..5),
        policy in prop_oneof![Just(SsrcPolicy::Learn(None)), Just(SsrcPolicy::Learn(Some(SSRC))), Just(SsrcPolicy::Follow(Some(SSRC))), Just(SsrcPolicy::Strict(SSRC))],
        deliver in any::<bool>(),
    ) {
        let mut packets: Vec<Vec<u8>> = small_packets().iter().map(|(_, packet)| packet.clone()).collect();
        for (index, fault) in &faults {
            let at = index.index(packets.len());
            packets[at] = damage(packets[at].clone(), std::slice::from_ref(fault));
        }
        for (index, distance) in &swaps {
            let at = index.index(packets.len());
            let other = (at + distance).min(packets.len() - 1);
            packets.swap(at, other);
        }
        packets.extend(noise);
        let after_loss = if deliver { AfterLoss::Deliver } else { AfterLoss::DropToKeyFrame };
        let config = IngestConfig { ssrc: policy, after_loss, reorder_packets: 4, ..IngestConfig::default() };
        let mut ingest = Ingest::new(config);
        let mut out = Vec::new();
        for (n, packet) in packets.iter().enumerate() {
            let source = SourceId(u64::from(sources[n % sources.len()] == 2));
            ingest.push_rtp(n as u64 * 5000, packet, source, &mut out);
        }
        assert_conserved(&ingest.stats());
        ingest.tick(u64::MAX, &mut out);
        let stats = ingest.stats();
        assert_conserved(&stats);
        assert_eq!(stats.held, 0);
        assert_well_formed(&out);
    }

    #[test]
    fn the_whole_pipeline_on_tcp_does_not_depend_on_the_split(faults in vec(fault(), 0..4), sizes in vec(1usize..2000, 1..6)) {
        let clean: Vec<u8> = small_packets().iter().flat_map(|(_, packet)| framed(packet)).collect();
        let stream = damage(clean, &faults);
        let run = |sizes: &[usize]| {
            let mut ingest = Ingest::new(IngestConfig::default());
            let mut out = Vec::new();
            split(&stream, sizes).for_each(|part| ingest.push_stream(0, SOURCE, part, &mut out));
            ingest.close_connection(0, SOURCE, &mut out);
            assert_conserved(&ingest.stats());
            assert_well_formed(&out);
            let boxes: Vec<_> = units(&out).iter().map(|unit| unit.fragment.boxes()).collect();
            (boxes, ingest.stats())
        };
        prop_assert_eq!(run(&sizes), run(&[usize::MAX]));
    }
}
