//! The sound of a ring: the fragments that listeners get, in one line without a hole.
//!
//! Players keep the pictures and the sound of a muxed segment in one buffer, and where either is missing they stand. So
//! pictures never wait for sound: what has not come when its time is over is silence, and what comes after that is
//! left out. A camera whose sound always comes that late is waited for a little longer from then on.

use std::sync::Arc;

use bytes::Bytes;

use super::cadence::TICKS_PER_SECOND;
use super::pieces::Init;
use super::ring::Ring;
use crate::audio_track::{self, AudioTrack};
use crate::parameters::VideoParameters;
use crate::sound::{Made, SoundTrack, silence};

/// So long sound may lie behind the pictures at first, and at most, 90 kHz.
const PATIENCE: i64 = TICKS_PER_SECOND * 3 / 10;
const PATIENCE_MAX: i64 = TICKS_PER_SECOND;
/// Silence comes in pieces no shorter than this, 90 kHz.
const SILENCE_MIN: i64 = TICKS_PER_SECOND / 10;
/// A longer hole is one of the timeline, and nothing to be filled, 90 kHz.
const JUMP: i64 = 2 * TICKS_PER_SECOND;
/// Fragments of sound that one part takes; more come only when pictures do not.
const WAITING_MAX: usize = 100;

/// Whether the segments of a ring have sound: settled once, for players do not take up a track in the middle.
#[derive(Debug, Default)]
pub enum Sounding {
    /// Nobody was told yet, and none has come.
    #[default]
    Undecided,
    /// They have none.
    Silent,
    /// They have.
    Heard(Line),
}

/// One line of sound.
#[derive(Debug)]
pub struct Line {
    track: Arc<SoundTrack>,
    /// Where what was given out ends, in samples.
    end: Option<u64>,
    patience: i64,
    sequence: u32,
    late: u64,
}

impl Line {
    fn new(track: &Arc<SoundTrack>, begin_dts: Option<i64>) -> Line {
        let mut line = Line {
            track: Arc::clone(track),
            end: None,
            patience: PATIENCE,
            sequence: 0,
            late: 0,
        };
        line.end = begin_dts.map(|dts| line.samples(dts));
        line
    }

    fn samples(&self, ticks: i64) -> u64 {
        let rate = u64::from(self.track.track.rate());
        ticks.max(0) as u64 * rate / TICKS_PER_SECOND as u64
    }

    /// A picture is shown at `dts`: what should have been heard before is silence now.
    fn up_to(&mut self, dts: i64) -> Option<Bytes> {
        let begin = self.samples(dts);
        self.end.get_or_insert(begin);
        let until = self.samples(dts - self.patience);
        self.fill(until, self.samples(SILENCE_MIN))
    }

    /// What is to be given out for a fragment: silence in front of it, and itself, unless it comes too late.
    fn take(&mut self, made: &Made) -> [Option<Bytes>; 2] {
        let before = self.fill(made.at, 1);
        let end = self.end.unwrap_or(made.at);
        if made.at < end {
            let behind = (end - made.at) as i64 * TICKS_PER_SECOND;
            let behind = behind / i64::from(self.track.track.rate().max(1));
            self.patience = (self.patience + behind).min(PATIENCE_MAX);
            self.late += 1;
            return [before, None];
        }
        self.end = Some(made.at + u64::from(made.samples));
        [before, Some(made.fragment.boxes())]
    }

    fn fill(&mut self, until: u64, least: u64) -> Option<Bytes> {
        let end = *self.end.get_or_insert(until);
        if until.abs_diff(end) > self.samples(JUMP) {
            self.end = Some(until);
            return None;
        }
        let missing = until.checked_sub(end).filter(|&count| count >= least)?;
        let frames = silence::frames(self.track.track, end, missing);
        if frames.is_empty() {
            return None;
        }
        let filled: u64 = frames.iter().map(|frame| u64::from(frame.0)).sum();
        self.end = Some(end + filled);
        self.sequence = self.sequence.wrapping_add(1);
        let run = frames.iter().map(|(samples, data)| (*samples, &data[..]));
        let mut out = Vec::new();
        audio_track::put_fragment(&mut out, self.sequence, end, run);
        Some(out.into())
    }
}

