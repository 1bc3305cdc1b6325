//! Programs beside the server: what they take from a stream, and what a stream takes from one.

use super::Stream;
use crate::access_unit::AccessUnit;
use crate::connection::EndReason;
use crate::feeding::frame::{Head, Kind};
use crate::feeding::tap::TapFeed;
use crate::parameters::VideoCodec;
use crate::timeline::DeviceTime;

/// Why a fed stream ends when whatever fed it is gone.
pub const FEED_LOST: &str = "feed_lost";

/// Time stamps of devices have 33 bits.
const CLOCK: i64 = 1 << 33;

/// What viewers are told when a stream ends for this reason.
pub(super) fn end_reason(word: &'static str) -> EndReason {
    match word {
        FEED_LOST => EndReason::FeedLost,
        _ => EndReason::StreamEnded,
    }
}

impl Stream {
    /// Give the stream to a program as well, from the cached group on.
    pub fn attach_tap(&mut self, mut feed: TapFeed, now_us: u64) {
        if let Some(parameters) = &self.parameters {
            feed.begin(&self.cache, parameters, now_us);
        }
        self.taps.push(feed);
    }

    /// It is not wanted there any more.
    pub fn close_tap(&mut self, tap_id: &str) {
        self.taps.retain(|feed| feed.tap().tap_id() != tap_id);
    }

    pub(super) fn feed_taps(&mut self, unit: &AccessUnit, now_us: u64) {
        self.taps.retain(|feed| !feed.tap().has_ended());
        if let Some(parameters) = &self.parameters {
            for feed in &mut self.taps {
                feed.picture(unit, parameters, now_us);
            }
        }
    }

    /// A program gives a picture or sound.
    pub fn push_fed(&mut self, now_us: u64, head: Head, payload: &[u8]) {
        self.last_packet_us = Some(now_us);
        let stamp = |time: i64| time.rem_euclid(CLOCK) as u64;
        match head.kind {
            Kind::Video(VideoCodec::H264) => {
                let time = DeviceTime {
                    pts: stamp(head.pts),
                    dts: Some(stamp(head.dts)),
                };
                self.ingest
                    .push_unit(now_us, time, payload, &mut self.outputs);
            }
            // Whoever is sent to a program is to come back as what every player knows.
            Kind::Video(VideoCodec::H265) => self.shared.counters.count("fed_pictures_refused"),
            Kind::Audio(codec) => {
                let placed = self.ingest.placed(now_us, stamp(head.pts));
                let known = codec.stream_type().zip(placed);
                let Some((stream_type, pts)) = known else {
                    return self.shared.counters.count("fed_sounds_refused");
                };
                self.ingest
                    .push_audio(now_us, stream_type, pts, payload, &mut self.outputs);
            }
        }
        self.deliver(now_us);
    }
}
