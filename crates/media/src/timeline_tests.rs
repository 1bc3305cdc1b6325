use super::*;

fn at(pts: u64) -> Option<DeviceTime> {
    Some(DeviceTime { pts, dts: None })
}

#[test]
fn a_regular_stream_keeps_its_own_steps_whatever_the_network_does() {
    let mut timeline = Timeline::default();
    let arrivals = [(90_000, 0), (93_000, 100_000), (96_000, 101_000)];
    assert_eq!(
        arrivals.map(|(pts, us)| timeline.place(at(pts), us).dts),
        [0, 3000, 6000]
    );
    assert_eq!(timeline.stats(), TimelineStats::default());
}

#[test]
fn the_33_bit_wrap_is_a_step_like_any_other() {
    let mut timeline = Timeline::default();
    timeline.place(at((1 << 33) - 1000), 0);
    assert_eq!(timeline.place(at(2600), 40_000).dts, 3600);
    assert_eq!(
        timeline.place(at(6200), 80_000),
        Placed {
            pts: 7200,
            dts: 7200,
            duration: 3600
        }
    );
}

#[test]
fn a_jump_ahead_becomes_the_time_that_passed() {
    let mut timeline = Timeline::default();
    timeline.place(at(0), 0);
    assert_eq!(timeline.place(at(90_000_000), 40_000).dts, 3600);
    assert_eq!(
        timeline.place(at(90_003_600), 90_000).dts,
        7200,
        "re-based on the new device time"
    );
    assert_eq!(timeline.stats().jumps, 1);
}

#[test]
fn a_step_back_becomes_the_time_that_passed() {
    let mut timeline = Timeline::default();
    timeline.place(at(90_000_000), 0);
    assert_eq!(timeline.place(at(0), 40_000).dts, 3600);
    assert_eq!(timeline.place(at(3600), 80_000).dts, 7200);
    assert_eq!(timeline.stats().backwards, 1);
}

#[test]
fn a_frozen_clock_follows_the_receiver() {
    let mut timeline = Timeline::default();
    timeline.place(at(5), 0);
    assert_eq!(
        [1, 2, 3].map(|n| timeline.place(at(5), n * 40_000).dts),
        [3600, 7200, 10_800]
    );
    assert_eq!(timeline.stats().repeated, 3);
}

#[test]
fn missing_times_follow_the_receiver_and_never_stand_still() {
    let mut timeline = Timeline::default();
    timeline.place(None, 0);
    assert_eq!(timeline.place(None, 40_000).dts, 3600);
    assert_eq!(timeline.place(None, 40_000).dts, 3600 + MIN_STEP);
    assert_eq!(timeline.stats().missing, 3);
}

#[test]
fn pictures_that_share_one_time_stamp_follow_the_last_step() {
    let mut timeline = Timeline::default();
    let times = [at(0), at(3000), None, None, at(12_000), None, at(17_000)];
    let placed = times.map(|time| timeline.place(time, 0).dts);
    assert_eq!(placed, [0, 3000, 6000, 9000, 12_000, 15_000, 17_000]);
    assert_eq!(
        timeline.stats(),
        TimelineStats {
            interpolated: 3,
            ..TimelineStats::default()
        }
    );
}

#[test]
fn a_guess_that_went_too_far_is_undone_without_stepping_back() {
    let mut timeline = Timeline::default();
    let times = [at(0), at(9000), None, at(12_000), at(21_000)];
    let placed = times.map(|time| timeline.place(time, 0));
    assert_eq!(
        placed.map(|unit| unit.pts),
        [0, 9000, 18_000, 12_000, 21_000]
    );
    assert!(placed.windows(2).all(|pair| pair[0].dts < pair[1].dts));
}

#[test]
fn b_pictures_keep_their_composition_offset() {
    let mut timeline = Timeline::default();
    let times = [(7200, 3600), (18_000, 7200), (10_800, 10_800)];
    let placed = times.map(|(pts, dts)| {
        timeline.place(
            Some(DeviceTime {
                pts,
                dts: Some(dts),
            }),
            0,
        )
    });
    assert_eq!(
        placed.map(|unit| (unit.pts, unit.dts)),
        [(3600, 0), (14_400, 3600), (7200, 7200)]
    );
}

#[test]
fn reordered_pictures_without_dts_keep_their_presentation_time() {
    let mut timeline = Timeline::default();
    let placed = [0, 10_800, 3600, 7200, 21_600].map(|pts| timeline.place(at(pts), 0));
    assert_eq!(
        placed.map(|unit| unit.pts),
        [0, 10_800, 3600, 7200, 21_600].map(|pts| pts as i64)
    );
    assert!(placed.windows(2).all(|pair| pair[0].dts < pair[1].dts));
}

#[test]
fn audio_lies_beside_the_video_of_the_same_clock() {
    let mut timeline = Timeline::default();
    timeline.place(at(1_000_000), 0);
    timeline.place(at(1_003_600), 40_000);
    assert_eq!(timeline.place_audio(Some(1_002_000), 40_000), 2000);
    assert_eq!(timeline.place_audio(Some(500_000_000), 80_000), 7200);
}

