//! When a picture was taken: the server's clock at its arrival, then the stream's repaired timeline.

use crate::access_unit::AccessUnit;

/// A wall clock that moves further than this against the monotonic one was set.
const STEP_US: i64 = 1_000_000;
/// So far a segment's beginning gives way to a device clock that runs fast or slow.
const SLEW_US: i64 = 50_000;

/// Places a stream's timeline on the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct WallClock {
    /// Wall clock minus the reactors' monotonic clock, as it was when the timeline was placed.
    offset_us: i64,
    mono_us: i64,
    dts: i64,
    /// By how much pictures came later than the timeline says; the least of it is the device's drift, the rest delay.
    least_late_us: i64,
}

impl WallClock {
    /// The timeline has this picture now.
    pub fn begin(unit: &AccessUnit, offset_us: i64) -> WallClock {
        WallClock {
            offset_us,
            mono_us: unit.received_us as i64,
            dts: unit.dts,
            least_late_us: i64::MAX,
        }
    }

    /// Where a decoding time lies, microseconds UTC since 1970.
    pub fn at(&self, dts: i64) -> i64 {
        self.mono_us + self.offset_us + ticks_us(dts - self.dts)
    }

    /// Whether the wall clock was set since the timeline was placed.
    pub fn has_stepped(&self, offset_us: i64) -> bool {
        (offset_us - self.offset_us).abs() > STEP_US
    }

    /// A picture arrived.
    pub fn saw(&mut self, unit: &AccessUnit) {
        let due_us = self.mono_us + ticks_us(unit.dts - self.dts);
        self.least_late_us = self.least_late_us.min(unit.received_us as i64 - due_us);
    }

    /// A segment begins: follow the device's drift a little, or at once when it is large.
    pub fn settle(&mut self) {
        let drift_us = std::mem::replace(&mut self.least_late_us, i64::MAX);
        if drift_us == i64::MAX {
            return;
        }
        self.mono_us += if drift_us.abs() > STEP_US {
            drift_us
        } else {
            drift_us.clamp(-SLEW_US, SLEW_US)
        };
    }
}

/// 90 kHz ticks in microseconds.
pub fn ticks_us(ticks: i64) -> i64 {
    ticks * 100 / 9
}

/// Day (`2026-11-22`) and time (`163005.250`) of a moment, UTC.
pub fn civil(unix_us: i64) -> (String, String) {
    let seconds = unix_us.div_euclid(1_000_000);
    let ms = unix_us.rem_euclid(1_000_000) / 1000;
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days since 0000-03-01, in eras of 400 years: the leap day is the last of its year.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!(
            "{:02}{:02}{:02}.{ms:03}",
            second / 3600,
            second / 60 % 60,
            second % 60
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_have_the_names_of_the_calendar() {
        for (unix_us, day, time) in [
            (0, "1970-01-01", "000000.000"),
            (951_782_400_000_000, "2000-02-29", "000000.000"),
            (1_709_251_199_999_999, "2024-02-29", "235959.999"),
            (1_795_365_005_250_000, "2026-11-22", "163005.250"),
            (4_107_542_400_000_000, "2100-03-01", "000000.000"),
        ] {
            assert_eq!(civil(unix_us), (day.to_owned(), time.to_owned()));
        }
    }
}
