//! The latest segments and parts of one stream, cut from the fragments its other viewers get and bounded in time and bytes.
//!
//! ```text
//! | kept, no longer listed | listed segments                | open segment          |
//! |                        | part, part, part | part, part  | part | part in making |
//! ```
//!
//! A part is a few pictures, each the `moof` and `mdat` that were made for everybody; a segment is its parts one after the
//! other. Both are lists of shared bytes: nothing is copied, and nothing of this exists while nobody reads.
//!
//! Segments begin with key frames where the camera sends them often enough. A group of pictures longer than the target
//! duration is cut in its middle, for the target may not change (RFC 8216 4.3.3.1).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::cadence::{Cadence, TICKS_PER_SECOND};
pub use super::pieces::{Awaited, Init, Media, Part, Reach, Segment};
use super::sound::Sounding;
use crate::access_unit::AccessUnit;
use crate::parameters::VideoParameters;

/// A segment ends with the first key frame from here on, 90 kHz: a camera of key frames alone has no use for shorter ones.
const SEGMENT_MIN: i64 = TICKS_PER_SECOND;
/// A hole of more than this is shown as a discontinuity, 90 kHz.
const HOLE: i64 = TICKS_PER_SECOND / 2;
/// The playlist holds no less than so many target durations (RFC 8216 6.2.2).
const LISTED_TARGETS: i64 = 3;
/// A first playlist has so many parts: players begin three of them behind the end, and want to see that it goes on.
const FIRST_PARTS: usize = 4;
/// The clock on the wall and the timeline may differ by this much before the timeline is set anew, microseconds.
const CLOCK_STEP_US: i64 = 500_000;

/// The part in the making.
#[derive(Debug, Default)]
pub(super) struct Making {
    media: Media,
    size: usize,
    pub sounds: usize,
    is_independent: bool,
    first_dts: i64,
}

/// Segments and parts of one stream.
#[derive(Debug)]
pub struct Ring {
    cadence: Cadence,
    max_bytes: usize,
    pub(super) segments: VecDeque<Segment>,
    /// How many of `segments` are no longer listed.
    unlisted: usize,
    pub(super) open: Option<Segment>,
    pub(super) making: Making,
    next_number: u64,
    /// Discontinuities before the first listed segment.
    discontinuities_gone: u64,
    /// The longest list so far, 90 kHz: so long a segment is kept after its last listing (RFC 8216 6.2.2).
    longest: i64,
    bytes: usize,
    /// Decoding time and clock of a picture, for the date of others.
    anchor: Option<(i64, i64)>,
    /// Where the next picture is expected.
    expected_dts: i64,
    overflows: u64,
    /// There was something before, which is forgotten.
    is_resuming: bool,
    pub(super) sounding: Sounding,
    /// Sound is another track from the next picture on.
    pub(super) is_retuned: bool,
    /// Init segments so far.
    pub(super) inits: u32,
}

impl Ring {
    /// An empty ring of at most `max_bytes`, cut to `cadence`.
    pub fn new(cadence: Cadence, max_bytes: usize) -> Ring {
        Ring {
            cadence,
            max_bytes,
            segments: VecDeque::new(),
            unlisted: 0,
            open: None,
            making: Making::default(),
            next_number: 0,
            discontinuities_gone: 0,
            longest: 0,
            bytes: 0,
            anchor: None,
            expected_dts: 0,
            overflows: 0,
            is_resuming: false,
            sounding: Sounding::default(),
            is_retuned: false,
            inits: 0,
        }
    }

    /// Take the next picture, which arrived at `arrived_us`, microseconds UTC. Returns whether there is something new to list.
    pub fn push(
        &mut self,
        unit: &AccessUnit,
        parameters: &Arc<VideoParameters>,
        arrived_us: i64,
    ) -> bool {
        let before = self.edge();
        let Some(latest) = self.open.as_ref().or(self.segments.back()) else {
            if !unit.is_key_frame {
                return false;
            }
            self.begin(unit, parameters, arrived_us, false);
            self.add(unit);
            return self.edge() != before;
        };
        let hole = unit.dts - self.expected_dts;
        if self.is_retuned
            || latest.parameters.generation != unit.generation
            || hole > HOLE.max(i64::from(unit.duration))
            || hole < -HOLE
        {
            self.finish_segment(self.expected_dts);
            self.begin(unit, parameters, arrived_us, true);
        } else if self.ends_before(unit) {
            self.finish_segment(unit.dts);
            self.begin(unit, parameters, arrived_us, false);
        }
        self.add(unit);
        self.trim();
        self.edge() != before
    }

