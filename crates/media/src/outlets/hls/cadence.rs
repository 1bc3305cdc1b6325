//! How finely a stream is cut: told once in the playlist, and kept to from then on.

/// Ticks of the timeline.
pub const TICKS_PER_SECOND: i64 = 90_000;

/// Parts are no shorter than this, 90 kHz: each costs every client a request or two.
const PART_MIN: i64 = TICKS_PER_SECOND / 5;
/// Pictures of a source that tells nothing of its rate.
const PICTURE: i64 = TICKS_PER_SECOND / 25;
/// A camera's clock may stray by this part of a part without a picture too many or too few in it.
const HEADROOM: i64 = 10;
/// Whole seconds of a target duration.
const TARGET_MIN_S: i64 = 2;
const TARGET_MAX_S: i64 = 8;
/// While no group of pictures is known from end to end.
const TARGET_UNKNOWN_S: i64 = 4;

/// How finely a stream is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// EXT-X-TARGETDURATION, seconds.
    pub target_s: i64,
    /// PART-TARGET, 90 kHz.
    pub part_ticks: i64,
}

impl Cadence {
    /// For pictures of `picture` and groups of `group` ticks, as far as they are known.
    pub fn of(picture: Option<i64>, group: Option<i64>) -> Cadence {
        let picture = picture.filter(|&ticks| ticks > 0).unwrap_or(PICTURE);
        let picture = picture.min(TARGET_MIN_S * TICKS_PER_SECOND / 2);
        let pictures = (PART_MIN + picture - 1) / picture;
        // A tenth more than whole pictures last: a part is then never shorter than 85 % of it, as the draft asks (4.4.4.9).
        let part_ticks = picture * pictures * (HEADROOM + 1) / HEADROOM;
        let seconds = group.map_or(TARGET_UNKNOWN_S, |ticks| {
            (ticks + TICKS_PER_SECOND / 2) / TICKS_PER_SECOND
        });
        Cadence {
            target_s: seconds.clamp(TARGET_MIN_S, TARGET_MAX_S),
            part_ticks,
        }
    }

    /// The target duration, 90 kHz.
    pub fn target_ticks(self) -> i64 {
        self.target_s * TICKS_PER_SECOND
    }

    /// The longest segment whose duration rounds to the target or less (RFC 8216 4.3.3.1), 90 kHz.
    pub fn segment_max(self) -> i64 {
        self.target_ticks() + TICKS_PER_SECOND / 2 - 1
    }

    /// Whether a segment of `ticks` would be longer than that.
    pub fn is_too_long(self, ticks: i64) -> bool {
        ticks > self.segment_max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_whole_pictures_and_never_fall_below_85_percent() {
        for picture in [
            1500, 1800, 3000, 3600, 4500, 6000, 7500, 9000, 18_000, 30_000, 90_000,
        ] {
            let part = Cadence::of(Some(picture), None).part_ticks;
            let whole = part / picture * picture;
            assert!(whole >= PART_MIN, "{picture}: {whole}");
            assert!(whole * 100 >= part * 85, "{picture}: {whole} of {part}");
        }
        assert_eq!(Cadence::of(Some(3600), None).part_ticks, 19_800);
    }

    #[test]
    fn the_target_follows_the_groups_of_pictures_within_bounds() {
        let target = |group_s: f64| {
            let ticks = (group_s * TICKS_PER_SECOND as f64) as i64;
            Cadence::of(None, Some(ticks)).target_s
        };
        assert_eq!([0.0, 1.0, 2.04, 3.9, 10.0].map(target), [2, 2, 2, 4, 8]);
        assert_eq!(Cadence::of(None, None).target_s, 4);
    }
}