/// Pictures of a reverse playback: groups of `group` pictures from the last to the first, each forward.
fn reverse(groups: u64, group: u64, step: u64) -> impl Iterator<Item = u64> {
    (0..groups)
        .rev()
        .flat_map(move |of| (0..group).map(move |n| 1_000_000 + (of * group + n) * step))
}

fn place_all(
    timeline: &mut Timeline,
    times: impl Iterator<Item = u64>,
    from_us: u64,
    interval_us: u64,
) -> Vec<Placed> {
    let arrivals = times.zip(1..);
    arrivals
        .map(|(pts, n)| timeline.place(at(pts), from_us + n * interval_us))
        .collect()
}

fn assert_plays_in_order(placed: &[Placed]) {
    assert!(
        placed.windows(2).all(|pair| pair[0].dts < pair[1].dts),
        "{placed:?}"
    );
    assert!(placed.iter().all(|unit| unit.pts == unit.dts), "{placed:?}");
}

#[test]
fn a_seek_leaves_no_hole_and_no_step_back() {
    for target in [900_000_000, 5, 90_000 * 3] {
        let mut timeline = Timeline::default();
        place_all(&mut timeline, [1_000_000, 1_003_600].into_iter(), 0, 40_000);
        timeline.splice();
        // The device took four seconds to find the place.
        let placed = place_all(
            &mut timeline,
            [target, target + 3600].into_iter(),
            4_000_000,
            40_000,
        );
        assert_eq!(
            [placed[0].dts, placed[1].dts],
            [7200, 10_800],
            "target {target}"
        );
        assert_eq!(
            timeline.stats(),
            TimelineStats {
                spliced: 1,
                ..TimelineStats::default()
            }
        );
    }
}

#[test]
fn a_pause_leaves_no_hole_whether_the_devices_clock_ran_on_or_not() {
    // trap 47: paused streams.
    for (next, spliced) in [(1_007_200, 0), (1_003_600 + 45 * 90_000, 1)] {
        let mut timeline = Timeline::default();
        place_all(&mut timeline, [1_000_000, 1_003_600].into_iter(), 0, 40_000);
        timeline.pause(true);
        timeline.pause(false);
        let placed = timeline.place(at(next), 45_000_000);
        assert_eq!((placed.dts, timeline.stats().spliced), (7200, spliced));
    }
}

#[test]
fn pictures_that_still_come_while_paused_open_no_hole() {
    let mut timeline = Timeline::default();
    timeline.place(at(0), 0);
    timeline.pause(true);
    assert_eq!(timeline.place(at(3600), 1).dts, 3600);
    assert_eq!(timeline.place(at(800_000), 9_000_000).dts, 7200);
    assert_eq!(timeline.place(None, 99_000_000).dts, 10_800);
}

#[test]
fn reverse_playback_plays_in_the_order_of_arrival() {
    // trap 47: groups come backwards, each forward (GB/T 28181-2022 Annex B, Scale below 0).
    for (group, step) in [(25, 3600), (5, 3600), (1, 3600), (1, 180_000)] {
        let mut timeline = Timeline::default();
        timeline.place(at(90_000_000), 0);
        timeline.set_scale(-1.0);
        let placed = place_all(&mut timeline, reverse(10, group, step), 0, 40_000);
        assert_plays_in_order(&placed);
        let played = placed.last().unwrap().dts - placed[0].dts;
        let real = (10 * group as i64 - 1) * 3600;
        assert!(
            (played - real).abs() <= real / 20 + 7200,
            "group {group}: {played} of {real}"
        );
    }
}

#[test]
fn reverse_playback_in_bursts_follows_the_receivers_clock() {
    let mut timeline = Timeline::default();
    timeline.place(at(90_000_000), 0);
    timeline.set_scale(-1.0);
    // A group of one second in every burst.
    let placed: Vec<_> = reverse(10, 25, 3600)
        .zip(0..)
        .map(|(pts, n)| timeline.place(at(pts), 1_000_000 + n / 25 * 1_000_000))
        .collect();
    assert_plays_in_order(&placed);
    let played = placed[225].dts - placed[0].dts;
    assert!((played - 9 * 90_000).abs() < 9000, "{played}");
}

#[test]
fn fast_playback_with_unscaled_time_stamps_is_brought_to_real_time() {
    // trap 47
    let mut timeline = Timeline::default();
    timeline.place(at(0), 0);
    timeline.set_scale(4.0);
    let placed = place_all(&mut timeline, (1..1000).map(|n| n * 3600), 0, 10_000);
    assert_plays_in_order(&placed);
    let played = placed[998].dts - placed[98].dts;
    assert_eq!(played, 9 * 90_000);
    assert!(timeline.stats().rescaled > 900);
    // Known now: the next speed is right from its first picture.
    timeline.set_scale(2.0);
    let from = placed[998].dts;
    let placed = place_all(
        &mut timeline,
        (1000..1050).map(|n| n * 3600),
        9_990_000,
        20_000,
    );
    assert_eq!(placed[49].dts - from, 90_000);
    timeline.set_scale(1.0);
    assert_eq!(
        timeline.place(at(1050 * 3600), 11_100_000).dts - placed[49].dts,
        3600
    );
}
