//! A recording as fragmented MP4 (ISO/IEC 14496-12), laid out straight from the fragments viewers get.
//!
//! Nothing here does I/O: pictures and audio go in, pieces to append come out ([`Mp4File::take`]); at the end come the
//! index (`mfra`) and one patch of the beginning (`mehd`, the duration). A file that is cut off before its end is
//! readable as far as it goes.
//!
//! A picture is written when its successor is known, so that its duration is right to the tick. The file begins at zero.
//!
//! A segment of a recording ([`Mp4File::segment`]) is hashed while it is written: nothing in it is patched, and nothing waits
//! for an audio track to show itself.

use bytes::Bytes;

use crate::access_unit::AccessUnit;
use crate::audio::AudioFrame;
pub use crate::audio_track::AudioTrack;
use crate::audio_track::{self, AUDIO_TRACK};
use crate::fmp4::{self, MATRIX, Sample, TIMESCALE, put_box, put_full_box, put_u32, put_words};
use crate::parameters::VideoParameters;

const VIDEO_TRACK: u32 = 1;
/// Audio is written in runs of this many ticks (90 kHz): half a second.
const AUDIO_RUN: i64 = 45_000;
/// Audio that lies further than this from where it should follow begins a new run at its own time: 0.1 s.
const AUDIO_SLACK: i64 = 9000;
/// So long the beginning waits for an audio track to show itself: one second of pictures.
const AUDIO_WAIT: i64 = 90_000;
/// Audio frames that may wait for the beginning; older ones give way.
const EARLY_AUDIO_MAX: usize = 256;
/// Pictures that may wait meanwhile; time stamps may lie.
const EARLY_MAX: usize = 200;
/// Entries of the index; further key frames are played and not found by seeking.
const INDEX_MAX: usize = 1 << 20;

/// Why a picture cannot be written to this file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecChanged;

/// Counters of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mp4Stats {
    /// Pictures taken.
    pub pictures: u64,
    /// Audio frames written.
    pub audio_frames: u64,
    /// Audio frames left out: of another codec than the track's, unknown, before the beginning, or the track came too late.
    pub audio_skipped: u64,
    /// Key frames with new parameter sets, which are written in front of them.
    pub format_changes: u64,
}

/// What finishes a file.
#[derive(Debug)]
pub struct Ending {
    /// To be appended.
    pub tail: Vec<u8>,
    /// To be written over: place and bytes.
    pub patch: Option<(u64, [u8; 8])>,
}

/// When the beginning of a file is written.
#[derive(Clone, Copy, Debug, Default)]
enum Beginning {
    /// When an audio track has shown itself, or after a second.
    #[default]
    AwaitsAudio,
    /// At once, with this audio track; the length of the file is not told there.
    Known(Option<AudioTrack>),
}

/// A file in the making.
#[derive(Debug, Default)]
pub struct Mp4File {
    beginning: Beginning,
    pieces: Vec<Bytes>,
    position: u64,
    video: Option<Video>,
    audio: Option<Audio>,
    /// Until `moov` is written: audio that has come meanwhile.
    early_audio: Vec<AudioFrame>,
    early_pieces: Vec<AccessUnit>,
    is_begun: bool,
    duration_at: u64,
    sequence: u32,
    index: Vec<(u64, u64)>,
    stats: Mp4Stats,
}

#[derive(Debug)]
struct Video {
    parameters: std::sync::Arc<VideoParameters>,
    base: i64,
    generation: u32,
    pending: Option<AccessUnit>,
    end: i64,
}

#[derive(Debug)]
struct Audio {
    track: AudioTrack,
    run: Vec<Bytes>,
    /// Where the run begins and ends, in samples.
    begin: u64,
    end: u64,
}

impl Mp4File {
    /// A file that has seen nothing; it begins with the first key frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// A segment of a recording with this audio track: written at once and never patched.
    pub fn segment(audio: Option<AudioTrack>) -> Self {
        Self {
            beginning: Beginning::Known(audio),
            ..Self::default()
        }
    }

    /// Takes the next picture. Pictures before the first key frame are left out.
    pub fn picture(
        &mut self,
        unit: AccessUnit,
        parameters: &std::sync::Arc<VideoParameters>,
    ) -> Result<(), CodecChanged> {
        let video = match &mut self.video {
            Some(video) => video,
            None if unit.is_key_frame => self.video.insert(Video {
                parameters: std::sync::Arc::clone(parameters),
                base: unit.dts,
                generation: unit.generation,
                pending: None,
                end: 0,
            }),
            None => return Ok(()),
        };
        if unit.codec != video.parameters.codec {
            return Err(CodecChanged);
        }
        let unit = if unit.generation == video.generation {
            unit
        } else {
            video.generation = unit.generation;
            self.stats.format_changes += 1;
            with_parameter_sets(unit, parameters)
        };
        self.stats.pictures += 1;
        video.end = unit.dts - video.base + i64::from(unit.duration);
        if let Some(mut before) = video.pending.replace(unit.clone()) {
            before.duration = (unit.dts - before.dts).clamp(1, i64::from(u32::MAX)) as u32;
            self.place(before);
        }
        Ok(())
    }

