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
//! Playback (GB/T 28181-2022 9.8, Annex B) adds two rules that come before the others. After a seek and while paused a step of more than two
//! frame durations becomes one frame duration, so that the viewer's timeline has no hole ([`Timeline::splice`], [`Timeline::pause`]). At another
//! speed than normal steps go through [`crate::pace`], and reverse playback has no reordering.
//!
//! Decoding times increase strictly. The composition offset is kept when it is at most [`MAX_REORDER`].

use crate::pace::Pace;

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
    /// Units placed right behind the last one after a seek or a pause.
    pub spliced: u64,
    /// Units whose step was divided because the device does not scale its time stamps (playback at another speed).
    pub rescaled: u64,
    /// Steps back in reverse playback, placed by the receiver's clock.
    pub reversed: u64,
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
    /// The next unit lies right behind the last one, whatever its time says.
    is_spliced: bool,
    is_paused: bool,
    pace: Option<Pace>,
    /// What was found out at the last speed.
    leaves_unscaled: bool,
    stats: TimelineStats,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            last: None,
            duration: DEFAULT_DURATION,
            has_duration: false,
            is_spliced: false,
            is_paused: false,
            pace: None,
            leaves_unscaled: false,
            stats: TimelineStats::default(),
        }
    }
}

impl Timeline {
    /// Places the next access unit, which was complete at `received_us`.
    pub fn place(&mut self, time: Option<DeviceTime>, received_us: u64) -> Placed {
        let Some(last) = self.last else {
            self.is_spliced = false;
            return self.place_first(time, received_us);
        };
        if let Some(placed) = self.place_spliced(&last, time, received_us) {
            return placed;
        }
        match time {
            None => self.place_missing(&last, received_us),
            Some(time) => self
                .place_paced(&last, time, received_us)
                .unwrap_or_else(|| self.place_next(&last, time, received_us)),
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

    /// A seek: the next unit follows the last one without a hole.
    pub fn splice(&mut self) {
        self.is_spliced = true;
    }

    /// While paused, and for the first unit after it, no hole opens.
    pub fn pause(&mut self, is_paused: bool) {
        self.is_spliced |= self.is_paused && !is_paused;
        self.is_paused = is_paused;
    }

    /// Playback goes on at another speed; 1.0 is normal, below 0 is reverse.
    pub fn set_scale(&mut self, scale: f64) {
        if let Some(pace) = &self.pace {
            self.leaves_unscaled = pace.leaves_unscaled();
        }
        self.pace = (scale != 1.0).then(|| Pace::new(scale, self.leaves_unscaled));
    }

    /// After a seek or a pause: right behind the last unit, unless the device's step is an ordinary one.
    fn place_spliced(
        &mut self,
        last: &Last,
        time: Option<DeviceTime>,
        received_us: u64,
    ) -> Option<Placed> {
        if !self.is_paused && !std::mem::take(&mut self.is_spliced) {
            return None;
        }
        let device = time.map(|time| last.device + signed_distance(last.device, decoding(time)));
        let duration = i64::from(self.duration);
        let is_ordinary =
            device.is_some_and(|device| (1..=2 * duration).contains(&(device - last.device)));
        if is_ordinary {
            return None;
        }
        self.stats.spliced += 1;
        let dts = last.dts + duration;
        self.advance(
            device.unwrap_or(last.device + duration),
            dts,
            received_us,
            0,
        );
        if let Some(pace) = &mut self.pace {
            pace.anchor(dts, received_us);
        }
        let offset = time.filter(|_| !self.is_reverse()).map_or(0, composition);
        Some(self.placed(dts + offset, dts))
    }

    /// At another speed than normal; `None` when the ordinary rules apply.
    fn place_paced(&mut self, last: &Last, time: DeviceTime, received_us: u64) -> Option<Placed> {
        let pace = self.pace.as_mut()?;
        let device = last.device + signed_distance(last.device, decoding(time));
        let device_step = device - last.device;
        if !pace.is_anchored() {
            pace.anchor(
                last.dts,
                last.received_us.max(received_us.saturating_sub(1_000_000)),
            );
        }
        let is_forward = (1..=MAX_STEP).contains(&device_step);
        let is_reordered =
            time.dts.is_none() && (-MAX_UNDECLARED_REORDER..0).contains(&device_step);
        if !is_forward && !pace.is_reverse() && is_reordered {
            return None;
        }
        let step = if is_forward {
            pace.forward(device_step, received_us)
        } else {
            pace.catch_up(last.dts, received_us)
        };
        let offset = if pace.is_reverse() {
            0
        } else {
            pace.scaled(composition(time))
        };
        self.stats.rescaled += u64::from(is_forward && pace.leaves_unscaled());
        self.stats.reversed += u64::from(!is_forward && pace.is_reverse());
        self.advance(device, last.dts + step, received_us, 0);
        if is_forward {
            self.duration = step as u32;
            self.has_duration = true;
        }
        Some(self.placed(last.dts + step + offset, last.dts + step))
    }

    fn is_reverse(&self) -> bool {
        self.pace.as_ref().is_some_and(Pace::is_reverse)
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
            let scaled = |pace: &Pace| pace.scaled(distance);
            last.dts + self.pace.as_ref().map_or(distance, scaled)
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
#[path = "timeline_tests.rs"]
mod tests;
