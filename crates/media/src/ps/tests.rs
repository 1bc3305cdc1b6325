use super::*;

#[derive(Default, Debug, PartialEq, Eq, Clone)]
struct Recorder {
    video: Vec<u8>,
    starts: Vec<Option<DeviceTime>>,
    audio: Vec<(Option<u8>, Option<u64>, Vec<u8>)>,
    open_audio: Option<(Option<u8>, Option<u64>, Vec<u8>)>,
}

impl PsSink for Recorder {
    fn video_start(&mut self, time: Option<DeviceTime>) {
        self.starts.push(time);
    }

    fn video(&mut self, bytes: &[u8]) -> Option<usize> {
        let before = self.video.len();
        self.video.extend_from_slice(bytes);
        let from = before.saturating_sub(3);
        let at = find_system_code(&self.video[from..])? + from;
        self.video.truncate(at);
        Some(at + 3 - before)
    }

    fn audio_start(&mut self, stream_type: Option<u8>, pts: Option<u64>) {
        self.open_audio = Some((stream_type, pts, Vec::new()));
    }

    fn audio(&mut self, bytes: &[u8]) {
        self.open_audio.as_mut().unwrap().2.extend_from_slice(bytes);
    }

    fn audio_end(&mut self) {
        self.audio.extend(self.open_audio.take());
    }
}

/// Where the next start code of the system layer begins.
fn find_system_code(data: &[u8]) -> Option<usize> {
    data.windows(4)
        .position(|code| code[..3] == [0, 0, 1] && code[3] >= 0xb9)
}

const PACK: [u8; 14] = [0, 0, 1, 0xba, 0x44, 0, 4, 0, 4, 1, 0, 0, 3, 0xf8];
const PSM: [u8; 24] = [
    0, 0, 1, 0xbc, 0, 18, 0xe1, 0xff, 0, 0, 0, 8, 0x1b, 0xe0, 0, 0, 0x90, 0xc0, 0, 0, 1, 2, 3, 4,
];
const NAL: [u8; 9] = [0, 0, 0, 1, 0x65, 0x88, 7, 7, 7];

fn stamp(prefix: u8, value: u64) -> [u8; 5] {
    [
        prefix << 4 | ((value >> 30) as u8 & 7) << 1 | 1,
        (value >> 22) as u8,
        ((value >> 15) as u8) << 1 | 1,
        (value >> 7) as u8,
        (value as u8) << 1 | 1,
    ]
}

fn pes(id: u8, declared: Option<usize>, pts: u64, payload: &[u8]) -> Vec<u8> {
    let length = declared.unwrap_or(8 + payload.len()) as u16;
    let mut out = vec![0, 0, 1, id];
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&[0x80, 0x80, 5]);
    out.extend_from_slice(&stamp(2, pts));
    out.extend_from_slice(payload);
    out
}

fn run(stream: &[u8], split: usize) -> (Recorder, PsDemux) {
    let mut demux = PsDemux::new();
    let mut recorder = Recorder::default();
    for part in stream.chunks(split) {
        demux.push(part, &mut recorder);
    }
    (recorder, demux)
}

fn at(pts: u64) -> Option<DeviceTime> {
    Some(DeviceTime { pts, dts: None })
}

#[test]
fn video_audio_and_map_come_out_for_every_split() {
    let stream = [
        &PACK[..],
        &[0, 0, 1, 0xbb, 0, 3, 1, 2, 3],
        &PSM,
        &pes(0xe0, None, 0x1_2345_6789, &NAL),
        &pes(0xc0, None, 99, &[0x55; 20]),
        &[0, 0, 1, 0xbd, 0, 2, 9, 9],
        &PACK,
        &pes(0xe0, None, 7200, &NAL),
    ]
    .concat();
    let (whole, demux) = run(&stream, stream.len());
    assert_eq!(whole.video, [NAL, NAL].concat());
    assert_eq!(whole.starts, [at(0x1_2345_6789), at(7200)]);
    assert_eq!(whole.audio, [(Some(0x90), Some(99), vec![0x55; 20])]);
    assert_eq!(demux.map().streams(), [(0xe0, 0x1b), (0xc0, 0x90)]);
    let stats = demux.stats();
    assert_eq!(
        (
            stats.packs,
            stats.maps,
            stats.private_packets,
            stats.length_errors,
            stats.resyncs
        ),
        (2, 1, 1, 0, 0)
    );
    for split in 1..stream.len() {
        let (recorder, demux) = run(&stream, split);
        assert_eq!(recorder, whole, "split {split}");
        assert_eq!(demux.stats(), stats, "split {split}");
    }
}

