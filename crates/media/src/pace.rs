//! Playback at another speed than normal: how the device's time stamps become time on the viewer's clock.
//!
//! RFC 2326 12.34 lets RTP time stamps follow the wall clock whatever the `Scale`, and many devices do so; others send
//! faster and leave the time stamps of the recording as they are, and players stutter (WVP-GB28181-pro#797, #1481,
//! #2000, #2069). Which of the two it is shows in the media time that arrives per second: [`Pace`] measures it and
//! divides the steps of devices that do not scale. Steps that cannot be believed (the groups of reverse playback, each
//! forward, one before the other; key frames only) follow the receiver's clock.

use crate::timeline::{MAX_STEP, MIN_STEP};

/// Slowest and fastest playback that is accepted, as a factor.
pub const SCALE_MIN: f64 = 1.0 / 32.0;
/// See [`SCALE_MIN`].
pub const SCALE_MAX: f64 = 32.0;

/// The first judgement is made after this long, later ones after [`LATER_WINDOW_US`].
const FIRST_WINDOW_US: u64 = 400_000;
const LATER_WINDOW_US: u64 = 2_000_000;
/// Steps a judgement needs.
const STEPS_MIN: u32 = 5;

/// Whether `scale` is a speed of playback: forward or reverse, within [`SCALE_MIN`] and [`SCALE_MAX`].
pub fn is_valid_scale(scale: f64) -> bool {
    (SCALE_MIN..=SCALE_MAX).contains(&scale.abs())
}

/// The clock of a playback at `scale`.
#[derive(Clone, Debug)]
pub struct Pace {
    scale: f64,
    divisor: f64,
    /// Where the viewer's clock and the receiver's clock were equal.
    anchor: Option<(i64, u64)>,
    window: Window,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    began_us: u64,
    media: i64,
    steps: u32,
    has_judged: bool,
}

impl Pace {
    /// A playback at `scale`; `leaves_unscaled` when the device is known to leave its time stamps unscaled.
    pub fn new(scale: f64, leaves_unscaled: bool) -> Self {
        Self {
            scale,
            divisor: if leaves_unscaled { scale.abs() } else { 1.0 },
            anchor: None,
            window: Window::default(),
        }
    }

    /// Whether groups of pictures come in reverse order.
    pub fn is_reverse(&self) -> bool {
        self.scale < 0.0
    }

    /// Whether the device was found to leave its time stamps unscaled.
    pub fn leaves_unscaled(&self) -> bool {
        self.divisor != 1.0
    }

    /// A unit was placed at `dts` by other rules: the clocks are equal there.
    pub fn anchor(&mut self, dts: i64, received_us: u64) {
        self.anchor = Some((dts, received_us));
        self.window = Window {
            began_us: received_us,
            has_judged: self.window.has_judged,
            ..Window::default()
        };
    }

    /// Whether [`Pace::anchor`] was called.
    pub fn is_anchored(&self) -> bool {
        self.anchor.is_some()
    }

    /// A step of the device's clock, in ticks of the viewer's.
    pub fn scaled(&self, step: i64) -> i64 {
        (step as f64 / self.divisor).round() as i64
    }

    /// A believable step forward (1 to [`MAX_STEP`]): as ticks of the viewer's clock.
    pub fn forward(&mut self, step: i64, received_us: u64) -> i64 {
        self.window.media += step;
        self.window.steps += 1;
        let elapsed_us = received_us.saturating_sub(self.window.began_us);
        let enough_us = if self.window.has_judged {
            LATER_WINDOW_US
        } else {
            FIRST_WINDOW_US
        };
        if elapsed_us >= enough_us && self.window.steps >= STEPS_MIN {
            self.judge(elapsed_us);
            self.window = Window {
                began_us: received_us,
                has_judged: true,
                ..Window::default()
            };
        }
        self.scaled(step).clamp(MIN_STEP, MAX_STEP)
    }

    /// A step that cannot be believed: to where the receiver's clock is now.
    pub fn catch_up(&self, last_dts: i64, received_us: u64) -> i64 {
        let Some((dts, since_us)) = self.anchor else {
            return MIN_STEP;
        };
        let elapsed_us = received_us.saturating_sub(since_us).min(1 << 50);
        (dts + elapsed_us as i64 * 9 / 100 - last_dts).clamp(MIN_STEP, MAX_STEP)
    }

    /// Unscaled time stamps bring `scale` seconds of media a second, scaled ones one.
    fn judge(&mut self, elapsed_us: u64) {
        let ratio = self.window.media as f64 / (elapsed_us as f64 * 0.09);
        let speed = self.scale.abs();
        let is_unscaled = (ratio / speed).ln().abs() < ratio.ln().abs();
        self.divisor = if is_unscaled { speed } else { 1.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks on the viewer's clock after `seconds` of pictures every `interval_us`, `step` device ticks apart.
    fn played(pace: &mut Pace, seconds: u64, interval_us: u64, step: i64) -> i64 {
        pace.anchor(0, 0);
        (1..=seconds * 1_000_000 / interval_us)
            .map(|n| pace.forward(step, n * interval_us))
            .sum()
    }

    #[test]
    fn unscaled_time_stamps_are_found_and_divided() {
        // trap 47
        for (scale, interval_us) in [(2.0, 20_000), (4.0, 10_000), (0.5, 80_000), (-2.0, 20_000)] {
            let mut pace = Pace::new(scale, false);
            let ticks = played(&mut pace, 10, interval_us, 3600);
            assert!(pace.leaves_unscaled(), "scale {scale}");
            // Ten seconds, and what the first window took for granted.
            let surplus = (900_000.0 * 0.06 * (f64::abs(scale) - 1.0)) as i64;
            assert!(
                (ticks - 900_000).abs() <= surplus.abs(),
                "scale {scale}: {ticks}"
            );
        }
    }

    #[test]
    fn scaled_time_stamps_are_left_alone() {
        for (scale, interval_us, step) in
            [(2.0, 20_000, 1800), (4.0, 10_000, 900), (0.5, 80_000, 7200)]
        {
            let mut pace = Pace::new(scale, false);
            assert_eq!(played(&mut pace, 10, interval_us, step), 900_000);
            assert!(!pace.leaves_unscaled());
        }
    }

    #[test]
    fn what_is_known_of_a_device_holds_from_the_first_picture() {
        let mut pace = Pace::new(2.0, true);
        assert_eq!(played(&mut pace, 10, 20_000, 3600), 900_000);
    }

    #[test]
    fn a_step_that_cannot_be_believed_goes_to_the_receivers_clock() {
        let mut pace = Pace::new(-1.0, false);
        assert_eq!(pace.catch_up(0, 5), MIN_STEP);
        pace.anchor(1000, 0);
        assert_eq!(pace.catch_up(1000, 40_000), 3600);
        assert_eq!(
            pace.catch_up(50_000, 40_000),
            MIN_STEP,
            "never back, never still"
        );
        assert_eq!(pace.catch_up(1000, u64::MAX), MAX_STEP);
    }

    #[test]
    fn only_speeds_are_scales() {
        assert!(
            [1.0, -1.0, 0.25, 4.0, -32.0]
                .iter()
                .all(|&scale| is_valid_scale(scale))
        );
        assert!(
            ![0.0, 33.0, f64::NAN, f64::INFINITY, 0.01]
                .iter()
                .any(|&scale| is_valid_scale(scale))
        );
    }
}
