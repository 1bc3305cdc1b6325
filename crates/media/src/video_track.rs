//! From cut access units to what viewers get: parameter sets, timeline, the rule after loss, fragments.

use std::sync::Arc;

use bytes::Bytes;

use crate::access_unit::{AccessUnit, NalKind};
use crate::assembler::{NalSpan, RawUnit};
use crate::fmp4::{self, FRAGMENT_OVERHEAD, Sample};
use crate::ingest::{AfterLoss, IngestOutput};
use crate::parameters::{ParameterSets, VideoCodec, VideoParameters};
use crate::timeline::Timeline;

/// Longest parameter set kept; longer ones are damaged or hostile.
const MAX_PARAMETER_SET: usize = 4096;
/// Most sequence or video parameter sets taken from one access unit.
const MAX_SEQUENCE_SETS: usize = 16;

/// Counters of a video track. `units = delivered + before_key_frame + damaged_dropped + after_loss_dropped + bad_parameter_sets`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VideoStats {
    /// Access units cut from the stream.
    pub units: u64,
    /// Access units delivered.
    pub delivered: u64,
    /// Key frames among them.
    pub key_frames: u64,
    /// Dropped because no key frame with its parameter sets had come yet.
    pub before_key_frame: u64,
    /// Access units with parts missing (dropped or delivered as the configuration says).
    pub damaged: u64,
    /// Damaged ones dropped.
    pub damaged_dropped: u64,
    /// Whole ones dropped because they depend on lost ones.
    pub after_loss_dropped: u64,
    /// Key frames dropped because their parameter sets could not be read.
    pub bad_parameter_sets: u64,
}

/// The state of the video track of one stream.
#[derive(Debug)]
pub struct VideoTrack {
    after_loss: AfterLoss,
    codec: Option<VideoCodec>,
    sets: ParameterSets,
    current_sets: ParameterSets,
    parameters: Option<Arc<VideoParameters>>,
    generation: u32,
    awaits_key_frame: bool,
    /// After a seek: what comes before the next key frame is of another place and takes no time.
    is_seeking: bool,
    sequence: u32,
    timeline: Timeline,
    stats: VideoStats,
}

impl VideoTrack {
    /// A track that waits for its first key frame.
    pub fn new(after_loss: AfterLoss) -> Self {
        Self {
            after_loss,
            codec: None,
            sets: ParameterSets::default(),
            current_sets: ParameterSets::default(),
            parameters: None,
            generation: 0,
            awaits_key_frame: true,
            is_seeking: false,
            sequence: 0,
            timeline: Timeline::default(),
            stats: VideoStats::default(),
        }
    }

    /// The parameters in force.
    pub fn parameters(&self) -> Option<&Arc<VideoParameters>> {
        self.parameters.as_ref()
    }

    /// The repaired timeline.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The repaired timeline, to be paused or paced.
    pub fn timeline_mut(&mut self) -> &mut Timeline {
        &mut self.timeline
    }

    /// Parameter sets that a description gives; sets in the stream itself replace them.
    pub fn announce(&mut self, codec: VideoCodec, sets: &[Vec<u8>]) {
        if self.codec != Some(codec) {
            self.codec = Some(codec);
            self.sets = ParameterSets::default();
            self.awaits_key_frame = true;
        }
        let (mut vps, mut sps) = (Vec::new(), Vec::new());
        for nal in sets.iter().filter(|nal| nal.len() <= MAX_PARAMETER_SET) {
            let kind = match (codec, nal.first()) {
                (VideoCodec::H264, Some(header)) => header & 0x1f,
                (VideoCodec::H265, Some(header)) => header >> 1 & 0x3f,
                (_, None) => continue,
            };
            match (codec, kind) {
                (VideoCodec::H265, 32) => vps.push(Bytes::copy_from_slice(nal)),
                (VideoCodec::H264, 7) | (VideoCodec::H265, 33) => {
                    sps.push(Bytes::copy_from_slice(nal))
                }
                (VideoCodec::H264, 8) | (VideoCodec::H265, 34) => {
                    self.sets.put_pps(codec, nal);
                }
                _ => {}
            }
        }
        vps.truncate(MAX_SEQUENCE_SETS);
        sps.truncate(MAX_SEQUENCE_SETS);
        self.sets.replace_sequence(vps, sps);
    }

    /// The counters.
    pub fn stats(&self) -> VideoStats {
        self.stats
    }

    /// The source jumps to another place: the next key frame follows the last picture without a hole.
    pub fn discontinue(&mut self) {
        self.awaits_key_frame = true;
        self.is_seeking = true;
        self.timeline.splice();
    }