    /// While no segment is finished, make one of the open segment's parts but the latest, as soon as there are enough of them
    /// for a client to begin with. Returns whether there is a segment now.
    pub fn begin_list(&mut self) -> bool {
        if !self.segments.is_empty() {
            return true;
        }
        let Some(open) = self
            .open
            .as_mut()
            .filter(|one| one.parts.len() >= FIRST_PARTS)
        else {
            return false;
        };
        let Some(latest) = open.parts.pop() else {
            return false;
        };
        let (number, first_dts) = (self.next_number, latest.first_dts);
        let elapsed = first_dts - open.first_dts;
        let size = latest.media.bytes.iter().map(Bytes::len).sum();
        let rest = Segment {
            number,
            parameters: Arc::clone(&open.parameters),
            init: open.init.clone(),
            is_discontinuous: false,
            is_independent: latest.is_independent,
            began_us: open.began_us + elapsed * 100 / 9,
            parts: vec![latest],
            ticks: 0,
            first_dts,
            size,
            kept_until: 0,
        };
        open.size -= size;
        open.ticks = elapsed.max(1);
        self.segments.extend(self.open.replace(rest));
        self.next_number += 1;
        self.settle_sound();
        true
    }

    /// Nothing more is to be had of what was listed: it would pass for what is happening now. What comes next is a discontinuity.
    pub fn forget(&mut self) {
        self.finish_segment(self.expected_dts);
        let listed = self.segments.iter().skip(self.unlisted);
        let gone = listed.filter(|one| one.is_discontinuous).count();
        self.discontinuities_gone += gone as u64;
        (self.unlisted, self.bytes) = (0, 0);
        self.segments.clear();
        self.making = Making::default();
        self.is_resuming = self.next_number > 0;
    }

    /// How the stream is cut.
    pub fn cadence(&self) -> Cadence {
        self.cadence
    }

    /// Another cadence, while nobody was told of one.
    pub fn retime(&mut self, cadence: Cadence) {
        if self.open.is_none() && self.segments.is_empty() {
            self.cadence = cadence;
        }
    }

