//! Where a stream's timeline lies on the clock of this machine, as sender reports tell it.

/// The clock and the stream may drift apart this far, microseconds, before the mapping is made anew.
const DRIFT_US: i64 = 500_000;

/// A mapping that follows the pictures, which come with jitter, slowly.
#[derive(Debug, Default)]
pub struct WallClock {
    /// A moment of the stream's timeline, 90 kHz, and of the clock, microseconds UTC.
    anchor: Option<(i64, i64)>,
}

impl WallClock {
    /// A picture of this time came now.
    pub fn follow(&mut self, dts: i64, unix_us: u64) {
        let now = unix_us as i64;
        let (ticks, at_us) = self.anchor.unwrap_or((dts, now));
        let foreseen = at_us + (dts - ticks) * 100 / 9;
        let drift = now - foreseen;
        let at_us = match drift.abs() > DRIFT_US {
            true => now,
            false => foreseen + drift / 64,
        };
        self.anchor = Some((dts, at_us));
    }

    /// The time of the stream at a moment of the clock, 90 kHz; none before its first picture.
    pub fn ticks(&self, unix_us: u64) -> Option<i64> {
        let (ticks, at_us) = self.anchor?;
        Some(ticks + (unix_us as i64 - at_us) * 9 / 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_moves_it_little_and_a_jump_at_once() {
        let mut clock = WallClock::default();
        assert_eq!(clock.ticks(5_000_000), None);
        clock.follow(90_000, 5_000_000);
        assert_eq!(clock.ticks(6_000_000), Some(180_000));
        // 64 ms late: a sixty-fourth of it counts.
        clock.follow(180_000, 6_064_000);
        assert_eq!(clock.ticks(6_001_000), Some(180_000));
        // The stream stood still for a minute.
        clock.follow(270_000, 66_000_000);
        assert_eq!(clock.ticks(66_000_000), Some(270_000));
    }
}
