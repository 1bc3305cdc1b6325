//! How pictures become parts and segments, and what of them is listed.

use super::super::ring::Awaited;
use super::*;

#[test]
fn a_group_of_pictures_becomes_a_segment_of_parts() {
    let mut camera = Camera::new(50);
    camera.run(1, 50);
    assert!(!camera.ring.has_begun());
    camera.send(true, FRAME);
    let list = camera.playlist();
    assert_eq!((list.target_s, list.part_target_s), (2, 0.22));
    let [segment] = &list.segments[..] else {
        panic!("{list:?}")
    };
    assert_eq!(segment.seconds, Some(2.0));
    assert_eq!(segment.parts.len(), 10);
    assert!(segment.parts.iter().all(|part| part.0 == 0.2));
    assert!(
        segment
            .parts
            .iter()
            .enumerate()
            .all(|(n, part)| part.1 == (n == 0))
    );
    assert_eq!(
        (&*segment.init, &*segment.date),
        ("init-1.mp4", "2026-11-22T23:26:40.000Z")
    );
    assert_eq!(list.hint, "part-1-0.m4s");
    assert_eq!(
        pictures(&here(camera.ring.segment_bytes(0))),
        (0..50).collect::<Vec<_>>()
    );
    assert_eq!(
        pictures(&here(camera.ring.part_bytes(0, 3))),
        [15, 16, 17, 18, 19]
    );
    assert_eq!(camera.ring.init(1).unwrap(), "init 1");
}

#[test]
fn nothing_is_listed_before_a_key_frame() {
    let mut camera = Camera::new(50);
    (0..30).for_each(|_| assert!(!camera.send(false, FRAME)));
    assert_eq!(camera.ring.bytes(), 0);
    assert!(camera.playlist().segments.is_empty());
}

#[test]
fn what_is_cached_can_be_a_segment_at_once() {
    let mut camera = Camera::new(50);
    (0..19).for_each(|number| _ = camera.send(number == 0, FRAME));
    assert!(!camera.ring.begin_list(), "too little to begin with");
    (0..4).for_each(|_| _ = camera.send(false, FRAME));
    assert!(camera.ring.begin_list());
    let list = camera.playlist();
    assert_eq!(list.segments[0].seconds, Some(0.6));
    assert_eq!(list.segments[0].parts.len(), 3);
    assert_eq!(list.segments[1].parts, [(0.2, false)]);
    assert_eq!(list.segments[1].date, "2026-11-22T23:26:40.600Z");
    // It goes on in the middle of the group.
    (0..2).for_each(|_| _ = camera.send(false, FRAME));
    let list = camera.playlist();
    assert_eq!(list.segments[1].parts, [(0.2, false), (0.2, false)]);
    assert_eq!(
        pictures(&here(camera.ring.segment_bytes(0))),
        (0..15).collect::<Vec<_>>()
    );
    assert_eq!(
        pictures(&here(camera.ring.part_bytes(1, 0))),
        [15, 16, 17, 18, 19]
    );
    assert_eq!(
        pictures(&here(camera.ring.part_bytes(1, 1))),
        [20, 21, 22, 23, 24]
    );
    assert!(camera.ring.begin_list());
    assert_eq!(
        camera.playlist().segments.len(),
        2,
        "only the first is made so"
    );
    camera.run(1, 25);
    let cut = &camera.playlist().segments[1];
    assert_eq!(
        cut.seconds,
        Some(0.4),
        "the next key frame begins a segment"
    );
}

#[test]
fn a_group_longer_than_the_target_is_cut_in_its_middle() {
    let mut camera = Camera::of(Ring::new(Cadence::of(Some(FRAME), None), 1 << 20));
    camera.run(3, 250);
    let list = camera.playlist();
    assert_eq!(list.target_s, 4);
    assert!(list.finished().count() >= 3);
    assert!(
        list.finished()
            .all(|segment| segment.seconds.unwrap().round() <= 4.0)
    );
    assert!(
        list.segments
            .iter()
            .any(|segment| segment.parts.iter().all(|part| !part.1))
    );
}

#[test]
fn key_frames_alone_make_segments_of_a_second() {
    let mut camera = Camera::new(1);
    (0..200).for_each(|_| _ = camera.send(true, FRAME));
    let list = camera.playlist();
    assert!(list.finished().all(|segment| segment.seconds == Some(1.0)));
    assert!(
        list.segments
            .iter()
            .flat_map(|segment| &segment.parts)
            .all(|part| part.1)
    );
}

#[test]
fn other_parameters_and_holes_are_discontinuities_and_counted_when_they_leave() {
    let mut camera = Camera::new(25);
    camera.run(2, 25);
    camera.generation = 2;
    camera.run(2, 25);
    camera.dts += 10 * 90_000;
    camera.run(2, 25);
    let list = camera.playlist();
    let marks: Vec<_> = list
        .segments
        .iter()
        .map(|segment| (segment.is_discontinuous, &*segment.init, segment.seconds))
        .collect();
    assert_eq!(
        marks,
        [
            (false, "init-1.mp4", Some(1.0)),
            (false, "init-1.mp4", Some(1.0)),
            (true, "init-2.mp4", Some(1.0)),
            (false, "init-2.mp4", Some(1.0)),
            (true, "init-2.mp4", Some(1.0)),
            (false, "init-2.mp4", None),
        ]
    );
    assert_eq!(
        list.segments[4].date, "2026-11-22T23:26:54.000Z",
        "with the hole"
    );
    camera.run(20, 25);
    let list = camera.playlist();
    assert_eq!(
        (
            list.discontinuities,
            list.segments.iter().any(|one| one.is_discontinuous)
        ),
        (2, false)
    );
    assert_eq!(camera.ring.init(1), None, "nobody refers to it any more");
}

