//! One monotone timeline per stream, repaired from what devices send.
//!
//! Rules, in order, for each access unit with the decoding time of the device (or its presentation time when that is all there is):
//!
//! 1. The first unit is at zero.
//! 2. A step forward of at most [`MAX_STEP`] is believed as it is, across the 33-bit wrap.
//! 3. A unit without time after units with one (several pictures in one packet of the transport) gets the last step again, at most
//!    [`MAX_INTERPOLATED`] times in a row.
//! 4. Any other unit without time, with the same time again, with a time in the past or too far ahead gets the time that passed on the
//!    receiver's clock, at least [`MIN_STEP`] and at most [`MAX_STEP`]; the device's time is re-based there. Counted by kind.
//! 5. Before rule 4: without DTS, a presentation time that steps back by at most [`MAX_UNDECLARED_REORDER`] is a reordered picture (B pictures
//!    from a device that leaves out the DTS), and after rule 3 it ends a guess that went too far: the decoding time advances by [`MIN_STEP`] and the presentation time is kept.
//!
//! Decoding times increase strictly. The composition offset is kept when it is at most [`MAX_REORDER`].

/// Ticks of the 33-bit program stream clock (ISO/IEC 13818-1 2.4.3.7).
const WRAP: i64 = 1 << 33;
/// The largest step believed, 10 s.
pub const MAX_STEP: i64 = 10 * 90_000;
/// The smallest step made up, 1 ms.
pub const MIN_STEP: i64 = 90;
/// The largest distance between decoding and presentation, 2 s.
pub const MAX_REORDER: i64 = 2 * 90_000;
/// The largest step back of a presentation time taken for reordering when no decoding time is sent, 0.4 s.
pub const MAX_UNDECLARED_REORDER: i64 = 36_000;
/// Units in a row that are placed by the last step alone.
pub const MAX_INTERPOLATED: u32 = 32;
/// Frame duration assumed before the second frame, 25 frames per second.
const DEFAULT_DURATION: u32 = 3600;

/// Device times of an access unit, 33 bits at 90 kHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceTime {
    /// Presentation time stamp.
    pub pts: u64,
    /// Decoding time stamp, when it is sent apart.
    pub dts: Option<u64>,
}

/// Where an access unit lies on the repaired timeline, 90 kHz.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Presentation time.
    pub pts: i64,
    /// Decoding time.
    pub dts: i64,
    /// Expected time until the next unit.
    pub duration: u32,
}

/// How often each repair was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimelineStats {
    /// Units without a time stamp where the receiver's clock had to help.
    pub missing: u64,
    /// Units without a time stamp placed by the last step.
    pub interpolated: u64,
    /// Steps back.
    pub backwards: u64,
    /// The same time twice.
    pub repeated: u64,
    /// Steps ahead by more than [`MAX_STEP`].
    pub jumps: u64,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    /// Device decoding time, unwrapped.
    device: i64,
    /// Repaired decoding time.
    dts: i64,
    received_us: u64,
    /// Units in a row, up to this one, that were placed by the last step.
    interpolated: u32,
}

/// The repair state of one stream.
#[derive(Clone, Debug)]
pub struct Timeline {
    last: Option<Last>,
    duration: u32,
    /// Whether `duration` was seen and not assumed.
    has_duration: bool,
    stats: TimelineStats,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            last: None,
            duration: DEFAULT_DURATION,
            has_duration: false,
            stats: TimelineStats::default(),
        }
    }
}

impl Timeline {
    /// Places the next access unit, which was complete at `received_us`.
    pub fn place(&mut self, time: Option<DeviceTime>, received_us: u64) -> Placed {
        match (self.last, time) {
            (None, _) => self.place_first(time, received_us),
            (Some(last), None) => self.place_missing(&last, received_us),
            (Some(last), Some(time)) => self.place_next(&last, time, received_us),
        }
    }

    fn place_first(&mut self, time: Option<DeviceTime>, received_us: u64) -> Placed {
        self.stats.missing += u64::from(time.is_none());
        self.last = Some(Last {
            device: time.map_or(0, decoding),
            dts: 0,
            received_us,
            interpolated: 0,
        });
        self.placed(time.map_or(0, composition), 0)
    }