    /// The largest bit rate of a listed segment (RFC 8216 4.3.4.2).
    pub fn peak_bits_per_second(&self) -> u64 {
        let finished = self.segments.iter().skip(self.unlisted);
        let rate = |one: &Segment| one.size as i64 * 8 * TICKS_PER_SECOND / one.ticks.max(1);
        finished.map(rate).max().unwrap_or(0).max(1).unsigned_abs()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How often a segment left the list before its time because there were too many bytes.
    pub fn overflows(&self) -> u64 {
        self.overflows
    }

    /// What the playlist lists: finished segments and the open one, if it has parts.
    pub fn listed(&self) -> impl DoubleEndedIterator<Item = &Segment> + Clone {
        let open = self.open.iter().filter(|open| !open.parts.is_empty());
        self.segments.iter().skip(self.unlisted).chain(open)
    }

    /// Whether a segment is finished.
    pub fn is_finished(&self, segment: &Segment) -> bool {
        Some(segment.number) != self.open.as_ref().map(|open| open.number)
    }

    /// Whether there is a segment to list.
    pub fn has_begun(&self) -> bool {
        !self.segments.is_empty()
    }

    /// Discontinuities before the first listed segment.
    pub fn discontinuity_sequence(&self) -> u64 {
        self.discontinuities_gone
    }

    /// Number of the segment and of the part that come next.
    pub fn edge(&self) -> (u64, u32) {
        match &self.open {
            Some(open) => (open.number, open.parts.len() as u32),
            None => (self.next_number, 0),
        }
    }

    /// Whether the open segment, if there is one, ends before this picture.
    fn ends_before(&self, unit: &AccessUnit) -> bool {
        let Some(open) = &self.open else { return true };
        let span = (unit.dts - open.first_dts).max(0);
        unit.is_key_frame && (span >= SEGMENT_MIN || !open.is_independent)
            || self.cadence.is_too_long(span + i64::from(unit.duration))
            || open.size + self.making.size + unit.size() > self.max_bytes / 4
    }

    fn begin(
        &mut self,
        unit: &AccessUnit,
        parameters: &Arc<VideoParameters>,
        arrived_us: i64,
        is_discontinuous: bool,
    ) {
        let is_discontinuous = is_discontinuous || std::mem::take(&mut self.is_resuming);
        if is_discontinuous {
            // Sound that waited for a picture of the timeline before.
            self.bytes -= std::mem::take(&mut self.making).size;
        }
        self.is_retuned = false;
        let init = self.init_for(parameters);
        let by_timeline = self
            .anchor
            .map(|(dts, at_us)| at_us + (unit.dts - dts) * 100 / 9);
        let began_us = match by_timeline {
            Some(at_us) if !is_discontinuous && (at_us - arrived_us).abs() < CLOCK_STEP_US => at_us,
            _ => {
                self.anchor = Some((unit.dts, arrived_us));
                arrived_us
            }
        };
        self.open = Some(Segment {
            number: self.next_number,
            parameters: Arc::clone(parameters),
            init,
            is_discontinuous,
            is_independent: unit.is_key_frame,
            began_us,
            parts: Vec::new(),
            ticks: 0,
            first_dts: unit.dts,
            size: 0,
            kept_until: 0,
        });
        self.next_number += 1;
    }

    fn add(&mut self, unit: &AccessUnit) {
        if self.making.media.pictures > 0 {
            let ticks = unit.dts - self.making.first_dts + i64::from(unit.duration);
            if ticks > self.cadence.part_ticks {
                self.finish_part(unit.dts);
            }
        }
        if self.open.is_none() {
            return;
        }
        self.fill_sound(unit.dts);
        if self.making.media.pictures == 0 {
            self.making.first_dts = unit.dts;
        }
        self.making.is_independent |= unit.is_key_frame;
        self.making.media.pictures += 1;
        self.put(unit.fragment.boxes());
        self.expected_dts = unit.dts + i64::from(unit.duration);
        // No room for another picture: the part need not wait for it.
        let with_next = self.expected_dts - self.making.first_dts + i64::from(unit.duration);
        if with_next > self.cadence.part_ticks {
            self.finish_part(self.expected_dts);
        }
    }

    /// Into the part in the making.
    pub(super) fn put(&mut self, boxes: Bytes) {
        self.making.size += boxes.len();
        self.bytes += boxes.len();
        self.making.media.bytes.push(boxes);
    }

    fn finish_part(&mut self, end_dts: i64) {
        let Some(open) = &mut self.open else { return };
        if self.making.media.pictures == 0 {
            // Sound alone waits for a picture.
            return;
        }
        let making = std::mem::take(&mut self.making);
        // The target was told and holds, whatever the camera does to its rate (draft 4.4.3.7).
        let ticks = (end_dts - making.first_dts).clamp(1, self.cadence.part_ticks);
        open.size += making.size;
        open.parts.push(Part {
            media: making.media,
            ticks,
            first_dts: making.first_dts,
            is_independent: making.is_independent,
        });
    }

    fn finish_segment(&mut self, end_dts: i64) {
        self.finish_part(end_dts);
        let Some(mut open) = self.open.take() else {
            return;
        };
        let longest = self.cadence.segment_max();
        open.ticks = (end_dts - open.first_dts).clamp(1, longest);
        self.segments.push_back(open);
        self.settle_sound();
        let listed: i64 = self.listed().map(|segment| segment.ticks).sum();
        self.longest = self.longest.max(listed);
    }

    /// Take from the list what is old, and forget what was taken long enough ago, or sooner when there is too much.
    fn trim(&mut self) {
        let enough = LISTED_TARGETS * self.cadence.target_ticks();
        let mut listed: i64 = self
            .segments
            .range(self.unlisted..)
            .map(|one| one.ticks)
            .sum();
        while let Some(first) = self.segments.get_mut(self.unlisted)
            && listed - first.ticks >= enough
        {
            listed -= first.ticks;
            first.kept_until = self.expected_dts + first.ticks + self.longest;
            self.discontinuities_gone += u64::from(first.is_discontinuous);
            self.unlisted += 1;
        }
        while let Some(first) = self.segments.front()
            && (self.bytes > self.max_bytes
                || self.unlisted > 0 && first.kept_until <= self.expected_dts)
        {
            self.bytes -= first.size;
            if self.unlisted > 0 {
                self.unlisted -= 1;
            } else {
                self.discontinuities_gone += u64::from(first.is_discontinuous);
                self.overflows += 1;
            }
            self.segments.pop_front();
        }
    }
}