#[test]
fn the_list_keeps_three_targets_and_segments_outlive_their_listing() {
    let mut camera = Camera::new(50);
    camera.run(20, 50);
    let list = camera.playlist();
    let seconds: f64 = list.finished().filter_map(|segment| segment.seconds).sum();
    assert_eq!(seconds, 6.0);
    assert_eq!(list.first, 16);
    // Listed until 38 s; a segment and the longest list (8 s) later it may go.
    assert!(matches!(camera.ring.segment_bytes(12), Reach::Here(_)));
    assert!(matches!(camera.ring.segment_bytes(10), Reach::Nowhere));
    assert_eq!(camera.ring.overflows(), 0);
}

#[test]
fn too_many_bytes_take_the_oldest_segments_and_cut_the_others_short() {
    let mut camera = Camera::of(Ring::new(Cadence::of(Some(FRAME), Some(90_000)), 100_000));
    camera.picture_bytes = 10_000;
    camera.run(20, 25);
    assert!(camera.ring.bytes() <= 100_000);
    assert!(camera.ring.overflows() > 0);
    let list = camera.playlist();
    assert!(!list.segments.is_empty());
    assert!(matches!(
        camera.ring.segment_bytes(list.first),
        Reach::Here(_)
    ));
}

#[test]
fn a_list_is_awaited_by_segment_and_part() {
    let mut camera = Camera::new(25);
    camera.run(3, 25);
    let (next, parts) = camera.ring.edge();
    assert_eq!((next, parts), (2, 5));
    let reach = |segment, part| camera.ring.reaches(Awaited { segment, part });
    assert_eq!(reach(1, None), Reach::Here(()));
    assert_eq!(reach(2, None), Reach::Awaited);
    assert_eq!(reach(2, Some(4)), Reach::Here(()));
    assert_eq!(reach(2, Some(5)), Reach::Awaited);
    assert_eq!(reach(3, Some(0)), Reach::Awaited);
    assert_eq!(reach(4, None), Reach::Awaited);
    assert_eq!(reach(5, None), Reach::Nowhere);
    assert_eq!(reach(u64::MAX - 1, Some(u32::MAX)), Reach::Nowhere);
    // Behind the last part of a finished segment the first of the next is meant.
    assert_eq!(reach(1, Some(5)), Reach::Here(()));
    assert_eq!(camera.ring.part_bytes(2, 5), Reach::Awaited);
    assert_eq!(camera.ring.part_bytes(2, 6), Reach::Nowhere);
    assert_eq!(camera.ring.part_bytes(1, 5), Reach::Nowhere);
    camera.send(true, FRAME);
    let reach = |segment, part| camera.ring.reaches(Awaited { segment, part });
    assert_eq!(
        reach(2, Some(5)),
        Reach::Awaited,
        "the first part of segment 3 is not there"
    );
}

#[test]
fn the_clock_on_the_wall_sets_the_date_when_the_cameras_runs_off() {
    let mut camera = Camera::new(25);
    camera.run(2, 25);
    camera.late_us = 400_000;
    camera.run(1, 25);
    camera.late_us = 600_000;
    camera.run(2, 25);
    let dates: Vec<_> = camera
        .playlist()
        .segments
        .into_iter()
        .map(|one| one.date)
        .collect();
    let seconds: Vec<_> = dates.iter().map(|date| &date[17..]).collect();
    assert_eq!(
        seconds,
        ["40.000Z", "41.000Z", "42.000Z", "43.600Z", "44.600Z"]
    );
}

#[test]
fn after_a_stall_nothing_old_is_listed_and_the_numbers_go_on() {
    let mut camera = Camera::new(25);
    camera.run(3, 25);
    camera.ring.forget();
    assert!(!camera.ring.has_begun() && camera.ring.bytes() == 0);
    assert!(camera.playlist().segments.is_empty());
    camera.send(false, FRAME);
    assert_eq!(camera.ring.bytes(), 0, "a key frame is awaited");
    camera.run(2, 25);
    let list = camera.playlist();
    assert_eq!((list.first, list.discontinuities), (3, 0));
    assert!(list.segments[0].is_discontinuous);
    assert_eq!(list.segments[0].seconds, Some(1.0));
}

#[test]
fn one_variant_says_what_it_takes() {
    let text = playlist::multivariant(&parameters(1), None, 4_000_000, "k/live.m3u8");
    assert_eq!(
        text,
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH=4000000,CODECS=\"avc1.640028\",\
         RESOLUTION=1920x1080\nk/live.m3u8\n"
    );
}