    fn place_missing(&mut self, last: &Last, received_us: u64) -> Placed {
        let may_interpolate = self.has_duration && last.interpolated < MAX_INTERPOLATED;
        let step = if may_interpolate {
            self.stats.interpolated += 1;
            i64::from(self.duration)
        } else {
            self.stats.missing += 1;
            passed(last, received_us)
        };
        // The device's own clock is assumed to run on.
        self.advance(
            last.device + step,
            last.dts + step,
            received_us,
            last.interpolated.saturating_add(1),
        );
        self.placed(last.dts + step, last.dts + step)
    }

    fn place_next(&mut self, last: &Last, time: DeviceTime, received_us: u64) -> Placed {
        let device = last.device + signed_distance(last.device, decoding(time));
        let step = device - last.device;
        if (1..=MAX_STEP).contains(&step) {
            self.advance(device, last.dts + step, received_us, 0);
            // After a guess the distance is no frame duration.
            if last.interpolated == 0 {
                self.duration = step as u32;
                self.has_duration = true;
            }
            return self.placed(last.dts + step + composition(time), last.dts + step);
        }
        let is_guess_undone = last.interpolated > 0 && step <= 0;
        if (is_guess_undone || time.dts.is_none() && step < 0) && step >= -MAX_UNDECLARED_REORDER {
            self.advance(last.device + MIN_STEP, last.dts + MIN_STEP, received_us, 0);
            return self.placed(last.dts + step + composition(time), last.dts + MIN_STEP);
        }
        match step {
            0 => self.stats.repeated += 1,
            ..0 => self.stats.backwards += 1,
            _ => self.stats.jumps += 1,
        }
        let step = passed(last, received_us);
        self.advance(device, last.dts + step, received_us, 0);
        self.placed(last.dts + step + composition(time), last.dts + step)
    }

    /// Where an audio time stamp of the same device clock lies; the present when it cannot be believed.
    pub fn place_audio(&self, pts: Option<u64>, received_us: u64) -> i64 {
        let Some(last) = self.last else {
            return 0;
        };
        let present = last.dts + passed(&last, received_us);
        let Some(pts) = pts else {
            return present;
        };
        let distance = signed_distance(last.device, ticks(pts));
        if distance.abs() <= MAX_STEP {
            last.dts + distance
        } else {
            present
        }
    }

    /// The repairs made.
    pub fn stats(&self) -> TimelineStats {
        self.stats
    }

    fn advance(&mut self, device: i64, dts: i64, received_us: u64, interpolated: u32) {
        self.last = Some(Last {
            device,
            dts,
            received_us,
            interpolated,
        });
    }

    fn placed(&self, pts: i64, dts: i64) -> Placed {
        Placed {
            pts,
            dts,
            duration: self.duration,
        }
    }
}

/// A device time stamp: only 33 bits of it mean anything.
fn ticks(stamp: u64) -> i64 {
    (stamp % (1 << 33)) as i64
}

fn decoding(time: DeviceTime) -> i64 {
    ticks(time.dts.unwrap_or(time.pts))
}

/// Presentation after decoding, when both are given and near.
fn composition(time: DeviceTime) -> i64 {
    let offset = time
        .dts
        .map_or(0, |dts| signed_distance(ticks(dts), ticks(time.pts)));
    if (0..=MAX_REORDER).contains(&offset) {
        offset
    } else {
        0
    }
}

/// The way from `from` to `to` on the 33-bit clock, whichever direction is shorter.
fn signed_distance(from: i64, to: i64) -> i64 {
    let forward = (to - from).rem_euclid(WRAP);
    if forward >= WRAP / 2 {
        forward - WRAP
    } else {
        forward
    }
}

/// Receiver's time since the last unit, in ticks, within the limits of a step.
fn passed(last: &Last, received_us: u64) -> i64 {
    let elapsed_us = received_us.saturating_sub(last.received_us).min(60_000_000);
    (elapsed_us as i64 * 9 / 100).clamp(MIN_STEP, MAX_STEP)
}

#[cfg(test)]
mod tests {
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
}
