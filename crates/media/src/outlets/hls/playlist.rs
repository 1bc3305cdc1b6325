//! The text of playlists: RFC 8216, and draft-pantos-hls-rfc8216bis ("the draft") for what makes them low-latency.

use std::fmt::Write as _;

use super::cadence::TICKS_PER_SECOND;
use super::ring::Ring;
use crate::parameters::VideoParameters;
use crate::recording::civil;

/// Clients of parts stay so many part targets behind the end (draft 4.4.3.8: three are recommended).
const PART_HOLD_BACK: i64 = 3;
/// Others stay so many target durations behind it (RFC 8216 6.3.3).
const HOLD_BACK: i64 = 3;
/// Parts are listed this many target durations back (draft 6.2.2).
const PARTS_TARGETS: i64 = 3;

/// The one variant, pictures with their sound: what it takes to decode it, and where its playlist lies.
pub fn multivariant(
    parameters: &VideoParameters,
    sound_codecs: Option<&str>,
    bits_per_second: u64,
    uri: &str,
) -> String {
    let VideoParameters {
        codec_string,
        width,
        height,
        ..
    } = parameters;
    let sound = sound_codecs.map_or(String::new(), |codecs| format!(",{codecs}"));
    format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-STREAM-INF:BANDWIDTH={bits_per_second},\
         CODECS=\"{codec_string}{sound}\",RESOLUTION={width}x{height}\n{uri}\n"
    )
}

/// The media playlist as it stands.
pub fn media(ring: &Ring) -> String {
    let cadence = ring.cadence();
    let mut out = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{}\n\
         #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK={},HOLD-BACK={}\n\
         #EXT-X-PART-INF:PART-TARGET={}\n",
        cadence.target_s,
        seconds(cadence.part_ticks * PART_HOLD_BACK),
        seconds(cadence.target_ticks() * HOLD_BACK),
        seconds(cadence.part_ticks),
    );
    let first = ring.listed().next();
    let number = first.map_or_else(|| ring.edge().0, |segment| segment.number);
    let _infallible = write!(
        out,
        "#EXT-X-MEDIA-SEQUENCE:{number}\n#EXT-X-DISCONTINUITY-SEQUENCE:{}\n",
        ring.discontinuity_sequence()
    );
    let mut with_parts_from = 0;
    let mut behind = 0;
    for segment in ring.listed().rev() {
        behind += segment.ticks;
        with_parts_from = segment.number;
        if behind > PARTS_TARGETS * cadence.target_ticks() {
            break;
        }
    }
    let mut init = None;
    for segment in ring.listed() {
        if segment.is_discontinuous {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        let needed = segment.init.number;
        if init.replace(needed) != Some(needed) {
            let _infallible = writeln!(out, "#EXT-X-MAP:URI=\"init-{needed}.mp4\"");
        }
        let _infallible = writeln!(
            out,
            "#EXT-X-PROGRAM-DATE-TIME:{}",
            date_time(segment.began_us)
        );
        if segment.number >= with_parts_from {
            for (index, part) in segment.parts.iter().enumerate() {
                let _infallible = writeln!(
                    out,
                    "#EXT-X-PART:DURATION={},URI=\"part-{}-{index}.m4s\"{}",
                    seconds(part.ticks),
                    segment.number,
                    if part.is_independent {
                        ",INDEPENDENT=YES"
                    } else {
                        ""
                    }
                );
            }
        }
        if ring.is_finished(segment) {
            let _infallible = writeln!(
                out,
                "#EXTINF:{},\nseg-{}.m4s",
                seconds(segment.ticks),
                segment.number
            );
        }
    }
    let (segment, part) = ring.edge();
    let _infallible = writeln!(
        out,
        "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-{segment}-{part}.m4s\""
    );
    out
}

/// Seconds with five digits, as fine as a tick.
fn seconds(ticks: i64) -> String {
    format!("{:.5}", ticks as f64 / TICKS_PER_SECOND as f64)
}

/// A moment as ISO 8601 in UTC with milliseconds.
fn date_time(unix_us: i64) -> String {
    let (day, time) = civil(unix_us);
    let (hour, minute, second) = (&time[..2], &time[2..4], &time[4..]);
    format!("{day}T{hour}:{minute}:{second}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_has_its_time_and_zone() {
        assert_eq!(date_time(1_795_390_000_123_456), "2026-11-22T23:26:40.123Z");
    }
}
