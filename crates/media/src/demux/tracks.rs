//! The tracks of a stream, fed by whatever container they came in.

use crate::assembler::{Assembler, RawUnit};
use crate::audio::{AudioCollector, AudioFrame, Collected};
use crate::ingest::IngestOutput;
use crate::ps::PsSink;
use crate::timeline::DeviceTime;
use crate::ts::TsSink;
use crate::video_track::VideoTrack;

/// RTP timestamps (32 bits, 90 kHz for video) extended to the 33 bits of the program stream clock.
#[derive(Debug, Default)]
pub struct RtpClock {
    extended: Option<u64>,
    /// The last packet had another timestamp than the one before.
    pub has_changed: bool,
}

impl RtpClock {
    /// The time of the next packet.
    pub fn observe(&mut self, timestamp: u32) -> u64 {
        const MASK: u64 = (1 << 33) - 1;
        let last = self.extended.unwrap_or(u64::from(timestamp));
        let step = i64::from(timestamp.wrapping_sub(last as u32) as i32);
        let now = last.wrapping_add_signed(step) & MASK;
        self.has_changed = self.extended != Some(now);
        self.extended = Some(now);
        now
    }

    /// The time of the last packet.
    pub fn current(&self) -> u64 {
        self.extended.unwrap_or(0)
    }
}

/// The tracks of a stream.
#[derive(Debug)]
pub struct Tracks {
    /// Cuts video into access units.
    pub assembler: Assembler,
    /// Makes pictures of them.
    pub video: VideoTrack,
    /// Collects sound.
    pub audio: AudioCollector,
    /// Whether the container has time stamps of its own.
    pub has_time_stamps: bool,
}

impl Tracks {
    /// The tracks, to be fed at this moment.
    pub fn sink<'a>(
        &'a mut self,
        now_us: u64,
        rtp_time: u64,
        out: &'a mut Vec<IngestOutput>,
    ) -> TrackSink<'a> {
        TrackSink {
            tracks: self,
            now_us,
            rtp_time,
            out,
        }
    }
}

/// The tracks together with the moment and the place for outputs.
pub struct TrackSink<'a> {
    tracks: &'a mut Tracks,
    now_us: u64,
    rtp_time: u64,
    out: &'a mut Vec<IngestOutput>,
}

impl TrackSink<'_> {
    /// Runs `step` on the assembler; the units it cuts go to the video track.
    #[inline]
    fn assemble<R>(
        &mut self,
        step: impl FnOnce(&mut Assembler, &mut dyn FnMut(RawUnit<'_>)) -> R,
    ) -> R {
        let Tracks {
            assembler, video, ..
        } = &mut *self.tracks;
        step(assembler, &mut |unit| {
            video.take(self.now_us, &unit, self.out)
        })
    }

    /// A picture is whole.
    pub fn marker(&mut self) {
        self.assemble(|assembler, units| assembler.marker(units));
    }

    /// What is in the making is let out.
    pub fn flush(&mut self) {
        self.assemble(|assembler, units| assembler.flush(units));
    }

    /// Something is missing here.
    pub fn damage(&mut self) {
        self.tracks.audio.damage();
        self.assemble(|assembler, units| assembler.gap(units));
    }
}

impl PsSink for TrackSink<'_> {
    fn video_start(&mut self, time: Option<DeviceTime>) {
        self.tracks.has_time_stamps |= time.is_some();
        // A stream without any PTS still has RTP timestamps, one for each picture (GB/T 28181-2022 4.3.6).
        let fallback = (!self.tracks.has_time_stamps).then_some(DeviceTime {
            pts: self.rtp_time,
            dts: None,
        });
        if let Some(time) = time.or(fallback) {
            self.tracks.assembler.stamp(time);
        }
    }

    #[inline]
    fn video(&mut self, bytes: &[u8]) -> Option<usize> {
        self.assemble(|assembler, units| assembler.push(bytes, units))
    }

    fn audio_start(&mut self, stream_type: Option<u8>, pts: Option<u64>) {
        self.tracks.audio.start(stream_type, pts);
    }

    fn audio(&mut self, bytes: &[u8]) {
        self.tracks.audio.push(bytes);
    }

    fn audio_end(&mut self) {
        let Tracks { audio, video, .. } = &mut *self.tracks;
        let (now_us, out) = (self.now_us, &mut *self.out);
        audio.end(&mut |item| match item {
            Collected::Detected(codec) => out.push(IngestOutput::AudioDetected(codec)),
            Collected::Frame(codec, pts, data, aac) => {
                out.push(IngestOutput::AudioFrame(AudioFrame {
                    codec,
                    pts: video.timeline().place_audio(pts, now_us),
                    received_us: now_us,
                    data,
                    aac,
                }))
            }
        });
    }
}

impl TsSink for TrackSink<'_> {
    fn damaged(&mut self) {
        self.damage();
    }
}
