use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::disk::Disk;
use super::scan::{hash_file, mend, scan};
use super::*;
use crate::access_unit::AccessUnit;
use crate::audio::{AudioCodec, AudioFrame};
use crate::events::{Event, Value};
use crate::fmp4::{self, FRAGMENT_OVERHEAD, Sample};
use crate::parameters::{VideoCodec, VideoParameters};
use crate::settings::Settings;
use crate::shared::Shared;
use crate::ticket::{KEY_MIN, Verifier};

mod faults;
mod open;

const FRAME: i64 = 3600;
/// When the tests happen, on the reactors' clock.
const NOW_US: u64 = 5_000_000;
/// The wall clock minus that one.
const OFFSET_US: i64 = 1_795_365_000_000_000;

/// A folder of its own that goes with the test.
pub(super) struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("recording-{name}-{}", std::process::id()));
        let _none_left = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _gone = std::fs::remove_dir_all(&self.0);
    }
}

fn shared() -> Arc<Shared> {
    let settings = Settings {
        viewer_host: std::net::Ipv4Addr::LOCALHOST.into(),
        viewer_port: 0,
        rtsp_port: 0,
        rtp_host: std::net::Ipv4Addr::LOCALHOST.into(),
        rtp_port_min: 20_000,
        rtp_port_max: 20_001,
        port_quarantine: Duration::ZERO,
        reactors: 1,
        gop_max_bytes: 1 << 20,
        viewer_queue_bytes: 1 << 20,
        viewer_queue_age: Duration::from_secs(3),
        media_timeout: Duration::from_secs(10),
        max_connections: 1,
        request_head_timeout: Duration::from_secs(60),
        max_unverified: 1,
        tls: None,
    };
    Arc::new(Shared::new(settings, Verifier::new(&[7; KEY_MIN]).unwrap()).unwrap())
}

pub(super) fn parameters(generation: u32) -> Arc<VideoParameters> {
    Arc::new(VideoParameters {
        generation,
        codec: VideoCodec::H264,
        width: 640,
        height: 360,
        codec_string: "avc1.64001e".to_owned(),
        parameter_sets: Vec::new(),
        record: Bytes::from_static(&[1, 100, 0, 30, 0xff, 0xe0, 0]),
        init: fmp4::init_segment(VideoCodec::H264, 640, 360, &[]),
    })
}

/// Picture number `n` of a stream with a key frame every `gop`.
pub(super) fn picture(n: i64, gop: i64) -> AccessUnit {
    let is_key_frame = n % gop == 0;
    let sample = Sample {
        sequence: n as u32,
        decode_time: (n * FRAME) as u64,
        duration: FRAME as u32,
        composition_offset: 0,
        is_key_frame,
    };
    let nal = vec![n as u8; 900 + n as usize];
    AccessUnit {
        generation: 1,
        codec: VideoCodec::H264,
        is_key_frame,
        is_damaged: false,
        pts: n * FRAME,
        dts: n * FRAME,
        duration: FRAME as u32,
        received_us: NOW_US + n as u64 * 40_000,
        device_pts: Some(n as u64 * FRAME as u64 + 77),
        fragment: fmp4::fragment(&sample, std::iter::once(&nal[..])),
        payload_at: FRAGMENT_OVERHEAD,
    }
}

struct Bench {
    shared: Arc<Shared>,
    disk: Arc<Disk>,
    feed: Option<RecorderFeed>,
    _folder: Folder,
}

impl Bench {
    fn new(name: &str, segment_ticks: i64) -> Bench {
        Bench::syncing(name, segment_ticks, Duration::from_millis(20))
    }

    fn syncing(name: &str, segment_ticks: i64, sync_every: Duration) -> Bench {
        let folder = Folder::new(name);
        let shared = shared();
        let disk = Disk::start(&folder.0, None, &shared, sync_every).unwrap();
        let request = RecorderRequest {
            recorder_id: "r1".to_owned(),
            stream_id: "s1".to_owned(),
            root: folder.0.clone(),
            marker: None,
            directory: folder.0.join("channel").join("0"),
            segment_ticks,
            max_segment_bytes: u64::MAX,
        };
        let recorder = Recorder::new(request, Arc::clone(&disk));
        Bench {
            shared,
            disk,
            feed: Some(RecorderFeed::new(recorder)),
            _folder: folder,
        }
    }

    fn show(&mut self, unit: &AccessUnit) {
        self.show_with(unit, &parameters(1));
    }

    fn show_with(&mut self, unit: &AccessUnit, parameters: &Arc<VideoParameters>) {
        let feed = self.feed.as_mut().unwrap();
        feed.picture(unit, parameters, OFFSET_US, || GapReason::PacketLoss);
    }

    fn recorder(&self) -> &Arc<Recorder> {
        self.feed.as_ref().unwrap().recorder()
    }

    /// What the recorder reported until it ended.
    fn end(mut self) -> (Vec<Event>, Bench) {
        self.feed = None;
        let mut events = Vec::new();
        let until = Instant::now() + Duration::from_secs(60);
        while !events
            .iter()
            .any(|event: &Event| event.kind == "RecorderEnded")
        {
            assert!(Instant::now() < until, "it never ended: {events:?}");
            events.extend(self.shared.events.drain(100));
            std::thread::sleep(Duration::from_millis(2));
        }
        (events, self)
    }

    /// Until the writer has taken everything.
    fn settle(&self) {
        while self.disk.waiting.load(Ordering::Relaxed) > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn of<'a>(events: &'a [Event], kind: &str) -> Vec<&'a Event> {
    events.iter().filter(|event| event.kind == kind).collect()
}