#[test]
fn a_wrong_or_missing_packet_length_loses_no_video() {
    let right = NAL.len() + 8;
    for declared in [0, 9, right - 1, right + 1, right + 20, 0xffff] {
        let stream = [
            &PACK[..],
            &pes(0xe0, Some(declared), 1, &NAL),
            &PACK,
            &pes(0xe0, None, 2, &NAL),
        ]
        .concat();
        for split in 1..stream.len() {
            let (recorder, demux) = run(&stream, split);
            assert_eq!(
                recorder.video,
                [NAL, NAL].concat(),
                "declared {declared} split {split}"
            );
            assert_eq!(recorder.starts.len(), 2);
            assert_eq!(demux.stats().packs, 2);
            assert_eq!(demux.stats().length_errors, u64::from(declared != 0));
        }
    }
}

#[test]
// trap 41
fn a_nonsense_header_length_is_repaired_from_the_payload() {
    for header_length in [0, 7] {
        let mut packet = pes(0xe0, None, 5, &NAL);
        packet[8] = header_length;
        let stream = [&PACK[..], &packet].concat();
        for split in 1..=stream.len() {
            let (recorder, demux) = run(&stream, split);
            assert!(
                recorder.video.ends_with(&NAL[1..]),
                "length {header_length} split {split}: {:x?}",
                recorder.video
            );
            assert_eq!(recorder.starts, [at(5)]);
            assert_eq!(demux.stats().header_errors, 1);
        }
    }
    let mut packet = pes(0xe0, None, 5, &NAL);
    packet[8] = 0xff;
    let (recorder, demux) = run(&[&PACK[..], &packet].concat(), 64);
    assert_eq!(recorder.starts, [None]);
    assert_eq!(demux.stats().header_errors, 1);
}

#[test]
// trap 41
fn a_header_without_its_first_octet_is_read_for_every_split() {
    let short = |pts, dts| {
        let length = (12 + NAL.len()) as u16;
        let mut packet = vec![0, 0, 1, 0xe0];
        packet.extend_from_slice(&length.to_be_bytes());
        packet.extend_from_slice(&[0xc0, 10]);
        packet.extend_from_slice(&stamp(3, pts));
        packet.extend_from_slice(&stamp(1, dts));
        packet.extend_from_slice(&NAL);
        packet
    };
    let stream = [&PACK[..], &short(0x1_2345_6789, 5), &PACK, &short(7200, 6)].concat();
    let time = |pts, dts| {
        Some(DeviceTime {
            pts,
            dts: Some(dts),
        })
    };
    for split in 1..=stream.len() {
        let (recorder, demux) = run(&stream, split);
        assert_eq!(recorder.video, [NAL, NAL].concat(), "split {split}");
        assert_eq!(recorder.starts, [time(0x1_2345_6789, 5), time(7200, 6)]);
        assert_eq!(demux.stats().header_errors, 2);
        assert_eq!(demux.stats().length_errors, 0);
    }
    // A marker bit of a time stamp is missing: not that header, and nothing in it is believed.
    let mut other = short(1, 1);
    other[12] &= 0xfe;
    let (recorder, _) = run(&[&PACK[..], &other].concat(), 64);
    assert_eq!(recorder.starts, [None]);
}