    /// Takes audio.
    pub fn audio(&mut self, frame: AudioFrame) {
        let Some(video) = self.video.as_ref().filter(|_| self.is_begun) else {
            // The first sound may come before the first picture is whole; a second of it is some 50 frames.
            if self.early_audio.len() == EARLY_AUDIO_MAX {
                self.early_audio.remove(0);
                self.stats.audio_skipped += 1;
            }
            self.early_audio.push(frame);
            return;
        };
        let at = match self.beginning {
            // What sounded just before the first picture is late by a frame of sound, and not left out.
            Beginning::Known(_) if frame.pts >= video.base - AUDIO_SLACK => {
                (frame.pts - video.base).max(0)
            }
            _ => frame.pts - video.base,
        };
        let Some(audio) = self
            .audio
            .as_mut()
            .filter(|audio| AudioTrack::of(&frame) == Some(audio.track) && at >= 0)
        else {
            self.stats.audio_skipped += 1;
            return;
        };
        let rate = i64::from(audio.track.rate());
        let wanted = (at * rate / i64::from(TIMESCALE)) as u64;
        let slack = (AUDIO_SLACK * rate / i64::from(TIMESCALE)) as u64;
        if wanted.abs_diff(audio.end) > slack {
            self.write_audio_run();
            let Some(audio) = &mut self.audio else { return };
            audio.begin = wanted.max(audio.end);
            audio.end = audio.begin;
        }
        let Some(audio) = &mut self.audio else { return };
        audio.end += u64::from(audio.track.samples(&frame.data));
        audio.run.push(frame.data);
        self.stats.audio_frames += 1;
        let run = (audio.end - audio.begin) * u64::from(TIMESCALE) / u64::from(audio.track.rate());
        if run as i64 >= AUDIO_RUN {
            self.write_audio_run();
        }
    }

    /// What is to be appended now.
    pub fn take(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.pieces)
    }

    /// Bytes given out by [`Mp4File::take`] or waiting there.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Media time from the first picture to the end of the last, 90 kHz.
    pub fn duration(&self) -> i64 {
        self.video.as_ref().map_or(0, |video| video.end)
    }

    /// The counters.
    pub fn stats(&self) -> Mp4Stats {
        self.stats
    }

    /// The last picture and the index; take the pieces before appending the tail. `None` when no picture came.
    pub fn finish(&mut self) -> Option<Ending> {
        let last = self.video.as_mut()?.pending.take();
        if let Some(last) = last {
            self.place(last);
        }
        self.begin();
        self.write_audio_run();
        let duration = self.duration() as u64;
        let is_patched = matches!(self.beginning, Beginning::AwaitsAudio);
        Some(Ending {
            tail: random_access(&self.index),
            patch: is_patched.then(|| (self.duration_at, duration.to_be_bytes())),
        })
    }

    /// A picture whose duration is known: to be written, or kept until the beginning is.
    fn place(&mut self, unit: AccessUnit) {
        if self.is_begun {
            return self.write_picture(&unit);
        }
        self.early_pieces.push(unit);
        if matches!(self.beginning, Beginning::Known(_)) {
            return self.begin();
        }
        let waited = self.video.as_ref().map_or(0, |video| video.end);
        let has_audio = self
            .early_audio
            .iter()
            .any(|frame| AudioTrack::of(frame).is_some());
        if has_audio || waited >= AUDIO_WAIT || self.early_pieces.len() >= EARLY_MAX {
            self.begin();
        }
    }

    fn begin(&mut self) {
        if self.is_begun {
            return;
        }
        self.is_begun = true;
        let early_audio = std::mem::take(&mut self.early_audio);
        let track = match self.beginning {
            Beginning::AwaitsAudio => early_audio.iter().find_map(AudioTrack::of),
            Beginning::Known(track) => track,
        };
        self.audio = track.map(|track| Audio {
            track,
            run: Vec::new(),
            begin: 0,
            end: 0,
        });
        if let Some(video) = &self.video {
            let is_patched = matches!(self.beginning, Beginning::AwaitsAudio);
            let (head, duration_at) = head(&video.parameters, track, is_patched);
            self.duration_at = duration_at;
            self.push(head.into());
        }
        for unit in std::mem::take(&mut self.early_pieces) {
            self.write_picture(&unit);
        }
        for frame in early_audio {
            self.audio(frame);
        }
    }

    fn write_picture(&mut self, unit: &AccessUnit) {
        let Some(base) = self.video.as_ref().map(|video| video.base) else {
            return;
        };
        self.sequence = self.sequence.wrapping_add(1);
        let time = (unit.dts - base) as u64;
        let Some((moof, mdat)) = fmp4::moved(&unit.fragment, self.sequence, time, unit.duration)
        else {
            return;
        };
        if unit.is_key_frame && self.index.len() < INDEX_MAX {
            let presented = (unit.pts - base).max(0) as u64;
            self.index.push((presented, self.position));
        }
        self.push(Bytes::copy_from_slice(&moof));
        self.push(mdat);
    }

    fn write_audio_run(&mut self) {
        let Some(audio) = &mut self.audio else { return };
        let run = std::mem::take(&mut audio.run);
        let (track, begin) = (audio.track, audio.begin);
        audio.begin = audio.end;
        if run.is_empty() {
            return;
        }
        self.sequence = self.sequence.wrapping_add(1);
        let samples = run.iter().map(|data| (track.samples(data), &data[..]));
        let mut fragment = Vec::new();
        audio_track::put_fragment(&mut fragment, self.sequence, begin, samples);
        self.push(fragment.into());
    }

    fn push(&mut self, piece: Bytes) {
        self.position += piece.len() as u64;
        self.pieces.push(piece);
    }
}

