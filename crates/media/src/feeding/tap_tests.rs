use super::*;
use crate::fmp4::Fragment;
use crate::parameters::VideoCodec;
use crate::settings::Settings;
use crate::ticket::Verifier;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

const LIMIT: usize = 64 << 10;
const AGE_US: u64 = 1_000_000;

fn shared() -> Arc<Shared> {
    let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let settings = Settings {
        viewer_host: host,
        viewer_port: 0,
        rtsp_port: 0,
        rtp_host: host,
        rtp_port_min: 30_000,
        rtp_port_max: 30_009,
        port_quarantine: Duration::ZERO,
        reactors: 1,
        gop_max_bytes: 1 << 20,
        viewer_queue_bytes: LIMIT,
        viewer_queue_age: Duration::from_micros(AGE_US),
        media_timeout: Duration::from_secs(10),
        max_connections: 1,
        request_head_timeout: Duration::from_secs(1),
        max_unverified: 1,
        tls: None,
    };
    let verifier = Verifier::new(&[7; 32]).unwrap();
    Arc::new(Shared::new(settings, verifier).unwrap())
}

fn picture(is_key_frame: bool, number: i64) -> AccessUnit {
    // One NAL unit of 8 KiB behind its length.
    let nal = vec![0x42; 8 << 10];
    let payload = [&(nal.len() as u32).to_be_bytes()[..], &nal].concat();
    AccessUnit {
        generation: 1,
        codec: VideoCodec::H265,
        is_key_frame,
        is_damaged: false,
        pts: number * 3600,
        dts: number * 3600,
        duration: 3600,
        received_us: 0,
        device_pts: None,
        fragment: Fragment {
            buffer: Bytes::from(payload),
            ws_offset: 0,
            payload_offset: 0,
        },
        payload_at: 0,
    }
}

fn parameters() -> VideoParameters {
    VideoParameters {
        generation: 1,
        codec: VideoCodec::H265,
        width: 16,
        height: 16,
        codec_string: String::new(),
        parameter_sets: vec![
            Bytes::from_static(&[0x40, 1]),
            Bytes::from_static(&[0x44, 1]),
        ],
        record: Bytes::new(),
        init: picture(true, 0).fragment,
    }
}

struct Bench {
    feed: TapFeed,
    queue: Rc<TapQueue>,
    parameters: VideoParameters,
}

impl Bench {
    fn new() -> Bench {
        let (queue, shared) = (Rc::new(TapQueue::default()), shared());
        let tap = Arc::new(Tap::new("t1", "s1"));
        shared.taps().insert("t1".to_owned(), Arc::clone(&tap));
        let feed = TapFeed::new(tap, Rc::clone(&queue), shared, None);
        Bench {
            feed,
            queue,
            parameters: parameters(),
        }
    }

    fn offer(&mut self, is_key_frame: bool, number: i64, now_us: u64) {
        let unit = picture(is_key_frame, number);
        self.feed.picture(&unit, &self.parameters, now_us);
    }

    /// What waits, taken as its reader would take it.
    fn taken(&self) -> Vec<(i64, bool, bool)> {
        let (mut reader, mut heads) = (frame::Reader::default(), Vec::new());
        while let Some(waiting) = self.queue.frames.borrow_mut().pop_front() {
            self.queue
                .bytes
                .set(self.queue.bytes.get() - waiting.frame.len());
            let push = |head: frame::Head, _: &[u8]| {
                heads.push((head.pts / 3600, head.follows_gap, head.is_stale));
            };
            reader.push(&waiting.frame, push).unwrap();
        }
        heads
    }
}

#[test]
fn a_tap_begins_with_a_key_frame_and_its_parameter_sets() {
    let mut bench = Bench::new();
    bench.offer(false, 1, 0);
    bench.offer(true, 2, 0);
    let first = bench.queue.frames.borrow()[0].frame.clone();
    let sets = [0, 0, 0, 1, 0x40, 1, 0, 0, 0, 1, 0x44, 1, 0, 0, 0, 1, 0x42];
    assert_eq!(first[frame::HEAD..][..sets.len()], sets);
    assert_eq!(bench.taken(), [(2, false, false)]);
    assert_eq!(bench.feed.tap().stats().drops, 0, "nothing was missed");
}

#[test]
fn a_cached_group_is_handed_over_as_what_lies_before_the_newest_picture() {
    let mut bench = Bench::new();
    let mut cache = KeyFrameCache::new(1 << 20);
    (0..3).for_each(|n| cache.push(picture(n == 0, n)));
    let parameters = parameters();
    bench.feed.begin(&cache, &parameters, 0);
    assert_eq!(
        bench.taken(),
        [(0, false, true), (1, false, true), (2, false, false)]
    );
    (3..12).for_each(|n| cache.push(picture(false, n)));
    let mut other = Bench::new();
    other.feed.begin(&cache, &parameters, 0);
    assert_eq!(
        other.taken(),
        [],
        "a group too large for the queue is not begun with"
    );
}

#[test]
fn a_slow_reader_goes_on_with_the_next_key_frame_and_is_told_of_the_gap() {
    let mut bench = Bench::new();
    bench.offer(true, 0, 0);
    (1..=9).for_each(|n| bench.offer(false, n, 0));
    assert!(bench.queue.bytes.get() <= LIMIT);
    bench.offer(false, 10, 0);
    bench.offer(true, 11, 0);
    assert_eq!(bench.taken(), [(11, true, false)]);
    let stats = bench.feed.tap().stats();
    assert_eq!((stats.drops, stats.falls), (11, 1));
}

#[test]
fn what_waits_too_long_is_left_out_as_well() {
    let mut bench = Bench::new();
    bench.offer(true, 0, 0);
    bench.offer(false, 1, AGE_US);
    bench.offer(false, 2, AGE_US + 1);
    bench.offer(true, 3, AGE_US + 2);
    assert_eq!(bench.taken(), [(3, true, false)]);
    assert_eq!(bench.feed.tap().stats().falls, 1);
}

#[test]
fn sound_is_bounded_too_and_goes_with_its_pictures() {
    use crate::audio::AudioCodec;
    let mut bench = Bench::new();
    let sound = AudioFrame {
        codec: AudioCodec::G711A,
        pts: 0,
        received_us: 0,
        data: Bytes::from(vec![0; 32 << 10]),
        aac: None,
    };
    bench.feed.audio(&sound, 0);
    assert_eq!(bench.queue.bytes.get(), 0, "there is no picture yet");
    bench.offer(true, 0, 0);
    (0..9).for_each(|_| bench.feed.audio(&sound, 0));
    assert!(bench.queue.bytes.get() <= LIMIT + (33 << 10));
    let left_out = bench.feed.shared.counters.snapshot()["tap_sounds_left_out"];
    assert_eq!(left_out, 7);
}

#[test]
fn a_dropped_feed_ends_its_tap() {
    let bench = Bench::new();
    let (tap, shared) = (Arc::clone(&bench.feed.tap), Arc::clone(&bench.feed.shared));
    drop(bench);
    assert!(tap.has_ended() && shared.taps().is_empty());
}