impl Ring {
    /// What the source's sound is now, if it can be played. Returns whether it is wanted.
    pub fn hear(&mut self, track: Option<&Arc<SoundTrack>>) -> bool {
        match (&mut self.sounding, track) {
            (Sounding::Undecided, Some(track)) => {
                let begin_dts = self.open.as_ref().map(|open| open.first_dts);
                self.sounding = Sounding::Heard(Line::new(track, begin_dts));
                self.exchange_init();
            }
            (Sounding::Heard(line), Some(track)) if line.track.generation != track.generation => {
                *line = Line::new(track, None);
                self.is_retuned = true;
            }
            _ => {}
        }
        matches!(self.sounding, Sounding::Heard(_))
    }

    /// Take sound that was made for all.
    pub fn push_sound(&mut self, track: &SoundTrack, made: &Made) {
        // Pictures may stop while sound goes on: what is not taken then is silence later.
        let is_welcome = self.open.is_some() && self.making.sounds < WAITING_MAX;
        if let Sounding::Heard(line) = &mut self.sounding
            && line.track.generation == track.generation
            && is_welcome
        {
            let pieces = line.take(made);
            self.put_sound(pieces.into_iter().flatten());
        }
    }

    /// The track, if there is one.
    pub fn sound_track(&self) -> Option<&SoundTrack> {
        match &self.sounding {
            Sounding::Heard(line) => Some(&line.track),
            _ => None,
        }
    }

    /// The name of its coding in a playlist: of the sample entry (RFC 8216 4.3.4.2).
    pub fn sound_codecs(&self) -> Option<String> {
        let track = self.sound_track()?.track;
        Some(match track {
            AudioTrack::Flac => "fLaC".to_owned(),
            track => track.codecs(),
        })
    }

    /// Fragments of sound that came too late.
    pub fn late_sound(&self) -> u64 {
        match &self.sounding {
            Sounding::Heard(line) => line.late,
            _ => 0,
        }
    }

    /// A picture comes: silence for what was not heard before it.
    pub(super) fn fill_sound(&mut self, dts: i64) {
        if let Sounding::Heard(line) = &mut self.sounding {
            let silence = line.up_to(dts);
            self.put_sound(silence.into_iter());
        }
    }

    fn put_sound(&mut self, pieces: impl Iterator<Item = Bytes>) {
        for piece in pieces {
            self.making.sounds += 1;
            self.put(piece);
        }
    }

    /// Somebody is told how it is from now on.
    pub(super) fn settle_sound(&mut self) {
        if matches!(self.sounding, Sounding::Undecided) {
            self.sounding = Sounding::Silent;
        }
    }

    /// The init segment of the latest segment, if it serves these pictures and the sound as well, or another one.
    pub(super) fn init_for(&mut self, parameters: &Arc<VideoParameters>) -> Init {
        let sound = self.sound_track();
        let bytes = match sound {
            Some(track) => track.beside(parameters).boxes(),
            None => parameters.init.boxes(),
        };
        let latest = self.segments.back().map(|segment| &segment.init);
        if let Some(same) = latest.filter(|init| init.bytes == bytes) {
            return same.clone();
        }
        self.inits += 1;
        let number = self.inits;
        Init { number, bytes }
    }

    /// The open segment has other sound than was thought, before anybody was told.
    fn exchange_init(&mut self) {
        if let Some(parameters) = self.open.as_ref().map(|open| Arc::clone(&open.parameters)) {
            let init = self.init_for(&parameters);
            self.open
                .iter_mut()
                .for_each(|open| open.init = init.clone());
        }
    }
}
