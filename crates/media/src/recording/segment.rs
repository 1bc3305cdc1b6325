//! One segment in the making: its bytes, its hash, and what the index will say of it.

use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::GapReason;
use super::clock::WallClock;
use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
use crate::events::{Value, text};
use crate::mp4_file::{AudioTrack, Mp4File};
use crate::parameters::VideoParameters;

/// What stands before a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// Whether it is the first of its recorder.
    pub is_first: bool,
    /// What is missing in front of it, microseconds.
    pub gap_us: u64,
    /// Why.
    pub reason: Option<GapReason>,
    /// Pictures dropped there because of the disk.
    pub drops: u64,
}

/// A segment in the making; does no I/O.
#[derive(Debug)]
pub struct Segment {
    layout: Mp4File,
    hash: Sha256,
    bytes: u64,
    parameters: Arc<VideoParameters>,
    audio: Option<AudioTrack>,
    before: Before,
    clock: WallClock,
    begin_dts: i64,
    end_dts: i64,
    key_frames: u64,
    device_pts: (Option<u64>, Option<u64>),
}

impl Segment {
    /// A segment that begins with the key frame `unit`.
    pub fn begin(
        unit: &AccessUnit,
        parameters: &Arc<VideoParameters>,
        audio: Option<AudioTrack>,
        clock: WallClock,
        before: Before,
    ) -> Segment {
        Segment {
            layout: Mp4File::segment(audio),
            hash: Sha256::new(),
            bytes: 0,
            parameters: Arc::clone(parameters),
            audio,
            before,
            clock,
            begin_dts: unit.dts,
            end_dts: unit.dts,
            key_frames: 0,
            device_pts: (unit.device_pts, None),
        }
    }

    /// Add a picture of the same parameters.
    pub fn picture(&mut self, unit: AccessUnit) {
        self.end_dts = unit.dts + i64::from(unit.duration);
        self.key_frames += u64::from(unit.is_key_frame);
        self.device_pts.1 = unit.device_pts.or(self.device_pts.1);
        let parameters = Arc::clone(&self.parameters);
        // Another codec has other parameters, and those begin another segment.
        let _same_codec = self.layout.picture(unit, &parameters);
    }

    /// Add sound.
    pub fn audio(&mut self, frame: AudioFrame) {
        self.layout.audio(frame);
    }

    /// Whether pictures with these parameters and sound of this track belong into it.
    pub fn holds(&self, parameters: &VideoParameters, audio: Option<AudioTrack>) -> bool {
        self.parameters.generation == parameters.generation && self.audio == audio
    }

    /// What is to be appended to the file now: always whole fragments.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.layout.take()
    }

    /// The last picture, what waits of the sound, and the index.
    pub fn finish(&mut self) -> Vec<Bytes> {
        let ending = self.layout.finish();
        let mut pieces = self.layout.take();
        pieces.extend(ending.map(|ending| Bytes::from(ending.tail)));
        pieces
    }

    /// These bytes are in the file now.
    pub fn written(&mut self, pieces: &[Bytes]) {
        for piece in pieces {
            self.hash.update(piece);
            self.bytes += piece.len() as u64;
        }
    }

    /// Bytes in the file.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Media time so far, 90 kHz.
    pub fn duration(&self) -> i64 {
        self.end_dts - self.begin_dts
    }

    /// When its first picture was taken, microseconds UTC since 1970.
    pub fn begin_us(&self) -> i64 {
        self.clock.at(self.begin_dts)
    }

    /// When its last picture ends.
    pub fn end_us(&self) -> i64 {
        self.clock.at(self.end_dts)
    }

    /// What the index says of it.
    pub fn facts(&self) -> Vec<(&'static str, Value)> {
        let parameters = &self.parameters;
        let mut facts = vec![
            ("begin_us", Value::Number(self.begin_us().max(0) as u64)),
            ("end_us", Value::Number(self.end_us().max(0) as u64)),
            ("bytes", Value::Number(self.bytes)),
            ("sha256", text(hex(&self.hash.clone().finalize()))),
            ("pictures", Value::Number(self.layout.stats().pictures)),
            ("key_frames", Value::Number(self.key_frames)),
            ("codec", text(parameters.codec.name())),
            ("codec_string", text(&*parameters.codec_string)),
            ("width", Value::Number(parameters.width.into())),
            ("height", Value::Number(parameters.height.into())),
            ("audio", text(self.audio.map_or("", AudioTrack::name))),
            ("is_first", Value::Flag(self.before.is_first)),
            ("gap_us", Value::Number(self.before.gap_us)),
            (
                "gap_reason",
                text(self.before.reason.map_or("", GapReason::word)),
            ),
            ("drops", Value::Number(self.before.drops)),
        ];
        let stamps = [
            ("device_pts_begin", self.device_pts.0),
            ("device_pts_end", self.device_pts.1),
        ];
        facts.extend(
            stamps
                .into_iter()
                .filter_map(|(name, stamp)| Some((name, Value::Number(stamp?)))),
        );
        facts
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