    /// Takes the next access unit, complete at `now_us`.
    pub fn take(&mut self, now_us: u64, unit: &RawUnit<'_>, out: &mut Vec<IngestOutput>) {
        self.stats.units += 1;
        if self.codec != Some(unit.codec) {
            self.codec = Some(unit.codec);
            self.sets = ParameterSets::default();
            self.awaits_key_frame = true;
        }
        self.is_seeking &= !unit.is_key_frame || unit.is_damaged;
        // Time goes on for pictures that are dropped, so that the next one keeps its distance.
        let placed = (self.parameters.is_some() && !self.is_seeking)
            .then(|| self.timeline.place(unit.time, now_us));
        let may_skip = self.after_loss == AfterLoss::DropToKeyFrame;
        self.awaits_key_frame |= may_skip && unit.follows_loss;
        if unit.is_damaged {
            self.stats.damaged += 1;
            if may_skip {
                self.awaits_key_frame = true;
                self.stats.damaged_dropped += 1;
                return;
            }
        } else {
            self.collect_sets(unit);
        }
        if unit.is_key_frame && !self.begin_generation(unit.codec, out) {
            return;
        }
        if self.parameters.is_none() {
            self.stats.before_key_frame += 1;
            return;
        }
        if self.awaits_key_frame && !unit.is_key_frame {
            self.stats.after_loss_dropped += 1;
            return;
        }
        self.awaits_key_frame = false;
        let placed = placed.unwrap_or_else(|| self.timeline.place(unit.time, now_us));
        self.stats.delivered += 1;
        self.stats.key_frames += u64::from(unit.is_key_frame);
        self.sequence = self.sequence.wrapping_add(1);
        let sample = Sample {
            sequence: self.sequence,
            decode_time: placed.dts as u64,
            duration: placed.duration,
            composition_offset: (placed.pts - placed.dts) as i32,
            is_key_frame: unit.is_key_frame,
        };
        let kept = unit
            .nal_units
            .iter()
            .filter(|nal| self.is_kept(unit, nal))
            .map(|nal| &unit.bytes[nal.start..nal.end]);
        out.push(IngestOutput::AccessUnit(AccessUnit {
            generation: self.generation,
            codec: unit.codec,
            is_key_frame: unit.is_key_frame,
            is_damaged: unit.is_damaged,
            pts: placed.pts,
            dts: placed.dts,
            duration: placed.duration,
            received_us: now_us,
            device_pts: unit.time.map(|time| time.pts),
            fragment: fmp4::fragment(&sample, kept),
            payload_at: FRAGMENT_OVERHEAD,
        }));
    }

    /// Parameter sets in force stand in the init segment and delimiters carry nothing; the rest stays, SEI included.
    fn is_kept(&self, unit: &RawUnit<'_>, nal: &NalSpan) -> bool {
        match nal.kind {
            NalKind::Delimiter | NalKind::Discardable => false,
            NalKind::Vps | NalKind::Sps | NalKind::Pps => {
                !self.current_sets.contains(&unit.bytes[nal.start..nal.end])
            }
            NalKind::Slice { .. } | NalKind::Prefix | NalKind::Other => true,
        }
    }

    fn collect_sets(&mut self, unit: &RawUnit<'_>) {
        let (mut vps, mut sps) = (Vec::new(), Vec::new());
        for span in unit.nal_units {
            let nal = &unit.bytes[span.start..span.end];
            if nal.len() > MAX_PARAMETER_SET {
                continue;
            }
            let sets = match span.kind {
                NalKind::Vps => &mut vps,
                NalKind::Sps => &mut sps,
                NalKind::Pps => {
                    if !self.sets.pps.iter().any(|known| known == nal) {
                        self.sets.put_pps(unit.codec, nal);
                    }
                    continue;
                }
                _ => continue,
            };
            if sets.len() < MAX_SEQUENCE_SETS && !sets.iter().any(|known: &Bytes| known == nal) {
                sets.push(Bytes::copy_from_slice(nal));
            }
        }
        self.sets.replace_sequence(vps, sps);
    }

    /// Before a key frame: makes its parameter sets the ones in force. False when the key frame cannot be decoded.
    fn begin_generation(&mut self, codec: VideoCodec, out: &mut Vec<IngestOutput>) -> bool {
        let is_same = self
            .parameters
            .as_ref()
            .is_some_and(|parameters| parameters.codec == codec)
            && self.sets == self.current_sets;
        if is_same {
            return true;
        }
        if !self.sets.is_complete(codec) {
            self.stats.before_key_frame += 1;
            return false;
        }
        let Some(parameters) = self.sets.to_parameters(codec, self.generation + 1) else {
            self.awaits_key_frame = true;
            self.stats.bad_parameter_sets += 1;
            return false;
        };
        self.generation += 1;
        self.current_sets = self.sets.clone();
        let parameters = Arc::new(parameters);
        self.parameters = Some(Arc::clone(&parameters));
        out.push(IngestOutput::ParametersChanged(parameters));
        true
    }
}