fn number(event: &Event, name: &str) -> u64 {
    match &event.fields.iter().find(|(of, _)| *of == name).unwrap().1 {
        Value::Number(number) => *number,
        other => panic!("{name} is {other:?}"),
    }
}

fn word<'a>(event: &'a Event, name: &str) -> &'a str {
    match &event.fields.iter().find(|(of, _)| *of == name).unwrap().1 {
        Value::Text(text) => text,
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn a_stream_becomes_segments_that_begin_with_key_frames_and_follow_each_other() {
    let mut bench = Bench::new("segments", 50 * FRAME);
    (0..120).for_each(|n| bench.show(&picture(n, 25)));
    let (events, _bench) = bench.end();
    let segments = of(&events, "RecorderSegment");
    let pictures: Vec<_> = segments.iter().map(|one| number(one, "pictures")).collect();
    assert_eq!(pictures, [50, 50, 20]);
    for (one, next) in segments.iter().zip(&segments[1..]) {
        assert_eq!(number(one, "end_us"), number(next, "begin_us"));
        assert_eq!(word(next, "gap_reason"), "");
    }
    for one in &segments {
        let path = Path::new(word(one, "path"));
        let found = scan(path).unwrap();
        assert_eq!(found.sha256, word(one, "sha256"));
        assert_eq!(found.length, number(one, "bytes"));
        assert!(found.is_finished);
        assert_eq!(found.pictures, number(one, "pictures"));
        assert_eq!(found.key_frames.len() as u64, number(one, "key_frames"));
        assert_eq!((found.width, found.height, found.codec), (640, 360, "h264"));
        assert_eq!(found.duration, found.pictures * FRAME as u64);
    }
    assert_eq!(number(segments[1], "device_pts_begin"), 50 * 3600 + 77);
    assert!(of(&events, "RecorderFailed").is_empty());
}

#[test]
fn every_picture_but_the_last_is_with_the_kernel_before_the_segment_ends() {
    let mut bench = Bench::new("kernel", i64::MAX);
    (0..30).for_each(|n| bench.show(&picture(n, 25)));
    bench.settle();
    let events = bench.shared.events.drain(10);
    let found = scan(Path::new(word(&events[0], "path"))).unwrap();
    assert_eq!((events[0].kind, found.pictures), ("RecorderBegan", 29));
}

#[test]
fn a_segment_cut_off_anywhere_is_mended_to_its_whole_fragments() {
    let mut bench = Bench::new("mend", i64::MAX);
    (0..30).for_each(|n| bench.show(&picture(n, 10)));
    let (events, bench) = bench.end();
    let whole = std::fs::read(word(of(&events, "RecorderSegment")[0], "path")).unwrap();
    let folder = &bench._folder.0;
    let mut most = 0;
    for length in (0..whole.len()).step_by(397).chain([whole.len()]) {
        let path = folder.join(format!("{length}.part"));
        std::fs::write(&path, &whole[..length]).unwrap();
        let cut = scan(&path).unwrap();
        match mend(&path).unwrap() {
            None => assert_eq!(cut.pictures, 0),
            Some((finished, found)) => {
                assert!(found.is_finished && found.pictures >= most);
                most = found.pictures;
                assert_eq!(found.pictures, cut.pictures);
                assert_eq!(found.sha256, hash_file(&finished).unwrap());
            }
        }
        assert!(!path.exists());
    }
    assert_eq!(most, 30);
}

#[test]
fn a_flipped_bit_anywhere_changes_the_hash() {
    let mut bench = Bench::new("bits", i64::MAX);
    (0..10).for_each(|n| bench.show(&picture(n, 10)));
    let (events, bench) = bench.end();
    let segment = of(&events, "RecorderSegment")[0];
    let whole = std::fs::read(word(segment, "path")).unwrap();
    let path = bench._folder.0.join("flipped.mp4");
    for at in (0..whole.len()).step_by(131) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&path, &flipped).unwrap();
        assert_ne!(scan(&path).unwrap().sha256, word(segment, "sha256"));
    }
}

#[test]
fn new_parameters_begin_a_segment_without_a_gap() {
    let mut bench = Bench::new("parameters", i64::MAX);
    (0..10).for_each(|n| bench.show(&picture(n, 10)));
    for n in 10..20 {
        let unit = AccessUnit {
            generation: 2,
            ..picture(n, 10)
        };
        bench.show_with(&unit, &parameters(2));
    }
    let (events, _bench) = bench.end();
    let segments = of(&events, "RecorderSegment");
    assert_eq!(segments.len(), 2);
    assert_eq!(
        number(segments[0], "end_us"),
        number(segments[1], "begin_us")
    );
}

#[test]
fn sound_that_appears_is_in_the_next_segment() {
    let mut bench = Bench::new("sound", i64::MAX);
    for n in 0..30 {
        bench.show(&picture(n, 10));
        let frame = AudioFrame {
            codec: AudioCodec::G711A,
            pts: n * FRAME,
            received_us: 0,
            data: Bytes::from(vec![0xd5; 320]),
            aac: None,
        };
        bench.feed.as_ref().unwrap().audio(&frame);
    }
    let (events, _bench) = bench.end();
    let audio: Vec<_> = of(&events, "RecorderSegment")
        .iter()
        .map(|one| word(one, "audio").to_owned())
        .collect();
    assert_eq!(audio, ["", "g711a"]);
}