/// `mfra` with one entry a key frame (8.8.9 to 8.8.11), so that players can seek: time and place of each.
pub(crate) fn random_access(index: &[(u64, u64)]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + index.len() * 19);
    put_box(&mut out, b"mfra", |out| {
        put_full_box(out, b"tfra", 1, 0, |out| {
            put_words(out, &[VIDEO_TRACK, 0, index.len() as u32]);
            for (time, place) in index {
                out.extend_from_slice(&time.to_be_bytes());
                out.extend_from_slice(&place.to_be_bytes());
                // The first sample of the first run of the first track fragment.
                out.extend_from_slice(&[1, 1, 1]);
            }
        });
        put_full_box(out, b"mfro", 0, 0, |out| put_u32(out, 0));
    });
    let length = out.len() as u32;
    let at = out.len() - 4;
    out[at..].copy_from_slice(&length.to_be_bytes());
    out
}

/// The picture with its parameter sets in front: the file's `moov` has those of the first generation.
fn with_parameter_sets(unit: AccessUnit, parameters: &VideoParameters) -> AccessUnit {
    let sample = Sample {
        sequence: 0,
        decode_time: 0,
        duration: unit.duration,
        composition_offset: (unit.pts - unit.dts) as i32,
        is_key_frame: unit.is_key_frame,
    };
    let sets = parameters.parameter_sets.iter().map(|set| &set[..]);
    let fragment = fmp4::fragment(&sample, sets.chain(unit.nal_units()));
    AccessUnit { fragment, ..unit }
}

/// `ftyp` and `moov`, and where in them the duration stands, if it does.
fn head(
    parameters: &VideoParameters,
    audio: Option<AudioTrack>,
    has_duration: bool,
) -> (Vec<u8>, u64) {
    let mut out = Vec::with_capacity(2048);
    let mut duration_at = 0;
    put_box(&mut out, b"ftyp", |out| {
        out.extend_from_slice(b"iso6");
        put_u32(out, 1);
        out.extend_from_slice(b"iso6mp41");
    });
    put_box(&mut out, b"moov", |out| {
        put_full_box(out, b"mvhd", 0, 0, |out| {
            put_words(out, &[0, 0, TIMESCALE, 0, 0x0001_0000, 0x0100_0000, 0, 0]);
            put_words(out, &MATRIX);
            put_words(out, &[0, 0, 0, 0, 0, 0, AUDIO_TRACK + 1]);
        });
        put_box(out, b"trak", |out| put_video_track(out, parameters));
        if let Some(audio) = audio {
            put_box(out, b"trak", |out| audio_track::put(out, audio));
        }
        put_box(out, b"mvex", |out| {
            if has_duration {
                put_full_box(out, b"mehd", 1, 0, |out| {
                    duration_at = out.len() as u64;
                    put_words(out, &[0, 0]);
                });
            }
            for track in [Some(VIDEO_TRACK), audio.map(|_| AUDIO_TRACK)]
                .into_iter()
                .flatten()
            {
                put_full_box(out, b"trex", 0, 0, |out| {
                    put_words(out, &[track, 1, 0, 0, 0])
                });
            }
        });
    });
    (out, duration_at)
}

fn put_video_track(out: &mut Vec<u8>, parameters: &VideoParameters) {
    let VideoParameters {
        codec,
        width,
        height,
        ..
    } = *parameters;
    fmp4::put_track(out, codec, width, height, &parameters.record);
}