#[test]
// trap 39
fn a_garbled_map_leaves_the_last_one_in_force() {
    let mut bad = PSM;
    bad[9] = 0xff;
    let stream = [&PACK[..], &PSM, &bad, &pes(0xe0, None, 1, &NAL)].concat();
    let (recorder, demux) = run(&stream, 1000);
    assert_eq!(demux.map().streams().len(), 2);
    assert_eq!((demux.stats().maps, demux.stats().bad_maps), (1, 1));
    assert_eq!(recorder.video, NAL);
}

#[test]
fn a_map_with_a_wrong_inner_length_is_read_as_far_as_it_goes() {
    let mut map = StreamMap::default();
    let mut content = PSM[6..].to_vec();
    content[5] = 200;
    assert!(map.read(&content));
    assert_eq!(map.streams().len(), 2);
    content[9] = 100;
    assert!(map.read(&content));
    assert_eq!(map.streams(), [(0xe0, 0x1b)]);
}

#[test]
fn after_a_gap_the_next_pack_is_found() {
    let mut demux = PsDemux::new();
    let mut recorder = Recorder::default();
    demux.push(
        &[&PACK[..], &pes(0xe0, Some(1000), 1, &NAL)].concat(),
        &mut recorder,
    );
    demux.gap(&mut recorder);
    demux.push(&[1, 2, 3, 0, 0], &mut recorder);
    demux.push(
        &[&[0][..], &PACK[1..], &pes(0xe0, None, 2, &NAL)].concat(),
        &mut recorder,
    );
    assert_eq!(recorder.starts, [at(1), at(2)]);
    assert_eq!(recorder.video, [NAL, NAL].concat());
    assert_eq!(demux.stats().skipped_bytes, 5);
}

#[test]
fn an_mpeg1_pack_and_stuffing_are_passed_over() {
    let mut stuffed = PACK.to_vec();
    stuffed[13] |= 7;
    stuffed.extend_from_slice(&[0xff; 7]);
    let old = [0, 0, 1, 0xba, 0x21, 0, 1, 0, 1, 0x80, 0, 1];
    let stream = [
        &stuffed[..],
        &pes(0xe0, None, 1, &NAL),
        &old,
        &pes(0xe0, None, 2, &NAL),
    ]
    .concat();
    let (recorder, demux) = run(&stream, 11);
    assert_eq!(recorder.starts, [at(1), at(2)]);
    assert_eq!(demux.stats().resyncs, 0);
}

#[test]
fn a_second_video_stream_is_left_out() {
    let stream = [
        &PACK[..],
        &pes(0xe0, None, 1, &NAL),
        &pes(0xe1, None, 1, &NAL),
    ]
    .concat();
    let (recorder, demux) = run(&stream, 1000);
    assert_eq!(recorder.video, NAL);
    assert_eq!(demux.stats().other_packets, 1);
}

#[test]
fn zeros_before_a_pack_are_counted_for_every_split() {
    let stream = [&[0, 0, 0, 0][..], &PACK, &pes(0xe0, None, 1, &NAL)].concat();
    for split in 1..stream.len() {
        let (recorder, demux) = run(&stream, split);
        assert_eq!(recorder.video, NAL);
        assert_eq!(demux.stats().skipped_bytes, 4, "split {split}");
    }
}

#[test]
fn a_repaired_audio_header_keeps_its_payload_for_every_split() {
    let mut packet = pes(0xc0, None, 5, &[0, 0, 1, 9, 9, 9, 9, 9]);
    packet[8] = 7;
    let stream = [&PACK[..], &packet, &PACK, &pes(0xe0, None, 1, &NAL)].concat();
    let (whole, _) = run(&stream, stream.len());
    assert_eq!(whole.audio[0].2, [0, 0, 1, 9, 9, 9, 9, 9]);
    for split in 1..stream.len() {
        assert_eq!(run(&stream, split).0, whole, "split {split}");
    }
}
