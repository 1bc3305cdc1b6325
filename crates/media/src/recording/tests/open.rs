//! Segments that are being written, as those see them who play them.

use super::*;
use crate::recording::reader;

/// Until everything that was written is durable.
fn durable(bench: &Bench) -> (PathBuf, i64, Durable) {
    bench.settle();
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < until, "nothing becomes durable");
        let newest = bench.recorder().open_segments().pop().unwrap();
        if let Some(durable) = newest.durable
            && newest.path.metadata().unwrap().len() == durable.head.length
        {
            return (newest.path, newest.begin_us, durable);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_is_told_of_an_open_segment_is_what_lies_in_its_file() {
    let mut bench = Bench::new("open", i64::MAX);
    let mut last = 0;
    for until in [7, 8, 19, 41] {
        (last..until).for_each(|n| bench.show(&picture(n, 10)));
        last = until;
        let (path, begin_us, open) = durable(&bench);
        let (head, groups) = reader::groups(&path).unwrap();
        assert_eq!((&open.head, &open.groups), (&head, &groups));
        // A picture is written when its successor is known.
        assert_eq!(open.end_us, (until as u64 - 1) * 40_000);
        assert_eq!(begin_us, NOW_US as i64 + OFFSET_US);
        assert_eq!(
            scan(&path).unwrap().whole,
            head.length,
            "mending cuts nothing of it off"
        );
    }
    assert!(bench.recorder().open_segments().len() == 1);
    let recorder = Arc::clone(bench.recorder());
    bench.end();
    assert!(recorder.open_segments().is_empty(), "it has been reported");
}

#[test]
fn sound_counts_with_the_pictures_it_lies_behind() {
    let mut bench = Bench::new("open-sound", i64::MAX);
    for n in 0..60 {
        bench.show(&picture(n, 10));
        bench.feed.as_ref().unwrap().audio(&AudioFrame {
            codec: AudioCodec::G711A,
            pts: n * FRAME,
            received_us: 0,
            data: Bytes::from(vec![0xd5; 320]),
            aac: None,
        });
    }
    bench.recorder().turn();
    (60..90).for_each(|n| bench.show(&picture(n, 10)));
    let (path, _, open) = durable(&bench);
    let (head, groups) = reader::groups(&path).unwrap();
    assert_eq!(open.head.codecs.audio, "alaw");
    assert_eq!((&open.head, &open.groups), (&head, &groups));
}

#[test]
fn what_is_not_durable_is_not_told() {
    let mut bench = Bench::syncing("undurable", i64::MAX, Duration::from_secs(3600));
    (0..30).for_each(|n| bench.show(&picture(n, 10)));
    bench.settle();
    let began = bench.shared.events.drain(10);
    let written = scan(Path::new(word(&began[0], "path"))).unwrap();
    assert_eq!(written.pictures, 29);
    assert_eq!(bench.recorder().open_segments()[0].durable, None);
    let (events, _bench) = bench.end();
    assert_eq!(of(&events, "RecorderSegment").len(), 1);
}

#[test]
fn a_recorder_that_is_told_to_begins_another_segment_with_the_next_key_frame() {
    let mut bench = Bench::new("turn", i64::MAX);
    (0..13).for_each(|n| bench.show(&picture(n, 10)));
    bench.settle();
    bench.recorder().turn();
    (13..45).for_each(|n| bench.show(&picture(n, 10)));
    let (events, _bench) = bench.end();
    let segments = of(&events, "RecorderSegment");
    let pictures: Vec<_> = segments.iter().map(|one| number(one, "pictures")).collect();
    assert_eq!(pictures, [20, 25]);
    assert_eq!(
        number(segments[0], "end_us"),
        number(segments[1], "begin_us")
    );
    assert_eq!(word(segments[1], "gap_reason"), "");
}
