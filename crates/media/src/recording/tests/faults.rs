//! Holes, clocks that are set, and disks that do not take what they are given.

use super::*;

#[test]
fn a_hole_in_the_timeline_is_a_gap_with_its_reason() {
    let mut bench = Bench::new("hole", i64::MAX);
    (0..10).for_each(|n| bench.show(&picture(n, 10)));
    (100..110).for_each(|n| bench.show(&picture(n, 10)));
    // A camera that fell silent and goes on in the middle of a group.
    (205..209).for_each(|n| bench.show(&picture(n, 10)));
    let (events, _bench) = bench.end();
    let segments = of(&events, "RecorderSegment");
    assert_eq!(segments.len(), 2);
    assert_eq!(word(segments[1], "gap_reason"), "packet_loss");
    assert_eq!(number(segments[1], "gap_us"), 90 * 40_000);
    let inside = of(&events, "RecorderGap");
    assert_eq!(inside.len(), 1);
    let length = number(inside[0], "end_us") - number(inside[0], "begin_us");
    assert_eq!(length, 95 * 40_000);
}

#[test]
fn a_clock_that_was_set_begins_a_segment() {
    let mut bench = Bench::new("step", i64::MAX);
    (0..10).for_each(|n| bench.show(&picture(n, 10)));
    let feed = bench.feed.as_mut().unwrap();
    for n in 10..20 {
        let unit = picture(n, 10);
        let offset_us = OFFSET_US + 3_600_000_000;
        feed.picture(&unit, &parameters(1), offset_us, || GapReason::PacketLoss);
    }
    let (events, _bench) = bench.end();
    let segments = of(&events, "RecorderSegment");
    assert_eq!(segments.len(), 2);
    assert_eq!(word(segments[1], "gap_reason"), "clock_step");
    let step = number(segments[1], "begin_us") - number(segments[0], "end_us");
    assert_eq!(step, 3_600_000_000);
}

#[test]
fn a_full_disk_keeps_what_is_whole_and_recording_goes_on_when_there_is_room() {
    const ENOSPC: i32 = 28;
    let mut bench = Bench::new("full", i64::MAX);
    (0..12).for_each(|n| bench.show(&picture(n, 10)));
    bench.settle();
    bench.disk.fault.store(ENOSPC, Ordering::Relaxed);
    (12..25).for_each(|n| bench.show(&picture(n, 10)));
    bench.settle();
    bench.disk.fault.store(0, Ordering::Relaxed);
    let until = Instant::now() + Duration::from_secs(60);
    let mut n = 30;
    let mut events = Vec::new();
    while of(&events, "RecorderBegan").len() < 2 {
        assert!(Instant::now() < until);
        bench.show(&picture(n, 10));
        n += 1;
        std::thread::sleep(Duration::from_millis(1));
        events.extend(bench.shared.events.drain(100));
    }
    let (more, _bench) = bench.end();
    events.extend(more);
    let segments = of(&events, "RecorderSegment");
    assert_eq!(segments.len(), 2);
    let first = scan(Path::new(word(segments[0], "path"))).unwrap();
    assert_eq!(first.sha256, word(segments[0], "sha256"));
    assert_eq!((first.pictures, first.whole), (11, first.length));
    assert_eq!(word(segments[1], "gap_reason"), "disk_full");
    assert!(number(segments[1], "drops") >= 13);
    let failed = of(&events, "RecorderFailed");
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(word(failed[0], "reason"), "disk_full");
}

#[test]
fn an_empty_mount_point_is_not_filled() {
    let folder = Folder::new("unmounted");
    let shared = shared();
    let marker = folder.0.join("disk");
    let disk = Disks::default()
        .take(&folder.0, Some(&marker), &shared)
        .unwrap();
    let request = RecorderRequest {
        recorder_id: "r1".to_owned(),
        stream_id: "s1".to_owned(),
        root: folder.0.clone(),
        marker: Some(marker),
        directory: folder.0.join("channel"),
        segment_ticks: i64::MAX,
        max_segment_bytes: u64::MAX,
    };
    let mut feed = RecorderFeed::new(Recorder::new(request, disk));
    feed.picture(&picture(0, 10), &parameters(1), OFFSET_US, || {
        GapReason::NoPackets
    });
    let until = Instant::now() + Duration::from_secs(60);
    let mut events = Vec::new();
    while events.is_empty() && Instant::now() < until {
        events = shared.events.drain(10);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(
        (events[0].kind, word(&events[0], "reason")),
        ("RecorderFailed", "disk_gone")
    );
    assert!(!folder.0.join("channel").exists());
}

#[test]
fn what_a_slow_disk_does_not_take_is_dropped_up_to_a_key_frame() {
    let bench = Bench::new("slow", i64::MAX);
    let mut bench = bench;
    bench.show(&picture(0, 10));
    bench.settle();
    let held = crate::recording::recorder::DISK_QUEUE_MAX;
    bench.disk.waiting.fetch_add(held, Ordering::Relaxed);
    (1..15).for_each(|n| bench.show(&picture(n, 10)));
    bench.disk.waiting.fetch_sub(held, Ordering::Relaxed);
    (15..25).for_each(|n| bench.show(&picture(n, 10)));
    let (events, _bench) = bench.end();
    let segments = of(&events, "RecorderSegment");
    assert_eq!(segments.len(), 2);
    assert_eq!(word(segments[1], "gap_reason"), "disk_slow");
    assert_eq!(number(segments[1], "drops"), 19);
    assert_eq!(number(segments[1], "pictures"), 5);
}
